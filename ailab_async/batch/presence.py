"""Whether files are still there, asked for many at once.

A batch that is run again asks this for every picture, and reaching a thread takes longer than
looking at a file. So all that is asked while the thread is busy is answered by its next turn.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from attrs import define, field

from .names import same_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..files import SavedFile

    Question = tuple[tuple[SavedFile, ...], asyncio.Future[bool]]

__all__ = ["Presence"]

_AT_ONCE: Final = 256
"""Questions that one turn answers: some milliseconds, on a local disk."""


@define(eq=False, kw_only=True)
class Presence:
    """Looks for saved files; with ``verify`` at their bytes, and else at their size alone."""

    verify: bool
    limiter: anyio.CapacityLimiter
    _asked: list[Question] = field(init=False, factory=list)
    _turns: asyncio.Task[None] | None = field(init=False, default=None)

    async def of(self, files: tuple[SavedFile, ...]) -> bool:
        """Return whether all of them are there."""
        if self.verify:  # here it is the reading that takes long
            return await anyio.to_thread.run_sync(_all, same_bytes, files, limiter=self.limiter)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((files, answer))
        if self._turns is None:
            self._turns = asyncio.create_task(self._answer())
        return await answer

    async def aclose(self) -> None:
        """Let the turn that runs end; whoever asked has gone."""
        self._asked.clear()
        if self._turns is not None:
            await asyncio.wait((self._turns,))

    async def _answer(self) -> None:
        while self._asked:
            asked = self._asked[:_AT_ONCE]
            del self._asked[:_AT_ONCE]
            every = [files for files, _ in asked]
            found = await anyio.to_thread.run_sync(_look, every, limiter=self.limiter)
            for (_, answer), there in zip(asked, found, strict=True):
                if not answer.done():
                    answer.set_result(there)
        self._turns = None


def _look(asked: list[tuple[SavedFile, ...]]) -> list[bool]:
    return [_all(_same_size, files) for files in asked]


def _all(there: Callable[[SavedFile], bool], files: tuple[SavedFile, ...]) -> bool:
    return all(map(there, files))


def _same_size(file: SavedFile) -> bool:
    try:
        return os.stat(file.path).st_size == file.size  # noqa: PTH116  a text, as it was kept
    except (OSError, ValueError):  # the latter for what can be no path
        return False
