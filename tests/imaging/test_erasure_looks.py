"""Erasing: whether the result is what a person would call good, as far as that can be measured."""

import cv2
import numpy as np
import pytest

from ailab_async.local.imaging import erasure
from ailab_async.local.imaging.completion import NothingToCopyFrom, fill
from ailab_async.local.imaging.erasure import erase
from ailab_async.local.imaging.lines import bridge
from ailab_async.local.imaging.portrait import find_portrait


def steepness(image):
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def wood(coffee):
    """A hole in the table, which is all grain."""
    mask = np.zeros(coffee.shape[:2], np.uint8)
    cv2.circle(mask, (530, 300), 35, 1, -1)
    return mask > 0


def test_texture_is_as_sharp_as_it_was(coffee):
    mask = wood(coffee)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0
    detail = steepness(erase(coffee, mask))[inner].mean() / steepness(coffee)[inner].mean()
    blurred = cv2.inpaint(coffee, mask.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    assert detail > 0.7
    assert detail > 1.4 * steepness(blurred)[inner].mean() / steepness(coffee)[inner].mean()


@pytest.mark.parametrize("slope", [0.0, 0.35, -0.8])
@pytest.mark.parametrize("width", [2, 6])
def test_a_wire_goes_on_behind_what_is_erased(slope, width):
    sky = np.linspace([90, 130, 190], [150, 180, 220], 240)[:, None].repeat(320, axis=1)
    grain = np.random.default_rng(3).normal(0, 2, (240, 320, 1))
    whole = np.clip(sky + grain, 0, 255).astype(np.uint8)
    ends = [(0, round(120 - 160 * slope)), (319, round(120 + 159 * slope))]
    cv2.line(whole, *ends, (30, 30, 35), width, cv2.LINE_AA)
    mask = np.zeros((240, 320), np.uint8)
    cv2.circle(mask, (160, 120), 32, 1, -1)
    image = whole.copy()
    image[mask > 0] = (200, 40, 40)
    core = np.zeros((240, 320), np.uint8)
    cv2.line(core, *ends, 1, 1)
    inside = (core > 0) & (mask > 0)
    drawn, unknown = bridge(image, mask > 0)
    assert not unknown[inside].any()
    assert (drawn[inside].mean(axis=1) < 90).mean() > 0.8
    result = erase(image, mask > 0).astype(int)
    dark = result[inside].mean(axis=1) < 90
    assert dark.mean() > 0.8
    assert abs(result - whole)[mask > 0].mean() < 8


def test_wires_that_end_at_the_hole_are_not_made_longer():
    sky = np.full((200, 260, 3), (120, 160, 210), np.uint8)
    cv2.line(sky, (0, 100), (110, 100), (30, 30, 35), 4)
    mask = np.zeros((200, 260), np.uint8)
    cv2.circle(mask, (130, 100), 30, 1, -1)
    _, unknown = bridge(sky, mask > 0)
    assert (unknown == (mask > 0)).all()
    result = erase(sky, mask > 0)
    assert result[100, 145:158].mean() > 120


@pytest.mark.parametrize("hole", [np.s_[20:180, 345:500], np.s_[0:270, 350:512]])
def test_no_second_head_grows_next_to_a_first_one(portrait, hole):
    """The backdrop beside a person is filled from the backdrop, not from the person."""
    mask = np.zeros(portrait.shape[:2], bool)
    mask[hole] = True
    result = erase(portrait, mask)
    backdrop = portrait[20:90, 315:345].reshape(-1, 3).astype(float)
    # The part that is surely above the shoulders and the helmet.
    upper = result[hole][:150].astype(float)
    away = abs(upper - np.median(backdrop, axis=0)).max(axis=-1)
    assert (away < 90).mean() > 0.95
    before, after = (find_portrait(image).coarse for image in (portrait, result))
    assert after[hole].max() <= before[hole].max()


def test_a_stain_on_clothes_is_filled_from_the_clothes(portrait):
    mask = np.zeros(portrait.shape[:2], np.uint8)
    cv2.circle(mask, (90, 300), 9, 1, -1)
    stained = portrait.copy()
    stained[mask > 0] = (20, 60, 20)
    result = erase(stained, mask > 0)[mask > 0].astype(int)
    assert abs(result.mean(axis=0) - portrait[mask > 0].mean(axis=0)).max() < 40


def test_a_spot_on_a_cheek_is_filled_from_the_cheek(portrait):
    mask = np.zeros(portrait.shape[:2], np.uint8)
    cv2.circle(mask, (208, 112), 7, 1, -1)
    spotted = portrait.copy()
    spotted[mask > 0] = (60, 20, 20)
    result = erase(spotted, mask > 0)
    error = abs(result[mask > 0].astype(int) - portrait[mask > 0]).mean()
    assert error < 20


@pytest.mark.parametrize(
    ("hole", "head", "body"),
    [
        (np.s_[24:30, 24:30], False, False),
        (np.s_[44:50, 24:30], True, False),
        (np.s_[20:40, 60:80], True, True),
        (np.s_[44:60, 36:80], True, True),
    ],
    ids=["in the face", "in the clothes", "beside", "partly beside"],
)
def test_what_may_be_copied_depends_on_where_the_hole_is(hole, head, body):
    people = np.zeros((80, 100), np.uint8)
    people[40:, 10:45] = erasure._BODY
    people[10:40, 20:36] = erasure._HEAD
    mask = np.zeros(people.shape, bool)
    mask[hole] = True
    taboo = erasure._people_in(people, np.s_[0:80, 0:100], (80, 100), mask)
    assert taboo[15, 30] == head
    assert taboo[75, 15] == body


def test_where_people_are_all_that_is_left_the_picture_is_refused(portrait):
    """And the message says how to have it done all the same."""
    hole = np.zeros(portrait.shape[:2], bool)
    hole[:, :60] = True
    with pytest.raises(NothingToCopyFrom, match="protect=False"):
        fill(portrait, hole, ~hole, rim=1)
