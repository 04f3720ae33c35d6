"""What importing costs, in a fresh interpreter each time, against what it is built on.

Run as ``python tests/benchmarks/bench_import.py``. The figures are medians of interleaved runs,
less the bare start of the interpreter.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 25

CASES = {
    "nothing": "pass",
    "httpx, attrs, anyio": "import httpx, attrs, anyio",
    "asyncio, httpx, attrs, anyio": "import asyncio, httpx, attrs, anyio",
    "ailab_async": "import ailab_async",
    "AsyncClient, HDColorMigration": "from ailab_async import AsyncClient, HDColorMigration",
}


def seconds(code: str) -> float:
    """Return how long a new interpreter takes for ``code``."""
    began = time.perf_counter()
    # elsewhere than in a checkout, so that the installed package is what is imported
    subprocess.run((sys.executable, "-c", code), check=True, cwd=tempfile.gettempdir())  # noqa: S603
    return time.perf_counter() - began


def main() -> None:
    """Print a line a case."""
    for code in CASES.values():
        seconds(code)  # so that byte code is there
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(RUNS):
        for name, code in CASES.items():
            taken[name].append(seconds(code))
    bare = statistics.median(taken.pop("nothing"))
    costs = {name: statistics.median(times) - bare for name, times in taken.items()}
    base = costs["httpx, attrs, anyio"]
    for name, cost in costs.items():
        print(f"import {name:<30} {cost * 1000:6.1f} ms  {cost / base:5.2f} x")


if __name__ == "__main__":
    main()
