"""Slots: how many exchanges run at once, each in a task of its own, on a connection of its own.

An exchange outlives whoever waits for it: a cancelled caller is let go at once, and the exchange
goes on to its own end, because what it sent may be paid for. The slot comes back when the exchange
has ended, never before, and a slot that did not end cleanly loses its connection.

Nothing here knows what a connection is, beyond that it can be closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from attrs import define

from ..errors import ClientClosed, NotDelivered
from .budget import Budget, Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Closable", "Slot", "Slots"]

T = TypeVar("T")

PARTING: Final = 5.0
"""Seconds that closing a connection of unknown state may take."""


class Closable(Protocol):
    """A connection, as far as slots need to know it."""

    async def aclose(self) -> None:
        """Close it."""


ConnectionT = TypeVar("ConnectionT", bound=Closable)


@define(eq=False)
class Slot(Generic[ConnectionT]):
    """A place for one exchange, with the connection that it leaves to the next.

    Whoever uses it sets ``clean`` to false at the start and to true at a good end. ``peer`` may say
    whom the connection is to, for those who must not use another's (`Slots.leave`).
    """

    connection: ConnectionT | None = None
    clean: bool = True
    peer: str | None = None


class Slots(Generic[ConnectionT]):
    """A fixed number of slots, taken last in, first out, so that warm connections are used."""

    def __init__(self, number: int, *, longest_wait: float) -> None:
        """``longest_wait`` is in seconds, for a free slot."""
        self._number = number
        self._longest_wait = longest_wait
        self._places = Budget(number)
        self._idle: list[Slot[ConnectionT]] = [Slot() for _ in range(number)]
        self._exchanges: set[asyncio.Task[Any]] = set()
        self._partings: set[asyncio.Task[None]] = set()
        self.closed = False

    @property
    def limit(self) -> int:
        """How many exchanges may run at once: at most the number of slots."""
        return self._places.limit

    @limit.setter
    def limit(self, number: int) -> None:
        # those that run beyond a lowered limit end in their time; none is broken off
        self._places.limit = max(1, min(number, self._number))

    @property
    def busy(self) -> int:
        """How many slots are taken."""
        return self._places.held

    @property
    def at_rest(self) -> bool:
        """Whether no exchange runs, every slot is back, and no connection is being closed."""
        return not (self._exchanges or self._partings or self.busy)

    async def run(
        self,
        exchange: Callable[[Slot[ConnectionT]], Coroutine[Any, Any, T]],
        *,
        drop: Callable[[], bool],
        orphaned: Callable[[T], None] | None = None,
        ended: Callable[[], None] | None = None,
    ) -> T:
        """Wait for a slot, run ``exchange`` on it in a task of its own, and return its result.

        A cancelled caller leaves at once. The exchange is then cancelled where ``drop()`` says
        that it can be, and else goes on; what it returns is handed to ``orphaned``. ``ended`` is
        called once, when the exchange is over, also long after its caller has gone, or if none
        was begun.

        Raises `NotDelivered` if no slot becomes free in time, and `ClientClosed`.
        """
        try:
            place = await self._place()
        except BaseException:
            if ended is not None:
                ended()
            raise
        slot = self._idle.pop()
        task = asyncio.create_task(exchange(slot))
        self._exchanges.add(task)
        # in a callback, not in the task: one that is cancelled before its first step runs nothing
        task.add_done_callback(functools.partial(self._ended, slot, place, ended))
        try:
            # not asyncio.shield, which would lose the result of a task that ends together with us
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            if drop():
                task.cancel()
            elif orphaned is not None:
                _hand_over(task, orphaned)
            raise
        if not task.cancelled():
            return task.result()
        if self.closed:
            text = "The client was closed before this request was sent."
            raise ClientClosed(text)
        # an exchange whose form is out turns a cancellation into an outcome that is unknown
        text = "The request was cancelled by somebody else before it was sent."
        raise NotDelivered(text)

    def leave(self, slot: Slot[ConnectionT]) -> None:
        """Close a slot's connection, beside what goes on."""
        if slot.connection is not None:
            parting = asyncio.create_task(_part(slot.connection))
            self._partings.add(parting)
            parting.add_done_callback(self._partings.discard)
            slot.connection = None

    async def _place(self) -> Hold:
        try:
            async with asyncio.timeout(self._longest_wait):
                return await self._places.hold(1)
        except TimeoutError:
            text = f"No slot became free within {self._longest_wait:g} s: nothing was sent."
            raise NotDelivered(text) from None

    def close(self) -> None:
        """Let no exchange begin any more; whoever waits for a slot gets `ClientClosed`."""
        self.closed = True
        self._places.close()

    async def aclose(self, *, patience: float) -> None:
        """Let exchanges end for ``patience`` seconds, cancel the rest, close all connections.

        Idempotent, and bounded: what does not end after its cancellation is left behind.
        """
        self.close()
        if self._exchanges:
            await asyncio.wait(tuple(self._exchanges), timeout=patience)
        for task in tuple(self._exchanges):
            task.cancel()
        for running in (self._exchanges, self._partings):
            if running:
                await asyncio.wait(tuple(running), timeout=PARTING)
        for slot in self._idle:
            connection, slot.connection = slot.connection, None
            if connection is not None:
                await _part(connection)

    def _ended(
        self,
        slot: Slot[ConnectionT],
        place: Hold,
        ended: Callable[[], None] | None,
        task: asyncio.Task[Any],
    ) -> None:
        self._exchanges.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever waited has it, and nobody may wait any more
        if not slot.clean:
            self.leave(slot)
        self._idle.append(slot)
        place.release()
        if ended is not None:
            ended()


def _hand_over(task: asyncio.Task[T], orphaned: Callable[[T], None]) -> None:
    """Give the result of a task whose caller has gone to ``orphaned``, now or when it is there."""

    def ended(task: asyncio.Task[T]) -> None:
        if not task.cancelled() and task.exception() is None:
            orphaned(task.result())

    if task.done():
        ended(task)
    else:
        task.add_done_callback(ended)


async def _part(connection: Closable) -> None:
    """Close a connection whose state is unknown; what it says to that concerns nobody."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(connection.aclose(), timeout=PARTING)
