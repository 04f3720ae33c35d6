"""How fields of operations are written: the checks and spellings that several of them share."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOperation
from ..images import check_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attrs import Attribute

    from ..images import Part

__all__ = [
    "check_fit",
    "check_integer",
    "check_number",
    "check_picture",
    "check_same_size",
    "decimal_text",
]


def check_picture(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Validate a picture field. Give it also ``repr=show_source`` and ``eq=source_key``."""
    check_source(value, attribute.name)


def check_integer(name: str, value: Any, least: int, most: int) -> int:
    """Return a whole number within limits. A ``bool`` is none, and neither is ``1.0``."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise InvalidOperation(name, f"a whole number from {least} to {most}", value)
    return int(value)


def check_number(name: str, value: Any, least: float, most: float) -> float:
    """Return a number within limits. ``nan`` and the infinities are none, nor is a ``bool``."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most:  # nan is within no limits
        raise InvalidOperation(name, f"a number from {least:g} to {most:g}", value)
    return float(value)


def decimal_text(number: float) -> str:
    """Write a number in plain decimals, without an exponent: ``0.00001``, ``0.4``, ``1``."""
    if not math.isfinite(number):
        message = "only finite numbers can be written"
        raise ValueError(message)
    text = format(Decimal(repr(float(number))), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def check_same_size(
    parts: Mapping[str, Part], field_name: str, other: str, labels: Mapping[str, str]
) -> None:
    """Raise `InvalidOperation` where two pictures are there and differ in width or height."""
    part, model = parts.get(field_name), parts.get(other)
    if part is None or model is None or part.size == model.size:
        return
    limit = f"of the size of {labels.get(other, other)} ({model.width}x{model.height})"
    value = f"{part.width}x{part.height}"
    name = labels.get(field_name, field_name)
    raise InvalidOperation(name, limit, value, hint="Make it for this picture.")


def check_fit(_: object, __: object, value: Any) -> None:
    """Refuse what is neither a yes, a no, nor left to the client."""
    if value is not None and not isinstance(value, bool):
        raise InvalidOperation("fit", "True, False or None", value)
