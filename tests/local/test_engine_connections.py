"""Clients that take too long, or come in crowds: each costs a bounded time and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvicorn

from ailab_async.local import serving
from ailab_async.local.parts import read_parts

from .conftest import SUBMIT, make_picture

FORM = "multipart/form-data; boundary=xyz"
ENOUGH = b"x" * 2**18


class App:
    """Waits where it is told to, and knows which requests are open."""

    def __init__(self):
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            for message in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{message}.complete"})
            return
        self.begun.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/wait":
            await self.go.wait()
        if scope["path"] == "/endless":
            await receive()
            gone = asyncio.create_task(receive())
            while not gone.done():
                await send({"type": "http.response.body", "body": ENOUGH, "more_body": True})
            self.left.set()
            return
        await send({"type": "http.response.body", "body": b"here"})


@pytest.fixture
async def app():
    return App()


@pytest.fixture
async def connect(app, monkeypatch):
    """Yield a function that connects to a server that soon loses its patience."""
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.02)
    monkeypatch.setattr(serving, "READ_SECONDS", 0.02)
    server = uvicorn.Server(serving.configuration(app))
    server.config.port = 0
    server.capture_signals = contextlib.nullcontext
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**12)
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    server.should_exit = True
    await running


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def until_ended(reader):
    """Read to the end, in whichever way the other side ends it."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while await reader.read(2**16):
                pass


async def write_until_ended(writer, piece):
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.001)


async def test_who_connects_and_says_nothing_is_let_go(connect):
    reader, _ = await connect()
    await until_ended(reader)


async def test_who_sends_a_head_byte_by_byte_is_let_go(connect, app):
    _, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
    await write_until_ended(writer, b"a")
    assert not app.begun.is_set()


async def test_who_goes_on_with_a_body_after_its_answer_is_let_go(connect):
    reader, writer = await connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await reader.readuntil(b"here")
    await write_until_ended(writer, b"1\r\na\r\n")


async def test_who_does_not_read_what_it_asked_for_is_let_go(connect, app):
    _, writer = await connect()
    writer.write(get("/endless"))
    async with asyncio.timeout(10):
        await app.left.wait()


async def test_who_waits_for_an_answer_may_wait(connect, app):
    reader, writer = await connect()
    writer.write(get("/wait"))
    await app.begun.wait()
    for _ in range(3):  # others are let go meanwhile
        await until_ended((await connect())[0])
    app.go.set()
    async with asyncio.timeout(10):
        assert await reader.readuntil(b"here")


async def test_who_asks_again_and_again_may_stay(connect):
    reader, writer = await connect()
    loop = asyncio.get_running_loop()
    by = loop.time() + 5 * serving.HEAD_SECONDS
    while loop.time() < by:
        writer.write(get("/"))
        assert await reader.readuntil(b"here")
        await reader.readuntil(b"0\r\n\r\n")
        await asyncio.sleep(0.002)


async def test_of_a_crowd_as_many_are_let_in_as_there_is_room(connect, monkeypatch):
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(serving, "HEAD_SECONDS", 60.0)
    first, second = [await connect() for _ in range(2)]
    for reader, writer in (first, second):
        writer.write(get("/"))
        await reader.readuntil(b"here")
    third, writer = await connect()
    writer.write(get("/"))
    assert await third.read(100) == b""
    first[1].close()
    async with asyncio.timeout(10):
        answer = b""
        while not answer:
            reader, writer = await connect()
            writer.write(get("/"))
            with contextlib.suppress(ConnectionError):
                answer = await reader.read(100)
    second[1].write(get("/"))
    await second[0].readuntil(b"here")


# --- uploads ------------------------------------------------------------------------------------


async def test_an_upload_that_falls_silent_is_refused_and_makes_room(talk, monkeypatch):
    monkeypatch.setattr("ailab_async.local.handlers.SILENT_SECONDS", 0.05)
    never = asyncio.Event()

    async def body():
        yield b"--xyz\r\n"
        await never.wait()

    headers = {"content-type": FORM}
    sending = [talk.http.post(SUBMIT, content=body(), headers=headers) for _ in range(20)]
    for answer in await asyncio.gather(*sending):
        assert answer.status_code == 400
        assert "0.05 s" in answer.json()["error_detail"]["message"]
    assert (await talk.post(make_picture())).status_code == 200


async def test_the_loop_turns_while_a_form_full_of_false_boundaries_is_read():
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def body():
        yield b'--xyz\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
        yield b"\r\n--xyzA" * 2**16 + b"\r\n--xyz--\r\n"

    turning = asyncio.create_task(turn())
    try:
        form = await read_parts(FORM, body())
    finally:
        turning.cancel()
    assert len(form["a"]) == 8 * 2**16
    assert turns > 10
