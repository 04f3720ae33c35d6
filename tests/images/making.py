"""Pictures for the tests, made here."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ailab_async.images import PictureRules

ANY = PictureRules(formats=("JPEG", "PNG", "BMP", "WEBP", "TIFF"), max_bytes=40 * 2**20)
FORMATS = ANY.formats


def noise(width, height, mode="RGB", seed=7) -> Image.Image:
    """Return a picture that no format makes small."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image, format_, **options) -> bytes:
    """Return an image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def opened(data) -> Image.Image:
    """Return the decoded picture of a file."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
