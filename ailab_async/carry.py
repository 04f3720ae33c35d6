"""Carrying a piece of work through when whoever waits for it is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["carried_through"]

T = TypeVar("T")


async def carried_through(work: Coroutine[Any, Any, T] | asyncio.Task[T]) -> T:
    """Await bounded work to its end; a cancellation meanwhile is raised after it.

    For work that must not be left half done: closing, or a step of writing a file. An anyio scope
    that shields does so from anyio's cancellations only, not from ``task.cancel()``.
    """
    task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    # the scope keeps anyio's cancellations out, which would come again and again
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen
        raise cancelled
    return task.result()
