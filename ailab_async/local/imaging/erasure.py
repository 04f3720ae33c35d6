"""Erasing: what a mask covers is replaced by what the rest of the picture suggests.

Each hole is completed small first, where its structure is decided (`patchmatch`). Then, from
there to the full size, each of its pixels is given a place outside to be copied from
(`patchwork`), so that the result is as sharp and as grainy as the picture. The copies are joined
in the gradient domain (`seam`).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Rgb
from .completion import NothingToCopyFrom, fill
from .lines import bridge
from .portrait import find_portrait

_Region = NDArray[np.bool_]
_Box = tuple[slice, slice]
_People = NDArray[np.uint8]

MOST_ERASED = 0.95
"""The largest share of a picture that may be erased."""

_HALF = 127
_RGB = 3
_PORTRAIT_SIDE = 512
_PORTRAIT_AT = 0.2
_LEAST_HEAD, _SHOULDER = 0.002, 0.8
_BODY, _HEAD = 1, 2
_INSIDE_HEAD, _INSIDE_BODY = 0.5, 0.8
_RING = 5
_GROUP_SIDE = 512
_GROUP_GAP = 0.03
_MOST_GROUPS = 32
_LEAST_CONTEXT = 48
_CONTEXT = 0.75
_LEAST_SOURCES = 0.6
_RIM_SIDE = 400
_LEAST_RIM, _MOST_RIM = 2, 3
_THIN = 2.0
_THIN_REACH = 3
_TIGHT = 1.6


def mask_from(picture: NDArray[np.uint8], size: tuple[int, int]) -> _Region:
    """Read a mask picture: what is brighter than half is to be erased.

    Args:
        picture: height x width, or height x width x 3, of any size.
        size: height and width of the picture that the mask is for. Of a mask of another size each
            pixel takes the nearest value; nothing is smoothed.

    Returns:
        `size`: whether the luma (ITU-R BT.601) is above 127.
    """
    grey = picture
    if picture.ndim == _RGB:
        grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY), np.uint8)
    mask = (grey > _HALF).astype(np.uint8)
    if mask.shape != size:
        mask = np.asarray(
            cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
        )
    return mask > 0


def erase(image: Rgb, mask: NDArray[np.bool_], *, protect: bool = True) -> Rgb:
    """Erase what a mask covers.

    Args:
        image: height x width x 3.
        mask: height x width; True is erased.
        protect: copy nothing from skin, heads and hair, so that no second face grows next to a
            first one. A hole in the middle of a person is filled from that person all the same.

    Returns:
        A new picture of the same size. Outside of the mask it is the input, bit for bit; the same
        input gives the same bytes.

    Raises:
        ValueError: the mask has another size than the picture.
        NothingToCopyFrom: the mask covers more than 95 % of the picture, or all but people.
    """
    if mask.shape != image.shape[:2]:
        message = (
            f"the mask is {mask.shape[1]} x {mask.shape[0]}, the picture {image.shape[1]} x "
            f"{image.shape[0]}: pass a mask of the picture's size (see mask_from)"
        )
        raise ValueError(message)
    result = image.copy()
    if not mask.any():
        return result
    share = float(mask.mean())
    if share > MOST_ERASED:
        message = (
            f"the mask covers {share:.1%} of the picture, more than {MOST_ERASED:.0%}: nothing is "
            f"left to fill it with, mask less"
        )
        raise NothingToCopyFrom(message)
    people = _find_people(image) if protect else None
    rim = min(_MOST_RIM, max(_LEAST_RIM, round(max(mask.shape) / _RIM_SIDE)))
    for box in _groups(mask):
        _erase_group(image, result, mask, box, people, rim)
    return result


def _find_people(image: Rgb) -> _People | None:
    height, width = image.shape[:2]
    scale = min(1.0, _PORTRAIT_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    portrait = find_portrait(
        np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    )
    return None if portrait is None else _with_bodies(portrait.coarse > _PORTRAIT_AT)


def _with_bodies(heads: _Region) -> _People:
    """Add what is below heads: a sleeve in the sky is hardly better than a second head."""
    count, _, boxes, _ = cv2.connectedComponentsWithStats(heads.astype(np.uint8))
    people = np.where(heads, np.uint8(_HEAD), np.uint8(0))
    for number in range(1, count):
        left, top, width, height = boxes[number][:4]
        if width * height > _LEAST_HEAD * heads.size:
            side = round(_SHOULDER * width)
            below = people[top + height // 2 :, max(0, left - side) : left + width + side]
            np.maximum(below, _BODY, out=below)
    return people


def _groups(mask: _Region) -> list[_Box]:
    """Return boxes round the holes; holes that lie close together share one."""
    height, width = mask.shape
    scale = -(-max(height, width) // _GROUP_SIDE)
    rows, columns = np.arange(0, height, scale), np.arange(0, width, scale)
    low = np.logical_or.reduceat(np.logical_or.reduceat(mask, rows), columns, axis=1)
    gap = 2 * round(_GROUP_GAP * max(low.shape)) + 1
    near = cv2.dilate(low.astype(np.uint8), np.ones((gap, gap), np.uint8))
    count, pieces = cv2.connectedComponents(near)
    boxes = []
    for number in range(1, count):
        y, x = np.nonzero(low & (pieces == number))
        boxes.append((y.min(), y.max() + 1, x.min(), x.max() + 1))
    boxes = _joined(boxes)
    if len(boxes) > _MOST_GROUPS:
        # Dust and scratches all over: as one, or the time would have no bounds.
        corners = np.array(boxes)
        boxes = [(*corners[:, ::2].min(axis=0), *corners[:, 1::2].max(axis=0))]
        boxes = [(boxes[0][0], boxes[0][2], boxes[0][1], boxes[0][3])]
    return [
        np.s_[top * scale : min(height, bottom * scale), left * scale : min(width, right * scale)]
        for top, bottom, left, right in boxes
    ]


def _joined(boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Replace boxes that overlap by one round both: no pixel is filled twice."""
    apart: list[tuple[int, int, int, int]] = []
    for box in boxes:
        grown = box
        while True:
            top, bottom, left, right = grown
            met = [
                b for b in apart if b[0] < bottom and top < b[1] and b[2] < right and left < b[3]
            ]
            if not met:
                break
            apart = [b for b in apart if b not in met]
            rows = [edge for b in (*met, grown) for edge in b[:2]]
            columns = [edge for b in (*met, grown) for edge in b[2:]]
            grown = (min(rows), max(rows), min(columns), max(columns))
        apart.append(grown)
    return apart


def _erase_group(
    image: Rgb, result: Rgb, mask: _Region, box: _Box, people: _People | None, rim: int
) -> None:
    """Fill the holes in one box, from as much of the picture round it as that takes."""
    height, width = mask.shape
    extent = max(box[0].stop - box[0].start, box[1].stop - box[1].start)
    context = max(_LEAST_CONTEXT, round(_CONTEXT * extent))
    while True:
        window = (
            slice(max(0, box[0].start - context), min(height, box[0].stop + context)),
            slice(max(0, box[1].start - context), min(width, box[1].stop + context)),
        )
        hole = np.zeros(mask[window].shape, bool)
        inner = np.s_[
            box[0].start - window[0].start : box[0].stop - window[0].start,
            box[1].start - window[1].start : box[1].stop - window[1].start,
        ]
        hole[inner] = mask[box]
        taboo = mask[window] & ~hole
        if people is not None:
            taboo |= _people_in(people, window, (height, width), hole)
        free = hole.size - int((hole | taboo).sum())
        if free >= _LEAST_SOURCES * hole.sum() or hole.shape == mask.shape:
            break
        context *= 2
    part = image[window]
    if cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 5).max() <= _THIN:
        filled = _mended(part, mask[window], hole)
    else:
        filled, unknown = bridge(part, hole)
        if unknown.any():
            filled = fill(filled, unknown, taboo, rim=rim if _is_tight(part, hole) else 0)
    result[window][hole] = filled[hole]


def _mended(image: Rgb, mask: _Region, hole: _Region) -> Rgb:
    """Fill scratches of up to three pixels, for which the pixels beside them know best.

    Bertalmio, Bertozzi & Sapiro 2001, as OpenCV has it.
    """
    grown = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    unknown = mask | (grown if _is_tight(image, hole) else hole)
    if unknown.all():
        unknown = mask
    picture = np.ascontiguousarray(image)
    filled = cv2.inpaint(picture, unknown.astype(np.uint8), _THIN_REACH, cv2.INPAINT_NS)
    return np.asarray(filled, np.uint8)


def _is_tight(image: Rgb, hole: _Region) -> bool:
    """Return whether the border of a hole runs along an edge, that of the object.

    Then the object's soft edge may reach over it. A mask that leaves some room round the object
    has nothing special at its border, and every pixel outside of it is good.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    inner = hole.astype(np.uint8)
    two, five = (cv2.dilate(inner, np.ones((size, size), np.uint8)) > 0 for size in (5, 13))
    border = (cv2.dilate(inner, np.ones((3, 3), np.uint8)) > 0) & ~hole
    outside = five & ~two
    if not border.any() or not outside.any():
        return False
    return bool(steep[border].mean() > _TIGHT * (steep[outside].mean() + 1))


def _people_in(people: _People, window: _Box, size: tuple[int, int], hole: _Region) -> _Region:
    """Return where in a window people are that nothing may be copied from."""
    # A map of where each pixel of the window lies on the thumbnail.
    rows, columns = (
        (np.arange(part.start, part.stop) * low // full)
        for part, low, full in zip(window, people.shape, size, strict=True)
    )
    found = people[np.ix_(rows, columns)]
    taboo = (found > 0) & ~hole
    ring = cv2.dilate(hole.astype(np.uint8), np.ones((_RING, _RING), np.uint8)) > 0
    ring &= ~hole
    if not ring.any():
        return taboo
    # A spot on a cheek, a stain on a shirt: only the person has what belongs there.
    if (found[ring] == _HEAD).mean() > _INSIDE_HEAD:
        return np.zeros_like(hole)
    if (found[ring] > 0).mean() > _INSIDE_BODY:
        taboo &= found == _HEAD
    return taboo
