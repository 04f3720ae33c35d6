"""A service in a process of its own that can be killed: it knows afterwards what it was sent.

It speaks as much of the service's interface as a batch needs, and is kept light, because it shares
the processor with what is measured. Every picture has a number in it (`picture`). Each form that
was received whole is written to a log before it is answered, and a service that begins again with
the same log knows the tasks of the one before.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

from attrs import define

QUERY = "/api/common/query-async-task-result"
MARK = b"picture-number-"
MADE = b"made of %08d"


def picture(number: int, *, size: int = 0) -> bytes:
    """Return a picture of 65x65 pixels, as far as its header tells, padded to ``size`` bytes."""
    return _png(struct.pack(">IIBBBBB", 65, 65, 8, 2, 0, 0, 0), MARK + b"%08d" % number, size)


def result(number: int, *, size: int = 0) -> bytes:
    """Return what the service makes of picture ``number``."""
    return _png(struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0), MADE % number, size)


def _png(header: bytes, text: bytes, size: int) -> bytes:
    data = b"\x89PNG\r\n\x1a\n"
    note = b"note\0" + text + bytes(size)
    for kind, content in ((b"IHDR", header), (b"tEXt", note), (b"IDAT", b""), (b"IEND", b"")):
        check = zlib.crc32(kind + content)
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
    return data


@define
class Service:
    """What it was sent, and how it answers."""

    log: int
    delay: float
    durations: tuple[float, float]
    result_size: int
    inline: bool
    tasks: list[tuple[int, float]]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Service:
        """Go on from the log."""
        lines = options.log.read_text().splitlines() if options.log.exists() else []
        return cls(
            log=os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            delay=options.delay,
            durations=tuple(options.durations),
            result_size=options.result_size,
            inline=options.inline,
            tasks=[(int(number), float(end)) for number, end, _ in map(str.split, lines)],
        )

    def accept(self, body: bytearray) -> dict[str, object]:
        """Write a form down, then answer it."""
        at = body.find(MARK) + len(MARK)
        number = int(body[at : at + 8])
        duration = random.uniform(*self.durations)
        end = time.monotonic() + duration
        os.write(self.log, b"%d %.6f %.6f\n" % (number, end, duration))
        self.tasks.append((number, end))
        if self.inline:
            made = base64.b64encode(result(number, size=self.result_size)).decode()
            return {"error_code": 0, "data": {"image": made}}
        task = len(self.tasks) - 1
        return {"error_code": 0, "task_id": f"t-{task}", "request_id": f"r-{task}"}

    def look(self, task: str, host: str) -> dict[str, object]:
        """Say how a task is."""
        _, end = self.tasks[int(task.removeprefix("t-"))]
        if time.monotonic() < end:
            return {"error_code": 0, "task_status": 1}
        url = f"http://{host}/files/{task}.png"
        return {"error_code": 0, "task_status": 2, "data": {"image_url": url}}

    def file(self, name: str) -> bytes:
        """Return a result file."""
        number, _ = self.tasks[int(name.removeprefix("t-").removesuffix(".png"))]
        return result(number, size=self.result_size)


class Connection(asyncio.Protocol):
    """One connection of a client: requests with a head and, by its length, a body."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = bytearray()
        self._whole = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport):
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self._received += data
        if len(self._received) < self._whole:
            return
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].decode("latin-1").lower()
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        self._whole = end + 4 + int(length or 0)
        if len(self._received) < self._whole:
            return
        body, self._received, self._whole = self._received[: self._whole], bytearray(), 0
        self._answer(head, body)

    def _answer(self, head, body):
        method, target, _ = head.split(" ", 2)
        path, _, query = target.partition("?")
        service = self._service
        if method == "post":
            answer = json.dumps(service.accept(body)).encode()
            if service.delay:
                later = random.uniform(0, 2 * service.delay)
                asyncio.get_running_loop().call_later(later, self._say, answer)
                return
        elif path == QUERY:
            host = head.partition("host: ")[2].partition("\r\n")[0]
            answer = json.dumps(service.look(query.partition("task_id=")[2], host)).encode()
        else:
            answer = service.file(path.removeprefix("/files/"))
        self._say(answer)

    def _say(self, answer):
        if not self._transport.is_closing():
            fields = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
            self._transport.write(b"HTTP/1.1 200 OK\r\n" + fields + answer)


async def serve(options: argparse.Namespace) -> None:
    """Print the port, then answer until the process is killed."""
    service = Service.of(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(service), "127.0.0.1", options.port, backlog=256
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - what the parent waits for
    await server.serve_forever()


class ServiceProcess:
    """The service, as those who test against it have it: `start`, `kill`, `start` again."""

    def __init__(self, log: Path, **options: object) -> None:
        """``options`` are those of the command below, with underscores."""
        self.log = log
        self.options = options
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, at the same port as before; return when it answers."""
        command = [sys.executable, __file__, str(self.log), f"--port={self.port}"]
        for name, value in self.options.items():
            option = f"--{name.replace('_', '-')}"
            command += [option] if value is True else [option, *map(str, _listed(value))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """End it as the system would for want of memory: at once, wherever it is."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            process.stdout.close()

    def seen(self) -> collections.Counter[int]:
        """Return how often each picture was received whole."""
        return collections.Counter(int(line.split()[0]) for line in self._lines())

    def durations(self) -> dict[int, float]:
        """Return how many seconds the task of each picture took."""
        return {int(number): float(took) for number, _, took in map(str.split, self._lines())}

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, tuple) else [value]


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="mean seconds to an answer")
    parser.add_argument("--durations", type=float, nargs=2, default=(0.0, 0.0))
    parser.add_argument("--result-size", type=int, default=0)
    parser.add_argument("--inline", action="store_true", help="answer with the result, as base64")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
