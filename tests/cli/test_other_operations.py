"""``ailab erase``, ``motion`` and ``cartoon``: what is sent, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import make_picture

pytestmark = pytest.mark.usefixtures("clean_place")


@pytest.fixture
def at_once(service):
    """A service that answers with a file, at once or with a task."""

    def answer(method, path):
        if path.startswith("/files/"):
            return 200, make_picture()
        url = f"{service.url}/files/{'a' * 32}.jpg"
        if "anime" in path:
            return 200, {"error_code": 0, "task_id": "T-1", "task_type": "async"}
        if "query" in path:
            return 200, {"error_code": 0, "task_status": 2, "data": {"result_url": url}}
        return 200, {"error_code": 0, "data": {"image_url": url, "url": url}}

    service.answer = answer
    return service


def test_erase_sends_one_mask_with_every_photo(ailab, at_once, photo):
    names = [photo("a.jpg", 90), photo("b.jpg", 90, 90)]
    mask = photo("mask.png", 90, file_format="PNG")
    said = ailab("erase", *names, "--mask", mask, "--url", at_once.url)
    assert said.code == 1
    assert said.lines == ["out/a-1.jpg"]
    assert "b.jpg: the mask must be " in said.err


def test_erase_finds_the_mask_of_each_photo_by_its_name(ailab, at_once, photo):
    for name in "abc":
        photo(f"photos/{name}.jpg", 90)
    for name in ("a.png", "b.jpg"):
        photo(f"masks/{name}", 90)
    said = ailab("erase", "photos", "--masks", "masks", "--url", at_once.url)
    assert said.code == 1
    assert sorted(said.lines) == ["out/a-1.jpg", "out/b-1.jpg"]
    assert said.err.startswith("photos/c.jpg: there is no mask c.* in masks.\n")
    posts = [path for method, path, _ in at_once.seen if method == "POST"]
    # two masks of the same bytes make two pictures of the same: paid for once
    assert posts == ["/api/image/editing/image-erase"]


@pytest.mark.parametrize(("words", "bits"), [(["--sky"], "01"), (["--sky", "--hair"], "11")])
def test_motion_says_what_moves(ailab, at_once, photo, words, bits):
    said = ailab("motion", photo("lake.jpg"), *words, "--url", at_once.url)
    assert (said.code, said.lines) == (0, ["out/lake-1.jpg"])
    assert f'name="operation"\r\n\r\n{bits}\r\n'.encode() in at_once.bodies[0]


@pytest.mark.parametrize(
    ("style", "index"), [("5", b"5"), ("Fairy_Tale-3D", b"1"), ("graceful-chinese", b"8")]
)
def test_cartoon_takes_a_style_by_name_or_number(ailab, at_once, photo, style, index):
    name = photo("me.jpg", 300, 300)
    said = ailab("cartoon", name, "--style", style, "--url", at_once.url)
    assert (said.code, said.lines) == (0, ["out/me-1.jpg"])
    assert b'name="index"\r\n\r\n' + index + b"\r\n" in at_once.bodies[0]


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["erase", "a.jpg"], "give either --mask"),
        (["erase", "a.jpg", "--mask", "m.png", "--masks", "masks"], "give either --mask"),
        (["erase", "a.jpg", "--mask", "gone.png"], "--mask gone.png: there is no such file."),
        (["erase", "a.jpg", "--mask", "grey.png"], "--mask grey.png: must be RGB"),
        (["erase", "a.jpg", "--masks", "gone"], "--masks 'gone' is no folder"),
        (["erase", "a.jpg", "--masks", "empty"], "--masks empty has no pictures in it"),
        (["motion", "a.jpg"], "--sky, --hair, or both"),
        (["cartoon", "a.jpg"], "--style"),
        (["cartoon", "a.jpg", "--style", "9"], "--style must be 0 to 8 or one of vintage-comic"),
        (["cartoon", "a.jpg", "--style", "pop-art"], "not 'pop-art'"),
    ],
)
def test_options_that_are_wrong_are_told_in_one_line(ailab, photo, words, needle):
    photo("a.jpg")
    photo("m.png", file_format="PNG")
    photo("grey.png", mode="L", file_format="PNG")
    Path("empty").mkdir()
    said = ailab(*words)
    assert said.code == 2
    assert needle in said.err
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"ailab {words[0]}: ")


def test_an_operation_that_is_not_listed_at_rapidapi_is_told_once(ailab, photo, monkeypatch):
    monkeypatch.setenv("AILAB_RAPIDAPI_KEY", "secret-key")
    names = [photo("a.jpg"), photo("mask.png", file_format="PNG")]
    said = ailab("erase", names[0], "--mask", names[1], "--service", "rapidapi")
    assert said.code == 2
    assert said.err == (
        "ailab erase: image-erase is not listed at RapidAPI: use --service local or direct.\n"
    )
    assert not Path("out").exists()


def test_two_masks_of_one_name_are_one_too_many(ailab, photo):
    photo("a.jpg")
    for name in ("masks/a.png", "masks/a.jpg"):
        photo(name)
    said = ailab("erase", "a.jpg", "--masks", "masks")
    assert said.code == 2
    assert "have the same name. Keep one." in said.err
