"""Erasing: from the places that were found to the pieces that are copied."""

import cv2
import numpy as np
import pytest

from ailab_async.local.imaging import patchwork, pieces
from ailab_async.local.imaging.erasure import erase
from ailab_async.local.imaging.lines import bridge


def bricks(shape):
    """A pattern that repeats every 20 pixels across and every 12 down, and its grain does not."""
    y, x = np.indices(shape)
    wall = np.where((y % 12 < 2) | ((x + 10 * (y // 12 % 2)) % 20 < 2), 200, 90)
    grain = np.random.default_rng(5).normal(0, 3, shape)
    return np.clip(wall + grain, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


@pytest.fixture
def search():
    """A search in bricks that was stirred a little: most pixels have a place that suits them."""
    image = bricks((120, 160))
    hole = np.zeros(image.shape[:2], bool)
    hole[40:80, 60:100] = True
    grown = cv2.dilate(hole.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    sources = cv2.dilate(hole.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    chance = np.random.default_rng(2)
    found = patchwork.Search(image, patchwork.scatter(grown, sources, chance), sources, chance)
    found.aim(image)
    for step in (8, 4, 2, 1):
        found.spread(step)
        found.stir(8.0 * step)
        found.jump()
    return found


def seams(places):
    """Count the neighbours, below and to the right, that come from different shifts."""
    rows, columns = places.maps()
    own = np.indices(rows.shape)
    down, right = rows - own[0], columns - own[1]
    return sum(
        int(((np.diff(down, axis=axis) != 0) | (np.diff(right, axis=axis) != 0)).sum())
        for axis in (0, 1)
    )


def test_pieces_are_larger_than_what_the_search_found_and_suit_about_as_well(search):
    before = search.places
    after = pieces.joined(search)
    assert seams(after) < 0.3 * seams(before)
    image = bricks((120, 160)).astype(int)
    unlike = [
        abs(image[places.source_y, places.source_x] - image[places.y, places.x]).mean()
        for places in (before, after)
    ]
    assert unlike[1] < unlike[0] + 3


def test_pieces_come_from_allowed_places_alone(search):
    after = pieces.joined(search)
    inside = np.zeros((120, 160), bool)
    inside[37:83, 57:103] = True
    assert not inside[after.source_y, after.source_x].any()
    assert (after.y == search.places.y).all()


def test_the_price_of_a_shift_is_what_its_places_cost(search):
    prices = search.price(0, -60)
    places = search.places
    allowed = (places.x - 60 >= 0) & np.isfinite(prices)
    assert allowed.any()
    assert np.isinf(search.price(0, -300)).all()
    assert np.isinf(search.price(-1, 1)).any()
    # A whole number of bricks away everything looks alike; half a brick away nothing does.
    assert np.median(prices[allowed]) < 0.1 * np.median(search.price(6, -60)[allowed])


def test_a_pattern_is_continued_whole():
    image = bricks((200, 260))
    hole = np.zeros(image.shape[:2], bool)
    hole[50:150, 70:180] = True
    spoilt = image.copy()
    spoilt[hole] = 0
    result = erase(spoilt, hole).astype(int)
    assert abs(result - image)[hole].mean() < 12
    steep = [
        np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))[60:140, 80:170].mean()
        for grey in (picture[..., 0].astype(np.float32) for picture in (result, image))
    ]
    assert steep[0] > 0.85 * steep[1]


def arc(seen):
    """An arc round a hole in the middle, of which so many degrees are seen at either side."""
    image = np.full((260, 260, 3), 170, np.uint8)
    cv2.ellipse(image, (130, 240), (120, 120), 0, 245 - seen, 295 + seen, (60, 60, 60), 5)
    hole = np.zeros((260, 260), np.uint8)
    cv2.circle(hole, (130, 122), 50, 1, -1)
    image[hole > 0] = (0, 200, 0)
    return image, hole > 0


def test_an_arc_goes_on_where_enough_of_it_is_seen():
    image, hole = arc(60)
    _, unknown = bridge(image, hole)
    assert unknown.sum() < hole.sum()


def test_an_arc_of_which_little_is_seen_is_not_made_up():
    """Texture is full of short edges that happen to lie on one arc."""
    image, hole = arc(9)
    _, unknown = bridge(image, hole)
    assert (unknown == hole).all()
