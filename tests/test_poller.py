"""The poller, on a virtual clock: no test here waits for real."""

import asyncio
import contextlib
import itertools

import pytest

from ailab_async import errors
from ailab_async.events import StateUnknown, TaskSettled
from ailab_async.poller import Poller, Watch
from ailab_async.protocol.envelope import Reply
from ailab_async.rhythm import PollPolicy, Rhythm

pytestmark = pytest.mark.looptime

QUEUED = {"task_status": 0, "data": {}}
PROCESSING = {"task_status": 1}
SUCCESS = {"task_status": 2, "data": {"image_list": ["https://example.test/a.png"]}}
BAD_GATEWAY = errors.MalformedReply("no JSON", http_status=502, excerpt="<html>")
NO_FACE = errors.InputRejected("pic not has face", code="ERROR_NO_FACE_IN_FILE", http_status=422)


class Seat:
    """Sits in for a handle: scripted answers in, what the poller said out."""

    def __init__(
        self, *script, policy=None, task_id="t1", service="direct", takes=0.0, rhythm=None, **more
    ):
        self.script = list(script)
        self.times = []
        self.readings = []
        self.outcomes = []
        self.at_once = self.most_at_once = 0
        self.takes = takes
        self.end = asyncio.Event()
        rhythm = rhythm or Rhythm((policy or PollPolicy()).suited_to(service))
        self.watch = Watch(
            task_id=task_id,
            asked=self,
            changed=self.readings.append,
            settled=self.settled,
            rhythm=rhythm,
            began=asyncio.get_running_loop().time() - more.pop("age", 0.0),
            deadline=rhythm.policy.deadline_for(by_job=False),
            **more,
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

    def settled(self, outcome):
        self.outcomes.append(outcome)
        self.end.set()

    async def outcome(self):
        await self.end.wait()
        (outcome,) = self.outcomes
        return outcome


def make(**options):
    options = {"looks_at_once": 15, "looks_per_second": 1000.0, **options}
    return Poller(lambda seat: seat.look(), **options)


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
    assert seat.watch.looks == 4


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
    assert (lost.task_id, lost.state) == ("t1", "")
    assert lost.age > 100
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
        assert seat.watch.looks == 0, "a look that was not made is none"
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
    seat = Seat({"task_status": 17}, policy=PollPolicy(deadline=60))
    poller.watch(seat.watch)
    timeout = await seat.outcome()
    assert isinstance(timeout, errors.TaskTimeout)
    assert isinstance(timeout, TimeoutError)
    assert (timeout.task_id, timeout.state, timeout.waited) == ("t1", "17", 60)
    assert asyncio.get_running_loop().time() == pytest.approx(60)
    told, settled = events
    assert told == StateUnknown(task_id="t1", state="17")
    assert isinstance(settled, TaskSettled)
    assert settled.error == "TaskTimeout"
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
    second = Seat(QUEUED, SUCCESS, task_id="t2", policy=PollPolicy(first=7, interval=5))
    third = Seat(SUCCESS, task_id="t3", policy=PollPolicy(first=8, deadline=30))
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
    assert seat.times == pytest.approx([5, 10])


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

    seat.look = look
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


async def test_a_task_of_elsewhere_is_looked_at_at_once_where_that_is_polite():
    poller = make()
    old = Seat(SUCCESS, attached=True, age=7.0)
    unknown = Seat(SUCCESS, attached=True, age_known=False, task_id="t2")
    young = Seat(SUCCESS, attached=True, age=2.0, task_id="t3")
    ours = Seat(SUCCESS, age=7.0, task_id="t4")
    for seat in (old, unknown, young, ours):
        poller.watch(seat.watch)
    for seat in (old, unknown, young, ours):
        await seat.outcome()
    assert old.times + unknown.times == pytest.approx([0, 0], abs=0.01)
    assert young.times + ours.times == pytest.approx([3, 3], abs=0.01)


async def test_a_task_of_unknown_age_is_looked_at_in_the_documented_rhythm():
    poller = make()
    seat = Seat(QUEUED, QUEUED, SUCCESS, attached=True, age_known=False)
    poller.watch(seat.watch)
    await seat.outcome()
    assert seat.times == pytest.approx([0, 5, 10], abs=0.01)


class Lasting(Seat):
    """A seat whose task ends at an age, whenever it is looked at."""

    async def look(self):
        age = asyncio.get_running_loop().time() - self.watch.began
        self.script = [NO_FACE if age >= 8 else QUEUED]
        return await super().look()


async def test_nothing_is_learnt_from_tasks_that_were_submitted_elsewhere():
    poller, rhythm = make(), Rhythm(PollPolicy().suited_to("direct"), seed=1)
    for attached, learnt in ((True, False), (False, True)):
        for number in range(40):
            seat = Lasting(QUEUED, attached=attached, rhythm=rhythm, task_id=f"t{number}")
            poller.watch(seat.watch)
            await seat.outcome()
        assert rhythm.learnt is learnt


async def test_a_failed_task_teaches_as_well_when_it_ended():
    poller, rhythm = make(), Rhythm(PollPolicy().suited_to("direct"), seed=1)
    for number in range(60):
        seat = Lasting(QUEUED, rhythm=rhythm, task_id=f"t{number}")
        poller.watch(seat.watch)
        await seat.outcome()
    assert rhythm.learnt
    assert 8 <= seat.times[-1] - seat.watch.began < 9


async def test_a_clock_that_jumps_ahead_costs_no_looks_and_loses_nobody():
    """A laptop that slept: what was due meanwhile is done once, and deadlines hold."""
    poller = make()
    seat = Seat(QUEUED, QUEUED, SUCCESS)
    late = Seat(QUEUED, task_id="t2", policy=PollPolicy(deadline=60))
    for each in (seat, late):
        poller.watch(each.watch)
    await asyncio.sleep(6)
    before = len(seat.times)
    with jumped(asyncio.get_running_loop(), 600):
        assert (await seat.outcome()).raw == SUCCESS
        assert isinstance(await late.outcome(), errors.TaskTimeout)
        assert asyncio.get_running_loop().time() > 600
    assert len(seat.times) == before + 2


@contextlib.contextmanager
def jumped(loop, seconds):
    """Let the loop's clock be ahead by so much."""
    original = loop.time
    loop.time = lambda: original() + seconds
    try:
        yield
    finally:
        loop.time = original


def test_a_task_by_job_id_is_not_waited_for_beyond_its_retention():
    policy = PollPolicy().suited_to("direct")
    assert policy.deadline_for(by_job=False) == 1800
    assert policy.deadline_for(by_job=True) == 1500
    assert PollPolicy(deadline=7).deadline_for(by_job=True) == 7


def test_a_given_rhythm_is_kept():
    assert PollPolicy.fixed(7).suited_to("local").first == 7
    policy = PollPolicy(interval=3).suited_to("direct")
    assert (policy.first, policy.interval) == (3, 3)
    rhythm = Rhythm(PollPolicy(interval=1, growth=2).suited_to("direct"))
    ages = [0.0]
    for looks in range(4):
        ages.append(rhythm.next_look(age=ages[-1], looks=looks))
    assert ages == [0, 1, 2, 4, 8]


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": 0},
        {"interval": "5"},
        {"first": -1},
        {"growth": 0.5},
        {"growth": 11},
        {"jitter": 1.5},
        {"floor": float("nan")},
        {"look_price": float("inf")},
        {"learn": 1},
        {"deadline": 0},
        {"tolerance": -1},
        {"tolerance": 2.5},
        {"max_looks_per_second": True},
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_is_refused(wrong):
    with pytest.raises(errors.InvalidOperation) as caught:
        PollPolicy(**wrong)
    assert caught.value.field == next(iter(wrong))


async def test_two_handles_of_one_task_ask_no_more_than_one():
    poller = make()
    first = Seat(QUEUED, QUEUED, QUEUED, SUCCESS, takes=0.5)
    second = Seat(attached=True, age_known=False, takes=0.5)
    second.script = first.script  # it is one task
    for seat in (first, second):
        poller.watch(seat.watch)
    assert (await first.outcome()).raw == SUCCESS
    assert (await second.outcome()).raw == SUCCESS
    times = sorted(first.times + second.times)
    assert all(later - earlier > 0.49 for earlier, later in itertools.pairwise(times))
    assert len(times) <= 6


async def test_what_breaks_in_learning_costs_no_task(caplog):
    class Broken(Rhythm):
        def looked(self, **_):
            raise ZeroDivisionError

    poller = make()
    rhythm = Broken(PollPolicy().suited_to("direct"))
    good, bad = Seat(QUEUED, SUCCESS, rhythm=rhythm), Seat(NO_FACE, rhythm=rhythm, task_id="t2")
    for seat in (good, bad):
        poller.watch(seat.watch)
    assert (await good.outcome()).raw == SUCCESS
    assert isinstance(await bad.outcome(), errors.TaskFailed)
    assert "learning from a look broke off" in caplog.text


async def test_an_old_record_or_a_wrong_clock_makes_nobody_wait_longer():
    """What was learnt is about tasks of this client, and not about one of five hours."""
    rhythm = Rhythm(PollPolicy().suited_to("direct"), seed=1)
    for _ in range(60):
        rhythm.looked(since=5.0, age=10.0, ended=True)
    poller = make()
    seat = Seat(QUEUED, QUEUED, QUEUED, SUCCESS, attached=True, age=18_000.0, rhythm=rhythm)
    poller.watch(seat.watch)
    await seat.outcome()
    assert seat.times == pytest.approx([0, 5, 10, 15], abs=0.01)


async def test_there_is_a_last_look_before_the_deadline():
    rhythm = Rhythm(PollPolicy(deadline=15.5).suited_to("direct"), seed=1)
    for _ in range(60):
        rhythm.looked(since=5.0, age=10.0, ended=True)
        rhythm.looked(since=20.0, age=25.0, ended=True)
    assert rhythm.learnt
    poller, seat = make(), Seat(QUEUED, rhythm=rhythm)
    poller.watch(seat.watch)
    assert isinstance(await seat.outcome(), errors.TaskTimeout)
    assert 15 < seat.times[-1] < 15.5


async def test_a_kept_failure_holds_no_frames():
    poller = make()

    class Deep(Seat):
        async def look(self):
            answer = "x" * 100_000
            raise errors.InputRejected(answer[:3], code="ERROR_NO_FACE_IN_FILE", http_status=422)

    seat = Deep(QUEUED)
    poller.watch(seat.watch)
    failure = await seat.outcome()
    assert failure.__cause__.__traceback__ is None


async def test_settled_watches_do_not_stay_in_the_heap():
    poller = make()
    slow = PollPolicy(first=1000, interval=1000, deadline=10)
    waits = [Seat(QUEUED, policy=slow, task_id=f"t{number}") for number in range(500)]
    last = Seat(QUEUED, policy=PollPolicy(first=1000, deadline=900), task_id="last")
    for seat in (*waits, last):
        poller.watch(seat.watch)
    for seat in waits:
        await seat.outcome()
    assert len(poller._heap) < 100
    await poller.aclose()
