"""Result files: fetched, decoded and saved, off the event loop and whole or not at all.

A file is written under a temporary name in its own folder, flushed, and only then given its name,
so that a crash never leaves half a picture under it. Nothing is overwritten unless asked. The name
comes from our side alone; only the extension is read from the file's first bytes, because hosts
are known to send wrong names and types.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import anyio
import anyio.to_thread
from attrs import define

from .carry import carried_through
from .errors import ClientClosed, DownloadFailed, FileKept, ResultExpired
from .images import clean_stem
from .operations import ResultFile, files_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .transport import Transport

__all__ = ["Files", "extension_of"]

T = TypeVar("T")

RETENTION: Final = timedelta(hours=24)
"""How long the service keeps a result (docs page "Querying Async Task Results")."""

MAX_FILE_BYTES: Final = 512 * 2**20
"""More than any picture or clip that the service makes; an endless body ends here."""

_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
)
"""How file systems say that they have no hard links."""

_GONE: Final = frozenset({404, 410})

_WRITE_AT: Final = 1024 * 1024
"""Bytes gathered before they are handed to a worker thread: the hop costs more than the write."""


@define(eq=False)
class Files:
    """Fetches and saves result files for one client; the ``FileStore`` of `ResultFile`."""

    transport: Transport
    limiter: anyio.CapacityLimiter
    max_bytes: int = MAX_FILE_BYTES
    ends_with_client: bool = False

    def of(self, raw: Any, *, stem: str, task_id: str, now: datetime) -> tuple[ResultFile, ...]:
        """Return the files that an answer names, in its order, as ``stem-1``, ``stem-2`` and so on.

        ``now`` is when the answer came: no file lives longer than 24 h from then.
        """
        stem = clean_stem(stem) or "result"  # a record of another process says it, too
        return files_in(raw, stem=stem, expires_at=now + RETENTION, task_id=task_id, store=self)

    async def read(self, file: ResultFile) -> bytes:
        """Return a whole file; raises `DownloadFailed`, `ResultExpired` where it is gone."""
        if file.base64 is not None:
            return await self._off_loop(_decoded, file.base64)
        pieces: list[bytes] = []

        async def keep(piece: bytes) -> None:
            pieces.append(piece)

        await self._download(file, keep)
        return b"".join(pieces)

    async def save(
        self, file: ResultFile, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> Path:
        """Save a file and return where it is now.

        Into a folder (one that exists, or a ``path`` that ends with a slash) it goes under its
        name and the extension of its content; any other ``path`` is taken as it is. Folders that
        are missing are made. Raises `FileKept` where a file is there already and
        ``overwrite`` is false, `DownloadFailed`, and ``OSError`` where the disk refuses. A
        cancelled save leaves nothing behind.
        """
        folder, name = await self._off_loop(_place, os.fspath(path), overwrite)
        draft = _Draft()
        try:
            # within: a step is carried to its end, but its result is lost to a cancellation
            await self._off_loop(draft.open, folder)
            if file.base64 is not None:
                data = await self._off_loop(_decoded, file.base64)
                await self._off_loop(draft.write, data)
            else:
                await self._fetch_into(draft, file)
            return await self._off_loop(draft.finish, name, file.name, overwrite)
        finally:
            await self._off_loop(draft.discard)

    async def _download(self, file: ResultFile, sink: Callable[[bytes], Awaitable[None]]) -> None:
        try:
            await self.transport.download(file.url or "", sink, max_bytes=self.max_bytes)
        except ClientClosed:
            text = "The client of this result is closed: read and save inside its 'async with'."
            if file.task_id and not self.ends_with_client:
                text += f" client.attach({file.task_id!r}) of a new one gets the result again."
            raise ClientClosed(text) from None
        except DownloadFailed as failure:
            if failure.http_status not in _GONE:
                raise
            text = (
                f"The result files of task {file.task_id or '(unknown)'} are gone (HTTP "
                f"{failure.http_status}): the service keeps them 24 hours."
            )
            raise ResultExpired(text, task_id=file.task_id) from failure

    async def _fetch_into(self, draft: _Draft, file: ResultFile) -> None:
        waiting = bytearray()

        async def take(piece: bytes) -> None:
            waiting.extend(piece)
            if len(waiting) >= _WRITE_AT:
                data = bytes(waiting)
                waiting.clear()
                await self._off_loop(draft.write, data)

        await self._download(file, take)
        await self._off_loop(draft.write, bytes(waiting))

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        # to its end, also when we are cancelled: what comes next must not overtake the thread
        return await carried_through(anyio.to_thread.run_sync(work, *args, limiter=self.limiter))


@define
class _Draft:
    """A file on its way: everything here runs in a worker thread."""

    path: Path = Path()
    stream: BinaryIO | None = None
    head: bytes = b""

    def open(self, folder: Path) -> None:
        self.path = folder / f".ailab-{secrets.token_hex(8)}.part"
        # O_EXCL follows no link that somebody may have put there
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self.stream = os.fdopen(os.open(self.path, flags, 0o666), "wb", buffering=0)

    def write(self, data: bytes) -> None:
        self.head = self.head or data[:32]
        assert self.stream is not None  # noqa: S101  it was opened
        view = memoryview(data)
        while view:
            view = view[self.stream.write(view) :]

    def finish(self, name: str | None, own_name: str, overwrite: bool) -> Path:  # noqa: FBT001
        """Give the file its name."""
        if not self.head:
            message = "The result file is empty."
            raise DownloadFailed(message, action="download")
        assert self.stream is not None  # noqa: S101  it was opened
        os.fsync(self.stream.fileno())
        self.stream.close()
        target = self.path.with_name(name or f"{own_name}{extension_of(self.head)}")
        if overwrite:
            self.path.replace(target)
        else:
            _rename_to_new(self.path, target)
        _flush_folder(target.parent)
        return target

    def discard(self) -> None:
        """Remove the draft where it was not finished."""
        if self.stream is not None:
            self.stream.close()
            self.path.unlink(missing_ok=True)


def _place(path: str, overwrite: bool) -> tuple[Path, str | None]:  # noqa: FBT001
    """Return folder and name; the name is None where the file's own one is to be used."""
    target = Path(path)
    if path.endswith(("/", os.sep)) or target.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return target, None
    # a picture that was paid for is not refused a place for want of a folder
    target.parent.mkdir(parents=True, exist_ok=True)
    if not overwrite and os.path.lexists(target):
        raise FileKept(str(target))  # before anything is fetched for it
    return target.parent, target.name


def _rename_to_new(draft: Path, target: Path) -> None:
    """Rename without ever replacing a file, in one step where the file system can."""
    try:
        target.hardlink_to(draft)
    except FileExistsError:
        raise FileKept(str(target)) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    # no hard links here (FAT, some network shares): reserve the name, then replace that
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        raise FileKept(str(target)) from None
    try:
        draft.replace(target)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot open a folder for this
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as error:
        message = f"The result file is no valid base64 ({error})."
        raise DownloadFailed(message, action="download") from None


_MAGIC: Final = (
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (0, b"II*\x00", ".tif"),
    (0, b"MM\x00*", ".tif"),
    (8, b"WEBP", ".webp"),
    (8, b"AVI ", ".avi"),
    (4, b"ftyp", ".mp4"),
    (0, b"\x1aE\xdf\xa3", ".webm"),
)


def extension_of(head: bytes) -> str:
    """Return the extension, with its dot, of a file that begins with ``head``; else ``.bin``."""
    for offset, magic, extension in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return extension
    return ".bin"
