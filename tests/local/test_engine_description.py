"""What the engine says about itself: its description, its numbers, its log."""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec

import pytest

from ailab_async.local.answers import Code
from ailab_async.local.metrics import Metrics
from ailab_async.local.offers import OFFERS
from ailab_async.protocol.codes import CODES
from ailab_async.protocol.services import DIRECT_PATHS, RAPIDAPI_PATHS

from .conftest import SUBMIT, make_picture

# --- openapi ------------------------------------------------------------------------------------


async def described(talk):
    return (await talk.http.get("/openapi.json")).json()


def addresses(talk):
    """Return all but those of the engine's page, which is for people."""
    return {route.path for route in talk.engine.app.routes} - {"/", "/page/{name}"}


async def test_the_description_has_every_address_and_no_other(talk):
    paths = set((await described(talk))["paths"])
    assert paths == addresses(talk)
    assert set(DIRECT_PATHS.values()) | set(RAPIDAPI_PATHS.values()) <= paths


async def test_a_path_that_was_set_is_described(talk_to):
    async with talk_to(rapidapi_paths={"hd-color-migration": "/v1/recolour"}) as talk:
        paths = (await described(talk))["paths"]
        assert set(paths) == addresses(talk)
        assert "/v1/recolour" in paths


async def test_every_code_is_described_under_its_own_status(talk):
    document = await described(talk)
    told = set()
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                for code in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", answer["description"]):
                    assert CODES[code].http_status == int(status)
                    told.add(code)
    assert set(Code.__members__) - told == {"ERROR_ILLEGAL_OPERATION"}


async def test_the_fields_described_are_those_that_are_read(talk):
    document = await described(talk)
    for offer in OFFERS.values():
        (content,) = document["paths"][offer.path]["post"]["requestBody"]["content"].items()
        kind, form = content
        assert kind == "multipart/form-data"
        assert "image" in form["schema"]["required"]
        # a form without any of them is refused by the name of one
        answer = await talk.http.post(offer.path, files={"nothing": (None, "x")})
        message = answer.json()["error_detail"]["message"]
        assert any(f"- {name}: " in message for name in form["schema"]["properties"]), message


@pytest.mark.skipif(find_spec("jsonschema_rs") is None, reason="comes with schemathesis")
async def test_answers_are_as_described(talk):
    import jsonschema_rs

    document = await described(talk)
    failure = document["components"]["schemas"]["Failure"]
    jsonschema_rs.validate(failure, (await talk.http.get("/nowhere")).json())
    answer = (await talk.post(make_picture())).json()
    operation = document["paths"][SUBMIT]["post"]["responses"]["200"]
    jsonschema_rs.validate(operation["content"]["application/json"]["schema"], answer)


# --- metrics ------------------------------------------------------------------------------------

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+')


async def test_numbers_are_counted_and_told_in_lines(talk):
    await talk.end_of(await talk.submit())
    await talk.look("nobody")
    answer = await talk.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert all(line.startswith(("# HELP ", "# TYPE ")) or LINE.fullmatch(line) for line in lines)
    for line in (
        'ailab_engine_tasks_total{operation="hd-color-migration",state="PROCESS_SUCCESS"} 1',
        'ailab_engine_task_seconds_count{operation="hd-color-migration"} 1',
        'ailab_engine_refusals_total{code="ERROR_RESOURCE_NOT_FOUND"} 1',
        'ailab_engine_requests_total{status="404"} 1',
        "ailab_engine_queue_depth 0",
        "ailab_engine_workers 1",
    ):
        assert line in lines
    received = re.search(r"^ailab_engine_received_bytes_total (\d+)$", answer.text, re.MULTILINE)
    assert int(received[1]) > len(make_picture())


def test_seconds_are_counted_into_buckets_that_add_up():
    metrics = Metrics()
    for seconds in (0.05, 0.1, 2.0, 500.0):
        metrics.task_ended("x", "PROCESS_SUCCESS", seconds)
    text = metrics.text({})
    counts = re.findall(r'bucket\{operation="x",le="([^"]+)"\} (\d+)', text)
    bounds, below = zip(*counts, strict=True)
    assert bounds == ("0.1", "0.3", "1", "3", "10", "30", "100", "+Inf")
    assert below == ("2", "2", "2", "3", "3", "3", "3", "4")
    assert 'task_seconds_sum{operation="x"} 502.150000' in text


# --- access log ---------------------------------------------------------------------------------


async def test_each_request_is_a_line_without_key_query_or_file(talk_to, caplog):
    caplog.set_level(logging.INFO, logger="ailab_async.engine.access")
    async with talk_to(keys=["sentinel-key"]) as talk:
        talk.http.headers["ailabapi-api-key"] = "sentinel-key"
        task_id = await talk.submit()
        (file,) = await talk.pictures(task_id)
        await talk.http.get("/healthz?key=sentinel-key")
        await talk.http.get("/a%0d%0ab%20c")
        lines = [record.getMessage() for record in caplog.records if record.name.endswith("access")]
    shape = re.compile(r"[A-Z]+ /[^ ]* \d{3} \d+ \d+\.\d")
    assert all(shape.fullmatch(line) for line in lines), lines
    assert lines[0].startswith(f"POST {SUBMIT} 200 ")
    assert any(line.startswith(f"GET /files/* 200 {len(file.content)} ") for line in lines)
    assert any(line.startswith("GET /a%0D%0Ab%20c 404 ") for line in lines)
    text = "\n".join(lines)
    assert "sentinel" not in text
    assert task_id not in text
    assert str(file.url).rpartition("/")[2] not in text
