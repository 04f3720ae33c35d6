from __future__ import annotations

import pickle

import pytest

from ailab_async.errors import InvalidOperation
from ailab_async.operations import Endpoint, catalogue, load_parts
from ailab_async.operations.catalogue import find_endpoint

from .pictures import lines, part, picture


def refused(*arguments, **fields) -> InvalidOperation:
    with pytest.raises(InvalidOperation) as caught:
        Endpoint(*arguments, **fields)
    return caught.value


def form_of(endpoint, **options):
    parts = {name: part(name) for name in endpoint.pictures()}
    return lines(endpoint.form(parts, **options))


# --- the catalogue


def test_the_catalogue_has_every_endpoint_with_its_status():
    specs = catalogue()
    assert len(specs) == 100
    assert len({spec.name for spec in specs}) == 100
    assert sum(spec.status == "current" for spec in specs) == 87
    assert sum(spec.status == "retired" for spec in specs) == 13
    assert {spec.mode for spec in specs} == {"sync", "async", "query"}
    assert catalogue() is specs


def test_every_entry_is_sound():
    for spec in catalogue():
        assert spec.path.startswith("/api/")
        assert spec.title
        names = [known.name for known in spec.fields]
        assert len(set(names)) == len(names)
        files = {known.name for known in spec.fields if known.type == "file"}
        assert set(spec.own_rules) <= files
        for name, other in spec.same_size.items():
            assert {name, other} <= files
        for group in spec.required_any_of:
            assert set(group) <= set(names)
        assert spec.doc_url == "" or spec.doc_url.endswith("/api")
        if spec.mode == "query":
            assert spec.method == "GET"
        else:
            assert spec.method == "POST"
            assert spec.credits > 0
            assert spec.fields
        if files:
            assert set(spec.rules.formats) <= {"JPEG", "PNG", "BMP", "WEBP", "TIFF"}
            assert 2**20 <= spec.rules.max_bytes <= 40 * 2**20


def test_what_the_sources_disagree_about_is_settled():
    assert [known.name for known in find_endpoint("ai-anime-generator").fields] == [
        *("task_type", "image", "index"),
    ]
    assert find_endpoint("face-fusion").rules_of("image_target").larger_than == (128, 128)
    assert find_endpoint("face-fusion").rules_of("image_template").larger_than == (200, 200)


# --- looking up


@pytest.mark.parametrize(
    "name", ["remove-objects", "/api/image/editing/remove-objects", "image_remove_objects"]
)
def test_an_endpoint_is_found_by_any_of_its_names(name):
    endpoint = Endpoint(name, image="street.jpg", mask="poles.png")
    assert endpoint.name == "remove-objects"
    assert endpoint.path == "/api/image/editing/remove-objects"
    assert (endpoint.credits, endpoint.is_async) == (5, False)
    assert endpoint.stem == "street"
    assert form_of(endpoint) == [("image", "image.png"), ("mask", "image.png")]


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("remove-object", "remove-objects"),
        ("Remove-Objects", "remove-objects"),
        ("/api/image/editing/remove-obects", "/api/image/editing/remove-objects"),
        ("image_remove_object", "image_remove_objects"),
        ("face-butifier", "face-beauty"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(wrong, near):
    error = refused(wrong, image="a.jpg")
    assert (error.field, error.value) == ("endpoint", wrong)
    assert near in error.hint


@pytest.mark.parametrize("wrong", ["", "zzzzzzzz", 5, None, "/", ["remove-objects"]])
def test_what_is_like_nothing_is_refused_too(wrong):
    error = refused(wrong)
    assert error.field == "endpoint"
    assert error.hint


@pytest.mark.parametrize(
    "name", ["query-credits", "/api/common/query-async-task-result", "asyn-task-results"]
)
def test_queries_are_no_operations(name):
    assert "client.query" in refused(name, task_id="x").hint


def test_retired_endpoints_are_still_sent():
    endpoint = Endpoint("image-fine-tuning", image="a.jpg", operation="01")
    assert endpoint.spec.status == "retired"
    assert form_of(endpoint) == [("image", "image.png"), ("operation", "01")]


# --- one path that answers in two ways


def test_task_type_picks_the_asynchronous_twin():
    at_once = Endpoint("face-beauty-pro", image="a.jpg")
    task = Endpoint("face-beauty-pro", image="a.jpg", task_type="async")
    assert at_once.path == task.path
    assert (at_once.is_async, task.is_async) == (False, True)
    assert form_of(at_once) == [("image", "image.png")]
    assert form_of(task) == [("task_type", "async"), ("image", "image.png")]
    assert Endpoint("face-beauty-pro-async", image="a.jpg") == task
    assert Endpoint(task.path, image="a.jpg", task_type="async") == task
    assert Endpoint("portrait_face_beauty_pro", image="a.jpg", task_type="async") == task
    explicit = Endpoint("face-beauty-pro", image="a.jpg", task_type="sync")
    assert form_of(explicit)[0] == ("task_type", "sync")
    assert refused("face-beauty-pro", image="a.jpg", task_type="later").field == "task_type"


def test_task_type_is_sent_where_it_is_needed_and_left_out_on_request():
    endpoint = Endpoint("try-on-clothes", person_image="a", clothes_image="b", clothes_type="c")
    assert [name for name, _ in form_of(endpoint)] == [
        *("task_type", "person_image", "clothes_image", "clothes_type"),
    ]
    assert "task_type" not in dict(form_of(endpoint, task_type=False))
    assert "task_type" not in dict(form_of(Endpoint("ai-bald", image="a")))
    assert refused("ai-bald", image="a", task_type="async").field == "task_type"


# --- fields


def test_a_missing_field_is_named():
    error = refused("remove-objects", image="a.jpg")
    assert (error.field, error.value) == ("mask", "missing")
    assert refused("remove-objects", image="a.jpg", mask=None).field == "mask"


def test_an_unknown_field_gets_the_nearest_and_the_way_to_send_it():
    error = refused("remove-objects", image="a.jpg", mask="b.png", msk="c")
    assert error.field == "msk"
    assert "(image, mask)" in error.limit
    assert "Nearest: mask" in error.hint
    assert "extra={'msk'" in error.hint


def test_one_of_a_group_must_be_given():
    error = refused("ai-beard-styling", image="a.jpg")
    assert (error.field, error.limit) == ("beard", "given, or image_template")
    assert Endpoint("ai-beard-styling", image="a.jpg", beard="goatee")
    assert Endpoint("ai-beard-styling", image="a.jpg", image_template="b.jpg")
    assert Endpoint("ai-beard-styling", image="a.jpg", extra={"beard": "goatee"})


@pytest.mark.parametrize(
    ("name", "fields", "sent"),
    [
        ("ai-flower-wallpaper", {"name": "rose"}, {"name": "rose"}),
        ("image-cropping", {"image": "a", "width": 10, "height": 20}, {"width": "10"}),
        ("face-filter", {"image": "a", "resource_type": "1", "strength": 0.5}, {"strength": "0.5"}),
        ("face-filter", {"image": "a", "resource_type": "1", "strength": 1}, {"strength": "1"}),
        ("smart-face-slimming", {"image": "a", "slim_degree": 1e-5}, {"slim_degree": "0.00001"}),
        (
            "lips-color-changer",
            {"image": "a", "lip_color_infos": [{"rgba": {"r": 1}}]},
            {"lip_color_infos": '[{"rgba":{"r":1}}]'},
        ),
        (
            "lips-color-changer",
            {"image": "a", "lip_color_infos": '[{"rgba": {}}]'},
            {"lip_color_infos": '[{"rgba": {}}]'},
        ),
        ("smart-skin-advanced", {"image": "a", "smart_skin": "1"}, {"smart_skin": "1"}),
        (
            "face-attribute-editing",
            {"image": "a", "action_type": "x", "target": 5},
            {"target": "5"},
        ),
    ],
)
def test_each_type_is_written_as_the_service_reads_it(name, fields, sent):
    form = dict(form_of(Endpoint(name, **fields)))
    assert sent.items() <= form.items()


def test_booleans_are_words():
    garments = {"person_image": "a", "top_garment": "b", "resolution": 1024}
    for value, word in ((True, "true"), (False, "false")):
        endpoint = Endpoint("try-on-clothes-premium", restore_face=value, **garments)
        assert dict(form_of(endpoint))["restore_face"] == word


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("image-cropping", "width", "10"),
        ("image-cropping", "width", 1.0),
        ("image-cropping", "width", True),
        ("face-filter", "resource_type", 1),
        ("face-filter", "resource_type", ""),
        ("face-filter", "resource_type", "\ud800"),
        ("face-filter", "resource_type", "a\0b"),
        ("face-filter", "strength", 10**400),
        ("image-cropping", "width", 2**63),
        ("face-filter", "strength", float("nan")),
        ("face-filter", "strength", float("inf")),
        ("face-filter", "strength", True),
        ("face-filter", "strength", "0.5"),
        ("lips-color-changer", "lip_color_infos", "{broken"),
        ("lips-color-changer", "lip_color_infos", 5),
        ("lips-color-changer", "lip_color_infos", [float("nan")]),
        ("lips-color-changer", "lip_color_infos", [object()]),
        ("smart-skin-advanced", "smart_skin", "2"),
        ("smart-skin-advanced", "smart_skin", 1),
        ("try-on-clothes-premium", "resolution", 1025),
        ("try-on-clothes-premium", "restore_face", "true"),
        ("try-on-clothes-premium", "restore_face", 1),
        ("ai-anime-generator", "index", 9),
        ("remove-objects", "mask", 5),
        ("face-attribute-editing", "target", float("nan")),
        ("face-attribute-editing", "target", ["5"]),
    ],
)
def test_another_type_or_value_is_refused_by_name(name, field, value):
    spec = find_endpoint(name)
    filler = {"file": "a.jpg", "string": "a", "integer": 1, "float": 0.5, "json": []}
    fields = {known.name: filler[known.type] for known in spec.fields if known.required}
    fields.pop("task_type", None)
    error = refused(name, **{**fields, field: value})
    assert error.field == field


def test_extra_is_sent_unchecked_at_the_end():
    extra = {"new": 1, "flag": True, "ratio": 0.5, "word": "x", "shape": b"\x89PNG"}
    endpoint = Endpoint("remove-objects", image="a.jpg", mask="b.png", extra=extra)
    assert form_of(endpoint) == [
        ("image", "image.png"),
        ("mask", "image.png"),
        ("new", "1"),
        ("flag", "true"),
        ("ratio", "0.5"),
        ("word", "x"),
        ("shape", "image.png"),
    ]
    unusual = Endpoint("smart-skin-advanced", image="a.jpg", extra={"smart_skin": "2"})
    assert dict(form_of(unusual))["smart_skin"] == "2"
    assert refused("ai-bald", image="a", extra={"image": "b"}).limit == "given once"
    assert refused("ai-bald", image="a", extra={"x": float("nan")}).field == "x"
    assert refused("ai-bald", image="a", extra={"x": None}).field == "x"
    for name in ("", 5, "a b", 'a"', "a\r\nb", "ä"):
        assert refused("ai-bald", image="a", extra={name: "x"}).field == "extra"


# --- pictures


async def test_pictures_are_held_to_the_limits_of_the_endpoint():
    with pytest.raises(InvalidOperation, match="smaller than 4096x4096"):
        await load_parts(Endpoint("remove-objects", image=picture(4096, 10), mask=picture()))
    with pytest.raises(InvalidOperation, match="must be a JPEG file, not PNG"):
        await load_parts(Endpoint("skin-analysis", image=picture()))
    pictures = {"image_target": picture(150, 150), "image_template": picture(200, 200)}
    with pytest.raises(InvalidOperation, match="image_template: must be larger than 200x200"):
        await load_parts(Endpoint("face-fusion", **pictures))


async def test_a_mask_must_have_the_size_of_its_picture_where_that_is_known():
    with pytest.raises(InvalidOperation, match="mask: must be of the size of image"):
        await load_parts(Endpoint("remove-objects", image=picture(), mask=picture(10, 10)))
    assert await load_parts(Endpoint("ai-image-extender", image=picture(), mask=picture(70, 70)))


# --- as values


def test_endpoints_are_frozen_values():
    endpoint = Endpoint("remove-objects", image="a.jpg", mask=b"1234")
    assert repr(endpoint) == "Endpoint('remove-objects', image='a.jpg', mask=<bytes, 4 bytes>)"
    assert repr(Endpoint("ai-flower-wallpaper")) == "Endpoint('ai-flower-wallpaper')"
    assert endpoint == Endpoint("image_remove_objects", mask=b"1234", image="a.jpg")
    assert hash(endpoint) == hash(Endpoint("remove-objects", image="a.jpg", mask=b"1234"))
    assert endpoint != Endpoint("remove-objects", image="a.jpg", mask=b"12345")
    assert pickle.loads(pickle.dumps(endpoint)) == endpoint
    with pytest.raises(AttributeError):
        endpoint.spec = None  # type: ignore[misc]


def test_of_the_class_nothing_is_known_but_its_kind():
    assert Endpoint.name == "endpoint"
    assert Endpoint.path is None
    assert Endpoint.credits is None
