"""Whatever arrives, `decode` gives a reply or one kind of error, and what reads it goes on."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from ailab_async.errors import ServiceError
from ailab_async.protocol.codes import CODES
from ailab_async.protocol.envelope import Reply, decode
from ailab_async.protocol.results import Found, has_result, walk
from ailab_async.protocol.states import (
    STATES,
    LookVerdict,
    StateReading,
    TaskState,
    judge_look,
    read_state,
)

WORDS = st.sampled_from([*STATES, *list(CODES)[::9], "", "0", "https://h/a.png?S=1", "[[{}]]"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("request_id", "log_id", "error_code", "error_code_str", "error_msg", "message"),
        *("error_detail", "task_id", "task_status", "data", "result", "image", "output"),
    ]
)
DETAIL = st.dictionaries(
    st.sampled_from(["status_code", "code", "code_message", "message"]), VALUES, max_size=4
)
DATA = st.dictionaries(
    st.sampled_from(["status", "image_list", "image", "url", "ErrorCode", "ErrorMessage"]), VALUES
)
ENVELOPES = st.dictionaries(FIELDS, VALUES | DETAIL | DATA, max_size=8)
STATUSES = st.sampled_from([200, 200, 200, 201, 302, 400, 404, 410, 422, 429, 500, 502, 503])


def settle(status, body) -> None:
    try:
        outcome = decode(status, {}, body)
    except ServiceError as error:
        outcome = error
    if isinstance(outcome, Reply):
        assert 200 <= status < 300
        texts = (outcome.request_id, outcome.log_id, outcome.task_id)
        assert all(isinstance(text, str) for text in texts)
        read_all(outcome.raw)
        return
    assert isinstance(judge_look(outcome), LookVerdict)
    assert outcome.http_status == status
    assert len(getattr(outcome, "excerpt", "")) <= 200
    str(outcome).encode()


def read_all(raw) -> None:
    files = walk(raw)
    assert all(isinstance(found, Found) and (found.url or found.base64) for found in files)
    assert has_result(raw) == bool(files)
    if isinstance(raw, dict):
        reading = read_state(raw)
        assert isinstance(reading, StateReading)
        assert (reading.failure is not None) == (reading.state is TaskState.FAILED)


@given(STATUSES, VALUES | ENVELOPES)
def test_any_json_is_a_reply_or_an_error(status, value):
    settle(status, json.dumps(value).encode())


@given(STATUSES, st.binary() | st.text().map(str.encode))
@example(200, b"{" * 3000)
@example(200, b'{"a":' + b"1" * 4301 + b"}")
@example(200, '{"error_code": "²"}'.encode())
def test_any_bytes_are_a_reply_or_an_error(status, body):
    settle(status, body)


@given(VALUES | ENVELOPES)
def test_reading_never_fails(raw):
    read_all(raw)
