"""Where the sky is: a soft mask, found without any neural network, and only where one is likely.

Sky is what is smooth, has a colour that skies have, and hangs down from the top of the picture.
Such regions are the seeds; a horizon, where a straight one is seen, ends them, and GrabCut
(Rother, Kolmogorov & Blake 2004) finds their outline. What comes out is then judged as a whole,
because walls, ceilings and blurred backgrounds can be smooth and reach the top as well.
"""

# ruff: noqa: PLR2004 - colours and proportions of a sky read best as numbers, where they are used

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats, Rgb
from .mask import SoftMask

_Region = NDArray[np.bool_]

SIDE = 360
"""The long side, in pixels, at which skies are looked for."""

_CUT_ROUNDS = 3
_LEAST_SIDE = 24


@dataclass(frozen=True)
class _Look:
    """What a thumbnail looks like, pixel by pixel: CIELAB, and what follows from it."""

    lab: Floats
    blue: _Region
    plausible: _Region
    """Has a colour that skies have."""
    cloud: _Region
    """Is bright and grey or white."""
    texture: Floats
    """The mean difference of lightness from its surroundings, in CIELAB units."""

    @classmethod
    def at(cls, thumbnail: Rgb) -> "_Look":
        unit = thumbnail.astype(np.float32) / np.float32(255)
        lab = np.asarray(cv2.cvtColor(unit, cv2.COLOR_RGB2LAB), np.float32)
        light, a, b = lab[..., 0], lab[..., 1], lab[..., 2]
        chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
        height = np.linspace(0, 1, len(lab), dtype=np.float32)[:, None]
        blue = (hue > 215) & (hue < 305) & (chroma > 4)
        cloud = (chroma < 14) & (light > 38)
        dusk = ((hue > 305) | (hue < 100)) & (light > 35) & (chroma < 75) & (height < 0.75)
        green = (hue > 100) & (hue < 200) & (chroma > 9)
        fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.2))
        texture = np.asarray(cv2.blur(fine, (9, 9)), np.float32)
        return cls(lab, blue, (blue | cloud | dusk) & ~green, (chroma < 14) & (light > 75), texture)


def find_sky(thumbnail: Rgb) -> SoftMask | None:
    """Find the sky.

    Args:
        thumbnail: the picture at `SIDE` pixels on its long side.

    Returns:
        A mask that can be laid over the picture at any size, or `None` where no sky is seen.
    """
    if min(thumbnail.shape[:2]) < _LEAST_SIDE:
        return None
    look = _Look.at(thumbnail)
    seeds = _seeds(look)
    if seeds is None:
        return None
    sky = _connected(_outline(thumbnail, look, seeds), look, seeds)
    if sky is None or not _convincing(sky, look):
        return None
    return SoftMask.refine(thumbnail, _without_holes(sky, look).astype(np.float32))


def _seeds(look: _Look) -> _Region | None:
    """Return what is smooth, has a plausible colour and hangs together with the top.

    How smooth is measured at the top, clouds aside: hills under a clear sky are smooth too, but
    less so.
    """
    height, width = look.texture.shape
    top = look.texture[: max(2, height // 12)]
    limit = float(np.clip(3 * np.median(top), 0.8, 1.9))
    calm = np.where(look.cloud, look.texture < 1.9, look.texture < limit)
    smooth = (look.plausible & calm).astype(np.uint8)
    opened = cv2.morphologyEx(smooth, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA] / (height * width)
    kept = (area > 0.008) & (stats[:, cv2.CC_STAT_TOP] < 0.12 * height)
    kept[0] = False
    if not kept.any():
        return None
    # A cable or a branch cuts pieces off; what they have in common with the rest is their colour
    # at the same height.
    seeds = np.asarray(kept[pieces])
    weight = seeds.sum(axis=1)
    row_color = (look.lab * seeds[..., None]).sum(axis=1) / np.maximum(weight, 1)[:, None]
    for piece in np.flatnonzero(~kept & (area > 0.002)):
        if piece:
            rows, columns = np.nonzero((pieces == piece) & (weight > 0)[:, None])
            if len(rows) > 0.8 * stats[piece, cv2.CC_STAT_AREA]:
                away = np.abs(look.lab[rows, columns] - row_color[rows]).mean(axis=0)
                kept[piece] = away.max() < 5
    return np.asarray(kept[pieces])


def _outline(thumbnail: Rgb, look: _Look, seeds: _Region) -> _Region:
    """Let GrabCut find the outline of the seeds."""
    height = len(seeds)
    labels = np.full(seeds.shape, cv2.GC_PR_BGD, np.uint8)
    labels[~look.plausible | (look.texture > 4.5)] = cv2.GC_BGD
    labels[seeds] = cv2.GC_PR_FGD
    labels[cv2.erode(seeds.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0] = cv2.GC_FGD
    if seeds.mean() < 0.85:
        labels[int(0.96 * height) :] = cv2.GC_BGD
    horizon = _horizon(look, seeds)
    if horizon is not None:
        labels[horizon + 1 :] = cv2.GC_BGD
    inside = (labels == cv2.GC_PR_FGD) | (labels == cv2.GC_FGD)
    if min(inside.sum(), (~inside).sum()) > 50:
        # GrabCut draws its first clusters from OpenCV's random numbers, a state of the thread.
        cv2.setRNGSeed(1)
        cv2.grabCut(
            cv2.cvtColor(thumbnail, cv2.COLOR_RGB2BGR),
            labels,
            (0, 0, 1, 1),
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            _CUT_ROUNDS,
            cv2.GC_INIT_WITH_MASK,
        )
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _horizon(look: _Look, seeds: _Region) -> int | None:
    """Return the row of a straight horizon with water or haze below that passes for sky."""
    height = len(seeds)
    edge = np.abs(cv2.Sobel(look.lab[..., 0], cv2.CV_32F, 0, 1))
    strength = edge.mean(axis=1) / (edge.mean() + 1e-6)
    covered = seeds.mean(axis=1)
    rows = [
        row
        for row in range(int(0.25 * height), int(0.92 * height))
        if strength[row - 1 : row + 2].max() > 3 and covered[:row].mean() > 0.5
    ]
    if not rows or covered[max(rows) + 2 :].mean() <= 0.15:
        return None
    return max(rows, key=lambda row: float(strength[row]))


def _connected(sky: _Region, look: _Look, seeds: _Region) -> _Region | None:
    """Keep what reaches the top, and pieces that cables or branches have cut off from it."""
    height, width = sky.shape
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(sky.astype(np.uint8))
    area, top = stats[:, cv2.CC_STAT_AREA], stats[:, cv2.CC_STAT_TOP]
    kept = (area > 0.01 * height * width) & (top < 0.06 * height)
    kept[0] = False
    if not kept.any():
        return None
    colors = look.lab[kept[pieces]]
    middle, spread = colors.mean(axis=0), colors.std(axis=0) + 6
    covered = seeds.mean(axis=1)
    for piece in range(1, count):
        if (
            not kept[piece]
            and area[piece] > 0.004 * height * width
            and top[piece] < 0.55 * height
            and covered[top[piece]] > 0.3
        ):
            away = np.abs(look.lab[pieces == piece].mean(axis=0) - middle) / spread
            kept[piece] = away.max() < 2.2
    return np.asarray(kept[pieces])


def _without_holes(sky: _Region, look: _Look) -> _Region:
    """Fill holes that look like a cloud; birds, kites and poles stay cut out."""
    filled = sky.copy()
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((~sky).astype(np.uint8))
    height, width = sky.shape
    for hole in range(1, count):
        left, top, wide, high = stats[hole, :4]
        enclosed = left > 0 and left + wide < width and top + high < height
        inside = pieces == hole
        if enclosed and look.plausible[inside].mean() > 0.6 and np.median(look.texture[inside]) < 3:
            filled |= inside
    return filled


def _convincing(sky: _Region, look: _Look) -> bool:
    """Judge the region as a whole.

    Blue is sky, unless there is little of it, it fills less than three
    quarters of the top, or it is one flat colour. What is grey or white passes for a clouded sky
    only where it covers the whole top, nothing interrupts it from there down to its end, and
    something textured begins there: walls and ceilings seldom do all of that.
    """
    height = len(sky)
    area, top = sky.mean(), sky[: max(2, height // 40)].mean()
    if area < 0.05:
        return False
    columns = sky.any(axis=0)
    lowest = height - sky[::-1, columns].argmax(axis=0)
    solid = sky.sum() / lowest.sum()
    smooth = np.median(look.texture[sky])
    if look.lab[..., 0][sky].std() < 1 or smooth > 1.3:
        return False
    if look.blue[sky].mean() > 0.3:
        return bool(top > 0.75 and solid > 0.88)
    grounded = not sky.all() and np.median(look.texture[~sky]) > 1
    return bool(
        top > 0.9 and solid > 0.95 and area > 0.1 and np.median(lowest) < 0.85 * height and grounded
    )
