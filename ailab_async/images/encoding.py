"""Pixels into bytes: pictures that come without a file, and pictures that were changed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidOperation
from .headers import Header
from .rules import FIT_HINT, PictureRules
from .sources import is_image

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["as_image", "encode", "encode_plain", "header_of"]

PLAIN_QUALITY: Final = 95
"""JPEG quality for pixels that would be too large as PNG."""

_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_JPEG_MODES: Final = frozenset({"1", "L", "RGB"})
_WORTH_TRYING: Final = 16
"""PNG is tried up to so many times the allowed bytes of raw pixels: masks shrink that far."""


def as_image(source: Any) -> Image.Image:
    """Return a Pillow image for one or for an array."""
    if is_image(source):
        return source  # type: ignore[no-any-return]  # told by its class's name, see sources
    from PIL import Image  # noqa: PLC0415 - loaded with the first picture

    return Image.fromarray(source)


def header_of(image: Image.Image, picture_format: str) -> Header:
    """Return what the header of ``image`` will say once encoded."""
    return Header(format=picture_format, width=image.width, height=image.height, mode=image.mode)


def encode(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    """Return ``image`` as a file without any metadata but what ``options`` name."""
    buffer = io.BytesIO()
    image.save(buffer, format=picture_format, **options)
    return buffer.getvalue()


def encode_plain(image: Image.Image, rules: PictureRules, name: str) -> tuple[bytes, Header]:
    """Encode pixels that came without a file, losslessly if the rules let them.

    Raises `InvalidOperation` where size or mode break the rules, or no allowed format holds them.
    """
    rules.check_size(name, image.size)
    rules.check_mode(name, image.mode)
    if image.mode not in _PNG_MODES:
        hint = f"Convert it with Pillow's convert('RGB'). {FIT_HINT}"
        raise InvalidOperation(name, "grey, palette or RGB", f"mode {image.mode}", hint=hint)
    raw = image.width * image.height * len(image.getbands())
    lossy = "JPEG" in rules.formats and image.mode in _JPEG_MODES
    count = raw
    try:
        if "PNG" in rules.formats and (not lossy or raw <= _WORTH_TRYING * rules.max_bytes):
            data = encode(image, "PNG", compress_level=3)
            count = len(data)
            if count <= rules.max_bytes:
                return data, header_of(image, "PNG")
        if lossy:
            data = encode(image, "JPEG", quality=PLAIN_QUALITY)
            count = len(data)
            if count <= rules.max_bytes:
                return data, header_of(image, "JPEG")
    except OSError as error:  # its own file, not decoded yet, is broken
        raise InvalidOperation(name, "a readable picture", str(error)) from error
    rules.check_bytes(name, count)
    limit = f"one that can be a {rules.formats_text} file"
    raise InvalidOperation(name, limit, f"mode {image.mode}")
