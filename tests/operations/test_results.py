from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ailab_async.errors import ClientClosed, DownloadFailed, MalformedReply
from ailab_async.operations import (
    CartoonGenerator,
    Endpoint,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Motion,
    ResultFile,
    files_in,
)

WHEN = datetime(2026, 11, 20, tzinfo=UTC)
A, B = "https://h/a.png?Signature=SECRET", "https://h/b.png?Signature=SECRET"


class Shelf:
    """A store that writes nothing down but what it was asked."""

    def __init__(self, broken=()):
        self.saved = []
        self.broken = broken

    async def read(self, file):
        return (file.url or file.base64).encode()

    async def save(self, file, path, *, overwrite=False):
        if file.name in self.broken:
            raise DownloadFailed(file.name, action="download")
        for _ in range(5):
            await asyncio.sleep(0)
        self.saved.append((file.name, str(path), overwrite))
        return Path(path) / f"{file.name}.png"


def test_files_are_numbered_and_expire_where_they_are_at_the_service():
    raw = {"data": {"image_list": [A, B]}, "image": "iVBORw0KGgo" + "A" * 77}
    files = files_in(raw, stem="harbour", expires_at=WHEN, task_id="t")
    assert [file.name for file in files] == ["harbour-1", "harbour-2", "harbour-3"]
    assert [file.url for file in files] == [A, B, None]
    assert [file.expires_at for file in files] == [WHEN, WHEN, None]
    assert files[0].path == "data.image_list[0]"
    assert files[2].base64.startswith("iVBOR")


def test_neither_repr_nor_pickle_of_a_file_holds_the_client():
    file = files_in({"u": A}, stem="a", store=Shelf())[0]
    assert "SECRET" not in repr(file)
    assert b"Shelf" not in pickle.dumps(file)
    again = pickle.loads(pickle.dumps(file))
    assert again == file
    assert again._store is None


async def test_a_file_asks_its_store():
    shelf = Shelf()
    file = files_in({"u": A}, stem="a", store=shelf)[0]
    assert await file.read() == A.encode()
    assert await file.save("out/", overwrite=True) == Path("out/a-1.png")
    assert shelf.saved == [("a-1", "out/", True)]


async def test_a_file_without_a_client_says_how_to_get_it_again():
    file = ResultFile(path="p", name="n", url=A, task_id="t-1")
    for work in (file.read(), file.save("out/")):
        with pytest.raises(ClientClosed, match=r"client.attach\('t-1'\)") as caught:
            await work
        assert "SECRET" not in str(caught.value)


async def test_a_result_saves_all_its_files_into_the_folder_in_order(tmp_path):
    shelf = Shelf()
    raw = {"data": {"image_list": [A, B]}}
    operation = HDColorMigration("harbour.jpg")
    result = operation.result(raw, files_in(raw, stem=operation.stem, store=shelf))
    paths = await result.save(tmp_path / "out")
    assert paths == [tmp_path / "out" / "harbour-1.png", tmp_path / "out" / "harbour-2.png"]
    assert [path[-1] for _, path, _ in shelf.saved] == ["/", "/"]


async def test_one_bad_file_does_not_keep_its_neighbours_from_being_saved(tmp_path):
    shelf = Shelf(broken={"a-1"})
    raw = {"data": {"image_list": [A, B]}}
    result = HDColorMigration.read_result(raw, files_in(raw, stem="a", store=shelf), "a")
    with pytest.raises(DownloadFailed, match="a-1"):
        await result.save(tmp_path)
    assert [name for name, *_ in shelf.saved] == ["a-2"]


def test_each_operation_has_its_typed_names():
    raw = {"data": {"image_list": [A, B]}}
    files = files_in(raw, stem="a")
    assert HDColorMigration.read_result(raw, files, "a").images == files
    assert ImageErasure("a", "b").result(raw, files).image is files[0]
    assert MicroMotion("a", Motion.SKY).result(raw, files).video is files[0]
    assert CartoonGenerator.read_result(raw, files, "a").image is files[0]
    endpoint = Endpoint("ai-bald", image="a").result(raw, files)
    assert (endpoint.data, endpoint.files, endpoint.stem) == (raw["data"], files, "a")


def test_a_result_does_not_show_what_is_signed_and_survives_pickling():
    raw = {"data": {"image_list": [A]}}
    result = HDColorMigration.read_result(raw, files_in(raw, stem="a", store=Shelf()), "a")
    assert "SECRET" not in repr(result)
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_success_without_a_file_is_malformed_where_a_file_is_made():
    for kind in (HDColorMigration, ImageErasure, MicroMotion, CartoonGenerator):
        with pytest.raises(MalformedReply, match="holds no file"):
            kind.read_result({"data": {"image_list": []}}, (), "a")


def test_an_analysis_has_no_files():
    result = Endpoint.read_result({"data": {"score": 87}}, (), "a")
    assert result.files == ()
    assert result.data == {"score": 87}
    assert Endpoint.read_result({"result": 5}, (), "a").data is None
