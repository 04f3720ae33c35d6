"""Requests and their answers over HTTP: the only module that knows httpx.

A slot is a connection: an httpx transport with a pool of exactly one, so that httpx's own pool
never queues and never scans. An exchange, one request and its answer, is bounded by a wall-clock
deadline, because a server that drips a byte a second never triggers a read timeout. A slot whose
exchange did not end cleanly gets a fresh connection: httpcore 1.0.9 never gives back the place of a
request that was cancelled while connecting.

What is not known here: what a task is, and what the JSON of an answer means.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

import anyio.to_thread
import httpx
from attrs import field, frozen, validators

from .errors import (
    AILabError,
    DownloadFailed,
    MalformedReply,
    NotDelivered,
    OutcomeUnknown,
    ServiceError,
    ServiceUnavailable,
    Throttled,
)
from .events import Action, EventHook, ExchangeEvent, Phase, emit, listening
from .protocol.envelope import Reply, decode
from .protocol.services import Route, Service
from .retry import RetryPolicy, TokenBucket, retry_after
from .slots import Slot, Slots

if TYPE_CHECKING:
    import ssl

    from .protocol.multipart import MultipartBody

__all__ = ["Engine", "Timeouts", "Transport"]

T = TypeVar("T")

Sink = Callable[[bytes], Awaitable[None]]
"""Takes a file piece by piece; what it raises ends the download and reaches the caller as it is."""

KEEPALIVE: Final = 15.0
"""Seconds an idle connection is kept: well past the 5 s beat of polling, so that a look neither
reconnects each time nor meets a connection in the moment in which it is being closed."""

SLOWEST_UPLOAD: Final = 32 * 1024
"""Bytes a second that an upload may take at the least; slower ones run into the deadline."""


_REFUSED: Final = 400
_FAILED: Final = 500
"""Where the statuses of refusals begin, and those of failures (RFC 9110)."""


class Engine(Protocol):
    """A server inside this process: what ``Service.local()`` is reached through."""

    @property
    def app(self) -> Any:
        """The ASGI application; may be called once `start` has returned."""

    async def start(self) -> None:
        """Make ready; called before the first request, and idempotent."""

    async def aclose(self) -> None:
        """End all work; bounded, and idempotent."""


def _seconds(default: float) -> Any:
    return field(
        default=default, validator=[validators.instance_of((int, float)), validators.gt(0)]
    )


@frozen(kw_only=True)
class Timeouts:
    """How long each thing may take, in seconds; none of them is infinite.

    ``connect``, ``read`` and ``write`` are per operation on the socket. ``answer`` bounds a whole
    exchange beside the time that its upload may take (its size at 32 KiB/s), ``download`` a whole
    file. ``slot`` bounds the wait for a free slot, ``close`` that for running exchanges when the
    client is closed.
    """

    connect: float = _seconds(10.0)
    read: float = _seconds(60.0)
    write: float = _seconds(30.0)
    answer: float = _seconds(90.0)
    download: float = _seconds(600.0)
    slot: float = _seconds(86_400.0)
    close: float = _seconds(10.0)

    def exchange(self, action: Action, upload: int) -> float:
        """Return the wall-clock deadline of a whole exchange that sends ``upload`` bytes."""
        if action == "download":
            return self.connect + self.download
        return self.connect + self.answer + upload / SLOWEST_UPLOAD


@frozen(kw_only=True)
class Answer:
    """A whole answer as it came; header names are lower case, ``size`` counts a sink's part too."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    size: int


_Slot = Slot[httpx.AsyncBaseTransport]
_ExchangeOf = Callable[[int, _Slot], Coroutine[Any, Any, T]]
"""What is done in an attempt, numbered from 1, with a slot."""


class _BodyStream(httpx.AsyncByteStream):
    """Shows a form to httpx; a new one for each attempt."""

    def __init__(self, body: MultipartBody, *, copy: bool) -> None:
        """``copy`` hands out bytes, which in-process ASGI servers expect, not views."""
        self._body = body
        self._copy = copy

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._body.chunks():
            # httpcore and the event loop take any buffer: a view spares a copy of the picture
            yield bytes(chunk) if self._copy else chunk  # type: ignore[misc]


class Transport:
    """All traffic of one client. Not for two event loops; the client sees to that."""

    def __init__(
        self,
        service: Service,
        *,
        max_in_flight: int,
        timeouts: Timeouts,
        retry: RetryPolicy,
        engine: Engine | None = None,
        on_event: EventHook | None = None,
        max_answer_bytes: int = 64 * 2**20,
    ) -> None:
        """``engine`` answers in place of the network; the transport starts but never closes it."""
        self._service = service
        self._timeouts = timeouts
        self._retry = retry
        self._engine = engine
        self._on_event = on_event
        self._max_answer_bytes = max_answer_bytes
        self._bucket = TokenBucket()
        self._slots: Slots[httpx.AsyncBaseTransport] = Slots(
            max_in_flight, longest_wait=timeouts.slot
        )
        self._ssl_context: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Build what is slow to build, off the loop: the TLS context, or the engine."""
        if self._engine is not None:
            await self._engine.start()
        elif self._ssl_context is None:
            # reads the certificate bundle from disk: 40 ms that the loop should not stand still
            self._ssl_context = await anyio.to_thread.run_sync(httpx.create_ssl_context)

    # --- the three things to say -----------------------------------------------------------------

    async def submit(
        self,
        route: Route,
        body: MultipartBody,
        *,
        accept: Callable[[Reply], T],
        orphaned: Callable[[T], None],
    ) -> T:
        """Send a paid form and return ``accept(reply)``.

        ``accept`` runs inside the exchange's own task as soon as the answer is there, also when
        the caller is gone by then; in that case ``orphaned`` gets what it returned.

        A cancelled caller gets his cancellation at once. Before the first byte went out the
        submission is dropped; after it the exchange ends by itself and is not repeated.

        Raises `NotDelivered`, `OutcomeUnknown` or a `ServiceError`.
        """

        async def exchange(attempt: int, slot: _Slot) -> T:
            answer = await self._exchange(slot, "submit", "POST", route, attempt, body=body)
            return accept(_read_submission(answer, self._max_answer_bytes, route))

        return await self._persistently(
            "submit", exchange, route, droppable=lambda: not body.started, orphaned=orphaned
        )

    async def query(
        self, route: Route, params: Mapping[str, str], *, action: Action = "call", attempts: int = 0
    ) -> Reply:
        """GET a JSON answer. ``attempts`` overrides the policy's, where not 0.

        Raises `NotDelivered` or `OutcomeUnknown` when the way failed, else a `ServiceError`.
        """

        async def exchange(attempt: int, slot: _Slot) -> Reply:
            answer = await self._exchange(slot, action, "GET", route, attempt, params=params)
            return _read(answer, self._max_answer_bytes)

        return await self._persistently(action, exchange, route, attempts=attempts)

    async def download(self, url: str, sink: Sink, *, max_bytes: int) -> int:
        """Stream one result file into ``sink`` and return its size in bytes.

        The key is not sent. ``sink`` gets the file from its first byte; it is tried again only
        where nothing was handed over yet. Raises `DownloadFailed`.
        """
        route, query = _file_route(url, self._service)
        taken = 0

        async def take(chunk: bytes) -> None:
            nonlocal taken
            taken += len(chunk)
            await sink(chunk)

        async def exchange(attempt: int, slot: _Slot) -> int:
            answer = await self._exchange(
                slot, "download", "GET", route, attempt, query=query, sink=take, bound=max_bytes
            )
            if answer.status != httpx.codes.OK:
                text = f"The result file answered HTTP {answer.status}."
                raise DownloadFailed(text, action="download", host=route.host)
            return taken

        try:
            return await self._persistently("download", exchange, route, final=lambda: taken > 0)
        except _SinkBroke as broke:
            raise broke.__cause__ or broke from None

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait for running exchanges, at most ``timeout`` seconds, then end them; idempotent."""
        await self._slots.aclose(patience=self._timeouts.close if timeout is None else timeout)

    # --- attempts --------------------------------------------------------------------------------

    async def _persistently(
        self,
        action: Action,
        exchange: _ExchangeOf[T],
        route: Route,
        *,
        droppable: Callable[[], bool] = lambda: True,
        orphaned: Callable[[T], None] | None = None,
        final: Callable[[], bool] = lambda: False,
        attempts: int = 0,
    ) -> T:
        attempt = 1
        while True:
            try:
                result = await self._slots.run(
                    partial(exchange, attempt), droppable=droppable, orphaned=orphaned
                )
            except AILabError as failure:
                wait = None
                if not (self._slots.closed or final() or attempt == attempts):
                    wait = self._retry.wait(
                        failure,
                        action=action,
                        attempt=attempt,
                        bucket=self._bucket,
                        dice=random.random(),  # noqa: S311  jitter, not a secret
                    )
                if wait is None:
                    raise
                self._tell(action, "retrying", route, attempt, error=failure, wait=wait)
                await asyncio.sleep(wait)
                attempt += 1
            else:
                self._bucket.give_back()
                return result

    # --- one exchange ----------------------------------------------------------------------------

    async def _exchange(
        self,
        slot: _Slot,
        action: Action,
        method: str,
        route: Route,
        attempt: int,
        *,
        params: Mapping[str, str] | None = None,
        query: str = "",
        body: MultipartBody | None = None,
        sink: Sink | None = None,
        bound: int | None = None,
    ) -> Answer:
        """Send one request, read its whole answer, and map what the HTTP library raises."""
        slot.clean = False
        if body is not None:
            body.rewind()
        upload = body.length if body else 0
        request = self._request(action, method, route, params, query, body)
        clock = asyncio.get_running_loop().time
        began = clock()
        self._tell(action, "started", route, attempt, sent=upload)
        try:
            async with asyncio.timeout(self._timeouts.exchange(action, upload)):
                if slot.connection is None:
                    slot.connection = self._connection()
                response = await slot.connection.handle_async_request(request)
                answer = await _received(response, sink, bound or self._max_answer_bytes)
        except _SinkBroke:
            raise
        except asyncio.CancelledError:
            # only closing the client cancels an exchange whose form is out
            if body is None or not body.complete:
                raise
            text = "The client was closed while the answer was on its way. "
            raise OutcomeUnknown(text + _AFTER_UNKNOWN, action=action, host=route.host) from None
        except (
            Exception
        ) as error:  # whatever a foreign transport raises, the flag says what it means
            failure = _failure(error, action, route, body)
            self._tell(action, "failed", route, attempt, seconds=clock() - began, error=failure)
            if failure is error:
                raise
            raise failure from error
        slot.clean = True
        self._tell(
            action,
            "complete",
            route,
            attempt,
            seconds=clock() - began,
            sent=upload,
            received=answer.size,
            http_status=answer.status,
        )
        return answer

    def _request(
        self,
        action: Action,
        method: str,
        route: Route,
        params: Mapping[str, str] | None,
        query: str,
        body: MultipartBody | None,
    ) -> httpx.Request:
        # compressed answers are not asked for: a bomb of 269 bytes would unpack to gigabytes
        headers = {"Accept-Encoding": "identity", "User-Agent": "ailab-async"}
        if action != "download":
            headers |= {"Accept": "application/json", **self._service.key_headers(route)}
        stream: httpx.AsyncByteStream | None = None
        if body is not None:
            headers |= {"Content-Type": body.content_type, "Content-Length": str(body.length)}
            stream = _BodyStream(body, copy=self._engine is not None)
        url = httpx.URL(route.url, params=params) if params else httpx.URL(route.url + query)
        headers["Host"] = url.netloc.decode("ascii")  # httpx adds it only to bodies of its own
        timeouts = self._timeouts
        limits = {
            "connect": timeouts.connect,
            "read": timeouts.read,
            "write": timeouts.write,
            "pool": timeouts.connect,
        }
        return httpx.Request(
            method, url, headers=headers, stream=stream, extensions={"timeout": limits}
        )

    def _connection(self) -> httpx.AsyncBaseTransport:
        if self._engine is not None:
            return httpx.ASGITransport(app=self._engine.app, raise_app_exceptions=False)
        limits = httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE
        )
        context = self._ssl_context or True
        return httpx.AsyncHTTPTransport(verify=context, limits=limits, http2=False)

    def _tell(
        self,
        action: Action,
        phase: Phase,
        route: Route,
        attempt: int,
        *,
        error: BaseException | None = None,
        **facts: Any,
    ) -> None:
        if listening(self._on_event):
            name = "" if error is None else type(error).__name__
            event = ExchangeEvent(
                action=action, phase=phase, host=route.host, attempt=attempt, error=name, **facts
            )
            emit(self._on_event, event)


class _SinkBroke(Exception):
    """A sink raised ``__cause__`` (a full disk, say), which is no fault of the connection."""


async def _received(response: httpx.Response, sink: Sink | None, bound: int) -> Answer:
    """Read an answer as it comes over the wire, counted against ``bound`` bytes."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    status = response.status_code
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101  narrows for the type checkers
    parts: list[bytes] = []
    size = 0
    try:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            text = f"the answer came in the encoding {encoding[:40]!r}, which was not asked for"
            raise MalformedReply(text, http_status=status)
        async for chunk in stream:
            size += len(chunk)
            if size > bound:
                text = f"the answer is larger than {bound} bytes"
                raise MalformedReply(text, http_status=status)
            if sink is None or status != httpx.codes.OK:
                parts.append(chunk)
                continue
            try:
                await sink(chunk)
            except Exception as error:
                raise _SinkBroke from error
    finally:
        await stream.aclose()
    return Answer(status=status, headers=headers, body=b"".join(parts), size=size)


def _failure(
    error: Exception, action: Action, route: Route, body: MultipartBody | None
) -> AILabError:
    """Say what a broken exchange means; of a form its flag decides, never the error's class."""
    cause = _words(error)
    host = route.host
    if action == "download":
        text = f"The result file could not be fetched: {cause}."
        return DownloadFailed(text, action=action, host=host)
    if body is not None and not body.complete:
        text = f"{host} did not receive the form: {cause}. Nothing is billed; try again."
        return NotDelivered(text, action=action, host=host)
    refused = isinstance(error, MalformedReply) and _REFUSED <= error.http_status < _FAILED
    if isinstance(error, AILabError) and (body is None or refused):
        return error
    if body is not None:
        text = f"The form went out whole and no readable answer came: {cause}. {_AFTER_UNKNOWN}"
    elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        text = f"{host} cannot be reached: {cause}."
        return NotDelivered(text, action=action, host=host)
    else:
        text = f"{host} was asked, and no answer came: {cause}."
    return OutcomeUnknown(text, action=action, host=host)


_AFTER_UNKNOWN: Final = (
    "It may have been accepted and billed, so it is not sent again by itself: look at your "
    "account's usage before you repeat it."
)


def _words(error: Exception) -> str:
    """Name an error without its text where that could hold an address with a signature."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "it took too long"
    if isinstance(error, MalformedReply):
        return error.message
    return (
        type(error).__name__
        if not isinstance(error, httpx.TransportError)
        else (f"{type(error).__name__}: {error}".rstrip(": "))
    )


def _read(answer: Answer, bound: int) -> Reply:
    """Decode an answer; a service's request to wait is kept in the error."""
    try:
        return decode(answer.status, answer.headers, answer.body, max_bytes=bound)
    except ServiceError as error:
        error.retry_after = retry_after(answer.headers)
        raise


def _read_submission(answer: Answer, bound: int, route: Route) -> Reply:
    """Decode the answer to a submission: where it does not say what became of it, say so."""
    try:
        return _read(answer, bound)
    except MalformedReply as error:
        refusals: dict[int, type[ServiceError]] = {
            httpx.codes.TOO_MANY_REQUESTS: Throttled,
            httpx.codes.SERVICE_UNAVAILABLE: ServiceUnavailable,
        }
        if kind := refusals.get(answer.status):
            raise kind(
                error.message, http_status=answer.status, retry_after=error.retry_after
            ) from error
        if _REFUSED <= answer.status < _FAILED:
            raise
        raise _unknown(error, route) from error
    except ServiceUnavailable as error:
        # without a code it is a gateway that speaks, and the service may have taken the form
        if error.code or answer.status == httpx.codes.SERVICE_UNAVAILABLE:
            raise
        raise _unknown(error, route) from error


def _unknown(error: ServiceError, route: Route) -> OutcomeUnknown:
    text = f"The form went out whole and the answer does not say what became of it: {error} "
    return OutcomeUnknown(text + _AFTER_UNKNOWN, action="submit", host=route.host)


def _file_route(url: str, service: Service) -> tuple[Route, str]:
    """Check the address of a result file and take it apart into route and query."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    ours = service.name == "local" and origin == service.base_url
    if not ours and (parts.scheme != "https" or not parts.hostname):
        text = (
            f"A result file lies at a {parts.scheme or 'nameless'} address; only https is fetched."
        )
        raise DownloadFailed(text, action="download", host=parts.hostname or "")
    if parts.username is not None:
        text = "A result file's address holds a user name; it is not fetched."
        raise DownloadFailed(text, action="download", host=parts.hostname or "")
    route = Route(origin=origin, path=parts.path or "/")
    return route, f"?{parts.query}" if parts.query else ""
