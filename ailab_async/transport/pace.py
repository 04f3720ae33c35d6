"""How fast one client goes: it slows down as a whole, and stops trying a server that is not there.

The rules are `retry.Throttle` and `retry.Circuit`, which know neither clock nor slots.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import AILabError, ServiceUnreachable, Throttled
from ..events import EventHook, Slowed, emit, listening
from ..retry import Circuit, RetryPolicy, Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

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

    @contextlib.contextmanager
    def guarded(self, host: str, unreached: Callable[[AILabError], bool]) -> Iterator[None]:
        """Count an exchange by how it ends; ``unreached`` says whether there was no connection.

        Raises `ServiceUnreachable` where connecting has failed too often; nothing is sent then.
        """
        clock = asyncio.get_running_loop().time
        wait = self.circuit.admit(clock())
        if wait:
            text = f"{self.circuit.failures} connections failed in a row"
            raise ServiceUnreachable(text, host=host, retry_after=wait)
        try:
            yield
        except AILabError as failure:
            if unreached(failure):
                self.circuit.failed(clock())
            else:
                self.circuit.connected()
            raise
        except BaseException:
            self.circuit.gave_up()
            raise
        self.circuit.connected()

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
