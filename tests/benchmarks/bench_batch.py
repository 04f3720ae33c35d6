"""What batches cost: memory, the journal, opening it again, and how near they come to the bound.

Run as ``python tests/benchmarks/bench_batch.py``, or with the names of parts: ``many``, ``photos``,
``kills``. Takes half an hour. A service in another process answers (`batch_service`); every run
is a process of its own.

``many``: 100,000 operations with pictures of a few hundred bytes, each answered at once with its
result, which is saved: with a journal and without. Then, in new processes, the journal is opened,
all entries are read, and each file is looked for; and the whole batch is run once more, which finds
everything saved. Memory is the most that the process ever had.

``photos``: 2000 files of 1 MB, answers after 0 to 0.3 s, tasks of 0.3 to 3 s, 8 slots: the
service's 3 to 30 s scaled to a tenth, and so is its rhythm of looks. The bound is what an ideal
batch would take with the very uploads of this run and the very durations of its tasks: as soon as
a slot is free the next begins, as long as fewer than the look-ahead are under way, and the end of
each task is known at once. How much later the looks come than the ends is shown by itself.

``kills``: batches of 300 pictures, killed at random moments, 200 times in all.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "batch"))

from batch_crashes import SLOTS, Nursery, check, kill, prepare, resolve
from batch_service import ServiceProcess, picture

from ailab_async import AsyncClient, HDColorMigration, PollPolicy, Service
from ailab_async.batch.journal import Journal
from ailab_async.events import ExchangeEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = 100_000
PHOTOS = 2000
PHOTO_BYTES = 2**20
PHOTO_SLOTS = 8
LOOK_AHEAD = 16 * PHOTO_SLOTS
RHYTHM = PollPolicy(interval=0.5, learn=True)
KILLS = 200


# --- many -----------------------------------------------------------------------------------------


def operations(number: int) -> Iterator[HDColorMigration]:
    """Yield operations one by one, as a batch takes them."""
    return (HDColorMigration(picture(index)) for index in range(number))


async def run_many(folder: Path, url: str, number: int, *, journal: bool) -> dict[str, float]:
    """Run them; return seconds of wall and processor, and how many were sent now."""
    began, cpu = time.perf_counter(), time.process_time()
    async with AsyncClient(service=Service.local(url)) as client:
        out = folder / ("out" if journal else "out-without")
        path = folder / "run.sqlite" if journal else None
        async with client.map(operations(number), journal=path, save_to=out) as outcomes:
            async for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
        progress = outcomes.progress
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "reused": progress.reused, "done": progress.done}


async def open_again(folder: Path, _: str, number: int) -> dict[str, float]:
    """Open the journal, read all entries, and look for each file."""
    began, cpu = time.perf_counter(), time.process_time()
    found = 0
    async with Journal(folder / "run.sqlite") as journal:
        opened = time.perf_counter() - began
        async for entry in journal.entries():
            found += all(os.stat(file.path).st_size == file.size for file in entry.files)  # noqa: PTH116
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert found == number, found
    return {"wall": wall, "cpu": cpu, "opened": opened}


def many(number: int = OPERATIONS) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{number} operations{'':12}{'wall s':>9}{'CPU s':>9}{'ops/s':>9}{'MB':>7}")
        with ServiceProcess(folder / "log", inline=True) as service:
            for run in ("without a journal", "with a journal", "opened", "run again"):
                told = child(run, folder, service.url, str(number))
                rate = number / told["wall"]
                print(
                    f"{run:<30}{told['wall']:9.1f}{told['cpu']:9.1f}{rate:9.0f}"
                    f"{told['memory'] / 2**20:7.0f}  {told}",
                    flush=True,
                )
            sent = service.seen()
        assert set(sent.values()) == {2}, "once with a journal, once without, and not again"


# --- photos ---------------------------------------------------------------------------------------


async def run_photos(folder: Path, url: str, number: int) -> dict[str, Any]:
    """Run them; return the wall time, each upload's seconds, and what each then waited."""
    uploads: list[float] = []
    looks: list[float] = []

    def hear(event: object) -> None:
        if isinstance(event, ExchangeEvent) and event.phase == "complete":
            if event.action == "submit":
                uploads.append(event.seconds)
            elif event.action == "look":
                looks.append(event.seconds)

    paths = [folder / "photos" / f"{index:04}.png" for index in range(number)]
    waited: dict[int, float] = {}
    saving: list[float] = []
    async with AsyncClient(
        service=Service.local(url), max_in_flight=PHOTO_SLOTS, poll=RHYTHM, on_event=hear
    ) as client:
        began, cpu = time.perf_counter(), time.process_time()
        async with client.map(
            map(HDColorMigration, paths),
            journal=folder / "run.sqlite",
            save_to=folder / "out",
            look_ahead=LOOK_AHEAD,
        ) as outcomes:
            async for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                waited[outcome.index] = outcome.timings.waiting
                saving.append(outcome.timings.saving)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "wall": wall,
        "cpu": cpu,
        "uploads": uploads,
        "looks": looks,
        "waited": waited,
        "saving": statistics.fmean(saving),
    }


def ideal(uploads: list[float], durations: list[float]) -> float:
    """Return the seconds of a batch in which nothing but uploads and tasks takes time."""
    slots = [0.0] * PHOTO_SLOTS
    room: list[float] = []
    last = 0.0
    for number, (upload, duration) in enumerate(zip(uploads, durations, strict=True)):
        begin = heapq.heappop(slots)
        if number >= LOOK_AHEAD:  # somebody else must have ended
            begin = max(begin, heapq.heappop(room))
        heapq.heappush(slots, begin + upload)
        heapq.heappush(room, begin + upload + duration)
        last = max(last, begin + upload + duration)
    return last


def photos(number: int = PHOTOS) -> None:
    """Print the wall time and its bound."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        for index in range(number):
            data = picture(index, size=PHOTO_BYTES)
            (folder / "photos" / f"{index:04}.png").write_bytes(data)
        with ServiceProcess(folder / "log", delay=0.15, durations=(0.3, 3.0)) as service:
            told = child("photos", folder, service.url, str(number))
            durations = service.durations()
    bound = ideal(told["uploads"], [durations[index] for index in range(number)])
    lag = statistics.fmean(told["waited"][str(index)] - durations[index] for index in durations)
    print(
        f"{number} photos: {told['wall']:.1f} s, bound {bound:.1f} s, {told['wall'] / bound:.3f} x"
    )
    uploads, looks = told["uploads"], told["looks"]
    print(
        f"uploads {statistics.fmean(uploads):.3f} s each, {sum(uploads):.0f} s of "
        f"{PHOTO_SLOTS} slots; {len(looks)} looks, {sum(looks):.0f} s of them, {lag:.2f} s late; "
        f"saving {told['saving'] * 1000:.0f} ms; CPU {told['cpu']:.1f} s; "
        f"{told['memory'] / 2**20:.0f} MB"
    )


# --- kills ----------------------------------------------------------------------------------------


def kills(number: int = KILLS) -> None:
    """Kill batches, and print what was saved and what is held."""
    done = seed = 0
    while done < number:
        with tempfile.TemporaryDirectory() as name:
            folder = prepare(Path(name) / "batch")
            log = Path(name) / "log"
            with (
                ServiceProcess(log, delay=0.005, durations=(0.02, 0.06)) as service,
                Nursery(folder, service.url) as nursery,
            ):
                killed = kill(nursery, most=min(25, number - done), seed=seed)
                account, seen = nursery.account(), service.seen()
                check(account, seen, most_held=killed * SLOTS)
                resolve(nursery, service, folder)
        paid = len(account.held & set(seen))
        print(
            f"{killed} kills: {len(account.saved)} saved, {len(account.held)} held, of which the "
            f"service had seen {paid} once and {len(account.held) - paid} never",
            flush=True,
        )
        done, seed = done + killed, seed + 1


# --- processes ------------------------------------------------------------------------------------

RUNS: dict[str, Any] = {
    "without a journal": lambda *args: run_many(*args, journal=False),
    "with a journal": lambda *args: run_many(*args, journal=True),
    "run again": lambda *args: run_many(*args, journal=True),
    "opened": open_again,
    "photos": run_photos,
}
PARTS = {"many": many, "photos": photos, "kills": kills}


def child(run: str, folder: Path, url: str, number: str) -> dict[str, Any]:
    """Run one of them in a process of its own, and return what it tells."""
    command = (sys.executable, __file__, run, str(folder), url, number)
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def main() -> None:
    """Run the parts that are named, or all; ``many=1000`` makes one smaller."""
    for argument in sys.argv[1:] or PARTS:
        part, _, number = argument.partition("=")
        PARTS[part](*([int(number)] if number else []))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in RUNS and len(sys.argv) > 2:
        told = asyncio.run(RUNS[sys.argv[1]](Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({**told, "memory": peak}))
    else:
        main()
