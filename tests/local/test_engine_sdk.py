"""Whoever spoke to the hosted service before: its own SDK, unchanged, on a served engine."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image

from .conftest import make_damaged, make_mask, make_picture
from .test_engine_survival import serve

ailabtools = pytest.importorskip("ailabtools", reason="pip install ailabtools-sdk")

KEY = "open-sesame"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """``ailab serve`` with a key, in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AILAB_ENGINE_KEY", KEY)
        process, url = serve(tmp_path_factory.mktemp("data"))
    yield url
    process.terminate()
    process.communicate(timeout=20)


@pytest.fixture
async def sdk(address):
    client = ailabtools.AILabClient(KEY, base_url=address)
    yield client
    await client.aclose()


async def opened(url):
    async with httpx.AsyncClient() as http:
        return Image.open(io.BytesIO((await http.get(url)).content))


async def test_it_erases(sdk):
    pytest.importorskip("patchmatch")
    picture, mask = make_picture(), make_mask()
    answer = await sdk.image.imageErasure({"image": picture, "userMask": mask})
    assert (await opened(answer["data"]["image_url"])).size == (96, 80)
    answer = await sdk.image.remove_objects({"image": picture, "mask": mask})
    assert (await opened(answer["data"]["image_url"])).size == (96, 80)


async def test_it_draws_a_cartoon_and_waits_for_it(sdk):
    form = {"taskType": "async", "image": make_picture(256, 256), "type": "3"}
    answer = await sdk.image.imageAICartoonGenerator(form)
    done = await sdk.wait_for_task(answer["task_id"], interval=0.05, timeout=30)
    assert min((await opened(done["data"]["result_url"])).size) == 1536
    queried = await sdk.common.commonQueryAsyncTaskResult({"taskId": answer["task_id"]})
    assert queried["task_status"] == 2


async def test_it_asks_for_a_job(sdk):
    form = {"taskType": "async", "image": make_picture(256, 256), "type": "3"}
    answer = await sdk.image.imageAICartoonGenerator(form)
    await sdk.wait_for_task(answer["task_id"], interval=0.05, timeout=30)
    params = {"jobId": answer["request_id"], "type": "GENERATE_CARTOONIZED_IMAGE"}
    found = await sdk.image.imageQueryingAsyncTaskResults(params)
    assert found["data"]["status"] == "PROCESS_SUCCESS"


async def test_it_asks_for_credits(sdk):
    answer = await sdk.common.commonQueryCredits({})
    assert answer["data"][0]["unique_sign"] == "common"


async def test_it_understands_what_is_refused(sdk, address):
    small = {"taskType": "async", "image": make_picture(), "type": "3"}
    with pytest.raises(ailabtools.AILabApiError) as caught:
        await sdk.image.imageAICartoonGenerator(small)
    assert caught.value.detail.code == "ERROR_LOW_RESOLUTION"
    assert caught.value.request_id
    with pytest.raises(ailabtools.AILabApiError) as caught:
        await sdk.common.commonQueryAsyncTaskResult({"taskId": "nobody"})
    assert caught.value.detail.code == "ERROR_RESOURCE_NOT_FOUND"
    stranger = ailabtools.AILabClient("wrong", base_url=address)
    with pytest.raises(ailabtools.AILabApiError) as caught:
        await stranger.common.commonQueryCredits({})
    assert caught.value.detail.code == "ERROR_USER_NOT_EXISTS"
    await stranger.aclose()


async def test_it_is_told_of_a_task_that_failed(sdk):
    form = {"taskType": "async", "image": make_damaged(), "type": "3"}
    answer = await sdk.image.imageAICartoonGenerator(form)
    with pytest.raises(ailabtools.AILabApiError) as caught:
        await sdk.wait_for_task(answer["task_id"], interval=0.05, timeout=30)
    assert caught.value.detail.code == "FILE_DECODING_FAILURE"
