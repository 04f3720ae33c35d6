"""When to look at a task whose duration is uncertain: few looks, and none of them late.

A timetable is a row of ages at which a task is looked at until it is found done. It costs the
looks that are made, at a price each, and the lag: the time from the end of the task to the next
look. For a known distribution of durations the cheapest timetable is found by dynamic programming
over (looks made, age of the last one). Politeness is a constraint in it: look number k is made at
age k or later, in units of the documented rhythm, so that a task of age t has never been looked at
more than ⌊t⌋ times, as often as the documented rhythm would have by then. That leaves the times
free: looks that were saved early may follow each other closely where an end is likely.

Within a layer the best next look never moves back as the last look moves on (the costs fulfil the
quadrangle inequality, as in Knuth's optimal search trees), which bounds the search.

Several nearly equal timetables are returned. Tasks take turns with them: looks at slightly
different ages show more of the distribution than looks that are always at the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from .durations import Estimate

__all__ = ["Timetables", "best_timetables", "cost_of_rhythm"]

_CANDIDATES: Final = 200
"""Ages among which looks are chosen, closer together where more tasks end."""

_BACKGROUND: Final = 0.3
"""Share of the candidates that is spread evenly over the grid, whatever ends there."""

_LAYERS: Final = 48
"""Looks for which politeness is reckoned with; later ones are put off when they are due."""

_INDIFFERENCE: Final = 0.0015
"""Looks whose cost differs by less than this share of the whole are as good as each other."""

_VARIANTS: Final = 16

_COUNTED: Final = 200
"""Looks of the documented rhythm that are reckoned one by one."""

_SAME: Final = 1e-6
"""Ages no farther apart are one: they were turned into seconds and back meanwhile."""


@frozen
class Timetables:
    """Nearly equal rows of ages, and what they should cost for each task (price and lag)."""

    rows: tuple[tuple[float, ...], ...]
    cost: float

    def after(self, age: float, *, number: int) -> float | None:
        """Return the first age beyond ``age`` in the row of task ``number``; None past its end."""
        row = self.rows[number % len(self.rows)]
        place = bisect_right(row, age + _SAME)
        return row[place] if place < len(row) else None


def cost_of_rhythm(estimate: Estimate, *, price: float) -> float:
    """Return what looking at ages 1, 2, 3 … costs, to the end of the estimate."""
    edges, below, moments = estimate.edges, estimate.below, estimate.moments
    cost = share = moment = 0.0
    age = 1
    while age <= min(edges[-1], _COUNTED) and share < below[-1] - 1e-6:
        cell = bisect_right(edges, age) - 1
        part = 0.0
        if cell + 1 < len(edges):
            part = (age - edges[cell]) / (edges[cell + 1] - edges[cell])
        next_cell = min(cell + 1, len(edges) - 1)
        next_share = below[cell] + part * (below[next_cell] - below[cell])
        next_moment = moments[cell] + part * (moments[next_cell] - moments[cell])
        cost += price * (1.0 - share) + age * (next_share - share) - (next_moment - moment)
        share, moment = next_share, next_moment
        age += 1
    # beyond that, looks are so close together that each task is found half a unit after its end
    rest = below[-1] - share
    to_come = moments[-1] - moment - (age - 1) * rest
    return cost + (price * max(to_come, 0.0) + 0.5 * rest if rest > _SAME else 0.0)


def best_timetables(
    estimate: Estimate, *, price: float, dice: Callable[[int, int], int]
) -> Timetables:
    """Return the cheapest timetables for a distribution.

    ``price`` is what a look costs, in units of lag; ``dice(low, high)`` returns a whole number
    from ``low`` to ``high``, both included.
    """
    return _Search(estimate, price).timetables(dice)


class _Search:
    """The dynamic programme; candidates are numbered from 1, and 0 is the submission."""

    def __init__(self, estimate: Estimate, price: float) -> None:
        moments = estimate.moments
        chosen = _candidates(estimate)
        self._price = price
        self._ages = [0.0, *(estimate.edges[edge] for edge in chosen)]
        self._ages[1] = max(self._ages[1], 1.0)
        self._below = [0.0, *(estimate.below[edge] for edge in chosen)]
        self._moments = [0.0, *(moments[edge] for edge in chosen)]
        self._last = len(self._ages) - 1
        self._layers = min(int(self._ages[-1]), _LAYERS)
        self._polite_to_the_end = self._layers < _LAYERS
        self._polite = [
            min(bisect_left(self._ages, look - 1e-9), self._last)
            for look in range(self._layers + 2)
        ]
        self._to_come: list[list[float]] = []
        self._best: list[list[int]] = []
        # the last layer first: it leads to itself
        layer = self._solve(self._layers, None)
        for looks in range(self._layers - 1, -1, -1):
            layer = self._solve(looks, layer)
        self._to_come.reverse()
        self._best.reverse()

    def timetables(self, dice: Callable[[int, int], int]) -> Timetables:
        rows = tuple(self._row(dice) for _ in range(_VARIANTS))
        return Timetables(rows, self._to_come[0][0])

    def _earliest(self, looks: int, last: int) -> int:
        """Return the first candidate that may follow ``last`` after so many looks."""
        reckoned = looks < self._layers or self._polite_to_the_end
        polite = self._polite[looks + 1] if reckoned else 0
        return min(max(last + 1, polite), self._last)

    def _solve(self, looks: int, following: list[float] | None) -> list[float]:
        """Find the cost to come after each candidate, when so many looks have been made."""
        ages, below, moments = self._ages, self._below, self._moments
        to_come = [0.0] * (self._last + 1)
        # past the last candidate nothing is known: two looks more, for what is left
        to_come[self._last] = 2.0 * self._price * (1.0 - below[-1])
        then = to_come if following is None else following
        best = [self._last] * (self._last + 1)
        bound = self._last
        start = self._polite[looks] if 0 < looks < self._layers else 0
        for last in range(self._last - 1, start - 1, -1):
            earliest = self._earliest(looks, last)
            share = below[last]
            least = float("inf")
            for look in range(earliest, max(bound, earliest) + 1):
                cost = ages[look] * (below[look] - share) - moments[look] + then[look]
                if cost < least:
                    least, best[last] = cost, look
            bound = best[last]
            to_come[last] = least + moments[last] + self._price * (1.0 - share)
        self._to_come.append(to_come)
        self._best.append(best)
        return to_come

    def _row(self, dice: Callable[[int, int], int]) -> tuple[float, ...]:
        ages, below, moments = self._ages, self._below, self._moments
        row: list[float] = []
        last = looks = 0
        while last < self._last:
            layer = min(looks, self._layers)
            then = self._to_come[min(layer + 1, self._layers)]
            share = below[last]

            def cost(look: int, then: list[float] = then, share: float = share) -> float:
                return ages[look] * (below[look] - share) - moments[look] + then[look]

            low = high = self._best[layer][last]
            enough = cost(low) + _INDIFFERENCE * self._to_come[0][0] * (1.0 - share)
            earliest = self._earliest(layer, last)
            while low > earliest and cost(low - 1) <= enough:
                low -= 1
            while high < self._last and cost(high + 1) <= enough:
                high += 1
            last = dice(low, high)
            row.append(ages[last])
            looks += 1
        return tuple(row)


def _candidates(estimate: Estimate) -> list[int]:
    """Return the edges at which a look may be: from age 1 on, evenly by what ends there."""
    edges, below = estimate.edges, estimate.below
    first = bisect_left(edges, 1.0)
    rest = range(first, len(edges))
    if len(rest) <= _CANDIDATES:
        return list(rest)
    even = _BACKGROUND / len(rest)
    weights = list(accumulate(below[edge] - below[edge - 1] + even for edge in rest))
    step = weights[-1] / _CANDIDATES
    chosen: list[int] = []
    due = 0.0
    for edge, weight in zip(rest, weights, strict=True):
        if weight >= due:
            chosen.append(edge)
            due = max(due + step, weight - weight % step + step)
    if chosen[-1] != rest[-1]:
        chosen.append(rest[-1])
    return chosen
