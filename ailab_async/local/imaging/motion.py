"""Micro motion: a photograph becomes a film of four seconds that can run in a loop for ever.

The sky drifts and hair sways (see `drift` and `sway`); every other pixel stands still, and is the
photograph's own in every picture of the film.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np

from .color import Rgb
from .drift import Drift
from .sky import SIDE as SKY_SIDE
from .sky import find_sky
from .sway import SIDE as HAIR_SIDE
from .sway import Sway
from .video import Container, encode

RATE = 25
"""Pictures in a second."""

COUNT = 100
"""Pictures in the film."""


class NoTarget(ValueError):
    """There is nothing in the picture that could move in the way asked for."""


class _Layer(Protocol):
    def draw(self, picture: Rgb, time: float) -> None:
        """Move a part of the picture, in place; `time` goes from 0 to 1 in one loop."""


def animate(image: Rgb, *, sky: bool, hair: bool, container: Container = "mp4") -> bytes:
    """Make a film in which sky and hair move, each where asked for.

    Four seconds at 25 pictures a second, without sound. The last picture leads on to the first as
    any other to the next. A side of odd length grows by one pixel, its last one twice: colour is
    stored for blocks of 2 x 2.

    Args:
        image: height x width x 3, more than 32 pixels a side.
        sky: let the sky drift.
        hair: let the hair of people sway whose faces are seen.
        container: kind of file; which codec goes into it says `video.encode`.

    Returns:
        The file.

    Raises:
        NoTarget: of what was asked for, nothing was found. With both asked for, one is enough.
        ValueError: nothing was asked for.
    """
    return encode(frames(image, sky=sky, hair=hair), rate=RATE, container=container)


def frames(image: Rgb, *, sky: bool, hair: bool) -> Iterator[Rgb]:
    """Return the pictures of the film, of the photograph's size, each made when it is asked for.

    Arguments and errors are those of `animate`; errors are raised at once, not with the first
    picture.
    """
    image = np.ascontiguousarray(image)
    layers = _layers(image, sky=sky, hair=hair)
    return (_moved(image, layers, number / COUNT) for number in range(COUNT))


def _layers(image: Rgb, *, sky: bool, hair: bool) -> list[_Layer]:
    if not (sky or hair):
        message = "nothing is asked to move: set sky, hair or both"
        raise ValueError(message)
    layers: list[_Layer] = []
    if sky:
        mask = find_sky(_shrink(image, SKY_SIDE))
        drift = Drift.over(image, mask) if mask is not None else None
        if drift is not None:
            layers.append(drift)
    if hair:
        layers += Sway.of(_shrink(image, HAIR_SIDE), image.shape[0], image.shape[1])
    if not layers:
        wanted = " and no ".join(
            name for name, asked in (("sky", sky), ("face with hair", hair)) if asked
        )
        message = f"no {wanted} was found in the picture"
        raise NoTarget(message)
    return layers


def _moved(image: Rgb, layers: Sequence[_Layer], time: float) -> Rgb:
    picture = image.copy()
    for layer in layers:
        layer.draw(picture, time)
    return picture


def _shrink(image: Rgb, side: int) -> Rgb:
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
