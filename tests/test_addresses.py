"""Where result files are fetched from: over TLS, from the open internet, from what was checked."""

import asyncio
import socket
import ssl

import pytest
import trustme
from loopback import Loopback, Reply, answer
from test_transport import Wire, scripted

from ailab_async import AsyncClient, Service, errors
from ailab_async.protocol.services import Service as Services
from ailab_async.transport import addresses
from ailab_async.transport.addresses import checked, redirected

DIRECT = Service.direct("k")
PICTURE = b"\x89PNG" * 100


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("files.example", "localhost").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def resolve(monkeypatch):
    """Answer look-ups of names from a list, and count them."""

    def to(*answers):
        asked = []
        rest = list(answers)

        async def getaddrinfo(self, host, port, **_):
            asked.append(host)
            found = rest.pop(0) if len(rest) > 1 else rest[0]
            if isinstance(found, Exception):
                raise found
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
        return asked

    return to


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
async def test_a_host_at_a_private_address_is_refused(resolve, address):
    resolve(["93.184.216.34", address])
    with pytest.raises(errors.DownloadFailed, match="private"):
        await checked("https://files.example/a?s=1", service=DIRECT, allow_hosts=None, pin=True)


async def test_a_host_of_the_open_internet_is_pinned_to_what_was_checked(resolve):
    asked = resolve(["93.184.216.34", "2606:4700::1111"], ["127.0.0.1"])
    address = await checked(
        "https://files.example:8443/a/b.png?s=%2B", service=DIRECT, allow_hosts=None, pin=True
    )
    assert asked == ["files.example"]
    assert address.url_at(1) == ("https://93.184.216.34:8443/a/b.png?s=%2B", "files.example")
    assert address.url_at(2) == ("https://[2606:4700::1111]:8443/a/b.png?s=%2B", "files.example")
    assert address.url_at(3) == address.url_at(1)
    assert address.route.host == "files.example:8443"


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/a",
        "https://user@files.example/a",
        "https://user:word@files.example/a",
        "ftp://files.example/a",
        "//files.example/a",
        "https://[::1/a",
        "https://files.example:99999/a",
    ],
)
async def test_an_address_of_a_wrong_form_is_refused_before_any_look_up(resolve, url):
    asked = resolve(["93.184.216.34"])
    with pytest.raises(errors.DownloadFailed) as caught:
        await checked(url, service=DIRECT, allow_hosts=None, pin=True)
    assert asked == []
    assert "word" not in str(caught.value)


async def test_a_name_without_an_address_says_so(resolve):
    resolve(socket.gaierror(-2, "Name or service not known"))
    with pytest.raises(errors.DownloadFailed, match="has no address"):
        await checked("https://files.example/a", service=DIRECT, allow_hosts=None, pin=True)


async def test_named_hosts_are_the_only_ones_and_may_be_private(resolve):
    asked = resolve(["10.0.0.8"])
    allowed = {"minio.internal", "http://files.internal:9000"}

    async def look(url):
        return await checked(url, service=DIRECT, allow_hosts=allowed, pin=True)

    assert (await look("https://minio.internal/a")).pinned == ()
    assert (await look("http://files.internal:9000/a")).url == "http://files.internal:9000/a"
    for other in ("https://files.example/a", "http://minio.internal/a", "http://files.internal/a"):
        with pytest.raises(errors.DownloadFailed):
            await look(other)
    assert asked == []


async def test_the_engines_own_origin_is_the_exception(resolve):
    asked = resolve(["127.0.0.1"])
    engine = Service.local("http://127.0.0.1:8765")
    found = await checked(
        "http://127.0.0.1:8765/files/a", service=engine, allow_hosts=None, pin=True
    )
    assert found.pinned == ()
    with pytest.raises(errors.DownloadFailed):
        await checked("http://127.0.0.1:8766/a", service=engine, allow_hosts=None, pin=True)
    assert asked == []


# --- redirects -----------------------------------------------------------------------------------


async def test_redirects_are_resolved_and_never_lead_away_from_tls(resolve):
    resolve(["93.184.216.34"])
    here = await checked("https://files.example/a/b", service=DIRECT, allow_hosts=None, pin=True)
    assert redirected(200, {"location": "/c"}, here) is None
    assert redirected(302, {}, here) is None
    assert redirected(302, {"location": "../c?d"}, here) == "https://files.example/c?d"
    assert redirected(308, {"location": "https://o.example/"}, here) == "https://o.example/"
    with pytest.raises(errors.DownloadFailed, match="redirected from https"):
        redirected(302, {"location": "http://files.example/c"}, here)


async def test_at_most_three_redirects_are_followed_each_checked():
    def answers(seen):
        left = int(seen.path.removeprefix("/"))
        if left:
            return Reply(status=302, headers={"location": f"/{left - 1}"})
        return Reply(body=PICTURE)

    async with Loopback(answers) as server, Wire(server.url) as wire:
        assert await wire.download(f"{server.url}/3") == PICTURE
        assert [seen.path for seen in server.seen] == ["/3", "/2", "/1", "/0"]
        with pytest.raises(errors.DownloadFailed, match="more than 3"):
            await wire.download(f"{server.url}/4")
        assert all("sentinel-key" not in str(seen.headers) for seen in server.seen)


async def test_a_redirect_to_another_origin_is_checked_as_the_first_address_was():
    async with Loopback(scripted(Reply(body=PICTURE))) as inside:
        away = Reply(status=302, headers={"location": f"{inside.url}/secret"})
        async with Loopback(scripted(away)) as server, Wire(server.url) as wire:
            with pytest.raises(errors.DownloadFailed):
                await wire.download(f"{server.url}/a")
            assert inside.seen == []


# --- TLS, names, proxies -------------------------------------------------------------------------


async def test_the_checked_address_is_connected_to_under_the_hosts_own_name(
    server_tls, client_tls, resolve, monkeypatch
):
    """The name is looked up once; what it means the second time is not asked."""
    monkeypatch.setattr(addresses, "_faces", lambda _: [])  # take 127.0.0.1 for a global one
    server = Loopback(scripted(Reply(body=PICTURE)), tls=server_tls)
    async with server, Wire("https://127.0.0.1", ssl_context=client_tls) as wire:
        asked = resolve(["127.0.0.1"], ["203.0.113.9"])
        assert await wire.download(f"https://files.example:{server.port}/a.png?s=1") == PICTURE
        assert asked == ["files.example"]
        assert server.seen[0].headers["host"] == f"files.example:{server.port}"
        # a kept connection of that name is not used for another one at the same address
        resolve(["127.0.0.1"])
        with pytest.raises(errors.DownloadFailed):
            await wire.download(f"https://other.example:{server.port}/a.png")
        assert len(server.seen) == 1
        assert await wire.download(f"https://files.example:{server.port}/a.png") == PICTURE


async def test_certificates_are_checked_and_a_context_of_the_users_is_used(server_tls, client_tls):
    async with Loopback(scripted(answer({"data": []})), tls=server_tls) as server:
        service = Service.direct("k", base_url=f"https://localhost:{server.port}")
        async with AsyncClient(service=service, ssl_context=client_tls) as client:
            assert await client.credits() == ()
        async with AsyncClient(service=service) as client:
            with pytest.raises(errors.NotDelivered, match="CERTIFICATE_VERIFY_FAILED"):
                await client.credits()
        assert len(server.seen) == 1


async def test_garbage_in_place_of_tls_is_not_delivered():
    async def garbage(reader, writer):
        writer.write(b"HTTP/1.0 400 no TLS here\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Wire(f"https://127.0.0.1:{port}") as wire:
            with pytest.raises(errors.NotDelivered):
                await wire.submit()


async def test_a_proxy_is_used_where_one_is_given():
    async with Loopback(scripted(answer({"task_status": 1}))) as proxy:
        async with Wire("http://service.invalid", proxy=proxy.url) as wire:
            assert (await wire.look()).raw == {"task_status": 1}
        assert proxy.seen[0].target == "http://service.invalid/submit?task_id=t-1"


def test_there_is_no_switch_that_stops_verifying():
    import inspect

    for kind in (AsyncClient, Services.direct, Services.local, Services.rapidapi):
        assert "verify" not in inspect.signature(kind).parameters
