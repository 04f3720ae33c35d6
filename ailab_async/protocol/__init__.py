"""What is said over the wire: pure functions, without I/O and without a clock.

`envelope` turns a status, headers and a body into a `Reply` or raises what the service said,
`codes` is the table of error codes, `states` the table of task states, `results` finds the files
in an answer, `services` knows where things are. Each wire fact has its source beside it:
``docs:`` names a page below ``www.ailabtools.com/docs``, *recorded* an answer that was seen.
"""
