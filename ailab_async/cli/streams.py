"""Lines on standard output and standard error, whatever these are: full, closed or gone."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["every_stream", "printable", "write_line"]


@contextlib.contextmanager
def every_stream() -> Iterator[None]:
    """Give the process the standard streams it was started without (``>&-``), as null devices.

    Otherwise the numbers of the missing ones would go to the next files that are opened, and what
    others print would land in these.
    """
    with contextlib.ExitStack() as stack:
        for name in ("stdin", "stdout", "stderr"):
            if getattr(sys, name) is None:
                mode = "r" if name == "stdin" else "w"
                null = stack.enter_context(Path(os.devnull).open(mode, encoding="utf-8"))
                setattr(sys, name, null)
                stack.callback(setattr, sys, name, None)
        yield


def printable(text: str) -> str:
    """Return the text without what could move a terminal's cursor or break a line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def write_line(stream: IO[str], text: str) -> str:
    """Write a line, and return why that could not be done, ``""`` where it could.

    Names go out as the bytes they came in as, but for a terminal. A reader that has gone, ``head``
    for one, is no failure: it has read what it wanted. Raises nothing; after a failure the stream
    is a null device.
    """
    try:
        shown = printable(text) if stream.isatty() else text
        try:
            print(shown, file=stream, flush=True)
        except UnicodeEncodeError:
            print(printable(text), file=stream, flush=True)
    except (OSError, ValueError) as error:  # ValueError: a closed file
        # What is still in the buffer would fail again when the interpreter ends.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(null, stream.fileno())
            finally:
                os.close(null)
        if isinstance(error, BrokenPipeError):
            return ""
        return getattr(error, "strerror", None) or str(error)
    return ""
