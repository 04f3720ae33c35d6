"""What the local engine bears: many uploads at once, through uvicorn, with two workers.

Run as ``python tests/benchmarks/bench_engine.py``; ``--uploads N`` uploads fewer than 200 of each.
Servers run in processes of their own, where a task that only sleeps measures the gaps between its
steps, once the first task is through: the lag of the event loop. Printed are the gap that one in a
thousand exceeds and the worst one, which a machine that stands still for a moment has as well; and
how long the loop's own thread was at work in one gap: the rest was waiting for a core.

Photos are uploaded 32 at once, each another one, of 160x107 and of 12 megapixels (2 MB); then every
task is looked after until it has ended, and its result is fetched and must have the size of its
own photo. Any status but 200 and 503 ``AI_SERVICE_FLOW_RESTRICTION`` is an error. Peers in the same
run: the engine with nothing to do, and a bare Starlette app that reads the same uploads into
memory, alone and while two processes keep the cores busy as the workers do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

AT_ONCE = 32
WORKERS = 2
STEP = 0.002
PHOTO = Path(__file__).parents[2] / "docs" / "pictures" / "coffee.jpg"
SUBMIT = "/api/image/effects/image-hd-color-migration"
QUERY = "/api/common/query-async-task-result"
SMALL, LARGE = (160, 107), (4000, 3000)
BUSY = "import os\nos.nice(5)\nwhile True: sum(range(10**6))"


# --- the servers --------------------------------------------------------------------------------


class Lag:
    """The gaps between a loop's steps since the last `reset`, in milliseconds."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.gaps, self.worst_own = [], 0.0

    async def watch(self):
        before, own_before = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(STEP)
            now, own_now = time.perf_counter(), time.thread_time()
            gap, own = (now - before - STEP) * 1000, (own_now - own_before) * 1000
            self.gaps.append(gap)
            self.worst_own = max(self.worst_own, own)
            before, own_before = time.perf_counter(), time.thread_time()

    async def answer(self, send):
        """Tell it, and begin anew."""
        told = json.dumps(
            {
                "worst": max(self.gaps),
                "thousandth": float(np.quantile(self.gaps, 0.999)),
                "over": sum(gap > 100 for gap in self.gaps),
                "steps": len(self.gaps),
                "own": self.worst_own,
            }
        ).encode()
        self.reset()
        head = {"type": "http.response.start", "status": 200, "headers": []}
        await send(head)
        await send({"type": "http.response.body", "body": told})


def bare_app():
    """An app that reads forms as Starlette does, keeps nothing and answers in one word."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def submit(request):
        async with request.form() as form:
            size = len(await form["image"].read())
        return JSONResponse({"size": size})

    return Starlette(routes=[Route(SUBMIT, submit, methods=["POST"])])


def run_server(kind, data):
    """Serve on any port, print it, tell the lag at ``GET /lag``, end on SIGTERM."""
    import signal
    import socket

    import uvicorn

    from ailab_async.local import LocalEngine
    from ailab_async.local.serving import SWITCH_SECONDS, configuration

    sys.setswitchinterval(SWITCH_SECONDS)
    lag = Lag()
    app = bare_app() if kind == "bare" else LocalEngine(workers=WORKERS, data=data).app

    async def watched(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/lag":
            await lag.answer(send)
        else:
            await app(scope, receive, send)

    async def serve():
        watching = asyncio.create_task(lag.watch())
        await uvicorn.Server(configuration(watched)).serve(sockets=[listener])
        watching.cancel()

    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    signal.signal(signal.SIGTERM, lambda *_: None)
    asyncio.run(serve())


@contextlib.contextmanager
def server(kind, data=None):
    """Run a server in a process of its own; yield its process id and its address."""
    words = ["--serve", kind, *([] if data is None else ["--data", str(data)])]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, __file__, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        yield process.pid, f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextlib.contextmanager
def busy_cores():
    """Keep as many processes at work as there are workers, and as nice."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(WORKERS)]  # noqa: S603
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


# --- the load -----------------------------------------------------------------------------------


def photos(size, count):
    """Return so many different photos: each a few pixels wider than the last."""
    width, height = size
    for number in range(count):
        with Image.open(PHOTO) as photo:
            pixels = np.asarray(photo.resize((width + number, height)), np.int16)
        if size == LARGE:  # as much as from a camera needs grain
            grain = np.random.default_rng(number).integers(-7, 8, pixels.shape[:2], np.int16)
            pixels = np.clip(pixels + grain[..., None], 0, 255)
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=85)
        yield file.getvalue()


async def load(http, pictures):
    """Upload everything; return statuses, seconds of each upload, task ids, and the total."""
    statuses, answers, tasks = Counter(), [], {}
    semaphore = asyncio.Semaphore(AT_ONCE)

    async def upload(number, picture):
        async with semaphore:
            began = time.perf_counter()
            answer = await http.post(SUBMIT, files={"image": ("a.jpg", picture)})
            answers.append(time.perf_counter() - began)
        body = answer.json()
        code = body.get("error_detail", {}).get("code", "")
        statuses[f"{answer.status_code} {code}".strip()] += 1
        if answer.status_code == httpx.codes.OK:
            tasks[number] = body.get("task_id")
        elif code != "AI_SERVICE_FLOW_RESTRICTION":
            message = f"{answer.status_code} {answer.text}"
            raise RuntimeError(message)

    began = time.perf_counter()
    await asyncio.gather(*(upload(*each) for each in enumerate(pictures)))
    return statuses, answers, tasks, time.perf_counter() - began


async def check(http, pictures, tasks):
    """Wait for every task, and look whether its result is that of its own photo."""
    for number, task in tasks.items():
        while True:
            answer = (await http.get(QUERY, params={"task_id": task})).raise_for_status().json()
            if answer["task_status"] == 2:
                break
            await asyncio.sleep(0.05)
        (url,) = answer["data"]["image_list"]
        result = (await http.get(url)).raise_for_status().content
        sizes = [Image.open(io.BytesIO(each)).size for each in (result, pictures[number])]
        assert sizes[0] == sizes[1], (number, sizes)


def client(url):
    limits = httpx.Limits(max_connections=AT_ONCE)
    return httpx.AsyncClient(base_url=url, timeout=300, limits=limits)


async def measure_engine(label, data, pictures):
    """Load, check, print."""
    with server("engine", data) as (pid, url):
        async with client(url) as http:
            await check(http, pictures, (await load(http, pictures[:1]))[2])
            await http.get("/lag")
            began = time.perf_counter()
            statuses, answers, tasks, accepted = await load(http, pictures)
            await check(http, pictures, tasks)
            done = time.perf_counter() - began
            lag = (await http.get("/lag")).json()
        memory = peak_megabytes(pid)
    count = len(pictures)
    print(
        f"{label:<30} {lag_text(lag)}  {count / accepted:6.1f} uploads/s  {count / done:5.1f} "
        f"tasks/s  slowest answer {max(answers):5.2f} s  {memory:4.0f} MB  {dict(statuses)}"
    )


async def measure_bare(label, pictures):
    with server("bare") as (_, url):
        async with client(url) as http:
            await load(http, pictures[:1])
            await http.get("/lag")
            _, answers, _, accepted = await load(http, pictures)
            lag = (await http.get("/lag")).json()
    print(
        f"{label:<30} {lag_text(lag)}  {len(pictures) / accepted:6.1f} uploads/s  "
        f"slowest answer {max(answers):5.2f} s"
    )


async def measure_idle():
    with server("engine") as (_, url):
        async with client(url) as http:
            await http.get("/healthz")
            await http.get("/lag")
            await asyncio.sleep(10)
            lag = (await http.get("/lag")).json()
    print(f"{'engine, idle for 10 s':<30} {lag_text(lag)}")


def lag_text(lag):
    return (
        f"lag {lag['thousandth']:5.1f} ms, at worst {lag['worst']:5.1f}, {lag['over']} of "
        f"{lag['steps']} over 100, own work {lag['own']:5.1f} ms"
    )


def peak_megabytes(pid):
    """Return the most memory that a process has had; Linux only."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def main():
    """Print everything."""
    words = argparse.ArgumentParser(description="The engine under load.")
    words.add_argument("--uploads", type=int, default=200)
    words.add_argument("--serve", choices=("engine", "bare"), help=argparse.SUPPRESS)
    words.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    chosen = words.parse_args()
    if chosen.serve:
        run_server(chosen.serve, chosen.data)
        return
    if hasattr(os, "getloadavg"):
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    asyncio.run(measure_idle())
    for name, size in (("small", SMALL), ("12 MP", LARGE)):
        pictures = list(photos(size, chosen.uploads))
        asyncio.run(measure_bare(f"{name}: bare app", pictures))
        with busy_cores():
            asyncio.run(measure_bare(f"{name}: bare app, cores busy", pictures))
        asyncio.run(measure_engine(f"{name}: engine", None, pictures))
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure_engine(f"{name}: engine, --data", Path(folder), pictures))


if __name__ == "__main__":
    main()
