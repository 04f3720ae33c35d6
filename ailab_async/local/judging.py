"""From a request to pictures that may be worked on.

They are judged by the rules that the client applies too, and what they break is said in the
service's codes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from ..errors import InvalidOperation
from ..images import Part, PictureRules, load_part
from ..images.headers import read_header, sniff
from .answers import Code, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from .forms import Request

__all__ = ["load_pictures"]


async def load_pictures(
    request: Request, *, limiter: anyio.CapacityLimiter
) -> tuple[dict[str, Any], list[bytes]]:
    """Check the pictures of a request; return the worker's job and the pictures.

    Raises `Refused`.
    """
    parts: dict[str, Part] = {}
    for name, (source, rules) in request.operation.pictures().items():
        try:
            parts[name] = await load_part(source, rules, field=name, limiter=limiter)
        except InvalidOperation as error:
            assert isinstance(source, bytes)  # noqa: S101 - that is what a form holds
            refusal = partial(_refusal, error, source, rules)
            raise await anyio.to_thread.run_sync(refusal, limiter=limiter) from None
    try:
        request.operation.check(parts)
    except InvalidOperation as error:
        message = f"{error.field}: must be {error.limit}, not {error.value}."
        raise Refused(Code.ERROR_MASK_IMAGE_RESOLUTION_MISMATCH, message) from None
    own = parts["image"].format
    form = own if own in request.formats else request.formats[0]
    return {**request.job, "format": form}, [part.data for part in parts.values()]


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
