"""What the exit codes of ``ailab`` mean, and which error leads to which."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from .. import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MEANINGS", "Exit", "exit_for", "exit_for_all", "stops_everything"]


class Exit(enum.IntEnum):
    """An exit code."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    REFUSED = 3
    UNREACHABLE = 4
    CANNOT_WRITE = 5
    HELD = 6
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Final = {
    Exit.DONE: "everything is done",
    Exit.SOME_FAILED: "a picture failed, or some did and others did not",
    Exit.BAD_INPUT: "wrong usage or unusable pictures; nothing was sent, nothing was written",
    Exit.REFUSED: "the service refused: key, credits, plan, or an endpoint that is retired",
    Exit.UNREACHABLE: "the service cannot be reached",
    Exit.CANNOT_WRITE: "the results or the journal cannot be written",
    Exit.HELD: "a picture is held: it may have been paid for, and nobody can tell",
    Exit.INTERRUPTED: "interrupted by Ctrl-C (143: by SIGTERM)",
}
"""For ``--help`` and the documentation."""

_BY_ERROR: Final[tuple[tuple[type[BaseException], Exit], ...]] = (
    (errors.InvalidOperation, Exit.BAD_INPUT),
    (errors.MissingExtra, Exit.BAD_INPUT),
    (errors.AuthenticationError, Exit.REFUSED),
    (errors.CreditsExhausted, Exit.REFUSED),
    (errors.QuotaExceeded, Exit.REFUSED),
    (errors.EndpointRetired, Exit.REFUSED),
    (errors.OutcomeUnknown, Exit.HELD),
    (errors.DeliveryError, Exit.UNREACHABLE),
    (errors.Throttled, Exit.UNREACHABLE),
    (errors.ServiceUnavailable, Exit.UNREACHABLE),
    (errors.MalformedReply, Exit.UNREACHABLE),
    (errors.TaskTimeout, Exit.UNREACHABLE),
    (errors.TaskUnsettled, Exit.UNREACHABLE),
    (errors.FileKept, Exit.CANNOT_WRITE),
    (errors.JournalError, Exit.CANNOT_WRITE),
    (errors.AILabError, Exit.SOME_FAILED),
    (OSError, Exit.CANNOT_WRITE),
)


def exit_for(error: BaseException) -> Exit:
    """Return the code for one picture's error; the first row that fits decides."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.SOME_FAILED)


def exit_for_all(codes: Iterable[int]) -> Exit:
    """Return the code of a run from those of its pictures.

    A refusal counts before all else, because it stopped the run; then that some are held, because
    running the command again does not change that. Otherwise the pictures' common code, or that
    some failed.
    """
    found = {Exit(code) for code in codes}
    for first in (Exit.REFUSED, Exit.HELD):
        if first in found:
            return first
    return found.pop() if len(found) == 1 else Exit.DONE if not found else Exit.SOME_FAILED


def stops_everything(error: BaseException) -> bool:
    """Whether every other picture would be refused for the same reason."""
    return exit_for(error) is Exit.REFUSED or isinstance(error, errors.MissingExtra)
