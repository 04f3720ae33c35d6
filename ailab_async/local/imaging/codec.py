"""Picture files in, arrays out, and back.

Whether a file may be worked on at all (its bytes, its width and height, its format) is decided
before it comes here; this module trusts the header and reads all of it.
"""

import io
import struct
import warnings
import zlib
from typing import Literal, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from .color import Rgb

Format: TypeAlias = Literal["JPEG", "PNG"]

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_UPRIGHT = 1
_JPEG_QUALITY = 93
_PNG_LEVEL = 3
# Pillow holds four bytes a pixel and the array three; a progressive JPEG's coefficients are kept
# until all of them are there.
_BYTES_EACH, _BYTES_PROGRESSIVE, _BYTES_BESIDE = 7, 6, 1 << 21


class UndecodableImage(ValueError):
    """The bytes are no picture, or only a part of one."""


def decode(data: bytes, *, at_least: int | None = None) -> Rgb:
    """Decode a whole JPEG, PNG, BMP or WebP file.

    The picture comes out upright, in sRGB, as three channels: its EXIF orientation and its colour
    profile are applied, transparent parts lie on white, grey is grey in all three channels.

    Args:
        data: the file.
        at_least: with it a JPEG may be decoded at a half, a quarter or an eighth of its size as
            long as its long side keeps this many pixels: enough to read colours off a reference.

    Returns:
        The picture; the array may be read-only.

    Raises:
        UndecodableImage: the file is cut short, damaged, or of another format.
    """
    # Pillow warns about pictures of more than 89 megapixels, which are allowed here, and about odd
    # metadata, which nobody will see.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if at_least is not None:
                    image.draft("RGB", _draft_size(image.size, at_least))
                return _to_array(image)
        except (*_BROKEN, Image.DecompressionBombError) as error:
            message = f"not a picture that can be decoded: {error}"
            raise UndecodableImage(message) from error


def encode(image: Rgb, *, format: Format) -> bytes:  # noqa: A002 - Pillow's own word for it
    """Encode a picture as JPEG (quality 93, colour at full resolution) or PNG (lossless).

    No metadata is written. Pixels are stored upright and in sRGB, which is what every viewer
    assumes when a file says nothing.
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    if format == "JPEG":
        # Strong colour is what these pictures are about: halved colour resolution (4:2:0) would
        # fray the border between a recoloured background and a face that was kept.
        picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:4:4")
    else:
        picture.save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def _draft_size(size: tuple[int, int], at_least: int) -> tuple[int, int]:
    scale = min(1.0, at_least / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _ask_for_memory(image: Image.Image) -> None:
    """Raise `MemoryError` where there is too little to decode a picture.

    A decoder that is refused memory says that the data are broken, which blames the picture. So
    as much as it will take is asked for before, and given back untouched.
    """
    width, height = image.size
    each = _BYTES_EACH + (_BYTES_PROGRESSIVE if image.info.get("progressive") else 0)
    np.empty(width * height * each + _BYTES_BESIDE, np.uint8)


def _to_array(image: Image.Image) -> Rgb:
    _ask_for_memory(image)
    image.load()
    # The hosted service looks at pixels as they are stored and drops the EXIF tag with them, so a
    # phone's portrait photo comes back lying on its side. Turning the pixels first costs nothing
    # when there is no tag, and gives what the user sees in any viewer: same size, same way up.
    profile = image.info.get("icc_profile")
    if _orientation(image) != _UPRIGHT:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # Sixteen-bit grey; Pillow's own conversion would clip it at 255.
        levels = np.asarray(image).astype(np.uint32) // 257
        return np.repeat(np.minimum(levels, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    elif profile and image.mode in {"RGB", "CMYK"}:
        image = _to_srgb(image, profile)
    # Without a copy where there is nothing to convert: one takes 48 MB at 12 megapixels.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT))
    except (*_BROKEN, TypeError, KeyError):
        # Broken metadata round a good picture is common, and no reason to refuse it.
        return _UPRIGHT


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert from an embedded colour profile, where there is a usable one that is not sRGB."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        # A profile that cannot be read is no reason to refuse a picture that can.
        return image
    return image if converted is None else converted
