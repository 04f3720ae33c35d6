"""What can be done to the entries of a journal, as functions of its connection.

Each runs inside a transaction of the writer, together with others. A change is one ``UPDATE`` that
holds for the expected states only: where it finds none of them it changes nothing, and the others
in the transaction are not touched.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidOperation, JournalConflict
from .entries import MOVES, Entry, EntryState, Planned, SavedFile
from .rows import (
    COLUMNS,
    files_text,
    json_text,
    read_entry,
    read_files,
    seal,
    unseal,
    without_inline_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .ledger import Connection

__all__ = ["change", "counts", "done", "get", "page", "plan", "restart", "saved"]

PAGE_ENTRIES: Final = 512
PAGE_BYTES: Final = 4 * 2**20
"""How much is read at once: the hop to the thread costs little, and memory stays small."""

_ALSO: Final = {"submitting": ", submissions = submissions + 1"}
_FORGET: Final = (
    "files_expected = 0, expires_at = NULL, record = NULL, files = NULL, code = NULL, "
    "message = NULL, raw = NULL"
)


def plan(connection: Connection, now: float, items: Sequence[Planned]) -> list[Entry]:
    """Add as pending what is new; return the entries of all items, in order."""
    # a batch plans one at a time, and each statement is a turn of the interpreter's lock
    whole = _all_or_nothing(connection) if len(items) > 1 else nullcontext()
    with whole:
        return [get(connection, item.key) or _added(connection, now, item) for item in items]


def _added(connection: Connection, now: float, item: Planned) -> Entry:
    state = EntryState.PENDING
    connection.execute(
        "INSERT INTO entries(key, state, operation, changed, label) VALUES (?, ?, ?, ?, ?)",
        (item.key, state.value, item.operation, now, seal(item.label)),
    )
    return Entry(key=item.key, state=state, operation=item.operation, label=item.label, changed=now)


def get(connection: Connection, key: bytes) -> Entry | None:
    """Return an entry, None where there is none of that key."""
    query = f"SELECT {COLUMNS} FROM entries WHERE key = ?"  # noqa: S608 - a constant of ours
    row = connection.execute(query, (key,)).fetchone()
    return None if row is None else read_entry(row)


def change(
    connection: Connection,
    verb: str,
    key: bytes,
    values: Mapping[str, Any],
    *,
    whole: bool = True,
) -> None:
    """Make the move ``verb`` of `MOVES`, with new values of some columns.

    ``whole`` is whether all files of the result are there. Raises `JournalConflict`.
    """
    move = MOVES[verb]
    target = move.target if whole or move.until_whole is None else move.until_whole
    connection.written += sum(len(value) for value in values.values() if isinstance(value, bytes))
    statement = _statement(verb, tuple(values))
    if not connection.execute(statement, (target.value, *values.values(), key)).rowcount:
        raise _conflict(connection, verb, key)


def done(
    connection: Connection,
    now: float,
    key: bytes,
    raw: Mapping[str, Any],
    *,
    record: Mapping[str, str] | None,
    expires_at: float | None,
    of: int,
) -> None:
    """Keep the answer of a success; files that are saved already stay so."""
    row = connection.execute("SELECT files FROM entries WHERE key = ?", (key,)).fetchone()
    files = read_files(unseal(row[0])) if row else {}
    files = {number: file for number, file in files.items() if number <= of}
    whole = len(files) == of
    text = json_text(raw)
    values = {
        "changed": now,
        "raw": seal(without_inline_files(text) if whole and of else text),
        "expires_at": expires_at,
        "files_expected": of,
        "files": seal(files_text(files)),
    }
    if record is not None:
        values["record"] = seal(json_text(record))
    change(connection, "done", key, values, whole=whole)


def saved(connection: Connection, now: float, key: bytes, number: int, file: SavedFile) -> None:
    """Add or replace a file of the result; raises `InvalidOperation` for a number it has not."""
    query = "SELECT state, files_expected, files FROM entries WHERE key = ?"
    row = connection.execute(query, (key,)).fetchone()
    if row is None or row[0] not in MOVES["saved"].sources:
        raise _conflict(connection, "saved", key)
    state, of, stored = row
    if not 1 <= number <= of:
        raise InvalidOperation("number", f"that of a file of the result, 1 to {of}", number)
    files = {**read_files(unseal(stored)), number: file}
    whole = len(files) == of
    values = {"changed": now, "files": seal(files_text(files))}
    if whole and state != EntryState.SAVED:
        (raw,) = connection.execute("SELECT raw FROM entries WHERE key = ?", (key,)).fetchone()
        values["raw"] = seal(without_inline_files(unseal(raw)))
    change(connection, "saved", key, values, whole=whole)


def restart(
    connection: Connection,
    now: float,
    states: Iterable[EntryState],
    keys: Iterable[bytes] | None = None,
) -> int:
    """Make entries in these states pending again, as if new; return how many there were."""
    names = ", ".join(f"'{state}'" for state in states)
    statement = f"UPDATE entries SET state = 'pending', changed = ?, {_FORGET}"  # noqa: S608 - our own words
    statement += f" WHERE state IN ({names})"
    if keys is None:
        return connection.execute(statement, (now,)).rowcount
    rows = [(now, key) for key in keys]
    if not rows:
        return 0
    with _all_or_nothing(connection):
        return connection.executemany(f"{statement} AND key = ?", rows).rowcount


def counts(connection: Connection) -> dict[EntryState, int]:
    """Return how many entries are in each state, also where there are none."""
    found = dict(connection.execute("SELECT state, count(*) FROM entries GROUP BY state"))
    return {state: found.get(state.value, 0) for state in EntryState}


def page(
    connection: Connection, after: int, states: Iterable[EntryState]
) -> tuple[list[Entry], int | None]:
    """Return entries in the order of planning, and where the next page begins (None: nowhere).

    ``after`` is 0 for the first page. No states means all of them.
    """
    names = ", ".join(f"'{state}'" for state in states)
    chosen = f"AND state IN ({names})" if names else ""
    query = f"SELECT {COLUMNS}, id FROM entries WHERE id > ? {chosen} ORDER BY id LIMIT ?"  # noqa: S608 - our own words
    entries: list[Entry] = []
    read = 0
    for *row, number in connection.execute(query, (after, PAGE_ENTRIES)):
        entries.append(read_entry(row))
        read += len(row[-1] or b"")  # the answer: the one column that may hold whole pictures
        if len(entries) == PAGE_ENTRIES or read >= PAGE_BYTES:
            return entries, number
    return entries, None


@contextmanager
def _all_or_nothing(connection: Connection) -> Iterator[None]:
    """For work of several statements: its failure must leave none of them in the transaction."""
    connection.execute("SAVEPOINT work")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite itself gives up the whole where the disk fails
            connection.execute("ROLLBACK TO work")
        raise
    connection.execute("RELEASE work")


@cache
def _statement(verb: str, columns: tuple[str, ...]) -> str:
    sources = ", ".join(f"'{state}'" for state in MOVES[verb].sources)
    changes = ", ".join(f"{column} = ?" for column in columns) + _ALSO.get(verb, "")
    return f"UPDATE entries SET state = ?, {changes} WHERE key = ? AND state IN ({sources})"  # noqa: S608 - our own words


def _conflict(connection: Connection, verb: str, key: bytes) -> JournalConflict:
    entry = get(connection, key)
    if entry is None:
        text = f"The journal has no entry {key.hex()[:12]}…: plan it first."
    else:
        text = (
            f"The entry {entry.label!r} ({key.hex()[:12]}…) is {entry.state}; {verb!r} takes one "
            f"that is {' or '.join(MOVES[verb].sources)}. Read it again: it was changed meanwhile."
        )
    return JournalConflict(text)
