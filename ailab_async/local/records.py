"""The tasks on disk: one SQLite table, so that an engine started again knows what it has taken.

All of it is done in worker threads. Each call is one transaction; in a given data folder it is on
the disk (``synchronous=FULL``) before it returns, in a temporary one nobody will read it again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread

from .tasks import EngineTask, Failure, Problem, State, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Records", "RecordsBroken"]

_VERSION: Final = 1
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY,  -- the order in which they came
    id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    operation TEXT NOT NULL,
    job TEXT NOT NULL,
    uploads TEXT NOT NULL,
    awaited INTEGER NOT NULL,
    created REAL NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    results TEXT NOT NULL,
    problem TEXT,
    ended REAL
)
"""
_COLUMNS: Final = (
    "id, request_id, owner, operation, job, uploads, awaited, "
    "created, state, attempts, results, problem, ended"
)
_OPEN: Final = f"state IN ({State.QUEUED:d}, {State.PROCESSING:d})"

_T = TypeVar("_T")


class RecordsBroken(OSError):
    """The table cannot be read or written: a full disk, damage, or a file that is not ours."""


class Records:
    """The table of one engine, in a file that is made with the first call."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._path: Path | None = None
        self._durable = False
        self._connection: sqlite3.Connection | None = None
        # a thread whose caller was cancelled goes on: the limiter alone would let in a second one
        self._lock = threading.Lock()
        self._limiter = anyio.CapacityLimiter(1)

    def place(self, path: Path, *, durable: bool) -> None:
        """Say where the file is; ``durable`` tables survive a loss of power."""
        self._path = path
        self._durable = durable

    async def add(self, task: EngineTask) -> None:
        """Write down a new task."""
        await self._run(self._add, task)

    async def began(self, task: EngineTask) -> None:
        """Write down state and number of attempts, also when an attempt is given back."""
        change = "UPDATE tasks SET state = ?, attempts = ? WHERE id = ?"
        await self._run(self._do, change, (int(task.state), task.attempts, task.id))

    async def ended(
        self, task: EngineTask, *, results: Sequence[str], problem: Problem | None, at: float
    ) -> None:
        """Write down how a task ended, all at once."""
        state = State.SUCCEEDED if problem is None else State.FAILED
        told = None if problem is None else [problem.kind.value, problem.code, problem.message]
        change = (
            "UPDATE tasks SET state = ?, results = ?, problem = ?, ended = ?, uploads = '[]', "
            "job = '{}', owner = '' WHERE id = ?"
        )
        values = (int(state), json.dumps(list(results)), json.dumps(told), at, task.id)
        await self._run(self._do, change, values)

    async def forget(self, task: EngineTask) -> None:
        """Delete a task that was not accepted after all; one that is not there is no error."""
        await self._run(self._do, "DELETE FROM tasks WHERE id = ?", (task.id,))

    async def find(self, *, task_id: str = "", request_id: str = "") -> EngineTask | None:
        """Return a task by either of its ids."""
        column, value = ("id", task_id) if task_id else ("request_id", request_id)
        rows = await self._run(self._tasks, f"{column} = ?", (value,))
        return rows[0] if rows else None

    async def unfinished(self) -> list[EngineTask]:
        """Return the tasks that are to be done, in the order in which they came.

        Those that a request of an earlier engine waited for are deleted: nobody can ask for them.
        """
        return await self._run(self._unfinished)

    async def results(self) -> set[str]:
        """Return the names of all result files that belong to a task."""
        return await self._run(self._results, "1", ())

    async def sweep(self, before: float) -> set[str]:
        """Delete tasks that ended before then; return the names of their result files."""
        return await self._run(self._sweep, before)

    async def aclose(self) -> None:
        """Close the file, after whatever is being written."""
        await self._run(self._close)

    # --- in a worker thread ---------------------------------------------------------------------

    async def _run(self, function: Callable[..., _T], *args: Any) -> _T:
        return await anyio.to_thread.run_sync(self._locked, function, args, limiter=self._limiter)

    def _locked(self, function: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        with self._lock:
            try:
                return function(*args)
            except sqlite3.Error as error:
                why = f"the task records cannot be used ({error})"
                raise RecordsBroken(errno.EIO, why, str(self._path)) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            assert self._path is not None  # noqa: S101 - placed before the first call
            # what is in it is all that one needs to fetch the results
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, "FULL" if self._durable else "OFF")
            except BaseException:
                connection.close()
                raise
            # for an engine that is forgotten: closing twice does nothing
            weakref.finalize(self, connection.close)
            self._connection = connection
        return self._connection

    def _do(self, change: str, values: tuple[Any, ...]) -> None:
        self._open().execute(change, values)

    def _add(self, task: EngineTask) -> None:
        work = task.work
        values = (
            *(task.id, task.request_id, task.owner, work.operation, json.dumps(work.job)),
            *(json.dumps(work.uploads), work.awaited, task.created, int(task.state)),
            *(task.attempts, "[]", None, None),
        )
        marks = ", ".join("?" * len(values))
        self._do(f"INSERT INTO tasks ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608 - ours

    def _tasks(self, where: str, values: tuple[Any, ...]) -> list[EngineTask]:
        query = f"SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY number"  # noqa: S608 - ours
        with _as_written():
            return [_task(row) for row in self._open().execute(query, values)]

    def _unfinished(self) -> list[EngineTask]:
        self._do(f"DELETE FROM tasks WHERE awaited AND {_OPEN}", ())  # noqa: S608 - ours
        return self._tasks(_OPEN, ())

    def _results(self, where: str, values: tuple[Any, ...]) -> set[str]:
        query = f"SELECT results FROM tasks WHERE {where}"  # noqa: S608 - ours
        with _as_written():
            rows = self._open().execute(query, values)
            return {name for (names,) in rows for name in json.loads(names)}

    def _sweep(self, before: float) -> set[str]:
        if self._connection is None and not self._durable:
            return set()  # nothing was submitted yet
        old = f"ended < ? AND NOT {_OPEN}"
        names = self._results(old, (before,))
        self._do(f"DELETE FROM tasks WHERE {old}", (before,))  # noqa: S608 - ours
        return names

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@contextlib.contextmanager
def _as_written() -> Iterator[None]:
    """Say of values that are not as they were written that the table is damaged."""
    try:
        yield
    except (ValueError, TypeError, LookupError) as error:
        message = f"they hold a task that makes no sense: {error}"
        raise sqlite3.DatabaseError(message) from error


def _prepare(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _VERSION}:
        message = f"they are of version {version}, and this is {_VERSION}: use another folder"
        raise sqlite3.DatabaseError(message)
    connection.execute(_TABLE)
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _task(row: tuple[Any, ...]) -> EngineTask:
    task_id, request_id, owner, operation, job, uploads, awaited, created, *rest = row
    state, attempts, results, problem, ended = rest
    told = json.loads(problem) if problem else None
    return EngineTask(
        work=Work(
            operation=operation,
            job=json.loads(job),
            uploads=tuple(json.loads(uploads)),
            awaited=bool(awaited),
        ),
        owner=owner,
        created=created,
        id=task_id,
        request_id=request_id,
        state=State(state),
        attempts=attempts,
        results=tuple(json.loads(results)),
        problem=Problem(Failure(told[0]), told[1], told[2]) if told else None,
        ended=ended,
    )
