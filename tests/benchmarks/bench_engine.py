"""What the local engine bears: many uploads at once, through uvicorn, with two workers.

Run as ``python tests/benchmarks/bench_engine.py``. ``ailab serve`` runs in a process of its own,
once with a temporary folder and once with a given one (where a task is on the disk before it is
accepted). 200 photos of 160x107 are uploaded, 32 at once: it is the engine that is measured, not
the recolouring. Then every task is looked after until it has ended. Printed are the rates, the
slowest answer to an upload, the memory of the server, and how often each status came. Any status
but 200 and 503 ``AI_SERVICE_FLOW_RESTRICTION`` is an error.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from PIL import Image

UPLOADS = 200
AT_ONCE = 32
WORKERS = 2
PHOTO = Path(__file__).parents[2] / "docs" / "pictures" / "coffee.jpg"
SUBMIT = "/api/image/effects/image-hd-color-migration"
QUERY = "/api/common/query-async-task-result"


async def load(url: str, photo: bytes) -> tuple[Counter[str], list[float], float, float]:
    """Upload everything; return statuses, seconds of each upload, and both totals."""
    statuses: Counter[str] = Counter()
    answers: list[float] = []
    tasks: list[str] = []
    semaphore = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:

        async def upload() -> None:
            async with semaphore:
                began = time.perf_counter()
                answer = await http.post(SUBMIT, files={"image": ("a.jpg", photo)})
                answers.append(time.perf_counter() - began)
            body = answer.json()
            code = body["error_detail"]["code"]
            statuses[f"{answer.status_code} {code}".strip()] += 1
            if answer.status_code == httpx.codes.OK:
                tasks.append(body["task_id"])
            elif code != "AI_SERVICE_FLOW_RESTRICTION":
                message = f"{answer.status_code} {answer.text}"
                raise RuntimeError(message)

        began = time.perf_counter()
        await asyncio.gather(*(upload() for _ in range(UPLOADS)))
        accepted = time.perf_counter() - began
        for task in tasks:
            while True:
                answer = await http.get(QUERY, params={"task_id": task})
                if answer.raise_for_status().json()["task_status"] == 2:
                    break
                await asyncio.sleep(0.05)
        return statuses, answers, accepted, time.perf_counter() - began


def small_photo() -> bytes:
    """Return a photo that is quickly done."""
    file = io.BytesIO()
    with Image.open(PHOTO) as photo:
        photo.resize((160, 107)).save(file, "JPEG")
    return file.getvalue()


def peak_megabytes(pid: int) -> float:
    """Return the most memory that a process has had; Linux only."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def measure(label: str, *words: str) -> None:
    """Serve, load, print."""
    command = [sys.executable, "-m", "ailab_async", "serve", "--port", "0"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--workers", str(WORKERS), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "AILAB_ENGINE_KEY"},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        statuses, answers, accepted, done = asyncio.run(load(url, small_photo()))
        memory = peak_megabytes(process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=20)
    print(
        f"{label:<10} {UPLOADS / accepted:6.1f} uploads/s  {UPLOADS / done:6.1f} tasks/s  "
        f"slowest answer {max(answers):5.2f} s  server {memory:4.0f} MB  {dict(statuses)}"
    )


def main() -> None:
    """Print both."""
    measure("temporary")
    with tempfile.TemporaryDirectory() as folder:
        measure("given", "--data", folder)


if __name__ == "__main__":
    main()
