"""Image micro motion: a video in which the sky or the hair of a picture moves.

Facts: the page "Image Micro Motion - API", with its notice of retirement. Upstream explains the
bits. The local engine makes the same.
"""

from __future__ import annotations

from enum import Flag
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from ..errors import InvalidOperation
from ..images import PictureRules, show_source, source_key
from .base import Fact, FormItem, Operation, TextField
from .results import MotionResult
from .values import check_fit, check_picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images import Part, PictureSource

__all__ = ["MicroMotion", "Motion"]

RULES: Final = PictureRules(
    formats=("JPEG", "PNG", "BMP"),
    max_bytes=3 * 2**20,
    larger_than=(32, 32),
    smaller_than=(2000, 2000),
)


class Motion(Flag):
    """What moves; both with ``Motion.SKY | Motion.HAIR``."""

    SKY = 0b01
    HAIR = 0b10


def _check_motion(_: object, __: object, value: Any) -> None:
    if not isinstance(value, Motion) or not value:
        limit = "Motion.SKY, Motion.HAIR or Motion.SKY | Motion.HAIR"
        raise InvalidOperation("motion", limit, value)


@frozen
class MicroMotion(Operation[MotionResult]):
    """Make a video of ``image`` in which the sky, the hair or both move slightly.

    ``image`` is JPEG, PNG or BMP, up to 3 MB, larger than 32x32 and smaller than 2000x2000.
    """

    name = Fact("micro-motion")
    is_async = Fact(default=False)
    credits = Fact[float | None](15)
    result_type = MotionResult

    image: PictureSource = field(validator=check_picture, repr=show_source, eq=source_key)
    motion: Motion = field(validator=_check_motion)
    fit: bool | None = field(default=None, validator=check_fit, kw_only=True, repr=False)

    def pictures(self) -> Mapping[str, tuple[PictureSource, PictureRules]]:
        """Return ``image``."""
        return {"image": (self.image, RULES)}

    def form(self, parts: Mapping[str, Part], *, task_type: bool = True) -> tuple[FormItem, ...]:
        """Return the form; the motion is a string of bits, the lowest of them the sky's."""
        del task_type  # there is no task
        bits = TextField(name="operation", value=f"{self.motion.value:02b}")
        return (parts["image"], bits)
