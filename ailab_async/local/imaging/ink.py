"""Drawn lines: where an inker would put them, and along which way the pen would go.

Lines are found by a difference of Gaussians, smoothed along the flow of the picture (Kang, Lee &
Chui 2009) and thresholded softly (Winnemoeller, Kyprianidis & Olsen 2012). What is thresholded is
the response enlarged to the final size, not the line: so lines are sharp at any size.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats

_RATIO = 1.6
"""Of the wide Gaussian to the narrow one; at this the difference is close to a Laplacian."""


@dataclass(frozen=True)
class Flow:
    """The direction along which a picture changes least, as unit vectors."""

    x: Floats
    y: Floats

    @classmethod
    def of(cls, grey: NDArray[np.uint8], sigma: float) -> "Flow":
        """Take the smoothed structure tensor's weaker axis."""
        values = grey.astype(np.float32)
        across = np.asarray(cv2.Sobel(values, cv2.CV_32F, 1, 0), np.float32)
        down = np.asarray(cv2.Sobel(values, cv2.CV_32F, 0, 1), np.float32)
        mixed = cv2.GaussianBlur(across * down, (0, 0), sigma)
        unlike = cv2.GaussianBlur(across * across - down * down, (0, 0), sigma)
        angle = np.arctan2(2 * mixed, unlike) / 2
        return cls(np.asarray(-np.sin(angle), np.float32), np.asarray(np.cos(angle), np.float32))

    def smooth(self, values: Floats, reach: int) -> Floats:
        """Average values along the flow, `reach` pixels either way, nearer ones weighing more."""
        height, width = values.shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        total, weights = values.copy(), 1.0
        for step in range(1, reach + 1):
            weight = float(np.exp(-2 * (step / reach) ** 2))
            for way in (step, -step):
                there = cv2.remap(
                    values,
                    cv2.scaleAdd(self.x, way, x),
                    cv2.scaleAdd(self.y, way, y),
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE,
                )
                cv2.scaleAdd(there, weight, total, total)
                weights += weight
        return np.asarray(total / np.float32(weights), np.float32)


def response(grey: NDArray[np.uint8], flow: Flow, width: float) -> Floats:
    """Say how much each pixel wants to be ink: above 0 on the dark side of edges and in lines.

    Args:
        grey: lightness, 0..255.
        flow: the same picture's.
        width: the lines' half width in pixels.
    """
    values = grey.astype(np.float32) / np.float32(255)
    narrow = cv2.GaussianBlur(values, (0, 0), width)
    wide = cv2.GaussianBlur(values, (0, 0), _RATIO * width)
    return flow.smooth(np.asarray(wide - narrow, np.float32), max(2, round(3 * width)))


def without_specks(wanted: Floats, threshold: float, least: float) -> Floats:
    """Take away what would become ink in pieces of less than `least` pixels."""
    inked = (wanted > threshold).astype(np.uint8)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(inked)
    speck = stats[:, cv2.CC_STAT_AREA] < least
    speck[0] = False
    specks = speck[np.asarray(pieces, np.intp)].astype(np.uint8)
    # With what is faint around them, but not with the lines beside them.
    around = cv2.dilate(specks, np.ones((7, 7), np.uint8))
    lines = cv2.dilate(inked - specks, np.ones((3, 3), np.uint8))
    return np.where(around > lines, np.float32(0), wanted)


def draw(wanted: Floats, size: tuple[int, int], *, threshold: float, softness: float) -> Floats:
    """Turn responses into ink, 0..1, at the final size (width, height)."""
    enlarged = cv2.resize(wanted, size, interpolation=cv2.INTER_CUBIC)
    line = (enlarged - np.float32(threshold)) * np.float32(1 / softness) + np.float32(0.5)
    return np.asarray(np.clip(line, 0, 1), np.float32)
