"""A started client: what it holds, where it may be used, and how a handle comes to be.

The client opens one when it is first used and closes it with itself. It belongs to one event loop
and one process.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections import deque
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import anyio
import anyio.to_thread
from attrs import field, frozen

from .errors import (
    ClientClosed,
    ClientMisused,
    InvalidOperation,
    NotDelivered,
    OutcomeUnknown,
)
from .events import EventHook, TaskOrphaned, emit, listening, logger
from .files import Files
from .operations import (
    CartoonGenerator,
    Endpoint,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Operation,
    Result,
    load_parts,
)
from .poller import Poller, Watch
from .protocol.results import has_result
from .protocol.services import ENGINE, QUERY_BY_JOB, QUERY_BY_TASK, Route, Service
from .rhythm import PollPolicy, Rhythm
from .task import Task, TaskRecord
from .transport import Budget, Engine, Hold, HTTPName, Timeouts, Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection

    from .images import Part
    from .protocol.envelope import Reply
    from .retry import RetryPolicy

__all__ = ["KINDS", "Home", "Session", "Settings", "kind_of"]

ResultT = TypeVar("ResultT", bound=Result)

THREADS: Final = 4
"""Worker threads for pictures and files: a limit of our own, because anyio's is shared with
everybody else in the process."""

FIRST_YEAR: Final = 2000
"""No task is older; what a record says may come from anywhere."""

LEAST_WAIT: Final = 60.0
"""Seconds that a task is waited for which the service may have forgotten already."""

MOST_RHYTHMS: Final = 256
"""More operations and policies than anyone uses: rhythms used least lately are forgotten."""

KINDS: Final[dict[str, type[Operation[Any]]]] = {
    kind.name: kind for kind in (HDColorMigration, ImageErasure, MicroMotion, CartoonGenerator)
}


def kind_of(name: str) -> type[Operation[Any]]:
    """Return the class that reads the results of the operation called ``name``."""
    return KINDS.get(name, Endpoint)


@frozen(kw_only=True)
class Settings:
    """What a client was made with; see `AsyncClient` for what each means."""

    service: Service
    max_in_flight: int
    poll: PollPolicy
    timeouts: Timeouts
    retry: RetryPolicy
    on_event: EventHook | None = None
    on_submitted: Callable[[Task[Any]], None] | None = None
    http: HTTPName = "httpx"
    http_client: Any = None
    ssl_context: ssl.SSLContext | None = None
    proxy: str | None = field(default=None, repr=False)  # may hold a password
    allow_hosts: Collection[str] | None = None
    max_bytes_in_flight: int = 64 * 2**20
    max_answer_bytes: int = 8 * 2**20
    _orphans: deque[Task[Any]] = field(factory=deque, init=False)

    @property
    def orphans(self) -> tuple[Task[Any], ...]:
        """Tasks whose callers have gone, for as long as the service keeps their results."""
        self._forget_expired()
        return tuple(self._orphans)

    def orphaned(self, task: Task[Any]) -> None:
        """Keep a task whose caller has gone."""
        self._forget_expired()
        self._orphans.append(task)
        logger.warning("task %s was accepted after its caller was cancelled", task.id)
        if listening(self.on_event):
            emit(self.on_event, TaskOrphaned(task_id=task.id, operation=task.operation))

    def _forget_expired(self) -> None:
        """Keep the list from growing for as long as a client lives, which may be months."""
        now = datetime.now(UTC)
        # they are in the order in which they were accepted, or nearly
        while self._orphans and self._orphans[0].expires_at <= now:
            self._orphans.popleft()


@frozen
class Asked:
    """Where a task is asked for, and by which id: its own, or else its job's with a type."""

    route: Route
    task_id: str = ""
    job_id: str = ""
    job_type: str = ""

    def params(self) -> dict[str, str]:
        """Return the parameters of the query."""
        if self.task_id:
            return {"task_id": self.task_id}
        return {"job_id": self.job_id, "type": self.job_type}


@frozen(kw_only=True)
class Receipt(Generic[ResultT]):
    """All that is needed to make the handle of an operation once it is accepted.

    ``by_task`` and ``by_job`` are where to ask; None where the service has no such query.
    """

    kind: type[Operation[ResultT]]
    name: str
    stem: str
    answers_at_once: bool
    policy: PollPolicy
    by_task: Route | None
    by_job: Route | None


@frozen(kw_only=True)
class Home:
    """The event loop and the process that a client belongs to."""

    loop: asyncio.AbstractEventLoop
    process: int

    @classmethod
    def of_now(cls) -> Home:
        """Return where we are."""
        return cls(loop=asyncio.get_running_loop(), process=os.getpid())

    def check(self) -> None:
        """Raise `ClientMisused` on another loop or in another process."""
        here = self.of_now()
        if here.process != self.process:
            text = (
                f"This client was started in process {self.process} and is used in "
                f"{here.process}: make an AsyncClient() in each process."
            )
            raise ClientMisused(text)
        if here.loop is not self.loop:
            text = (
                f"This client was started on event loop {id(self.loop):#x} and is used on "
                f"{id(here.loop):#x}: make an AsyncClient() in each asyncio.run() and thread."
            )
            raise ClientMisused(text)


class Session:
    """Transport, poller, files and threads of one client, on one event loop in one process."""

    def __init__(
        self, settings: Settings, *, transport: Transport, own_engine: Engine | None
    ) -> None:
        """To be made by `start`."""
        self.settings = settings
        self.transport = transport
        self.threads = anyio.CapacityLimiter(THREADS)
        self.files = Files(
            transport=transport,
            limiter=self.threads,
            ends_with_client=own_engine is not None,
        )
        self.poller: Poller[Asked] = Poller(
            self._look,
            looks_at_once=settings.max_in_flight - 1,
            looks_per_second=settings.poll.max_looks_per_second,
            on_event=settings.on_event,
        )
        self.budget = Budget(settings.max_bytes_in_flight)
        self._loads: set[asyncio.Task[dict[str, Part]]] = set()
        self._own_engine = own_engine
        self._loop = asyncio.get_running_loop()
        self._reader = self._read_result  # one for all handles: there may be ten thousand
        self._rhythms: dict[tuple[str, PollPolicy], Rhythm] = {}

    @classmethod
    async def start(cls, settings: Settings) -> Self:
        """Open what is needed; slow things are built off the loop. Leaves nothing if it fails."""
        service = settings.service
        own_engine: Engine | None = None
        if service.embedded and service.engine is None:
            own_engine = (await anyio.to_thread.run_sync(_engine_kind))()
        transport = Transport(
            service,
            max_in_flight=settings.max_in_flight,
            timeouts=settings.timeouts,
            retry=settings.retry,
            engine=own_engine or service.engine,
            http=settings.http,
            http_client=None if service.embedded else settings.http_client,
            ssl_context=settings.ssl_context,
            proxy=settings.proxy,
            allow_hosts=settings.allow_hosts,
            max_answer_bytes=settings.max_answer_bytes,
            on_event=settings.on_event,
        )
        try:
            await transport.start()
        except BaseException:
            if own_engine is not None:
                with anyio.CancelScope(shield=True):
                    await own_engine.aclose()
            raise
        return cls(settings, transport=transport, own_engine=own_engine)

    async def aclose(self, timeout: float | None) -> None:  # noqa: ASYNC109
        """Settle every handle, let exchanges end for ``timeout`` seconds, end what is ours."""
        self.budget.close()
        for loading in tuple(self._loads):
            loading.cancel()
        # first the poller, so that looks do not take the time that submissions may have
        await self.poller.aclose(lost=self._own_engine is not None)
        await self.transport.aclose(timeout)
        if self._own_engine is not None:
            await self._own_engine.aclose()

    # --- pictures ---------------------------------------------------------------------------------

    async def load(self, operation: Operation[Any], *, fit: bool, hold: Hold) -> dict[str, Part]:
        """Read and check the pictures of an operation, in a task of its own.

        A cancelled caller leaves at once, and a source that is read on the loop is let go; a worker
        thread ends by itself, and keeps ``hold`` and its place among the threads until then. Raises
        `InvalidOperation`, and `NotDelivered` where a source does not come to its end in time.
        """

        async def read() -> dict[str, Part]:
            async with asyncio.timeout(self.settings.timeouts.source):
                return await load_parts(
                    operation, fit=fit, limiter=self.threads, on_event=self.settings.on_event
                )

        hold.keep()
        loading = asyncio.create_task(read())
        self._loads.add(loading)
        loading.add_done_callback(partial(self._loaded, hold))
        try:
            await asyncio.wait((loading,))
        except asyncio.CancelledError:
            # a thread cannot be stopped, but a source that is still coming in can be let go
            if loading not in self.threads.statistics().borrowers:
                loading.cancel()
            raise
        if loading.cancelled():
            raise ClientClosed
        try:
            return loading.result()
        except TimeoutError:
            limit = self.settings.timeouts.source
            text = f"The picture could not be read within {limit:g} s: nothing was sent."
            raise NotDelivered(text) from None

    def _loaded(self, hold: Hold, loading: asyncio.Task[dict[str, Part]]) -> None:
        self._loads.discard(loading)
        if not loading.cancelled():
            loading.exception()  # seen
        hold.release()

    # --- handles ---------------------------------------------------------------------------------

    def receipt(self, operation: Operation[ResultT], policy: PollPolicy) -> Receipt[ResultT]:
        """Prepare for the acceptance of an operation.

        Raises `InvalidOperation` where the service answers it with a task and has no query for it.
        """
        name, kind = operation.name, type(operation)
        service = self.settings.service
        by_task: Route | None = None
        by_job: Route | None = None
        try:
            by_task = service.route(QUERY_BY_TASK, near=name)
            if kind.job_type:
                by_job = service.route(QUERY_BY_JOB, near=name)
        except InvalidOperation:
            if operation.is_async:
                raise
        return Receipt(
            kind=kind,
            name=name,
            stem=operation.stem,
            answers_at_once=not operation.is_async,
            policy=policy,
            by_task=by_task,
            by_job=by_job,
        )

    def accepted(self, receipt: Receipt[ResultT], reply: Reply) -> Task[ResultT]:
        """Make the handle of an accepted submission.

        Raises `OutcomeUnknown` where the answer names neither a task nor a result.
        """
        # an answer of an older kind, or of a synchronous endpoint, holds the result already
        finished = not reply.task_id and (has_result(reply.raw) or receipt.answers_at_once)
        asked: Asked | None = None
        if reply.task_id and receipt.by_task is not None:
            asked = Asked(receipt.by_task, task_id=reply.task_id)
        elif reply.request_id and receipt.by_job is not None:
            job_type = receipt.kind.job_type or ""
            asked = Asked(receipt.by_job, job_id=reply.request_id, job_type=job_type)
        if not finished and asked is None:
            text = (
                "The service accepted the form but named no task that can be asked for and no "
                f"result (task id {reply.task_id or '(none)'}); its support can find it by "
                f"request id {reply.request_id or '(none)'}."
            )
            unknown = OutcomeUnknown(text, action="submit")
            unknown.request_id = reply.request_id
            raise unknown
        record = TaskRecord(
            id=reply.task_id,
            request_id=reply.request_id,
            operation=receipt.name,
            stem=receipt.stem,
            service=self.settings.service.name,
            submitted_at=datetime.now(UTC).isoformat(),
        )
        if finished or asked is None:
            task: Task[ResultT] = self._task(record, receipt.kind)
            task._settle(reply)  # noqa: SLF001  the handle is ours
        else:
            task = self.watched(record, receipt.kind, receipt.policy, asked)
        return task

    def announce(self, task: Task[Any]) -> None:
        """Tell ``on_submitted`` of an accepted task. Raises what it raises."""
        if self.settings.on_submitted is None:
            return
        try:
            self.settings.on_submitted(task)
        except Exception as error:
            error.add_note(f"on_submitted raised for the accepted task {task.id!r}")
            self.settings.orphaned(task)
            raise

    def watched(
        self,
        record: TaskRecord,
        kind: type[Operation[Any]],
        policy: PollPolicy,
        asked: Asked,
        *,
        attached: bool = False,
    ) -> Task[Any]:
        """Make a handle and have the poller look after it; ``attached``: submitted elsewhere."""
        task = self._task(record, kind, attached=attached)
        deadline = policy.deadline_for(by_job=not asked.task_id)
        if not asked.task_id:  # the service forgets it, whenever we began to wait
            left = (task.expires_at - datetime.now(UTC)).total_seconds()
            deadline = max(min(deadline, left), LEAST_WAIT)
        watch = Watch(
            task_id=record.id or record.request_id,
            operation=record.operation,
            handle=task,
            asked=asked,
            changed=task._read_state,  # noqa: SLF001  the handle is ours
            settled=task._settle,  # noqa: SLF001  the handle is ours
            rhythm=self._rhythm(record.operation, policy),
            began=task._began,  # noqa: SLF001  the handle is ours
            deadline=deadline,
            attached=attached,
            age_known=_time_of(record) is not None,
        )
        self.poller.watch(watch)
        return task

    def known(
        self, record: TaskRecord, kind: type[Operation[Any]] | None, policy: PollPolicy | None
    ) -> Task[Any] | None:
        """Return the open handle of a task, where there is one that does as well as a new one.

        A task is not to be looked at twice as often for being attached twice. ``kind`` and
        ``policy`` are what the handle must have, None where any will do.
        """
        watch = self.poller.find(record.id or record.request_id)
        if watch is None or (policy is not None and watch.rhythm.policy != policy):
            return None
        task = watch.handle
        assert isinstance(task, Task)  # noqa: S101  see `watched`
        return task if kind in {None, task._kind} else None  # noqa: SLF001  the handle is ours

    async def _look(self, asked: Asked) -> Reply:
        return await self.transport.query(asked.route, asked.params(), action="look", attempts=1)

    def _rhythm(self, operation: str, policy: PollPolicy) -> Rhythm:
        """Return the rhythm that all tasks of an operation share, so that they learn together."""
        key = operation, policy
        rhythm = self._rhythms.pop(key, None) or Rhythm(policy)
        self._rhythms[key] = rhythm  # the last used stands last
        if len(self._rhythms) > MOST_RHYTHMS:
            del self._rhythms[next(iter(self._rhythms))]
        return rhythm

    def address(self, near: str | None, *, task_id: str, job_id: str, job_type: str) -> Asked:
        """Return where to ask for a task, by ``task_id`` where there is one, and with what.

        ``near`` is the operation's name, whose host answers at RapidAPI. Raises `InvalidOperation`
        where the service has no such query, or no job type is known.
        """
        service = self.settings.service
        if task_id:
            return Asked(service.route(QUERY_BY_TASK, near=near), task_id=task_id)
        if not job_type:
            hint = "Give the class of the operation, as operation=HDColorMigration."
            raise InvalidOperation("operation", "one with a job type", near, hint=hint)
        return Asked(service.route(QUERY_BY_JOB, near=near), job_id=job_id, job_type=job_type)

    def read(self, kind: type[Operation[Any]], reply: Reply, *, stem: str, task_id: str) -> Result:
        """Return the typed result of a success. Raises `MalformedReply`."""
        now = datetime.now(UTC)
        files = self.files.of(reply.raw, stem=stem, task_id=task_id, now=now)
        result: Result = kind.read_result(reply.raw, files, stem)
        return result

    def _task(
        self, record: TaskRecord, kind: type[Operation[Any]], *, attached: bool = False
    ) -> Task[Any]:
        now = datetime.now(UTC)
        submitted_at = _time_of(record) or now
        # one of our own began now, by the loop's clock: the wall clock may be set meanwhile.
        # Another computer's may be wrong: nobody is younger than nothing
        age = max(0.0, (now - submitted_at).total_seconds()) if attached else 0.0
        return Task(
            record,
            submitted_at=submitted_at,
            began=self._loop.time() - age,
            kind=kind,
            read=self._reader,
        )

    def _read_result(self, kind: type[Operation[Any]], record: TaskRecord, reply: Reply) -> Any:
        return self.read(kind, reply, stem=record.stem, task_id=record.id)


def _time_of(record: TaskRecord) -> datetime | None:
    """Return when a task was submitted; None where its record does not say, or cannot be right."""
    try:
        moment = datetime.fromisoformat(record.submitted_at)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment if FIRST_YEAR <= moment.year <= datetime.now(UTC).year + 1 else None


def _engine_kind() -> type[Engine]:
    """Load the engine by its name, because it lives a floor above; blocks while it imports."""
    module, _, attribute = ENGINE.partition(":")
    kind: type[Engine] = getattr(importlib.import_module(module), attribute)
    return kind
