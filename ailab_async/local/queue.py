"""The tasks: a bounded queue, their states, and the runners that take them to the workers.

Each runner is one asyncio task with one place for a worker process. Runners come with the first
tasks and stay; there are never more than places. A task's record lives for 24 hours from its
submission, as at the hosted service, and its files with it.
"""

from __future__ import annotations

import asyncio
import enum
import os
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define, frozen

from ..events import logger
from .workers import JobFailed, WorkerDied, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .store import FileStore

__all__ = ["EngineTask", "Problem", "QueueFull", "State", "TaskQueue", "Work"]

KEPT_SECONDS: Final = 24 * 3600.0
SWEEP_SECONDS: Final = 600.0
TIME_LIMIT: Final = 120.0
PATIENCE: Final = 20.0
_CLOSE_SECONDS: Final = 5.0


class QueueFull(Exception):
    """As many tasks wait as may."""


class State(enum.IntEnum):
    """Where a task is; the first three are the numbers of the wire (``task_status``)."""

    QUEUED = 0
    PROCESSING = 1
    SUCCEEDED = 2
    FAILED = -1  # never sent: a failed task is an error envelope


@frozen
class Problem:
    """Why a task failed: an error code of the service, and a sentence.

    Only codes that are about the task: on a look, those of passing trouble (``UNKNOWN_ERROR``,
    ``FILE_SERVICE_ERROR``) would be taken for trouble of the look, and the task for alive.
    """

    code: str
    message: str


@frozen
class Work:
    """What is to be done: ``job`` for the worker, and the names of the uploaded pictures."""

    job: Mapping[str, Any]
    uploads: tuple[str, ...]


@define(eq=False)
class EngineTask:
    """The record of one task."""

    work: Work
    created: float
    id: str
    request_id: str
    state: State = State.QUEUED
    results: list[str] = Factory(list)
    problem: Problem | None = None


class TaskQueue:
    """Takes tasks, does them, and knows them until they are a day old."""

    def __init__(
        self,
        store: FileStore,
        *,
        places: int,
        limit: int,
        time_limit: float = TIME_LIMIT,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """At most ``places`` workers, ``limit`` waiting tasks, ``time_limit`` seconds for each.

        For room in a full queue a submission waits up to ``patience`` seconds.
        """
        self._store = store
        self._places = places
        self._time_limit = time_limit
        self._patience = patience
        self._clock = clock
        self._waiting: asyncio.Queue[EngineTask] = asyncio.Queue(limit)
        self._tasks: dict[str, EngineTask] = {}
        self._runners: dict[asyncio.Task[None], WorkerProcess] = {}
        self._idle = 0
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many tasks wait for a worker."""
        return self._waiting.qsize()

    @property
    def busy(self) -> int:
        """How many tasks are being worked on."""
        return len(self._runners) - self._idle

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process ids of the workers that run."""
        pids = (worker.pid for worker in self._runners.values())
        return tuple(pid for pid in pids if pid is not None)

    async def submit(self, work: Work) -> EngineTask:
        """Queue a task and return its record.

        Waits for room where there is none: whoever submits a thousand at once is slowed down to
        the pace of the workers. Raises `QueueFull` when that takes too long; a cancellation
        meanwhile leaves nothing in the queue.
        """
        stamp = int(time.time() * 1000)
        task = EngineTask(
            work=work,
            created=self._clock(),
            id=f"{stamp}.{uuid.uuid4()}",
            request_id=str(uuid.uuid4()).upper(),
        )
        try:
            async with asyncio.timeout(self._patience if self._waiting.full() else None):
                await self._waiting.put(task)
        except TimeoutError:
            raise QueueFull from None
        self._tasks[task.id] = task
        if self._waiting.qsize() > self._idle and len(self._runners) < self._places:
            self._start_runner()
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep_often())
        return task

    def find(self, task_id: str) -> EngineTask | None:
        """Return a task that is known and not older than 24 hours."""
        task = self._tasks.get(task_id)
        return None if task is None or self._expired(task) else task

    async def sweep(self) -> None:
        """Forget the tasks that are older than 24 hours, and delete old files."""
        for task in [task for task in self._tasks.values() if self._expired(task)]:
            if task.state in {State.SUCCEEDED, State.FAILED}:
                del self._tasks[task.id]
                await self._store.drop(task.results)
        await self._store.drop_old(KEPT_SECONDS)

    async def aclose(self) -> None:
        """Stop the runners and end their workers. Waits a few seconds at most."""
        ending = [*self._runners, *([self._sweeper] if self._sweeper else [])]
        self._sweeper = None
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=_CLOSE_SECONDS)

    def _expired(self, task: EngineTask) -> bool:
        return self._clock() - task.created > KEPT_SECONDS

    def _start_runner(self) -> None:
        worker = WorkerProcess()
        runner = asyncio.create_task(self._run(worker), name=f"ailab engine {len(self._runners)}")
        self._runners[runner] = worker
        self._idle += 1
        runner.add_done_callback(self._forget)

    def _forget(self, runner: asyncio.Task[None]) -> None:
        self._runners.pop(runner, None)
        self._idle -= 1
        if not runner.cancelled() and (error := runner.exception()) is not None:
            logger.error("a runner of the local engine ended", exc_info=error)

    async def _run(self, worker: WorkerProcess) -> None:
        try:
            while True:
                task = await self._waiting.get()
                self._idle -= 1
                try:
                    await self._do(task, worker)
                finally:
                    self._idle += 1
        finally:
            await worker.aclose()

    async def _do(self, task: EngineTask, worker: WorkerProcess) -> None:
        """Take one task to its end; only a cancellation comes out of here."""
        task.state = State.PROCESSING
        made: list[str] = []
        try:
            await self._make(task, worker, made)
        except Exception as error:  # noqa: BLE001 - a task's failure ends the task alone
            task.problem = _problem(error, self._time_limit)
            task.state = State.FAILED
            await self._drop_quietly(made)
        else:
            task.results = made
            task.state = State.SUCCEEDED

    async def _make(self, task: EngineTask, worker: WorkerProcess, made: list[str]) -> None:
        extension = ".png" if task.work.job["format"] == "PNG" else ".jpg"

        async def keep(picture: bytes) -> None:
            try:
                made.append(await self._store.put(picture, extension=extension))
            except OSError as error:
                raise _NotKept from error

        async with asyncio.timeout(self._time_limit):
            pictures = [await self._store.read(name) for name in task.work.uploads]
            await self._drop_quietly(task.work.uploads)
            await worker.work(task.work.job, pictures, keep)

    async def _drop_quietly(self, names: tuple[str, ...] | list[str]) -> None:
        try:
            await self._store.drop(names)
        except OSError:
            logger.exception("the local engine could not delete its own files")

    async def _sweep_often(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except OSError:
                logger.exception("the local engine could not sweep its data folder")


class _NotKept(Exception):
    """A picture was made and could not be written."""


def _problem(error: Exception, time_limit: float) -> Problem:
    match error:
        case JobFailed():
            return Problem(error.code, error.message)
        case TimeoutError():
            return Problem("AI_SERVICE_TIMEOUT", f"the task took longer than {time_limit:g} s")
        case WorkerDied():
            message = "the worker process ended in the middle of this task"
            return Problem("PROCESSING_FAILURE", message)
        case _NotKept():
            logger.error("the local engine could not write a result", exc_info=error)
            return Problem("PROCESSING_FAILURE", "the result could not be written")
        case _:
            logger.error("a task of the local engine failed unexpectedly", exc_info=error)
            return Problem("PROCESSING_FAILURE", "unexpected trouble; see the engine's log")


def places(workers: int | None) -> int:
    """How many workers there may be: as many as asked for, never more than there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    most = cores or 1
    return most if workers is None else max(1, min(workers, most))
