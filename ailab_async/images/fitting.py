"""Making a picture acceptable: ``fit=True``.

Upright, RGB, within the limits of width and height, within the bytes; nothing is done that is not
needed, and everything that is done is told. A picture is cut nowhere and its proportions stay.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidOperation
from .encoding import encode, header_of
from .headers import Header, jpeg_segments, open_picture, read_header

if TYPE_CHECKING:
    from PIL import Image

    from .rules import PictureRules, Size

__all__ = ["FIT_MAX_PIXELS", "fit_picture"]

FIT_MAX_PIXELS: Final = 200_000_000
"""What is decoded at most to be fitted: 600 MB in memory."""

_QUALITIES: Final = (95, 90, 85, 75, 60)
_ORIENTATION: Final = 274  # the EXIF tag
_LOSSLESS: Final = frozenset({"PNG", "BMP", "TIFF", "GIF", ""})
_TURNS: Final = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""How Pillow calls what brings each EXIF orientation upright (``Image.Transpose``)."""
_ROOM: Final = 0.95
"""How much smaller than computed a picture is made, to end after few attempts."""


def fit_picture(
    picture: Any, rules: PictureRules, name: str, size: Size | None = None
) -> tuple[bytes, Header, tuple[str, ...]]:
    """Return an acceptable file, its header, and what was done, in words.

    ``picture`` is the bytes of a file or a Pillow image. ``size`` asks for exactly that width and
    height, as a mask must have; it is then scaled without mixing neighbouring pixels. Raises
    `InvalidOperation` for what cannot be decoded, has more than `FIT_MAX_PIXELS`, or has a shape
    that no scaling brings within the limits. Blocks; for a worker thread.
    """
    if isinstance(picture, bytes):
        header = read_header(picture, name)
        image, exif = _opened(picture, header, name)
    else:
        image, exif = picture, b""
        header = header_of(image, "")
    _check_pixels(image, name)
    turned = _orientation(image, exif)
    if isinstance(picture, bytes) and turned == 1 and _acceptable(picture, header, rules, size):
        return picture, header, ()
    target = size or _target(_upright(image.size, turned), rules, name)
    try:
        pixels, changes = _pixels(image, header, turned, target, exact=size is not None)
    except Exception as error:  # decoding damaged data makes Pillow raise nearly anything
        why = str(error) or type(error).__name__
        raise InvalidOperation(name, "a readable picture", why) from error
    lossless_first = header.format in _LOSSLESS or size is not None
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    data, fitted, how = _encoded(
        pixels, rules, name, profile=profile, lossless_first=lossless_first, fixed=size is not None
    )
    if (fitted.width, fitted.height) != pixels.size:
        changes.append(f"scaled to {fitted.width}x{fitted.height} to save bytes")
    was = f"{header.format}, {len(picture)} bytes" if isinstance(picture, bytes) else "pixels"
    changes.append(f"encoded as {how}, {len(data)} bytes (was {was})")
    return data, fitted, tuple(changes)


def _opened(data: bytes, header: Header, name: str) -> tuple[Image.Image, bytes]:
    """Return the picture, and the EXIF data that was left out of it."""
    if header.format == "JPEG":
        parts = jpeg_segments(data)
        return open_picture(parts.without_exif(data), "JPEG", name), parts.exif
    if header.width or header.format == "GIF":
        return open_picture(data, header.format, name), b""
    # a format of which only Pillow's registry may know: AVIF, or one that a plugin has added
    import io  # noqa: PLC0415 - with the import below

    from PIL import Image  # noqa: PLC0415 - loaded with the first picture

    try:
        return Image.open(io.BytesIO(data)), b""
    except Exception as error:  # any plugin may raise anything
        limit = "a picture that Pillow can read"
        raise InvalidOperation(name, limit, f"{header.format} ({error})") from error


def _check_pixels(image: Image.Image, name: str) -> None:
    if image.width * image.height > FIT_MAX_PIXELS:
        limit = f"at most {FIT_MAX_PIXELS // 10**6} megapixels to be fitted"
        raise InvalidOperation(name, limit, f"{image.width}x{image.height}")


def _acceptable(data: bytes, header: Header, rules: PictureRules, size: Size | None) -> bool:
    measured = (header.width, header.height)
    return (
        len(data) <= rules.max_bytes
        and header.format in rules.formats
        and rules.takes_size(measured)
        and (not rules.three_channels or header.mode == "RGB")
        and size in {None, measured}
    )


def _orientation(image: Image.Image, left_out: bytes) -> int:
    try:
        exif = image.getexif()
        if left_out:
            exif.load(left_out)
        found = exif.get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF data is no reason to refuse a picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1  # noqa: PLR2004 - of eight


def _upright(size: Size, orientation: int) -> Size:
    return (size[1], size[0]) if orientation >= 5 else size  # noqa: PLR2004 - the turned ones


def _target(size: Size, rules: PictureRules, name: str) -> Size:
    """Return the nearest size of the same proportions within the limits."""
    width, height = size
    if rules.largest is not None and (width > rules.largest[0] or height > rules.largest[1]):
        most_wide, most_high = rules.largest
        if width * most_high >= height * most_wide:
            width, height = most_wide, max(1, height * most_wide // width)
        else:
            width, height = max(1, width * most_high // height), most_high
    least_wide, least_high = rules.smallest
    if width < least_wide or height < least_high:
        if least_wide * height >= least_high * width:
            width, height = least_wide, -(-height * least_wide // width)
        else:
            width, height = -(-width * least_high // height), least_high
    target = (width, height)
    if not rules.takes_size(target):
        limit = f"of a shape that can be {rules.pixels_text}"
        raise InvalidOperation(name, limit, f"{size[0]}x{size[1]}")
    return target


def _pixels(
    image: Image.Image, header: Header, turned: int, target: Size, *, exact: bool
) -> tuple[Image.Image, list[str]]:
    from PIL import Image  # noqa: PLC0415 - loaded with the first picture

    changes = []
    before, mode = image.size, image.mode
    if header.format == "JPEG" and not exact:
        # decoding at a half or a quarter is much cheaper; it never goes below the target
        image.draft("RGB", _upright(target, turned))
    upright = image.transpose(Image.Transpose(_TURNS[turned])) if turned != 1 else image
    if turned != 1:
        changes.append(f"turned upright (EXIF orientation {turned})")
    pixels = _to_rgb(upright)
    if mode != "RGB":
        changes.append(f"converted from {mode} to RGB")
    if pixels.size != target:
        resample = Image.Resampling.NEAREST if exact else Image.Resampling.LANCZOS
        pixels = pixels.resize(target, resample)
    was = _upright(before, turned)
    if was != target:
        changes.append(f"scaled from {was[0]}x{was[1]} to {target[0]}x{target[1]}")
    return pixels, changes


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode; what is transparent becomes white, 16 bits are brought to 8."""
    from PIL import Image  # noqa: PLC0415 - loaded with the first picture

    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith("I"):
        # Pillow cuts values off at 255 instead of scaling them
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    return image.convert("RGB")


def _encoded(
    image: Image.Image,
    rules: PictureRules,
    name: str,
    *,
    profile: bytes | None,
    lossless_first: bool,
    fixed: bool,
) -> tuple[bytes, Header, str]:
    """Encode within the bytes: losslessly, else at lower quality, else smaller."""
    lossy = next((known for known in ("JPEG", "WEBP") if known in rules.formats), "")
    lossless = next((known for known in ("PNG", "BMP") if known in rules.formats), "")
    while True:
        data = b""
        if lossless and (lossless_first or not lossy):
            data = encode(image, lossless, icc_profile=profile)
            if len(data) <= rules.max_bytes:
                return data, header_of(image, lossless), lossless
        for quality in _QUALITIES if lossy else ():
            data = encode(image, lossy, quality=quality, icc_profile=profile)
            if len(data) <= rules.max_bytes:
                return data, header_of(image, lossy), f"{lossy}, quality {quality}"
        scale = math.sqrt(rules.max_bytes / len(data)) * _ROOM if data else 0
        smaller = (int(image.width * scale), int(image.height * scale))
        if fixed or not rules.takes_size(smaller):
            rules.check_bytes(name, max(len(data), rules.max_bytes + 1))
        image = image.resize(smaller)
