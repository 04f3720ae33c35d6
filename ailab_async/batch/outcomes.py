"""What comes out of a batch: one outcome for each operation, and a snapshot of where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ..errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..files import SavedFile
    from ..operations import Operation, Result
    from .entries import EntryState

__all__ = ["Outcome", "Progress", "Timings"]


@frozen(kw_only=True)
class Timings:
    """Where the time of one operation went, in seconds.

    ``preparing`` is reading and checking its pictures and looking into the journal, ``sending``
    waiting for a slot and the upload, ``waiting`` from there to the end of its task, ``saving``
    fetching and writing its files. Each is 0 where that was not done.
    """

    preparing: float = 0.0
    sending: float = 0.0
    waiting: float = 0.0
    saving: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.preparing + self.sending + self.waiting + self.saving


@frozen(kw_only=True)
class Outcome:
    """How one operation of a batch ended: with a ``result``, or with an ``error``, never both.

    ``index`` counts the operations from 0 in the order in which they were given. ``record`` is
    that of its task (``client.attach(record)``), empty where none was accepted. ``files`` are the
    files on disk, where the batch saves them or had done so in an earlier run; ``reused`` says that
    an earlier run had paid for it. ``state`` is that of its entry in the journal, None without one.
    """

    index: int
    operation: Operation[Any]
    result: Result | None = None
    error: Exception | None = None
    record: Mapping[str, str] = field(factory=dict)
    files: tuple[SavedFile, ...] = ()
    reused: bool = False
    state: EntryState | None = None
    timings: Timings = field(factory=Timings)

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    @property
    def held(self) -> bool:
        """Whether it may have been accepted and paid for, and nobody here can tell."""
        return isinstance(self.error, OutcomeUnknown)


@frozen(kw_only=True)
class Progress:
    """A snapshot of a batch.

    ``pulled`` operations were taken from what was given, ``total`` is how many there are (None
    where that is not known). Of those pulled, ``preparing`` are being read or wait for a slot,
    ``uploading`` are on their way, ``open`` are tasks that are waited for, ``saving`` are being
    fetched and written; the others have ended: ``done`` with a result, of which ``reused`` had been
    paid for by an earlier run, ``held`` as `Outcome.held` says, ``failed`` with any other error.

    ``sent`` is in bytes. ``rate`` is how many ended each second of about the last minute,
    ``time_left`` how many seconds the rest takes at that rate, None where nobody can tell.
    """

    pulled: int = 0
    total: int | None = None
    preparing: int = 0
    uploading: int = 0
    open: int = 0
    saving: int = 0
    done: int = 0
    reused: int = 0
    failed: int = 0
    held: int = 0
    sent: int = 0
    rate: float = 0.0
    time_left: float | None = None

    @property
    def ended(self) -> int:
        """How many operations have an outcome."""
        return self.done + self.failed + self.held
