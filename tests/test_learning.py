"""When tasks are looked at: what is learnt from looks, and what is made of it.

Durations are drawn with fixed seeds and time is arithmetic: every figure is always the same. The
costs are those of `tests/benchmarks/bench_polling.py`, which shows more of them.
"""

import bisect
import heapq
import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailab_async.durations import Durations, Estimate
from ailab_async.rhythm import PollPolicy, Rhythm
from ailab_async.timetable import best_timetables, cost_of_rhythm

UNIT = 5.0
PRICE = 0.3
"""What a look is worth in seconds: that of the default policy at 5 s."""

DRAWS = {
    "uniform": lambda dice: dice.uniform(3, 30),
    "lognormal 0.35": lambda dice: 10 * math.exp(dice.gauss(0, 0.35)),
    "lognormal 0.8": lambda dice: 10 * math.exp(dice.gauss(0, 0.8)),
    "bimodal": lambda dice: max(0.1, dice.gauss(5 if dice.random() < 0.7 else 25, 1)),
    "narrow": lambda dice: dice.gauss(8, 0.25),
    "exponential": lambda dice: dice.expovariate(0.1),
}


def drawn(name, count, seed=1):
    dice = random.Random(seed)
    return [DRAWS[name](dice) for _ in range(count)]


def looked(rhythm, durations, *, at_once=16):
    """Return looks and lag of each task, some of them open at a time, under a rhythm."""
    outcomes = [None] * len(durations)
    waiting = iter(range(len(durations)))
    due = []

    def begin(now):
        number = next(waiting, None)
        if number is not None:
            first = rhythm.next_look(age=0.0, looks=0, number=number)
            heapq.heappush(due, (now + first, number, now, 0, 0.0))

    for place in range(at_once):
        begin(place * UNIT / at_once)
    while due:
        now, number, began, looks, since = heapq.heappop(due)
        age, looks = now - began, looks + 1
        assert looks <= age / UNIT + 1e-6, "more looks than the documented rhythm would have made"
        ended = durations[number] <= age
        rhythm.looked(since=since, age=age, ended=ended)
        if ended:
            outcomes[number] = (looks, age - durations[number])
            begin(now)
        else:
            age_of_next = rhythm.next_look(age=age, looks=looks, number=number)
            assert age_of_next > age
            heapq.heappush(due, (began + age_of_next, number, began, looks, age))
    return outcomes


def cost(outcomes, price=PRICE):
    return sum(price * looks + lag for looks, lag in outcomes) / len(outcomes)


def learning(seed=1, **options):
    return Rhythm(PollPolicy(**options).suited_to("direct"), seed=seed)


def documented():
    return Rhythm(PollPolicy.fixed(UNIT).suited_to("direct"))


def optimum(name, price=PRICE):
    """Return the cost of the best polite timetable for the true distribution, and of 5 s."""
    durations = sorted(drawn(name, 20_000, seed=99))
    edges = [0.1 * cell for cell in range(int(durations[-1] / 0.1) + 120)]
    below = [bisect.bisect_right(durations, edge) / len(durations) for edge in edges]
    edges = [edge / UNIT for edge in edges]
    below = [min(share, 1 - 1e-6) for share in below]
    truth = Estimate(edges, below)
    best = best_timetables(truth, price=price / UNIT, dice=lambda low, high: (low + high) // 2)
    return best.cost * UNIT, cost_of_rhythm(truth, price=price / UNIT) * UNIT


# --- the whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWS)
def test_after_two_hundred_tasks_the_cost_is_near_the_optimum(name):
    best, _ = optimum(name)
    costs = []
    for seed in range(10):
        outcomes = looked(learning(seed), drawn(name, 800, seed=seed))
        costs.append(cost(outcomes[200:]))
    assert sum(costs) / len(costs) <= 1.1 * best


@pytest.mark.parametrize("name", ["lognormal 0.35", "bimodal", "narrow"])
def test_where_there_is_something_to_gain_looks_and_lag_are_gained(name):
    durations = drawn(name, 1000, seed=3)
    learnt, fixed = (looked(rhythm, durations)[200:] for rhythm in (learning(), documented()))
    for part in (0, 1):
        ours, theirs = (sum(outcome[part] for outcome in run) for run in (learnt, fixed))
        assert ours < 0.9 * theirs


@pytest.mark.parametrize("name", ["lognormal 0.8", "exponential"])
def test_where_there_is_nothing_to_gain_nothing_is_lost(name):
    ratios = []
    for seed in (1, 2, 3):
        durations = drawn(name, 1000, seed=seed)
        learnt, fixed = (looked(rhythm, durations) for rhythm in (learning(seed), documented()))
        ratios.append(cost(learnt) / cost(fixed))
    assert sum(ratios) / len(ratios) < 1.03


def test_nothing_is_made_of_a_handful_of_tasks():
    durations = drawn("bimodal", 7)
    assert looked(learning(), durations) == looked(documented(), durations)


@pytest.mark.parametrize(("before", "after"), [(8.0, 20.0), (20.0, 8.0)])
def test_a_shift_of_the_service_is_followed_within_a_hundred_tasks(before, after):
    dice = random.Random(5)
    durations = [dice.gauss(before if number < 400 else after, 0.4) for number in range(800)]
    shifted = looked(learning(), durations)
    settled = looked(learning(), durations[400:])
    fixed = looked(documented(), durations)
    assert cost(shifted[500:]) < 1.3 * cost(settled[100:])
    assert cost(shifted[500:]) < 0.6 * cost(fixed[500:])


def test_ten_thousand_under_way_are_not_taken_for_fast_because_the_fast_ones_ended_first():
    """The first hundred ends of many tasks begun together say little about the rest."""
    durations = drawn("lognormal 0.35", 3000)
    rhythm = learning()
    together = looked(rhythm, durations, at_once=3000)
    fixed = looked(documented(), durations, at_once=3000)
    assert rhythm.learnt
    assert cost(together) <= 1.01 * cost(fixed)


def test_a_dearer_look_gets_fewer_of_them():
    durations = drawn("uniform", 800)
    runs = [looked(learning(look_price=price), durations)[200:] for price in (0.3, 2.0)]
    cheap, dear = (sum(looks for looks, _ in run) for run in runs)
    assert dear < 0.85 * cheap


# --- the policy ----------------------------------------------------------------------------------


def test_what_is_told_is_done_and_nothing_is_learnt():
    for policy in (PollPolicy.fixed(2), PollPolicy(first=1), PollPolicy(growth=2, jitter=0.5)):
        assert not policy.suited_to("direct").learn
    assert PollPolicy(interval=2, learn=True).suited_to("direct").learn
    assert PollPolicy(deadline=60, look_price=1).suited_to("rapidapi").learn
    rhythm = Rhythm(PollPolicy(first=3, interval=2).suited_to("direct"))
    for _ in range(50):
        rhythm.looked(since=3.0, age=5.0, ended=True)
    assert [rhythm.next_look(age=0, looks=0), rhythm.next_look(age=3, looks=1)] == [3, 5]
    assert not rhythm.learnt


def test_looks_at_one_task_are_never_closer_than_the_floor():
    rhythm = Rhythm(PollPolicy(floor=4.0).suited_to("direct"))
    assert rhythm.next_look(age=0.0, looks=0) == 5
    assert rhythm.next_look(age=9.0, looks=1) == 13


def test_a_late_look_is_followed_at_the_next_time_of_the_rhythm():
    rhythm = learning()
    assert rhythm.next_look(age=0.0, looks=0) == 5
    assert rhythm.next_look(age=33.0, looks=1) == 35
    assert rhythm.next_look(age=35.0, looks=2) == 40


@given(st.floats(0, 1), st.integers(0, 40))
def test_jitter_only_ever_adds(jitter, looks):
    rhythm = Rhythm(PollPolicy(interval=2, jitter=jitter).suited_to("direct"))
    due = rhythm.next_look(age=looks * 2.0, looks=looks)
    assert looks * 2.0 + 2 <= due <= looks * 2.0 + 2 + 2 * jitter + 1e-9


# --- the estimate --------------------------------------------------------------------------------


def share_below(estimate, age):
    cell = bisect.bisect_right(estimate.edges, age) - 1
    return estimate.below[cell]


def test_a_distribution_is_read_from_nothing_but_intervals():
    dice = random.Random(4)
    seen = Durations(dice=dice.random)
    for _ in range(300):
        duration = dice.uniform(1, 5)
        since, age = 0.0, dice.uniform(0.5, 1.5)
        while age < duration:
            seen.alive(since, age)
            since, age = age, age + dice.uniform(0.5, 1.5)
        seen.ended(since, age)
    estimate = seen.estimate()
    for age in (1.5, 2, 3, 4, 5):
        assert share_below(estimate, age) == pytest.approx((age - 1) / 4, abs=0.12)


def test_open_tasks_count_with_the_ages_they_have_reached():
    few, many = (Durations(dice=random.Random(1).random) for _ in range(2))
    for seen, still_open in ((few, 0), (many, 300)):
        for _ in range(20):
            seen.ended(0.0, 1.0)
        for _ in range(still_open):
            seen.alive(0.0, 4.0)
    assert share_below(few.estimate(), 2.0) > 0.9
    assert share_below(many.estimate(), 2.0) < 0.2


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0, 300), st.floats(1e-9, 300), st.booleans()), min_size=1, max_size=80
    )
)
def test_any_looks_give_a_distribution_and_polite_timetables(looks):
    seen = Durations(dice=random.Random(1).random)
    for since, more, ended in looks:
        (seen.ended if ended else seen.alive)(since, since + more)
    seen.ended(0.0, 1.0)
    estimate = seen.estimate()
    assert estimate.below[0] == 0
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(estimate.below))
    assert estimate.below[-1] < 1
    for row in best_timetables(estimate, price=0.06, dice=random.Random(1).randint).rows:
        assert all(a < b for a, b in itertools.pairwise(row))
        for number, age in enumerate(row[:-1][:40], start=1):
            assert age >= number - 1e-9


# --- the timetable -------------------------------------------------------------------------------


def cheapest_by_trying(estimate, ages, price):
    """Return the least cost over every polite choice of the ages: a check of the search."""
    best = math.inf
    moments = estimate.moments
    at = {age: place for place, age in enumerate(estimate.edges)}
    for chosen in range(1, 2 ** len(ages)):
        row = [age for bit, age in enumerate(ages) if chosen >> bit & 1]
        # the last look ends the row, wherever politeness will put it
        if row[-1] != ages[-1] or any(age < look for look, age in enumerate(row[:-1], 1)):
            continue
        total = share = moment = 0.0
        for age in row:
            place = at[age]
            total += price * (1 - share)
            total += age * (estimate.below[place] - share) - (moments[place] - moment)
            share, moment = estimate.below[place], moments[place]
        best = min(best, total + 2 * price * (1 - share))
    return best


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=9, max_size=9), st.floats(0.01, 2))
def test_the_search_finds_what_trying_everything_finds(weights, price):
    edges = [0.5 * number for number in range(10)]
    total = sum(weights) + 1
    below = [0.0]
    for weight in weights:
        below.append(below[-1] + weight / total)
    estimate = Estimate(edges, below)
    found = best_timetables(estimate, price=price, dice=lambda low, _high: low)
    assert found.cost == pytest.approx(cheapest_by_trying(estimate, edges[2:], price))


def test_the_cost_of_the_rhythm_is_that_of_looking_at_every_unit():
    edges = [0.25 * number for number in range(9)]
    below = [0, 0, 0, 0, 0.0, 0.5, 0.5, 0.5, 0.999]
    cost_ = cost_of_rhythm(Estimate(edges, below), price=0.1)
    # half of them end between 1 and 1.25, half between 1.75 and 2: all are found by the second look
    assert cost_ == pytest.approx(0.1 * 2 + 0.5 * 0.875 + 0.499 * 0.125)
