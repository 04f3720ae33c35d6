"""Pictures of the local engine: pure functions over numpy arrays, without network, clock or queue.

A picture is an array of `uint8`, height x width x 3, sRGB, red first. Every function gives the
same bytes for the same input. Only the engine's worker imports this package: it loads numpy,
OpenCV and Pillow at once.
"""
