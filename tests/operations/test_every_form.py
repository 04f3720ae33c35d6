"""Whatever operation can be made writes a form that the service's rules accept.

The rules are written here a second time, from the pages, and know nothing of the operations.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ailab_async.errors import InvalidOperation
from ailab_async.images import Part
from ailab_async.operations import (
    Auto,
    CartoonGenerator,
    Endpoint,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Motion,
    RefPic,
    Template,
    catalogue,
)

from .pictures import lines, part

DECIMAL = re.compile(r"(0|[1-9]\d*)(\.\d+)?", re.ASCII)
COLORS = re.compile(r"[0-9A-F]{6}(,[0-9A-F]{6}){0,6}", re.ASCII)

ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers(-2, 12)
    | st.integers()
    | st.floats()
    | st.floats(0, 1)
    | st.text(max_size=8)
    | st.text("0123456789abcdefABCDEF#", min_size=5, max_size=8)
    | st.binary(max_size=4)
    | st.sampled_from([Motion.SKY, Motion.HAIR, Motion.SKY | Motion.HAIR, Motion(0)])
    | st.lists(st.integers(), max_size=2)
)
COLOR = st.text("0123456789abcdefABCDEF", min_size=6, max_size=6)


def form_or_refusal(make) -> dict[str, str] | None:
    try:
        operation = make()
    except InvalidOperation as error:
        refusal = error
        operation = None
    if operation is None:
        assert refusal.field
        assert refusal.limit
        str(refusal).encode(errors="surrogatepass")
        return None
    parts = {name: part(name) for name in operation.pictures()}
    for task_type in (True, False):
        form = operation.form(parts, task_type=task_type)
        sent = lines(form)
        assert len(dict(sent)) == len(sent)
        assert all(isinstance(value, str) and name for name, value in sent)
        assert {item.field for item in form if isinstance(item, Part)} == set(parts)
    repr(operation)
    hash(operation)
    assert operation.stem
    return dict(lines(operation.form(parts)))


MODES = (
    st.builds(Auto, st.integers(1, 8))
    | st.lists(COLOR | COLOR.map("#{}".format), min_size=1, max_size=7).map(lambda c: Template(*c))
    | st.just(RefPic("b.jpg"))
)


@given(MODES, st.floats(0, 1) | st.integers(0, 1))
def test_every_sound_colour_migration(mode, degree):
    form = form_or_refusal(lambda: HDColorMigration("a.jpg", mode, degree=degree))
    assert form is not None
    check_colour_migration(form)
    assert float(form["degree"]) == degree


@given(ANYTHING, ANYTHING, st.lists(ANYTHING, max_size=9))
def test_any_colour_migration(count, degree, colors):
    for make in (
        lambda: HDColorMigration("a.jpg", Auto(count), degree=degree),
        lambda: HDColorMigration("a.jpg", Template(*colors), degree=degree),
        lambda: HDColorMigration("a.jpg", count, degree=degree),
    ):
        form = form_or_refusal(make)
        if form is not None:
            check_colour_migration(form)


def check_colour_migration(form) -> None:
    assert form["task_type"] == "async"
    assert form["image"] in {"image.png", "image.jpg"}
    assert DECIMAL.fullmatch(form["degree"])
    assert 0 <= float(form["degree"]) <= 1
    own = {"AUTO": "color_count", "TEMPLATE": "color_template", "REF_PIC": "ref"}[form["mode"]]
    assert set(form) == {"task_type", "image", "mode", "degree", own}
    if own == "color_count":
        assert form[own] in set("12345678")
    elif own == "color_template":
        assert COLORS.fullmatch(form[own])


@given(ANYTHING, ANYTHING)
def test_any_erasure(image, mask):
    form = form_or_refusal(lambda: ImageErasure(image, mask))
    assert form is None or list(form) == ["image", "user_mask"]


@given(ANYTHING)
def test_any_motion_and_any_style(value):
    form = form_or_refusal(lambda: MicroMotion("a.jpg", value))
    assert form is None or form["operation"] in {"01", "10", "11"}
    form = form_or_refusal(lambda: CartoonGenerator("a.jpg", value))
    assert form is None or form["index"] in set("012345678")


@given(st.sampled_from([spec for spec in catalogue() if spec.mode != "query"]), st.data())
def test_any_endpoint(spec, data):
    fields = {
        known.name: data.draw(st.just("a.jpg") if known.type == "file" else ANYTHING)
        for known in spec.fields
        if known.name != "task_type" and (known.required or data.draw(st.booleans()))
    }
    form = form_or_refusal(lambda: Endpoint(spec.name, **fields))
    if form is None:
        return
    types = {known.name: known for known in spec.fields}
    assert set(form) <= set(types)
    assert {known.name for known in spec.fields if known.required} <= set(form)
    for name, value in form.items():
        known = types[name]
        assert value in known.values or not known.values
        if known.type == "integer":
            int(value)
        elif known.type == "float":
            assert DECIMAL.fullmatch(value.removeprefix("-"))
        elif known.type == "boolean":
            assert value in {"true", "false"}
