"""What a file says about itself: format, size and mode, from its header alone.

Pillow's file classes read the header when they are made and decode nothing. They are used
directly, and not through ``Image.open``: that would warn about pictures of 90 megapixels, which
the service takes, and would try every format it has heard of.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from ..errors import InvalidOperation

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import ImageFile

__all__ = [
    "CONTENT_TYPES",
    "EXTENSIONS",
    "Header",
    "jpeg_segments",
    "open_picture",
    "read_header",
    "sniff",
]

EXTENSIONS: Final = {"JPEG": "jpg", "PNG": "png", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif"}
CONTENT_TYPES: Final = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
}

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MAGIC: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (_PNG_SIGNATURE, "PNG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
_BRANDS: Final = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heif", b"mif1", b"msf1"), "HEIC"),
}


@frozen(kw_only=True)
class Header:
    """What the header of a file declares."""

    format: str
    width: int
    height: int
    mode: str


def sniff(data: bytes) -> str:
    """Return the format by the first bytes, ``""`` where they are no picture's."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "")
    if data[:4] == b"RIFF":
        return "WEBP" if data[8:12] == b"WEBP" else ""
    return next((known for magic, known in _MAGIC if data.startswith(magic)), "")


def read_header(data: bytes, name: str) -> Header:
    """Read what the header declares, and check that the file is whole.

    Raises `InvalidOperation` for an empty file, for what is no picture, for a header that cannot
    be read and for a file that was cut short. What is noticed of damage is said with each format
    below. A GIF, HEIC or AVIF file is recognised and not measured: the service takes none.
    """
    if not data:
        hint = "If it is an open file: was it read before? Seek back to its start."
        raise InvalidOperation(name, "a picture", "empty", hint=hint)
    found = sniff(data)
    if not found:
        raise InvalidOperation(name, "a picture", f"a file that begins with {data[:12]!r}")
    if found not in EXTENSIONS:
        return Header(format=found, width=0, height=0, mode="")
    if found == "JPEG":
        segments = jpeg_segments(data)
        picture = open_picture(segments.header, found, name)
        whole = segments.whole
    else:
        picture = open_picture(data, found, name)
        try:
            whole = _CHECKS[found](data, picture)
        except (struct.error, TypeError, ValueError, OverflowError):
            whole = False  # not even what tells the length can be read
    width, height = picture.size
    if width < 1 or height < 1:
        raise InvalidOperation(name, "a picture", f"{width}x{height} pixels")
    if not whole:
        hint = "It was cut short or damaged, perhaps by an interrupted copy."
        raise InvalidOperation(name, f"a whole {found} file", f"{len(data)} bytes of it", hint=hint)
    return Header(format=found, width=width, height=height, mode=picture.mode)


def open_picture(data: bytes, picture_format: str, name: str) -> ImageFile.ImageFile:
    """Return Pillow's file object over ``data``; its pixels are not decoded yet.

    Raises `InvalidOperation` where the header cannot be read.
    """
    kind = _reader(picture_format)
    try:
        return kind(io.BytesIO(data))
    except Exception as error:  # a broken file makes Pillow raise nearly anything
        why = f"{picture_format} with a broken header ({error or type(error).__name__})"
        raise InvalidOperation(name, "a readable picture", why) from error


def _reader(picture_format: str) -> type[ImageFile.ImageFile]:
    from PIL import (  # noqa: PLC0415 - Pillow is loaded with the first picture
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    readers: dict[str, type[ImageFile.ImageFile]] = {
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "GIF": GifImagePlugin.GifImageFile,
    }
    return readers[picture_format]


# --- JPEG ---------------------------------------------------------------------------------------


@frozen(kw_only=True)
class JpegSegments:
    """A JPEG file in its parts.

    ``header`` is what stands before the data of the first scan, without ``exif``: EXIF and XMP
    data are broken in many good pictures, and Pillow warns about that when it only measures.
    ``scans_at`` is where the data of the scan begins. ``whole`` says whether an end marker stands
    behind that place: the thumbnail in a header has an end marker of its own, cameras append things
    behind the picture's, and in a scan's data the marker cannot occur by chance. Scans that are
    missing from a progressive file which was closed properly are not noticed, nor are damaged
    pixels.
    """

    header: bytes
    exif: bytes
    scans_at: int
    whole: bool

    def without_exif(self, data: bytes) -> bytes:
        """Return the whole file, of which these are the segments, without ``exif``."""
        return self.header + data[self.scans_at :]


def jpeg_segments(data: bytes) -> JpegSegments:
    """Walk the segments of a JPEG file up to its first scan. Raises nothing."""
    at, kept, exif = 2, [data[:2]], b""
    while at + 4 <= len(data) and data[at] == _MARK:
        marker = data[at + 1]
        length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _START_OF_SCAN:
            kept.append(data[at : at + length])
            whole = data.find(_END_OF_IMAGE, at) >= 0
            end = at + length
            return JpegSegments(header=b"".join(kept), exif=exif, scans_at=end, whole=whole)
        if marker == _MARK:  # filling
            length = 1
        elif marker in _WITHOUT_BODY:
            length = 2
        elif marker == _APP1:
            body = data[at + 4 : at + length]
            exif = exif or (body if body.startswith(b"Exif\0\0") else b"")
        else:
            kept.append(data[at : at + length])
        at += length
    return JpegSegments(header=b"".join(kept), exif=exif, scans_at=len(data), whole=False)


_MARK: Final = 0xFF
_START_OF_SCAN: Final = 0xDA
_APP1: Final = 0xE1
_WITHOUT_BODY: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_END_OF_IMAGE: Final = b"\xff\xd9"


# --- are the others whole? ----------------------------------------------------------------------


def _png_is_whole(data: bytes, picture: Any) -> bool:
    """Walk the chunks to IEND and check the sums of those that make the picture.

    So a cut and a changed byte are noticed; compressed data that is short but correctly summed
    is not.
    """
    del picture
    at, view = len(_PNG_SIGNATURE), memoryview(data)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            return False
        declared = int.from_bytes(data[end : end + 4], "big")
        if kind[:1].isupper() and zlib.crc32(view[at + 4 : end]) != declared:
            return False  # upper case: one that makes the picture
        if kind == b"IEND":
            return True
        at = end + 4
    return False


def _bmp_is_whole(data: bytes, picture: Any) -> bool:
    """Compare with where uncompressed rows must end, or with the declared length."""
    offset, header_size = struct.unpack_from("<II", data, 10)
    if header_size == 12:  # noqa: PLR2004 - the header of OS/2
        bits, compression = struct.unpack_from("<H", data, 24)[0], 0
    else:
        bits, compression = struct.unpack_from("<HI", data, 28)
    if compression in {0, 3, 6}:  # plain, or plain with masks
        row = (int(picture.size[0]) * int(bits) + 31) // 32 * 4
        rows: int = picture.size[1]
        return len(data) >= int(offset) + row * rows
    declared = int(struct.unpack_from("<I", data, 2)[0])
    return len(data) >= declared


def _webp_is_whole(data: bytes, picture: Any) -> bool:
    """Compare with the length that the container declares; what is in it is not looked at."""
    del picture
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _tiff_is_whole(data: bytes, picture: Any) -> bool:
    """Compare with where the strips or tiles of the first page end."""
    tags = picture.tag_v2
    offsets, counts = tags.get(273) or tags.get(324), tags.get(279) or tags.get(325)
    if not offsets or not counts:
        return bool(offsets)
    pairs = zip(_tuple(offsets), _tuple(counts), strict=False)
    return all(offset + count <= len(data) for offset, count in pairs)


def _tuple(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


_CHECKS: Final[dict[str, Callable[[bytes, Any], bool]]] = {
    "PNG": _png_is_whole,
    "BMP": _bmp_is_whole,
    "WEBP": _webp_is_whole,
    "TIFF": _tiff_is_whole,
}
"""How each format shows that it was cut short."""
