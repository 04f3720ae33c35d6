"""``--report``: thumbnails are made while the outcomes come, and one page is written of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from ..batch.sheet import ContactSheet, SheetRow, SheetTotals
from ..batch.thumbnails import thumbnail
from .exits import Exit
from .options import Wrong

if TYPE_CHECKING:
    from collections import Counter

    from .output import Photo

__all__ = ["Report"]

_AT_ONCE: Final = 8
"""Rows under way: what waits for a thumbnail must not hold up the batch, nor grow with it."""

_THREADS: Final = 2
_PARTING: Final = 1.5
"""Seconds that thumbnails under way may take to their end when a run was interrupted."""

_MOST_BYTES: Final = 256 * 2**20
_SIDES: Final = ((10_000, 320), (30_000, 200))
_SMALLEST_SIDE: Final = 128
_VIDEOS: Final = frozenset({".mp4", ".avi", ".webm", ".mov"})


class Report:
    """A contact sheet that is written in worker threads, a row at a time."""

    def __init__(self, path: Path, *, title: str, pictures: int) -> None:
        """``pictures`` is how many there will be, from which follows how large each is shown."""
        self._sheet = ContactSheet(path, title=title)
        self._path = path
        self._title = title
        self._side = next((side for most, side in _SIDES if pictures <= most), _SMALLEST_SIDE)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._one = asyncio.Lock()
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._rows: set[asyncio.Task[None]] = set()
        self._failure: OSError | None = None
        self._began = datetime.now().astimezone()
        self._since = time.monotonic()

    async def open(self) -> None:
        """Begin the page. Raises `Wrong` where it cannot be written."""
        try:
            await anyio.to_thread.run_sync(self._sheet.open)
        except OSError as error:
            text = (
                f"cannot write --report {self._path}: {error.strerror or error}. Nothing was sent."
            )
            raise Wrong(text, Exit.CANNOT_WRITE) from None

    async def add(self, photo: Photo, *, operation: str, credits: float | None) -> None:  # noqa: A002
        """Add a picture; waits while many others are being added."""
        await self._room.acquire()
        row = asyncio.create_task(self._add(photo, operation, credits))
        self._rows.add(row)
        row.add_done_callback(self._added)

    async def finish(
        self,
        counts: Counter[str],
        *,
        service: str,
        credits: float | None,  # noqa: A002
        hurry: bool,
    ) -> Path:
        """Give the page its totals and its name. Raises ``OSError``.

        ``counts`` are pictures by state. In a ``hurry``, rows that do not come to their end within
        a second are left out.
        """
        if self._rows:
            await asyncio.wait(tuple(self._rows), timeout=_PARTING if hurry else None)
        if self._failure is not None:
            raise self._failure
        totals = SheetTotals(
            title=self._title,
            service=service,
            counts=counts,
            credits=credits,
            seconds=time.monotonic() - self._since,
            began=self._began,
        )
        async with self._one:
            return await anyio.to_thread.run_sync(self._sheet.finish, totals)

    async def discard(self) -> None:
        """Remove what was not finished; to be called whatever happened."""
        for row in tuple(self._rows):
            row.cancel()
        if self._rows:
            await asyncio.wait(tuple(self._rows))
        await anyio.to_thread.run_sync(self._sheet.discard)

    async def _add(self, photo: Photo, operation: str, paid: float | None) -> None:
        row = await anyio.to_thread.run_sync(
            self._row, photo, operation, paid, limiter=self._threads, abandon_on_cancel=True
        )
        async with self._one:  # the sheet takes one at a time
            try:
                await anyio.to_thread.run_sync(self._sheet.add, row)
            except OSError as error:
                self._failure = self._failure or error

    def _added(self, row: asyncio.Task[None]) -> None:
        self._rows.discard(row)
        self._room.release()
        if not row.cancelled():
            row.result()

    def _row(self, photo: Photo, operation: str, paid: float | None) -> SheetRow:
        after = (_small(path, self._side) for path in photo.files)
        return SheetRow(
            label=photo.path,
            operation=operation,
            state=sheet_state(photo),
            before=_small(photo.path, self._side),
            after=[one for one in after if one is not None],  # type: ignore[misc]  # as above
            files=photo.files,  # type: ignore[arg-type]  # as above
            error=photo.message,
            code=str(getattr(photo.error, "code", "") or ""),
            task_id=photo.task_id,
            credits=paid,
            seconds=photo.seconds,
        )


def sheet_state(photo: Photo) -> str:
    """Return the state under which the sheet shows a picture."""
    if photo.held:
        return "unknown"
    if not photo.message:
        return "saved"
    return "rejected" if photo.refused else "failed"


def _small(path: str, side: int) -> bytes | None:
    """Return a thumbnail of a file, of a video that of its first picture; None where none."""
    if Path(path).suffix.lower() in _VIDEOS:
        data = _first_picture(path)
        return None if data is None else thumbnail(data, side=side)
    try:
        if not path or not Path(path).is_file() or Path(path).stat().st_size > _MOST_BYTES:
            return None
        data = Path(path).read_bytes()
    except (OSError, ValueError):
        return None
    return thumbnail(data, side=side)


def _first_picture(path: str) -> bytes | None:
    """Return the first picture of a video as a JPEG file, where OpenCV is there to read it."""
    try:
        import cv2  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    video = cv2.VideoCapture(path)
    try:
        there, picture = video.read()
        done, data = cv2.imencode(".jpg", picture) if there else (False, None)
        return bytes(data) if done and data is not None else None
    except cv2.error:
        return None
    finally:
        with contextlib.suppress(cv2.error):
            video.release()
