"""A worker process, seen from the event loop.

Nothing here knows what a job means: a header and blobs go in, pictures come out one by one. A
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

from ..events import logger
from .frames import BadFrame, Frame, pack, reading
from .worker import ENVIRONMENT

__all__ = ["JobFailed", "WorkerDied", "WorkerProcess"]

_BUFFER: Final = 1 << 20
_STDERR_LINES: Final = 30
_END_SECONDS: Final = 3.0

Keep = Callable[[bytes], Awaitable[None]]


class WorkerDied(Exception):
    """The process ended, or broke the protocol, in the middle of a job."""


class JobFailed(Exception):
    """The worker is fine, the job is not: ``code`` is an error code of the service."""

    def __init__(self, code: str, message: str) -> None:
        """``message`` goes to the client."""
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class WorkerProcess:
    """One place for a process, which is started when the first job comes and replaced if it dies.

    For one asyncio task at a time.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: asyncio.subprocess.Process | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=_STDERR_LINES)

    @property
    def pid(self) -> int | None:
        """The process's id while there is one."""
        return None if self._process is None else self._process.pid

    async def work(self, job: Mapping[str, Any], blobs: Sequence[bytes], keep: Keep) -> None:
        """Do one job; await ``keep`` with each picture as soon as it is made.

        Raises `JobFailed` where the worker says so, and `WorkerDied` where there is no worker any
        more. Whatever else ends the wait, a cancellation above all, kills the process: it would go
        on with a job that nobody waits for.
        """
        try:
            process = await self._running()
            stdin = process.stdin
            assert stdin is not None
            for piece in pack(job, blobs):
                stdin.write(piece)
                await stdin.drain()
            while True:
                header, pictures = await _receive(process)
                match header["kind"]:
                    case "picture":
                        await keep(pictures[0])
                    case "done":
                        return
                    case "failed":
                        raise JobFailed(header["code"], header["message"])
                    case kind:
                        message = f"an answer of unknown kind {kind!r}"
                        raise BadFrame(message)
        except JobFailed:
            raise
        except (OSError, EOFError, BadFrame, KeyError, IndexError) as error:
            said = await self.aclose()
            logger.warning("a worker of the local engine died: %s. It said:\n%s", error, said)
            message = str(error) or type(error).__name__
            raise WorkerDied(message) from error
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> str:
        """End the process, if there is one, and return what it last said on standard error.

        Waits a few seconds at most; a cancellation meanwhile does not keep it from ending.
        """
        process, self._process = self._process, None
        listener, self._listener = self._listener, None
        if process is not None and listener is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            ending = asyncio.create_task(_end(process, listener))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        if self._ending:
            await asyncio.wait(tuple(self._ending), timeout=_END_SECONDS)
        return "\n".join(self._said)

    def _alive(self) -> bool:
        process = self._process
        if process is None or process.returncode is not None:
            return False
        assert process.stdout is not None
        return not process.stdout.at_eof()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._alive():
            assert self._process is not None
            return self._process
        await self.aclose()
        self._said.clear()
        # -P: the child's own way of starting must not put the working directory on its path.
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            f"{__package__}.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_BUFFER,
            env=_environment(),
        )
        self._listener = asyncio.create_task(_listen(process, self._said))
        header, _ = await _receive(process)
        if header["kind"] != "ready":
            message = f"it did not start: {header}"
            raise BadFrame(message)
        return process


def _environment() -> dict[str, str]:
    # The child finds the same packages as we do, however our own path came about.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": path}


async def _receive(process: asyncio.subprocess.Process) -> Frame:
    stdout = process.stdout
    assert stdout is not None
    frame = reading()
    wanted = next(frame)
    while True:
        data = await stdout.readexactly(wanted)
        try:
            wanted = frame.send(data)
        except StopIteration as complete:
            result: Frame = complete.value
            return result


async def _listen(process: asyncio.subprocess.Process, said: deque[str]) -> None:
    """Keep reading standard error: a full pipe would stop the worker."""
    assert process.stderr is not None
    while data := await process.stderr.read(4096):
        said.extend(data.decode(errors="replace").splitlines())


async def _end(process: asyncio.subprocess.Process, listener: asyncio.Task[None]) -> None:
    """Wait until the killed process and its pipes are gone.

    asyncio closes a subprocess's transport only after every pipe has come to its end, so what is
    left in them is read and dropped.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.close()
    await asyncio.wait([listener])  # it may have been cancelled, by the end of asyncio.run
    for pipe in (process.stdout, process.stderr):
        while await pipe.read(_BUFFER):
            pass
    await process.wait()
    with contextlib.suppress(OSError):
        await process.stdin.wait_closed()
