"""What the engine answers: pictures, states, and every refusal in the service's own envelope."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ailab_async.errors import InvalidOperation
from ailab_async.local import LocalEngine
from ailab_async.local.answers import Code
from ailab_async.protocol.codes import CODES
from ailab_async.protocol.services import DIRECT_PATHS

from .conftest import QUERY, SUBMIT, make_damaged

NOT_OFFERED = [
    "/api/image/effects/image-style-migration",
    "/api/image/editing/remove-objects-pro",
    "/image/effects/nothing",
    "/page",
    "/files/",
]


def opened(answer):
    return Image.open(io.BytesIO(answer.content))


def assert_envelope(answer, status, code):
    body = answer.json()
    assert answer.status_code == status
    assert body["error_code"] == status
    assert body["error_detail"]["status_code"] == status
    assert body["error_detail"]["code"] == code
    assert body["error_detail"]["message"]
    assert body["request_id"]
    assert "Traceback" not in answer.text
    return body["error_detail"]["message"]


# --- good answers -------------------------------------------------------------------------------


async def test_a_submission_is_answered_as_the_service_does(talk, picture):
    answer = await talk.post(picture())
    body = answer.json()
    assert answer.status_code == 200
    assert body["error_code"] == 0
    assert body["task_type"] == "async"
    assert body["task_id"]
    assert body["request_id"]
    assert body["log_id"]
    assert body["error_detail"] == {
        "status_code": 200,
        "code": "",
        "code_message": "",
        "message": "",
    }


async def test_a_task_goes_from_queued_to_success(talk):
    task_id = await talk.submit()
    first = (await talk.look(task_id)).json()
    assert first["task_status"] in {0, 1}
    assert first["data"]["image_list"] == []
    last = (await talk.end_of(task_id)).json()
    assert last["task_status"] == 2
    assert len(last["data"]["image_list"]) == 1


async def test_auto_makes_as_many_different_pictures_as_asked_for(talk, picture):
    files = await talk.pictures(await talk.submit(color_count="3", degree="1"))
    pixels = [np.asarray(opened(file)) for file in files]
    source = np.asarray(Image.open(io.BytesIO(picture())))
    assert len(pixels) == 3
    assert all(one.shape == source.shape for one in pixels)
    everything = [source, *pixels]
    for number, one in enumerate(everything):
        for other in everything[number + 1 :]:
            assert np.abs(one.astype(int) - other).mean() > 5


async def test_template_and_reference_make_one_picture(talk, picture):
    template = await talk.submit(mode="TEMPLATE", color_template="056A6B,C0392B", degree="0.8")
    reference = await talk.submit(mode="REF_PIC", ref=picture(70, 70, file_format="PNG"))
    for task_id in (template, reference):
        (file,) = await talk.pictures(task_id)
        assert opened(file).size == (96, 80)


@pytest.mark.parametrize(("file_format", "media"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
async def test_a_result_has_the_format_of_its_picture(talk, picture, file_format, media):
    (file,) = await talk.pictures(await talk.submit(picture(file_format=file_format)))
    assert opened(file).format == file_format
    assert file.headers["content-type"] == media
    assert int(file.headers["content-length"]) == len(file.content)


async def test_a_file_address_is_built_from_the_request(talk):
    task_id = await talk.submit()
    await talk.end_of(task_id)
    headers = {"host": "pictures.example:8080"}
    answer = await talk.http.get(QUERY, params={"task_id": task_id}, headers=headers)
    (url,) = answer.json()["data"]["image_list"]
    assert url.startswith("http://pictures.example:8080/files/")


async def test_fields_that_are_left_out_have_the_documented_defaults(talk, picture):
    bare = await talk.http.post(SUBMIT, files={"image": ("image.jpg", picture())})
    (default,) = await talk.pictures(bare.json()["task_id"])
    spelled = await talk.submit(mode="AUTO", degree="0.4", color_count="1")
    (same,) = await talk.pictures(spelled)
    assert default.content == same.content


async def test_there_are_always_credits(talk):
    body = (await talk.http.get(DIRECT_PATHS["credits"])).json()
    (account,) = body["data"]
    assert account["unique_sign"] == "common"
    assert account["balance"] >= 1000
    assert body["error_code"] == 0


async def test_health_says_how_much_is_going_on(talk):
    body = (await talk.http.get("/healthz")).json()
    assert body["status"] == "ok"
    assert (body["waiting"], body["busy"], body["workers"]) == (0, 0, 0)
    await talk.end_of(await talk.submit())
    assert (await talk.http.get("/healthz")).json()["workers"] == 1


# --- refusals -----------------------------------------------------------------------------------


def test_every_code_of_the_engine_is_one_of_the_service():
    assert set(Code.__members__) <= set(CODES)


def test_the_page_about_the_engine_lists_every_code_with_its_status():
    page = Path(__file__).parents[2] / "docs" / "local-engine.md"
    text = page.read_text(encoding="utf-8")
    told = set(re.findall(r"\b(\d{3})(?: \||,? )?\s*(?:\| )?`([A-Z_]{8,})`", text))
    missing = {name for name in Code.__members__ if name not in text}
    assert missing <= {"ERROR_INVALID_FILE"}
    assert all(CODES[code].http_status == int(status) for status, code in told)
    assert len(told) > 15


@pytest.mark.parametrize("path", NOT_OFFERED)
async def test_what_the_engine_does_not_offer_is_answered_like_a_retired_endpoint(talk, path):
    for method in ("GET", "POST"):
        answer = await talk.http.request(method, path)
        assert_envelope(answer, 404, "ERROR_AI_NOT_EXISTS")
        message = answer.json()["error_detail"]["message"]
        assert "remove-objects" in message
        assert "AILAB_API_KEY" in message


async def test_the_wrong_method_is_refused(talk):
    assert_envelope(await talk.http.get(SUBMIT), 403, "ERROR_ILLEGAL_OPERATION")
    assert_envelope(await talk.http.post(QUERY), 403, "ERROR_ILLEGAL_OPERATION")


@pytest.mark.parametrize("task_id", ["", "nobody", "1788109088348.1e968d25-86f6-cef9", "../.."])
async def test_an_unknown_task_is_not_found(talk, task_id):
    assert_envelope(await talk.look(task_id), 404, "ERROR_RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    "name",
    ["nothing.jpg", "a" * 32 + ".jpg", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a" * 32 + ".upload"],
)
async def test_only_results_are_served_as_files(talk, name):
    answer = await talk.http.get(f"/files/{name}")
    assert answer.status_code == 404
    assert answer.json()["error_detail"]["code"] in {"ERROR_FILE_NOT_FOUND", "ERROR_AI_NOT_EXISTS"}


async def test_uploads_are_served_to_nobody(talk, picture):
    name = await talk.engine.store.put(picture())
    assert_envelope(await talk.http.get(f"/files/{name}"), 404, "ERROR_FILE_NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"task_type": "sync"}, "task_type"),
        ({"mode": "auto"}, "mode"),
        ({"mode": "NONE"}, "mode"),
        ({"degree": "1.1"}, "degree"),
        ({"degree": "-0.1"}, "degree"),
        ({"degree": "nan"}, "degree"),
        ({"degree": "4e-1"}, "degree"),
        ({"degree": ""}, "degree"),
        ({"color_count": "0"}, "color_count"),
        ({"color_count": "9"}, "color_count"),
        ({"color_count": "1.0"}, "color_count"),
        ({"color_count": "²"}, "color_count"),
        ({"color_count": "9" * 5000}, None),
        ({"mode": "TEMPLATE"}, "color_template"),
        ({"mode": "TEMPLATE", "color_template": "#FFF"}, "color_template"),
        ({"mode": "TEMPLATE", "color_template": ",".join(["056A6B"] * 8)}, "color_template"),
        ({"mode": "TEMPLATE", "color_template": "056A6B", "color_count": "2"}, "color_count"),
        ({"color_template": "056A6B"}, "color_template"),
        ({"mode": "REF_PIC"}, "ref"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(talk, picture, fields, named):
    answer = await talk.post(picture(), **fields)
    if named is None:
        assert_envelope(answer, 400, "ERROR_PARAMETERS")
    else:
        message = assert_envelope(answer, 400, "UNSUPPORTED_PARAMETER_VALUES")
        assert named in message
    assert talk.engine.queue.waiting == 0


async def test_a_missing_picture_is_refused_in_the_words_of_the_service(talk):
    files = {"other": ("image.jpg", b"x")}
    for answer in (
        await talk.http.post(SUBMIT, files=files),
        await talk.http.post(SUBMIT, files={"image": ("image.jpg", b"")}),
    ):
        message = assert_envelope(answer, 400, "UNSUPPORTED_PARAMETER_VALUES")
        assert message == "Invalid parameter values. - image: Cannot be empty."


async def test_a_picture_as_text_is_refused(talk):
    answer = await talk.http.post(SUBMIT, files={"mode": (None, "AUTO"), "image": (None, "abc")})
    assert_envelope(answer, 400, "UNSUPPORTED_PARAMETER_VALUES")


async def test_a_field_that_is_given_twice_is_refused(talk, picture):
    files = [("image", ("a.jpg", picture())), ("image", ("b.jpg", picture()))]
    answer = await talk.http.post(SUBMIT, files=files)
    assert_envelope(answer, 400, "UNSUPPORTED_PARAMETER_VALUES")


def padded(data, size):
    """Make a JPEG larger without changing its picture."""
    return data + b"\0" * (size - len(data))


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda p: padded(p(), 3 * 2**20 + 1), 413, "FILE_SIZE_EXCEEDS_LIMIT"),
        (lambda _: b"no picture at all", 415, "UNSUPPORTED_FILE_TYPES"),
        (lambda p: p(file_format="BMP"), 415, "UNSUPPORTED_FILE_TYPES"),
        (lambda p: p(mode="P", file_format="GIF"), 415, "UNSUPPORTED_FILE_TYPES"),
        (lambda p: p(64, 80), 422, "ERROR_LOW_RESOLUTION"),
        (lambda p: p(80, 10000), 413, "FILE_RESOLUTION_EXCEEDS_LIMITS"),
        (lambda p: p(mode="L"), 415, "ERROR_UNSUPPORTED_GRAYSCALE_IMAGE"),
        (lambda p: p(mode="RGBA", file_format="PNG"), 415, "ERROR_UNSUPPORTED_GRAYSCALE_IMAGE"),
        (lambda p: p()[:200], 422, "FILE_DECODING_FAILURE"),
        (lambda p: p()[:-20], 422, "FILE_DECODING_FAILURE"),
    ],
    ids=["bytes", "text", "bmp", "gif", "small", "large", "grey", "alpha", "header", "cut"],
)
async def test_a_picture_that_breaks_a_limit_is_refused(talk, picture, make, status, code):
    data = make(picture)
    assert_envelope(await talk.post(data), status, code)
    answer = await talk.post(picture(), mode="REF_PIC", ref=data)
    assert "ref" in assert_envelope(answer, status, code)


async def test_exactly_three_megabytes_are_taken(talk, picture):
    answer = await talk.post(padded(picture(), 3 * 2**20))
    assert answer.status_code == 200


async def test_a_picture_that_breaks_while_it_is_decoded_is_a_failed_task(talk):
    task_id = await talk.submit(make_damaged())
    assert_envelope(await talk.end_of(task_id), 422, "FILE_DECODING_FAILURE")
    assert (await talk.end_of(await talk.submit())).status_code == 200


async def test_a_body_that_is_no_form_is_refused(talk):
    for body, kind in [
        (b"{}", "application/json"),
        (b"rubbish", "multipart/form-data; boundary=x"),
        (b"rubbish", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x"),
    ]:
        answer = await talk.http.post(SUBMIT, content=body, headers={"content-type": kind})
        assert answer.status_code == 400
        assert answer.json()["error_detail"]["code"] in {
            "ERROR_PARAMETERS",
            "UNSUPPORTED_PARAMETER_VALUES",
        }


async def test_more_files_or_fields_than_an_operation_has_are_refused(talk):
    files = [(f"f{number}", ("a.jpg", b"x")) for number in range(3)]
    assert_envelope(await talk.http.post(SUBMIT, files=files), 400, "ERROR_PARAMETERS")
    fields = [(f"f{number}", (None, "x")) for number in range(40)]
    assert_envelope(await talk.http.post(SUBMIT, files=fields), 400, "ERROR_PARAMETERS")


async def test_a_body_that_is_too_large_is_never_read_whole(talk):
    handed_out = 0

    async def endless():
        nonlocal handed_out
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while True:
            handed_out += 2**16
            yield bytes(2**16)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await talk.http.post(SUBMIT, content=endless(), headers=headers)
    assert_envelope(answer, 413, "ERROR_REQUEST_BODY_TOO_LARGE")
    assert handed_out < 10 * 2**20


async def test_a_body_that_is_declared_too_large_is_not_read_at_all(talk):
    asked = False

    async def body():
        nonlocal asked
        asked = True
        yield b""

    headers = {
        "content-type": "multipart/form-data; boundary=x",
        "content-length": str(9 * 2**20),
    }
    answer = await talk.http.post(SUBMIT, content=body(), headers=headers)
    assert_envelope(answer, 413, "ERROR_REQUEST_BODY_TOO_LARGE")
    assert not asked


async def test_a_body_of_memoryviews_is_read(talk, picture):
    async def views():
        head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for piece in (head, picture(), b"\r\n--x--\r\n"):
            yield memoryview(piece)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await talk.http.post(SUBMIT, content=views(), headers=headers)
    assert answer.status_code == 200


async def test_a_bug_is_answered_without_its_details_and_logged(talk, monkeypatch, caplog):
    def broken(task_id):
        message = f"/secret/path {task_id}"
        raise KeyError(message)

    monkeypatch.setattr(talk.engine.queue, "find", broken)
    with caplog.at_level(logging.ERROR):
        answer = await talk.look("x")
    assert_envelope(answer, 500, "UNKNOWN_ERROR")
    assert "secret" not in answer.text
    assert "secret" in caplog.text


# --- keys ---------------------------------------------------------------------------------------


async def test_without_keys_every_key_is_accepted(talk):
    for headers in ({}, {"ailabapi-api-key": "anything"}):
        answer = await talk.http.get(DIRECT_PATHS["credits"], headers=headers)
        assert answer.status_code == 200


@pytest.mark.parametrize("key", [None, "", "wrong", "key-one ", "key-on", "schlüssel".encode()])
async def test_with_keys_no_other_is_accepted(talk_to, picture, key):
    async with talk_to(keys=("key-one", "key-two")) as talk:
        headers = {} if key is None else {"ailabapi-api-key": key}
        for path in DIRECT_PATHS.values():
            answer = await talk.http.get(path, headers=headers)
            assert_envelope(answer, 401, "ERROR_USER_NOT_EXISTS")
        answer = await talk.post(picture(), headers=headers)
        assert_envelope(answer, 401, "ERROR_USER_NOT_EXISTS")


@pytest.mark.parametrize("keys", ["secret", [""], ["good", ""]])
def test_what_can_be_no_list_of_keys_is_refused(keys):
    with pytest.raises(InvalidOperation, match="keys") as caught:
        LocalEngine(keys=keys)
    assert "secret" not in str(caught.value)


async def test_each_key_is_accepted_and_files_need_none(talk_to):
    async with talk_to(keys=("key-one", "key-two")) as talk:
        for key in ("key-one", "key-two"):
            headers = {"ailabapi-api-key": key}
            answer = await talk.http.get(DIRECT_PATHS["credits"], headers=headers)
            assert answer.status_code == 200
        task_id = await talk.submit(headers={"ailabapi-api-key": "key-one"})
        talk.http.headers["ailabapi-api-key"] = "key-two"
        url = (await talk.end_of(task_id)).json()["data"]["image_list"][0]
        del talk.http.headers["ailabapi-api-key"]
        assert (await talk.http.get(url)).status_code == 200
        assert (await talk.http.get("/healthz")).status_code == 200
