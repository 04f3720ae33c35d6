"""``ailab journal``: what the journal of a batch holds, and what is to be tried again."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from ..batch.entries import Entry, EntryState
from ..batch.journal import Journal
from ..errors import JournalError
from .exits import Exit
from .explain import explain
from .options import Wrong, stop
from .single import say
from .streams import write_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

__all__ = ["journal"]

_WORDS: Final = {
    EntryState.SAVED: "done, and the results are on disk",
    EntryState.DONE: "done at the service, to be fetched",
    EntryState.SUBMITTED: "open at the service",
    EntryState.SUBMITTING: "being sent",
    EntryState.PENDING: "to be sent",
    EntryState.REJECTED: "refused by the service",
    EntryState.FAILED: "accepted, and given up by the service",
    EntryState.UNKNOWN: "held: may have been paid for, and nobody can tell",
}
_BAD: Final = (EntryState.UNKNOWN, EntryState.FAILED, EntryState.REJECTED)
_MOST_SHOWN: Final = 100
_WRITE_AT: Final = 1 << 20
_COLUMNS: Final = (
    "label", "operation", "state", "files", "sha256", "code", "message", "task_id", "submissions",
    "changed",
)  # fmt: skip


def journal(arguments: argparse.Namespace) -> int:
    """Run ``show``, ``retry`` or ``export``."""
    work = {"show": _show, "retry": _retry, "export": _export}[arguments.action]
    try:
        path = Path(arguments.file)
        if not path.is_file():
            stop(f"there is no journal {path}: one is beside its output folder (out.ailab.sqlite).")
        return work(Journal(path), arguments)
    except Wrong as wrong:
        say(f"ailab journal: {wrong}")
        return wrong.code
    except JournalError as error:
        say(f"ailab journal: {explain(error)}")
        return Exit.CANNOT_WRITE


def _show(opened: Journal, arguments: argparse.Namespace) -> int:
    del arguments
    counts, bad = asyncio.run(_look(opened))
    lines = [
        f"{counts[state]:>9,}  {state.value:<10}  {words}"
        for state, words in _WORDS.items()
        if counts[state]
    ]
    lines += [_line(entry) for entry in bad[:_MOST_SHOWN]]
    if len(bad) > _MOST_SHOWN:
        lines.append("… (all of them: ailab journal export)")
    for line in lines or ["The journal is empty."]:
        _out(line)
    if bad:
        say("ailab journal retry has them sent again by the next run: --failed, --unknown.")
    return Exit.DONE


async def _look(opened: Journal) -> tuple[dict[EntryState, int], list[Entry]]:
    """Return the counts, and a few more of the bad entries than are shown."""
    bad: list[Entry] = []
    async with opened:
        counts = await opened.counts()
        async for entry in opened.entries(*_BAD):
            bad.append(entry)
            if len(bad) > _MOST_SHOWN:
                break
    return counts, bad


def _retry(opened: Journal, arguments: argparse.Namespace) -> int:
    states: list[EntryState] = []
    if arguments.failed:
        states += [EntryState.FAILED, EntryState.REJECTED]
    if arguments.unknown:
        states.append(EntryState.UNKNOWN)
    if not states:
        stop("say which: --failed, or --unknown (these may be paid for twice).")

    async def retried() -> int:
        async with opened:
            return await opened.retry(*states)

    count = asyncio.run(retried())
    if count:
        noun = "picture" if count == 1 else "pictures"
        _out(f"{count:,} {noun} will be sent again when the same command is run.")
    else:
        _out("There is nothing to be sent again.")
    return Exit.DONE


def _export(opened: Journal, arguments: argparse.Namespace) -> int:
    try:
        with _target(arguments.output) as stream:
            asyncio.run(_write(opened, stream, _csv if arguments.format == "csv" else _json))
    except BrokenPipeError:
        pass  # a reader that has gone has read what it wanted
    except OSError as error:
        stop(f"the export cannot be written: {error.strerror or error}.", Exit.CANNOT_WRITE)
    return Exit.DONE


async def _write(
    opened: Journal, stream: IO[str], form: Callable[[dict[str, Any] | None, bool], str]
) -> None:
    """Write all entries, a few thousand at a time, each as ``form`` says."""
    waiting, first = io.StringIO(newline=""), True

    async def flush() -> None:
        await asyncio.to_thread(stream.write, waiting.getvalue())
        waiting.seek(0)
        waiting.truncate()

    async with opened:
        async for entry in opened.entries():
            waiting.write(form(_facts(entry), first))
            first = False
            if waiting.tell() > _WRITE_AT:
                await flush()
    waiting.write(form(None, first))
    await flush()
    await asyncio.to_thread(stream.flush)


def _csv(facts: dict[str, Any] | None, first: bool) -> str:  # noqa: FBT001 - as `_write` calls it
    """Return a row, after the header; several files stand in one cell, a line each."""
    text = io.StringIO(newline="")
    rows: csv.DictWriter[str] = csv.DictWriter(text, _COLUMNS)
    if first:
        rows.writeheader()
    if facts is not None:
        texts = {name: "\n".join(facts[name]) for name in ("files", "sha256")}
        rows.writerow({**facts, **texts})
    return text.getvalue()


def _json(facts: dict[str, Any] | None, first: bool) -> str:  # noqa: FBT001 - as `_write` calls it
    """Return an object of a list, on its line, or the list's end."""
    if facts is None:
        return "[]\n" if first else "\n]\n"
    return f"{'[' if first else ','}\n  {json.dumps(facts)}"


def _facts(entry: Entry) -> dict[str, Any]:
    """Return what is exported: no addresses, as whoever has one has the picture."""
    return {
        "label": entry.label,
        "operation": entry.operation,
        "state": entry.state.value,
        "files": [file.path for file in entry.files],
        "sha256": [file.sha256 for file in entry.files],
        "code": entry.code,
        "message": entry.message,
        "task_id": entry.record.get("id", ""),
        "submissions": entry.submissions,
        "changed": datetime.fromtimestamp(entry.changed, UTC).isoformat(timespec="seconds"),
    }


def _line(entry: Entry) -> str:
    why = " ".join(filter(None, (entry.code, entry.message)))
    return f"{entry.state.value}: {entry.label}: {why}".rstrip(": ")


@contextlib.contextmanager
def _target(name: str | None) -> Iterator[IO[str]]:
    """Yield where to write: standard output, or a file that appears when it is whole."""
    if name is None:
        # line ends as the format has them, and names that are no text as the bytes they were
        stream = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "surrogateescape", newline="")
        try:
            yield stream
        finally:
            stream.detach()
        return
    path = Path(name)
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            yield stream
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _out(text: str) -> None:
    lost = write_line(sys.stdout, text)
    if lost:
        stop(f"standard output cannot be written: {lost}.", Exit.CANNOT_WRITE)
