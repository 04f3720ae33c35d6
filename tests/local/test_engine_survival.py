"""What an engine with a data folder outlives: its end, its death, and tasks that eat memory."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ailab_async.local import LocalEngine

from .conftest import QUERY, SUBMIT, make_picture
from .test_engine_processes import ROOT
from .test_engine_workers import files_in, needs_signals

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="nothing tells how much is in use")


def rows(folder):
    """Return the table of tasks, as a stranger sees it."""
    with contextlib.closing(sqlite3.connect(folder / "tasks.sqlite")) as connection:
        found = connection.execute("SELECT id, state, attempts, results FROM tasks").fetchall()
    return {
        task_id: (state, attempts, json.loads(names)) for task_id, state, attempts, names in found
    }


# --- in order -----------------------------------------------------------------------------------


async def test_an_engine_knows_the_tasks_and_files_of_the_one_before(tmp_path, talk_to):
    async with talk_to(data=tmp_path) as talk:
        answer = await talk.post(make_picture())
        task_id = answer.json()["task_id"]
        (before,) = await talk.pictures(task_id)
    async with talk_to(data=tmp_path) as talk:
        (after,) = await talk.pictures(task_id)
        assert after.content == before.content
        data = await talk.job_of(answer, "HD_COLOUR_MIGRATION")
        assert data["status"] == "PROCESS_SUCCESS"
        assert talk.engine.worker_pids == ()


async def test_what_was_not_done_is_done_by_the_next_engine(tmp_path, talk_to):
    async with talk_to(data=tmp_path) as talk:
        begun, _ = await talk.held()
        waiting = await talk.submit()
    # an orderly end is no attempt that failed
    assert rows(tmp_path) == {begun: (0, 0, []), waiting: (0, 0, [])}
    async with talk_to(data=tmp_path) as talk:
        assert len((await talk.end_of(begun)).json()["data"]["image_list"]) == 2
        assert len((await talk.end_of(waiting)).json()["data"]["image_list"]) == 1
        # what the first engine had made of it is gone: no picture is there twice
        assert files_in(talk.engine) == [".jpg"] * 3


async def test_what_a_request_waited_for_is_not_done_again(tmp_path, talk_to):
    async with talk_to(data=tmp_path) as talk:
        await talk.held()
        files = {"image": ("a.jpg", make_picture())}
        path = "/api/image/effects/image-color-migration"
        waiting = asyncio.create_task(talk.http.post(path, files=files, data={"mode": "AUTO"}))
        async with asyncio.timeout(10):
            while talk.engine.queue.waiting != 1:
                await asyncio.sleep(0.01)
        await talk.engine.aclose()
        assert (await waiting).status_code == 503
    assert len(rows(tmp_path)) == 2
    async with talk_to(data=tmp_path) as talk:
        assert talk.engine.queue.waiting + talk.engine.queue.busy == 1
        assert len(rows(tmp_path)) == 1


async def test_a_failure_is_remembered(tmp_path, talk_to):
    async with talk_to(data=tmp_path, time_limit=0.0) as talk:
        task_id = await talk.submit()
        assert (await talk.end_of(task_id)).status_code == 504
    async with talk_to(data=tmp_path) as talk:
        assert (await talk.look(task_id)).json()["error_detail"]["code"] == "AI_SERVICE_TIMEOUT"


async def test_a_task_that_keeps_killing_engines_is_given_up(tmp_path, talk_to):
    async with talk_to(data=tmp_path, retries=1) as talk:
        task_id, _ = await talk.held()
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.sqlite")) as connection:
        # as two engines left it that were killed in the middle of it
        connection.execute("UPDATE tasks SET state = 1, attempts = 2")
        connection.commit()
    async with talk_to(data=tmp_path, retries=1) as talk:
        answer = await talk.end_of(task_id)
        assert answer.json()["error_detail"]["code"] == "PROCESSING_FAILURE"
        assert (await talk.job_of(answer, "HD_COLOUR_MIGRATION"))["status"] == "LIMIT_RETRY_FAILED"
        assert talk.engine.worker_pids == ()


async def test_a_task_whose_upload_is_gone_fails_alone(tmp_path, talk_to):
    async with talk_to(data=tmp_path) as talk:
        await talk.held()
        lost = await talk.submit(make_picture(400, 300))
    largest = max((tmp_path / "uploads").iterdir(), key=lambda path: path.stat().st_size)
    largest.unlink()
    async with talk_to(data=tmp_path) as talk:
        answer = await talk.end_of(lost)
        assert answer.json()["error_detail"]["code"] == "PROCESSING_FAILURE"
        assert str(tmp_path) not in answer.text


async def test_a_folder_serves_one_engine_at_a_time(tmp_path, talk_to):
    async with talk_to(data=tmp_path) as talk:
        second = LocalEngine(data=tmp_path)
        with pytest.raises(OSError, match="another engine") as caught:
            await second.start()
        assert caught.value.errno == errno.EBUSY
        await second.aclose()
        assert (await talk.end_of(await talk.submit())).status_code == 200
    async with talk_to(data=tmp_path) as talk:
        assert talk.engine.running


@pytest.mark.parametrize("damage", ["rubbish", "version"])
async def test_records_that_are_not_ours_are_an_error_of_start(tmp_path, talk_to, damage):
    table = tmp_path / "tasks.sqlite"
    if damage == "rubbish":
        table.write_bytes(b"no table at all " * 100)
    else:
        with contextlib.closing(sqlite3.connect(table)) as connection:
            connection.execute("PRAGMA user_version = 99")
    engine = LocalEngine(data=tmp_path)
    with pytest.raises(OSError, match="task records") as caught:
        await engine.start()
    assert caught.value.filename == str(table)
    # the folder is let go: what is wrong can be mended while the program runs
    table.unlink()
    async with talk_to(data=tmp_path) as talk:
        assert talk.engine.running
    await engine.aclose()


def change(folder, what):
    """Change the table of tasks behind an engine's back."""
    with contextlib.closing(sqlite3.connect(folder / "tasks.sqlite")) as connection:
        connection.execute(f"UPDATE tasks SET {what}")  # noqa: S608 - our own
        connection.commit()


@pytest.mark.parametrize(
    "what", ["state = 0, job = 'x'", "state = 0, uploads = '3'", "results = 1"]
)
async def test_a_task_that_makes_no_sense_is_an_error_of_start(tmp_path, talk_to, what):
    async with talk_to(data=tmp_path) as talk:
        await talk.end_of(await talk.submit())
    change(tmp_path, what)
    engine = LocalEngine(data=tmp_path)
    with pytest.raises(OSError, match="makes no sense"):
        await engine.start()
    await engine.aclose()


@pytest.mark.parametrize("what", ["state = 7", "results = 'x'", "problem = '[\"WHATEVER\", 1]'"])
async def test_a_look_at_a_task_that_makes_no_sense_is_told_so(tmp_path, talk_to, caplog, what):
    async with talk_to(data=tmp_path) as talk:
        task_id = await talk.submit()
        await talk.end_of(task_id)
        change(tmp_path, what)
        answer = await talk.look(task_id)
        assert answer.status_code == 502
        assert answer.json()["error_detail"]["code"] == "FILE_SERVICE_ERROR"
        assert str(tmp_path) not in answer.text
        assert "makes no sense" in caplog.text
        assert (await talk.end_of(await talk.submit())).status_code == 200


@pytest.mark.parametrize("page", range(3))
async def test_damaged_records_are_never_a_crash(tmp_path, talk_to, page):
    async with talk_to(data=tmp_path) as talk:
        done = await talk.submit()
        await talk.end_of(done)
        files = files_in(talk.engine)
    table = tmp_path / "tasks.sqlite"
    whole = table.read_bytes()
    assert len(whole) == 4096 * 4
    at = 4096 * (page + 1)
    table.write_bytes(whole[:at] + b"\xff" * 4096 + whole[at + 4096 :])
    engine = LocalEngine(data=tmp_path)
    with contextlib.suppress(OSError):
        await engine.start()
        transport = httpx.ASGITransport(engine.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x.invalid") as http:
            answer = await http.get(QUERY, params={"task_id": done})
        assert answer.status_code in {200, 404, 502}
    await engine.aclose()
    # whatever it was: nothing of what the records may have been about was deleted
    assert files == [path.suffix for path in (tmp_path / "results").iterdir()]


@needs_signals
async def test_records_and_pictures_are_nobody_elses_business(tmp_path, talk_to):
    async with talk_to(data=tmp_path) as talk:
        await talk.end_of(await talk.submit())
        modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}
    del modes["engine.lock"]
    assert modes["tasks.sqlite"] == 0
    assert set(modes.values()) == {0}


async def test_records_that_cannot_be_written_refuse_the_submission(tmp_path, talk_to, monkeypatch):
    from ailab_async.local.records import RecordsBroken

    async with talk_to(data=tmp_path) as talk:

        async def full(task):
            raise RecordsBroken(errno.EIO, "disk full", "/secret")

        monkeypatch.setattr(talk.engine.records, "add", full)
        answer = await talk.post(make_picture())
        assert answer.status_code == 502
        assert answer.json()["error_detail"]["code"] == "FILE_SERVICE_ERROR"
        assert "secret" not in answer.text
        assert files_in(talk.engine) == []
        monkeypatch.undo()
        assert (await talk.end_of(await talk.submit())).status_code == 200


async def test_a_submission_cancelled_while_it_is_written_down_leaves_no_task(
    tmp_path, talk_to, monkeypatch
):
    async with talk_to(data=tmp_path, queue_limit=1, patience=0) as talk:
        add, written, go = talk.engine.records.add, asyncio.Event(), asyncio.Event()

        async def slow(task):
            await add(task)
            written.set()
            await go.wait()

        monkeypatch.setattr(talk.engine.records, "add", slow)
        sending = asyncio.create_task(talk.post(make_picture()))
        async with asyncio.timeout(10):
            await written.wait()
        sending.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert rows(tmp_path) == {}
        assert files_in(talk.engine) == []
        monkeypatch.undo()
        # its place in the queue is free again
        assert (await talk.post(make_picture())).status_code == 200


async def test_an_end_that_cannot_be_written_down_is_told_all_the_same(talk, monkeypatch):
    async def full(task, **end):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(talk.engine.records, "ended", full)
    task_id = await talk.submit()
    assert len(await talk.pictures(task_id)) == 1


# --- by force -----------------------------------------------------------------------------------


def serve(folder, *words, **options):
    """Start ``ailab serve`` on a data folder; return the process and its address."""
    command = (sys.executable, "-m", "ailab_async", "serve", "--port", "0", "--workers", "1")
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--data", str(folder), *words],
        stdout=subprocess.PIPE,
        text=True,
        **options,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    found = re.search(r"http://\S+", process.stdout.readline())
    return process, found[0]


def until(happens):
    """Bounded by the test's own time limit."""
    while not happens():
        time.sleep(0.01)


def images_of(http, task_id):
    """Wait until a task is done, and return the addresses of its pictures."""
    while True:
        answer = http.get(QUERY, params={"task_id": task_id}).json()
        if answer["task_status"] == 2:
            return answer["data"]["image_list"]
        time.sleep(0.01)


@needs_signals
def test_a_killed_server_loses_no_accepted_task_and_does_none_twice(tmp_path, long_job):
    process, url = serve(tmp_path)
    files = {"image": ("a.jpg", long_job["picture"])}
    wanted = {}
    with httpx.Client(base_url=url) as http:
        for count in ("8", "1", "2"):
            answer = http.post(SUBMIT, files=files, data={"color_count": count, "degree": "1"})
            wanted[answer.json()["task_id"]] = int(count)
        until(lambda: len(list((tmp_path / "results").glob("*.jpg"))) >= 2)
    process.kill()
    process.communicate(timeout=20)
    assert sorted(state for state, *_ in rows(tmp_path).values()) == [0, 0, 1]
    process, url = serve(tmp_path)
    try:
        with httpx.Client(base_url=url) as http:
            for task_id, count in wanted.items():
                urls = images_of(http, task_id)
                assert len({http.get(url).content for url in urls}) == count
    finally:
        process.terminate()
        process.communicate(timeout=20)
    kept = rows(tmp_path)
    assert {task_id: len(names) for task_id, (_, _, names) in kept.items()} == wanted
    named = [name for _, _, names in kept.values() for name in names]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == sorted(named)
    assert not list((tmp_path / "uploads").iterdir())
    assert sorted(attempts for _, attempts, _ in kept.values()) == [1, 1, 2]


@needs_signals
def test_a_stop_that_reaches_the_workers_too_costs_no_attempt(tmp_path, long_job):
    # as systemd stops a service, where it is not told otherwise: all of its processes at once
    process, url = serve(tmp_path, start_new_session=True, stderr=subprocess.PIPE)
    files = {"image": ("a.jpg", long_job["picture"])}
    task_id = httpx.post(f"{url}{SUBMIT}", files=files, data={"color_count": "8"}).json()["task_id"]
    until(lambda: list((tmp_path / "results").glob("*.jpg")))
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "")
    assert rows(tmp_path) == {task_id: (0, 0, [])}


def test_a_served_engine_writes_a_line_for_each_request_where_it_is_told_to(tmp_path):
    process, url = serve(tmp_path, "--access-log", stderr=subprocess.PIPE)
    httpx.get(f"{url}/healthz?secret=sentinel")
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert re.fullmatch(r"[0-9-]+ [0-9:,]+ INFO GET /healthz 200 \d+ [0-9.]+\n", said), said


@on_linux
def test_a_served_engine_says_what_went_wrong(tmp_path, long_job):
    process, url = serve(tmp_path, stderr=subprocess.PIPE)
    with httpx.Client(base_url=url) as http:
        files = {"image": ("a.jpg", long_job["picture"])}
        http.post(SUBMIT, files=files, data={"color_count": "8"})
        until(lambda: list((tmp_path / "results").glob("*.jpg")))
        (pid,) = (int(pid) for pid in children_of(process.pid))
        os.kill(pid, signal.SIGKILL)
        until(lambda: "worker_deaths_total 1" in http.get("/metrics").text)
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert "WARNING a worker of the local engine is gone" in said


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# --- memory -------------------------------------------------------------------------------------


@on_linux
async def test_a_task_that_outgrows_its_memory_fails_and_the_others_go_on(talk_to):
    async with talk_to(memory_limit=48 << 20) as talk:
        small = await talk.submit()
        large = await talk.post(make_picture(4000, 3000))
        after = await talk.submit()
        answer = await talk.end_of(large.json()["task_id"])
        assert answer.status_code == 500
        assert "memory" in answer.json()["error_detail"]["message"]
        data = await talk.job_of(large, "HD_COLOUR_MIGRATION")
        assert data["status"] == "PROCESS_FAILED"
        assert (await talk.end_of(small)).json()["task_status"] == 2
        assert (await talk.end_of(after)).json()["task_status"] == 2


@on_linux
async def test_a_worker_that_has_grown_is_replaced(talk_to):
    # the limit is of what is asked for; half of it is less than a worker has before its first job
    async with talk_to(memory_limit=90 << 20) as talk:
        pids = set()
        for _ in range(2):
            assert (await talk.end_of(await talk.submit())).json()["task_status"] == 2
            pids |= set(talk.engine.worker_pids)
        assert pids == set()
