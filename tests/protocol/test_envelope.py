from __future__ import annotations

import json
import pickle

import pytest

from ailab_async.errors import (
    AuthenticationError,
    CreditsExhausted,
    EndpointRetired,
    InputRejected,
    MalformedReply,
    NotFound,
    PlatformError,
    QuotaExceeded,
    ServiceError,
    ServiceUnavailable,
    StateConflict,
    Throttled,
)
from ailab_async.protocol.codes import CODES, CodeClass
from ailab_async.protocol.envelope import DEFAULT_MAX_BYTES, decode
from ailab_async.protocol.states import LookVerdict, judge_look

from . import answers

KINDS = {
    CodeClass.parameters: InputRejected,
    CodeClass.input: InputRejected,
    CodeClass.authentication: AuthenticationError,
    CodeClass.credits: CreditsExhausted,
    CodeClass.quota: QuotaExceeded,
    CodeClass.throttled: Throttled,
    CodeClass.not_found: NotFound,
    CodeClass.state: StateConflict,
    CodeClass.transient: ServiceUnavailable,
    CodeClass.platform: PlatformError,
}


def error_of(status, body, headers=None, **options) -> ServiceError:
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    with pytest.raises(ServiceError) as caught:
        decode(status, headers or {}, body, **options)
    return caught.value


def test_a_submission_gives_its_task_id():
    reply = decode(200, {}, answers.TASK)
    assert reply.task_id == "1788109088348.1e968d25-86f6-cef9-9010-69b485b12ecd"
    assert reply.request_id == reply.log_id == ""
    assert reply.raw["task_type"] == "async"


def test_a_result_at_once_gives_its_identifiers():
    reply = decode(200, {}, answers.DONE_AT_ONCE)
    assert reply.request_id == "A6697900-DAA5-510F-BF1E-12F51DAD40D1"
    assert (reply.log_id, reply.task_id) == ("77496025", "")


def test_identifiers_that_are_numbers_become_text():
    reply = decode(200, {}, b'{"log_id": 77496025, "task_id": 5, "request_id": true}')
    assert (reply.log_id, reply.task_id, reply.request_id) == ("77496025", "5", "")


def test_a_reply_does_not_show_signed_addresses():
    assert "Signature" not in repr(decode(200, {}, b'{"url": "https://h/a.png?Signature=x"}'))


def test_the_more_precise_of_two_codes_is_taken():
    error = error_of(422, answers.NO_FACE)
    assert type(error) is InputRejected
    assert error.code == "ERROR_NO_FACE_IN_FILE"
    assert error.message == "pic not has face"
    assert (error.http_status, error.request_id, error.log_id) == (422, "5E0BAD36", "77")


def test_the_code_string_serves_where_the_detail_has_none():
    error = error_of(429, {"error_code": 429, "error_code_str": "EXCEEDING_LIMITS"})
    assert type(error) is Throttled
    assert error.code == "EXCEEDING_LIMITS"


def test_oldest_generation():
    error = error_of(400, answers.CANNOT_BE_EMPTY)
    assert type(error) is InputRejected
    assert error.message == "Invalid parameter values. - person_image: Cannot be empty."


def test_newest_generation_without_an_error_code():
    error = error_of(429, answers.NEWEST_GENERATION)
    assert type(error) is CreditsExhausted
    assert error.message == "Your credits are used up."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error_detail": {"message": "a", "code_message": "b"}, "error_msg": "c"}, "a"),
        ({"error_detail": {"message": " ", "code_message": "b"}, "error_msg": "c"}, "b"),
        ({"error_detail": {"message": None}, "error_msg": "c", "message": "d"}, "c"),
        ({"error_detail": "no object", "error_msg": 5, "message": "d"}, "d"),
        ({}, ""),
    ],
)
def test_the_message_is_the_first_that_is_not_empty(body, message):
    assert error_of(400, body).message == message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, answers.GATEWAY_NOT_SUBSCRIBED, AuthenticationError),
        (429, answers.GATEWAY_QUOTA, QuotaExceeded),
        (429, b'{"message":"Too many requests"}', Throttled),
        (
            429,
            b'{"message":"You have exceeded the rate limit per minute for your plan"}',
            Throttled,
        ),
        (429, b"{}", Throttled),
        (404, answers.GATEWAY, NotFound),
    ],
)
def test_a_gateway_answers_with_a_message_alone(status, body, kind):
    error = error_of(status, body)
    assert type(error) is kind
    assert error.code == ""


@pytest.mark.parametrize("spec", CODES.values(), ids=CODES)
def test_every_code_has_its_error_under_both_of_its_statuses(spec):
    kind = EndpointRetired if spec.code == "ERROR_AI_NOT_EXISTS" else KINDS[spec.code_class]
    for status in {spec.http_status, spec.http_status_before or spec.http_status}:
        body = {"error_code": status, "error_detail": {"code": spec.code, "message": "said so"}}
        error = error_of(status, body)
        assert type(error) is kind
        assert (error.code, error.http_status, error.message) == (spec.code, status, "said so")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InputRejected),
        (401, AuthenticationError),
        (402, CreditsExhausted),
        (403, AuthenticationError),
        (404, NotFound),
        (408, ServiceUnavailable),
        (409, StateConflict),
        (410, StateConflict),
        (413, InputRejected),
        (418, InputRejected),
        (422, InputRejected),
        (429, Throttled),
        (500, ServiceUnavailable),
        (501, PlatformError),
        (502, ServiceUnavailable),
        (520, ServiceUnavailable),
        (302, PlatformError),
    ],
)
def test_an_unknown_code_goes_by_the_status_and_keeps_its_text(status, kind):
    error = error_of(status, {"error_detail": {"code": "BRAND_NEW", "message": "new words"}})
    assert type(error) is kind
    assert (error.code, error.message) == ("BRAND_NEW", "new words")


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_success_that_reports_no_error_is_a_reply(status):
    """The pages know 200 alone; an accepted task must not be lost for another word of success."""
    reply = decode(status, {}, b'{"error_code": 0, "data": {"task_id": "paid-1"}}')
    assert (reply.http_status, reply.task_id) == (status, "paid-1")


def test_an_error_code_under_http_200_is_a_failure_and_serves_as_the_status():
    error = error_of(200, {"error_code": 401, "error_msg": "who are you"})
    assert type(error) is AuthenticationError
    assert error.http_status == 200


def test_a_word_as_error_code_is_taken_for_the_code():
    error = error_of(200, {"error_code": "ERROR_TASK_REVOKED"})
    assert type(error) is StateConflict
    assert error.code == "ERROR_TASK_REVOKED"


@pytest.mark.parametrize("zero", [0, "0", "", " ", None, 0.0, "00"])
def test_no_error_code_is_no_failure(zero):
    assert decode(200, {}, json.dumps({"error_code": zero}).encode()).raw == {"error_code": zero}


@pytest.mark.parametrize("failure", [1, "500", -1, 400.0, "WORD"])
def test_any_other_error_code_is_a_failure(failure):
    assert not isinstance(error_of(200, {"error_code": failure}), MalformedReply)


@pytest.mark.parametrize(
    "message",
    [
        "file type is not supported",
        "InvalidFile.Type",
        "The type of the file is illegal",
        "unknown image format",
        "only jpg and png",
    ],
)
def test_an_internal_error_that_names_a_file_type_is_about_the_input(message):
    body = {"error_detail": {"code": "AI_SERVICE_INTERNAL_ERROR", "message": message}}
    error = error_of(502, body)
    assert type(error) is InputRejected
    assert judge_look(error) is LookVerdict.FINAL_FAILURE


def test_any_other_internal_error_may_pass():
    body = {"error_detail": {"code": "AI_SERVICE_INTERNAL_ERROR", "message": "please try again"}}
    assert type(error_of(502, body)) is ServiceUnavailable


def test_retry_after_is_kept_where_it_is_seconds():
    assert error_of(429, b"{}", {"retry-after": " 7 "}).retry_after == 7
    assert error_of(503, b"<html>", {"retry-after": "1.5"}).retry_after == 1.5


@pytest.mark.parametrize("text", ["Fri, 20 Nov 2026 10:00:00 GMT", "-1", "nan", "1e9", "٣", ""])
def test_retry_after_is_left_alone_where_it_is_something_else(text):
    assert error_of(429, b"{}", {"retry-after": text}).retry_after is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"[]",
        b'"text"',
        b"null",
        b"5",
        b'{"a": 1, "a": 2}',
        b'{"data": {"a": 1, "a": 1}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xff\xfe{}",
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"error_code": []}',
        b'{"error_code": {"code": 1}}',
        b'{"error_code": true}',
        answers.BAD_GATEWAY_PAGE,
    ],
    ids=lambda body: body[:20],
)
@pytest.mark.parametrize("status", [200, 502])
def test_what_cannot_be_read_is_malformed(status, body):
    error = error_of(status, body, {"retry-after": "3"})
    assert type(error) is MalformedReply
    assert error.http_status == status
    assert error.retry_after == 3
    assert error.excerpt[:9].encode() in body.replace(b"\r\n", b" ") or b"\xff" in body
    assert len(error.excerpt) <= 200
    assert error.__cause__ is error.__context__ is None  # a reader's error holds the whole body
    assert judge_look(error) is LookVerdict.TROUBLE


def test_a_page_from_a_gateway_keeps_status_and_beginning():
    error = error_of(502, answers.BAD_GATEWAY_PAGE)
    assert error.http_status == 502
    assert error.excerpt.startswith("<html> <head><title>502 Bad Gateway")
    assert "502" in str(error)
    assert "Bad Gateway" in str(error)


def test_an_answer_beyond_the_bound_is_malformed():
    body = b'{"data": "' + b"a" * 100 + b'"}'
    assert decode(200, {}, body, max_bytes=len(body)).raw
    error = error_of(200, body, max_bytes=len(body) - 1)
    assert type(error) is MalformedReply
    assert str(len(body) - 1) in error.message
    assert DEFAULT_MAX_BYTES >= 2**24  # pictures as base64 pass


def test_a_byte_order_mark_does_not_matter():
    assert decode(200, {}, b'\xef\xbb\xbf{"task_id": "a"}').task_id == "a"


@pytest.mark.parametrize(
    "text",
    [
        "https://h/a.png?Expires=1&Signature=SECRET",
        "https:\\/\\/h\\/a.png?Signature=SECRET&x=1",
        "HTTP://h/a.png?SECRET",
        "/a.png?token=SECRET",
        "u=https%3A%2F%2Fh%2Fa.png%3FSignature%3DSECRET",
        "x" * 180 + " https://h/a.png?Signature=SECRET",
    ],
)
def test_neither_excerpt_nor_message_holds_a_signature(text):
    cut = error_of(200, f"<p>{text}</p>".encode())
    said = error_of(500, {"error_msg": f"cannot fetch {text}", "error_detail": {"code": text}})
    for error in (cut, said):
        shown = f"{error} {error!r} {error.__dict__}"
        assert "SECRET" not in shown
        assert "cannot fetch" in said.message


def test_text_that_no_terminal_takes_is_made_plain():
    error = error_of(500, b'{"error_msg": "a\\u0000b\\ud800c\\u001b[31m\\n"}')
    assert error.message == "a b c [31m"
    str(error).encode()


def test_errors_survive_pickling():
    error = error_of(422, answers.NO_FACE)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.__dict__, str(again)) == (error.__dict__, str(error))
    assert pickle.loads(pickle.dumps(decode(200, {}, answers.TASK))) == decode(
        200, {}, answers.TASK
    )
