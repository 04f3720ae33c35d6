"""A worker process, seen from the event loop.

Nothing here knows what a job means: a header and blobs go in, result files come out one by one. A
process that dies, hangs or answers nonsense is killed, and the next job starts a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from ..events import logger
from .frames import BadFrame, Frame, pack, reading
from .worker import ENVIRONMENT

__all__ = ["JobFailed", "WorkerDied", "WorkerProcess"]

_BUFFER: Final = 1 << 20
_STDERR_LINES: Final = 30
_END_SECONDS: Final = 3.0

Keep = Callable[[bytes, str], Awaitable[None]]
"""Takes a result file and its extension."""


class WorkerDied(Exception):
    """The process ended, or broke the protocol, in the middle of a job."""


class JobFailed(Exception):
    """The worker is fine, the job is not: ``code`` is an error code of the service."""

    def __init__(self, code: str, message: str) -> None:
        """``message`` goes to the client."""
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


@frozen(eq=False)
class _Child:
    """A process with its three pipes, and the task that keeps reading its standard error."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    listener: asyncio.Task[None]

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as is known here."""
        return self.process.returncode is None and not self.stdout.at_eof()

    async def receive(self) -> Frame:
        """Wait for its next frame."""
        frame = reading()
        wanted = next(frame)
        while True:
            data = await self.stdout.readexactly(wanted)
            try:
                wanted = frame.send(data)
            except StopIteration as complete:
                result: Frame = complete.value
                return result

    async def end(self) -> None:
        """Wait until the process, killed before, is gone with its pipes.

        asyncio closes a subprocess's transport only after every pipe has come to its end, so what
        is left in them is read and dropped.
        """
        self.stdin.close()
        await asyncio.wait([self.listener])  # it may have been cancelled, by the end of asyncio.run
        for pipe in (self.stdout, self.stderr):
            while await pipe.read(_BUFFER):
                pass
        await self.process.wait()
        with contextlib.suppress(OSError):
            await self.stdin.wait_closed()


class WorkerProcess:
    """One place for a process, which is started when the first job comes and replaced if it dies.

    For one asyncio task at a time.
    """

    def __init__(self, *, memory_limit: int) -> None:
        """Start nothing yet. ``memory_limit`` is in bytes, for one job."""
        self._memory_limit = memory_limit
        self._child: _Child | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._said: deque[str] = deque(maxlen=_STDERR_LINES)

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        child = self._child
        return child.process.pid if child is not None and child.alive else None

    async def work(self, job: Mapping[str, Any], blobs: Sequence[bytes], keep: Keep) -> None:
        """Do one job; await ``keep`` with each result as soon as it is made.

        Raises `JobFailed` where the worker says so, and `WorkerDied` where there is no worker any
        more. Whatever else ends the wait, a cancellation above all, kills the process: it would go
        on with a job that nobody waits for.
        """
        try:
            child = await self._running()
            for piece in pack(job, blobs):
                child.stdin.write(piece)
                await child.stdin.drain()
            problem, last = await _follow(child, keep)
        except (OSError, EOFError, BadFrame) as error:
            why = "its output ended" if isinstance(error, EOFError) else str(error)
            said = await self.aclose()
            logger.warning("a worker of the local engine is gone: %s\n%s", why, said)
            raise WorkerDied(why) from error
        except BaseException:
            await self.aclose()
            raise
        if last:
            await self.aclose()
        if problem is not None:
            raise problem

    async def aclose(self) -> str:
        """End the process, if there is one, and return what it last said on standard error.

        Waits a few seconds at most; a cancellation meanwhile does not keep it from ending.
        """
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
            ending = asyncio.create_task(child.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        if self._ending:
            await asyncio.wait(tuple(self._ending), timeout=_END_SECONDS)
        return "\n".join(self._said)

    async def _running(self) -> _Child:
        if self._child is not None and self._child.alive:
            return self._child
        await self.aclose()
        self._said.clear()
        self._child = child = await _start(self._said, self._memory_limit)
        header, _ = await child.receive()
        if header.get("kind") != "ready":
            message = f"it did not start: {header}"
            raise BadFrame(message)
        return child


async def _start(said: deque[str], memory_limit: int) -> _Child:
    # -P: the child's own way of starting must not put the working directory on its path.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        f"{__package__}.worker",
        str(memory_limit),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_BUFFER,
        env=_environment(),
    )
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None  # noqa: S101 - all three were asked for
    assert stdout is not None  # noqa: S101
    assert stderr is not None  # noqa: S101
    listener = asyncio.create_task(_listen(stderr, said))
    return _Child(process, stdin, stdout, stderr, listener)


def _environment() -> dict[str, str]:
    # The child finds the same packages as we do, however our own path came about.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": path}


async def _follow(child: _Child, keep: Keep) -> tuple[JobFailed | None, bool]:
    """Take the answers to one job; return why it failed, if so, and whether the worker ends."""
    while True:
        header, results = await child.receive()
        match header, results:
            case {"kind": "result", "extension": str(extension)}, [result]:
                await keep(result, extension)
            case {"kind": "done", "last": bool(last)}, []:
                return None, last
            case {
                "kind": "failed",
                "code": str(code),
                "message": str(message),
                "last": bool(last),
            }, []:
                return JobFailed(code, message), last
            case _:
                message = f"an answer of unknown kind: {header}"
                raise BadFrame(message)


async def _listen(stderr: asyncio.StreamReader, said: deque[str]) -> None:
    """Keep reading standard error: a full pipe would stop the worker."""
    while data := await stderr.read(4096):
        said.extend(data.decode(errors="replace").splitlines())
