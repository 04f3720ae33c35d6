"""Ctrl-C and SIGTERM: the first ends a run in order, the second at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from .exits import Exit
from .streams import write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Interruption"]

_CODES = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}


class Interruption:
    """Whether this run was interrupted, and by what.

    ``code`` is the exit code of a run that was, None before.
    """

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        """``told`` is called at once when the first signal has come."""
        self.code: Exit | None = None
        self._told = told

    @contextlib.contextmanager
    def by_signals(self) -> Iterator[None]:
        """Cancel the current task at the first signal, and end the process at the second.

        The process may end at once at any time: results appear under their names whole or not at
        all, and the journal is written for that.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task

        def end(number: signal.Signals) -> None:
            if self.code is not None:
                write_line(sys.stderr, "Ended at once.")
                os._exit(_CODES[number])
            self.code = _CODES[number]
            self._told()
            task.cancel()

        watched = []
        try:
            for number in _CODES:
                # Windows, and other threads than the main one, have no such handlers; there
                # asyncio.run cancels the task for Ctrl-C
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.add_signal_handler(number, end, number)
                    watched.append(number)
            yield
        finally:
            for number in watched:
                loop.remove_signal_handler(number)
