"""`LocalEngine`: the store, the queue and the ASGI app as one thing that starts and ends."""

from __future__ import annotations

import asyncio
import hmac
import importlib.util
from typing import TYPE_CHECKING, Final, Self

import anyio
import anyio.to_thread

from ..errors import InvalidOperation, MissingExtra
from .queue import PATIENCE, TIME_LIMIT, TaskQueue, places
from .store import FileStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.applications import Starlette

__all__ = ["LocalEngine"]

_NEEDED: Final = {
    "starlette": "starlette",
    "python_multipart": "python-multipart",
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
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
    ) -> None:
        """Start nothing yet.

        Args:
            workers: at most this many worker processes, and never more than there are cores.
            data: a folder for result files, which stays; without it a temporary one.
            keys: the API keys that are accepted; without any, every key is, and none.
            queue_limit: so many tasks may wait for a worker.
            time_limit: seconds that one task may take in a worker.
            patience: seconds that a submission waits for room in a full queue, before it is
                refused with HTTP 503.

        Raises:
            InvalidOperation: a key is empty, or ``keys`` is one text instead of several.
        """
        if isinstance(keys, str) or not all(keys):
            # of one text, every letter would be a key
            hint = "For one key: keys=[key]."
            raise InvalidOperation("keys", "a list of keys, none empty", "another", hint=hint)
        self._keys = tuple(key.encode() for key in keys)
        self.limiter = anyio.CapacityLimiter(_THREADS)
        self.uploads = asyncio.Semaphore(_UPLOADS)
        self.store = FileStore(data, limiter=self.limiter)
        self.queue = TaskQueue(
            self.store,
            places=places(workers),
            limit=queue_limit,
            time_limit=time_limit,
            patience=patience,
        )
        self._app: Starlette | None = None
        self._started = False
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
        """Make the data folder and load the app. A second call does nothing.

        Raises `MissingExtra` where a package that the engine needs is not installed, `OSError`
        where the data folder cannot be made, and `RuntimeError` after `aclose`.
        """
        if self._closed:
            message = "this engine is closed: make a new LocalEngine()"
            raise RuntimeError(message)
        if self._started:
            return
        # Importing takes a tenth of a second: not on the event loop.
        await anyio.to_thread.run_sync(lambda: self.app, limiter=self.limiter)
        await self.store.start()
        self._started = True

    async def aclose(self) -> None:
        """Stop the work, end the workers, remove the temporary folder. A second call does nothing.

        Tasks that are not done are lost. Takes a few seconds at most, and is carried through also
        when the caller is cancelled meanwhile.
        """
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        cancelled: asyncio.CancelledError | None = None
        # the scope keeps anyio's cancellations out, which would come again and again
        with anyio.CancelScope(shield=True):
            while not self._closing.done():
                try:
                    await asyncio.shield(self._closing)
                except asyncio.CancelledError as error:
                    cancelled = error
        if cancelled is not None:
            raise cancelled
        await self._closing

    async def _close(self) -> None:
        await self.queue.aclose()
        await self.store.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def accepts(self, key: str) -> bool:
        """Whether a request with this key may pass; takes equally long whichever it is."""
        given = key.encode("utf-8", "surrogateescape")
        matches = [hmac.compare_digest(given, known) for known in self._keys]
        return any(matches) or not self._keys


def _check_packages() -> None:
    for module, package in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(package, extra="local", purpose="the local engine")
