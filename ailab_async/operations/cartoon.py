"""The cartoon generator: a picture drawn in one of nine styles.

Facts: docs: ai-image/effects/ai-anime-generator/api. The short side of the output is 1536 pixels;
what is wider than 1.5 to 1 is cropped to that.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final

from attrs import field, frozen

from ..images import PictureRules, show_source, source_key
from .base import Fact, FormItem, Operation, TextField
from .results import CartoonResult
from .values import check_fit, check_integer, check_picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images import Part, PictureSource

__all__ = ["CartoonGenerator", "CartoonStyle"]

RULES: Final = PictureRules(
    formats=("JPEG", "PNG", "BMP", "WEBP"),
    max_bytes=10 * 2**20,
    at_least=(256, 256),
    at_most=(5760, 3240),
)


class CartoonStyle(IntEnum):
    """The styles, by the number that the service gives them."""

    VINTAGE_COMIC = 0
    FAIRY_TALE_3D = 1
    TWO_DIMENSIONAL = 2
    REFRESHING_AND_ELEGANT = 3
    FUTURE_TECHNOLOGY = 4
    CHINESE_PAINTING = 5
    GENERAL_IN_BATTLES = 6
    COLORFUL_CARTOON = 7
    GRACEFUL_CHINESE = 8


def _style(value: CartoonStyle | int) -> CartoonStyle:
    return CartoonStyle(check_integer("style", value, 0, max(CartoonStyle)))


@frozen
class CartoonGenerator(Operation[CartoonResult]):
    """Draw ``image`` in a ``style``, a `CartoonStyle` or its number.

    ``image`` is JPEG, PNG, BMP or WEBP, up to 10 MB, from 256x256 up to 5760 wide and 3240 high.
    """

    name = Fact("cartoon-generator")
    is_async = Fact(default=True)
    credits = Fact[float | None](10)
    job_type: ClassVar[str | None] = "GENERATE_CARTOONIZED_IMAGE"
    result_type = CartoonResult

    image: PictureSource = field(validator=check_picture, repr=show_source, eq=source_key)
    style: CartoonStyle = field(converter=_style)
    fit: bool | None = field(default=None, validator=check_fit, kw_only=True, repr=False)

    def pictures(self) -> Mapping[str, tuple[PictureSource, PictureRules]]:
        """Return ``image``."""
        return {"image": (self.image, RULES)}

    def form(self, parts: Mapping[str, Part], *, task_type: bool = True) -> tuple[FormItem, ...]:
        """Return the form; the style goes by its number."""
        index = TextField(name="index", value=str(int(self.style)))
        task = (TextField(name="task_type", value="async"),) if task_type else ()
        return (*task, parts["image"], index)
