"""The map that makes the colours of a template the main colours of a picture.

Each main colour of the picture is given one colour of the template, darker to darker as far as the
template allows. A colour then moves as a soft mixture of the main colours near it do (so smooth
areas stay smooth), and lightness follows one rising curve (so that light and shade stay what they
were).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .color import Floats, oklab_to_rgb, rgb_to_oklab
from .lut import ColorMap
from .palette import METRIC, main_colors

_Doubles = NDArray[np.float64]

_LIGHTNESS_WEIGHT = 3.0
_LEAST_SHARE = 0.05
_UNUSED_PRICE = 0.04
# How far lightness goes towards the template's: all the way would turn a landscape into a night
# scene because the template holds two dark colours.
_LIGHTNESS_PART = 0.8
_LEAST_SLOPE, _MOST_SLOPE = 0.4, 2.2
_CURVE_NODES = 65
_LEAST_SOFTNESS = 0.006
_MOST_GAIN = 0.8
# How much of the distance to its main colour each colour gives up.
_GATHER = 0.5
_CORRECTIONS = 2
_CORRECTION_STEP = 0.8
_MOST_CORRECTION = 1.5
_CORRECTION_SAMPLE = 3000


def template_map(lab: Floats, colors: Sequence[tuple[int, int, int]]) -> ColorMap:
    """Make the map from a picture's colours to a template's.

    Args:
        lab: the picture's OKLab colours, n x 3.
        colors: the template, 1 to 7 colours, red, green and blue 0..255.

    Returns:
        The map at full strength.
    """
    template = rgb_to_oklab(np.array(colors, np.float32) / 255)
    main, share = main_colors(lab, len(template))
    template = template[_assign(main, share, template)]
    curve = _lightness_curve(main[:, 0], template[:, 0], share)
    wanted = (template - main)[:, 1:].astype(np.float64)
    softness = _softness(main, wanted)

    def mapping(shift: _Doubles) -> ColorMap:
        def apply(colors: Floats) -> Floats:
            weight = _membership(colors, main, softness)
            # Near black and white a shift of chroma would leave the gamut, and clip.
            light = colors[:, :1]
            taper = np.clip(np.minimum(light / 0.15, (1 - light) / 0.06), 0, 1)
            gathered = _GATHER * (weight @ main[:, 1:] - colors[:, 1:])
            moved = colors[:, 1:] + (weight @ shift + gathered) * taper
            lightness = np.interp(colors[:, 0], np.linspace(0, 1, _CURVE_NODES), curve)
            return np.concatenate([lightness[:, None], moved], axis=1).astype(np.float32)

        return apply

    # Mixing, tapering and the gamut pull the result off the template: look at what comes out, and
    # aim a little further, within bounds.
    sample = lab[:: max(1, len(lab) // _CORRECTION_SAMPLE)]
    member = _membership(sample, main, softness).argmax(axis=1)
    limit = _MOST_CORRECTION * np.linalg.norm(wanted, axis=1, keepdims=True)
    shift = wanted.copy()
    for _ in range(_CORRECTIONS):
        seen = rgb_to_oklab(oklab_to_rgb(mapping(shift)(sample)))
        for index in range(len(main)):
            inside = member == index
            if inside.any():
                missed = template[index, 1:] - seen[inside, 1:].mean(axis=0)
                shift[index] += _CORRECTION_STEP * missed
        length = np.linalg.norm(shift, axis=1, keepdims=True)
        shift *= np.minimum(1, limit / np.maximum(length, 1e-6))
    return mapping(shift)


def _assign(main: Floats, share: _Doubles, template: Floats) -> NDArray[np.intp]:
    """Return which template colour each main colour gets: the cheapest of all choices.

    Two main colours may get the same one, at a price for each template colour left over: a night
    sky in four shades of blue is better served by the one blue of a template than by its yellows.
    """
    count = len(main)
    away = template[None] - main[:, None]
    cost = _LIGHTNESS_WEIGHT * away[..., 0] ** 2 + (away[..., 1:] ** 2).sum(axis=-1)
    cost *= np.maximum(share, _LEAST_SHARE)[:, None]
    # At most 7 to the power of 7 choices, in single bytes.
    choices = np.indices((count,) * count, dtype=np.int8).reshape(count, -1)
    used = np.bitwise_or.reduce(np.int8(1) << choices, axis=0)
    total = _UNUSED_PRICE * (count - np.bitwise_count(used).astype(np.float64))
    for index, choice in enumerate(choices):
        total += cost[index, choice]
    return choices[:, total.argmin()].astype(np.intp)


def _softness(main: Floats, shift: _Doubles) -> float:
    """Return the variance of the soft borders between main colours.

    Across the border between two main colours the shift changes from one to the other; the closer
    they lie and the further apart they are sent, the softer the border has to be, or the grain of
    a smooth surface turns into spots of both colours.
    """
    if len(main) == 1:
        return 1.0
    i, j = np.triu_indices(len(main), 1)
    gap = np.linalg.norm((main[i] - main[j]) * METRIC, axis=1)
    jump = np.linalg.norm(shift[i] - shift[j], axis=1)
    # The slope of the mixture of two, in the middle between them, is jump x gap / (4 x variance).
    bounded = np.median(jump * gap) / (4 * _MOST_GAIN)
    return max(_LEAST_SOFTNESS, 0.35 * float(np.median(gap)) ** 2 / 2, float(bounded))


def _membership(colors: Floats, main: Floats, softness: float) -> _Doubles:
    """Return how much of each main colour is in each colour; rows sum to 1."""
    distance = (((colors[:, None] - main) * METRIC) ** 2).sum(axis=-1)
    weight = np.exp((distance.min(axis=1, keepdims=True) - distance) / (2 * softness))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _lightness_curve(source: Floats, target: Floats, share: _Doubles) -> _Doubles:
    """Return a rising curve from lightness to lightness, 0 to 0 and 1 to 1, of bounded slope."""
    order = np.argsort(source, kind="stable")
    goal = _isotonic(target[order].astype(np.float64), np.maximum(share[order], _LEAST_SHARE))
    start = np.clip(source[order].astype(np.float64), 0.02, 0.98)
    start = np.maximum.accumulate(start + 1e-4 * np.arange(len(start)))
    goal = np.clip(start + _LIGHTNESS_PART * (goal - start), 0.02, 0.98)
    nodes = np.linspace(0, 1, _CURVE_NODES)
    curve = np.interp(nodes, np.r_[0, start, 1], np.r_[0, goal, 1])
    steps = np.clip(np.diff(curve) * (_CURVE_NODES - 1), _LEAST_SLOPE, _MOST_SLOPE)
    rising = np.r_[0, np.cumsum(steps)]
    return np.asarray(rising / rising[-1])


def _isotonic(values: _Doubles, weights: _Doubles) -> _Doubles:
    """Return the closest sequence that never falls (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, length = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            before = blocks.pop()
            mean = (mean * mass + before[0] * before[1]) / (mass + before[1])
            mass, length = mass + before[1], length + before[2]
        blocks.append((mean, mass, length))
    return np.concatenate([np.full(length, mean) for mean, _, length in blocks])
