"""Many operations as a stream of outcomes: over a real socket, with a scripted service."""

import asyncio
import itertools
import sys
from pathlib import Path

import pytest
from loopback import answer

sys.path.insert(0, str(Path(__file__).parent))

from batch_service import MADE, picture
from scripted_batch import (
    BatchService,
    client_of,
    nobody_else,
    photos,
    run,
    states,
    tasks_of_batches,
    until,
)

from ailab_async import AsyncClient, HDColorMigration, InvalidOperation, Service, errors


@pytest.fixture
async def service():
    async with BatchService() as scripted:
        yield scripted


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "run.sqlite"


# --- outcomes ------------------------------------------------------------------------------------


async def test_outcomes_come_as_they_complete(service):
    service.slow = {0}
    async with client_of(service) as client, client.map(photos(0, 1, 2)) as outcomes:
        early = [await anext(outcomes), await anext(outcomes)]
        assert {outcome.index for outcome in early} == {1, 2}
        service.slow.clear()
        (last,) = [outcome async for outcome in outcomes]
        assert last.index == 0
        assert MADE % 0 in await last.result.files[0].read()
        assert last.timings.waiting > 0
        assert last.timings.total >= last.timings.waiting
        assert last.record["id"] in service.tasks
        assert last.state is None


async def test_outcomes_can_come_in_the_order_of_the_operations(service):
    service.slow = {0}
    async with client_of(service) as client, client.map(photos(0, 1, 2), ordered=True) as outcomes:
        await until(lambda: outcomes.progress.done == 2)
        service.slow.clear()
        assert [outcome.index async for outcome in outcomes] == [0, 1, 2]


async def test_several_tasks_may_take_from_one_stream(service):
    async with client_of(service) as client, client.map(photos(*range(6))) as outcomes:

        async def take():
            return [outcome.index async for outcome in outcomes]

        both = await asyncio.gather(take(), take())
        assert sorted(itertools.chain(*both)) == list(range(6))


@pytest.mark.parametrize("kind", ["list", "generator", "async generator"])
async def test_operations_come_from_anything_that_can_be_iterated(service, kind):
    async def one_by_one():
        for operation in photos(0, 1, 2):
            yield operation

    given = {
        "list": photos(0, 1, 2),
        "generator": (operation for operation in photos(0, 1, 2)),
        "async generator": one_by_one(),
    }
    async with client_of(service) as client:
        found, outcomes = await run(client, given[kind])
    assert [outcome.ok for outcome in found] == [True] * 3
    assert outcomes.progress.total == (3 if kind == "list" else None)
    assert nobody_else()


async def test_an_endless_source_is_pulled_no_faster_than_it_is_worked_on(service):
    pulled = 0

    async def endless():
        nonlocal pulled
        while True:
            pulled += 1
            yield HDColorMigration(picture(pulled))

    async with client_of(service) as client, client.map(endless(), look_ahead=3) as outcomes:
        for taken in range(5):
            await until(lambda: outcomes.progress.ended == pulled > 0)
            assert pulled == 3 + taken
            await anext(outcomes)
            await until(lambda: pulled == 4 + taken)  # noqa: B023 - awaited here
    assert nobody_else()


async def test_failures_are_values_that_know_their_operation(service, tmp_path):
    service.refused = {1: answer({"error_code": 2, "error_code_str": "ERROR_NO_FACE_IN_FILE"}, 422)}
    service.failing = {2}
    missing = HDColorMigration(tmp_path / "missing.png")
    operations = [*photos(0, 1, 2), missing, HDColorMigration(b"no picture")]
    async with client_of(service) as client:
        found, outcomes = await run(client, operations)
    assert [outcome.operation for outcome in found] == operations
    assert [type(outcome.error) for outcome in found] == [
        type(None),
        errors.InputRejected,
        errors.TaskFailed,
        InvalidOperation,
        InvalidOperation,
    ]
    assert [outcome.ok for outcome in found] == [True, False, False, False, False]
    assert (outcomes.progress.done, outcomes.progress.failed) == (1, 4)
    assert sorted(service.sent) == [0, 1, 2]


async def test_an_answer_that_cannot_be_read_costs_its_neighbours_nothing(service, journal):
    service.strange = {1}
    async with client_of(service) as client:
        found, _ = await run(client, photos(0, 1, 2, 3), journal=journal)
        assert [type(outcome.error) for outcome in found] == [
            type(None),
            errors.MalformedReply,
            type(None),
            type(None),
        ]
        service.strange.clear()  # it was paid for: a later run gets it by its id
        found, _ = await run(client, photos(0, 1, 2, 3), journal=journal)
    assert [outcome.ok for outcome in found] == [True] * 4
    assert sorted(service.sent) == [0, 1, 2, 3]


async def test_the_source_that_raises_ends_the_stream_after_what_it_had_given(service):
    def broken():
        yield from photos(0, 1)
        message = "no more"
        raise LookupError(message)

    async with client_of(service) as client:
        found = []
        with pytest.raises(LookupError, match="no more"):
            await run(client, broken(), found=found)
    assert sorted(outcome.index for outcome in found) == [0, 1]
    assert nobody_else()


async def test_progress_tells_where_the_batch_stands(service):
    service.slow = {1}
    async with client_of(service) as client:
        outcomes = client.map(photos(0, 1, 2))
        with pytest.raises(RuntimeError, match="before its 'async with'"):
            outcomes.progress  # noqa: B018
        async with outcomes:
            await until(lambda: outcomes.progress.done == 2)
            progress = outcomes.progress
            assert (progress.pulled, progress.total, progress.open) == (3, 3, 1)
            assert progress.sent > 3 * len(picture(0))
            assert progress.rate > 0
            assert progress.time_left > 0
            service.slow.clear()
            async for _ in outcomes:
                pass
            assert (outcomes.progress.open, outcomes.progress.time_left) == (0, 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("operations", HDColorMigration(b"x")),
        ("operations", "photos/*.jpg"),
        ("operations", 3),
        ("look_ahead", 0),
        ("look_ahead", True),
        ("on_unknown", "send"),
        ("on_failed", "hold"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(name, value):
    options = {"operations": [], name: value}
    client = AsyncClient(service=Service.local("http://127.0.0.1:9"))
    with pytest.raises(InvalidOperation) as caught:
        client.map(options.pop("operations"), **options)
    assert caught.value.field == name


# --- what stops a batch --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer({"error_code": 1, "error_code_str": "ERROR_NOT_ENOUGH_CREDITS"}, 429), "Credits"),
        (answer({"error_code": 1, "error_msg": "no key"}, 401), "Authentication"),
    ],
)
async def test_no_credits_and_a_bad_key_stop_the_batch(service, journal, said, kind):
    service.slow = set(range(40))
    service.refused = {5: said}
    found = []
    async with client_of(service, max_in_flight=1) as client:
        with pytest.raises(errors.BatchStopped) as caught:
            await run(client, photos(*range(40)), journal=journal, found=found)
    stopped = caught.value
    assert type(stopped.__cause__).__name__.startswith(kind)
    assert [type(outcome.error).__name__.startswith(kind) for outcome in found] == [True]
    assert service.sent[-1] == 5, "nothing more is sent"
    assert {record["id"] for record in stopped.records} == set(service.tasks)
    assert f"{len(service.tasks)} task(s) were open" in str(stopped)
    assert (await states(journal)).count("submitted") == len(service.tasks) == len(service.sent) - 1
    assert set(await states(journal)) <= {"submitted", "pending"}
    assert nobody_else()


async def test_a_whole_batch_that_was_stopped_gives_what_had_ended_in_order(service):
    service.slow = {1}
    service.refused = {3: answer({"error_code": 1, "error_msg": "no key"}, 401)}
    found = []
    async with client_of(service) as client:
        with pytest.raises(errors.BatchStopped):
            await run(client, photos(0, 1, 2, 3), ordered=True, found=found)
    indices = [outcome.index for outcome in found]
    assert indices == sorted(indices)
    assert indices[-1] == 3
    assert 1 not in indices


# --- leaving early -------------------------------------------------------------------------------


async def broken_off(take, _):
    with pytest.raises(LookupError, match="of the user"):
        await take(LookupError("of the user"))


async def cancelled(take, ready):
    taking = asyncio.create_task(take())
    await until(ready)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking


async def timed_out(take, ready):
    limit = asyncio.timeout(1000)

    async def within():
        async with limit:
            await take()

    taking = asyncio.create_task(within())
    await until(ready)
    limit.reschedule(asyncio.get_running_loop().time())
    with pytest.raises(TimeoutError):
        await taking


async def in_a_group(take, ready):
    async def fail():
        await until(ready)
        message = "somebody else"
        raise LookupError(message)

    async def together():
        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup, match="TaskGroup"):
        await together()


async def by_break(take, _):
    await take(None)


@pytest.mark.parametrize("leave", [by_break, broken_off, cancelled, timed_out, in_a_group])
async def test_leaving_early_leaves_nothing_behind_but_what_is_open(service, journal, leave):
    service.slow = set(range(1, 100))
    left = []

    async def take(*how):
        async with client.map(photos(*range(40)), journal=journal, look_ahead=4) as outcomes:
            left.append(outcomes)
            async for _ in outcomes:
                if not how:
                    continue
                await until(lambda: outcomes.progress.open == 4)
                if how[0] is not None:
                    raise how[0]
                break

    async with client_of(service) as client:
        await leave(take, lambda: left and (left[0].progress.open, left[0].progress.done) == (4, 1))
        sent = len(service.sent)
        (outcomes,) = left
        assert not tasks_of_batches()
        assert outcomes.progress.pulled <= 6
        assert len(outcomes.open) == 4
        assert {record["id"] for record in outcomes.open} <= set(service.tasks)
        assert (await states(journal)).count("submitted") == 4, "the journal was closed"
        with pytest.raises(errors.ClientClosed, match="async with"):
            await anext(outcomes)
        service.slow.clear()
        for record in outcomes.open:
            assert (await (await client.attach(record))).files
        assert len(service.sent) == sent
    assert nobody_else()


async def test_what_waits_for_a_slot_when_a_batch_is_left_is_not_sent(service, journal):
    answered = asyncio.Event()

    async def hold_back(seen):
        if seen.method == "POST":
            await answered.wait()

    service.before_answer = hold_back
    async with client_of(service, max_in_flight=1) as client:
        async with client.map(photos(*range(5)), journal=journal) as outcomes:
            await until(lambda: len(service.server.whole()) == 1)
            asyncio.get_running_loop().call_soon(answered.set)
        assert [record["id"] for record in outcomes.open] == ["t-1"]
    assert len(service.sent) == 1
    assert sorted(await states(journal)) == ["pending"] * 4 + ["submitted"]


async def test_a_throttled_operation_is_not_sent_again_when_its_batch_is_left(service, journal):
    service.refused = {0: answer({"error_code": 1}, 429, retry_after="1")}
    async with client_of(service) as client, client.map(photos(0), journal=journal):
        await until(lambda: service.sent == [0])
    assert service.sent == [0]
    assert await states(journal) == ["pending"]


async def test_a_source_that_is_left_is_closed(service):
    closed = []

    async def endless():
        try:
            for number in itertools.count():
                yield HDColorMigration(picture(number))
        finally:
            closed.append(True)

    async with client_of(service) as client:
        async with client.map(endless(), look_ahead=2) as outcomes:
            await anext(outcomes)
        await until(lambda: closed)
    assert nobody_else()


async def test_a_batch_is_entered_once(service):
    async with client_of(service) as client:
        outcomes = client.map(photos(0))
        async with outcomes:
            with pytest.raises(RuntimeError, match="entered once"):
                await outcomes.__aenter__()
        with pytest.raises(errors.ClientClosed):
            await anext(client.map(photos(0)))
