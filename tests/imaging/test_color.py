"""OKLab and the way back into the gamut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.color import rgb2lab, xyz2lab
from skimage.color.colorconv import rgb_from_xyz

from ailab_async.local.imaging.color import (
    linear_to_oklab,
    luminance,
    oklab_to_rgb,
    rgb_to_oklab,
    to_linear,
)

COLORS = arrays(np.float32, (30, 3), elements=st.floats(0, 1, width=32))
OKLAB = arrays(
    np.float32,
    (30, 3),
    elements=st.floats(-0.5, 1.5, width=32),
)


@pytest.mark.parametrize(
    ("xyz", "lab"),
    [
        ((0.950, 1.000, 1.089), (1.000, 0.000, 0.000)),
        ((1.000, 0.000, 0.000), (0.450, 1.236, -0.019)),
        ((0.000, 1.000, 0.000), (0.922, -0.671, 0.263)),
        ((0.000, 0.000, 1.000), (0.153, -1.415, -0.449)),
    ],
)
def test_oklab_is_the_published_one(xyz, lab):
    """The four pairs that Ottosson's article gives."""
    linear = (rgb_from_xyz @ np.array(xyz)).astype(np.float32)
    assert np.allclose(linear_to_oklab(linear), lab, atol=2e-3)


@settings(deadline=None)
@given(COLORS)
def test_colours_of_the_gamut_come_back(rgb):
    assert np.allclose(oklab_to_rgb(rgb_to_oklab(rgb)), rgb, atol=2e-3)


@settings(deadline=None)
@given(OKLAB)
def test_everything_else_comes_into_the_gamut(lab):
    rgb = oklab_to_rgb(lab)
    assert np.isfinite(rgb).all()
    assert ((rgb >= 0) & (rgb <= 1)).all()


def test_what_is_outside_loses_chroma_and_keeps_hue_and_lightness():
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    vivid = np.stack([np.full(72, 0.65), 0.4 * np.cos(angle), 0.4 * np.sin(angle)], axis=1)
    lab = rgb_to_oklab(oklab_to_rgb(vivid.astype(np.float32)))
    turn = np.angle((lab[:, 1] + 1j * lab[:, 2]) / np.exp(1j * angle), deg=True)
    assert abs(turn).max() < 0.5
    assert abs(lab[:, 0] - 0.65).max() < 2e-3
    assert (np.hypot(lab[:, 1], lab[:, 2]) < 0.35).all()


@settings(max_examples=30, deadline=None)
@given(COLORS, st.floats(0, 6.28), st.floats(0, 2))
def test_luminance_can_be_kept_whatever_happens_to_hue_and_chroma(rgb, angle, gain):
    y = luminance(to_linear(rgb))
    lab = rgb_to_oklab(rgb)
    cos, sin = gain * np.cos(angle), gain * np.sin(angle)
    lab[:, 1:] = lab[:, 1:] @ np.array([[cos, sin], [-sin, cos]], np.float32)
    after = oklab_to_rgb(lab, keep_luminance=y)
    assert abs(rgb2lab(after)[:, 0] - rgb2lab(rgb)[:, 0]).max() < 0.7


def test_grey_stays_grey():
    grey = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[:, None], 3, axis=1)
    back = oklab_to_rgb(rgb_to_oklab(grey), keep_luminance=luminance(to_linear(grey)))
    assert abs(back - grey).max() < 1 / 512


def test_luminance_is_the_y_of_cie():
    rgb = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    y = luminance(to_linear(rgb))
    assert np.allclose(xyz2lab(np.stack([y, y, y], axis=1))[:, 0], rgb2lab(rgb)[:, 0], atol=0.05)
