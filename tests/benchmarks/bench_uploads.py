"""What uploading many pictures costs the event loop, against httpx's own way of doing it.

Run as ``python tests/benchmarks/bench_uploads.py``. A server in another process takes 500 forms of
3 MB, 16 at once, from this process: once through `AsyncClient`, once with ``files=`` of an
``httpx.AsyncClient`` behind a semaphore, which is what one would write by hand. Both from files on
disk, then from a slow disk (a file object whose every ``read`` takes 20 ms). Printed are the wall
time, the CPU time of this process, and the worst gap between two steps of a task that only sleeps.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from PIL import Image

from ailab_async import AsyncClient, HDColorMigration, PollPolicy, Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

UPLOADS = 500
SLOW_UPLOADS = 20
AT_ONCE = 16
ANSWER = b'{"error_code": 0, "task_id": "t"}'


async def _serve(port: Any) -> None:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                while length:
                    length -= len(await reader.read(min(length, 2**20)))
                told = f"HTTP/1.1 200 OK\r\ncontent-length: {len(ANSWER)}\r\n\r\n".encode()
                writer.write(told + ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=2**20)
    port.value = server.sockets[0].getsockname()[1]
    await server.serve_forever()


def serve(port: Any) -> None:
    """Run the server until the process is ended."""
    asyncio.run(_serve(port))


class SlowFile(io.BytesIO):
    """A file on a slow disk."""

    name = "photo.png"

    def read(self, size: int | None = -1, /) -> bytes:
        """Wait for the disk, then read."""
        time.sleep(0.02)
        return super().read(size)


async def measure(one: Callable[[], Awaitable[object]], number: int) -> tuple[float, float, float]:
    """Run ``one`` so many times at once; return wall and CPU seconds, and the worst lag."""
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - before - 0.001)

    for _ in range(AT_ONCE):
        await one()
    watching = asyncio.create_task(watch())
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(one() for _ in range(number)))
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    watching.cancel()
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return wall, cpu, worst


async def compare(url: str, source: Callable[[], Any], number: int, label: str) -> None:
    """Print both ways for one kind of source."""
    path = "/api/image/effects/image-hd-color-migration"
    # nobody looks after the tasks meanwhile: it is the uploads that are measured
    never = PollPolicy.fixed(1000.0)
    service = Service.local(url)
    async with AsyncClient(service=service, max_in_flight=AT_ONCE, poll=never) as client:

        async def ours() -> None:
            await client.submit(HDColorMigration(source()))

        mine = await measure(ours, number)
    semaphore = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as peer:

        async def theirs() -> None:
            async with semaphore:
                picture = source()
                file = picture.open("rb") if isinstance(picture, Path) else picture
                with file:
                    data = {"task_type": "async", "mode": "AUTO", "degree": "0.4"}
                    files = {"image": ("image.png", file, "image/png")}
                    (await peer.post(path, data=data, files=files)).json()

        other = await measure(theirs, number)
    for name, (wall, cpu, worst) in (("ailab_async", mine), ("httpx files=", other)):
        print(
            f"{label:<10} {name:<13} {number / wall:7.0f} uploads/s  "
            f"{cpu / number * 1000:6.2f} ms CPU each  worst lag {worst * 1000:7.1f} ms"
        )
    cpu, lag = other[1] / mine[1], other[2] / mine[2]
    print(f"{label:<10} httpx / ailab_async: CPU {cpu:.2f} x, worst lag {lag:.1f} x")


def main() -> None:
    """Print the comparison."""
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{port.value}"
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        Image.frombytes("RGB", (1000, 1000), os.urandom(3_000_000)).save(photo, compress_level=0)
        picture = photo.read_bytes()
        asyncio.run(compare(url, lambda: photo, UPLOADS, "disk"))
        asyncio.run(compare(url, lambda: SlowFile(picture), SLOW_UPLOADS, "slow disk"))
    server.terminate()
    server.join()


if __name__ == "__main__":
    main()
