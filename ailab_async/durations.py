"""How long the tasks of an operation take, as far as looks can tell.

Nobody says when a task ended: a look finds it open or done, so all that is known is that its
duration lies between two looks. From many such intervals, and from the looks that found a task
open, the distribution is estimated as survival analysis does it: the share of tasks that end in
each short span of their age, of those that reached it. Tasks that are still open count with the
ages they have reached, so that a thousand slow tasks under way are not taken for fast ones because
only fast ones have ended yet.

* The spans are cells of a fixed grid, equally wide for young tasks and growing with the age.
* Within an interval the estimate is found by expectation and maximisation (Turnbull 1976), with a
  smoothing step in each round (Silverman 1990). Sums over intervals are differences of running
  sums: a round costs as much as there are cells and intervals, not their product.
* How smooth it should be is not known beforehand. Several widths are kept, each is judged by how
  well it foretold the interval of every task that ended, and they are mixed by that.
* Old observations fade. When the last tasks do not look as foretold (a Kolmogorov-Smirnov test of
  their foretold ranks; several ends far too early or too late), what is older is forgotten.

Ages and durations are in units that the caller chooses. No clock, no input and output.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Durations", "Estimate"]

_STEP: Final = 0.012
"""Cells end at ``sinh(step · n)``: 0.012 wide at age 0, 1.2 % of the age later on."""

_WIDTHS: Final = (0, 2, 5, 10, 25, 60)
"""Cells to either side over which is smoothed, twice."""

_FIRST_WIDTH: Final = 2
"""Number of the width that is tried first."""

_MOST_CELLS: Final = 400
"""Where a grid would have more, neighbours are put together."""

_REMEMBERED: Final = 400
"""Tasks that are remembered; the weight of each fades at the same pace."""

_RECENT: Final = 24
_SURPRISE: Final = 0.5
"""The largest distance of `_RECENT` ranks from even that chance brings once in 70,000 times."""

_RARE: Final = 0.003
_EARLY_ENDS: Final = (2, 64)
_LATE_ENDS: Final = (4, 24)
"""So many of so many ends, before or after all but this share of what was foretold, are a change.
Early ones are only seen where somebody looks that early, which few do."""

_KEPT: Final = 8
"""Tasks that are kept when the rest is forgotten: it takes more than these to notice a change."""

_FIRST_ROUNDS: Final = 10
_MORE_ROUNDS: Final = 4

_PRIOR: Final = 0.5
"""Weight of the belief that a task may still end at any age, with a hazard of 1 / age."""

_BEYOND: Final = 0.9
"""How far the grid goes past what was seen, as a share of e: to about 2.5 times that age."""

_TEMPERATURE: Final = 2.0
_FADING: Final = 0.98
"""Widths are mixed by the score of about the last fifty tasks, softened."""

_LEAST: Final = 1e-4
_CERTAIN: Final = 1.0 - 1e-6
_LARGE: Final = 1e6


@frozen
class Estimate:
    """A distribution: ``below[i]`` is the share of tasks that end before the age ``edges[i]``.

    Both have the same length; the first edge is age 0, and the last ``below`` less than 1.
    """

    edges: Sequence[float]
    below: Sequence[float]

    @property
    def moments(self) -> list[float]:
        """For each edge the mean duration of the tasks below it, times their share."""
        spans = zip(self.edges, self.edges[1:], self.below, self.below[1:], strict=False)
        return [0.0, *accumulate((end - start) * (a + b) / 2 for a, b, start, end in spans)]


class Durations:
    """What looks at the tasks of one operation have shown."""

    def __init__(self, *, dice: Callable[[], float]) -> None:
        """``dice`` returns a number from 0 up to 1; it breaks ties in the test for surprise.

        ``ended_tasks`` counts the ends since the last change, ``changes`` how many there were.
        """
        self._dice = dice
        self.ended_tasks = 0
        self.changes = 0
        self._weight = 1.0
        self._alive = [0.0, 0.0]  # the slope of how many tasks were seen alive in a cell
        self._ends: deque[tuple[int, int, float]] = deque(maxlen=_REMEMBERED)
        self._ranks: deque[float] = deque(maxlen=_RECENT)
        self._early: deque[bool] = deque(maxlen=_EARLY_ENDS[1])
        self._late: deque[bool] = deque(maxlen=_LATE_ENDS[1])
        self._turn = 0
        self._stride = 1
        self._forget_curves()

    @property
    def suspicious(self) -> bool:
        """Whether a task has lately ended far earlier than foretold: one may be chance."""
        return any(self._early)

    def alive(self, since: float, age: float) -> None:
        """Take note of a look that found a task open at ``age``, the last one at ``since``."""
        first, last = _cell(since), _cell(age)
        if last > first:
            self._add_alive(first, last, self._weight)

    def ended(self, since: float, age: float) -> None:
        """Take note of a look that found a task done at ``age`` which was open at ``since``."""
        first = _cell(since)
        last = max(first + 1, math.ceil(math.asinh(age) / _STEP - 1e-9))
        self._judge(first, last)
        self._ends.append((first, last, self._weight))
        self.ended_tasks += 1
        self._weight *= _REMEMBERED / (_REMEMBERED - 1)
        if self._weight > _LARGE:
            self._rescale()
        if self._surprised:
            self._forget()

    def estimate(self) -> Estimate:
        """Return the distribution by all that was noted. At least one task must have ended.

        The work is bounded: on the event loop nobody waits long for it.
        """
        reach = max(last for _, last, _ in self._ends) + int(_BEYOND / _STEP)
        stride = 1 + reach // _MOST_CELLS
        cells = -(-reach // stride)
        alive = list(accumulate(self._alive))[: cells * stride : stride]
        alive = [at / self._weight for at in alive] + [0.0] * (cells - len(alive))
        ends = [
            (first // stride, max(first // stride + 1, -(-last // stride)), weight / self._weight)
            for first, last, weight in self._ends
        ]
        if stride != self._stride:
            self._stride = stride
            self._forget_curves()
        # the width that does best and one other, in turn: the rest are nearly as good as new
        self._turn = (self._turn + 1) % len(_WIDTHS)
        for number in {self._turn, self._best}:
            hazards = self._hazards[number]
            rounds = _MORE_ROUNDS if hazards else _FIRST_ROUNDS
            hazards = (hazards + [_STEP * stride * 2] * (cells - len(hazards)))[:cells]
            for _ in range(rounds):
                hazards = _improved(hazards, alive, ends, _WIDTHS[number] // stride, stride)
            self._hazards[number] = hazards
            self._below[number] = _shares(hazards)
        return Estimate(
            [_edge(cell * stride) for cell in range(cells + 1)], self._mixture(cells + 1)
        )

    # --- judging ---------------------------------------------------------------------------------

    @property
    def _best(self) -> int:
        known = [number for number, below in enumerate(self._below) if below]
        return max(known, key=self._scores.__getitem__, default=_FIRST_WIDTH)

    @property
    def _surprised(self) -> bool:
        if sum(self._early) >= _EARLY_ENDS[0] or sum(self._late) >= _LATE_ENDS[0]:
            return True
        return len(self._ranks) == _RECENT and _unevenness(self._ranks) > _SURPRISE

    def _judge(self, first: int, last: int) -> None:
        """Score each width by how likely it said this interval would be."""
        best = self._best
        for number, below in enumerate(self._below):
            if not below:
                continue
            under = below[min(first // self._stride, len(below) - 1)]
            share = below[min(-(-last // self._stride), len(below) - 1)] - under
            self._scores[number] *= _FADING
            self._scores[number] += math.log(max(share, _LEAST))
            if number == best:
                # of the reached share: anywhere in it, so that ranks are even where all is well
                self._ranks.append(under + share * self._dice())
                self._early.append(under + share < _RARE)
                self._late.append(under > 1.0 - _RARE)

    def _mixture(self, length: int) -> list[float]:
        known = [
            (score, below) for score, below in zip(self._scores, self._below, strict=True) if below
        ]
        top = max(score for score, _ in known)
        weights = [math.exp((score - top) / _TEMPERATURE) for score, _ in known]
        total = sum(weights)
        mixed = [0.0] * length
        for weight, (_, below) in zip(weights, known, strict=True):
            share = weight / total
            padded = [*below[:length], *[below[-1]] * (length - len(below))]
            mixed = [sum_ + share * value for sum_, value in zip(mixed, padded, strict=True)]
        return mixed

    # --- forgetting ------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Begin anew from the last tasks: the service behaves otherwise than before."""
        self.changes += 1
        self.ended_tasks = 0
        recent = list(self._ends)[-_KEPT:]
        self._ends.clear()
        self._ends.extend(recent)
        self._alive = [0.0, 0.0]
        for first, _, weight in recent:
            self._add_alive(0, first, weight)
        self._forget_curves()

    def _forget_curves(self) -> None:
        for recent in (self._ranks, self._early, self._late):
            recent.clear()
        self._hazards: list[list[float]] = [[] for _ in _WIDTHS]
        self._below: list[list[float]] = [[] for _ in _WIDTHS]
        self._scores = [0.0] * len(_WIDTHS)

    def _rescale(self) -> None:
        self._alive = [slope / self._weight for slope in self._alive]
        ends = [(first, last, weight / self._weight) for first, last, weight in self._ends]
        self._ends.clear()
        self._ends.extend(ends)
        self._weight = 1.0

    def _add_alive(self, first: int, last: int, weight: float) -> None:
        self._alive.extend([0.0] * (last + 1 - len(self._alive)))
        self._alive[first] += weight
        self._alive[last] -= weight


def _cell(age: float) -> int:
    return int(math.asinh(age) / _STEP + 1e-9)


def _edge(cell: int) -> float:
    return math.sinh(cell * _STEP)


def _shares(hazards: Sequence[float]) -> list[float]:
    """Return the share that has ended at each edge, from the share that ends in each cell."""
    left = accumulate((1.0 - hazard for hazard in hazards), float.__mul__, initial=1.0)
    return [1.0 - share for share in left]


def _improved(
    hazards: Sequence[float],
    alive: Sequence[float],
    ends: Sequence[tuple[int, int, float]],
    width: int,
    stride: int,
) -> list[float]:
    """Return better hazards: the ends that are expected in each cell, by those who reached it."""
    below = _shares(hazards)
    density = [0.0] * (len(below))
    reached = [0.0] * (len(below))
    for first, last, weight in ends:
        share = weight / max(below[last] - below[first], 1e-9)
        density[first] += share
        density[last] -= share
        reached[first] += share * below[last]
        reached[last] -= share * below[last]
    expected_ends, exposed = [], []
    for hazard, under, seen, per_share, to_end in zip(
        hazards, below, alive, accumulate(density), accumulate(reached), strict=False
    ):
        expected_ends.append((1.0 - under) * hazard * per_share)
        exposed.append(seen + to_end - under * per_share)
    return [
        min(_CERTAIN, (end + _PRIOR * _STEP * stride) / (max(those, 0.0) + _PRIOR))
        for end, those in zip(_smooth(expected_ends, width), _smooth(exposed, width), strict=True)
    ]


def _smooth(values: list[float], width: int) -> list[float]:
    """Return running means over ``width`` cells to either side, taken twice."""
    length = len(values)
    for _ in range(2):
        sums = [0.0, *accumulate(values)]
        values = [
            (sums[stop] - sums[start]) / (stop - start)
            for start, stop in (
                (max(0, cell - width), min(length, cell + width + 1)) for cell in range(length)
            )
        ]
    return values


def _unevenness(ranks: Sequence[float]) -> float:
    """Return the largest distance of the ranks' distribution from an even one."""
    count = len(ranks)
    return max(
        max((place + 1) / count - rank, rank - place / count)
        for place, rank in enumerate(sorted(ranks))
    )
