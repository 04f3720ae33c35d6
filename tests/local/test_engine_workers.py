"""Workers that die, hang and are replaced; queues that fill; engines that end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import httpx
import pytest

from ailab_async import AsyncClient, Auto, HDColorMigration, Service, TaskFailed
from ailab_async.errors import MissingExtra
from ailab_async.local import LocalEngine
from ailab_async.local.frames import BadFrame, pack, reading
from ailab_async.local.queue import places

from .conftest import BASE, QUERY, make_picture

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")


def alive(pid):
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def first_result(engine):
    """Return an event that is set when a worker's first picture has come in."""
    came = asyncio.Event()
    put = engine.store.put

    async def watched(data, **options):
        name = await put(data, **options)
        if options:
            came.set()
        return name

    engine.store.put = watched
    return came


def files_in(engine):
    folder = engine.store._folder
    paths = [*(folder / "uploads").iterdir(), *(folder / "results").iterdir()]
    return sorted(path.suffix for path in paths)


async def code_of(talk, task_id):
    return (await talk.end_of(task_id)).json()["error_detail"]["code"]


# --- workers ------------------------------------------------------------------------------------


async def test_no_worker_starts_before_there_is_work(talk):
    assert talk.engine.worker_pids == ()
    await talk.end_of(await talk.submit())
    assert len(talk.engine.worker_pids) == 1


@needs_signals
async def test_a_worker_killed_in_mid_work_costs_an_attempt_and_no_task(talk, long_job):
    came = first_result(talk.engine)
    struck = await talk.submit(**long_job)
    next_one = await talk.submit()
    async with asyncio.timeout(30):
        await came.wait()
    (pid,) = talk.engine.worker_pids
    os.kill(pid, signal.SIGKILL)
    ended = await talk.end_of(struck)
    assert len(ended.json()["data"]["image_list"]) == 8
    assert (await talk.end_of(next_one)).json()["task_status"] == 2
    assert talk.engine.worker_pids != (pid,)
    # what the killed worker had made is gone with it: no picture is there twice
    assert files_in(talk.engine) == [".jpg"] * 9
    assert "ailab_engine_worker_deaths_total 1" in (await talk.http.get("/metrics")).text


@needs_signals
async def test_a_task_under_which_workers_keep_dying_fails_and_no_other(talk_to, long_job):
    async with talk_to(retries=1) as talk:
        struck = await talk.submit(**long_job)
        next_one = await talk.submit()
        for _ in range(2):
            came = first_result(talk.engine)
            async with asyncio.timeout(30):
                await came.wait()
            os.kill(talk.engine.worker_pids[0], signal.SIGKILL)
        failed = await talk.end_of(struck)
        assert failed.status_code == 500
        assert failed.json()["error_detail"]["code"] == "PROCESSING_FAILURE"
        assert (await talk.job_of(failed, "HD_COLOUR_MIGRATION"))["status"] == "LIMIT_RETRY_FAILED"
        assert (await talk.end_of(next_one)).json()["task_status"] == 2
        assert (await talk.end_of(struck)).status_code == 500
        assert files_in(talk.engine) == [".jpg"]


@needs_signals
async def test_a_worker_that_died_idle_costs_no_task(talk):
    await talk.end_of(await talk.submit())
    (pid,) = talk.engine.worker_pids
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while alive(pid) or talk.engine.worker_pids:
            await asyncio.sleep(0.01)
    assert (await talk.end_of(await talk.submit())).json()["task_status"] == 2


@needs_signals
async def test_a_task_that_takes_too_long_fails_and_its_worker_is_replaced(talk_to, long_job):
    async with talk_to(time_limit=2.0) as talk:
        came = first_result(talk.engine)
        stuck = await talk.submit(**long_job)
        next_one = await talk.submit()
        async with asyncio.timeout(30):
            await came.wait()
        (pid,) = talk.engine.worker_pids
        os.kill(pid, signal.SIGSTOP)
        answer = await talk.end_of(stuck)
        assert answer.status_code == 504
        assert answer.json()["error_detail"]["code"] == "AI_SERVICE_TIMEOUT"
        assert (await talk.job_of(answer, "HD_COLOUR_MIGRATION"))["status"] == "TIMEOUT_FAILED"
        assert (await talk.end_of(next_one)).json()["task_status"] == 2
        assert not alive(pid)


async def test_a_worker_that_cannot_start_fails_its_task(talk, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert await code_of(talk, await talk.submit()) == "PROCESSING_FAILURE"
    monkeypatch.undo()
    assert (await talk.end_of(await talk.submit())).json()["task_status"] == 2


async def test_a_worker_that_talks_nonsense_fails_its_task(talk, monkeypatch, tmp_path, caplog):
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("#!/bin/sh\necho why >&2\necho hello, this is no frame at all\n")
    nonsense.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(nonsense))
    assert await code_of(talk, await talk.submit()) == "PROCESSING_FAILURE"
    assert "why" in caplog.text


async def test_results_that_cannot_be_written_fail_their_task(talk, monkeypatch):
    put = talk.engine.store.put

    async def full(data, *, extension=".upload"):
        if extension != ".upload":
            raise OSError(28, "No space left on device")
        return await put(data, extension=extension)

    monkeypatch.setattr(talk.engine.store, "put", full)
    assert await code_of(talk, await talk.submit()) == "PROCESSING_FAILURE"
    monkeypatch.undo()
    assert (await talk.end_of(await talk.submit())).json()["task_status"] == 2


async def test_uploads_that_cannot_be_written_are_refused(talk, picture, monkeypatch):
    async def full(data, **options):
        raise OSError(28, "No space left on device", "/secret")

    monkeypatch.setattr(talk.engine.store, "put", full)
    answer = await talk.post(picture())
    assert answer.status_code == 502
    assert answer.json()["error_detail"]["code"] == "FILE_SERVICE_ERROR"
    assert "secret" not in answer.text


async def test_uploads_are_deleted_when_their_task_has_ended(talk):
    reference = await talk.submit(mode="REF_PIC", ref=make_picture(70, 70))
    plain = await talk.submit(make_picture(file_format="PNG"))
    for task_id in (reference, plain):
        await talk.end_of(task_id)
    assert files_in(talk.engine) == [".jpg", ".png"]


def test_there_are_never_more_places_than_cores_or_fewer_than_one():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert places(None) == cores
    assert places(10_000) == cores
    assert places(1) == 1
    assert places(0) == 1


async def test_a_second_worker_starts_only_where_the_first_is_busy(talk_to):
    if places(None) < 2:
        pytest.skip("one core")
    async with talk_to(workers=2) as talk:
        for _ in range(3):
            await talk.end_of(await talk.submit())
        assert len(talk.engine.worker_pids) == 1
        both = [await talk.submit(make_picture(1500, 1000)) for _ in range(2)]
        for task_id in both:
            await talk.end_of(task_id)
        assert len(talk.engine.worker_pids) == 2


@needs_signals
async def test_the_client_is_told_that_its_task_failed(talk_to, long_job):
    photo = long_job["picture"]
    async with (
        talk_to(retries=0) as talk,
        AsyncClient(service=Service.local(engine=talk.engine)) as client,
    ):
        came = first_result(talk.engine)
        task = await client.submit(HDColorMigration(photo, Auto(color_count=8)))
        async with asyncio.timeout(30):
            await came.wait()
        os.kill(talk.engine.worker_pids[0], signal.SIGKILL)
        with pytest.raises(TaskFailed) as caught:
            await task.wait(timeout=20)
        assert caught.value.code == "PROCESSING_FAILURE"
        assert len((await client.run(HDColorMigration(make_picture()))).images) == 1


# --- the queue ----------------------------------------------------------------------------------


async def test_a_full_queue_refuses_and_says_when_to_come_back(talk_to, picture):
    async with talk_to(queue_limit=1, patience=0) as talk:
        await talk.held()
        await talk.submit()
        answer = await talk.post(picture())
        assert answer.status_code == 503
        assert answer.json()["error_detail"]["code"] == "AI_SERVICE_FLOW_RESTRICTION"
        assert int(answer.headers["retry-after"]) > 0
        assert files_in(talk.engine).count(".upload") == 2


async def test_of_many_at_once_as_many_are_taken_as_there_is_room(talk_to, picture):
    async with talk_to(queue_limit=1, patience=0) as talk:
        await talk.held()
        answers = await asyncio.gather(*(talk.post(picture()) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
        assert files_in(talk.engine).count(".upload") == 2


async def test_submissions_wait_for_room(talk_to, picture):
    async with talk_to(queue_limit=1) as talk:
        answers = await asyncio.gather(*(talk.post(picture()) for _ in range(12)))
        assert {answer.status_code for answer in answers} == {200}
        for answer in answers:
            assert (await talk.end_of(answer.json()["task_id"])).status_code == 200


async def test_a_submission_that_is_cancelled_while_it_waits_leaves_nothing(talk_to, picture):
    async with talk_to(queue_limit=1) as talk:
        await talk.held()
        await talk.submit()
        waiting = asyncio.create_task(talk.post(picture()))
        async with asyncio.timeout(10):
            while files_in(talk.engine).count(".upload") < 3:
                await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert files_in(talk.engine).count(".upload") == 2
        assert talk.engine.queue.waiting == 1


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


async def test_a_task_is_forgotten_after_a_day_and_its_files_with_it(talk, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(talk.engine.queue, "_clock", clock)
    old = await talk.submit()
    (file,) = await talk.pictures(old)
    url = (await talk.look(old)).json()["data"]["image_list"][0]
    clock.now += 24 * 3600 - 1
    young = await talk.submit()
    await talk.end_of(young)
    await talk.engine.queue.sweep()
    assert (await talk.look(old)).status_code == 200
    clock.now += 2
    assert (await talk.look(old)).status_code == 404
    await talk.engine.queue.sweep()
    assert (await talk.http.get(url)).status_code == 404
    assert (await talk.look(young)).status_code == 200
    assert file.status_code == 200


async def test_a_clock_that_is_put_right_makes_no_open_task_old(talk, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(talk.engine.queue, "_clock", clock)
    task_id, go = await talk.held()
    clock.now += 50 * 365 * 24 * 3600
    await talk.engine.queue.sweep()
    assert (await talk.look(task_id)).json()["task_status"] == 1
    go.set()
    assert (await talk.end_of(task_id)).json()["task_status"] == 2
    await talk.engine.queue.sweep()
    assert len(await talk.pictures(task_id)) == 2


async def test_a_clock_that_is_put_back_makes_no_sum_smaller(talk, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(talk.engine.queue, "_clock", clock)
    task_id, go = await talk.held()
    clock.now -= 500
    go.set()
    assert (await talk.end_of(task_id)).json()["task_status"] == 2
    told = (await talk.http.get("/metrics")).text
    assert 'task_seconds_sum{operation="hd-color-migration"} 0.000000' in told


async def test_the_sweep_deletes_old_files_of_its_own_and_no_other(tmp_path, talk_to):
    async with talk_to(data=tmp_path) as talk:
        orphan = tmp_path / "results" / await talk.engine.store.put(b"x", extension=".jpg")
        strange = tmp_path / "holiday.jpg"
        beside = tmp_path / "results" / "holiday.jpg"
        for path in (strange, beside):
            path.write_bytes(b"x")
        for path in (orphan, strange, beside):
            os.utime(path, (0, 0))
        task_id = await talk.submit()
        await talk.end_of(task_id)
        await talk.engine.queue.sweep()
        assert not orphan.exists()
        assert strange.exists()
        assert (tmp_path / "results" / "holiday.jpg").exists()
        assert len(await talk.pictures(task_id)) == 1


# --- start and end ------------------------------------------------------------------------------


async def test_closing_leaves_no_process_and_no_file(talk_to):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with talk_to() as talk:
            await talk.held()
            await talk.submit()
            pids = talk.engine.worker_pids
            folder = talk.engine.store._folder
            assert folder.is_relative_to(tempfile.gettempdir())
        assert pids
        assert not any(alive(pid) for pid in pids)
        assert not folder.exists()
        del talk
        gc.collect()


async def test_closing_is_idempotent_and_final(talk_to):
    async with talk_to() as talk:
        await talk.end_of(await talk.submit())
        await talk.engine.aclose()
        await talk.engine.aclose()
        answer = await talk.look("x")
        assert answer.status_code == 503
        assert answer.json()["error_detail"]["code"] == "ERROR_RESOURCE_UNAVAILABLE"
        with pytest.raises(RuntimeError, match="new LocalEngine"):
            await talk.engine.start()


async def test_closing_is_carried_through_by_a_cancelled_caller(talk_to):
    context = talk_to()
    talk = await context.__aenter__()
    await talk.held()
    pids, folder = talk.engine.worker_pids, talk.engine.store._folder
    closing = asyncio.create_task(talk.engine.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not any(alive(pid) for pid in pids)
    assert not folder.exists()
    await talk.http.aclose()


async def test_starting_is_idempotent(talk_to):
    async with talk_to() as talk:
        folder = talk.engine.store._folder
        await talk.engine.start()
        assert talk.engine.store._folder == folder


async def test_a_given_folder_stays_with_its_results(tmp_path, talk_to):
    data = tmp_path / "deep" / "data"
    async with talk_to(data=data) as talk:
        await talk.end_of(await talk.submit())
    assert [path.suffix for path in (data / "results").iterdir()] == [".jpg"]
    assert not [*(data / "uploads").iterdir()]


async def test_a_folder_that_cannot_be_made_is_an_error_of_start(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    engine = LocalEngine(data=tmp_path / "file" / "data")
    with pytest.raises(OSError, match="file"):
        await engine.start()
    await engine.aclose()


@needs_signals
@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("part", ["uploads", "results"])
async def test_a_folder_that_cannot_be_written_is_an_error_of_start(tmp_path, part):
    (tmp_path / part).mkdir(mode=0o500)
    engine = LocalEngine(data=tmp_path)
    with pytest.raises(PermissionError, match=part):
        await engine.start()
    await engine.aclose()


async def test_an_engine_that_is_not_started_says_so():
    engine = LocalEngine()
    transport = httpx.ASGITransport(engine.app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        assert (await http.get(QUERY)).status_code == 503
    await engine.aclose()


async def test_a_missing_package_is_named_with_the_extra(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cv2" else find(name)
    )
    with pytest.raises(MissingExtra, match=r"opencv-python-headless.*ailab-async\[local\]"):
        await LocalEngine().start()


async def test_nothing_is_left_of_an_engine_without_tasks(talk_to):
    async with talk_to() as talk:
        queue = talk.engine.queue
        assert (queue.waiting, queue.busy, queue.worker_pids) == (0, 0, ())
        # the table is made with the first task: an embedded engine starts without it
        assert not talk.engine.store.records.exists()


# --- frames -------------------------------------------------------------------------------------


def read_from(data):
    frame = reading()
    wanted = next(frame)
    while True:
        piece, data = data[:wanted], data[wanted:]
        assert len(piece) == wanted
        try:
            wanted = frame.send(piece)
        except StopIteration as complete:
            assert not data
            return complete.value


@pytest.mark.parametrize("blobs", [[], [b""], [b"abc", b"", b"\0" * 70_000]])
def test_a_frame_comes_out_as_it_went_in(blobs):
    header = {"kind": "ärger", "n": [1, 2.5, None]}
    assert read_from(b"".join(pack(header, blobs))) == (header, blobs)


@pytest.mark.parametrize(
    "data",
    [
        b"hello, world",
        b"\0\0\0\0",
        b"\0\0\0\x02{}",
        b"\0\0\0\x02[]",
        b"\0\0\0\x0e" + b'{"blobs":[-1]}',
        b"\0\0\0\x0f" + b'{"blobs":["a"]}',
        b"\0\0\0\x03abc",
    ],
)
def test_what_is_no_frame_is_noticed(data):
    with pytest.raises(BadFrame):
        read_from(data)
