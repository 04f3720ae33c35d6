"""TEMPLATE: the template's colours become the picture's main colours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailab_async.local.imaging.recolor import recolor_template

from .measures import (
    difference,
    kept_detail,
    noise_gain,
    palette_coverage,
    palette_distance,
)

TEMPLATES = {
    "one blue": [(0x30, 0x60, 0xC0)],
    "teal and ink": [(0x05, 0x6A, 0x6B), (0x0A, 0x0B, 0x0C)],
    "teal, sand, navy": [(0x05, 0x6A, 0x6B), (0xF4, 0xD3, 0x5E), (0x0D, 0x3B, 0x66)],
    "seven violets": [
        (0x10, 0x00, 0x2B),
        (0x24, 0x00, 0x46),
        (0x3C, 0x09, 0x6C),
        (0x5A, 0x18, 0x9A),
        (0x7B, 0x2C, 0xBF),
        (0x9D, 0x4E, 0xDD),
        (0xE0, 0xAA, 0xFF),
    ],
}
COLOR = st.tuples(*[st.integers(0, 255)] * 3)


def template(image, colors, degree):
    return recolor_template(image, colors=colors, degree=degree, protect=False)


@pytest.mark.parametrize("colors", TEMPLATES.values(), ids=TEMPLATES)
def test_main_colours_come_to_the_template(photo, colors):
    series = [palette_distance(template(photo, colors, d), colors) for d in (0, 0.4, 1)]
    assert series[1] < 0.85 * series[0]
    assert series[2] < 0.65 * series[0]


@pytest.mark.parametrize("colors", TEMPLATES.values(), ids=TEMPLATES)
def test_each_colour_of_the_template_is_met(portrait, colors):
    series = [palette_coverage(template(portrait, colors, d), colors) for d in (0, 0.4, 1)]
    assert series[1] < 0.95 * series[0]
    assert series[2] < 0.6 * series[0]


def test_each_degree_comes_closer(photo):
    colors = TEMPLATES["one blue"]
    series = [palette_distance(template(photo, colors, d / 5), colors) for d in range(6)]
    assert (np.diff(series) < -0.3).all()


def test_each_degree_changes_more(photo):
    colors = TEMPLATES["teal, sand, navy"]
    change = [difference(photo, template(photo, colors, d / 5)).mean() for d in range(6)]
    assert change[0] == 0
    assert (np.diff(change) > 0.5).all()


def test_pure_colours_are_not_harsh(photo):
    """Red and blue are as far apart as colours can be: every grain between them would show."""
    for colors in ([(0xDB, 0x0D, 0x0D), (0x0E, 0x0C, 0xBB)], [(0, 0xC8, 0), (0xD0, 0, 0xD0)]):
        result = template(photo, colors, 1)
        assert kept_detail(photo, result) > 0.9
        assert noise_gain(photo, result) < 3.3
        assert palette_distance(result, colors) < 0.7 * palette_distance(photo, colors)


def test_detail_stays(photo):
    for colors in TEMPLATES.values():
        assert kept_detail(photo, template(photo, colors, 0.4)) > 0.98
        assert kept_detail(photo, template(photo, colors, 1)) > 0.92


@settings(max_examples=40, deadline=None)
@given(st.lists(COLOR, min_size=1, max_size=7))
def test_darker_stays_darker(colors):
    """A row of greys keeps its order whatever the template, to within one step of 8 bits."""
    row = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    result = template(row, colors, 1) / 255
    linear = np.where(result <= 0.04045, result / 12.92, ((result + 0.055) / 1.055) ** 2.4)
    light = np.cbrt(linear @ [0.2126, 0.7152, 0.0722])[0]
    assert np.diff(light).min() > -0.02


def test_a_sky_near_a_colour_of_the_template_stays_near_it(dusk):
    """Shades of one blue may share the template's blue: yellow would be darker than it can be."""
    colors = [(0xF4, 0xD3, 0x5E), (0xEE, 0x96, 0x4B), (0xF9, 0x57, 0x38), (0x0D, 0x3B, 0x66)]
    sky = template(dusk, colors, 1)[20:120, 250:400]
    navy = np.full_like(sky, colors[3])
    assert difference(sky, navy).mean() < 8


def test_more_colours_than_the_picture_has():
    flat = np.full((70, 70, 3), (90, 120, 60), np.uint8)
    result = template(flat, TEMPLATES["seven violets"], 1)
    assert (result == result[0, 0]).all()
    assert result[0, 0, 2] > result[0, 0, 1]
