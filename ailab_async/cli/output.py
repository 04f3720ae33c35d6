"""What the commands for many pictures print: plain lines, JSON, or (in `terminal`) progress.

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
    from collections.abc import Iterator

    from ..batch.outcomes import Progress

__all__ = ["Json", "Photo", "Plain", "Quiet", "Reporter", "choose"]

_HINT: Final = "A progress display needs the package 'rich': pip install 'ailab-async[cli]'"


@define(eq=False, kw_only=True)
class Photo:
    """What became of one picture.

    ``message`` is empty where all is well. ``there`` says that an earlier run had saved its
    results, ``reused`` that an earlier run had paid for them; ``held`` that it may have been paid
    for and nobody can tell; ``refused`` that it was left out here, or was not accepted. ``state``
    is that of the journal, empty without one.
    """

    path: str
    changes: tuple[str, ...] = ()
    task_id: str = ""
    files: list[str] = field(factory=list)
    error: BaseException | None = None
    message: str = ""
    exit_code: int = 0
    seconds: float = 0.0
    reused: bool = False
    there: bool = False
    held: bool = False
    refused: bool = False
    state: str = ""

    @property
    def line(self) -> str:
        """What went wrong, behind the picture's name."""
        return f"{self.path or repr(self.path)}: {self.message}"


class Reporter:
    """Says nothing but errors; the others say more.

    ``lost`` is why standard output could not be written, empty as long as it could.
    """

    lost: str = ""

    def __init__(self, command: str) -> None:
        """``command`` is the word after ``ailab``, which stands before its complaints."""
        self._command = command

    def service(self, name: str, text: str) -> None:
        """Which service does the work."""

    def note(self, text: str) -> None:
        """Tell something by the way."""

    def fitted(self, path: str, changes: tuple[str, ...]) -> None:
        """A picture was made acceptable, in these ways."""

    @contextlib.contextmanager
    def at_work(self, pictures: int) -> Iterator[None]:
        """Be around all the work on so many pictures."""
        _ = pictures
        yield

    def progress(self, progress: Progress) -> None:
        """Show where the batch stands; called a few times a second."""

    def done(self, photo: Photo) -> None:
        """A picture is done, or has failed, or was left out."""
        if photo.message:
            write_line(sys.stderr, photo.line)

    def summary(self, text: str) -> None:
        """Say in the end what came of it."""

    def closing(self, text: str) -> None:
        """Say what is to be done about a run that did not come to its end, or not well."""

    def problem(self, text: str) -> None:
        """Say what makes the whole run impossible."""
        write_line(sys.stderr, f"ailab {self._command}: {text}")

    def _out(self, text: str) -> None:
        """Write a line of the answer; a failure must not cost the pictures under way."""
        self.lost = self.lost or write_line(sys.stdout, text)


class Quiet(Reporter):
    """Nothing but errors."""


class Plain(Reporter):
    """A line for each file, and for each picture that failed."""

    def service(self, name: str, text: str) -> None:
        """Which service does the work."""
        self.note(f"Service: {name} ({text})")

    def note(self, text: str) -> None:
        """Tell something by the way."""
        write_line(sys.stderr, text)

    def fitted(self, path: str, changes: tuple[str, ...]) -> None:
        """Say how a picture was made acceptable."""
        self.note(f"{path}: {', '.join(changes)}.")

    def done(self, photo: Photo) -> None:
        """Print the paths of files that are new, or the error."""
        if not photo.there:
            for path in photo.files:
                self._out(path)
        super().done(photo)

    def summary(self, text: str) -> None:
        """Say it."""
        self.note(text)

    def closing(self, text: str) -> None:
        """Say it."""
        self.note(text)


class Json(Reporter):
    """One JSON object for each picture on standard output, as they are done."""

    def __init__(self, command: str, *, quiet: bool) -> None:
        """The service is part of every object; ``quiet`` leaves notes away."""
        super().__init__(command)
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

    def closing(self, text: str) -> None:
        """Tell it: no object holds it."""
        self.note(text)

    def done(self, photo: Photo) -> None:
        """Print the picture."""
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
                "reused": photo.reused,
                "changes": list(photo.changes),
                "seconds": round(photo.seconds, 3),
                "error": error,
            }
        )

    def _print(self, value: dict[str, Any]) -> None:
        # ASCII only: a name that is no valid UTF-8 cannot break the line or the stream.
        self._out(json.dumps(value))


def choose(command: str, *, as_json: bool, quiet: bool) -> Reporter:
    """Return the manner for these options and this terminal."""
    if as_json:
        return Json(command, quiet=quiet)
    if quiet:
        return Quiet(command)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from .terminal import Terminal  # noqa: PLC0415 - an extra

            return Terminal(command)
        except ImportError:
            plain = Plain(command)
            plain.note(_HINT)
            return plain
    return Plain(command)
