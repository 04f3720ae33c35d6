"""Result files: fetched, decoded and saved, off the event loop and whole or not at all.

How a file comes to lie in a folder is `drafts`. Its name comes from our side alone; only the
extension is read from the file's first bytes, because hosts are known to send wrong names and
types.
"""

from __future__ import annotations

import base64
import binascii
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
from attrs import define, frozen

from .carry import carried_through
from .drafts import Draft, place
from .errors import ClientClosed, DownloadFailed, ResultExpired
from .images import clean_stem
from .operations import ResultFile, files_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .transport import Transport

__all__ = ["Files", "SavedFile", "extension_of"]

T = TypeVar("T")

RETENTION: Final = timedelta(hours=24)
"""How long the service keeps a result (docs page "Querying Async Task Results")."""

MAX_FILE_BYTES: Final = 512 * 2**20
"""More than any picture or clip that the service makes; an endless body ends here."""

_GONE: Final = frozenset({404, 410})

_FORBIDDEN: Final = 403
"""What hosts of signed addresses answer once the signature is too old."""

_LONGEST_NAME: Final = 255
"""Bytes that a file's name may have, by nearly every file system."""

_MOST_DIGITS: Final = 9
"""Digits that the number in a result's name may have."""

_WRITE_AT: Final = 1024 * 1024
"""Bytes gathered before they are handed to a worker thread: the hop costs more than the write."""


def _now() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True)
class SavedFile:
    """A file that was saved: where, the SHA-256 of its bytes in hexadecimal, and their number."""

    path: str
    sha256: str
    size: int


@define(eq=False)
class Files:
    """Fetches and saves result files for one client; the ``FileStore`` of `ResultFile`."""

    transport: Transport
    limiter: anyio.CapacityLimiter
    max_bytes: int = MAX_FILE_BYTES
    ends_with_client: bool = False
    now: Callable[[], datetime] = _now

    def of(self, raw: Any, *, stem: str, task_id: str, now: datetime) -> tuple[ResultFile, ...]:
        """Return the files that an answer names, in its order, as ``stem-1``, ``stem-2`` and so on.

        ``now`` is when the answer came: no file lives longer than 24 h from then.
        """
        stem = clean_stem(stem) or "result"  # a record of another process says it, too
        return files_in(raw, stem=stem, expires_at=now + RETENTION, task_id=task_id, store=self)

    async def read(self, file: ResultFile) -> bytes:
        """Return a whole file, which is fetched in as many tries as `save` has.

        Raises `DownloadFailed`, and `ResultExpired` where it is gone.
        """
        if file.base64 is not None:
            return await self._off_loop(_decoded, file.base64)
        pieces: list[bytes] = []

        async def keep(piece: bytes) -> None:
            pieces.append(piece)

        async def again() -> None:
            pieces.clear()

        await self._download(file, keep, again)
        return b"".join(pieces)

    async def save(
        self, file: ResultFile, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> Path:
        """Save a file and return where it is now; all else is as `keep` says."""
        return Path((await self.keep(file, path, overwrite=overwrite)).path)

    async def keep(
        self, file: ResultFile, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> SavedFile:
        """Save a file and return where it is now, with its digest and size.

        Into a folder (one that exists, or a ``path`` that ends with a slash) it goes under its
        name and the extension of its content; any other ``path`` is taken as it is. Folders that
        are missing are made. A link of that name is in the way like a file; with ``overwrite`` it
        is the link that is replaced, never what it leads to.

        What a host breaks off is asked for again, up to the client's number of tries, and
        continued where that is safe. Raises `FileKept` where a file is there already and
        ``overwrite`` is false, `DownloadFailed`, `ResultExpired`, and ``OSError`` where the disk
        refuses. After any error or cancellation nothing is left behind.
        """
        folder, name = await self._off_loop(place, os.fspath(path), overwrite)
        draft = Draft()
        try:
            # within: a step is carried to its end, but its result is lost to a cancellation
            await self._off_loop(draft.open, folder)
            if file.base64 is not None:
                data = await self._off_loop(_decoded, file.base64)
                await self._off_loop(draft.write, data)
            else:
                await self._fetch_into(draft, file)
            named = partial(_own_name, file.name) if name is None else lambda _: name
            target = await self._off_loop(draft.finish, named, overwrite)
            return SavedFile(path=str(target), sha256=draft.sha256, size=draft.size)
        finally:
            await self._off_loop(draft.discard)

    async def _download(
        self,
        file: ResultFile,
        sink: Callable[[bytes], Awaitable[None]],
        again: Callable[[], Awaitable[None]],
    ) -> None:
        url = file.url or ""
        try:
            await self.transport.download(url, sink, max_bytes=self.max_bytes, again=again)
        except ClientClosed:
            text = "The client of this result is closed: read and save inside its 'async with'."
            if file.task_id and not self.ends_with_client:
                text += f" client.attach({file.task_id!r}) of a new one gets the result again."
            raise ClientClosed(text) from None
        except DownloadFailed as failure:
            status = failure.http_status
            late = file.expires_at is not None and self.now() >= file.expires_at
            if status not in _GONE and not (late and status == _FORBIDDEN):
                raise
            text = (
                f"The result files of task {file.task_id or '(unknown)'} are gone (HTTP "
                f"{status}): the service keeps them 24 hours. Submit the operation again."
            )
            raise ResultExpired(text, task_id=file.task_id) from failure

    async def _fetch_into(self, draft: Draft, file: ResultFile) -> None:
        waiting = bytearray()

        async def take(piece: bytes) -> None:
            waiting.extend(piece)
            if len(waiting) >= _WRITE_AT:
                data = bytes(waiting)
                waiting.clear()
                await self._off_loop(draft.write, data)

        async def again() -> None:
            waiting.clear()
            await self._off_loop(draft.reset)

        await self._download(file, take, again)
        await self._off_loop(draft.write, bytes(waiting))

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        # to its end, also when we are cancelled: what comes next must not overtake the thread
        return await carried_through(anyio.to_thread.run_sync(work, *args, limiter=self.limiter))


def _own_name(name: str, head: bytes) -> str:
    """Return what a file is called in a folder; its name may have come from a pickle."""
    extension = extension_of(head)
    stem, dash, number = name.rpartition("-")
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        stem, dash, number = name, "", ""
    longest = _LONGEST_NAME - len(dash + number + extension)
    return f"{clean_stem(stem, longest=longest) or 'result'}{dash}{number}{extension}"


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
