"""AUTO: pictures evenly spread over the hues."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailab_async.local.imaging.recolor import auto_angles, recolor_auto

from .measures import difference, gaps, hue, kept_detail, lightness, turned_by

COUNTS = st.integers(1, 8)


def auto(image, count, degree, *, protect=False):
    return list(recolor_auto(image, color_count=count, degree=degree, protect=protect))


@given(COUNTS, st.floats(0.4, 1))
def test_from_the_default_degree_on_hues_divide_the_circle(count, degree):
    assert np.allclose(gaps(auto_angles(count, degree)), 360 / count)


@given(COUNTS, st.floats(0.4, 1))
def test_no_hue_is_the_pictures_own(count, degree):
    assert abs(auto_angles(count, degree)).min() >= 180 / count - 1e-9


@given(COUNTS, st.floats(0, 1), st.floats(0, 1))
def test_more_degree_never_turns_less(count, one, other):
    low, high = sorted((one, other))
    assert (abs(auto_angles(count, low)) <= abs(auto_angles(count, high)) + 1e-9).all()
    assert not auto_angles(count, 0).any()


def test_four_pictures_at_the_default_degree():
    assert auto_angles(4, 0.4).tolist() == [45, 135, -135, -45]
    assert auto_angles(4, 0.2).tolist() == [22.5, 67.5, -67.5, -22.5]
    assert auto_angles(1, 0.4).tolist() == [180]


@pytest.mark.parametrize("degree", [0.1, 0.4, 1.0])
def test_hues_turn_as_the_formula_says(photo, degree):
    turned = [turned_by(photo, result) for result in auto(photo, 4, degree)]
    away = np.asarray(turned) - auto_angles(4, degree)
    assert abs((away + 180) % 360 - 180).max() < 2


@pytest.mark.parametrize("count", [1, 2, 8])
def test_any_number_of_pictures(coffee, count):
    results = auto(coffee, count, 0.4)
    assert len(results) == count
    assert all((r.shape, r.dtype) == (coffee.shape, coffee.dtype) for r in results)
    turned = [turned_by(coffee, result) for result in results]
    assert abs(gaps(turned) - 360 / count).max() < 4


def test_another_colour_space_sees_four_hues_too(coffee):
    """CIELAB's angles differ from OKLab's, but four hues are far apart in both."""
    hues = [hue(result) for result in auto(coffee, 4, 0.4)]
    assert gaps(hues)[0] > 60


def test_each_degree_changes_more_than_the_one_below(photo):
    series = [auto(photo, 2, degree) for degree in (0, 0.2, 0.4, 0.7, 1)]
    for results in zip(*series, strict=True):
        change = [difference(photo, result).mean() for result in results]
        assert change[0] == 0
        assert (np.diff(change) > 0.1).all()


@pytest.mark.parametrize("degree", [0.4, 1.0])
def test_lightness_and_detail_stay(photo, degree):
    for result in auto(photo, 4, degree):
        assert lightness(result) == pytest.approx(lightness(photo), rel=0.01)
        assert kept_detail(photo, result) > 0.99


@pytest.mark.parametrize("degree", [0.4, 1.0])
def test_a_grey_picture_is_tinted_to_as_many_hues(dusk, degree):
    grey = np.repeat(dusk[::2, ::2].mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
    results = auto(grey, 4, degree)
    assert gaps([hue(result) for result in results])[0] > 45
    for result in results:
        assert difference(grey, result).mean() > 3
        assert lightness(result) == pytest.approx(lightness(grey), rel=0.03)


def test_tint_grows_with_degree(coffee):
    grey = np.repeat(coffee[::2, ::2].mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
    change = [difference(grey, *auto(grey, 1, degree)).mean() for degree in (0, 0.3, 0.6, 1)]
    assert (np.diff(change) > 1).all()


def test_pictures_are_made_one_by_one(coffee):
    """The first is there before the second is begun: an iterator, not a list."""
    results = recolor_auto(coffee, color_count=8, degree=0.4)
    assert next(results).shape == coffee.shape
    results.close()
