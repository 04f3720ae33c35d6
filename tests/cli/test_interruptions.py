"""What Ctrl-C and SIGTERM leave behind, and what is said of it."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from ailab_async.cli.exits import Exit
from ailab_async.cli.interruption import closing_line, interrupted
from ailab_async.cli.output import Photo

from .conftest import make_picture
from .test_command_processes import needs_signals, start

pytestmark = pytest.mark.usefixtures("clean_place")

SENT = 16


@pytest.fixture
def slow(service):
    """A service that makes the first photo and never any other."""
    lock, numbers = threading.Lock(), iter(range(1000))
    looked: set[str] = set()
    service.ready = threading.Event()

    def answer(method, path):
        with lock:
            if method == "POST":
                return 200, {"error_code": 0, "task_id": f"T-{next(numbers)}", "task_type": "async"}
            if path.startswith("/files/"):
                return 200, make_picture()
            looked.add(path)
            if len(looked) > SENT:  # the first, those of the other places, and the one after it
                service.ready.set()
            if path.endswith("T-0"):
                urls = [f"{service.url}/files/{'a' * 32}.jpg"]
                return 200, {"error_code": 0, "task_status": 2, "data": {"image_list": urls}}
            return 200, {"error_code": 0, "task_status": 1}

    service.answer = answer
    return service


@needs_signals
@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")],
    ids=["ctrl-c", "term"],
)
def test_every_photo_has_its_object_in_order(photo, slow, number, reason):
    names = [photo(f"{index:02}.jpg") for index in range(30)]
    process = start("color", *names, "--url", slow.url, "--json")
    assert slow.ready.wait(30)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    objects = [json.loads(line) for line in out.decode().splitlines()]
    assert err == b""
    assert process.returncode == {"interrupted": 130, "terminated": 143}[reason]
    good, *others = objects
    assert good["ok"] is True
    assert [one["photo"] for one in others] == [name for name in names if name != good["photo"]]
    assert {one["error"]["reason"] for one in others} == {reason}
    assert sum(one["task_id"] is not None for one in others) == SENT
    unsent = [one["error"]["message"] for one in others if one["task_id"] is None]
    assert set(unsent) == {"was not sent: the run was interrupted."}


@needs_signals
def test_the_last_line_counts_and_says_how_to_go_on(photo, slow):
    names = [photo(f"{index:02}.jpg") for index in range(30)]
    process = start("color", *names, "--url", slow.url, "--overwrite")
    assert slow.ready.wait(30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    *rows, last = err.decode().splitlines()[1:]
    assert last == (
        "Interrupted: 1 of 30 photos done; run the same command again, without --overwrite, to go "
        "on with the others. Photos whose tasks go on at the service would be sent a second time."
    )
    assert rows == sorted(rows)
    assert len(rows) == 29
    assert sum("goes on with task T-" in row for row in rows) == SENT
    assert sum("was not sent" in row for row in rows) == 29 - SENT


@needs_signals
def test_the_engine_inside_the_command_goes_on_with_nothing(photo):
    names = [photo(f"{index:02}.jpg", 3000, 2000) for index in range(20)]
    process = start("color", *names, "--colors", "8", start_new_session=True)
    assert process.stderr.readline().startswith(b"Service: ")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=40)
    *rows, last = err.decode().splitlines()
    assert process.returncode == 130
    assert rows == sorted(rows)
    assert "goes on" not in err.decode()
    assert "task" not in err.decode()
    assert last.startswith("Interrupted: ")
    assert " of 20 photos done; run the same command again" in last


def stopped(**fields):
    return Photo("a.jpg", exit_code=Exit.INTERRUPTED, message="x", **fields)


def test_a_result_that_was_being_saved_is_still_at_the_service():
    photo = stopped(stage="saving", task_id="T-1")
    assert interrupted(photo, lasting=True) == (
        "was interrupted while it was saved; the service has it as task T-1, for 24 hours."
    )
    assert interrupted(photo, lasting=False) == "was interrupted."


def test_the_closing_line_promises_no_more_than_there_is():
    done, failed = Photo("a.jpg"), Photo("b.jpg", exit_code=1, message="failed.")
    facts = {"overwrite": False, "lasting": True, "orphaned": False}
    assert closing_line([done, failed], **facts) == "Interrupted: 1 of 2 photos done."
    assert closing_line([stopped(), stopped()], **facts) == (
        "Interrupted: 0 of 2 photos done; run the same command again to make them."
    )
    late = closing_line([done, stopped()], **{**facts, "orphaned": True})
    assert late.endswith("would be sent a second time.")
