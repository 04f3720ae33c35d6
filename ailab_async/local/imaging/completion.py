"""One hole, from its coarse completion to its last pixel."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from . import patchmatch, patchwork, pieces, seam
from .color import Floats, Rgb
from .patchwork import Places, Search

_Region = NDArray[np.bool_]
_Shape = tuple[int, int]
_Index = NDArray[np.intp]

# What is no larger, or no deeper, is completed at its full size; what is larger, small first. Each
# way the coarse completion takes half a second to a second.
_SMALL_SIDE, _SMALL_HOLE = 640, 12_000
_THIN, _THIN_HOLE = 12.0, 25_000
_COARSE_SIDE, _COARSE_HOLE = 220, 4_500
_COARSE_RADIUS = 5
_TRIES = 2
# Up to here every pixel is searched for; larger windows are enlarged from this size.
_FINE_PIXELS = 1_200_000
_FINE_HOLE = 300_000

_COARSE_STEPS = ((8, 1.0), (4, 0.5), (2, 0.2), (1, 0.08), (1, 0.02))
_COARSE_ROUNDS = 2
_FINE_STEPS = ((1, 1.5), (2, 8.0), (1, 1.5))
_FINE_ROUNDS = 2
# So many are searched for once: they take long, and little is left to find.
_MANY = 50_000
# What was found by averaging is soft, and looks for soft places: as if it had more contrast. Nearby
# only: where it may look anywhere, it finds whatever is striking.
_CONTRAST = 1.4
_SETTLINGS = 2
_TOUCHED = 1e-4
_LEAST_SOURCES = 64
_MOST_LOST = 0.5
_DETAIL = 6.0
_STRIP = 1 << 18
_ROW = 4096
_SEED = 11


class NothingToCopyFrom(ValueError):
    """The mask leaves too little of the picture to fill the hole with."""


@dataclass(frozen=True)
class _Level:
    """The window at one size."""

    image: Rgb
    hole: _Region
    """The hole with its rim."""
    taboo: _Region
    sources: _Region
    targets: _Region
    """The hole and the pixels round it whose patches reach into it."""


def fill(image: Rgb, hole: _Region, taboo: _Region, *, rim: int) -> Rgb:
    """Fill a hole.

    Args:
        image: height x width x 3, the hole and as much round it as it may be filled from.
        hole: what to fill; at least one pixel.
        taboo: what must not be copied from.
        rim: by how many pixels the hole is looked upon as larger, since the object's soft edge
            reaches out of a mask that is drawn tight.

    Returns:
        A picture of the same size. Only the pixels in the hole count.

    Raises:
        NothingToCopyFrom: everything outside of the hole is taboo.
    """
    if (hole | taboo).all():
        message = (
            "all of the picture that is not masked belongs to people, from whom nothing is "
            "copied: mask less, or allow it with protect=False"
        )
        raise NothingToCopyFrom(message)
    wide = _grown(hole, rim)
    if (wide | taboo).all():
        wide = hole
    chance = np.random.default_rng(_SEED)
    first, *larger = _scales(wide, taboo)
    level = _level(image, wide, taboo, first)
    # Where it is cheap, several completions are made, and the one that hangs together best is kept.
    tries = [_complete(level, seed) for seed in range(_TRIES if larger else 1)]
    coarse, search = min(tries, key=lambda found: float(found[1].cost.mean()))
    places = _settled(search)
    for scale in larger:
        level = _level(image, wide, taboo, scale)
        places = _search_nearby(level, places, chance)
    rows, columns = places.maps()
    solved = seam.blend(level.image, level.hole, rows, columns)
    if not larger:
        solved = _with_detail(solved, coarse, level.hole)
    if solved.shape == image.shape:
        return np.asarray(solved + np.float32(0.5), np.uint8)
    return _enlarged(image, hole, level, solved, places)


def _complete(level: _Level, seed: int) -> tuple[Rgb, Search]:
    """Return a completion, and the search for the places that it seems to come from."""
    chance = np.random.default_rng(seed)
    filled = patchmatch.complete(
        level.image, level.hole, level.taboo, radius=_COARSE_RADIUS, seed=seed
    )
    places = patchwork.scatter(level.targets, level.sources, chance)
    search = Search(level.image, places, level.sources, chance)
    search.aim(filled)
    for _ in range(_COARSE_ROUNDS):
        for step, part in _COARSE_STEPS:
            search.spread(step)
            search.stir(max(1.5, part * max(level.hole.shape)))
        search.jump()
    return filled, search


def _search_nearby(level: _Level, coarse: Places, chance: np.random.Generator) -> Places:
    """Make the places of a smaller picture exact in a larger one."""
    search = Search(level.image, coarse.enlarge(level.targets), level.sources, chance)
    rounds = 1 if len(search.places.y) > _MANY else _FINE_ROUNDS
    for _ in range(rounds):
        rows, columns = search.places.maps()
        filled = np.where(level.hole[..., None], level.image[rows, columns], level.image)
        search.aim(filled, contrast=_CONTRAST)
        for step, reach in _FINE_STEPS:
            search.spread(step)
            search.stir(reach)
    return _settled(search)


def _settled(search: Search) -> Places:
    """Return the places that were found, of neighbours more often the same."""
    places = search.places
    if np.ptp(places.y) * np.ptp(places.x) < pieces.MOST:
        return pieces.joined(search)
    price = float(np.median(search.cost)) + 1
    for _ in range(_SETTLINGS):
        search.settle(price)
    return search.places


def _with_detail(solved: Floats, coarse: Rgb, hole: _Region) -> Floats:
    """Take the fine detail from the coarse completion, where that has the full size.

    It was found by comparing larger patches and hangs together better; the colours of the
    patchwork fit the border better.
    """
    inside = hole[..., None].astype(np.float32)
    smooth = cv2.GaussianBlur((solved - coarse) * inside, (0, 0), _DETAIL)
    weight = cv2.GaussianBlur(inside, (0, 0), _DETAIL)[..., None]
    better = np.clip(coarse + smooth / np.maximum(weight, np.float32(1e-3)), 0, 255)
    return np.where(hole[..., None], better, solved).astype(np.float32)


def _scales(hole: _Region, taboo: _Region) -> list[float]:
    """Return the sizes to work at, as parts of the full size, smallest first."""
    area = float(hole.sum())
    if max(hole.shape) <= _SMALL_SIDE and area <= _THIN_HOLE:
        depth = cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 5)
        if area <= _SMALL_HOLE or depth.max() <= _THIN:
            return [1.0]
    first = min(1.0, _COARSE_SIDE / max(hole.shape), np.sqrt(_COARSE_HOLE / area))
    last = min(1.0, np.sqrt(_FINE_PIXELS / hole.size), np.sqrt(_FINE_HOLE / area))
    last = max(first, last)
    used = hole | taboo
    # A net of hairlines leaves nothing of a small picture.
    most = 1 - _MOST_LOST * (1 - used.mean())
    while first < last and _shrunk(used, _size(used, first)).mean() > most:
        first = min(last, 1.5 * first)
    steps = int(np.ceil(np.log2(last / first) - 0.1)) if last > first else 0
    return [first * (last / first) ** (step / max(1, steps)) for step in range(max(0, steps) + 1)]


def _level(image: Rgb, hole: _Region, taboo: _Region, scale: float) -> _Level:
    shape = _size(hole, scale)
    small = image
    if shape != hole.shape:
        small = np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    hole, taboo = _shrunk(hole, shape), _shrunk(taboo, shape)
    taboo &= ~hole
    # Patches of sources lie wholly outside of the hole, as long as there is room for some.
    sources = ~hole
    for radius in range(patchwork.RADIUS, -1, -1):
        sources = ~_grown(hole | taboo, radius, square=True)
        if sources.sum() >= _LEAST_SOURCES:
            break
    if not sources.any():
        sources = ~hole
    return _Level(small, hole, taboo, sources, _grown(hole, patchwork.RADIUS, square=True))


def _size(region: _Region, scale: float) -> _Shape:
    return max(1, round(region.shape[0] * scale)), max(1, round(region.shape[1] * scale))


def _shrunk(region: _Region, shape: _Shape) -> _Region:
    """Return a region at a smaller size: all pixels that it touches."""
    if region.shape == shape:
        return region.copy()
    small = cv2.resize(region.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small > _TOUCHED)


def _grown(region: _Region, radius: int, *, square: bool = False) -> _Region:
    form = cv2.MORPH_RECT if square else cv2.MORPH_ELLIPSE
    element = cv2.getStructuringElement(form, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(region.astype(np.uint8), element) > 0)


def _enlarged(image: Rgb, hole: _Region, level: _Level, solved: Floats, places: Places) -> Rgb:
    """Carry a solution over to the full size: its colours, and the detail of the places."""
    result = image.copy()
    whole = places.enlarge(hole)
    small = level.image.astype(np.float32)
    for start in range(0, len(whole.y), _STRIP):
        part = slice(start, start + _STRIP)
        y, x, sy, sx = (a[part] for a in (whole.y, whole.x, whole.source_y, whole.source_x))
        detail = image[sy, sx] - _between(small, sy, sx, hole.shape)
        detail[hole[sy, sx]] = 0
        colors = _between(solved, y, x, hole.shape) + detail
        result[y, x] = np.clip(colors + np.float32(0.5), 0, 255)
    return result


def _between(low: Floats, y: _Index, x: _Index, shape: _Shape) -> Floats:
    """Return the colours of a smaller picture at pixels of a larger one, interpolated."""
    # OpenCV takes pictures of positions, not lists.
    rest = (0, -len(y) % _ROW)
    at = [
        np.pad(((place + 0.5) * (few / many) - 0.5).astype(np.float32), rest).reshape(-1, _ROW)
        for place, few, many in zip((x, y), low.shape[1::-1], shape[::-1], strict=True)
    ]
    found = cv2.remap(low, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, low.shape[2])[: len(y)], np.float32)
