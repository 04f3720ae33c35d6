"""The client's verbs, over a real socket and a scripted service."""

import asyncio
import gc
import os
import pickle
from datetime import timedelta

import pytest
from loopback import Reply, answer
from scripted_service import PNG, QUERY_PATH, SUBMIT_PATH, ScriptedService, form_of

from ailab_async import (
    AsyncClient,
    Auto,
    CartoonGenerator,
    Endpoint,
    HDColorMigration,
    ImageErasure,
    InvalidOperation,
    PollPolicy,
    RefPic,
    RetryPolicy,
    Service,
    TaskState,
    Template,
    Timeouts,
    errors,
    events,
)

QUICK = PollPolicy(first=0.001, interval=0.001)


@pytest.fixture
async def service():
    async with ScriptedService() as scripted:
        yield scripted


@pytest.fixture
def photo(pictures):
    return pictures / "portrait.jpg"


def client_of(service, **options):
    options = {"poll": QUICK, "retry": RetryPolicy(base=0.001), **options}
    return AsyncClient(service=Service.local(service.url), **options)


# --- submit, run, attach -------------------------------------------------------------------------


async def test_a_photo_goes_up_and_its_pictures_come_down(service, photo, tmp_path):
    service.looks = [{"task_status": 0, "data": {}}, {"task_status": 1}]
    async with client_of(service) as client:
        task = await client.submit(HDColorMigration(photo, Auto(color_count=2), degree=0.6))
        assert (task.id, task.request_id, task.operation) == ("t-1", "r-1", "hd-color-migration")
        result = await task
        assert task.state is TaskState.SUCCEEDED
        assert len(result.images) == 2
        assert await result.images[0].read() == PNG
        paths = await result.save(tmp_path / "out")
    assert [path.name for path in paths] == ["portrait-1.png", "portrait-2.png"]
    assert [path.read_bytes() for path in paths] == [PNG, PNG]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "portrait-1.png",
        "portrait-2.png",
    ]
    assert service.asked == ["t-1"] * 3


@pytest.mark.parametrize("mode", ["auto", "template", "ref"])
async def test_the_form_is_the_documented_one(service, photo, pictures, mode):
    dusk = pictures / "dusk.jpg"
    value, own = {
        "auto": (Auto(color_count=3), {"color_count": (None, None, b"3")}),
        "template": (
            Template("056a6b", "#0A0B0C"),
            {"color_template": (None, None, b"056A6B,0A0B0C")},
        ),
        "ref": (RefPic(dusk), {"ref": ("image.jpg", "image/jpeg", dusk.read_bytes())}),
    }[mode]
    async with client_of(service) as client:
        await client.submit(HDColorMigration(photo, value))
    (seen,) = service.accepted
    assert seen.path == SUBMIT_PATH
    word = {"auto": b"AUTO", "template": b"TEMPLATE", "ref": b"REF_PIC"}[mode]
    assert form_of(seen) == {
        "task_type": (None, None, b"async"),
        "image": ("image.jpg", "image/jpeg", photo.read_bytes()),
        "mode": (None, None, word),
        "degree": (None, None, b"0.4"),
        **own,
    }


async def test_run_is_submit_and_wait_in_one(service, photo):
    async with client_of(service) as client:
        result = await client.run(HDColorMigration(photo))
    assert len(result.files) == 2
    assert result.raw["task_status"] == 2


async def test_a_task_made_here_is_awaited_elsewhere(service, photo):
    async with client_of(service) as client:
        task = await client.submit(HDColorMigration(photo))
        record = task.record()
    assert all(isinstance(value, str) for value in record.values())
    async with client_of(service) as other:
        again = await other.attach(record)
        result = await again
        assert again.submitted_at == task.submitted_at
        assert [file.name for file in result.images] == ["portrait-1", "portrait-2"]
        named = await other.attach("t-1", operation=HDColorMigration)
        assert [file.name for file in (await named).images] == ["t-1-1", "t-1-2"]
        assert len((await (await other.attach("t-1"))).files) == 2


async def test_a_record_of_another_service_is_refused(service, photo):
    async with client_of(service) as client:
        with pytest.raises(errors.InvalidOperation, match="service"):
            await client.attach({"id": "t-1", "service": "rapidapi"})
        with pytest.raises(errors.InvalidOperation, match="id"):
            await client.attach({"operation": "hd-color-migration"})
        with pytest.raises(errors.InvalidOperation, match="strings"):
            await client.attach({"id": 7})
        with pytest.raises(errors.InvalidOperation, match="id"):
            await client.attach("")


async def test_a_submission_answered_at_once_is_a_finished_task(service, photo):
    done = {"error_code": 0, "data": {"image_list": [f"{service.url}/files/0"]}}
    service.submissions = [answer(done)]
    async with client_of(service) as client:
        task = await client.submit(HDColorMigration(photo))
        assert task.done()
        assert len((await task).images) == 1
    assert service.asked == []


async def test_only_a_request_id_is_asked_for_by_job_id(service, photo):
    service.submissions = [answer({"error_code": 0, "request_id": "r-9"})]
    asked = []

    async def by_job(seen):
        if seen.method == "GET":
            asked.append((seen.path, seen.query))

    service.before_answer = by_job
    async with client_of(service, poll=PollPolicy(interval=0.001, tolerance=0)) as client:
        task = await client.submit(HDColorMigration(photo))
        assert (task.expires_at - task.submitted_at).total_seconds() == 30 * 60
        with pytest.raises(errors.AILabError):
            await task
    query = {"job_id": "r-9", "type": "HD_COLOUR_MIGRATION"}
    assert asked[0] == ("/api/image/asyn-task-results", query)


async def test_an_acceptance_that_names_no_task_is_an_unknown_outcome(service, photo):
    service.submissions = [answer({"error_code": 0})]
    async with client_of(service) as client:
        with pytest.raises(errors.OutcomeUnknown, match="no task"):
            await client.submit(HDColorMigration(photo))
    assert len(service.accepted) == 1


async def test_a_failed_task_raises_what_the_service_said(service, photo):
    refusal = {"error_code": 422, "error_detail": {"code": "ERROR_NO_FACE_IN_FILE", "message": "x"}}
    service.looks = [answer(refusal, 422)]
    async with client_of(service) as client:
        task = await client.submit(HDColorMigration(photo))
        for _ in range(2):
            with pytest.raises(errors.TaskFailed) as caught:
                await task
            assert caught.value.code == "ERROR_NO_FACE_IN_FILE"
            assert isinstance(pickle.loads(pickle.dumps(caught.value)), errors.TaskFailed)
        updates = [update.state async for update in task]
        assert updates == [TaskState.FAILED]


async def test_a_success_without_files_is_an_error_and_nobody_waits_for_ever(service, photo):
    service.looks = [{"error_code": 0, "task_status": 2, "data": {"image_list": []}}]
    async with client_of(service) as client:
        with pytest.raises(errors.MalformedReply, match="t-1"):
            await client.run(HDColorMigration(photo))


# --- waiting -------------------------------------------------------------------------------------


async def test_waiters_do_not_touch_each_other_or_the_task(service, photo):
    release = asyncio.Event()

    async def hold(seen):
        if seen.path == QUERY_PATH:
            await release.wait()

    service.before_answer = hold
    async with client_of(service) as client:
        task = await client.submit(HDColorMigration(photo))
        patient = [asyncio.create_task(task.wait()) for _ in range(5)]
        with pytest.raises(errors.TaskTimeout) as caught:
            await task.wait(timeout=0.001)
        assert caught.value.task_id == "t-1"
        assert isinstance(caught.value, TimeoutError)
        victim = asyncio.create_task(task.wait())
        await asyncio.sleep(0)
        victim.cancel()
        with pytest.raises(asyncio.CancelledError):
            await victim
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await task
        release.set()
        results = await asyncio.gather(*patient)
        assert all(result is results[0] for result in results)
        assert await task is results[0]


async def test_each_waiter_gets_an_exception_of_its_own(service, photo):
    service.looks = [{"error_code": 0, "data": {"status": "PROCESS_FAILED"}}]
    async with client_of(service) as client:
        task = await client.submit(HDColorMigration(photo))
        caught = []
        for _ in range(3):
            with pytest.raises(errors.ProcessFailed) as info:
                await task
            caught.append(info.value)
    assert len({id(error) for error in caught}) == 3
    assert len({id(error.__cause__) for error in caught}) == 1


async def test_updates_come_once_each_and_to_late_comers_too(service, photo):
    service.looks = [{"task_status": 0}, {"task_status": 0}, {"task_status": 1}]
    async with client_of(service) as client:
        task = await client.submit(HDColorMigration(photo))
        live = [update.state async for update in task]
        late = [update.state async for update in task]
    assert live == late == [TaskState.QUEUED, TaskState.PROCESSING, TaskState.SUCCEEDED]


# --- nothing lost --------------------------------------------------------------------------------


async def test_a_task_is_made_known_before_anything_else(service, photo):
    known = []
    async with client_of(service, on_submitted=known.append) as client:
        task = await client.submit(HDColorMigration(photo))
        assert known == [task]


async def test_a_cancelled_submission_that_was_accepted_is_an_orphan(service, photo):
    release, known, seen_events = asyncio.Event(), [], []

    async def hold(seen):
        if seen.method == "POST":
            await release.wait()

    service.before_answer = hold
    options = {"on_submitted": known.append, "on_event": seen_events.append}
    async with client_of(service, **options) as client:
        caller = asyncio.create_task(client.run(HDColorMigration(photo)))
        while not service.accepted:
            await asyncio.sleep(0.001)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        release.set()
        while not client.orphans:
            await asyncio.sleep(0.001)
        (orphan,) = client.orphans
        assert known == [orphan]
        assert len((await orphan).files) == 2
    assert "task.orphaned" in [event.name for event in seen_events]


async def test_a_cancelled_run_leaves_its_task_in_the_orphans(service, photo):
    asking, release = asyncio.Event(), asyncio.Event()

    async def hold(seen):
        if seen.path == QUERY_PATH:
            asking.set()
            await release.wait()

    service.before_answer = hold
    async with client_of(service) as client:
        caller = asyncio.create_task(client.run(HDColorMigration(photo)))
        await asking.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert [task.id for task in client.orphans] == ["t-1"]
        release.set()
        await client.orphans[0]


async def test_orphans_are_forgotten_when_their_results_are(service, photo, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    async with client_of(service, on_submitted=full) as client:
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                await client.submit(HDColorMigration(photo))
        assert [task.id for task in client.orphans] == ["t-1", "t-2", "t-3"]
        monkeypatch.setattr("ailab_async.task.RETENTION", timedelta(0))
        with pytest.raises(OSError, match="No space"):
            await client.submit(HDColorMigration(photo))
        assert [task.id for task in client._settings._orphans] == ["t-4"]
        assert client.orphans == ()


async def test_a_hook_that_fails_to_store_the_task_says_which_one(service, photo):
    def full(_):
        raise OSError(28, "No space left on device")

    async with client_of(service, on_submitted=full) as client:
        with pytest.raises(OSError, match="No space") as caught:
            await client.submit(HDColorMigration(photo))
        assert "t-1" in str(caught.value.__notes__)
        assert [task.id for task in client.orphans] == ["t-1"]
    assert len(service.accepted) == 1


async def test_closing_names_the_tasks_that_are_open(service, photo):
    service.looks = [{"task_status": 1}] * 10_000
    client = client_of(service)
    tasks = [await client.submit(HDColorMigration(photo)) for _ in range(3)]
    await client.aclose()
    await client.aclose()
    for task in tasks:
        with pytest.raises(errors.ClientClosed) as caught:
            await task
        assert set(caught.value.task_ids) == {"t-1", "t-2", "t-3"}
    with pytest.raises(errors.ClientClosed):
        await client.submit(HDColorMigration(photo))


# --- which service -------------------------------------------------------------------------------


def test_the_service_is_chosen_by_what_is_given(monkeypatch):
    assert AsyncClient().service.name == "local"
    assert AsyncClient("some-key").service.name == "direct"
    monkeypatch.setenv("AILAB_API_KEY", "key-of-the-environment")
    assert AsyncClient().service.name == "direct"
    assert AsyncClient(service=Service.local()).service.name == "local"
    monkeypatch.setenv("AILAB_API_KEY", "  ")
    assert AsyncClient().service.embedded
    monkeypatch.setenv("AILAB_ENGINE_URL", "http://127.0.0.1:8765/")
    assert AsyncClient().service.base_url == "http://127.0.0.1:8765"
    monkeypatch.setenv("AILAB_API_KEY", "key-of-the-environment")
    with pytest.raises(errors.InvalidOperation, match="AILAB_ENGINE_URL"):
        AsyncClient()
    with pytest.raises(errors.InvalidOperation, match="api_key"):
        AsyncClient("key", service=Service.local())
    with pytest.raises(errors.InvalidOperation, match="api_key"):
        AsyncClient("")


async def test_a_forgotten_key_does_not_pass_unseen(service, photo, caplog):
    seen = []
    with caplog.at_level("INFO", logger="ailab_async"):
        async with client_of(service, on_event=seen.append):
            pass
    assert seen[0] == events.ServiceChosen(service="local", reason="given as service=")
    assert "local service does the work" in caplog.text


@pytest.mark.parametrize("wrong", [0, -1, 2000, 1.5, True, "4"])
def test_a_limit_that_cannot_be_is_refused(wrong):
    with pytest.raises(errors.InvalidOperation, match="max_in_flight"):
        AsyncClient(max_in_flight=wrong)


async def test_two_clients_do_not_touch_each_other(service, photo):
    async with client_of(service) as first, client_of(service) as second:
        task = await first.submit(HDColorMigration(photo))
        await second.aclose()
        assert len((await task).files) == 2


# --- lifetime ------------------------------------------------------------------------------------


async def test_a_client_used_from_a_second_loop_says_so(service, photo):
    async with client_of(service) as client:

        async def elsewhere():
            await client.submit(HDColorMigration(photo))

        with pytest.raises(errors.ClientMisused, match="event loop"):
            await asyncio.to_thread(lambda: asyncio.run(elsewhere()))


async def test_a_client_used_after_a_fork_says_so(service, photo, monkeypatch):
    async with client_of(service) as client:
        here = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: here + 1)
        with pytest.raises(errors.ClientMisused, match="process"):
            await client.submit(HDColorMigration(photo))
        monkeypatch.undo()


async def test_closing_is_carried_through_when_its_caller_is_cancelled(service, photo):
    release = asyncio.Event()

    async def hold(seen):
        if seen.method == "POST":
            await release.wait()

    service.before_answer = hold
    client = client_of(service)
    submitting = asyncio.create_task(client.submit(HDColorMigration(photo)))
    while not service.accepted:
        await asyncio.sleep(0.001)
    session = client._session
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)
    for _ in range(3):
        closing.cancel()
        await asyncio.sleep(0)
    assert not closing.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert session.transport.at_rest
    with pytest.raises(errors.ClientClosed, match="t-1"):
        await (await submitting)


async def test_a_forgotten_client_only_warns(service):
    client = client_of(service)
    await client.__aenter__()
    running = client._session
    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031
        del client
        gc.collect()
    await running.transport.aclose()


async def test_bad_input_is_refused_before_anything_is_sent(service, photo, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    async with client_of(service) as client:
        for source in (empty, tmp_path, tmp_path / "missing.jpg", b"text", b""):
            with pytest.raises(errors.InvalidOperation):
                await client.submit(HDColorMigration(source))
    assert service.server.seen == []


async def test_signed_addresses_and_keys_show_nowhere(service, photo, caplog):
    seen = []
    keyed = Service.local(service.url, api_key="sentinel-key")
    with caplog.at_level("DEBUG"):
        async with AsyncClient(service=keyed, poll=QUICK, on_event=seen.append) as client:
            task = await client.submit(HDColorMigration(photo))
            result = await task
            await result.files[0].read()
            service.files.clear()
            with pytest.raises(errors.ResultExpired) as caught:
                await result.files[1].read()
            shown = [repr(client), repr(task), repr(result), repr(result.files), repr(keyed)]
            shown += [str(caught.value), repr(caught.value), str(seen), str(task.record())]
    logged = [record.getMessage() for record in caplog.records]
    for text in (*shown, *logged):
        assert "sentinel" not in text


# --- query, credits, call -------------------------------------------------------------------------


async def test_a_single_look_is_a_report(service):
    service.looks = [{"task_status": 1}]
    async with client_of(service) as client:
        report = await client.query("t-7", operation=HDColorMigration)
        assert (report.task_id, report.state, report.word) == ("t-7", TaskState.PROCESSING, "1")
        assert report.result is None
        report = await client.query("t-7", operation=HDColorMigration)
        assert report.state is TaskState.SUCCEEDED
        assert [await file.read() for file in report.result.images] == [PNG, PNG]
    assert service.asked == ["t-7", "t-7"]


async def test_a_failed_task_is_a_report_and_an_unknown_one_is_an_error(service):
    no_face = {"error_code": 422, "error_detail": {"code": "ERROR_NO_FACE_IN_FILE"}}
    gone = {"error_code": 404, "error_code_str": "ERROR_RESOURCE_NOT_FOUND", "error_msg": "gone"}
    busy = {"error_detail": {"code": "EXCEEDING_LIMITS"}}
    service.looks = [
        answer(no_face, 422),
        {"error_code": 0, "data": {"status": "TIMEOUT_FAILED"}},
        answer(gone, 404),
        answer(busy, 429, retry_after="900"),
    ]
    async with client_of(service) as client:
        report = await client.query("t-7")
        assert report.state is TaskState.FAILED
        assert report.failure.code == "ERROR_NO_FACE_IN_FILE"
        assert type((await client.query("t-7")).failure) is errors.TimeoutFailed
        with pytest.raises(errors.TaskNotFound) as caught:
            await client.query("t-7")
        assert caught.value.task_id == "t-7"
        with pytest.raises(errors.Throttled):
            await client.query("t-7")


@pytest.mark.parametrize(
    "ask",
    [
        {},
        {"task_id": "t", "job_id": "j"},
        {"job_id": "j"},
        {"job_id": "j", "operation": Endpoint},
    ],
)
async def test_a_question_that_names_no_task_is_refused(service, ask):
    async with client_of(service) as client:
        with pytest.raises(errors.InvalidOperation):
            await client.query(**ask)
    assert service.server.seen == []


async def test_a_job_is_asked_for_by_its_type_or_its_operation(service):
    async with client_of(service) as client:
        for how in ({"type": "HD_COLOUR_MIGRATION"}, {"operation": HDColorMigration}):
            with pytest.raises(errors.NotFound):
                await client.query(job_id="r-1", **how)
    wanted = {"job_id": "r-1", "type": "HD_COLOUR_MIGRATION"}
    assert [seen.query for seen in service.server.seen] == [wanted, wanted]


async def test_credits_are_read_as_a_list_or_one_object(service):
    one = {
        "unique_sign": "common",
        "name": "Common",
        "balance": 41.5,
        "total": "100",
        "last_update_time": 1_700_000_000,
        "first_buy_time": 0,
    }
    pages = [answer({"error_code": 0, "data": data}) for data in ([one, {}], one, "none")]

    async def credits_of(seen):
        assert seen.path == "/api/common/query-credits"

    service.before_answer = credits_of
    original = service.handle
    service.server.handler = lambda seen: pages.pop(0) if pages else original(seen)
    async with client_of(service) as client:
        first, second = await client.credits()
        assert (first.balance, first.total, first.serves_all) == (41.5, 100.0, True)
        assert first.last_update_time.year == 2023
        assert first.first_buy_time is None
        assert second.unique_sign == ""
        assert second.balance is None
        assert await client.credits() == (first,)
        with pytest.raises(errors.MalformedReply, match="credits"):
            await client.credits()


async def test_anything_of_the_catalogue_is_called_by_its_name(service, photo):
    analysis = {"error_code": 0, "data": {"score": 0.7}}
    service.submissions = [answer(analysis)]
    async with client_of(service) as client:
        result = await client.call("image-exposure-score", image=photo)
        assert result.data == {"score": 0.7}
        assert result.files == ()
        with pytest.raises(errors.InvalidOperation, match="image-exposure-score"):
            await client.call("image-exposure-scores", image=photo)
    (seen,) = service.accepted
    assert seen.path == "/api/image/rating/image-exposure-score"
    assert form_of(seen) == {"image": ("image.jpg", "image/jpeg", photo.read_bytes())}


# --- RapidAPI -------------------------------------------------------------------------------------


async def test_rapidapi_has_hosts_paths_and_headers_of_its_own(photo):
    import respx

    service = Service.rapidapi("sentinel-key", paths={"hd-color-migration": "/submit"})
    host = "hd-colour-migration.p.rapidapi.com"
    with respx.mock(assert_all_called=True) as router:
        submit = router.post(f"https://{host}/submit").respond(json={"task_id": "t-1"})
        look = router.get(
            f"https://{host}/api/rapidapi/query-async-task-result", params={"task_id": "t-1"}
        ).respond(json={"task_status": 0, "data": {"status": "PROCESS_FAILED"}})
        async with AsyncClient(service=service, poll=PollPolicy.fixed(0.001)) as client:
            task = await client.submit(HDColorMigration(photo))
            with pytest.raises(errors.ProcessFailed):
                await task
    for route in (submit, look):
        headers = route.calls.last.request.headers
        assert headers["x-rapidapi-key"] == "sentinel-key"
        assert headers["x-rapidapi-host"] == headers["host"] == host
        assert "ailabapi-api-key" not in headers
    assert b"task_type" not in submit.calls.last.request.content


async def test_what_rapidapi_does_not_have_is_said_before_anything_is_sent(photo):
    import respx

    with respx.mock(assert_all_mocked=True) as router:
        async with AsyncClient(service=Service.rapidapi("k")) as client:
            with pytest.raises(errors.InvalidOperation, match=r"paths=\{'hd-color-migration'"):
                await client.submit(HDColorMigration(photo))
            with pytest.raises(errors.InvalidOperation, match="image-erase"):
                await client.submit(ImageErasure(photo, photo))
            with pytest.raises(errors.InvalidOperation, match="credits"):
                await client.credits()
        assert not router.calls


async def test_the_direct_service_is_asked_with_its_key(photo):
    import respx

    base = "https://www.ailabapi.com"
    gone = {"error_code": 404, "error_detail": {"code": "ERROR_AI_NOT_EXISTS", "message": "gone"}}
    with respx.mock(base_url=base) as router:
        path = "/api/image/effects/image-hd-color-migration"
        submit = router.post(path).respond(404, json=gone)
        async with AsyncClient("sentinel-key") as client:
            with pytest.raises(errors.EndpointRetired, match="local engine"):
                await client.run(HDColorMigration(photo))
    assert submit.call_count == 1
    assert submit.calls.last.request.headers["ailabapi-api-key"] == "sentinel-key"


# --- what newcomers do ----------------------------------------------------------------------------


async def test_two_threads_that_start_one_client_together_are_told_apart(service, photo):
    """The second loop must not wait for a lock that only the first one can release."""
    import threading

    client = AsyncClient(service=Service.local(service.url), poll=QUICK)
    barrier, outcomes = threading.Barrier(2), []

    def use():
        async def submit():
            barrier.wait(timeout=10)
            try:
                async with asyncio.timeout(10):
                    await client.credits()
            except errors.ClientMisused:
                outcomes.append("misused")
            except errors.NotFound:
                outcomes.append("answered")
                await client.aclose()

        asyncio.run(submit())

    await asyncio.gather(asyncio.to_thread(use), asyncio.to_thread(use))
    assert sorted(outcomes) == ["answered", "misused"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('{"id": "t-1"}', "json.loads"),
        (7, "record"),
        (None, "record"),
        ("  ", "task id"),
        ({}, "id"),
    ],
)
async def test_a_wrong_thing_to_attach_says_what_is_right(service, wrong, words):
    async with client_of(service) as client:
        with pytest.raises(errors.InvalidOperation, match=words):
            await client.attach(wrong)


@pytest.mark.parametrize("wrong", ["photo.jpg", HDColorMigration, None])
async def test_what_is_no_operation_is_named(service, wrong):
    async with client_of(service) as client:
        with pytest.raises(errors.InvalidOperation, match="HDColorMigration"):
            await client.run(wrong)


def test_what_is_no_service_or_key_is_named():
    with pytest.raises(errors.InvalidOperation, match=r"Service\.local"):
        AsyncClient(service="local")
    with pytest.raises(errors.InvalidOperation, match="api_key"):
        AsyncClient(5)


async def test_a_result_after_its_client_says_how_to_get_it_again(service, photo, tmp_path):
    async with client_of(service) as client:
        result = await client.run(HDColorMigration(photo))
    with pytest.raises(errors.ClientClosed, match=r"client\.attach\('t-1'\)"):
        await result.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_client_closed_while_it_starts_leaves_nothing_open(service, photo):
    client = client_of(service)
    submitting = asyncio.create_task(client.submit(HDColorMigration(photo)))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(errors.ClientClosed):
        await submitting
    assert client._session is None
    assert service.accepted == []


# --- what the review of a sceptic found -----------------------------------------------------------


async def test_an_endpoint_at_rapidapi_is_asked_for_where_it_was_accepted(photo):
    import respx

    host, path = "some-editor.p.rapidapi.com", "/image/edit"
    name = "ai-bald"
    service = Service.rapidapi("k", hosts={name: host}, paths={name: path})
    async with AsyncClient(service=service, poll=QUICK) as client:
        with respx.mock(assert_all_called=False) as router:
            router.post(f"https://{host}{path}").respond(json={"task_id": "t-1"})
            look = router.get(f"https://{host}/api/rapidapi/query-async-task-result")
            look.respond(json={"task_status": 2, "data": {"image_url": "https://f.example/a"}})
            task = await client.submit(Endpoint(name, image=photo))
            record = task.record()
            assert len((await task).files) == 1
            assert len((await (await client.attach(record))).files) == 1
        with respx.mock(assert_all_mocked=True) as router:
            nowhere = Service.rapidapi("k", paths={name: path})
            async with AsyncClient(service=nowhere) as other:
                with pytest.raises(errors.InvalidOperation, match="hosts="):
                    await other.submit(Endpoint(name, image=photo))
            assert not router.calls


async def test_a_source_that_fails_to_name_itself_fails_before_anything_is_sent(service):
    class Odd:
        def read(self, _=-1):
            return b""

        @property
        def name(self):
            raise ValueError("closed file")  # noqa: TRY003

    async with client_of(service) as client:
        with pytest.raises(ValueError, match="closed file"):
            await client.submit(HDColorMigration(Odd()))
    assert service.accepted == []


@pytest.mark.parametrize("steps", range(8))
async def test_a_run_cancelled_while_its_client_closes_is_an_orphan(service, photo, steps):
    service.looks = [{"task_status": 1}] * 10_000
    client = client_of(service)
    running = asyncio.create_task(client.run(HDColorMigration(photo)))
    while not service.asked:
        await asyncio.sleep(0.001)
    closing = asyncio.create_task(client.aclose())
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    (outcome,) = await asyncio.gather(running, return_exceptions=True)
    await closing
    if isinstance(outcome, asyncio.CancelledError):
        assert [task.id for task in client.orphans] == ["t-1"]
    else:
        assert outcome.task_ids == ("t-1",)


async def test_a_source_without_an_end_ends_with_the_client_or_its_deadline(service, photo):
    class Endless:
        async def read(self, _=-1):
            await asyncio.Event().wait()

    options = {"timeouts": Timeouts(source=0.02)}
    async with client_of(service, **options) as client:
        with pytest.raises(errors.NotDelivered, match="nothing was sent"):
            await client.submit(HDColorMigration(Endless()))
        assert client._session.budget.held == 0
    async with client_of(service, max_bytes_in_flight=1) as client:
        reading = asyncio.create_task(client.submit(HDColorMigration(Endless())))
        waiting = asyncio.create_task(client.submit(HDColorMigration(photo)))
        while client._session is None or not client._session.budget.held:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        await client.aclose()
        for task in (reading, waiting):
            with pytest.raises(errors.ClientClosed):
                await task
    assert service.accepted == []


async def test_cancelled_readers_keep_their_threads_and_their_bytes(service):
    import threading

    release, running = threading.Event(), []

    class Slow:
        def read(self, _=-1):
            running.append(threading.get_ident())
            release.wait(10)
            return b""

    async with client_of(service) as client:
        tasks = [asyncio.create_task(client.submit(HDColorMigration(Slow()))) for _ in range(30)]
        while len(running) < 4:
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0.01)
        assert len(running) == 4
        assert client._session.budget.held > 0
        release.set()
        while client._session.budget.held:
            await asyncio.sleep(0.001)


async def test_an_expired_file_says_so_and_is_asked_for_once(service, photo):
    async with client_of(service) as client:
        result = await client.run(HDColorMigration(photo))
        service.files.clear()
        before = len(service.server.seen)
        with pytest.raises(errors.ResultExpired) as caught:
            await result.files[0].read()
        assert caught.value.task_id == "t-1"
        assert len(service.server.seen) == before + 1


@pytest.mark.parametrize("stem", ["../../evil", "a/b", "nul\0", "x" * 300, "漢" * 100, "..", ""])
async def test_no_record_names_a_file_outside_or_beyond_what_can_be_named(service, stem, tmp_path):
    record = {"id": "t-1", "operation": "hd-color-migration", "stem": stem}
    async with client_of(service) as client:
        result = await (await client.attach(record))
        for path in await result.save(tmp_path / "in"):
            assert path.parent == tmp_path / "in"
            assert len(os.fsencode(path.name)) < 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"allow_hosts": "cdn.example.com"},
        {"on_event": 5},
        {"retry": 3},
        {"timeouts": 30},
        {"poll": 5},
        {"on_submitted": asyncio.sleep},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_options_of_a_wrong_kind_are_refused_by_name(wrong):
    with pytest.raises(errors.InvalidOperation, match=next(iter(wrong))):
        AsyncClient(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"paths": {"hd-color-migration": "v1/x"}},
        {"hosts": {"hd-color-migration": "https://foo.example"}},
        {"hosts": {"hd-color-migration": "a@b"}},
    ],
    ids=str,
)
def test_addresses_that_would_lead_the_key_astray_are_refused(wrong):
    with pytest.raises(errors.InvalidOperation):
        Service.rapidapi("sentinel-key", **wrong)
    with pytest.raises(errors.InvalidOperation) as caught:
        Service.direct("k", base_url="https://user:sentinel@h.example")
    assert "sentinel" not in str(caught.value)


async def test_the_call_decides_on_fitting_before_the_operation_and_that_before_the_client(
    service, tmp_path
):
    from PIL import Image

    grey = tmp_path / "grey.png"
    Image.new("L", (100, 100), 128).save(grey)
    plain, fitting = HDColorMigration(grey), HDColorMigration(grey, fit=True)
    seen = []
    async with client_of(service, on_event=seen.append) as client:
        await client.submit(fitting)
        await client.submit(plain, fit=True)
        for operation, fit in ((plain, None), (fitting, False)):
            with pytest.raises(errors.InvalidOperation, match="fit=True"):
                await client.submit(operation, fit=fit)
    assert [event.name for event in seen].count("picture.fitted") == 2
    async with client_of(service, fit=True) as client:
        await client.submit(plain)
        with pytest.raises(errors.InvalidOperation):
            await client.submit(HDColorMigration(grey, fit=False))
    assert len(service.accepted) == 3
    with pytest.raises(errors.InvalidOperation, match="fit"):
        HDColorMigration(grey, fit="yes")


async def test_a_cancelled_upload_that_is_still_coming_in_holds_nothing(service, photo):
    class Upload:
        async def read(self, _=-1):
            await asyncio.Event().wait()

    async with client_of(service) as client:
        submits = (client.submit(HDColorMigration(Upload())) for _ in range(60))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.gather(*submits)
        while client._session.budget.held:
            await asyncio.sleep(0.001)
        assert (await client.submit(HDColorMigration(photo))).id == "t-1"


async def test_attaching_a_task_that_is_open_here_gives_the_same_handle(service, photo):
    service.looks = [{"task_status": 1}] * 50
    slow = PollPolicy.fixed(60)
    async with client_of(service, poll=slow) as client:
        task = await client.submit(HDColorMigration(photo))
        assert await client.attach(task.record()) is task
        assert await client.attach(task.id) is task
        assert await client.attach(task.id, operation=HDColorMigration) is task
        assert await client.attach(task.id, poll=slow) is task
        other = await client.attach(task.id, operation=CartoonGenerator)
        assert other is not task
        assert other.operation == "cartoon-generator"


async def test_a_policy_can_be_for_one_operation(service, photo):
    policies = {HDColorMigration: QUICK, "remove-objects": PollPolicy.fixed(3)}
    async with client_of(service, poll=PollPolicy.fixed(60), poll_by_operation=policies) as client:
        await client.run(HDColorMigration(photo))
        service.looks = [{"task_status": 1}] * 50
        await client.submit(HDColorMigration(photo))
        await client.attach("t-9", operation=CartoonGenerator)
        intervals = {
            watch.operation: watch.rhythm.policy.interval for watch in client._session.poller._open
        }
        assert intervals == {"hd-color-migration": QUICK.interval, "cartoon-generator": 60}


@pytest.mark.parametrize(
    "wrong", [{int: PollPolicy()}, {3: PollPolicy()}, {HDColorMigration: 5}], ids=str
)
def test_a_policy_for_no_operation_is_refused(wrong):
    with pytest.raises(InvalidOperation, match="poll_by_operation"):
        AsyncClient("key", poll_by_operation=wrong)


async def test_a_task_whose_service_cannot_be_asked_can_be_attached_again(service, photo):
    service.looks = [Reply(status=502, body=b"<html>Bad Gateway</html>")]
    impatient = PollPolicy(interval=0.001, tolerance=0)
    async with client_of(service, poll=impatient) as client:
        task = await client.submit(HDColorMigration(photo))
        with pytest.raises(errors.ServiceUnavailable) as caught:
            await task
        again = await client.attach(caught.value.task_id, operation=HDColorMigration)
        assert len((await again).images) == 2


async def test_all_tasks_of_an_operation_learn_together(service, photo):
    service.looks = [{"task_status": 1}] * 50
    async with client_of(service, poll=PollPolicy(deadline=60)) as client:
        for _ in range(2):
            await client.submit(HDColorMigration(photo))
        await client.attach("t-9", operation=HDColorMigration)
        await client.attach("t-8", operation=CartoonGenerator)
        watches = client._session.poller._open
        rhythms = {id(watch.rhythm): watch.operation for watch in watches}
        assert sorted(rhythms.values()) == ["cartoon-generator", "hd-color-migration"]


async def test_attaching_keeps_to_the_policy_of_the_operation(service):
    service.looks = [{"task_status": 1}] * 50
    policies = {HDColorMigration: PollPolicy.fixed(3)}
    async with client_of(service, poll_by_operation=policies) as client:
        await client.attach("t-9", operation=HDColorMigration)
        (watch,) = client._session.poller._open
        assert watch.rhythm.policy.interval == 3


async def test_a_record_gives_a_typed_result_also_where_the_bare_id_is_open(service, photo):
    service.looks = [{"task_status": 1}] * 5
    async with client_of(service) as client:
        record = (await client.submit(HDColorMigration(photo))).record()
    service.looks = [{"task_status": 1}] * 5
    async with client_of(service) as client:
        await client.attach(record["id"])
        task = await client.attach(record)
        assert task.operation == "hd-color-migration"
        assert len((await task).images) == 2


async def test_a_cancelled_step_of_an_iteration_loses_no_state(service, photo):
    service.looks = [{"task_status": 0, "data": {}}, {"task_status": 1}]
    async with client_of(service, poll=PollPolicy.fixed(0.05)) as client:
        task = await client.submit(HDColorMigration(photo))
        updates = aiter(task)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(updates), 0.001)
        assert [update.state async for update in updates] == ["queued", "processing", "succeeded"]
