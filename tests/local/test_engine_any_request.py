"""Requests made up from the engine's own description: no crash, and answers as described."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from .test_engine_survival import serve

schemathesis = pytest.importorskip("schemathesis")

# not among them: "valid data is accepted" (made-up bytes are no picture), and 405 for a method that
# is not there (the service's own answer is 403 ERROR_ILLEGAL_OPERATION)
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """The description of an ``ailab serve``."""
    process, url = serve(tmp_path_factory.mktemp("data"))
    yield schemathesis.openapi.from_url(f"{url}/openapi.json")
    process.terminate()
    process.communicate(timeout=20)


@pytest.mark.parametrize(
    "mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
)
def test_answers_are_as_described(schema, mode):
    checks = schemathesis.checks.CHECKS.get_by_names(list(CHECKS))
    tested = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=8,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            nonlocal tested
            case.call_and_validate(checks=checks)
            tested += 1

        try:
            ask()
        except Unsatisfiable:
            continue  # nothing can be wrong with an operation without parameters
    assert tested > 50
