"""Pictures made on the spot, and engines without a port."""

from __future__ import annotations

import asyncio
import io
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from ailab_async.local import LocalEngine

SUBMIT = "/api/image/effects/image-hd-color-migration"
QUERY = "/api/common/query-async-task-result"
QUERY_BY_JOB = "/api/image/asyn-task-results"
BASE = "http://local-engine.invalid"


def make_picture(width=96, height=80, *, mode="RGB", file_format="JPEG"):
    """Return the bytes of a smooth picture: two hues, and light that grows to one side."""
    across = np.linspace(0, 1, width)[None, :, None]
    down = np.linspace(0, 1, height)[:, None, None]
    pixels = across * (220, 120, 40) + (1 - across) * (30, 80, 160)
    pixels = (pixels * (0.5 + 0.5 * down)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, file_format)
    return file.getvalue()


def make_damaged():
    """Return the bytes of a picture with a good header and sound checksums, but not its pixels."""
    whole = bytearray(make_picture(400, 300, file_format="PNG"))
    start = whole.index(b"IDAT")
    end = start + 4 + int.from_bytes(whole[start - 4 : start], "big")
    whole[start + 40 : start + 240] = bytes(200)
    whole[end : end + 4] = zlib.crc32(whole[start:end]).to_bytes(4, "big")
    return bytes(whole)


def make_mask(width=96, height=80, *, box=(30, 20, 50, 40)):
    """Return the bytes of a black picture with a white box."""
    mask = Image.new("RGB", (width, height))
    mask.paste((255, 255, 255), box)
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


class Talk:
    """The few words that a client of the service says."""

    def __init__(self, http, engine):
        self.http = http
        self.engine = engine

    async def post(self, picture=None, *, ref=None, headers=None, **fields):
        files = {} if picture is None else {"image": ("image.jpg", picture)}
        if ref is not None:
            files["ref"] = ("ref.jpg", ref)
        data = {"task_type": "async", **fields}
        return await self.http.post(SUBMIT, files=files, data=data, headers=headers)

    async def submit(self, picture=None, **fields):
        answer = await self.post(make_picture() if picture is None else picture, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["task_id"]

    async def held(self, **fields):
        """Have a task of two results stand still with its first; return its id, and what frees it.

        Its runner stands still, so that the place of its worker is taken for as long as wanted.
        """
        came, go, put = asyncio.Event(), asyncio.Event(), self.engine.store.put

        async def watched(data, **options):
            name = await put(data, **options)
            if options:
                came.set()
                await go.wait()
            return name

        self.engine.store.put = watched
        task_id = await self.submit(color_count="2", **fields)
        async with asyncio.timeout(30):
            await came.wait()
        return task_id, go

    async def look(self, task_id):
        return await self.http.get(QUERY, params={"task_id": task_id})

    async def end_of(self, task_id):
        """Look until the task has ended, and return that last answer."""
        async with asyncio.timeout(30):
            while True:
                answer = await self.look(task_id)
                if answer.status_code != 200 or answer.json()["task_status"] == 2:
                    return answer
                await asyncio.sleep(0.01)

    async def job_of(self, answer, job_type):
        """Look by job id: the request id of the task that an answer is about."""
        params = {"job_id": answer.json()["request_id"], "type": job_type}
        answer = await self.http.get(QUERY_BY_JOB, params=params)
        assert answer.status_code == 200, answer.text
        assert answer.json()["error_code"] == 0
        return answer.json()["data"]

    async def pictures(self, task_id):
        """Return the files of a task, fetched."""
        answer = await self.end_of(task_id)
        urls = answer.json()["data"]["image_list"]
        return [await self.http.get(url) for url in urls]


@pytest.fixture
def picture():
    return make_picture


@pytest.fixture
def long_job():
    """Many large results: long enough to be met in the middle."""
    return {"picture": make_picture(2000, 1500), "color_count": "8", "degree": "1"}


@pytest.fixture
def talk_to():
    """Return a context manager: an engine that runs, and somebody who talks to it."""

    class Context:
        def __init__(self, **options):
            self.engine = LocalEngine(**{"workers": 1, **options})

        async def __aenter__(self):
            await self.engine.start()
            transport = httpx.ASGITransport(self.engine.app)
            self.http = httpx.AsyncClient(transport=transport, base_url=BASE)
            return Talk(self.http, self.engine)

        async def __aexit__(self, *_):
            await self.http.aclose()
            await self.engine.aclose()

    return Context


@pytest.fixture
async def talk(talk_to):
    async with talk_to() as talking:
        yield talking
