"""Exchanges against a real socket: what the server saw whole, and what the user was told."""

import asyncio
import random

import httpx
import httpx2
import httpx_aiohttp
import pytest
from loopback import Close, Loopback, Reply, Reset, answer

from ailab_async import errors
from ailab_async.protocol.multipart import FormField, MultipartBody
from ailab_async.protocol.services import Route, Secret, Service
from ailab_async.retry import RetryPolicy
from ailab_async.transport import Timeouts, Transport

QUICK = Timeouts(connect=0.3, answer=0.2, download=0.2, read=5)
EAGER = RetryPolicy(base=0.001)
ACCEPTED = {"error_code": 0, "task_id": "t-1", "request_id": "r-1"}
LARGE = 8 * 2**20


def form(size=1000):
    return MultipartBody(
        [
            FormField(name="mode", data=b"AUTO"),
            FormField(
                name="image", data=bytes(size), filename="image.png", content_type="image/png"
            ),
        ]
    )


WAYS = ["httpx", "httpx2", "borrowed httpx", "borrowed httpx2", "borrowed httpx-aiohttp"]


@pytest.fixture(params=WAYS)
def way(request):
    """Below the transport: each library by itself, and clients of the user's."""
    return request.param


def borrowed(way):
    if way == "borrowed httpx":
        return httpx.AsyncClient()
    if way == "borrowed httpx2":
        return httpx2.AsyncClient()
    return httpx_aiohttp.HttpxAiohttpClient()


async def task_id_of(reply):
    return reply.task_id


class Wire:
    """A transport, and what it told its user."""

    def __init__(self, url, *, way="httpx", key="sentinel-key", max_in_flight=4, **options):
        self.service = Service.local(url, api_key=key)
        self.lent = None
        if way.startswith("borrowed"):
            self.lent = options["http_client"] = borrowed(way)
        else:
            options["http"] = way
        self.events = []
        self.orphans = []
        self.transport = Transport(
            self.service,
            max_in_flight=max_in_flight,
            timeouts=options.pop("timeouts", Timeouts()),
            retry=options.pop("retry", EAGER),
            on_event=self.events.append,
            **options,
        )
        self.route = Route(origin=url, path="/submit")

    async def __aenter__(self):
        await self.transport.start()
        return self

    async def __aexit__(self, *_):
        await self.transport.aclose()
        assert self.transport.at_rest
        if self.lent is not None:
            assert not self.lent.is_closed
            await self.lent.aclose()

    async def submit(self, body=None, **options):
        return await self.transport.submit(
            self.route,
            body or form(),
            accept=task_id_of,
            orphaned=self.orphans.append,
            **options,
        )

    async def look(self, **options):
        return await self.transport.query(self.route, {"task_id": "t-1"}, **options)

    async def download(self, url, **options):
        pieces = []

        async def keep(piece):
            pieces.append(piece)

        size = await self.transport.download(url, keep, **{"max_bytes": 10**6, **options})
        assert size == sum(map(len, pieces))
        return b"".join(pieces)

    def names(self):
        return [event.name for event in self.events]


def scripted(*replies):
    """Answer with each in turn; exceptions are raised, the last one stays."""
    rest = list(replies)

    def handler(seen):
        reply = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    return handler


# --- the plain way -------------------------------------------------------------------------------


async def test_a_form_arrives_whole_and_the_answer_comes_back(way):
    async with Loopback(scripted(answer(ACCEPTED))) as server, Wire(server.url, way=way) as wire:
        body = form(300_000)
        assert await wire.submit(body) == "t-1"
        (seen,) = server.whole()
        assert seen.body.endswith(f"--{body.boundary}--\r\n".encode())
        assert len(seen.body) == body.length
        assert seen.headers["ailabapi-api-key"] == "sentinel-key"
        assert seen.headers["content-type"] == body.content_type
        assert wire.names() == ["submit.started", "submit.complete"]
        assert wire.events[-1].sent == body.length


async def test_no_more_requests_run_than_there_are_slots_and_connections_are_kept():
    async with Loopback(scripted(answer(ACCEPTED))) as server, Wire(server.url) as wire:
        await asyncio.gather(*(wire.submit() for _ in range(50)))
        assert len(server.whole()) == 50
        assert server.most_open <= 4
        assert server.connections <= 4


# --- faults of a submission ----------------------------------------------------------------------


async def test_a_refused_connection_is_not_delivered_and_tried_three_times(way, unused_tcp_port):
    async with Wire(f"http://127.0.0.1:{unused_tcp_port}", way=way) as wire:
        with pytest.raises(errors.NotDelivered, match="Nothing is billed"):
            await wire.submit()
        assert wire.names().count("submit.started") == 3
        assert wire.names().count("submit.retrying") == 2


async def test_a_reset_in_mid_body_is_sent_again_and_seen_whole_once(way):
    async with Loopback(scripted(answer(ACCEPTED))) as server, Wire(server.url, way=way) as wire:
        server.read_at_most = 100_000

        def heal(_):
            if len(server.seen) == 2:
                server.read_at_most = None

        server.on_head = heal
        assert await wire.submit(form(LARGE)) == "t-1"
        assert len(server.seen) == 2
        assert len(server.whole()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Reset(),
        Close(),
        Reply(cut=0),
        Reply(cut=20),
        Reply(body=b'{"task_id": "t-1"}', cut=-4),
        Reply(body=b"<html>ok</html>"),
        Reply(status=502, body=b"<html>bad gateway</html>"),
        Reply(status=504, body=b'{"message": "upstream timed out"}'),
        Reply(body=b"{}", headers={"content-encoding": "gzip"}),
    ],
    ids=str,
)
async def test_no_readable_answer_after_the_whole_form_is_unknown_and_never_repeated(way, fault):
    async with (
        Loopback(scripted(fault, answer(ACCEPTED))) as server,
        Wire(server.url, way=way) as wire,
    ):
        with pytest.raises(errors.OutcomeUnknown) as caught:
            await wire.submit()
        assert caught.value.action == "submit"
        assert len(server.whole()) == 1
        assert "submit.retrying" not in wire.names()
        # the slot works again
        assert await wire.submit() == "t-1"


async def test_a_silent_server_and_a_dripping_one_meet_the_deadline(way):
    stuck = asyncio.Event()

    async def silent(_):
        await stuck.wait()

    for handler in (silent, scripted(Reply(drip=stuck))):
        async with Loopback(handler) as server, Wire(server.url, way=way, timeouts=QUICK) as wire:
            with pytest.raises(errors.OutcomeUnknown, match="too long"):
                await wire.submit()
            assert len(server.whole()) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(status=503, body=b"<html>busy</html>"),
        Reply(status=503, body=b'{"message": "busy"}', headers={"retry-after": "0"}),
        Reply(status=429, body=b"slow down"),
        answer({"error_code": 429, "error_detail": {"code": "EXCEEDING_LIMITS"}}, 429),
        answer({"error_code": 500, "error_detail": {"code": "SERVICE_INTERNAL_ERROR"}}, 500),
    ],
    ids=str,
)
async def test_a_refusal_where_nothing_was_made_is_tried_again(way, refusal):
    async with (
        Loopback(scripted(refusal, answer(ACCEPTED))) as server,
        Wire(server.url, way=way) as wire,
    ):
        assert await wire.submit() == "t-1"
        assert len(server.whole()) == 2


async def test_a_long_retry_after_is_raised_with_its_value(way):
    busy = answer({"error_detail": {"code": "EXCEEDING_LIMITS"}}, 429, retry_after="600")
    async with Loopback(scripted(busy)) as server, Wire(server.url, way=way) as wire:
        with pytest.raises(errors.Throttled) as caught:
            await wire.submit()
        assert caught.value.retry_after == 600
        assert len(server.whole()) == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ERROR_NOT_ENOUGH_CREDITS", 429, errors.CreditsExhausted),
        ("ERROR_USER_NOT_EXISTS", 401, errors.AuthenticationError),
        ("ERROR_NO_FACE_IN_FILE", 422, errors.InputRejected),
        ("ERROR_AI_NOT_EXISTS", 404, errors.NotFound),  # the engine does not retire,
    ],
)
async def test_what_will_not_pass_is_said_once(way, code, status, kind):
    refusal = answer({"error_code": status, "error_detail": {"code": code}}, status)
    async with Loopback(scripted(refusal)) as server, Wire(server.url, way=way) as wire:
        with pytest.raises(kind) as caught:
            await wire.submit()
        assert type(caught.value) is kind
        assert caught.value.code == code
        assert len(server.whole()) == 1


# --- looks and downloads -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Reset(), Close(), Reply(cut=20), Reply(status=502)], ids=str)
async def test_a_question_is_asked_again_after_any_break(way, fault):
    handler = scripted(fault, answer({"task_status": 1}))
    async with Loopback(handler) as server, Wire(server.url, way=way) as wire:
        reply = await wire.look()
        assert reply.raw == {"task_status": 1}
        assert [seen.query for seen in server.seen] == [{"task_id": "t-1"}] * 2


async def test_a_single_attempt_is_a_single_attempt():
    async with Loopback(scripted(Close())) as server, Wire(server.url) as wire:
        with pytest.raises(errors.OutcomeUnknown):
            await wire.look(action="look", attempts=1)
        assert len(server.seen) == 1


async def test_a_file_comes_without_the_key(way):
    picture = bytes(range(256)) * 1000
    reply = Reply(body=picture, headers={"content-type": "image/png"})
    async with Loopback(scripted(reply)) as server, Wire(server.url, way=way) as wire:
        assert await wire.download(f"{server.url}/files/a.png?signature=s%2B1") == picture
        (seen,) = server.seen
        assert "sentinel-key" not in str(seen.headers)
        assert seen.headers["accept-encoding"] == "identity"
        assert seen.target == "/files/a.png?signature=s%2B1"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.test/a.png",
        "http://127.0.0.1:9/a.png",
        "ftp://example.test/a.png",
        "file:///etc/passwd",
        "https://user:word@example.test/a.png",
        "https:///a.png",
        "",
    ],
)
async def test_a_file_at_a_wrong_address_is_not_fetched(url):
    async with Loopback(scripted(Reply())) as server, Wire(server.url) as wire:
        with pytest.raises(errors.DownloadFailed) as caught:
            await wire.download(url)
        assert "word" not in str(caught.value)
        assert server.seen == []


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=403, body=b"expired"),
        Reply(body=b"x" * 2000),
        Reply(body=b"x" * 10, length=20),
        Reply(body=b"x", headers={"content-encoding": "gzip"}),
        Close(),
    ],
    ids=str,
)
async def test_a_file_that_cannot_be_had_whole_is_an_error(way, fault):
    async with Loopback(scripted(fault)) as server, Wire(server.url, way=way) as wire:
        with pytest.raises(errors.DownloadFailed) as caught:
            await wire.download(f"{server.url}/a.png?signature=secret", max_bytes=1000)
        assert "secret" not in str(caught.value)


async def test_what_a_sink_raises_reaches_the_caller_as_it_is():
    async with Loopback(scripted(Reply(body=b"x"))) as server, Wire(server.url) as wire:

        async def full(_):
            raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left") as caught:
            await wire.transport.download(f"{server.url}/a.png", full, max_bytes=1000)
        assert type(caught.value) is OSError
        assert len(server.seen) == 1


async def test_an_answer_over_the_bound_is_refused(way):
    handler = scripted(Reply(body=b" " * 5000))
    async with (
        Loopback(handler) as server,
        Wire(server.url, way=way, max_answer_bytes=1000) as wire,
    ):
        with pytest.raises(errors.MalformedReply, match="1000 bytes"):
            await wire.look(attempts=1)


async def test_a_redirect_of_the_service_is_not_followed(way):
    async with Loopback(scripted(Reply())) as other:
        away = Reply(status=302, headers={"location": f"{other.url}/steal"})
        async with Loopback(scripted(away)) as server, Wire(server.url, way=way) as wire:
            with pytest.raises(errors.AILabError):
                await wire.submit()
            with pytest.raises(errors.AILabError):
                await wire.look(attempts=1)
            assert other.seen == []


# --- cancellation --------------------------------------------------------------------------------


async def test_a_caller_cancelled_before_the_first_byte_sends_nothing(way):
    release = asyncio.Event()

    async def hold(_):
        await release.wait()
        return answer(ACCEPTED)

    async with Loopback(hold) as server, Wire(server.url, way=way, max_in_flight=1) as wire:
        first = asyncio.create_task(wire.submit())
        while not server.whole():
            await asyncio.sleep(0.001)
        second = asyncio.create_task(wire.submit())
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        assert await first == "t-1"
        assert len(server.seen) == 1
        assert wire.orphans == []
        assert await wire.submit() == "t-1"


async def test_a_caller_cancelled_after_the_form_leaves_the_task_id_behind(way):
    release = asyncio.Event()

    async def hold(_):
        await release.wait()
        return answer(ACCEPTED)

    async with Loopback(hold) as server, Wire(server.url, way=way) as wire:
        caller = asyncio.create_task(wire.submit())
        while not server.whole():
            await asyncio.sleep(0.001)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert wire.orphans == []
        release.set()
        while not wire.orphans:
            await asyncio.sleep(0.001)
        assert wire.orphans == ["t-1"]
        assert len(server.whole()) == 1


async def test_a_submission_cancelled_at_every_step_is_sent_whole_only_if_it_is_known(way):
    async with Loopback(scripted(answer(ACCEPTED))) as server, Wire(server.url, way=way) as wire:
        told = 0
        for steps in range(60):
            caller = asyncio.create_task(wire.submit())
            for _ in range(steps):
                await asyncio.sleep(0)
            caller.cancel()
            try:
                await caller
                told += 1
            except asyncio.CancelledError:
                pass
            while not wire.transport.at_rest:
                await asyncio.sleep(0.001)
            assert told + len(wire.orphans) == len(server.whole())
        assert told > 0
        assert wire.orphans
        assert len(wire.transport._slots._idle) == 4


async def test_after_a_storm_of_cancellations_everything_works():
    async def slow(_):
        await asyncio.sleep(0.002)
        return answer(ACCEPTED)

    dice = random.Random(1)
    async with Loopback(slow) as server, Wire(server.url, max_in_flight=10) as wire:

        async def churn():
            for _ in range(50):
                caller = asyncio.create_task(wire.look() if dice.random() < 0.5 else wire.submit())
                await asyncio.sleep(dice.random() * 0.06)
                caller.cancel()
                await asyncio.wait((caller,))

        await asyncio.gather(*(churn() for _ in range(40)))
        while not wire.transport.at_rest:
            await asyncio.sleep(0.001)
        assert len(wire.transport._slots._idle) == 10
        for _ in range(20):
            assert await wire.submit() == "t-1"
        assert server.open_now <= 10
    ours = [task for task in asyncio.all_tasks() if "Loopback" not in repr(task.get_coro())]
    assert ours == [asyncio.current_task()]


# --- the end -------------------------------------------------------------------------------------


async def test_closing_waits_for_what_is_under_way_and_refuses_what_comes():
    release = asyncio.Event()

    async def hold(_):
        await release.wait()
        return answer(ACCEPTED)

    async with Loopback(hold) as server, Wire(server.url) as wire:
        caller = asyncio.create_task(wire.submit())
        while not server.whole():
            await asyncio.sleep(0.001)
        closing = asyncio.create_task(wire.transport.aclose())
        await asyncio.sleep(0)
        with pytest.raises(errors.ClientClosed):
            await wire.submit()
        release.set()
        assert await caller == "t-1"
        await closing
        assert len(server.whole()) == 1


async def test_closing_is_bounded_and_says_that_a_form_is_out(way):
    stuck = asyncio.Event()

    async def hold(_):
        await stuck.wait()

    async with Loopback(hold) as server, Wire(server.url, way=way) as wire:
        caller = asyncio.create_task(wire.submit())
        while not server.whole():
            await asyncio.sleep(0.001)
        await wire.transport.aclose(timeout=0.01)
        with pytest.raises(errors.OutcomeUnknown, match="closed"):
            await caller


# --- secrets -------------------------------------------------------------------------------------


def test_a_secret_neither_shows_nor_pickles_itself():
    import pickle

    secret = Secret("sentinel-key")
    assert repr(secret) == "'***'"
    assert "sentinel" not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(secret)
    assert "sentinel" not in repr(Service.direct("sentinel-key"))
    with pytest.raises(errors.InvalidOperation) as caught:
        Service.direct("sentinel key\n")
    assert "sentinel" not in str(caught.value)


def test_a_key_is_not_sent_over_plain_http_to_another_computer():
    with pytest.raises(errors.InvalidOperation, match="https"):
        Service.direct("sentinel-key", base_url="http://example.test")
    assert Service.direct("k", base_url="http://127.0.0.1:1").base_url == "http://127.0.0.1:1"


# --- what the review of a sceptic found -----------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        answer({"error_code_str": "UPSTREAM_REQUEST_TIMEOUT"}, 504),
        answer({"error_detail": {"code": "BAD_GATEWAY"}}, 502),
        answer({"error_code": "E_WHATEVER"}, 500),
        answer({"error_code_str": "REQUEST_TIMEOUT"}, 408),
        answer({"task_id": "t-9"}, 302),
        Reply(status=204, body=b"", length=-1),
    ],
    ids=str,
)
async def test_words_that_no_table_has_are_no_statement_about_the_form(fault):
    async with Loopback(scripted(fault)) as server, Wire(server.url) as wire:
        with pytest.raises(errors.OutcomeUnknown):
            await wire.submit()
        assert len(server.whole()) == 1


async def test_a_timeout_by_the_services_own_code_is_not_repeated():
    late = answer({"error_detail": {"code": "AI_SERVICE_TIMEOUT"}}, 504)
    async with Loopback(scripted(late)) as server, Wire(server.url) as wire:
        with pytest.raises(errors.ServiceUnavailable):
            await wire.submit()
        assert len(server.whole()) == 1


async def test_another_word_of_success_is_one():
    accepted = answer({"error_code": 0, "task_id": "t-202"}, 202)
    async with Loopback(scripted(accepted)) as server, Wire(server.url) as wire:
        assert await wire.submit() == "t-202"


@pytest.mark.parametrize(
    "raised",
    [
        errors.ServiceUnavailable("journal is down", http_status=503),
        errors.Throttled(http_status=429),
        errors.NotDelivered("journal"),
        OSError("disk"),
    ],
    ids=repr,
)
async def test_what_accepting_raises_is_never_taken_for_a_refusal(raised):
    async def accept(_):
        raise raised

    async with Loopback(scripted(answer(ACCEPTED))) as server, Wire(server.url) as wire:
        with pytest.raises(type(raised)) as caught:
            await wire.transport.submit(
                wire.route, form(), accept=accept, orphaned=wire.orphans.append
            )
        assert caught.value is raised
        assert len(server.whole()) == 1


async def test_what_is_to_be_written_before_is_written_in_the_slot_and_before_any_byte():
    order = []

    async def before():
        order.append(("before", len(server.seen), wire.transport._slots.busy))

    async with Loopback(scripted(answer(ACCEPTED))) as server, Wire(server.url) as wire:
        body = form()
        await wire.submit(body, before=before)
        assert order[0] == ("before", 0, 1)
        assert len(server.whole()) == 1


async def test_what_cannot_be_written_before_sends_nothing():
    async def before():
        message = "disk full"
        raise OSError(message)

    async with Loopback(scripted(answer(ACCEPTED))) as server, Wire(server.url) as wire:
        with pytest.raises(OSError, match="disk full"):
            await wire.submit(before=before)
        assert server.seen == []
