"""A form as ``multipart/form-data`` (RFC 7578), handed out in chunks without copying a picture.

The body knows whether it has handed out its closing boundary. That flag is what says, after a
failure, whether the server can hold the whole form: an exception's class cannot, because the same
``ReadError`` comes before and after a request was received.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FormField", "MultipartBody", "WithdrawnError"]

CHUNK: Final = 256 * 1024
"""Bytes handed out at once: large enough to cost little, small enough to leave the loop alone."""


@frozen(kw_only=True)
class FormField:
    """One part of a form: a text, or a file where ``filename`` is given."""

    name: str
    data: bytes = field(repr=False)
    filename: str | None = None
    content_type: str | None = None

    def head(self) -> bytes:
        """Return the part's header lines, names escaped as browsers do (WHATWG HTML, 4.10.22.8)."""
        lines = [f'Content-Disposition: form-data; name="{_escaped(self.name)}"']
        if self.filename is not None:
            lines[0] += f'; filename="{_escaped(self.filename)}"'
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        return "\r\n".join((*lines, "", "")).encode()


class WithdrawnError(Exception):
    """The form was taken back while it was being handed out."""


class MultipartBody:
    """A whole form, of known length, that can be handed out again from its first byte.

    ``started`` is true once a first byte of the present attempt was handed out, ``complete`` once
    the closing boundary was. It is set just *before* that chunk leaves, so ``complete`` being false
    proves that nobody can have received the whole form; true proves nothing.
    """

    __slots__ = ("_attempt", "_pieces", "boundary", "complete", "length", "started")

    def __init__(self, fields: Iterable[FormField]) -> None:
        """``fields`` are written in their order."""
        # 128 random bits: no picture holds this line, so none is searched for it
        self.boundary = f"ailab-{secrets.token_hex(16)}"
        self._pieces = tuple(self._laid_out(fields))
        self.length = sum(len(piece) for piece in self._pieces)
        self.started = False
        self.complete = False
        self._attempt = 0

    @property
    def content_type(self) -> str:
        """The value of the request's Content-Type header."""
        return f"multipart/form-data; boundary={self.boundary}"

    def rewind(self) -> None:
        """Begin a new attempt: the flags are reset, and what is left of the last hands out no more.

        Some HTTP libraries write a body in a task of its own, which goes on for a moment after the
        request was cancelled: by then we may have said that nothing was delivered.
        """
        self.started = self.complete = False
        self._attempt += 1

    def withdraw(self) -> bool:
        """Stop handing out, unless the whole form has left already; true where it has not."""
        self._attempt += 1
        return not self.complete

    def chunks(self) -> Iterator[memoryview]:
        """Hand the body out from its first byte, once, in the attempt in which this is called.

        Keeps the flags. The iterator raises `WithdrawnError` when `withdraw` or `rewind` was called
        meanwhile, also before its first step.
        """
        return self._hand_out(self._attempt)

    def _hand_out(self, attempt: int) -> Iterator[memoryview]:
        *body, end = self._pieces
        for piece in body:
            view = memoryview(piece)
            for start in range(0, len(view), CHUNK):
                self._check(attempt)
                self.started = True
                yield view[start : start + CHUNK]
        self._check(attempt)
        self.started = self.complete = True
        yield memoryview(end)

    def _check(self, attempt: int) -> None:
        if attempt != self._attempt:
            message = "this attempt was given up before the form had left"
            raise WithdrawnError(message)

    def _laid_out(self, fields: Iterable[FormField]) -> Iterator[bytes]:
        opening = b"--" + self.boundary.encode() + b"\r\n"
        # small pieces are joined: each chunk is one write to the socket
        pending = b""
        for item in fields:
            pending += opening + item.head()
            if len(item.data) < CHUNK:
                pending += item.data
            else:
                yield pending
                yield item.data
                pending = b""
            pending += b"\r\n"
        yield pending
        yield b"--" + self.boundary.encode() + b"--\r\n"


def _escaped(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
