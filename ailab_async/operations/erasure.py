"""Image erasure: what a mask covers is taken out of a picture.

Facts: the page "Image Erasure - API", with its notice of retirement. The local engine makes the
same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from attrs import evolve, field, frozen

from ..images import PictureRules, show_source, source_key
from .base import Fact, FormItem, Operation
from .results import ErasureResult
from .values import check_fit, check_picture, check_same_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images import Part, PictureSource

__all__ = ["ImageErasure"]

RULES: Final = PictureRules(
    formats=("JPEG", "PNG", "BMP", "WEBP"), max_bytes=3 * 2**20, smaller_than=(4096, 4096)
)

MASK_RULES: Final = evolve(RULES, three_channels=True)
"""A mask in the alpha channel would not be seen as one, and the whole picture be paid for."""


@frozen
class ImageErasure(Operation[ErasureResult]):
    """Take out of ``image`` what is white in ``mask``, and fill the place from around it.

    Both are JPEG, PNG, BMP or WEBP, up to 3 MB, smaller than 4096x4096, and of one size; the mask
    is RGB. The page does not say which colour erases; white is the rule of every similar service.
    Upstream asks for at most a quarter of the area.
    """

    name = Fact("image-erase")
    is_async = Fact(default=False)
    credits = Fact[float | None](10)
    result_type = ErasureResult
    labels: ClassVar[Mapping[str, str]] = {"user_mask": "mask"}

    image: PictureSource = field(validator=check_picture, repr=show_source, eq=source_key)
    mask: PictureSource = field(validator=check_picture, repr=show_source, eq=source_key)
    fit: bool | None = field(default=None, validator=check_fit, kw_only=True, repr=False)

    def pictures(self) -> Mapping[str, tuple[PictureSource, PictureRules]]:
        """Return ``image`` and ``user_mask``."""
        return {"image": (self.image, RULES), "user_mask": (self.mask, MASK_RULES)}

    def check(self, parts: Mapping[str, Part]) -> None:
        """Raise `InvalidOperation` for a mask of another size."""
        check_same_size(parts, "user_mask", "image", self.labels)

    def fit_like(self) -> Mapping[str, str]:
        """Return that the mask goes with the picture."""
        return {"user_mask": "image"}

    def form(self, parts: Mapping[str, Part], *, task_type: bool = True) -> tuple[FormItem, ...]:
        """Return both pictures; there is no task."""
        del task_type
        return (parts["image"], parts["user_mask"])
