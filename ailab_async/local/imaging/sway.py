"""Hair that sways, as in a light breeze, while the face and everything farther away stand still.

Each head is a field of small displacements. It is zero in the face and grows with the distance
from it, so that roots stay and tips move; outside the hair it fades out. A wave runs through it
from the crown down. The field's shape is the same in every picture of the film; only the four
factors change by which it is put together.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .color import Floats, Rgb
from .hair import Head, find_hair

SIDE = 512
"""The long side, in pixels, at which hair is looked for."""

_REACH = 0.06
"""The farthest that any hair moves, in parts of the face's width."""

_SECOND = 0.35
"""The wave of two turns in a loop, in parts of that of one."""

_FALL = 0.25
"""How much of the way sideways goes up and down as well."""

_STILL = 0.02
"""A displacement in pixels that nobody can see: it counts as none."""


@dataclass(frozen=True)
class Sway:
    """The hair of one head as a layer over the photograph, in the box that holds what moves."""

    rows: slice
    columns: slice
    x: Floats
    y: Floats
    """Where the pixels of the box stand, in pixels of the box."""
    waves: list[Floats]
    """Displacements in pixels that belong to the cosine and sine of one and two turns."""

    @classmethod
    def of(cls, thumbnail: Rgb, height: int, width: int) -> "list[Sway]":
        """Find the heads on a thumbnail of `SIDE` pixels, for a photograph of this size.

        Returns:
            A layer for each head; often none.
        """
        layers = [_field(head, height, width) for head in find_hair(thumbnail)]
        return [layer for layer in layers if layer is not None]

    def draw(self, picture: Rgb, time: float) -> None:
        """Move the hair, in place."""
        turn = 2 * np.pi * time
        factors = (np.cos(turn), np.sin(turn), np.cos(2 * turn), np.sin(2 * turn))
        way = np.zeros_like(self.x)
        for factor, wave in zip(factors, self.waves, strict=True):
            cv2.scaleAdd(wave, float(factor), way, way)
        box = picture[self.rows, self.columns]
        picture[self.rows, self.columns] = cv2.remap(
            box,
            self.x + way,
            self.y + np.float32(_FALL) * way,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


def _field(head: Head, height: int, width: int) -> Sway | None:
    """Draw the field of one head; `None` where nothing would be seen to move."""
    scale = width / head.hair.shape[1]
    x, y, face = head.x, head.y, head.box
    # Nothing in the face, more and more from the skull outwards, and less again far away, where
    # what looks like hair may be none.
    away = np.hypot(x / 0.5, (y + 0.05) / 0.6)
    reach = np.clip((away - 0.85) / 0.9, 0, 1) * np.exp(-(np.hypot(x, y) ** 2) / 5)
    # The outline itself has to move, so the field goes a little beyond it.
    margin = max(1, round(0.06 * face.width))
    grown = cv2.dilate(head.hair, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    soft = cv2.GaussianBlur(grown, (0, 0), margin)
    strength = reach * soft * (_REACH * face.width * scale)
    strength = np.where(strength < _STILL, 0, strength)
    if strength.max() < 10 * _STILL:
        return None
    phase = 2.2 * y + 0.9 * np.abs(x)
    waves = [
        strength * np.sin(phase),
        strength * np.cos(phase),
        _SECOND * strength * np.sin(1.7 * phase + 1),
        _SECOND * strength * np.cos(1.7 * phase + 1),
    ]
    enlarged = [_enlarged(wave, height, width) for wave in waves]
    moving = (np.abs(enlarged[0]) + np.abs(enlarged[1]) > 0).astype(np.uint8)
    left, top, box_width, box_height = cv2.boundingRect(moving)
    # Room for what is carried in from outside of the field.
    room = int(np.ceil(strength.max() * (1 + _SECOND))) + 1
    rows = slice(max(0, top - room), min(height, top + box_height + room))
    columns = slice(max(0, left - room), min(width, left + box_width + room))
    at_y, at_x = np.mgrid[: rows.stop - rows.start, : columns.stop - columns.start]
    return Sway(
        rows,
        columns,
        at_x.astype(np.float32),
        at_y.astype(np.float32),
        [np.ascontiguousarray(wave[rows, columns]) for wave in enlarged],
    )


def _enlarged(field: Floats, height: int, width: int) -> Floats:
    wave = np.asarray(field, np.float32)
    return np.asarray(cv2.resize(wave, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
