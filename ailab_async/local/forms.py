"""From the fields of a form to a checked request: one small reader for each operation.

Operation values decide what is acceptable, the same as in the client; a reader only turns texts
into them, and them into what a worker is told. What a form leaves out has the documented default.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from attrs import field, frozen

from ..errors import InvalidOperation
from ..operations import (
    Auto,
    CartoonGenerator,
    CartoonStyle,
    Endpoint,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Motion,
    Operation,
    RefPic,
    Template,
)
from .answers import Code, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Field", "Form", "Request"]

_MAX_DIGITS: Final = 9
_OWN_FIELDS: Final = {"AUTO": "color_count", "TEMPLATE": "color_template", "REF_PIC": "ref"}
_MOTIONS: Final = ("1", "01", "10", "11")
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_DEGREE: Final = "0.4"

Form: TypeAlias = "Mapping[str, str | bytes]"
"""Texts as they are, files as their bytes."""

_T = TypeVar("_T")


@frozen(kw_only=True)
class Request:
    """A form that was read: the operation, and what a worker is told beside the pictures.

    ``formats`` are those that a result may have: the picture's own where it is one of them, else
    the first.
    """

    operation: Operation[Any]
    job: dict[str, Any]
    formats: tuple[str, ...] = ("PNG", "JPEG")


@frozen(kw_only=True)
class Field:
    """A field as the description of the interface shows it; ``schema`` is JSON Schema.

    ``other_name`` is one that it may have instead.
    """

    name: str
    text: str
    schema: Mapping[str, Any] = field(factory=lambda: {"type": "string"})
    required: bool = False
    other_name: str = ""


_FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}

IMAGE: Final = Field(name="image", text="The picture.", schema=_FILE, required=True)
INDEX: Final = Field(
    name="index",
    text="The style.",
    schema={"type": "integer", "minimum": 0, "maximum": max(CartoonStyle)},
    required=True,
    other_name="type",
)
OPERATION: Final = Field(
    name="operation",
    text="What moves, as bits: the lowest the sky, the second the hair.",
    schema={"type": "string", "enum": list(_MOTIONS)},
    required=True,
)
TASK_TYPE: Final = Field(
    name="task_type",
    text="Always a task.",
    schema={"type": "string", "enum": ["async"], "default": "async"},
)
DEGREE: Final = Field(
    name="degree",
    text="How strongly.",
    schema={"type": "number", "minimum": 0, "maximum": 1, "default": float(_DEGREE)},
)
COLOR_FIELDS: Final = (
    Field(
        name="mode",
        text="Where the new colours come from.",
        schema={"type": "string", "enum": list(_OWN_FIELDS), "default": "AUTO"},
    ),
    Field(
        name="color_count",
        text="AUTO only: how many results.",
        schema={"type": "integer", "minimum": 1, "maximum": 8, "default": 1},
    ),
    Field(name="color_template", text="TEMPLATE only: 1 to 7 colours, as 056A6B,0A0B0C."),
    Field(name="ref", text="REF_PIC only: the picture whose colours are taken.", schema=_FILE),
)


def mask(name: str) -> Field:
    """Return the field of a mask."""
    text = "RGB, of the picture's size; what is white is erased."
    return Field(name=name, text=text, schema=_FILE, required=True)


# --- readers ------------------------------------------------------------------------------------


def hd_color_migration(form: Form) -> Request:
    """``image``, ``mode`` with its own field, ``degree``."""
    _always_a_task(form)
    mode, job = _mode(form)
    job["degree"] = degree = _decimal(form, "degree", _DEGREE)
    image = _file(form, "image")
    operation = _checked(lambda: HDColorMigration(image, mode, degree=degree))
    return Request(operation=operation, job=job)


def color_migration(form: Form) -> Request:
    """As above for smaller pictures, without a degree: the usual one; a result is always PNG."""
    mode, job = _mode(form)
    job["degree"] = float(_DEGREE)
    fields: dict[str, Any] = {"mode": job["mode"], "image": _file(form, "image")}
    if isinstance(mode, RefPic):
        fields["ref"] = mode.image
    operation = _checked(lambda: Endpoint("image-color-migration", **fields))
    return Request(operation=operation, job=job, formats=("PNG",))


def erasure(form: Form) -> Request:
    """``image`` and ``user_mask``; the result is PNG, as what is not masked stays as it is."""
    image, user_mask = _file(form, "image"), _file(form, "user_mask")
    operation = _checked(lambda: ImageErasure(image, user_mask))
    return Request(operation=operation, job={"operation": "erase"}, formats=("PNG",))


def remove_objects(form: Form) -> Request:
    """``image`` and ``mask``: the same as erasure under the name that the service keeps."""
    image, own_mask = _file(form, "image"), _file(form, "mask")
    operation = _checked(lambda: Endpoint("remove-objects", image=image, mask=own_mask))
    return Request(operation=operation, job={"operation": "erase"}, formats=("PNG",))


def micro_motion(form: Form) -> Request:
    """``image`` and ``operation``."""
    bits = _one_of(form, "operation", _MOTIONS)
    motion = Motion(int(bits, 2))
    image = _file(form, "image")
    job = {"operation": "animate", "sky": Motion.SKY in motion, "hair": Motion.HAIR in motion}
    return Request(operation=_checked(lambda: MicroMotion(image, motion)), job=job)


def cartoon(form: Form) -> Request:
    """``image`` and ``index``, which the service's openapi.json and its own SDK call ``type``."""
    _always_a_task(form)
    if "type" in form and "index" in form:
        raise wrong("type", "is another name of index; give one of them")
    style = _whole(form, "type" if "type" in form else "index", "")
    image = _file(form, "image")
    operation = _checked(lambda: CartoonGenerator(image, style))
    return Request(operation=operation, job={"operation": "cartoon", "style": style})


def _mode(form: Form) -> tuple[Auto | Template | RefPic, dict[str, Any]]:
    name = _one_of(form, "mode", tuple(_OWN_FIELDS), "AUTO")
    for other, own in _OWN_FIELDS.items():
        if other != name and own in form:
            raise wrong(own, f"belongs to the mode {other}, not to {name}")
    job: dict[str, Any] = {"operation": "recolor", "mode": name}
    match name:
        case "AUTO":
            job["color_count"] = count = _whole(form, "color_count", "1")
            return _checked(lambda: Auto(color_count=count)), job
        case "TEMPLATE":
            colors = _text(form, "color_template", "").split(",")
            template = _checked(lambda: Template(*colors))
            job["colors"] = [list(bytes.fromhex(color)) for color in template.colors]
            return template, job
        case _:
            reference = _file(form, "ref")
            return _checked(lambda: RefPic(reference)), job


def _always_a_task(form: Form) -> None:
    if _text(form, "task_type", "async") != "async":
        raise wrong("task_type", "must be async")


# --- values -------------------------------------------------------------------------------------


def wrong(name: str, what: str) -> Refused:
    """Return the refusal of a field's value, in the words of the service."""
    return Refused(
        Code.UNSUPPORTED_PARAMETER_VALUES, f"Invalid parameter values. - {name}: {what}."
    )


def _checked(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except InvalidOperation as error:
        raise wrong(error.field, f"must be {error.limit}, not {error.value}") from None


def _text(form: Form, name: str, default: str) -> str:
    value = form.get(name, default)
    if isinstance(value, bytes):
        raise wrong(name, "must be text, not a file")
    return value


def _file(form: Form, name: str) -> bytes:
    value = form.get(name, b"")
    if isinstance(value, str):
        raise wrong(name, "must be a file, with a file name, not text")
    if not value:
        raise wrong(name, "Cannot be empty")
    return value


def _one_of(form: Form, name: str, values: tuple[str, ...], default: str = "") -> str:
    text = _text(form, name, default)
    if text not in values:
        raise wrong(name, f"must be one of {', '.join(values)}")
    return text


def _decimal(form: Form, name: str, default: str) -> float:
    text = _text(form, name, default)
    if not _DECIMAL.fullmatch(text):
        raise wrong(name, f"must be a plain decimal number, not {text[:20]!r}")
    return float(text)


def _whole(form: Form, name: str, default: str) -> int:
    text = _text(form, name, default)
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise wrong(name, f"must be a whole number, not {text[:20]!r}")
    return int(text)
