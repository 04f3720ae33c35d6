"""All traffic of one client: submissions, queries and downloads, their attempts and their pace."""

from __future__ import annotations

import asyncio
import contextlib
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio.to_thread
from attrs import evolve

from ..errors import (
    AILabError,
    DownloadFailed,
    EndpointRetired,
    NotDelivered,
    NotFound,
    OutcomeUnknown,
)
from ..events import Action, EventHook, ExchangeEvent, Phase, emit, listening, logger
from ..retry import RetryPolicy, TokenBucket, retry_after
from .addresses import FileAddress, checked, moved, redirected
from .exchange import Answer, SinkBroke, Timeouts, exchange, read, read_submission
from .library import Connection, HTTPName, Library, Outgoing, borrow
from .pace import Pace
from .slots import Slot, Slots
from .transfer import Transfer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping

    from ..protocol.envelope import Reply
    from ..protocol.multipart import MultipartBody
    from ..protocol.services import Route, Service
    from .budget import Hold
    from .exchange import Sink
    from .transfer import Again

    AttemptOf = Callable[[int, Slot[Connection]], Coroutine[Any, Any, "T"]]
    """What is done in an attempt, numbered from 1, with a slot."""

__all__ = ["Engine", "Transport"]

T = TypeVar("T")

MOST_REDIRECTS: Final = 3

MOST_ANSWER: Final = 8 * 2**20
"""Bytes of an answer that only names its files, which takes a few hundred."""

MOST_FILLED_ANSWER: Final = 64 * 2**20
"""Bytes of an answer that holds its files, as base64: that of a synchronous endpoint."""

_WHOLE_OR_PART: Final = frozenset({200, 206})
"""Statuses whose body is a file, once it was received as one."""


class _OurOwn(Exception):
    """``before`` or ``accept`` raised ``__cause__``: nothing that the service or the way did."""


class Engine(Protocol):
    """A server inside this process: what ``Service.local()`` is reached through."""

    @property
    def app(self) -> Any:
        """The ASGI application; may be called once `start` has returned."""

    async def start(self) -> None:
        """Make ready; called before the first request, and idempotent."""

    async def aclose(self) -> None:
        """End all work; bounded, and idempotent."""


class Transport:
    """Not for two event loops; the client sees to that."""

    def __init__(
        self,
        service: Service,
        *,
        max_in_flight: int,
        timeouts: Timeouts,
        retry: RetryPolicy,
        engine: Engine | None = None,
        http: HTTPName = "httpx",
        http_client: Any = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        allow_hosts: Collection[str] | None = None,
        on_event: EventHook | None = None,
        max_answer_bytes: int = MOST_ANSWER,
    ) -> None:
        """``engine`` answers in place of the network; the transport starts but never closes it."""
        self._service = service
        self._timeouts = timeouts
        self._retry = retry
        self._engine = engine
        self._borrowed: Connection | None = None
        self._http: HTTPName = http
        if http_client is not None:
            self._http, self._borrowed = borrow(http_client)
        self._tls = ssl_context
        self._proxy = proxy
        self._allow_hosts = allow_hosts
        self._on_event = on_event
        self._max_answer_bytes = max_answer_bytes
        self._library: Library
        self._bucket = TokenBucket()
        self._slots: Slots[Connection] = Slots(max_in_flight, longest_wait=timeouts.slot)
        self._pace = Pace(self._slots, retry=retry, on_event=on_event)
        # files lie elsewhere: on these connections a stalling host holds up no submission
        self._file_slots: Slots[Connection] = Slots(max_in_flight, longest_wait=timeouts.slot)

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way."""
        return self._slots.at_rest and self._file_slots.at_rest

    async def start(self) -> None:
        """Load what is slow to load, off the loop. Raises `MissingExtra`."""
        self._library = await anyio.to_thread.run_sync(Library, self._http)
        if self._engine is not None:
            await self._engine.start()
        elif self._tls is None and self._borrowed is None:
            self._tls = await anyio.to_thread.run_sync(self._library.tls_context)

    async def submit(
        self,
        route: Route,
        body: MultipartBody,
        *,
        accept: Callable[[Reply], Awaitable[T]],
        orphaned: Callable[[T], None],
        before: Callable[[], Awaitable[None]] | None = None,
        hold: Hold | None = None,
        filled: bool = False,
    ) -> T:
        """Send a paid form and return what ``accept(reply)`` does.

        ``before`` runs when there is a slot for an attempt, just before the bytes go out.
        ``accept`` runs inside the exchange's own task as soon as the answer is there, also when
        the caller is gone by then; in that case ``orphaned`` gets what it returned. What either of
        them raises is raised here, and nothing is repeated. ``hold`` is kept for as long as an
        exchange holds the form. ``filled`` allows for an answer that holds its files.

        A cancelled caller gets his cancellation at once. Before the first byte went out the
        submission is dropped; after it the exchange ends by itself and is not repeated.

        Raises `NotDelivered`, `OutcomeUnknown` or a `ServiceError`.
        """
        bound = max(self._max_answer_bytes, MOST_FILLED_ANSWER if filled else 0)

        async def attempt(number: int, slot: Slot[Connection]) -> T:
            if before is not None:
                try:
                    await before()
                except Exception as error:
                    raise _OurOwn from error
            answer = await self._on_slot(
                slot, "submit", "POST", route, number, body=body, max_bytes=bound
            )
            reply = self._understood(read_submission, answer, bound, route.host)
            try:
                return await accept(reply)
            except Exception as error:
                raise _OurOwn from error

        def drop() -> bool:
            return not body.started and body.withdraw()

        def begin() -> None:
            # before the attempt is a task: the flags of the last one say nothing about this one
            body.rewind()
            if hold is not None:
                hold.keep()

        try:
            return await self._persistently(
                "submit",
                attempt,
                route,
                begin=begin,
                ended=None if hold is None else hold.release,
                drop=drop,
                orphaned=orphaned,
            )
        except _OurOwn as error:
            raise error.__cause__ or error from None

    async def query(
        self, route: Route, params: Mapping[str, str], *, action: Action = "call", attempts: int = 0
    ) -> Reply:
        """GET a JSON answer. ``attempts`` overrides the policy's, where not 0.

        Raises `NotDelivered` or `OutcomeUnknown` when the way failed, else a `ServiceError`.
        """

        async def attempt(number: int, slot: Slot[Connection]) -> Reply:
            answer = await self._on_slot(slot, action, "GET", route, number, params=params)
            return self._understood(read, answer, self._max_answer_bytes)

        return await self._persistently(action, attempt, route, attempts=attempts)

    async def download(
        self, url: str, sink: Sink, *, max_bytes: int, again: Again | None = None
    ) -> int:
        """Stream one result file into ``sink`` and return its size in bytes.

        Neither key nor cookie is sent. At most three redirects are followed, each checked as the
        first address was. After a stall, a break or a wrong length it is tried again on a fresh
        connection: from where it stopped where the host can do that for the very same file, else
        from the first byte. Before that ``again`` is called, and the sink must forget what it was
        given; without ``again`` such a file is an error. Of a file that `download` returned, the
        sink has every byte once, in order.

        Raises `DownloadFailed`, and what the sink or ``again`` raise as it is.
        """
        transfer = Transfer(
            sink=sink,
            again=again,
            max_bytes=max_bytes,
            allowed=self._timeouts.exchange("download", 0),
        )
        pin = self._engine is None and self._borrowed is None and self._proxy is None
        hops = 0
        while True:
            address = await checked(
                url, service=self._service, allow_hosts=self._allow_hosts, pin=pin
            )
            try:
                answer = await self._persistently(
                    "download",
                    partial(self._fetch, transfer, address),
                    address.route,
                    final=lambda: transfer.final,
                )
            except SinkBroke as broke:
                raise broke.__cause__ or broke from None
            onward = redirected(answer.status, answer.headers, address)
            if onward is None:
                return transfer.taken
            hops += 1
            if hops > MOST_REDIRECTS:
                text = (
                    f"A result file is redirected more than {MOST_REDIRECTS} times; it is not "
                    "fetched. The task itself is fine: save the file again later."
                )
                raise DownloadFailed(text, action="download", host=address.route.host)
            transfer.forget()
            url = onward

    async def _fetch(
        self, transfer: Transfer, address: FileAddress, number: int, slot: Slot[Connection]
    ) -> Answer:
        """Try once to fetch a file, or what of it is missing; the answer may be a redirect."""
        clock = asyncio.get_running_loop().time
        if number > 1:
            self._file_slots.leave(slot)  # whatever it is connected to, it is not what broke

        async def ask() -> Answer:
            began = clock()
            try:
                return await self._on_slot(
                    slot,
                    "download",
                    "GET",
                    address.route,
                    number,
                    address=address,
                    transfer=transfer,
                )
            finally:
                if transfer.taken:
                    transfer.left -= clock() - began

        answer = await ask()
        if transfer.refused(answer.status):
            transfer.forget()
            answer = await ask()
        if answer.status not in _WHOLE_OR_PART and not moved(answer.status, answer.headers):
            text = (
                f"The result file could not be fetched: its host answered HTTP {answer.status}. "
                "The task itself is fine: save the file again later."
            )
            failure = DownloadFailed(text, action="download", host=address.route.host)
            failure.http_status = answer.status
            failure.retry_after = retry_after(answer.headers)
            raise failure
        return answer

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait for running exchanges, at most ``timeout`` seconds, then end them; idempotent."""
        patience = self._timeouts.close if timeout is None else timeout
        self._slots.close()
        self._file_slots.close()
        await asyncio.gather(
            self._slots.aclose(patience=patience), self._file_slots.aclose(patience=0)
        )

    # --- attempts --------------------------------------------------------------------------------

    async def _persistently(
        self,
        action: Action,
        attempt: AttemptOf[T],
        route: Route,
        *,
        begin: Callable[[], None] = lambda: None,
        ended: Callable[[], None] | None = None,
        drop: Callable[[], bool] = lambda: True,
        orphaned: Callable[[T], None] | None = None,
        final: Callable[[], bool] = lambda: False,
        attempts: int = 0,
    ) -> T:
        slots = self._file_slots if action == "download" else self._slots
        number = 1
        while True:
            if action != "download":
                await self._pace.calm()
            begin()
            try:
                result = await slots.run(
                    partial(self._attempted, attempt, number, action),
                    drop=drop,
                    orphaned=orphaned,
                    ended=ended,
                )
            except AILabError as failure:
                wait = None
                if not (slots.closed or final() or number == attempts):
                    wait = self._retry.wait(
                        failure,
                        action=action,
                        attempt=number,
                        bucket=self._bucket,
                        dice=random.random(),  # noqa: S311  jitter, not a secret
                    )
                if wait is None:
                    raise
                self._tell(action, "retrying", route, number, error=failure, wait=wait)
                await asyncio.sleep(wait)
                number += 1
            else:
                self._bucket.give_back()
                return result

    async def _attempted(
        self, attempt: AttemptOf[T], number: int, action: Action, slot: Slot[Connection]
    ) -> T:
        if action == "download":
            return await attempt(number, slot)
        return await self._pace.keep(attempt(number, slot))

    # --- one attempt -----------------------------------------------------------------------------

    async def _on_slot(
        self,
        slot: Slot[Connection],
        action: Action,
        method: str,
        route: Route,
        number: int,
        *,
        params: Mapping[str, str] | None = None,
        body: MultipartBody | None = None,
        address: FileAddress | None = None,
        transfer: Transfer | None = None,
        max_bytes: int | None = None,
    ) -> Answer:
        """Make one exchange on a slot, and keep account of it."""
        clock = asyncio.get_running_loop().time
        upload = 0 if body is None else body.length
        asked = params or {}
        task_id = asked.get("task_id") or asked.get("job_id") or ""
        with self._guard(action, route):
            slot.clean = False
            began = clock()
            self._tell(action, "started", route, number, sent=upload, task_id=task_id)
            try:
                outgoing = self._outgoing(action, method, route, number, params, body, address)
                deadline = self._timeouts.exchange(action, upload)
                if transfer is not None:
                    outgoing = evolve(outgoing, headers={**outgoing.headers, **transfer.headers()})
                    deadline = transfer.left
                answer = await exchange(
                    self._connected(slot, outgoing),
                    outgoing,
                    library=self._library,
                    action=action,
                    host=route.host,
                    deadline=deadline,
                    max_bytes=self._max_answer_bytes if max_bytes is None else max_bytes,
                    transfer=transfer,
                )
            except AILabError as failure:
                seconds = clock() - began
                self._tell(
                    action, "failed", route, number, seconds=seconds, task_id=task_id, error=failure
                )
                if isinstance(failure, OutcomeUnknown) and body is not None:
                    # said here too, because the caller may have gone
                    logger.warning("a submission's outcome is unknown: %s", failure)
                raise
            slot.clean = True
        self._tell(
            action,
            "complete",
            route,
            number,
            seconds=clock() - began,
            sent=upload,
            received=answer.size,
            http_status=answer.status,
            task_id=task_id,
        )
        return answer

    def _connected(self, slot: Slot[Connection], outgoing: Outgoing) -> Connection:
        """Return a slot's connection, a new one where it has none that is good for this."""
        if outgoing.sni != slot.peer:
            # the library tells connections apart by network address: one whose certificate was
            # checked for another name must not be used for this one
            self._file_slots.leave(slot)
            slot.peer = outgoing.sni
        if slot.connection is None:
            slot.connection = self._connection()
        return slot.connection

    def _understood(self, reader: Callable[..., Reply], *args: Any) -> Reply:
        """Read an answer; the engine's own "not offered" is no retirement by the service."""
        try:
            return reader(*args)
        except EndpointRetired as error:
            if self._service.name != "local":
                raise
            raise NotFound(
                error.message,
                code=error.code,
                http_status=error.http_status,
                request_id=error.request_id,
                log_id=error.log_id,
            ) from None

    def _guard(self, action: Action, route: Route) -> contextlib.AbstractContextManager[None]:
        """Return what refuses an exchange while the service is out of reach, and counts it."""
        if action == "download":
            return contextlib.nullcontext()
        return self._pace.guarded(route.host, self._unreached)

    def _unreached(self, failure: AILabError) -> bool:
        cause = failure.__cause__
        return (
            isinstance(failure, NotDelivered)
            and cause is not None
            and self._library.never_connected(cause)
        )

    def _outgoing(
        self,
        action: Action,
        method: str,
        route: Route,
        number: int,
        params: Mapping[str, str] | None,
        body: MultipartBody | None,
        address: FileAddress | None,
    ) -> Outgoing:
        # compressed answers are not asked for: a bomb of 269 bytes would unpack to gigabytes
        headers = {"Host": route.host, "Accept-Encoding": "identity", "User-Agent": "ailab-async"}
        if action != "download":
            headers |= {"Accept": "application/json", **self._service.key_headers(route)}
        if body is not None:
            headers |= {"Content-Type": body.content_type, "Content-Length": str(body.length)}
        url, sni = (route.url, None) if address is None else address.url_at(number)
        return Outgoing(
            method=method,
            url=url,
            headers=headers,
            timeouts=self._timeouts.on_the_socket(),
            params=params,
            body=body,
            sni=sni,
        )

    def _connection(self) -> Connection:
        if self._engine is not None:
            return self._library.inside(self._engine.app)
        if self._borrowed is not None:
            return self._borrowed
        assert self._tls is not None  # noqa: S101  start has read it
        return self._library.connection(self._tls, proxy=self._proxy)

    def _tell(
        self,
        action: Action,
        phase: Phase,
        route: Route,
        number: int,
        *,
        error: BaseException | None = None,
        **facts: Any,
    ) -> None:
        if listening(self._on_event):
            name = "" if error is None else type(error).__name__
            event = ExchangeEvent(
                action=action, phase=phase, host=route.host, attempt=number, error=name, **facts
            )
            emit(self._on_event, event)
