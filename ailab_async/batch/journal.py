"""The journal of a batch: one file that knows what was paid for, whatever happens to the process.

Each method of `Journal` that changes something returns when the change is on disk. What is asked
for at the same time is written together, so that a hundred changes cost about as much as one.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..errors import InvalidOperation, JournalError
from . import verbs
from .entries import MOVES, Entry, EntryState, Planned, SavedFile
from .ledger import Ledger
from .rows import json_text, seal
from .writer import Writer

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from .ledger import Connection

__all__ = ["Journal"]

T = TypeVar("T")


class Journal:
    """An account of many paid operations, in one SQLite file that only its owner may read (0600).

    ::

        async with Journal("run.sqlite") as journal:
            entries = await journal.plan(items)

    One journal at a time, in any process, has the file open; it belongs to the event loop that
    opened it. `ailab_async.batch.entries` says which state may follow which.

    All methods below may raise `JournalBroken` (the file can no longer be written; what is being
    submitted must stop), `JournalUnreadable` (an entry was damaged meanwhile), `JournalError` where
    the journal is not open, and `ClientMisused` on another event loop or in another process. The
    changes raise `JournalConflict` where the entry is not in a state that they take; nothing has
    changed then. A cancellation ends the waiting only: what was asked for is written.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        """Open nothing yet. ``wall_clock`` returns Unix time in seconds."""
        self._path = Path(path)
        self._wall_clock = wall_clock
        self._writer: Writer | None = None

    def __repr__(self) -> str:
        return f"<Journal {self._path} {'open' if self._writer else 'closed'}>"

    @property
    def path(self) -> Path:
        """The file, as it was given."""
        return self._path

    async def open(self) -> None:
        """Open the file, made new (and the folders above it) where there is none.

        What an earlier process was submitting when it ended becomes ``unknown``, with a message
        that says when and by whom. Raises `JournalInUse` where another journal has it open or the
        process that was submitting still runs, `JournalUnreadable` where the file is no journal, is
        damaged or of a later version (it is left untouched), `JournalBroken` where it cannot be
        written, also for want of 4 MiB on the disk. A cancellation while this waits is
        raised when the file is closed again.
        """
        if self._writer is not None:
            text = f"The journal {self._path} is open already."
            raise JournalError(text, path=str(self._path))
        ledger = Ledger(self._path, opened=self._wall_clock())
        writer = Writer(ledger, str(self._path))
        await writer.start()
        self._writer = writer

    async def aclose(self) -> None:
        """Write all that was asked for, and close: one file remains. May be called repeatedly.

        Where the journal is broken, the file and its log (``-wal``) are left as they are; they
        belong together. A cancellation while this waits is raised when it is closed.
        """
        writer = self._writer
        if writer is not None:
            writer.check_home()
            try:
                await writer.stop()
            finally:
                self._writer = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # --- changes ---------------------------------------------------------------------------------

    async def plan(self, items: Sequence[Planned]) -> list[Entry]:
        """Add as ``pending`` what is new; return the entries of all items, in their order.

        The same key twice is one entry. All are added, or none; with thousands of items, everybody
        else waits for that long.
        """
        return await self._do(verbs.plan, self._wall_clock(), tuple(items), spends=True)

    async def submitting(self, key: bytes) -> None:
        """Mark that the bytes are about to go out. Of two who try, one gets `JournalConflict`.

        From here to `submitted`, a crash makes the entry ``unknown``.
        """
        await self._change("submitting", key, spends=True)

    async def withdrawn(self, key: bytes) -> None:
        """Mark that provably nothing was received: it is ``pending`` again."""
        await self._change("withdrawn", key)

    async def submitted(self, key: bytes, record: Mapping[str, str]) -> None:
        """Keep the record of the accepted task (``task.record()``).

        It is handed over before this waits for the first time, so a caller who is cancelled loses
        nothing. Where it cannot be written, `JournalBroken` holds the task's id.
        """
        values = {"record": seal(json_text(record))}
        await self._change("submitted", key, values, task_id=_task_id(record))

    async def done(
        self,
        key: bytes,
        raw: Mapping[str, Any],
        *,
        record: Mapping[str, str] | None = None,
        expires_at: float | None,
        of: int,
    ) -> None:
        """Keep the answer of a success, which has ``of`` files; with none it is ``saved`` at once.

        ``expires_at`` is when the addresses in it die, in Unix time. ``record`` replaces that of
        `submitted`, where there was one. Files saved before an answer is looked up again stay so.
        """
        if of < 0:
            raise InvalidOperation("of", "a number of files", of)
        work = partial(verbs.done, record=record, expires_at=expires_at, of=of)
        task_id = _task_id(record or {})
        await self._do(work, self._wall_clock(), key, raw, task_id=task_id)

    async def saved(self, key: bytes, number: int, file: SavedFile) -> None:
        """Mark that file ``number``, counted from 1, is on disk; when all are, it is ``saved``.

        A file of that number that was saved before is replaced. Pictures that stand in the answer
        itself are dropped from the journal when all are saved. Raises `InvalidOperation` for a
        number that the result does not have.
        """
        await self._do(verbs.saved, self._wall_clock(), key, number, file)

    async def lost(self, key: bytes) -> None:
        """Mark that saved files are gone or changed: the entry is ``done`` with no file saved.

        An answer that held the pictures itself holds them no more.
        """
        await self._change("lost", key, {"files": None})

    async def rejected(self, key: bytes, *, code: str, message: str) -> None:
        """Mark that it was refused and nothing was made."""
        await self._change("rejected", key, _reason(code, message))

    async def failed(self, key: bytes, *, code: str, message: str) -> None:
        """Mark that the service accepted it and gave up, or that its result is beyond reach."""
        await self._change("failed", key, _reason(code, message))

    async def unknown(self, key: bytes, *, message: str) -> None:
        """Mark that it may have been received, and paid for."""
        await self._change("unknown", key, _reason("", message))

    async def retry(self, *states: EntryState, keys: Iterable[bytes] | None = None) -> int:
        """Make entries in these states ``pending`` again; return how many.

        All of them, or those of ``keys``. Each may be paid for once more. What was known of the
        last attempt is forgotten, but not how many there were. Raises `InvalidOperation` for states
        other than ``unknown``, ``failed`` and ``rejected``, and for none.
        """
        allowed = MOVES["retry"].sources
        if not states or not set(states) <= set(allowed):
            limit = f"one or more of {', '.join(allowed)}"
            raise InvalidOperation("states", limit, ", ".join(states) or "none")
        chosen = None if keys is None else tuple(keys)
        return await self._do(verbs.restart, self._wall_clock(), states, chosen, spends=True)

    async def renew(self, *, keys: Iterable[bytes] | None = None) -> int:
        """Make all that is neither saved nor ended ``pending`` again; return how many.

        All of them, or those of ``keys``. For an engine whose tasks cost nothing and ended with
        its process; never for the service.
        """
        sources = MOVES["renew"].sources
        chosen = None if keys is None else tuple(keys)
        return await self._do(verbs.restart, self._wall_clock(), sources, chosen, spends=True)

    # --- reading ---------------------------------------------------------------------------------

    async def get(self, key: bytes) -> Entry | None:
        """Return an entry, None where there is none of that key."""
        return await self._do(verbs.get, key)

    async def counts(self) -> dict[EntryState, int]:
        """Return how many entries there are in each state."""
        return await self._do(verbs.counts)

    async def entries(self, *states: EntryState) -> AsyncIterator[Entry]:
        """Yield the entries in these states, or all, in the order in which they were planned.

        They are read some hundred at a time, each as it is then. A loop that ends early leaves
        nothing open.
        """
        after: int | None = 0
        while after is not None:
            found, after = await self._do(verbs.page, after, states)
            for entry in found:
                yield entry

    # --- handing over ----------------------------------------------------------------------------

    async def _change(
        self,
        verb: str,
        key: bytes,
        values: Mapping[str, Any] | None = None,
        *,
        task_id: str = "",
        spends: bool = False,
    ) -> None:
        stored = {"changed": self._wall_clock(), **(values or {})}
        await self._do(verbs.change, verb, key, stored, task_id=task_id, spends=spends)

    def _do(
        self, work: Callable[..., T], *args: Any, task_id: str = "", spends: bool = False
    ) -> asyncio.Future[T]:
        if self._writer is None:
            text = f"The journal {self._path} is not open: use it inside its 'async with'."
            raise JournalError(text, path=str(self._path))

        def run(connection: Connection) -> T:
            return work(connection, *args)

        return self._writer.put(run, task_id=task_id, spends=spends)


def _reason(code: str, message: str) -> dict[str, Any]:
    return {"code": seal(code), "message": seal(message)}


def _task_id(record: Mapping[str, str]) -> str:
    return record.get("id") or record.get("request_id") or ""
