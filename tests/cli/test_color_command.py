"""``ailab color``: what it makes, what it refuses, what it says and how it exits."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from ailab_async import errors
from ailab_async.cli.exits import MEANINGS, exit_for_all, stops_everything

from .conftest import make_picture, refusal

pytestmark = pytest.mark.usefixtures("clean_place")


COMMANDS = (
    *("color", "erase", "motion", "cartoon", "serve", "call", "task", "credits", "catalogue"),
    *("journal show", "journal retry", "journal export", "completion"),
)


def everything():
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def opened(path):
    return Image.open(io.BytesIO(Path(path).read_bytes()))


def one_line(text):
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text.rstrip()


# --- good runs ----------------------------------------------------------------------------------


def test_a_photo_is_coloured_and_its_file_named(ailab, photo):
    said = ailab("color", photo("harbour.jpg"))
    assert said.code == 0
    assert said.lines == [str(Path("out/harbour-1.jpg"))]
    assert opened("out/harbour-1.jpg").size == (96, 80)
    assert opened("out/harbour-1.jpg").tobytes() != opened("harbour.jpg").tobytes()


def test_the_service_is_named_before_anything_else(ailab, photo):
    said = ailab("color", photo("harbour.jpg"))
    first = said.err.splitlines()[0]
    assert first.startswith("Service: local ")
    assert "AILAB_API_KEY is not set" in first


def test_every_mode_makes_its_number_of_files(ailab, photo):
    name = photo("a.png", file_format="PNG")
    assert ailab("color", name, "--colors", "3").lines == [
        "out/a-1.png",
        "out/a-2.png",
        "out/a-3.png",
    ]
    said = ailab("color", name, "--template", "#056A6B, c0392b", "--out", "t", "--degree", "1")
    assert said.lines == ["t/a-1.png"]
    said = ailab("color", name, "--ref", photo("other.jpg", 80, 80), "--out", "r")
    assert said.lines == ["r/a-1.png"]
    assert said.code == 0


def test_several_photos_are_summed_up(ailab, photo):
    said = ailab("color", photo("a.jpg"), photo("b.jpg"), "--colors", "2")
    assert said.code == 0
    assert sorted(said.lines) == [f"out/{name}-{n}.jpg" for name in "ab" for n in (1, 2)]
    assert said.err.splitlines()[-1] == "2 of 2 pictures done, 4 files made."


def test_one_bad_photo_costs_the_others_nothing(ailab, photo):
    Path("bad.jpg").write_bytes(b"no photo")
    said = ailab("color", "bad.jpg", photo("a.jpg"), "missing.jpg", photo("b.jpg"))
    assert said.code == 1
    assert sorted(said.lines) == ["out/a-1.jpg", "out/b-1.jpg"]
    assert "bad.jpg: must be a picture" in said.err
    assert "missing.jpg: there is no such file." in said.err


def test_quiet_says_nothing_but_errors(ailab, photo):
    said = ailab("color", photo("a.jpg"), "missing.jpg", "--quiet")
    assert said.code == 1
    assert said.out == ""
    assert one_line(said.err) == "missing.jpg: there is no such file."
    assert Path("out/a-1.jpg").exists()


def test_json_is_one_object_a_photo(ailab, photo):
    said = ailab("color", photo("a.jpg"), "missing.jpg", "--json", "--colors", "2")
    assert said.code == 1
    assert said.err == ""
    found = {one["photo"]: one for one in said.objects}
    good, bad = found["a.jpg"], found["missing.jpg"]
    assert good["ok"] is True
    assert good["files"] == ["out/a-1.jpg", "out/a-2.jpg"]
    assert good["service"] == "local"
    assert good["task_id"]
    assert good["seconds"] > 0
    assert good["error"] is None
    assert bad["ok"] is False
    assert bad["files"] == []
    assert bad["error"]["reason"] == "bad_input"
    assert bad["error"]["message"] == "there is no such file."


def test_json_tells_the_code_of_the_service(ailab, photo, service):
    service.answer = lambda *_: refusal(429, "ERROR_NOT_ENOUGH_CREDITS")
    said = ailab("color", photo("a.jpg"), "--json", "--url", service.url)
    (found,) = said.objects
    assert said.code == 3
    assert found["error"]["reason"] == "refused"
    assert found["error"]["type"] == "CreditsExhausted"
    assert found["error"]["code"] == "ERROR_NOT_ENOUGH_CREDITS"
    assert found["error"]["http_status"] == 429
    assert found["error"]["request_id"] == "R-1"


def test_names_are_never_read_as_markup_or_obeyed_by_the_terminal(ailab, photo):
    said = ailab("color", photo("[red]dunes 50%.jpg"))
    assert said.code == 0
    assert "[red]" in said.out
    said = ailab("color", "gone\x1b[31m.jpg")
    assert said.code == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_goes_through(ailab, tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(make_picture())
    said = ailab("color", os.fsdecode(raw), "--json")
    assert said.code == 0
    (found,) = said.objects
    assert Path(found["files"][0]).exists()


# --- bad input: one clear line, nothing written, nothing sent -----------------------------------


def text_file():
    Path("photo.jpg").write_text("hello, I am text")


def padded():
    data = make_picture()
    Path("photo.jpg").write_bytes(data + bytes(3 * 2**20 + 1 - len(data)))


def picture(*size, **options):
    return lambda: Path("photo.jpg").write_bytes(make_picture(*size, **options))


@pytest.mark.parametrize(
    ("prepare", "needle"),
    [
        (lambda: None, "no such file"),
        (lambda: Path("photo.jpg").mkdir(), "folder"),
        (lambda: Path("photo.jpg").touch(), "empty"),
        (text_file, "must be a picture"),
        (picture(mode="L", file_format="PNG"), "three channels"),
        (picture(mode="RGBA", file_format="PNG"), "three channels"),
        (picture(64, 64), "larger than 64x64"),
        (picture(10000, 100), "smaller than 10000x10000"),
        (padded, "3 MB"),
        (picture(file_format="BMP"), "PNG or JPEG"),
        (lambda: Path("photo.jpg").write_bytes(make_picture()[:300]), "JPEG"),
    ],
    ids=["none", "folder", "empty", "text", "grey", "rgba", "small", "huge", "bytes", "bmp", "cut"],
)
@pytest.mark.parametrize("place", ["photo", "ref"])
def test_an_unusable_photo_is_refused(ailab, photo, service, prepare, needle, place):
    prepare()
    words = ["photo.jpg"] if place == "photo" else [photo("good.jpg"), "--ref", "photo.jpg"]
    before = everything()
    said = ailab("color", *words, "--url", service.url)
    assert said.code == 2
    assert said.out == ""
    *others, line = said.err.splitlines()
    assert others in ([], [f"Service: local ({service.url})"])
    assert "photo.jpg" in line
    assert needle in line
    assert service.seen == []
    assert everything() == before
    assert not Path("out").exists()


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("words", "needles"),
    [
        (["--degree", "1.1"], ["--degree", "0 to 1", "1.1"]),
        (["--degree", "-0.1"], ["--degree"]),
        (["--degree", "nan"], ["--degree", "0 to 1", "nan"]),
        (["--degree", "inf"], ["--degree"]),
        (["--degree", "strong"], ["--degree", "strong"]),
        (["--colors", "9"], ["--colors", "1 to 8", "9"]),
        (["--colors", "0"], ["--colors"]),
        (["--colors", "1.5"], ["--colors", "1.5"]),
        (["--template", ",".join(["056A6B"] * 9)], ["--template", "1 to 7", "9"]),
        (["--template", "#FFF"], ["--template", "six", "#FFF"]),
        (["--template", ""], ["--template"]),
        (["--mode", "template"], ["--template"]),
        (["--mode", "template", "--colors", "2"], ["--colors", "auto"]),
        (["--template", "056A6B", "--colors", "2"], ["--colors", "--template"]),
        (["--mode", "ref"], ["--ref"]),
        (["--mode", "auto", "--ref", "good.jpg"], ["--ref", "auto"]),
        (["--mode", "sepia"], ["--mode", "sepia"]),
        (["--service", "direct"], ["AILAB_API_KEY", "--service local"]),
        (["--service", "rapidapi"], ["AILAB_RAPIDAPI_KEY"]),
        (["--service", "direct", "--url", "http://127.0.0.1:1"], ["--url"]),
        (["--path", "/submit"], ["--path", "rapidapi"]),
        (["--url", "example"], ["--url", "example"]),
        (["--colour", "2"], ["--colour"]),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_wrong_options_are_refused(ailab, photo, words, needles):
    photo("good.jpg")
    said = ailab("color", "good.jpg", *words)
    assert said.code == 2
    assert said.out == ""
    line = one_line(said.err)
    assert line.startswith("ailab")
    for needle in needles:
        assert needle in line
    assert everything() == ["good.jpg"]


@pytest.mark.usefixtures("nothing_sent")
def test_rapidapi_asks_for_the_path_that_is_published_nowhere_else(ailab, photo, monkeypatch):
    monkeypatch.setenv("AILAB_RAPIDAPI_KEY", "secret-key")
    said = ailab("color", photo("a.jpg"), "--service", "rapidapi")
    assert said.code == 2
    assert "--path" in one_line(said.err)
    assert "secret-key" not in said.err


def test_no_photo_and_no_command_are_wrong_usage(ailab):
    for words in (["color"], [], ["paint"]):
        said = ailab(*words)
        assert said.code == 2
        assert one_line(said.err).startswith("ailab")


@pytest.mark.parametrize("words", [[], ["--service", "direct"]])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(ailab, photo, monkeypatch, words):
    monkeypatch.setenv("AILAB_API_KEY", "two words")
    said = ailab("color", photo("a.jpg"), *words)
    assert said.code == 2
    assert "key" in one_line(said.err)
    assert "two words" not in said.err
    assert not Path("out").exists()


# --- the folder and the names in it -------------------------------------------------------------


@pytest.mark.usefixtures("nothing_sent")
def test_a_folder_that_cannot_be_written_ends_the_run(ailab, photo):
    Path("file").touch()
    said = ailab("color", photo("a.jpg"), "--out", "file/out")
    assert said.code == 5
    assert "file/out" in one_line(said.err)
    assert "Nothing was sent" in said.err


@pytest.mark.usefixtures("nothing_sent")
def test_a_read_only_folder_ends_the_run(ailab, photo, monkeypatch):
    def refuse(**options):
        raise PermissionError(13, "Permission denied", str(options["dir"]))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    said = ailab("color", photo("a.jpg"), "--out", "deep/out")
    assert said.code == 5
    assert "Permission denied" in one_line(said.err)
    assert not Path("deep").exists()


@pytest.mark.parametrize("ending", ["jpg", "png", "JPEG", "webp"])
def test_existing_results_are_kept_and_new_ones_get_another_name(ailab, photo, ending):
    there = Path(f"out/harbour-2.{ending}")
    there.parent.mkdir()
    there.write_text("mine")
    said = ailab("color", photo("harbour.jpg"), "--colors", "2")
    assert said.code == 0
    assert said.lines == ["out/harbour_2-1.jpg", "out/harbour_2-2.jpg"]
    assert there.read_text() == "mine"


def test_files_of_other_names_are_no_hindrance(ailab, photo):
    Path("out").mkdir()
    for name in ("harbour-a.jpg", "harbour.jpg", "old-harbour-1.jpg"):
        Path("out", name).write_text("mine")
    assert ailab("color", photo("harbour.jpg")).lines == ["out/harbour-1.jpg"]


def test_overwrite_replaces_existing_results(ailab, photo):
    name = photo("harbour.jpg")
    Path("out").mkdir()
    Path("out/harbour-1.jpg").write_text("old")
    assert ailab("color", name, "--overwrite").code == 0
    assert opened("out/harbour-1.jpg").size == (96, 80)


@pytest.mark.usefixtures("nothing_sent")
def test_a_photo_is_never_replaced_by_a_result(ailab, photo):
    photo("x.jpg")
    ref = photo("x-1.jpg")
    before = Path(ref).read_bytes()
    said = ailab("color", "x.jpg", "--ref", ref, "--out", ".", "--overwrite")
    assert said.code == 5
    assert "x-1.jpg" in one_line(said.err)
    assert Path(ref).read_bytes() == before


@pytest.mark.parametrize("words", [[], ["--overwrite"]])
def test_photos_of_one_name_do_not_replace_each_other(ailab, photo, words):
    names = [photo("a/X.jpg"), photo("b/x.png", 90, file_format="PNG")]
    said = ailab("color", *names, *words)
    assert said.code == 0
    made = {path.name.lower() for path in Path("out").iterdir()}
    assert made in ({"x-1.jpg", "x_2-1.png"}, {"x_2-1.jpg", "x-1.png"})


# --- the service says no, or nothing ------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "needle"),
    [
        (401, "ERROR_USER_NOT_EXISTS", 3, "key"),
        (429, "ERROR_NOT_ENOUGH_CREDITS", 3, "credits"),
        (404, "ERROR_AI_NOT_EXISTS", 1, "as it is"),
        (422, "ERROR_CONTENT_NON_COMPLIANCE", 1, "as it is"),
        (200, "", 6, "answer"),
    ],
)
def test_a_refusal_has_an_exit_code(ailab, photo, service, status, code, exit_code, needle):
    good = (200, b"<html>no JSON</html>")
    service.answer = lambda *_: refusal(status, code) if code else good
    said = ailab("color", photo("a.jpg"), "--url", service.url)
    assert said.code == exit_code
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == f"Service: local ({service.url})"
    assert lines[1].startswith("a.jpg: ")
    assert code in lines[1]
    assert needle in lines[1]
    assert "AsyncClient(" not in lines[1]
    assert not Path("out").exists()


def test_after_a_refusal_nothing_more_is_sent(ailab, photo, service):
    service.answer = lambda *_: refusal(401, "ERROR_USER_NOT_EXISTS")
    names = [photo(f"{number}.jpg", 90 + number) for number in range(40)]
    said = ailab("color", *names, "--url", service.url)
    assert said.code == 3
    assert len(service.seen) <= 16
    *_, last = said.err.splitlines()
    assert last == (
        "Stopped, as the others would meet the same: 0 of 40 pictures done. "
        "Run the same command again to go on."
    )


def test_a_retired_endpoint_stops_a_run():
    assert stops_everything(errors.EndpointRetired("gone", code="ERROR_AI_NOT_EXISTS"))
    assert not stops_everything(errors.InputRejected("no face"))
    assert exit_for_all([0, 0, 3, 6]) == 3
    assert exit_for_all([0, 6, 1]) == 6
    assert exit_for_all([5, 5]) == 5
    assert exit_for_all([5, 0]) == 1
    assert exit_for_all([]) == 0


def test_a_service_that_breaks_off_leaves_the_picture_held(ailab, photo, service):
    service.answer = lambda *_: None
    said = ailab("color", photo("a.jpg"), "--url", service.url)
    assert said.code == 6
    _, line, advice = said.err.splitlines()
    assert line.startswith("a.jpg: ")
    assert advice.startswith("1 picture is held: it may have been paid for")
    again = ailab("color", "a.jpg", "--url", service.url)
    assert again.code == 6
    assert "--resubmit-unknown" in again.err
    assert "on_unknown" not in again.err
    assert len(service.seen) == 1


def test_a_failed_task_names_the_code(ailab, photo, service):
    def answer(method, path):
        if method == "POST":
            return 200, {"error_code": 0, "task_id": "T-1", "task_type": "async"}
        return refusal(422, "FILE_DECODING_FAILURE")

    service.answer = answer
    said = ailab("color", photo("a.jpg"), "--url", service.url)
    assert said.code == 1
    _, line, advice = said.err.splitlines()
    assert line.startswith("a.jpg: failed FILE_DECODING_FAILURE")
    assert "--retry-failed" in advice


def test_the_key_for_an_engine_elsewhere_is_its_own(ailab, photo, service, monkeypatch):
    monkeypatch.setenv("AILAB_API_KEY", "hosted-key")
    monkeypatch.setenv("AILAB_ENGINE_KEY", "engine-key")
    service.answer = lambda *_: refusal(401, "ERROR_USER_NOT_EXISTS")
    ailab("color", photo("a.jpg"), "--url", service.url)
    ((_, _, headers),) = service.seen
    assert headers["ailabapi-api-key"] == "engine-key"
    assert "hosted-key" not in str(service.seen)


def test_a_missing_package_is_named_with_its_extra(ailab, photo, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cv2" else find(name)
    )
    said = ailab("color", photo("a.jpg"), "--service", "local")
    assert said.code == 2
    assert "pip install 'ailab-async[local]'" in one_line(said.err)


# --- help ---------------------------------------------------------------------------------------


def test_help_explains_the_exit_codes(ailab):
    said = ailab("color", "--help")
    assert said.code == 0
    for code in ("0", "1", "2", "3", "4", "5", "6", "130"):
        assert f"\n{code:>5}  " in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_the_page_tells_the_same_exit_codes_as_the_help():
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    text = page.read_text(encoding="utf-8")
    for code, meaning in MEANINGS.items():
        assert f"| {int(code)} | {meaning} |" in text


def test_the_page_and_the_help_know_the_same_options(ailab):
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    text = page.read_text(encoding="utf-8")
    option = r"--[a-z]+(?:-[a-z]+)*"
    helped = set()
    for command in COMMANDS:
        helped |= {*re.findall(option, ailab(*command.split(), "--help").out)}
    assert helped - {"--help"} == {*re.findall(option, text)} - {"--version"}


def test_help_and_version_of_the_whole(ailab):
    said = ailab("--help")
    assert said.code == 0
    for command in COMMANDS:
        assert f"    {command.split()[0]}" in said.out
    assert ailab("--version").out.startswith("ailab ")
