"""Straight edges that a hole interrupts are carried through it.

A wire, a stem or the rim of a table is a small part of what a patch sees, and often ends at the
hole. So the straight edges that run into the hole are looked for first (line segments by von Gioi,
Jakubowicz, Morel & Randall 2010, in OpenCV). Where two of them, on opposite sides, lie on one
line and look alike across it, a strip between them is drawn from both, and counts as known.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats, Rgb

_Region = NDArray[np.bool_]
_Doubles = NDArray[np.float64]

_SIDE = 700
_SHORTEST = 12.0
_OF_THE_GAP, _OF_A_BENT_GAP = 0.2, 0.06
_LEAST_GAP = 2.0
_NEAR = 5.0
_STRAIGHT, _BENT = np.radians(9), np.radians(40)
_INSIDE = 0.7
_HALF_WIDTH = 5
_WIDEST = 16
_SIDES_ALIKE = 18.0
_SAMPLE = 14
_ALIKE = 22.0
_OF_CONTRAST = 0.3
_FURTHEST_SHIFT = 2
_MOST_DARKER = 60.0
_LEAST_CONTRAST = 9.0
_MOST_BRIDGES = 12
_FADED = 0.35


@dataclass(frozen=True)
class _End:
    """Where an edge meets the hole."""

    at: _Doubles
    """x and y."""
    towards: _Doubles
    """The direction in which it enters the hole, of length 1."""
    length: float
    profile: Floats
    """The colours across the edge, from its left to its right as seen walking into the hole."""


@dataclass(frozen=True)
class _Bridge:
    """Two ends of one edge, and how wide a strip to draw between them, in pixels either side."""

    one: _End
    other: _End
    left: int
    right: int


def bridge(image: Rgb, hole: _Region) -> tuple[Rgb, _Region]:
    """Draw the edges that go on at the other side of a hole.

    Args:
        image: height x width x 3.
        hole: what is unknown.

    Returns:
        The picture with the strips drawn, and the hole without them.
    """
    scale = min(1.0, _SIDE / max(hole.shape))
    small, low = image, hole.astype(np.uint8)
    if scale < 1:
        size = (max(1, round(hole.shape[1] * scale)), max(1, round(hole.shape[0] * scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        low = np.asarray(cv2.resize(low, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    found = _ends(small, low > 0)
    drawn, left = image.copy(), hole.copy()
    for pair in _pairs(found, low > 0):
        _draw(image, drawn, left, pair, scale)
    return drawn, left


def _ends(image: Rgb, hole: _Region) -> list[_End]:
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    # `None` where there are none, though OpenCV's types do not say so.
    segments: Any = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(grey)[0]
    if segments is None:
        return []
    away = np.asarray(cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    corners = segments.reshape(-1, 2, 2).astype(np.float64)
    # Most segments are nowhere near.
    reach = np.hypot(*(corners[:, 1] - corners[:, 0]).T) + _NEAR + 2
    near = (_look(away, corners[:, 0]) < reach) | (_look(away, corners[:, 1]) < reach)
    found = []
    for first, last in corners[near]:
        for start, end in ((first, last), (last, first)):
            length = float(np.hypot(*(end - start)))
            towards = (end - start) / max(length, 1e-6)
            # An edge of what is erased may have been found as one with an edge outside: follow
            # the segment from outside up to the hole.
            steps = np.arange(0, length + _NEAR, 0.5)
            distance = _look(away, start + steps[:, None] * towards)
            inside = np.flatnonzero(distance < 1)
            if not len(inside) or distance[0] < 1:
                continue
            free = float(steps[inside[0]])
            if free < _SHORTEST:
                continue
            at = start + free * towards
            profile = _profile(image, at, towards, min(free, _SAMPLE))
            if np.ptp(_core(profile), axis=0).max() > _LEAST_CONTRAST:
                found.append(_End(at, towards, free, profile))
    return found


def _look(values: Floats, points: _Doubles) -> Floats:
    height, width = values.shape
    x = np.clip(np.rint(points[:, 0]), 0, width - 1).astype(np.intp)
    y = np.clip(np.rint(points[:, 1]), 0, height - 1).astype(np.intp)
    return values[y, x]


def _profile(image: Rgb, at: _Doubles, towards: _Doubles, length: float) -> Floats:
    back = np.arange(2, max(3, length))
    across = np.arange(-_WIDEST, _WIDEST + 1)
    x = at[0] - back[:, None] * towards[0] - across * towards[1]
    y = at[1] - back[:, None] * towards[1] + across * towards[0]
    return np.asarray(_sample(image, x, y).mean(axis=0), np.float32)


def _sample(image: Rgb, x: _Doubles, y: _Doubles) -> Floats:
    found = cv2.remap(
        image,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found, np.float32)


def _pairs(ends: list[_End], hole: _Region) -> list["_Bridge"]:
    """Match the ends that are one edge, best matches first; each end is used once."""
    matches = []
    for i, one in enumerate(ends):
        for j in range(i + 1, len(ends)):
            other = ends[j]
            gap = other.at - one.at
            length = float(np.hypot(*gap))
            if length < _LEAST_GAP:
                continue
            way = gap / length
            turns = _turn(one.towards, way), _turn(way, -other.towards)
            # Straight, or an arc: it turns as much in its first half as in its second.
            bend = abs(turns[0] - turns[1])
            most = max(abs(turns[0]), abs(turns[1]))
            # Two edges that happen to lie on one arc are common, and on one line they are rare.
            needed = (_OF_THE_GAP + _OF_A_BENT_GAP * most / _BENT) * length
            if bend > _STRAIGHT or most > _BENT or min(one.length, other.length) < needed:
                continue
            points = one.at + np.linspace(0, 1, 24)[:, None] * gap
            if _look(hole.astype(np.float32), points).mean() < _INSIDE:
                continue
            differs, shift = _compare(_core(one.profile), _core(other.profile))
            contrast = float(np.ptp(_core(one.profile), axis=0).max())
            if differs < min(_ALIKE, _OF_CONTRAST * contrast):
                bend += abs(turns[0] + turns[1]) / 4
                matches.append((differs / contrast + bend, i, j, shift))
    chosen: list[_Bridge] = []
    used: set[int] = set()
    for _, i, j, shift in sorted(matches):
        if (
            i in used
            or j in used
            or any(_cross(ends[i], ends[j], had.one, had.other) for had in chosen)
        ):
            continue
        used |= {i, j}
        one, other = ends[i], ends[j]
        aside = shift * np.array([other.towards[1], -other.towards[0]])
        widths = _widths(one.profile, other.profile, shift)
        chosen.append(_Bridge(one, replace(other, at=other.at + aside), *widths))
        if len(chosen) == _MOST_BRIDGES:
            break
    return chosen


def _core(profile: Floats) -> Floats:
    return profile[_WIDEST - _HALF_WIDTH : _WIDEST + _HALF_WIDTH + 1]


def _widths(one: Floats, other: Floats, shift: int) -> tuple[int, int]:
    """Return how far to either side of the edge the two ends look alike."""
    away = one - np.roll(other[::-1], shift, axis=0)
    away = abs(away - _core(away).mean(axis=0)).max(axis=1)
    widths = []
    for side in (away[_WIDEST::-1], away[_WIDEST:]):
        # What `roll` brought round from the far end is left out.
        unlike = np.flatnonzero(side[_HALF_WIDTH + 1 : -_FURTHEST_SHIFT] > _SIDES_ALIKE)
        widths.append(_HALF_WIDTH + int(unlike[0]) if len(unlike) else _WIDEST - _FURTHEST_SHIFT)
    return widths[0], widths[1]


def _compare(one: Floats, other: Floats) -> tuple[float, int]:
    """Return how much two profiles differ, and by how far the second had to be moved for it.

    One may be darker as a whole: skies and walls are not the same everywhere.
    """
    # The other one walks the other way: its left is this one's right.
    other = other[::-1]
    best = (np.inf, 0)
    for shift in range(-_FURTHEST_SHIFT, _FURTHEST_SHIFT + 1):
        size = len(one) - abs(shift)
        away = one[max(0, shift) :][:size] - other[max(0, -shift) :][:size]
        mean = away.mean(axis=0)
        if abs(mean).max() < _MOST_DARKER:
            best = min(best, (float(abs(away - mean).mean()), shift))
    return best


def _turn(one: _Doubles, other: _Doubles) -> float:
    """Return the signed angle from one direction to another."""
    return float(np.arctan2(one[0] * other[1] - one[1] * other[0], one @ other))


def _cross(one: _End, other: _End, third: _End, fourth: _End) -> bool:
    def side(a: _Doubles, b: _Doubles, c: _Doubles) -> float:
        return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    first = side(one.at, other.at, third.at) * side(one.at, other.at, fourth.at)
    second = side(third.at, fourth.at, one.at) * side(third.at, fourth.at, other.at)
    return first < 0 and second < 0


def _draw(image: Rgb, drawn: Rgb, left: _Region, pair: _Bridge, scale: float) -> None:
    """Draw one strip: what lies along the edge on either side, one fading into the other."""
    one, other = pair.one, pair.other
    start, end = ((end.at + 0.5) / scale - 0.5 for end in (one, other))
    gap = float(np.hypot(*(end - start)))
    way = (end - start) / gap
    half = max(pair.left, pair.right) / scale
    height, width = left.shape
    normal = np.array([-way[1], way[0]])
    slopes = [float(v @ normal) / float(v @ way) for v in (one.towards, -other.towards)]
    reach = np.full(2, half + gap * max(map(abs, slopes)) / 4 + 2)
    low = np.maximum(np.floor(np.minimum(start, end) - reach), 0).astype(int)
    high = np.minimum(np.ceil(np.maximum(start, end) + reach), [width - 1, height - 1]).astype(int)
    y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1].astype(np.float64)
    along = (x - start[0]) * way[0] + (y - start[1]) * way[1]
    share = np.clip(along / gap, 0, 1)
    # The cubic curve that leaves and arrives in the directions of the two ends.
    curve = gap * share * (1 - share) * (slopes[0] * (1 - share) - slopes[1] * share)
    across = (x - start[0]) * normal[0] + (y - start[1]) * normal[1] - curve
    box = np.s_[low[1] : high[1] + 1, low[0] : high[0] + 1]
    strip = (across >= -pair.left / scale) & (across <= pair.right / scale) & left[box]
    if not strip.any():
        return
    colors = np.zeros((*strip.shape, 3), np.float32)
    # What is mixed of two loses its grain: as little as can be done without a visible step.
    share = np.clip((share - 0.5) / _FADED + 0.5, 0, 1)
    for origin, direction, far, weight in (
        (one, one.towards, along, 1 - share),
        (other, -other.towards, gap - along, share),
    ):
        # There and back again along the part that is known.
        known = max(2.0, min(origin.length, gap * scale) / scale - 3)
        back = 2 + abs((np.maximum(far, 0) + known) % (2 * known) - known)
        foot = (origin.at + 0.5) / scale - 0.5
        step = -back if origin is one else back
        px = foot[0] + step * direction[0] - across * direction[1]
        py = foot[1] + step * direction[1] + across * direction[0]
        colors += _sample(image, px, py) * weight[..., None].astype(np.float32)
    drawn[box][strip] = (colors[strip] + np.float32(0.5)).astype(np.uint8)
    left[box][strip] = False
