"""The contact sheet of a batch: one HTML page with before and after of every picture.

It is written as a stream, a card at a time, into a draft beside its place, so that the memory it
takes does not grow with the batch, and gets its name when it is whole. The totals are known last
and stand first: the draft keeps room for them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from attrs.validators import in_

from ..drafts import Draft
from ..errors import FileKept
from . import sheet_page as page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from attrs import Attribute

__all__ = ["ContactSheet", "SheetRow", "SheetTotals"]

_HEADER_ROOM: Final = 16 * 1024
"""Bytes kept for totals and filters; the longest texts that are shown of them take half of it."""

_SHEET_OF: Final = 60
"""Rows of one list; whole in grids of up to six columns."""

_WRITE_AT: Final = 1024 * 1024
"""Bytes gathered before they are written."""

_JPEG: Final = b"\xff\xd8\xff"


def _jpeg(_: object, attribute: Attribute[Any], value: bytes | None) -> None:
    if value is not None and not value.startswith(_JPEG):
        message = f"{attribute.name} must be a JPEG file, not one that begins {value[:12]!r}."
        raise ValueError(message)


def _jpegs(_: object, attribute: Attribute[Any], value: tuple[bytes, ...]) -> None:
    for data in value:
        _jpeg(None, attribute, data)


def _known_states(_: object, attribute: Attribute[Any], value: Mapping[str, int]) -> None:
    unknown = sorted(value.keys() - page.GROUPS.keys())
    if unknown:
        message = f"{attribute.name} must be by {', '.join(page.GROUPS)}, not by {unknown[0]!r}."
        raise ValueError(message)


def _aware(_: object, attribute: Attribute[Any], value: datetime) -> None:
    if value.tzinfo is None:
        message = f"{attribute.name} must have a time zone, as datetime.now(UTC) has."
        raise ValueError(message)


def _counted(counts: Mapping[str, int]) -> Mapping[str, int]:
    return dict(counts)


@frozen(kw_only=True)
class SheetRow:
    """What the sheet shows of one picture. All texts may hold anything; they are escaped.

    ``label`` is the picture's name for people, ``operation`` the endpoint's. ``state`` is one of
    saved, done, failed, rejected, unknown, open, pending. ``before`` and ``after`` are thumbnails,
    as `thumbnail` makes them; ``after`` has one for each result that has one. ``files`` are paths
    of the results, absolute or relative to the working directory. ``error`` is one line and
    ``code`` the service's own, both empty where there is none. ``seconds`` is how long it took.

    Raises ``ValueError`` for another state, and for a thumbnail that is no JPEG file.
    """

    label: str
    operation: str
    state: str = field(validator=in_(tuple(page.GROUPS)))
    before: bytes | None = field(default=None, repr=False, validator=_jpeg)
    after: tuple[bytes, ...] = field(default=(), repr=False, converter=tuple, validator=_jpegs)
    files: tuple[str, ...] = field(default=(), converter=tuple)
    error: str = ""
    code: str = ""
    task_id: str = ""
    credits: float | None = None
    seconds: float | None = None


@frozen(kw_only=True)
class SheetTotals:
    """What the top of the sheet says of the whole batch.

    ``counts`` are pictures by state, ``seconds`` is wall time, ``began`` has a time zone and is
    shown in it. ``credits`` is None where nothing is known of them.
    """

    title: str
    service: str
    counts: Mapping[str, int] = field(converter=_counted, validator=_known_states)
    credits: float | None = None
    seconds: float
    began: datetime = field(validator=_aware)


class ContactSheet:
    """A contact sheet that is being written; every method blocks, for a worker thread.

    One call at a time, in this order: `open`, any number of `add`, `finish`; and `discard` at the
    end whatever happened::

        sheet = ContactSheet("out/index.html", title="Harbour")
        try:
            sheet.open()
            ...
            sheet.finish(totals)
        finally:
            sheet.discard()

    The page appears under its name whole or not at all. It needs no other file and no network,
    and its style and script are allowed by hash; links lead to the result files, relative to the
    page's folder, so that the folder may be moved.
    """

    def __init__(self, path: str | os.PathLike[str], *, title: str, overwrite: bool = True) -> None:
        """``path`` is the page to be; ``title`` the title of its window.

        Nothing is touched before `open`.
        """
        self._path = Path(path).absolute()
        self._title = title
        self._overwrite = overwrite
        self._draft: Draft | None = None
        self._waiting = bytearray()
        self._header_at = 0
        self._rows = 0
        self._end = ""

    def open(self) -> None:
        """Begin the draft, a hidden file beside the page; missing folders are made.

        Raises `FileKept` where the page is there already and ``overwrite`` is false, ``OSError``
        where the disk refuses, and ``RuntimeError`` where the sheet is open already.
        """
        if self._draft is not None:
            message = "The contact sheet is open already."
            raise RuntimeError(message)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._overwrite and os.path.lexists(self._path):
            raise FileKept(str(self._path))  # before hours of work go into it
        start, middle, self._end = page.frame(self._title)
        draft = Draft()
        draft.open(self._path.parent)
        self._draft = draft
        self._waiting.clear()
        self._rows = 0
        self._header_at = len(start.encode())
        self._write(f"{start}{' ' * _HEADER_ROOM}{middle}")

    def add(self, row: SheetRow) -> None:
        """Append a picture's card; the row is not kept."""
        begin = page.BREAK if self._rows and self._rows % _SHEET_OF == 0 else ""
        self._write(begin + page.card(row, str(self._path.parent)))
        self._rows += 1

    def finish(self, totals: SheetTotals) -> Path:
        """Fill in the totals, give the page its name, and return where it is.

        Raises `FileKept` where the page has come to be meanwhile and ``overwrite`` is false. After
        an error the draft is still there, for `discard`.
        """
        header = page.header(totals).encode()
        self._write(("" if self._rows else page.EMPTY) + self._end)
        draft = self._opened()
        self._flush(draft)
        with draft.path.open("r+b") as again:
            again.seek(self._header_at)
            again.write(header.ljust(_HEADER_ROOM))
        draft.finish(lambda _: self._path.name, self._overwrite)
        self._draft = None
        return self._path

    def discard(self) -> None:
        """Remove the draft where the sheet was not finished; else do nothing."""
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.discard()

    def _write(self, text: str) -> None:
        draft = self._opened()
        self._waiting += text.encode()
        if len(self._waiting) >= _WRITE_AT:
            self._flush(draft)

    def _flush(self, draft: Draft) -> None:
        draft.write(bytes(self._waiting))
        self._waiting.clear()

    def _opened(self) -> Draft:
        if self._draft is None:
            message = "The contact sheet is not open: call open() first."
            raise RuntimeError(message)
        return self._draft
