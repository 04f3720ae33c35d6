"""``ailab call``, ``task``, ``credits``, ``catalogue``: one thing, once."""

from __future__ import annotations

import base64
import json
import signal
import threading
from pathlib import Path

import pytest

from .conftest import make_picture, refusal
from .test_command_processes import needs_signals, start

pytestmark = pytest.mark.usefixtures("clean_place")


def file_url(service):
    return f"{service.url}/files/{'a' * 32}.jpg"


# --- call ---------------------------------------------------------------------------------------


def test_call_prints_the_answer_and_saves_its_files(ailab, service, photo):
    def answer(method, path):
        if method == "POST":
            return 200, {"error_code": 0, "data": {"image_url": file_url(service)}}
        return 200, make_picture()

    service.answer = answer
    words = [f"image=@{photo('street.jpg')}", f"mask=@{photo('poles.png', file_format='PNG')}"]
    said = ailab("call", "remove-objects", *words, "--url", service.url)
    assert said.code == 0
    assert json.loads(said.out)["data"]["image_url"] == file_url(service)
    assert said.err.splitlines() == [
        f"Service: local ({service.url})",
        f"Saved {Path('out/street-1.jpg')}",
    ]
    assert service.seen[0][1] == "/api/image/editing/remove-objects"


def test_call_names_the_file_instead_of_printing_its_bytes(ailab, service, photo):
    whole = base64.b64encode(make_picture()).decode()
    service.answer = lambda *_: (200, {"error_code": 0, "data": {"image": whole}})
    words = [f"image=@{photo('a.jpg')}", f"mask=@{photo('m.png', file_format='PNG')}"]
    said = ailab("call", "remove-objects", *words, "--url", service.url, "--quiet")
    assert said.code == 0
    assert said.err == ""
    assert json.loads(said.out)["data"]["image"] == f"saved as {Path('out/a-1.jpg')}"


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["remove-object", "image=@a.jpg"], "Nearest: remove-objects"),
        (["remove-objects", "image=a.jpg", "mask=@m.png"], "write image=@a.jpg"),
        (["remove-objects", "image=@a.jpg"], "mask must be given, not missing"),
        (["remove-objects", "a.jpg"], "name=value, or name=@file, not 'a.jpg'"),
        (["remove-objects", "image=@a", "image=@b"], "a field is given twice"),
        (
            ["remove-objects", "image=@a", "mask=@m", "fit=1"],
            "fit is no field of remove-objects (image, mask)",
        ),
        (["ai-anime-generator", "image=@a", "index=one"], "index must be a whole number"),
    ],
)
def test_call_says_which_field_is_wrong(ailab, words, needle):
    said = ailab("call", *words)
    assert said.code == 2
    assert said.err.startswith("ailab call: ")
    assert needle in said.err
    assert said.err.count("\n") == 1


def test_call_has_the_exit_code_of_the_refusal(ailab, service, photo):
    service.answer = lambda *_: refusal(429, "ERROR_NOT_ENOUGH_CREDITS")
    words = [f"image=@{photo('a.jpg')}", f"mask=@{photo('m.png', file_format='PNG')}"]
    said = ailab("call", "remove-objects", *words, "--url", service.url)
    assert said.code == 3
    assert "ERROR_NOT_ENOUGH_CREDITS" in said.err.splitlines()[-1]


# --- task ---------------------------------------------------------------------------------------


def test_task_waits_and_saves(ailab, service):
    looks = []

    def answer(method, path):
        if path.startswith("/files/"):
            return 200, make_picture()
        looks.append(path)
        urls = [file_url(service), file_url(service).replace("a.jpg", "b.jpg")]
        state = {"task_status": 2, "data": {"image_list": urls}} if len(looks) > 2 else {}
        return 200, {"error_code": 0, "task_status": 1, **state}

    service.answer = answer
    said = ailab("task", "T-1", "--operation", "color", "--name", "harbour", "--url", service.url)
    assert said.code == 0
    assert said.lines == [str(Path("out/harbour-1.jpg")), str(Path("out/harbour-2.jpg"))]
    assert all("task_id=T-1" in path for path in looks)
    again = ailab("task", "T-1", "--name", "harbour", "--url", service.url)
    assert again.code == 5
    assert "--overwrite replaces it" in again.err


@pytest.mark.parametrize(
    ("words", "code", "needle"),
    [
        (["T-1"], 2, "the engine inside the command has no tasks of other commands"),
        ([""], 2, "the task id is empty"),
        (["T-1", "--operation", "recolor"], 2, "an endpoint of the catalogue"),
    ],
)
def test_task_says_what_cannot_be(ailab, words, code, needle):
    said = ailab("task", *words)
    assert said.code == code
    assert needle in said.err.splitlines()[-1]


def test_task_that_nobody_knows_is_a_failure(ailab, service):
    service.answer = lambda *_: refusal(404, "ERROR_TASK_NOT_EXISTS")
    said = ailab("task", "T-1", "--url", service.url, "--json")
    assert said.code == 1
    assert said.out == ""


@needs_signals
def test_task_can_be_left_and_says_how_to_go_on(service):
    looked = threading.Event()

    def answer(method, path):
        looked.set()
        return 200, {"error_code": 0, "task_status": 1}

    service.answer = answer
    process = start("task", "T-1", "--url", service.url)
    assert looked.wait(20)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    last = err.decode().splitlines()[-1]
    assert last == "Interrupted. It goes on at the service: ailab task T-1"


# --- credits, catalogue -------------------------------------------------------------------------


def test_credits_of_the_local_engine_are_none(ailab):
    said = ailab("credits")
    assert (said.code, said.out) == (0, "")
    assert said.err.splitlines()[-1] == "The local engine costs nothing."
    assert ailab("credits", "--json").out == "[]\n"


def test_credits_are_a_line_for_each_kind():
    from ailab_async import CreditBalance
    from ailab_async.cli.account import _table

    lines = _table(
        (
            CreditBalance(unique_sign="common", balance=1234.5, total=2000),
            CreditBalance(unique_sign="x", name="Erase"),
        )
    )
    assert lines == ["credits for every API     1,234.5 of 2,000", "Erase" + " " * 27 + "? of ?"]


def test_catalogue_is_searched_by_words(ailab):
    everything = ailab("catalogue").lines
    assert everything[0].split() == ["name", "credits", "answers", "title"]
    assert len(everything) > 80
    assert max(map(len, everything)) < 120
    found = ailab("catalogue", "remove", "PRO").lines
    assert any(line.startswith("remove-objects-pro") for line in found)
    assert 0 < len(found) < 20


def test_catalogue_explains_what_is_the_only_one(ailab):
    lines = ailab("catalogue", "remove-objects").lines
    assert lines[0] == "remove-objects: Remove Objects"
    assert "  image=@FILE" in lines
    (spec,) = json.loads(ailab("catalogue", "remove-objects", "--json").out)
    assert spec["credits"] == 5
    assert [known["name"] for known in spec["fields"]] == ["image", "mask"]


def test_catalogue_helps_with_what_is_not_in_it(ailab):
    said = ailab("catalogue", "remove-obiects")
    assert said.code == 2
    assert "Nearest: remove-objects" in said.err
