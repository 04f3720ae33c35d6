"""What learning when to look saves: looks and lag, against the documented rhythm and the optimum.

Run as ``python tests/benchmarks/bench_polling.py``; takes two minutes. The lag is the time from the
end of a task to the look that finds it; the cost is the lag and, for each look, 0.3 s (what a look
is worth by default).

First by arithmetic: no clock, fixed seeds, the same figures on every machine. Tasks are looked at
by the default policy, 16 open at a time; by a look every 5 s; and by the best timetable for the
true distribution, which nobody knows, under the same constraint: look number k at age 5·k s or
later. The policy's figures are those of tasks 201 to 1000, means of ten seeds.

Then for real, five times as fast: `AsyncClient` with an interval of 1 s, and a loop of
``sleep(1)`` and GET for each task on an ``httpx.AsyncClient``. Each asks a server of its own; all
are processes, and both run at the same time, so that a busy machine is unfair to both. Looks are
counted by the server; the lag is from the end that it knows to the waiter's next step.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpx
from polling_server import QUERY, ask, serving

from ailab_async import AsyncClient, Endpoint, PollPolicy, Service, timetable
from ailab_async.durations import Estimate
from ailab_async.timetable import Timetables, best_timetables

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_learning import (
    DRAWS,
    PRICE,
    UNIT,
    cost,
    documented,
    learning,
    looked,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Outcome = tuple[float, float]
    """The looks at a task and its lag in seconds."""

ROWS: dict[str, Callable[[random.Random], float]] = {
    "uniform 3-30 s": DRAWS["uniform"],
    "lognormal 10 s, 0.35": DRAWS["lognormal 0.35"],
    "lognormal 10 s, 0.8": DRAWS["lognormal 0.8"],
    "bimodal 5 / 25 s": DRAWS["bimodal"],
    "normal 8 s, 0.25": DRAWS["narrow"],
    "uniform 7.5-8.5 s": lambda dice: dice.uniform(7.5, 8.5),
    "exponential 10 s": DRAWS["exponential"],
}
REAL_ROWS = ("lognormal 10 s, 0.35", "bimodal 5 / 25 s", "uniform 3-30 s")

TASKS = 1000
LEARNT = 200
FIRST = 40
SEEDS = range(10)
SHIFT_AT = 400
WINDOW = 25
WINDOWS = 8
TRUTH_DRAWS = 100_000
TRUTH_CELL = 0.05
TRUTH_CANDIDATES = 800
PAST_THE_END = 0.1

FASTER = 5
REAL_TASKS = 600
AT_ONCE = 64
SLOTS = 16
INTERVAL = UNIT / FASTER
OPERATION = "ai-flower-wallpaper"


def drawn(name: str, count: int, seed: int) -> list[float]:
    """Return durations in seconds."""
    dice = random.Random(seed)
    return [ROWS[name](dice) for _ in range(count)]


# --- by arithmetic --------------------------------------------------------------------------------


class Knowing:
    """Looks by timetables for the true distribution, and learns nothing."""

    def __init__(self, timetables: Timetables) -> None:
        """``timetables`` are in units of the rhythm."""
        self._timetables = timetables

    def next_look(self, *, age: float, looks: int, number: int = 0) -> float:
        """Return the age at the next look, as a `Rhythm` does."""
        age /= UNIT
        planned = self._timetables.after(age, number=number)
        if planned is None:
            planned = age + max(1.0, age * PAST_THE_END)
        return UNIT * max(planned, looks + 1)

    def looked(self, **_: Any) -> None:
        """There is nothing to learn."""


def optimum(name: str) -> Knowing:
    """Return the best timetables for durations as they are drawn."""
    durations = sorted(drawn(name, TRUTH_DRAWS, seed=999))
    edges = [TRUTH_CELL * cell for cell in range(int(durations[-1] / TRUTH_CELL) + 200)]
    below = [min(bisect.bisect_right(durations, edge) / TRUTH_DRAWS, 1 - 1e-6) for edge in edges]
    truth = Estimate([edge / UNIT for edge in edges], below)
    middle: Callable[[int, int], int] = lambda low, high: (low + high) // 2  # noqa: E731 - typed
    # looks at finer ages than the policy chooses among: this is the limit, not a peer
    with mock.patch.object(timetable, "_CANDIDATES", TRUTH_CANDIDATES):
        return Knowing(best_timetables(truth, price=PRICE / UNIT, dice=middle))


def percentile(lags: Sequence[float]) -> float:
    """Return the lag that one task in twenty exceeds."""
    return sorted(lags)[int(0.95 * len(lags))]


def figures(outcomes: Sequence[Outcome], *, price: float = PRICE) -> tuple[float, ...]:
    """Return looks a task, mean lag, 95th percentile of the lag, and cost."""
    looks, lags = zip(*outcomes, strict=True)
    mean = statistics.fmean(lags)
    return statistics.fmean(looks), mean, percentile(lags), price * statistics.fmean(looks) + mean


def reckon() -> None:
    """Print what the policy comes to for each distribution."""
    print(f"looks a task, mean lag s, p95 lag s, cost s: tasks {LEARNT + 1} to {TASKS}")
    head = f"{'':22}" + "".join(f"{name:^27}" for name in ("policy", "every 5 s", "optimum"))
    print(f"{head}  {'cost/optimum':>12} {'cost/5 s':>8} {'first 40':>8}")
    for name in ROWS:
        known = optimum(name)
        runs: list[list[Outcome]] = [[], [], []]
        early: list[list[Outcome]] = [[], []]
        for seed in SEEDS:
            durations = drawn(name, TASKS, seed)
            for place, rhythm in enumerate((learning(seed), documented(), known)):
                outcomes = looked(rhythm, durations)
                runs[place] += outcomes[LEARNT:]
                if rhythm is not known:
                    early[place] += outcomes[:FIRST]
        policy, fixed, best = (figures(run) for run in runs)
        shown = "".join(
            f"  {looks:5.2f} {lag:5.2f} {late:6.2f} {whole:5.2f}"
            for looks, lag, late, whole in (policy, fixed, best)
        )
        ratios = policy[3] / best[3], policy[3] / fixed[3], cost(early[0]) / cost(early[1])
        print(f"{name:22}{shown}  {ratios[0]:12.3f} {ratios[1]:8.3f} {ratios[2]:8.3f}")


def reckon_shift() -> None:
    """Print what it costs that a service has become slower, or faster."""
    ends = [SHIFT_AT + WINDOW * number for number in range(1, WINDOWS + 1)]
    print()
    print(f"a shift at task {SHIFT_AT} (normal, sigma 0.4 s): cost s in windows of {WINDOW} tasks")
    labels = "".join(f"{f'to {end}':>8}" for end in ends)
    print(f"{'':22}{'before':>8}{labels}{'later':>8}")
    for before, after in ((8.0, 20.0), (20.0, 8.0)):
        runs: dict[str, list[list[Outcome]]] = {"policy": [], "every 5 s": []}
        for seed in SEEDS:
            dice = random.Random(seed)
            means = [before if number < SHIFT_AT else after for number in range(TASKS)]
            durations = [dice.gauss(mean, 0.4) for mean in means]
            runs["policy"].append(looked(learning(seed), durations))
            runs["every 5 s"].append(looked(documented(), durations))
        for name, outcomes in runs.items():
            parts = [slice(LEARNT, SHIFT_AT)]
            parts += [slice(end - WINDOW, end) for end in ends]
            parts += [slice(ends[-1], None)]
            costs = (cost([one for run in outcomes for one in run[part]]) for part in parts)
            print(
                f"{f'{before:g} to {after:g} s, {name}':22}" + "".join(f"{c:8.2f}" for c in costs)
            )


# --- for real -------------------------------------------------------------------------------------


async def all_tasks(one: Callable[[], Awaitable[tuple[str, float]]]) -> dict[str, float]:
    """Do every task, some at a time; return when each was known to have ended."""
    numbers = iter(range(REAL_TASKS))
    known: dict[str, float] = {}

    async def some() -> None:
        for _ in numbers:
            name, moment = await one()
            known[name] = moment

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return known


async def ours(url: str) -> dict[str, float]:
    """Wait for the tasks through `AsyncClient`."""
    # time is a fifth: a limit of 100 a second would stand for 20
    policy = PollPolicy(
        interval=INTERVAL, learn=True, look_price=PRICE / FASTER, max_looks_per_second=2000
    )
    service = Service.direct("key", base_url=url)
    async with AsyncClient(service=service, poll=policy, max_in_flight=SLOTS) as client:

        async def one() -> tuple[str, float]:
            task = await client.submit(Endpoint(OPERATION, name="rose"))
            await task
            return task.id, time.monotonic()

        return await all_tasks(one)


async def theirs(url: str) -> dict[str, float]:
    """Wait for the tasks in a loop for each."""
    limits = httpx.Limits(max_connections=SLOTS)
    path = Endpoint(OPERATION).path or ""
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as http:

        async def one() -> tuple[str, float]:
            name = (await http.post(path, data={"name": "rose"})).json()["task_id"]
            while True:
                await asyncio.sleep(INTERVAL)
                answer = (await http.get(QUERY, params={"task_id": name})).json()
                if answer["task_status"] == 2:
                    return name, time.monotonic()

        return await all_tasks(one)


CONTESTANTS = {"ailab_async": ours, "sleep and GET": theirs}


def outcomes_of(url: str, known: dict[str, float]) -> list[Outcome]:
    """Return looks and lag of each task, in the order of submission. Checks politeness."""
    jobs = ask(f"{url}/jobs")
    for job in jobs.values():
        for number, age in enumerate(job["looks"], start=1):
            if age < number * INTERVAL - 0.005:  # timers are not exact
                message = f"look {number} came at an age of {age:.3f} s"
                raise RuntimeError(message)
    return [(len(job["looks"]), known[name] - job["end"]) for name, job in jobs.items()]


def both(durations: list[float]) -> list[list[Outcome]]:
    """Let both wait for tasks of the same durations, at the same time."""
    with contextlib.ExitStack() as stack:
        running = []
        for name in CONTESTANTS:
            url = stack.enter_context(serving())
            ask(f"{url}/begin", durations)
            command = (sys.executable, __file__, name, url)
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
            stack.callback(process.kill)
            running.append((url, process))
        printed = [process.communicate(timeout=120)[0] for _, process in running]
        return [
            outcomes_of(url, json.loads(text))
            for (url, _), text in zip(running, printed, strict=True)
        ]


def run_real() -> None:
    """Print both ways for each distribution, and their ratios."""
    print()
    print(
        f"real, {FASTER} times as fast: {REAL_TASKS} tasks, {AT_ONCE} at a time; looks a task, "
        "mean lag ms, p95 lag ms"
    )
    print(f"{'':40}{'all tasks':^26}  {f'from task {LEARNT + 1}':^26}")
    for name in REAL_ROWS:
        durations = [duration / FASTER for duration in drawn(name, REAL_TASKS, seed=7)]
        rows = [[figures(outcomes), figures(outcomes[LEARNT:])] for outcomes in both(durations)]
        for label, row in zip(CONTESTANTS, rows, strict=True):
            cells = "  ".join(
                f"{looks:8.2f} {lag * 1000:8.1f} {late * 1000:8.1f}" for looks, lag, late, _ in row
            )
            print(f"{name:24}{label:16}{cells}")
        ratios = "  ".join(
            " ".join(f"{a / b:8.2f}" for a, b in zip(mine[:3], other[:3], strict=True))
            for mine, other in zip(*rows, strict=True)
        )
        print(f"{name:24}{'ratio':16}{ratios}", flush=True)


def main() -> None:
    """Print all of it."""
    reckon()
    reckon_shift()
    run_real()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(CONTESTANTS[sys.argv[1]](sys.argv[2]))))
    else:
        main()
