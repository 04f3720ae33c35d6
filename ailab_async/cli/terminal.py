"""The progress display of the commands for many pictures, made with rich."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from .output import Photo, Plain
from .streams import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Display
    from rich.progress import TaskID

    from ..batch.outcomes import Progress

__all__ = ["Terminal", "progress_text", "time_text"]

_HOUR: Final = 3600
_MINUTE: Final = 60
_SLOW: Final = 1.0
"""Pictures a second below which a rate is told by the minute."""


class Terminal(Plain):
    """Plain lines above a line of progress that is drawn again and again."""

    def __init__(self, command: str) -> None:
        """Load rich. Raises `ImportError` where it is not installed."""
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.progress import (  # noqa: PLC0415 - an extra
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
        )

        super().__init__(command)
        self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._display: Display = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar: TaskID | None = None
        self._shares_screen = sys.stdout.isatty()

    @contextlib.contextmanager
    def at_work(self, pictures: int) -> Iterator[None]:
        """Draw the progress meanwhile."""
        self._bar = self._display.add_task("", total=pictures)
        try:
            with self._display:
                yield
        finally:
            self._bar = None

    def progress(self, progress: Progress) -> None:
        """Move it on."""
        if self._bar is not None:
            self._display.update(
                self._bar,
                completed=progress.ended,
                description=progress_text(progress),
            )

    def done(self, photo: Photo) -> None:
        """Print above the progress."""
        if not photo.there:
            for path in photo.files:
                if self._shares_screen:
                    self.note(path)
                else:
                    self._out(path)
        if photo.message:
            self.note(photo.line)

    def note(self, text: str) -> None:
        """Print above the progress, or below everything once that is gone."""
        with contextlib.suppress(OSError):  # the terminal has gone
            self._console.print(printable(text), soft_wrap=True)


def progress_text(progress: Progress) -> str:
    """Return what stands beside the bar: rate, time left, what goes on, what went wrong."""
    parts = []
    if progress.rate > 0 and progress.ended > 1:
        slow = progress.rate < _SLOW
        parts.append(
            f"{progress.rate * _MINUTE:.0f}/min"
            if slow
            else f"{progress.rate:.1f}/s".replace(".0/", "/")
        )
        if progress.time_left:
            parts.append(f"{time_text(progress.time_left)} left")
    parts += [
        f"{count:,} {word}"
        for count, word in (
            (progress.uploading, "sending"),
            (progress.open, "open"),
            (progress.saving, "saving"),
            (progress.failed, "failed"),
            (progress.held, "held"),
        )
        if count
    ]
    return ", ".join(parts)


def time_text(seconds: float) -> str:
    """Return a duration as people read it: ``45 s``, ``3:20``, ``2:05:00``."""
    whole = max(1, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    minutes, rest = divmod(whole, _MINUTE)
    if whole < _HOUR:
        return f"{minutes}:{rest:02}"
    return f"{minutes // _MINUTE}:{minutes % _MINUTE:02}:{rest:02}"
