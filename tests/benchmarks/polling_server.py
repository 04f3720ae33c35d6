"""A service whose tasks take as long as it is told: what the benchmarks of polling ask.

It runs in a process of its own and speaks as much of the service's interface as polling needs:
a form is accepted as the next task, and a query says whether that task has ended. It is kept light,
because it shares the processor with whoever is measured. ``time.monotonic`` is one clock for all
processes of a Linux machine, so that its moments can be compared with those of its clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

QUERY = "/api/common/query-async-task-result"
FILE = "https://results.example/a.png"


@define
class Job:
    """One task: when it was accepted, when it ends, and the ages at which it was looked at."""

    accepted: float
    end: float
    looks: list[float] = field(factory=list)


class Jobs:
    """What the server knows."""

    def __init__(self) -> None:
        """Begin with nothing; tasks that were never submitted here are open for ever."""
        self.durations: list[float] = []
        self.jobs: dict[str, Job] = {}
        self.looks = 0

    def answer(self, method: str, target: str, body: bytes) -> Any:
        """Return the answer to a request."""
        now = time.monotonic()
        path, _, query = target.partition("?")
        if path == QUERY:
            return self._look(query.partition("task_id=")[2], now)
        if path == "/begin":
            self.durations, self.jobs, self.looks = json.loads(body), {}, 0
            return {}
        if path == "/looks":
            return self.looks
        if path == "/jobs":
            return {
                name: {"accepted": job.accepted, "end": job.end, "looks": job.looks}
                for name, job in self.jobs.items()
            }
        if method == "POST" and len(self.jobs) < len(self.durations):
            name = f"t-{len(self.jobs)}"
            self.jobs[name] = Job(now, now + self.durations[len(self.jobs)])
            return {"error_code": 0, "error_msg": "", "task_id": name, "request_id": f"r-{name}"}
        message = f"{method} {target} with {len(self.jobs)} of {len(self.durations)} tasks accepted"
        raise RuntimeError(message)

    def _look(self, name: str, now: float) -> Any:
        self.looks += 1
        job = self.jobs.get(name)
        if job is not None:
            job.looks.append(now - job.accepted)
        if now < (math.inf if job is None else job.end):
            return {"error_code": 0, "error_msg": "", "task_status": 1}
        return {"error_code": 0, "error_msg": "", "task_status": 2, "data": {"image_url": FILE}}


class Connection(asyncio.Protocol):
    """One connection of a client: requests with a head and, by its length, a body."""

    def __init__(self, jobs: Jobs) -> None:
        """``jobs`` is shared by all connections."""
        self._jobs = jobs
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is here as a whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, found, length = head.partition(b"content-length: ")
            start = end + 4
            whole = start + (int(length.split(b"\r\n")[0]) if found else 0)
            if len(self._received) < whole:
                return
            method, target, _ = self._received.split(b" ", 2)
            answer = self._jobs.answer(
                method.decode(), target.decode(), self._received[start:whole]
            )
            self._received = self._received[whole:]
            body = json.dumps(answer).encode()
            fields = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(b"HTTP/1.1 200 OK\r\n" + fields.encode() + body)


async def serve() -> None:
    """Print the address, then answer until the process is ended."""
    jobs = Jobs()
    loop = asyncio.get_running_loop()
    # all clients' requests may come at once: nobody is to be turned away
    server = await loop.create_server(lambda: Connection(jobs), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the server in another process and yield its address."""
    command = (sys.executable, __file__)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def ask(url: str, body: Any = None) -> Any:
    """Ask the server something that is none of the service's business; blocks."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data, timeout=60) as answer:  # noqa: S310 - our own server
        return json.load(answer)


if __name__ == "__main__":
    asyncio.run(serve())
