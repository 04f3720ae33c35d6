"""Main colours of a picture, and the map that makes a given palette the main colours.

The palette is found as in Chang, Fried, Liu, DiVerdi & Finkelstein (2015): k-means over a coarse
histogram, started without chance. The map moves every colour by a soft mixture of what its nearest
main colours move by.
"""

import numpy as np
from numpy.typing import NDArray

from .color import Floats

_Doubles = NDArray[np.float64]

_CELL = np.array([0.06, 0.03, 0.03])
# Distances count chroma more than lightness: light and shade of one thing are one main colour.
METRIC = np.array([1.0, 2.0, 2.0])
_SPREADS = (0.1, 0.2, 0.4)
_ROUNDS = 30


def main_colors(lab: Floats, count: int) -> tuple[Floats, _Doubles]:
    """Find the main colours among OKLab colours.

    Args:
        lab: n x 3.
        count: how many.

    Returns:
        `count` x 3 colours, and the share of the picture that each stands for (sum 1). A picture
        with fewer colours repeats some, with a share of 0.
    """
    cells = np.round(lab / _CELL).astype(np.int64)
    _, member, size = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    member = member.ravel()
    weight = size.astype(np.float64)
    points = np.stack([np.bincount(member, lab[:, i]) / size for i in range(3)], axis=1) * METRIC

    # k-means ends in the valley that it starts in: take the deepest of a few.
    tries = [_cluster(points, weight, count, spread) for spread in _SPREADS]
    centres, nearest, _ = min(tries, key=lambda found: found[2])
    share = np.bincount(nearest, weight, minlength=count) / weight.sum()
    return (centres / METRIC).astype(np.float32), share


def _cluster(
    points: _Doubles, weight: _Doubles, count: int, spread: float
) -> tuple[_Doubles, NDArray[np.intp], float]:
    """Return centres, the centre of each point, and the squared distance between them in all."""
    # Start from the fullest cells, each one damping its surroundings.
    left, start = weight.copy(), []
    for _ in range(count):
        chosen = points[left.argmax()]
        start.append(chosen)
        left *= 1 - np.exp(-((points - chosen) ** 2).sum(axis=1) / spread**2)
    centres = np.array(start)
    distance = _distances(points, centres)
    nearest = distance.argmin(axis=1)
    for _ in range(_ROUNDS):
        for index in range(count):
            inside = nearest == index
            if inside.any():
                centres[index] = np.average(points[inside], axis=0, weights=weight[inside])
        distance = _distances(points, centres)
        moved = distance.argmin(axis=1)
        if (moved == nearest).all():
            break
        nearest = moved
    return centres, nearest, float((distance.min(axis=1) * weight).sum())


def _distances(points: _Doubles, centres: _Doubles) -> _Doubles:
    distances: _Doubles = ((points[:, None] - centres) ** 2).sum(axis=-1)
    return distances
