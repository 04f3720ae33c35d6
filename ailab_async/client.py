"""The client: owns transport and poller, and offers the verbs.

A picture's way through it: the operation names its pictures, `images` reads and checks them off
the loop, the transport sends the form, the answer becomes a `Task`, the poller watches it, the
operation reads the result, and `files` fetches what the result names.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

import anyio

from .errors import AILabError, ClientClosed, ClientMisused, InvalidOperation, OutcomeUnknown
from .events import (
    EventHook,
    ServiceChosen,
    TaskOrphaned,
    TaskSettled,
    emit,
    listening,
    logger,
)
from .files import Files
from .images import Part
from .operations import (
    CartoonGenerator,
    Endpoint,
    FormItem,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Operation,
    Result,
    load_parts,
)
from .poller import Poller, PollPolicy, Watch
from .protocol.multipart import FormField, MultipartBody
from .protocol.results import has_result
from .protocol.services import ENGINE, QUERY_BY_JOB, QUERY_BY_TASK, Service
from .retry import RetryPolicy
from .task import Task, TaskRecord
from .transport import Engine, Timeouts, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from .protocol.envelope import Reply

__all__ = ["AsyncClient"]

ResultT = TypeVar("ResultT", bound=Result)

KEY_VARIABLE: Final = "AILAB_API_KEY"

KINDS: Final[Mapping[str, type[Operation[Any]]]] = {
    kind.name: kind for kind in (HDColorMigration, ImageErasure, MicroMotion, CartoonGenerator)
}
"""How to read the result of a task of which a record tells the operation's name."""

MOST_SLOTS: Final = 1024

FILE_THREADS: Final = 4
"""Worker threads for pictures and files: a limit of our own, because anyio's is shared with
everybody else in the process."""


class AsyncClient:
    """An asyncio client for the AILabTools image service, or for the local engine.

    ``api_key`` is the key of the direct service; without one ``AILAB_API_KEY`` is taken, and where
    that is not set either, the local engine inside this process does the work (``client.service``
    tells which it is, and so does the event `ServiceChosen`). ``service`` chooses explicitly.

    ``max_in_flight`` requests run at once. ``poll``, ``timeouts`` and ``retry`` are frozen values.
    ``fit=True`` makes pictures acceptable (converted, scaled) where they break a limit.
    ``on_event`` hears of everything that happens; ``on_submitted`` gets each `Task` as soon as its
    id is known, before anything else is done with it, also when the caller was cancelled meanwhile:
    store ``task.record()`` there.

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
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        fit: bool = False,
        on_event: EventHook | None = None,
        on_submitted: Callable[[Task[Any]], None] | None = None,
    ) -> None:
        """Raises `InvalidOperation` for values that cannot be; opens nothing yet."""
        if isinstance(max_in_flight, bool) or not isinstance(max_in_flight, int):
            raise InvalidOperation("max_in_flight", "a whole number", max_in_flight)
        if not 1 <= max_in_flight <= MOST_SLOTS:
            limit = f"from 1 to {MOST_SLOTS}"
            raise InvalidOperation("max_in_flight", limit, max_in_flight)
        self._service, self._reason = _choose(api_key, service)
        self._max_in_flight = max_in_flight
        self._poll = (poll or PollPolicy()).suited_to(self._service.name)
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or RetryPolicy()
        self._fit = fit
        self._on_event = on_event
        self._on_submitted = on_submitted
        self._orphans: list[Task[Any]] = []
        self._running: _Running | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._running else "not started"
        return f"<AsyncClient {self._service.name} {state}>"

    @property
    def service(self) -> Service:
        """The service that does the work; ``client.service.name`` is direct, rapidapi or local."""
        return self._service

    @property
    def orphans(self) -> tuple[Task[Any], ...]:
        """Tasks that were accepted after their caller had been cancelled; await them or not."""
        return tuple(self._orphans)

    # --- verbs -----------------------------------------------------------------------------------

    async def submit(
        self,
        operation: Operation[ResultT],
        *,
        fit: bool | None = None,
        poll: PollPolicy | None = None,
    ) -> Task[ResultT]:
        """Send an operation and return its task as soon as the service has accepted it.

        Waits for a free slot, the upload and the answer. Raises `InvalidOperation` before anything
        is sent, `NotDelivered` (nothing was received), `OutcomeUnknown` (may have been, and is not
        repeated), or the `ServiceError` with which the service refused.

        A cancelled caller gets his cancellation at once. Before the first byte went out, nothing
        is sent; after it the exchange ends by itself, ``on_submitted`` is called, and the task is
        in ``client.orphans``.
        """
        running = await self._ready()
        route = self._service.route(operation.name, operation.path)
        parts = await load_parts(
            operation,
            fit=self._fit if fit is None else fit,
            limiter=running.threads,
            on_event=self._on_event,
        )
        form = operation.form(parts, task_type=self._service.sends_task_type)
        body = MultipartBody(_field(item) for item in form)
        policy = self._poll if poll is None else poll.suited_to(self._service.name)

        def accept(reply: Reply) -> Task[ResultT]:
            return self._accepted(running, operation, reply, policy)

        return await running.transport.submit(route, body, accept=accept, orphaned=self._orphaned)

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
            self._orphaned(task)
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
        Raises `InvalidOperation` for a record of another service; that an id is not known turns
        out when the task is awaited.
        """
        running = await self._ready()
        record = (
            TaskRecord(id=task, stem=task[:40])
            if isinstance(task, str)
            else TaskRecord.from_json(task)
        )
        if not (record.id or record.request_id):
            raise InvalidOperation("task", "a task id, not empty", task)
        if record.service and record.service != self._service.name:
            hint = f"This client talks to the {self._service.name} service."
            raise InvalidOperation("record", "of this client's service", record.service, hint=hint)
        kind = operation or KINDS.get(record.operation, Endpoint)
        policy = self._poll if poll is None else poll.suited_to(self._service.name)
        return self._watched(running, record, kind, policy)

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Close the client; idempotent.

        Exchanges that are under way may end, for at most ``timeout`` seconds (``timeouts.close``
        by default). Tasks that are still open get `ClientClosed` with their ids; they go on at the
        service. The engine inside this process, where it was used, is ended with its work.
        """
        self._closed = True
        running, self._running = self._running, None
        if running is None:
            return
        running.check()
        # first the poller, so that looks do not take the time that submissions may have
        await running.poller.aclose()
        await running.transport.aclose(timeout)
        if running.own_engine is not None:
            await running.own_engine.aclose()

    async def __aenter__(self) -> Self:
        await self._ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # the engine's processes are ended also where we are being cancelled; all of it is bounded
        with anyio.CancelScope(shield=True):
            await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_running", None) is not None:
            text = f"{self!r} was never closed: use 'async with' or await client.aclose()"
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)

    # --- inside ----------------------------------------------------------------------------------

    async def _ready(self) -> _Running:
        """Return what runs, started if need be, in the one loop and process it belongs to."""
        if self._closed:
            raise ClientClosed
        if self._running is None:
            async with self._starting:
                if self._running is None:
                    self._running = await self._start()
        self._running.check()
        return self._running

    async def _start(self) -> _Running:
        logger.info("the %s service does the work (%s)", self._service.name, self._reason)
        if listening(self._on_event):
            emit(
                self._on_event,
                ServiceChosen(service=self._service.name, reason=self._reason),
            )
        engine: Engine | None = None
        own_engine: Engine | None = None
        if self._service.embedded:
            engine = self._service.engine
            if engine is None:
                engine = own_engine = _load_engine(ENGINE)
        transport = Transport(
            self._service,
            max_in_flight=self._max_in_flight,
            timeouts=self._timeouts,
            retry=self._retry,
            engine=engine,
            on_event=self._on_event,
        )
        try:
            await transport.start()
        except BaseException:
            if own_engine is not None:
                with anyio.CancelScope(shield=True):
                    await own_engine.aclose()
            raise
        threads = anyio.CapacityLimiter(FILE_THREADS)
        return _Running(
            transport=transport,
            poller=Poller(
                looks_at_once=self._max_in_flight - 1,
                looks_per_second=self._poll.max_looks_per_second,
                on_event=self._on_event,
            ),
            threads=threads,
            own_engine=own_engine,
        )

    def _accepted(
        self,
        running: _Running,
        operation: Operation[ResultT],
        reply: Reply,
        policy: PollPolicy,
    ) -> Task[ResultT]:
        """Make the handle of an accepted submission, and make it known before anything else."""
        finished = has_result(reply.raw) and not reply.task_id
        askable = reply.task_id or (reply.request_id and operation.job_type)
        if not (finished or askable) and operation.is_async:
            text = (
                "The service accepted the form but named no task to ask for and no result; "
                f"its support can find it by request id {reply.request_id or '(none)'}."
            )
            raise OutcomeUnknown(text, action="submit")
        record = TaskRecord(
            id=reply.task_id,
            request_id=reply.request_id,
            operation=operation.name,
            stem=operation.stem,
            service=self._service.name,
            submitted_at=datetime.now(UTC).isoformat(),
        )
        if reply.task_id or not (finished or not operation.is_async):
            task: Task[ResultT] = self._watched(running, record, type(operation), policy)
        else:
            task = self._task(running, record, type(operation), by_job=False)
            task._settle(reply)  # noqa: SLF001  the handle is ours
        if self._on_submitted is not None:
            try:
                self._on_submitted(task)
            except Exception as error:
                error.add_note(f"on_submitted raised for the accepted task {task.id!r}")
                self._orphaned(task)
                raise
        return task

    def _watched(
        self,
        running: _Running,
        record: TaskRecord,
        kind: type[Operation[Any]],
        policy: PollPolicy,
    ) -> Task[Any]:
        """Make a handle and have the poller look after it."""
        by_job = not record.id
        task = self._task(running, record, kind, by_job=by_job)
        look = self._look(running, record, kind, by_job=by_job)

        def settled(outcome: Reply | AILabError, looks: int) -> None:
            task._settle(outcome)  # noqa: SLF001  the handle is ours
            if listening(self._on_event):
                error = type(outcome).__name__ if isinstance(outcome, AILabError) else ""
                event = TaskSettled(
                    task_id=task.id,
                    operation=task.operation,
                    seconds=asyncio.get_running_loop().time() - watch.began,
                    looks=looks,
                    error=error,
                )
                emit(self._on_event, event)

        watch = Watch(
            task_id=record.id or record.request_id,
            look=look,
            changed=task._read_state,  # noqa: SLF001  the handle is ours
            settled=settled,
            policy=policy,
            began=asyncio.get_running_loop().time(),
        )
        running.poller.watch(watch)
        return task

    def _task(
        self,
        running: _Running,
        record: TaskRecord,
        kind: type[Operation[Any]],
        *,
        by_job: bool,
    ) -> Task[Any]:
        def read(reply: Reply) -> Result:
            files = running.files.of(
                reply.raw,
                stem=record.stem,
                task_id=record.id,
                now=datetime.now(UTC),
            )
            result: Result = kind.read_result(reply.raw, files, record.stem)
            return result

        try:
            submitted_at = datetime.fromisoformat(record.submitted_at)
        except ValueError:
            submitted_at = datetime.now(UTC)
        return Task(
            record,
            submitted_at=submitted_at,
            began=asyncio.get_running_loop().time(),
            read=read,
            by_job=by_job,
        )

    def _look(
        self,
        running: _Running,
        record: TaskRecord,
        kind: type[Operation[Any]],
        *,
        by_job: bool,
    ) -> Callable[[], Any]:
        near = record.operation or None
        if by_job:
            if kind.job_type is None:
                hint = "Give the class of the operation: client.attach(…, operation=…)."
                raise InvalidOperation("operation", "one with a job type", near, hint=hint)
            route = self._service.route(QUERY_BY_JOB, near=near)
            params = {"job_id": record.request_id, "type": kind.job_type}
        else:
            route = self._service.route(QUERY_BY_TASK, near=near)
            params = {"task_id": record.id}

        async def look() -> Reply:
            return await running.transport.query(route, params, action="look", attempts=1)

        return look

    def _orphaned(self, task: Task[Any]) -> None:
        self._orphans.append(task)
        logger.warning("task %s was accepted after its caller was cancelled", task.id)
        if listening(self._on_event):
            emit(self._on_event, TaskOrphaned(task_id=task.id, operation=task.operation))


class _Running:
    """What a started client holds, and where it may be used."""

    def __init__(
        self,
        *,
        transport: Transport,
        poller: Poller,
        threads: anyio.CapacityLimiter,
        own_engine: Engine | None,
    ) -> None:
        self.transport = transport
        self.poller = poller
        self.threads = threads
        self.files = Files(transport=transport, limiter=threads)
        self.own_engine = own_engine
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()

    def check(self) -> None:
        """Raise `ClientMisused` on another loop or in another process."""
        if os.getpid() != self.process:
            text = (
                f"This client was started in process {self.process} and is used in "
                f"{os.getpid()}: make an AsyncClient() in each process."
            )
            raise ClientMisused(text)
        here = asyncio.get_running_loop()
        if here is not self.loop:
            text = (
                f"This client was started on event loop {id(self.loop):#x} and is used on "
                f"{id(here):#x}: make an AsyncClient() in each asyncio.run()."
            )
            raise ClientMisused(text)


def _choose(api_key: str | None, service: Service | None) -> tuple[Service, str]:
    """Return the service and why it was chosen."""
    if service is not None:
        if api_key is not None:
            hint = "Give the key to the service: Service.direct(key)."
            raise InvalidOperation("api_key", "left out where service= is given", "***", hint=hint)
        return service, "given as service="
    if api_key is not None:
        return Service.direct(api_key), "given an api_key"
    key = os.environ.get(KEY_VARIABLE, "")
    if key.strip():
        return Service.direct(key), f"{KEY_VARIABLE} is set"
    return Service.local(), f"no api_key given and {KEY_VARIABLE} is not set"


def _load_engine(name: str) -> Engine:
    """Make the engine that ``name`` ("module:attribute") points to: it lives a floor above."""
    module, _, attribute = name.partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)()
    return engine


def _field(item: FormItem) -> FormField:
    if isinstance(item, Part):
        return FormField(
            name=item.field,
            data=item.data,
            filename=item.filename,
            content_type=item.content_type,
        )
    return FormField(name=item.name, data=item.value.encode())
