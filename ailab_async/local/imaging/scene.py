"""A photograph, taken apart into what a draughtsman would use."""

from dataclasses import dataclass

import cv2
import numpy as np

from . import ink
from .color import Floats, Rgb
from .faces import find_faces

_WORK_SIDE = 768
"""Colours are smoothed, and lines found, with this many pixels on the short side."""

_FACE_SIDE = 512
_BRIGHT_ENOUGH = 0.4
_STRONGEST_GAMMA = 0.65
_FACE_LINES = 0.9
"""In a face a line must be stronger by this part to be drawn: nobody wants every wrinkle."""


@dataclass(frozen=True)
class Scene:
    """What the styles draw from. Arrays have the final size where nothing else is said."""

    size: tuple[int, int]
    """Width and height of the result."""
    smooth: Rgb
    """The photograph without texture, its edges kept."""
    small: Rgb
    """The same at the working size."""
    flow: ink.Flow
    """At the working size."""
    faces: Floats
    """1 in faces, fading to 0 around them; at the working size."""

    @classmethod
    def of(cls, photo: Rgb) -> "Scene":
        """Take a photograph of the final size apart."""
        height, width = photo.shape[:2]
        scale = _WORK_SIDE / min(height, width)
        size = (round(width * scale), round(height * scale))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        small = _exposed(np.asarray(small, np.uint8))
        for _ in range(2):
            small = cv2.bilateralFilter(small, 7, 28, 4)
        small = np.asarray(cv2.edgePreservingFilter(small, flags=1, sigma_s=24, sigma_r=0.2))
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        # Enlarged as it is, every edge would be a staircase: rounded first, and sharpened after.
        rounded = cv2.GaussianBlur(cv2.medianBlur(small, 5), (0, 0), 0.7)
        smooth = cv2.resize(rounded, (width, height), interpolation=cv2.INTER_CUBIC)
        smooth = cv2.addWeighted(smooth, 1.8, cv2.GaussianBlur(smooth, (0, 0), 2.2), -0.8, 0)
        return cls(
            (width, height),
            np.asarray(smooth, np.uint8),
            np.asarray(small, np.uint8),
            ink.Flow.of(grey, 2.5),
            _faces(photo, size),
        )

    def enlarged(self, field: Floats) -> Floats:
        """Bring a smooth field of the working size to the final size."""
        large = cv2.resize(field, self.size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(large, np.float32)

    def streaks(self, reach: int) -> Floats:
        """Return brush marks along the flow, at the final size: noise of about -1..1."""
        height, width = self.small.shape[:2]
        noise = np.random.default_rng(3).standard_normal((height, width), np.float32)
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.7), np.float32)
        marks = self.flow.smooth(noise, reach)
        return self.enlarged(np.asarray(marks / (2.5 * marks.std() + 1e-6), np.float32))

    def lines(self, *, width: float, threshold: float, softness: float, least: float) -> Floats:
        """Draw ink, 0..1.

        Args:
            width: half width of the lines, in pixels of the working size.
            threshold: what is weaker is not drawn; about 0.004 to 0.02.
            softness: over how much of the response a line fades in.
            least: area of the smallest piece that is drawn, in pixels of the working size.
        """
        grey = np.asarray(cv2.cvtColor(self.small, cv2.COLOR_RGB2GRAY), np.uint8)
        wanted = ink.response(grey, self.flow, width)
        wanted = ink.without_specks(wanted, threshold, least)
        wanted = wanted / (1 + np.float32(_FACE_LINES) * self.faces)
        return ink.draw(
            np.asarray(wanted, np.float32), self.size, threshold=threshold, softness=softness
        )


def _exposed(photo: Rgb) -> Rgb:
    """Brighten what is dark on the whole: no ink is seen on black, and no paint."""
    mean = float(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).mean()) / 255
    gamma = np.log(_BRIGHT_ENOUGH) / np.log(np.clip(mean, 0.01, _BRIGHT_ENOUGH))
    curve = 255 * (np.arange(256) / 255) ** max(gamma, _STRONGEST_GAMMA)
    return np.asarray(cv2.LUT(photo, curve.round().astype(np.uint8)), np.uint8)


def _faces(photo: Rgb, size: tuple[int, int]) -> Floats:
    """Return a soft map of the faces of a photograph, of the given size."""
    height, width = photo.shape[:2]
    scale = _FACE_SIDE / max(height, width)
    thumbnail_size = (round(width * scale), round(height * scale))
    thumbnail = np.asarray(
        cv2.resize(photo, thumbnail_size, interpolation=cv2.INTER_AREA), np.uint8
    )
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    y *= np.float32(thumbnail_size[1] / size[1])
    x *= np.float32(thumbnail_size[0] / size[0])
    soft = np.zeros((size[1], size[0]), np.float32)
    for box in find_faces(thumbnail):
        across = (x - (box.x + box.width / 2)) / (0.5 * box.width)
        down = (y - (box.y + 0.55 * box.height)) / (0.62 * box.height)
        soft = np.maximum(soft, np.exp(-((across**2 + down**2) ** 2)))
    return np.asarray(soft, np.float32)
