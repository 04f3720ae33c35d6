"""Read, measure, check: the way of one picture from its source to a part of a form."""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from attrs import frozen

from ..events import PictureFitted, emit
from .encoding import as_image, encode_plain
from .fitting import fit_picture
from .headers import CONTENT_TYPES, EXTENSIONS, Header, read_header
from .rules import FIT_MAX_BYTES, Part, PictureRules, Size
from .sources import check_source, is_array, is_image, read_async, read_source

if TYPE_CHECKING:
    from ..events import EventHook
    from .sources import PictureSource

__all__ = ["load_part"]


async def load_part(
    source: PictureSource,
    rules: PictureRules,
    *,
    field: str,
    label: str = "",
    fit: bool = False,
    fit_size: Size | None = None,
    limiter: anyio.CapacityLimiter | None = None,
    on_event: EventHook | None = None,
) -> Part:
    """Return ``source`` as the part ``field`` of a form.

    Raises `InvalidOperation` for whatever cannot be read or breaks ``rules``, by the name
    ``label`` (or ``field``), with limit and value. No more than the allowed bytes and one are
    read. With ``fit`` the picture is made acceptable instead, scaled to exactly ``fit_size`` where
    that is given, and a `PictureFitted` event says what was done; one that is acceptable already
    is passed on byte for byte.

    Pillow images and arrays are sent as PNG, or as JPEG of quality 95 where that would be too
    large. Reading, measuring and encoding happen in a worker thread under ``limiter``; an async
    reader is read on the loop. A cancellation ends the wait at once; the thread ends by itself
    and what it did is dropped. A file object may then stand anywhere.
    """
    work = _Work(rules=rules, field=field, name=label or field, fit=fit, fit_size=fit_size)
    check_source(source, work.name)
    if inspect.iscoroutinefunction(getattr(source, "read", None)):
        source = await read_async(source, work.name, work.most)
    done = await _in_thread(work.read_and_make, source, limiter)
    if hasattr(done, "__await__"):  # a reader that did not look asynchronous
        data = await read_async(source, work.name, work.most, first=done)
        done = await _in_thread(work.make, data, limiter)
    part, changes = done
    if changes:
        emit(on_event, PictureFitted(field=work.name, changes=changes))
    return part  # type: ignore[no-any-return]  # the thread's result is either of two things


async def _in_thread(work: Any, argument: Any, limiter: anyio.CapacityLimiter | None) -> Any:
    return await anyio.to_thread.run_sync(work, argument, abandon_on_cancel=True, limiter=limiter)


@frozen(kw_only=True)
class _Work:
    """What is done in the worker thread; all of it may block."""

    rules: PictureRules
    field: str
    name: str
    fit: bool
    fit_size: Size | None

    @property
    def most(self) -> int:
        return FIT_MAX_BYTES if self.fit else self.rules.max_bytes

    def read_and_make(self, source: Any) -> Any:
        """Return a part and its changes, or the awaitable of an asynchronous reader."""
        if is_array(source) or is_image(source):
            return self.make(as_image(source))
        data = read_source(source, self.name, self.most)
        return self.make(data) if isinstance(data, bytes) else data

    def make(self, picture: Any) -> tuple[Part, tuple[str, ...]]:
        changes: tuple[str, ...] = ()
        if self.fit:
            data, header, changes = fit_picture(picture, self.rules, self.name, self.fit_size)
        else:
            data, header = self._checked(picture)
        # what is made of a picture may change with the library that makes it; the picture does not
        converted = bool(changes) and isinstance(picture, bytes)
        part = Part(
            field=self.field,
            filename=f"image.{EXTENSIONS[header.format]}",
            content_type=CONTENT_TYPES[header.format],
            data=data,
            format=header.format,
            width=header.width,
            height=header.height,
            mode=header.mode,
            source_sha256=hashlib.sha256(picture).digest() if converted else b"",
        )
        return part, changes

    def _checked(self, picture: Any) -> tuple[bytes, Header]:
        if not isinstance(picture, bytes):
            return encode_plain(picture, self.rules, self.name)
        header = read_header(picture, self.name)
        self.rules.check_format(self.name, header.format)
        self.rules.check_size(self.name, (header.width, header.height))
        self.rules.check_mode(self.name, header.mode)
        return picture, header
