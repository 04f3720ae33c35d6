"""Micro motion: what moves, what stands still, and that the loop closes."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ailab_async.local.imaging.faces import find_faces
from ailab_async.local.imaging.hair import find_hair
from ailab_async.local.imaging.motion import COUNT, NoTarget, animate, frames

# Drawn by hand on docs/pictures/dusk.jpg: the rocket, and the ground below the sky.
ROCKET, GROUND = np.s_[190:400, 318:328], np.s_[418:, :]
# And on docs/pictures/portrait.jpg: from eyebrow to chin, cheek to cheek; and all below the collar.
FACE_CENTRE, FACE_AXES = (222, 122), (30, 38)
BELOW, SHUTTLE = np.s_[260:, :], np.s_[:, 360:]


def film(image, *, sky=False, hair=False, count=COUNT):
    return np.stack(list(itertools.islice(frames(image, sky=sky, hair=hair), count)))


def clouds(height=240, width=320):
    """A blue sky with clouds over a dark, rough field, and a red tower before it."""
    chance = np.random.default_rng(4)
    fine = cv2.GaussianBlur(chance.standard_normal((height, width)), (0, 0), 3)
    white = np.clip(0.3 + fine / fine.std() / 3, 0, 1)[..., None]
    ramp = np.linspace(0, 1, height)[:, None, None]
    blue = np.array([70, 120, 200]) + ramp * np.array([60, 50, 30])
    image = blue + (np.array([235, 238, 242]) - blue) * white * 0.5
    field = int(0.7 * height)
    image[field:] = np.array([60, 80, 40]) + chance.normal(0, 25, (height - field, width, 1))
    image[height // 3 : field, 140:170] = (190, 30, 20)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def sky_film(dusk):
    return film(dusk, sky=True)


@pytest.fixture(scope="module")
def hair_film(portrait):
    return film(portrait, hair=True)


@pytest.fixture(scope="module")
def cloud_film():
    return film(clouds(), sky=True)


@pytest.fixture(scope="module")
def face():
    mask = np.zeros((512, 512), np.uint8)
    cv2.ellipse(mask, FACE_CENTRE, FACE_AXES, 0, 0, 360, 1, -1)
    return mask > 0


def step(one, other):
    return np.abs(one.astype(np.int16) - other).mean()


def test_a_film_has_a_hundred_pictures_of_the_photographs_size(sky_film, dusk):
    assert sky_film.shape == (COUNT, *dusk.shape)
    assert sky_film.dtype == np.uint8
    assert COUNT == 100


def test_ground_and_rocket_stand_still_while_the_sky_moves(sky_film, dusk):
    for part in (GROUND, ROCKET):
        assert (sky_film[:, *part] == dusk[part]).all()
    moved = (sky_film != dusk).any(axis=(0, 3))
    assert 0.4 < moved.mean() < 0.8


def test_a_film_of_the_sky_begins_with_the_photograph(sky_film, dusk, cloud_film):
    assert (sky_film[0] == dusk).all()
    assert (cloud_film[0] == clouds()).all()


@pytest.mark.parametrize("which", ["sky_film", "hair_film", "cloud_film"])
def test_the_last_picture_leads_to_the_first_as_any_to_the_next(which, request):
    pictures = request.getfixturevalue(which)
    steps = [step(one, other) for one, other in itertools.pairwise(pictures)]
    assert 0 < step(pictures[-1], pictures[0]) <= 1.02 * max(steps)
    # No other step is a jump either; below a third of a grey level all are rounding.
    assert max(steps) < max(3 * np.median(steps), 0.3)


def test_clouds_drift_to_the_right_and_faster_overhead(cloud_film):
    beside_the_tower = cloud_film[:16, :, 176:]
    window = cv2.createHanningWindow((144, 40), cv2.CV_32F)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in beside_the_tower]

    def way(rows):
        before, after = (picture[rows].astype(np.float32) for picture in (grey[0], grey[15]))
        return cv2.phaseCorrelate(before, after, window)[0]

    (high, up), (low, down) = way(slice(0, 40)), way(slice(120, 160))
    # 3 % of 320 pixels at the top in a whole loop, of which this is 15 %.
    assert 1.1 < high < 1.6
    assert 0.3 < low < 0.8 * high
    assert max(abs(up), abs(down)) < 0.2


def test_contrast_does_not_pulse_where_two_copies_are_mixed(cloud_film):
    sky = cloud_film[:, :70].astype(np.float32)
    contrast = [cv2.GaussianBlur(p, (0, 0), 6).__rsub__(p).std() for p in sky]
    assert np.ptp(contrast) < 0.12 * contrast[0]


def test_nothing_that_stands_before_the_sky_smears_into_it(cloud_film):
    for beside in (np.s_[90:150, 120:138], np.s_[90:150, 172:190]):
        redness = cloud_film[:, *beside, 0].astype(int) - cloud_film[:, *beside, 2]
        assert redness.max() < redness[0].max() + 20
    assert (cloud_film[:, 90:160, 143:167] == clouds()[90:160, 143:167]).all()


def test_hair_moves_and_the_face_does_not(hair_film, portrait, face):
    moved = (hair_film != portrait).any(axis=(0, 3))
    assert not moved[face].any()
    for part in (BELOW, SHUTTLE):
        assert not moved[part].any()
    assert 0.02 < moved.mean() < 0.08
    assert moved[20:60, 190:270].mean() > 0.6


def test_hair_sways_both_ways(hair_film):
    """At the head's right outline, against the light wall, hair comes and goes."""
    wall = np.s_[60:110, 285:305]
    light = hair_film[:, *wall].mean(axis=(1, 2, 3))
    middle = np.median(light)
    assert light.max() - middle > 1
    assert middle - light.min() > 1


def test_with_both_asked_for_one_is_enough(dusk, sky_film, portrait, hair_film):
    assert (film(dusk, sky=True, hair=True, count=9) == sky_film[:9]).all()
    assert (film(portrait, sky=True, hair=True, count=9) == hair_film[:9]).all()


def test_sky_and_hair_move_in_one_film(portrait):
    outdoors = portrait.copy()
    outdoors[:] = np.where(_head_and_shoulders()[..., None], portrait, _blue(512, 512))
    moved = (film(outdoors, sky=True, hair=True, count=20) != outdoors).any(axis=(0, 3))
    assert moved[:60, :120].mean() > 0.9
    assert moved[30:60, 190:260].mean() > 0.5


def _head_and_shoulders():
    body = np.zeros((512, 512), np.uint8)
    cv2.ellipse(body, (225, 95), (75, 85), 0, 0, 360, 1, -1)
    cv2.ellipse(body, (210, 400), (200, 250), 0, 0, 360, 1, -1)
    return body > 0


def _blue(height, width):
    ramp = np.linspace(0, 1, height)[:, None, None]
    sky = np.array([70, 120, 200]) + ramp * np.array([60, 50, 30])
    noise = np.random.default_rng(1).normal(0, 2, (height, width, 1))
    return np.clip(sky + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "sky", "hair", "missing"),
    [
        ("coffee", True, False, "no sky was"),
        ("coffee", False, True, "no face with hair was"),
        ("coffee", True, True, "no sky and no face with hair was"),
        ("portrait", True, False, "no sky was"),
        ("dusk", False, True, "no face with hair was"),
    ],
)
def test_where_there_is_nothing_to_move_it_says_so_at_once(picture, sky, hair, missing, request):
    image = request.getfixturevalue(picture)
    with pytest.raises(NoTarget, match=missing):
        frames(image, sky=sky, hair=hair)
    with pytest.raises(NoTarget, match=missing):
        animate(image, sky=sky, hair=hair)


@pytest.mark.parametrize("kept", ["nothing", "a lock"])
def test_a_face_with_next_to_no_hair_has_nothing_to_move(portrait, kept):
    (head,) = find_hair(portrait)
    shaved = cv2.dilate(head.hair, np.ones((9, 9), np.uint8)) > 0
    shaved[:, : 0 if kept == "nothing" else 190] = False
    bald = np.where(shaved[..., None], portrait[126, 250], portrait)
    bald = np.where(shaved[..., None], cv2.GaussianBlur(bald, (0, 0), 4), portrait)
    assert find_faces(bald)
    with pytest.raises(NoTarget, match="no face with hair"):
        frames(bald, sky=False, hair=True)


def test_no_target_is_a_value_error():
    assert issubclass(NoTarget, ValueError)


def test_something_must_be_asked_for(dusk):
    with pytest.raises(ValueError, match="nothing is asked to move"):
        frames(dusk, sky=False, hair=False)


@pytest.mark.parametrize(
    "name",
    ["brick", "chelsea", "grass", "gravel", "page", "immunohistochemistry"],
)
def test_no_sky_in_pictures_without_one(name):
    image = getattr(skimage.data, name)()
    image = np.dstack([image] * 3) if image.ndim == 2 else image[..., :3]
    with pytest.raises(NoTarget):
        frames(np.ascontiguousarray(image), sky=True, hair=False)


@pytest.mark.parametrize("color", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (60, 120, 230)])
def test_one_flat_colour_is_no_sky(color):
    with pytest.raises(NoTarget):
        frames(np.full((65, 90, 3), color, np.uint8), sky=True, hair=True)


@pytest.mark.parametrize("size", [(33, 33), (33, 1999), (1999, 33), (35, 47), (241, 333)])
def test_odd_and_extreme_sizes(size):
    image = cv2.resize(clouds(), size[::-1], interpolation=cv2.INTER_AREA)
    try:
        pictures = frames(image, sky=True, hair=True)
    except NoTarget:
        assert min(size) < 60
    else:
        assert {picture.shape for picture in pictures} == {(*size, 3)}


@settings(max_examples=20, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(33, 60), st.integers(33, 60), st.just(3))))
def test_no_picture_is_too_strange(image):
    try:
        first = next(frames(image, sky=True, hair=True))
    except NoTarget:
        return
    assert first.shape == image.shape


def test_same_picture_same_film_in_any_thread(cloud_film):
    with ThreadPoolExecutor(2) as pool:
        films = pool.map(lambda _: film(clouds(), sky=True).tobytes(), range(2))
        assert {cloud_film.tobytes()} == set(films)


def test_the_photograph_is_not_touched_and_may_be_a_view(dusk):
    before = dusk.copy()
    view = np.repeat(dusk, 2, axis=1)[:, ::-2]
    straight = np.ascontiguousarray(view)
    one, other = (film(image, sky=True, count=3) for image in (view, straight))
    assert (one == other).all()
    assert (dusk == before).all()
