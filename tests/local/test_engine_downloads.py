"""Result files over HTTP: ranges, tags, and how long they are there."""

from __future__ import annotations

import os
from email.utils import formatdate

import pytest

CONTENT = bytes(range(256)) * 4


@pytest.fixture
async def stored(talk):
    """A result of 1024 bytes; yields a function that asks for it."""
    name = await talk.engine.store.put(CONTENT, extension=".jpg")

    async def get(method="GET", **headers):
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return await talk.http.request(method, f"/files/{name}", headers=named)

    get.path = talk.engine.store._path(name)
    return get


async def test_a_whole_file_says_how_to_ask_for_parts(stored):
    answer = await stored()
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["x-content-type-options"] == "nosniff"
    tag = answer.headers["etag"]
    assert tag.startswith('"')
    assert (await stored()).headers["etag"] == tag


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=1000-", 1000, 1024),
        ("bytes=1000-5000", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes= 5 - 5", 5, 6),
        ("bytes=1-1023", 1, 1024),
    ],
)
async def test_one_range_is_answered_with_those_bytes(stored, asked, start, end):
    answer = await stored(range=asked)
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize(
    "asked",
    [
        *("", "bytes", "bytes=", "bytes=-", "bytes=9-5", "bytes=a-b", "lines=0-5"),
        *("bytes=0-1,5-6", "bytes=0-", "bytes=-5000", "bytes=²-", "bytes=" + "9" * 40 + "-"),
    ],
)
async def test_what_is_no_single_range_is_answered_with_the_whole(stored, asked):
    answer = await stored(range=asked.encode())
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
async def test_bytes_that_are_not_there_cannot_be_had(stored, asked):
    answer = await stored(range=asked)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */1024"
    assert answer.content == b""


async def test_a_range_of_another_file_is_the_whole_of_this_one(stored):
    whole = await stored()
    tag, date = whole.headers["etag"], whole.headers["last-modified"]
    for known in (tag, date):
        assert (await stored(range="bytes=0-9", if_range=known)).status_code == 206
    for other in ('"other"', f"W/{tag}", formatdate(0, usegmt=True), "rubbish"):
        answer = await stored(range="bytes=0-9", if_range=other)
        assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_who_has_the_file_already_is_told_so(stored):
    tag = (await stored()).headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = await stored(if_none_match=known)
        assert (answer.status_code, answer.content) == (304, b"")
    assert (await stored(if_none_match='"x"')).status_code == 200


async def test_a_head_has_no_body_and_no_range(stored):
    answer = await stored("HEAD", range="bytes=0-9")
    assert answer.status_code == 200
    assert answer.headers["content-length"] == "1024"
    assert answer.content == b""


async def test_a_file_is_gone_after_a_day_even_before_the_sweep(stored):
    day = os.stat(stored.path).st_mtime - 24 * 3600  # noqa: PTH116 - a test
    os.utime(stored.path, (day + 60, day + 60))
    assert (await stored()).status_code == 200
    os.utime(stored.path, (day - 60, day - 60))
    answer = await stored()
    assert answer.status_code == 404
    assert answer.json()["error_detail"]["code"] == "ERROR_FILE_NOT_FOUND"


async def test_a_download_that_breaks_off_goes_on(talk, stored):
    first = await stored(range="bytes=0-511")
    rest = await stored(range="bytes=512-", if_range=first.headers["etag"])
    assert first.content + rest.content == CONTENT


@pytest.mark.parametrize(
    ("extension", "kind"),
    [(".png", "image/png"), (".mp4", "video/mp4"), (".avi", "video/x-msvideo")],
)
async def test_each_kind_of_result_is_called_what_it_is(talk, extension, kind):
    name = await talk.engine.store.put(b"x", extension=extension)
    assert (await talk.http.get(f"/files/{name}")).headers["content-type"] == kind
