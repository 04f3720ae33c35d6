"""`LocalEngine`: the store, the queue and the ASGI app as one thing that starts and ends."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Final, Self

import anyio
import anyio.to_thread

from ..carry import carried_through
from ..errors import InvalidOperation, MissingExtra
from .fairness import FairSlots
from .keys import Keys
from .metrics import Metrics
from .queue import PATIENCE, TaskQueue, places
from .records import Records
from .running import MEMORY_LIMIT, RETRIES, TIME_LIMIT, Limits
from .store import FileStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from starlette.applications import Starlette

__all__ = ["LocalEngine"]

_NEEDED: Final = {
    "starlette": "starlette",
    "python_multipart": "python-multipart",
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "patchmatch": "pypatchmatch",
}
"""Import names and what to install for them; numpy and OpenCV are loaded by the workers only."""

_THREADS: Final = 8
_UPLOADS: Final = 16


class LocalEngine:
    """The service's HTTP interface, answered by worker processes of this computer.

    Use it as an asynchronous context manager, or call `start` and `aclose`; or serve `app` with
    any ASGI server, whose lifespan does that. For one event loop.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        data: Path | None = None,
        keys: Sequence[str] = (),
        queue_limit: int = 256,
        time_limit: float = TIME_LIMIT,
        patience: float = PATIENCE,
        retries: int = RETRIES,
        memory_limit: int = MEMORY_LIMIT,
        rapidapi_paths: Mapping[str, str] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            workers: at most this many worker processes, and never more than there are cores.
            data: a folder for tasks and files, which stays: an engine that is started with it
                again goes on with what an earlier one has accepted. Without it a temporary one.
            keys: the API keys that are accepted; without any, every key is, and none.
            queue_limit: so many tasks may wait for a worker.
            time_limit: seconds that one task may take in a worker, all attempts together.
            patience: seconds that a submission waits for room in a full queue, before it is
                refused with HTTP 503.
            retries: so often a task is tried again whose worker died under it.
            memory_limit: bytes that one task may take in a worker; Linux only.
            rapidapi_paths: paths of the RapidAPI form by the operation's name, beside or in place
                of the known ones: that of HD colour migration is published nowhere.

        Raises:
            InvalidOperation: a key is empty, or ``keys`` is one text instead of several.
        """
        self.keys = Keys(keys)
        self.rapidapi_paths = dict(rapidapi_paths or {})
        for name, path in self.rapidapi_paths.items():
            if not path.startswith("/"):
                which = f"rapidapi_paths[{name!r}]"
                raise InvalidOperation(which, "a path that begins with /", path)
        self.limiter = anyio.CapacityLimiter(_THREADS)
        self.uploads = FairSlots(_UPLOADS)
        self.metrics = Metrics()
        self.store = FileStore(data, limiter=self.limiter)
        self.records = Records()
        self.queue = TaskQueue(
            self.store,
            self.records,
            self.metrics,
            places=places(workers),
            limit=queue_limit,
            limits=Limits(seconds=time_limit, memory=memory_limit, retries=retries),
            patience=patience,
        )
        self._app: Starlette | None = None
        self._started = False
        self._starting = asyncio.Lock()
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def app(self) -> Starlette:
        """The ASGI application; loads Starlette when first asked for.

        Raises `MissingExtra` where a package that the engine needs is not installed.
        """
        if self._app is None:
            _check_packages()
            from .app import make_app  # noqa: PLC0415 - loads Starlette

            self._app = make_app(self)
        return self._app

    @property
    def running(self) -> bool:
        """Whether it was started and not closed."""
        return self._started and not self._closed

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process ids of the workers that run now; they start with the first tasks."""
        return self.queue.worker_pids

    async def start(self) -> None:
        """Make the data folder, load the app, take up what is in a given folder.

        A second call does nothing.

        Raises `MissingExtra` where a package that the engine needs is not installed, `OSError`
        where the data folder cannot be used (another engine does, say), and `RuntimeError` after
        `aclose`.
        """
        if self._closed:
            message = "this engine is closed: make a new LocalEngine()"
            raise RuntimeError(message)
        async with self._starting:
            if not self._started:
                await self._start()
                self._started = True

    async def _start(self) -> None:
        # Importing takes a tenth of a second: not on the event loop.
        await anyio.to_thread.run_sync(lambda: self.app, limiter=self.limiter)
        await self.store.start()
        self.records.place(self.store.records, durable=self.store.stays)
        if self.store.stays:
            try:
                await self._resume()
            except BaseException:
                await carried_through(self._close())
                raise

    async def _resume(self) -> None:
        """Take up what an earlier engine has accepted and not done."""
        await self.queue.sweep()
        tasks = await self.records.unfinished()
        uploads = {name for task in tasks for name in task.work.uploads}
        await self.store.drop_unknown(uploads | await self.records.results())
        self.queue.resume(tasks)
        self.queue.start_sweeping()

    async def aclose(self) -> None:
        """Stop the work, end the workers, remove the temporary folder. A second call does nothing.

        Tasks that are not done are lost with a temporary folder; in a given one they stay for the
        next engine. Takes a few seconds at most, and is carried through also when the caller is
        cancelled meanwhile.
        """
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await carried_through(self._closing)

    async def _close(self) -> None:
        await self.queue.aclose()
        await self.records.aclose()
        await self.store.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _check_packages() -> None:
    for module, package in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(package, extra="local", purpose="the local engine")
