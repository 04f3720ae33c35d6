"""Main colours of a picture, and the map that makes a given palette the main colours.

The palette is found as in Chang, Fried, Liu, DiVerdi & Finkelstein (2015): k-means over a coarse
histogram, started without chance. The map moves every colour by a soft mixture of what its nearest
main colours move by.
"""

import numpy as np
from numpy.typing import NDArray

from .color import Floats

_CELL = np.array([0.06, 0.03, 0.03])
# Distances count chroma more than lightness: light and shade of one thing are one main colour.
METRIC = np.array([1.0, 1.6, 1.6])
_SPREAD = 0.2
_ROUNDS = 30


def main_colors(lab: Floats, count: int) -> tuple[Floats, NDArray[np.float64]]:
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

    # Start from the fullest cells, each one damping its surroundings.
    left, start = weight.copy(), []
    for _ in range(count):
        chosen = points[left.argmax()]
        start.append(chosen)
        left = left * (1 - np.exp(-((points - chosen) ** 2).sum(axis=1) / _SPREAD**2))
    centres = np.array(start)
    nearest = _nearest(points, centres)
    for _ in range(_ROUNDS):
        for index in range(count):
            inside = nearest == index
            if inside.any():
                centres[index] = np.average(points[inside], axis=0, weights=weight[inside])
        moved = _nearest(points, centres)
        if (moved == nearest).all():
            break
        nearest = moved
    share = np.bincount(nearest, weight, minlength=count) / weight.sum()
    return (centres / METRIC).astype(np.float32), share


def _nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.intp]:
    nearest: NDArray[np.intp] = ((points[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
    return nearest
