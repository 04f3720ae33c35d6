"""How the engine and its workers talk: length-prefixed frames on a pipe, never pickles.

A frame is four bytes (big-endian length of the header), the header as JSON, and the blobs whose
lengths the header lists. Nothing here does I/O: `reading` says how many bytes it wants next and is
sent them, so the blocking side and the asyncio side share one reader.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["BadFrame", "Frame", "pack", "reading"]

_LENGTH: Final = struct.Struct(">I")
_MAX_HEADER: Final = 1 << 16
_MAX_BLOB: Final = 1 << 30

Frame: TypeAlias = tuple[dict[str, Any], list[bytes]]


class BadFrame(Exception):
    """What came over the pipe is no frame: the other side printed into it, or is broken."""


def pack(header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> list[bytes]:
    """Return the pieces of a frame, in order; blobs are not copied."""
    text = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
    return [_LENGTH.pack(len(text)) + text, *blobs]


def reading() -> Generator[int, bytes, Frame]:
    """Yield the number of bytes wanted next, be sent exactly those, return the frame.

    Raises `BadFrame` where a length or the header makes no sense.
    """
    (length,) = _LENGTH.unpack((yield _LENGTH.size))
    if not 0 < length <= _MAX_HEADER:
        message = f"a header of {length} bytes"
        raise BadFrame(message)
    text = yield length
    try:
        header = json.loads(text)
        lengths = header.pop("blobs")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        message = f"a header that is not ours: {text[:80]!r}"
        raise BadFrame(message) from error
    blobs = []
    for size in lengths:
        if not isinstance(size, int) or not 0 <= size <= _MAX_BLOB:
            message = f"a blob of {size!r} bytes"
            raise BadFrame(message)
        blobs.append((yield size) if size else b"")
    return header, blobs
