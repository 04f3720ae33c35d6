"""``ailab color``: new colours for photos.

`plan` says what can be done; here it is done: each photo is sent, awaited and saved on its own, a
few at once, so that one that fails costs the others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread

from ..client import AsyncClient
from ..errors import AILabError, MissingExtra, NotDelivered, ServiceUnreachable
from ..events import Event, ExchangeEvent, ServiceChosen
from ..operations import HDColorMigration, RefPic
from .exits import Exit, exit_for, exit_for_all, stops_everything
from .explain import explain
from .interruption import closing_line, interrupted
from .options import Job, Wrong, folder_from, job_from, service_from
from .output import Photo, Reporter, choose
from .plan import check_names, check_photo, distinct, prepare_folder, remove_empty

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from pathlib import Path

    from ..protocol.services import Service

__all__ = ["color"]

_T = TypeVar("_T")

_AT_ONCE: Final = 16
_READ_AT_ONCE: Final = 4

_UNREACHED: Final = frozenset({"NotDelivered", "OutcomeUnknown"})
"""Errors of looks that say that there was no answer at all."""


def color(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code says how it went."""
    reporter = choose(as_json=arguments.json, quiet=arguments.quiet)
    try:
        code = _color(arguments, reporter)
    except Wrong as wrong:
        reporter.problem(str(wrong))
        code = wrong.code
    if reporter.lost:
        made = f"what was made is in {arguments.out}"
        reporter.problem(f"standard output cannot be written: {reporter.lost}; {made}.")
        code = code or Exit.CANNOT_WRITE
    return code


def _color(arguments: argparse.Namespace, reporter: Reporter) -> int:
    job, service, out = job_from(arguments), service_from(arguments), folder_from(arguments)
    photos, notes = distinct(arguments.photos)
    for note in notes:
        reporter.note(note)
    run = _Run(job, service, photos, out, overwrite=arguments.overwrite, reporter=reporter)
    try:
        return asyncio.run(run.all())
    finally:
        run.tidy()


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
        self._reference: Photo | None = None
        self._told: set[Photo] = set()
        self._lasting = False
        self._elsewhere = False
        self._orphaned = False
        self._outage = False
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
            # asyncio.run cancels us once for Ctrl-C
            self._tell_interrupted()
            self._close()
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
            reference = self._reference = Photo(self._job.reference)
            part = await check_photo(self._job, reference, limiter=limiter)
            if part is None:
                message = f"--ref {reference.path}: {reference.message}"
                raise Wrong(message)
            if reference.changes:
                # fitted once, and not again for every photo
                self._job.mode = RefPic(part.data)
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
                self._tell(photo)
        return ready

    async def _send(self, photos: list[Photo]) -> None:
        try:
            client = AsyncClient(service=self._service, on_event=self._heard)
            service = client.service
            self._lasting = not service.embedded
            self._elsewhere = service.name == "local" and self._lasting
            try:
                async with client:
                    self._reporter.service(service.name, _about(service, self._reason))
                    if self._reference is not None and self._reference.changes:
                        self._reporter.fitted(self._reference)
                    try:
                        with self._reporter.at_work(len(photos)):
                            await _each(photos, lambda one: self._do(client, one), at_once=_AT_ONCE)
                    except asyncio.CancelledError:
                        # now, and not when the last exchanges have ended
                        self._tell_interrupted()
                        raise
            finally:
                self._tell_orphans(client)
        except MissingExtra as error:
            message = f"{error} (or use --service direct)."
            raise Wrong(message) from None
        except AILabError as error:
            text = explain(error, elsewhere=self._elsewhere, url="AILAB_ENGINE_URL")
            raise Wrong(text, exit_for(error)) from None

    def _tell(self, photo: Photo) -> None:
        self._told.add(photo)
        self._reporter.done(photo)

    def _tell_interrupted(self) -> None:
        """Tell of every photo that was not told of, in the order of the command line."""
        for photo in self._photos:
            if photo not in self._told:
                photo.exit_code = self._ended
                photo.message = interrupted(photo, lasting=self._lasting)
                self._tell(photo)

    def _tell_orphans(self, client: AsyncClient) -> None:
        """Name the tasks that were accepted after the run had been interrupted: they are billed."""
        if not client.service.embedded:
            for task in client.orphans:
                self._orphaned = True
                stem = task.record()["stem"]
                self._reporter.problem(f"the service goes on with task {task.id} for {stem}.")

    def _close(self) -> None:
        if len(self._photos) > 1:
            text = closing_line(
                self._photos,
                overwrite=self._overwrite,
                lasting=self._lasting,
                orphaned=self._orphaned,
            )
            self._reporter.interrupted(text)

    async def _do(self, client: AsyncClient, photo: Photo) -> None:
        """Take one photo to its end; only a cancellation comes out of here."""
        if self._stopped_by is not None:
            photo.exit_code = exit_for(self._stopped_by)
            photo.message = "was not sent, for the same reason as above."
            self._tell(photo)
            return
        if photo.changes:
            self._reporter.fitted(photo)
        began = time.monotonic()
        try:
            await self._color(client, photo)
        except (AILabError, OSError) as error:
            self._failed(photo, error)
        finally:
            photo.seconds = time.monotonic() - began
        self._tell(photo)

    async def _color(self, client: AsyncClient, photo: Photo) -> None:
        self._stage(photo, "sending")
        task = await client.submit(self._job.operation(photo.path))
        photo.task_id = task.id
        self._stage(photo, "colouring")
        result = await task
        self._stage(photo, "saving")
        paths = await result.save(self._out, overwrite=self._overwrite)
        photo.files = [str(path) for path in paths]

    def _stage(self, photo: Photo, stage: str) -> None:
        photo.stage = stage
        self._reporter.stage(photo, stage)

    def _failed(self, photo: Photo, error: AILabError | OSError) -> None:
        photo.error, photo.exit_code = error, exit_for(error)
        task_id = photo.task_id if self._lasting else ""
        photo.message = explain(error, task_id=task_id, elsewhere=self._elsewhere)
        nothing_yet = not any(other.task_id for other in self._photos)
        unreached = isinstance(error, NotDelivered | ServiceUnreachable)
        if stops_everything(error) or (unreached and nothing_yet):
            self._stopped_by = error

    def _heard(self, event: Event) -> None:
        match event:
            case ServiceChosen():
                self._reason = event.reason
            case ExchangeEvent(action="look", phase="failed") if event.error in _UNREACHED:
                if not self._outage:
                    self._reporter.note(f"{event.host} cannot be reached, still trying.")
                self._outage = True
            case ExchangeEvent(action="look", phase="complete"):
                self._outage = False
            case _:
                pass

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
