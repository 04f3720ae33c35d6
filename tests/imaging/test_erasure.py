"""Erasing: what holds for every picture and mask."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from patchmatch import patch_match

from ailab_async.local.imaging import seam
from ailab_async.local.imaging.completion import NothingToCopyFrom
from ailab_async.local.imaging.erasure import erase, mask_from


def disc(shape, centre, radius):
    mask = np.zeros(shape[:2], np.uint8)
    cv2.circle(mask, centre, radius, 1, -1)
    return mask > 0


@pytest.fixture(scope="module")
def spoon(coffee):
    """A mask on the table right of the cup."""
    return disc(coffee.shape, (520, 300), 30)


def test_outside_of_the_mask_not_one_bit_changes(coffee, spoon):
    before = coffee.copy()
    result = erase(coffee, spoon)
    assert (result[~spoon] == coffee[~spoon]).all()
    assert (result[spoon] != coffee[spoon]).any()
    assert (coffee == before).all()
    assert result.dtype == np.uint8
    assert not np.shares_memory(result, coffee)


def test_what_is_under_the_mask_does_not_count(coffee, spoon):
    """With room round the object, nothing of it is left, whatever it was."""
    room = cv2.dilate(spoon.astype(np.uint8), np.ones((41, 41))) > 0
    painted = coffee.copy()
    painted[spoon] = (0, 255, 0)
    assert (erase(painted, room) == erase(coffee, room)).all()


def test_same_picture_same_bytes(coffee, dusk, spoon):
    """Also when another picture came between: no state is carried over."""
    first = erase(coffee, spoon)
    erase(dusk, disc(dusk.shape, (100, 100), 20))
    patch_match.set_random_seed(99)
    assert (erase(coffee, spoon) == first).all()


def test_an_empty_mask_changes_nothing(coffee):
    result = erase(coffee, np.zeros(coffee.shape[:2], bool))
    assert (result == coffee).all()
    assert not np.shares_memory(result, coffee)


@pytest.mark.parametrize("share", [0.96, 1.0])
def test_a_mask_over_nearly_everything_is_refused(share):
    mask = np.zeros((100, 100), bool)
    mask[: round(100 * share)] = True
    with pytest.raises(NothingToCopyFrom, match="more than 95%"):
        erase(np.zeros((100, 100, 3), np.uint8), mask)


def test_a_mask_over_the_most_that_is_allowed_is_filled():
    image = np.random.default_rng(1).integers(0, 255, (100, 100, 3)).astype(np.uint8)
    mask = np.zeros((100, 100), bool)
    mask[:95] = True
    assert (erase(image, mask)[95:] == image[95:]).all()


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(ValueError, match=r"mask is 8 x 9, the picture 10 x 12.*mask_from"):
        erase(np.zeros((12, 10, 3), np.uint8), np.zeros((9, 8), bool))


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (90, 140, 30)])
def test_one_colour_stays_one_colour(color):
    flat = np.full((90, 120, 3), color, np.uint8)
    mask = disc(flat.shape, (60, 40), 20)
    spoilt = flat.copy()
    spoilt[mask] = 255 - np.array(color)
    assert abs(erase(spoilt, mask).astype(int) - flat).max() <= 1


def test_a_smooth_slope_goes_on_without_a_seam():
    slope = np.linspace([40, 70, 120], [160, 180, 230], 240)[None].repeat(160, axis=0)
    image = slope.round().astype(np.uint8)
    mask = disc(image.shape, (120, 80), 30)
    result = erase(image, mask).astype(int)
    assert abs(np.diff(result, axis=1)).max() <= 8
    assert abs(result - image).max() <= 12


def test_an_object_is_gone_although_the_mask_is_drawn_tight(coffee):
    """Its soft edge is not spread over the hole."""
    place = disc(coffee.shape, (520, 300), 30)
    alpha = cv2.GaussianBlur(place.astype(np.float32), (0, 0), 1.0)[..., None]
    pasted = (coffee + alpha * ([0, 255, 0] - coffee.astype(np.float32))).astype(np.uint8)
    result = erase(pasted, place).astype(int)
    assert (result[~place] == pasted[~place]).all()
    inner = cv2.erode(place.astype(np.uint8), np.ones((9, 9))) > 0
    green = result[inner, 1] - result[inner, 0]
    assert green.mean() < (coffee[place, 1].astype(int) - coffee[place, 0]).mean() + 10


@pytest.mark.parametrize(
    "size", [(1, 2), (2, 2), (1, 64), (64, 1), (3, 3), (7, 9), (64, 64), (5, 300)]
)
@pytest.mark.parametrize("kind", ["one", "half", "frame", "dots"])
def test_odd_sizes_and_masks(coffee, size, kind):
    image = np.ascontiguousarray(np.resize(coffee, (*size, 3)))
    mask = np.zeros(size, bool)
    if kind == "one":
        mask[-1, -1] = True
    elif kind == "half":
        mask.reshape(-1)[: mask.size // 2] = True
    elif kind == "frame":
        mask[0] = mask[-1] = mask[:, 0] = mask[:, -1] = True
    else:
        mask[::2, ::2] = True
    if mask.mean() > 0.95:
        with pytest.raises(NothingToCopyFrom):
            erase(image, mask)
    else:
        result = erase(image, mask)
        assert (result[~mask] == image[~mask]).all()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 48), st.integers(1, 48))
def test_no_picture_and_no_mask_is_too_strange(data, height, width):
    image = data.draw(arrays(np.uint8, (height, width, 3)))
    mask = data.draw(arrays(bool, (height, width)))
    try:
        result = erase(image, mask)
    except NothingToCopyFrom:
        assert mask.mean() > 0.95
    else:
        assert (result[~mask] == image[~mask]).all()


def test_copies_take_the_brightness_of_the_place_they_come_to():
    """Copied is what differs from pixel to pixel, not the level."""
    image = np.full((60, 120, 3), 100, np.uint8)
    image[:, :50] = 140
    image[::2, ::2] += 20
    hole = np.zeros((60, 120), bool)
    hole[20:40, 80:100] = True
    rows, columns = np.indices(hole.shape)
    result = seam.blend(image, hole, rows, np.where(hole, columns - 70, columns))
    assert abs(result - image).max() < 8


def hairlines(shape):
    mask = np.zeros(shape[:2], np.uint8)
    for x in range(20, shape[1], 60):
        cv2.line(mask, (x, 0), (x + 15, shape[0]), 1, 1)
    return mask > 0


def test_hairlines_are_mended(coffee):
    """Black scratches of one pixel: what comes out is far closer to what was there."""
    mask = hairlines(coffee.shape)
    scratched = coffee.copy()
    scratched[mask] = 0
    error = abs(erase(scratched, mask)[mask].astype(int) - coffee[mask]).mean()
    assert error < 12
    assert error < 0.2 * abs(scratched[mask].astype(int) - coffee[mask]).mean()


def test_many_small_holes_and_one_at_each_border(coffee):
    mask = np.zeros(coffee.shape[:2], bool)
    for y in (0, 190, 394):
        for x in (0, 290, 594):
            mask[y : y + 6, x : x + 6] = True
    spoilt = coffee.copy()
    spoilt[mask] = (0, 255, 0)
    result = erase(spoilt, mask)
    assert (result[~mask] == coffee[~mask]).all()
    assert not (result == (0, 255, 0)).all(axis=-1).any()


def test_a_large_picture_is_worked_on_at_a_bounded_size(coffee, spoon):
    large = cv2.resize(coffee, (2400, 1600), interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(spoon.astype(np.uint8), (2400, 1600)) > 0
    result = erase(large, mask)
    assert (result[~mask] == large[~mask]).all()
    border = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    steep = cv2.morphologyEx(result, cv2.MORPH_GRADIENT, np.ones((3, 3))).max(axis=2)
    before = cv2.morphologyEx(large, cv2.MORPH_GRADIENT, np.ones((3, 3))).max(axis=2)
    assert steep[border].mean() < 1.5 * before[border].mean()


def test_half_of_a_large_picture(coffee):
    large = cv2.resize(coffee, (1200, 800), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(large.shape[:2], bool)
    mask[:, 600:] = True
    result = erase(large, mask)
    assert (result[~mask] == large[~mask]).all()
    assert result[mask].std() > 5


def test_a_view_of_a_larger_array_will_do(coffee, spoon):
    view, mask = coffee[::-1, ::-1], spoon[::-1, ::-1]
    straight = erase(np.ascontiguousarray(view), np.ascontiguousarray(mask))
    assert (erase(view, mask) == straight).all()


def test_a_mask_is_what_is_brighter_than_half():
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    assert mask_from(grey, (1, 4)).tolist() == [[False, False, True, True]]
    assert mask_from(np.repeat(grey[..., None], 3, axis=2), (1, 4)).tolist() == [
        [False, False, True, True]
    ]
    # Luma, not the mean: green is bright, blue is dark.
    colors = np.array([[[0, 255, 0], [0, 0, 255], [255, 0, 0]]], np.uint8)
    assert mask_from(colors, (1, 3)).tolist() == [[True, False, False]]


def test_a_mask_of_another_size_is_stretched_without_smoothing():
    grey = np.array([[255, 0], [0, 255]], np.uint8)
    mask = mask_from(grey, (4, 6))
    assert mask.tolist() == np.kron([[1, 0], [0, 1]], np.ones((2, 3), bool)).astype(bool).tolist()
    assert mask_from(mask.astype(np.uint8) * 255, (2, 2)).tolist() == [[True, False], [False, True]]
