"""Journals for tests: on a disk in memory where there is one, with entries in any state."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest

from ailab_async.batch.entries import EntryState, Planned, SavedFile
from ailab_async.batch.journal import Journal

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it

RECORD = {"id": "1763660000000.a1", "request_id": "R-1", "operation": "hd-color-migration"}
RAW = {"task_status": 2, "data": {"image_url": "https://example.test/a.png?Signature=x"}}


class Bench:
    """What tests do with journals."""

    record = RECORD
    raw = RAW
    file = SavedFile(path="out/a-1.png", sha256="ab" * 32, size=1234)
    started = 1_763_660_000.0

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "run.sqlite"
        self.now = self.started

    def clock(self):
        return self.now

    def journal(self, path=None):
        return Journal(path or self.path, wall_clock=self.clock)

    @staticmethod
    def key(name):
        return hashlib.blake2b(str(name).encode(), digest_size=32).digest()

    def planned(self, *names):
        return [
            Planned(key=self.key(name), operation="hd-color-migration", label=str(name))
            for name in names
        ]

    async def bring(self, journal, name, state):
        """Plan an entry and take it to a state; return its key."""
        key = self.key(name)
        await journal.plan(self.planned(name))
        if state is EntryState.PENDING:
            return key
        if state is EntryState.REJECTED:
            await journal.rejected(key, code="ERROR_NO_FACE", message="no face")
            return key
        await journal.submitting(key)
        if state is EntryState.UNKNOWN:
            await journal.unknown(key, message="no answer")
        elif state is not EntryState.SUBMITTING:
            await journal.submitted(key, self.record)
            if state is EntryState.FAILED:
                await journal.failed(key, code="PROCESS_FAILED", message="gave up")
            elif state is not EntryState.SUBMITTED:
                await journal.done(key, self.raw, expires_at=self.now + 86400, of=1)
                if state is EntryState.SAVED:
                    await journal.saved(key, 1, self.file)
        return key

    def crash_copy(self, _connection, to):
        """Copy the files as they lie on the disk; can be run as work of the writer."""
        to.mkdir(exist_ok=True)
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{self.path}{suffix}", to / f"run.sqlite{suffix}")
        return to / "run.sqlite"


@pytest.fixture
def bench():
    """A folder and a clock for journals, and what is usually done with them."""
    within = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="ailab-journal-", dir=within) as folder:
        yield Bench(Path(folder))


@pytest.fixture
async def journal(bench):
    """An open journal."""
    async with bench.journal() as opened:
        yield opened
