"""Colours of a style: flattened into bands, graded, lit."""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np

from . import lut
from .color import Floats, Rgb
from .scene import Scene

Tint = tuple[float, float]
"""What is added to OKLab's a and b."""

_FACE_BANDS = 0.55
_BLACK = 0.3
"""OKLab L below which chroma fades: in near-black its rounding would show as contour lines."""


def banded(scene: Scene, *, bands: int, hardness: float) -> Rgb:
    """Flatten lightness into bands, as if filled in with a few paints.

    Args:
        scene: its smoothed colours are taken.
        bands: how many steps lie between black and white.
        hardness: 1 is hardly a step, 12 a knife's edge. Faces get softer ones.
    """
    levels = np.arange(256) / 255 * bands
    middle = np.floor(levels) + 0.5
    step = middle + 0.5 * np.tanh(hardness * (levels - middle)) / np.tanh(hardness / 2)
    table = np.clip(step / bands * 255 + 0.5, 0, 255).astype(np.uint8)
    lab = np.asarray(cv2.cvtColor(scene.smooth, cv2.COLOR_RGB2LAB), np.uint8)
    light = np.ascontiguousarray(lab[..., 0])
    flat = cv2.LUT(light, table)
    if scene.faces.any():
        faces = np.float32(_FACE_BANDS) * scene.enlarged(scene.faces)
        flat = cv2.blendLinear(flat, light, 1 - faces, faces)
    lab[..., 0] = flat
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def graded(
    colors: Rgb,
    *,
    saturation: float = 1.0,
    contrast: float = 1.0,
    pivot: float = 0.6,
    lift: float = 0.0,
    dark: Tint = (0.0, 0.0),
    light: Tint = (0.0, 0.0),
    paints: Sequence[Tint] = (),
) -> Rgb:
    """Grade colours.

    Args:
        colors: a picture.
        saturation: factor on chroma.
        contrast: factor on the distance of lightness from the pivot.
        pivot: the OKLab L that contrast does not change.
        lift: how far black is raised to white, 0..1.
        dark: added to the colour of shadows.
        light: added to the colour of lights.
        paints: with these, hues are drawn to the nearest of them; grey stays grey.
    """

    def change(lab: Floats) -> Floats:
        height = lab[:, :1]
        raised = pivot + (height - pivot) * contrast
        raised = raised + lift * (1 - raised)
        ab = lab[:, 1:] * (saturation * np.clip(height / _BLACK, 0, 1))
        if paints:
            ab = _painted(cast("Floats", ab), np.asarray(paints, np.float32))
        share = np.clip((height - 0.25) / 0.5, 0, 1)
        ab = ab + (1 - share) * np.asarray(dark) + share * np.asarray(light)
        return np.asarray(np.concatenate([raised, ab], axis=1), np.float32)

    return lut.apply(colors, lut.build(change))


def mapped(colors: Rgb, stops: Sequence[tuple[float, float, float]], *, kept: float) -> Rgb:
    """Give each lightness a colour of its own, as a duotone print does.

    Args:
        colors: a picture.
        stops: OKLab colours of evenly spaced lightnesses, black's first.
        kept: how much of the picture's own colour is kept, 0..1.
    """
    ramp = np.asarray(stops, np.float32)
    at = np.linspace(0, 1, len(ramp))

    def change(lab: Floats) -> Floats:
        new = np.stack([np.interp(lab[:, 0], at, ramp[:, part]) for part in range(3)], axis=1)
        new[:, 1:] = new[:, 1:] * (1 - kept) + lab[:, 1:] * kept
        return np.asarray(new, np.float32)

    return lut.apply(colors, lut.build(change))


def relief(scene: Scene, depth: float) -> Floats:
    """Light a picture from the upper left as if its lightness were height.

    Returns light at the final size, -`depth`..`depth`; half as strong in faces.
    """
    grey = np.asarray(cv2.cvtColor(scene.small, cv2.COLOR_RGB2GRAY), np.float32)
    total = np.zeros_like(grey)
    for radius in (3, 6):
        ground = cv2.GaussianBlur(grey, (0, 0), radius)
        slope = cv2.Sobel(ground, cv2.CV_32F, 1, 0) + 1.3 * cv2.Sobel(ground, cv2.CV_32F, 0, 1)
        total += np.tanh(slope * np.float32(radius / 300))
    total *= np.float32(0.5 * depth) * (1 - np.float32(0.5) * scene.faces)
    return scene.enlarged(total)


def lit(colors: Rgb, light: Floats) -> Rgb:
    """Brighten where `light` is above 0 and darken where it is below, by as many parts."""
    gain = np.clip((1 + light) * 128, 0, 255).astype(np.uint8)
    return np.asarray(cv2.multiply(colors, cv2.merge([gain] * 3), scale=1 / 128), np.uint8)


def _painted(ab: Floats, paints: Floats) -> Floats:
    chroma = np.hypot(ab[:, 0], ab[:, 1])[:, None]
    direction = ab / np.maximum(chroma, 1e-6)
    unit = paints / np.hypot(paints[:, 0], paints[:, 1])[:, None]
    # The nearest paints by angle share a hue between them: no seams where they meet.
    near = np.exp(7 * (direction @ unit.T))
    near /= near.sum(axis=1, keepdims=True)
    target = near @ unit
    target /= np.maximum(np.hypot(target[:, 0], target[:, 1])[:, None], 1e-6)
    return np.asarray(chroma * (0.25 * direction + 0.75 * target), np.float32)
