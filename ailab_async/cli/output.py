"""What ``ailab color`` prints: plain lines, JSON, or (in `terminal`) a progress display.

Paths of files go to standard output, everything else to standard error. File names are shown as
they are, never read as markup, and on a terminal without their control characters.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from .exits import Exit
from .streams import write_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Json", "Photo", "Plain", "Quiet", "Reporter", "choose"]

_HINT: Final = "A progress display needs the package 'rich': pip install 'ailab-async[cli]'"


@define(eq=False)
class Photo:
    """One photo on its way, and what became of it."""

    path: str
    stage: str = ""
    changes: tuple[str, ...] = ()
    task_id: str = ""
    files: list[str] = field(factory=list)
    error: BaseException | None = None
    message: str = ""
    exit_code: int = 0
    seconds: float = 0.0

    @property
    def line(self) -> str:
        """What went wrong, behind the photo's name."""
        return f"{self.path or repr(self.path)}: {self.message}"


class Reporter:
    """Says nothing but errors; the others say more.

    ``lost`` is why standard output could not be written, empty as long as it could.
    """

    lost: str = ""

    def service(self, name: str, text: str) -> None:
        """Which service does the work."""

    def note(self, text: str) -> None:
        """Tell something by the way."""

    def fitted(self, photo: Photo) -> None:
        """A photo was made acceptable; it knows how."""

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
            write_line(sys.stderr, photo.line)

    def summary(self, photos: Iterable[Photo]) -> None:
        """All photos are done."""

    def interrupted(self, text: str) -> None:
        """Say as the last thing how far an interrupted run came."""

    def problem(self, text: str) -> None:
        """Say what makes the whole run impossible."""
        write_line(sys.stderr, f"ailab color: {text}")

    def _out(self, text: str) -> None:
        """Write a line of the answer; a failure must not cost the photos that are on their way."""
        self.lost = self.lost or write_line(sys.stdout, text)


class Quiet(Reporter):
    """Nothing but errors."""


class Plain(Reporter):
    """A line for each file, and for each photo that failed."""

    def service(self, name: str, text: str) -> None:
        """Which service does the work."""
        write_line(sys.stderr, f"Service: {name} ({text})")

    def note(self, text: str) -> None:
        """Tell something by the way."""
        write_line(sys.stderr, text)

    def fitted(self, photo: Photo) -> None:
        """Say how a photo was made acceptable."""
        self.note(f"{photo.path}: {', '.join(photo.changes)}.")

    def done(self, photo: Photo) -> None:
        """Print the paths, or the error."""
        for path in photo.files:
            self._out(path)
        super().done(photo)

    def summary(self, photos: Iterable[Photo]) -> None:
        """Print a line of figures, where there was more than one photo."""
        known = list(photos)
        if len(known) > 1:
            good = sum(not photo.message for photo in known)
            files = sum(len(photo.files) for photo in known)
            text = f"{good} of {len(known)} photos done, {files} file{'s' * (files != 1)} made."
            write_line(sys.stderr, text)

    def interrupted(self, text: str) -> None:
        """Say it."""
        write_line(sys.stderr, text)


class Json(Reporter):
    """One JSON object for each photo on standard output, as they are done."""

    def __init__(self, *, quiet: bool) -> None:
        """The service is part of every object; ``quiet`` leaves notes away."""
        self._service: str | None = None
        self._quiet = quiet

    def service(self, name: str, text: str) -> None:
        """Remember it."""
        _ = text
        self._service = name

    def note(self, text: str) -> None:
        """Tell what no object holds."""
        if not self._quiet:
            write_line(sys.stderr, text)

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
                "changes": list(photo.changes),
                "seconds": round(photo.seconds, 3),
                "error": error,
            }
        )

    def _print(self, value: dict[str, Any]) -> None:
        # ASCII only: a name that is no valid UTF-8 cannot break the line or the stream.
        self._out(json.dumps(value))


def choose(*, as_json: bool, quiet: bool) -> Reporter:
    """Return the manner for these options and this terminal."""
    if as_json:
        return Json(quiet=quiet)
    if quiet:
        return Quiet()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from .terminal import Terminal  # noqa: PLC0415 - an extra

            return Terminal()
        except ImportError:
            plain = Plain()
            plain.note(_HINT)
            return plain
    return Plain()
