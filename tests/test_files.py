"""Result files: whole or not at all, never over another, named from our side."""

import asyncio
import base64
import hashlib
import os
import stat
import threading
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from loopback import Loopback, Reply
from scripted_service import PNG

from ailab_async import errors
from ailab_async.drafts import Draft
from ailab_async.files import Files, SavedFile, extension_of
from ailab_async.operations import ResultFile
from ailab_async.protocol.services import Service
from ailab_async.retry import RetryPolicy
from ailab_async.transport import Timeouts, Transport

NOW = datetime(2026, 11, 20, tzinfo=UTC)


class Host:
    """A result host, and the files of an answer that names it."""

    def __init__(self, handler, *, timeouts=Timeouts(), server=Loopback):  # noqa: B008 - a value
        self.server = server(handler)
        self.timeouts = timeouts

    async def __aenter__(self):
        await self.server.__aenter__()
        self.transport = Transport(
            Service.local(self.server.url),
            max_in_flight=4,
            timeouts=self.timeouts,
            retry=RetryPolicy(base=0.001),
        )
        await self.transport.start()
        self.files = Files(transport=self.transport, limiter=anyio.CapacityLimiter(2))
        return self

    async def __aexit__(self, *error):
        await self.transport.aclose()
        assert self.transport.at_rest
        await self.server.__aexit__(*error)

    def file(self, path="/a.png", stem="harbour"):
        raw = {"data": {"image_list": [self.server.url + path]}}
        (file,) = self.files.of(raw, stem=stem, task_id="t-1", now=NOW)
        return file


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def serving(body):
    return Host(lambda _: Reply(body=body, headers={"content-type": "text/plain"}))


def embedded(data, host):
    raw = {"data": {"image": base64.b64encode(data).decode()}}
    (file,) = host.files.of(raw, stem="harbour", task_id="t-1", now=NOW)
    return file


async def test_a_file_is_saved_under_its_name_and_the_extension_of_its_bytes(tmp_path):
    async with serving(PNG) as host:
        file = host.file("/lie.jpg")
        assert file.expires_at == NOW + timedelta(hours=24)
        for place in (tmp_path, f"{tmp_path}/new/deep/"):
            path = await file.save(place)
            assert path.name == "harbour-1.png"
            assert path.read_bytes() == PNG
        exact = await file.save(tmp_path / "other/name.dat")
        assert exact == tmp_path / "other/name.dat"
        assert await file.read() == PNG


async def test_a_kept_file_tells_its_digest_and_size(tmp_path):
    picture = PNG + os.urandom(3 * 2**20)
    async with serving(picture) as host:
        for file in (host.file(), embedded(picture, host)):
            kept = await host.files.keep(file, tmp_path, overwrite=True)
            digest = hashlib.sha256(picture).hexdigest()
            path = str(tmp_path / "harbour-1.png")
            assert kept == SavedFile(path=path, sha256=digest, size=len(picture))
            assert (tmp_path / "harbour-1.png").read_bytes() == picture


async def test_base64_is_decoded_without_asking_anybody(tmp_path):
    async with serving(b"") as host:
        file = embedded(PNG, host)
        assert file.expires_at is None
        assert await file.read() == PNG
        assert (await file.save(tmp_path)).read_bytes() == PNG
        assert host.server.seen == []


async def test_an_existing_file_is_kept_unless_asked(tmp_path):
    target = tmp_path / "harbour-1.png"
    target.write_bytes(b"mine")
    async with serving(PNG) as host:
        with pytest.raises(errors.FileKept) as caught:
            await host.file().save(tmp_path)
        assert isinstance(caught.value, FileExistsError)
        assert caught.value.path == str(target)
        assert target.read_bytes() == b"mine"
        asked = len(host.server.seen)
        with pytest.raises(errors.FileKept):
            await host.file().save(target)
        assert len(host.server.seen) == asked, "an exact name is looked at before anything is asked"
        await host.file().save(tmp_path, overwrite=True)
        assert target.read_bytes() == PNG
    assert left_in(tmp_path) == ["harbour-1.png"]


async def test_a_link_in_the_way_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "harbour-1.png").symlink_to(outside)
    async with serving(PNG) as host:
        with pytest.raises(errors.FileKept):
            await host.file().save(folder)
        await host.file().save(folder, overwrite=True)
    assert outside.read_bytes() == b"theirs"
    assert (folder / "harbour-1.png").read_bytes() == PNG


async def test_without_hard_links_the_name_is_reserved_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    async with serving(PNG) as host:
        path = await host.file().save(tmp_path)
        assert path.read_bytes() == PNG
        with pytest.raises(errors.FileKept):
            await host.file().save(tmp_path)
    assert left_in(tmp_path) == ["harbour-1.png"]


@pytest.mark.parametrize("body", [b"", b"x" * 10])
async def test_what_does_not_come_whole_leaves_nothing_behind(tmp_path, body):
    async with Host(lambda _: Reply(body=body, length=len(body) + (1 if body else 0))) as host:
        with pytest.raises(errors.DownloadFailed):
            await host.file().save(tmp_path)
    assert left_in(tmp_path) == []


async def test_a_cancelled_save_leaves_nothing_behind(tmp_path):
    begun, stuck = asyncio.Event(), asyncio.Event()

    async def hold(_):
        begun.set()
        await stuck.wait()

    async with Host(hold) as host:
        saving = asyncio.create_task(host.file().save(tmp_path))
        await begun.wait()
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        assert left_in(tmp_path) == []


async def test_a_large_file_is_written_in_pieces_and_whole(tmp_path):
    picture = PNG + os.urandom(5 * 2**20)
    async with serving(picture) as host:
        path = await host.file().save(tmp_path)
    assert path.read_bytes() == picture


async def test_a_file_larger_than_allowed_ends_there(tmp_path):
    async with serving(PNG + bytes(10_000)) as host:
        host.files.max_bytes = 5_000
        with pytest.raises(errors.DownloadFailed, match="5000 bytes"):
            await host.file().save(tmp_path)
    assert left_in(tmp_path) == []


async def test_an_unwritable_folder_is_the_systems_own_error(tmp_path):
    async with serving(PNG) as host:
        occupied = tmp_path / "file"
        occupied.touch()
        with pytest.raises(OSError, match="file"):
            await host.file().save(f"{occupied}/")
        assert host.server.seen == []


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (PNG, ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ".webp"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", ".avi"),
        (b"\x00\x00\x00\x18ftypisom", ".mp4"),
        (b"<html>", ".bin"),
        (b"", ".bin"),
    ],
)
def test_the_extension_is_read_from_the_bytes(head, extension):
    assert extension_of(head) == extension


async def test_a_save_cancelled_at_any_moment_leaves_a_whole_file_or_none(tmp_path):
    """By asyncio's own cancellation, which no anyio scope shields from."""
    async with serving(PNG) as host:
        for steps in range(120):
            folder = tmp_path / str(steps)
            saving = asyncio.create_task(host.file().save(f"{folder}/"))
            for _ in range(steps):
                await asyncio.sleep(0)
                if steps % 3 == 0:
                    await asyncio.to_thread(lambda: None)
            saving.cancel()
            await asyncio.sleep(0)
            saving.cancel()
            await asyncio.wait((saving,))
            for path in folder.iterdir() if folder.exists() else ():
                assert path.name == "harbour-1.png"
                assert path.read_bytes() == PNG


# --- names and modes -----------------------------------------------------------------------------

ODD_NAMES = {
    "../../evil": "_.._evil-1.png",
    "/etc/passwd": "_etc_passwd-1.png",
    "C:\\Windows\\x": "C__Windows_x-1.png",
    "..": "result-1.png",
    "": "result-1.png",
    "CON": "_CON-1.png",
    "con.txt": "_con.txt-1.png",
    "stream:hidden": "stream_hidden-1.png",
    "-rf": "rf-1.png",
    "a\0b\nc": "a_b_c-1.png",
    "trailing. . ": "trailing-1.png",
}


@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
async def test_a_stem_from_anywhere_becomes_a_name_in_the_folder(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    async with serving(PNG) as host:
        url = f"{host.server.url}/a.png"
        by_record = host.file(stem=name)
        # a value that was made, or unpickled, by hand
        by_hand = ResultFile(path="data", name=f"{name}-1", url=url, store=host.files)
        for file in (by_record, by_hand):
            path = await file.save(folder, overwrite=True)
            assert path == folder / ODD_NAMES[name]
    assert left_in(tmp_path) == ["in"]
    assert left_in(folder) == [ODD_NAMES[name]]


@pytest.mark.parametrize("letter", ["x", "漢", "👩", "e\u0301"], ids=ascii)
async def test_a_long_name_is_cut_between_characters_and_keeps_its_number(tmp_path, letter):
    async with serving(PNG) as host:
        by_hand = ResultFile(
            path="data", name=f"{letter * 300}-12", url=f"{host.server.url}/a", store=host.files
        )
        no_number = ResultFile(
            path="data", name=f"-{'9' * 300}", url=f"{host.server.url}/a", store=host.files
        )
        for file, end in ((host.file(stem=letter * 300), "-1"), (by_hand, "-12"), (no_number, "")):
            path = await file.save(tmp_path)
            assert path.stem.endswith(end)
            assert len(os.fsencode(path.name)) <= 255
            assert path.read_bytes() == PNG
    assert len(left_in(tmp_path)) == 3


async def test_a_name_that_the_system_refuses_is_refused_before_anything_is_fetched(tmp_path):
    async with serving(PNG) as host:
        with pytest.raises(OSError, match="too long"):
            await host.file().save(tmp_path / ("x" * 300))
        assert host.server.seen == []
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("target", ["nowhere", "outside/file", "outside"])
async def test_a_link_is_replaced_itself_and_never_what_it_leads_to(tmp_path, target):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"theirs")
    folder = tmp_path / "in"
    folder.mkdir()
    link = folder / "harbour-1.png"
    link.symlink_to(tmp_path / target)
    async with serving(PNG) as host:
        with pytest.raises(errors.FileKept):
            await host.file().save(folder)
        assert link.is_symlink()
        await host.file().save(folder, overwrite=True)
    assert not link.is_symlink()
    assert link.read_bytes() == PNG
    assert left_in(tmp_path) == ["in", "outside"]
    assert (outside / "file").read_bytes() == b"theirs"
    assert left_in(outside) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0, 0o666)])
async def test_a_draft_is_its_owners_alone_and_the_file_like_any_other(tmp_path, umask, mode):
    modes = []

    async def look(_):
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())
        return Reply(body=PNG)

    before = os.umask(umask)
    try:
        async with Host(look) as host:
            path = await host.file().save(tmp_path)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == mode


async def test_a_full_disk_is_the_systems_own_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    async with serving(PNG) as host:
        with pytest.raises(OSError, match="No space left"):
            await host.file().save(tmp_path)
    assert left_in(tmp_path) == []


def test_a_draft_that_was_discarded_takes_nothing_any_more(tmp_path):
    """A try that was cancelled may still be handing over."""
    draft = Draft()
    draft.open(tmp_path)
    draft.write(PNG)
    draft.discard()
    draft.write(PNG)
    draft.reset()
    draft.discard()
    assert left_in(tmp_path) == []


def test_a_finished_draft_has_one_name_only(tmp_path):
    """Before its folder is flushed: or else a power cut would bring the other one back."""
    draft = Draft()
    draft.open(tmp_path)
    draft.write(PNG)
    draft.finish(lambda head: f"a{extension_of(head)}", False)  # noqa: FBT003 - to a thread
    assert left_in(tmp_path) == ["a.png"]
    draft.discard()
    assert left_in(tmp_path) == ["a.png"]


def test_a_draft_is_not_closed_in_the_middle_of_a_write(tmp_path):
    draft = Draft()
    draft.open(tmp_path)
    with draft._one:  # a write is under way
        discarding = threading.Thread(target=draft.discard)
        discarding.start()
        discarding.join(0.05)
        assert discarding.is_alive()
        assert len(left_in(tmp_path)) == 1
    discarding.join(10)
    assert left_in(tmp_path) == []


# --- too late ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "hours", "kind"),
    [
        (404, 0, errors.ResultExpired),
        (410, 0, errors.ResultExpired),
        (403, 25, errors.ResultExpired),
        (403, 23, errors.DownloadFailed),
        (401, 25, errors.DownloadFailed),
    ],
)
async def test_a_file_that_is_gone_is_expired_and_names_its_task(tmp_path, status, hours, kind):
    async with Host(lambda _: Reply(status=status)) as host:
        host.files.now = lambda: NOW + timedelta(hours=hours)
        with pytest.raises(kind) as caught:
            await host.file().save(tmp_path)
        assert len(host.server.seen) == 1
    assert f"HTTP {status}" in str(caught.value)
    if kind is errors.ResultExpired:
        assert caught.value.task_id == "t-1"
        assert "t-1" in str(caught.value)
        assert "Submit the operation again" in str(caught.value)
    assert left_in(tmp_path) == []
