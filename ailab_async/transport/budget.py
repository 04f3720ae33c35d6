"""How many bytes of pictures may be in memory at once, however many operations are waiting."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Budget", "Hold"]


class Budget:
    """A number of bytes that holds share, first come, first served."""

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes; what is larger than that is let through alone."""
        self.limit = limit
        self.held = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def hold(self, size: int) -> Hold:
        """Wait until ``size`` bytes are free and take them; a cancelled caller takes none."""
        size = min(size, self.limit)
        if self._waiting or self.held + size > self.limit:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((turn, size))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._free(size)  # it was given to us together with the cancellation
                else:
                    self._waiting.remove((turn, size))
                    self._serve()
                raise
        else:
            self.held += size
        return Hold(self, size)

    def _free(self, size: int) -> None:
        self.held -= size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self.held + self._waiting[0][1] <= self.limit:
            turn, size = self._waiting.popleft()
            self.held += size
            turn.set_result(None)


class Hold:
    """Some bytes of a budget, given back when everybody who keeps it has released it."""

    def __init__(self, budget: Budget, size: int) -> None:
        """Made by `Budget.hold`, kept once."""
        self._budget = budget
        self._size = size
        self._keepers = 1

    def shrink(self, size: int) -> None:
        """Give back what is held beyond ``size`` bytes, now that the size is known."""
        spare = self._size - size
        if spare > 0:
            self._size = size
            self._budget._free(spare)  # noqa: SLF001  the two are one

    def keep(self) -> None:
        """Hold it once more."""
        self._keepers += 1

    def release(self) -> None:
        """Hold it once less; the last one gives the bytes back."""
        self._keepers -= 1
        if not self._keepers:
            self._budget._free(self._size)  # noqa: SLF001  the two are one
