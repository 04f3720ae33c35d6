"""The whole client slows down when throttled, stops trying a dead server, and bounds its memory."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Reply, answer
from test_transport import ACCEPTED, Wire, scripted

from ailab_async import errors
from ailab_async.retry import Circuit, RetryPolicy, Throttle
from ailab_async.transport import Budget

ONCE = RetryPolicy(attempts=1)
BUSY = answer({"error_detail": {"code": "EXCEEDING_LIMITS"}}, 429)


# --- the limit -----------------------------------------------------------------------------------


def test_a_cut_halves_the_limit_once_a_round_trip():
    throttle = Throttle(16)
    assert throttle.cut(sent_at=1.0, now=2.0)
    assert throttle.limit == 8
    # these were sent before the cut was known, and say the same once more
    assert not throttle.cut(sent_at=1.5, now=2.1)
    assert not throttle.cut(sent_at=2.0, now=2.2)
    assert throttle.limit == 8
    assert throttle.cut(sent_at=2.5, now=3.0)
    assert throttle.limit == 4
    for moment in range(10, 20):
        throttle.cut(sent_at=moment, now=moment + 0.5)
    assert throttle.limit == 1


def test_the_limit_grows_back_one_by_one():
    throttle = Throttle(8)
    throttle.cut(sent_at=1.0, now=2.0)
    grown = [(number, throttle.limit) for number in range(1, 101) if throttle.grow()]
    # a whole round of clean exchanges earns one more place
    assert grown == [(4, 5), (9, 6), (15, 7), (22, 8)]


async def test_throttling_slows_the_whole_client_and_it_recovers():
    handler = scripted(BUSY, answer(ACCEPTED))
    async with Loopback(handler) as server, Wire(server.url, max_in_flight=8) as wire:
        assert await wire.submit() == "t-1"
        assert wire.transport._slots.limit == 4
        slowed = [event for event in wire.events if event.name == "throttled"]
        assert [(event.limit, event.wait) for event in slowed] == [(4, 0.001)]
        for _ in range(40):
            await wire.submit()
        assert wire.transport._slots.limit == 8


async def test_looks_pause_while_the_service_asks_for_it():
    """Also a look that has nothing to do with the submission that was throttled."""
    busy = answer({"error_detail": {"code": "EXCEEDING_LIMITS"}}, 429, retry_after="1")
    handler = scripted(busy, answer({"task_status": 1}))
    async with Loopback(handler) as server, Wire(server.url, retry=ONCE) as wire:
        with pytest.raises(errors.Throttled):
            await wire.submit()
        look = asyncio.create_task(wire.look(action="look", attempts=1))
        await asyncio.sleep(0.02)
        assert len(server.seen) == 1
        wire.transport._pace._calm_at = 0.0
        look.cancel()
        await asyncio.wait((look,))
        await wire.look(action="look", attempts=1)
        assert len(server.seen) == 2


# --- the circuit ---------------------------------------------------------------------------------


def test_a_circuit_opens_after_five_failures_and_lets_one_probe_through():
    circuit = Circuit(pause=2.0)
    for _ in range(4):
        assert circuit.admit(0.0) == 0
        circuit.failed(0.0)
    assert not circuit.is_open
    circuit.failed(10.0)
    assert circuit.is_open
    assert circuit.admit(11.0) == pytest.approx(1.0)
    assert circuit.admit(12.0) == 0
    assert circuit.admit(12.0) > 0, "one probe at a time"
    circuit.failed(12.5)
    assert circuit.admit(14.0) == pytest.approx(2.5), "the pause doubles"
    assert circuit.admit(16.5) == 0
    circuit.gave_up()
    assert circuit.admit(16.5) == 0, "a probe that ended without telling makes room"
    circuit.connected()
    assert circuit.admit(16.5) == circuit.admit(16.5) == 0


@given(st.lists(st.sampled_from(["connected", "failed", "gave_up"]), max_size=60))
def test_a_circuit_never_closes_for_good(steps):
    circuit, now = Circuit(), 0.0
    for step in steps:
        while wait := circuit.admit(now):
            assert wait <= circuit.longest_pause
            now += wait
        if step == "failed":
            circuit.failed(now)
        else:
            getattr(circuit, step)()
    assert circuit.admit(now + 61.0) == 0


async def test_a_dead_server_is_told_at_once_and_costs_no_more_connections(unused_tcp_port):
    async with Wire(f"http://127.0.0.1:{unused_tcp_port}", retry=ONCE) as wire:
        for _ in range(5):
            with pytest.raises(errors.NotDelivered):
                await wire.submit()
        for _ in range(50):
            with pytest.raises(errors.ServiceUnavailable, match="nothing was sent") as caught:
                await wire.submit()
        assert 0 < caught.value.retry_after <= 2.0
        assert wire.names().count("submit.started") == 5


async def test_a_server_that_comes_back_is_found_by_a_probe(unused_tcp_port):
    async with Wire(f"http://127.0.0.1:{unused_tcp_port}", retry=ONCE) as wire:
        wire.transport._pace.circuit.pause = 0.0
        for _ in range(8):
            with pytest.raises(errors.NotDelivered):
                await wire.submit()
        async with Loopback(scripted(answer(ACCEPTED))) as server:
            wire.route = type(wire.route)(origin=server.url, path="/submit")
            assert await wire.submit() == "t-1"
            assert not wire.transport._pace.circuit.is_open


async def test_two_thousand_calls_to_a_failing_server_cost_few_more():
    broken = answer({"error_detail": {"code": "SERVICE_INTERNAL_ERROR"}}, 500)
    quick = RetryPolicy(base=0.0001)
    async with Loopback(scripted(broken)) as server, Wire(server.url, retry=quick) as wire:

        async def call():
            with pytest.raises(errors.ServiceUnavailable):
                await wire.submit()

        for _ in range(20):
            await asyncio.gather(*(call() for _ in range(100)))
        assert 2000 < len(server.seen) <= 2100


# --- the memory ----------------------------------------------------------------------------------


async def test_a_budget_is_shared_in_order_and_given_back():
    budget = Budget(100)
    first = await budget.hold(60)
    order = []

    async def take(name, size):
        hold = await budget.hold(size)
        order.append(name)
        return hold

    large = asyncio.create_task(take("large", 90))
    small = asyncio.create_task(take("small", 10))
    await asyncio.sleep(0)
    assert order == [], "a small one does not overtake for ever a large one"
    first.release()
    (await large).release()
    (await small).release()
    assert order == ["large", "small"]
    assert budget.held == 0
    alone = await budget.hold(10_000)
    assert budget.held == 100
    alone.release()


async def test_a_cancelled_wait_takes_nothing_and_lets_the_next_one_in():
    budget = Budget(100)
    first = await budget.hold(100)
    waiting = [asyncio.create_task(budget.hold(60)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    first.release()
    waiting[1].cancel()  # in the same step in which it was given its share
    await asyncio.wait(waiting)
    assert budget.held == 60
    (await waiting[2]).release()
    assert budget.held == 0


async def test_a_hold_lasts_as_long_as_somebody_keeps_it():
    budget = Budget(100)
    hold = await budget.hold(80)
    hold.shrink(30)
    assert budget.held == 30
    hold.shrink(90)
    hold.keep()
    hold.release()
    assert budget.held == 30
    hold.release()
    assert budget.held == 0


async def test_an_abandoned_exchange_keeps_its_bytes_until_it_ends():
    release = asyncio.Event()

    async def stuck(_):
        await release.wait()
        return answer(ACCEPTED)

    budget = Budget(1000)
    async with Loopback(stuck) as server, Wire(server.url) as wire:
        hold = await budget.hold(500)

        async def submit():
            try:
                await wire.submit(hold=hold)
            finally:
                hold.release()

        caller = asyncio.create_task(submit())
        while not server.whole():
            await asyncio.sleep(0.001)
        caller.cancel()
        await asyncio.wait((caller,))
        assert budget.held == 500
        release.set()
        while budget.held:
            await asyncio.sleep(0.001)
        assert wire.orphans == ["t-1"]


async def test_a_bomb_an_endless_body_and_a_lie_cost_little_memory():
    import gzip
    import tracemalloc

    bomb = gzip.compress(gzip.compress(gzip.compress(bytes(50 * 2**20))))
    faults = [
        Reply(body=bomb, headers={"content-encoding": "gzip,gzip,gzip"}),
        Reply(body=bomb, headers={"content-encoding": "gzip"}),
        Reply(body=b"x" * 2**16, endless=True, length=2**40),
        Reply(body=b"x" * 2**16, endless=True, length=-1),
    ]
    for fault in faults:
        async with Loopback(scripted(fault)) as server, Wire(server.url) as wire:
            tracemalloc.start()
            with pytest.raises(errors.AILabError):
                await wire.look(attempts=1)
            with pytest.raises(errors.DownloadFailed):
                await wire.download(f"{server.url}/a.png", max_bytes=2**19)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert most < 20 * 2**20


async def test_however_many_operations_wait_few_pictures_are_in_memory(tmp_path):
    import tracemalloc

    from PIL import Image

    from ailab_async import AsyncClient, HDColorMigration, Service

    photo = tmp_path / "photo.png"
    noise = Image.effect_noise((640, 640), 90).convert("RGB")
    Image.merge("RGB", [channel.rotate(90 * n) for n, channel in enumerate(noise.split())]).save(
        photo, compress_level=0
    )
    size = photo.stat().st_size
    assert size > 2**20
    operations = [HDColorMigration(photo) for _ in range(100)]
    async with Loopback(scripted(answer({"task_id": "t", "error_code": 0}))) as server:
        server.keep_bodies = False
        options = {"service": Service.local(server.url), "max_bytes_in_flight": 4 * size}
        async with AsyncClient(**options) as client:
            await client.submit(operations[0])
            tracemalloc.start()
            await asyncio.gather(*(client.submit(operation) for operation in operations))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert client._session.budget.held == 0
        assert len(server.whole()) == 101
    # four at once, and what sockets and this server have in their buffers, of a hundred
    assert most < 8 * size


async def test_a_place_given_to_somebody_who_was_cancelled_goes_to_the_next(caplog):
    budget = Budget(10)
    first = await budget.hold(10)
    waiting = [asyncio.create_task(budget.hold(4)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    first.release()  # in the same step: nobody has told the budget of the cancellation
    await asyncio.wait(waiting)
    assert budget.held == 8
    for task in waiting[1:]:
        (await task).release()
    assert budget.held == 0


async def test_any_order_of_cancellations_and_releases_leaves_nothing_held():
    import random

    dice = random.Random(7)
    for _ in range(200):
        budget = Budget(10)
        holds, waiting = [await budget.hold(10)], []
        for _ in range(30):
            step = dice.random()
            if step < 0.4:
                waiting.append(asyncio.create_task(budget.hold(dice.randint(1, 12))))
            elif step < 0.6 and waiting:
                dice.choice(waiting).cancel()
            elif step < 0.8 and holds:
                holds.pop().release()
            else:
                await asyncio.sleep(0)
                done = [task for task in waiting if task.done()]
                waiting = [task for task in waiting if not task.done()]
                holds += [task.result() for task in done if not task.cancelled()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        holds += [task.result() for task in waiting if not task.cancelled()]
        for hold in holds:
            hold.release()
        assert budget.held == 0


async def test_a_closed_budget_lets_nobody_wait():
    budget = Budget(10)
    first = await budget.hold(10)
    waiting = [asyncio.create_task(budget.hold(5)) for _ in range(3)]
    await asyncio.sleep(0)
    budget.close()
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert type(outcome) is errors.ClientClosed
    with pytest.raises(errors.ClientClosed):
        await budget.hold(1)
    first.release()
    assert budget.held == 0
