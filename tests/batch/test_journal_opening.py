"""Who may open a journal, what is no journal, and what an earlier process left."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ailab_async import errors
from ailab_async.batch import owner as owner_module
from ailab_async.batch.entries import EntryState
from ailab_async.batch.ledger import Ledger
from ailab_async.batch.owner import Owner, PathLock

POSIX = pytest.mark.skipif(os.name != "posix", reason="a POSIX matter")

# Marks one entry as being submitted, says so, and waits until it is told to end.
SUBMITTER = """
import asyncio, sys
from ailab_async.batch.entries import Planned
from ailab_async.batch.journal import Journal

async def main():
    journal = Journal(sys.argv[1])
    await journal.open()
    await journal.plan([Planned(key=b"k" * 32, operation="x", label="a")])
    await journal.submitting(b"k" * 32)
    print("submitting", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def submitter(bench):
    """Another process that has the journal open and is submitting an entry of it."""
    process = subprocess.Popen(  # noqa: S603 - a script of our own
        [sys.executable, "-c", SUBMITTER, str(bench.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline().strip() == b"submitting"
        yield process
        process.kill()


# Opens a journal, forks, and uses it in both: the child must be told, and do no harm.
FORKER = """
import asyncio, os, sys
from ailab_async import errors
from ailab_async.batch.entries import Planned
from ailab_async.batch.journal import Journal

def planned(*numbers):
    return [Planned(key=bytes([n]) * 32, operation="x", label=str(n)) for n in numbers]

async def main():
    async with Journal(sys.argv[1]) as journal:
        await journal.plan(planned(1))
        child = os.fork()
        if not child:
            try:
                await journal.plan(planned(2))
            except errors.ClientMisused as error:
                os.write(1, str(error).encode())
            os._exit(0)  # as multiprocessing does; another end would tear down the parent's loop
        os.waitpid(child, 0)
        await journal.plan(planned(3))
        print(sorted([entry.label async for entry in journal.entries()]))

asyncio.run(main())
"""


def in_file(path, statement, *values):
    """Change a closed journal behind its back."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def seen(folder):
    """Return all there is to see of the files in a folder."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.iterdir()
        if path.is_file()
    }


async def test_a_journal_is_one_file_for_its_owner_alone(bench):
    earlier = os.umask(0)
    try:
        async with bench.journal(bench.folder / "deep" / "er" / "run.sqlite") as journal:
            await journal.plan(bench.planned("a"))
            folder = journal.path.parent
            beside = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(earlier)
    assert set(beside) == {"run.sqlite", "run.sqlite-wal", "run.sqlite.lock"}
    if os.name == "posix":
        assert set(beside.values()) == {0o600}
        assert [path.name for path in folder.iterdir()] == ["run.sqlite"]


@pytest.mark.parametrize("name", ["run.sqlite", "link.sqlite"])
async def test_a_journal_is_opened_once_at_a_time(bench, journal, name):
    if name == "link.sqlite":
        (bench.folder / name).symlink_to(bench.path)
    with pytest.raises(errors.JournalInUse, match=f"in use by process {os.getpid()} on") as caught:
        await bench.journal(bench.folder / name).open()
    assert caught.value.path == str(bench.path)
    assert await journal.plan(bench.planned("a"))  # it is none the worse for it
    await journal.aclose()
    async with bench.journal(bench.folder / name) as again:
        assert await again.get(bench.key("a"))


async def test_another_process_keeps_us_out_until_it_ends(bench, submitter):
    with pytest.raises(errors.JournalInUse, match=f"in use by process {submitter.pid} on"):
        await bench.journal().open()
    submitter.kill()
    await asyncio.to_thread(submitter.wait)
    async with bench.journal() as journal:
        (entry,) = [entry async for entry in journal.entries()]
    assert (entry.state, entry.changed) == ("unknown", bench.now)
    assert entry.message.startswith("It was being submitted at 20")
    assert f"by process {submitter.pid} on" in entry.message
    assert entry.message.endswith(
        "which ended before there was an answer: it may have been received, and paid for."
    )


@POSIX
async def test_a_forked_child_is_told_and_does_no_harm(bench):
    command = [sys.executable, "-c", FORKER, str(bench.path)]
    told = await asyncio.to_thread(subprocess.check_output, command, text=True, timeout=50)
    assert "a journal belongs to one process" in told
    assert told.endswith("['1', '3']\n")
    async with bench.journal() as journal:
        assert [entry.label async for entry in journal.entries()] == ["1", "3"]


@POSIX
async def test_a_lock_that_was_removed_by_hand_does_not_let_us_in(bench, submitter):
    (bench.folder / "run.sqlite.lock").unlink()
    with pytest.raises(errors.JournalInUse, match="in use by another program"):
        await bench.journal().open()


@POSIX
async def test_a_copy_is_not_opened_while_its_owner_is_still_submitting(bench, submitter):
    copy = bench.crash_copy(None, bench.folder / "copy")
    before = seen(copy.parent)
    with pytest.raises(errors.JournalInUse, match=f"process {submitter.pid} .* still running"):
        await bench.journal(copy).open()
    assert seen(copy.parent) == before
    submitter.kill()
    # one that ended and was not waited for has its number still, but lives no more
    await asyncio.to_thread(os.waitid, os.P_PID, submitter.pid, os.WEXITED | os.WNOWAIT)
    async with bench.journal(copy) as journal:
        assert (await journal.counts())[EntryState.UNKNOWN] == 1


async def test_what_an_earlier_opening_of_ours_was_submitting_is_unknown(bench, journal):
    await bench.bring(journal, "a", EntryState.SUBMITTING)
    copy = await journal._do(bench.crash_copy, bench.folder / "copy")
    async with bench.journal(copy) as again:
        entry = await again.get(bench.key("a"))
    assert entry.state == "unknown"
    assert "2025-11-20 17:33:20 UTC by process" in entry.message
    assert "which did not close the journal" in entry.message


async def test_what_was_being_submitted_when_it_was_closed_is_unknown(bench):
    async with bench.journal() as journal:
        await bench.bring(journal, "a", EntryState.SUBMITTING)
    async with bench.journal() as journal:
        entry = await journal.get(bench.key("a"))
    assert entry.state == "unknown"
    assert "which closed the journal before there was an answer" in entry.message


async def test_an_owner_on_another_computer_is_taken_for_ended_and_named(bench):
    async with bench.journal() as journal:
        await bench.bring(journal, "a", EntryState.SUBMITTING)
    far = {"host": "far-away", "boot": "b", "pid": os.getpid() + 1, "started": "5", "opened": 1.0}
    in_file(bench.path, "UPDATE owner SET closed = 0, body = ?", json.dumps(far))
    async with bench.journal() as journal:
        entry = await journal.get(bench.key("a"))
    assert entry.state == "unknown"
    assert "on far-away" in entry.message
    assert "another computer, and it no longer holds the lock" in entry.message


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_number_that_another_process_has_by_now_is_no_living_owner(submitter):
    here = Owner.here(0.0)
    facts = {"host": here.host, "boot": here.boot, "pid": submitter.pid, "opened": 0.0}
    began = Path(f"/proc/{submitter.pid}/stat").read_text().rpartition(")")[2].split()[19]
    assert Owner(started=began, **facts).lives_beside(here)
    assert not Owner(started=f"{began}1", **facts).lives_beside(here)
    assert not Owner(started=began, **{**facts, "boot": "earlier"}).lives_beside(here)
    assert not Owner(started=began, **{**facts, "host": "elsewhere"}).lives_beside(here)
    assert not here.lives_beside(here)


@POSIX
def test_without_proc_the_number_alone_must_do(submitter):
    here = Owner.here(0.0)
    facts = {"host": here.host, "boot": here.boot, "started": "", "opened": 0.0}
    assert Owner(pid=submitter.pid, **facts).lives_beside(here)
    submitter.kill()
    submitter.wait()
    assert not Owner(pid=submitter.pid, **facts).lives_beside(here)


@POSIX
def test_a_lock_on_a_file_that_was_removed_meanwhile_is_none(bench, monkeypatch):
    owner = Owner.here(0.0)
    first, second, third = (PathLock(bench.path) for _ in range(3))
    first.take(owner)
    lock, locked = owner_module._lock, []

    def lock_after_the_first_has_left(descriptor):
        if not locked:
            first.release()  # and with it the file that the second has open by now
        locked.append(descriptor)
        return lock(descriptor)

    monkeypatch.setattr(owner_module, "_lock", lock_after_the_first_has_left)
    second.take(owner)
    assert len(locked) == 2
    with pytest.raises(errors.JournalInUse):
        third.take(owner)
    third.release()
    assert second.path.exists()
    second.release()
    assert not second.path.exists()


def later_version(path):
    in_file(path, "PRAGMA user_version = 2")


def no_version(path):
    in_file(path, "PRAGMA user_version = 0")


def other_program(path):
    in_file(path, "PRAGMA application_id = 7")


def no_table(path):
    in_file(path, "DROP TABLE entries")


def no_name(path):
    in_file(path, "UPDATE owner SET body = '[1]'")


def text(path):
    path.write_text("a list of pictures\n" * 100, encoding="utf-8")


def short_text(path):
    path.write_text("x", encoding="utf-8")


def cut_short(path):
    os.truncate(path, path.stat().st_size - 1)


def cut_in_the_header(path):
    os.truncate(path, 50)


def zeros_within(path):
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))


def zeros_all_over(path):
    path.write_bytes(bytes(8192))


def folder(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def log_without_file(path):
    path.rename(f"{path}-wal")


def log_beside_nothing(path):
    path.rename(f"{path}-wal")
    path.touch()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (later_version, "is of format 2, and this version reads up to 1.*use the version of"),
        (no_version, "is of format 0, which there never was"),
        (other_program, "SQLite database of another program.*another name"),
        (no_table, "is damaged .no such table"),
        (no_name, "is damaged .the name of its last owner"),
        (text, "is no journal but another file.*another name"),
        (short_text, "is no journal but another file"),
        (cut_short, r"is cut short .\d+ bytes are left.*a whole copy"),
        (cut_in_the_header, "is cut short .50 bytes"),
        (zeros_within, "is damaged"),
        (zeros_all_over, "is no journal but another file"),
        (folder, "is no file"),
        pytest.param(pipe, "is no file", marks=POSIX),
        (log_without_file, "is missing or empty, but the log beside it"),
        (log_beside_nothing, "is missing or empty, but the log beside it"),
    ],
)
async def test_what_is_no_sound_journal_is_refused_and_left_untouched(bench, damage, says):
    async with bench.journal() as journal:
        await journal.plan(bench.planned(*range(100)))
    damage(bench.path)
    before = seen(bench.folder)
    with pytest.raises(errors.JournalUnreadable, match=f"(?s){says}") as caught:
        await bench.journal().open()
    assert caught.value.path == str(bench.path)
    assert "It was left as it is: " in str(caught.value)
    assert seen(bench.folder) == before


async def test_a_later_version_that_only_the_log_knows_of_is_left_untouched(bench, journal):
    await journal._do(lambda connection: connection.execute("PRAGMA user_version = 2").close())
    copy = await journal._do(bench.crash_copy, bench.folder / "copy")
    before = seen(copy.parent)
    with pytest.raises(errors.JournalUnreadable, match="is of format 2"):
        await bench.journal(copy).open()
    assert seen(copy.parent) == before


async def test_an_empty_file_becomes_a_journal(bench):
    bench.path.touch()
    async with bench.journal() as journal:
        assert len(await journal.plan(bench.planned("a"))) == 1
    assert stat.S_IMODE(bench.path.stat().st_mode) == 0o600 or os.name != "posix"


async def test_a_journal_that_was_never_finished_is_made_again(bench):
    for name in ("run.sqlite.new", "run.sqlite.new-wal", "run.sqlite.lock"):
        (bench.folder / name).write_bytes(b"left by a crash")
    async with bench.journal() as journal:
        assert len(await journal.plan(bench.planned("a"))) == 1
    assert [path.name for path in bench.folder.iterdir()] == ["run.sqlite"] or os.name != "posix"


async def test_a_place_that_cannot_be_written_is_said_before_anything_is_paid(bench):
    (bench.folder / "file").touch()
    with pytest.raises(
        errors.JournalBroken, match=r"cannot be opened for writing.*nothing was sub"
    ):
        await bench.journal(bench.folder / "file" / "run.sqlite").open()


async def test_a_database_that_another_program_has_open_is_in_use(bench):
    async with bench.journal():
        pass
    connection = sqlite3.connect(bench.path)
    connection.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(errors.JournalInUse, match="in use by another program"):
            await bench.journal().open()
    finally:
        connection.close()


async def test_what_is_confirmed_has_been_flushed_to_the_disk(journal):
    def ask(connection):
        names = ("synchronous", "journal_mode", "locking_mode", "wal_autocheckpoint")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await journal._do(ask) == [2, "wal", "exclusive", 0]  # 2 is FULL


def test_opening_takes_the_place_of_the_last_owner_only_once(bench):
    ledger = Ledger(bench.path, opened=1.0)
    ledger.open()
    (body, closed) = ledger.connection.execute("SELECT body, closed FROM owner").fetchone()
    assert (json.loads(body)["pid"], closed) == (os.getpid(), 0)
    ledger.close()
    connection = sqlite3.connect(bench.path)
    assert connection.execute("SELECT closed FROM owner").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM reserve").fetchone() == (0,)
    connection.close()
