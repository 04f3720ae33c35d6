"""Faces, by the Haar cascades that come with OpenCV (Viola & Jones 2001).

One cascade proposes, four others vote, and the colour in the middle has its say, because a single
cascade sees faces in rocks and leaves. After upright frontal faces, profiles and heads that lean
to one side are looked for, on smaller copies of the picture; and faces that the picture's edge
cuts, where nothing else was found. Not found are faces of less than a twenty-fifth of the long
side, heads that lean by more than about 45 degrees, most that look far up or down, and backs.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
_SAME_FACE, _ANOTHER = 0.2, 1.6
_ALL_VOTES, _MOST_VOTES, _HALF_OF_VOTES = 4, 3, 2
_SKIN = 0.6
"""So much of a face's middle has the colour of skin, in colour pictures and white light."""

_VERY_LARGE = 0.35
"""A profile this wide, in parts of the long side, needs nobody's vote."""

_GREY = 12
"""Red, green and blue that differ by less than this on the average are no colour."""

_PROFILE_SIDE, _TURNED_SIDE = 320, 256
"""Long sides of the smaller copies: so all that is looked for besides costs half as much again."""

_LEAN = 30.0
"""In degrees; cascades stand about 15 degrees either way, so that they see leans of up to 45."""

_MARGIN = 0.25

# A classifier holds working memory of its own: one for each thread.
_cascades = threading.local()


class Box(NamedTuple):
    """A face: left, top, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int
    lean: float = 0.0
    """By how many degrees the head leans to the picture's right; the box itself stands upright."""


def find_faces(image: Rgb) -> list[Box]:
    """Find the faces in a picture of thumbnail size (about 512 pixels on its long side).

    Returns:
        The faces, those that overlap counted once; often none.
    """
    height, width = image.shape[:2]
    if min(height, width) < max(_SMALLEST_PIXELS, int(_SMALLEST * max(height, width))):
        return []
    upright = _View.of(image)
    found = upright.look(_FRONTAL, upright.confirmed)
    if not found:
        # The voters know no profiles: among frontal faces, hands would pass for them.
        found = _View.of(image, side=_PROFILE_SIDE).profiles()
    for lean in (_LEAN, -_LEAN):
        turned = _View.of(image, side=_TURNED_SIDE, lean=lean)
        for face in turned.look(_FRONTAL, turned.certain, known=found):
            # A cheek or a nose of a leaning face may have passed for a face of its own.
            found = [box for box in found if _overlap(box, face) < _SAME_FACE]
            found.append(face)
    if not found:
        wider = _View.of(image, side=_TURNED_SIDE, margin=_MARGIN)
        found = wider.look(_FRONTAL, wider.certain)
    return found


def looks_like_skin(image: Rgb) -> NDArray[np.bool_]:
    """Tell the pixels whose chroma is that of human skin, of any tone (Chai & Ngan 1999).

    The rule is loose: wood, sand and cardboard pass too. It can refute a face, not find one.
    """
    ycrcb = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    low, high = np.array([30, 132, 77]), np.array([255, 180, 133])
    return np.asarray(cv2.inRange(ycrcb, low, high)) > 0


@dataclass(frozen=True)
class _View:
    """A picture as a cascade is to see it: smaller, turned, or with room around it."""

    image: Rgb
    grey: NDArray[np.uint8]
    skin: NDArray[np.bool_]
    back: NDArray[np.float64]
    """From the view's pixels to the picture's, 2 x 3."""
    lean: float

    @classmethod
    def of(
        cls, image: Rgb, *, side: int | None = None, lean: float = 0.0, margin: float = 0.0
    ) -> "_View":
        """Look at a picture.

        Args:
            image: the picture.
            side: long side of the picture within the view; never enlarged.
            lean: the view is turned so that heads leaning by so many degrees stand upright.
            margin: room on each side, in parts of the picture's short side.
        """
        height, width = image.shape[:2]
        scale = min(1.0, side / max(height, width)) if side else 1.0
        way = cv2.getRotationMatrix2D((width / 2, height / 2), lean, scale)
        across, down = abs(way[0, 0]), abs(way[0, 1])
        room = 2 * margin * scale * min(height, width)
        size = (
            round(width * across + height * down + room),
            round(width * down + height * across + room),
        )
        way[0, 2] += (size[0] - width) / 2
        way[1, 2] += (size[1] - height) / 2
        if lean or margin:
            small = cv2.warpAffine(image, way, size, borderMode=cv2.BORDER_REPLICATE)
        else:
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        view = np.asarray(small, np.uint8)
        grey = np.asarray(cv2.equalizeHist(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)), np.uint8)
        back = np.asarray(cv2.invertAffineTransform(way), np.float64)
        return cls(view, grey, looks_like_skin(view), back, lean)

    def look(
        self, name: str, judge: Callable[[Box], bool], *, known: Sequence[Box] = ()
    ) -> list[Box]:
        """Find the faces that a cascade proposes, a judge accepts, and nobody knows yet."""
        found: list[Box] = []
        for box in _detect(name, self.grey, 1.1, 3, self._smallest):
            brought = self._brought_back(box)
            # To judge costs more than to propose: what is known is not judged again.
            if not any(_repeats(brought, other) for other in (*known, *found)) and judge(box):
                found.append(brought)
        return found

    def confirmed(self, box: Box) -> bool:
        """Tell whether all cascades agree about a frontal face, or most of them and the colour."""
        if self._share(box) > _SKIN:
            return self._has_votes(box, _HALF_OF_VOTES)
        return self._has_votes(box, _MOST_VOTES if self._colorless(box) else _ALL_VOTES)

    def certain(self, box: Box) -> bool:
        """Tell whether most cascades agree about a frontal face, and the colour does."""
        return self._share(box) > _SKIN and self._has_votes(box, _MOST_VOTES)

    def profiles(self) -> list[Box]:
        """Find faces in profile, both ways: of the colour of skin, and with an eye or very large.

        The voters that know faces from the front know few of these.
        """
        # Only where they are large: small ones are mostly false alarms.
        large, width = 2 * self._smallest, self.grey.shape[1]
        mirrored = np.ascontiguousarray(self.grey[:, ::-1])
        boxes = _detect(_PROFILE, self.grey, 1.15, 4, large) + [
            box._replace(x=width - box.x - box.width)
            for box in _detect(_PROFILE, mirrored, 1.15, 4, large)
        ]
        found: list[Box] = []
        for box in boxes:
            brought = self._brought_back(box)
            if (
                self._share(box) > _SKIN
                and not any(_repeats(brought, other) for other in found)
                and (box.width > _VERY_LARGE * max(self.grey.shape) or self._has_votes(box, 1))
            ):
                found.append(brought)
        return found

    @property
    def _smallest(self) -> int:
        return max(_SMALLEST_PIXELS, int(_SMALLEST * max(self.grey.shape)))

    def _has_votes(self, box: Box, wanted: int) -> bool:
        """Ask the other cascades about a proposed face, in a window twice its size.

        Once it is settled nobody else is asked: each takes its time.
        """
        x, y, w, h, _ = box
        window = np.ascontiguousarray(
            self.grey[max(0, y - h // 2) : y + 3 * h // 2, max(0, x - w // 2) : x + 3 * w // 2]
        )
        against = len(_VOTERS) - wanted
        for name in _VOTERS:
            if name == _EYE:
                found = _detect(name, window, 1.1, 3, max(8, w // 8))
            else:
                found = _detect(name, window, 1.1, 2, int(0.6 * w))
            if found:
                wanted -= 1
            else:
                against -= 1
            if not wanted or against < 0:
                break
        return not wanted

    def _share(self, box: Box) -> float:
        """Return how much of a face's middle has the colour of skin."""
        return float(self.skin[_middle(box)].mean())

    def _colorless(self, box: Box) -> bool:
        part = self.image[_middle(box)].astype(np.int16)
        return bool(np.ptp(part, axis=2).mean() < _GREY)

    def _brought_back(self, box: Box) -> Box:
        """Return a box of the view as one of the picture."""
        scale = float(np.hypot(self.back[0, 0], self.back[0, 1]))
        middle = (box.x + box.width / 2, box.y + box.height / 2, 1)
        width, height = box.width * scale, box.height * scale
        x, y = self.back @ middle - (width / 2, height / 2)
        return Box(round(x), round(y), round(width), round(height), self.lean)


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


def _middle(box: Box) -> tuple[slice, slice]:
    x, y, w, h, _ = box
    return slice(y + h // 5, y + 4 * h // 5), slice(x + w // 5, x + 4 * w // 5)


def _repeats(box: Box, known: Box) -> bool:
    """Tell whether a box is a known one again: one much larger would be another face."""
    larger = box.width > _ANOTHER * known.width
    return not larger and _overlap(box, known) >= _SAME_FACE


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share, as a part of what they cover together."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(0, width) * max(0, height)
    return shared / (one.width * one.height + other.width * other.height - shared)
