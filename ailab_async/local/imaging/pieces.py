"""The pieces of a patchwork: whole areas that are copied from one place.

The search finds a place for each pixel alone, and where neighbours come from places a pixel or two
apart, texture turns to smears. Nearly all of what fits was found at some dozens of shifts (He & Sun
2012). So the pixels choose anew, among the shifts that were found most often, and each step from
one shift to another has its price: they agree on large pieces. They do so by belief propagation
(Felzenszwalb & Huttenlocher 2006), in sweeps along rows and columns (Tappen & Freeman 2003).
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats
from .patchwork import Places, Search

_Index = NDArray[np.intp]

MOST = 60_000
"""How many pixels the box round a hole may have: the memory and the time grow with it."""

_SHIFTS = 48
_APART = 5
_PRICE = 4.0
_WORST = 80.0
_SWEEPS = 2


def joined(search: Search) -> Places:
    """Return places that form large pieces, and suit the pixels about as well as the best found.

    Args:
        search: when it has found its places. The box round its hole has at most `MOST` pixels.
    """
    places = search.places
    unit = float(np.median(search.cost)) + 1
    weight = np.reciprocal(search.cost + np.float32(unit))
    down, right = _frequent(places, weight)
    worst = np.float32(_WORST * unit)
    costs = np.empty((len(places.y), len(down)), np.float32)
    for number, shift in enumerate(zip(down.tolist(), right.tolist(), strict=True)):
        costs[:, number] = np.minimum(search.price(*shift), worst)
    top, left = places.y.min(), places.x.min()
    box = np.zeros((places.y.max() - top + 1, places.x.max() - left + 1, len(down)), np.float32)
    box[places.y - top, places.x - left] = costs
    chosen = _agreed(box, np.float32(_PRICE * unit))[places.y - top, places.x - left]
    # What no frequent shift can reach stays with the place that was found for it.
    fits = costs[np.arange(len(chosen)), chosen] < worst
    return replace(
        places,
        source_y=np.where(fits, places.y + down[chosen], places.source_y),
        source_x=np.where(fits, places.x + right[chosen], places.source_x),
    )


def _frequent(places: Places, weight: Floats) -> tuple[_Index, _Index]:
    """Return the shifts that most pixels have, each some way from the others."""
    height, width = places.shape
    votes = np.zeros((2 * height + 1, 2 * width + 1), np.float32)
    at = (places.source_y - places.y + height, places.source_x - places.x + width)
    np.add.at(votes, at, weight)
    votes = np.asarray(cv2.GaussianBlur(votes, (0, 0), 1.0), np.float32)
    summit = (votes > 0) & (votes >= cv2.dilate(votes, np.ones((_APART, _APART), np.uint8)))
    y, x = np.nonzero(summit)
    best = np.argsort(-votes[y, x], kind="stable")[:_SHIFTS]
    return y[best] - height, x[best] - width


def _agreed(costs: Floats, price: np.float32) -> NDArray[np.intp]:
    """Return which of the last axis' alternatives each pixel takes."""
    # What each pixel hears: from above, from below, from the left and from the right.
    heard = [np.zeros_like(costs) for _ in range(4)]
    # The same with rows and columns changed over.
    turned = [np.swapaxes(part, 0, 1) for part in (costs, *heard)]
    for _ in range(_SWEEPS):
        above, below, left, right = heard
        _sweep(costs, above, (left, right), price)
        _sweep(costs[::-1], below[::-1], (left[::-1], right[::-1]), price)
        flat, above, below, left, right = turned
        _sweep(flat, left, (above, below), price)
        _sweep(flat[::-1], right[::-1], (above[::-1], below[::-1]), price)
    return np.asarray(sum(heard, costs).argmin(axis=-1))


def _sweep(costs: Floats, heard: Floats, aside: tuple[Floats, Floats], price: np.float32) -> None:
    """Hand what is known on from each row to the next."""
    for row in range(1, len(costs)):
        known = costs[row - 1] + heard[row - 1]
        for side in aside:
            known += side[row - 1]
        known -= known.min(axis=-1, keepdims=True)
        np.minimum(known, price, out=heard[row])
