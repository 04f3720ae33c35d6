"""Files on their way to a folder: drafts, which become whole files or nothing.

A draft lies in its file's own folder, under a name of its own, for its owner's eyes only. It is
flushed, and only then given its name and a usual file's mode, so that a crash never leaves half a
picture under that name. No link is followed, and nothing is replaced unless asked.

Everything here blocks, and is for worker threads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from attrs import define, field

from .errors import DownloadFailed, FileKept

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Draft", "copy_file", "flush_folder", "place", "rename_to_new"]

_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
)
"""How file systems say that they have no hard links."""

_NEW: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL  # follows no link that somebody may have put there
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)

_OWNER_ONLY: Final = 0o600
_EVERYBODY: Final = 0o666

_PIECE: Final = 1 << 20

HEAD: Final = 32
"""Bytes from the beginning that tell what kind of file it is."""


def place(path: str, overwrite: bool) -> tuple[Path, str | None]:  # noqa: FBT001
    """Return folder and name to save under; the name is None where it is for the file to say.

    A folder is what exists as one, or a ``path`` that ends with a slash. Missing folders are made:
    a picture that was paid for is not refused a place for want of one. Raises `FileKept` for a
    name that is taken, and ``OSError`` for one that the system does not accept, so that nothing
    is fetched for it.
    """
    target = Path(path)
    if path.endswith(("/", os.sep)) or target.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return target, None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.lstat()
    except FileNotFoundError:
        return target.parent, target.name
    if not overwrite:
        raise FileKept(str(target))
    return target.parent, target.name


@define(eq=False)
class Draft:
    """One file on its way: `open`, then `write` and `reset`, then `finish`; `discard` at the end.

    ``head`` are its first bytes, ``size`` counts them all.
    """

    path: Path = Path()
    head: bytes = b""
    size: int = 0
    _mode: int = 0
    _stream: BinaryIO | None = None
    _digest: Any = field(factory=hashlib.sha256)
    # a try that was cancelled may still be writing while the draft is discarded: without this the
    # bytes could go to another file, which was given the same descriptor meanwhile
    _one: threading.Lock = field(factory=threading.Lock)

    @property
    def sha256(self) -> str:
        """The digest of what was written, in hexadecimal digits."""
        return str(self._digest.hexdigest())

    def open(self, folder: Path) -> None:
        """Begin an empty draft in a folder."""
        with self._one:
            self.path = folder / f".ailab-{secrets.token_hex(8)}.part"
            self._mode = _usual_mode(self.path)
            descriptor = os.open(self.path, _NEW, _OWNER_ONLY)
            self._stream = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Append; does nothing once the draft was discarded."""
        with self._one:
            if self._stream is None:
                return
            if len(self.head) < HEAD:
                self.head += data[: HEAD - len(self.head)]
            self.size += len(data)
            self._digest.update(data)
            view = memoryview(data)
            while view:
                view = view[self._stream.write(view) :]

    def reset(self) -> None:
        """Begin again with an empty file; does nothing once the draft was discarded."""
        with self._one:
            if self._stream is None:
                return
            self._stream.seek(0)
            self._stream.truncate()
            self.head, self.size, self._digest = b"", 0, hashlib.sha256()

    def finish(self, name: Callable[[bytes], str], overwrite: bool) -> Path:  # noqa: FBT001
        """Flush it, give it its name, from its head, and return where it is. Raises `FileKept`."""
        with self._one:
            if not self.size:
                message = "The result file is empty: save it again later."
                raise DownloadFailed(message, action="download")
            assert self._stream is not None  # noqa: S101 - it was opened
            if os.name == "posix":
                os.fchmod(self._stream.fileno(), self._mode)
            os.fsync(self._stream.fileno())
            self._stream.close()
            target = self.path.with_name(name(self.head))
            if overwrite:
                self.path.replace(target)  # of a link, the link itself
            else:
                rename_to_new(self.path, target)
            flush_folder(target.parent)
            return target

    def discard(self) -> None:
        """Remove what was not finished; idempotent."""
        with self._one:
            if self._stream is None:
                return
            stream, self._stream = self._stream, None
            try:
                stream.close()
            finally:
                self.path.unlink(missing_ok=True)


def _usual_mode(path: Path) -> int:
    """Return the mode of any new file here, by making one: asking the umask would change it."""
    if os.name != "posix":
        return _EVERYBODY
    descriptor = os.open(path, _NEW, _EVERYBODY)
    try:
        return os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def rename_to_new(draft: Path, target: Path) -> None:
    """Rename without ever replacing a file, in one step where the file system can.

    Raises `FileKept`, and leaves the draft where it is then.
    """
    try:
        target.hardlink_to(draft)
    except FileExistsError:
        raise FileKept(str(target)) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        draft.unlink()
        return
    # no hard links here (FAT, some network shares): reserve the name, then replace that
    try:
        os.close(os.open(target, _NEW, _OWNER_ONLY))
    except FileExistsError:
        raise FileKept(str(target)) from None
    try:
        draft.replace(target)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def flush_folder(folder: Path) -> None:
    """Let the names in a folder outlive a power cut, where the system can do that."""
    if os.name != "posix":
        return  # Windows cannot open a folder for this
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_file(source: str, folder: Path, name: str) -> Path:
    """Copy a file into a folder under a new name, whole or not at all. Raises `FileKept`."""
    draft = Draft()
    try:
        draft.open(folder)
        with open(source, "rb") as stream:  # noqa: PTH123  a path as it was kept
            while piece := stream.read(_PIECE):
                draft.write(piece)
        return draft.finish(lambda _: name, False)  # noqa: FBT003  as `Files` calls it
    finally:
        draft.discard()
