"""``ailab color``: new colours for photos.

`plan` says what can be done; here it is done: each photo is sent, awaited and saved on its own, a
few at once, so that one that fails costs the others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread

from ..client import AsyncClient
from ..errors import AILabError, MissingExtra, NotDelivered
from ..events import Event, ServiceChosen
from ..operations import HDColorMigration
from .exits import Exit, exit_for, exit_for_all, stops_everything
from .explain import explain
from .output import Photo, Reporter, choose
from .plan import (
    Job,
    Wrong,
    check_names,
    check_photo,
    job_from,
    prepare_folder,
    remove_empty,
    service_from,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from ..protocol.services import Service

__all__ = ["color"]

_T = TypeVar("_T")

_AT_ONCE: Final = 16
_READ_AT_ONCE: Final = 4


def color(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code says how it went."""
    reporter = choose(as_json=arguments.json, quiet=arguments.quiet)
    try:
        job, service = job_from(arguments), service_from(arguments)
        photos = [Photo(path) for path in arguments.photos]
        out = Path(arguments.out)
        run = _Run(job, service, photos, out, overwrite=arguments.overwrite, reporter=reporter)
        try:
            return asyncio.run(run.all())
        finally:
            run.tidy()
    except Wrong as wrong:
        reporter.problem(str(wrong))
        return wrong.code


class _Run:
    """One call of the command, after its options were read."""

    def __init__(
        self,
        job: Job,
        service: Service | None,
        photos: list[Photo],
        out: Path,
        *,
        overwrite: bool,
        reporter: Reporter,
    ) -> None:
        self._job = job
        self._service = service
        self._photos = photos
        self._out = out
        self._overwrite = overwrite
        self._reporter = reporter
        self._reason = ""
        self._made_folders: list[Path] = []
        self._stopped_by: BaseException | None = None
        self._ended = Exit.INTERRUPTED

    async def all(self) -> int:
        """Check, send, report; return the exit code. Raises `Wrong`."""
        try:
            with self._ended_by_sigterm():
                ready = await self._check()
                if ready:
                    await self._send(ready)
        except asyncio.CancelledError:
            # asyncio.run cancels us once for Ctrl-C; what is to be said then has been said
            return self._ended
        self._reporter.summary(self._photos)
        return exit_for_all(Exit(photo.exit_code) for photo in self._photos)

    def tidy(self) -> None:
        """Take back the folders that were made for results which never came."""
        if not any(photo.files for photo in self._photos):
            remove_empty(self._made_folders)

    async def _check(self) -> list[Photo]:
        limiter = anyio.CapacityLimiter(_READ_AT_ONCE)
        if self._job.reference is not None:
            reference = Photo(self._job.reference)
            if not await check_photo(self._job, reference, limiter=limiter):
                message = f"--ref {reference.path}: {reference.message}"
                raise Wrong(message)
        readable: set[Photo] = set()

        async def check(photo: Photo) -> None:
            if await check_photo(self._job, photo, limiter=limiter):
                readable.add(photo)

        await _each(self._photos, check, at_once=_READ_AT_ONCE)
        # in the order of the command line: of two photos of one name the first is taken
        in_order = [photo for photo in self._photos if photo in readable]

        def look_at_folder() -> list[Photo]:
            free = check_names(self._job, in_order, self._out, overwrite=self._overwrite)
            self._made_folders = prepare_folder(self._out) if free else []
            return free

        ready = await anyio.to_thread.run_sync(look_at_folder, limiter=limiter)
        for photo in self._photos:
            if photo.message:
                self._reporter.done(photo)
        return ready

    async def _send(self, photos: list[Photo]) -> None:
        try:
            client = AsyncClient(service=self._service, on_event=self._heard)
            try:
                async with client:
                    service = client.service
                    self._reporter.service(service.name, _about(service, self._reason))
                    with self._reporter.at_work(len(photos)):
                        await _each(photos, lambda one: self._do(client, one), at_once=_AT_ONCE)
            finally:
                self._tell_orphans(client)
        except MissingExtra as error:
            message = f"{error} (or use --service direct)."
            raise Wrong(message) from None
        except AILabError as error:
            raise Wrong(explain(error), exit_for(error)) from None

    def _tell_orphans(self, client: AsyncClient) -> None:
        """Name the tasks that were accepted after the run had been interrupted: they are billed."""
        if not client.service.embedded:
            for task in client.orphans:
                stem = task.record()["stem"]
                self._reporter.problem(f"the service goes on with task {task.id} for {stem}.")

    async def _do(self, client: AsyncClient, photo: Photo) -> None:
        """Take one photo to its end; only a cancellation comes out of here."""
        if self._stopped_by is not None:
            photo.exit_code = exit_for(self._stopped_by)
            photo.message = "was not sent, for the same reason as above."
            self._reporter.done(photo)
            return
        began = time.monotonic()
        try:
            await self._color(client, photo)
        except asyncio.CancelledError:
            photo.exit_code = self._ended
            photo.message = "was interrupted."
            if photo.task_id and not client.service.embedded:
                photo.message = f"was interrupted; the service goes on with task {photo.task_id}."
            raise
        except (AILabError, OSError) as error:
            self._failed(photo, error, lasting=not client.service.embedded)
        finally:
            photo.seconds = time.monotonic() - began
            self._reporter.done(photo)

    async def _color(self, client: AsyncClient, photo: Photo) -> None:
        self._reporter.stage(photo, "sending")
        task = await client.submit(self._job.operation(photo.path))
        photo.task_id = task.id
        self._reporter.stage(photo, "colouring")
        result = await task
        self._reporter.stage(photo, "saving")
        paths = await result.save(self._out, overwrite=self._overwrite)
        photo.files = [str(path) for path in paths]

    def _failed(self, photo: Photo, error: AILabError | OSError, *, lasting: bool) -> None:
        photo.error, photo.exit_code = error, exit_for(error)
        photo.message = explain(error, task_id=photo.task_id if lasting else "")
        nothing_yet = not any(other.task_id for other in self._photos)
        if stops_everything(error) or (isinstance(error, NotDelivered) and nothing_yet):
            self._stopped_by = error

    def _heard(self, event: Event) -> None:
        if isinstance(event, ServiceChosen):
            self._reason = event.reason

    @contextlib.contextmanager
    def _ended_by_sigterm(self) -> Iterator[None]:
        """End as for Ctrl-C, so that no worker or half-written file stays behind."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task

        def end() -> None:
            self._ended = Exit.TERMINATED
            task.cancel()

        try:
            loop.add_signal_handler(signal.SIGTERM, end)
        except (NotImplementedError, RuntimeError, ValueError):
            yield  # Windows, or not in the main thread
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)


def _about(service: Service, reason: str) -> str:
    if service.embedded:
        why = "; AILAB_API_KEY is not set" if "not set" in reason else ""
        return f"pictures are made on this computer{why}"
    if service.name == "rapidapi":
        return "each photo counts against the plan"
    if service.name == "local":
        return service.base_url
    return f"{service.base_url}, {HDColorMigration.credits:g} credits a photo"


async def _each(items: Iterable[_T], do: Callable[[_T], Awaitable[None]], *, at_once: int) -> None:
    """Await ``do`` for every item, in order, a few at once."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await do(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
