"""The client: owns transport and poller, and offers the verbs.

A picture's way through it: the operation names its pictures, `images` reads and checks them off
the loop, the transport sends the form, the answer becomes a `Task`, the poller watches it, the
operation reads the result, and `files` fetches what the result names.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, cast, overload

from attrs import evolve

from .carry import carried_through
from .errors import ClientClosed, InvalidOperation, ServiceError
from .events import EventHook, ServiceChosen, emit, listening, logger
from .operations import Endpoint, EndpointResult, Operation, Result
from .operations.balance import CreditBalance, read_balances
from .poller import failure_read, failure_said, not_found
from .protocol.services import CREDITS, Service
from .protocol.states import LookVerdict, TaskState, judge_look, read_state
from .retry import RetryPolicy
from .rhythm import PollPolicy
from .session import KINDS, Home, Session, Settings, kind_of
from .submission import Submission
from .task import Task, TaskRecord, TaskReport
from .transport import HTTPName, Timeouts, borrow

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection
    from types import TracebackType

    from .batch.journal import Journal
    from .batch.stream import Operations, Outcomes

__all__ = ["AsyncClient"]

ResultT = TypeVar("ResultT", bound=Result)

KEY_VARIABLE: Final = "AILAB_API_KEY"
ENGINE_VARIABLE: Final = "AILAB_ENGINE_URL"
ENGINE_KEY_VARIABLE: Final = "AILAB_ENGINE_KEY"

LOOK_AHEAD: Final = 16
"""Operations of a batch for each slot: tasks take long compared with their uploads."""

MOST_SLOTS: Final = 1024


class AsyncClient:
    """An asyncio client for the AILabTools image service, or for the local engine.

    ``api_key`` is the key of the direct service; without one ``AILAB_API_KEY`` is taken, and where
    that is not set either, the local engine does the work: the one at ``AILAB_ENGINE_URL``, or
    else one inside this process. ``client.service`` tells which it is, and so does the event
    `ServiceChosen`. ``service`` chooses explicitly.

    ``max_in_flight`` requests run at once, and the pictures of all of them are held to
    ``max_bytes_in_flight`` bytes, however many operations wait. ``max_answer_bytes`` bounds an
    answer that only names its files (one that holds them may have 64 MiB). ``poll``, ``timeouts``
    and ``retry`` are frozen values; ``poll_by_operation`` has other policies for some operations,
    as ``{CartoonGenerator: PollPolicy.fixed(15)}``, and by name for endpoints of the catalogue.
    ``fit=True`` makes pictures acceptable (converted, scaled) where they break a limit.
    ``on_event`` hears of everything that happens; ``on_submitted`` gets each `Task` as soon as its
    id is known, before anything else is done with it, also when the caller was cancelled meanwhile:
    store ``task.record()`` there.

    ``http`` names the HTTP library, ``"httpx"`` or ``"httpx2"`` (extra ``httpx2``);
    ``http_client`` borrows an ``AsyncClient`` of either, with whatever transport it has, and never
    closes it. ``ssl_context`` and ``proxy`` are for connections of our own; certificates are
    always checked. ``allow_hosts`` narrows where result files are fetched from.

    Opens nothing until it is used; belongs to the event loop and process in which that was. Use it
    as ``async with AsyncClient() as client`` or call `aclose`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        service: Service | None = None,
        max_in_flight: int = 16,
        poll: PollPolicy | None = None,
        poll_by_operation: Mapping[type[Operation[Any]] | str, PollPolicy] | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        fit: bool = False,
        max_bytes_in_flight: int = 64 * 2**20,
        max_answer_bytes: int = 8 * 2**20,
        http: HTTPName = "httpx",
        http_client: Any = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        allow_hosts: Collection[str] | None = None,
        on_event: EventHook | None = None,
        on_submitted: Callable[[Task[Any]], None] | None = None,
    ) -> None:
        """Raises `InvalidOperation` for values that cannot be; opens nothing yet."""
        _check_whole("max_in_flight", max_in_flight, 1, MOST_SLOTS)
        _check_whole("max_bytes_in_flight", max_bytes_in_flight, 1, None)
        _check_whole("max_answer_bytes", max_answer_bytes, 1, None)
        if http not in {"httpx", "httpx2"}:
            raise InvalidOperation("http", "'httpx' or 'httpx2'", http)
        if http_client is not None:
            borrow(http_client)
        if isinstance(allow_hosts, str):
            hint = f"For example allow_hosts={{{allow_hosts!r}}}."
            raise InvalidOperation("allow_hosts", "a collection of host names", "a text", hint=hint)
        for name, hook in (("on_event", on_event), ("on_submitted", on_submitted)):
            if hook is not None and (inspect.iscoroutinefunction(hook) or not callable(hook)):
                raise InvalidOperation(name, "a function that is not async", repr(hook))
        _check_kind("poll", poll or PollPolicy(), PollPolicy, "For example PollPolicy.fixed(5).")
        for policy in (poll_by_operation or {}).values():
            _check_kind(
                "poll_by_operation", policy, PollPolicy, "As {'name': PollPolicy.fixed(5)}."
            )
        _check_kind("timeouts", timeouts or Timeouts(), Timeouts, "For example Timeouts(read=30).")
        _check_kind("retry", retry or RetryPolicy(), RetryPolicy, "As RetryPolicy(attempts=5).")
        chosen, self._reason = _choose(api_key, service)
        self._settings = Settings(
            service=chosen,
            max_in_flight=max_in_flight,
            poll=(poll or PollPolicy()).suited_to(chosen.name),
            timeouts=timeouts or Timeouts(),
            retry=retry or RetryPolicy(),
            on_event=on_event,
            on_submitted=on_submitted,
            http=http,
            http_client=http_client,
            ssl_context=ssl_context,
            proxy=proxy,
            allow_hosts=None if allow_hosts is None else frozenset(allow_hosts),
            max_bytes_in_flight=max_bytes_in_flight,
            max_answer_bytes=max_answer_bytes,
        )
        self._polls = {
            _operation_name(operation): policy.suited_to(chosen.name)
            for operation, policy in (poll_by_operation or {}).items()
        }
        self._fit = fit
        self._session: Session | None = None
        self._home: dict[str, Home] = {}
        self._starting = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._session else "not started"
        return f"<AsyncClient {self.service.name} {state}>"

    @property
    def service(self) -> Service:
        """The service that does the work; ``client.service.name`` is direct, rapidapi or local."""
        return self._settings.service

    @property
    def orphans(self) -> tuple[Task[Any], ...]:
        """Tasks whose callers were cancelled while they were accepted or run; await them or not.

        The oldest first. A task is forgotten here once it has expired (``task.expires_at``).
        """
        return self._settings.orphans

    # --- verbs -----------------------------------------------------------------------------------

    async def submit(
        self,
        operation: Operation[ResultT],
        *,
        fit: bool | None = None,
        poll: PollPolicy | None = None,
    ) -> Task[ResultT]:
        """Send an operation and return its task as soon as the service has accepted it.

        ``fit`` overrides the operation's, which overrides the client's; ``poll`` the client's.

        Waits for a free slot, the upload and the answer. Raises `InvalidOperation` before anything
        is sent, `NotDelivered` (nothing was received), `OutcomeUnknown` (may have been, and is not
        repeated), or the `ServiceError` with which the service refused.

        A cancelled caller gets his cancellation at once. Before the first byte went out, nothing
        is sent; after it the exchange ends by itself, ``on_submitted`` is called, and the task is
        in ``client.orphans``.
        """
        _check_kind("operation", operation, Operation, "For example HDColorMigration('a.jpg').")
        session = await self._ready()
        policy = self._policy(poll, operation.name)
        fits = self._fits(fit, operation)
        submission = await Submission.load(session, operation, fit=fits, policy=policy)
        try:
            return await submission.send()
        finally:
            submission.release()

    async def run(
        self,
        operation: Operation[ResultT],
        *,
        fit: bool | None = None,
        poll: PollPolicy | None = None,
    ) -> ResultT:
        """Submit an operation, wait for its end, and return its result.

        Raises what `submit` and awaiting a `Task` raise. Where the caller is cancelled while the
        task runs, the task goes on and is in ``client.orphans``.
        """
        task = await self.submit(operation, fit=fit, poll=poll)
        try:
            return await task
        except asyncio.CancelledError:
            self._settings.orphaned(task)
            raise

    @overload
    async def attach(
        self, task: str, *, operation: type[Operation[ResultT]], poll: PollPolicy | None = None
    ) -> Task[ResultT]: ...

    @overload
    async def attach(
        self,
        task: str | Mapping[str, Any],
        *,
        operation: None = None,
        poll: PollPolicy | None = None,
    ) -> Task[Any]: ...

    async def attach(
        self,
        task: str | Mapping[str, Any],
        *,
        operation: type[Operation[Any]] | None = None,
        poll: PollPolicy | None = None,
    ) -> Task[Any]:
        """Make a handle for a task that was submitted elsewhere, and begin to look after it.

        ``task`` is a task id or what ``task.record()`` returned. ``operation`` is its class, which
        a record knows by itself; without either the result has its files and no typed names.
        A task that is old enough for a look, or of unknown age, is looked at at once. One that is
        open in this client already gives the same handle again. Raises `InvalidOperation` for a
        record of another service; that an id is not known turns out when the task is awaited.
        """
        session = await self._ready()
        record = _record_of(task)
        here = self.service.name
        if record.service and record.service != here:
            hint = f"This client talks to the {here} service."
            raise InvalidOperation("record", "of this client's service", record.service, hint=hint)
        own = None if poll is None else poll.suited_to(self.service.name)
        kind = operation or kind_of(record.operation)
        said = operation is not None or record.operation
        known = session.known(record, kind if said else None, own)
        if known is not None:
            return known
        near = record.operation or (None if kind is Endpoint else kind.name)
        asked = session.address(
            near, task_id=record.id, job_id=record.request_id, job_type=kind.job_type or ""
        )
        if operation is not None and not record.operation:
            record = evolve(record, operation=operation.name)
        policy = self._policy(poll, record.operation)
        return session.watched(record, kind, policy, asked, attached=True)

    async def query(
        self,
        task_id: str = "",
        *,
        job_id: str = "",
        type: str = "",  # noqa: A002  the service's own name for it
        operation: type[Operation[Any]] | None = None,
    ) -> TaskReport:
        """Look at a task once, and return what the service says about it.

        By ``task_id``, or by ``job_id`` (the ``request_id`` of the submission) and ``type``
        (``HD_COLOUR_MIGRATION`` or ``GENERATE_CARTOONIZED_IMAGE``; an ``operation`` knows its own).
        A failed task is a report, not an exception. Raises `TaskNotFound`, and what went wrong
        with the look itself: a `ServiceError`, `NotDelivered` or `OutcomeUnknown`.
        """
        if bool(task_id) == bool(job_id):
            given = f"task_id={task_id!r}, job_id={job_id!r}"
            raise InvalidOperation("task_id", "given, or else job_id with its type", given)
        session = await self._ready()
        by_type = (kind for kind in KINDS.values() if type and kind.job_type == type)
        kind = operation or next(by_type, Endpoint)
        near = None if kind is Endpoint else kind.name
        job_type = type or kind.job_type or ""
        asked = session.address(near, task_id=task_id, job_id=job_id, job_type=job_type)
        known = task_id or job_id
        try:
            reply = await session.transport.query(asked.route, asked.params(), action="look")
        except ServiceError as error:
            verdict = judge_look(error)
            if verdict is LookVerdict.NOT_FOUND:
                raise not_found(error, known) from error
            if verdict is not LookVerdict.FINAL_FAILURE:
                raise
            failure = failure_said(error, known)
            return TaskReport(task_id=known, state=TaskState.FAILED, failure=failure)
        reading = read_state(reply.raw)
        done, failed = (reading.state is s for s in (TaskState.SUCCEEDED, TaskState.FAILED))
        return TaskReport(
            task_id=known,
            state=reading.state,
            word=reading.word,
            result=session.read(kind, reply, stem=known[:40], task_id=task_id) if done else None,
            failure=failure_read(reading, reply, known) if failed else None,
            raw=reply.raw,
        )

    async def call(
        self, endpoint: str, *, extra: Mapping[str, Any] | None = None, **fields: Any
    ) -> EndpointResult:
        """Run any endpoint of the catalogue: ``await client.call("remove-objects", image=…)``.

        Short for ``client.run(Endpoint(endpoint, extra=extra, **fields))``, and raises the same.
        """
        return await self.run(Endpoint(endpoint, extra=extra, **fields))

    def map(
        self,
        operations: Operations,
        *,
        journal: Journal | str | os.PathLike[str] | None = None,
        save_to: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        look_ahead: int | None = None,
        ordered: bool = False,
        fit: bool | None = None,
        poll: PollPolicy | None = None,
        on_unknown: Literal["hold", "resubmit"] = "hold",
        on_failed: Literal["keep", "resubmit"] = "keep",
        verify: bool = False,
    ) -> Outcomes:
        """Run many operations; returns a stream of outcomes, one for each.

        ::

            async with client.map(operations, journal="run.sqlite") as outcomes:
                async for outcome in outcomes:
                    print(outcome.operation, outcome.result or outcome.error)

        ``operations`` is any iterable or async iterable, an endless one too. It is iterated on the
        event loop, and pulled no faster than it is worked on: at most ``look_ahead`` operations
        (16 for each slot by default) are under way or wait to be taken. Outcomes come as they
        complete, or with ``ordered`` in the order of the operations. A failure is an outcome, but
        no credits, a refused key, a full quota or disk, and a journal that cannot be written stop
        the whole batch with `BatchStopped`, after the outcomes of what has ended.

        ``journal`` is a file (or a `Journal`) that keeps account of all of it, by content: run
        again with the same journal, what is saved is not touched (with ``verify`` the bytes are
        looked at too, not only the size), what was accepted is waited for and fetched, the same
        picture twice is paid for once. What may have been accepted, after a crash or a broken
        connection, and cannot be told from what was not, is *held*: an outcome with
        `OutcomeUnknown`, sent again only with ``on_unknown="resubmit"``. What the service refused
        or failed to do is reported again, and sent again only with ``on_failed="resubmit"``.

        ``save_to`` is a folder: results are saved there as part of the batch, none over another
        (with ``overwrite``, over files of the same name). Without it, save each result yourself;
        the journal hears of that too.

        Leaving the stream early ends it within about two seconds; ``outcomes.open`` then has the
        records of tasks that go on at the service. ``outcomes.progress`` is a snapshot of where it
        stands. Raises `InvalidOperation` for options that cannot be.
        """
        from .batch.stream import Outcomes  # noqa: PLC0415  sqlite3 is loaded by those who use it

        return Outcomes(
            operations,
            ready=self._ready,
            policy=lambda operation: self._policy(poll, operation.name),
            fits=lambda operation: self._fits(fit, operation),
            look_ahead=LOOK_AHEAD * self._settings.max_in_flight
            if look_ahead is None
            else look_ahead,
            ordered=ordered,
            journal=journal,
            save_to=save_to,
            overwrite=overwrite,
            on_unknown=on_unknown,
            on_failed=on_failed,
            verify=verify,
        )

    async def credits(self) -> tuple[CreditBalance, ...]:
        """Return what is left on the account; asks the service once, and costs nothing.

        Raises `InvalidOperation` at RapidAPI, which has no such query, a `ServiceError`, or
        `NotDelivered` / `OutcomeUnknown` when the way failed.
        """
        session = await self._ready()
        reply = await session.transport.query(self.service.route(CREDITS), {})
        return read_balances(reply.raw)

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Close the client; idempotent.

        Exchanges that are under way may end, for at most ``timeout`` seconds (``timeouts.close``
        by default). Tasks that are still open get `ClientClosed` with their ids; they go on at the
        service. The engine inside this process, where it was used, is ended with its work. All of
        it is bounded, and carried through also when the caller is cancelled meanwhile.
        """
        if "here" in self._home:
            self._home["here"].check()
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(timeout))
        await carried_through(self._closing)

    async def _close(self, timeout: float | None) -> None:  # noqa: ASYNC109
        async with self._starting:  # a start that is under way ends first, and closes itself
            session, self._session = self._session, None
        if session is not None:
            await session.aclose(timeout)

    async def __aenter__(self) -> Self:
        await self._ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_session", None) is not None:
            text = f"{self!r} was never closed: use 'async with' or await client.aclose()"
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)

    async def _ready(self) -> Session:
        """Return what runs, started if need be, in the one loop and process it belongs to."""
        if self._closed:
            raise ClientClosed
        # said at once, and not when the session is there: the lock below would never be released
        # to somebody on another loop
        self._home.setdefault("here", Home.of_now()).check()
        if self._session is None:
            async with self._starting:
                if self._session is None:
                    self._tell_service()
                    self._session = await self._started()
        return self._session

    async def _started(self) -> Session:
        session = await Session.start(self._settings)
        if self._closed:  # in the meantime
            await session.aclose(0)
            raise ClientClosed
        return session

    def _tell_service(self) -> None:
        logger.info("the %s service does the work (%s)", self.service.name, self._reason)
        if listening(self._settings.on_event):
            event = ServiceChosen(service=self.service.name, reason=self._reason)
            emit(self._settings.on_event, event)

    def _fits(self, fit: bool | None, operation: Operation[Any]) -> bool:  # noqa: FBT001
        """Return what the call says, else the operation, else the client."""
        return next(said for said in (fit, operation.fit, self._fit) if said is not None)

    def _policy(self, poll: PollPolicy | None, operation: str) -> PollPolicy:
        """Return the call's policy, else the operation's, else the client's."""
        if poll is None:
            return self._polls.get(operation, self._settings.poll)
        return poll.suited_to(self.service.name)


def _record_of(task: object) -> TaskRecord:
    if isinstance(task, str):
        if task.lstrip().startswith("{"):
            hint = "This is the JSON text of a record: attach(json.loads(text))."
            raise InvalidOperation("task", "a task id or a record", task, hint=hint)
        if not task.strip():
            raise InvalidOperation("task", "a task id", "an empty text")
        return TaskRecord(id=task, stem=task[:40])
    _check_kind("task", task, Mapping, "A task id, or what task.record() returned.")
    return TaskRecord.from_json(cast("Mapping[str, Any]", task))


def _check_kind(name: str, value: object, kind: type[Any], hint: str) -> None:
    """Refuse what is no ``kind``; type checkers see it earlier, newcomers here."""
    if not isinstance(value, kind):
        raise InvalidOperation(name, f"a {kind.__name__}", repr(value), hint=hint)


def _operation_name(operation: type[Operation[Any]] | str) -> str:
    if isinstance(operation, str):
        return operation
    name = getattr(operation, "name", None)
    if not isinstance(name, str):
        hint = "For example {CartoonGenerator: PollPolicy.fixed(15)}."
        limit = "by class or name of an operation"
        raise InvalidOperation("poll_by_operation", limit, repr(operation), hint=hint)
    return name


def _check_whole(name: str, value: object, least: int, most: int | None) -> None:
    limit = f"a whole number from {least}" + ("" if most is None else f" to {most}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOperation(name, limit, value)
    if value < least or (most is not None and value > most):
        raise InvalidOperation(name, limit, value)


def _choose(api_key: str | None, service: Service | None) -> tuple[Service, str]:
    """Return the service and why it was chosen."""
    if service is not None:
        _check_kind("service", service, Service, "For example Service.local().")
    if api_key is not None:
        _check_kind("api_key", api_key, str, "The key as a text, or None for AILAB_API_KEY.")
    if service is not None:
        if api_key is not None:
            hint = "Give the key to the service: Service.direct(key)."
            raise InvalidOperation("api_key", "left out where service= is given", "***", hint=hint)
        return service, "given as service="
    if api_key is not None:
        return Service.direct(api_key), "given an api_key"
    key = os.environ.get(KEY_VARIABLE, "").strip()
    engine = os.environ.get(ENGINE_VARIABLE, "").strip()
    if key and engine:
        hint = "Unset one of them, or say service=: one is paid for, the other is not."
        raise InvalidOperation(ENGINE_VARIABLE, f"unset where {KEY_VARIABLE} is", engine, hint=hint)
    if key:
        return Service.direct(key), f"{KEY_VARIABLE} is set"
    if engine:
        engine_key = os.environ.get(ENGINE_KEY_VARIABLE, "").strip() or None
        return Service.local(engine, api_key=engine_key), f"{ENGINE_VARIABLE} is set"
    return Service.local(), f"no api_key given and {KEY_VARIABLE} is not set"
