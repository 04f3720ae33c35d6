"""What ten thousand open tasks cost: memory a handle, and the processor while they are waited for.

Run as ``python tests/benchmarks/bench_handles.py``; takes three minutes. A server in another
process has tasks that never end. Every run is a process of its own.

Memory is what ``tracemalloc`` counts for each of 10,000 handles, their ids and records included:
of `AsyncClient.attach` alone, with a task that awaits each, and after each was looked at once;
beside it 10,000 asyncio tasks that only sleep, which is the least that a loop for each task holds.

The processor's time is taken over 20 s in the midst of waiting, with ages spread over 5 s and a
task awaiting each handle: by the default policy, which holds all looks of a client to 100 a second;
with 2000 a second, which is what 10,000 tasks at 5 s ask for; and with a loop of ``sleep(5)`` and
GET for each task on one ``httpx.AsyncClient`` of 16 connections, once as it is and once behind a
semaphore of 16. Looks are counted by the server.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import time
import tracemalloc
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from polling_server import QUERY, ask, serving

from ailab_async import AsyncClient, PollPolicy, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HANDLES = 10_000
INTERVAL = 5.0
SLOTS = 16
WARM_UP = 2.0
SECONDS = 20.0

FOR_LATER = 1000.0
"""Seconds between looks that are not wanted."""


def record(age: float) -> dict[str, str]:
    """Return the record of a task that was submitted so many seconds ago."""
    return {
        "id": str(uuid.uuid4()),
        "request_id": str(uuid.uuid4()).upper(),
        "operation": "hd-color-migration",
        "stem": "photo-0001",
        "service": "direct",
        "submitted_at": (datetime.now(UTC) - timedelta(seconds=age)).isoformat(),
    }


def client_of(url: str, poll: PollPolicy) -> AsyncClient:
    """Return a client of the server."""
    return AsyncClient(service=Service.direct("key", base_url=url), poll=poll, max_in_flight=SLOTS)


async def begin_counting() -> int:
    """Let everything that was begun come to rest, and return what is allocated."""
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


# --- memory ---------------------------------------------------------------------------------------


async def memory_of_handles(url: str, *, awaited: bool = False, looked_at: bool = False) -> None:
    """Print the bytes of a handle."""
    poll = PollPolicy(first=FOR_LATER, interval=FOR_LATER, max_looks_per_second=10_000.0)
    age = 2 * FOR_LATER if looked_at else 0.0  # old enough for a look at once
    async with client_of(url, poll) as client:
        await client.attach(record(0.0))  # the client and its poller are there
        handles: list[Any] = [None] * HANDLES
        waiters: list[Any] = [None] * HANDLES
        tracemalloc.start()
        before = await begin_counting()
        for number in range(HANDLES):
            handles[number] = await client.attach(record(age))
            if awaited:
                waiters[number] = asyncio.create_task(handles[number].wait())
        if looked_at:
            while any(handle.state == "unknown" for handle in handles):
                await asyncio.sleep(0.5)
        print((await begin_counting() - before) / HANDLES)
        tracemalloc.stop()
        for waiter in waiters:
            if waiter is not None:
                waiter.cancel()


async def memory_of_loops(_: str) -> None:
    """Print the bytes of an asyncio task that sleeps."""

    async def one(name: str) -> str:
        await asyncio.sleep(FOR_LATER)
        return name

    tasks: list[Any] = [None] * HANDLES
    tracemalloc.start()
    before = await begin_counting()
    for number in range(HANDLES):
        tasks[number] = asyncio.create_task(one(str(uuid.uuid4())))
    print((await begin_counting() - before) / HANDLES)
    for task in tasks:
        task.cancel()


# --- processor ------------------------------------------------------------------------------------


def used(url: str) -> None:
    """Print CPU seconds a second and looks a second, from a little later on.

    Blocks: to be run in a thread, because the event loop that is measured may be busy for minutes.
    """
    time.sleep(WARM_UP)
    looks = ask(f"{url}/looks")
    began, cpu = time.perf_counter(), time.process_time()
    time.sleep(SECONDS)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(cpu / wall, (ask(f"{url}/looks") - looks) / wall, flush=True)


def used_to_the_end(url: str) -> None:
    """Print the same, and end the process: to close 10,000 queued requests takes long."""
    used(url)
    os._exit(0)


async def cpu_of_handles(url: str, *, looks_per_second: float = 100.0) -> None:
    """Have 10,000 handles awaited, each by a task of its own."""
    policy = PollPolicy(max_looks_per_second=looks_per_second)
    async with client_of(url, policy) as client:
        waiters = []
        for _ in range(HANDLES):
            handle = await client.attach(record(random.uniform(0, INTERVAL)))
            waiters.append(asyncio.create_task(handle.wait()))
        await asyncio.to_thread(used, url)
        for waiter in waiters:
            waiter.cancel()


async def cpu_of_loops(url: str, *, limit: int = HANDLES) -> None:
    """Have 10,000 loops of sleep and GET; ``limit`` of them at a time may ask."""
    limits = httpx.Limits(max_connections=SLOTS)
    semaphore = asyncio.Semaphore(limit)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=600) as http:

        async def one(name: str) -> None:
            await asyncio.sleep(random.uniform(0, INTERVAL))
            while True:
                async with semaphore:
                    answer = await http.get(QUERY, params={"task_id": name})
                if answer.json()["task_status"] == 2:
                    return
                await asyncio.sleep(INTERVAL)

        loops = [one(str(uuid.uuid4())) for _ in range(HANDLES)]
        await asyncio.gather(asyncio.to_thread(used_to_the_end, url), *loops)


RUNS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    "a handle": memory_of_handles,
    "a handle and a task that awaits it": lambda url: memory_of_handles(url, awaited=True),
    "a handle that was looked at": lambda url: memory_of_handles(url, looked_at=True),
    "a task that sleeps": memory_of_loops,
    "100 looks/s at most": cpu_of_handles,
    "2000 looks/s at most": lambda url: cpu_of_handles(url, looks_per_second=2000.0),
    "loop per task": cpu_of_loops,
    "loop per task, semaphore": lambda url: cpu_of_loops(url, limit=SLOTS),
}


def child(name: str, url: str) -> list[float]:
    """Run one of them in a process of its own and return what it prints."""
    command = (sys.executable, __file__, name, url)
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=180)  # noqa: S603
    return [float(figure) for figure in ran.stdout.split()]


def main() -> None:
    """Print both tables."""
    with serving() as url:
        names = list(RUNS)
        print(f"memory, {HANDLES} of each")
        for name in names[:4]:
            print(f"{name:<36} {child(name, url)[0]:8.0f} bytes", flush=True)
        print()
        figures = {name: child(name, url) for name in names[4:]}
    print(f"{HANDLES} open tasks for {SECONDS:g} s")
    print(
        f"{'':26}{'CPU s/s':>9}{'looks/s':>9}{'ms CPU a look':>15}{'s between looks':>17}"
        f"{'CPU, ratio':>12}{'a look, ratio':>15}"
    )
    ours, our_looks = figures["100 looks/s at most"]
    for name, (cpu, looks) in figures.items():
        line = f"{name:<26}{cpu:9.3f}{looks:9.1f}"
        if looks:
            each = cpu / looks
            line += f"{each * 1000:15.2f}{HANDLES / looks:17.1f}"
            line += f"{cpu / ours:11.1f}x{each / (ours / our_looks):14.2f}x"
        else:  # the pool went through its queue and came to nothing else
            line += f"{'-':>15}{'-':>17}{cpu / ours:11.1f}x{'-':>15}"
        print(line)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(RUNS[sys.argv[1]](sys.argv[2]))
    else:
        main()
