"""Faces: which poses are found, and how the mask and the hair follow a head that leans."""

import cv2
import numpy as np
import pytest
import skimage.data

from ailab_async.local.imaging.faces import Box, find_faces
from ailab_async.local.imaging.hair import find_hair
from ailab_async.local.imaging.portrait import Frame, find_portrait

# Drawn by hand on docs/pictures/portrait.jpg: from the hairline to the chin, cheek to cheek.
FACE_CENTRE, FACE_AXES = (222, 118), (36, 50)


def leaning(portrait, degrees):
    """Turn the portrait clockwise about its face; return also its face."""
    turn = cv2.getRotationMatrix2D(FACE_CENTRE, -degrees, 1)
    image = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REFLECT_101)
    face = np.zeros((512, 512), np.uint8)
    cv2.ellipse(face, FACE_CENTRE, FACE_AXES, degrees, 0, 360, 1, -1)
    return image, face > 0


def covers(box, centre):
    return box.x < centre[0] < box.x + box.width and box.y < centre[1] < box.y + box.height


@pytest.mark.parametrize("degrees", [-40, -30, -10, 0, 10, 30, 40])
def test_heads_that_lean_are_found_once_and_kept(portrait, degrees):
    image, face = leaning(portrait, degrees)
    (box,) = find_faces(image)
    assert covers(box, FACE_CENTRE)
    assert 90 < box.width < 150
    assert abs(box.lean - degrees) <= 20
    mask = find_portrait(image).coarse
    assert mask[face].mean() > 0.98
    assert mask.mean() < 0.15


def test_the_hair_of_a_leaning_head_is_where_the_head_is(portrait):
    image, face = leaning(portrait, 35)
    (head,) = find_hair(image)
    assert head.box.lean > 0
    y, x = np.nonzero(head.hair)
    # The crown leans to the right.
    assert x.mean() > FACE_CENTRE[0] + 10
    assert y.mean() < FACE_CENTRE[1] - 10
    assert head.hair[face].mean() < 0.15


def test_a_face_cut_by_the_edge_is_found(portrait):
    """From eyebrows to chin only: no cascade sees it without room around it."""
    close = np.ascontiguousarray(portrait[66:176, 170:275])
    (box,) = find_faces(close)
    assert box.width > 0.7 * close.shape[1]


def test_a_grey_portrait_is_found_without_the_colour_of_skin(portrait):
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    (box,) = find_faces(np.dstack([grey] * 3))
    assert covers(box, FACE_CENTRE)


@pytest.mark.parametrize("name", ["brick", "chelsea", "coffee", "grass", "gravel", "page"])
def test_no_faces_where_nobody_is(name):
    image = getattr(skimage.data, name)()
    image = np.dstack([image] * 3) if image.ndim == 2 else image[..., :3]
    for turned in (image, image[::-1], np.rot90(image)):
        assert find_faces(np.ascontiguousarray(turned)) == []


def draw_long_hair(portrait, color):
    """Let hair of the portrait's colour fall over shoulders of another."""
    picture = portrait.copy()
    picture[240:, :] = color
    lock = portrait[40:56, 205:245]
    for left in (140, 262):
        picture[100:300, left : left + 40] = np.resize(lock, (200, 40, 3))
    return picture


def test_long_hair_is_followed_below_the_chin_unless_clothes_look_the_same(portrait):
    hair_color = np.median(portrait[40:56, 205:245].reshape(-1, 3), axis=0)
    below = np.s_[215:280, 262:300]
    on_white = find_hair(draw_long_hair(portrait, (235, 235, 240)))
    on_brown = find_hair(draw_long_hair(portrait, hair_color))
    assert on_white[0].hair[below].mean() > 0.5
    assert all(head.hair[300:].mean() < 0.01 for head in (*on_white, *on_brown))


def test_the_measures_of_a_face_lean_with_the_head():
    frame = Frame.around(Box(100, 100, 100, 100, lean=30.0), 300, 300)
    crown = round(150 - 80 * np.cos(np.radians(30))), round(150 + 80 * np.sin(np.radians(30)))
    assert frame.x[crown] == pytest.approx(0, abs=0.01)
    assert frame.y[crown] == pytest.approx(-0.8, abs=0.01)
