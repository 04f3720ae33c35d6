"""Turns that go round between owners, so that no key stands behind all that another wants."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["FairLine", "FairSlots"]

T = TypeVar("T")


class FairLine(Generic[T]):
    """First come, first served for each owner; between owners, one each in turn.

    An owner who comes late gets the next turn but those that already wait for theirs, however
    many things the others have in the line. Owners without anything in it are not remembered.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, owner: str, item: T) -> None:
        """Put something at the end of the owner's own queue."""
        self._queues.setdefault(owner, deque()).append(item)

    def take(self) -> T:
        """Return what is next. Raises `LookupError` where nothing is."""
        owner = next(iter(self._queues), None)
        if owner is None:
            message = "the line is empty"
            raise LookupError(message)
        queue = self._queues[owner]
        item = queue.popleft()
        if queue:
            self._queues.move_to_end(owner)
        else:
            del self._queues[owner]
        return item

    def remove(self, owner: str, item: T) -> bool:
        """Take something out of the line; return whether it was in it."""
        queue = self._queues.get(owner)
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        if not queue:
            del self._queues[owner]
        return True


class FairSlots:
    """A semaphore whose waiters get their turn as in a `FairLine`; for one event loop."""

    def __init__(self, count: int) -> None:
        """Begin with so many free slots."""
        self._free = count
        self._line: FairLine[asyncio.Future[None]] = FairLine()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._line)

    async def acquire(self, owner: str) -> None:
        """Take a slot, at once or in turn; a cancelled wait takes none."""
        if self._free > 0:
            self._free -= 1
            return
        promise: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.add(owner, promise)
        try:
            await promise
        except BaseException:
            if not self._line.remove(owner, promise):
                self.release()  # it was promised in the same moment
            raise

    def take(self) -> None:
        """Take a slot without waiting, also where none is free: then more must be given back."""
        self._free -= 1

    def release(self) -> None:
        """Give a slot back, or on to who waits for it."""
        self._free += 1
        while self._free > 0 and len(self._line):
            self._free -= 1
            promise = self._line.take()
            # one that was cancelled and has not run since gives its slot back when it does
            if not promise.done():
                promise.set_result(None)

    @asynccontextmanager
    async def held(self, owner: str) -> AsyncIterator[None]:
        """Have a slot for the length of a ``with`` block."""
        await self.acquire(owner)
        try:
            yield
        finally:
            self.release()
