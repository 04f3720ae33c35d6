"""A number of units shared in order: bytes of pictures in memory, or slots."""

from __future__ import annotations

import asyncio

from ..errors import ClientClosed

__all__ = ["Budget", "Hold"]


class Budget:
    """Units that holds share, first come, first served.

    Nothing here raises when units are given back, whatever became of those who wait for them.
    """

    def __init__(self, limit: int) -> None:
        """``limit`` is in units; what is larger than that is let through alone."""
        self._limit = limit
        self.held = 0
        self._closed = False
        # in order, and each can be taken out at once: thousands may be cancelled together
        self._waiting: dict[asyncio.Future[None], int] = {}

    @property
    def limit(self) -> int:
        """How much may be held. Lowering it takes nothing from anybody."""
        return self._limit

    @limit.setter
    def limit(self, units: int) -> None:
        self._limit = units
        self._serve()

    async def hold(self, size: int) -> Hold:
        """Wait until ``size`` units are free and take them; a cancelled caller takes none.

        Raises `ClientClosed` once `close` was called.
        """
        self._check()
        size = min(size, self._limit)
        if not self._waiting and self.held + size <= self._limit:
            self.held += size
            return Hold(self, size)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = size
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.pop(turn, None)
            if turn.cancelled():
                self._serve()
            else:
                self._free(size)  # it was given to us together with the cancellation
            raise
        try:
            self._check()
        except ClientClosed:
            self._free(size)
            raise
        return Hold(self, size)

    def close(self) -> None:
        """Let nobody in any more; whoever waits gets `ClientClosed`."""
        self._closed = True
        waiting, self._waiting = self._waiting, {}
        for turn, size in waiting.items():
            if not turn.done():
                self.held += size  # to be given back by the one who is woken
                turn.set_result(None)

    def _check(self) -> None:
        if self._closed:
            raise ClientClosed

    def _free(self, size: int) -> None:
        self.held -= size
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            turn, size = next(iter(self._waiting.items()))
            if turn.done():  # cancelled, and not told yet
                del self._waiting[turn]
                continue
            if self.held + size > self._limit:
                return
            del self._waiting[turn]
            self.held += size
            turn.set_result(None)


class Hold:
    """Some units of a budget, given back when everybody who keeps it has released it."""

    def __init__(self, budget: Budget, size: int) -> None:
        """Made by `Budget.hold`, kept once."""
        self._budget = budget
        self._size = size
        self._keepers = 1

    def shrink(self, size: int) -> None:
        """Give back what is held beyond ``size`` units, now that the size is known."""
        spare = self._size - size
        if spare > 0:
            self._size = size
            self._budget._free(spare)  # noqa: SLF001  the two are one

    def keep(self) -> None:
        """Hold it once more."""
        self._keepers += 1

    def release(self) -> None:
        """Hold it once less; the last one gives the units back."""
        self._keepers -= 1
        if not self._keepers:
            self._budget._free(self._size)  # noqa: SLF001  the two are one
