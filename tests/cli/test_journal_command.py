"""``ailab journal``: what a journal holds, and what is tried again."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from .conftest import make_picture, refusal

pytestmark = pytest.mark.usefixtures("clean_place")

JOURNAL = "out.ailab.sqlite"


@pytest.fixture
def run(ailab, service, photo):
    """A run of three pictures: one saved, one refused, one held."""
    photo("a.jpg", 90)
    photo("b.jpg", 91)
    photo("c.jpg", 92)

    def answer(method, path):
        if path.startswith("/files/"):
            return 200, make_picture()
        if method != "POST":
            urls = [f"{service.url}/files/{'a' * 32}.jpg"]
            return 200, {"error_code": 0, "task_status": 2, "data": {"image_list": urls}}
        return next(answers)

    service.answer = answer
    words = ["--url", service.url]
    accepted = (200, {"error_code": 0, "task_id": "T-1", "task_type": "async"})
    for name, said in (
        ("a.jpg", accepted),
        ("b.jpg", refusal(422, "ERROR_CONTENT_NON_COMPLIANCE", "not this one")),
        ("c.jpg", None),
    ):
        answers = iter([said])
        ailab("color", name, *words)
    return words


def test_show_counts_and_lists_what_went_wrong(ailab, run):
    said = ailab("journal", "show", JOURNAL)
    assert said.code == 0
    assert [line.split()[:2] for line in said.lines[:3]] == [
        ["1", "saved"],
        ["1", "rejected"],
        ["1", "unknown"],
    ]
    assert said.lines[3] == "rejected: b.jpg: ERROR_CONTENT_NON_COMPLIANCE not this one"
    assert said.lines[4].startswith("unknown: c.jpg: ")
    assert "--failed, --unknown" in said.err


def test_retry_has_the_next_run_send_them_again(ailab, run, service):
    assert ailab("journal", "retry", JOURNAL).code == 2
    said = ailab("journal", "retry", JOURNAL, "--failed")
    assert said.out == "1 picture will be sent again when the same command is run.\n"
    said = ailab("journal", "retry", JOURNAL, "--failed")
    assert said.out == "There is nothing to be sent again.\n"
    assert ailab("journal", "retry", JOURNAL, "--unknown").out.startswith("1 picture ")
    posts = len(service.bodies)
    service.answer = lambda *_: refusal(401, "ERROR_USER_NOT_EXISTS")
    ailab("color", "b.jpg", *run)
    assert len(service.bodies) == posts + 1


def test_export_has_a_row_for_each_picture(ailab, run):
    rows = list(csv.DictReader(io.StringIO(ailab("journal", "export", JOURNAL).out)))
    assert [(row["label"], row["state"]) for row in rows] == [
        ("a.jpg", "saved"),
        ("b.jpg", "rejected"),
        ("c.jpg", "unknown"),
    ]
    assert rows[0]["files"] == str(Path("out/a-1.jpg").absolute())
    assert rows[0]["task_id"] == "T-1"
    assert len(rows[0]["sha256"]) == 64
    assert rows[1]["message"] == "not this one"


def test_export_as_json_goes_into_a_file(ailab, run):
    said = ailab("journal", "export", JOURNAL, "--format", "json", "-o", "run.json")
    assert (said.code, said.out) == (0, "")
    found = json.loads(Path("run.json").read_text(encoding="utf-8"))
    assert [one["label"] for one in found] == ["a.jpg", "b.jpg", "c.jpg"]
    assert "http" not in json.dumps(found[0])
    assert not list(Path().glob(".run.json*"))


def test_an_empty_journal_is_an_empty_list(ailab, service):
    from ailab_async.batch.ledger import Ledger

    ledger = Ledger(Path("empty.sqlite"), opened=0.0)
    ledger.open()
    ledger.close()
    assert ailab("journal", "export", "empty.sqlite", "--format", "json").out == "[]\n"
    assert ailab("journal", "show", "empty.sqlite").out == "The journal is empty.\n"


@pytest.mark.parametrize("action", ["show", "retry", "export"])
def test_no_journal_is_made_for_the_asking(ailab, action):
    said = ailab("journal", action, "gone.sqlite")
    assert said.code == 2
    assert said.err.startswith("ailab journal: there is no journal gone.sqlite")
    assert not Path("gone.sqlite").exists()


def test_what_is_no_journal_is_left_alone(ailab):
    Path("mine").write_text("something else")
    said = ailab("journal", "show", "mine")
    assert said.code == 5
    assert "is no journal but another file" in said.err
    assert Path("mine").read_text() == "something else"


def test_an_export_that_cannot_be_written_says_so(ailab, run):
    Path("file").touch()
    said = ailab("journal", "export", JOURNAL, "--output", "file/run.csv")
    assert said.code == 5
    assert said.err.startswith("ailab journal: the export cannot be written: ")
