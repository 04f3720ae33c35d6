"""The journal's file: made whole or not at all, taken over, and left so that nothing is lost.

Everything here runs in the one thread that owns the connection. SQLite's write-ahead log (the side
file ``-wal``) holds what is committed and not yet in the file itself; moving it there is a
*checkpoint*. We order those ourselves, because SQLite says nothing of one that failed which it
began on its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from attrs import asdict, define, field

from ..errors import JournalBroken, JournalError, JournalInUse
from ..events import logger
from .checks import APPLICATION, VERSION, check_content, check_header, unreadable
from .owner import Owner, PathLock, moment, why_stranded
from .rows import SCHEMA, Damaged, seal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Connection", "Ledger", "sqlite_code"]

RESERVE_BYTES: Final = 4 * 2**20
"""Blocks that the log is given when a journal is opened. A full disk is then found before anything
is paid, and what is under way when the disk fills up later can still be written down."""

CHECKPOINT_PAGES: Final = 512
"""Pages in the log after which there is a checkpoint: half of the reserve is always free then."""

_PAGE_BYTES: Final = 4096

_BUSY_SECONDS: Final = 1.0
_IN_USE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


def sqlite_code(error: sqlite3.Error) -> int:
    """Return the primary code of an error; the upper bits only refine it (sqlite.org/rescode.html).

    Python raises without a code where it cannot read what it was given: that is damage.
    """
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


class Connection(sqlite3.Connection):
    """A connection that is told how many bytes of text it was given to write."""

    written: int = 0


@define(eq=False)
class Ledger:
    """A journal's file, opened at ``opened`` (Unix time). ``path`` has its links resolved then."""

    path: Path
    opened: float
    _lock: PathLock = field(init=False)
    _owner: Owner = field(init=False)
    _open: Connection | None = field(default=None, init=False)
    _rows: int = field(default=0, init=False)
    _log_bytes: int = field(default=0, init=False)

    @property
    def connection(self) -> Connection:
        """The one connection; transactions are begun and ended by hand."""
        assert self._open is not None  # noqa: S101 - the writer opens before it works
        return self._open

    def open(self) -> None:
        """Lock, make or check the file, settle what the last owner left, and reserve room.

        Raises `JournalInUse` and `JournalUnreadable`, which leave the file as it was, and
        `JournalBroken`.
        """
        self._owner = Owner.here(self.opened)
        self._lock = PathLock(self.path)
        try:
            # one file under two names must have one lock and one log
            self.path = self.path.resolve()
            self._lock.journal = self.path
            self._check_place()
            self._lock.take(self._owner)
            self._open_locked()
        except (OSError, sqlite3.Error, Damaged) as error:
            self.leave()
            raise self._explained(error) from error
        except BaseException:
            self.leave()
            raise

    def close(self) -> None:
        """Bring everything into the one file and unlock."""
        try:
            self.connection.execute("UPDATE owner SET closed = 1")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            # nothing is lost: what was committed is in the log, which stays beside the file
            logger.warning("the journal %s keeps its log (-wal) beside it: %s", self.path, error)
            self.leave()
            return
        self.connection.close()
        self._open = None
        self._lock.release()

    def leave(self) -> None:
        """Close and unlock without writing anything, with what is there as it is."""
        if self._open is not None:
            _close_untouched(self._open)
            self._open = None
        self._lock.release()

    def checkpoint_where_due(self) -> None:
        """Keep the log short. Raises ``sqlite3.Error``; what is committed stays committed."""
        # a changed row is a page and those that its long texts need, give or take
        pages = self.connection.total_changes - self._rows + self.connection.written // _PAGE_BYTES
        if pages >= CHECKPOINT_PAGES or _size(self._beside("-wal")) > self._log_bytes:
            self._checkpoint()

    # --- opening ---------------------------------------------------------------------------------

    def _check_place(self) -> None:
        if self.path.exists() and not self.path.is_file():
            raise unreadable(self.path, "is no file", "give the journal the name of one")
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def _open_locked(self) -> None:
        if self._is_new():
            self._create()
        has_log = _size(self._beside("-wal")) > 0
        check_header(self.path, has_log=has_log)
        self._open = _connected(self.path)
        check_content(self.path, self._open, every_row=has_log)
        last, closed = self._last_owner()
        self._refuse_while_alive(last, closed=closed)
        if has_log:
            self._checkpoint()
        self._take_over(last, closed=closed)
        self._reserve()

    def _is_new(self) -> bool:
        if _size(self.path):
            return False
        if _size(self._beside("-wal")):
            # SQLite would pour the log of the lost file into the new one, or delete it
            raise unreadable(
                self.path,
                "is missing or empty, but the log beside it (-wal) is not",
                "put back the file that the log belongs to, or move the log away",
            )
        return True

    def _create(self) -> None:
        """Make the file under another name, and give it its own when it is whole."""
        draft = self._beside(".new")
        drafts = [draft, draft.with_name(f"{draft.name}-wal")]
        _remove(drafts)
        try:
            os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with contextlib.closing(_connected(draft)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                for statement in SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.execute("COMMIT")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            draft.replace(self.path)
        except BaseException:
            _remove(drafts)
            raise
        _flush_folder(self.path.parent)

    def _last_owner(self) -> tuple[Owner | None, bool]:
        """Return who opened the journal last, and whether that was closed."""
        row = self.connection.execute("SELECT body, closed FROM owner").fetchone()
        if row is None:
            return None, True
        try:
            return Owner(**json.loads(row[0])), bool(row[1])
        except (TypeError, ValueError) as error:
            message = "the name of its last owner cannot be read"
            raise Damaged(message) from error

    def _refuse_while_alive(self, last: Owner | None, *, closed: bool) -> None:
        """Raise `JournalInUse` while the process that was submitting lives, lock or no lock."""
        if last is None or closed or not last.lives_beside(self._owner):
            return
        count = "SELECT count(*) FROM entries WHERE state = 'submitting'"
        (submitting,) = self.connection.execute(count).fetchone()
        if submitting:
            text = (
                f"The journal {self.path} is in use: {last} was submitting {submitting} of its "
                "entries and is still running. Wait until that process ends."
            )
            raise JournalInUse(text, path=str(self.path))

    def _take_over(self, last: Owner | None, *, closed: bool) -> None:
        """Become the owner. Of what was being submitted nobody knows the outcome any more."""
        connection = self.connection
        now = self._owner.opened
        connection.execute("BEGIN IMMEDIATE")
        query = "SELECT changed, id FROM entries WHERE state = 'submitting'"
        stranded = connection.execute(query).fetchall()
        why = why_stranded(last, self._owner, closed=closed)
        connection.executemany(
            "UPDATE entries SET state = 'unknown', message = ?, changed = ? WHERE id = ?",
            [(seal(f"It was being submitted at {moment(at)} {why}"), now, n) for at, n in stranded],
        )
        connection.execute("DELETE FROM reserve")
        connection.execute(
            "INSERT OR REPLACE INTO owner(one, body, closed, turns) VALUES (1, ?, 0, 0)",
            (json.dumps(asdict(self._owner)),),
        )
        connection.execute("COMMIT")

    def _reserve(self) -> None:
        # The log is written from its beginning again after a checkpoint and never gets shorter
        # while it is open: what is written once is blocks that it keeps.
        self.connection.execute("INSERT INTO reserve VALUES (zeroblob(?))", (RESERVE_BYTES,))
        self._checkpoint()
        self.connection.execute("DELETE FROM reserve")
        self._checkpoint()

    def _checkpoint(self) -> None:
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        # One commit more makes the log begin anew. The old one, were it cut now, would lay old
        # pages over the newer ones in the file.
        self.connection.execute("UPDATE owner SET turns = turns + 1")
        self._rows = self.connection.total_changes
        self.connection.written = 0
        self._log_bytes = _size(self._beside("-wal"))

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}{suffix}")

    def _explained(self, error: OSError | sqlite3.Error | Damaged) -> JournalError:
        code = sqlite_code(error) if isinstance(error, sqlite3.Error) else None
        if isinstance(error, Damaged) or code in _DAMAGE:
            advice = "use a copy from before, or a new journal"
            return unreadable(self.path, f"is damaged ({error})", advice)
        if code in _IN_USE:
            text = f"The journal {self.path} is in use by another program ({error}): close that."
            return JournalInUse(text, path=str(self.path))
        text = (
            f"The journal {self.path} cannot be opened for writing ({error}): nothing was "
            f"submitted. It needs a folder that can be written to, and {RESERVE_BYTES >> 20} MiB."
        )
        return JournalBroken(text, path=str(self.path))


def _connected(path: Path) -> Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, factory=Connection
    )
    try:
        # alone: then SQLite keeps the log's index in memory and has no third file
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA secure_delete = OFF")
    except BaseException:
        _close_untouched(connection)
        raise
    return connection


def _close_untouched(connection: sqlite3.Connection) -> None:
    # Closing brings the log into the file, unless it is interrupted. It must not where the file is
    # to stay as it is; nor after a flush that failed, because a second one may succeed without what
    # the first one lost.
    connection.interrupt()
    connection.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot open a folder for this
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        logger.debug("the folder %s cannot be flushed: %s", folder, error)  # not all can
    finally:
        os.close(descriptor)
