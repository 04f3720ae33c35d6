"""Where the people are: a soft mask over skin, head and hair, found without any neural network.

For each face: GrabCut (Rother, Kolmogorov & Blake 2004) parts person from background, starting
from the proportions of head and shoulders; a Gaussian over the chroma of this very face tells
skin, so that every skin tone has its own model; what sits on the head and is not skin is hair.
"""

# ruff: noqa: PLR2004 - the proportions of a head read best as numbers, where the head is drawn

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats, Rgb
from .faces import Box, find_faces, looks_like_skin
from .mask import SoftMask

_Region = NDArray[np.bool_]

_CUT_SIDE = 200
_CUT_ROUNDS = 3
_MOST_OF_CHEST = 0.5
_OTHER_CHROMA, _OTHER_LIGHTNESS = 28, 40
"""So far from the middle of a face, in CIELAB units, eyes, lips and beards may be, but no cheek."""


def find_portrait(thumbnail: Rgb) -> SoftMask | None:
    """Find skin, head and hair of all people whose faces are seen.

    Args:
        thumbnail: the picture at about 512 pixels on its long side.

    Returns:
        A mask that can be laid over the picture at any size, or `None` without a face.
    """
    faces = find_faces(thumbnail)
    if not faces:
        return None
    lab = np.asarray(
        cv2.cvtColor(thumbnail.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), np.float32
    )
    generic_skin = looks_like_skin(thumbnail)
    rough = np.zeros(thumbnail.shape[:2], np.float32)
    for box in faces:
        frame = Frame.around(box, *thumbnail.shape[:2])
        person = cut_out(thumbnail, lab, frame)
        skin = skin_of(lab, frame, person, generic_skin)
        rough = np.maximum(rough, np.maximum(skin, hair_of(lab, frame, person, skin)))
    closing = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = np.asarray(cv2.morphologyEx(rough, cv2.MORPH_CLOSE, closing), np.float32)
    return SoftMask.refine(thumbnail, closed)


@dataclass(frozen=True)
class Frame:
    """Pixel coordinates measured in face widths (x) and face heights (y) from the face's centre.

    They lean as the head does.
    """

    x: Floats
    y: Floats
    box: Box

    @classmethod
    def around(cls, box: Box, height: int, width: int) -> "Frame":
        """Return the frame of a face in a picture of this size."""
        y, x = np.mgrid[:height, :width].astype(np.float32)
        x -= np.float32(box.x + box.width / 2)
        y -= np.float32(box.y + box.height / 2)
        sine, cosine = (float(f(np.radians(box.lean))) for f in (np.sin, np.cos))
        return cls(
            ((cosine * x + sine * y) / box.width).astype(np.float32),
            ((cosine * y - sine * x) / box.height).astype(np.float32),
            box,
        )

    def ellipse(self, y: float, half_width: float, half_height: float) -> _Region:
        """Return what lies in an ellipse around the face's axis, in the face's own measures."""
        inside: _Region = (self.x / half_width) ** 2 + ((self.y - y) / half_height) ** 2 < 1
        return inside

    @property
    def core(self) -> _Region:
        """Surely face."""
        return self.ellipse(0.05, 0.36, 0.46)

    @property
    def face(self) -> _Region:
        """The face with its eyes, lips, beard and ears, which skin colour would miss."""
        return self.ellipse(0.02, 0.56, 0.68)


def cut_out(thumbnail: Rgb, lab: Floats, frame: Frame) -> _Region:
    """Part the person from the background.

    Args:
        thumbnail: the picture.
        lab: the same in CIELAB.
        frame: of the person's face.
    """
    reach = (np.abs(frame.x) < 2.6) & (frame.y > -1.4)
    shoulders = (
        (frame.y > 0.75)
        & (np.abs(frame.x) < 0.45 + 0.75 * (frame.y - 0.6) * frame.box.height / frame.box.width)
        & (np.abs(frame.x) < 1.7)
    )
    labels = np.full(thumbnail.shape[:2], cv2.GC_BGD, np.uint8)
    labels[reach] = cv2.GC_PR_BGD
    labels[shoulders | frame.ellipse(-0.08, 0.68, 0.9)] = cv2.GC_PR_FGD
    # Of a head that is turned aside, background is in the box: what differs much from the middle
    # of the face is only likely to be person.
    away = np.abs(lab - np.median(lab[frame.ellipse(0.1, 0.18, 0.2)], axis=0))
    unlike = (away[..., 1:].sum(axis=-1) > _OTHER_CHROMA) | (away[..., 0] > _OTHER_LIGHTNESS)
    labels[frame.core & ~unlike] = cv2.GC_FGD

    height, width = thumbnail.shape[:2]
    box = frame.box
    left = max(0, int(box.x - 2.2 * box.width))
    right = min(width, int(box.x + 3.2 * box.width))
    top, bottom = max(0, box.y - box.height), min(height, box.y + 8 * box.height)
    window = np.ascontiguousarray(thumbnail[top:bottom, left:right])
    scale = min(1.0, _CUT_SIDE / max(window.shape[:2]))
    size = (max(8, int(window.shape[1] * scale)), max(8, int(window.shape[0] * scale)))
    cut = cv2.resize(labels[top:bottom, left:right], size, interpolation=cv2.INTER_NEAREST)
    if not np.isin(cut, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        # The face fills the picture: there is nothing to cut it from.
        return reach
    # GrabCut draws its first clusters from OpenCV's random numbers, whose state is the thread's.
    cv2.setRNGSeed(1)
    cv2.grabCut(
        cv2.cvtColor(cv2.resize(window, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR),
        cut,
        (0, 0, 1, 1),
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        _CUT_ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    person = np.zeros(labels.shape, bool)
    whole = cv2.resize(cut, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    person[top:bottom, left:right] = (whole == cv2.GC_FGD) | (whole == cv2.GC_PR_FGD)
    return _without_holes(person & reach, frame.face)


def skin_of(lab: Floats, frame: Frame, person: _Region, generic_skin: _Region) -> Floats:
    """Return how much each pixel is the skin of this face, 0..1."""
    face, area = frame.face & person, frame.box.width * frame.box.height
    sample = lab[frame.core & person]
    chroma = sample[:, 1:]
    steady = np.abs(chroma - np.median(chroma, axis=0)).sum(axis=1) < 18
    if steady.sum() < 20:
        steady[:] = True
    distance = _mahalanobis(lab[..., 1:], chroma[steady], np.array([6.0, 6.0]))
    darkest = np.percentile(sample[:, 0], 5) - 12
    likely = np.exp(-0.5 * np.maximum(distance - 4, 0)) * (lab[..., 0] > darkest)
    near = (np.abs(frame.x) < 4) & (frame.y > -0.8) & (frame.y < 6.5)
    # Away from the head, what is darker than most of the face is as often curtain as arm.
    lit = lab[..., 0] > np.percentile(sample[:, 0], 25) - 12
    lit |= frame.ellipse(-0.12, 0.65, 0.9)
    likely = np.where(near & (person | (generic_skin & lit & (frame.y > -0.5))), likely, 0)

    # Of all that has the colour of skin, keep what hangs together with the face, and arms and
    # hands: large pieces inside the person.
    count, pieces = _pieces((likely > 0.5) | face)
    sizes = np.bincount(pieces.ravel(), minlength=count)
    joined = np.zeros(count, bool)
    joined[np.unique(pieces[face])] = True
    joined[0] = False
    large = sizes > 0.04 * area
    large[0] = False
    kept = joined[pieces] | (large[pieces] & person)
    return np.where(face, 1, np.where(kept, likely, 0)).astype(np.float32)


def hair_of(lab: Floats, frame: Frame, person: _Region, skin: Floats) -> Floats:
    """Return which pixels are hair (or what is worn on the head): 0 or 1."""
    x, y, area = frame.x, frame.y, frame.box.width * frame.box.height
    halo = frame.ellipse(-0.12, 1.15, 1.05) & (y < 0.85)
    features = (np.abs(x) < 0.33) & (y > -0.1)
    # Light brown hair has the chroma of skin, but is darker than the face it frames.
    dark = lab[..., 0] < np.median(lab[frame.core & person][:, 0]) - 12
    dark &= ~frame.face & ~((np.abs(x) < 0.45) & (y > 0.4))
    hair = halo & person & ~frame.core & ((skin < 0.45) | dark) & ~features
    crown = hair & (y < -0.25) & (np.abs(x) < 0.6)
    if crown.sum() > 20:
        hair &= _mahalanobis(lab, lab[crown], np.array([40.0, 10.0, 10.0])) < 12
    count, pieces = _pieces(hair)
    keep = np.zeros(count, bool)
    for piece in range(1, count):
        inside = pieces == piece
        keep[piece] = inside.sum() > 0.03 * area and y[inside].min() < -0.15
    hair = keep[pieces]
    return np.asarray(hair | _below_the_chin(lab, frame, person & (skin < 0.45), hair), np.float32)


def _below_the_chin(lab: Floats, frame: Frame, person: _Region, hair: _Region) -> _Region:
    """Follow long hair down over the shoulders, unless the clothes have its colour."""
    area = frame.box.width * frame.box.height
    below = (frame.y > 0.5) & (frame.y < 2.8) & (np.abs(frame.x) < 1.5)
    nothing = np.zeros_like(hair)
    if (hair & below).sum() < 0.02 * area:
        return nothing
    ends = person & below
    ends &= _mahalanobis(lab, lab[hair & (frame.y > 0)], np.array([25.0, 8.0, 8.0])) < 9
    _, pieces = _pieces(hair | ends)
    joined = np.isin(pieces, np.unique(pieces[hair])) & ends
    chest = person & below & (frame.y > 0.85)
    if (joined & chest).sum() > _MOST_OF_CHEST * chest.sum():
        return nothing
    return np.asarray(joined)


def _without_holes(person: _Region, within: _Region) -> _Region:
    """Fill what is cut out of the person but lies in the face altogether: eyes, teeth, glasses."""
    count, pieces = _pieces(~person)
    outside = np.zeros(count, bool)
    outside[np.unique(pieces[~within])] = True
    return np.asarray(person | ~outside[pieces])


def _pieces(region: _Region) -> tuple[int, NDArray[np.intp]]:
    """Number the connected pieces of a region from 1; 0 is what lies outside of it."""
    count, pieces = cv2.connectedComponents(region.astype(np.uint8))
    return count, np.asarray(pieces, np.intp)


def _mahalanobis(values: Floats, sample: Floats, spread: NDArray[np.float64]) -> Floats:
    """Return the squared distance of values from a sample, in units of the sample's variance.

    The centre is the sample's median; `spread` is added to its variance, so that a sample of one
    single colour still accepts its neighbours.
    """
    covariance = np.cov(sample.T) + np.diag(spread)
    away = values - np.median(sample, axis=0)
    distance = np.einsum("...i,ij,...j", away, np.linalg.inv(covariance), away)
    return np.asarray(distance, np.float32)
