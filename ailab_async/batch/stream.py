"""Many operations as a stream of outcomes: ``async with client.map(operations) as outcomes``.

Operations are pulled one by one, as long as fewer than ``look_ahead`` are under way or wait to be
taken; each is then worked on in an asyncio task of its own. The client's slots and byte budget hold
for all of them together, so uploads, looks and downloads overlap as far as these allow.

What an operation goes through is in `work`; here is when it begins, when all of it ends, and what
is left then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sized
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Self

from ..carry import carried_through
from ..errors import BatchStopped, ClientClosed, InvalidOperation
from ..events import logger
from ..operations import Operation
from .context import Context, stops_everything
from .entries import EntryState
from .journal import Journal
from .names import Names
from .presence import Presence
from .tally import Tally
from .work import Work

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from ..rhythm import PollPolicy
    from ..session import Session
    from .outcomes import Outcome, Progress

__all__ = ["Operations", "Outcomes"]

Operations = Iterable[Operation[Any]] | AsyncIterable[Operation[Any]]

PARTING: Final = 1.5
"""Seconds that what is being sent or saved may take to its end when a batch is left."""

QUEUE: Final = 2
"""Operations that may wait for a slot at the client, the next ones to be sent."""

_FAILED: Final = frozenset({EntryState.FAILED, EntryState.REJECTED})


class Outcomes:
    """The outcomes of a batch, as they come; made by `AsyncClient.map`.

    An async context manager around an async iterator, which several tasks may share. Leaving it
    early stops the pulling, lets what is being sent or saved end for 1.5 seconds, and keeps in
    ``open`` the records of the tasks that are still open: they go on at the service.
    """

    def __init__(
        self,
        operations: Operations,
        *,
        ready: Callable[[], Awaitable[Session]],
        policy: Callable[[Operation[Any]], PollPolicy],
        fits: Callable[[Operation[Any]], bool],
        look_ahead: int,
        ordered: bool = False,
        journal: Journal | str | os.PathLike[str] | None = None,
        save_to: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        on_unknown: str = "hold",
        on_failed: str = "keep",
        verify: bool = False,
    ) -> None:
        """See `AsyncClient.map`. Opens nothing; raises `InvalidOperation`."""
        _check(operations, look_ahead, on_unknown, on_failed)
        self._operations = operations
        self._ready = ready
        self._policy = policy
        self._fits = fits
        self._ordered = ordered
        self._journal = (
            journal if isinstance(journal, Journal) or journal is None else Journal(journal)
        )
        self._owns_journal = not isinstance(journal, Journal)
        self._names = None if save_to is None else Names(save_to)
        self._overwrite = overwrite
        self._resubmit = frozenset({EntryState.UNKNOWN} if on_unknown == "resubmit" else ())
        if on_failed == "resubmit":
            self._resubmit |= _FAILED
        self._verify = verify
        self._context: Context | None = None
        self._tally: Tally | None = None
        self._puller: asyncio.Task[None] | None = None
        self._works: dict[asyncio.Task[Outcome], Work] = {}
        self._finished: deque[Outcome] = deque()
        self._early: dict[int, Outcome] = {}
        self._next = 0
        self._changed = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._cause: Exception | None = None
        self._source_error: BaseException | None = None
        self._room = asyncio.Semaphore(look_ahead)
        self._left = False
        self.open: tuple[dict[str, str], ...] = ()

    @property
    def progress(self) -> Progress:
        """Where the batch stands now. Raises `RuntimeError` before it was entered."""
        if self._tally is None:
            message = "A batch has no progress before its 'async with'."
            raise RuntimeError(message)
        return self._tally.snapshot()

    # --- coming and going ------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the journal and begin to pull.

        Raises `JournalInUse`, `JournalUnreadable` and `JournalBroken`, `ClientClosed`, and what
        starting the client raises. Nothing is left open then.
        """
        if self._context is not None:
            message = "A batch is entered once: call client.map(...) again."
            raise RuntimeError(message)
        session = await self._ready()
        loop = asyncio.get_running_loop()
        total = len(self._operations) if isinstance(self._operations, Sized) else None
        self._tally = Tally(total=total, clock=loop.time)
        self._context = Context(
            session=session,
            policy=self._policy,
            fits=self._fits,
            journal=self._journal,
            tally=self._tally,
            names=self._names,
            overwrite=self._overwrite,
            resubmit=self._resubmit,
            presence=Presence(verify=self._verify, limiter=session.threads),
            sending=asyncio.Semaphore(session.settings.max_in_flight + QUEUE),
        )
        try:
            await self._open(self._context)
        except BaseException:
            if self._journal is not None and self._owns_journal:
                await self._journal.aclose()
            raise
        self._puller = asyncio.create_task(self._pull(self._context))
        self._puller.add_done_callback(self._pulled)
        return self

    async def _open(self, context: Context) -> None:
        journal, names = self._journal, self._names
        if journal is not None:
            if self._owns_journal:
                await journal.open()
            if context.session.settings.service.embedded:
                # its tasks cost nothing, and ended with the process that had them
                await journal.renew()
        if names is not None and not self._overwrite:
            await context.off_loop(names.look)
        elif names is not None and journal is not None:
            # what an earlier run has saved is paid for: it is not written over, whatever comes
            async for entry in journal.entries(EntryState.DONE, EntryState.SAVED):
                names.keep(entry.files)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and leave nothing running. Takes about two seconds at most.

        Carried through also when the caller is cancelled meanwhile.
        """
        self._left = True
        await carried_through(asyncio.create_task(self._leave()))

    async def _leave(self) -> None:
        try:
            await self._stop()
        finally:
            if self._journal is not None and self._owns_journal:
                await self._journal.aclose()
        if self.open:
            ids = ", ".join(
                record.get("id") or record.get("request_id", "") for record in self.open[:5]
            )
            logger.info("a batch was left with %d task(s) open: %s", len(self.open), ids)

    async def _stop(self) -> None:
        """Begin nothing any more, and end what is under way, each as far as it must be."""
        if self._context is not None:
            self._context.leaving = True
        if self._puller is not None:
            self._puller.cancel()
            await asyncio.wait((self._puller,))
        busy: list[asyncio.Task[Outcome]] = []
        for task, work in tuple(self._works.items()):
            if work.in_exchange:
                busy.append(task)
            else:
                task.cancel()
        if busy:
            await asyncio.wait(busy, timeout=PARTING)
        left = tuple(self._works)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        if self._context is not None:
            await self._context.presence.aclose()

    # --- pulling ---------------------------------------------------------------------------------

    async def _pull(self, context: Context) -> None:
        """Begin the work on one operation after the other, as long as there is room."""
        index = 0
        async with aclosing(_each(self._operations)) as operations:
            while True:
                await self._room.acquire()
                try:
                    operation = await anext(operations)
                except StopAsyncIteration:
                    return
                context.tally.pulled += 1
                work = Work(context, index, operation)
                task = asyncio.create_task(work.run())
                self._works[task] = work
                task.add_done_callback(self._worked)
                index += 1

    def _pulled(self, puller: asyncio.Task[None]) -> None:
        if not puller.cancelled() and (error := puller.exception()) is not None:
            self._source_error = error  # what is under way goes on to its end
        self._changed.set()

    def _worked(self, task: asyncio.Task[Outcome]) -> None:
        work = self._works.pop(task)
        self._changed.set()
        if task.cancelled():
            if work.task is not None and not work.task.done():
                self.open += (work.task.record(),)
            return
        outcome = task.result()
        if self._tally is not None:
            self._tally.ended(outcome)
        if self._ordered:
            self._early[outcome.index] = outcome
            while self._next in self._early:
                self._finished.append(self._early.pop(self._next))
                self._next += 1
        else:
            self._finished.append(outcome)
        if outcome.error is not None and stops_everything(outcome.error):
            self._stop_for(outcome.error)

    def _stop_for(self, cause: Exception) -> None:
        """Stop the whole batch, and say so once what has ended was taken."""
        if self._cause is None and not self._left:
            self._cause = cause
            self._stopping = asyncio.create_task(self._stop())
            self._stopping.add_done_callback(lambda _: self._changed.set())

    # --- taking ----------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Outcome]:
        return self

    async def __anext__(self) -> Outcome:
        """Return the next outcome, or wait for it.

        Raises `BatchStopped` once a whole batch was stopped and all outcomes were taken (its cause
        is ``__cause__``), the error with which the iterable that was given broke off, and
        `ClientClosed` after the batch was left.
        """
        while True:
            if self._finished:
                self._room.release()
                return self._finished.popleft()
            if self._left or self._puller is None:
                text = "This batch is not running: take outcomes inside its 'async with'."
                raise ClientClosed(text)
            self._changed.clear()
            if self._puller.done() and not self._works:
                if self._stopping is not None:
                    await asyncio.wait((self._stopping,))
                if self._early:  # of a batch that was stopped: there will be none between them
                    self._finished.extend(self._early.pop(index) for index in sorted(self._early))
                    continue
                if self._cause is not None:
                    raise self._stopped_by(self._cause)
                if self._source_error is not None:
                    raise self._source_error
                raise StopAsyncIteration
            await self._changed.wait()

    def _stopped_by(self, cause: Exception) -> BatchStopped:
        text = f"The batch was stopped: {cause}"
        if self.open:
            kept = ", and they are in the journal" if self._journal is not None else ""
            text += f" {len(self.open)} task(s) were open: client.attach(record) gets each{kept}."
        stopped = BatchStopped(text, records=self.open)
        stopped.__cause__ = cause
        return stopped


async def _each(operations: Operations) -> AsyncGenerator[Operation[Any], None]:
    """Yield them. A generator is closed at the end, also where that comes early."""
    try:
        if isinstance(operations, AsyncIterable):
            async for operation in operations:
                yield operation
        else:
            for operation in operations:
                yield operation
    finally:
        if isinstance(operations, AsyncGenerator):
            await operations.aclose()
        elif isinstance(operations, Generator):
            operations.close()


def _check(operations: object, look_ahead: object, on_unknown: str, on_failed: str) -> None:
    if isinstance(operations, str | bytes | Operation) or not isinstance(
        operations, Iterable | AsyncIterable
    ):
        hint = "For example client.map([HDColorMigration('a.jpg'), …])."
        limit = "an iterable or async iterable of operations"
        raise InvalidOperation("operations", limit, repr(operations), hint=hint)
    if isinstance(look_ahead, bool) or not isinstance(look_ahead, int) or look_ahead < 1:
        raise InvalidOperation("look_ahead", "a whole number from 1", look_ahead)
    if on_unknown not in {"hold", "resubmit"}:
        raise InvalidOperation("on_unknown", "'hold' or 'resubmit'", on_unknown)
    if on_failed not in {"keep", "resubmit"}:
        raise InvalidOperation("on_failed", "'keep' or 'resubmit'", on_failed)
