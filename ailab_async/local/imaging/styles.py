"""The nine styles: each one way to put colours, ink, light and paper together."""

# ruff: noqa: PLR2004 - a recipe reads best with its amounts in it

from collections.abc import Callable, Sequence
from typing import cast

import cv2
import numpy as np

from .color import Floats, Rgb
from .scene import Scene
from .texture import bloom, blurred, halftone, mixed, paper, rim, shaded
from .tone import banded, graded, lit, mapped, relief

# Malachite, azurite, cinnabar, ochre and rose, as OKLab's a and b.
_MINERALS = ((-0.08, 0.02), (-0.03, -0.09), (0.14, 0.09), (0.03, 0.09), (0.10, 0.02))
# Red, orange, yellow, green, cyan, blue, violet, pink.
_POP = tuple(
    (float(np.cos(np.radians(hue))), float(np.sin(np.radians(hue))))
    for hue in (27, 58, 100, 145, 200, 262, 305, 350)
)
# From black to white through violet and cyan, in OKLab.
_NEON = (
    (0.08, 0.02, -0.06),
    (0.18, 0.05, -0.12),
    (0.30, 0.05, -0.16),
    (0.50, -0.02, -0.14),
    (0.84, -0.06, -0.06),
)


def _vintage_comic(scene: Scene) -> Rgb:
    """Print few colours with dots on yellowed paper, the ink a little off."""
    flat = banded(scene, bands=5, hardness=7)
    colors = graded(flat, saturation=1.12, contrast=1.05, lift=0.14, dark=(0.0, 0.02))
    tone = _darkness(scene) * (1 - np.float32(0.5) * scene.enlarged(scene.faces))
    dots = halftone(cast("Floats", np.float32(0.9) * tone + np.float32(0.03)), pitch=11, degrees=30)
    # Dots and ink come from plates of their own, which never fit exactly.
    printed = mixed(_shifted(colors, 4, -3), (52, 40, 70), np.float32(0.42) * dots)
    lines = scene.lines(width=1.5, threshold=0.012, softness=0.008, least=60)
    inked = mixed(printed, (30, 24, 26), lines)
    return shaded(inked, _sheet(scene, 0.02, 0.01), (255, 240, 200))


def _fairy_tale(scene: Scene) -> Rgb:
    """Model round, soft forms in warm light, without any line."""
    colors = graded(
        scene.smooth,
        saturation=1.42,
        contrast=1.0,
        lift=0.05,
        dark=(0.012, -0.040),
        light=(0.014, 0.040),
    )
    colors = _with_skin(scene, colors, graded(scene.smooth, saturation=1.08, lift=0.06))
    modelled = lit(colors, relief(scene, 0.55))
    glowing = bloom(modelled, radius=30, strength=0.28)
    return mixed(glowing, (60, 30, 90), np.float32(0.30) * rim(scene.size, reach=0.35))


def _two_dimensional(scene: Scene) -> Rgb:
    """Fill clean shapes with few light tones behind thin, dark brown lines."""
    flat = banded(scene, bands=3, hardness=14)
    colors = graded(flat, saturation=1.0, contrast=0.80, lift=0.32, dark=(0.004, -0.030))
    lines = scene.lines(width=1.1, threshold=0.007, softness=0.005, least=40)
    return mixed(colors, (70, 44, 54), lines)


def _refreshing(scene: Scene) -> Rgb:
    """Wash pale, cool watercolours over pencil, fading out into white paper."""
    colors = graded(
        scene.smooth,
        saturation=1.0,
        contrast=0.80,
        lift=0.36,
        dark=(-0.020, -0.012),
        light=(-0.012, 0.000),
    )
    washed = lit(colors, np.float32(-0.14) * _pools(scene))
    lines = scene.lines(width=0.8, threshold=0.005, softness=0.012, least=30)
    drawn = mixed(washed, (92, 134, 140), np.float32(0.7) * lines)
    paled = mixed(drawn, (254, 255, 254), rim(scene.size, reach=0.11, ragged=0.03))
    return shaded(paled, _sheet(scene, 0.014, 0.006))


def _future(scene: Scene) -> Rgb:
    """Turn night on: violet and cyan, and every outline a neon tube."""
    width, height = scene.size
    scan = 1 - np.float32(0.12) * (np.arange(height) % 6 < 2).astype(np.float32)
    lines = np.repeat(scan[:, None], width, axis=1)
    screen = shaded(mapped(scene.smooth, _NEON, kept=0.30), lines)
    tubes = scene.lines(width=1.2, threshold=0.012, softness=0.010, least=70)
    tubes *= 1 - np.float32(0.6) * scene.enlarged(scene.faces)
    across = np.repeat(np.linspace(0, 1, width, dtype=np.float32)[None], height, axis=0)
    neon = mixed(np.full_like(screen, (70, 235, 255)), (255, 90, 220), across)
    halo = cv2.convertScaleAbs(blurred(shaded(neon, tubes), 16), alpha=1.3)
    return np.asarray(cv2.add(mixed(screen, neon, tubes), halo), np.uint8)


def _chinese_painting(scene: Scene) -> Rgb:
    """Paint in diluted ink on rice paper, with a breath of colour."""
    flat = banded(scene, bands=6, hardness=3)
    colors = graded(flat, saturation=0.34, contrast=1.15, lift=0.34)
    light = np.float32(-0.22) * _pools(scene) + np.float32(0.05) * scene.streaks(10)
    washed = lit(colors, cast("Floats", light))
    lines = scene.lines(width=1.6, threshold=0.009, softness=0.020, least=80)
    dry = np.clip(lines * (np.float32(0.8) + np.float32(0.5) * scene.streaks(14)), 0, 1)
    painted = mixed(washed, (40, 38, 40), cast("Floats", dry))
    pale = np.float32(0.9) * rim(scene.size, reach=0.16, ragged=0.05)
    sheet = _sheet(scene, 0.014, 0.008, fibre=0.02)
    return shaded(mixed(painted, (255, 254, 248), cast("Floats", pale)), sheet, (252, 245, 228))


def _general(scene: Scene) -> Rgb:
    """Cast bronze light and black shadow, brushed roughly."""
    flat = banded(scene, bands=6, hardness=6)
    colors = graded(
        flat,
        saturation=0.75,
        contrast=1.3,
        pivot=0.86,
        dark=(0.035, 0.018),
        light=(0.018, 0.050),
    )
    rough = 1 - np.float32(0.8) * scene.enlarged(scene.faces)
    light = np.float32(0.20) * scene.streaks(16) * rough + relief(scene, 0.3)
    brushed = lit(colors, np.asarray(light, np.float32))
    lines = scene.lines(width=2.1, threshold=0.009, softness=0.014, least=60)
    torn = np.clip(lines * (1 + np.float32(0.8) * scene.streaks(12) * rough), 0, 1)
    inked = mixed(brushed, (22, 10, 6), cast("Floats", torn))
    return mixed(inked, (20, 8, 4), np.float32(0.75) * rim(scene.size, reach=0.30, ragged=0.04))


def _colorful(scene: Scene) -> Rgb:
    """Fill with the brightest paints of the box, greys too, and outline boldly."""
    flat = banded(scene, bands=3, hardness=10)
    colors = graded(
        flat,
        saturation=1.9,
        contrast=0.92,
        lift=0.14,
        dark=(0.030, -0.110),
        light=(-0.005, 0.050),
        paints=_POP,
    )
    colors = _with_skin(scene, colors, graded(flat, saturation=1.15, lift=0.10))
    lines = scene.lines(width=2.0, threshold=0.013, softness=0.006, least=150)
    return mixed(colors, (24, 12, 66), lines)


def _graceful(scene: Scene) -> Rgb:
    """Lay mineral pigments thinly on silk, within the finest lines."""
    colors = graded(
        scene.smooth,
        saturation=1.0,
        contrast=0.76,
        lift=0.42,
        dark=(-0.045, -0.012),
        light=(0.002, 0.006),
        paints=_MINERALS,
    )
    lines = scene.lines(width=0.7, threshold=0.004, softness=0.006, least=26)
    drawn = mixed(colors, (126, 60, 46), np.float32(0.8) * lines)
    return shaded(drawn, _silk(scene), (255, 243, 216))


def _with_skin(scene: Scene, colors: Rgb, milder: Rgb) -> Rgb:
    """Take milder colours for faces: strong ones make every skin an orange."""
    if not scene.faces.any():
        return colors
    return mixed(colors, milder, np.float32(0.75) * scene.enlarged(scene.faces))


def _shifted(colors: Rgb, right: int, down: int) -> Rgb:
    height, width = colors.shape[:2]
    way = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(colors, way, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _darkness(scene: Scene) -> Floats:
    grey = cv2.cvtColor(scene.smooth, cv2.COLOR_RGB2GRAY)
    soft = cv2.blur(grey, (9, 9))
    return np.asarray(1 - soft / np.float32(255), np.float32)


def _sheet(scene: Scene, grain: float, cloud: float, fibre: float = 0.0) -> Floats:
    return paper(scene.size, grain=grain, cloud=cloud, fibre=fibre)


def _pools(scene: Scene) -> Floats:
    """Return where wet colour gathers and dries darker: along the edges of a wash, 0..1."""
    grey = np.asarray(cv2.cvtColor(scene.small, cv2.COLOR_RGB2GRAY), np.float32)
    edge = np.abs(cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 6))
    return scene.enlarged(np.asarray(np.tanh(edge / 14), np.float32))


def _silk(scene: Scene) -> Floats:
    """Return the shade of woven silk."""
    width, height = scene.size
    warp = np.cos(np.arange(width, dtype=np.float32) * np.float32(2 * np.pi / 5))
    weft = np.cos(np.arange(height, dtype=np.float32) * np.float32(2 * np.pi / 5))[:, None]
    return np.asarray(
        _sheet(scene, 0.012, 0.006) * (1 - np.float32(0.025) * (1 + warp * weft)), np.float32
    )


STYLES: Sequence[Callable[[Scene], Rgb]] = (
    _vintage_comic,
    _fairy_tale,
    _two_dimensional,
    _refreshing,
    _future,
    _chinese_painting,
    _general,
    _colorful,
    _graceful,
)
"""By the service's `index`."""
