from __future__ import annotations

from collections import Counter

import pytest

from ailab_async.protocol.codes import CODES, CodeClass, classify


def test_the_table_has_every_code_once():
    assert len(CODES) == 126
    assert all(name == spec.code for name, spec in CODES.items())


def test_each_class_has_its_codes():
    assert Counter(spec.code_class.value for spec in CODES.values()) == {
        "input": 46,
        "parameters": 29,
        "transient": 16,
        "state": 11,
        "not_found": 8,
        "platform": 7,
        "authentication": 3,
        "quota": 3,
        "throttled": 2,
        "credits": 1,
    }


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ERROR_NOT_ENOUGH_CREDITS", 429, CodeClass.credits),
        ("EXCEEDING_LIMITS", 429, CodeClass.throttled),
        ("EXCEEDING_LIMITS", 422, CodeClass.throttled),
        ("AI_SERVICE_FLOW_RESTRICTION", 503, CodeClass.throttled),
        ("ERROR_ILLEGAL_OPERATION", 403, CodeClass.parameters),
        ("ERROR_TASK_REVOKED", 410, CodeClass.state),
        ("AI_SERVICE_UNAUTHORIZED", 403, CodeClass.platform),
        ("", 403, CodeClass.authentication),
        ("SOMETHING_NEW", 403, CodeClass.authentication),
        ("", 429, CodeClass.throttled),
        ("SOMETHING_NEW", 429, CodeClass.throttled),
    ],
)
def test_the_code_decides_and_the_status_only_without_one(code, status, expected):
    assert classify(code, status) is expected


def test_a_code_outweighs_any_status():
    for spec in CODES.values():
        assert {classify(spec.code, status) for status in range(100, 600)} == {spec.code_class}


def test_statuses_are_plausible():
    for spec in CODES.values():
        assert 400 <= spec.http_status < 600
        assert spec.http_status_before is None or 400 <= spec.http_status_before < 600
