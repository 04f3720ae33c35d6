"""What a picture may come as, and its bytes.

Everything here that may block runs in a worker thread; see `loading`.
"""

from __future__ import annotations

import io
import os
import re
import stat
import unicodedata
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, TypeAlias, runtime_checkable

from ..errors import InvalidOperation
from .rules import too_large

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import numpy as np
    from PIL import Image

__all__ = [
    "AsyncReader",
    "PictureSource",
    "check_source",
    "clean_stem",
    "is_array",
    "is_image",
    "read_async",
    "read_source",
    "show_source",
    "source_key",
    "source_stem",
]


@runtime_checkable
class AsyncReader(Protocol):
    """A file that is awaited: FastAPI's ``UploadFile``, anyio's and aiofiles' files."""

    def read(self, size: int = -1, /) -> Awaitable[bytes]:
        """Return up to ``size`` bytes, none at the end."""
        ...


if TYPE_CHECKING:
    PictureSource: TypeAlias = (
        str
        | os.PathLike[str]
        | bytes
        | bytearray
        | memoryview
        | BinaryIO
        | AsyncReader
        | Image.Image
        | np.ndarray[Any, Any]
    )
else:
    # annotations of operations are looked at by attrs; neither numpy nor Pillow is loaded for it
    PictureSource = Any

_KINDS: Final = (
    "a path, bytes, a binary file, an async reader, a Pillow image or a numpy array (H, W, 3)"
)
CHUNK: Final = 2**20
_CHANNELS: Final = 3
_LONGEST_STEM: Final = 150
_NOT_IN_NAMES: Final = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]'
)
"""Controls, what Windows forbids, and what makes a name look like another one."""

_RESERVED: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\xb9\xb2\xb3]) *(?:\.|$)", re.IGNORECASE
)
"""Names of devices on Windows, whatever follows their first dot (docs "Naming Files, Paths, and
Namespaces")."""

_AT_THE_START: Final = ". -"
"""Hides a file, is lost on Windows, or makes a program take a name for an option."""

_AT_THE_END: Final = ". "
"""Is lost on Windows."""


def check_source(source: Any, name: str) -> None:
    """Raise `InvalidOperation` for what can be no picture, without reading anything."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if not isinstance(path, str) or not path or "\0" in path:
            raise InvalidOperation(name, "a path as text", repr(path))
    elif isinstance(source, bytes | bytearray | memoryview):
        if not len(source):
            raise InvalidOperation(name, "a picture", "0 bytes")
    elif is_array(source):
        _check_array(source, name)
    elif is_image(source):
        if 0 in source.size:
            raise InvalidOperation(name, "a picture", f"{source.size[0]}x{source.size[1]} pixels")
    elif not callable(getattr(source, "read", None)):
        raise InvalidOperation(name, _KINDS, show_source(source))
    elif isinstance(source, io.TextIOBase):
        raise InvalidOperation(name, _KINDS, "a text file", hint="Open it with mode 'rb'.")


def _check_array(array: Any, name: str) -> None:
    rgb = len(array.shape) == _CHANNELS and array.shape[2] == _CHANNELS and 0 not in array.shape
    if not rgb:
        limit = "an RGB array of the shape (height, width, 3)"
        raise InvalidOperation(name, limit, f"the shape {tuple(array.shape)}")
    if str(array.dtype) != "uint8":
        hint = "Scale it to 0 to 255 and use array.astype('uint8')."
        raise InvalidOperation(name, "an array of uint8", f"of {array.dtype}", hint=hint)


def is_array(source: Any) -> bool:
    """Whether this is a numpy array, without importing numpy."""
    return _is_a(source, "numpy", "ndarray")


def is_image(source: Any) -> bool:
    """Whether this is a Pillow image, without importing Pillow."""
    return _is_a(source, "PIL.Image", "Image")


def _is_a(value: Any, module: str, name: str) -> bool:
    # not by attributes: a Pillow image would decode itself when asked for __array_interface__
    return any(kind.__module__ == module and kind.__name__ == name for kind in type(value).__mro__)


def show_source(source: Any) -> str:
    """Show a picture in a ``repr`` or an error: its path, never its bytes."""
    if isinstance(source, str | os.PathLike):
        return repr(os.fspath(source))
    kind = type(source).__name__
    if isinstance(source, bytes | bytearray | memoryview):
        return f"<{kind}, {memoryview(source).nbytes} bytes>"
    if is_array(source):
        return f"<array {'x'.join(map(str, source.shape))}>"
    if is_image(source):
        return f"<image {source.size[0]}x{source.size[1]} {source.mode}>"
    return f"<{kind}>"


def source_key(source: Any) -> Any:
    """Return what makes two sources the same picture: path or bytes, else the very object."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return source if isinstance(source, bytes) else (type(source).__name__, id(source))


def source_stem(source: Any) -> str | None:
    """Return the name to call results by: ``"harbour"`` for ``a/harbour.jpg``.

    From a path, or from the path in a file object's ``name``; ``None`` for anything else. It is
    safe as the beginning of a file name on every system.
    """
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    if not isinstance(name, str | os.PathLike):
        return None
    path = os.fspath(name)
    if not isinstance(path, str):
        return None
    return clean_stem(PurePath(path).stem) or None


def clean_stem(text: str, *, longest: int = _LONGEST_STEM) -> str:
    """Return what of a text can begin a file's name, or be it, on any system; empty where nothing.

    In Unicode's composed form (NFC), of at most ``longest`` bytes as UTF-8, since file systems
    count bytes and a number and an extension are still to come; never the name of a device. A
    cleaned stem is its own.
    """
    stem = _NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", text))
    stem = stem.lstrip(_AT_THE_START).rstrip(_AT_THE_END)
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    stem = stem.encode("utf-8")[:longest].decode("utf-8", "ignore")
    return stem.rstrip(_AT_THE_END)


def read_source(source: Any, name: str, most: int) -> Any:
    """Return the bytes of a path, of bytes or of a file object. Blocks.

    Raises `InvalidOperation` for what cannot be read and for more than ``most`` bytes; no more
    than one byte beyond is read, so an endless file ends. A file object is read from where it
    stands and put back there, where it can be. One whose ``read`` turns out to be asynchronous is
    not read: the awaitable of its first bytes is returned.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        count = memoryview(source).nbytes
        if count > most:
            raise too_large(name, most, f"{count} bytes")
        return bytes(source)  # the same object, where it is bytes already
    if isinstance(source, str | os.PathLike):
        return _read_path(os.fspath(source), name, most)
    try:
        return _read_object(source, name, most)
    except InvalidOperation:
        raise
    except (OSError, ValueError) as error:  # ValueError: a closed file
        raise InvalidOperation(name, "a readable file", str(error)) from error


async def read_async(source: Any, name: str, most: int, first: Any = None) -> bytes:
    """Return the bytes of an async reader from where it stands, as `read_source` does.

    ``first`` is the awaitable of a read that was begun already.
    """
    chunks: list[bytes] = []
    count = 0
    while True:
        awaitable = source.read(min(most + 1 - count, CHUNK)) if first is None else first
        first = None
        try:
            chunk = await awaitable
        except (OSError, ValueError) as error:
            raise InvalidOperation(name, "a readable file", str(error)) from error
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise _not_binary(name, chunk)
        if not chunk:
            return b"".join(chunks)
        chunks.append(bytes(chunk))
        count += len(chunk)
        if count > most:
            raise too_large(name, most, f"more than {most} bytes")


def _read_path(path: str, name: str, most: int) -> bytes:
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise InvalidOperation(name, "a file", f"{_kind(facts.st_mode)} ({path})")
            if facts.st_size > most:
                raise too_large(name, most, f"{facts.st_size} bytes")
            return _read_rest(file, name, most, [])
    except FileNotFoundError as error:
        raise InvalidOperation(name, "an existing file", path) from error
    except IsADirectoryError as error:
        raise InvalidOperation(name, "a file", f"a directory ({path})") from error
    except OSError as error:
        why = f"{error.strerror or error} ({path})"
        raise InvalidOperation(name, "a readable file", why) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a FIFO would block until somebody writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _read_object(source: Any, name: str, most: int) -> Any:
    start = _position(source)
    first = source.read(min(most + 1, CHUNK))
    if hasattr(first, "__await__"):
        return first
    if not isinstance(first, bytes | bytearray | memoryview):
        raise _not_binary(name, first)
    data = _read_rest(source, name, most, [bytes(first)]) if first else b""
    if start is not None:
        source.seek(start)
    return data


def _read_rest(file: Any, name: str, most: int, chunks: list[bytes]) -> bytes:
    """Read on until the end: a single ``read`` may return less than was asked for."""
    count = sum(map(len, chunks))
    while count <= most:
        chunk = file.read(min(most + 1 - count, CHUNK))
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        count += len(chunk)
    raise too_large(name, most, f"more than {most} bytes")


def _position(source: Any) -> int | None:
    try:
        position = source.tell() if source.seekable() else None
    except (AttributeError, OSError):
        return None
    return position if isinstance(position, int) else None


def _not_binary(name: str, chunk: Any) -> InvalidOperation:
    value = f"one that reads as {type(chunk).__name__}"
    return InvalidOperation(name, "a binary file", value, hint="Open it with mode 'rb'.")
