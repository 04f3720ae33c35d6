"""What only whole processes show: unguarded scripts, killed parents, Ctrl-C, a free event loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import uvicorn

from ailab_async.local import LocalEngine

from .conftest import QUERY, SUBMIT, make_picture
from .test_engine_workers import alive, needs_signals

ROOT = Path(__file__).resolve().parents[2]

UNGUARDED = """\
import asyncio, contextlib, pathlib, sys
print("imported", flush=True)

from ailab_async.local import LocalEngine
import httpx

async def main():
    # how busy the machine is, is no matter here
    asyncio.get_running_loop().slow_callback_duration = 60
    engine = LocalEngine(workers=1)
    await engine.start()
    async with engine if %(closed)r else contextlib.nullcontext():
        transport = httpx.ASGITransport(engine.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x.invalid") as http:
            files = {"image": ("a.jpg", pathlib.Path(sys.argv[1]).read_bytes())}
            answer = await http.post("%(submit)s", files=files)
            task = answer.json()["task_id"]
            while True:
                answer = await http.get("%(query)s", params={"task_id": task})
                if answer.status_code != 200 or answer.json()["task_status"] == 2:
                    break
                await asyncio.sleep(0.01)
            print(answer.status_code, *engine.worker_pids, flush=True)
            %(then)s

asyncio.run(main())
"""


def run_script(tmp_path, then="pass", *, closed=True, **options):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(make_picture())
    script = tmp_path / "script.py"
    names = {"submit": SUBMIT, "query": QUERY, "then": then, "closed": closed}
    script.write_text(UNGUARDED % names)
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-X", "dev", "-W", "error", str(script), str(photo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        **options,
    )


def wait_until_gone(*pids):
    """Bounded by the test's own time limit."""
    import time

    while any(alive(pid) for pid in pids):
        time.sleep(0.01)


def leftovers(tmp_path):
    return list(tmp_path.glob("ailab-engine-*"))


def test_a_script_without_a_guard_runs_once(tmp_path):
    out, err = run_script(tmp_path).communicate(timeout=30)
    lines = out.splitlines()
    assert lines[0] == "imported"
    assert lines[1].startswith("200 ")
    assert len(lines) == 2
    assert err == ""
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("then", ["return", "raise SystemExit"])
def test_a_forgotten_engine_leaves_nothing_behind(tmp_path, then):
    out, err = run_script(tmp_path, then, closed=False).communicate(timeout=30)
    pid = int(out.split()[-1])
    wait_until_gone(pid)
    assert err == ""
    assert not leftovers(tmp_path)


@needs_signals
def test_workers_end_when_their_parent_is_killed(tmp_path):
    process = run_script(tmp_path, "await asyncio.sleep(60)")
    process.stdout.readline()
    pid = int(process.stdout.readline().split()[-1])
    assert alive(pid)
    process.kill()
    process.communicate(timeout=30)
    wait_until_gone(pid)


@needs_signals
def test_ctrl_c_ends_a_script_in_order(tmp_path):
    process = run_script(tmp_path, "await asyncio.sleep(60)", start_new_session=True)
    process.stdout.readline()
    pid = int(process.stdout.readline().split()[-1])
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    wait_until_gone(pid)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert not leftovers(tmp_path)


@needs_signals
async def test_a_worker_is_deaf_to_ctrl_c(talk):
    await talk.end_of(await talk.submit())
    (pid,) = talk.engine.worker_pids
    os.kill(pid, signal.SIGINT)
    assert (await talk.end_of(await talk.submit())).json()["task_status"] == 2
    assert talk.engine.worker_pids == (pid,)


# --- the event loop stays free ------------------------------------------------------------------


async def test_the_loop_turns_while_twelve_megapixels_are_recoloured(talk):
    turns = 0
    going = True

    async def turn():
        nonlocal turns
        while going:
            turns += 1
            await asyncio.sleep(0.001)

    await talk.end_of(await talk.submit())
    turning = asyncio.create_task(turn())
    began = turns
    task_id = await talk.submit(make_picture(4000, 3000), color_count="2")
    answer = await talk.end_of(task_id)
    made = turns - began
    going = False
    await turning
    assert answer.json()["task_status"] == 2
    # Recolouring on the loop would leave it a handful of turns; in workers it has hundreds.
    assert made > 100


# --- over a socket ------------------------------------------------------------------------------


@pytest.fixture
async def served():
    engine = LocalEngine(workers=1)
    config = uvicorn.Config(engine.app, port=0, lifespan="on", log_level="error")
    server = uvicorn.Server(config)
    server.capture_signals = __import__("contextlib").nullcontext
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        yield http
    server.should_exit = True
    await serving
    assert not engine.running


async def test_over_a_port_it_is_the_same(served):
    files = {"image": ("a.jpg", make_picture())}
    task_id = (await served.post(SUBMIT, files=files, data={"color_count": "2"})).json()["task_id"]
    async with asyncio.timeout(20):
        while True:
            answer = (await served.get(QUERY, params={"task_id": task_id})).json()
            if answer["task_status"] == 2:
                break
            await asyncio.sleep(0.01)
    urls = answer["data"]["image_list"]
    assert all(url.startswith(str(served.base_url)) for url in urls)
    for url in urls:
        file = await served.get(url)
        assert file.content[:3] == b"\xff\xd8\xff"
        assert (await served.head(url)).headers["content-length"] == str(len(file.content))


async def test_over_a_port_errors_are_json_too(served):
    for answer, status in [
        (await served.get("/nowhere"), 404),
        (await served.get(QUERY), 404),
        (await served.post(SUBMIT, content=b"", headers={"content-type": "text/plain"}), 400),
        (await served.post(SUBMIT, content=bytes(9 * 2**20)), 413),
    ]:
        assert answer.status_code == status
        assert json.loads(answer.text)["error_code"] == status


async def test_an_upload_that_breaks_off_leaves_nothing(served, caplog):
    reader, writer = await asyncio.open_connection(served.base_url.host, served.base_url.port)
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    writer.write(head.encode() + b"Content-Length: 100000\r\n\r\n--x\r\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await served.get("/healthz")).json()["waiting"] == 0
    assert not caplog.records
    del reader
