"""What ``ailab color`` prints, in three manners: plain lines, a progress display, JSON.

Paths of files go to standard output, everything else to standard error. File names are shown as
they are, never read as markup, and on a terminal without their control characters.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from attrs import define, field

from .exits import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.progress import Progress, TaskID

__all__ = ["Json", "Photo", "Plain", "Quiet", "Reporter", "Terminal", "choose", "printable"]

_HINT: Final = "A progress display needs the package 'rich': pip install 'ailab-async[cli]'"


@define(eq=False)
class Photo:
    """One photo on its way, and what became of it."""

    path: str
    task_id: str = ""
    files: list[str] = field(factory=list)
    error: BaseException | None = None
    message: str = ""
    exit_code: int = 0
    seconds: float = 0.0


class Reporter:
    """Says nothing but errors; the others say more."""

    def service(self, name: str, text: str) -> None:
        """Which service does the work."""

    def note(self, text: str) -> None:
        """Tell something by the way."""

    @contextlib.contextmanager
    def at_work(self, total: int) -> Iterator[None]:
        """Be around all the work on ``total`` photos."""
        _ = total
        yield

    def stage(self, photo: Photo, stage: str) -> None:
        """A photo has come to a stage, as a verb: sending, colouring, saving."""

    def done(self, photo: Photo) -> None:
        """A photo is done, or has failed, or was left out."""
        if photo.message:
            _write(sys.stderr, f"{photo.path}: {photo.message}")

    def summary(self, photos: Iterable[Photo]) -> None:
        """All photos are done."""

    def problem(self, text: str) -> None:
        """Say what makes the whole run impossible."""
        _write(sys.stderr, f"ailab color: {text}")


class Quiet(Reporter):
    """Nothing but errors."""


class Plain(Reporter):
    """A line for each file, and for each photo that failed."""

    def service(self, name: str, text: str) -> None:
        """Which service does the work."""
        _write(sys.stderr, f"Service: {name} ({text})")

    def note(self, text: str) -> None:
        """Tell something by the way."""
        _write(sys.stderr, text)

    def done(self, photo: Photo) -> None:
        """Print the paths, or the error."""
        for path in photo.files:
            _write(sys.stdout, path)
        super().done(photo)

    def summary(self, photos: Iterable[Photo]) -> None:
        """Print a line of figures, where there was more than one photo."""
        known = list(photos)
        if len(known) > 1:
            good = sum(not photo.message for photo in known)
            files = sum(len(photo.files) for photo in known)
            text = f"{good} of {len(known)} photos done, {files} file{'s' * (files != 1)} made."
            _write(sys.stderr, text)


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
        with self._progress:
            yield
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
                _write(sys.stdout, path)
        if photo.message:
            self._above(f"{photo.path}: {photo.message}")
        if self._bar is not None:
            self._progress.advance(self._bar)
        self._show()

    def note(self, text: str) -> None:
        """Print above the progress."""
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
        self._console.print(printable(text), soft_wrap=True)


class Json(Reporter):
    """One JSON object for each photo on standard output, as they are done."""

    def __init__(self) -> None:
        """The service is part of every object."""
        self._service: str | None = None

    def service(self, name: str, text: str) -> None:
        """Remember it."""
        _ = text
        self._service = name

    def done(self, photo: Photo) -> None:
        """Print the photo."""
        error = None
        if photo.message:
            kind = None if photo.error is None else type(photo.error).__name__
            facts = {
                name: getattr(photo.error, name)
                for name in ("code", "http_status", "request_id")
                if getattr(photo.error, name, None)
            }
            reason = Exit(photo.exit_code).name.lower()
            error = {"reason": reason, "message": photo.message, "type": kind, **facts}
        self._print(
            {
                "photo": photo.path,
                "ok": error is None,
                "service": self._service,
                "task_id": photo.task_id or None,
                "files": photo.files,
                "seconds": round(photo.seconds, 3),
                "error": error,
            }
        )

    def _print(self, value: dict[str, Any]) -> None:
        # ASCII only: a name that is no valid UTF-8 cannot break the line or the stream.
        _write(sys.stdout, json.dumps(value))


def choose(*, as_json: bool, quiet: bool) -> Reporter:
    """Return the manner for these options and this terminal."""
    if as_json:
        return Json()
    if quiet:
        return Quiet()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            return Terminal()
        except ImportError:
            plain = Plain()
            plain.note(_HINT)
            return plain
    return Plain()


def printable(text: str) -> str:
    """Return the text without what could move a terminal's cursor or break a line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def _write(stream: IO[str], text: str) -> None:
    """Write a line; names go out as the bytes they came in as, but for a terminal."""
    shown = printable(text) if stream.isatty() else text
    try:
        try:
            print(shown, file=stream, flush=True)
        except UnicodeEncodeError:
            print(printable(text), file=stream, flush=True)
    except BrokenPipeError:
        # Whoever read this has gone, "head" for one; the files are made all the same.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
