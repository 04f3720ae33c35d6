"""What a crash leaves: killed processes, and files that end anywhere."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ailab_async import errors
from ailab_async.batch import ledger as ledger_module
from ailab_async.batch import verbs
from ailab_async.batch.entries import EntryState, SavedFile
from ailab_async.batch.ledger import Ledger

PAGE = 512
FRAME = PAGE + 24
LOG_HEADER = 32

# Works through entries with several awaiters; says of each change that it is confirmed.
WORKER = """
import asyncio, sys
from ailab_async.batch.entries import Planned, SavedFile
from ailab_async.batch.journal import Journal

async def work(journal, numbers):
    for number in numbers:
        key = number.to_bytes(32, "big")
        file = SavedFile(path=f"out/{number}.png", sha256="00", size=number)
        changes = {
            "submitting": lambda: journal.submitting(key),
            "submitted": lambda: journal.submitted(key, {"id": f"t{number}"}),
            "done": lambda: journal.done(key, {"n": number}, expires_at=1.0, of=1),
            "saved": lambda: journal.saved(key, 1, file),
        }
        for state, change in changes.items():
            await change()
            print(number, state, flush=True)

async def main():
    async with Journal(sys.argv[1]) as journal:
        items = [
            Planned(key=number.to_bytes(32, "big"), operation="x", label=str(number))
            for number in range(5000)
        ]
        await journal.plan(items)
        numbers = iter(range(5000))
        await asyncio.gather(*(work(journal, numbers) for _ in range(8)))

asyncio.run(main())
"""

ORDER = ["pending", "submitting", "submitted", "done", "saved"]


def killed_in_its_work(path, confirmed):
    """Kill a process after so many confirmed changes; return its number and the last of each."""
    command = [sys.executable, "-c", WORKER, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    with process:
        lines = [process.stdout.readline() for _ in range(confirmed)]
        process.kill()
        lines += process.stdout.read().splitlines()
    told = {int(number): state for number, state in (line.split() for line in lines)}
    assert len(told) >= confirmed // 4
    return process.pid, told


@pytest.mark.parametrize("confirmed", [1, 700])
async def test_a_killed_process_loses_nothing_that_was_confirmed(bench, confirmed):
    pid, told = await asyncio.to_thread(killed_in_its_work, bench.path, confirmed)
    async with bench.journal() as journal:
        assert sum((await journal.counts()).values()) == 5000
        async for entry in journal.entries():
            number = int(entry.label)
            state = told.pop(number, "pending")
            if entry.state is EntryState.UNKNOWN:
                assert state in {"pending", "submitting"}
                assert str(pid) in entry.message
            else:
                # what was confirmed, or the one change more that was under way
                assert ORDER.index(entry.state) - ORDER.index(state) in {0, 1}
                assert entry.state is not EntryState.SUBMITTING
            reached = ORDER.index("submitting" if entry.state == "unknown" else entry.state)
            assert entry.record == ({"id": f"t{number}"} if reached >= 2 else {})
            assert entry.raw == ({"n": number} if reached >= 3 else None)
            assert [file.size for file in entry.files] == ([number] if reached >= 4 else [])
    assert not told


def small_pages(path):
    """Make a journal's pages small, so that they can all be cut at every byte."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("VACUUM")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.close()


def entries_of(connection):
    found, _ = verbs.page(connection, 0, ())
    return {entry.label: entry for entry in found}


def history(bench, ledger):
    """Do some of everything, each change a transaction; return what was true after each."""
    connection = ledger.connection
    states = [entries_of(connection)]

    def commit(verb, *args, **values):
        connection.execute("BEGIN IMMEDIATE")
        verb(connection, *args, **values)
        connection.execute("COMMIT")
        states.append(entries_of(connection))

    names = [f"{letter * 300}.jpg" for letter in "abcdef"]
    commit(verbs.plan, 1.0, bench.planned(*names))
    for number, name in enumerate(names[:4]):
        key = bench.key(name)
        commit(verbs.change, "submitting", key, {"changed": 2.0})
        record = {"id": f"{number}" * 400}
        values = {"changed": 3.0, "record": ledger_module.seal(verbs.json_text(record))}
        commit(verbs.change, "submitted", key, values)
        raw = {"data": {"image_url": f"https://example.test/{number}" * 30}}
        commit(verbs.done, 4.0, key, raw, record=None, expires_at=5.0, of=1)
        file = SavedFile(path="out/" + "p" * 700, sha256="ab" * 32, size=number)
        commit(verbs.saved, 5.0, key, 1, file)
        if number == 1:
            ledger._checkpoint()
    commit(verbs.change, "submitting", bench.key(names[4]), {"changed": 6.0})
    return states


@pytest.fixture
def remains(bench, monkeypatch):
    """The file and the log of a journal as a crash leaves them, and what had been true in turn."""
    monkeypatch.setattr(ledger_module, "RESERVE_BYTES", 2 * PAGE)
    for prepare in (lambda _: None, small_pages):
        ledger = Ledger(bench.path, opened=0.0)
        ledger.open()
        ledger.close()
        prepare(bench.path)
    ledger = Ledger(bench.path, opened=0.0)
    ledger.open()
    states = history(bench, ledger)
    copy = bench.crash_copy(ledger.connection, bench.folder / "copy")
    ledger.close()
    return copy, states


def used_frames(log):
    """Count the frames of a log that belong to its present round (sqlite.org/walformat.html)."""
    salt = log[16:24]
    frames = 0
    while log[LOG_HEADER + frames * FRAME :][8:16] == salt:
        frames += 1
    return frames


def unknown_where_submitting(entries):
    """Return what is to be compared of entries after a crash, when those have been settled."""
    return {
        name: (
            "unknown" if entry.state == "submitting" else entry.state,
            dict(entry.record),
            entry.raw,
            entry.files,
            entry.of,
            entry.submissions,
        )
        for name, entry in entries.items()
    }


def reopened(folder, file, log):
    """Open a journal made of these bytes; return its entries, None where it is refused."""
    path = folder / "run.sqlite"
    path.write_bytes(file)
    wal = Path(f"{path}-wal")
    wal.write_bytes(log)
    ledger = Ledger(path, opened=9.0)
    try:
        ledger.open()
    except errors.JournalUnreadable:
        assert path.read_bytes() == file
        assert wal.read_bytes() == log
        assert {found.name for found in folder.iterdir()} == {path.name, wal.name}
        return None
    found = entries_of(ledger.connection)
    ledger.close()
    return unknown_where_submitting(found)


def test_a_log_cut_at_any_byte_leaves_what_was_true_at_some_time(bench, remains):
    path, states = remains
    file, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    frames = used_frames(log)
    end = LOG_HEADER + frames * FRAME
    assert frames > 8
    truths = [unknown_where_submitting(state) for state in states]
    cuts = {*range(0, end, 211), *range(end - 2 * FRAME, end + 1), *range(LOG_HEADER + 1)}
    latest = 0
    for cut in sorted(cuts):
        found = reopened(path.parent, file, log[:cut])
        place = max(at for at, truth in enumerate(truths) if truth == found)
        assert place >= latest, f"cut at {cut}: earlier than what a shorter log had"
        latest = place
    assert latest == len(truths) - 1
    assert reopened(path.parent, file, log) == truths[-1]


def test_a_log_that_was_brought_into_the_file_brings_nothing_old_back(bench, monkeypatch):
    monkeypatch.setattr(ledger_module, "RESERVE_BYTES", 2 * PAGE)
    ledger = Ledger(bench.path, opened=0.0)
    ledger.open()
    states = history(bench, ledger)
    ledger._checkpoint()
    path = bench.crash_copy(None, bench.folder / "copy")
    ledger.close()
    file, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    truth = unknown_where_submitting(states[-1])
    for frames in range((len(log) - LOG_HEADER) // (4096 + 24) + 1):
        cut = LOG_HEADER + frames * (4096 + 24)
        assert reopened(path.parent, file, log[:cut]) == truth


def test_a_file_cut_at_any_byte_is_whole_with_its_log_or_refused(remains):
    path, states = remains
    file, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    truth = unknown_where_submitting(states[-1])
    # at first every byte: there are the ends of long texts, whose loss SQLite does not see
    cuts = [*range(len(file) - 1, len(file) - 3 * PAGE, -1), *range(len(file) - 3 * PAGE, 0, -97)]
    for cut in cuts:
        assert reopened(path.parent, file[:cut], log) in (None, truth), f"cut at {cut}"


def test_a_checkpoint_that_was_interrupted_is_done_again(remains):
    path, states = remains
    file, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    checkpointed = path.read_bytes()
    assert len(checkpointed) > len(file)  # its first page then tells of pages that are not there
    truth = unknown_where_submitting(states[-1])
    for end in range(0, len(checkpointed), PAGE // 2):
        mixed = checkpointed[:end] + file[end:]
        assert reopened(path.parent, mixed, log) == truth, f"interrupted at {end}"


def test_a_closed_file_cut_at_any_byte_is_refused_and_left_untouched(bench):
    for prepare in (small_pages, lambda _: None):
        ledger = Ledger(bench.path, opened=0.0)
        ledger.open()
        ledger.close()
        prepare(bench.path)
    whole = bench.path.read_bytes()
    ends = [*range(1, 100), *range(len(whole) - 2 * PAGE, len(whole))]
    for size in reversed(ends):
        os.truncate(bench.path, size)
        with pytest.raises(errors.JournalUnreadable, match="cut short"):
            Ledger(bench.path, opened=0.0).open()
        assert bench.path.stat().st_size == size
    assert bench.path.read_bytes() == whole[:1]
    assert [path.name for path in bench.folder.iterdir()] == ["run.sqlite"]


def test_a_text_with_a_hole_is_noticed_where_sqlite_sees_none(bench, remains):
    path, _ = remains
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entries SET record = zeroblob(length(record)) WHERE id = 2")
    connection.commit()
    shutil.copyfile(path, bench.folder / "holed.sqlite")
    shutil.copyfile(f"{path}-wal", bench.folder / "holed.sqlite-wal")
    connection.close()
    with pytest.raises(errors.JournalUnreadable, match="does not match its checksum"):
        Ledger(bench.folder / "holed.sqlite", opened=0.0).open()


@pytest.mark.parametrize("damaged", ["record = zeroblob(20)", "record = 'text'", "state = 'lost'"])
async def test_an_entry_damaged_while_it_is_open_is_an_error_of_its_own(bench, journal, damaged):
    keys = [await bench.bring(journal, name, EntryState.SUBMITTED) for name in "ab"]
    damage = f"UPDATE entries SET {damaged} WHERE key = ?"  # noqa: S608 - one of the three
    await journal._do(lambda connection: connection.execute(damage, (keys[0],)).close())
    with pytest.raises(errors.JournalUnreadable, match=r"checksum|the state 'lost' is none"):
        await journal.get(keys[0])
    assert (await journal.get(keys[1])).record == bench.record
