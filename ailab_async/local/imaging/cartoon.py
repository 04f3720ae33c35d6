"""Cartoons: a photograph redrawn in one of nine styles, by image filters alone.

A photograph becomes a `Scene`: its colours without their texture, the responses from which ink is
drawn, and where the faces are. What a style makes of that is in `styles`.
"""

import cv2
import numpy as np

from .color import Rgb
from .scene import Scene
from .styles import STYLES

SHORT_SIDE = 1536
"""Of every result, in pixels."""

WIDEST = 1.5
"""The largest ratio of the long side to the short one; what is wider is cut off, at both ends."""


def cartoon(image: Rgb, style: int) -> Rgb:
    """Redraw a photograph.

    Styles: 0 vintage comic, 1 3D fairy tale, 2 two-dimensional, 3 refreshing and elegant, 4 future
    technology, 5 Chinese painting, 6 general in a hundred battles, 7 colourful cartoon,
    8 graceful Chinese.

    Args:
        image: height x width x 3, of any size.
        style: 0..8.

    Returns:
        A new picture. Its short side has 1536 pixels; its ratio is the photograph's, up to 1.5:1,
        to which wider and taller ones are cut around their middle.

    Raises:
        ValueError: there is no such style.
    """
    if not 0 <= style < len(STYLES):
        message = f"style must be 0..{len(STYLES) - 1}, not {style}"
        raise ValueError(message)
    return STYLES[style](Scene.of(_framed(image)))


def _framed(image: Rgb) -> Rgb:
    """Cut a photograph to the widest ratio and give it its final size."""
    height, width = image.shape[:2]
    cut_width, cut_height = min(width, round(WIDEST * height)), min(height, round(WIDEST * width))
    left, top = (width - cut_width) // 2, (height - cut_height) // 2
    cut = np.ascontiguousarray(image[top : top + cut_height, left : left + cut_width])
    scale = SHORT_SIDE / min(cut_width, cut_height)
    longest = round(WIDEST * SHORT_SIDE)
    size = (min(longest, round(cut_width * scale)), min(longest, round(cut_height * scale)))
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, size, interpolation=shrinks), np.uint8)
