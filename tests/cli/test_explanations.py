"""Errors in words: above all, who cannot be reached and what became of the task."""

from __future__ import annotations

import pytest

from ailab_async import errors
from ailab_async.cli.explain import explain

pytestmark = pytest.mark.usefixtures("clean_place")

HOST = "127.0.0.1:8765"


def unreachable():
    return errors.ServiceUnreachable("5 failed in a row", host=HOST, retry_after=2.0)


def given_up():
    """As the poller makes it, and as each waiter gets it."""
    lost = errors.ServiceUnavailable("asking for it failed 6 time(s) in a row", task_id="T-1")
    lost.__cause__ = errors.NotDelivered("no", action="look", host=HOST)
    return lost.fresh()


@pytest.mark.parametrize("make", [unreachable, given_up])
def test_where_nothing_answers_no_answer_is_told(make):
    text = explain(make())
    assert text == f"nothing answers at {HOST}. Try again later."
    text = explain(make(), elsewhere=True)
    assert text == f"nothing answers at {HOST}. Is 'ailab serve' running there?"


def test_a_task_of_an_engine_that_is_lost_is_not_promised_for_a_day():
    text = explain(given_up(), task_id="T-1", elsewhere=True)
    assert text.endswith("It has the photo as task T-1, unless it was stopped.")
    text = explain(given_up(), task_id="T-1")
    assert text.endswith("The service has it as task T-1, for 24 hours.")


def test_a_submission_that_reached_nobody_asks_whether_the_engine_runs(ailab, photo):
    said = ailab("color", photo("a.jpg"), "--url", "http://127.0.0.1:9")
    assert said.code == 4
    assert said.err.endswith(" Is 'ailab serve' running there?\n")


def test_a_status_that_is_none_is_not_shown():
    assert "HTTP" not in explain(errors.Throttled("too fast"))
    assert "(HTTP 503)" in explain(errors.ServiceUnavailable("busy", http_status=503))


def test_what_the_service_does_not_know_it_does_not_have():
    error = errors.TaskNotFound("no such task.", task_id="T-1", code="X", http_status=404)
    text = explain(error, task_id="T-1")
    assert text == (
        "the service answered X (HTTP 404): no such task. It does not know task T-1, or no longer."
    )
    expired = errors.ResultExpired("gone.", task_id="T-1")
    assert explain(expired, task_id="T-1") == "gone."


def test_an_outage_while_waiting_is_told_once(ailab, photo, service):
    looks = []

    def answer(method, path):
        if method == "POST":
            return 200, {"error_code": 0, "task_id": "T-1", "task_type": "async"}
        looks.append(path)
        if len(looks) <= 2:
            return None
        return 422, {"error_code": 422, "error_detail": {"code": "FILE_DECODING_FAILURE"}}

    service.answer = answer
    said = ailab("color", photo("a.jpg"), "--url", service.url)
    host = service.url.removeprefix("http://")
    assert said.err.splitlines()[1] == f"{host} cannot be reached, still trying."
    assert said.err.count("still trying") == 1
    assert len(looks) == 3


def test_the_engine_of_the_environment_is_used_and_named(ailab, photo, service, monkeypatch):
    service.answer = lambda *_: (401, {"error_code": 401, "error_detail": {"code": "X"}})
    monkeypatch.setenv("AILAB_ENGINE_URL", service.url)
    said = ailab("color", photo("a.jpg"))
    assert said.err.startswith(f"Service: local ({service.url})\n")
    assert "AILAB_ENGINE_URL" in ailab("color", "--help").out


@pytest.mark.parametrize(
    ("url", "key", "needles"),
    [
        ("nonsense", None, ["AILAB_ENGINE_URL must be an absolute", "nonsense"]),
        ("http://127.0.0.1:9", "key", ["AILAB_ENGINE_URL must be unset", "AILAB_API_KEY"]),
    ],
)
def test_a_wrong_environment_is_called_by_its_name(ailab, photo, monkeypatch, url, key, needles):
    monkeypatch.setenv("AILAB_ENGINE_URL", url)
    if key:
        monkeypatch.setenv("AILAB_API_KEY", key)
    said = ailab("color", photo("a.jpg"))
    assert said.code == 2
    assert said.err.count("\n") == 1
    for needle in needles:
        assert needle in said.err
