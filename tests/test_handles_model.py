"""Handles under any order of events, on a virtual clock: each settles once, with the truth.

The client is whole, from `AsyncClient` to the query string; only httpx's transport is replaced, by
a service that knows when each task ends and counts who asked when.
"""

import asyncio
import io
import json
import math

import anyio.to_thread
import httpx
import looptime
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from PIL import Image

from ailab_async import AsyncClient, HDColorMigration, PollPolicy, Service, errors

INTERVAL = 5.0
DEADLINE = 300.0
EARLY = 0.001
"""Seconds by which a timer may be early: finer ones no event loop has."""

_buffer = io.BytesIO()
Image.new("RGB", (70, 70), "navy").save(_buffer, "PNG")
PICTURE = _buffer.getvalue()

FAILED_AS_WORD = {"error_code": 0, "data": {"status": "PROCESS_FAILED"}}
NO_FACE = {"error_code": 422, "error_detail": {"code": "ERROR_NO_FACE_IN_FILE", "message": "none"}}
SUCCEEDED = {"task_status": 2, "data": {"image_list": ["https://files.example/a.png"]}}
OPEN = {"task_status": 1, "data": {}}
ENDS = {
    "succeeds": (200, SUCCEEDED),
    "fails by word": (200, FAILED_AS_WORD),
    "fails by error": (422, NO_FACE),
    "stays unknown": (200, {"task_status": 17}),
}
NOT_FOUND = (404, {"error_code": 404, "error_detail": {"code": "ERROR_RESOURCE_NOT_FOUND"}})
TROUBLES = {
    "html": lambda: httpx.Response(502, text="<html>Bad Gateway"),
    "throttled": lambda: httpx.Response(
        429, json={"error_detail": {"code": "EXCEEDING_LIMITS"}}, headers={"retry-after": "7"}
    ),
    "unavailable": lambda: httpx.Response(
        503, json={"error_detail": {"code": "AI_SERVICE_FLOW_RESTRICTION"}}
    ),
}


class Job:
    """A task at the service: when it began, when and how it ends, and who has asked."""

    def __init__(self, number, born, lasts, end):
        self.id = f"t-{number}"
        self.born, self.ends, self.end = born, born + lasts, end
        self.looks = []
        self.told = None  # when it was said that it has ended
        self.reopened = False  # attached, after which it may be asked for again

    @property
    def final(self):
        return self.end != "stays unknown"


class Backend:
    """Answers as the service would, by the virtual clock."""

    def __init__(self, clock):
        self.clock = clock
        self.jobs = {}
        self.planned = None
        self.trouble = None
        self.under_way = {}
        self.problems = []  # an error raised here would be taken for the way's

    async def handle(self, request):
        if request.method == "POST":
            await request.aread()
            lasts, end = self.planned
            job = Job(len(self.jobs), self.clock(), lasts, end)
            self.jobs[job.id] = job
            return httpx.Response(200, json={"error_code": 0, "task_id": job.id})
        task_id = request.url.params["task_id"]
        if self.under_way.get(task_id):
            self.problems.append(f"two looks at {task_id} at once")
        self.under_way[task_id] = True
        began = self.clock()
        try:
            await asyncio.sleep(0.02)
            return self.said(task_id, began)
        finally:
            self.under_way[task_id] = False

    def said(self, task_id, began):
        job = self.jobs.get(task_id)
        if job is not None:
            if job.told is not None and not job.reopened:
                self.problems.append(f"a look at {task_id} after its end was known")
            job.looks.append(began)
        if self.trouble:
            if self.trouble == "no answer":
                message = "reset"
                raise httpx.ReadError(message)
            return TROUBLES[self.trouble]()
        if job is None:
            status, body = NOT_FOUND
        elif self.clock() < job.ends:
            status, body = 200, OPEN
        else:
            status, body = ENDS[job.end]
            if job.final:
                job.told, job.reopened = self.clock(), False
        return httpx.Response(status, json=body)


class Handles(RuleBasedStateMachine):
    """Submit, attach, wait, give up, cancel, close, in any order, while the service misbehaves."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()

        async def inline(function, *args, **_):
            return function(*args)

        # a thread takes real time, in which virtual time would run away
        self.patch.setattr(anyio.to_thread, "run_sync", inline)
        self.loop = looptime.new_event_loop(start=0.0)
        self.backend = Backend(self.loop.time)
        self.handles = []
        self.outcomes = {}
        self.waiters = []
        self.troubled = False

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def open_client(self):
        async def make():
            self.http = httpx.AsyncClient(transport=httpx.MockTransport(self.backend.handle))
            return AsyncClient(
                service=Service.direct("key"),
                http_client=self.http,
                poll=PollPolicy(deadline=DEADLINE, tolerance=3),
            )

        self.client = self.run(make())

    @initialize()
    def begin(self):
        self.open_client()

    @rule(
        lasts=st.one_of(st.just(0.0), st.floats(0.1, 60.0)),
        end=st.sampled_from(sorted(ENDS)),
    )
    def submit(self, lasts, end):
        self.backend.planned = lasts, end
        task = self.run(self.client.submit(HDColorMigration(PICTURE)))
        self.handles.append(task)

    @rule(data=st.data())
    def attach(self, data):
        if not self.backend.jobs:
            return
        job = self.backend.jobs[data.draw(st.sampled_from(sorted(self.backend.jobs)))]
        job.reopened = True
        if data.draw(st.booleans()):
            known = next(task for task in self.handles if task.id == job.id)
            record = json.loads(json.dumps(known.record()))
            task = self.run(self.client.attach(record))
        else:
            task = self.run(self.client.attach(job.id, operation=HDColorMigration))
        assert task.id == job.id
        self.handles.append(task)

    @rule()
    def attach_what_nobody_knows(self):
        self.handles.append(self.run(self.client.attach("nobody", operation=HDColorMigration)))

    @rule(data=st.data(), timeout=st.one_of(st.none(), st.floats(0.0, 40.0)))
    def wait(self, data, timeout):
        if self.handles:
            task = data.draw(st.sampled_from(self.handles))
            waiter = self.loop.create_task(task.wait(timeout))
            self.waiters.append((task, waiter, False))

    @rule(data=st.data())
    def follow(self, data):
        if self.handles:
            task = data.draw(st.sampled_from(self.handles))

            async def states():
                return [update.state async for update in task]

            self.waiters.append((task, self.loop.create_task(states()), False))

    @rule(data=st.data())
    def cancel_a_waiter(self, data):
        if self.waiters:
            place = data.draw(st.integers(0, len(self.waiters) - 1))
            task, waiter, _ = self.waiters[place]
            waiter.cancel()
            self.waiters[place] = task, waiter, True

    @rule(seconds=st.floats(0.0, 90.0))
    def time_passes(self, seconds):
        self.run(asyncio.sleep(seconds))

    @rule(trouble=st.sampled_from([None, "no answer", *sorted(TROUBLES)]))
    def the_weather_changes(self, trouble):
        self.backend.trouble = trouble
        self.troubled = self.troubled or trouble is not None

    @rule()
    def close_and_open_again(self):
        still_open = [task for task in self.handles if not task.done()]
        self.run(self.client.aclose())
        self.run(self.http.aclose())
        assert all(task.done() for task in self.handles)
        # a look that was under way may have had its answer yet
        closed = [t for t in still_open if isinstance(t._outcome, errors.ClientClosed)]
        for task in closed:
            assert set(task._outcome.task_ids) == {other.id for other in closed}
        self.open_client()

    @invariant()
    def every_handle_settles_once(self):
        for number, task in enumerate(self.handles):
            if number in self.outcomes:
                assert task._outcome is self.outcomes[number]
            elif task.done():
                self.outcomes[number] = task._outcome

    @invariant()
    def nothing_was_asked_in_vain(self):
        assert self.backend.problems == []

    @invariant()
    def no_look_was_impatient(self):
        for job in self.backend.jobs.values():
            if job.reopened or sum(task.id == job.id for task in self.handles) > 1:
                continue  # whoever attaches a task may look at once
            for count, look in enumerate(job.looks, 1):
                assert count <= math.floor((look - job.born + EARLY) / INTERVAL)

    def teardown(self):
        try:
            self.backend.trouble = None
            self.run(asyncio.sleep(DEADLINE + 400))
            for task in self.handles:
                assert task.done()
                self.check_the_end(task)
            self.every_handle_settles_once()
            for task, waiter, cancelled in self.waiters:
                assert waiter.done()
                self.check_the_waiter(task, waiter, cancelled=cancelled)
            self.run(self.client.aclose())
            self.run(self.http.aclose())
            assert not asyncio.all_tasks(self.loop)
        finally:
            self.loop.close()
            self.patch.undo()

    def check_the_end(self, task):
        """The server's truth, or an error whose name says what else happened."""
        outcome = task._outcome
        if isinstance(outcome, errors.ClientClosed):
            return
        if isinstance(outcome, errors.ServiceUnavailable):
            assert self.troubled
            assert f"client.attach({task.id!r})" in str(outcome)
            return
        if task.id == "nobody":
            assert isinstance(outcome, errors.TaskNotFound)
            return
        end = self.backend.jobs[task.id].end
        if isinstance(outcome, errors.TaskTimeout):
            assert end == "stays unknown" or self.troubled
            assert f"client.attach({task.id!r})" in str(outcome)
        elif end == "succeeds":
            assert outcome.files[0].url == "https://files.example/a.png"
        elif end == "fails by word":
            assert isinstance(outcome, errors.ProcessFailed)
        else:
            assert end == "fails by error"
            assert isinstance(outcome, errors.TaskFailed)
            assert outcome.code == "ERROR_NO_FACE_IN_FILE"

    def check_the_waiter(self, task, waiter, *, cancelled):
        if waiter.cancelled():
            assert cancelled
            return
        error = waiter.exception()
        if error is None:
            return
        assert error is not task._outcome  # each has one of his own
        gave_up = isinstance(error, errors.TaskTimeout) and error is not task._outcome
        assert gave_up or type(error) is type(task._outcome)


TestHandles = pytest.mark.timeout(300)(Handles.TestCase)  # time to make a failure small
TestHandles.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
