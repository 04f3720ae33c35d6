"""A scripted HTTP/1.1 server over asyncio streams, for what no mock can show: half-sent bodies,
resets, silence, dripped answers. It keeps what it saw, so that tests compare what the server got
with what the user was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from attrs import define, field


@define
class Seen:
    """One request; ``whole`` once its body was read to the declared end."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    whole: bool = False
    connection: int = 0

    @property
    def path(self):
        return urlsplit(self.target).path

    @property
    def query(self):
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}


@define
class Reply:
    """What is answered.

    ``cut`` ends the answer after so many bytes, ``drip`` sends it bytewise, ``endless`` repeats the
    body after the head; ``length`` lies about it, -1 leaves it out.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(factory=dict)
    cut: int | None = None
    drip: asyncio.Event | None = None
    length: int | None = None
    endless: bool = False

    def bytes(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Scripted"]
        sent = {"content-type": "application/json", **self.headers}
        if self.length != -1:
            length = len(self.body) if self.length is None else self.length
            sent["content-length"] = str(length)
        lines += [f"{name}: {value}" for name, value in sent.items()]
        return "\r\n".join((*lines, "", "")).encode() + self.body


def answer(data, status: int = 200, **headers) -> Reply:
    """Return a JSON answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=json.dumps(data).encode(), headers=named)


class Reset(Exception):
    """Raised by a handler: the connection is reset (RST)."""


class Close(Exception):
    """Raised by a handler: the connection is closed without an answer (FIN)."""


Handler = Callable[["Seen"], Awaitable[Reply] | Reply]


class Loopback:
    """``handler`` answers whole requests; the other hooks interfere before that."""

    def __init__(self, handler: Handler, *, tls=None) -> None:
        self.handler = handler
        self.tls = tls
        self.seen: list[Seen] = []
        self.connections = 0
        self.open_now = 0
        self.most_open = 0
        self.on_accept: Callable[[], None] | None = None
        self.on_head: Callable[[Seen], None] | None = None
        self.read_at_most: int | None = None
        self.keep_bodies = True
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        await self._server.wait_closed()

    def whole(self, method: str = "POST") -> list[Seen]:
        return [seen for seen in self.seen if seen.whole and seen.method == method]

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            if self.on_accept is not None:
                self.on_accept()
            while await self._one(reader, writer, number):
                pass
        except Reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        except (Close, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_now -= 1
            self._tasks.discard(task)
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                writer.close()
                await writer.wait_closed()

    async def _one(self, reader, writer, number) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        request, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ")
        headers = dict(line.split(": ", 1) for line in lines if line)
        headers = {name.lower(): value for name, value in headers.items()}
        seen = Seen(method, target, headers, connection=number)
        self.seen.append(seen)
        if self.on_head is not None:
            self.on_head(seen)
        length = int(headers.get("content-length", "0"))
        taken = 0
        while taken < length:
            if self.read_at_most is not None and taken >= self.read_at_most:
                raise Reset
            piece = await reader.read(min(65536, length - taken))
            if not piece:
                return False
            taken += len(piece)
            if self.keep_bodies:
                seen.body += piece
        seen.whole = True
        reply = self.handler(seen)
        if asyncio.iscoroutine(reply):
            reply = await reply
        return await self._say(reply, writer)

    async def _say(self, reply, writer) -> bool:
        """Send the answer, in its own odd way, and return whether the connection is kept."""
        data = reply.bytes()
        if reply.drip is not None:
            for start in range(len(data)):
                writer.write(data[start : start + 1])
                await writer.drain()
                await reply.drip.wait()
            return True
        if reply.endless:
            writer.write(data)
        while reply.endless:  # until the client hangs up
            writer.write(reply.body)
            await writer.drain()
        writer.write(data if reply.cut is None else data[: reply.cut])
        await writer.drain()
        return reply.cut is None and reply.length is None
