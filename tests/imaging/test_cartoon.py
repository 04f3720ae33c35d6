"""Cartoons: sizes, nine styles that nobody confuses, ink where there are edges, pleasant faces."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ailab_async.local.imaging.cartoon import SHORT_SIDE, cartoon
from ailab_async.local.imaging.scene import Scene
from ailab_async.local.imaging.styles import STYLES

from .measures import difference

PLAINEST = 2  # two-dimensional: ink and flat colours only
# In parts of docs/pictures/portrait.jpg: both eyes with their lashes, and both cheeks.
EYES = [(94, 193, 14, 22), (97, 237, 14, 22)]
CHEEKS = [(122, 190, 10, 14), (124, 246, 10, 12)]


def shrunk(image, side=160):
    scale = side / max(image.shape)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def edges(image):
    """How strong they are, whichever side is the lighter: neon turns that round."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.sqrt(np.hypot(across, down)).ravel()


@pytest.fixture(scope="module")
def scene(portrait):
    return Scene.of(cv2.resize(portrait, (SHORT_SIDE, SHORT_SIDE), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def drawn(scene):
    """The portrait in all nine styles."""
    return [style(scene) for style in STYLES]


@pytest.mark.parametrize(
    ("size", "result"),
    [
        ((300, 300), (1536, 1536)),
        ((256, 300), (1536, 1800)),
        ((400, 256), (2304, 1536)),
        ((256, 1200), (1536, 2304)),
        ((1201, 257), (2304, 1536)),
        ((1081, 1921), (1536, 2304)),
        ((1600, 1601), (1536, 1537)),
    ],
)
def test_the_short_side_is_1536_and_the_ratio_at_most_3_to_2(coffee, size, result):
    image = cv2.resize(coffee, size[::-1])
    out = cartoon(image, PLAINEST)
    assert out.shape == (*result, 3)
    assert out.dtype == np.uint8


@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_too_wide_or_too_tall_is_cut_around_its_middle(axis):
    """A red end, a blue end, and a green middle: only green is left, and nothing else is cut."""
    image = np.full((600, 600, 3), (30, 160, 60), np.uint8)
    image = np.repeat(image, 2, axis=axis)
    first, last = [np.s_[:300], np.s_[:, :300]][axis], [np.s_[-300:], np.s_[:, -300:]][axis]
    image[first], image[last] = (200, 30, 30), (30, 40, 200)
    out = cartoon(image, PLAINEST).astype(int)
    middle = out.mean(axis=1 - axis)
    # Of 900 kept rows 150 are red, 600 green, 150 blue.
    is_green = middle.argmax(axis=1) == 1
    assert is_green.mean() == pytest.approx(2 / 3, abs=0.01)
    assert abs(np.flatnonzero(is_green).mean() - len(middle) / 2) < 4


@pytest.mark.parametrize("style", [-1, 9])
def test_there_are_nine_styles(coffee, style):
    assert len(STYLES) == 9
    with pytest.raises(ValueError, match=rf"style must be 0\.\.8, not {style}"):
        cartoon(coffee, style)


def test_no_two_styles_can_be_confused(drawn):
    """The mean CIEDE2000 of each pair is many times what an eye can see."""
    small = [shrunk(picture) for picture in drawn]
    apart = {
        (one, other): difference(small[one], small[other]).mean()
        for one, other in itertools.combinations(range(9), 2)
    }
    assert min(apart.values()) > 6, min(apart, key=apart.get)
    assert np.median(list(apart.values())) > 15


def test_every_style_is_far_from_the_photograph_yet_shows_it(drawn, portrait):
    for number, picture in enumerate(drawn):
        small, before = shrunk(picture, 256), shrunk(portrait, 256)
        assert difference(before, small).mean() > 5, number
        assert np.corrcoef(edges(before), edges(small))[0, 1] > 0.5, number


def test_faces_stay_faces(drawn):
    """Eyes are darker than cheeks in every style, and no cheek is full of ink."""
    scale = SHORT_SIDE / 512

    def light(picture, box):
        top, left, height, width = (round(part * scale) for part in box)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        return grey[top : top + height, left : left + width].astype(int)

    for number, picture in enumerate(drawn):
        for eye, cheek in zip(EYES, CHEEKS, strict=True):
            assert np.percentile(light(picture, eye), 20) < light(picture, cheek).mean() - 15, (
                number
            )
            assert (light(picture, cheek) < 30).mean() < 0.12, number


def test_faces_get_fewer_lines(scene):
    assert scene.faces.max() > 0.9
    inside = scene.enlarged(scene.faces) > 0.5
    unseen = dataclasses.replace(scene, faces=np.zeros_like(scene.faces))
    how = {"width": 0.9, "threshold": 0.007, "softness": 0.005, "least": 40}
    few, many = (one.lines(**how) for one in (scene, unseen))
    assert few[inside].mean() < 0.8 * many[inside].mean()
    assert (few <= many + 1e-6).all()


def test_ink_follows_edges_and_leaves_flat_parts_alone():
    image = np.full((400, 400, 3), 225, np.uint8)
    cv2.circle(image, (200, 200), 90, (70, 110, 200), -1, cv2.LINE_AA)
    grey = cv2.cvtColor(cartoon(image, PLAINEST), cv2.COLOR_RGB2GRAY).astype(int)
    y, x = np.mgrid[:1536, :1536]
    radius = np.hypot(x - 768, y - 768) / (1536 / 400)
    line = grey[(radius > 84) & (radius < 90)]
    assert np.percentile(line, 10) < grey[radius < 70].min() - 20
    for part in (grey[radius < 75], grey[radius > 100]):
        assert np.ptp(part) < 12


def test_specks_get_no_ink_and_strokes_do():
    image = np.full((768, 768, 3), 220, np.uint8)
    cv2.line(image, (100, 600), (660, 600), (40, 40, 40), 5, cv2.LINE_AA)
    for x in range(100, 700, 60):
        cv2.circle(image, (x, 200), 2, (40, 40, 40), -1, cv2.LINE_AA)
    scene = Scene.of(cv2.resize(image, (1536, 1536), interpolation=cv2.INTER_CUBIC))
    how = {"width": 0.9, "threshold": 0.007, "softness": 0.005}
    drawn, dotted = (scene.lines(least=least, **how) for least in (60, 1))
    assert dotted[300:500].max() == 1
    assert drawn[300:500].max() == 0
    assert drawn[1100:1300].max() == 1


def test_lines_are_sharp_at_the_final_size():
    """Not drawn small and enlarged: a few pixels from paper to ink, also of a small photo."""
    image = np.full((256, 256, 3), 235, np.uint8)
    image[:, 128:] = 60
    grey = cv2.cvtColor(cartoon(image, 0), cv2.COLOR_RGB2GRAY)[700:800].mean(axis=0)
    edge = np.abs(np.diff(grey[700:840]))
    assert edge.max() > 12


def test_the_comic_is_printed_in_dots_and_the_fairy_tale_is_not(drawn):
    def ripple(picture):
        """How much of the wall's power lies at the dots' own wavelength."""
        wall = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[60:316, 930:1186].astype(float)
        power = np.abs(
            np.fft.fft2((wall - wall.mean()) * np.outer(np.hanning(256), np.hanning(256)))
        )
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
        return power[abs(frequency - 1 / 11) < 0.006].max() / power[frequency > 0.06].mean()

    assert ripple(drawn[0]) > 20
    assert ripple(drawn[1]) < 10


def test_same_picture_same_cartoon(portrait, drawn):
    """Also in another order, and through the front door."""
    for style in (5, 0):
        assert (cartoon(portrait, style) == drawn[style]).all()


def test_the_photograph_is_not_touched_and_may_be_a_view(coffee):
    before = coffee.copy()
    view = coffee[10:310:2, ::-3]
    assert (cartoon(view, 3) == cartoon(np.ascontiguousarray(view), 3)).all()
    assert (coffee == before).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_flat_colour_gets_no_ink(level):
    scene = Scene.of(np.full((1536, 1536, 3), level, np.uint8))
    assert scene.lines(width=1.5, threshold=0.004, softness=0.008, least=40).max() == 0
    assert STYLES[level % 9](scene).shape == (1536, 1536, 3)


@pytest.mark.parametrize("size", [(1, 700), (257, 5760)])
def test_odd_and_extreme_sizes(coffee, size):
    out = cartoon(np.resize(coffee, (*size, 3)), 8)
    assert min(out.shape[:2]) == 1536
    assert max(out.shape[:2]) <= 2304


@settings(max_examples=3, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.integers(0, 8),
)
def test_no_picture_is_too_strange(image, style):
    assert min(cartoon(image, style).shape[:2]) == 1536
