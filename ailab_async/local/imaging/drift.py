"""A sky that drifts, and is back where it was when the film begins again.

Clouds lie in a plane above the ground. When they all move sideways at one speed, what is seen is a
shear: fast overhead, slow at the horizon.

The loop is closed by two copies of the sky, one of which is always a whole loop ahead; while one
fades out the other fades in. Where two unlike patterns are mixed half and half, contrast is lost,
and the film would pulse. So fine structure, in which the two copies are unlike, is strengthened by
as much as mixing weakens it (Heitz & Neyret 2018); coarse structure, in which they are alike, is
mixed as it is.
"""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats, Rgb
from .mask import SoftMask

_SPEED = 0.03
"""How far the top of the sky goes in one loop, in parts of the picture's long side."""

_SPEED_AT_HORIZON = 0.25
"""The same at the horizon, in parts of the top's."""

_COARSE = 8
"""Coarse structure is kept at this part of the size."""

_MIDDLE = 128
_NO_SKY, _ALL_SKY = np.float32(0.15), np.float32(0.85)
_SURELY_SKY = 250
_EDGE = 200
"""A border this part of the long side wide is no example of what the sky looks like."""


@dataclass(frozen=True)
class _Copy:
    """A sky without anything before it: coarse, enlarged, + fine - 128."""

    coarse: Rgb
    fine: Rgb

    @classmethod
    def split(cls, sky: Rgb, blur: float) -> "_Copy":
        part = (max(1, sky.shape[1] // _COARSE), max(1, sky.shape[0] // _COARSE))
        small = cv2.resize(sky, part, interpolation=cv2.INTER_AREA)
        coarse = np.asarray(cv2.GaussianBlur(small, (0, 0), max(1.0, blur / _COARSE)), np.uint8)
        fine = cv2.addWeighted(sky, 1, _enlarged(coarse, sky), -1, _MIDDLE)
        return cls(coarse, np.asarray(fine, np.uint8))


@dataclass(frozen=True)
class _Loop:
    """A sky in motion."""

    now: _Copy
    ahead: _Copy
    """The sky as it is, and a loop later; both reach `room` farther to the left than the box."""
    room: int
    bands: tuple[tuple[slice, int], ...]
    """Rows that move together, and how many pixels they go in one loop."""

    @classmethod
    def of(cls, sky: Rgb, speed: float) -> "_Loop":
        """Set a sky in motion; the top row goes `speed` pixels in one loop."""
        height, width = sky.shape[:2]
        # Whole pixels for each row: so the copy ahead is as sharp as the other, not interpolated.
        steps = np.linspace(speed, speed * _SPEED_AT_HORIZON, height).round().astype(np.intp)
        steps = np.maximum(1, steps)
        room = int(steps[0])
        wide = cv2.copyMakeBorder(sky, 0, 0, room, room, cv2.BORDER_REFLECT_101)
        ahead = [row[step : step + width + room] for row, step in zip(wide, steps, strict=True)]
        ends = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), height]
        return cls(
            _Copy.split(np.ascontiguousarray(wide[:, : width + room], np.uint8), speed / 2),
            _Copy.split(np.stack(ahead), speed / 2),
            room,
            tuple((slice(a, b), int(steps[a])) for a, b in itertools.pairwise(ends)),
        )

    def at(self, time: float) -> Rgb:
        """Return the sky at a time of the loop, from 0 to below 1."""
        mixed = self._mixed(time)
        moved = np.ascontiguousarray(mixed[:, self.room :])
        width = moved.shape[1]
        for rows, step in self.bands:
            whole, part = divmod(step * time, 1)
            left = self.room - int(whole)
            near, far = mixed[rows, left : left + width], mixed[rows, left - 1 : left - 1 + width]
            moved[rows] = cv2.addWeighted(near, 1 - part, far, part, 0)
        return moved

    def _mixed(self, time: float) -> Rgb:
        """Mix both copies, before they are moved."""
        now, ahead = self.now, self.ahead
        contrast = 1 / float(np.hypot(1 - time, time))
        fine = cv2.addWeighted(
            now.fine,
            (1 - time) * contrast,
            ahead.fine,
            time * contrast,
            _MIDDLE * (1 - contrast),
        )
        coarse = cv2.addWeighted(now.coarse, 1 - time, ahead.coarse, time, 0)
        enlarged = _enlarged(np.asarray(coarse, np.uint8), now.fine)
        return np.asarray(cv2.addWeighted(enlarged, 1, fine, 1, -_MIDDLE), np.uint8)


@dataclass(frozen=True)
class Drift:
    """The sky of one photograph as a layer over it, in the box that holds all of it."""

    rows: slice
    columns: slice
    still: NDArray[np.int16]
    """The photograph less what the layer adds to it at time 0."""
    cover: Rgb
    """How much of each pixel is sky, 0..255, three times."""
    sky: _Loop

    @classmethod
    def over(cls, image: Rgb, mask: SoftMask) -> "Drift | None":
        """Lift the sky that `mask` shows off a photograph; `None` where it shows none."""
        whole = _cover(image, mask)
        left, top, width, height = cv2.boundingRect(whole)
        if not width:
            return None
        rows, columns = slice(top, top + height), slice(left, left + width)
        part, cover = image[rows, columns], whole[rows, columns]
        long_side = max(image.shape[:2])
        sky = _Loop.of(_filled(part, cover, 1 + long_side // _EDGE), _SPEED * long_side)
        three = np.repeat(cover[..., None], 3, axis=2)
        # What is added at time 0 is taken away here: so the first picture is the photograph
        # itself, and where there is no sky all of them are.
        still = part.astype(np.int16) - _weighted(sky.at(0), three)
        return cls(rows, columns, still, three, sky)

    def draw(self, picture: Rgb, time: float) -> None:
        """Draw the sky into a copy of the photograph, in place."""
        shown = _weighted(self.sky.at(time), self.cover)
        picture[self.rows, self.columns] = cv2.add(self.still, shown, dtype=cv2.CV_8U)


def _cover(image: Rgb, mask: SoftMask) -> NDArray[np.uint8]:
    """Return the mask at the picture's size, 0..255."""
    size = (image.shape[1], image.shape[0])
    slope = np.asarray(cv2.resize(mask.slope, size, interpolation=cv2.INTER_LINEAR), np.float32)
    offset = np.asarray(cv2.resize(mask.offset, size, interpolation=cv2.INTER_LINEAR), np.float32)
    cover = slope * (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) / np.float32(255)) + offset
    # The filter's tails are cut off, or a trace of the sky would drift over all that is near it.
    stretched = (cover - _NO_SKY) * np.float32(255 / (_ALL_SKY - _NO_SKY)) + np.float32(0.5)
    return np.asarray(np.clip(stretched, 0, 255), np.uint8)


def _filled(part: Rgb, cover: NDArray[np.uint8], edge: int) -> Rgb:
    """Continue the sky's colours behind what stands before it.

    Push-pull (Gortler et al. 1996): known colours are averaged down a pyramid, and the holes of
    each level filled from the next smaller one. So whatever the drift uncovers is sky.
    """
    sure = (cover >= _SURELY_SKY).astype(np.float32)
    # Shrunk twice as far as it is blurred: nothing of the edge comes in, and no seam is left.
    known = cv2.erode(sure, np.ones((4 * edge + 1, 4 * edge + 1), np.uint8))
    weight = np.asarray(cv2.blur(known, (2 * edge + 1, 2 * edge + 1)), np.float32)
    if not weight.any():
        weight = np.asarray(cover / np.float32(255), np.float32)
    return (_push_pull(part * weight[..., None], weight) + np.float32(0.5)).astype(np.uint8)


def _push_pull(color: Floats, weight: Floats) -> Floats:
    """Fill a level of the pyramid: colours are multiplied by their weights, 0..1."""
    height, width = weight.shape
    if min(height, width) == 1:
        average = color.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
        filler = np.broadcast_to(average, color.shape)
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        mean = np.asarray(cv2.resize(weight, half, interpolation=cv2.INTER_AREA), np.float32)
        # One known pixel of four is enough to know: farther ones would only bring their own hue.
        known = np.asarray(np.minimum(4 * mean, 1), np.float32)
        gain = np.asarray(known / np.maximum(mean, 1e-6), np.float32)
        parts = np.asarray(cv2.resize(color, half, interpolation=cv2.INTER_AREA), np.float32)
        smaller = _push_pull(parts * gain[..., None], known)
        filler = cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(color + (1 - weight[..., None]) * filler, np.float32)


def _enlarged(coarse: Rgb, like: Rgb) -> Rgb:
    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _weighted(sky: Rgb, cover: Rgb) -> NDArray[np.int16]:
    return np.asarray(cv2.multiply(sky, cover, scale=1 / 255, dtype=cv2.CV_16S), np.int16)
