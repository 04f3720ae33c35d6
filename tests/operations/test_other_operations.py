from __future__ import annotations

import pickle

import pytest

from ailab_async.errors import InvalidOperation
from ailab_async.operations import (
    CartoonGenerator,
    CartoonStyle,
    ImageErasure,
    MicroMotion,
    Motion,
    load_parts,
)

from .pictures import lines, part, picture

PARTS = {"image": part("image"), "user_mask": part("user_mask")}


async def refusal_of(operation) -> InvalidOperation:
    with pytest.raises(InvalidOperation) as caught:
        await load_parts(operation)
    return caught.value


# --- erasure


def test_erasure_sends_both_pictures_and_no_task_type():
    operation = ImageErasure("street.jpg", mask="poles.png")
    assert list(operation.pictures()) == ["image", "user_mask"]
    assert lines(operation.form(PARTS)) == [("image", "image.png"), ("user_mask", "image.png")]
    assert (operation.name, operation.credits, operation.is_async) == ("image-erase", 10, False)
    assert operation.job_type is None
    assert operation.stem == "street"


async def test_a_mask_of_another_size_is_refused_by_our_name_for_it():
    error = await refusal_of(ImageErasure(picture(100, 80), picture(80, 100)))
    assert error.field == "mask"
    assert error.limit == "of the size of image (100x80)"
    assert error.value == "80x100"


async def test_what_is_wrong_with_the_mask_is_said_by_our_name_for_it():
    assert (await refusal_of(ImageErasure(picture(), b"no picture"))).field == "mask"


async def test_erasure_takes_small_pictures_but_none_of_4096():
    assert await load_parts(ImageErasure(picture(1, 1), picture(1, 1)))
    assert await load_parts(ImageErasure(picture(4095, 1), picture(4095, 1)))
    assert "4096x1" in (await refusal_of(ImageErasure(picture(4096, 1), picture(4096, 1)))).value


@pytest.mark.parametrize("mode", ["L", "RGBA"])
async def test_a_mask_is_rgb_or_made_so(mode):
    operation = ImageErasure(picture(), picture(mode=mode))
    error = await refusal_of(operation)
    assert (error.field, error.value) == ("mask", f"mode {mode}")
    assert (await load_parts(operation, fit=True))["user_mask"].mode == "RGB"


async def test_a_fitted_mask_gets_the_size_of_its_fitted_picture():
    events = []
    operation = ImageErasure(picture(5000, 2500), picture(1000, 500, mode="L"))
    parts = await load_parts(operation, fit=True, on_event=events.append)
    assert parts["image"].size == parts["user_mask"].size == (4095, 2047)
    assert [event.field for event in events] == ["image", "mask"]
    assert parts["user_mask"].format == "PNG"


# --- micro motion


@pytest.mark.parametrize(
    ("motion", "bits"),
    [(Motion.SKY, "01"), (Motion.HAIR, "10"), (Motion.SKY | Motion.HAIR, "11")],
)
def test_motion_is_a_string_of_two_bits(motion, bits):
    operation = MicroMotion("lake.jpg", motion)
    assert lines(operation.form(PARTS)) == [("image", "image.png"), ("operation", bits)]


@pytest.mark.parametrize("motion", [Motion(0), 1, 3, "01", True, None, "SKY"])
def test_motion_is_the_flag_and_not_empty(motion):
    with pytest.raises(InvalidOperation) as caught:
        MicroMotion("lake.jpg", motion)
    assert caught.value.field == "motion"


async def test_micro_motion_is_held_to_its_page():
    sky = Motion.SKY
    assert await load_parts(MicroMotion(picture(33, 1999), sky))
    assert "larger" in (await refusal_of(MicroMotion(picture(32, 33), sky))).limit
    assert "smaller" in (await refusal_of(MicroMotion(picture(33, 2000), sky))).limit
    assert (await refusal_of(MicroMotion(picture(format_="WEBP"), sky))).value == "WEBP"
    assert (MicroMotion.name, MicroMotion.credits, MicroMotion.is_async) == (
        "micro-motion",
        15,
        False,
    )


# --- cartoon


def test_styles_go_by_their_numbers():
    for number in range(9):
        operation = CartoonGenerator("me.jpg", number)
        assert operation.style is CartoonStyle(number)
        assert operation == CartoonGenerator("me.jpg", CartoonStyle(number))
        assert lines(operation.form(PARTS)) == [
            ("task_type", "async"),
            ("image", "image.png"),
            ("index", str(number)),
        ]
        assert lines(operation.form(PARTS, task_type=False))[0] == ("image", "image.png")
    assert len(CartoonStyle) == 9


@pytest.mark.parametrize("style", [-1, 9, True, 1.0, "1", None])
def test_any_other_style_is_refused(style):
    with pytest.raises(InvalidOperation) as caught:
        CartoonGenerator("me.jpg", style)
    assert (caught.value.field, caught.value.limit) == ("style", "a whole number from 0 to 8")


async def test_the_limits_of_cartoons_are_inclusive():
    for size in ((256, 256), (5760, 3240)):
        assert await load_parts(CartoonGenerator(picture(*size), 0))
    for size in ((255, 256), (256, 255), (5761, 3240), (5760, 3241)):
        assert (await refusal_of(CartoonGenerator(picture(*size), 0))).value == "{}x{}".format(
            *size
        )
    assert CartoonGenerator.credits == 10
    assert CartoonGenerator.job_type == "GENERATE_CARTOONIZED_IMAGE"
    assert CartoonGenerator.is_async is True


def test_all_are_values_that_survive_pickling():
    for operation in (
        ImageErasure("a.jpg", "b.png"),
        MicroMotion("a.jpg", Motion.SKY | Motion.HAIR),
        CartoonGenerator("a.jpg", CartoonStyle.CHINESE_PAINTING),
    ):
        assert pickle.loads(pickle.dumps(operation)) == operation
        assert len({operation, pickle.loads(pickle.dumps(operation))}) == 1
