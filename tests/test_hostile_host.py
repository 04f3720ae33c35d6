"""Result hosts that stall, lie, cheat and lead away: whole files or none, and no harm."""

import asyncio
import gzip
import hashlib
import os
import pickle
import tracemalloc

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Reply, Reset
from scripted_service import PNG
from test_addresses import authority, client_tls, resolve, server_tls  # noqa: F401 - fixtures
from test_files import Host, left_in
from test_transport import WAYS, Wire, scripted

from ailab_async import errors
from ailab_async.retry import RetryPolicy
from ailab_async.transport import Timeouts, addresses
from ailab_async.transport.transfer import Transfer

PICTURE = PNG + bytes(range(256)) * 1200
OTHER = PNG + bytes(range(255, -1, -1)) * 1200
HURRIED = Timeouts(connect=5, read=0.1)
LATE = "Fri, 20 Nov 2026 10:00:00 GMT"
LATER = "Fri, 20 Nov 2026 10:00:01 GMT"


@define
class Odd(Reply):
    """``stall``: nothing more comes after the cut; ``pace``: it comes so slowly, in seconds."""

    stall: bool = False
    pace: float = 0.0
    chunked: bool = False


class Server(Loopback):
    """One that also falls silent, dawdles, and speaks in chunks."""

    async def _say(self, reply, writer):
        if not isinstance(reply, Odd):
            return await super()._say(reply, writer)
        data = reply.bytes()
        if reply.chunked:
            piece = b"%x\r\n%s\r\n" % (len(reply.body), reply.body)
            writer.write(data.removesuffix(reply.body))
            while True:  # until the client hangs up
                writer.write(piece)
                await writer.drain()
        if reply.stall:
            writer.write(data[: reply.cut])
            await asyncio.Event().wait()
        for start in range(0, len(data), 100):
            writer.write(data[start : start + 100])
            await writer.drain()
            await asyncio.sleep(reply.pace)
        return True


@define
class Faithful:
    """A host that can send parts; ``faults`` spoil its first answers, one each."""

    faults: list = field(factory=list)
    body: bytes = PICTURE
    headers: dict = field(factory=lambda: {"etag": '"one"'})
    ranges: bool = True

    def __call__(self, seen):
        headers = {"content-type": "text/plain", **self.headers}
        known = self.headers.get("etag") or self.headers.get("last-modified")
        reply = Reply(body=self.body, headers=headers)
        if self.ranges and "range" in seen.headers and seen.headers.get("if-range") == known:
            first = int(seen.headers["range"].removeprefix("bytes=").removesuffix("-"))
            last = len(self.body) - 1
            headers["content-range"] = f"bytes {first}-{last}/{last + 1}"
            reply = Reply(status=206, body=self.body[first:], headers=headers)
        return self.faults.pop(0)(reply) if self.faults else reply


def head_of(reply):
    return len(reply.bytes()) - len(reply.body)


def cut(after):
    return lambda reply: evolve(reply, cut=head_of(reply) + after)


def stalled(after):
    def spoil(reply):
        body, headers = reply.body, reply.headers
        return Odd(reply.status, body, headers, cut=head_of(reply) + after, stall=True)

    return spoil


def short(after):
    """Say the whole length and close after so many bytes."""
    return lambda reply: evolve(reply, body=reply.body[:after], length=len(reply.body))


def reset(_):
    def spoil(_):
        raise Reset

    return spoil


def said(status, body=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status=status, body=body, headers=named)


def hosting(*faults, **options):
    timeouts = options.pop("timeouts", HURRIED)
    return Host(Faithful(list(faults), **options), timeouts=timeouts, server=Server)


def asked(host):
    return [seen.headers.get("range") for seen in host.server.seen]


async def whole_file(host, folder, body=PICTURE):
    """Save it, and see that it is what it should be, and alone."""
    kept = await host.files.keep(host.file(), f"{folder}/", overwrite=True)
    assert (folder / "harbour-1.png").read_bytes() == body
    assert (kept.size, kept.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert left_in(folder) == ["harbour-1.png"]


async def no_file(host, folder, match):
    with pytest.raises(errors.DownloadFailed, match=match) as caught:
        await host.file("/a.png?signature=secret").save(folder)
    assert "secret" not in str(caught.value)
    assert left_in(folder) == []
    return str(caught.value)


# --- what breaks off -----------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [cut, stalled, short], ids=lambda way: way.__name__)
async def test_a_file_that_breaks_off_is_continued_on_a_fresh_connection(tmp_path, broken):
    async with hosting(broken(1000), broken(70_000)) as host:
        await whole_file(host, tmp_path)
        assert asked(host) == [None, "bytes=1000-", "bytes=71000-"]
        assert [seen.headers.get("if-range") for seen in host.server.seen][1:] == ['"one"'] * 2
        assert host.server.connections == 3


@pytest.mark.parametrize("broken", [cut, stalled, short, reset], ids=lambda way: way.__name__)
async def test_a_file_in_memory_is_put_together_as_well(broken):
    async with hosting(broken(1000), broken(70_000)) as host:
        assert await host.file().read() == PICTURE
    async with hosting(broken(1000), broken(70_000), headers={}) as host:
        assert await host.file().read() == PICTURE
        assert asked(host) == [None] * 3


@pytest.mark.parametrize("way", WAYS)
async def test_below_every_library_a_broken_file_comes_whole(way):
    faithful = Faithful([short(1000), cut(70_000)])
    async with Server(faithful) as server, Wire(server.url, way=way) as wire:
        assert await wire.download(f"{server.url}/a.png") == PICTURE
        assert server.seen[-1].headers["range"].startswith("bytes=")


@pytest.mark.parametrize(
    ("headers", "if_range"),
    [
        ({"etag": '"strong"'}, '"strong"'),
        ({"etag": '"strong"', "last-modified": LATE, "date": LATER}, '"strong"'),
        ({"last-modified": LATE, "date": LATER}, LATE),
        ({"last-modified": LATE, "date": LATE}, None),
        ({"last-modified": LATE}, None),
        ({"last-modified": "yesterday", "date": LATER}, None),
        ({"last-modified": "Fri, 20 Nov 2026 10:00:00 -0000", "date": LATER}, None),
        ({"etag": 'W/"weak"'}, None),
        ({"etag": 'W/"weak"', "last-modified": LATE, "date": LATER}, None),
        ({"etag": "bare"}, None),
        ({"etag": '"a", "b"'}, None),
        ({"etag": '"\xfc"'}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_only_a_sure_sign_of_the_same_file_lets_it_be_continued(tmp_path, headers, if_range):
    async with hosting(cut(5000), headers=headers) as host:
        await whole_file(host, tmp_path)
        last = host.server.seen[-1].headers
        assert last.get("if-range") == if_range
        assert last.get("range") == (None if if_range is None else "bytes=5000-")


async def test_three_tries_are_all_and_the_error_says_how_far_and_what_to_do(tmp_path):
    async with hosting(*[cut(1000)] * 4) as host:
        text = await no_file(host, tmp_path, f"after 3000 of {len(PICTURE)} bytes")
        assert "save the file again later" in text
        assert len(host.server.seen) == 3
        await whole_file(host, tmp_path)  # later, from its beginning, with the last fault spent
        assert asked(host)[3:] == [None, "bytes=1000-"]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_refusal_that_passes_is_asked_again(tmp_path, status):
    async with hosting(said(status, retry_after="0"), cut(1000)) as host:
        await whole_file(host, tmp_path)
        assert asked(host) == [None, None, "bytes=1000-"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 416, 451])
async def test_a_refusal_for_good_is_asked_once(tmp_path, status):
    async with hosting(said(status)) as host:
        with pytest.raises(errors.AILabError, match=f"HTTP {status}"):
            await host.files.save(host.file(), tmp_path)
        assert len(host.server.seen) == 1


async def test_how_long_a_host_wants_to_be_left_alone_is_in_the_error(tmp_path):
    # longer than anybody would wait for: told at once
    async with hosting(said(429, retry_after="3600")) as host:
        with pytest.raises(errors.DownloadFailed) as caught:
            await host.files.save(host.file(), tmp_path)
        assert (caught.value.http_status, caught.value.retry_after) == (429, 3600)
        assert pickle.loads(pickle.dumps(caught.value)).retry_after == 3600
        assert len(host.server.seen) == 1


async def test_of_a_file_that_is_begun_again_nothing_older_is_left(tmp_path):
    """Neither bytes on the disk, nor the kind of file that it was, nor a part of the digest."""
    older = b"\xff\xd8\xff" + os.urandom(3 * 2**20)
    async with hosting(cut(5 * 2**19), body=older, headers={}) as host:
        faithful = host.server.handler

        def change(seen):
            reply = faithful(seen)
            faithful.body = PICTURE
            return reply

        host.server.handler = change
        await whole_file(host, tmp_path)


async def test_a_new_try_does_not_take_a_connection_that_another_file_has_left(monkeypatch):
    monkeypatch.setattr("random.random", lambda: 1.0)
    broke = asyncio.Event()

    async def serve(seen):
        if seen.path == "/slow.png":
            await broke.wait()
        elif not broke.is_set():
            return cut(1000)(Reply(body=PICTURE))
        return Reply(body=PICTURE)

    async with Server(serve) as server, Wire(server.url, retry=RetryPolicy(base=0.3)) as wire:

        async def again():
            pass

        async def ignore(_):
            pass

        slow = asyncio.create_task(wire.download(f"{server.url}/slow.png"))
        address = f"{server.url}/a.png"
        options = {"max_bytes": 10**6, "again": again}
        broken = asyncio.create_task(wire.transport.download(address, ignore, **options))
        while "download.retrying" not in wire.names():
            await asyncio.sleep(0.001)
        broke.set()
        assert await slow == PICTURE
        assert await broken == TOTAL
        assert server.connections == 3


async def test_a_stalled_file_says_which_patience_ran_out(tmp_path):
    async with hosting(*[stalled(0)] * 3) as host:
        await no_file(host, tmp_path, r"sent nothing for 0\.1 s \(timeouts\.read\)")
        assert len(host.server.seen) == 3


async def test_a_slow_drip_ends_with_the_time_for_the_whole_file(tmp_path):
    slow = Odd(body=PICTURE, headers={"etag": '"one"'}, pace=0.01)
    patience = Timeouts(connect=0.1, read=5, download=0.2)
    async with Host(lambda _: slow, timeouts=patience, server=Server) as host:
        await no_file(host, tmp_path, r"within 0\.3 s \(timeouts\.download\)")
        assert len(host.server.seen) == 1, "the time is the file's, not each try's"


async def test_tries_share_the_time_of_a_file():
    transfer = Transfer(sink=None, again=None, max_bytes=1, allowed=5.0)
    assert not transfer.final
    transfer.left -= 5.0
    assert transfer.final


# --- what does not fit together ------------------------------------------------------------------


async def test_a_host_that_ignores_the_range_sends_the_file_from_its_beginning(tmp_path):
    async with hosting(cut(5000), ranges=False) as host:
        await whole_file(host, tmp_path)
        assert asked(host) == [None, "bytes=5000-"]


async def test_a_file_that_changed_meanwhile_is_begun_again(tmp_path):
    async with hosting(cut(5000)) as host:
        first = host.server.handler
        second = Faithful(body=OTHER, headers={"etag": '"two"'})

        def either(seen):
            return second(seen) if len(host.server.seen) > 1 else first(seen)

        host.server.handler = either
        await whole_file(host, tmp_path, OTHER)
        assert asked(host) == [None, "bytes=5000-"]


TOTAL = len(PICTURE)
REST = f"5000-{TOTAL - 1}/{TOTAL}"
BAD_PARTS = {
    "an earlier part": said(206, OTHER, etag='"one"', content_range=f"bytes 0-{TOTAL - 1}/{TOTAL}"),
    "one byte too late": said(206, OTHER[5001:], content_range=f"bytes 5001-{TOTAL - 1}/{TOTAL}"),
    "one byte too early": said(206, OTHER[4999:], content_range=f"bytes 4999-{TOTAL - 1}/{TOTAL}"),
    "another length": said(206, OTHER[5000:], content_range=f"bytes 5000-{TOTAL - 1}/{TOTAL + 1}"),
    "another tag": said(206, OTHER[5000:], etag='"two"', content_range=f"bytes {REST}"),
    "a weak tag": said(206, OTHER[5000:], etag='W/"one"', content_range=f"bytes {REST}"),
    "no range": said(206, OTHER[5000:], etag='"one"'),
    "backwards": said(206, OTHER[5000:], content_range=f"bytes 5000-4000/{TOTAL}"),
    "beyond the end": said(206, OTHER[5000:], content_range=f"bytes 5000-{TOTAL}/{TOTAL}"),
    "another unit": said(206, OTHER[5000:], content_range=f"pixels {REST}"),
    "two of them": said(206, OTHER[5000:], content_range=f"bytes {REST}, bytes {REST}"),
    "several parts": said(206, OTHER, content_type="multipart/byteranges; boundary=x"),
    "unpacked": said(206, OTHER[5000:], content_range=f"bytes {REST}", content_encoding="gzip"),
}


@pytest.mark.parametrize("part", BAD_PARTS.values(), ids=BAD_PARTS)
async def test_no_part_is_joined_that_does_not_fit_to_the_byte(tmp_path, part):
    async with hosting(cut(5000), part) as host:
        await whole_file(host, tmp_path)
        assert asked(host)[:2] == [None, "bytes=5000-"]
        assert len(host.server.seen) == 3


async def test_more_than_a_part_announced_is_not_taken(tmp_path):
    longer = Odd(206, OTHER, {"content-range": f"bytes {REST}"}, length=-1, pace=0)
    longer.headers["transfer-encoding"] = "chunked"
    longer.chunked = True
    async with hosting(cut(5000), lambda _: longer) as host:
        await whole_file(host, tmp_path)
        assert asked(host) == [None, "bytes=5000-", None]


async def test_a_part_that_nobody_asked_for_is_no_file(tmp_path):
    part = said(206, PICTURE, etag='"one"', content_range=f"bytes 0-{TOTAL - 1}/{TOTAL}")
    async with hosting(*[part] * 3) as host:
        await no_file(host, tmp_path, "not asked for")


async def test_parts_in_small_pieces_are_asked_for_on(tmp_path):
    """A host may send less than was asked for, and say so."""

    def some(reply):
        first = TOTAL - len(reply.body)
        headers = {**reply.headers, "content-range": f"bytes {first}-{first + 99}/{TOTAL}"}
        return evolve(reply, body=reply.body[:100], headers=headers)

    async with hosting(cut(5000), some) as host:
        await whole_file(host, tmp_path)
        assert asked(host) == [None, "bytes=5000-", "bytes=5100-"]


async def test_a_part_that_is_no_more_lets_the_file_begin_again_once(tmp_path):
    async with hosting(cut(5000), cut(6000), said(416)) as host:
        await whole_file(host, tmp_path)
        assert asked(host) == [None, "bytes=5000-", "bytes=11000-", None]
    async with hosting(cut(5000), said(416), said(416)) as host:
        with pytest.raises(errors.DownloadFailed, match="HTTP 416"):
            await host.file().save(f"{tmp_path}/other/")
        assert asked(host) == [None, "bytes=5000-", None]
    assert left_in(tmp_path / "other") == []


async def test_a_redirect_in_the_middle_joins_nothing(tmp_path):
    """The same tag elsewhere says nothing."""
    async with hosting(cut(5000), said(302, location="/b.png")) as host:
        await whole_file(host, tmp_path)
        assert [(seen.path, seen.headers.get("range")) for seen in host.server.seen] == [
            ("/a.png", None),
            ("/a.png", "bytes=5000-"),
            ("/b.png", None),
        ]


async def test_a_sink_that_cannot_begin_again_gets_every_byte_once_or_an_error():
    async with Server(Faithful([cut(5000)])) as server, Wire(server.url) as wire:
        assert await wire.download(f"{server.url}/a.png") == PICTURE
    for faithful in (Faithful([cut(5000)], ranges=False), Faithful([cut(5000)], headers={})):
        async with Server(faithful) as server, Wire(server.url) as wire:
            with pytest.raises(errors.DownloadFailed):
                await wire.download(f"{server.url}/a.png")
            assert len(server.seen) <= 2


@define
class World:
    """What a host has: at each try one of three files, of which it sends some, as it likes."""

    tries: list

    async def fetch(self):
        taken = bytearray()

        async def sink(chunk):
            taken.extend(chunk)

        async def again():
            taken.clear()

        transfer = Transfer(sink=sink, again=again, max_bytes=100, allowed=1.0)
        for version, keeps_ranges, says_tag, after, size in self.tries:
            body = bytes([65 + version]) * (10 + version) + bytes(range(20))
            tag = {"etag": f'"{version}"'} if says_tag else {}
            headers = transfer.headers()
            first = int(headers.get("Range", "bytes=0-")[6:-1])
            if keeps_ranges and headers and headers["If-Range"] == f'"{version}"':
                said = {"content-range": f"bytes {first}-{len(body) - 1}/{len(body)}", **tag}
                status, rest = 206, body[first:]
            else:
                said, status, rest = {"content-length": str(len(body)), **tag}, 200, body
            try:
                assert await transfer.begin(status, said)
                for start in range(0, min(after, len(rest)), size):
                    await transfer.take(rest[start : min(start + size, after)])
                transfer.end()
            except errors.MalformedReply:
                continue
            assert transfer.taken == len(taken)
            return bytes(taken), body
        return None


TRY = st.tuples(
    st.integers(0, 2), st.booleans(), st.booleans(), st.integers(0, 40), st.integers(1, 9)
)


@given(st.lists(TRY, max_size=6))
def test_whatever_breaks_off_and_changes_a_file_is_one_file_or_none(tries):
    outcome = asyncio.run(World(tries).fetch())
    if outcome is not None:
        taken, body = outcome
        assert taken == body


# --- too much ------------------------------------------------------------------------------------


CHUNKED = {"transfer-encoding": "chunked"}
ENDLESS = {
    "with a length": Reply(body=b"x" * 2**16, endless=True, length=2**40),
    "without a length": Reply(body=b"x" * 2**16, endless=True, length=-1),
    "in chunks": Odd(body=b"x" * 2**16, headers=CHUNKED, length=-1, chunked=True),
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_body_ends_at_the_limit_and_is_not_asked_for_again(tmp_path, body):
    async with Host(lambda _: body, server=Server) as host:
        host.files.max_bytes = 3 * 2**20
        tracemalloc.start()
        try:
            await no_file(host, tmp_path, f"at most {3 * 2**20} bytes")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 8 * 2**20
        assert len(host.server.seen) == 1


@pytest.mark.parametrize("status", [404, 403, 416])
@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_excuse_is_not_listened_to(tmp_path, body, status):
    endless = evolve(body, status=status)
    async with Host(lambda _: endless, server=Server) as host:
        tracemalloc.start()
        try:
            with pytest.raises(errors.AILabError, match=f"HTTP {status}"):
                await host.file().save(tmp_path)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 3 * 2**20
        assert len(host.server.seen) == 1
    assert left_in(tmp_path) == []


async def test_a_redirect_with_an_endless_body_is_followed_without_reading_it(tmp_path):
    away = Reply(302, b"x" * 2**16, {"location": "/b.png"}, endless=True, length=-1)
    answers = {"/a.png": away, "/b.png": Reply(body=PICTURE)}
    async with Host(lambda seen: answers[seen.path]) as host:
        await whole_file(host, tmp_path)


async def test_a_file_that_says_it_is_too_large_is_not_begun(tmp_path):
    async with hosting() as host:
        host.files.max_bytes = 1000
        await no_file(host, tmp_path, f"is {TOTAL} bytes, and at most 1000 bytes are taken")


async def test_tries_together_take_no_more_than_the_limit(tmp_path):
    endless = {"etag": '"one"'}
    first = Reply(body=b"x" * 2500, headers=endless, length=10**6)
    unknown = said(206, b"x" * 2500, content_range="bytes 2500-4999/*")
    async with Host(scripted(first, unknown(None)), timeouts=HURRIED) as host:
        host.files.max_bytes = 4000
        await no_file(host, tmp_path, "at most 4000 bytes")


@pytest.mark.parametrize("coding", ["gzip", "gzip,gzip,gzip", "br", "x-unknown"])
async def test_what_comes_packed_is_refused_and_not_unpacked(tmp_path, coding):
    bomb = gzip.compress(gzip.compress(gzip.compress(bytes(50 * 2**20))))
    reply = Reply(body=bomb, headers={"content-encoding": coding})
    async with Host(lambda _: reply) as host:
        tracemalloc.start()
        try:
            await no_file(host, tmp_path, "encoding")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 3 * 2**20
        assert {seen.headers["accept-encoding"] for seen in host.server.seen} == {"identity"}


async def test_what_comes_after_the_announced_length_is_neither_kept_nor_taken_for_an_answer(
    tmp_path,
):
    evil = Reply(body=OTHER).bytes()
    reply = Reply(body=PICTURE + evil, length=TOTAL)

    async def say_all(self, reply, writer):
        writer.write(reply.bytes())
        await writer.drain()
        return True  # the connection is kept

    class Talkative(Server):
        _say = say_all

    async with Host(lambda _: reply, server=Talkative) as host:
        for number in range(5):
            await whole_file(host, tmp_path / str(number))
        assert len(host.server.seen) == 5


async def test_an_empty_file_is_no_file(tmp_path):
    async with hosting(*[said(200)] * 3) as host:
        await no_file(host, tmp_path, "empty")
        assert len(host.server.seen) == 3


# --- led away ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://files.example/a",
        "gopher://127.0.0.1/",
        "data:image/png;base64,AAAA",
        "https://127.0.0.1:{port}/secret",
        "https://localhost:{port}/secret",
        "https://2130706433:{port}/secret",
        "https://0x7f.1:{port}/secret",
        "https://[::ffff:127.0.0.1]:{port}/secret",
        "https://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:{port}/secret",
        "http://user@127.0.0.1:{port}/secret",
        "//127.0.0.1:{port}/secret",
        "https://[::1/",
        "https://files.example:99999/",
        "https://:443/",
    ],
)
@pytest.mark.parametrize("way", ["httpx", "borrowed httpx"])
async def test_nobody_inside_is_asked_because_a_host_says_so(location, way):
    async with Loopback(scripted(Reply(body=b"internal"))) as inside:
        away = Reply(302, headers={"location": location.format(port=inside.port)})
        async with Server(scripted(away)) as server, Wire(server.url, way=way) as wire:
            with pytest.raises(errors.DownloadFailed):
                await wire.download(f"{server.url}/a.png")
            # httpx itself stumbles over some of these: then it looks like a broken answer
            assert len(server.seen) == (1 if way == "httpx" else len(server.seen))
            assert {seen.path for seen in server.seen} == {"/a.png"}
        assert (inside.seen, inside.connections) == ([], 0)


async def test_a_circle_of_redirects_ends(tmp_path):
    async with Host(lambda _: Reply(302, headers={"location": "/a.png"})) as host:
        await no_file(host, tmp_path, "more than 3 times")
        assert len(host.server.seen) == 4


async def test_a_redirect_without_a_place_is_an_answer_like_any_other(tmp_path):
    async with Host(lambda _: Reply(302)) as host:
        await no_file(host, tmp_path, "HTTP 302")


async def test_a_name_is_looked_up_once_for_all_tries(
    server_tls,  # noqa: F811
    client_tls,  # noqa: F811
    resolve,  # noqa: F811
    monkeypatch,
):
    """Otherwise the second look-up could lead to an address that was never checked."""
    monkeypatch.setattr(addresses, "_faces", lambda _: [])  # take 127.0.0.1 for a global one
    async with (
        Server(Faithful([cut(1000), cut(1000)]), tls=server_tls) as server,
        Wire("https://127.0.0.1", ssl_context=client_tls) as wire,
    ):
        looked_up = resolve(["127.0.0.1"], ["203.0.113.9"])
        assert await wire.download(f"https://files.example:{server.port}/a.png") == PICTURE
        assert looked_up == ["files.example"]
        assert len(server.seen) == 3


# --- names of the host's choice ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("../../evil.png", "/etc/cron.d/evil", "..\\..\\evil.exe", "%2e%2e%2fevil", "CON"),
        *("a\x00b", "x" * 300, "harbour-1.png/../../evil", ".ailab-0.part", "~/.ssh/config"),
    ],
    ids=ascii,
)
async def test_what_a_host_calls_its_file_is_not_heard(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    shown = name.replace("\x00", "%00")
    named = {"content-disposition": f'attachment; filename="{shown}"', "content-type": "text/html"}
    async with Host(lambda _: Reply(body=PICTURE, headers=named)) as host:
        path = await host.file(f"/{shown}".replace("\\", "%5c")).save(folder)
    assert path == folder / "harbour-1.png"
    assert left_in(tmp_path) == ["in"]
    assert left_in(folder) == ["harbour-1.png"]


# --- cancelled -----------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [cut, stalled], ids=lambda way: way.__name__)
async def test_a_save_cancelled_between_its_tries_leaves_nothing(tmp_path, broken):
    picture = PNG + os.urandom(3 * 2**20)
    for steps in range(0, 120, 7):
        folder = tmp_path / str(steps)
        faults = [broken(2**20 + 5), broken(2**20)]
        async with hosting(*faults, body=picture, timeouts=Timeouts(read=0.02)) as host:
            saving = asyncio.create_task(host.file().save(f"{folder}/"))
            for _ in range(steps):
                await asyncio.sleep(0)
                if steps % 2:
                    await asyncio.to_thread(lambda: None)
            saving.cancel()
            await asyncio.wait((saving,))
            for path in folder.iterdir() if folder.exists() else ():
                assert path.name == "harbour-1.png"
                assert path.read_bytes() == picture
