"""Faces, skin and hair keep their colours."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from ailab_async.local.imaging.faces import find_faces
from ailab_async.local.imaging.portrait import find_portrait
from ailab_async.local.imaging.recolor import recolor_auto, recolor_reference, recolor_template

from .measures import difference

# Drawn by hand on docs/pictures/portrait.jpg: from the hairline to the chin and from cheek to
# cheek. Centre and half axes in pixels.
FACE_CENTRE, FACE_AXES = (222, 118), (36, 50)
# A patch of the jacket's left sleeve, and one of the backdrop, top left of the shuttle.
SLEEVE, BACKDROP = np.s_[300:400, 60:110], np.s_[20:90, 315:375]


@pytest.fixture(scope="module")
def face():
    mask = np.zeros((512, 512), np.uint8)
    cv2.ellipse(mask, FACE_CENTRE, FACE_AXES, 0, 0, 360, 1, -1)
    return mask > 0


def results(image, goal, degree, *, protect=True):
    colors = [(0x05, 0x6A, 0x6B), (0xF4, 0xD3, 0x5E), (0x0D, 0x3B, 0x66)]
    yield from recolor_auto(image, color_count=2, degree=degree, protect=protect)
    yield recolor_template(image, colors=colors, degree=degree, protect=protect)
    yield recolor_reference(image, goal, degree=degree, protect=protect)


@pytest.mark.parametrize("degree", [0.4, 1.0])
def test_the_face_keeps_its_colours_and_the_rest_does_not(portrait, coffee, face, degree):
    for result in results(portrait, coffee, degree):
        change = difference(portrait[face], result[face])
        assert change.mean() < 1
        assert np.percentile(change, 99) < 3
        others = [difference(portrait[at], result[at]).mean() for at in (SLEEVE, BACKDROP)]
        assert max(others) > 4


def test_without_protection_the_face_changes(portrait, coffee, face):
    for result in results(portrait, coffee, 1.0, protect=False):
        assert difference(portrait[face], result[face]).mean() > 4


def test_the_face_is_kept_at_any_size(portrait, coffee, face):
    """The mask is found on a thumbnail and laid over the full picture."""
    large = cv2.resize(portrait, (1500, 1500), interpolation=cv2.INTER_CUBIC)
    result = recolor_reference(large, coffee, degree=1)
    inside = cv2.resize(face.astype(np.uint8), (1500, 1500)) > 0
    rows, columns = np.s_[180:520], np.s_[530:770]
    change = difference(large[rows, columns], result[rows, columns])
    assert change[inside[rows, columns]].mean() < 1


def test_the_mask_ends_where_the_head_ends(portrait, face):
    mask = find_portrait(portrait).coarse
    assert mask[face].min() > 0.95
    assert mask[SLEEVE].max() == 0
    assert mask[BACKDROP].max() == 0
    assert 0.04 < mask.mean() < 0.12


def test_colours_of_people_do_not_count(portrait, coffee):
    """A reference's portrait is no source of colours: a painted face changes nothing much."""
    painted = portrait.copy()
    mask = find_portrait(portrait).coarse > 0.95
    painted[mask] = (0.6 * painted[mask] + [60, 20, 40]).astype(np.uint8)
    one = recolor_reference(coffee, portrait, degree=1)
    other = recolor_reference(coffee, painted, degree=1)
    unread = recolor_reference(coffee, painted, degree=1, protect=False)
    kept = abs(one.astype(int) - other).mean()
    assert kept < 3
    assert kept < abs(one.astype(int) - unread).mean()


def test_faces_are_found_in_many_threads_at_once(portrait):
    """Classifiers are kept per thread, and so is the chance in GrabCut."""
    alone = find_portrait(portrait).coarse.tobytes()
    with ThreadPoolExecutor(3) as pool:
        masks = list(pool.map(find_portrait, [portrait] * 6))
    assert {mask.coarse.tobytes() for mask in masks} == {alone}


def test_no_faces_in_pictures_without_people(dusk, coffee):
    assert find_faces(coffee) == []
    assert find_faces(dusk) == []
    assert find_portrait(coffee) is None


def test_a_picture_that_is_all_face(portrait, coffee):
    close = np.ascontiguousarray(portrait[70:166, 178:268])
    for result in results(close, coffee, 0.4):
        assert result.shape == close.shape
