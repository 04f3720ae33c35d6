"""A scripted service that knows its pictures, and what tests of batches do with it."""

from __future__ import annotations

import asyncio

from batch_service import picture, result
from loopback import Close, answer
from scripted_service import ScriptedService

from ailab_async import AsyncClient, HDColorMigration, PollPolicy, RetryPolicy, Service
from ailab_async.batch.journal import Journal

QUICK = PollPolicy(first=0.001, interval=0.001)


class BatchService(ScriptedService):
    """Knows which picture a task is of, and answers each with a file of its own.

    Of the pictures in ``slow``, tasks are open until they are taken out; those in ``refused`` and
    ``failing`` end so, those in ``strange`` succeed without a file; where one is in ``silent``, the
    connection is closed without an answer. ``gone`` are the paths of files that are no more.
    """

    def __init__(self):
        super().__init__()
        self.tasks = {}
        self.slow = set()
        self.refused = {}
        self.failing = set()
        self.silent = set()
        self.strange = set()
        self.sent = []
        self.gone = set()

    def accept(self, seen):
        number = int(seen.body.partition(b"picture-number-")[2][:8])
        self.sent.append(number)
        if number in self.silent:
            raise Close
        if number in self.refused:
            return self.refused[number]
        task = f"t-{len(self.tasks) + 1}"
        self.tasks[task] = number
        return answer({"error_code": 0, "task_id": task, "request_id": f"r-{task}"})

    def look(self, task):
        number = self.tasks[task]
        if number in self.slow:
            return {"error_code": 0, "task_status": 1}
        if number in self.failing:
            return {"error_code": 0, "task_status": 3, "error_code_str": "PROCESS_FAILED"}
        if number in self.strange:
            return {"error_code": 0, "task_status": 2, "data": {"note": "no file"}}
        path = f"/files/{number}"
        self.files.setdefault(path, result(number))
        return {"error_code": 0, "task_status": 2, "data": {"image_url": f"{self.url}{path}?s=1"}}

    async def handle(self, seen):
        if seen.method == "GET" and "task_id" in seen.query and not self.looks:
            return answer(self.look(seen.query["task_id"]))
        if seen.path in self.gone:
            return answer({"message": "gone"}, 410)
        return await super().handle(seen)


def client_of(service, **options):
    options = {"poll": QUICK, "retry": RetryPolicy(base=0.001, attempts=2), **options}
    return AsyncClient(service=Service.local(service.url), **options)


def photos(*numbers):
    return [HDColorMigration(picture(number)) for number in numbers]


async def run(client, operations, *, found=None, **options):
    """Take all outcomes into ``found``; return them in the operations' order, and the stream."""
    found = [] if found is None else found
    async with client.map(operations, **options) as outcomes:
        async for outcome in outcomes:
            found.append(outcome)
    return sorted(found, key=lambda outcome: outcome.index), outcomes


async def until(condition):
    """Let the other side of the sockets go on until something is so."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def states(journal):
    async with Journal(journal) as opened:
        return [entry.state.value async for entry in opened.entries()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def nobody_else():
    """Whether no task of the package is left; the other end of the sockets has its own."""
    codes = (getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks())
    return not [code for code in codes if code and "/ailab_async/" in code.co_filename]


def tasks_of_batches():
    """Return the asyncio tasks that run something of a batch."""
    running = (task.get_coro() for task in asyncio.all_tasks())
    return [work for work in running if "ailab_async/batch/" in work.cr_code.co_filename]
