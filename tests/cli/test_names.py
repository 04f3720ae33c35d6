"""Names on the command line: photos that are named twice, folders, hosts and stray words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .test_command_processes import run

pytestmark = pytest.mark.usefixtures("clean_place")


def test_a_photo_that_is_named_twice_is_done_once(ailab, photo):
    photo("a.jpg")
    Path("link.jpg").symlink_to("a.jpg")
    Path("deep").mkdir()
    said = ailab("color", "a.jpg", "a.jpg", "./a.jpg", "deep/../a.jpg", "link.jpg")
    assert said.code == 0
    assert said.lines == ["out/a-1.jpg"]
    assert said.err.splitlines()[:4] == [
        "a.jpg: was named twice, and is done once.",
        "./a.jpg: is the same file as a.jpg, and is done once.",
        "deep/../a.jpg: is the same file as a.jpg, and is done once.",
        "link.jpg: is the same file as a.jpg, and is done once.",
    ]


def test_json_has_one_object_for_a_photo_that_is_named_twice(ailab, photo):
    photo("a.jpg")
    for words in ([], ["--quiet"]):
        said = ailab("color", "a.jpg", "./a.jpg", "--json", *words)
        assert said.code == 0
        assert [one["photo"] for one in said.objects] == ["a.jpg"]
        assert ("same file" in said.err) is not bool(words)


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    "words",
    [
        ["a.jpg", "--template", "056A6B", "C0392B"],
        ["--template", "056A6B", "C0392B", "a.jpg"],
        ["a.jpg", "--template", "056A6B C0392B"],
        ["a.jpg", "--template", "056A6B,", "#C0392B", "ffffff"],
    ],
)
def test_colours_parted_by_spaces_are_told_of_the_comma(ailab, photo, words):
    photo("a.jpg")
    said = ailab("color", *words)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "commas" in said.err
    assert "--template" in said.err


def test_a_photo_that_is_called_like_a_colour_is_a_photo(ailab, photo):
    Path(photo("x.jpg")).rename("C0392B")
    said = ailab("color", "C0392B", "--template", "056A6B")
    assert said.code == 0


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("words", "code", "needle"),
    [
        (["a.jpg", "--out", ""], 2, "--out must name a folder"),
        (["a.jpg", "--out", "notes.jpg"], 5, "--out notes.jpg is a file, not a folder"),
        ([""], 2, "'': the name is empty."),
    ],
)
def test_names_that_cannot_be_are_called_what_they_are(ailab, photo, words, code, needle):
    photo("a.jpg")
    Path("notes.jpg").touch()
    said = ailab("color", *words)
    assert said.code == code
    assert needle in said.err
    assert said.err.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.usefixtures("nothing_sent")
def test_a_folder_that_would_be_overwritten_is_found_before_anything_is_sent(ailab, photo):
    Path("out/a-2.jpg").mkdir(parents=True)
    said = ailab("color", photo("a.jpg"), "--colors", "2", "--overwrite")
    assert said.code == 5
    assert f"out{os.sep}a-2.jpg is a folder" in said.err
    assert "--overwrite" not in said.err


def test_results_make_way_for_a_folder_of_their_name(ailab, photo):
    Path("out/a-2.jpg").mkdir(parents=True)
    said = ailab("color", photo("a.jpg"), "--colors", "2")
    assert said.lines == ["out/a_2-1.jpg", "out/a_2-2.jpg"]


def test_serve_gives_the_advice_that_helps():
    Path("file").touch()
    code, _, err = run("serve", "--port", "0", "--data", "file")
    assert code == 5
    assert err == "ailab serve: --data file is a file, not a folder.\n"
    code, _, err = run("serve", "--port", "0", "--host", "no such")
    assert code == 4
    assert "--host takes an address of this computer" in err
    assert "--port" not in err
    assert err.count("\n") == 1
