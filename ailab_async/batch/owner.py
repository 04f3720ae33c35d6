"""Who has a journal open: the lock that keeps two apart, and how to tell whether one still lives.

The lock is the operating system's, on a side file ``<journal>.lock``: it goes with the process
that holds it, however that ends, and keeps two journals of one process apart as well. What it
cannot see (another computer on a shared folder, a copy of the journal) the owner's name in the
journal tells.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from attrs import define, field, frozen

from ..errors import JournalBroken, JournalInUse

__all__ = ["Owner", "PathLock", "moment", "why_stranded"]

_PROC: Final = Path("/proc")
_TAKEN: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_LOCKED_BYTE: Final = 1 << 30
"""Where the lock is on Windows, which lets nobody else read a locked byte."""


@frozen(kw_only=True)
class Owner:
    """A process that opened a journal at ``opened`` (Unix time).

    ``boot`` is the computer's start and ``started`` the process's, in the words of ``/proc``; both
    are empty where there is none. Together they tell a process from a later one of that number.
    """

    host: str
    boot: str
    pid: int
    started: str
    opened: float

    @classmethod
    def here(cls, opened: float) -> Self:
        """Return this process."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(), boot=_boot(), pid=pid, started=_started(pid), opened=opened
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (opened {moment(self.opened)})"

    def on(self, other: Owner) -> bool:
        """Whether the two ran on one computer since it was last started."""
        return (self.host, self.boot) == (other.host, other.boot)

    def lives_beside(self, other: Owner) -> bool:
        """Whether this is another process than ``other``, and provably still running.

        Where there is no ``/proc`` the process number alone must do, on Windows not even that: then
        only the lock speaks for a living owner.
        """
        if not self.on(other) or self.pid == other.pid:
            return False
        if self.started:
            return _started(self.pid) == self.started
        return _exists(self.pid)


def why_stranded(last: Owner | None, here: Owner, *, closed: bool) -> str:
    """Say by whom an entry was being submitted, and why nobody knows the outcome."""
    if last is None:
        ending = "by a process that left no name"
    elif closed:
        ending = f"by {last}, which closed the journal before there was an answer"
    elif last.host != here.host:
        ending = f"by {last}; that is another computer, and it no longer holds the lock"
    elif (last.pid, last.started) == (here.pid, here.started):
        ending = f"by {last}, which did not close the journal"
    else:
        ending = f"by {last}, which ended before there was an answer"
    return f"{ending}: it may have been received, and paid for."


def moment(seconds: float) -> str:
    """Return a Unix time as people read it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks; empty where it ended or cannot be seen."""
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return ""
    # the name in front may hold anything, also blanks and brackets; see proc(5)
    state, *fields = stat[stat.rfind(b")") + 2 :].split()
    return "" if state in {b"Z", b"X", b"x"} else fields[18].decode("ascii")


def _exists(pid: int) -> bool:
    found = False
    if sys.platform != "win32":  # there signal 0 is no question: it interrupts the process
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            pass
        except PermissionError:
            found = True
        else:
            found = True
    return found


@define
class PathLock:
    """The lock beside a journal. Used in one thread."""

    journal: Path
    _descriptor: int = field(default=-1, init=False)

    @property
    def path(self) -> Path:
        """The side file."""
        return self.journal.with_name(f"{self.journal.name}.lock")

    def take(self, owner: Owner) -> None:
        """Lock, and leave the owner's name in the side file for who comes later.

        Raises `JournalInUse`, and `JournalBroken` where there can be no such file.
        """
        try:
            while self._descriptor < 0:
                self._descriptor = self._locked()
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, str(owner).encode("utf-8", "backslashreplace"))
        except OSError as error:
            self.release()
            text = (
                f"The journal {self.journal} cannot be locked ({error}): put it into a folder on "
                "a local disk that this user may write to."
            )
            raise JournalBroken(text, path=str(self.journal)) from error

    def release(self) -> None:
        """Unlock, and remove the side file where that is safe. Not locked is no error."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            # Still locked, so it is ours to remove: who waits for it looks again, see _locked
            if sys.platform != "win32":
                self.path.unlink(missing_ok=True)
        except OSError:
            pass  # left behind it does no harm
        finally:
            _unlock(descriptor)
            os.close(descriptor)

    def _locked(self) -> int:
        """Return a locked descriptor; -1 where the file was removed meanwhile."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self.path, flags, 0o600)
        try:
            if not _lock(descriptor):
                text = (
                    f"The journal {self.journal} is in use by {_read_name(descriptor)}: wait until "
                    "it ends, or give this batch a journal of its own."
                )
                raise JournalInUse(text, path=str(self.journal))
            try:
                same = os.path.samestat(os.fstat(descriptor), self.path.stat())
            except FileNotFoundError:
                same = False
            if same:
                kept, descriptor = descriptor, -1
                return kept
            # the owner before us removed it after we had opened it: another may lock a new one
            return -1
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _read_name(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.read(descriptor, 300).decode("utf-8", "replace") or "another batch"
    except OSError:
        return "another batch"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
