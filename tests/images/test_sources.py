"""Every way in which a picture can come, and how it is read."""

from __future__ import annotations

import asyncio
import io
import ntpath
import os
import threading
from functools import partial
from pathlib import Path, PureWindowsPath

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ailab_async.errors import InvalidOperation
from ailab_async.images import PictureRules, clean_stem, load_part, source_stem

from .making import ANY, encoded, noise

RED = encoded(noise(90, 70), "PNG")


async def refusal_of(source, rules=ANY, **options) -> InvalidOperation:
    with pytest.raises(InvalidOperation) as caught:
        await load_part(source, rules, field="image", **options)
    return caught.value


class Upload:
    """An async reader like a web framework's."""

    def __init__(self, data, most=7):
        self._file = io.BytesIO(data)
        self._most = most
        self.filename = "../../etc/passwd"

    async def read(self, size=-1):
        await asyncio.sleep(0)
        return self._file.read(min(size, self._most) if self._most else size)


class Disguised(Upload):
    """One whose ``read`` does not look asynchronous."""

    def read(self, size=-1):
        return super().read(size)


class Endless:
    """A file without an end."""

    def __init__(self):
        self.given = 0

    def read(self, size=-1):
        assert size > 0
        self.given += size
        return bytes(size)


class EndlessUpload(Endless):
    async def read(self, size=-1):
        return super().read(size)


class Trickle(io.RawIOBase):
    """A file that gives less than was asked for."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def read(self, size=-1):
        return self._data.read(min(size, 11))


def sources(tmp_path):
    path = tmp_path / "harbour.png"
    path.write_bytes(RED)
    return {
        "text": str(path),
        "path": path,
        "bytes": RED,
        "bytearray": bytearray(RED),
        "memoryview": memoryview(RED),
        "every second byte": memoryview(bytes(b for byte in RED for b in (byte, 0)))[::2],
        "file": io.BytesIO(RED),
        "trickle": Trickle(RED),
        "upload": Upload(RED),
        "disguised": Disguised(RED),
    }


NAMES = [
    *("text", "path", "bytes", "bytearray", "memoryview", "every second byte"),
    *("file", "trickle", "upload", "disguised"),
]


@pytest.mark.parametrize("name", NAMES)
async def test_every_source_gives_the_same_part(name, tmp_path):
    part = await load_part(sources(tmp_path)[name], ANY, field="image")
    assert part.data == RED
    assert isinstance(part.data, bytes)
    assert (part.field, part.filename, part.content_type) == ("image", "image.png", "image/png")
    assert (part.format, part.size, part.mode) == ("PNG", (90, 70), "RGB")


async def test_a_lazy_image_is_decoded_in_the_worker_thread(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(RED)
    threads = []

    class Watched(Image.Image):
        def load(self):
            threads.append(threading.get_ident())
            return super().load()

    with Image.open(path) as image:
        watched = Watched()
        watched.__dict__.update(image.convert("RGB").__dict__)
        await load_part(watched, ANY, field="image")
    assert threads
    assert threading.get_ident() not in threads


async def test_bytes_are_not_copied():
    assert (await load_part(RED, ANY, field="image")).data is RED


async def test_an_open_file_is_read_from_where_it_stands_and_put_back(tmp_path):
    file = io.BytesIO(b"before" + RED)
    file.seek(6)
    for _ in range(2):
        assert (await load_part(file, ANY, field="image")).data == RED
        assert file.tell() == 6
    path = tmp_path / "a.png"
    path.write_bytes(RED)
    with path.open("rb") as real:
        assert (await load_part(real, ANY, field="image")).data == RED
        assert real.tell() == 0


async def test_an_anyio_file_is_an_async_reader(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(RED)
    async with await anyio.open_file(path, "rb") as file:
        assert (await load_part(file, ANY, field="image")).data == RED


async def test_pixels_are_sent_as_they_are():
    array = np.arange(80 * 90 * 3, dtype=np.uint8).reshape(80, 90, 3)
    for source in (array, array[:, ::-1], Image.fromarray(array), np.asfortranarray(array)):
        part = await load_part(source, ANY, field="image")
        assert part.format == "PNG"
        shown = np.asarray(Image.open(io.BytesIO(part.data)))
        expected = source if isinstance(source, np.ndarray) else array
        assert np.array_equal(shown, expected)


async def test_pixels_that_are_too_large_as_png_go_as_jpeg():
    rules = PictureRules(formats=("PNG", "JPEG"), max_bytes=120_000)
    part = await load_part(noise(250, 250), rules, field="image")
    assert (part.format, part.filename, part.content_type) == ("JPEG", "image.jpg", "image/jpeg")
    error = await refusal_of(noise(900, 900), rules)
    assert error.limit.startswith("at most")
    assert "fit=True" in error.hint


async def test_pixels_of_other_kinds_are_refused():
    assert (await refusal_of(Image.new("CMYK", (80, 80)))).value == "mode CMYK"
    assert (await refusal_of(Image.new("F", (80, 80)))).value == "mode F"
    only_rgb = PictureRules(formats=("PNG",), max_bytes=10**6, three_channels=True)
    assert (await refusal_of(Image.new("RGBA", (80, 80)), only_rgb)).value == "mode RGBA"
    lossy = PictureRules(formats=("JPEG",), max_bytes=10**6)
    assert "JPEG" in (await refusal_of(Image.new("RGBA", (80, 80)), lossy)).limit


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.zeros((80, 90), np.uint8), "(80, 90)"),
        (np.zeros((80, 90, 4), np.uint8), "(80, 90, 4)"),
        (np.zeros((0, 90, 3), np.uint8), "(0, 90, 3)"),
        (np.zeros((80, 90, 3), np.float32), "float32"),
        (np.zeros((80, 90, 3), np.int64), "int64"),
    ],
)
async def test_arrays_are_height_width_3_of_bytes(array, value):
    assert value in (await refusal_of(array)).value


@pytest.mark.parametrize(
    "source", [None, 5, 1.5, [], {}, object(), "", b"", bytearray(), "a\0b", b"a.jpg"[:0]]
)
async def test_what_can_be_no_picture_is_refused(source):
    assert (await refusal_of(source)).field == "image"


# --- files that are none


async def test_missing_files_directories_and_devices_are_refused_by_name(tmp_path):
    missing = await refusal_of(tmp_path / "missing.png")
    assert missing.limit == "an existing file"
    assert missing.value.endswith("/missing.png")
    assert "directory" in (await refusal_of(tmp_path)).value
    assert "device" in (await refusal_of("/dev/zero")).value
    assert (await refusal_of(tmp_path / ("a" * 300))).limit == "a readable file"


@pytest.mark.timeout(10)
async def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "p.png")
    assert "a pipe (" in (await refusal_of(tmp_path / "p.png")).value


async def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(RED)

    def forbidden(path, flags):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", forbidden)
    assert "Permission denied" in (await refusal_of(path)).value


async def test_closed_files_and_text_files_are_refused(tmp_path):
    closed = io.BytesIO(RED)
    closed.close()
    assert (await refusal_of(closed)).limit == "a readable file"
    path = tmp_path / "a.txt"
    path.write_text("text")
    with path.open() as file:
        assert "'rb'" in (await refusal_of(file)).hint

    class Text:
        def read(self, _=-1):
            return "text"

    class AsyncText:
        async def read(self, _=-1):
            return "text"

    for source in (Text(), AsyncText()):
        assert "reads as str" in (await refusal_of(source)).value


async def test_an_upload_that_was_read_before_says_so():
    upload = Upload(RED, most=None)
    await upload.read(10**6)
    error = await refusal_of(upload)
    assert error.value == "empty"
    assert "Seek back" in error.hint


# --- no more than may be


SMALL = PictureRules(formats=("PNG", "JPEG"), max_bytes=3 * 2**20)


@pytest.mark.parametrize("source", [Endless(), EndlessUpload()], ids=["file", "upload"])
async def test_an_endless_file_ends_one_byte_after_the_limit(source):
    error = await refusal_of(source, SMALL)
    assert error.limit == "at most 3 MB (3145728 bytes)"
    assert error.value == "more than 3145728 bytes"
    assert source.given == SMALL.max_bytes + 1


async def test_a_large_file_is_refused_by_its_size_without_being_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse: it would not fit into memory
    assert (await refusal_of(path, SMALL)).value == f"{10**12} bytes"
    assert (await refusal_of(path, SMALL, fit=True)).limit == "at most 256 MB (268435456 bytes)"


async def test_the_limit_itself_passes():
    padded = RED + bytes(SMALL.max_bytes - len(RED))
    for source in (padded, bytearray(padded), io.BytesIO(padded), Upload(padded, most=2**20)):
        assert len((await load_part(source, SMALL, field="image")).data) == SMALL.max_bytes
    for source in (padded + b"1", bytearray(padded + b"1"), io.BytesIO(padded + b"1")):
        assert (await refusal_of(source, SMALL)).field == "image"


# --- off the loop


class Witness(io.BytesIO):
    """A file that remembers which thread reads it."""

    def read(self, size=-1):
        self.thread = threading.get_ident()
        return super().read(size)


async def test_files_are_read_in_a_worker_thread_under_the_limiter():
    file = Witness(RED)
    limiter = anyio.CapacityLimiter(1)
    await load_part(file, ANY, field="image", limiter=limiter)
    assert file.thread != threading.get_ident()
    async with limiter:
        load = asyncio.ensure_future(load_part(file, ANY, field="image", limiter=limiter))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not load.done()
    assert (await load).data == RED


async def test_a_cancelled_load_ends_at_once_though_its_file_hangs():
    entered, release = threading.Event(), threading.Event()

    class Hanging:
        def read(self, _=-1):
            entered.set()
            release.wait(10)
            return b""

    load = asyncio.ensure_future(load_part(Hanging(), ANY, field="image"))
    await asyncio.to_thread(entered.wait)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    entered.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(load_part, Hanging(), ANY, field="image"))
        await asyncio.to_thread(entered.wait)
        fallback = threading.Timer(5, release.set)
        fallback.start()
        group.cancel_scope.cancel()
    fallback.cancel()
    assert not release.is_set()
    release.set()


# --- names


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("a/harbour.jpg", "harbour"),
        (Path("a") / "two.parts.png", "two.parts"),
        ("no_extension", "no_extension"),
        ("a/sp ace.png", "sp ace"),
        ("über.png", "über"),
        ("..", None),
        (".", None),
        ("a:b*c?.png", "a_b_c_"),
        ("line\nend.png", "line_end"),
        ("x" * 300 + ".png", "x" * 150),
        ("漢" * 100 + ".png", "漢" * 50),  # bytes, as file systems count
        ("e\u0301" * 100 + ".png", "é" * 75),  # composed, and cut between characters
        ("👩" * 40 + ".png", "👩" * 37),
        ("CON.png", "_CON"),
        ("con.txt.png", "_con.txt"),
        ("Lpt¹ .x.png", "_Lpt¹ .x"),
        ("console.png", "console"),
        (".hidden.png", "hidden"),
        ("-rf.png", "rf"),
        ("- . -", None),
        ("trailing. .png", "trailing"),
        ("right\u202etfel\x85.png", "right_tfel_"),
        (b"bytes", None),
        (io.BytesIO(b"x"), None),
        (5, None),
    ],
)
def test_stems(source, stem):
    assert source_stem(source) == stem


DEVICES = st.sampled_from(["CON", "con", "Nul", "AUX", "prn", "COM1", "lpt9", "com²", "CONIN$"])


@given(st.text() | st.builds("{}{}".format, DEVICES, st.text(" .x")), st.integers(20, 300))
def test_a_cleaned_stem_is_a_name_anywhere_and_its_own(text, longest):
    stem = clean_stem(text, longest=longest)
    assert clean_stem(stem, longest=longest) == stem
    assert len(stem.encode()) <= longest
    assert not stem.startswith((".", "-", " "))
    assert not stem.endswith((".", " "))
    assert not set(stem) & set('<>:"/\\|?*\0\n')
    # Python 3.13 has moved what it knows about such names
    known = getattr(ntpath, "isreserved", None)
    assert not (known(stem) if known else PureWindowsPath(stem).is_reserved())


def test_the_stem_of_an_open_file_is_that_of_its_path(tmp_path):
    path = tmp_path / "lake.png"
    path.write_bytes(RED)
    with path.open("rb") as file:
        assert source_stem(file) == "lake"
    with open(os.open(path, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - its name is a number
        assert source_stem(file) is None
    assert source_stem(Upload(RED)) is None
