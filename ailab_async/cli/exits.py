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
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Final = {
    Exit.DONE: "every photo is done",
    Exit.SOME_FAILED: "a photo failed, or some did and others did not",
    Exit.BAD_INPUT: "wrong usage or unusable photos; nothing was sent, nothing was written",
    Exit.REFUSED: "the service refused: key, credits, plan, or an endpoint that is retired",
    Exit.UNREACHABLE: "the service cannot be reached, or nobody knows what became of a request",
    Exit.CANNOT_WRITE: "the results cannot be written, or files of their names are there already",
    Exit.INTERRUPTED: "interrupted by Ctrl-C (143: by SIGTERM)",
}
"""For ``ailab color --help`` and the documentation."""

_BY_ERROR: Final[tuple[tuple[type[BaseException], Exit], ...]] = (
    (errors.InvalidOperation, Exit.BAD_INPUT),
    (errors.MissingExtra, Exit.BAD_INPUT),
    (errors.AuthenticationError, Exit.REFUSED),
    (errors.CreditsExhausted, Exit.REFUSED),
    (errors.QuotaExceeded, Exit.REFUSED),
    (errors.EndpointRetired, Exit.REFUSED),
    (errors.DeliveryError, Exit.UNREACHABLE),
    (errors.Throttled, Exit.UNREACHABLE),
    (errors.ServiceUnavailable, Exit.UNREACHABLE),
    (errors.MalformedReply, Exit.UNREACHABLE),
    (errors.TaskTimeout, Exit.UNREACHABLE),
    (errors.TaskUnsettled, Exit.UNREACHABLE),
    (errors.FileKept, Exit.CANNOT_WRITE),
    (errors.AILabError, Exit.SOME_FAILED),
    (OSError, Exit.CANNOT_WRITE),
)


def exit_for(error: BaseException) -> Exit:
    """Return the code for one photo's error; the first row that fits decides."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.SOME_FAILED)


def exit_for_all(codes: Iterable[Exit]) -> Exit:
    """Return the code of a run from those of its photos.

    A refusal counts before all else, because it stopped the run. Otherwise the photos' common
    code, or that some failed.
    """
    found = set(codes)
    if Exit.REFUSED in found:
        return Exit.REFUSED
    return found.pop() if len(found) == 1 else Exit.SOME_FAILED


def stops_everything(error: BaseException) -> bool:
    """Whether every other photo would be refused for the same reason."""
    return exit_for(error) is Exit.REFUSED or isinstance(error, errors.MissingExtra)
