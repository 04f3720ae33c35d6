"""Where the hair is: what sits on a head whose face is seen, and is neither skin nor background."""

from dataclasses import dataclass

import cv2
import numpy as np

from .color import Floats, Rgb
from .faces import Box, find_faces, looks_like_skin
from .portrait import Frame, cut_out, hair_of, skin_of

_LEAST = 0.22
"""Less hair than this, in parts of the face's box, is not worth moving: what shows below a cap."""


@dataclass(frozen=True)
class Head:
    """One head on a thumbnail."""

    box: Box
    """Its face."""
    x: Floats
    y: Floats
    """The thumbnail's pixels, in face widths and heights from the face's middle."""
    hair: Floats
    """0 or 1, the thumbnail's size."""


def find_hair(thumbnail: Rgb) -> list[Head]:
    """Find the hair of all people whose faces are seen.

    A scarf that covers as much as hair would counts as hair: nothing here could tell them apart.

    Args:
        thumbnail: the picture at about 512 pixels on its long side.

    Returns:
        The heads with hair, in no particular order.
    """
    lab = np.asarray(
        cv2.cvtColor(thumbnail.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), np.float32
    )
    generic_skin = looks_like_skin(thumbnail)
    heads = []
    for box in find_faces(thumbnail):
        frame = Frame.around(box, *thumbnail.shape[:2])
        person = cut_out(thumbnail, lab, frame)
        hair = hair_of(lab, frame, person, skin_of(lab, frame, person, generic_skin))
        if hair.sum() > _LEAST * box.width * box.height:
            heads.append(Head(box, frame.x, frame.y, hair))
    return heads
