"""When a task is looked at: a value, without a clock."""

from __future__ import annotations

from typing import Any, Final, Literal

from attrs import evolve, field, frozen, validators

__all__ = ["LEAST_PAUSE", "LONGEST_PAUSE", "PollPolicy"]

_RHYTHM: Final[dict[str, float]] = {"direct": 5.0, "rapidapi": 15.0, "local": 0.05}
"""Seconds between looks. The service advises 5 (docs page "Querying Async Task Results"); at
RapidAPI each look counts against the plan's quota; our own engine is in this house."""

LEAST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between looks that fail: they double from the one to the other."""

_POSITIVE: Final[Any] = validators.and_(
    validators.instance_of((int, float)), validators.gt(0), validators.lt(float("inf"))
)


@frozen(kw_only=True)
class PollPolicy:
    """When a task is looked at. Times are seconds on the monotonic clock.

    ``first`` is the age at the first look and ``interval`` the time to the next; None means the
    rhythm that suits the service: 5 s, at RapidAPI 15 s, for the local engine 50 ms. Each interval
    is ``growth`` times the last, and up to ``jitter`` of itself is added at random. ``deadline`` is
    the age at which waiting ends in `TaskTimeout` (30 minutes: results are kept at least as long).
    ``tolerance`` looks in a row may fail on their own account, ever farther apart.
    ``max_looks_per_second`` holds for all tasks of a client together.
    """

    first: float | None = field(default=None, validator=validators.optional(_POSITIVE))
    interval: float | None = field(default=None, validator=validators.optional(_POSITIVE))
    growth: float = field(default=1.0, validator=[validators.ge(1.0), validators.le(10.0)])
    jitter: float = field(default=0.1, validator=[validators.ge(0.0), validators.le(1.0)])
    deadline: float = field(default=1800.0, validator=_POSITIVE)
    tolerance: int = field(default=5, validator=validators.ge(0))
    max_looks_per_second: float = field(default=100.0, validator=_POSITIVE)

    @classmethod
    def fixed(cls, seconds: float) -> PollPolicy:
        """Look every ``seconds``, as the service documents it with 5."""
        return cls(first=seconds, interval=seconds, jitter=0.0)

    def suited_to(self, service: Literal["direct", "rapidapi", "local"]) -> PollPolicy:
        """Return this policy with the service's rhythm where none was given."""
        interval = _RHYTHM[service] if self.interval is None else self.interval
        return evolve(self, first=interval if self.first is None else self.first, interval=interval)

    def after_trouble(self, troubles: int) -> float:
        """Return the least seconds to the next look after so many failed ones in a row.

        They double from the interval, 1 s at the least, up to 60 s: five take half a minute with
        the local engine and over two minutes with the service, which an outage may well last.
        """
        assert self.interval is not None  # noqa: S101  suited_to was called
        doubled = max(self.interval, LEAST_PAUSE) * 2.0 ** min(troubles - 1, 16)
        return float(min(doubled, LONGEST_PAUSE))

    @property
    def patience(self) -> float:
        """How many seconds of failing looks are borne."""
        return sum(self.after_trouble(number) for number in range(1, self.tolerance + 1))

    def next_interval(self, looks: int, dice: float) -> float:
        """Return the seconds from look number ``looks`` to the next; ``dice`` is 0 up to 1."""
        assert self.interval is not None  # noqa: S101  suited_to was called
        grown = self.interval * self.growth ** min(looks - 1, 64)
        return float(grown * (1.0 + self.jitter * dice))
