"""A task at the service, as something that can be awaited: by anyone, any number of times.

A handle is a stored outcome and a list of those who wait for it, not a shared future. A waiter that
times out or is cancelled therefore touches neither the task nor the other waiters, and each gets an
exception of its own, whose cause is the stored one.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from attrs import asdict, field, frozen, validators

from .errors import (
    AILabError,
    ClientMisused,
    InvalidOperation,
    MalformedReply,
    TaskFailed,
    TaskTimeout,
)
from .operations import Operation, Result
from .protocol.envelope import Reply
from .protocol.states import StateReading, TaskState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Mapping

__all__ = ["Task", "TaskRecord", "TaskReport", "TaskUpdate"]

ResultT = TypeVar("ResultT", bound=Result)

RETENTION: Final = timedelta(hours=24)
"""How long a result can be asked for by task id (docs page "Querying Async Task Results")."""

JOB_RETENTION: Final = timedelta(minutes=30)
"""How long by job id."""

_TEXT: Final = validators.instance_of(str)


@frozen(kw_only=True)
class TaskRecord:
    """What another process needs to wait for a task. Holds no key; JSON by `to_json`.

    ``id`` is the task id, ``request_id`` the service's name for the submission (the job id of the
    older query), ``operation`` and ``stem`` say how to read and name the result, ``service`` who
    has the task, ``submitted_at`` when (ISO 8601, UTC).
    """

    id: str = field(default="", validator=_TEXT)
    request_id: str = field(default="", validator=_TEXT)
    operation: str = field(default="", validator=_TEXT)
    stem: str = field(default="result", validator=_TEXT)
    service: str = field(default="", validator=_TEXT)
    submitted_at: str = field(default="", validator=_TEXT)

    def to_json(self) -> dict[str, str]:
        """Return the record as a dictionary of strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned; fields of later versions are passed over.

        Raises `InvalidOperation` where there is no id, or a field is no string.
        """
        known = {name: record[name] for name in asdict(cls()) if name in record}
        try:
            made = cls(**known)
        except TypeError:
            limit = "a record of strings, as task.record() returns it"
            raise InvalidOperation("record", limit, dict(record)) from None
        if not (made.id or made.request_id):
            raise InvalidOperation("record", "one with an id", dict(record))
        return made


@frozen(kw_only=True)
class TaskUpdate:
    """One change of a task's state; ``word`` is what the service called it, ``age`` in seconds."""

    state: TaskState
    word: str
    age: float


@frozen(kw_only=True)
class TaskReport:
    """What one look said about a task (``client.query``).

    ``word`` is the service's own name for the state. ``result`` is there on success, ``failure``
    on failure; ``raw`` is the whole answer, empty where the failure came as an error.
    """

    task_id: str
    state: TaskState
    word: str = ""
    result: Result | None = None
    failure: TaskFailed | None = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False)


class Task(Generic[ResultT]):
    """A submitted operation. ``await task`` returns its result or raises why there is none.

    Made by ``client.submit`` and ``client.attach``. Giving up waiting never ends the task, here or
    at the service.
    """

    __slots__ = (
        "__weakref__",
        "_began",
        "_kind",
        "_loop",
        "_outcome",
        "_read",
        "_record",
        "_state",
        "_submitted_at",
        "_updates",
        "_waiters",
        "_word",
    )

    def __init__(
        self,
        record: TaskRecord,
        *,
        submitted_at: datetime,
        began: float,
        kind: type[Operation[ResultT]],
        read: Callable[[type[Operation[ResultT]], TaskRecord, Reply], ResultT],
    ) -> None:
        """To be made by the session.

        ``read`` makes the result of a successful reply, as ``kind`` of operation reads it;
        ``began`` is on the loop's clock.
        """
        self._kind = kind
        self._loop = asyncio.get_running_loop()
        self._record = record
        self._submitted_at = submitted_at
        self._began = began
        self._read = read
        self._state = TaskState.UNKNOWN
        self._word = ""
        self._updates: tuple[TaskUpdate, ...] = ()
        self._outcome: ResultT | AILabError | None = None
        self._waiters: set[asyncio.Future[None]] | None = None

    def __repr__(self) -> str:
        return f"<Task {self.id or self.request_id} {self._record.operation} {self._state}>"

    @property
    def id(self) -> str:
        """The task id: opaque, safe to store, and enough for ``client.attach``.

        Empty where the service named none and the task is asked for by its request id.
        """
        return self._record.id

    @property
    def request_id(self) -> str:
        """The service's name for the submission; what its support asks for."""
        return self._record.request_id

    @property
    def operation(self) -> str:
        """The name of the operation, as ``hd-color-migration``."""
        return self._record.operation

    @property
    def state(self) -> TaskState:
        """The state at the last look."""
        return self._state

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted (or attached, where that is not known), aware, UTC."""
        return self._submitted_at

    @property
    def expires_at(self) -> datetime:
        """When the service forgets it: 24 hours after submission, by job id 30 minutes."""
        return self._submitted_at + (RETENTION if self._record.id else JOB_RETENTION)

    def record(self) -> dict[str, str]:
        """Return what ``client.attach`` needs in another process, as JSON-able strings."""
        return self._record.to_json()

    def done(self) -> bool:
        """Whether there is an outcome: a result, a failure, or the end of waiting."""
        return self._outcome is not None

    def __await__(self) -> Generator[Any, None, ResultT]:
        return self.wait().__await__()

    async def wait(self, timeout: float | None = None) -> ResultT:  # noqa: ASYNC109
        """Wait for the end and return the result.

        ``timeout`` is in seconds; without one the deadline of the poll policy ends the waiting.
        Raises `TaskTimeout` (the task goes on, and can be waited for again), `TaskFailed` and its
        kin, `TaskNotFound`, `ServiceUnavailable` where asking failed too often, `ClientClosed`. A
        cancellation ends this waiting and nothing else.
        """
        if self._outcome is not None:
            await asyncio.sleep(0)  # a loop over this must not keep everybody else from running
        try:
            async with asyncio.timeout(timeout):
                while self._outcome is None:
                    await self._next_change()
        except TimeoutError:
            if self._outcome is None:
                raise TaskTimeout(
                    task_id=self.id or self.request_id,
                    state=self._shown_state(),
                    age=self._age(),
                    waited=timeout or 0.0,
                ) from None
        outcome = self._outcome
        assert outcome is not None  # noqa: S101  the loop above ended
        if isinstance(outcome, AILabError):
            raise outcome.fresh()
        return outcome

    def __aiter__(self) -> AsyncIterator[TaskUpdate]:
        """Iterate over the changes of state, each once, from the first; ends when the task has.

        A failed task ends the iteration with its last state; awaiting the task raises. Where
        waiting broke off (closed client, deadline) that error is raised here too. A cancelled step
        loses nothing: the next one goes on from there.
        """
        return _Updates(self)

    # --- told by the poller ----------------------------------------------------------------------

    def _read_state(self, reading: StateReading) -> None:
        """Take note of a look."""
        if (reading.state, reading.word) == (self._state, self._word):
            return
        self._state, self._word = reading.state, reading.word
        self._add_update(reading.state, reading.word)
        self._notify()

    def _settle(self, outcome: Reply | AILabError) -> None:
        """Take the end; a success that cannot be read is an error, never a lost waiter."""
        if isinstance(outcome, Reply):
            if self._state is not TaskState.SUCCEEDED:  # answered at once, without a look
                self._read_state(StateReading(state=TaskState.SUCCEEDED))
            try:
                self._outcome = self._read(self._kind, self._record, outcome)
            except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear of it
                unread = MalformedReply(
                    f"task {self.id or self.request_id} succeeded, but its result cannot be read "
                    f"({error})",
                    http_status=outcome.http_status,
                    request_id=outcome.request_id,
                )
                unread.__cause__ = error
                self._outcome = unread
        else:
            self._outcome = outcome
            if isinstance(outcome, TaskFailed) and not self._state.final:
                self._state = TaskState.FAILED
                self._add_update(TaskState.FAILED, self._word or outcome.state)
        self._notify()

    def _shown_state(self) -> str:
        """Return the state in words: a number of the service says little."""
        unknown = self._state is TaskState.UNKNOWN
        return self._word or "open" if unknown else str(self._state)

    def _add_update(self, state: TaskState, word: str) -> None:
        self._updates += (TaskUpdate(state=state, word=word, age=self._age()),)

    async def _next_change(self) -> None:
        """Wait for the next change of state, or the end."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            text = "This task belongs to another event loop: await it where its client is used."
            raise ClientMisused(text)
        waiter: asyncio.Future[None] = loop.create_future()
        if self._waiters is None:
            self._waiters = set()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _notify(self) -> None:
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._began


class _Updates:
    """The changes of one task, from the first."""

    def __init__(self, task: Task[Any]) -> None:
        self._task = task
        self._seen = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskUpdate:
        task = self._task
        while self._seen == len(task._updates):  # noqa: SLF001  the two are one
            outcome = task._outcome  # noqa: SLF001  the two are one
            if outcome is not None:
                if isinstance(outcome, AILabError) and not task.state.final:
                    raise outcome.fresh()
                raise StopAsyncIteration
            await task._next_change()  # noqa: SLF001  the two are one
        self._seen += 1
        return task._updates[self._seen - 1]  # noqa: SLF001  the two are one
