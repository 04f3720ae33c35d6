"""When a task is looked at: what is asked for, and what has been learnt.

The service advises a look every 5 s. That is what a `PollPolicy` begins with. Most operations have
a typical duration, though, and once enough tasks have ended the looks move to where an end is
likely: `durations` estimates the distribution, `timetable` finds the best ages for it. However
much is learnt, a task of age t has been looked at no more than ⌊t / interval⌋ times.

Nothing here has a clock.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from attrs import evolve, field, frozen

from .durations import Durations
from .errors import InvalidOperation
from .timetable import Timetables, best_timetables, cost_of_rhythm

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["LEAST_PAUSE", "LONGEST_PAUSE", "PollPolicy", "Rhythm"]

_RHYTHM: Final[dict[str, float]] = {"direct": 5.0, "rapidapi": 15.0, "local": 0.05}
"""Seconds between looks. The service advises 5 (docs page "Querying Async Task Results"); at
RapidAPI each look counts against the plan's quota; our own engine is in this house."""

_PRICES: Final[dict[str, float]] = {"direct": 0.06, "rapidapi": 1.0, "local": 0.06}
"""What a look is worth in lag, as a share of the interval. At 0.06 the best timetable has less lag
than the documented rhythm and fewer looks, wherever that can be had."""

_DEADLINES: Final[dict[bool, float]] = {False: 1800.0, True: 1500.0}
"""Seconds of waiting, by whether a task is asked for by its job id: results can be asked for 24 h
by task id and 30 minutes by job id (docs page "Querying Async Task Results")."""

LEAST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between looks that fail: they double from the one to the other."""

_LEARNT: Final = 8
"""Tasks that must have ended before anything is made of them."""

_WARM_UP: Final = range(2, _LEARNT)

_MOST_BETWEEN: Final = 32
_LEAST_BETWEEN: Final = 4
"""Tasks after which the timetables are made anew: an eighth of those seen, within these."""

_WORTH_IT: Final = 0.04
"""By what share a timetable must be better than the documented rhythm, since it is judged by the
very estimate that it was made from; a little more while few tasks have ended."""

_SCOUTS: Final = 1 / 40
_MOST_SCOUTS: Final = 1 / 8
_SUSPICIOUS: Final = 1 / 4
"""Some tasks get a look more, before the first of their timetable. It would not be noticed
otherwise that tasks have become faster: all would be done at the first look, as ever. What that
could cost grows with the age at the first look: so does the share of scouts, by this much for each
interval. One in four scouts once a task was found done that early."""

_PAST_THE_END: Final = 0.1
_FARTHEST: Final = 12.0
"""Beyond the timetable: looks are this share of the age apart, and at most so many intervals."""

_LAST_LOOK: Final = 0.05
"""How long before the end of waiting the last look is: a share of the interval, or of the time."""


def _number(
    low: float, high: float = math.inf, *, optional: bool = False, whole: bool = False
) -> Any:
    """Return a validator for a finite number above 0, or from ``low`` on, up to ``high``."""
    kind = "a whole number" if whole else "a number of seconds" if high == math.inf else "a number"
    limit = f"{kind} from {low:g}" if low or whole else f"{kind} above 0"
    limit += "" if high == math.inf else f" to {high:g}"

    def check(_: Any, attribute: Attribute[Any], value: object) -> None:
        if value is None and optional:
            return
        good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if good:
            number = float(cast("float", value))
            good = low <= number <= high and number < math.inf and bool(low or whole or number)
        if not good:
            raise InvalidOperation(attribute.name, limit, value)

    return check


def _share(_: Any, attribute: Attribute[Any], value: object) -> None:
    good = isinstance(value, int | float) and 0 <= value <= 1
    if not good:
        raise InvalidOperation(attribute.name, "a number from 0 to 1", value)


def _maybe(_: Any, attribute: Attribute[Any], value: object) -> None:
    if not (value is None or isinstance(value, bool)):
        raise InvalidOperation(attribute.name, "True, False or None", value)


@frozen(kw_only=True)
class PollPolicy:
    """When a task is looked at. Times are seconds on the monotonic clock.

    ``interval`` is the documented rhythm, and the measure of politeness: 5 s, at RapidAPI 15 s,
    for the local engine 50 ms. By default looks follow it at first; then, for each operation, they
    move to where an end is likely by the tasks that this client has seen end, and a task of age t
    is never looked at more than ⌊t / interval⌋ times. ``look_price`` says what a look is worth in
    seconds of lag between the end of a task and the look that finds it: the dearer, the fewer
    looks (0.06 of the interval; at RapidAPI, where looks are counted, all of it).

    With ``learn=False``, or where one of ``first``, ``interval`` and ``growth`` is given and
    ``learn`` is not, looks follow these alone: ``first`` is the age at the first look,
    ``interval`` the time to the next, and each interval is ``growth`` times the last.

    ``floor`` is the least time between two looks at one task (a tenth of the interval), and up to
    ``jitter`` of each interval is added at random. ``deadline`` is how long is waited until
    `TaskTimeout`: 30 minutes, and 25 where a task can only be asked for by its job id, which the
    service forgets after 30. ``tolerance`` looks in a row may fail on their own account, ever
    farther apart. ``max_looks_per_second`` holds for all tasks of a client together; it is taken
    from the client's policy.

    Raises `InvalidOperation` for values that cannot be.
    """

    first: float | None = field(default=None, validator=_number(0, optional=True))
    interval: float | None = field(default=None, validator=_number(0, optional=True))
    growth: float = field(default=1.0, validator=_number(1, 10))
    jitter: float = field(default=0.0, validator=_share)
    floor: float | None = field(default=None, validator=_number(0, optional=True))
    look_price: float | None = field(default=None, validator=_number(0, optional=True))
    learn: bool | None = field(default=None, validator=_maybe)
    deadline: float | None = field(default=None, validator=_number(0, optional=True))
    tolerance: int = field(default=5, validator=_number(0, 1000, whole=True))
    max_looks_per_second: float = field(default=100.0, validator=_number(0))

    @classmethod
    def fixed(cls, seconds: float) -> PollPolicy:
        """Look every ``seconds``, as the service documents it with 5, and learn nothing."""
        return cls(first=seconds, interval=seconds)

    def suited_to(self, service: Literal["direct", "rapidapi", "local"]) -> PollPolicy:
        """Return this policy with what suits the service where nothing was given."""
        told = self.first is not None or self.interval is not None or self.growth != 1.0
        interval = _RHYTHM[service] if self.interval is None else self.interval
        return evolve(
            self,
            first=interval if self.first is None else self.first,
            interval=interval,
            floor=interval / 10 if self.floor is None else self.floor,
            look_price=(
                interval * _PRICES[service] if self.look_price is None else self.look_price
            ),
            learn=not told if self.learn is None else self.learn,
        )

    def deadline_for(self, *, by_job: bool) -> float:
        """Return how many seconds a task is waited for."""
        return _DEADLINES[by_job] if self.deadline is None else self.deadline

    def after_trouble(self, troubles: int) -> float:
        """Return the least seconds to the next look after so many failed ones in a row.

        They double from the interval, 1 s at the least, up to 60 s: five take half a minute with
        the local engine and over two minutes with the service, which an outage may well last.
        """
        doubled = max(_known(self.interval), LEAST_PAUSE) * 2.0 ** min(troubles - 1, 16)
        return float(min(doubled, LONGEST_PAUSE))

    @property
    def patience(self) -> float:
        """How many seconds of failing looks are borne."""
        return sum(self.after_trouble(number) for number in range(1, self.tolerance + 1))


class Rhythm:
    """When the tasks of one operation are looked at, by one policy that suits the service."""

    def __init__(self, policy: PollPolicy, *, seed: int | None = None) -> None:
        """``seed`` makes the dice repeat themselves."""
        self.policy = policy
        self._unit = _known(policy.interval)
        self._dice = random.Random(seed)  # noqa: S311  jitter and ties, not secrets
        self._durations = Durations(dice=self._dice.random) if policy.learn else None
        self._timetables: Timetables | None = None
        self._learn_at = _LEARNT
        self._numbers = itertools.count()

    @property
    def learnt(self) -> bool:
        """Whether the looks follow what was learnt, at present."""
        return self._timetables is not None

    def join(self) -> int:
        """Return the number of one more task: its place among those of this rhythm."""
        return next(self._numbers)

    def next_look(
        self,
        *,
        age: float,
        looks: int,
        number: int = 0,
        ours: bool = True,
        latest: float = math.inf,
    ) -> float:
        """Return the age in seconds at which a task is to be looked at next.

        ``age`` is its age at the last look, or now where there was none; ``looks`` how many were
        made; tasks with another ``number`` may be looked at at slightly other ages. For a task that
        is not ``ours`` nothing learnt applies: it may be far older than any that was seen. Before
        ``latest``, the age at which waiting for it ends, there is a last look.
        """
        policy, unit = self.policy, self._unit
        if not (policy.learn and ours):
            pause = unit * policy.growth ** min(max(looks - 1, 0), 64)
            due = _known(policy.first) if looks == 0 else age + pause
        elif self._timetables is None:
            due = unit * max(looks + 1, math.floor(age / unit + 1e-9) + 1)
        else:
            planned = self._timetables.after(age / unit, number=number)
            if planned is None:
                planned = age / unit + max(1.0, min(age / unit * _PAST_THE_END, _FARTHEST))
            elif looks == 0 and self._is_scout(planned):
                planned = self._dice.uniform(1.0, planned)
            due = unit * max(planned, looks + 1)
            last = latest - min(_LAST_LOOK * unit, _LAST_LOOK * latest)
            if due > last >= max(unit * (looks + 1), age + unit):
                due = last
        due += policy.jitter * self._dice.random() * (due - age)
        return max(due, age + _known(policy.floor)) if looks else due

    def looked(self, *, since: float, age: float, ended: bool) -> None:
        """Learn from a look at ``age`` seconds; at the one before, ``since``, it was still open."""
        if self._durations is None:
            return
        if not ended:
            self._durations.alive(since / self._unit, age / self._unit)
            return
        changes = self._durations.changes
        self._durations.ended(since / self._unit, age / self._unit)
        if self._durations.changes > changes:
            self._timetables = None
            self._learn_at = _LEARNT
        seen = self._durations.ended_tasks
        if seen in _WARM_UP:
            self._durations.estimate()  # a part of the work each time, and not all of it at once
        if seen >= self._learn_at:
            self._learn_at = seen + min(max(seen // 8, _LEAST_BETWEEN), _MOST_BETWEEN)
            self._learn(self._durations)

    def forget(self) -> None:
        """Forget all that was learnt."""
        self._timetables = None
        self._learn_at = _LEARNT
        if self._durations is not None:
            self._durations = Durations(dice=self._dice.random)

    def _is_scout(self, planned: float) -> bool:
        suspicious = self._durations is not None and self._durations.suspicious
        share = _SUSPICIOUS if suspicious else min((planned - 1.0) * _SCOUTS, _MOST_SCOUTS)
        return self._dice.random() < share

    def _learn(self, durations: Durations) -> None:
        price = _known(self.policy.look_price) / self._unit
        estimate = durations.estimate()
        best = best_timetables(estimate, price=price, dice=self._dice.randint)
        worth = 1.0 - _WORTH_IT - 2.0 / (durations.ended_tasks + 20)
        better = best.cost < worth * cost_of_rhythm(estimate, price=price)
        self._timetables = best if better else None


def _known(value: float | None) -> float:
    if value is None:
        hint = "Take policy.suited_to(service)."
        raise InvalidOperation("poll", "a policy that suits a service", "one without", hint=hint)
    return value
