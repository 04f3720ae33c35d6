"""The engine under uvicorn: how many may be connected, and how long they may keep it waiting.

uvicorn itself bounds only the pause between two requests. Whoever connects and says nothing, sends
a head byte by byte, or asks for a file and does not read it, would keep a connection for ever.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp

__all__ = ["SWITCH_SECONDS", "configuration"]

SWITCH_SECONDS: Final = 0.0005
"""For `sys.setswitchinterval`, where the process is the engine's own: so long the event loop waits
for each of the worker threads that check pictures and write files, instead of 5 ms."""

HEAD_SECONDS: Final = 20.0
"""A connection is ended that has no open request at two looks so far apart, and none in between."""

READ_SECONDS: Final = 60.0
"""So long may a client take nothing of an answer that is more than the buffers hold."""

IDLE_SECONDS: Final = 20
"""The pause between two requests: longer than clients keep a connection that they do not use (httpx
5 seconds, aiohttp 15), or theirs would often be closed in the moment in which they take it up."""

MOST_CONNECTIONS: Final = 512
_BACKLOG: Final = 256
_GRACE_SECONDS: Final = 3


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Return how an engine's app is to be served.

    At most 512 connections are open at once, or half of the files that this process may open if
    that is fewer; others are closed at once, before anything of their request is read. Ending
    waits up to 3 seconds for open requests.
    """
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        backlog=_BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Connection(H11Protocol):
    """A connection that is ended when its client takes too long."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._look: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._most = _most_connections()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.abort()
        else:
            self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._look, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        super().resume_writing()

    def _look_later(self, last: object = None) -> None:
        self._look = self.loop.call_later(HEAD_SECONDS, self._look_after, last)

    def _look_after(self, last: object) -> None:
        """End the connection if it still is after the request that it was after at the last look.

        A body that goes on when its request was answered is no open request either.
        """
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._look_later()
        elif last is (cycle or self):
            self.transport.abort()
        else:
            self._look_later(cycle or self)


def _most_connections() -> int:
    with contextlib.suppress(ImportError):  # not on Windows
        import resource  # noqa: PLC0415 - see above

        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY:
            return min(MOST_CONNECTIONS, files // 2)
    return MOST_CONNECTIONS
