"""Where a result file may be fetched from.

The service names hosts that are listed nowhere, so any host may be right, and a hostile answer may
name any. Only https is fetched, only from addresses of the open internet, and the address that was
checked is the one that is connected to: a name that resolves differently the second time gains
nothing. The local engine's own files are the exception.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from attrs import frozen

from ..errors import DownloadFailed
from ..protocol.services import Route

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..protocol.services import Service

__all__ = ["FileAddress", "checked", "moved", "redirected"]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_LOOK_UP: Final = 20.0
"""Seconds that looking a name up may take; a TimeoutError is an OSError."""

_NOT_GLOBAL: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10")
)
"""Forms of IPv4 addresses and site-local ones, which not every Python counts as private."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Where a translator reaches IPv4 addresses (RFC 6052)."""


@frozen(kw_only=True)
class FileAddress:
    """A result file's address, checked; ``query`` holds its ``?``, and is secret.

    ``pinned`` are the network addresses to connect to, empty where none was looked up.
    """

    route: Route
    query: str
    pinned: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The whole address."""
        return self.route.url + self.query

    def url_at(self, attempt: int) -> tuple[str, str | None]:
        """Return what to connect to in an attempt, from 1, and the name its certificate must have.

        Each attempt takes the next network address, for a host of which one stalls.
        """
        if not self.pinned:
            return self.url, None
        address = self.pinned[(attempt - 1) % len(self.pinned)]
        parts = urlsplit(self.route.origin)
        host = f"[{address}]" if ":" in address else address
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host}{port}{self.route.path}{self.query}", parts.hostname


async def checked(
    url: str, *, service: Service, allow_hosts: Collection[str] | None, pin: bool
) -> FileAddress:
    """Check a result file's address; with ``pin``, look its host up and check what it is.

    ``allow_hosts`` are the only ones that are fetched from, where given; they may be at private
    addresses, and one that is written as an origin (``http://minio.internal:9000``) needs no
    https. Raises `DownloadFailed`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        text = "A result file's address cannot be read."
        raise DownloadFailed(text, action="download") from None
    origin = f"{parts.scheme}://{parts.netloc}"
    route = Route(origin=origin, path=parts.path or "/")
    address = FileAddress(route=route, query=f"?{parts.query}" if parts.query else "")
    if service.name == "local" and origin == service.base_url:
        return address
    named = allow_hosts is not None and origin in allow_hosts
    if not named and (parts.scheme != "https" or not host):
        text = f"A result file lies at {parts.scheme or 'no'}://; only https is fetched."
        raise DownloadFailed(text, action="download", host=host)
    if parts.username is not None or parts.password is not None:
        text = "A result file's address holds a user name; it is not fetched."
        raise DownloadFailed(text, action="download", host=host)
    if allow_hosts is not None:
        if named or host in allow_hosts:
            return address
        text = f"A result file lies at {host}, which is not in allow_hosts; it is not fetched."
        raise DownloadFailed(text, action="download", host=host)
    if not pin:
        # whoever connects looks the name up; where there is no name, there is nothing to look up
        if not _is_open(_written_out(host)):
            raise _private(host)
        return address
    found = await _looked_up(host, port or 443)
    return FileAddress(route=route, query=address.query, pinned=found)


def moved(status: int, headers: Mapping[str, str]) -> bool:
    """Say whether an answer sends us elsewhere."""
    return status in _REDIRECTS and bool(headers.get("location"))


def redirected(status: int, headers: Mapping[str, str], address: FileAddress) -> str | None:
    """Return where an answer sends us, or None.

    Raises `DownloadFailed` for an address that cannot be read, and for https to http.
    """
    if not moved(status, headers):
        return None
    try:
        url = urljoin(address.url, headers["location"])
    except ValueError:
        text = "A result file is redirected to an address that cannot be read; it is not fetched."
        raise DownloadFailed(text, action="download", host=address.route.host) from None
    if address.route.origin.startswith("https:") and not url.lower().startswith("https:"):
        text = "A result file is redirected from https to something else; it is not fetched."
        raise DownloadFailed(text, action="download", host=address.route.host)
    return url


async def _looked_up(host: str, port: int) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_UP):
            rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        text = f"The host of a result file, {host}, has no address."
        raise DownloadFailed(text, action="download", host=host) from None
    addresses = tuple(dict.fromkeys(str(row[4][0]) for row in rows))
    if not all(map(_is_open, addresses)):
        raise _private(host)
    return addresses


def _is_open(address: str) -> bool:
    """Whether an address, in every form of it, is one of the open internet; "" is none at all."""
    return all(known.is_global and not known.is_multicast for known in _faces(address))


def _written_out(host: str) -> str:
    """Return the network address that a host is written as, "" where it is a name."""
    if ":" in host:
        return host
    try:
        # also what only looks like a name: 127.1, 0x7f.0.0.1 and 2130706433 are all 127.0.0.1
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return "127.0.0.1" if host.rstrip(".").rpartition(".")[2] == "localhost" else ""


def _private(host: str) -> DownloadFailed:
    text = (
        f"A result file's host, {host}, is at a private address; it is not fetched. Where that is "
        "right, name it in allow_hosts."
    )
    return DownloadFailed(text, action="download", host=host)


def _faces(text: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return an address, and the IPv4 addresses that it is another form of."""
    if not text:
        return []
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if any(address in network for network in _NOT_GLOBAL):
        return [ipaddress.IPv6Address("::1")]
    inside = [address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *(inner for inner in inside if inner is not None)]
