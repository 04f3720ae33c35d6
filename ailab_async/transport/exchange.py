"""One exchange: a request, its whole answer, a deadline, and what it means when it breaks.

The deadline is wall-clock time, because a server that drips a byte a second never triggers a read
timeout. Answers are counted while they come. Of a form its own flag says whether the server can
hold it whole; an error's class cannot, since the same ``ReadError`` comes before and after.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen, validators

from ..errors import (
    AILabError,
    DownloadFailed,
    MalformedReply,
    NotDelivered,
    OutcomeUnknown,
    ServiceError,
    ServiceUnavailable,
    Throttled,
)
from ..protocol.codes import CODES
from ..protocol.envelope import Reply, decode
from ..protocol.redact import clean_text
from ..retry import retry_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ..events import Action
    from .library import Connection, Incoming, Library, Outgoing
    from .transfer import Transfer

    Sink = Callable[[bytes], Awaitable[None]]
    """Takes a file piece by piece; what it raises ends the download and reaches the caller."""

__all__ = ["Answer", "SinkBroke", "Timeouts", "exchange", "read", "read_submission"]

SLOWEST_UPLOAD: Final = 32 * 1024
"""Bytes a second that an upload may take at the least; slower ones run into the deadline."""

_REFUSED: Final = 400
_FAILED: Final = 500
_TIMED_OUT: Final = 408
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
"""Statuses (RFC 9110, RFC 6585): where those of refusals begin, and those of failures."""

_AFTER_UNKNOWN: Final = (
    "It may have been accepted and billed, so it is not sent again by itself: look at your "
    "account's usage before you repeat it."
)


def _seconds(default: float) -> Any:
    return field(
        default=default, validator=[validators.instance_of((int, float)), validators.gt(0)]
    )


@frozen(kw_only=True)
class Timeouts:
    """How long each thing may take, in seconds; none of them is infinite.

    ``connect``, ``read`` and ``write`` are per operation on the socket. ``answer`` bounds a whole
    exchange beside the time that its upload may take (its size at 32 KiB/s). ``download`` bounds a
    whole file: all tries together from the first of which something came, and each try of which
    nothing comes. ``source`` bounds the reading of an operation's pictures, ``slot`` the wait for a
    free slot, ``close`` that for running exchanges when the client is closed.
    """

    connect: float = _seconds(10.0)
    read: float = _seconds(60.0)
    write: float = _seconds(30.0)
    answer: float = _seconds(90.0)
    download: float = _seconds(600.0)
    source: float = _seconds(120.0)
    slot: float = _seconds(86_400.0)
    close: float = _seconds(10.0)

    def exchange(self, action: Action, upload: int) -> float:
        """Return the wall-clock deadline of a whole exchange that sends ``upload`` bytes.

        Of a download it is that of the whole file; what tries before have used is to be taken off.
        """
        if action == "download":
            return self.connect + self.download
        return self.connect + self.answer + upload / SLOWEST_UPLOAD

    def on_the_socket(self) -> dict[str, float]:
        """Return those that the HTTP library keeps; its pool has one place and never waits."""
        return {
            "connect": self.connect,
            "read": self.read,
            "write": self.write,
            "pool": self.connect,
        }


@frozen(kw_only=True)
class Answer:
    """A whole answer as it came; header names are lower case, ``size`` counts a file's bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    size: int


class SinkBroke(Exception):
    """A sink raised ``__cause__`` (a full disk, say), which is no fault of the connection."""


async def exchange(
    connection: Connection,
    outgoing: Outgoing,
    *,
    library: Library,
    action: Action,
    host: str,
    deadline: float,
    max_bytes: int,
    transfer: Transfer | None = None,
) -> Answer:
    """Send a request and return its whole answer.

    With a ``transfer``, a body that belongs to its file goes there and not into the answer; any
    other one is not read at all. Raises `NotDelivered`, `OutcomeUnknown`, `DownloadFailed` or
    `MalformedReply`, and `SinkBroke`.
    """
    body = outgoing.body
    try:
        async with asyncio.timeout(deadline):
            incoming = await connection.send(outgoing)
            if transfer is not None:
                return await _transferred(incoming, transfer)
            return await _received(incoming, max_bytes)
    except SinkBroke:
        raise
    except asyncio.CancelledError:
        # only closing the client cancels an exchange whose form is out
        if body is None or body.withdraw():
            raise
        text = f"The client was closed while the answer was on its way. {_AFTER_UNKNOWN}"
        raise OutcomeUnknown(text, action=action, host=host) from None
    except Exception as error:
        # whatever a foreign transport raises, the form's flag says what it means
        if transfer is None:
            failure = _failure(error, outgoing, library=library, action=action, host=host)
        else:
            failure = _not_fetched(error, outgoing, transfer, library=library, host=host)
        if failure is error:
            raise
        _forget_frames(error)
        raise failure from error


async def _received(incoming: Incoming, max_bytes: int) -> Answer:
    parts: list[bytes] = []
    size = 0
    try:
        _refuse_encoding(incoming)
        async for chunk in incoming.chunks():
            size += len(chunk)
            if size > max_bytes:
                text = f"the answer is larger than {max_bytes} bytes"
                raise MalformedReply(text, http_status=incoming.status)
            parts.append(chunk)
    finally:
        await incoming.aclose()
    return Answer(status=incoming.status, headers=incoming.headers, body=b"".join(parts), size=size)


async def _transferred(incoming: Incoming, transfer: Transfer) -> Answer:
    """Receive a file, or of any other answer its head: nobody needs to read a host's excuses."""
    size = 0
    try:
        if await transfer.begin(incoming.status, incoming.headers):
            _refuse_encoding(incoming)
            async for chunk in incoming.chunks():
                size += len(chunk)
                await transfer.take(chunk)
            transfer.end()
    finally:
        await incoming.aclose()
    return Answer(status=incoming.status, headers=incoming.headers, body=b"", size=size)


def _refuse_encoding(incoming: Incoming) -> None:
    encoding = incoming.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        # not unpacked: a bomb of 269 bytes holds a gigabyte
        text = f"the answer came in the encoding {encoding[:40]!r}, which was not asked for"
        raise MalformedReply(text, http_status=incoming.status)


def _failure(
    error: Exception, outgoing: Outgoing, *, library: Library, action: Action, host: str
) -> AILabError:
    """Say what a broken exchange means."""
    body = outgoing.body
    cause = _words(error, library)
    if body is not None and body.withdraw():
        text = f"{host} did not receive the form: {cause}. Nothing is billed; try again."
        return NotDelivered(text, action=action, host=host)
    refused = isinstance(error, MalformedReply) and _REFUSED <= error.http_status < _FAILED
    if isinstance(error, AILabError) and (body is None or refused):
        return error
    if body is not None:
        text = f"The form went out whole and no readable answer came: {cause}. {_AFTER_UNKNOWN}"
    elif library.never_connected(error):
        return NotDelivered(f"{host} cannot be reached: {cause}.", action=action, host=host)
    else:
        text = f"{host} was asked, and no answer came: {cause}."
    return OutcomeUnknown(text, action=action, host=host)


def _not_fetched(
    error: Exception,
    outgoing: Outgoing,
    transfer: Transfer,
    *,
    library: Library,
    host: str,
) -> DownloadFailed:
    """Say why a file did not come, how far it came, and what to do."""
    if isinstance(error, TimeoutError):
        cause = f"it did not come within {transfer.allowed:g} s (timeouts.download)"
    elif library.never_connected(error) and library.too_late(error):
        cause = f"its host took no connection within {outgoing.timeouts['connect']:g} s"
    elif library.too_late(error):
        cause = f"its host sent nothing for {outgoing.timeouts['read']:g} s (timeouts.read)"
    else:
        cause = _words(error, library)
    text = (
        f"The result file could not be fetched{transfer.progress}: {cause}. The task itself is "
        f"fine: save the file again later."
    )
    return DownloadFailed(text, action="download", host=host)


def _forget_frames(error: BaseException) -> None:
    """Drop the traceback of the HTTP library's error, and of those behind it.

    Its frames hold the request's headers, and so the key, in their local variables, which some
    loggers print. What the errors say stays.
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            chain += [link.__cause__, link.__context__]


def _words(error: Exception, library: Library) -> str:
    """Name an error, without its text where that could hold an address with a signature."""
    if isinstance(error, TimeoutError) or library.too_late(error):
        return "it took too long"
    if isinstance(error, MalformedReply):
        return error.message
    name = type(error).__name__
    return f"{name}: {clean_text(str(error))}".rstrip(": ") if library.speaks(error) else name


def read(answer: Answer, max_bytes: int) -> Reply:
    """Decode an answer; what the service asked to wait is kept in the error.

    A gateway that refuses or is busy need not speak JSON: its status is clear enough.
    """
    asked = retry_after(answer.headers)
    try:
        return decode(answer.status, answer.headers, answer.body, max_bytes=max_bytes)
    except MalformedReply as error:
        error.retry_after = asked
        if answer.status == _TOO_MANY:
            raise Throttled("", http_status=answer.status, retry_after=asked) from error
        if answer.status == _UNAVAILABLE:
            raise ServiceUnavailable("", http_status=answer.status, retry_after=asked) from error
        raise
    except ServiceError as error:
        error.retry_after = asked
        raise


def read_submission(answer: Answer, max_bytes: int, host: str) -> Reply:
    """Decode the answer to a submission: where it does not say what became of it, say so."""
    try:
        return read(answer, max_bytes)
    except MalformedReply as error:
        if _REFUSED <= answer.status < _FAILED:
            raise
        raise _unknown(error, host) from error
    except ServiceError as error:
        # a code of the table, a refusal and a gateway's "unavailable" are statements about the
        # form; a redirect, and a failure in words that nobody knows, are none
        stated = error.code in CODES or answer.status == _UNAVAILABLE
        refused = _REFUSED <= answer.status < _FAILED and answer.status != _TIMED_OUT
        if stated or refused:
            raise
        raise _unknown(error, host) from error


def _unknown(error: ServiceError, host: str) -> OutcomeUnknown:
    text = f"The form went out whole and the answer does not say what became of it: {error} "
    unknown = OutcomeUnknown(text + _AFTER_UNKNOWN, action="submit", host=host)
    unknown.request_id = error.request_id
    unknown.excerpt = getattr(error, "excerpt", "")
    return unknown
