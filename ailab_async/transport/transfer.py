"""One result file on its way here, through as many tries as it takes.

A host may stall, hang up or send less than it said. What came before that is kept, and the next try
asks for the rest only (RFC 9110, 14.2), where the first answer had a validator that tells two files
apart; else the file is begun again. Bytes of two answers are put together only where the host says
that both are of one file, and that they meet exactly.

No I/O and no clock here: who sends the requests and measures the time is `traffic`.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NoReturn

from attrs import define, field

from ..errors import MalformedReply
from .exchange import SinkBroke

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .exchange import Sink

    Again = Callable[[], Awaitable[None]]
    """Forgets what a sink was given: the file comes again from its first byte."""

__all__ = ["Transfer"]

_OK: Final = 200
_PART: Final = 206
_NO_SUCH_PART: Final = 416

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
"""RFC 9110, 14.4."""

_STRONG_TAG: Final = re.compile(r'"[\x21\x23-\x7e]*"')
"""An entity tag (RFC 9110, 8.8.3) that is not weak; those beyond ASCII are not sent back."""

_STRONG_AFTER: Final = 1.0
"""Seconds after its date from which a file can change only with its date (RFC 9110, 8.8.2.2)."""


@define(eq=False, kw_only=True)
class Transfer:
    """What is known of a file while it comes.

    ``again`` is called before the file comes from its first byte a second time; without it a file
    of which a part was handed over can only be continued. ``allowed`` are the seconds that it may
    take once some of it has come, ``left`` those that are left of them.
    """

    sink: Sink
    again: Again | None
    max_bytes: int
    allowed: float
    left: float = field(init=False)
    taken: int = 0
    whole: int | None = None
    _validator: str = ""
    _asked: int = 0
    _until: int | None = None
    _hopeless: bool = False

    def __attrs_post_init__(self) -> None:
        self.left = self.allowed

    @property
    def final(self) -> bool:
        """Whether another try makes no sense."""
        stuck = self.taken > 0 and self.again is None and not self._validator
        return self._hopeless or self.left <= 0 or stuck

    @property
    def progress(self) -> str:
        """How far it came, in words for an error; empty where nothing came."""
        if not self.taken:
            return ""
        return f" after {self.taken}{f' of {self.whole}' if self.whole else ''} bytes"

    def headers(self) -> dict[str, str]:
        """Return what the next request says beside the usual: which part is asked for."""
        self._asked = self.taken if self._validator else 0
        if not self._asked:
            return {}
        return {"Range": f"bytes={self._asked}-", "If-Range": self._validator}

    def refused(self, status: int) -> bool:
        """Whether an answer says that the part asked for does not exist (any more)."""
        return status == _NO_SUCH_PART and self._asked > 0

    def forget(self) -> None:
        """Ask for no part next time: nothing says that what comes then is the same file."""
        self._validator = ""

    async def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Look at an answer's head and say whether its body belongs to the file.

        Raises `MalformedReply` for a part that was not asked for, and for too much.
        """
        if status == _OK:
            await self._start_over()
            self._validator = _validator(headers)
            self.whole = self._until = _length(headers)
        elif status == _PART:
            self._join(headers)
        else:
            return False
        if self.whole is not None and self.whole > self.max_bytes:
            self._too_large(f"is {self.whole} bytes")
        return True

    async def take(self, chunk: bytes) -> None:
        """Hand a piece on. Raises `SinkBroke` with the sink's error, and `MalformedReply`."""
        end = self.taken + len(chunk)
        if end > self.max_bytes:
            self._too_large("does not end")
        if self._until is not None and end > self._until:
            self._mistrust(f"more than the {self._until} bytes came that were announced")
        try:
            await self.sink(chunk)
        except Exception as error:
            raise SinkBroke from error
        self.taken = end

    def end(self) -> None:
        """Check that the body was whole. Raises `MalformedReply`; the next try goes on from here.

        A body without any length, on a connection that is closed at its end, is taken for whole:
        nothing tells it from one that was cut.
        """
        if not self.taken:
            text = "its host sent an empty file"
            raise MalformedReply(text)
        said = self._until if self.whole is None else self.whole
        if said is not None and self.taken < said:
            text = "its host sent less than it announced"
            raise MalformedReply(text)

    async def _start_over(self) -> None:
        if not self.taken:
            return
        if self.again is None:
            self._hopeless = True
            text = "a part of it was handed on, and it would come from its beginning again"
            raise MalformedReply(text)
        try:
            await self.again()
        except Exception as error:
            raise SinkBroke from error
        self.taken = 0

    def _join(self, headers: Mapping[str, str]) -> None:
        """Check that a part continues what is there already, to the byte and of the same file."""
        if not self._asked:
            self._mistrust("a part came that was not asked for")
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
        if found is None:
            self._mistrust("a part came that does not say which one it is")
        first, last = int(found[1]), int(found[2])
        whole = self.whole if found[3] == "*" else int(found[3])
        if first != self._asked or last < first or (whole is not None and whole <= last):
            self._mistrust("another part came than the one that was asked for")
        if self.whole is not None and whole != self.whole:
            self._mistrust("the file has another length than before")
        tag = headers.get("etag")
        if tag is not None and self._validator.startswith('"') and tag.strip() != self._validator:
            self._mistrust("the file is another one than before")
        self.whole, self._until = whole, last + 1

    def _mistrust(self, text: str) -> NoReturn:
        """Give up this answer, and let the next try begin anew: nothing uncertain is joined."""
        self.forget()
        raise MalformedReply(text)

    def _too_large(self, what: str) -> NoReturn:
        self._hopeless = True
        text = f"it {what}, and at most {self.max_bytes} bytes are taken"
        raise MalformedReply(text)


def _length(headers: Mapping[str, str]) -> int | None:
    """Return the length that a head announces; a chunked body has none (RFC 9112, 6.2)."""
    said = headers.get("content-length", "")
    if "transfer-encoding" in headers or not (said.isascii() and said.isdigit()):
        return None
    return int(said[:18])


def _validator(headers: Mapping[str, str]) -> str:
    """Return what ``If-Range`` may say of this answer, empty where it is not sure enough.

    A strong entity tag; or, where there is no tag at all, a date that is strong (RFC 9110, 13.1.5).
    """
    tag = headers.get("etag")
    if tag is not None:
        return tag.strip() if _STRONG_TAG.fullmatch(tag.strip()) else ""
    changed = headers.get("last-modified", "").strip()
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(changed)
    except (ValueError, TypeError):  # TypeError: one date has a zone and the other has none
        return ""
    return changed if age.total_seconds() >= _STRONG_AFTER else ""
