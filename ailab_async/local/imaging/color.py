"""Colour spaces: sRGB, linear light and OKLab, and the way back into the sRGB gamut.

OKLab (Bjorn Ottosson, 2020) is where colours are moved: its hue angle and chroma follow the eye
better than those of CIELAB, in blue above all. What leaves the gamut comes back by losing chroma,
never by clipping channels, so that a hue that was asked for stays the hue that is seen.

All functions work on the last axis (three channels) of arrays of any shape, in float32.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rgb: TypeAlias = NDArray[np.uint8]
"""A picture: height x width x 3, sRGB, red first."""

Floats: TypeAlias = NDArray[np.float32]

# Published matrices: linear sRGB to cone response, and its cube root to L, a, b.
_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

_TO_LMS = _LMS.T.astype(np.float32)
_TO_LAB = _LAB.T.astype(np.float32)
_FROM_LAB = np.linalg.inv(_LAB).T.astype(np.float32)
_FROM_LMS = np.linalg.inv(_LMS).T.astype(np.float32)
_LUMINANCE_OF_LMS = (_LUMINANCE @ np.linalg.inv(_LMS)).astype(np.float32)
_LUMINANCE_OF_RGB = _LUMINANCE.astype(np.float32)

# Less than a quarter of one 8-bit step at the dark end: not visible, and it saves neutral colours,
# which sit on the border of the gamut at white, from being searched for a chroma they do not have.
_GAMUT_TOLERANCE = np.float32(7e-5)
_BISECTIONS = 10
_NEWTON_STEPS = 4


def to_linear(rgb: ArrayLike) -> Floats:
    """Undo the sRGB transfer curve; values 0..1 to linear light 0..1."""
    v = np.asarray(rgb, np.float32)
    bent = ((np.maximum(v, 0) + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.asarray(np.where(v <= np.float32(0.04045), v / np.float32(12.92), bent), np.float32)


def from_linear(linear: Floats) -> Floats:
    """Apply the sRGB transfer curve; linear light 0..1 to values 0..1, clipped."""
    v = np.clip(linear, 0, 1)
    bent = np.float32(1.055) * v ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(v <= np.float32(0.0031308), v * np.float32(12.92), bent)


def rgb_to_oklab(rgb: ArrayLike) -> Floats:
    """Turn sRGB values 0..1 into OKLab: L 0..1, a and b about -0.4..0.4."""
    return linear_to_oklab(to_linear(rgb))


def linear_to_oklab(linear: Floats) -> Floats:
    """Turn linear sRGB into OKLab."""
    return np.asarray(np.cbrt(linear @ _TO_LMS) @ _TO_LAB, np.float32)


def oklab_to_linear(lab: Floats) -> Floats:
    """Turn OKLab into linear sRGB, which may lie outside 0..1."""
    lms = lab @ _FROM_LAB
    # Three factors: numpy's general power is ten times as slow.
    return np.asarray((lms * lms * lms) @ _FROM_LMS, np.float32)


def luminance(linear: Floats) -> Floats:
    """Return relative luminance Y, 0..1, of linear sRGB (one value for each colour)."""
    y: Floats = linear @ _LUMINANCE_OF_RGB
    return y


def lightness_for(ab: Floats, y: Floats) -> Floats:
    """Return the OKLab L at which colours of these a, b have the relative luminance `y`.

    Luminance is a cubic in L once a and b are fixed; a few Newton steps from the grey of the same
    luminance solve it to float32.
    """
    lms = ab @ _FROM_LAB[1:]
    mean = lms @ _LUMINANCE_OF_LMS
    square = (lms * lms) @ _LUMINANCE_OF_LMS
    cube = (lms * lms * lms) @ _LUMINANCE_OF_LMS
    light = np.cbrt(y)
    for _ in range(_NEWTON_STEPS):
        value = ((light + 3 * mean) * light + 3 * square) * light + cube - y
        slope = (3 * light + 6 * mean) * light + 3 * square
        light -= value / np.maximum(slope, np.float32(1e-4))
    return light


def oklab_to_rgb(lab: Floats, keep_luminance: Floats | None = None) -> Floats:
    """Turn OKLab colours into sRGB values 0..1 that lie in the gamut.

    A colour outside keeps its hue and its lightness and loses the chroma that does not fit.

    Args:
        lab: colours, n x 3; L is clipped to 0..1.
        keep_luminance: relative luminance Y, n values. With it the L of `lab` does not count: it is
            set so that each colour has this luminance, hence also this CIELAB L*, before and after
            chroma was taken away.
    """
    if keep_luminance is None:
        light: Floats = np.clip(lab[:, 0], 0, 1)
    else:
        light = np.clip(keep_luminance, 0, 1)
    ab = lab[:, 1:]
    linear = _linear_at(light, ab, by_luminance=keep_luminance is not None)
    outside = ~_fits(linear)
    if outside.any():
        linear[outside] = _reduce_chroma(
            light[outside], ab[outside], by_luminance=keep_luminance is not None
        )
    return from_linear(linear)


def _linear_at(light: Floats, ab: Floats, *, by_luminance: bool) -> Floats:
    height = lightness_for(ab, light) if by_luminance else light
    return oklab_to_linear(np.concatenate([height[:, None], ab], axis=1))


def _fits(linear: Floats) -> NDArray[np.bool_]:
    inside = (linear >= -_GAMUT_TOLERANCE) & (linear <= 1 + _GAMUT_TOLERANCE)
    return np.asarray(inside.all(axis=-1))


def _reduce_chroma(light: Floats, ab: Floats, *, by_luminance: bool) -> Floats:
    low = np.zeros(len(ab), np.float32)
    high = np.ones(len(ab), np.float32)
    for _ in range(_BISECTIONS):
        middle = np.asarray((low + high) / 2, np.float32)
        fits = _fits(_linear_at(light, ab * middle[:, None], by_luminance=by_luminance))
        low = np.where(fits, middle, low)
        high = np.where(fits, high, middle)
    return _linear_at(light, ab * low[:, None], by_luminance=by_luminance)
