"""The HTTP library: the only module that knows httpx, or its fork httpx2.

Which of the two is an explicit choice, never what happens to be installed. Both have the same
interface, so one adapter serves both; nothing of theirs is seen beyond this module. The library is
imported when a client starts, in a worker thread, because that takes longer than a loop may stand
still.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from attrs import field, frozen

from ..errors import InvalidOperation, MissingExtra

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from ..protocol.multipart import MultipartBody

__all__ = ["Connection", "HTTPName", "Incoming", "Library", "Outgoing"]

HTTPName = Literal["httpx", "httpx2"]
NAMES: Final = ("httpx", "httpx2")

KEEPALIVE: Final = 15.0
"""Seconds an idle connection is kept: well past the 5 s beat of polling, so that a look neither
reconnects each time nor meets a connection in the moment in which it is being closed."""


@frozen(kw_only=True)
class Outgoing:
    """A request.

    ``timeouts`` are seconds by httpx's names; ``sni`` is the name that the certificate must have,
    where ``url`` has a network address in its place.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)  # the key is in there
    timeouts: Mapping[str, float]
    params: Mapping[str, str] | None = None
    body: MultipartBody | None = None
    sni: str | None = None


@frozen(kw_only=True)
class Incoming:
    """An answer whose body is still to come, exactly as it is on the wire."""

    status: int
    headers: Mapping[str, str]
    stream: Any = field(repr=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece, undecoded."""
        async for chunk in self.stream:
            yield chunk

    async def aclose(self) -> None:
        """Give the body up, read or not."""
        await self.stream.aclose()


class Connection(Protocol):
    """What a slot holds."""

    async def send(self, outgoing: Outgoing) -> Incoming:
        """Send a request and return its answer as soon as the head is there."""
        ...

    async def aclose(self) -> None:
        """Close it."""


class Library:
    """One of the two libraries, and what is made with it."""

    def __init__(self, name: HTTPName) -> None:
        """Import the library, which takes about 100 ms the first time. Raises `MissingExtra`."""
        try:
            self._module: Any = importlib.import_module(name)
            # what it imports itself only at its first connection, which is made on the loop
            importlib.import_module(name.replace("httpx", "httpcore"))
        except ImportError as error:
            raise MissingExtra(name, extra=name, purpose=f'http="{name}"') from error

    def tls_context(self) -> ssl.SSLContext:
        """Read the certificates that are trusted from disk: 40 ms, not for the event loop."""
        context: ssl.SSLContext = self._module.create_ssl_context()
        return context

    def connection(self, context: ssl.SSLContext, *, proxy: str | None = None) -> Connection:
        """Return a connection of its own: a transport whose pool has exactly one place."""
        limits = self._module.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE
        )
        transport = self._module.AsyncHTTPTransport(
            verify=context, limits=limits, http1=True, http2=False, proxy=proxy
        )
        return _Own(self._module, transport)

    def inside(self, app: Any) -> Connection:
        """Return a connection to an ASGI application in this process."""
        transport = self._module.ASGITransport(app=app, raise_app_exceptions=False)
        return _Own(self._module, transport, copy=True)

    def never_connected(self, error: BaseException) -> bool:
        """Say whether ``error`` means that there was not even a connection."""
        kinds = (self._module.ConnectError, self._module.ConnectTimeout, self._module.PoolTimeout)
        return isinstance(error, kinds)

    def too_late(self, error: BaseException) -> bool:
        """Say whether ``error`` is one of the library's timeouts."""
        return isinstance(error, self._module.TimeoutException)

    def speaks(self, error: BaseException) -> bool:
        """Say whether ``error`` is the library's, whose text may be shown: it holds no address."""
        return isinstance(error, self._module.TransportError)


def borrow(client: Any) -> tuple[HTTPName, Connection]:
    """Return which library a user's ``AsyncClient`` is of, and a connection that uses it.

    It may have any transport; it stays its owner's to close. Raises `InvalidOperation` for
    anything else.
    """
    for kind in type(client).__mro__:
        root = kind.__module__.partition(".")[0]
        if kind.__name__ == "AsyncClient" and root in NAMES:
            name: HTTPName = "httpx2" if root == "httpx2" else "httpx"
            return name, _Borrowed(importlib.import_module(name), client)
    limit = "an httpx.AsyncClient or httpx2.AsyncClient"
    raise InvalidOperation("http_client", limit, type(client).__name__)


def _request(module: Any, outgoing: Outgoing, *, copy: bool) -> Any:
    url = module.URL(outgoing.url, params=outgoing.params) if outgoing.params else outgoing.url
    body = outgoing.body
    extensions: dict[str, Any] = {"timeout": dict(outgoing.timeouts)}
    if outgoing.sni is not None:
        extensions["sni_hostname"] = outgoing.sni
    return module.Request(
        outgoing.method,
        url,
        headers=dict(outgoing.headers),
        stream=None if body is None else _stream_kind(module)(body, copy=copy),
        extensions=extensions,
    )


def _incoming(response: Any) -> Incoming:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Incoming(status=response.status_code, headers=headers, stream=response.stream)


class _Own:
    """A transport of the library that is ours alone."""

    def __init__(self, module: Any, transport: Any, *, copy: bool = False) -> None:
        self._module = module
        self._transport = transport
        self._copy = copy

    async def send(self, outgoing: Outgoing) -> Incoming:
        request = _request(self._module, outgoing, copy=self._copy)
        return _incoming(await self._transport.handle_async_request(request))

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Borrowed:
    """A user's client: its transport, proxies and certificates; nothing else of it."""

    def __init__(self, module: Any, client: Any) -> None:
        self._module = module
        self._client = client

    async def send(self, outgoing: Outgoing) -> Incoming:
        # a request made here and not by the client has none of its default headers or cookies;
        # any transport may be below, so it gets bytes
        request = _request(self._module, outgoing, copy=True)
        return _incoming(
            await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        )

    async def aclose(self) -> None:
        """Leave it to its owner."""


@functools.cache
def _stream_kind(module: Any) -> Any:
    """Return the class that shows a form to the library, which wants its own base."""

    class BodyStream(module.AsyncByteStream):  # type: ignore[misc]  # the library is not imported here
        """A form; a new stream for each attempt."""

        def __init__(self, body: MultipartBody, *, copy: bool) -> None:
            """``copy`` hands out bytes, which not everything below takes views for."""
            # taken now, in this attempt: a library may ask for the first chunk much later
            self._chunks = body.chunks()
            self._copy = copy

        async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
            for chunk in self._chunks:
                # the libraries and the event loop take any buffer: a view spares copying a picture
                yield bytes(chunk) if self._copy else chunk

    return BodyStream
