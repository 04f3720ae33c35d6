"""HD colour migration: a picture in other colours, of which the portrait part keeps its own.

Facts, the order of the fields and the values of ``mode``: the service's page of
``/api/image/effects/image-hd-color-migration``, with its notice of retirement, and the RapidAPI
listing ``hd-colour-migration``. The local engine makes the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from attrs import define, field, frozen

from ..errors import InvalidOperation
from ..images import PictureRules, show_source, source_key
from .base import Fact, FormItem, Operation, TextField
from .results import ColorMigrationResult
from .values import check_fit, check_integer, check_number, check_picture, decimal_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images import Part, PictureSource

__all__ = ["Auto", "HDColorMigration", "Mode", "RefPic", "Template"]

RULES: Final = PictureRules(
    formats=("PNG", "JPEG"),
    max_bytes=3 * 2**20,
    larger_than=(64, 64),
    smaller_than=(10000, 10000),
    three_channels=True,
)
"""For the picture and for the reference: "all images must be RGB 3-channel" (RapidAPI listing)."""

MOST_RESULTS: Final = 8
MOST_COLORS: Final = 7

# The pages say "ARGB", but each of their samples has six digits, RGB; one has a "#".
_COLOR: Final = re.compile(r"#?([0-9A-Fa-f]{6})")


def _color_count(value: int) -> int:
    return check_integer("color_count", value, 1, MOST_RESULTS)


@frozen
class Auto:
    """``AUTO``: ``color_count`` results, 1 to 8, sampled evenly over the colours there are."""

    color_count: int = field(default=1, converter=_color_count)


@define(frozen=True, init=False)
class Template:
    """``TEMPLATE``: 1 to 7 colours that become the picture's main ones; one result.

    A colour is six hexadecimal digits, RGB, with or without ``#``; kept in upper case without it.
    Upstream says that the tone of faces changes only with two colours or more.
    """

    colors: tuple[str, ...]

    def __init__(self, *colors: str) -> None:
        """Raise `InvalidOperation` for no colour, more than seven, or one that is none."""
        if not 1 <= len(colors) <= MOST_COLORS:
            limit = f"1 to {MOST_COLORS} colours"
            raise InvalidOperation("color_template", limit, f"{len(colors)} of them")
        # not the attrs __init__, whose one argument would be a tuple
        object.__setattr__(self, "colors", tuple(_color(color) for color in colors))


def _color(value: object) -> str:
    found = _COLOR.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        hint = "" if isinstance(value, str) else "Give each colour by itself: Template(*colors)."
        limit = "six hexadecimal digits, as '056A6B'"
        raise InvalidOperation("color_template", limit, value, hint=hint)
    return found[1].upper()


@frozen
class RefPic:
    """``REF_PIC``: the picture gets the colours of this one; one result."""

    image: PictureSource = field(validator=check_picture, repr=show_source, eq=source_key)


Mode = Auto | Template | RefPic
"""How the new colours are found."""


def _check_mode(_: object, __: object, value: Any) -> None:
    if not isinstance(value, Auto | Template | RefPic):
        hint = "For example mode=Auto(color_count=4)."
        raise InvalidOperation("mode", "Auto(), Template() or RefPic()", value, hint=hint)


def _degree(value: float) -> float:
    return check_number("degree", value, 0, 1)


@frozen
class HDColorMigration(Operation[ColorMigrationResult]):
    """Give a picture new colours.

    ``image`` is PNG or JPEG, RGB, up to 3 MB, larger than 64x64 and smaller than 10000x10000.
    ``mode`` says how the colours are found; ``degree``, 0 to 1, how far to go.
    """

    name = Fact("hd-color-migration")
    is_async = Fact(default=True)
    credits = Fact[float | None](4)
    job_type: ClassVar[str | None] = "HD_COLOUR_MIGRATION"
    result_type = ColorMigrationResult

    image: PictureSource = field(validator=check_picture, repr=show_source, eq=source_key)
    mode: Mode = field(factory=Auto, validator=_check_mode)
    degree: float = field(default=0.4, converter=_degree, kw_only=True)
    fit: bool | None = field(default=None, validator=check_fit, kw_only=True, repr=False)

    def pictures(self) -> Mapping[str, tuple[PictureSource, PictureRules]]:
        """Return ``image``, and ``ref`` in the mode that has one."""
        found: dict[str, tuple[Any, PictureRules]] = {"image": (self.image, RULES)}
        if isinstance(self.mode, RefPic):
            found["ref"] = (self.mode.image, RULES)
        return found

    def form(self, parts: Mapping[str, Part], *, task_type: bool = True) -> tuple[FormItem, ...]:
        """Return the form; another mode's field would be an error at the service."""
        items: list[FormItem] = []
        if task_type:
            items.append(TextField(name="task_type", value="async"))
        items.append(parts["image"])
        degree = TextField(name="degree", value=decimal_text(self.degree))
        match self.mode:
            case Auto(color_count=count):
                own: FormItem = TextField(name="color_count", value=str(count))
                word = "AUTO"
            case Template(colors=colors):
                own = TextField(name="color_template", value=",".join(colors))
                word = "TEMPLATE"
            case RefPic():
                own = parts["ref"]
                word = "REF_PIC"
        return (*items, TextField(name="mode", value=word), degree, own)
