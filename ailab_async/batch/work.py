"""One operation of a batch, from its value to its outcome.

Its phases: its pictures are read and the journal is asked (preparing), it is sent (uploading), its
task is waited for (open), its files are fetched (saving). What the journal knows already is not
done again: a saved operation is only looked for on disk, a done one is fetched, a submitted one is
waited for by its id.
"""

from __future__ import annotations

import asyncio
import errno
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from attrs import define, evolve, field

from ..drafts import copy_file
from ..errors import (
    AuthenticationError,
    ClientClosed,
    CreditsExhausted,
    JournalBroken,
    MalformedReply,
    QuotaExceeded,
    ResultExpired,
    TaskFailed,
    TaskNotFound,
    TaskUnsettled,
)
from ..protocol.envelope import Reply
from ..submission import Submission
from ..task import TaskRecord
from .account import Account, key_of
from .entries import EntryState
from .outcomes import Outcome, Timings
from .telling import TellingStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..files import SavedFile
    from ..operations import Operation, Result
    from ..rhythm import PollPolicy
    from ..session import Session
    from ..task import Task
    from .journal import Journal
    from .names import Names
    from .tally import Phase, Tally

__all__ = ["Context", "Work", "stops_everything"]

_STOPPING: Final = (
    AuthenticationError,
    ClientClosed,
    CreditsExhausted,
    JournalBroken,
    MalformedReply,
    QuotaExceeded,
)

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def stops_everything(error: BaseException) -> bool:
    """Whether the rest of a batch would meet the same: no credits, a bad key, a full disk."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    unsettled = isinstance(error, TaskUnsettled) and isinstance(error.__cause__, _STOPPING)
    return unsettled or isinstance(error, _STOPPING)


@define(eq=False, kw_only=True)
class Context:
    """What all operations of a batch share."""

    session: Session
    policy: Callable[[Operation[Any]], PollPolicy]
    fits: Callable[[Operation[Any]], bool]
    journal: Journal | None
    tally: Tally
    names: Names | None
    overwrite: bool
    resubmit: frozenset[EntryState]
    verify: bool
    under_way: dict[bytes, asyncio.Future[None]] = field(factory=dict)

    async def off_loop(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run what may block in one of the client's threads."""
        return await anyio.to_thread.run_sync(work, *args, limiter=self.session.threads)


class Work:
    """One operation under way. ``run`` returns its outcome; only a cancellation comes out of it."""

    def __init__(self, context: Context, index: int, operation: Operation[Any]) -> None:
        """``index`` counts the operations of the batch from 0."""
        self.index = index
        self.operation = operation
        self.task: Task[Any] | None = None
        self.phase: Phase | None = None
        self._context = context
        self._clock = asyncio.get_running_loop().time
        self._spent: dict[str, float] = {}
        self._since = self._clock()
        self._files: tuple[SavedFile, ...] = ()
        self._account = Account(context.journal, b"")
        self._reused = False

    async def run(self) -> Outcome:
        """Do it. A failure is an outcome."""
        result: Result | None = None
        error: Exception | None = None
        try:
            result = await self._result()
        except Exception as failure:  # noqa: BLE001  one bad picture never costs its neighbours
            error = failure
        finally:
            self._enter(None)
        spent = {
            "preparing": self._spent.get("preparing", 0.0),
            "sending": self._spent.get("uploading", 0.0),
            "waiting": self._spent.get("open", 0.0),
            "saving": self._spent.get("saving", 0.0),
        }
        return Outcome(
            index=self.index,
            operation=self.operation,
            result=result,
            error=error,
            record={} if self.task is None else self.task.record(),
            files=self._files,
            reused=self._reused,
            state=self._account.state,
            timings=Timings(**spent),
        )

    async def _result(self) -> Result:
        self._enter("preparing")
        submission = await Submission.load(
            self._context.session,
            self.operation,
            fit=self._context.fits(self.operation),
            policy=self._context.policy(self.operation),
        )
        try:
            return await self._once(submission)
        finally:
            submission.release()

    async def _once(self, submission: Submission[Any]) -> Result:
        """Do it once, whoever else of this batch has the very same operation."""
        under_way = self._context.under_way
        if self._context.journal is None:
            return await self._new(submission)
        key = await key_of(submission, self._context.session.threads)
        self._account.key = key
        twin = False
        while (other := under_way.get(key)) is not None:
            twin = True
            await asyncio.wait((other,))
        ended = under_way[key] = asyncio.get_running_loop().create_future()
        try:
            result = await self._by_entry(submission)
            if twin and self._context.names is not None:
                await self._copy()
        finally:
            del under_way[key]
            ended.set_result(None)
        return result

    async def _by_entry(self, submission: Submission[Any]) -> Result:
        """Go on from where the journal says that it is."""
        account = self._account
        state = await account.plan(self.operation)
        if state in self._context.resubmit:
            await account.retry(state)
            state = await account.plan(self.operation)
        if state is EntryState.PENDING:
            return await self._new(submission)
        submission.release()
        self._reused = True
        if state is EntryState.SAVED and not await self._is_on_disk():
            await account.lost()
            state = EntryState.DONE
        match state:
            case EntryState.SAVED:
                assert account.entry is not None  # noqa: S101  it was planned
                self._files = account.entry.files
                return self._known_result()
            case EntryState.DONE if account.fresh:
                return await self._kept(await self._known_or_asked_for())
            case EntryState.DONE | EntryState.SUBMITTED:
                return await self._kept(await self._asked_for())
            case _:
                raise account.why()

    async def _new(self, submission: Submission[Any]) -> Result:
        self._enter("uploading")
        size = submission.body.length
        try:
            task = await submission.send(
                before=self._account.submitting, accepted=self._account.accepted
            )
        except BaseException as error:
            await self._account.broken_off(error, started=submission.body.started)
            raise
        self._context.tally.sent += size
        submission.release()
        return await self._kept(await self._ended(task))

    async def _ended(self, task: Task[Any]) -> Result:
        """Wait for the end of the task."""
        self.task = task
        self._enter("open")
        at_once = task.done()  # then the journal was told when it was accepted
        try:
            result: Result = await task
        except (TaskFailed, TaskNotFound) as error:
            await self._account.failed(error)
            raise
        if not at_once:
            await self._account.done(result)
        return result

    async def _kept(self, result: Result) -> Result:
        """Save the files where the batch does that; else let the result tell the journal."""
        if self._context.names is None:
            return self._told(result)
        self._enter("saving")
        entry = self._account.entry
        there = {} if entry is None else dict(entry.saved)
        stem = self._stem(result, there)
        for number in range(1, len(result.files) + 1):
            if number not in there:
                result, there[number] = await self._save(result, stem, number)
                await self._account.saved(number, there[number])
        self._files = tuple(there[number] for number in sorted(there))
        return result

    def _stem(self, result: Result, there: dict[int, SavedFile]) -> str:
        """Return what the files are called: as those that are there already, else a free name."""
        names = self._context.names
        assert names is not None  # noqa: S101  asked before
        for file in there.values():
            return PurePath(file.path).stem.rpartition("-")[0]
        return result.stem if self._context.overwrite else names.claim(result.stem)

    async def _save(self, result: Result, stem: str, number: int) -> tuple[Result, SavedFile]:
        """Save one file, of a result that is looked up again where its addresses have expired."""
        names, files = self._context.names, self._context.session.files
        assert names is not None  # noqa: S101  asked before
        asked = False
        while True:
            own = evolve(result.files[number - 1], name=f"{stem}-{number}")
            try:
                folder = f"{names.folder}/"
                return result, await files.keep(own, folder, overwrite=self._context.overwrite)
            except ResultExpired as error:
                if asked or not own.task_id:
                    await self._account.failed(error)
                    raise
            asked = True
            result = await self._asked_for()
            self._enter("saving")

    async def _copy(self) -> None:
        """Give a twin files of its own name, made from those on disk."""
        names = self._context.names
        assert names is not None  # noqa: S101  asked before
        stem = names.claim(self.operation.stem)
        copies = []
        for number, file in enumerate(self._files, start=1):
            name = f"{stem}-{number}{PurePath(file.path).suffix}"
            copy = await self._context.off_loop(copy_file, file.path, names.folder, name)
            copies.append(evolve(file, path=str(copy)))
        self._files = tuple(copies)

    # --- what the journal keeps ------------------------------------------------------------------

    async def _is_on_disk(self) -> bool:
        verify, threads = self._context.verify, self._context.session.threads
        return await self._account.is_on_disk(verify=verify, limiter=threads)

    def _known_result(self) -> Result:
        """Return the result of the answer that the journal has."""
        entry = self._account.entry
        assert entry is not None and entry.raw is not None  # noqa: S101, PT018  it is done
        reply = Reply(raw=dict(entry.raw), http_status=200)
        stem = entry.record.get("stem") or self.operation.stem
        task_id = entry.record.get("id", "")
        kind = type(self.operation)
        return self._context.session.read(kind, reply, stem=stem, task_id=task_id)

    async def _known_or_asked_for(self) -> Result:
        """Return the result in the journal; pictures in it are dropped once they are saved."""
        try:
            return self._known_result()
        except MalformedReply:
            return await self._asked_for()

    async def _asked_for(self) -> Result:
        """Wait for the task that an earlier run, or this one, had submitted, once more."""
        entry, session, kind = self._account.entry, self._context.session, type(self.operation)
        held = {} if self.task is None else self.task.record()
        known = (entry.record if entry is not None else {}) or held
        if not (known.get("id") or known.get("request_id")):
            text = (
                "The service answered with this result at once and has no copy, and its files are "
                "gone: send the operation again with on_failed='resubmit'."
            )
            gone = ResultExpired(text, task_id="")
            await self._account.failed(gone)
            raise gone
        record = TaskRecord.from_json(known)
        asked = session.address(
            self.operation.name,
            task_id=record.id,
            job_id=record.request_id,
            job_type=kind.job_type or "",
        )
        policy = self._context.policy(self.operation)
        task = session.known(record, kind, policy)
        if task is None:
            task = session.watched(record, kind, policy, asked, attached=True)
        return await self._ended(task)

    def _told(self, result: Result) -> Result:
        """Return the result with files that tell the journal when they are saved."""
        if self._context.journal is None:
            return result
        store = TellingStore(self._context.session.files, self._account)
        files = tuple(evolve(file, store=store) for file in result.files)
        return evolve(result, files=files)

    def _enter(self, phase: Phase | None) -> None:
        now = self._clock()
        if self.phase is not None:
            self._spent[self.phase] = self._spent.get(self.phase, 0.0) + now - self._since
        self._context.tally.move(self.phase, phase)
        self.phase, self._since = phase, now
