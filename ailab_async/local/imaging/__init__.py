"""Pictures of the local engine: pure functions over numpy arrays, without network, clock or queue.

A picture is an array of `uint8`, height x width x 3, sRGB, red first. Every function gives the
same bytes for the same input. In the engine only the workers import this package, which loads
numpy, OpenCV and Pillow at once; programs of your own may, for what has no field over HTTP::

    from ailab_async.local.imaging import codec, recolor
"""
