"""How fast one client goes: it slows down as a whole, and stops trying a server that is not there.

The rules are `retry.Throttle` and `retry.Circuit`, which know neither clock nor slots.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ServiceUnreachable, Throttled
from ..events import EventHook, Slowed, emit, listening
from ..retry import Circuit, RetryPolicy, Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .slots import Slots

__all__ = ["Pace"]

T = TypeVar("T")


class Pace:
    """The pace of all exchanges with the service; downloads have none."""

    def __init__(
        self, slots: Slots[Any], *, retry: RetryPolicy, on_event: EventHook | None
    ) -> None:
        """``slots`` are the ones whose limit is lowered and raised again."""
        self.circuit = Circuit()
        self._slots = slots
        self._throttle = Throttle(slots.limit)
        self._retry = retry
        self._on_event = on_event
        self._calm_at = 0.0

    async def calm(self) -> None:
        """Wait while the service has asked everybody to."""
        clock = asyncio.get_running_loop().time
        while (pause := self._calm_at - clock()) > 0:  # noqa: ASYNC110  it may be put off again
            await asyncio.sleep(pause)

    def admit(self, host: str) -> None:
        """Raise `ServiceUnreachable` where connecting has failed too often; nothing is sent then.

        Whoever passes reports back with ``circuit.connected``, `unreached` or ``gave_up``.
        """
        wait = self.circuit.admit(asyncio.get_running_loop().time())
        if wait:
            text = f"{self.circuit.failures} connections failed in a row"
            raise ServiceUnreachable(text, host=host, retry_after=wait)

    def unreached(self) -> None:
        """Count a connection that failed."""
        self.circuit.failed(asyncio.get_running_loop().time())

    async def keep(self, attempt: Awaitable[T]) -> T:
        """Await an attempt, and let what becomes of it set the pace."""
        clock = asyncio.get_running_loop().time
        sent_at = clock()
        try:
            result = await attempt
        except Throttled as throttled:
            asked = self._retry.base if throttled.retry_after is None else throttled.retry_after
            wait = min(asked, self._retry.longest_wait)
            self._calm_at = max(self._calm_at, clock() + wait)
            if self._throttle.cut(sent_at=sent_at, now=clock()):
                self._slots.limit = self._throttle.limit
                if listening(self._on_event):
                    emit(self._on_event, Slowed(limit=self._throttle.limit, wait=wait))
            raise
        if self._throttle.grow():
            self._slots.limit = self._throttle.limit
        return result
