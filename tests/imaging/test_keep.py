"""A mask of the caller's own: what it covers keeps its colours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailab_async.local.imaging import lut
from ailab_async.local.imaging.keep import KeepMask
from ailab_async.local.imaging.recolor import recolor_auto, recolor_reference, recolor_template

TEAL_AND_SAND = [(0x05, 0x6A, 0x6B), (0xF4, 0xD3, 0x5E)]
# The cup and its saucer, roughly.
CUP = np.s_[40:340, 60:430]

MODES = {
    "auto": lambda image, **keep: next(recolor_auto(image, color_count=1, degree=1, **keep)),
    "template": lambda image, **keep: recolor_template(
        image, colors=TEAL_AND_SAND, degree=1, **keep
    ),
    "reference": lambda image, **keep: recolor_reference(image, image[::-1, :90], degree=1, **keep),
}


@pytest.fixture(params=MODES.values(), ids=MODES)
def recolor(request):
    return request.param


@pytest.fixture
def cup(coffee):
    mask = np.zeros(coffee.shape[:2], bool)
    mask[CUP] = True
    return mask


def test_what_is_covered_stays_as_it_is_and_the_rest_does_not(recolor, coffee, cup):
    result = recolor(coffee, protect_mask=cup)
    assert (result[cup] == coffee[cup]).all()
    assert (result[~cup] != coffee[~cup]).any(axis=1).mean() > 0.9


@pytest.mark.parametrize(
    "kind", [lambda m: m.astype(np.uint8) * 255, np.float32, np.float64], ids=["bytes", "32", "64"]
)
def test_every_type_of_mask_says_the_same(recolor, coffee, cup, kind):
    same = recolor(coffee, protect_mask=cup)
    assert (recolor(coffee, protect_mask=kind(cup)) == same).all()


def test_half_a_mask_mixes_half_and_half(coffee):
    table = lut.build(lambda lab: lab * np.float32([0.7, -1, -1]))
    changed = lut.apply(coffee, table).astype(int)
    half = KeepMask.checked(np.full(coffee.shape[:2], 0.5), *coffee.shape[:2])
    mixed = lut.apply(coffee, table, half)
    assert abs(mixed - (changed + coffee) / 2).max() <= 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.sampled_from([np.uint8, np.float32]))
def test_strips_do_not_show(rows, kind):
    chance = np.random.default_rng(3)
    image = chance.integers(0, 256, (41, 30, 3), np.uint8)
    mask = chance.integers(0, 256, (41, 30), np.uint8)
    mask = mask if kind is np.uint8 else (mask / 255).astype(kind)
    mask[9:20] = 0
    keep = KeepMask.checked(mask, 41, 30)
    table = lut.build(lambda lab: lab * np.float32([0.7, -1, -1]))
    whole = lut.apply(image, table, keep, texture=0.8, strip_rows=41)
    assert (lut.apply(image, table, keep, texture=0.8, strip_rows=rows) == whole).all()


def test_nobody_is_looked_for_where_there_is_a_mask(recolor, portrait):
    nothing = np.zeros(portrait.shape[:2], bool)
    assert (recolor(portrait, protect_mask=nothing) == recolor(portrait, protect=False)).all()
    assert (recolor(portrait, protect_mask=nothing) != recolor(portrait)).any()


def test_what_is_covered_does_not_count(recolor, coffee):
    """A painted half of the picture changes nothing in how the other half comes out."""
    mask = np.zeros(coffee.shape[:2], np.uint8)
    mask[:, 300:] = 255
    painted = coffee.copy()
    painted[:, 300:] = (20, 200, 40)
    one, other = (recolor(image, protect_mask=mask)[:, :290] for image in (coffee, painted))
    unread = recolor(painted, protect=False)[:, :290]
    # Where the halves meet, pixels of the thumbnail hold some of both.
    change = abs(one.astype(int) - other).mean()
    assert change < 2
    assert change <= abs(one.astype(int) - unread).mean()


def test_a_mask_over_everything_leaves_the_picture(recolor, coffee):
    everything = np.ones(coffee.shape[:2], bool)
    assert (recolor(coffee, protect_mask=everything) == coffee).all()


def test_the_mask_is_not_touched(recolor, coffee, cup):
    cup.flags.writeable = False
    before = cup.copy()
    recolor(coffee, protect_mask=cup)
    recolor(coffee[:, ::-1], protect_mask=cup[:, ::-1])
    assert (cup == before).all()


@pytest.mark.parametrize("degree", [0, 0.4])
@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((600, 400), bool), "400 x 600, not 600 x 400"),
        (np.zeros((400, 600, 3), bool), "not 400 x 600 x 3"),
        (np.True_, "not a single value"),
        (np.zeros((400, 600), np.int64), "not of int64"),
        (np.zeros((400, 600), np.float16), "not of float16"),
        (np.full((400, 600), 255.0), r"0\.\.1, not in 255\.\.255"),
        (np.full((400, 600), -0.1, np.float32), r"not in -0\.1"),
        (np.full((400, 600), np.nan), r"not in nan"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_by_name(coffee, mask, said, degree):
    calls = [
        lambda: recolor_auto(coffee, color_count=2, degree=degree, protect_mask=mask),
        lambda: recolor_template(coffee, colors=TEAL_AND_SAND, degree=degree, protect_mask=mask),
        lambda: recolor_reference(coffee, coffee, degree=degree, protect_mask=mask),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"^protect_mask: .*{said}"):
            call()
