"""What the service takes as a picture, as a value, and what goes over the wire for one."""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from ..errors import InvalidOperation

__all__ = ["FIT_HINT", "FIT_MAX_BYTES", "Part", "PictureRules", "Size", "megabytes", "too_large"]

Size = tuple[int, int]

FIT_HINT: Final = "Pass fit=True to have it made acceptable."

FIT_MAX_BYTES: Final = 256 * 2**20
"""What is read at most of a picture that is to be fitted."""


@attrs.frozen(kw_only=True)
class PictureRules:
    """The limits of one picture field. A ``None`` means that no limit is stated.

    ``formats`` are Pillow's names (``"JPEG"``). ``larger_than`` and ``smaller_than`` are strict,
    ``at_least`` and ``at_most`` inclusive; each is (width, height) and holds for both sides.
    ``three_channels`` asks for plain RGB: no palette, no grey, no alpha, no CMYK.
    """

    formats: tuple[str, ...]
    max_bytes: int
    larger_than: Size | None = None
    smaller_than: Size | None = None
    at_least: Size | None = None
    at_most: Size | None = None
    three_channels: bool = False

    @property
    def smallest(self) -> Size:
        """The smallest acceptable width and height."""
        over, least = self.larger_than or (0, 0), self.at_least or (1, 1)
        return max(over[0] + 1, least[0]), max(over[1] + 1, least[1])

    @property
    def largest(self) -> Size | None:
        """The largest acceptable width and height."""
        if self.smaller_than is None:
            return self.at_most
        under = self.smaller_than[0] - 1, self.smaller_than[1] - 1
        most = self.at_most or under
        return min(under[0], most[0]), min(under[1], most[1])

    @property
    def formats_text(self) -> str:
        """The formats in words: ``"JPEG, PNG or BMP"``."""
        *first, last = self.formats
        return f"{', '.join(first)} or {last}" if first else last

    @property
    def pixels_text(self) -> str:
        """The limits of width and height in words, empty where there are none."""
        parts = [
            f"{word} {size[0]}x{size[1]}"
            for word, size in (
                ("larger than", self.larger_than),
                ("at least", self.at_least),
                ("smaller than", self.smaller_than),
                ("at most", self.at_most),
            )
            if size is not None
        ]
        return f"{' and '.join(parts)} pixels" if parts else ""

    def check_bytes(self, name: str, count: int) -> None:
        """Raise `InvalidOperation` for too many bytes."""
        if count > self.max_bytes:
            raise too_large(name, self.max_bytes, f"{count} bytes")

    def check_format(self, name: str, picture_format: str) -> None:
        """Raise `InvalidOperation` for a format that the service does not take."""
        if picture_format not in self.formats:
            limit = f"a {self.formats_text} file"
            raise InvalidOperation(name, limit, picture_format, hint=FIT_HINT)

    def check_size(self, name: str, size: Size) -> None:
        """Raise `InvalidOperation` for a width or height outside of the limits."""
        if not self.takes_size(size):
            value = f"{size[0]}x{size[1]}"
            raise InvalidOperation(name, self.pixels_text, value, hint=FIT_HINT)

    def takes_size(self, size: Size) -> bool:
        """Whether width and height are within the limits."""
        smallest, largest = self.smallest, self.largest
        fits_below = largest is None or (size[0] <= largest[0] and size[1] <= largest[1])
        return fits_below and size[0] >= smallest[0] and size[1] >= smallest[1]

    def check_mode(self, name: str, mode: str) -> None:
        """Raise `InvalidOperation` where three channels are asked for and there are others."""
        if self.three_channels and mode != "RGB":
            hint = f"Convert it with Pillow's convert('RGB'). {FIT_HINT}"
            raise InvalidOperation(name, "RGB with three channels", f"mode {mode}", hint=hint)


@attrs.frozen(kw_only=True)
class Part:
    """One picture of a form, read, measured and checked.

    ``filename`` and ``content_type`` come from the content: the service judges a file by its
    name's extension *(recorded)*, and the user's path is nobody's business. ``source_sha256`` is
    the digest of the bytes that ``data`` was made from, empty where they are the same.
    """

    field: str
    filename: str
    content_type: str
    data: bytes = attrs.field(repr=False)
    format: str
    width: int
    height: int
    mode: str
    source_sha256: bytes = attrs.field(default=b"", repr=False)

    def digest(self) -> bytes:
        """Return the SHA-256 of the bytes that the picture came as; takes a while."""
        return self.source_sha256 or hashlib.sha256(self.data).digest()

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.width, self.height


def too_large(name: str, most: int, value: str) -> InvalidOperation:
    """Return the error for more than ``most`` bytes."""
    hint = FIT_HINT if most < FIT_MAX_BYTES else ""
    return InvalidOperation(name, f"at most {megabytes(most)}", value, hint=hint)


def megabytes(count: int) -> str:
    """Write a limit in bytes as the service does: ``3 MB``, with the bytes that are meant."""
    return f"{count / 2**20:g} MB ({count} bytes)"
