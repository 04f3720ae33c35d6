"""From a multipart request to a checked job: the same rules that the client applies.

Operation values and picture rules decide what is acceptable; this module only reads the form and
says what was refused in the service's codes.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ..errors import InvalidOperation
from ..images import Part, PictureRules, load_part
from ..images.headers import read_header, sniff
from ..operations import Auto, HDColorMigration, RefPic, Template
from .answers import Code, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

__all__ = ["MAX_BODY", "color_migration", "read_form"]

MAX_BODY: Final = 8 << 20
"""Two pictures of 3 MB, the fields and the multipart headers fit well; more is never read."""

_MAX_FIELDS: Final = 16
_MAX_FIELD_BYTES: Final = 4096
_MAX_DIGITS: Final = 9
_OWN_FIELDS: Final = {"AUTO": "color_count", "TEMPLATE": "color_template", "REF_PIC": "ref"}
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")

_T = TypeVar("_T")


async def read_form(request: Request) -> dict[str, str | bytes]:
    """Read the whole form into memory: texts as they are, files as their bytes.

    Raises `Refused` where it is no multipart form, or has too many parts.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(Code.ERROR_PARAMETERS, "The body must be multipart/form-data.")
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=len(("image", "ref")),
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    # The body is bounded as a whole, so it never has to spill to disk on the event loop.
    parser.spool_max_size = MAX_BODY + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(Code.ERROR_PARAMETERS, error.message) from None
    try:
        return await _values(form)
    finally:
        await form.close()


async def _values(form: FormData) -> dict[str, str | bytes]:
    values: dict[str, str | bytes] = {}
    for name, value in form.multi_items():
        if name in values:
            raise _wrong(name, "was given twice")
        values[name] = await value.read() if isinstance(value, UploadFile) else value
    return values


async def color_migration(
    form: dict[str, str | bytes], *, limiter: anyio.CapacityLimiter
) -> tuple[dict[str, Any], list[bytes]]:
    """Check a form for HD colour migration; return the worker's job and the pictures.

    The fields are those of docs: ai-image/effects/image-hd-color-migration/api. Raises `Refused`.
    """
    operation, job = _operation(form)
    pictures = operation.pictures()
    parts: dict[str, Part] = {}
    for name, (source, rules) in pictures.items():
        try:
            parts[name] = await load_part(source, rules, field=name, limiter=limiter)
        except InvalidOperation as error:
            assert isinstance(source, bytes)  # noqa: S101 - see _operation
            refusal = partial(_refusal, error, source, rules)
            raise await anyio.to_thread.run_sync(refusal, limiter=limiter) from None
    _checked(lambda: operation.check(parts))
    job["format"] = "PNG" if parts["image"].format == "PNG" else "JPEG"
    return job, [part.data for part in parts.values()]


def _operation(form: dict[str, str | bytes]) -> tuple[HDColorMigration, dict[str, Any]]:
    # What a form leaves out has the documented default: AUTO, 0.4, one colour.
    if _text(form, "task_type", "async") != "async":
        raise _wrong("task_type", "must be async")
    mode_name = _text(form, "mode", "AUTO")
    if mode_name not in _OWN_FIELDS:
        raise _wrong("mode", f"must be one of {', '.join(_OWN_FIELDS)}")
    for other, name in _OWN_FIELDS.items():
        if other != mode_name and name in form:
            raise _wrong(name, f"belongs to the mode {other}, not to {mode_name}")
    degree = _decimal(form, "degree", "0.4")
    job: dict[str, Any] = {"mode": mode_name, "degree": degree}
    image = _file(form, "image")
    mode: Auto | Template | RefPic
    match mode_name:
        case "AUTO":
            job["color_count"] = count = _whole(form, "color_count", "1")
            mode = _checked(lambda: Auto(color_count=count))
        case "TEMPLATE":
            colors = _text(form, "color_template", "").split(",")
            template = mode = _checked(lambda: Template(*colors))
            job["colors"] = [list(bytes.fromhex(color)) for color in template.colors]
        case _:
            reference = _file(form, "ref")
            mode = _checked(lambda: RefPic(reference))
    return _checked(lambda: HDColorMigration(image, mode, degree=degree)), job


def _refusal(error: InvalidOperation, data: bytes, rules: PictureRules) -> Refused:
    """Say which rule a picture broke in a code of the service, by asking each rule again."""
    code = _broken_rule(data, rules)
    return Refused(code, f"{error.field}: must be {error.limit}, not {error.value}.")


def _broken_rule(data: bytes, rules: PictureRules) -> Code:
    name = "image"
    if _breaks(lambda: rules.check_bytes(name, len(data))):
        return Code.FILE_SIZE_EXCEEDS_LIMIT
    if sniff(data) not in rules.formats:
        return Code.UNSUPPORTED_FILE_TYPES
    try:
        header = read_header(data, name)
    except InvalidOperation:
        return Code.FILE_DECODING_FAILURE
    if _breaks(lambda: rules.check_size(name, (header.width, header.height))):
        small = header.width < rules.smallest[0] or header.height < rules.smallest[1]
        return Code.ERROR_LOW_RESOLUTION if small else Code.FILE_RESOLUTION_EXCEEDS_LIMITS
    if _breaks(lambda: rules.check_mode(name, header.mode)):
        return Code.ERROR_UNSUPPORTED_GRAYSCALE_IMAGE
    return Code.ERROR_INVALID_FILE


def _breaks(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidOperation:
        return True
    return False


def _checked(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except InvalidOperation as error:
        raise _wrong(error.field, f"must be {error.limit}, not {error.value}") from None


def _wrong(name: str, what: str) -> Refused:
    return Refused(
        Code.UNSUPPORTED_PARAMETER_VALUES, f"Invalid parameter values. - {name}: {what}."
    )


def _text(form: dict[str, str | bytes], name: str, default: str) -> str:
    value = form.get(name, default)
    if isinstance(value, bytes):
        raise _wrong(name, "must be text, not a file")
    return value


def _file(form: dict[str, str | bytes], name: str) -> bytes:
    value = form.get(name, b"")
    if isinstance(value, str):
        raise _wrong(name, "must be a file, with a file name, not text")
    if not value:
        raise _wrong(name, "Cannot be empty")
    return value


def _decimal(form: dict[str, str | bytes], name: str, default: str) -> float:
    text = _text(form, name, default)
    if not _DECIMAL.fullmatch(text):
        raise _wrong(name, f"must be a plain decimal number, not {text[:20]!r}")
    return float(text)


def _whole(form: dict[str, str | bytes], name: str, default: str) -> int:
    text = _text(form, name, default)
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise _wrong(name, f"must be a whole number, not {text[:20]!r}")
    return int(text)
