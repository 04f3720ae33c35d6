from __future__ import annotations

import base64
import json

import pytest

from ailab_async.protocol.results import has_result, walk

A, B, C = (f"https://ai-result-rapidapi.ailabtools.com/{name}.png?Signature=x" for name in "abc")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(60))).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(61))).decode()
VIDEO = base64.b64encode(b"\0\0\0\x18ftypmp42" + bytes(60)).decode()
PLAIN = base64.b64encode(b"any bytes at all").decode()


def urls(raw):
    return [(found.path, found.url) for found in walk(raw)]


def blobs(raw):
    return [(found.path, found.base64) for found in walk(raw)]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"data": {"image_url": A}}, "data.image_url"),
        ({"data": {"url": A}}, "data.url"),
        ({"data": {"result_url": A}}, "data.result_url"),
        ({"data": {"image": A}}, "data.image"),
        ({"result_url": A}, "result_url"),
        ({"output": {"image_url": A}, "usage": {"image_count": 1}}, "output.image_url"),
        ({"data": [{"image_url": A}]}, "data[0].image_url"),
        ({"data": json.dumps({"image_url": A})}, "data.image_url"),
        ({"data": A}, "data"),
        ({"data": {"elements": [{"image_url": A}]}}, "data.elements[0].image_url"),
        ({"data": {"cropped_image": A}}, "data.cropped_image"),
        ({"data": {"something_new": {"deep": [[A]]}}}, "data.something_new.deep[0][0]"),
    ],
)
def test_an_address_is_found_wherever_it_stands(raw, path):
    assert urls(raw) == [(path, A)]
    assert has_result(raw)


@pytest.mark.parametrize("name", ["image_list", "images", "result_urls"])
def test_lists_keep_their_order(name):
    found = urls({"data": {name: [C, A, B]}})
    assert found == [(f"data.{name}[{n}]", url) for n, url in enumerate((C, A, B))]


def test_the_same_file_comes_once_at_its_first_place():
    raw = {"data": {"images": [A, A, B], "image_url": B}, "result_url": A}
    assert urls(raw) == [("data.images[0]", A), ("data.images[2]", B)]
    assert blobs({"image": PNG, "data": {"image": PNG}}) == [("image", PNG)]


def test_cutouts_come_with_all_their_parts():
    raw = {"data": {"elements": [{"image_url": A}, {"class_url": {"tops": B, "coat": C}}]}}
    assert urls(raw) == [
        ("data.elements[0].image_url", A),
        ("data.elements[1].class_url.tops", B),
        ("data.elements[1].class_url.coat", C),
    ]


@pytest.mark.parametrize("content", [PNG, JPEG, VIDEO])
@pytest.mark.parametrize(
    ("shape", "path"),
    [
        (lambda text: {"data": {"image": text}}, "data.image"),
        (lambda text: {"data": {"binary_data_base64": [text]}}, "data.binary_data_base64[0]"),
        (lambda text: {"data": {"video": text}}, "data.video"),
        (lambda text: {"image": text}, "image"),
        (lambda text: {"result_image": text}, "result_image"),
        (lambda text: {"result": text}, "result"),
        (lambda text: {"result": {"image": text}}, "result.image"),
        (
            lambda text: {"result": {"left_face_maps": {"red_area": text}}},
            "result.left_face_maps.red_area",
        ),
        (
            lambda text: {"left_side_result": json.dumps({"maps": {"a": text}})},
            "left_side_result.maps.a",
        ),
    ],
)
def test_base64_is_found_wherever_it_stands(content, shape, path):
    assert blobs(shape(content)) == [(path, content)]


def test_base64_of_anything_counts_under_the_names_that_hold_some():
    assert blobs({"data": {"image": PLAIN}}) == [("data.image", PLAIN)]
    assert blobs({"data": {"token": PLAIN * 10}}) == []
    long = base64.b64encode(b"a picture of a format that nobody knows yet " * 3).decode()
    assert blobs({"result": long}) == [("result", long)]
    assert blobs({"data": {"result": long}}) == []


def test_base64_may_have_a_prefix_or_line_ends():
    assert blobs({"image": f"data:image/png;base64,{PNG}"}) == [("image", PNG)]
    broken = f"{PNG[:40]}\r\n{PNG[40:]}\n"
    assert blobs({"image": broken}) == [("image", broken)]


def test_megabytes_of_base64_are_found():
    content = base64.b64encode(b"\xff\xd8\xff" + bytes(3 * 2**20)).decode()
    assert blobs({"data": {"video": content}}) == [("data.video", content)]


@pytest.mark.parametrize(
    "raw",
    [
        {"data": None},
        {"data": {}},
        {"data": []},
        {"data": {"image_list": []}},
        {"data": ""},
        {"data": "text"},
        {"data": "{broken"},
        {"data": {"score": 87.5, "exposure": 1}},
        {"result": {"face_num": 1, "face_list": [{"angle": {"yaw": 1.5}}]}},
        {"result": "success"},
        {"data": {"status": "PROCESSING", "image": ""}},
        {"data": {"image": "not base64!"}},
        {"data": {"image": "abc"}},
        {"error_msg": A, "error_detail": {"message": A}, "request_id": A, "task_id": A},
        {"message": A, "log_id": PNG, "usage": {"doc": A}},
        {"data": {"text": f"see {A}"}},
        {"data": {"url": "https://"}},
        {"data": {"url": "ftp://h/a.png"}},
        None,
        [],
        "text",
        5,
    ],
)
def test_what_holds_no_file_gives_none(raw):
    assert walk(raw) == ()
    assert not has_result(raw)


def test_depth_does_not_matter():
    raw: object = A
    for _ in range(5000):
        raw = {"a": [raw]}
    assert len(walk(raw)) == 1


def test_strings_of_json_are_opened_a_few_times_only():
    text = json.dumps({"image_url": A})
    for _ in range(6):
        text = json.dumps({"data": text})
    assert walk({"data": text}) == ()


def test_found_files_do_not_show_their_content():
    assert "Signature" not in repr(walk({"data": {"url": A}}))
    assert PNG not in repr(walk({"image": PNG}))
