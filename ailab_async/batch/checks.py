"""Whether a file is a journal that can be trusted: judged before anything in it is changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ..errors import JournalUnreadable
from .rows import COLUMNS, Damaged, check_row

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["APPLICATION", "VERSION", "check_content", "check_header", "unreadable"]

APPLICATION: Final = 0x41494C6A
"""In the header of every journal (``application_id``): "AILj"."""

VERSION: Final = 1
"""Of the tables (``user_version``)."""

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER: Final = 100


def unreadable(path: Path, what: str, advice: str) -> JournalUnreadable:
    """Return the error that says what is wrong with a journal, and what to do."""
    text = f"The journal {path} {what}. It was left as it is: {advice}."
    return JournalUnreadable(text, path=str(path))


def check_header(path: Path, *, has_log: bool) -> None:
    """Judge the first 100 bytes and the size (https://www.sqlite.org/fileformat.html).

    Before SQLite does: it may change a file that it opens, also one that is not ours. Raises
    `JournalUnreadable`.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER)
        size = os.fstat(file.fileno()).st_size
    if not head.startswith(_MAGIC[: len(head)]):
        raise unreadable(path, "is no journal but another file", "give the journal another name")
    if len(head) < _HEADER:
        raise _cut(path, size)
    if int.from_bytes(head[68:72], "big") != APPLICATION:
        what = "is an SQLite database of another program"
        raise unreadable(path, what, "give the journal another name")
    _check_version(path, int.from_bytes(head[60:64], "big"))
    page = int.from_bytes(head[16:18], "big")
    pages = int.from_bytes(head[28:32], "big")
    # with a log the missing pages may be in that: a crash can interrupt their way into the file
    if not has_log and size < pages * (page if page > 1 else 1 << 16):
        raise _cut(path, size)


def check_content(path: Path, connection: sqlite3.Connection, *, every_row: bool) -> None:
    """Read what is there, with the log over it. Changes nothing.

    ``every_row`` is for after a crash: what is there then comes from two files, and a piece of
    either may be missing where only the checksum of a row can tell. Raises `JournalUnreadable`,
    `Damaged` and ``sqlite3.Error``.
    """
    _check_version(path, connection.execute("PRAGMA user_version").fetchone()[0])
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(verdict)
    query = f"SELECT {COLUMNS} FROM entries LIMIT ?"  # noqa: S608 - a constant of ours
    for row in connection.execute(query, (-1 if every_row else 1,)):
        check_row(row)


def _check_version(path: Path, version: int) -> None:
    if version > VERSION:
        what = f"is of format {version}, and this version reads up to {VERSION}"
        raise unreadable(path, what, "use the version of ailab_async that wrote it")
    if version < VERSION:
        what = f"is of format {version}, which there never was"
        raise unreadable(path, what, "use a copy of it, or a new journal")


def _cut(path: Path, size: int) -> JournalUnreadable:
    what = f"is cut short ({size} bytes are left)"
    return unreadable(path, what, "use a whole copy of it, or a new journal")
