"""The one thread that writes a journal, and how the event loop hands it work.

Durable writing waits for the disk, and one wait serves many: the thread takes all the work that
has gathered, does it in one transaction, commits, and only then answers. What does not suit an
entry is its caller's alone. Where the disk fails, the journal is *broken*: nothing of that
transaction counts, and nothing more is tried, because a flush that failed once may succeed the
next time without what it had lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import define, field

from ..carry import carried_through
from ..errors import ClientMisused, JournalBroken, JournalConflict, JournalError
from ..events import logger
from .checks import unreadable
from .ledger import Ledger, sqlite_code
from .rows import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ledger import Connection

__all__ = ["Writer"]

T = TypeVar("T")

GROUP: Final = 2048
"""Pieces of work in one transaction, at most."""

_OF_THE_WORK: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.NotSupportedError,
    sqlite3.ProgrammingError,
)
"""Errors of SQLite that are about a statement and its values, not about file and disk."""


@define(eq=False)
class _Job:
    """Work for the thread: ``task_id`` must not be lost, ``spends`` is for what leads to paying."""

    work: Callable[[Connection], Any]
    answer: asyncio.Future[Any]
    task_id: str = ""
    spends: bool = False
    outcome: Any = None
    error: BaseException | None = None


@define(eq=False)
class Writer:
    """Does work on a `Ledger`, in order, for the event loop that started it."""

    ledger: Ledger
    path: str
    _loop: asyncio.AbstractEventLoop = field(init=False, factory=asyncio.get_running_loop)
    _process: int = field(init=False, factory=os.getpid)
    _jobs: queue.SimpleQueue[_Job | None] = field(init=False, factory=queue.SimpleQueue)
    _opened: asyncio.Future[None] = field(init=False)
    _ended: asyncio.Future[None] = field(init=False)
    _closing: bool = field(init=False, default=False)
    _broken: str = field(init=False, default="")
    _full: str = field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        self._opened = self._loop.create_future()
        self._ended = self._loop.create_future()

    async def start(self) -> None:
        """Open the ledger in the thread; raises what that raises. Waited for to its end."""
        # a daemon: whoever forgets to close must still be able to end the process
        threading.Thread(target=self._run, name="ailab journal", daemon=True).start()
        try:
            await carried_through(_result_of(self._opened))
        except BaseException:
            await self.stop()
            raise

    def put(
        self, work: Callable[[Connection], T], *, task_id: str = "", spends: bool = False
    ) -> asyncio.Future[T]:
        """Hand work over, at once, and return what will hold its outcome when that is durable.

        Whatever happens to the future, the work is done. Raises `JournalError` where it is closed,
        `ClientMisused` on another event loop or in another process.
        """
        self.check_home()
        if self._closing:
            text = f"The journal {self.path} is closed."
            raise JournalError(text, path=self.path)
        job = _Job(work, self._loop.create_future(), task_id, spends)
        self._jobs.put(job)
        return job.answer

    async def stop(self) -> None:
        """Have all work done that was handed over, close the ledger, end the thread."""
        self.check_home()
        if not self._closing:
            self._closing = True
            self._jobs.put(None)  # the end
        await carried_through(_result_of(self._ended))

    def check_home(self) -> None:
        """Raise `ClientMisused` on another event loop or in another process."""
        if os.getpid() != self._process:
            text = (
                f"The journal {self.path} was opened in process {self._process} and is used in "
                f"{os.getpid()}: a journal belongs to one process."
            )
            raise ClientMisused(text)
        if asyncio.get_running_loop() is not self._loop:
            text = f"The journal {self.path} was opened on another event loop: use it there."
            raise ClientMisused(text)

    # --- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            try:
                self.ledger.open()
            except BaseException as error:  # noqa: BLE001 - whoever opens it must hear of it
                self._tell(_settle_future, self._opened, error)
                return
            self._tell(_settle_future, self._opened, None)
            while self._work_once():
                pass
            if self._broken:
                self.ledger.leave()
            else:
                self.ledger.close()
        finally:
            self._tell(_settle_future, self._ended, None)

    def _work_once(self) -> bool:
        """Do what has gathered; return whether there may be more."""
        gathered = [self._jobs.get()]
        while gathered[-1] is not None and len(gathered) < GROUP:
            try:
                gathered.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        jobs = [job for job in gathered if job is not None]
        self._do(jobs)
        self._tell(_settle, jobs)
        self._checkpoint()
        return gathered[-1] is not None

    def _do(self, jobs: list[_Job]) -> None:
        if not self._broken:
            connection = self.ledger.connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                for job in jobs:
                    self._attempt(job, connection)
                connection.execute("COMMIT")
            except (sqlite3.Error, MemoryError) as error:
                self._break(error)
        if self._broken:
            for job in jobs:
                job.error = self._refusal(job.task_id)

    def _attempt(self, job: _Job, connection: Connection) -> None:
        """Do one piece of work; raises only what ends the whole transaction."""
        if job.spends and self._full:
            job.error = self._refusal(job.task_id)
            return
        try:
            job.outcome = job.work(connection)
        except sqlite3.DatabaseError as error:
            if not isinstance(error, _OF_THE_WORK):
                raise
            job.error = error
        except JournalConflict as error:
            text = f"{error} Task {job.task_id} was accepted." if job.task_id else str(error)
            job.error = JournalConflict(text, path=self.path)
        except Damaged as error:
            job.error = unreadable(self.ledger.path, f"is damaged ({error})", "use a copy of it")
        except Exception as error:
            if not connection.in_transaction:
                raise sqlite3.OperationalError(str(error)) from error  # SQLite gave up the whole
            job.error = error

    def _checkpoint(self) -> None:
        if self._broken:
            return
        try:
            self.ledger.checkpoint_where_due()
        except (sqlite3.Error, OSError, MemoryError) as error:
            if not isinstance(error, sqlite3.Error) or sqlite_code(error) != sqlite3.SQLITE_FULL:
                self._break(error)
                return
            if not self._full:
                logger.error("nothing more is submitted: %s: %s", self.path, error)
            self._full = str(error)  # what is under way goes into the reserve
        else:
            self._full = ""

    def _break(self, error: Exception) -> None:
        self._broken = str(error) or type(error).__name__
        logger.error("the journal %s cannot be written any more: %s", self.path, error)

    def _refusal(self, task_id: str) -> JournalBroken:
        text = (
            f"The journal {self.path} cannot be written any more ({self._broken or self._full}): "
            "nothing more is submitted."
        )
        if task_id:
            text += (
                f" Task {task_id} was accepted and is not in it: keep this id, "
                f"client.attach({task_id!r}) gets its result."
            )
        text += " Make room or mend the disk, and open it again: it holds all that was confirmed."
        if task_id:
            logger.error("%s", text)  # the caller may be gone: the id must not go with it
        return JournalBroken(text, path=self.path, task_id=task_id)

    def _tell(self, told: Callable[..., None], *what: Any) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that was closed has nobody left waiting
            self._loop.call_soon_threadsafe(told, *what)


async def _result_of(future: asyncio.Future[None]) -> None:
    await future


def _settle_future(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.answer.cancelled():
            if job.error is not None:
                logger.error("a caller of the journal had left: %s", job.error)
        elif job.error is not None:
            job.answer.set_exception(job.error)
        else:
            job.answer.set_result(job.outcome)
