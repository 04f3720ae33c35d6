"""What is said of the photos and of the run when it was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .exits import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .output import Photo

__all__ = ["closing_line", "interrupted"]

_CODES: Final = frozenset({Exit.INTERRUPTED, Exit.TERMINATED})


def interrupted(photo: Photo, *, lasting: bool) -> str:
    """Return what became of a photo that is not done.

    ``lasting`` says that the service outlives this run, as the engine inside it does not.
    """
    if not photo.stage:
        return "was not sent: the run was interrupted."
    if not (lasting and photo.task_id):
        return "was interrupted."
    if photo.stage == "saving":
        has_it = f"the service has it as task {photo.task_id}, for 24 hours"
        return f"was interrupted while it was saved; {has_it}."
    return f"was interrupted; the service goes on with task {photo.task_id}."


def closing_line(photos: Sequence[Photo], *, overwrite: bool, lasting: bool, orphaned: bool) -> str:
    """Return how far the run came, and what running it again would do.

    ``orphaned`` says that the service accepted a photo after the interruption.
    """
    good = sum(not photo.message for photo in photos)
    text = f"Interrupted: {good} of {len(photos)} photos done"
    left = [photo for photo in photos if photo.exit_code in _CODES]
    if not left:
        return f"{text}."
    text += "; run the same command again"
    if good:
        # a photo whose results are there is left out
        text += f"{', without --overwrite,' if overwrite else ''} to go on with the others."
    else:
        text += " to make them."
    if orphaned or (lasting and any(photo.task_id for photo in left)):
        text += " Photos whose tasks go on at the service would be sent a second time."
    return text
