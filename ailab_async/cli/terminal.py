"""The progress display of ``ailab color``, made with rich."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .output import Photo, Plain
from .streams import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

__all__ = ["Terminal"]


class Terminal(Plain):
    """Plain lines above a line of progress that is drawn again and again."""

    def __init__(self) -> None:
        """Load rich. Raises `ImportError` where it is not installed."""
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.progress import (  # noqa: PLC0415 - an extra
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._progress: Progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar: TaskID | None = None
        self._stages: dict[Photo, str] = {}
        self._shares_screen = sys.stdout.isatty()

    @contextlib.contextmanager
    def at_work(self, total: int) -> Iterator[None]:
        """Draw the progress meanwhile."""
        self._bar = self._progress.add_task("", total=total)
        try:
            with self._progress:
                yield
        finally:
            self._bar = None

    def stage(self, photo: Photo, stage: str) -> None:
        """Show what is being done."""
        self._stages[photo] = stage
        self._show()

    def done(self, photo: Photo) -> None:
        """Print above the progress, and move it on."""
        self._stages.pop(photo, None)
        for path in photo.files:
            if self._shares_screen:
                self._above(path)
            else:
                self._out(path)
        if photo.message:
            self._above(photo.line)
        if self._bar is not None:
            self._progress.advance(self._bar)
        self._show()

    def note(self, text: str) -> None:
        """Print above the progress."""
        self._above(text)

    def interrupted(self, text: str) -> None:
        """Print below everything."""
        self._above(text)

    def _show(self) -> None:
        if self._bar is None:
            return
        text = ""
        if self._stages:
            photo, stage = next(iter(self._stages.items()))
            more = f" and {len(self._stages) - 1} more" if len(self._stages) > 1 else ""
            text = printable(f"{stage} {Path(photo.path).name}{more}")
        self._progress.update(self._bar, description=text)

    def _above(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal has gone
            self._console.print(printable(text), soft_wrap=True)
