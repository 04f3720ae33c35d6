from __future__ import annotations

import json

import pytest

from ailab_async.errors import (
    AuthenticationError,
    CreditsExhausted,
    EndpointRetired,
    InputRejected,
    LimitRetryFailed,
    MalformedReply,
    NotFound,
    PlatformError,
    ProcessFailed,
    QuotaExceeded,
    ServiceError,
    ServiceUnavailable,
    StateConflict,
    TaskCanceled,
    TaskFailed,
    Throttled,
    TimeoutFailed,
)
from ailab_async.protocol.codes import CODES
from ailab_async.protocol.envelope import decode
from ailab_async.protocol.states import (
    DOUBTS_BEFORE_FAILURE,
    STATES,
    VERDICTS_BY_CODE,
    LookVerdict,
    TaskState,
    judge_look,
    read_state,
)

from . import answers

QUEUED, PROCESSING, SUCCEEDED, FAILED, UNKNOWN = TaskState
ADDRESS = "https://h/a.png"


@pytest.mark.parametrize(
    ("value", "state", "failure"),
    [
        (0, QUEUED, None),
        (1, PROCESSING, None),
        (2, SUCCEEDED, None),
        (3, FAILED, TaskFailed),
        (-1, FAILED, TaskFailed),
        (2.0, SUCCEEDED, None),
        ("0", QUEUED, None),
        ("1", PROCESSING, None),
        (" 2 ", SUCCEEDED, None),
        ("02", SUCCEEDED, None),
        ("3", FAILED, TaskFailed),
        ("-4", FAILED, TaskFailed),
        ("QUEUING", QUEUED, None),
        ("PROCESSING", PROCESSING, None),
        ("PROCESS_SUCCESS", SUCCEEDED, None),
        ("process_success", SUCCEEDED, None),
        ("PROCESS_FAILED", FAILED, ProcessFailed),
        ("TIMEOUT_FAILED", FAILED, TimeoutFailed),
        ("LIMIT_RETRY_FAILED", FAILED, LimitRetryFailed),
        ("JOB_CANCELED", FAILED, TaskCanceled),
        ("RENDER_FAILED", FAILED, TaskFailed),
        ("USER_CANCELLED", FAILED, TaskCanceled),
    ],
)
@pytest.mark.parametrize("place", ["task_status", "data.status"])
def test_every_value_has_its_state_wherever_it_stands(place, value, state, failure):
    raw = {"task_status": value} if place == "task_status" else {"data": {"status": value}}
    reading = read_state(raw)
    assert (reading.state, reading.failure, reading.known) == (state, failure, True)
    assert reading.word == str(value).strip() or value == 2.0


@pytest.mark.parametrize("value", [4, 99, "7", "RENDERING", "success?", 10**40, float("nan")])
def test_an_unknown_value_is_waited_out_and_reported(value):
    reading = read_state({"task_status": value})
    assert (reading.state, reading.known, reading.failure) == (UNKNOWN, False, None)
    assert reading.word
    assert not reading.state.final


@pytest.mark.parametrize("value", [None, "", " ", True, [], {}])
def test_what_is_no_value_is_as_if_it_were_not_there(value):
    assert read_state({"task_status": value, "data": {"status": "QUEUING"}}).state is QUEUED
    assert read_state({"task_status": value}).state is UNKNOWN


@pytest.mark.parametrize(
    ("top", "inner", "state", "word"),
    [
        (2, "PROCESS_FAILED", FAILED, "PROCESS_FAILED"),
        (3, "PROCESS_SUCCESS", FAILED, "3"),
        (2, "PROCESSING", SUCCEEDED, "2"),
        (1, "PROCESS_SUCCESS", SUCCEEDED, "PROCESS_SUCCESS"),
        (0, "PROCESSING", PROCESSING, "PROCESSING"),
        (1, "QUEUING", PROCESSING, "1"),
        (9, "PROCESS_SUCCESS", SUCCEEDED, "PROCESS_SUCCESS"),
        (9, "JOB_CANCELED", FAILED, "JOB_CANCELED"),
    ],
)
def test_of_two_values_failure_wins_then_success_then_the_further(top, inner, state, word):
    reading = read_state({"task_status": top, "data": {"status": inner}})
    assert (reading.state, reading.word, reading.known) == (state, word, True)


def test_an_unknown_value_beside_a_known_one_is_reported():
    reading = read_state({"task_status": 1, "data": {"status": "POLISHING"}})
    assert (reading.state, reading.word, reading.known) == (PROCESSING, "POLISHING", False)


@pytest.mark.parametrize(
    "data",
    [
        {"status": "TIMEOUT_FAILED"},
        [{"status": "TIMEOUT_FAILED"}],
        '{"status": "TIMEOUT_FAILED"}',
        '[{"status": "TIMEOUT_FAILED"}]',
        [1, None, {"status": "TIMEOUT_FAILED"}],
    ],
)
def test_data_may_be_an_object_an_array_or_a_string_of_json(data):
    assert read_state({"task_status": 1, "data": data}).failure is TimeoutFailed


@pytest.mark.parametrize("data", [None, "", "{broken", 5, [], {}, "text"])
def test_data_that_names_no_state_does_not_matter(data):
    assert read_state({"task_status": 1, "data": data}).state is PROCESSING


@pytest.mark.parametrize(
    "raw",
    [
        {"data": {"image_list": [ADDRESS]}},
        {"output": {"image_url": ADDRESS}, "usage": {"image_count": 1}},
        {"result_url": ADDRESS},
    ],
)
def test_a_result_without_a_state_is_a_success(raw):
    assert (read_state(raw).state, read_state(raw).known) == (SUCCEEDED, True)


def test_an_empty_result_list_is_not():
    queued = {"error_code": 0, "task_status": 0, "data": {"image_list": []}}
    assert read_state(queued).state is QUEUED
    assert read_state({"data": {"image_list": []}}).state is UNKNOWN


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        (
            {"data": {"status": "PROCESS_FAILED", "ErrorCode": "E1", "ErrorMessage": "why"}},
            "E1",
            "why",
        ),
        ({"task_status": 3, "error_detail": {"code": "E2", "message": "because"}}, "E2", "because"),
        ({"task_status": 3, "error_code_str": "E3", "error_msg": "so"}, "E3", "so"),
        ({"task_status": 3, "error_detail": []}, "", ""),
    ],
)
def test_a_failure_says_why_where_the_answer_does(raw, code, message):
    reading = read_state(raw)
    assert (reading.state, reading.code, reading.message) == (FAILED, code, message)


def test_the_reason_holds_no_signed_address():
    data = {"status": "PROCESS_FAILED", "ErrorMessage": "no https://h/a.png?Signature=SECRET"}
    assert "SECRET" not in read_state({"data": data}).message


def test_the_table_is_whole_and_consistent():
    assert {"0", "1", "2", "3"} | {
        "QUEUING",
        "PROCESSING",
        "PROCESS_SUCCESS",
        "PROCESS_FAILED",
        "TIMEOUT_FAILED",
        "LIMIT_RETRY_FAILED",
        "JOB_CANCELED",
    } == set(STATES)
    for word, row in STATES.items():
        assert row.word == word
        assert (row.failure is not None) == (row.state is FAILED)
        assert row.source
    assert {state for state in TaskState if state.final} == {SUCCEEDED, FAILED}


# --- errors on a look ---------------------------------------------------------------------------


def verdict_of(status, body) -> LookVerdict:
    with pytest.raises(ServiceError) as caught:
        decode(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())
    return judge_look(caught.value)


def coded(code, message="words") -> dict:
    return {"error_detail": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, answers.NO_FACE),
        (413, coded("FILE_SIZE_EXCEEDS_LIMIT")),
        (400, answers.CANNOT_BE_EMPTY),
        (404, coded("ERROR_FACE_NOT_FOUND")),
        (409, coded("ERROR_TASK_STOPPED_PROCESSING")),
        (502, coded("AI_SERVICE_INTERNAL_ERROR", "file type not supported")),
        (422, coded("BRAND_NEW")),
    ],
)
def test_final(status, body):
    assert verdict_of(status, body) is LookVerdict.FINAL_FAILURE


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, coded("ERROR_RESOURCE_NOT_FOUND")),
        (404, coded("ERROR_CONTENT_NOT_FOUND")),
        (410, coded("ERROR_RESOURCE_RECLAIMED")),
        (410, coded("ERROR_TASK_REVOKED")),
        (409, coded("ERROR_TASK_REVOKED")),
        (404, {"error_code": 404, "error_msg": "no such task"}),
        (410, {"error_code": 410, "error_msg": "gone"}),
        (404, b"{}"),
    ],
)
def test_not_found(status, body):
    assert verdict_of(status, body) is LookVerdict.NOT_FOUND


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, answers.BAD_GATEWAY_PAGE),
        (404, b"<html>not here</html>"),
        (200, b"[]"),
        (429, coded("EXCEEDING_LIMITS")),
        (429, answers.GATEWAY_QUOTA),
        (503, coded("AI_SERVICE_FLOW_RESTRICTION")),
        (500, coded("UNKNOWN_ERROR")),
        (502, coded("ERROR_GATEWAY")),
        (500, b"{}"),
        (404, answers.GATEWAY),
        (404, coded("ERROR_AI_NOT_EXISTS")),
        (401, coded("ERROR_APPLICATIONS_NOT_EXISTS")),
        (403, answers.GATEWAY_NOT_SUBSCRIBED),
        (429, coded("ERROR_NOT_ENOUGH_CREDITS")),
        (409, coded("ERROR_TASK_CONFLICT")),
        (403, coded("ERROR_ILLEGAL_OPERATION")),
    ],
)
def test_trouble_of_the_look(status, body):
    assert verdict_of(status, body) is LookVerdict.TROUBLE


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "PROCESSING_FAILURE"),
        (502, "AI_SERVICE_ERROR"),
        (502, "AI_SERVICE_INTERNAL_ERROR"),
        (504, "AI_SERVICE_TIMEOUT"),
        (502, "AI_SERVICE_UNAUTHORIZED"),
        (502, "AI_SERVICE_NOT_FOUND"),
        (502, "AI_SERVICE_SOMETHING_NEW"),
        (502, "ERROR_FACE_BLENDING_FAILED"),
        (501, {}),
    ],
)
def test_doubtful(status, code):
    assert verdict_of(status, coded(code)) is LookVerdict.DOUBTFUL
    assert DOUBTS_BEFORE_FAILURE == 3


def test_every_code_with_a_verdict_of_its_own_is_in_the_table_of_codes():
    assert set(VERDICTS_BY_CODE) <= set(CODES)


def test_no_answer_about_the_account_ends_a_task():
    bystanders = (AuthenticationError, CreditsExhausted, QuotaExceeded, Throttled, EndpointRetired)
    for kind in (*bystanders, ServiceUnavailable, MalformedReply, ServiceError):
        assert judge_look(kind("m", code="X", http_status=500)) is not LookVerdict.FINAL_FAILURE
    for kind in (InputRejected, StateConflict, NotFound):
        assert judge_look(kind("m", code="X", http_status=400)) is LookVerdict.FINAL_FAILURE
    assert judge_look(PlatformError("m")) is LookVerdict.DOUBTFUL


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, {"error_code": 400, "error_msg": "no"}, LookVerdict.DOUBTFUL),
        (400, {"message": "Bad Request"}, LookVerdict.DOUBTFUL),
        (413, {"message": "too large"}, LookVerdict.DOUBTFUL),
        (405, {"message": "Method Not Allowed"}, LookVerdict.TROUBLE),
    ],
)
def test_a_single_refusal_without_a_code_ends_no_paid_task(status, body, verdict):
    assert verdict_of(status, body) is verdict


def test_long_texts_that_begin_like_an_address_are_looked_at_in_no_time():
    """An expression that went back and forth took seconds here; the suite's limit would end it."""
    from ailab_async.protocol.results import walk

    assert walk({"data": {"url": "http://" + "a" * 200_000 + " " + "b" * 200_000}}) == ()
