"""Figures of a run over many pictures, and the lines that are made of them in the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field

from ..batch.entries import EntryState
from .exits import Exit, exit_for_all
from .report import sheet_state

if TYPE_CHECKING:
    from pathlib import Path

    from .output import Photo

__all__ = ["Totals"]

_KEPT = frozenset({EntryState.FAILED.value, EntryState.REJECTED.value})


@define
class Totals:
    """What became of ``pictures`` pictures; of each only that it is counted."""

    pictures: int
    done: int = 0
    there: int = 0
    files: int = 0
    credits: float = 0.0
    kept: int = 0
    held: int = 0
    open: int = 0
    sending: int = 0
    codes: set[int] = field(factory=set)
    states: Counter[str] = field(factory=Counter)

    def count(self, photo: Photo, *, paid: float = 0.0) -> None:
        """Count a picture, and what was paid for it."""
        self.codes.add(photo.exit_code)
        self.states[sheet_state(photo)] += 1
        self.credits += paid
        self.held += photo.held
        self.kept += photo.state in _KEPT
        if not photo.message:
            self.done += 1
            self.there += photo.there
            self.files += 0 if photo.there else len(photo.files)

    @property
    def code(self) -> Exit:
        """The exit code of a run that came to its end."""
        return exit_for_all(self.codes)

    @property
    def sheet_counts(self) -> Counter[str]:
        """Pictures by state, those too that were not come to."""
        counts = Counter(self.states)
        counts["open"] += self.open
        counts["pending"] += max(0, self.pictures - counts.total())
        return counts

    def summary(self, out: Path) -> str:
        """Return a line of figures, empty for a single picture that was done or not."""
        if self.there and self.there == self.pictures:
            what = (
                "The picture was" if self.pictures == 1 else f"All {self.pictures:,} pictures were"
            )
            whose = "Its results are" if self.pictures == 1 else "Their results are"
            return f"{what} done before, and nothing was sent. {whose} in {out}."
        if self.pictures == 1:
            return ""
        text = self.so_far
        if self.there:
            text += f" ({self.there:,} of them before)"
        text += f", {_several(self.files, 'file')} made"
        return f"{text}, {self.credits:g} credits.".replace(", 0 credits", "")

    @property
    def so_far(self) -> str:
        """How many are done."""
        return f"{self.done:,} of {self.pictures:,} pictures done"

    def left(self) -> list[str]:
        """Return what is to be done about pictures that running the command again leaves alone."""
        lines = []
        if self.held:
            one = self.held == 1
            lines.append(
                f"{_several(self.held, 'picture')} {'is' if one else 'are'} held: "
                f"{'it' if one else 'they'} may have been paid for, and nobody can tell. Look at "
                "your account's usage; --resubmit-unknown sends "
                f"{'it' if one else 'them'} again, and may pay for {'it' if one else 'them'} twice."
            )
        if self.kept:
            lines.append(
                f"{_several(self.kept, 'picture')} failed at the service: the same command again "
                f"leaves {'it' if self.kept == 1 else 'them'} alone, --retry-failed tries again."
            )
        return lines

    def broken_off(self, why: str, *, journal: bool, lasting: bool) -> str:
        """Return how far a run came that did not come to its end, and how to go on.

        ``lasting`` says that the service outlives the run, as the engine inside it does not.
        """
        one = "the picture is done" if self.done else "the picture is not done"
        text = f"{why}: {one if self.pictures == 1 else self.so_far}"
        if lasting and self.open:
            text += f", {self.open:,} open at the service"
        if lasting and self.sending:
            text += f", {self.sending:,} cut off while being sent"
        text += "."
        if not journal:
            return f"{text} With --no-journal the same command begins anew."
        if self.done + sum(self.states[state] for state in ("failed", "rejected", "unknown")) >= (
            self.pictures
        ):
            return text
        text += " Run the same command again to go on."
        if lasting and self.sending:
            text += " What was cut off may have been paid for, and will be held."
        return text


def _several(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"
