"""What is tried again, when, and what it may cost. Pure: clock, dice and tokens are passed in.

In words:

- A **submission** is paid for and has no idempotency key. It is sent again only if its body
  provably never reached the server whole (`NotDelivered`), or if the server answered that it made
  nothing: the code table says *throttled* or *transient*, or the gateway said 429 or 503. A code
  that no table has, or that says the work took too long, is no such statement. Anything else is
  the caller's to decide.
- A **look** (the query of a task) and any other **call** that only reads costs nothing to repeat:
  it is tried again after every kind of broken exchange and every passing trouble. The poller has
  its own rhythm and patience for looks, so it asks for a single attempt.
- A **download** is tried again like a look; a refusal by its host is final, unless it is one of
  those that pass: 408, 425, 429.
- No credits, a bad key, a refused picture, an unknown task: never tried again.
- Between attempts: full jitter, ``random() * min(cap, base * 2 ** (attempt - 1))``, or what the
  server asked for in ``Retry-After``. What it asks beyond ``longest_wait`` is not waited for: the
  error is raised and carries the value.
- **Throttling** slows the whole client: the number of exchanges that may run at once is halved, at
  most once a round trip, and grows back one by one.
- Five failures to connect in a row open a **circuit**: for a few seconds, longer each time, nothing
  is tried, then one exchange at a time probes whether the server is back.
- A retry costs 5 of 500 tokens and every clean exchange gives one back (the figures of the AWS
  SDKs), so a server that is down costs a client a fifth more than its calls, not a multiple.
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen, validators

from .errors import (
    AILabError,
    DownloadFailed,
    MalformedReply,
    NotDelivered,
    OutcomeUnknown,
    ServiceUnavailable,
    ServiceUnreachable,
    Throttled,
)
from .protocol.codes import CODES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .events import Action

__all__ = ["Circuit", "RetryPolicy", "Throttle", "TokenBucket", "retry_after"]

_REFUSED: Final = 400
_FAILED: Final = 500
"""Where the statuses of refusals begin, and those of failures (RFC 9110)."""

_REFUSED_UNREAD: Final = frozenset({429, 503})
"""Statuses by which a server says that it did not take the request up (RFC 9110 and 6585)."""

_NOT_NOW: Final = frozenset({408, 425, 429})
"""Refusals that pass: too slow, too early, too many (RFC 9110, 8470 and 6585)."""

_TAKEN_UP: Final = frozenset({"AI_SERVICE_TIMEOUT"})
"""Transient codes that say that the work had begun."""

_MOST_DIGITS: Final = 9
"""More digits than that in ``Retry-After`` are decades."""


@define
class TokenBucket:
    """The client's allowance of retries."""

    size: int = 500
    cost: int = 5
    refund: int = 1
    tokens: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.size

    def take(self) -> bool:
        """Pay for one retry; false if there is not enough left."""
        if self.tokens < self.cost:
            return False
        self.tokens -= self.cost
        return True

    def give_back(self) -> None:
        """Count a clean exchange."""
        self.tokens = min(self.size, self.tokens + self.refund)


@define
class Throttle:
    """How many exchanges may run at once: halved when throttled, grown back one by one."""

    most: int
    limit: int = field(init=False)
    _cut_at: float = field(default=-math.inf, init=False)
    _well: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.limit = self.most

    def cut(self, *, sent_at: float, now: float) -> bool:
        """Halve the limit; not for a request from before the last cut, which brings no news."""
        if sent_at <= self._cut_at:
            return False
        self.limit = max(1, self.limit // 2)
        self._cut_at = now
        self._well = 0
        return True

    def grow(self) -> bool:
        """Count a clean exchange; true when a whole round of them has earned one more place."""
        if self.limit >= self.most:
            return False
        self._well += 1
        if self._well < self.limit:
            return False
        self._well = 0
        self.limit += 1
        return True


@define
class Circuit:
    """Whether it makes sense to connect at all."""

    threshold: int = 5
    pause: float = 2.0
    longest_pause: float = 60.0
    failures: int = field(default=0, init=False)
    _probe_at: float = field(default=0.0, init=False)
    _probing: bool = field(default=False, init=False)

    @property
    def is_open(self) -> bool:
        """Whether exchanges are refused, but for probes."""
        return self.failures >= self.threshold

    def admit(self, now: float) -> float:
        """Return 0 where an exchange may go ahead, else the seconds until one may probe.

        Whoever goes ahead reports back with `connected`, `failed` or `gave_up`.
        """
        if not self.is_open:
            return 0.0
        if self._probing:
            return max(self._probe_at - now, self.pause)
        if now < self._probe_at:
            return self._probe_at - now
        self._probing = True
        return 0.0

    def connected(self) -> None:
        """The server answered, whatever it said."""
        self.failures = 0
        self._probing = False

    def failed(self, now: float) -> None:
        """There was no connection."""
        self.failures += 1
        self._probing = False
        beyond = min(max(0, self.failures - self.threshold), 10)
        self._probe_at = now + min(self.longest_pause, self.pause * 2.0**beyond)

    def gave_up(self) -> None:
        """The exchange ended without telling, cancelled for instance: another may probe."""
        self._probing = False


@frozen(kw_only=True)
class RetryPolicy:
    """How patient a client is. ``attempts`` includes the first; times are seconds."""

    attempts: int = field(default=3, validator=[validators.instance_of(int), validators.ge(1)])
    base: float = field(default=0.5, validator=validators.gt(0))
    cap: float = field(default=20.0, validator=validators.gt(0))
    longest_wait: float = field(default=60.0, validator=validators.ge(0))

    def wait(
        self,
        failure: AILabError,
        *,
        action: Action,
        attempt: int,
        bucket: TokenBucket,
        dice: float,
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None: raise ``failure``.

        ``attempt`` is the number of the one that failed, from 1. ``dice`` is a random number from
        0 up to 1. A token is taken from ``bucket`` only where a wait is returned.
        """
        if attempt >= self.attempts or not repeatable(failure, action=action):
            return None
        asked = getattr(failure, "retry_after", None)
        if asked is not None and asked > self.longest_wait:
            return None
        if not bucket.take():
            return None
        # a doubling that cannot overflow, however many attempts were allowed
        backoff = dice * min(self.cap, self.base * 2.0 ** min(attempt - 1, 30))
        return max(backoff, asked or 0.0)


def repeatable(failure: AILabError, *, action: Action) -> bool:  # noqa: PLR0911 - one a rule
    """Say whether repeating ``action`` after ``failure`` can help and cannot cost."""
    if isinstance(failure, NotDelivered | Throttled):
        return True
    if isinstance(failure, ServiceUnreachable):
        return False  # our own circuit, which is there to say so at once
    if isinstance(failure, ServiceUnavailable):
        # a code is the service's own statement; a bare status is a gateway's, of which only
        # these say that nothing was taken up
        if action != "submit" or failure.http_status in _REFUSED_UNREAD:
            return True
        return failure.code in CODES and failure.code not in _TAKEN_UP
    if isinstance(failure, MalformedReply):
        return action != "submit" and not _REFUSED <= failure.http_status < _FAILED
    if isinstance(failure, DownloadFailed) and _REFUSED <= failure.http_status < _FAILED:
        # else the host has answered for good: it has no such file, or no longer
        return failure.http_status in _NOT_NOW
    return action != "submit" and isinstance(failure, OutcomeUnknown | DownloadFailed)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` (RFC 9110, 10.2.3) as seconds from now; None where there is no sense.

    A date is counted from the server's own ``Date``, so that its clock and ours need not agree.
    Negative values are 0. Names in ``headers`` are lower case.
    """
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    if said.isascii() and said.isdigit():
        return float(said) if len(said) <= _MOST_DIGITS else math.inf
    try:
        then = parsedate_to_datetime(said)
        now = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    if (then.tzinfo is None) != (now.tzinfo is None):
        return None
    return max(0.0, (then - now).total_seconds())
