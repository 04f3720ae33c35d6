"""Batches that are killed, and the accounts that are compared afterwards.

A `Nursery` is a process that has loaded everything and forks a batch whenever it is told to: so a
batch begins within milliseconds, and can be killed hundreds of times in a minute. It may run on a
small disk of its own, or with a library before the system's that lets flushes fail.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from attrs import define, field
from batch_service import MADE, ServiceProcess, picture

PICTURES = 300
SLOTS = 4

FAILING_FLUSH = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
static int fails(void) {
    const char *percent = getenv("FLUSHES_THAT_FAIL");
    return percent && random() % 1000 < 10 * atof(percent);
}
int fsync(int fd) {
    static int (*real)(int);
    if (fails()) { errno = EIO; return -1; }
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return real(fd);
}
int fdatasync(int fd) {
    static int (*real)(int);
    if (fails()) { errno = EIO; return -1; }
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    return real(fd);
}
"""


@define
class Account:
    """What the journal says: pictures that are saved, are held, or neither.

    ``files`` is how many files those that are saved have between them.
    """

    saved: set[int]
    held: set[int]
    other: dict[str, str]
    files: int


@define
class End:
    """How one run of a batch ended; ``killed`` ones tell no more."""

    killed: bool
    ended: int = 0
    errors: dict[str, int] = field(factory=dict)


class Nursery:
    """Runs batches of ``PICTURES`` pictures that lie in a folder, each in a process of its own."""

    def __init__(
        self, folder: Path, url: str, *, inside: list[str] = (), preload: str = ""
    ) -> None:
        """``inside`` is a command to run it in, ``preload`` a library to be loaded first."""
        environment = {**os.environ, **({"LD_PRELOAD": preload} if preload else {})}
        paths = [str(Path(__file__).parents[2]), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*inside, sys.executable, __file__, str(folder), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *, kill_after: float | None = None, **options: object) -> End:
        """Run the batch until it ends, or is killed after so many seconds."""
        return End(**self._ask("batch", kill_after=kill_after, **options))

    def account(self, journal: str = "run.sqlite") -> Account:
        """Read the journal, and look at every file."""
        said = self._ask("account", journal=journal)
        return Account(set(said["saved"]), set(said["held"]), said["other"], said["files"])

    def shell(self, *command: str) -> None:
        """Run a command where the batches run."""
        self._ask("shell", command=command)

    def _ask(self, verb: str, **options: object) -> dict:
        self._process.stdin.write(json.dumps({"verb": verb, **options}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the nursery has ended"
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


def prepare(folder: Path) -> Path:
    """Put the pictures of a batch into a folder."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for number in range(PICTURES):
        (photos / f"{number:04}.png").write_bytes(picture(number))
    return folder


def check(account: Account, seen: collections.Counter[int], *, most_held: int) -> None:
    """Compare what the journal says with what the service saw."""
    assert not account.other, f"neither saved nor held: {account.other}"
    assert account.saved | account.held == set(range(PICTURES))
    assert account.files == len(account.saved), "each has its file, and none has two"
    assert set(seen.values()) <= {1}, "nothing was sent twice"
    # of those that are held some were seen, and some never were; all others were seen
    assert set(seen) == account.saved | (account.held & set(seen))
    assert len(account.held) <= most_held


def resolve(nursery: Nursery, service: ServiceProcess, folder: Path) -> None:
    """Send what is held once more, by a copy of the journal: only that was paid for again."""
    held, before = nursery.account().held, service.seen()
    nursery.shell("cp", str(folder / "run.sqlite"), str(folder / "copy.sqlite"))
    end = nursery.run(journal="copy.sqlite", on_unknown="resubmit")
    assert not end.errors, end
    assert nursery.account("copy.sqlite").saved == set(range(PICTURES))
    assert service.seen() - before == collections.Counter(held)


def kill(nursery: Nursery, *, most: int, seed: int, longest: float = 0.5) -> int:
    """Kill the batch at random moments, then let it come to its end; return how often."""
    dice = random.Random(seed)
    kills = 0
    while kills < most and nursery.run(kill_after=dice.uniform(0.0, longest)).killed:
        kills += 1
    assert not nursery.run().killed
    return kills


# --- in the nursery -------------------------------------------------------------------------------


async def batch(folder: Path, url: str, options: dict) -> dict:
    """Run the batch; return how many ended, and the errors by their kind."""
    from ailab_async import AsyncClient, HDColorMigration, RetryPolicy, Service, Timeouts, errors

    paths = sorted((folder / "photos").iterdir())
    retry = RetryPolicy(base=0.01, attempts=3)
    found: collections.Counter[str] = collections.Counter()
    ended = 0
    async with AsyncClient(
        service=Service.local(url),
        max_in_flight=SLOTS,
        retry=retry,
        timeouts=Timeouts(connect=2.0, read=5.0),
    ) as client:
        try:
            async with client.map(
                (HDColorMigration(path) for path in paths),
                journal=folder / options.get("journal", "run.sqlite"),
                save_to=folder / "out",
                on_unknown=options.get("on_unknown", "hold"),
                look_ahead=options.get("look_ahead"),
            ) as outcomes:
                async for outcome in outcomes:
                    ended += 1
                    if outcome.error is not None:
                        found[type(outcome.error).__name__] += 1
        except (errors.BatchStopped, errors.JournalError) as error:
            cause = error.__cause__ or error
            found[f"stopped by {type(cause).__name__}"] += 1
    return {"ended": ended, "errors": dict(found)}


async def account(folder: Path, options: dict) -> dict:
    """Read a journal, and compare every file with what the service makes."""
    from ailab_async.batch.journal import Journal

    told = {"saved": [], "held": [], "other": {}}
    files = set()
    async with Journal(folder / options["journal"]) as journal:
        async for entry in journal.entries():
            number = int(Path(entry.label).stem)
            if entry.state == "saved":
                (file,) = entry.files
                data = Path(file.path).read_bytes()  # noqa: ASYNC240 - nothing else runs
                assert MADE % number in data
                files.add(file.path)
                told["saved"].append(number)
            elif entry.state == "unknown":
                told["held"].append(number)
            else:
                told["other"][entry.label] = entry.state
    return {**told, "files": len(files)}


def forked(work, kill_after: float | None) -> dict | None:
    """Run ``work`` in a child and return what it returns; None where it was killed first."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException), open(writing, "w") as pipe:  # noqa: PTH123
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                json.dump(asyncio.run(work()), pipe)
                code = 0
            except BaseException as error:
                print(repr(error), file=sys.stderr)  # noqa: T201 - the test that fails shows it
                raise
        os._exit(code)
    os.close(writing)
    if kill_after is not None:
        until = time.monotonic() + kill_after
        while (left := until - time.monotonic()) > 0 and not os.waitid(
            os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(min(left, 0.002))
        os.kill(child, signal.SIGKILL)
    with open(reading) as pipe:  # noqa: PTH123 - a descriptor
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    assert status == 0, f"the batch broke down ({status})"
    return json.loads(told)


def answer(folder: Path, url: str, asked: dict) -> dict:
    """Do what the test asks for."""
    match asked["verb"]:
        case "batch":
            os.environ["FLUSHES_THAT_FAIL"] = str(asked.get("flushes_that_fail", 0))
            told = forked(lambda: batch(folder, url, asked), asked["kill_after"])
            return {"killed": True} if told is None else {"killed": False, **told}
        case "account":
            return forked(lambda: account(folder, asked), None)
        case _:
            subprocess.run(asked["command"], check=True)  # noqa: S603 - the test's own
            return {}


def main() -> None:
    """Load everything once, then do as told until there is nothing more."""
    import httpx  # noqa: F401 - loaded before the forks

    import ailab_async.batch.stream  # noqa: F401
    from ailab_async import AsyncClient, HDColorMigration  # noqa: F401

    folder, url = Path(sys.argv[1]), sys.argv[2]
    for line in sys.stdin:
        print(json.dumps(answer(folder, url, json.loads(line))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
