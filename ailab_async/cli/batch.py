"""One run over many pictures: the engine of ``color``, ``erase``, ``motion`` and ``cartoon``.

Names are gathered and judged, then `AsyncClient.map` does the work, with the journal beside the
output folder; here its outcomes are told, counted and put on the contact sheet. Of a picture that
was told of nothing is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from ..batch.entries import EntryState
from ..batch.journal import Journal
from ..errors import (
    AILabError,
    BatchStopped,
    InvalidOperation,
    JournalError,
    MissingExtra,
    NotDelivered,
    ServiceUnreachable,
)
from .connection import Connection, Operations
from .exits import Exit, exit_for, stops_everything
from .explain import explain
from .interruption import Interruption
from .jobs import job_from
from .options import Wrong, batch_options_from, service_from
from .output import Photo, choose
from .pictures import find_pictures
from .plan import changed_since, check_names, check_shared, prepare_folder, remove_empty
from .report import Report
from .totals import Totals

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from ..batch.outcomes import Outcome
    from ..batch.stream import Outcomes
    from ..client import AsyncClient
    from ..protocol.services import Service
    from .jobs import Job
    from .options import BatchOptions
    from .output import Reporter
    from .pictures import Found

__all__ = ["run"]

_BEAT: Final = 0.2
"""Seconds between two looks at the progress."""

_MOST_UNREACHED: Final = 20
"""Pictures in a row that reached nobody, after which the others are not tried."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code says how it went."""
    reporter = choose(arguments.command, as_json=arguments.json, quiet=arguments.quiet)
    try:
        job, options = job_from(arguments), batch_options_from(arguments)
        service = service_from(arguments)
        found = find_pictures(arguments.photos, job, recursive=arguments.recursive, out=options.out)
        if options.overwrite:
            check_names(job, found, options.out)
        batch = _Run(job, service, options, found, reporter, command=arguments.command)
        code = asyncio.run(batch.all())
    except Wrong as wrong:
        reporter.problem(str(wrong))
        code = wrong.code
    if reporter.lost:
        made = f"what was made is in {arguments.out}"
        reporter.problem(f"standard output cannot be written: {reporter.lost}; {made}.")
        code = code or Exit.CANNOT_WRITE
    return code


class _Run:
    """One call of a command, after its options were read."""

    def __init__(
        self,
        job: Job,
        service: Service | None,
        options: BatchOptions,
        found: Found,
        reporter: Reporter,
        *,
        command: str,
    ) -> None:
        self._job = job
        self._options = options
        self._found = found
        self._reporter = reporter
        self._totals = Totals(pictures=len(found.paths) + len(found.left_out))
        self._interruption = Interruption(self._tell_stopping)
        self._report: Report | None = None
        if options.report is not None:
            title = f"ailab {command}"
            self._report = Report(options.report, title=title, pictures=self._totals.pictures)
        self._whole_out = options.out.absolute()
        self._here = Path.cwd()
        self._connection = Connection(job, service, reporter, found.paths)
        self._working = False
        self._made_folders: list[Path] = []
        self._began = 0
        self._unreached = 0
        self._cause: BaseException | None = None

    async def all(self) -> int:
        """Check, send, report; return the exit code. Raises `Wrong`."""
        with self._interruption.by_signals():
            try:
                if self._report is not None:
                    await self._report.open()
                try:
                    await self._begin()
                except asyncio.CancelledError:
                    self._interruption.code = self._interruption.code or Exit.INTERRUPTED
                code = self._end()
                return await self._finish_report() or code
            finally:
                if self._report is not None:
                    await self._report.discard()
                if not self._totals.files:
                    await anyio.to_thread.run_sync(remove_empty, self._made_folders)

    async def _begin(self) -> None:
        for note in self._found.notes:
            self._reporter.note(note)
        await check_shared(self._job, self._reporter.fitted)
        for photo in self._found.left_out:
            await self._tell(photo)
        if self._found.paths:
            out = self._options.out
            made = await anyio.to_thread.run_sync(prepare_folder, out)
            self._made_folders, self._began = made
            await self._send()

    def _end(self) -> Exit:
        """Say what came of it; return the exit code."""
        totals, journal = self._totals, self._options.journal is not None
        ended, lasting = self._interruption.code, self._connection.lasting
        if ended is not None:
            text = totals.broken_off("Interrupted", journal=journal, lasting=lasting)
            self._reporter.closing(text)
        elif self._cause is not None:
            why = "Stopped, as the others would meet the same"
            text = totals.broken_off(why, journal=journal, lasting=lasting)
            if totals.pictures > 1:
                self._reporter.closing(text)
        elif summary := totals.summary(self._options.out):
            self._reporter.summary(summary)
        if journal:
            for line in totals.left():
                self._reporter.closing(line)
        if ended is not None:
            return ended
        if self._cause is not None:
            return (
                Exit(max(totals.code, Exit.SOME_FAILED)) if totals.held else exit_for(self._cause)
            )
        return totals.code

    async def _finish_report(self) -> Exit | None:
        """Finish the contact sheet, of what there is; return a code where that fails."""
        if self._report is None:
            return None
        paid = self._totals.credits if self._connection.name == "direct" else None
        try:
            path = await self._report.finish(
                self._totals.sheet_counts,
                service=self._connection.name or "none",
                credits=paid,
                hurry=self._interruption.code is not None,
            )
        except OSError as error:
            text = f"--report {self._options.report} cannot be written: {error.strerror or error}."
            self._reporter.problem(text)
            return self._interruption.code or Exit.CANNOT_WRITE
        self._reporter.summary(f"Contact sheet: {self._shown(path)}")
        return None

    # --- the work --------------------------------------------------------------------------------

    async def _send(self) -> None:
        try:
            async with self._journal() as journal, self._connection.client() as client:
                options = self._options
                outcomes = client.map(
                    Operations(self._job, self._found.paths),
                    journal=journal,
                    save_to=self._whole_out,
                    overwrite=options.overwrite,
                    on_unknown="resubmit" if options.resubmit_unknown else "hold",
                    on_failed="resubmit" if options.retry_failed else "keep",
                    verify=options.verify,
                )
                try:
                    async with outcomes, self._watched(outcomes):
                        await self._take(outcomes)
                finally:
                    interrupted = self._interruption.code is not None
                    self._connection.hurry = interrupted or self._cause is not None
                    await self._tell_open(outcomes, client)
        except MissingExtra as error:
            message = f"{explain(error)} (or use --service direct)."
            raise Wrong(message) from None
        except JournalError as error:
            text = f"{explain(error)} (--journal names another, --no-journal does without.)"
            raise Wrong(text, Exit.CANNOT_WRITE) from None
        except AILabError as error:
            text = explain(error, elsewhere=self._connection.elsewhere, url="AILAB_ENGINE_URL")
            raise Wrong(text, exit_for(error)) from None

    @contextlib.asynccontextmanager
    async def _journal(self) -> AsyncIterator[Journal | None]:
        """Open the journal; one that was made for nothing is removed."""
        path = self._options.journal
        if path is None:
            yield None
            return
        is_new = not await anyio.to_thread.run_sync(path.exists)
        empty = False
        async with Journal(path) as journal:
            try:
                yield journal
            finally:
                counts = await journal.counts()
                self._totals.sending = counts[EntryState.SUBMITTING]
                empty = not any(counts.values())
        if is_new and empty:
            await anyio.to_thread.run_sync(path.unlink)

    @contextlib.asynccontextmanager
    async def _watched(self, outcomes: Outcomes) -> AsyncIterator[None]:
        """Show the progress meanwhile."""

        async def watch() -> None:
            while True:
                self._reporter.progress(outcomes.progress)
                await asyncio.sleep(_BEAT)

        with self._reporter.at_work(len(self._found.paths)):
            self._working = True
            watching = asyncio.create_task(watch())
            try:
                yield
            finally:
                self._working = False
                watching.cancel()
                self._reporter.progress(outcomes.progress)

    async def _take(self, outcomes: Outcomes) -> None:
        try:
            async for outcome in outcomes:
                photo = await self._photo(outcome)
                paid = 0.0
                if self._connection.name == "direct" and outcome.ok and not outcome.reused:
                    paid = outcome.operation.credits or 0.0
                await self._tell(photo, paid=paid)
                if outcome.error is not None and self._is_hopeless(outcome.error):
                    self._cause = outcome.error
                    return
                if outcome.error is None:
                    self._unreached = 0
        except BatchStopped as stopped:
            self._cause = stopped.__cause__ or stopped

    def _is_hopeless(self, error: Exception) -> bool:
        """Whether the other pictures would meet the same; what `map` itself stops for, it stops."""
        if isinstance(error, NotDelivered | ServiceUnreachable):
            self._unreached += 1
            nothing_yet = not self._totals.done
            return nothing_yet or self._unreached >= _MOST_UNREACHED
        return isinstance(error, AILabError) and stops_everything(error)

    # --- what is told ----------------------------------------------------------------------------

    async def _photo(self, outcome: Outcome) -> Photo:
        path = self._found.paths[outcome.index]
        photo = Photo(
            path=path,
            changes=self._connection.changes(outcome.index),
            task_id=outcome.record.get("id", ""),
            files=[self._shown(file.path) for file in outcome.files],
            seconds=outcome.timings.total,
            reused=outcome.reused,
            there=await self._was_there(outcome),
            held=outcome.held,
            state="" if outcome.state is None else outcome.state.value,
        )
        error = outcome.error
        if error is not None:
            photo.error, photo.exit_code = error, exit_for(error)
            photo.refused = isinstance(error, InvalidOperation) or photo.state == "rejected"
            photo.task_id = photo.task_id or getattr(error, "task_id", "")
            service = self._connection
            known = photo.task_id if service.lasting else ""
            text = explain(error, task_id=known, elsewhere=service.elsewhere, fit=self._job.fit)
            photo.message = text.removeprefix(f"{path}: ")
        return photo

    async def _was_there(self, outcome: Outcome) -> bool:
        """Whether the results are from an earlier run, and not even copies made in this one."""
        if not (outcome.ok and outcome.reused) or outcome.timings.saving:
            return False
        paths = [file.path for file in outcome.files]
        return not await anyio.to_thread.run_sync(changed_since, paths, self._began)

    async def _tell(self, photo: Photo, *, paid: float = 0.0) -> None:
        self._totals.count(photo, paid=paid)
        self._reporter.done(photo)
        if self._report is not None:
            await self._report.add(photo, operation=self._job.kind.name, credits=paid or None)

    async def _tell_open(self, outcomes: Outcomes, client: AsyncClient) -> None:
        """Count the tasks that go on at the service; name them where no journal does."""
        if not self._connection.lasting:
            return
        records = {record["id"]: record for record in outcomes.open if record.get("id")}
        self._totals.open = len(records)
        if self._options.journal is None:
            for task in client.orphans:
                records.setdefault(task.id, task.record())
            for task_id, record in records.items():
                text = f"{record['stem']}: goes on at the service: ailab task {task_id}"
                self._reporter.closing(text)

    def _tell_stopping(self) -> None:
        if self._working:
            text = "Stopping; what is being sent or saved may come to its end. Again ends at once."
            self._reporter.note(text)

    def _shown(self, path: str | Path) -> str:
        """Return a path as short as it can be: below --out as that was given, else whole."""
        whole = Path(path)
        with contextlib.suppress(ValueError):
            return str(self._options.out / whole.relative_to(self._whole_out))
        with contextlib.suppress(ValueError):
            return str(whole.relative_to(self._here))
        return str(whole)
