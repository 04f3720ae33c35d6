"""What holds in every mode, for every picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ailab_async.local.imaging import lut
from ailab_async.local.imaging.portrait import find_portrait
from ailab_async.local.imaging.recolor import recolor_auto, recolor_reference, recolor_template

from .measures import difference

RED_AND_NAVY = [(200, 30, 40), (10, 20, 80)]


def every_mode(image, degree, goal=None):
    goal = np.full((8, 8, 3), (200, 120, 40), np.uint8) if goal is None else goal
    yield from recolor_auto(image, color_count=2, degree=degree)
    yield recolor_template(image, colors=RED_AND_NAVY, degree=degree)
    yield recolor_reference(image, goal, degree=degree)


def test_degree_0_changes_nothing(portrait, coffee):
    for result in every_mode(portrait, 0, coffee):
        assert (result == portrait).all()
        assert result is not portrait


def test_a_very_small_degree_changes_next_to_nothing(photo, coffee):
    for result in every_mode(photo, 0.001, coffee):
        change = difference(photo, result)
        assert change.max() < 3
        assert change.mean() < 0.1


def test_size_and_type_stay_and_the_input_is_not_touched(portrait, coffee):
    before = portrait.copy()
    for result in every_mode(portrait, 0.7, coffee):
        assert result.shape == portrait.shape
        assert result.dtype == np.uint8
        assert not np.shares_memory(result, portrait)
    assert (portrait == before).all()


def test_same_picture_same_bytes(portrait, coffee):
    """Also when another picture came between: no state is carried over."""
    first = [result.tobytes() for result in every_mode(portrait, 0.6, coffee)]
    recolor_reference(coffee, portrait, degree=1)
    assert [result.tobytes() for result in every_mode(portrait, 0.6, coffee)] == first


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_strips_give_the_same_as_one_piece(portrait, rows):
    table = lut.build(lambda lab: lab * np.float32([0.8, -1, 1]))
    mask = find_portrait(portrait)
    whole = lut.apply(portrait, table, mask, strip_rows=portrait.shape[0])
    assert (lut.apply(portrait, table, mask, strip_rows=rows) == whole).all()


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_strips_do_not_show_in_the_texture(coffee, rows):
    """What a blur takes from the rows above and below is the same wherever a strip ends."""
    table = lut.build(lambda lab: lab * np.float32([1, -2, -2]))
    part = coffee[100:210]
    whole = lut.apply(part, table, texture=0.7, strip_rows=len(part))
    assert (lut.apply(part, table, texture=0.7, strip_rows=rows) == whole).all()


def test_texture_is_added_as_often_as_asked(coffee):
    """Grain on grey through a table that blows it up: kept out, it stays what it was."""
    grain = np.random.default_rng(5).normal(0, 2, (90, 90, 1))
    image = np.clip(128 + grain, 0, 255).round().astype(np.uint8).repeat(3, axis=2)
    table = lut.build(lambda lab: (lab - [0.6, 0, 0]) * [3, 1, 1] + [0.6, 0, 0])
    blown = lut.apply(image, table)[..., 0].std()
    assert blown > 2.5 * image.std()
    for texture in (0, 0.5, 1):
        kept = lut.apply(image, table, texture=texture)[..., 0].std()
        assert kept == pytest.approx(texture * image.std(), abs=0.45 * image.std())


def test_a_map_that_changes_nothing_is_off_by_rounding_alone(photo):
    result = lut.apply(photo, lut.build(lambda lab: lab))
    assert abs(result.astype(int) - photo).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 97), (83, 1), (65, 65), (127, 65), (3, 700)])
@pytest.mark.parametrize("degree", [0.4, 1.0])
def test_odd_sizes(coffee, size, degree):
    image = np.ascontiguousarray(np.resize(coffee, (*size, 3)))
    assert [result.shape for result in every_mode(image, degree)] == [(*size, 3)] * 4


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (250, 10, 10)])
def test_one_colour_stays_one_colour(color):
    flat = np.full((65, 70, 3), color, np.uint8)
    for result in every_mode(flat, 1):
        assert (result == result[0, 0]).all()


@pytest.mark.parametrize("level", [0, 255])
def test_auto_leaves_black_black_and_white_white(level):
    flat = np.full((65, 70, 3), level, np.uint8)
    for result in recolor_auto(flat, color_count=3, degree=1):
        assert abs(result.astype(int) - level).max() <= 1


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.floats(0, 1),
)
def test_no_picture_is_too_strange(image, degree):
    for result in every_mode(image, degree, image[::-1]):
        assert result.shape == image.shape


def test_a_view_of_a_larger_array_will_do(coffee):
    view = coffee[10:200:2, ::-3]
    straight = np.ascontiguousarray(view)
    for one, other in zip(every_mode(view, 0.5), every_mode(straight, 0.5), strict=True):
        assert (one == other).all()


def test_smooth_gradients_stay_smooth(dusk, coffee):
    """No bands in a sky: neighbours in a ramp of the sky's colours stay neighbours."""
    ramp = np.linspace([20, 30, 60], [90, 110, 160], 512)[None].repeat(8, axis=0)
    ramp = ramp.round().astype(np.uint8)
    image = np.ascontiguousarray(np.concatenate([np.resize(ramp, (60, 512, 3)), dusk[:300, :512]]))
    for result in every_mode(image, 0.4, coffee):
        steps = abs(np.diff(result[:8].astype(int), axis=1))
        assert steps.max() <= 8
