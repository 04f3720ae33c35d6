"""Counts what a batch is doing, and how fast."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Literal

from .outcomes import Outcome, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Phase", "Tally"]

Phase = Literal["preparing", "uploading", "open", "saving"]

_WINDOW: Final = 60.0
_BEAT: Final = 1.0


class Tally:
    """The figures of one batch."""

    def __init__(self, *, total: int | None, clock: Callable[[], float]) -> None:
        """``total`` is how many operations there are, where that is known."""
        self._total = total
        self._clock = clock
        self._now: Counter[str] = Counter()
        self.pulled = 0
        self.sent = 0
        self._done = self._reused = self._failed = self._held = 0
        # one mark a second at most: how many had ended by then
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])

    def move(self, before: Phase | None, after: Phase | None) -> None:
        """Count one operation in another phase; None is before the first or after the last."""
        if before is not None:
            self._now[before] -= 1
        if after is not None:
            self._now[after] += 1

    def ended(self, outcome: Outcome) -> None:
        """Count an outcome."""
        if outcome.ok:
            self._done += 1
            self._reused += outcome.reused
        elif outcome.held:
            self._held += 1
        else:
            self._failed += 1
        now = self._clock()
        if now - self._marks[-1][0] >= _BEAT:
            self._marks.append((now, self._ended))
            while now - self._marks[0][0] > _WINDOW and len(self._marks) > 1:
                self._marks.popleft()

    @property
    def _ended(self) -> int:
        return self._done + self._failed + self._held

    def snapshot(self) -> Progress:
        """Return the figures as they are."""
        since, ended_then = self._marks[0]
        seconds = self._clock() - since
        rate = (self._ended - ended_then) / seconds if seconds > 0 else 0.0
        left = None if self._total is None else max(0, self._total - self._ended)
        time_left = None if left is None or (left and not rate) else left / rate if left else 0.0
        return Progress(
            pulled=self.pulled,
            total=self._total,
            preparing=self._now["preparing"],
            uploading=self._now["uploading"],
            open=self._now["open"],
            saving=self._now["saving"],
            done=self._done,
            reused=self._reused,
            failed=self._failed,
            held=self._held,
            sent=self.sent,
            rate=rate,
            time_left=time_left,
        )
