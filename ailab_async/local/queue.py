"""The tasks that wait, and the runners that take them to the workers.

Each runner is one asyncio task with one place for a worker process. Runners come with the first
tasks and stay; there are never more than places. Whose turn it is goes round between keys. A task
is on the disk before it is accepted, and its end before anybody is told of it; what is open is in
memory as well, so that a killed engine loses nothing and a running one rarely reads.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid
from typing import TYPE_CHECKING, Final

from ..carry import carried_through
from ..events import logger
from .fairness import FairLine, FairSlots
from .running import Runner
from .tasks import BY_JOB_SECONDS, KEPT_SECONDS, EngineTask, Failure, Problem, State, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .metrics import Metrics
    from .records import Records
    from .running import Limits
    from .store import FileStore

__all__ = ["QueueFull", "TaskQueue", "places"]

SWEEP_SECONDS: Final = 600.0
PATIENCE: Final = 20.0
_CLOSE_SECONDS: Final = 5.0
_MOST_LINGERING: Final = 256
_TASK_ID: Final = re.compile(r"[0-9]{1,15}\.[0-9a-f-]{36}")
_REQUEST_ID: Final = re.compile(r"[0-9A-F-]{36}")


class QueueFull(Exception):
    """As many tasks wait as may."""


class TaskQueue:
    """Takes tasks, does them, and knows them until a day after their end."""

    def __init__(
        self,
        store: FileStore,
        records: Records,
        metrics: Metrics,
        *,
        places: int,
        limit: int,
        limits: Limits,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """At most ``places`` workers and ``limit`` waiting tasks, each bounded by ``limits``.

        For room in a full queue a submission waits up to ``patience`` seconds.
        """
        self._store = store
        self._records = records
        self._metrics = metrics
        self._places = places
        self._limits = limits
        self._patience = patience
        self._clock = clock
        self._line: FairLine[EngineTask] = FairLine()
        self._room = FairSlots(limit)  # places in the line
        self._ready = asyncio.Semaphore(0)
        self._open: dict[str, EngineTask] = {}
        self._open_by_request: dict[str, EngineTask] = {}
        self._runners: dict[asyncio.Task[None], Runner] = {}
        self._idle = 0
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many tasks wait for a worker."""
        return len(self._line)

    @property
    def busy(self) -> int:
        """How many tasks are being worked on."""
        return len(self._runners) - self._idle

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process ids of the workers that run."""
        pids = (runner.worker.pid for runner in self._runners.values())
        return tuple(pid for pid in pids if pid is not None)

    async def submit(self, work: Work, *, owner: str = "") -> EngineTask:
        """Queue a task and return its record.

        Waits for room where there is none: whoever submits a thousand at once is slowed down to
        the pace of the workers. Raises `QueueFull` when that takes too long, and `RecordsBroken`;
        a cancellation meanwhile leaves nothing in the queue.
        """
        if self._room.waiting >= _MOST_LINGERING:
            raise QueueFull
        try:
            async with asyncio.timeout(self._patience):
                await self._room.acquire(owner)
        except TimeoutError:
            raise QueueFull from None
        now = self._clock()
        task = EngineTask(
            work=work,
            owner=owner,
            created=now,
            id=f"{int(now * 1000)}.{uuid.uuid4()}",
            request_id=str(uuid.uuid4()).upper(),
        )
        try:
            await carried_through(self._records.add(task))
        except BaseException as error:
            self._room.release()
            if isinstance(error, asyncio.CancelledError):
                await carried_through(self._records.forget(task))
            raise
        self._enter(task)
        return task

    def resume(self, tasks: Sequence[EngineTask]) -> None:
        """Take up the tasks of an earlier engine, in their order; they are on the disk already."""
        for task in tasks:
            task.state = State.QUEUED
            self._room.take()
            self._enter(task)

    async def withdraw(self, task: EngineTask) -> bool:
        """Forget a task that waits; return whether it did, which it does no more once begun."""
        if not self._line.remove(task.owner, task):
            return False
        self._room.release()
        del self._open[task.id], self._open_by_request[task.request_id]
        await carried_through(self._records.forget(task))
        await self._store.drop(task.work.uploads)
        return True

    async def find(self, task_id: str) -> EngineTask | None:
        """Return a task that is known, up to 24 hours after its end."""
        task = self._open.get(task_id)
        if task is None and _TASK_ID.fullmatch(task_id):
            task = await self._records.find(task_id=task_id)
        return None if task is None or self._expired(task) else task

    async def find_job(self, request_id: str) -> EngineTask | None:
        """Return a task by its request id, up to half an hour after its end."""
        task = self._open_by_request.get(request_id)
        if task is None and _REQUEST_ID.fullmatch(request_id):
            task = await self._records.find(request_id=request_id)
        if task is None or self._expired(task):
            return None
        late = task.ended is not None and self._clock() - task.ended > BY_JOB_SECONDS
        return None if late else task

    async def sweep(self) -> None:
        """Forget the tasks that ended 24 hours ago, and delete old files."""
        for task in [task for task in self._open.values() if self._expired(task)]:
            del self._open[task.id], self._open_by_request[task.request_id]
        names = await self._records.sweep(self._clock() - KEPT_SECONDS)
        await self._store.drop(names)
        await self._store.drop_old(KEPT_SECONDS)

    def start_sweeping(self) -> None:
        """Sweep now and then from now on; only on a running loop."""
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep_often())

    async def aclose(self) -> None:
        """Stop the runners and end their workers. Waits a few seconds at most.

        Requests that wait for a task are told that it will not come.
        """
        ending = [*self._runners, *([self._sweeper] if self._sweeper else [])]
        self._sweeper = None
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=_CLOSE_SECONDS)
        closed = Problem(Failure.PROCESS_FAILED, "ERROR_RESOURCE_UNAVAILABLE", "")
        for left in self._open.values():
            if left.work.awaited:
                left.problem, left.state = closed, State.FAILED
                left.over.set()

    # --- runners --------------------------------------------------------------------------------

    def _enter(self, task: EngineTask) -> None:
        self._open[task.id] = self._open_by_request[task.request_id] = task
        self._line.add(task.owner, task)
        self._ready.release()
        if len(self._line) > self._idle and len(self._runners) < self._places:
            self._start_runner()
        self.start_sweeping()

    def _start_runner(self) -> None:
        runner = Runner(self._store, self._records, self._limits, self._metrics)
        running = asyncio.create_task(self._run(runner), name=f"engine {len(self._runners)}")
        self._runners[running] = runner
        self._idle += 1
        running.add_done_callback(self._forget)

    def _forget(self, running: asyncio.Task[None]) -> None:
        self._runners.pop(running, None)
        self._idle -= 1
        if not running.cancelled() and (error := running.exception()) is not None:
            logger.error("a runner of the local engine ended", exc_info=error)

    async def _run(self, runner: Runner) -> None:
        try:
            while True:
                await self._ready.acquire()
                if not len(self._line):
                    continue  # it was withdrawn
                task = self._line.take()
                self._room.release()
                self._idle -= 1
                try:
                    await self._do(task, runner)
                finally:
                    self._idle += 1
        finally:
            await runner.worker.aclose()

    async def _do(self, task: EngineTask, runner: Runner) -> None:
        """Take one task to its end; only a cancellation comes out of here."""
        results, problem = await runner.do(task)
        await carried_through(self._end(task, results, problem))

    async def _end(
        self, task: EngineTask, results: tuple[str, ...], problem: Problem | None
    ) -> None:
        now = self._clock()
        try:
            await self._records.ended(task, results=results, problem=problem, at=now)
        except OSError:
            # It stays in memory and is answered from there, for as long as this engine runs.
            logger.exception("the local engine could not write down how a task ended")
        else:
            del self._open[task.id], self._open_by_request[task.request_id]
        task.results, task.problem, task.ended = results, problem, now
        task.state = State.SUCCEEDED if problem is None else State.FAILED
        task.over.set()
        word = "PROCESS_SUCCESS" if problem is None else problem.kind.value
        # a clock that was put back must not make sums smaller
        taken = max(0.0, now - task.created)
        self._metrics.task_ended(task.work.operation, word, taken)
        try:
            await self._store.drop(task.work.uploads)
        except OSError:
            logger.exception("the local engine could not delete its own files")

    def _expired(self, task: EngineTask) -> bool:
        # from its end on: a clock that is put right after the start of a computer makes none old
        return task.ended is not None and self._clock() - task.ended > KEPT_SECONDS

    async def _sweep_often(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except OSError:
                logger.exception("the local engine could not sweep its data folder")


def places(workers: int | None) -> int:
    """How many workers there may be: as many as asked for, never more than there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    most = cores or 1
    return most if workers is None else max(1, min(workers, most))
