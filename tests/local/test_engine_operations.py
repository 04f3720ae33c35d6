"""Every operation of the engine, in the direct and the RapidAPI form, asked for by both ids."""

from __future__ import annotations

import asyncio
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from ailab_async import (
    AsyncClient,
    CartoonGenerator,
    Endpoint,
    ImageErasure,
    InputRejected,
    MicroMotion,
    Motion,
    Service,
)
from ailab_async.local.offers import HD_PATH
from ailab_async.protocol.services import DIRECT_PATHS, QUERY_BY_JOB, QUERY_BY_TASK, RAPIDAPI_PATHS

from .conftest import make_damaged, make_mask, make_picture
from .test_engine_answers import assert_envelope, opened
from .test_engine_workers import files_in

ERASE = DIRECT_PATHS["image-erase"]
REMOVE = "/api/image/editing/remove-objects"
MOTION = DIRECT_PATHS["micro-motion"]
CARTOON = DIRECT_PATHS["cartoon-generator"]
PLAIN = "/api/image/effects/image-color-migration"
HD = DIRECT_PATHS["hd-color-migration"]


def picture_files(**pictures):
    return {name: (f"{name}.png", data) for name, data in pictures.items()}


@pytest.fixture
def dusk(pictures):
    """A small photo with a sky that can move."""
    with Image.open(pictures / "dusk.jpg") as photo:
        file = io.BytesIO()
        photo.resize((240, 160)).save(file, "JPEG")
    return file.getvalue()


def outside_is_kept(before, after, mask):
    return np.array_equal(np.asarray(before)[~mask], np.asarray(after)[~mask])


# --- those that answer with their result --------------------------------------------------------


@pytest.mark.parametrize(("path", "field"), [(ERASE, "user_mask"), (REMOVE, "mask")])
async def test_erasing_answers_with_a_picture_that_is_the_same_outside_the_mask(talk, path, field):
    pytest.importorskip("patchmatch")
    picture, mask = make_picture(), make_mask()
    answer = await talk.http.post(path, files=picture_files(image=picture, **{field: mask}))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "task_id" not in body
    result = opened(await talk.http.get(body["data"]["image_url"]))
    assert result.format == "PNG"
    white = np.asarray(Image.open(io.BytesIO(mask)).convert("L")) > 127
    assert outside_is_kept(Image.open(io.BytesIO(picture)), result, white)


async def test_a_mask_lies_on_the_pixels_as_they_are_stored(talk):
    pytest.importorskip("patchmatch")
    stored = Image.open(io.BytesIO(make_picture(96, 80)))
    exif = stored.getexif()
    exif[0x0112] = 6  # a phone held upright
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    files = picture_files(image=file.getvalue(), user_mask=make_mask(96, 80))
    answer = await talk.http.post(ERASE, files=files)
    result = opened(await talk.http.get(answer.json()["data"]["image_url"]))
    assert result.size == (80, 96)
    white = np.asarray(Image.open(io.BytesIO(make_mask(96, 80))).convert("L")) > 127
    assert outside_is_kept(stored.rotate(-90, expand=True), result, np.rot90(white, -1))


@pytest.mark.parametrize(
    ("mask", "status", "code"),
    [
        (make_mask(80, 96), 400, "ERROR_MASK_IMAGE_RESOLUTION_MISMATCH"),
        (make_picture(mode="L", file_format="PNG"), 415, "ERROR_UNSUPPORTED_GRAYSCALE_IMAGE"),
        (b"<svg/>", 415, "UNSUPPORTED_FILE_TYPES"),
        (b"", 400, "UNSUPPORTED_PARAMETER_VALUES"),
    ],
    ids=["turned", "grey", "svg", "empty"],
)
async def test_a_mask_that_does_not_go_with_the_picture_is_refused(talk, mask, status, code):
    answer = await talk.http.post(ERASE, files=picture_files(image=make_picture(), user_mask=mask))
    assert "mask" in assert_envelope(answer, status, code)
    assert files_in(talk.engine) == []


async def test_a_picture_of_which_nothing_would_be_left_is_refused(talk):
    pytest.importorskip("patchmatch")
    white = make_mask(96, 80, box=(0, 0, 96, 80))
    answer = await talk.http.post(ERASE, files=picture_files(image=make_picture(), user_mask=white))
    assert_envelope(answer, 422, "FILE_CONTENT_NON_COMPLIANCE")


@pytest.mark.parametrize("path", [MOTION, RAPIDAPI_PATHS["micro-motion"]])
async def test_micro_motion_answers_with_a_video(talk, dusk, path):
    pytest.importorskip("av")  # without it the video is made as well, but for ten seconds
    answer = await talk.http.post(path, files=picture_files(image=dusk), data={"operation": "01"})
    assert answer.status_code == 200, answer.text
    video = await talk.http.get(answer.json()["data"]["url"])
    assert video.headers["content-type"] == "video/mp4"
    assert video.content[4:8] == b"ftyp"


@pytest.mark.parametrize("operation", ["", "0", "2", "001", "sky", "1 ", "\u0661"])
async def test_only_the_documented_motions_are_taken(talk, operation):
    answer = await talk.http.post(
        MOTION, files=picture_files(image=make_picture()), data={"operation": operation}
    )
    assert "operation" in assert_envelope(answer, 400, "UNSUPPORTED_PARAMETER_VALUES")


async def test_a_picture_without_a_sky_has_nothing_to_move(talk):
    grey = io.BytesIO()
    Image.new("RGB", (64, 64), (120, 90, 60)).save(grey, "PNG")
    answer = await talk.http.post(
        MOTION, files=picture_files(image=grey.getvalue()), data={"operation": "11"}
    )
    assert_envelope(answer, 422, "ERROR_NO_RECOGNITION_TARGET_DETECTED")


@pytest.mark.parametrize("mode", ["AUTO", "TEMPLATE", "REF_PIC"])
async def test_plain_colour_migration_answers_with_png_pictures(talk, mode):
    files = picture_files(image=make_picture(file_format="BMP"))
    data = {"mode": mode}
    if mode == "REF_PIC":
        files |= picture_files(ref=make_picture(70, 70))
    if mode == "TEMPLATE":
        data["color_template"] = "056A6B,#C0392B"
    if mode == "AUTO":
        data["color_count"] = "2"
    answer = await talk.http.post(PLAIN, files=files, data=data)
    urls = answer.json()["data"]["image_list"]
    assert len(urls) == (2 if mode == "AUTO" else 1)
    assert all([opened(await talk.http.get(url)).format == "PNG" for url in urls])


async def test_plain_colour_migration_has_its_own_limits(talk):
    files = picture_files(image=make_picture(1200, 100))
    answer = await talk.http.post(PLAIN, files=files, data={"mode": "AUTO"})
    assert_envelope(answer, 413, "FILE_RESOLUTION_EXCEEDS_LIMITS")


# --- those that answer with a task --------------------------------------------------------------


@pytest.mark.parametrize("path", [CARTOON, RAPIDAPI_PATHS["cartoon-generator"]])
async def test_a_cartoon_is_a_task_with_one_address(talk, path):
    files = picture_files(image=make_picture(256, 256))
    answer = await talk.http.post(path, files=files, data={"index": "2"})
    task_id = answer.json()["task_id"]
    assert (await talk.look(task_id)).json()["data"] == {}
    url = (await talk.end_of(task_id)).json()["data"]["result_url"]
    assert min(opened(await talk.http.get(url)).size) == 1536
    data = await talk.job_of(answer, "GENERATE_CARTOONIZED_IMAGE")
    assert data == {"status": "PROCESS_SUCCESS", "result_url": url}


@pytest.mark.parametrize("index", ["", "9", "-1", "1.0", "x"])
async def test_only_the_nine_styles_are_taken(talk, index):
    files = picture_files(image=make_picture(256, 256))
    answer = await talk.http.post(CARTOON, files=files, data={"index": index})
    assert_envelope(answer, 400, "UNSUPPORTED_PARAMETER_VALUES")


async def test_the_style_may_be_called_type_but_not_both(talk):
    files = picture_files(image=make_picture(256, 256))
    answer = await talk.http.post(CARTOON, files=files, data={"type": "2"})
    assert answer.json()["task_id"]
    answer = await talk.http.post(CARTOON, files=files, data={"type": "2", "index": "2"})
    assert_envelope(answer, 400, "UNSUPPORTED_PARAMETER_VALUES")


async def test_a_task_is_found_in_the_rapidapi_form_with_word_and_number(talk):
    files = picture_files(image=make_picture())
    answer = await talk.http.post(HD_PATH, files=files)
    task_id = answer.json()["task_id"]
    await talk.end_of(task_id)
    path = RAPIDAPI_PATHS[QUERY_BY_TASK]
    body = (await talk.http.get(path, params={"task_id": task_id})).json()
    assert body["task_status"] == 2
    assert body["data"]["status"] == "PROCESS_SUCCESS"
    assert len(body["data"]["image_list"]) == 1
    params = {"job_id": answer.json()["request_id"], "type": "HD_COLOUR_MIGRATION"}
    by_job = (await talk.http.get(RAPIDAPI_PATHS[QUERY_BY_JOB], params=params)).json()
    assert by_job["data"] == body["data"]


async def test_the_unpublished_path_can_be_set(talk_to):
    async with talk_to(rapidapi_paths={"hd-color-migration": "/v1/recolour"}, keys=["k"]) as talk:
        files = picture_files(image=make_picture())
        refused = await talk.http.post("/v1/recolour", files=files)
        assert_envelope(refused, 401, "ERROR_USER_NOT_EXISTS")
        answer = await talk.http.post("/v1/recolour", files=files, headers={"X-RapidAPI-Key": "k"})
        assert answer.json()["task_id"]


async def test_each_form_has_its_own_key_header(talk_to):
    async with talk_to(keys=["k"]) as talk:
        for path, header, other in (
            (DIRECT_PATHS[QUERY_BY_TASK], "ailabapi-api-key", "X-RapidAPI-Key"),
            (RAPIDAPI_PATHS[QUERY_BY_TASK], "X-RapidAPI-Key", "ailabapi-api-key"),
            (RAPIDAPI_PATHS[QUERY_BY_JOB], "x-rapidapi-key", "ailabapi-api-key"),
        ):
            assert (await talk.http.get(path, headers={other: "k"})).status_code == 401
            assert (await talk.http.get(path, headers={header: "no"})).status_code == 401
            assert (await talk.http.get(path, headers={header: "k"})).status_code in {400, 404}


async def test_by_job_id_the_words_go_from_queuing_to_success(talk):
    _, go = await talk.held()
    answer = await talk.post(make_picture())
    waiting = await talk.job_of(answer, "HD_COLOUR_MIGRATION")
    assert waiting == {"status": "QUEUING", "image_list": []}
    go.set()
    words = set()
    async with asyncio.timeout(30):
        while "PROCESS_SUCCESS" not in words:
            data = await talk.job_of(answer, "HD_COLOUR_MIGRATION")
            words.add(data["status"])
            await asyncio.sleep(0.001)
    assert words <= {"QUEUING", "PROCESSING", "PROCESS_SUCCESS"}
    assert len(data["image_list"]) == 1


async def test_by_job_id_a_failed_task_is_a_word_and_no_error(talk):
    answer = await talk.post(make_damaged())
    by_task = await talk.end_of(answer.json()["task_id"])
    assert_envelope(by_task, 422, "FILE_DECODING_FAILURE")
    data = await talk.job_of(answer, "HD_COLOUR_MIGRATION")
    assert data["status"] == "PROCESS_FAILED"
    assert data["ErrorCode"] == "FILE_DECODING_FAILURE"
    assert data["ErrorMessage"]


async def test_a_job_is_found_by_its_own_type_only(talk):
    answer = await talk.post(make_picture())
    await talk.end_of(answer.json()["task_id"])
    path, job_id = DIRECT_PATHS[QUERY_BY_JOB], answer.json()["request_id"]
    for params, status, code in (
        ({"type": "GENERATE_CARTOONIZED_IMAGE"}, 404, "ERROR_RESOURCE_NOT_FOUND"),
        ({"type": "SOMETHING"}, 400, "UNSUPPORTED_PARAMETER_VALUES"),
        ({}, 400, "UNSUPPORTED_PARAMETER_VALUES"),
    ):
        answer = await talk.http.get(path, params={"job_id": job_id, **params})
        assert_envelope(answer, status, code)
    for job_id in ("", "nobody", "1E968D25-86F6-CEF9-9010-69B485B12ECD"):
        params = {"job_id": job_id, "type": "HD_COLOUR_MIGRATION"}
        answer = await talk.http.get(path, params=params)
        assert_envelope(answer, 404, "ERROR_RESOURCE_NOT_FOUND")


async def test_a_job_is_known_for_half_an_hour_and_its_task_for_a_day(talk, monkeypatch):
    answer = await talk.post(make_picture())
    task_id = answer.json()["task_id"]
    await talk.end_of(task_id)
    now = talk.engine.queue._clock()
    params = {"job_id": answer.json()["request_id"], "type": "HD_COLOUR_MIGRATION"}
    for later, status in ((1700, 200), (1900, 404)):
        monkeypatch.setattr(talk.engine.queue, "_clock", lambda: now + later)  # noqa: B023
        by_job = await talk.http.get(DIRECT_PATHS[QUERY_BY_JOB], params=params)
        assert by_job.status_code == status
        assert (await talk.look(task_id)).status_code == 200


# --- requests that wait -------------------------------------------------------------------------


@pytest.fixture
def plain_form():
    return {"files": picture_files(image=make_picture()), "data": {"mode": "AUTO"}}


async def until_waiting(talk, count):
    async with asyncio.timeout(10):
        while talk.engine.queue.waiting != count:
            await asyncio.sleep(0.01)


async def test_who_leaves_before_the_work_begins_takes_it_with_him(talk, plain_form):
    await talk.held()
    waiting = asyncio.create_task(talk.http.post(PLAIN, **plain_form))
    await until_waiting(talk, 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert talk.engine.queue.waiting == 0
    assert files_in(talk.engine).count(".upload") == 1


async def test_work_that_no_worker_begins_in_time_is_refused_and_not_done(
    talk, plain_form, monkeypatch
):
    monkeypatch.setattr("ailab_async.local.handlers.BEGIN_SECONDS", 0.0)
    await talk.held()
    answer = await talk.http.post(PLAIN, **plain_form)
    assert_envelope(answer, 503, "AI_SERVICE_FLOW_RESTRICTION")
    assert int(answer.headers["retry-after"]) > 0
    assert talk.engine.queue.waiting == 0
    assert files_in(talk.engine).count(".upload") == 1


async def test_closing_tells_those_who_wait(talk, plain_form):
    await talk.held()
    waiting = asyncio.create_task(talk.http.post(PLAIN, **plain_form))
    await until_waiting(talk, 1)
    await talk.engine.aclose()
    assert_envelope(await waiting, 503, "ERROR_RESOURCE_UNAVAILABLE")


# --- with the client ----------------------------------------------------------------------------


async def test_the_client_runs_every_operation_on_the_engine(talk, dusk):
    pytest.importorskip("av")
    pytest.importorskip("patchmatch")
    picture, mask = make_picture(), make_mask()
    async with AsyncClient(service=Service.local(engine=talk.engine)) as client:
        clean = await client.run(ImageErasure(picture, mask))
        assert (await clean.image.read()).startswith(b"\x89PNG")
        removed = await client.run(Endpoint("remove-objects", image=picture, mask=mask))
        assert await removed.files[0].read() == await clean.image.read()
        video = await client.run(MicroMotion(dusk, Motion.SKY))
        assert (await video.video.read())[4:8] == b"ftyp"
        drawn = await client.run(CartoonGenerator(make_picture(256, 256), 1))
        assert (await drawn.image.read()).startswith(b"\xff\xd8\xff")
        plain = Endpoint("image-color-migration", image=picture, mode="AUTO", color_count=2)
        assert len((await client.run(plain)).files) == 2
        with pytest.raises(InputRejected) as caught:
            await client.run(MicroMotion(make_picture(64, 64), Motion.HAIR))
        assert caught.value.code == "ERROR_NO_RECOGNITION_TARGET_DETECTED"


# --- fairness -----------------------------------------------------------------------------------


async def test_a_key_with_one_task_is_not_behind_all_those_of_another(talk_to):
    async with talk_to(keys=["many", "one"]) as talk:
        talk.http.headers["ailabapi-api-key"] = "many"
        _, go = await talk.held()
        many = [await talk.submit() for _ in range(4)]
        talk.http.headers["ailabapi-api-key"] = "one"
        one = await talk.submit()
        go.set()
        await talk.end_of(one)
        states = [(await talk.look(task_id)).json()["task_status"] for task_id in many]
        # one of the many had its turn before, and one may be at work by now
        assert states.count(2) <= 2
        assert states.count(0) >= 2


async def test_room_in_a_full_queue_goes_round_between_keys(talk_to):
    async with talk_to(queue_limit=1, keys=["many", "one"]) as talk:
        talk.http.headers["ailabapi-api-key"] = "many"
        _, go = await talk.held()
        accepted = []

        async def send(name):
            await talk.post(make_picture(), headers={"ailabapi-api-key": name})
            accepted.append(name)

        async def until_lingering(count):
            async with asyncio.timeout(10):
                while talk.engine.queue._room.waiting != count:
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(send("many"))
            await until_lingering(3)
            group.create_task(send("one"))
            await until_lingering(4)
            go.set()
        assert accepted.index("one") <= 2


async def test_uploads_are_read_in_turns_too(talk_to):
    async with talk_to(keys=["many", "one"]) as talk:
        go, begun = asyncio.Event(), []

        def uploading(name):
            async def body():
                begun.append(name)
                await go.wait()
                yield b"--x--\r\n"

            headers = {"content-type": "multipart/form-data; boundary=x", "ailabapi-api-key": name}
            return talk.http.post(HD, content=body(), headers=headers)

        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(uploading("many"))
            async with asyncio.timeout(10):
                while len(begun) + talk.engine.uploads.waiting < 40:
                    await asyncio.sleep(0.01)
            room = len(begun)
            group.create_task(uploading("one"))
            async with asyncio.timeout(10):
                while len(begun) + talk.engine.uploads.waiting < 41:
                    await asyncio.sleep(0.01)
            go.set()
        assert room == 16
        assert begun.index("one") <= room + 1


async def test_a_slot_that_is_promised_to_a_cancelled_waiter_is_not_lost():
    from ailab_async.local.fairness import FairSlots

    slots = FairSlots(1)
    await slots.acquire("a")
    waiter = asyncio.create_task(slots.acquire("b"))
    await asyncio.sleep(0)
    slots.release()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    async with asyncio.timeout(1), slots.held("c"):
        assert slots.waiting == 0


async def test_more_than_there_is_may_be_taken_and_must_be_given_back_first():
    from ailab_async.local.fairness import FairSlots

    slots = FairSlots(1)
    slots.take()
    slots.take()
    waiter = asyncio.create_task(slots.acquire("a"))
    await asyncio.sleep(0)
    slots.release()
    await asyncio.sleep(0)
    assert not waiter.done()
    slots.release()
    await waiter


async def test_no_key_is_written_anywhere(tmp_path, talk_to, caplog):
    caplog.set_level(0)
    async with talk_to(keys=["sentinel-key"], data=tmp_path) as talk:
        talk.http.headers["ailabapi-api-key"] = "sentinel-key"
        await talk.end_of(await talk.submit())
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"sentinel" not in written
        assert "sentinel" not in (await talk.http.get("/metrics")).text
    assert "sentinel" not in caplog.text


def test_turns_go_round_between_owners():
    from ailab_async.local.fairness import FairLine

    line = FairLine()
    for owner, count in (("a", 5), ("b", 2), ("c", 1)):
        for number in range(count):
            line.add(owner, f"{owner}{number}")
    assert len(line) == 8
    assert line.remove("a", "a1")
    assert not line.remove("a", "a1")
    assert not line.remove("nobody", "a1")
    taken = [line.take() for _ in itertools.repeat(None, 7)]
    assert taken == ["a0", "b0", "c0", "a2", "b1", "a3", "a4"]
    with pytest.raises(LookupError):
        line.take()
