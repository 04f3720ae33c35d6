"""A key, and the signature of an address, through every failure: they show up nowhere."""

import asyncio
import contextlib
import pickle
import traceback

import pytest
from loopback import Close, Reply, Reset, answer
from scripted_service import QUERY_PATH, ScriptedService
from test_transport import borrowed

from ailab_async import (
    AILabError,
    AsyncClient,
    HDColorMigration,
    PollPolicy,
    RetryPolicy,
    Service,
    Timeouts,
)

SENTINELS = ("sentinel-key", "sentinel-signature")
QUICK = {
    "poll": PollPolicy(first=0.001, interval=0.001, tolerance=1),
    "retry": RetryPolicy(base=0.001, attempts=2),
    "timeouts": Timeouts(connect=0.3, answer=0.2, download=0.2),
}


def check(*texts, sentinels=SENTINELS):
    for text in texts:
        for sentinel in sentinels:
            place = text.find(sentinel)
            assert place < 0, text[max(0, place - 300) : place + 40]


def check_error(error):
    """Look at all that a logger could show of an error: text, fields, chain, locals of frames."""
    check(str(error), repr(error), str(vars(error)), str(pickle.dumps(error)))
    chain = [error]
    while chain:
        link = chain.pop()
        check(str(link), repr(link))
        chain += [other for other in (link.__cause__, link.__context__) if other is not None]
        # but for the frames of this file, whose locals are the sentinels
        inside = [
            (frame, line)
            for frame, line in traceback.walk_tb(link.__traceback__)
            if frame.f_code.co_filename != __file__
        ]
        frames = traceback.StackSummary.extract(iter(inside), capture_locals=True)
        # an answer's body and a file's address are locals on their way; the key never is
        check("".join(frames.format()), sentinels=["sentinel-key"])


@contextlib.asynccontextmanager
async def below(way):
    """Yield the options that put a library, or a client of the user's, below ours."""
    if way in {"httpx", "httpx2"}:
        yield {"http": way}
        return
    async with borrowed(way) as lent:
        yield {"http_client": lent}


async def silent(_):
    await asyncio.Event().wait()


SUBMISSIONS = {
    "refused": answer({"error_detail": {"code": "ERROR_USER_NOT_EXISTS"}}, 401),
    "malformed": Reply(body=b"<html>https://h.example/a?x=sentinel-signature</html>"),
    "gateway": Reply(status=502, body=b"https://h.example/a?x=sentinel-signature"),
    "message": answer({"message": "see https://h.example/a?Signature=sentinel-signature"}, 400),
    "reset": Reset(),
    "closed": Close(),
    "cut": Reply(cut=20),
    "encoded": Reply(headers={"content-encoding": "gzip"}),
    "silent": silent,
}


@pytest.mark.parametrize("way", ["httpx", "httpx2", "borrowed httpx-aiohttp"])
@pytest.mark.parametrize("fault", SUBMISSIONS)
async def test_a_submission_that_fails_shows_no_key(fault, way, pictures, caplog):
    said = SUBMISSIONS[fault]
    caplog.set_level("DEBUG")
    events = []
    async with ScriptedService() as scripted:

        async def misbehave(seen):
            if isinstance(said, Exception):
                raise said
            if callable(said):
                await said(seen)
            scripted.submissions = [said]

        scripted.before_answer = misbehave
        service = Service.local(scripted.url, api_key="sentinel-key")
        options = {"on_event": events.append, **QUICK}
        async with below(way) as lent, AsyncClient(service=service, **lent, **options) as client:
            with pytest.raises(AILabError) as caught:
                await client.submit(HDColorMigration(pictures / "dusk.jpg"))
            check(repr(client), repr(service), repr(client._session.settings))
        assert "sentinel-key" in scripted.server.seen[0].headers.values()
    check_error(caught.value)
    check(str(events), caplog.text)


@pytest.mark.parametrize("way", ["httpx", "httpx2", "borrowed httpx-aiohttp"])
async def test_a_refused_connection_shows_no_key(way, pictures, unused_tcp_port, caplog):
    caplog.set_level("DEBUG")
    service = Service.local(f"http://127.0.0.1:{unused_tcp_port}", api_key="sentinel-key")
    async with below(way) as lent, AsyncClient(service=service, **lent, **QUICK) as client:
        with pytest.raises(AILabError) as caught:
            await client.submit(HDColorMigration(pictures / "dusk.jpg"))
    check_error(caught.value)
    check(caplog.text)


@pytest.mark.parametrize("fault", [Reset(), Close(), Reply(cut=20), answer({}, 403)], ids=repr)
async def test_looks_and_downloads_that_fail_show_neither_key_nor_signature(
    fault, pictures, caplog
):
    caplog.set_level("DEBUG")
    events, errors = [], []
    async with ScriptedService() as scripted:
        failing = {QUERY_PATH}

        async def misbehave(seen):
            if seen.path in failing and isinstance(fault, Exception):
                raise fault

        scripted.before_answer = misbehave
        if isinstance(fault, Reply):
            scripted.looks = [fault] * 10
        service = Service.local(scripted.url, api_key="sentinel-key")
        async with AsyncClient(service=service, on_event=events.append, **QUICK) as client:
            operation = HDColorMigration(pictures / "dusk.jpg")
            task = await client.submit(operation)
            with pytest.raises(AILabError) as caught:
                await task
            errors.append(caught.value)
            failing.clear()
            scripted.looks.clear()
            result = await client.run(operation)
            failing.add("/files/0")
            if isinstance(fault, Reply):
                scripted.files.clear()
            with pytest.raises(AILabError) as caught:
                await result.files[0].read()
            errors.append(caught.value)
            check(repr(task), repr(result), repr(result.files), str(task.record()))
            assert "sentinel-signature" in result.files[0].url
        downloads = [seen for seen in scripted.server.seen if seen.path.startswith("/files")]
        assert downloads
        assert all("sentinel-key" not in str(seen.headers) for seen in downloads)
    for error in errors:
        check_error(error)
    check(str(events), caplog.text)
