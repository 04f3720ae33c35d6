"""Files of the engine: uploads that wait for a worker, and results that wait to be fetched.

Every file has an unguessable name, which is all that protects a result, as with the signed
addresses of the hosted service. All work on the disk is done in worker threads under one limiter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from attrs import frozen

from .tasks import KEPT_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable
    from typing import BinaryIO

__all__ = ["MEDIA_TYPES", "FileStore", "StoredFile"]

MEDIA_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".avi": "video/x-msvideo",
}
"""The result files' extensions, and what they are served as."""

RECORDS: Final = "tasks.sqlite"

_UPLOAD: Final = ".upload"
_UPLOADS: Final = "uploads"
_RESULTS: Final = "results"
_LOCK: Final = "engine.lock"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{32}\.(jpg|png|mp4|avi|upload)")
_PIECE: Final = 1 << 18

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


@frozen(kw_only=True)
class StoredFile:
    """A result as it lies on the disk: its size in bytes, and when it was made (unix seconds)."""

    name: str
    size: int
    modified: float


class FileStore:
    """A data folder: a temporary one that `aclose` removes, or a given one, which stays.

    It holds ``uploads/``, ``results/``, the task records (`records`), and a file whose lock keeps
    a second engine out.
    """

    def __init__(self, folder: Path | None, *, limiter: anyio.CapacityLimiter) -> None:
        """``limiter`` bounds the worker threads."""
        self._given = None if folder is None else Path(folder)
        self._folder: Path | None = None
        self._limiter = limiter
        self._remove: weakref.finalize[[Path], FileStore] | None = None
        self._lock: BinaryIO | None = None

    @property
    def stays(self) -> bool:
        """Whether the folder was given, and what is in it outlives the engine."""
        return self._given is not None

    @property
    def records(self) -> Path:
        """Where the task records are; once started."""
        assert self._folder is not None  # noqa: S101 - see above
        return self._folder / RECORDS

    async def start(self) -> None:
        """Make the folder and lock it.

        Raises `OSError` where that cannot be, also where another engine uses it.
        """
        if self._folder is not None:
            return
        if self._given is None:
            self._folder = await self._run(_make_temporary)
            # For an engine that is forgotten: the folder goes when the interpreter does.
            self._remove = weakref.finalize(self, _remove_tree, self._folder)
        else:
            self._folder, self._lock = await self._run(_make_given, self._given)

    async def aclose(self) -> None:
        """Remove the folder if it was temporary; a given one is only unlocked."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        if self._remove is not None:
            await self._run(self._remove)
        if self._lock is not None:
            await self._run(self._lock.close)

    async def put(self, data: bytes, *, extension: str = _UPLOAD) -> str:
        """Write a file, whole or not at all, and return its name."""
        name = secrets.token_urlsafe(24) + extension
        await self._run(_write, self._path(name), data, self.stays)
        return name

    async def read(self, name: str) -> bytes:
        """Return a whole file. Raises `FileNotFoundError`."""
        return await self._run(self._path(name).read_bytes)

    async def drop(self, names: Iterable[str]) -> None:
        """Delete files; those already gone are no error."""
        paths = [self._path(name) for name in names]
        if paths:
            await self._run(_unlink, paths)

    async def drop_old(self, seconds: float) -> None:
        """Delete every result that is older than this, whoever still knows it."""
        assert self._folder is not None  # noqa: S101 - only a queue that runs sweeps
        await self._run(_drop, self._folder / _RESULTS, (), time.time() - seconds)

    async def drop_unknown(self, known: Collection[str]) -> None:
        """Delete all files of ours but these: what an engine that was killed left behind."""
        assert self._folder is not None  # noqa: S101 - as above
        for part in (_UPLOADS, _RESULTS):
            await self._run(_drop, self._folder / part, known, None)

    async def find(self, name: str) -> StoredFile | None:
        """Return a result that is there and not older than 24 hours."""
        if self._folder is None or not _NAME.fullmatch(name) or name.endswith(_UPLOAD):
            return None
        found = await self._run(_find, self._path(name))
        return None if found is None or time.time() - found.modified > KEPT_SECONDS else found

    async def pieces(self, name: str, *, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield ``length`` bytes of a result from ``start``, piece by piece."""
        file = await self._run(_open_at, self._path(name), start)
        try:
            while length and (piece := await self._run(file.read, min(_PIECE, length))):
                length -= len(piece)
                yield piece
        finally:
            with anyio.CancelScope(shield=True):
                await self._run(file.close)

    def _path(self, name: str) -> Path:
        if self._folder is None or not _NAME.fullmatch(name):
            message = "no file of this engine"
            raise FileNotFoundError(message)
        return self._folder / (_UPLOADS if name.endswith(_UPLOAD) else _RESULTS) / name

    async def _run(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        return await anyio.to_thread.run_sync(function, *args, limiter=self._limiter)


def _make_temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ailab-engine-"))
    _make_parts(folder)
    return folder


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _make_given(folder: Path) -> tuple[Path, BinaryIO]:
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    lock = (folder / _LOCK).open("ab")
    try:
        _claim(lock, folder)
        _make_parts(folder)
    except BaseException:
        lock.close()
        raise
    return folder, lock


def _make_parts(folder: Path) -> None:
    for part in (_UPLOADS, _RESULTS):
        # pictures are nobody's business but the engine's own user's
        (folder / part).mkdir(mode=0o700, exist_ok=True)
        if not os.access(folder / part, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder / part))


def _claim(lock: BinaryIO, folder: Path) -> None:
    """Lock the file for this process; the system lets go of it however the process ends."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - only there

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - only there

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EAGAIN, errno.EDEADLK}:
            raise
        why = "another engine uses this folder"
        raise OSError(errno.EBUSY, why, str(folder)) from None


def _write(path: Path, data: bytes, durable: bool) -> None:  # noqa: FBT001 - run in a thread
    partial = path.with_suffix(".part")
    try:
        with partial.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _find(path: Path) -> StoredFile | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return StoredFile(name=path.name, size=status.st_size, modified=status.st_mtime)


def _open_at(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _drop(folder: Path, known: Collection[str], before: float | None) -> None:
    """Delete files of our own names, and what was half written: not ``known``, not younger."""
    with os.scandir(folder) as entries:
        for entry in entries:
            ours = _NAME.fullmatch(entry.name) or entry.name.endswith(".part")
            if not ours or entry.name in known:
                continue
            with contextlib.suppress(FileNotFoundError):
                if before is None or entry.stat().st_mtime <= before:
                    Path(entry.path).unlink()
