"""One asyncio task that asks after every open task, and never more often than needed.

A heap holds the moments at which a look is due. The poller takes what is due, has it looked at
(each look is an exchange of its own, and fewer run at once than there are slots, so that looks
never starve submissions), reads the answer by the table of states, and either settles the watch or
puts it back. It ends when nothing is left to watch and is started again by the next one. When it
crashes or is closed, every open watch is settled with an error that holds all open ids.

What an answer means stands in `protocol.states`, when a task is looked at in `rhythm`, and what a
handle is in `task`.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import define

from .errors import (
    AILabError,
    AuthenticationError,
    ClientClosed,
    CreditsExhausted,
    DeliveryError,
    EndpointRetired,
    NotDelivered,
    QuotaExceeded,
    ServiceError,
    ServiceUnavailable,
    ServiceUnreachable,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    TaskUnsettled,
)
from .events import EventHook, StateUnknown, TaskSettled, emit, listening, logger
from .protocol.states import (
    DOUBTS_BEFORE_FAILURE,
    LookVerdict,
    StateReading,
    TaskState,
    judge_look,
    read_state,
)
from .rhythm import LEAST_PAUSE, LONGEST_PAUSE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .protocol.envelope import Reply
    from .rhythm import Rhythm

__all__ = ["Poller", "Watch", "failure_read", "failure_said", "not_found"]

_SOON: Final = 0.0005
"""Seconds within which a look counts as due: finer than the timers of an event loop are."""

_MOST_STALE: Final = 64
"""Settled watches leave the heap when they are more than these, and more than the open ones."""

_HOPELESS: Final = (AuthenticationError, CreditsExhausted, QuotaExceeded, EndpointRetired)
"""Refusals of a look that asking again will not change; they say nothing about the task."""


AskedT = TypeVar("AskedT")


@define(eq=False, kw_only=True)
class Watch(Generic[AskedT]):
    """One open task as the poller sees it. Kept small: ten thousand may be open.

    ``handle`` is whose watch this is, and ``asked`` what the poller's ``look`` is called with.
    ``changed`` is told of each state read, ``settled`` of the end: the reply of a success, or the
    error; exactly one such call is made.

    ``began`` is when the task was submitted, as a time of the loop's clock, and ``deadline`` how
    many seconds from now it is waited for. ``attached`` says that it was submitted elsewhere, so
    that a look at once is no impatience, and ``age_known`` that ``began`` is no guess.
    """

    task_id: str
    operation: str = ""
    handle: object = None
    asked: AskedT
    changed: Callable[[StateReading], None]
    settled: Callable[[Reply | AILabError], None]
    rhythm: Rhythm
    began: float
    deadline: float
    attached: bool = False
    age_known: bool = True
    number: int = 0
    looks: int = 0
    seen_open: float = 0.0
    heard_at: float = float("-inf")
    troubles: int = 0
    troubled_at: float | None = None
    doubts: int = 0
    state: str = ""
    warned: bool = False
    open: bool = True
    timer: asyncio.TimerHandle | None = None


class Poller(Generic[AskedT]):
    """Watches the open tasks of one client, on one event loop."""

    def __init__(
        self,
        look: Callable[[AskedT], Awaitable[Reply]],
        *,
        looks_at_once: int,
        looks_per_second: float,
        on_event: EventHook | None = None,
    ) -> None:
        """``look`` asks once. ``looks_at_once`` should be one less than there are slots."""
        self._ask = look
        self._most = max(1, looks_at_once)
        self._gap = 1.0 / looks_per_second
        self._on_event = on_event
        self._heap: list[tuple[float, int, Watch[AskedT]]] = []
        self._order = itertools.count()
        self._open: dict[Watch[AskedT], None] = {}
        self._by_id: dict[str, list[Watch[AskedT]]] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._asked_for: set[str] = set()
        self._wake = asyncio.Event()
        self._not_before = 0.0
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def open_ids(self) -> tuple[str, ...]:
        """The ids of all tasks that are being watched, oldest first."""
        return tuple(watch.task_id for watch in self._open)

    def find(self, task_id: str) -> Watch[AskedT] | None:
        """Return the open watch of a task, where there is one: the latest of several."""
        watches = self._by_id.get(task_id)
        return watches[-1] if watches else None

    def watch(self, watch: Watch[AskedT]) -> None:
        """Begin to look after a task. On a closed poller the watch is settled at once."""
        if self._closed:
            self._settle(watch, ClientClosed(task_ids=(watch.task_id,)))
            return
        loop = asyncio.get_running_loop()
        watch.number = watch.rhythm.join()
        self._open[watch] = None
        self._by_id.setdefault(watch.task_id, []).append(watch)
        watch.timer = loop.call_later(watch.deadline, self._expired, watch)
        self._put(watch, loop.time() if self._is_due(watch) else self._next_look(watch))
        if self._runner is None or self._runner.done():
            # an empty context: the poller must not carry the request id of whoever came first
            self._runner = asyncio.create_task(self._run(), context=contextvars.Context())
            self._runner.add_done_callback(self._ended)

    async def aclose(self, *, lost: bool = False) -> None:
        """End all looks and settle every open watch with `ClientClosed`; idempotent.

        ``lost`` says that the tasks end with the client, because the engine is its own.
        """
        self._closed = True
        tasks = [*self._looking, *([] if self._runner is None else [self._runner])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        ids = self.open_ids
        text = ""
        if lost and ids:
            text = f"The client was closed with {len(ids)} task(s) open; its own engine ended too."
        for watch in tuple(self._open):
            self._settle(watch, ClientClosed(text, task_ids=ids))

    # --- the one task ----------------------------------------------------------------------------

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._open:
            self._wake.clear()
            while self._heap and len(self._looking) < self._most:
                due, _, watch = self._heap[0]
                if not watch.open:
                    heapq.heappop(self._heap)
                    continue
                if max(due, self._not_before) > clock() + _SOON:
                    break
                heapq.heappop(self._heap)
                later = self._for_its_twin(watch, clock())
                if later is not None:
                    self._put(watch, later)
                    continue
                self._asked_for.add(watch.task_id)
                self._not_before = max(self._not_before, clock()) + self._gap
                looking = asyncio.create_task(self._look(watch))
                self._looking.add(looking)
                looking.add_done_callback(partial(self._looked, watch))
            pause: float | None = None
            if self._heap and len(self._looking) < self._most:
                pause = max(0.0, max(self._heap[0][0], self._not_before) - clock())
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._heap.clear()

    def _ended(self, runner: asyncio.Task[None]) -> None:
        if self._runner is runner:
            self._runner = None
        if runner.cancelled():
            if self._open and not self._closed:
                self._crashed(asyncio.CancelledError("the poller was cancelled from outside"))
        elif (crash := runner.exception()) is not None:
            self._crashed(crash)

    def _looked(self, watch: Watch[AskedT], looking: asyncio.Task[None]) -> None:
        self._looking.discard(looking)
        self._asked_for.discard(watch.task_id)
        self._wake.set()
        if looking.cancelled():
            if watch.open and not self._closed:  # somebody else's doing: the task is still ours
                soon = asyncio.get_running_loop().time() + LEAST_PAUSE
                self._put(watch, max(soon, self._next_look(watch)))
        elif (crash := looking.exception()) is not None:
            self._crashed(crash)

    def _crashed(self, crash: BaseException) -> None:
        """Settle everything: a poller with a bug must not leave anybody waiting."""
        logger.error("the poller broke off", exc_info=crash)
        ids = self.open_ids
        for watch in tuple(self._open):
            text = f"Polling broke off with {type(crash).__name__} and {len(ids)} task(s) open."
            error = TaskUnsettled(
                text, task_id=watch.task_id, task_ids=ids, state=watch.state, age=_age(watch)
            )
            error.__cause__ = crash
            self._settle(watch, error)

    # --- one look --------------------------------------------------------------------------------

    def _for_its_twin(self, watch: Watch[AskedT], now: float) -> float | None:
        """Return when a second handle of a task may look, whose first does so or just has."""
        if watch.task_id in self._asked_for:
            return now + LEAST_PAUSE / 10
        interval = watch.rhythm.policy.interval or 0.0
        heard = watch.heard_at + interval
        return heard if len(self._by_id[watch.task_id]) > 1 and now < heard - _SOON else None

    def _is_due(self, watch: Watch[AskedT]) -> bool:
        """Whether a task that was submitted elsewhere may be looked at right away."""
        if not watch.attached:
            return False
        interval = watch.rhythm.policy.interval
        return not watch.age_known or interval is None or _age(watch) >= interval

    def _next_look(self, watch: Watch[AskedT]) -> float:
        """Return when a task is to be looked at next, on the loop's clock."""
        assert watch.timer is not None  # noqa: S101  set when the watch began
        age = watch.rhythm.next_look(
            age=_age(watch),
            looks=watch.looks,
            number=watch.number,
            ours=not watch.attached,
            latest=watch.timer.when() - watch.began,
        )
        return watch.began + age

    async def _look(self, watch: Watch[AskedT]) -> None:
        """Ask once, and settle the watch or put it back."""
        watch.looks += 1
        age = _age(watch)
        try:
            reply = await self._ask(watch.asked)
        except ClientClosed as error:
            if self._closed:
                return  # aclose settles every watch
            self._trouble(watch, NotDelivered(str(error), action="look"))
        except ServiceUnreachable as error:
            self._unreachable(watch, error)
            return
        except ServiceError as error:
            self._refused(watch, error, age)
        except DeliveryError as error:
            self._trouble(watch, error)
        else:
            # what one handle of a task hears, the others hear too, and need not ask for
            for twin in tuple(self._by_id.get(watch.task_id, ())):
                twin.heard_at = asyncio.get_running_loop().time()
                self._answered(twin, reply, age if twin is watch else _age(twin))
        if watch.open:
            due = self._next_look(watch)
            if watch.troubles:
                pause = watch.rhythm.policy.after_trouble(watch.troubles)
                due = max(due, asyncio.get_running_loop().time() + pause)
            self._put(watch, due)

    def _learn(self, watch: Watch[AskedT], age: float, *, ended: bool) -> None:
        """Let the rhythm know what a look at ``age`` has shown."""
        since, watch.seen_open = watch.seen_open, age
        if watch.attached:
            return  # of others it is not known when they were last open
        try:
            watch.rhythm.looked(since=since, age=age, ended=ended)
        except Exception:  # noqa: BLE001  what is learnt may be lost, the tasks must not be
            logger.exception("learning from a look broke off; the documented rhythm is kept to")
            watch.rhythm.forget()

    def _expired(self, watch: Watch[AskedT]) -> None:
        """End the waiting for a task at its deadline, whatever a look is doing just then."""
        timeout = TaskTimeout(
            task_id=watch.task_id,
            state=watch.state,
            age=_age(watch),
            waited=watch.deadline,
            over=True,
        )
        self._settle(watch, timeout)

    def _answered(self, watch: Watch[AskedT], reply: Reply, age: float) -> None:
        if not watch.open:
            return  # its deadline came first
        reading = read_state(reply.raw)
        watch.troubles = watch.doubts = 0
        watch.troubled_at = None
        watch.state = str(reading.state) if reading.known else reading.word
        watch.changed(reading)
        if reading.state is TaskState.SUCCEEDED:
            self._settle(watch, reply)
        elif reading.state is TaskState.FAILED:
            self._settle(watch, failure_read(reading, reply, watch.task_id, age=_age(watch)))
        elif not reading.known and not watch.warned:
            watch.warned = True
            logger.warning(
                "task %s is in the unknown state %r; waiting goes on until its deadline",
                watch.task_id,
                watch.state,
            )
            if listening(self._on_event):
                emit(self._on_event, StateUnknown(task_id=watch.task_id, state=watch.state))
        self._learn(watch, age, ended=reading.state.final)

    def _refused(self, watch: Watch[AskedT], error: ServiceError, age: float) -> None:
        if isinstance(error, _HOPELESS):
            text = f"The task cannot be asked for: {error}"
            ids = (watch.task_id,)
            unsettled = TaskUnsettled(
                text, task_id=watch.task_id, task_ids=ids, state=watch.state, age=_age(watch)
            )
            self._settle(watch, unsettled, error)
            return
        verdict = judge_look(error)
        if verdict is LookVerdict.NOT_FOUND:
            missing = not_found(error, watch.task_id, state=watch.state, age=_age(watch))
            self._settle(watch, missing, error)
            return
        if verdict is LookVerdict.DOUBTFUL:
            watch.doubts += 1
        if verdict is LookVerdict.FINAL_FAILURE or watch.doubts >= DOUBTS_BEFORE_FAILURE:
            failure = failure_said(error, watch.task_id, state=watch.state, age=_age(watch))
            self._settle(watch, failure, error)
            self._learn(watch, age, ended=True)
            return
        self._trouble(watch, error)

    def _trouble(self, watch: Watch[AskedT], error: ServiceError | DeliveryError) -> None:
        """Count a look that failed on its own account."""
        watch.troubles += 1
        if watch.troubled_at is None:
            watch.troubled_at = asyncio.get_running_loop().time()
        asked = getattr(error, "retry_after", None)
        if asked:
            # the service asks everybody to wait; each task's deadline ends its waiting all the same
            pause = min(asked, LONGEST_PAUSE)
            self._not_before = max(self._not_before, asyncio.get_running_loop().time() + pause)
        if watch.troubles > watch.rhythm.policy.tolerance:
            self._give_up(watch, error)

    def _unreachable(self, watch: Watch[AskedT], error: ServiceUnreachable) -> None:
        """Put a look off that was not made at all, for as long as failing looks would be borne.

        Connections are probed one at a time for the whole client, so failures are not counted
        here: a hundred tasks would otherwise wait a hundred times as long as one.
        """
        watch.looks -= 1
        now = asyncio.get_running_loop().time()
        if watch.troubled_at is None:
            watch.troubled_at = now
        end = watch.troubled_at + watch.rhythm.policy.patience
        if now >= end:
            self._give_up(watch, error)
        else:
            self._put(watch, min(end, now + (error.retry_after or 0.0) + self._gap))

    def _give_up(self, watch: Watch[AskedT], error: ServiceError | DeliveryError) -> None:
        said = error.message if isinstance(error, ServiceError) else str(error)
        lost = ServiceUnavailable(
            f"asking failed {max(watch.troubles, 1)} time(s) in a row, the last with: {said}",
            task_id=watch.task_id,
            state=watch.state,
            age=_age(watch),
            code=getattr(error, "code", ""),
            http_status=getattr(error, "http_status", 0),
        )
        self._settle(watch, lost, error)

    # --- the heap --------------------------------------------------------------------------------

    def _put(self, watch: Watch[AskedT], due: float) -> None:
        heapq.heappush(self._heap, (due, next(self._order), watch))
        self._wake.set()

    def _settle(
        self,
        watch: Watch[AskedT],
        outcome: Reply | AILabError,
        cause: BaseException | None = None,
    ) -> None:
        if not watch.open:
            return
        watch.open = False
        self._open.pop(watch, None)
        twins = self._by_id.get(watch.task_id, [])
        if watch in twins:
            twins.remove(watch)
        if not twins:
            self._by_id.pop(watch.task_id, None)
        if watch.timer is not None:
            watch.timer.cancel()
        if isinstance(outcome, AILabError) and cause is not None:
            outcome.__cause__ = cause
            _forget_frames(cause)
        if len(self._heap) > _MOST_STALE and len(self._heap) > 2 * len(self._open):
            self._heap = [entry for entry in self._heap if entry[2].open]
            heapq.heapify(self._heap)
        self._wake.set()
        watch.settled(outcome)
        if listening(self._on_event):
            event = TaskSettled(
                task_id=watch.task_id,
                operation=watch.operation,
                seconds=_age(watch),
                looks=watch.looks,
                error=type(outcome).__name__ if isinstance(outcome, AILabError) else "",
            )
            emit(self._on_event, event)


def _forget_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error that is kept: their frames hold whole answers."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _age(watch: Watch[Any]) -> float:
    return asyncio.get_running_loop().time() - watch.began


def failure_read(
    reading: StateReading, reply: Reply, task_id: str, *, age: float = 0.0
) -> TaskFailed:
    """Return the error for a task of which an answer without error says that it failed."""
    kind = reading.failure or TaskFailed
    return kind(
        task_id=task_id,
        state=reading.word or reading.state,
        age=age,
        code=reading.code,
        message=reading.message,
        http_status=reply.http_status,
        request_id=reply.request_id,
    )


def failure_said(
    error: ServiceError, task_id: str, *, state: str = "", age: float = 0.0
) -> TaskFailed:
    """Return the error for a task whose failure is an error answer to a look."""
    return TaskFailed(
        task_id=task_id,
        state=state,
        age=age,
        code=error.code,
        message=error.message,
        http_status=error.http_status,
        request_id=error.request_id,
    )


def not_found(
    error: ServiceError, task_id: str, *, state: str = "", age: float = 0.0
) -> TaskNotFound:
    """Return the error for an id that the service does not know."""
    return TaskNotFound(
        error.message,
        task_id=task_id,
        state=state,
        age=age,
        code=error.code,
        http_status=error.http_status,
        request_id=error.request_id,
        log_id=error.log_id,
    )
