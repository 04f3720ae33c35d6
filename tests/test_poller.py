"""The poller, on a virtual clock: no test here waits for real."""

import asyncio
import itertools

import pytest

from ailab_async import errors
from ailab_async.events import StateUnknown
from ailab_async.poller import Poller, Watch
from ailab_async.protocol.envelope import Reply
from ailab_async.rhythm import PollPolicy

pytestmark = pytest.mark.looptime

QUEUED = {"task_status": 0, "data": {}}
PROCESSING = {"task_status": 1}
SUCCESS = {"task_status": 2, "data": {"image_list": ["https://example.test/a.png"]}}
BAD_GATEWAY = errors.MalformedReply("no JSON", http_status=502, excerpt="<html>")
NO_FACE = errors.InputRejected("pic not has face", code="ERROR_NO_FACE_IN_FILE", http_status=422)


class Seat:
    """Sits in for a handle: scripted answers in, what the poller said out."""

    def __init__(self, *script, policy=None, task_id="t1", service="direct", takes=0.0):
        self.script = list(script)
        self.times = []
        self.readings = []
        self.outcomes = []
        self.at_once = self.most_at_once = 0
        self.takes = takes
        self.looks = None
        self.end = asyncio.Event()
        self.watch = Watch(
            task_id=task_id,
            look=self.look,
            changed=self.readings.append,
            settled=self.settled,
            policy=(policy or PollPolicy(jitter=0.0)).suited_to(service),
            began=asyncio.get_running_loop().time(),
        )

    async def look(self):
        self.times.append(asyncio.get_running_loop().time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.takes)
        self.at_once -= 1
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, Exception):
            raise said
        return Reply(raw=said, http_status=200)

    def settled(self, outcome, looks):
        self.outcomes.append(outcome)
        self.looks = looks
        self.end.set()

    async def outcome(self):
        await self.end.wait()
        (outcome,) = self.outcomes
        return outcome


def make(**options):
    return Poller(**{"looks_at_once": 15, "looks_per_second": 1000.0, **options})


async def test_a_task_is_looked_at_every_five_seconds_until_it_has_succeeded():
    poller, seat = make(), Seat(QUEUED, PROCESSING, PROCESSING, SUCCESS)
    poller.watch(seat.watch)
    outcome = await seat.outcome()
    assert outcome.raw == SUCCESS
    assert seat.times == pytest.approx([5, 10, 15, 20])
    assert [reading.state for reading in seat.readings] == [
        "queued",
        "processing",
        "processing",
        "succeeded",
    ]
    assert seat.looks == 4


async def test_the_poller_ends_when_nothing_is_open_and_starts_again():
    poller = make()
    for _ in range(2):
        seat = Seat(SUCCESS)
        poller.watch(seat.watch)
        await seat.outcome()
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == 1
        assert poller.open_ids == ()


async def test_no_look_follows_the_end():
    poller, seat = make(), Seat(SUCCESS)
    poller.watch(seat.watch)
    await seat.outcome()
    await asyncio.sleep(1000)
    assert len(seat.times) == 1
    assert len(seat.outcomes) == 1


async def test_an_error_of_the_picture_on_a_look_is_the_tasks_failure():
    poller, seat = make(), Seat(QUEUED, NO_FACE)
    poller.watch(seat.watch)
    failure = await seat.outcome()
    assert type(failure) is errors.TaskFailed
    assert (failure.task_id, failure.code) == ("t1", "ERROR_NO_FACE_IN_FILE")
    assert failure.message == "pic not has face"
    assert failure.age == pytest.approx(10)
    assert failure.__cause__ is NO_FACE


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("PROCESS_FAILED", errors.ProcessFailed),
        ("TIMEOUT_FAILED", errors.TimeoutFailed),
        ("LIMIT_RETRY_FAILED", errors.LimitRetryFailed),
        ("JOB_CANCELED", errors.TaskCanceled),
        ("SOMETHING_FAILED", errors.TaskFailed),
    ],
)
async def test_a_failure_word_with_http_200_is_the_tasks_failure(word, kind):
    poller, seat = make(), Seat({"error_code": 0, "data": {"status": word}})
    poller.watch(seat.watch)
    failure = await seat.outcome()
    assert type(failure) is kind
    assert failure.state == word


async def test_a_few_broken_looks_in_a_row_are_borne():
    script = [BAD_GATEWAY] * 3 + [QUEUED] + [errors.OutcomeUnknown("cut")] * 5 + [SUCCESS]
    poller, seat = make(), Seat(*script)
    poller.watch(seat.watch)
    assert (await seat.outcome()).raw == SUCCESS
    assert len(seat.times) == 10


async def test_too_many_broken_looks_end_the_waiting_with_the_id():
    poller, seat = make(), Seat(BAD_GATEWAY)
    poller.watch(seat.watch)
    lost = await seat.outcome()
    assert type(lost) is errors.ServiceUnavailable
    assert lost.task_id == "t1"
    assert "client.attach('t1')" in str(lost)
    assert len(seat.times) == 6
    assert lost.__cause__ is BAD_GATEWAY


async def test_failing_looks_are_put_ever_farther_apart():
    poller, seat = make(), Seat(BAD_GATEWAY)
    poller.watch(seat.watch)
    await seat.outcome()
    assert seat.times == pytest.approx([5, 10, 20, 40, 80, 140])
    local = Seat(BAD_GATEWAY, service="local")
    poller.watch(local.watch)
    await local.outcome()
    steps = [later - earlier for earlier, later in itertools.pairwise(local.times)]
    assert steps == pytest.approx([1, 2, 4, 8, 16])


@pytest.mark.parametrize("number", [1, 16, 100])
async def test_an_outage_is_borne_as_long_by_many_tasks_as_by_one(number):
    """Only one connection is probed at a time, whoever asks; the others hear so at once."""
    down = errors.ServiceUnreachable("5 connections failed", host="h", retry_after=2.0)
    poller = make()
    seats = [Seat(down, task_id=str(each), service="local") for each in range(number)]
    for seat in seats:
        poller.watch(seat.watch)
    for seat in seats:
        lost = await seat.outcome()
        assert type(lost) is errors.ServiceUnavailable
        assert seat.looks == 0, "a look that was not made is none"
    assert asyncio.get_running_loop().time() == pytest.approx(31, abs=1)


async def test_an_outage_that_passes_costs_nothing():
    down = errors.ServiceUnreachable("5 connections failed", host="h", retry_after=10.0)
    poller, seat = make(), Seat(*[down] * 8, SUCCESS)
    poller.watch(seat.watch)
    assert (await seat.outcome()).raw == SUCCESS
    assert asyncio.get_running_loop().time() == pytest.approx(85, abs=1)


async def test_doubtful_errors_count_as_failure_after_three_in_a_row():
    doubt = errors.ServiceUnavailable(code="PROCESSING_FAILURE", http_status=500)
    poller, seat = make(), Seat(doubt, doubt, QUEUED, doubt, doubt, doubt, SUCCESS)
    poller.watch(seat.watch)
    failure = await seat.outcome()
    assert type(failure) is errors.TaskFailed
    assert failure.code == "PROCESSING_FAILURE"
    assert len(seat.times) == 6


@pytest.mark.parametrize(
    "refusal",
    [
        errors.AuthenticationError("no", http_status=401),
        errors.QuotaExceeded("no", http_status=429),
        errors.EndpointRetired("no", code="ERROR_AI_NOT_EXISTS", http_status=404),
    ],
    ids=repr,
)
async def test_a_refused_key_breaks_the_waiting_off_at_once_and_is_no_failure(refusal):
    poller, seat = make(), Seat(refusal)
    poller.watch(seat.watch)
    outcome = await seat.outcome()
    assert type(outcome) is errors.TaskUnsettled
    assert outcome.task_ids == ("t1",)
    assert "client.attach('t1')" in str(outcome)
    assert outcome.__cause__ is refusal
    assert len(seat.times) == 1


async def test_an_unknown_id_is_named():
    gone = errors.NotFound("gone", code="ERROR_RESOURCE_NOT_FOUND", http_status=404)
    poller, seat = make(), Seat(gone)
    poller.watch(seat.watch)
    outcome = await seat.outcome()
    assert type(outcome) is errors.TaskNotFound
    assert outcome.task_id == "t1"


async def test_an_unknown_state_is_said_once_and_ended_by_the_deadline(caplog):
    events = []
    poller = make(on_event=events.append)
    seat = Seat({"task_status": 17}, policy=PollPolicy(jitter=0.0, deadline=60))
    poller.watch(seat.watch)
    timeout = await seat.outcome()
    assert isinstance(timeout, errors.TaskTimeout)
    assert isinstance(timeout, TimeoutError)
    assert (timeout.task_id, timeout.state, timeout.waited) == ("t1", "17", 60)
    assert asyncio.get_running_loop().time() == pytest.approx(60)
    assert events == [StateUnknown(task_id="t1", state="17")]
    assert caplog.text.count("unknown state") == 1


async def test_the_deadline_ends_waiting_while_a_look_hangs():
    poller, seat = make(), Seat(QUEUED, takes=10_000, policy=PollPolicy(deadline=60))
    poller.watch(seat.watch)
    assert isinstance(await seat.outcome(), errors.TaskTimeout)
    assert asyncio.get_running_loop().time() == pytest.approx(60)
    await poller.aclose()


async def test_retry_after_pauses_all_looks_but_no_deadline():
    throttled = errors.Throttled(code="EXCEEDING_LIMITS", http_status=429, retry_after=40.0)
    poller = make()
    first = Seat(throttled, SUCCESS)
    second = Seat(QUEUED, SUCCESS, task_id="t2", policy=PollPolicy(first=7, interval=5, jitter=0))
    third = Seat(SUCCESS, task_id="t3", policy=PollPolicy(first=8, jitter=0, deadline=30))
    for seat in (first, second, third):
        poller.watch(seat.watch)
    timeout = await third.outcome()
    assert isinstance(timeout, errors.TaskTimeout)
    assert asyncio.get_running_loop().time() == pytest.approx(30)
    await first.outcome()
    await second.outcome()
    assert first.times == pytest.approx([5, 45], abs=0.1)
    assert second.times == pytest.approx([45, 50], abs=0.1)
    assert third.times == []


async def test_looks_share_a_budget_and_leave_a_slot():
    poller = make(looks_at_once=3, looks_per_second=10.0)
    seats = [Seat(SUCCESS, task_id=str(number), takes=0.5) for number in range(30)]
    for seat in seats:
        poller.watch(seat.watch)
    for seat in seats:
        await seat.outcome()
    times = sorted(seat.times[0] for seat in seats)
    for earlier, later in itertools.pairwise(times):
        assert later - earlier >= 0.099
    # three at once of half a second each: 30 looks need five seconds
    assert times[-1] - times[0] >= 4.4


async def test_a_thousand_waiters_are_settled_by_closing():
    poller = make()
    seats = [Seat(QUEUED, task_id=str(number)) for number in range(1000)]
    for seat in seats:
        poller.watch(seat.watch)
    await asyncio.sleep(12)
    await poller.aclose()
    for seat in seats:
        outcome = await seat.outcome()
        assert isinstance(outcome, errors.ClientClosed)
        assert len(outcome.task_ids) == 1000
    late = Seat(QUEUED, task_id="late")
    poller.watch(late.watch)
    assert (await late.outcome()).task_ids == ("late",)
    assert len(asyncio.all_tasks()) == 1


async def test_a_bug_in_the_poller_settles_everybody(caplog):
    poller = make()
    bug = ZeroDivisionError("injected")
    seats = [Seat(QUEUED, task_id="a"), Seat(QUEUED, bug, task_id="b"), Seat(QUEUED, task_id="c")]
    for seat in seats:
        poller.watch(seat.watch)
    for seat in seats:
        outcome = await seat.outcome()
        assert type(outcome) is errors.TaskUnsettled
        assert outcome.task_ids == ("a", "b", "c")
        assert outcome.__cause__ is bug
    assert "the poller broke off" in caplog.text
    again = Seat(SUCCESS)
    poller.watch(again.watch)
    assert (await again.outcome()).raw == SUCCESS


async def test_a_look_cancelled_by_somebody_else_is_made_again():
    poller, seat = make(), Seat(SUCCESS, takes=3.0)
    poller.watch(seat.watch)
    await asyncio.sleep(6)
    (looking,) = poller._looking
    looking.cancel()
    assert (await seat.outcome()).raw == SUCCESS
    assert seat.times == pytest.approx([5, 7])


async def test_a_poller_cancelled_by_somebody_else_leaves_nobody_waiting():
    poller, seat = make(), Seat(QUEUED)
    poller.watch(seat.watch)
    await asyncio.sleep(6)
    poller._runner.cancel()
    outcome = await seat.outcome()
    assert type(outcome) is errors.TaskUnsettled
    assert outcome.task_ids == ("t1",)


async def test_the_poller_runs_in_an_empty_context():
    import contextvars

    request = contextvars.ContextVar("request", default="none")
    found = []
    poller, seat = make(), Seat(SUCCESS)
    original = seat.look

    async def look():
        found.append(request.get())
        return await original()

    seat.watch.look = look
    request.set("req-1")
    poller.watch(seat.watch)
    await seat.outcome()
    assert found == ["none"]


@pytest.mark.parametrize(
    ("service", "first", "interval"),
    [("direct", 5, 5), ("rapidapi", 15, 15), ("local", 0.05, 0.05)],
)
def test_the_rhythm_suits_the_service(service, first, interval):
    policy = PollPolicy().suited_to(service)
    assert (policy.first, policy.interval) == (first, interval)


def test_a_given_rhythm_is_kept():
    assert PollPolicy.fixed(7).suited_to("local").first == 7
    policy = PollPolicy(interval=3).suited_to("direct")
    assert (policy.first, policy.interval) == (3, 3)
    assert [PollPolicy(interval=1, growth=2).next_interval(n, 0.0) for n in (1, 2, 3)] == [1, 2, 4]


@pytest.mark.parametrize(
    "wrong", [{"interval": 0}, {"first": -1}, {"growth": 0.5}, {"deadline": 0}, {"tolerance": -1}]
)
def test_a_policy_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PollPolicy(**wrong)
