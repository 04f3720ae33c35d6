"""Disks that are full, and writes that fail: what is confirmed stays, what is paid is not lost."""

import asyncio
import json
import os
import shutil
import subprocess
import sys

import pytest

from ailab_async.batch.entries import EntryState

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and mounts are POSIX's")

# Prepares 40 entries, lets the space run out, and tells in JSON how each call ended.
COMMON = """
import asyncio, json, logging, os, resource, sys
from ailab_async import errors
from ailab_async.batch.entries import EntryState, Planned
from ailab_async.batch.journal import Journal

logging.basicConfig(stream=sys.stderr)
PATH = sys.argv[1]
KEYS = [number.to_bytes(32, "big") for number in range(40)]
ITEMS = [Planned(key=key, operation="x", label=key.hex()[-4:]) for key in KEYS]
REPORT = {"confirmed": 0}

def content():
    return [open(PATH + suffix, "rb").read() for suffix in ("", "-wal")]

def note(name, error):
    REPORT[name] = [type(error).__name__, str(error), getattr(error, "task_id", None)]

async def refused(name, call):
    try:
        await call
    except errors.JournalError as error:
        note(name, error)
    else:
        REPORT[name] = None
"""

WRITES_FAIL = """
async def main():
    journal = Journal(PATH)
    await journal.open()
    await journal.plan(ITEMS)
    for key in KEYS:
        await journal.submitting(key)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(PATH + "-wal"),) * 2)
    for number, key in enumerate(KEYS[:-2]):
        stem = "x" * (SIZE if number > 2 else 10)
        try:
            await journal.submitted(key, {"id": f"task-{number}", "stem": stem})
        except errors.JournalBroken as error:
            note("broken", error)
            REPORT["number"] = number
            break
        REPORT["confirmed"] += 1
    before = content()
    await refused("later", journal.submitted(KEYS[-1], {"id": "", "request_id": "task-last"}))
    await refused("reading", journal.get(KEYS[0]))
    await refused("spending", journal.submitting(KEYS[0]))
    await journal.aclose()
    REPORT["untouched"] = content() == before
    print(json.dumps(REPORT))

asyncio.run(main())
"""

FULL_DISK = """
async def main():
    journal = Journal(PATH)
    await journal.open()
    await journal.plan(ITEMS)
    for key in KEYS[:35]:
        await journal.submitting(key)
    with open(os.path.join(os.path.dirname(PATH), "pictures"), "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    big = "x" * 300_000
    for number, key in enumerate(KEYS[:25]):
        await journal.submitted(key, {"id": f"task-{number}", "stem": big})
        REPORT["confirmed"] += 1
        await refused("spending", journal.submitting(KEYS[-1]))
        if REPORT["spending"]:
            break
        await journal.withdrawn(KEYS[-1])
    await refused("planning", journal.plan(ITEMS))
    # what was accepted before still has room
    for number, key in enumerate(KEYS[25:35], 25):
        await journal.submitted(key, {"id": f"task-{number}"})
    os.unlink(os.path.join(os.path.dirname(PATH), "pictures"))
    for _ in range(2):  # there is a checkpoint between the two
        await journal.counts()
    await refused("room again", journal.submitting(KEYS[-1]))
    await journal.aclose()
    await refused("reopened", Journal(PATH).open())
    print(json.dumps(REPORT))

asyncio.run(main())
"""

NO_ROOM = """
async def main():
    await refused("opening", Journal(PATH).open())
    REPORT["left"] = os.listdir(os.path.dirname(PATH))
    print(json.dumps(REPORT))

asyncio.run(main())
"""


def report_of(script, path, *, inside=()):
    done = subprocess.run(  # noqa: S603 - a script of our own
        [*inside, sys.executable, "-c", COMMON + script, str(path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def on_a_disk_of(size, folder):
    """Return the beginning of a command that runs with a small disk mounted at ``folder``."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    mount = f'mount -t tmpfs -o size={size} tmpfs "{folder}" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    tried = subprocess.run(  # noqa: S603 - a command of our own
        [*command, "true"], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("mounting a disk of our own is not permitted here")
    return command


# one that the log has no room for, and some that the file has none for at the next checkpoint
@pytest.mark.parametrize("size", [5_000_000, 400_000])
async def test_a_failed_write_breaks_the_journal_and_names_the_task(bench, size):
    script = f"SIZE = {size}\n{WRITES_FAIL}"
    report, log = await asyncio.to_thread(report_of, script, bench.path)
    number, confirmed = report["number"], report["confirmed"]
    assert number == confirmed > 2
    kind, text, task_id = report["broken"]
    assert (kind, task_id) == ("JournalBroken", f"task-{number}")
    assert str(bench.path) in text
    assert "disk I/O error" in text
    assert f"Task task-{number} was accepted and is not in it: keep this id" in text
    assert "nothing more is submitted" in text
    assert f"keep this id, client.attach('task-{number}')" in log
    assert report["later"][2] == "task-last"
    assert report["spending"][0] == report["reading"][0] == "JournalBroken"
    assert report["untouched"], "after a failed write nothing is to be tried again"
    async with bench.journal() as journal:
        counts = await journal.counts()
        assert counts[EntryState.SUBMITTED] == confirmed
        assert counts[EntryState.UNKNOWN] == 40 - confirmed
        ids = [entry.record["id"] async for entry in journal.entries(EntryState.SUBMITTED)]
        assert ids == [f"task-{number}" for number in range(confirmed)]


def test_a_full_disk_stops_spending_while_what_is_under_way_is_written_down(bench):
    inside = on_a_disk_of("16m", bench.folder)
    report, log = report_of(FULL_DISK, bench.path, inside=inside)
    assert 0 < report["confirmed"] < 25
    kind, text, task_id = report["spending"]
    assert (kind, task_id) == ("JournalBroken", "")
    assert "database or disk is full" in text
    assert report["planning"][0] == "JournalBroken"
    assert "nothing more is submitted" in log
    assert report["room again"] is None
    assert report["reopened"] is None


def test_a_disk_without_room_is_found_when_the_journal_is_opened(bench):
    inside = on_a_disk_of("3m", bench.folder)
    report, _ = report_of(NO_ROOM, bench.path, inside=inside)
    kind, text, _ = report["opening"]
    assert kind == "JournalBroken"
    assert "database or disk is full" in text
    assert "nothing was submitted" in text
    assert "4 MiB" in text
