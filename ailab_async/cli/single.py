"""What the commands for one thing share: ``call``, ``task`` and ``credits``."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from ..client import AsyncClient
from ..errors import AILabError, MissingExtra
from ..events import Event, ServiceChosen
from .exits import Exit, exit_for
from .explain import explain
from .interruption import Interruption
from .options import Wrong
from .streams import write_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from ..protocol.services import Service

__all__ = ["Single", "run_single", "say"]


def say(text: str) -> None:
    """Write a line to standard error."""
    write_line(sys.stderr, text)


class Single:
    """One command that talks to the service once.

    ``left`` is what is to be said where it is interrupted.
    """

    def __init__(self, command: str, service: Service | None, *, quiet: bool) -> None:
        """``command`` is the word after ``ailab``."""
        self.command = command
        self.quiet = quiet
        self.left = ""
        self.lost = ""
        self.elsewhere = False
        self._service = service
        self._reason = ""

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncClient]:
        """Make the client, say which service it talks to, and close it."""
        client = AsyncClient(service=self._service, on_event=self._heard)
        service = client.service
        self.elsewhere = service.name == "local" and not service.embedded
        try:
            await client.__aenter__()
            self.note(f"Service: {service.name}{_where(service)}")
            yield client
        except asyncio.CancelledError:
            await client.aclose(0)
            if not service.embedded:
                for task in client.orphans:
                    self.left = f"It goes on at the service: ailab task {task.id}"
            raise
        finally:
            await client.aclose()

    def note(self, text: str) -> None:
        """Tell something by the way."""
        if not self.quiet:
            say(text)

    def out(self, text: str) -> None:
        """Write a line of the answer."""
        self.lost = self.lost or write_line(sys.stdout, text)

    def saved(self, paths: Sequence[Path], *, on_stdout: bool) -> None:
        """Name the files that were saved."""
        for path in paths:
            if on_stdout:
                self.out(str(path))
            else:
                self.note(f"Saved {path}")

    def _heard(self, event: Event) -> None:
        if isinstance(event, ServiceChosen):
            self._reason = event.reason


def run_single(single: Single, work: Callable[[], Awaitable[int]]) -> int:
    """Run a command to its end or interruption; return the exit code."""
    interruption = Interruption()

    async def whole() -> int:
        with interruption.by_signals():
            try:
                return await work()
            except asyncio.CancelledError:
                say(f"Interrupted. {single.left}".rstrip())
                return interruption.code or Exit.INTERRUPTED

    code: int
    try:
        code = asyncio.run(whole())
    except Wrong as wrong:
        say(f"ailab {single.command}: {wrong}")
        code = wrong.code
    except MissingExtra as error:
        say(f"ailab {single.command}: {error} (or use --service direct).")
        code = Exit.BAD_INPUT
    except (AILabError, OSError) as error:
        text = explain(error, elsewhere=single.elsewhere, url="AILAB_ENGINE_URL", fields=True)
        say(f"ailab {single.command}: {text}")
        code = exit_for(error)
    if single.lost:
        say(f"ailab {single.command}: standard output cannot be written: {single.lost}.")
        code = code or Exit.CANNOT_WRITE
    return code


def _where(service: Service) -> str:
    if service.embedded:
        return " (on this computer)"
    return f" ({service.base_url})" if service.base_url else ""
