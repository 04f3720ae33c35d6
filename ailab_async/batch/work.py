"""One operation of a batch, from its value to its outcome.

Its phases: its pictures are read and the journal is asked (preparing), it is sent (uploading), its
task is waited for (open), its files are fetched (saving). What the journal knows already is not
done again: a saved operation is only looked for on disk, a done one is fetched, a submitted one is
waited for by its id.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from attrs import evolve

from ..errors import (
    NotDelivered,
    ResultExpired,
    TaskFailed,
    TaskNotFound,
)
from ..protocol.envelope import Reply
from ..protocol.results import walk
from ..submission import Submission
from ..task import TaskRecord
from .account import Account, key_of
from .context import Context, stops_everything
from .entries import EntryState
from .outcomes import Outcome, Timings
from .telling import TellingStore, kept_files

if TYPE_CHECKING:
    from ..files import SavedFile
    from ..operations import Operation, Result
    from ..task import Task
    from .tally import Phase

__all__ = ["Work"]


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
        self._submission: Submission[Any] | None = None
        self._withheld = False
        self._just_saved = False

    @property
    def in_exchange(self) -> bool:
        """Whether its bytes are on their way, or its files: what is best let come to its end."""
        sent = self._submission is not None and self._submission.body.started
        return self.phase == "saving" or (self.phase == "uploading" and sent)

    async def run(self) -> Outcome:
        """Do it. A failure is an outcome."""
        result: Result | None = None
        error: Exception | None = None
        try:
            result = await self._result()
        except Exception as failure:  # noqa: BLE001  one bad picture never costs its neighbours
            error = failure
            self._context.leaving |= stops_everything(failure)
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
        while (other := under_way.get(key)) is not None:
            await asyncio.wait((other,))
        ended = under_way[key] = asyncio.get_running_loop().create_future()
        try:
            result = await self._by_entry(submission)
            if self._context.names is not None and self._files:
                await self._find_own_files(key)
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
        if state is EntryState.SAVED and self._context.session.settings.service.embedded:
            state = await self._renewed_where_lost()
        if state is EntryState.PENDING:
            return await self._new(submission)
        submission.release()
        self._reused = True
        assert account.entry is not None  # noqa: S101  it was planned
        files = account.entry.files
        if state is EntryState.SAVED and not await self._context.presence.of(files):
            if self._context.names is not None:
                self._context.names.release(files)
            await account.lost()
            state = EntryState.DONE
        match state:
            case EntryState.SAVED:
                self._files = files
                if self._context.names is not None:
                    self._context.names.keep(files)
                return self._known_result()
            case EntryState.DONE if account.fresh:
                return await self._kept(await self._known_or_asked_for())
            case EntryState.DONE | EntryState.SUBMITTED:
                return await self._kept(await self._asked_for())
            case _:
                raise account.why()

    async def _renewed_where_lost(self) -> EntryState:
        """Make a saved entry pending where its files are gone; return its state.

        For the engine inside a process: the one that had them ended with an earlier process.
        """
        entry = self._account.entry
        assert entry is not None  # noqa: S101  it was planned
        if await self._context.presence.of(entry.files):
            return EntryState.SAVED
        if self._context.names is not None:
            self._context.names.release(entry.files)
        await self._account.lost()
        await self._account.renew()
        return EntryState.PENDING

    async def _new(self, submission: Submission[Any]) -> Result:
        self._enter("uploading")
        self._submission = submission
        size = submission.body.length
        try:
            async with self._context.sending:
                task = await submission.send(
                    before=self._before_sending, accepted=self._account.accepted
                )
        except BaseException as error:
            # at once: a slot is free now, and nobody is to meet the same in it
            self._context.leaving |= stops_everything(error)
            await self._account.broken_off(error, started=submission.body.started)
            if self._withheld:
                raise asyncio.CancelledError from None
            raise
        self._context.tally.sent += size
        submission.release()
        return await self._kept(await self._ended(task))

    async def _before_sending(self) -> None:
        if not self._context.leaving:
            await self._account.submitting()
        if self._context.leaving:
            self._withheld = True
            text = "The batch was left before this was sent: nothing was received."
            raise NotDelivered(text)

    async def _ended(self, task: Task[Any]) -> Result:
        """Wait for the end of the task."""
        self.task = task
        self._enter("open")
        # then the journal has the result; that the task is done by now says nothing of the kind
        at_once, self._account.at_once = self._account.at_once, False
        if self._context.leaving and not task.done():
            raise asyncio.CancelledError
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
        self._just_saved = True
        return result

    def _stem(self, result: Result, there: dict[int, SavedFile]) -> str:
        """Return what the files are called: as those that are there already, else a free name."""
        names = self._context.names
        assert names is not None  # noqa: S101  asked before
        for file in there.values():
            return PurePath(file.path).stem.rpartition("-")[0]
        return names.claim(result.stem)

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

    async def _find_own_files(self, key: bytes) -> None:
        """Have files of its own where others of this batch have the very same operation.

        Each gets in every run what it got in the first, whichever of them comes first.
        """
        names, given, stem = self._context.names, self._context.given, self.operation.stem
        assert names is not None  # noqa: S101  asked before
        free = key not in given
        if not (free and (self._just_saved or names.called(self._files, stem))):
            find = partial(names.copies, make=not free)
            copies = await self._context.off_loop(find, self._files, stem)
            if copies is not None:
                self._files = copies
                return
        given.add(key)

    # --- what the journal keeps ------------------------------------------------------------------

    def _known_result(self) -> Result:
        """Return the result of the answer that the journal has.

        Pictures that stood in the answer are not in it any more once they are saved: then the
        result's files are those on disk.
        """
        entry, session, kind = self._account.entry, self._context.session, type(self.operation)
        assert entry is not None and entry.raw is not None  # noqa: S101, PT018  it is done
        raw = dict(entry.raw)
        stem = entry.record.get("stem") or self.operation.stem
        if entry.state is EntryState.SAVED and len(walk(raw)) < entry.of:
            result: Result = kind.read_result(raw, kept_files(session.files, entry.files), stem)
            return result
        reply = Reply(raw=raw, http_status=200)
        return session.read(kind, reply, stem=stem, task_id=entry.record.get("id", ""))

    async def _known_or_asked_for(self) -> Result:
        """Return the result in the journal, where that still has all its pictures."""
        entry = self._account.entry
        assert entry is not None and entry.raw is not None  # noqa: S101, PT018  it is done
        if len(walk(entry.raw)) < entry.of:
            return await self._asked_for()
        return self._known_result()

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
