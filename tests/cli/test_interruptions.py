"""What Ctrl-C and SIGTERM leave behind, what is said of it, and how the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from .conftest import make_picture
from .test_command_processes import engine_folders, needs_signals, start

pytestmark = [pytest.mark.usefixtures("clean_place"), needs_signals]


@pytest.fixture
def slow(service):
    """A service that makes the first photo, and the others once ``service.go_on`` is set."""
    lock, numbers = threading.Lock(), iter(range(1000))
    looked: set[str] = set()
    service.ready, service.go_on = threading.Event(), threading.Event()

    def answer(method, path):
        with lock:
            if method == "POST":
                return 200, {"error_code": 0, "task_id": f"T-{next(numbers)}", "task_type": "async"}
            if path.startswith("/files/"):
                return 200, make_picture()
            looked.add(path)
            if len(looked) == 8:  # as many as each test sends: all are accepted
                service.ready.set()
            if path.endswith("T-0") or service.go_on.is_set():
                urls = [f"{service.url}/files/{'a' * 32}.jpg"]
                return 200, {"error_code": 0, "task_status": 2, "data": {"image_list": urls}}
            return 200, {"error_code": 0, "task_status": 1}

    service.answer = answer
    return service


def interrupted(process, number=signal.SIGINT):
    """Wait for the first photo, interrupt, and return what was said in all."""
    first = process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return (first + out).decode(), err.decode()


def accepted(service):
    return sum(method == "POST" for method, *_ in service.seen)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_the_same_command_goes_on_where_it_was_interrupted(photo, slow, number, code):
    names = [photo(f"photos/{index:02}.jpg", 90 + index) for index in range(8)]
    process = start("color", "photos", "--url", slow.url)
    assert slow.ready.wait(30)
    out, err = interrupted(process, number)
    assert process.returncode == code
    assert out.count("\n") == 1
    *_, stopping, last = err.splitlines()
    assert stopping.startswith("Stopping; ")
    assert last == (
        "Interrupted: 1 of 8 pictures done, 7 open at the service. "
        "Run the same command again to go on."
    )
    assert accepted(slow) == len(names)

    slow.go_on.set()
    process = start("color", "photos", "--url", slow.url)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.decode().count("\n") == 7
    assert err.decode().splitlines()[-1] == "8 of 8 pictures done (1 of them before), 7 files made."
    assert accepted(slow) == len(names)


def test_without_a_journal_the_tasks_that_go_on_are_named(photo, slow):
    names = [photo(f"{index:02}.jpg") for index in range(8)]
    process = start("color", *names, "--url", slow.url, "--no-journal", "--json")
    assert slow.ready.wait(30)
    out, err = interrupted(process)
    (good,) = [json.loads(line) for line in out.splitlines()]
    assert good["ok"]
    lines = err.splitlines()
    named = [line for line in lines if ": goes on at the service: ailab task T-" in line]
    assert len(named) == 7
    assert lines[-1].endswith("With --no-journal the same command begins anew.")


def test_a_task_that_is_accepted_after_the_interruption_is_in_the_journal(photo, service):
    asked, interrupted = threading.Event(), threading.Event()

    def answer(method, path):
        if method == "POST":
            asked.set()
            interrupted.wait(20)
            return 200, {"error_code": 0, "task_id": "T-late", "task_type": "async"}
        if path.startswith("/files/"):
            return 200, make_picture()
        urls = [f"{service.url}/files/{'a' * 32}.jpg"]
        return 200, {"error_code": 0, "task_status": 2, "data": {"image_list": urls}}

    service.answer = answer
    process = start("color", photo("harbour.jpg"), "--url", service.url)
    assert asked.wait(20)
    process.send_signal(signal.SIGINT)
    line = b""
    while b"Stopping" not in line:
        line = process.stderr.readline()
    interrupted.set()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == (
        "Interrupted: the picture is not done, 1 open at the service. "
        "Run the same command again to go on."
    )
    process = start("color", "harbour.jpg", "--url", service.url)
    out, _ = process.communicate(timeout=30)
    assert out == b"out/harbour-1.jpg\n"
    assert accepted(service) == 1


def test_what_is_cut_off_while_it_is_sent_is_held_and_not_sent_again(photo, service):
    asked, over = threading.Event(), threading.Event()

    def answer(method, path):
        asked.set()
        over.wait(30)

    service.answer = answer
    process = start("color", photo("harbour.jpg"), "--url", service.url)
    assert asked.wait(20)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    over.set()
    assert process.returncode == 130
    assert err.decode().splitlines()[-1].endswith("may have been paid for, and will be held.")

    process = start("color", "harbour.jpg", "--url", service.url)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 6
    assert "--resubmit-unknown sends it again, and may pay for it twice." in err.decode()
    assert accepted(service) == 1

    service.answer = lambda *_: (200, {"error_code": 0, "task_id": "T-1"})
    process = start("color", "harbour.jpg", "--url", service.url, "--resubmit-unknown")
    while accepted(service) < 2 and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=30)
    assert accepted(service) == 2


def test_a_second_signal_ends_it_at_once(photo, service):
    asked, over = threading.Event(), threading.Event()

    def answer(method, path):
        asked.set()
        over.wait(30)

    service.answer = answer
    process = start("color", photo("harbour.jpg"), "--url", service.url)
    assert asked.wait(20)
    process.send_signal(signal.SIGINT)
    line = b""
    while b"Stopping" not in line:
        line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    over.set()
    assert process.returncode == 130
    assert err.decode() == "Ended at once.\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_the_engine_inside_the_command_ends_with_it_and_leaves_nothing(photo, number, code):
    name = photo("big.jpg", 4000, 3000)
    process = start("color", name, "--colors", "8", start_new_session=True)
    assert process.stderr.readline().startswith(b"Service: ")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == b""
    assert err.decode().splitlines()[-1] == (
        "Interrupted: the picture is not done. Run the same command again to go on."
    )
    assert not Path("out").exists()
    assert not engine_folders()


def test_the_contact_sheet_of_an_interrupted_run_has_what_is_there(photo, slow):
    names = [photo(f"{index:02}.jpg", 90 + index) for index in range(8)]
    process = start("color", *names, "--url", slow.url, "--report", "sheet.html")
    assert slow.ready.wait(30)
    interrupted(process)
    page = Path("sheet.html").read_text(encoding="utf-8")
    assert page.count('<li class="card') == 1
    assert not list(Path().glob(".ailab-*"))
