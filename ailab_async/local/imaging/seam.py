"""Seams in the gradient domain (Perez, Gangnet & Blake 2003, with a screen).

A hole filled with pixels from several places shows where they meet, and where they meet the rest.
What is copied are therefore differences between neighbours; the colours follow from those and from
the colours at the border. The screen, a weak pull to the copied colours, ends the influence of
the border some dozens of pixels inside: without it a shadow left at one edge of the hole would
tint all of it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats, Rgb

_Region = NDArray[np.bool_]
_Index = NDArray[np.intp]

_SCREEN = 1 / 40**2
_COARSEST = 16
_STEPS = 24
_FIRST_STEPS = 60
_ENOUGH = 1e-3
_HALF = 0.5
_LEAST = 1e-12


def blend(image: Rgb, hole: _Region, rows: _Index, columns: _Index) -> Floats:
    """Compose a hole from pixels of other places, without visible seams.

    Args:
        image: height x width x 3; counts outside of the hole alone.
        hole: where to compose.
        rows: height x width: the row that each pixel of the hole is copied from. The pixel there
            and its four neighbours must lie outside of the hole.
        columns: the same for columns.

    Returns:
        height x width x 3: the picture with the composed hole, 0..255.
    """
    whole = image.astype(np.float32)
    if hole.any():
        box = tuple(slice(max(0, int(at.min()) - 1), int(at.max()) + 2) for at in np.nonzero(hole))
        whole[box] = _blend(image, box, hole[box], rows[box], columns[box])
    return whole


def _blend(
    image: Rgb, box: tuple[slice, ...], hole: _Region, rows: _Index, columns: _Index
) -> Floats:
    height, width = image.shape[:2]

    def copied(down: int, right: int) -> Floats:
        y = np.clip(rows + down, 0, height - 1)
        x = np.clip(columns + right, 0, width - 1)
        return image[y, x].astype(np.float32)

    here = np.where(hole[..., None], copied(0, 0), image[box]).astype(np.float32)
    surplus = np.zeros_like(here)
    for axis, (back, forth) in enumerate((((-1, 0), (1, 0)), ((0, -1), (0, 1)))):
        first, second = _pairs(axis)
        one, other = hole[first][..., None], hole[second][..., None]
        # Each side of a pair knows, from the place that it comes from, what the step between the
        # two should be. Where both come from one place they agree, and nothing is to be done.
        ahead = np.where(one, copied(*forth)[first] - here[first], 0)
        behind = np.where(other, here[second] - copied(*back)[second], 0)
        voices = np.maximum(one.astype(np.float32) + other, 1)
        missing = (ahead + behind) / voices - (here[second] - here[first])
        missing *= one | other
        surplus[second] += missing
        surplus[first] -= missing
    # One channel at a time is three times as fast as all side by side.
    for channel in range(here.shape[2]):
        here[..., channel] += _solve(surplus[..., channel].copy(), hole, _SCREEN)
    return np.asarray(np.clip(here, 0, 255), np.float32)


def _pairs(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    every = slice(None)
    low, high = slice(None, -1), slice(1, None)
    return ((low, every), (high, every)) if axis == 0 else ((every, low), (every, high))


def _solve(right: Floats, hole: _Region, screen: float) -> Floats:
    """Solve (screen - Laplacian) x = right inside of the hole, x = 0 outside of it: one channel.

    The coarse solution comes first, from the picture at half its size; conjugate gradients do the
    rest.
    """
    height, width = hole.shape
    start, steps = np.zeros_like(right), _FIRST_STEPS
    if min(height, width) > _COARSEST:
        size = ((width + 1) // 2, (height + 1) // 2)
        inner = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > _HALF
        smaller = 4 * np.asarray(cv2.resize(right, size, interpolation=cv2.INTER_AREA), np.float32)
        coarse = _solve(smaller * inner, inner, 4 * screen)
        start = np.asarray(
            cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
        )
        steps = _STEPS
    return _conjugate_gradients(right, start, hole, screen, steps)


def _conjugate_gradients(
    right: Floats, start: Floats, hole: _Region, screen: float, steps: int
) -> Floats:
    inside = hole.astype(np.float32)
    stencil = np.array([[0, -1, 0], [-1, 4 + screen, -1], [0, -1, 0]], np.float32)

    def apply(x: Floats) -> Floats:
        # Beyond its border the picture goes on as it is: what lies there pulls at nothing.
        y = cv2.filter2D(x, -1, stencil, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.multiply(y, inside, dst=y), np.float32)

    x = start * inside
    residual = right * inside - apply(x)
    direction = residual.copy()
    energy = _dot(residual, residual)
    goal = _ENOUGH**2 * max(float(hole.sum()), 1.0)
    for _ in range(steps):
        if energy < goal:
            break
        change = apply(direction)
        length = energy / max(_dot(direction, change), _LEAST)
        cv2.scaleAdd(direction, length, x, dst=x)
        cv2.scaleAdd(change, -length, residual, dst=residual)
        before, energy = energy, _dot(residual, residual)
        cv2.scaleAdd(direction, energy / max(before, _LEAST), residual, dst=direction)
    return x


def _dot(one: Floats, other: Floats) -> float:
    return float(np.einsum("yx,yx->", one, other))
