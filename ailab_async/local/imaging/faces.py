"""Frontal faces, by the Haar cascades that come with OpenCV (Viola & Jones 2001).

One cascade proposes, four others vote, and the colour in the middle has its say, because a single
cascade sees faces in rocks and leaves. Found are faces of at least a twenty-fifth of the long side,
turned by less than about 45 degrees; not found are profiles beyond that, backs of heads and small
faces in a crowd.
"""

import threading
from pathlib import Path
from typing import NamedTuple

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

from .color import Rgb

_FRONTAL = "haarcascade_frontalface_default.xml"
_PROFILE = "haarcascade_profileface.xml"
_EYE = "haarcascade_eye.xml"
_VOTERS = (
    "haarcascade_frontalface_alt.xml",
    "haarcascade_frontalface_alt2.xml",
    "haarcascade_frontalface_alt_tree.xml",
    _EYE,
)
_SMALLEST = 0.04
_SMALLEST_PIXELS = 20
_SAME_FACE = 0.2
_SURE_VOTES, _LIKELY_VOTES = 3, 2
_LIKELY_SKIN, _PROFILE_SKIN = 0.3, 0.6

# A classifier holds working memory of its own: one for each thread.
_cascades = threading.local()


class Box(NamedTuple):
    """A face: left, top, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int


def find_faces(image: Rgb) -> list[Box]:
    """Find the faces in a picture of thumbnail size (about 512 pixels on its long side).

    Returns:
        The faces, those that overlap counted once; often none.
    """
    height, width = image.shape[:2]
    smallest = max(_SMALLEST_PIXELS, int(_SMALLEST * max(height, width)))
    if min(height, width) < smallest:
        return []
    grey = np.asarray(cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)), np.uint8)
    skin = looks_like_skin(image)
    candidates = [(box, False) for box in _detect(_FRONTAL, grey, 1.1, 3, smallest)]
    if not candidates:
        # Profiles are looked for only where they are large: small ones are mostly false alarms.
        large = 2 * smallest
        mirrored = np.ascontiguousarray(grey[:, ::-1])
        candidates = [(box, True) for box in _detect(_PROFILE, grey, 1.15, 4, large)]
        candidates += [
            (box._replace(x=width - box.x - box.width), True)
            for box in _detect(_PROFILE, mirrored, 1.15, 4, large)
        ]
    found: list[Box] = []
    for box, profile in candidates:
        if _confirmed(box, grey, skin, profile=profile) and all(
            _overlap(box, other) < _SAME_FACE for other in found
        ):
            found.append(box)
    return found


def looks_like_skin(image: Rgb) -> NDArray[np.bool_]:
    """Tell the pixels whose chroma is that of human skin, of any tone (Chai & Ngan 1999).

    The rule is loose: wood, sand and cardboard pass too. It can refute a face, not find one.
    """
    ycrcb = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    low, high = np.array([30, 132, 77]), np.array([255, 180, 133])
    return np.asarray(cv2.inRange(ycrcb, low, high)) > 0


def _detect(
    name: str, grey: NDArray[np.uint8], step: float, votes: int, smallest: int
) -> list[Box]:
    if not hasattr(_cascades, name):
        setattr(_cascades, name, cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / name)))
    cascade: cv2.CascadeClassifier = getattr(_cascades, name)
    boxes = cascade.detectMultiScale(
        grey, scaleFactor=step, minNeighbors=votes, minSize=(smallest, smallest)
    )
    return [Box(*(int(v) for v in box)) for box in boxes]


def _confirmed(
    box: Box, grey: NDArray[np.uint8], skin: NDArray[np.bool_], *, profile: bool
) -> bool:
    """Ask the other cascades about a proposed face, in a window twice its size."""
    x, y, w, h = box
    window = np.ascontiguousarray(
        grey[max(0, y - h // 2) : y + 3 * h // 2, max(0, x - w // 2) : x + 3 * w // 2]
    )
    votes = 0
    for name in _VOTERS:
        if name == _EYE:
            votes += bool(_detect(name, window, 1.1, 3, max(8, w // 8)))
        else:
            votes += bool(_detect(name, window, 1.1, 2, int(0.6 * w)))
    middle = skin[y + h // 5 : y + 4 * h // 5, x + w // 5 : x + 4 * w // 5]
    share = float(middle.mean())
    if profile:
        return votes >= 1 and share > _PROFILE_SKIN
    return votes >= _SURE_VOTES or (votes >= _LIKELY_VOTES and share > _LIKELY_SKIN)


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share, as a part of what they cover together."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(0, width) * max(0, height)
    return shared / (one.width * one.height + other.width * other.height - shared)
