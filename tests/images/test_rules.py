from __future__ import annotations

import pytest

from ailab_async.errors import InvalidOperation
from ailab_async.images import PictureRules

STRICT = PictureRules(formats=("PNG",), max_bytes=10, larger_than=(64, 32), smaller_than=(100, 200))
INCLUSIVE = PictureRules(formats=("PNG",), max_bytes=10, at_least=(64, 32), at_most=(100, 200))
NONE = PictureRules(formats=("PNG", "JPEG"), max_bytes=3 * 2**20)


@pytest.mark.parametrize(
    ("rules", "sizes", "taken"),
    [
        (STRICT, [(65, 33), (99, 199), (65, 199)], True),
        (STRICT, [(64, 33), (65, 32), (100, 199), (99, 200), (33, 65)], False),
        (INCLUSIVE, [(64, 32), (100, 200)], True),
        (INCLUSIVE, [(63, 32), (64, 31), (101, 200), (100, 201)], False),
        (NONE, [(1, 1), (100_000, 1)], True),
        (NONE, [(0, 1), (1, 0)], False),
    ],
)
def test_limits_hold_for_both_sides(rules, sizes, taken):
    for size in sizes:
        assert rules.takes_size(size) is taken
        if not taken:
            with pytest.raises(InvalidOperation):
                rules.check_size("image", size)


def test_the_limit_of_bytes_is_inclusive():
    STRICT.check_bytes("image", 10)
    with pytest.raises(InvalidOperation, match="11 bytes"):
        STRICT.check_bytes("image", 11)


def test_limits_in_words():
    assert STRICT.pixels_text == "larger than 64x32 and smaller than 100x200 pixels"
    assert INCLUSIVE.pixels_text == "at least 64x32 and at most 100x200 pixels"
    assert (NONE.pixels_text, NONE.formats_text, STRICT.formats_text) == ("", "PNG or JPEG", "PNG")


def test_smallest_and_largest():
    assert (STRICT.smallest, STRICT.largest) == ((65, 33), (99, 199))
    assert (INCLUSIVE.smallest, INCLUSIVE.largest) == ((64, 32), (100, 200))
    assert (NONE.smallest, NONE.largest) == ((1, 1), None)
