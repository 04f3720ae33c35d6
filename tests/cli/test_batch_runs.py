"""Runs over many pictures: what is meant by names, what the journal spares, what is reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ailab_async.cli.options import journal_beside
from ailab_async.cli.terminal import progress_text, time_text

from .conftest import make_picture, refusal

pytestmark = pytest.mark.usefixtures("clean_place")


@pytest.fixture
def made(service):
    """A service that makes every picture; ``made.posts`` counts how many it accepted."""

    def answer(method, path):
        if method == "POST":
            return 200, {"error_code": 0, "task_id": f"T-{len(service.seen)}", "task_type": "async"}
        if path.startswith("/files/"):
            return 200, make_picture()
        urls = [f"{service.url}/files/{'a' * 32}.jpg"]
        return 200, {"error_code": 0, "task_status": 2, "data": {"image_list": urls}}

    service.answer = answer
    service.posts = lambda: sum(method == "POST" for method, *_ in service.seen)
    return service


@pytest.fixture
def folder(photo):
    """Six pictures, of which two lie deeper, and what is none."""
    names = ["b.jpg", "a.JPEG", "c.png", "d.webp.jpg", "deep/e.jpg", "deep/er/f.jpg"]
    for number, name in enumerate(names):
        photo(f"photos/{name}", 90 + number)
    Path("photos/notes.txt").write_text("none")
    Path("photos/.hidden.jpg").write_bytes(make_picture(70, 70))
    return "photos"


def done(said):
    return sorted(Path(one["photo"]).name for one in said.objects if one["ok"])


# --- names --------------------------------------------------------------------------------------


def test_a_folder_means_the_pictures_in_it(ailab, made, folder):
    said = ailab("color", folder, "--url", made.url, "--json")
    assert said.code == 0
    assert done(said) == ["a.JPEG", "b.jpg", "c.png", "d.webp.jpg"]


def test_recursive_means_those_in_its_folders_too(ailab, made, folder):
    said = ailab("color", f"{folder}/", "-r", "--url", made.url, "--json")
    assert done(said) == ["a.JPEG", "b.jpg", "c.png", "d.webp.jpg", "e.jpg", "f.jpg"]


def test_a_pattern_is_expanded_where_the_shell_did_not(ailab, made, folder):
    said = ailab("color", "photos/**/?.*", "--url", made.url, "--json")
    assert done(said) == ["a.JPEG", "b.jpg", "c.png", "d.webp.jpg", "e.jpg", "f.jpg"]


def test_a_name_that_looks_like_a_pattern_is_a_name_where_there_is_one(ailab, made, photo):
    said = ailab("color", photo("a[1].jpg"), "--url", made.url, "--json")
    assert done(said) == ["a[1].jpg"]


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("name", "needle"),
    [
        ("*.jpg", "*.jpg: no picture is called like that."),
        ("empty", "empty: is a folder without pictures"),
        ("gone.jpg", "gone.jpg: there is no such file."),
    ],
)
def test_names_that_mean_nothing_are_told(ailab, name, needle):
    Path("empty").mkdir()
    said = ailab("color", name)
    assert said.code == 2
    assert said.err.startswith(needle)
    assert not Path("out").exists()
    assert not Path("out.ailab.sqlite").exists()


def test_results_are_not_taken_for_pictures_the_next_time(ailab, made, photo):
    photo("a.jpg")
    words = ["color", ".", "-r", "--url", made.url, "--json"]
    assert done(ailab(*words)) == ["a.jpg"]
    assert done(ailab(*words)) == ["a.jpg"]
    assert made.posts() == 1


@pytest.mark.usefixtures("nothing_sent")
def test_the_folder_of_the_results_cannot_be_that_of_the_pictures(ailab, folder):
    said = ailab("color", folder, "--out", "photos/../photos")
    assert said.code == 2
    assert "choose another --out" in said.err


# --- again --------------------------------------------------------------------------------------


def test_the_same_command_again_sends_nothing_and_says_so_in_one_line(ailab, made, folder):
    words = ["color", folder, "--url", made.url]
    assert ailab(*words).code == 0
    again = ailab(*words)
    assert again.code == 0
    assert again.out == ""
    assert again.err.splitlines()[1:] == [
        "All 4 pictures were done before, and nothing was sent. Their results are in out."
    ]
    assert made.posts() == 4


def test_only_what_is_new_is_sent(ailab, made, folder, photo):
    ailab("color", folder, "--url", made.url)
    photo("photos/new.jpg", 120)
    said = ailab("color", folder, "--url", made.url)
    assert said.lines == ["out/new-1.jpg"]
    assert said.err.splitlines()[-1] == "5 of 5 pictures done (4 of them before), 1 file made."
    assert made.posts() == 5


def test_the_engine_inside_the_command_spares_what_is_saved_too(ailab, folder):
    assert len(ailab("color", folder).lines) == 4
    assert ailab("color", folder).err.splitlines()[-1].startswith("All 4 pictures were done before")


def test_a_result_that_was_deleted_is_made_again_by_the_engine_inside(ailab, folder):
    ailab("color", folder)
    Path("out/b-1.jpg").unlink()
    said = ailab("color", folder)
    assert (said.code, said.lines) == (0, ["out/b-1.jpg"])


def test_a_result_that_was_deleted_is_fetched_again_and_not_paid_for(ailab, made, folder):
    ailab("color", folder, "--url", made.url)
    Path("out/b-1.jpg").unlink()
    said = ailab("color", folder, "--url", made.url)
    assert (said.code, said.lines) == (0, ["out/b-1.jpg"])
    assert made.posts() == 4


def test_pictures_of_the_same_content_are_paid_for_once_and_all_have_files(ailab, made, photo):
    for name in "abc":
        photo(f"photos/{name}.jpg")
    said = ailab("color", "photos", "--url", made.url)
    assert sorted(said.lines) == ["out/a-1.jpg", "out/b-1.jpg", "out/c-1.jpg"]
    assert made.posts() == 1
    again = ailab("color", "photos", "--url", made.url)
    assert again.err.splitlines()[-1].startswith("All 3 pictures were done before")
    assert len(list(Path("out").iterdir())) == 3


def test_other_colours_are_another_picture(ailab, made, photo):
    name = photo("a.jpg")
    ailab("color", name, "--url", made.url)
    said = ailab("color", name, "--url", made.url, "--degree", "0.9")
    assert said.lines == ["out/a_2-1.jpg"]


def test_what_was_refused_is_sent_again_only_when_asked_for(ailab, made, photo):
    name = photo("a.jpg")
    good, made.answer = made.answer, lambda *_: refusal(422, "ERROR_CONTENT_NON_COMPLIANCE")
    words = ["color", name, "--url", made.url]
    for _ in range(2):
        said = ailab(*words)
        assert said.code == 1
        assert "ERROR_CONTENT_NON_COMPLIANCE" in said.err
        assert "--retry-failed tries again" in said.err
    assert made.posts() == 1
    made.answer = good
    assert ailab(*words, "--retry-failed").code == 0
    assert made.posts() == 2


def test_without_a_journal_everything_is_sent_again_under_other_names(ailab, made, photo):
    words = ["color", photo("a.jpg"), "--url", made.url, "--no-journal"]
    assert ailab(*words).lines == ["out/a-1.jpg"]
    assert ailab(*words).lines == ["out/a_2-1.jpg"]
    assert ailab(*words, "--overwrite").lines == ["out/a-1.jpg"]
    assert not Path("out.ailab.sqlite").exists()


def test_the_journal_is_where_it_is_told_to_be(ailab, made, photo):
    ailab("color", photo("a.jpg"), "--url", made.url, "--journal", "deep/run.sqlite")
    assert Path("deep/run.sqlite").is_file()
    assert not Path("out.ailab.sqlite").exists()


@pytest.mark.parametrize(
    ("out", "journal"),
    [("out", "out.ailab.sqlite"), ("a/b/", "a/b.ailab.sqlite"), ("/", ".ailab.sqlite")],
)
def test_the_journal_is_beside_the_folder(out, journal):
    assert journal_beside(Path(out)) == Path(journal)


def test_the_journal_of_this_very_folder_is_beside_it_too(tmp_path):
    assert journal_beside(Path()) == tmp_path.with_name(f"{tmp_path.name}.ailab.sqlite")


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("words", "code", "needle"),
    [
        (["--no-journal", "--retry-failed"], 2, "--retry-failed goes by the journal"),
        (["--no-journal", "--journal", "x"], 2, "--journal goes by the journal"),
        (["--journal", ""], 2, "--journal must name a file"),
        (["--report", "photos"], 5, "--report photos is a folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(ailab, folder, words, code, needle):
    said = ailab("color", folder, *words)
    assert said.code == code
    assert needle in said.err


def test_a_file_that_is_no_journal_is_left_alone(ailab, made, folder):
    Path("mine").write_text("something else, and long enough to be looked at")
    said = ailab("color", folder, "--url", made.url, "--journal", "mine")
    assert said.code == 5
    assert "mine is no journal but another file" in said.err
    assert Path("mine").read_text().startswith("something else")
    assert made.posts() == 0


# --- when the service is not there --------------------------------------------------------------


def test_where_nobody_answers_the_others_are_not_tried(ailab, photo):
    for number in range(60):
        photo(f"photos/{number}.jpg", 90 + number)
    said = ailab("color", "photos", "--url", "http://127.0.0.1:9", "--json")
    assert said.code == 4
    assert len(said.objects) < 60
    assert "Stopped, as the others would meet the same: 0 of 60 pictures done." in said.err


# --- what is told -------------------------------------------------------------------------------


def test_json_says_what_an_earlier_run_had_paid_for(ailab, made, photo):
    words = ["color", photo("a.jpg"), "--url", made.url, "--json"]
    (first,), (second,) = ailab(*words).objects, ailab(*words).objects
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["files"] == second["files"] == ["out/a-1.jpg"]


def test_the_contact_sheet_has_before_and_after_and_what_went_wrong(ailab, folder, photo):
    photo("photos/grey.png", mode="L", file_format="PNG")
    said = ailab("color", folder, "gone.jpg", "--colors", "2", "--report", "out/sheet.html")
    assert said.code == 1
    assert said.err.splitlines()[-1] == "Contact sheet: out/sheet.html"
    page = Path("out/sheet.html").read_text(encoding="utf-8")
    assert page.count('<li class="card good') == 4
    assert page.count('<li class="card bad') == 2
    assert len(re.findall(r'data-jpeg="/9j/', page)) == 4 * 3 + 1
    assert "there is no such file." in page
    assert "must be RGB with three channels" in page
    assert 'href="./b-1.jpg"' in page
    again = ailab("color", folder, "--colors", "2", "--report", "out/sheet.html")
    assert again.code == 1
    page = Path("out/sheet.html").read_text(encoding="utf-8")
    assert page.count('<li class="card good') == 4


@pytest.mark.usefixtures("nothing_sent")
def test_a_contact_sheet_that_cannot_be_written_is_told_before_anything_is_sent(ailab, folder):
    Path("file").touch()
    said = ailab("color", folder, "--report", "file/sheet.html")
    assert said.code == 5
    assert "cannot write --report file/sheet.html" in said.err


def test_the_progress_tells_rate_time_left_and_failures():
    from ailab_async import Progress

    text = progress_text(
        Progress(total=900, done=300, failed=2, held=1, open=16, rate=2.5, time_left=240)
    )
    assert text == "2.5/s, 4:00 left, 16 open, 2 failed, 1 held"
    assert progress_text(Progress(total=9, done=3, rate=0.1, time_left=7200.4)) == (
        "6/min, 2:00:00 left"
    )
    assert progress_text(Progress(total=9)) == ""
    assert time_text(0.2) == "1 s"
