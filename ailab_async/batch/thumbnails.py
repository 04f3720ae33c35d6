"""Small JPEG pictures of any picture file, for the contact sheet.

A batch looks at each of its pictures twice here, so this must be cheap: a JPEG file is decoded at
an eighth of its size where that is enough. What is read comes from outside, so the pixels that are
ever held are bounded, and nothing that is wrong with a file is an error: it has no thumbnail.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from ..images.headers import jpeg_segments, open_picture, read_header

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MOST_DECLARED", "MOST_DECODED", "SIDE", "thumbnail"]

SIDE: Final = 320
"""Pixels of the longer side: sharp at the size of a card, also on a screen of double density."""

MOST_DECODED: Final = 64_000_000
"""Pixels that are decoded at most: 256 MB in memory with an alpha channel."""

MOST_DECLARED: Final = 400_000_000
"""Pixels of the largest JPEG file that is decoded at a part of its size."""

_QUALITY: Final = 78
_SIXTEEN_TO_EIGHT: Final = 257
"""What 16 bits are divided by to become 8."""
_ORIENTATION: Final = 274  # the EXIF tag
_TURNS: Final = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""How Pillow calls what brings each EXIF orientation upright (``Image.Transpose``)."""


def thumbnail(data: bytes, *, side: int = SIDE) -> bytes | None:
    """Return a JPEG file whose longer side has at most ``side`` pixels, or None.

    The thumbnail is upright, in sRGB, on white where the picture is transparent, and carries no
    metadata; a picture that is smaller is not enlarged, of an animation it is the first frame.

    None is returned for what is no picture or cannot be decoded whole (a video, a file that was
    cut short, a format that this Pillow does not read), and for more pixels than are decoded here:
    `MOST_DECODED`, or `MOST_DECLARED` in a JPEG file that is not progressive, which is decoded at
    a half, a quarter or an eighth of its size. Pillow's own limit, ``Image.MAX_IMAGE_PIXELS``, is
    neither used nor changed. Blocks; for a worker thread.
    """
    if side < 1:
        message = f"side must be at least 1 pixel, not {side}."
        raise ValueError(message)
    try:
        image, turned = _opened(data)
        if _too_many(image):
            return None
        image.draft("RGB", (2 * side, 2 * side))  # only JPEG files can; others ignore it
        if image.width * image.height > MOST_DECODED:
            return None
        return _encoded(_upright(_scaled(image, side), turned))
    except Exception:  # noqa: BLE001 - broken data makes Pillow raise nearly anything
        return None


def _opened(data: bytes) -> tuple[Image.Image, int]:
    """Return the picture, not decoded yet, and its EXIF orientation."""
    header = read_header(data, "picture")
    if header.format == "JPEG":
        # EXIF data is broken in many good pictures: it is read apart, where it can do no harm
        parts = jpeg_segments(data)
        image = open_picture(parts.without_exif(data), "JPEG", "picture")
        return image, _orientation(image, parts.exif)
    if header.width or header.format == "GIF":
        plain = open_picture(data, header.format, "picture")
        return plain, _orientation(plain, b"")
    from PIL import Image  # noqa: PLC0415 - loaded with the first picture

    # HEIC or AVIF, of which only Pillow's registry may know
    other = Image.open(io.BytesIO(data))
    return other, _orientation(other, b"")


def _orientation(image: Image.Image, exif: bytes) -> int:
    try:
        tags = image.getexif()
        if exif:
            tags.load(exif)
        return int(tags.get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - broken EXIF data is no reason to show no picture
        return 1


def _too_many(image: Image.Image) -> bool:
    # a progressive file is held whole by the decoder, at whatever size it comes out
    in_part = image.format == "JPEG" and not image.info.get("progressive")
    return image.width * image.height > (MOST_DECLARED if in_part else MOST_DECODED)


def _scaled(image: Image.Image, side: int) -> Image.Image:
    """Decode, and scale down to ``side``; the result is RGB."""
    from PIL import Image  # noqa: PLC0415 - loaded with the first picture

    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        # Pillow cuts values off at 255 instead of scaling them
        image = image.convert("I").point(lambda value: value / _SIXTEEN_TO_EIGHT).convert("L")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in {"RGB", "L", "CMYK"}:
        image = image.convert("RGB")
    scale = min(1.0, side / max(image.size))
    target = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if target != image.size:
        image = image.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif profile and image.mode in {"RGB", "CMYK"}:
        image = _to_srgb(image, profile)
    return image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert from an embedded profile: colours are what a batch is about, and are compared."""
    from PIL import ImageCms  # noqa: PLC0415 - loaded with the first picture that needs it

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image  # a profile that cannot be read is no reason to show no picture
    return image if converted is None else converted


def _upright(image: Image.Image, turned: int) -> Image.Image:
    from PIL import Image  # noqa: PLC0415 - loaded with the first picture

    turn = _TURNS.get(turned)
    return image if turn is None else image.transpose(Image.Transpose(turn))


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # info is not written but for what save() looks up in it, such as a comment
    image.info.clear()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()
