"""Batches with a journal and a folder: what is run again, what is lost, what comes twice."""

import asyncio
import base64
import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from loopback import answer

sys.path.insert(0, str(Path(__file__).parent))

from batch_service import MADE, picture, result
from scripted_batch import BatchService, client_of, names, photos, run, states, until

from ailab_async import Endpoint, HDColorMigration, ImageErasure, Service, errors
from ailab_async.batch.journal import Journal
from ailab_async.files import Files


@pytest.fixture
async def service():
    async with BatchService() as scripted:
        yield scripted


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "run.sqlite"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def folders(tmp_path):
    """Two folders, each with photos of the same names."""
    paths = []
    for number, name in enumerate(["x/a.png", "y/a.png", "x/b.png", "y/b.png"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(number))
        paths.append(path)
    return paths


def numbers_in(folder):
    """Return which pictures the files of a folder were made of."""
    return {
        path.name: int(path.read_bytes().partition(b"made of ")[2][:8]) for path in folder.iterdir()
    }


def data_of(outcome):
    (file,) = outcome.files
    return Path(file.path).read_bytes()


def spoil(outcome, harm):
    path = Path(outcome.files[0].path)
    whole = path.read_bytes()
    path.unlink()
    if harm != "removed":
        path.write_bytes(whole[:-1] + (b"?" if harm == "changed" else b""))


# --- the folder ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("overwrite", [True, False])
async def test_photos_of_the_same_name_are_saved_beside_each_other(
    service, folders, journal, out, kept, overwrite
):
    out.mkdir()
    (out / "a-1.png").write_bytes(b"of the user")
    operations = [HDColorMigration(path) for path in folders]
    options = {"journal": journal if kept else None, "save_to": out, "overwrite": overwrite}
    async with client_of(service) as client:
        found, _ = await run(client, operations, **options)
        saved = {outcome.index: Path(outcome.files[0].path).name for outcome in found}
        files = numbers_in(out) if overwrite else None
        if overwrite:
            assert set(files) == {"a-1.png", "a_2-1.png", "b-1.png", "b_2-1.png"}
            assert {index: files[name] for index, name in saved.items()} == {n: n for n in range(4)}
        else:
            assert names(out) == ["a-1.png", "a_2-1.png", "a_3-1.png", "b-1.png", "b_2-1.png"]
            assert (out / "a-1.png").read_bytes() == b"of the user"


async def test_overwriting_never_takes_what_an_earlier_run_had_saved(
    service, folders, journal, out
):
    options = {"journal": journal, "save_to": out, "overwrite": True, "look_ahead": 1}
    async with client_of(service) as client:
        await run(client, [HDColorMigration(folders[1])], **options)
        await run(client, [HDColorMigration(path) for path in folders[:2]], **options)
    assert numbers_in(out) == {"a-1.png": 1, "a_2-1.png": 0}
    assert sorted(service.sent) == [0, 1]


@pytest.mark.parametrize("far_apart", [True, False])
async def test_the_same_picture_twice_is_paid_once_and_saved_twice_and_so_it_stays(
    service, folders, journal, out, tmp_path, far_apart
):
    twin = tmp_path / "twin.png"
    twin.write_bytes(folders[0].read_bytes())
    operations = [HDColorMigration(path) for path in (folders[0], folders[1], twin, folders[0])]
    options = {"journal": journal, "save_to": out, "look_ahead": 1 if far_apart else None}
    async with client_of(service) as client:
        for turn in range(3):
            found, outcomes = await run(client, operations, **options)
            assert service.sent.count(0) == 1
            assert outcomes.progress.reused == (2 if turn == 0 else 4)
            paths = [Path(outcome.files[0].path) for outcome in found]
            assert len(set(paths)) == 4
            assert {path.name for path in paths} == set(names(out))
            assert len(names(out)) == 4, "a later run makes no more"
            assert [MADE % 0 in path.read_bytes() for path in paths] == [True, False, True, True]
            if turn:
                assert paths[2].name == "twin-1.png"
                assert {path.name[0] for path in paths[:2]} == {"a"}


async def test_a_copy_that_was_removed_is_made_again(service, folders, journal, out, tmp_path):
    twin = tmp_path / "twin.png"
    twin.write_bytes(folders[0].read_bytes())
    operations = [HDColorMigration(path) for path in (folders[0], twin)]
    async with client_of(service) as client:
        await run(client, operations, journal=journal, save_to=out, look_ahead=1)
        (out / "twin-1.png").unlink()
        await run(client, operations, journal=journal, save_to=out, look_ahead=1)
    assert numbers_in(out) == {"a-1.png": 0, "twin-1.png": 0}
    assert service.sent == [0]


async def test_a_folder_that_is_full_stops_the_batch(service, journal, out, monkeypatch):
    async def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    async with client_of(service) as client:
        monkeypatch.setattr(Files, "keep", full)
        found = []
        with pytest.raises(errors.BatchStopped, match="No space left") as caught:
            await run(client, photos(*range(9)), journal=journal, save_to=out, found=found)
        assert isinstance(caught.value.__cause__, OSError)
        monkeypatch.undo()
        again, _ = await run(client, photos(*range(9)), journal=journal, save_to=out)
    assert all(outcome.ok for outcome in again)
    assert sorted(service.sent) == list(range(9))


async def test_a_task_that_ends_while_it_is_written_down_is_saved_all_the_same(
    service, journal, out, monkeypatch
):
    original = Journal.submitted

    async def slowly(self, key, record):
        watch = client._session.poller.find(record["id"])
        await original(self, key, record)
        await watch.handle

    async with client_of(service) as client:
        monkeypatch.setattr(Journal, "submitted", slowly)
        (found,), _ = await run(client, photos(0), journal=journal, save_to=out)
    assert found.error is None
    assert found.state == "saved"
    assert await states(journal) == ["saved"]


# --- run again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("saved_by", ["batch", "user"])
async def test_a_batch_that_is_run_again_sends_nothing(service, journal, out, saved_by):
    folder = out if saved_by == "batch" else None
    requests = []
    async with client_of(service) as client:
        for turn in range(2):
            async with client.map(photos(0, 1, 2), journal=journal, save_to=folder) as outcomes:
                async for outcome in outcomes:
                    assert outcome.reused == (turn == 1)
                    if saved_by == "user" and turn == 0:
                        assert outcome.state == "done"
                        await outcome.result.save(out / str(outcome.index))
                    else:
                        assert outcome.state == "saved"
                        assert all(out in Path(file.path).parents for file in outcome.files)
                        assert len(outcome.files) == 1
            requests.append(len(service.server.seen))
    assert requests[1] == requests[0]
    assert sorted(service.sent) == [0, 1, 2]
    assert await states(journal) == ["saved"] * 3
    assert len(names(out)) == 3


@pytest.mark.parametrize("harm", ["removed", "cut", "changed"])
async def test_files_that_are_not_as_they_were_saved_are_fetched_again(service, journal, out, harm):
    async with client_of(service) as client:
        first, _ = await run(client, photos(0, 1), journal=journal, save_to=out)
        spoil(first[0], harm)
        again, _ = await run(
            client, photos(0, 1), journal=journal, save_to=out, verify=harm == "changed"
        )
        assert all(outcome.ok and outcome.reused for outcome in again)
        assert MADE % 0 in data_of(again[0])
        assert (again[0].files == first[0].files) == (harm == "removed")
        assert again[1].files == first[1].files
    assert sorted(service.sent) == [0, 1]
    assert await states(journal) == ["saved"] * 2


async def test_changed_bytes_are_looked_for_only_when_asked(service, journal, out):
    async with client_of(service) as client:
        first, _ = await run(client, photos(0), journal=journal, save_to=out)
        spoil(first[0], "changed")
        again, _ = await run(client, photos(0), journal=journal, save_to=out)
    assert again[0].files == first[0].files
    assert len(names(out)) == 1


async def test_addresses_that_have_expired_are_looked_up_again(service, journal, out):
    async with client_of(service) as client:
        await run(client, photos(0), journal=journal)
        async with Journal(journal) as opened:
            (entry,) = [entry async for entry in opened.entries()]
            await opened.done(entry.key, entry.raw, expires_at=1.0, of=1)
        looks = len(service.server.seen)
        found, _ = await run(client, photos(0), journal=journal, save_to=out)
        assert found[0].ok
        asked = [seen for seen in service.server.seen[looks:] if "task_id" in seen.query]
        assert len(asked) == 1
    assert service.sent == [0]


async def test_a_file_that_is_gone_sooner_than_said_is_looked_up_again_once(service, journal, out):
    service.gone = {"/files/0"}
    async with client_of(service) as client:
        found, _ = await run(client, photos(0), journal=journal, save_to=out)
        assert isinstance(found[0].error, errors.ResultExpired)
        again, _ = await run(client, photos(0), journal=journal, save_to=out)
        assert isinstance(again[0].error, errors.TaskFailed)
        service.gone.clear()
        paid, _ = await run(client, photos(0), journal=journal, save_to=out, on_failed="resubmit")
        assert paid[0].ok
    assert service.sent == [0, 0]


async def test_what_was_accepted_is_waited_for_by_its_id(service, journal, out):
    service.slow = {0, 1}
    async with client_of(service) as client:
        outcomes = client.map(photos(0, 1), journal=journal, save_to=out)
        async with outcomes:
            await until(lambda: outcomes.progress.open == 2)
    service.slow.clear()
    async with client_of(service) as client:
        found, _ = await run(client, photos(0, 1), journal=journal, save_to=out)
        assert [outcome.ok and outcome.reused for outcome in found] == [True, True]
        assert {outcome.record["id"] for outcome in found} == {"t-1", "t-2"}
    assert sorted(service.sent) == [0, 1]


async def test_what_nobody_can_know_is_held_until_somebody_asks_for_more(service, journal, out):
    service.silent = {1}
    async with client_of(service) as client:
        for _ in range(2):
            found, outcomes = await run(client, photos(0, 1), journal=journal, save_to=out)
            assert [outcome.held for outcome in found] == [False, True]
            assert outcomes.progress.held == 1
            assert found[1].state == "unknown"
            assert service.sent.count(1) == 1
        assert "on_unknown='resubmit'" in str(found[1].error)
        service.silent.clear()
        options = {"journal": journal, "save_to": out, "on_unknown": "resubmit"}
        found, _ = await run(client, photos(0, 1), **options)
        assert [outcome.ok for outcome in found] == [True, True]
    assert service.sent.count(1) == 2
    assert service.sent.count(0) == 1


@pytest.mark.parametrize("reason", ["refused", "failed"])
async def test_what_ended_without_a_result_is_sent_again_only_when_asked(service, journal, reason):
    if reason == "refused":
        service.refused = {0: answer({"error_code_str": "ERROR_NO_FACE_IN_FILE"}, 422)}
        kind = errors.InputRejected
    else:
        service.failing = {0}
        kind = errors.TaskFailed
    async with client_of(service) as client:
        for _ in range(2):
            found, _ = await run(client, photos(0), journal=journal)
            assert isinstance(found[0].error, kind)
            assert service.sent == [0]
        service.refused, service.failing = {}, set()
        found, _ = await run(client, photos(0), journal=journal, on_failed="resubmit")
        assert found[0].ok
    assert service.sent == [0, 0]


# --- results at once -----------------------------------------------------------------------------


def at_once(inline):
    def accept(service, seen):
        service.sent.append(0)
        made = result(0, size=2000)
        service.files["/files/0"] = made
        held = {"image": base64.b64encode(made).decode()}
        return answer(
            {"error_code": 0, "data": held if inline else {"url": f"{service.url}/files/0"}}
        )

    return accept


ENDPOINT = Endpoint("remove-objects", image=picture(0), mask=picture(0))
ERASURE = ImageErasure(picture(0), picture(0))


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("operation", [ENDPOINT, ERASURE], ids=["endpoint", "erasure"])
async def test_results_that_come_at_once_are_kept_and_saved(
    service, journal, out, tmp_path, inline, operation, monkeypatch
):
    monkeypatch.setattr(BatchService, "accept", at_once(inline))
    operations = [operation]
    async with client_of(service) as client:
        for turn in range(2):
            found, _ = await run(client, operations, journal=journal, save_to=out)
            assert found[0].reused == (turn == 1)
            assert data_of(found[0]) == result(0, size=2000)
            assert await found[0].result.files[0].read() == result(0, size=2000)
        (copy,) = await found[0].result.save(tmp_path / "copy")
        assert copy.read_bytes() == result(0, size=2000)
        if inline:
            async with Journal(journal) as opened:
                assert [entry.raw["data"] async for entry in opened.entries()] == [{"image": ""}]
        for path in out.iterdir():
            path.unlink()
        (lost,), _ = await run(client, operations, journal=journal, save_to=out)
        if inline:  # nobody has it any more
            assert isinstance(lost.error, errors.ResultExpired)
            assert "on_failed='resubmit'" in str(lost.error)
        else:
            assert lost.ok
    assert service.sent == [0]


@pytest.mark.parametrize("inline", [True, False])
async def test_a_result_that_came_at_once_and_was_not_saved_is_saved_later(
    service, journal, out, inline, monkeypatch
):
    monkeypatch.setattr(BatchService, "accept", at_once(inline))
    operations = [ENDPOINT]
    async with client_of(service) as client:
        await run(client, operations, journal=journal)
        assert await states(journal) == ["done"]
        (found,), _ = await run(client, operations, journal=journal, save_to=out)
        assert found.reused
        assert data_of(found) == result(0, size=2000)
    assert service.sent == [0]


# --- the journal itself --------------------------------------------------------------------------


async def test_two_batches_on_one_journal_are_kept_apart(service, journal):
    service.slow = {0}
    async with client_of(service) as client, client.map(photos(0), journal=journal) as outcomes:
        with pytest.raises(errors.JournalInUse):
            await run(client, photos(1), journal=journal)
        service.slow.clear()
        assert [outcome.ok async for outcome in outcomes] == [True]
    assert service.sent == [0]


async def test_a_journal_of_the_user_stays_open(service, journal):
    async with client_of(service) as client, Journal(journal) as opened:
        await run(client, photos(0), journal=opened)
        await run(client, photos(0, 1), journal=opened)
        assert sum((await opened.counts()).values()) == 2
    assert sorted(service.sent) == [0, 1]


async def test_a_journal_that_is_none_leaves_nothing_open(service, journal):
    journal.write_bytes(b"no journal, and none of ours" * 100)
    async with client_of(service) as client:
        with pytest.raises(errors.JournalUnreadable):
            await run(client, photos(0), journal=journal)
    assert service.sent == []
    assert not journal.with_name("run.sqlite.lock").exists()


async def test_tasks_of_the_engine_inside_are_done_anew_by_the_next_process(
    service, journal, monkeypatch
):
    service.slow = {0}
    async with client_of(service) as client:
        async with client.map(photos(0), journal=journal) as outcomes:
            await until(lambda: outcomes.progress.open == 1)
        service.slow.clear()
        # as of an engine that ended with its process: its tasks are not there to be asked for
        monkeypatch.setattr(Service, "embedded", property(lambda _: True))
        monkeypatch.setattr("ailab_async.batch.account._identity", lambda _: f"local {service.url}")
        found, _ = await run(client, photos(0), journal=journal)
        assert found[0].ok
        assert not found[0].reused
    assert service.sent == [0, 0]


BREAKING = """
import asyncio, json, os, resource, signal, sys
sys.path[:0] = sys.argv[3:]
from batch_service import picture
from ailab_async import AsyncClient, HDColorMigration, Service, errors
from ailab_async.batch.journal import Journal

def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(sys.argv[1] + "-wal"),) * 2)

async def main():
    # so large that the log cannot hold one of them
    stem = "x" * 140
    async with AsyncClient(service=Service.local(sys.argv[2]), max_in_flight=1) as client:
        found = []
        try:
            pictures = [picture(number) for number in range(3000)]
            async with client.map(map(HDColorMigration, pictures), journal=sys.argv[1]) as outcomes:
                limit()
                async for outcome in outcomes:
                    found.append(outcome)
        except errors.BatchStopped as error:
            cause = error.__cause__
            told = {"cause": type(cause).__name__, "task": getattr(cause, "task_id", None)}
            told["orphans"] = [task.id for task in client.orphans]
            told["ended"] = sum(outcome.ok for outcome in found)
            print(json.dumps(told))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of this kind are Linux's")
async def test_a_journal_that_breaks_stops_the_batch_and_loses_no_task(service, journal):
    # tasks are accepted with an id that the journal's log, which cannot grow, has no room for
    original = service.accept

    def accept(seen):
        original(seen)
        number = len(service.sent)
        task = f"t-{number}" if number < 5 else f"t-{number}-" + "x" * 5_000_000
        service.tasks[task] = service.sent[-1]
        return answer({"error_code": 0, "task_id": task})

    service.accept = accept
    command = [
        sys.executable,
        "-c",
        BREAKING,
        str(journal),
        service.url,
        str(Path(__file__).parent),
    ]
    root = str(Path(__file__).parents[2])
    process = await asyncio.create_subprocess_exec(
        *command, root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    told, log = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 0, log.decode()[-2000:]
    report = json.loads(told)
    assert report["cause"] == "JournalBroken"
    assert report["task"].startswith("t-5-xxx")
    assert report["orphans"] == [report["task"]]
    assert len(service.sent) == 5, "nothing more is sent"
