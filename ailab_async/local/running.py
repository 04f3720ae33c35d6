"""One task in one worker, to its end: what is tried again, what is too long, what has failed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from attrs import frozen

from ..carry import carried_through
from ..events import logger
from .tasks import EngineTask, Failure, Problem, State
from .workers import JobFailed, WorkerDied, WorkerProcess

if TYPE_CHECKING:
    from .metrics import Metrics
    from .records import Records
    from .store import FileStore

__all__ = ["MEMORY_LIMIT", "RETRIES", "TIME_LIMIT", "Limits", "Runner"]

TIME_LIMIT: Final = 120.0
RETRIES: Final = 2
MEMORY_LIMIT: Final = 3 << 30

Outcome = tuple[tuple[str, ...], Problem | None]


@frozen(kw_only=True)
class Limits:
    """What one task may cost: seconds, bytes of memory, and how often a dead worker is borne."""

    seconds: float = TIME_LIMIT
    memory: int = MEMORY_LIMIT
    retries: int = RETRIES


class _NotKept(Exception):
    """A result was made and could not be written."""


class Runner:
    """A place for a worker process, and the rules for what is done in it; one task at a time."""

    def __init__(
        self, store: FileStore, records: Records, limits: Limits, metrics: Metrics
    ) -> None:
        """Start nothing yet."""
        self._store = store
        self._records = records
        self._limits = limits
        self._metrics = metrics
        self.worker = WorkerProcess(memory_limit=limits.memory)

    async def do(self, task: EngineTask) -> Outcome:
        """Return the result files of a task, or why it failed.

        Only a cancellation comes out of here; the attempt is given back then, as nothing in the
        task has ended it.
        """
        made: list[str] = []
        try:
            async with asyncio.timeout(self._limits.seconds):
                while True:
                    problem = await self._attempt(task, made)
                    if problem is None or task.attempts > self._limits.retries:
                        break
                    await self._drop_quietly(made)
        except asyncio.CancelledError:
            await carried_through(self._give_back(task))
            raise
        except Exception as error:  # noqa: BLE001 - a task's failure ends the task alone
            problem = self._problem(error)
        if problem is not None:
            await self._drop_quietly(made)
            return (), problem
        return tuple(made), None

    async def _attempt(self, task: EngineTask, made: list[str]) -> Problem | None:
        """Do it once; return what to say if its worker died and it is not tried again."""
        if task.attempts <= self._limits.retries:  # it may have killed an earlier engine
            task.state = State.PROCESSING
            task.attempts += 1
            task.begun.set()
            await self._records.began(task)
            try:
                await self._make(task, made)
            except WorkerDied:
                self._metrics.worker_died()
            else:
                return None
        message = f"the worker process ended in the middle of this task, {task.attempts} times"
        return Problem(Failure.LIMIT_RETRY_FAILED, "PROCESSING_FAILURE", message)

    async def _make(self, task: EngineTask, made: list[str]) -> None:
        async def keep(result: bytes, extension: str) -> None:
            try:
                made.append(await self._store.put(result, extension=extension))
            except OSError as error:
                raise _NotKept from error

        pictures = [await self._store.read(name) for name in task.work.uploads]
        await self.worker.work(task.work.job, pictures, keep)

    async def _give_back(self, task: EngineTask) -> None:
        task.state = State.QUEUED
        task.attempts -= 1
        try:
            await self._records.began(task)
        except OSError:
            logger.exception("the local engine could not write down that a task was put back")

    async def _drop_quietly(self, made: list[str]) -> None:
        names, made[:] = tuple(made), []
        try:
            await self._store.drop(names)
        except OSError:
            logger.exception("the local engine could not delete its own files")

    def _problem(self, error: Exception) -> Problem:
        match error:
            case JobFailed():
                return Problem(Failure.PROCESS_FAILED, error.code, error.message)
            case TimeoutError():
                message = f"the task took longer than {self._limits.seconds:g} s"
                return Problem(Failure.TIMEOUT_FAILED, "AI_SERVICE_TIMEOUT", message)
            case _NotKept():
                logger.error("the local engine could not write a result", exc_info=error)
                message = "the result could not be written"
            case FileNotFoundError():
                logger.error("an upload of the local engine is gone", exc_info=error)
                message = "the uploaded picture is gone from the data folder"
            case _:
                logger.error("a task of the local engine failed unexpectedly", exc_info=error)
                message = "unexpected trouble; see the engine's log"
        return Problem(Failure.PROCESS_FAILED, "PROCESSING_FAILURE", message)
