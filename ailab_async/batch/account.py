"""What the journal knows of one operation of a batch, and what it is told.

Without a journal nothing is kept, and every operation is new.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from attrs import define, evolve

from ..errors import (
    AILabError,
    InputRejected,
    JournalError,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    ServiceError,
    StateConflict,
    TaskFailed,
)
from .entries import Entry, EntryState, Planned, entry_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..files import SavedFile
    from ..operations import Operation, Result
    from ..protocol.services import Service
    from ..submission import Submission
    from ..task import Task
    from .journal import Journal

__all__ = ["Account", "key_of"]

_SMALL: Final = 1 << 16
"""Bytes that are digested faster than a thread is reached."""

_MARGIN: Final = 60.0
"""Seconds before its end from which an address is not relied on any more."""


async def key_of(submission: Submission[Any], limiter: anyio.CapacityLimiter) -> bytes:
    """Return the key of an operation in a journal: by content, form and service."""
    if submission.body.length <= _SMALL:
        pictures = submission.digests()
    else:
        pictures = await anyio.to_thread.run_sync(submission.digests, limiter=limiter)
    return entry_key(
        service=_identity(submission.session.settings.service),
        operation=submission.receipt.name,
        fields=submission.fields,
        pictures=pictures,
    )


def _identity(service: Service) -> str:
    # an engine elsewhere is a service of its own; the paid ones are one each, at any address
    elsewhere = service.name == "local" and not service.embedded
    return f"{service.name} {service.base_url}" if elsewhere else service.name


@define(eq=False)
class Account:
    """The entry of one operation; every method returns when it is on disk.

    ``at_once`` is whether the service's answer was the result, which was then written down.
    """

    journal: Journal | None
    key: bytes
    entry: Entry | None = None
    marked: bool = False
    at_once: bool = False

    @property
    def state(self) -> EntryState | None:
        """The state of the entry as it was last seen or told; None without a journal."""
        return None if self.entry is None else self.entry.state

    async def plan(self, operation: Operation[Any]) -> EntryState:
        """Enter the operation, and return the state of its entry: pending where it is new."""
        if self.journal is None:
            return EntryState.PENDING
        planned = Planned(key=self.key, operation=operation.name, label=_label(operation))
        (self.entry,) = await self.journal.plan([planned])
        return self.entry.state

    async def retry(self, state: EntryState) -> None:
        """Make the entry pending again; it may be paid for once more."""
        if self.journal is not None:
            await self.journal.retry(state, keys=[self.key])

    async def submitting(self) -> None:
        """The bytes are about to go out, for the first time or again."""
        if self.journal is not None and not self.marked:
            # at once, and not when it is on disk: we may be cancelled while it is written
            self.marked = True
            await self.journal.submitting(self.key)
            self._now(EntryState.SUBMITTING)

    async def accepted(self, task: Task[Any]) -> None:
        """The service has accepted it, or has answered with its result at once."""
        if self.journal is None:
            return
        self.marked = False
        record = task.record()
        if not task.done():
            await self.journal.submitted(self.key, record)
            self._now(EntryState.SUBMITTED, record=record)
            return
        self.at_once = True
        try:
            result = await task
        except AILabError as error:  # paid for, and cannot be read
            await self.journal.unknown(self.key, message=str(error))
            self._now(EntryState.UNKNOWN)
        else:
            await self.done(result, record=record)

    async def done(self, result: Result, *, record: Mapping[str, str] | None = None) -> None:
        """There is a result; ``record`` is that of its task, where none was known before."""
        if self.journal is None:
            return
        ends = [file.expires_at.timestamp() for file in result.files if file.expires_at is not None]
        facts: dict[str, Any] = {"expires_at": min(ends, default=None), "of": len(result.files)}
        await self.journal.done(self.key, result.raw, record=record, **facts)
        if record is not None:
            facts["record"] = record
        self._now(EntryState.DONE if result.files else EntryState.SAVED, raw=result.raw, **facts)

    async def saved(self, number: int, file: SavedFile) -> None:
        """A file of the result is on disk."""
        if self.journal is not None and self.entry is not None:
            await self.journal.saved(self.key, number, file)
            there = {**self.entry.saved, number: file}
            whole = len(there) == self.entry.of
            self._now(EntryState.SAVED if whole else EntryState.DONE, saved=there)

    async def lost(self) -> None:
        """Files of the result are not on disk any more."""
        if self.journal is not None:
            await self.journal.lost(self.key)
            self._now(EntryState.DONE, saved={})

    async def renew(self) -> None:
        """Make the entry pending again, where doing it once more costs nothing."""
        if self.journal is not None:
            await self.journal.renew(keys=[self.key])
            self._now(EntryState.PENDING)

    async def broken_off(self, error: BaseException, *, started: bool) -> None:
        """Sending failed with ``error``; ``started`` says that bytes had gone out."""
        if self.journal is None or not self.marked or isinstance(error, JournalError):
            return
        if isinstance(error, OutcomeUnknown):
            await self.journal.unknown(self.key, message=str(error))
            self._now(EntryState.UNKNOWN)
        elif isinstance(error, ServiceError) and _is_final(error):
            await self.journal.rejected(self.key, code=error.code, message=error.message)
            self._now(EntryState.REJECTED)
        elif isinstance(error, AILabError) or not started:
            await self.journal.withdrawn(self.key)
            self._now(EntryState.PENDING)
        # else we were cancelled in mid-exchange, which goes on and writes down what it is told

    async def failed(self, error: AILabError) -> None:
        """The task has ended without a result, or its result is beyond reach."""
        if self.journal is not None and self.state in {EntryState.SUBMITTED, EntryState.DONE}:
            code = getattr(error, "code", "") or type(error).__name__
            message = getattr(error, "message", "") or str(error)
            await self.journal.failed(self.key, code=code, message=message)
            self._now(EntryState.FAILED)

    def why(self) -> Exception:
        """Return as an error why an entry has ended without a result."""
        entry = self.entry
        assert entry is not None  # noqa: S101  asked only of what was planned
        match entry.state:
            case EntryState.REJECTED:
                return InputRejected(entry.message, code=entry.code)
            case EntryState.FAILED:
                return TaskFailed(
                    task_id=entry.record.get("id", ""), code=entry.code, message=entry.message
                )
            case _:
                text = (
                    f"{entry.label}: {entry.message} It may have been accepted and paid for, and "
                    "is held: look at your account's usage, then send it again with "
                    "on_unknown='resubmit'."
                )
                return OutcomeUnknown(text, action="submit")

    @property
    def fresh(self) -> bool:
        """Whether the answer in the entry still leads to files, as far as its age tells."""
        entry = self.entry
        if entry is None or entry.raw is None:
            return False
        return entry.expires_at is None or time.time() < entry.expires_at - _MARGIN

    def _now(self, state: EntryState, **facts: Any) -> None:
        if self.entry is not None:
            self.entry = evolve(self.entry, state=state, **facts)


def _is_final(error: ServiceError) -> bool:
    """Whether a refusal lies in the operation, so that sending it again would not help."""
    return isinstance(error, InputRejected | NotFound | PlatformError | StateConflict)


def _label(operation: Operation[Any]) -> str:
    for source, _ in operation.pictures().values():
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            if isinstance(path, str):
                return path
    return operation.stem
