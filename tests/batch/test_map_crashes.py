"""A batch that is killed, or whose service is, or whose disk fails: every picture accounted for."""

import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from batch_crashes import FAILING_FLUSH, PICTURES, SLOTS, Nursery, check, kill, prepare, resolve
from batch_service import ServiceProcess

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are forked")

MOST_RUNS = 60


@pytest.fixture
def folder(tmp_path):
    return prepare(tmp_path / "batch")


@pytest.fixture
def service(tmp_path):
    with ServiceProcess(tmp_path / "service.log", delay=0.005, durations=(0.02, 0.06)) as running:
        yield running


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_batch_sends_nothing_twice_and_holds_what_nobody_can_know(folder, service, seed):
    with Nursery(folder, service.url) as nursery:
        kills = kill(nursery, most=8, seed=seed)
        assert kills > 3
        check(nursery.account(), service.seen(), most_held=kills * SLOTS)
        resolve(nursery, service, folder)


def test_a_killed_service_gets_nothing_twice(folder, service):
    dice = random.Random(3)
    kills = 0
    ended = threading.Event()

    def kill_it():
        nonlocal kills
        while not ended.wait(dice.uniform(0.0, 0.6)) and kills < 4:
            service.kill()
            kills += 1
            service.start()

    with Nursery(folder, service.url) as nursery:
        killing = threading.Thread(target=kill_it)
        killing.start()
        try:
            for _ in range(MOST_RUNS):
                if set(nursery.run().errors) <= {"OutcomeUnknown"}:
                    break
        finally:
            ended.set()
            killing.join()
        nursery.run()
        assert kills > 1
        check(nursery.account(), service.seen(), most_held=kills * SLOTS)
        resolve(nursery, service, folder)


def on_a_disk_of(size, folder):
    """Return a command that runs another one with a small disk mounted over a folder."""
    mount = 'mount -t tmpfs -o size="$0" none "$1" && shift && exec "$@"'
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here to mount a disk of our own with")
    command = ["unshare", "-rm", "sh", "-c", mount, size, str(folder)]
    tried = subprocess.run(  # noqa: S603 - a command of our own
        [*command, "true"], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("mounting a disk of our own is not permitted here")
    return command


def test_a_full_disk_stops_the_batch_and_loses_nothing(tmp_path):
    log = tmp_path / "service.log"
    disk = tmp_path / "disk"
    disk.mkdir()
    service = ServiceProcess(log, delay=0.005, durations=(0.02, 0.06), result_size=2**16)
    inside = on_a_disk_of("14m", disk)
    with service, Nursery(disk, service.url, inside=inside) as nursery:
        nursery.shell("cp", "-r", str(prepare(tmp_path / "batch") / "photos"), str(disk))
        end = nursery.run()
        assert "stopped by OSError" in end.errors or "stopped by JournalBroken" in end.errors
        assert 10 < sum(service.seen().values()) < PICTURES
        assert nursery.run().ended < PICTURES
        nursery.shell("mount", "-o", "remount,size=64m", str(disk))
        assert set(nursery.run().errors) <= {"OutcomeUnknown"}
        check(nursery.account(), service.seen(), most_held=2 * SLOTS)
        resolve(nursery, service, disk)


@pytest.fixture(scope="module")
def failing_flush(tmp_path_factory):
    """A library that lets some flushes fail as those of a broken disk do."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("there is no C compiler here to make flushes fail with")
    folder = tmp_path_factory.mktemp("flush")
    (folder / "flush.c").write_text(FAILING_FLUSH)
    command = [compiler, "-shared", "-fPIC", "-o", "flush.so", "flush.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - a command of our own
    return str(folder / "flush.so")


def test_failing_flushes_lose_nothing_and_send_nothing_twice(folder, service, failing_flush):
    broken = 0
    with Nursery(folder, service.url, preload=failing_flush) as nursery:
        for _ in range(MOST_RUNS):
            end = nursery.run(flushes_that_fail=2)
            broken += "stopped by JournalBroken" in end.errors
            if end.ended == PICTURES and set(end.errors) <= {"OutcomeUnknown"}:
                break
        assert set(nursery.run().errors) <= {"OutcomeUnknown"}
        assert broken > 0
        check(nursery.account(), service.seen(), most_held=broken * SLOTS)
        resolve(nursery, service, folder)
