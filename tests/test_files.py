"""Result files: whole or not at all, never over another, named from our side."""

import asyncio
import base64
import os
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from loopback import Loopback, Reply
from scripted_service import PNG

from ailab_async import errors
from ailab_async.files import Files, extension_of
from ailab_async.protocol.services import Service
from ailab_async.retry import RetryPolicy
from ailab_async.transport import Timeouts, Transport

NOW = datetime(2026, 11, 20, tzinfo=UTC)


class Host:
    """A result host, and the files of an answer that names it."""

    def __init__(self, handler):
        self.server = Loopback(handler)

    async def __aenter__(self):
        await self.server.__aenter__()
        self.transport = Transport(
            Service.local(self.server.url),
            max_in_flight=4,
            timeouts=Timeouts(),
            retry=RetryPolicy(base=0.001),
        )
        await self.transport.start()
        self.files = Files(transport=self.transport, limiter=anyio.CapacityLimiter(2))
        return self

    async def __aexit__(self, *error):
        await self.transport.aclose()
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
