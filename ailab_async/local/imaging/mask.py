"""Soft masks: found on a small picture, sharp on the large one.

The guided filter (He, Sun & Tang 2013) writes a mask as a local linear function of the picture's
grey values, mask = slope x grey + offset. The two coefficient maps are smooth, so they may be
found on a thumbnail and enlarged (He & Sun's "fast guided filter", 2015); the edge itself comes
from the full-size picture, and follows hair and cheek instead of the thumbnail's staircase.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .color import Floats, Rgb

_RADIUS = 4
_SMOOTHNESS = 1e-3
# Below and above these the mask counts as 0 and 1: the filter's tails would otherwise leave a
# trace of the old colour far outside, and of the new one in the middle of a face.
_FLOOR, _CEILING = 0.15, 0.85


@dataclass(frozen=True)
class SoftMask:
    """A mask as guided-filter coefficients, both of the thumbnail's size."""

    slope: Floats
    offset: Floats
    coarse: Floats
    """The mask at the thumbnail's size, 0..1."""

    @classmethod
    def refine(cls, thumbnail: Rgb, rough: Floats) -> "SoftMask":
        """Fit a rough mask (0..1, the thumbnail's size) to the thumbnail's edges."""
        grey = _grey(thumbnail)
        mean, mean_mask = _box(grey), _box(rough)
        variance = _box(grey * grey) - mean * mean
        covariance = _box(grey * rough) - mean * mean_mask
        slope = np.asarray(covariance / (variance + np.float32(_SMOOTHNESS)), np.float32)
        offset = np.asarray(mean_mask - slope * mean, np.float32)
        smooth_slope, smooth_offset = _box(slope), _box(offset)
        return cls(smooth_slope, smooth_offset, _stretch(smooth_slope * grey + smooth_offset))

    def over(self, height: int, width: int) -> "Cover":
        """Lay the mask over a picture of this size."""
        return Cover.lay(self, height, width)


@dataclass(frozen=True)
class Cover:
    """A soft mask laid over a full-size picture, inside the box that holds all of it."""

    rows: slice
    columns: slice
    slope: Floats
    offset: Floats
    """The coefficients: thumbnail rows x the box's columns."""
    height: int

    @classmethod
    def lay(cls, mask: SoftMask, height: int, width: int) -> "Cover":
        """Find the box and stretch the coefficients to the picture's columns."""
        low_width = mask.coarse.shape[1]
        rows = _extent(mask.coarse.max(axis=1), height)
        columns = _extent(mask.coarse.max(axis=0), width)
        left, right, t = _neighbours(columns, low_width, width)

        def stretch(low: Floats) -> Floats:
            return np.asarray(low[:, left] * (1 - t) + low[:, right] * t, np.float32)

        return cls(rows, columns, stretch(mask.slope), stretch(mask.offset), height)

    def keep(self, source: Rgb, target: Rgb, rows: slice) -> None:
        """Mix the source's pixels back into the target's where the mask says so.

        Both pictures have their full size; only `rows`, and of them only those in the box, change.
        """
        rows = slice(max(rows.start, self.rows.start), min(rows.stop, self.rows.stop))
        if rows.start >= rows.stop or self.columns.start >= self.columns.stop:
            return
        upper, lower, t = _neighbours(rows, self.slope.shape[0], self.height)
        t = t[:, None]
        old, new = source[rows, self.columns], target[rows, self.columns]
        weight = self.slope[upper] * (1 - t) + self.slope[lower] * t
        weight *= _grey(old)
        weight += self.offset[upper] * (1 - t) + self.offset[lower] * t
        weight = _stretch(np.asarray(weight, np.float32))[..., None]
        mixed = new + (old - new.astype(np.float32)) * weight
        target[rows, self.columns] = (mixed + np.float32(0.5)).astype(np.uint8)


def _grey(image: Rgb) -> Floats:
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return grey.astype(np.float32) / np.float32(255)


def _box(values: Floats) -> Floats:
    size = 2 * _RADIUS + 1
    return np.asarray(cv2.blur(values, (size, size)), np.float32)


def _stretch(mask: Floats) -> Floats:
    stretched = (mask - np.float32(_FLOOR)) / np.float32(_CEILING - _FLOOR)
    return np.asarray(np.clip(stretched, 0, 1), np.float32)


def _extent(profile: Floats, size: int) -> slice:
    """Return the range of full-size pixels that the non-zero part of a profile can reach."""
    found = np.flatnonzero(profile > 0)
    if not len(found):
        return slice(0, 0)
    # Two thumbnail pixels of room: interpolation reaches one, the filter's full-size edge another.
    scale = size / len(profile)
    first, last = max(0, int(found[0]) - 2), min(len(profile), int(found[-1]) + 3)
    return slice(int(first * scale), min(size, int(np.ceil(last * scale))))


def _neighbours(
    pixels: slice, low_size: int, size: int
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.intp]], np.ndarray[tuple[int], np.dtype[np.intp]], Floats
]:
    """Return for full-size pixels the two thumbnail pixels between which they lie, and where."""
    centre = (np.arange(pixels.start, pixels.stop) + 0.5) * (low_size / size) - 0.5
    centre = np.clip(centre, 0, low_size - 1)
    first = np.floor(centre).astype(np.intp)
    second = np.minimum(first + 1, low_size - 1)
    return first, second, (centre - first).astype(np.float32)
