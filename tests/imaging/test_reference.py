"""REF_PIC: the reference's colours come over."""

import numpy as np
import pytest

from ailab_async.local import jobs
from ailab_async.local.imaging import codec
from ailab_async.local.imaging.recolor import REFERENCE_SIDE, recolor_reference

from .conftest import PICTURES
from .measures import kept_detail, noise_gain, wasserstein


def reference(image, goal, degree):
    return recolor_reference(image, goal, degree=degree, protect=False)


PAIRS = [("portrait", "coffee"), ("coffee", "dusk"), ("dusk", "coffee")]


@pytest.fixture(params=PAIRS, ids=["-".join(pair) for pair in PAIRS])
def pair(request):
    return [request.getfixturevalue(name) for name in request.param]


def test_each_degree_comes_closer_to_the_reference(pair):
    image, goal = pair
    series = [wasserstein(reference(image, goal, d / 5), goal) for d in range(6)]
    assert (np.diff(series) < 0).all()
    assert series[2] < 0.75 * series[0]
    assert series[5] < 0.2 * series[0]


def test_detail_stays(pair):
    image, goal = pair
    assert kept_detail(image, reference(image, goal, 0.4)) > 0.97
    # A night sky that becomes a bright table is stretched most where it is plainest.
    assert kept_detail(image, reference(image, goal, 1)) > 0.92


def test_grain_stays_near_what_contrast_allows(pair):
    image, goal = pair
    assert noise_gain(image, reference(image, goal, 0.4)) < 1.4
    assert noise_gain(image, reference(image, goal, 1)) < 2


def test_no_halo_stands_round_what_is_dark_before_a_sky(dusk, coffee):
    """Beside an edge the sky has the colour that it has further off, though the edge is steep."""
    image = np.ascontiguousarray(dusk.copy())
    image[100:300, 200:600] = (60, 70, 110)
    image[100:300, 400:405] = (15, 12, 10)
    result = reference(image, coffee, 1).astype(int)
    beside, further = result[120:280, [397, 398, 407, 408]], result[120:280, 340:360]
    assert abs(beside - further.mean(axis=(0, 1))).max() < 8


def test_a_picture_is_its_own_reference(coffee):
    result = reference(coffee, coffee, 1)
    assert abs(result.astype(int) - coffee).mean() < 3


def test_the_size_of_the_reference_does_not_matter(coffee, dusk):
    small = np.ascontiguousarray(dusk[::2, ::2])
    one, other = reference(coffee, dusk, 1), reference(coffee, small, 1)
    assert abs(one.astype(int) - other).mean() < 4


def test_a_worker_decodes_of_a_reference_what_is_read_and_no_less():
    picture, goal = ((PICTURES / f"{name}.jpg").read_bytes() for name in ("coffee", "portrait"))
    job = {"operation": "recolor", "mode": "REF_PIC", "degree": 1, "format": "PNG"}
    ((made, _),) = jobs.do(job, (picture, goal))
    image, smaller = codec.decode(picture), codec.decode(goal, at_least=REFERENCE_SIDE)
    assert max(smaller.shape) < max(codec.decode(goal).shape)
    assert np.array_equal(codec.decode(made), recolor_reference(image, smaller, degree=1))


@pytest.mark.parametrize("level", [80, 128, 200])
def test_a_flat_reference_does_not_flatten_the_picture(coffee, level):
    flat = np.full((70, 70, 3), level, np.uint8)
    result = reference(coffee, flat, 1)
    assert kept_detail(coffee, result) > 0.9
    assert result.std() > 0.2 * coffee.std()
    assert result.mean() == pytest.approx(level, abs=12)
