"""Files of the engine: uploads that wait for a worker, and results that wait to be fetched.

Every file has an unguessable name, which is all that protects a result, as with the signed
addresses of the hosted service. All work on the disk is done in worker threads under one limiter.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

__all__ = ["MEDIA_TYPES", "FileStore"]

MEDIA_TYPES: Final = {".jpg": "image/jpeg", ".png": "image/png"}
"""The result files' extensions, and what they are served as."""

_UPLOAD: Final = ".upload"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{32}\.(jpg|png|upload)")
_PIECE: Final = 1 << 18

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class FileStore:
    """A folder: a temporary one that `aclose` removes, or a given one, which stays."""

    def __init__(self, folder: Path | None, *, limiter: anyio.CapacityLimiter) -> None:
        """``limiter`` bounds the worker threads."""
        self._given = None if folder is None else Path(folder)
        self._folder: Path | None = None
        self._limiter = limiter
        self._remove: weakref.finalize[[Path], FileStore] | None = None

    async def start(self) -> None:
        """Make the folder. Raises `OSError` where that cannot be."""
        if self._folder is not None:
            return
        if self._given is None:
            self._folder = await self._run(_make_temporary)
            # For an engine that is forgotten: the folder goes when the interpreter does.
            self._remove = weakref.finalize(self, _remove_tree, self._folder)
        else:
            self._folder = await self._run(_make_given, self._given)

    async def aclose(self) -> None:
        """Remove the folder if it was temporary; of a given one, only the waiting uploads."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        if self._remove is not None:
            await self._run(self._remove)
        else:
            await self._run(_drop_old, folder, 0.0, (_UPLOAD,))

    async def put(self, data: bytes, *, extension: str = _UPLOAD) -> str:
        """Write a file, whole or not at all, and return its name."""
        name = secrets.token_urlsafe(24) + extension
        await self._run(_write, self._path(name), data)
        return name

    async def read(self, name: str) -> bytes:
        """Return a whole file."""
        return await self._run(self._path(name).read_bytes)

    async def drop(self, names: Iterable[str]) -> None:
        """Delete files; those already gone are no error."""
        paths = [self._path(name) for name in names]
        if paths:
            await self._run(_unlink, paths)

    async def drop_old(self, seconds: float) -> None:
        """Delete every file of ours that is older than this, whoever still knows it."""
        assert self._folder is not None  # noqa: S101 - only a queue that runs sweeps
        await self._run(_drop_old, self._folder, seconds, (_UPLOAD, *MEDIA_TYPES))

    async def size(self, name: str) -> int | None:
        """Return a result's size in bytes; ``None`` where there is no such result."""
        if self._folder is None or not _NAME.fullmatch(name) or name.endswith(_UPLOAD):
            return None
        return await self._run(_size, self._path(name))

    async def pieces(self, name: str) -> AsyncIterator[bytes]:
        """Yield a result piece by piece."""
        file = await self._run(self._path(name).open, "rb")
        try:
            while piece := await self._run(file.read, _PIECE):
                yield piece
        finally:
            with anyio.CancelScope(shield=True):
                await self._run(file.close)

    def _path(self, name: str) -> Path:
        if self._folder is None or not _NAME.fullmatch(name):
            message = "no file of this engine"
            raise FileNotFoundError(message)
        return self._folder / name

    async def _run(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        return await anyio.to_thread.run_sync(function, *args, limiter=self._limiter)


def _make_temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="ailab-engine-"))


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _make_given(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _drop_old(folder: Path, seconds: float, extensions: tuple[str, ...]) -> None:
    # Only names of our own pattern: a given folder may hold other people's files.
    oldest = time.time() - seconds
    with os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.name.endswith(extensions):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat().st_mtime <= oldest:
                        Path(entry.path).unlink()
