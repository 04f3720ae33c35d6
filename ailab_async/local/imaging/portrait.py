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
        person = cut_out(thumbnail, frame)
        skin = skin_of(lab, frame, person, generic_skin)
        rough = np.maximum(rough, np.maximum(skin, hair_of(lab, frame, person, skin)))
    closing = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = np.asarray(cv2.morphologyEx(rough, cv2.MORPH_CLOSE, closing), np.float32)
    return SoftMask.refine(thumbnail, closed)


@dataclass(frozen=True)
class Frame:
    """Pixel coordinates measured in face widths (x) and face heights (y) from the face's centre."""

    x: Floats
    y: Floats
    box: Box

    @classmethod
    def around(cls, box: Box, height: int, width: int) -> "Frame":
        """Return the frame of a face in a picture of this size."""
        y, x = np.mgrid[:height, :width].astype(np.float32)
        centre_x, centre_y = box.x + box.width / 2, box.y + box.height / 2
        return cls(
            ((x - centre_x) / box.width).astype(np.float32),
            ((y - centre_y) / box.height).astype(np.float32),
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


def cut_out(thumbnail: Rgb, frame: Frame) -> _Region:
    """Part the person from the background."""
    reach = (np.abs(frame.x) < 2.6) & (frame.y > -1.4)
    shoulders = (
        (frame.y > 0.75)
        & (np.abs(frame.x) < 0.45 + 0.75 * (frame.y - 0.6) * frame.box.height / frame.box.width)
        & (np.abs(frame.x) < 1.7)
    )
    labels = np.full(thumbnail.shape[:2], cv2.GC_BGD, np.uint8)
    labels[reach] = cv2.GC_PR_BGD
    labels[shoulders | frame.ellipse(-0.08, 0.68, 0.9)] = cv2.GC_PR_FGD
    labels[frame.core] = cv2.GC_FGD

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
    return person & reach


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
    likely = np.where(near & (person | (generic_skin & (frame.y > -0.5))), likely, 0)

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
    hair = halo & person & ~frame.core & (skin < 0.45) & ~features
    crown = hair & (y < -0.25) & (np.abs(x) < 0.6)
    if crown.sum() > 20:
        hair &= _mahalanobis(lab, lab[crown], np.array([40.0, 10.0, 10.0])) < 12
    count, pieces = _pieces(hair)
    keep = np.zeros(count, bool)
    for piece in range(1, count):
        inside = pieces == piece
        keep[piece] = inside.sum() > 0.03 * area and y[inside].min() < -0.15
    return np.asarray(keep[pieces], np.float32)


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
