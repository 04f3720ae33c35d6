from __future__ import annotations

import pickle

import attrs
import pytest

from ailab_async.errors import InvalidOperation
from ailab_async.operations import Auto, HDColorMigration, RefPic, Template, load_parts

from .pictures import lines, part, picture

PARTS = {"image": part("image"), "ref": part("ref", format_="JPEG")}


def refused(make, *arguments, **options) -> InvalidOperation:
    with pytest.raises(InvalidOperation) as caught:
        make(*arguments, **options)
    return caught.value


def test_the_defaults_are_those_of_the_page():
    operation = HDColorMigration("a.jpg")
    assert (operation.mode, operation.degree) == (Auto(color_count=1), 0.4)
    assert lines(operation.form(PARTS)) == [
        ("task_type", "async"),
        ("image", "image.png"),
        ("mode", "AUTO"),
        ("degree", "0.4"),
        ("color_count", "1"),
    ]


def test_template_is_written_bare_upper_case_and_joined():
    operation = HDColorMigration("a.jpg", Template("056a6b", "#0a0B0c"), degree=1)
    assert lines(operation.form(PARTS)) == [
        ("task_type", "async"),
        ("image", "image.png"),
        ("mode", "TEMPLATE"),
        ("degree", "1"),
        ("color_template", "056A6B,0A0B0C"),
    ]


def test_reference_goes_as_a_second_file():
    operation = HDColorMigration("a.jpg", RefPic("b.jpg"), degree=0.25)
    assert list(operation.pictures()) == ["image", "ref"]
    assert lines(operation.form(PARTS)) == [
        ("task_type", "async"),
        ("image", "image.png"),
        ("mode", "REF_PIC"),
        ("degree", "0.25"),
        ("ref", "image.jpg"),
    ]


def test_rapidapi_gets_no_task_type():
    form = lines(HDColorMigration("a.jpg").form(PARTS, task_type=False))
    assert [name for name, _ in form] == ["image", "mode", "degree", "color_count"]


@pytest.mark.parametrize(
    ("degree", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (1.0, "1"),
        (0.4, "0.4"),
        (0.00001, "0.00001"),
        (1e-7, "0.0000001"),
        (5e-324, "0." + "0" * 323 + "5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (0.30, "0.3"),
    ],
)
def test_degree_is_a_plain_decimal_without_exponent(degree, text):
    form = dict(lines(HDColorMigration("a.jpg", degree=degree).form(PARTS)))
    assert form["degree"] == text


@pytest.mark.parametrize(
    "degree",
    [-0.1, 1.0001, 2, True, False, float("nan"), float("inf"), -float("inf"), "0.4", None, 1j],
)
def test_any_other_degree_is_refused(degree):
    error = refused(HDColorMigration, "a.jpg", degree=degree)
    assert (error.field, error.limit) == ("degree", "a number from 0 to 1")
    assert error.value == str(degree)


@pytest.mark.parametrize("count", [0, 9, -1, True, 1.0, "1", None])
def test_color_count_is_a_whole_number_from_1_to_8(count):
    error = refused(Auto, color_count=count)
    assert (error.field, error.limit) == ("color_count", "a whole number from 1 to 8")


def test_every_allowed_color_count_is_sent():
    for count in range(1, 9):
        operation = HDColorMigration("a.jpg", Auto(count))
        assert dict(lines(operation.form(PARTS)))["color_count"] == str(count)


@pytest.mark.parametrize("colors", [(), ("0A0B0C",) * 8])
def test_a_template_has_1_to_7_colors(colors):
    error = refused(Template, *colors)
    assert (error.field, error.limit) == ("color_template", "1 to 7 colours")
    assert Template(*["0A0B0C"] * 7).colors == ("0A0B0C",) * 7


@pytest.mark.parametrize(
    "color",
    [
        *("", "abc", "#abc", "FF0A0B0C", "#FF0A0B0C", "0A0B0", "0A0B0G", "##0A0B0", "0A0B0C\n"),
        *(" 0A0B0C", "0A0B0C,0A0B0C", "\u0660" * 6, 0x0A0B0C, None, ["0A0B0C"], (1, 2, 3)),
    ],
)
def test_a_color_has_six_hexadecimal_digits(color):
    assert refused(Template, "0A0B0C", color).field == "color_template"


def test_equal_colors_make_equal_templates():
    assert Template("#0a0b0c") == Template("0A0B0C")
    assert hash(Template("#0a0b0c")) == hash(Template("0A0B0C"))


@pytest.mark.parametrize("mode", ["AUTO", None, Auto, 1, "0A0B0C"])
def test_a_mode_is_one_of_three_values(mode):
    assert refused(HDColorMigration, "a.jpg", mode).field == "mode"


@pytest.mark.parametrize("image", [5, None, "", b"", object(), ["a.jpg"], 1.5, b"a/path"[0:0]])
def test_what_can_be_no_picture_is_refused_at_once(image):
    assert refused(HDColorMigration, image).field == "image"
    assert refused(RefPic, image).field == "image"


def test_operations_are_frozen_values():
    operation = HDColorMigration("a.jpg", Template("0A0B0C"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        operation.degree = 0.5  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        operation.mode.colors = ()
    assert operation == HDColorMigration("a.jpg", Template("#0a0b0c"))
    assert hash(operation) == hash(HDColorMigration("a.jpg", Template("#0a0b0c")))
    assert pickle.loads(pickle.dumps(operation)) == operation
    assert attrs.evolve(operation, degree=0.5).degree == 0.5


def test_the_repr_shows_no_picture():
    operation = HDColorMigration(b"\xff\xd8" * 1000, RefPic(bytearray(10)))
    assert repr(operation) == (
        "HDColorMigration(image=<bytes, 2000 bytes>, mode=RefPic(image=<bytearray, 10 bytes>), "
        "degree=0.4)"
    )


def test_facts_are_known_of_the_class_and_of_each_value():
    for known in (HDColorMigration, HDColorMigration("harbour.jpg")):
        assert known.name == "hd-color-migration"
        assert known.credits == 4
        assert known.is_async is True
        assert known.job_type == "HD_COLOUR_MIGRATION"
        assert known.path is None


def test_results_are_called_as_the_picture():
    assert HDColorMigration("a/harbour.v2.jpg").stem == "harbour.v2"
    assert HDColorMigration(picture(), RefPic("b/dusk.jpg")).stem == "dusk"
    assert HDColorMigration(picture()).stem == "hd-color-migration"


@pytest.mark.parametrize(
    ("made", "limit", "value"),
    [
        (picture(64, 65), "larger than 64x64", "64x65"),
        (picture(65, 64), "larger than 64x64", "65x64"),
        (picture(65, 10000, "JPEG"), "smaller than 10000x10000", "65x10000"),
        (picture(mode="RGBA"), "RGB with three channels", "mode RGBA"),
        (picture(mode="L"), "RGB with three channels", "mode L"),
        (picture(format_="BMP"), "a PNG or JPEG file", "BMP"),
        (
            picture() + bytes(3 * 2**20),
            "at most 3 MB (3145728 bytes)",
            str(3 * 2**20 + len(picture())),
        ),
    ],
)
async def test_pictures_are_held_to_the_page(made, limit, value):
    for operation, field in (
        (HDColorMigration(made), "image"),
        (HDColorMigration(picture(), RefPic(made)), "ref"),
    ):
        with pytest.raises(InvalidOperation) as caught:
            await load_parts(operation)
        assert caught.value.field == field
        assert limit in caught.value.limit
        assert value in caught.value.value


async def test_pictures_at_the_limits_pass():
    for made in (picture(65, 65), picture(9999, 65, "JPEG"), picture(65, 9999)):
        parts = await load_parts(HDColorMigration(made, RefPic(made)))
        assert set(parts) == {"image", "ref"}
    padded = picture() + bytes(3 * 2**20 - len(picture()))
    assert (await load_parts(HDColorMigration(padded)))["image"].data == padded
