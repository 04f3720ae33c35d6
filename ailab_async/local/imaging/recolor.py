"""The three modes of colour migration: AUTO, TEMPLATE and REF_PIC.

Each mode reads the colours off a thumbnail, makes one map of colours (see `lut`), and sends the
full picture through it. People are found on the same thumbnail: their skin, head and hair do not
count in the reading, and keep their pixels in the result. With a `protect_mask` nobody is looked
for: what it covers does not count and keeps its pixels. `degree` is the strength, 0 to 1; at 0 the
result is the picture itself.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from . import lut
from .color import Floats, Rgb, rgb_to_oklab
from .keep import Keep, KeepMask
from .lut import ColorMap, Mask
from .optimal_transport import transport_map
from .portrait import find_portrait
from .template import template_map

FULL_TURN_DEGREE = 0.4
"""The degree at which AUTO's hues stand where they were asked to; the service's default."""

REFERENCE_SIDE = 192
"""So many pixels on the long side are all that is read of a reference: its people only have to
stay out of the reading, and small faces weigh little there."""

_HALF_TURN = 180.0
_PORTRAIT_SIDE = 512
_SAMPLE_SIDE = 160
_LEAST_SAMPLE = 0.05
_HALF = 0.5
_LEAST_CONTRAST = 1e-3
_MOST_VIVID = 1.4
_GREY_BELOW, _COLORFUL_ABOVE = 0.012, 0.035
_TINT_CHROMA = 0.11
_FIRST_TINT = 70.0


def auto_angles(count: int, degree: float) -> NDArray[np.float64]:
    """Return by how many degrees each of AUTO's pictures turns the OKLab hue.

    The k-th of n pictures (k = 1..n) is turned by::

        t(k) x min(1, degree / 0.4)        t(k) = 360 x (k - 1/2) / n, above 180 less 360

    So from the default degree 0.4 on, the hues of the n pictures are spread evenly over the whole
    circle, 360/n apart, and the original's hue lies in the middle of a gap: no picture repeats it.
    Below 0.4 each hue is on its way there, along the shorter side.

    Args:
        count: how many pictures, at least 1.
        degree: the strength, 0..1.

    Returns:
        `count` angles in -180..180.
    """
    target = 360 * (np.arange(1, count + 1) - 0.5) / count
    target[target > _HALF_TURN] -= 2 * _HALF_TURN
    return np.asarray(target * min(1.0, degree / FULL_TURN_DEGREE))


def auto_vividness(degree: float) -> float:
    """Return the factor on AUTO's chroma: 1 up to degree 0.4, from there in a line to 1.4 at 1."""
    return 1 + (_MOST_VIVID - 1) * max(0.0, degree - FULL_TURN_DEGREE) / (1 - FULL_TURN_DEGREE)


def recolor_auto(
    image: Rgb,
    *,
    color_count: int,
    degree: float,
    protect: bool = True,
    protect_mask: Keep | None = None,
) -> Iterator[Rgb]:
    """Make pictures whose hues are spread evenly over the hue circle.

    Hues turn by `auto_angles`, chroma grows by `auto_vividness` as far as the gamut allows.
    Every colour keeps its luminance, so lightness and detail stay. A picture that is all but grey
    has no hue to turn and is tinted, to n evenly spread hues from sepia on, as strongly as
    `degree` says.

    Args:
        image: height x width x 3.
        color_count: how many pictures, at least 1.
        degree: strength, 0..1.
        protect: keep skin, heads and hair.
        protect_mask: what keeps its colours, instead of the people that would be looked for:
            height x width of the picture, `bool`, `uint8` 0..255, or a float 0..1. Half covered
            and more does not count for the colours of the picture, unless that is all but all.

    Returns:
        An iterator over `color_count` new pictures of the input's size, in order of rising hue
        angle; each is made when it is asked for, so that only one needs to be held.

    Raises:
        ValueError: `protect_mask` has another size or type, or values outside of 0..1.
    """
    # Here, not in the generator: what is wrong is said when it is called.
    keep = _checked(image, protect_mask)
    if degree <= 0:
        return (image.copy() for _ in range(color_count))
    return _turned(image, color_count, degree, protect=protect, keep=keep)


def _turned(
    image: Rgb, color_count: int, degree: float, *, protect: bool, keep: KeepMask | None
) -> Iterator[Rgb]:
    colors, portrait = _read(image, protect=protect, keep=keep)
    greyness = _greyness(colors)
    vividness = auto_vividness(degree)
    for number, angle in enumerate(auto_angles(color_count, degree)):
        hue = np.radians(_FIRST_TINT + 360 * number / color_count)
        tint = greyness * degree * _TINT_CHROMA * np.array([np.cos(hue), np.sin(hue)])
        turn = _hue_turn(np.radians(angle), vividness, tint)
        yield lut.apply(image, lut.build(turn, keep_luminance=True), portrait)


def recolor_template(
    image: Rgb,
    *,
    colors: Sequence[tuple[int, int, int]],
    degree: float,
    protect: bool = True,
    protect_mask: Keep | None = None,
) -> Rgb:
    """Make the colours of a template the main colours of a picture.

    Colours move by `degree` of the way in OKLab. Lightness moves with them along one rising curve
    of bounded slope, 80 % as far as the template's own lightness would have it.

    Args:
        image: height x width x 3.
        colors: 1 to 7 colours, red, green and blue 0..255.
        degree: strength, 0..1.
        protect: keep skin, heads and hair.
        protect_mask: what keeps its colours, instead of the people that would be looked for:
            height x width of the picture, `bool`, `uint8` 0..255, or a float 0..1. Half covered
            and more does not count for the colours of the picture, unless that is all but all.

    Returns:
        A new picture of the same size.

    Raises:
        ValueError: `protect_mask` has another size or type, or values outside of 0..1.
    """
    keep = _checked(image, protect_mask)
    if degree <= 0:
        return image.copy()
    found, portrait = _read(image, protect=protect, keep=keep)
    return _moved(image, found, template_map(found, colors), degree, portrait)


def recolor_reference(
    image: Rgb,
    reference: Rgb,
    *,
    degree: float,
    protect: bool = True,
    protect_mask: Keep | None = None,
) -> Rgb:
    """Give a picture the colours of another one.

    Colours move by `degree` of the way in OKLab, lightness among them.

    Args:
        image: height x width x 3.
        reference: height x width x 3, of any size; `REFERENCE_SIDE` pixels on its long side do.
        degree: strength, 0..1.
        protect: keep skin, heads and hair of the picture, and do not read colours off those of
            the reference.
        protect_mask: what keeps its colours, instead of the people that would be looked for:
            height x width of the picture, `bool`, `uint8` 0..255, or a float 0..1. Half covered
            and more does not count for the colours of the picture, unless that is all but all.

    Returns:
        A new picture of the first one's size.

    Raises:
        ValueError: `protect_mask` has another size or type, or values outside of 0..1.
    """
    keep = _checked(image, protect_mask)
    if degree <= 0:
        return image.copy()
    found, portrait = _read(image, protect=protect, keep=keep)
    wanted, _ = _read(reference, protect=protect, side=REFERENCE_SIDE)
    return _moved(image, found, transport_map(found, wanted), degree, portrait)


def _checked(image: Rgb, mask: Keep | None) -> KeepMask | None:
    return None if mask is None else KeepMask.checked(mask, *image.shape[:2])


def _read(
    image: Rgb, *, protect: bool, keep: KeepMask | None = None, side: int = _PORTRAIT_SIDE
) -> tuple[Floats, Mask | None]:
    """Return the OKLab colours of a picture without what is kept of it, and the mask of that."""
    thumbnail = _shrink(image, side)
    small = _shrink(thumbnail, _SAMPLE_SIDE)
    height, width = small.shape[:2]
    mask: Mask | None = keep
    kept = None if keep is None else keep.shrunk(height, width)
    if keep is None and protect and (portrait := find_portrait(thumbnail)) is not None:
        mask = portrait
        size = (width, height)
        kept = np.asarray(
            cv2.resize(portrait.coarse, size, interpolation=cv2.INTER_AREA), np.float32
        )
    colors = rgb_to_oklab(small.reshape(-1, 3) / np.float32(255))
    if kept is not None:
        others = kept.ravel() < _HALF
        # Where there is next to nothing but a face, its colours are the picture's.
        if others.mean() > _LEAST_SAMPLE:
            colors = colors[others]
    return colors, mask


def _moved(image: Rgb, found: Floats, full: ColorMap, degree: float, kept: Mask | None) -> Rgb:
    """Send a picture a part of the way through a map; its grain grows no stronger than it was."""
    contrast = full(found)[:, 0].std() / max(float(found[:, 0].std()), _LEAST_CONTRAST)
    texture = 1 + degree * (min(1.0, float(contrast)) - 1)
    return lut.apply(image, lut.build(_part(full, degree)), kept, texture=texture)


def _shrink(image: Rgb, side: int) -> Rgb:
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _greyness(colors: Floats) -> float:
    """Return 1 for a picture without colour, 0 for one with, and between for those between."""
    chroma = float(np.hypot(colors[:, 1], colors[:, 2]).mean())
    t = np.clip((_COLORFUL_ABOVE - chroma) / (_COLORFUL_ABOVE - _GREY_BELOW), 0, 1)
    return float(t * t * (3 - 2 * t))


def _hue_turn(angle: float, vividness: float, tint: NDArray[np.float64]) -> ColorMap:
    cos, sin = np.cos(angle) * vividness, np.sin(angle) * vividness
    turn = np.array([[cos, sin], [-sin, cos]], np.float32)

    def apply(lab: Floats) -> Floats:
        light = lab[:, :1]
        # Black stays black and white stays white; tones between take the tint.
        strength = np.clip(4 * light * (1 - light), 0, 1)
        ab = lab[:, 1:] @ turn + strength * tint
        return np.concatenate([light, ab], axis=1).astype(np.float32)

    return apply


def _part(full: ColorMap, degree: float) -> ColorMap:
    """Go a part of the way (McCann's displacement interpolation)."""

    def apply(lab: Floats) -> Floats:
        return (lab + np.float32(degree) * (full(lab) - lab)).astype(np.float32)

    return apply
