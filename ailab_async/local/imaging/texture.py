"""What a style puts on top of colours: ink, dots, paper, light. Whole pictures in 8 bit, for speed.

Weights and shades are float arrays of the picture's size, 0..1. What looks like chance is drawn
from fixed seeds.
"""

import cv2
import numpy as np

from .color import Floats, Rgb

Color = tuple[int, int, int]
Size = tuple[int, int]
"""Width and height, as OpenCV has them."""

_SOFT = 8
"""What is blurred widely is blurred at this part of the size."""


def mixed(one: Rgb, other: Rgb | Color, weight: Floats) -> Rgb:
    """Mix another picture or a colour in, by a weight for each pixel."""
    if isinstance(other, tuple):
        other = np.full_like(one, other)
    return np.asarray(cv2.blendLinear(one, other, 1 - weight, weight), np.uint8)


def shaded(colors: Rgb, shade: Floats, tint: Color = (255, 255, 255)) -> Rgb:
    """Darken each pixel by a factor 0..1, and all of them as if the paper had a tint."""
    levels = np.clip(shade, 0, 1) * np.float32(255)
    factors = cv2.merge([(levels * np.float32(part / 255)).astype(np.uint8) for part in tint])
    return np.asarray(cv2.multiply(colors, factors, scale=1 / 255), np.uint8)


def bloom(colors: Rgb, *, radius: float, strength: float) -> Rgb:
    """Let light spill over: a blurred copy is laid on like a second projector's picture."""
    # What is left of the way to white is multiplied, not the light itself: a "screen".
    left = cv2.convertScaleAbs(blurred(colors, radius), alpha=-strength, beta=255)
    dark = cv2.multiply(cv2.bitwise_not(colors), left, scale=1 / 255)
    return np.asarray(cv2.bitwise_not(dark), np.uint8)


def blurred(colors: Rgb, radius: float) -> Rgb:
    """Blur widely and fast."""
    size = (colors.shape[1], colors.shape[0])
    small_size = (max(1, size[0] // _SOFT), max(1, size[1] // _SOFT))
    small = cv2.resize(colors, small_size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.5, radius / _SOFT))
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def halftone(tone: Floats, *, pitch: float, degrees: float) -> Floats:
    """Print tones (0 white, 1 black) as round dots, larger where it is darker."""
    height, width = tone.shape
    turn = np.radians(degrees)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    wave = np.float32(2 * np.pi / pitch)
    one = np.cos(wave * (np.float32(np.cos(turn)) * x + np.float32(np.sin(turn)) * y))
    other = np.cos(wave * (np.float32(-np.sin(turn)) * x + np.float32(np.cos(turn)) * y))
    # Of 0..1, with equal parts of the area below equal steps only roughly: dots, no measurement.
    screen = (one + other) * np.float32(0.25) + np.float32(0.5)
    dots = (tone - screen) * np.float32(pitch * 0.6) + np.float32(0.5)
    return np.asarray(np.clip(dots, 0, 1), np.float32)


def paper(size: Size, *, grain: float, cloud: float, fibre: float = 0.0, seed: int = 1) -> Floats:
    """Return the shade of a sheet of paper, 0..1: fine grain, soft clouds, fibres."""
    random = np.random.default_rng(seed)
    width, height = size
    fine = random.standard_normal((height // 2 + 1, width // 2 + 1), np.float32)
    fine = cv2.GaussianBlur(fine, (0, 0), 0.8) * np.float32(2.5)
    sheet = cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR) * np.float32(grain)
    coarse = random.standard_normal((height // 64 + 2, width // 64 + 2), np.float32)
    sheet += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) * np.float32(cloud)
    if fibre:
        for kernel in ((25, 1), (1, 25)):
            threads = random.standard_normal((height // 2 + 1, width // 2 + 1), np.float32)
            threads = np.maximum(cv2.blur(threads, kernel) * np.float32(5) - 1.5, 0)
            sheet += cv2.resize(threads, size, interpolation=cv2.INTER_LINEAR) * np.float32(fibre)
    return np.asarray(np.clip(1 - grain - cloud - fibre + sheet, 0, 1), np.float32)


def rim(size: Size, *, reach: float, ragged: float = 0.0, seed: int = 2) -> Floats:
    """Return 0 in the middle, rising to 1 at the picture's rim.

    Args:
        size: of the picture.
        reach: how far inward the rim goes, in parts of the short side.
        ragged: by how much it wanders, in the same unit.
        seed: of the wandering.
    """
    width, height = size
    unit = 1 / (reach * min(size))
    x = np.minimum(np.arange(width), np.arange(width)[::-1]).astype(np.float32) * unit
    y = np.minimum(np.arange(height), np.arange(height)[::-1]).astype(np.float32)[:, None] * unit
    # Rounded corners: there the two distances meet in a circle. Farther in it is below 0.
    corner = np.hypot(np.maximum(1 - x, 0), np.maximum(1 - y, 0))
    inward = np.where(corner > 0, corner, 1 - np.minimum(x, y))
    if ragged:
        random = np.random.default_rng(seed)
        for cells, part in ((9, 0.6), (30, 0.3), (110, 0.15)):
            shape = (height * cells // max(size) + 2, width * cells // max(size) + 2)
            noise = random.standard_normal(shape, np.float32) * np.float32(part * ragged / reach)
            inward += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    t = np.clip(inward, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
