"""Many at once, through uvicorn, with two workers: nothing lost, twice, or mixed up."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
from collections import Counter

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from ailab_async.local import LocalEngine
from ailab_async.local.imaging import recolor
from ailab_async.local.serving import configuration

from .conftest import QUERY, SUBMIT, make_picture
from .test_engine_workers import files_in, needs_signals

AT_ONCE = 32
FLOW_RESTRICTION = "AI_SERVICE_FLOW_RESTRICTION"


@contextlib.asynccontextmanager
async def serving(engine):
    """Serve an engine as ``ailab serve`` does, on any port; yield who talks to it."""
    server = uvicorn.Server(configuration(engine.app))
    server.config.port = 0
    server.capture_signals = contextlib.nullcontext
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=AT_ONCE)
    address = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as http:
        yield http
    server.should_exit = True
    await running


def numbered(number):
    """Return a photo like no other one's."""
    size = (66 + number % 14, 66 + number // 14)
    return make_picture(*size, file_format="PNG")


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def recoloured(picture, degree):
    """Return the pixels that the engine's result must have."""
    if degree == 0:
        return pixels(picture)  # nothing is changed then
    (made,) = recolor.recolor_auto(pixels(picture), color_count=1, degree=degree)
    return made


async def uploaded(http, count, degree_of):
    """Upload the numbered photos, 32 at once; return statuses, and task ids by number."""
    statuses, tasks = Counter(), {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def upload(number):
        files = {"image": ("a.png", numbered(number))}
        data = {"degree": str(degree_of(number))}
        async with turn:
            answer = await http.post(SUBMIT, files=files, data=data)
        code = answer.json()["error_detail"]["code"]
        statuses[answer.status_code, code] += 1
        if answer.status_code == httpx.codes.OK:
            tasks[number] = answer.json()["task_id"]

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(upload(number))
    return statuses, tasks


async def result_of(http, task_id):
    """Wait for a task; return the address of its only result and its bytes."""
    while True:
        answer = await http.get(QUERY, params={"task_id": task_id})
        body = answer.raise_for_status().json()
        if body["task_status"] == 2:
            (url,) = body["data"]["image_list"]
            return url, (await http.get(url)).raise_for_status().content
        await asyncio.sleep(0.02)


async def assert_each_has_its_own(http, tasks, degree_of):
    urls = set()
    for number, task_id in tasks.items():
        url, content = await result_of(http, task_id)
        urls.add(url)
        expected = await asyncio.to_thread(recoloured, numbered(number), degree_of(number))
        assert np.array_equal(pixels(content), expected), number
    assert len(urls) == len(tasks)


@pytest.mark.timeout(120)
async def test_two_hundred_uploads_at_32_at_once_have_each_their_own_result():
    def degree_of(number):
        # one in ten is really worked on; of the others the number is what is looked at
        return 0.4 if number % 10 == 0 else 0

    engine = LocalEngine(workers=2)
    async with serving(engine) as http:
        statuses, tasks = await uploaded(http, 200, degree_of)
        assert set(statuses) <= {(200, ""), (503, FLOW_RESTRICTION)}
        assert statuses[200, ""] == len(tasks) > 100
        await assert_each_has_its_own(http, tasks, degree_of)
        assert files_in(engine) == [".png"] * len(tasks)
        counted = (await http.get("/metrics")).text
        total = (
            f'tasks_total{{operation="hd-color-migration",state="PROCESS_SUCCESS"}} {len(tasks)}'
        )
        assert total in counted


async def test_a_full_queue_restricts_the_flow_and_what_it_took_is_done():
    engine = LocalEngine(workers=2, queue_limit=4, patience=0)
    async with serving(engine) as http:
        statuses, tasks = await uploaded(http, 48, lambda _: 0)
        assert set(statuses) == {(200, ""), (503, FLOW_RESTRICTION)}
        await assert_each_has_its_own(http, tasks, lambda _: 0)
        assert files_in(engine) == [".png"] * len(tasks)


@needs_signals
@pytest.mark.timeout(120)
async def test_workers_killed_under_load_cost_no_task():
    engine = LocalEngine(workers=2, retries=5)
    async with serving(engine) as http:
        uploading = asyncio.create_task(uploaded(http, 24, lambda _: 0.4))
        for _ in range(4):
            async with asyncio.timeout(30):
                while not (engine.worker_pids and engine.queue.busy):
                    await asyncio.sleep(0.001)
            struck = engine.worker_pids
            for pid in struck:
                os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                while set(struck) & set(engine.worker_pids):
                    await asyncio.sleep(0.001)
        statuses, tasks = await uploading
        assert statuses == {(200, ""): 24}
        await assert_each_has_its_own(http, tasks, lambda _: 0.4)
        assert files_in(engine) == [".png"] * 24
