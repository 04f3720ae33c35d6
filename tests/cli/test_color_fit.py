"""``--fit``: photos are made acceptable, and what was done to them is told."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from .conftest import make_picture

pytestmark = pytest.mark.usefixtures("clean_place")


def padded():
    data = make_picture()
    return data + bytes(3 * 2**20 + 1 - len(data))


UNUSABLE = {
    "grey.png": lambda: make_picture(mode="L", file_format="PNG"),
    "rgba.png": lambda: make_picture(mode="RGBA", file_format="PNG"),
    "palette.png": lambda: make_picture(mode="P", file_format="PNG"),
    "cmyk.jpg": lambda: make_picture(mode="CMYK"),
    "photo.webp": lambda: make_picture(file_format="WEBP"),
    "tiny.jpg": lambda: make_picture(40, 40),
    "wide.png": lambda: make_picture(10000, 100, file_format="PNG"),
    "heavy.jpg": padded,
}


@pytest.fixture(params=sorted(UNUSABLE))
def unusable(request):
    Path(request.param).write_bytes(UNUSABLE[request.param]())
    return request.param


def test_what_fit_would_help_is_refused_with_that_advice(ailab, unusable, service):
    said = ailab("color", unusable, "--url", service.url)
    assert said.code == 2
    assert service.seen == []
    assert said.err.splitlines()[1].startswith(f"{unusable}: must be ")
    assert said.err.endswith(" --fit makes it acceptable.\n")
    assert "fit=True" not in said.err


def test_fit_makes_it_acceptable_and_says_how_in_one_note(ailab, unusable):
    before = Path(unusable).read_bytes()
    said = ailab("color", unusable, "--fit")
    assert said.code == 0
    (path,) = said.lines
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
    notes = said.err.splitlines()
    assert notes[0].startswith("Service: ")
    assert len(notes) == 2
    assert notes[1].startswith(f"{unusable}: ")
    assert "encoded as" in notes[1]
    assert Path(unusable).read_bytes() == before


def test_fit_goes_for_the_reference_and_tells_it_once(ailab, photo):
    ref = photo("ref.png", mode="L", file_format="PNG")
    said = ailab("color", photo("a.jpg", 90), "--ref", ref)
    assert said.code == 2
    assert said.err.startswith("ailab color: --ref ref.png: must be RGB")
    assert said.err.endswith(" --fit makes it acceptable.\n")
    said = ailab("color", "a.jpg", photo("b.jpg"), "--ref", ref, "--fit")
    assert said.code == 0
    assert sorted(said.lines) == ["out/a-1.jpg", "out/b-1.jpg"]
    assert said.err.count("ref.png: converted from L to RGB") == 1
    assert "a.jpg: " not in said.err


def test_an_acceptable_photo_has_no_note(ailab, photo):
    said = ailab("color", photo("a.jpg"), "--fit")
    assert said.code == 0
    assert len(said.err.splitlines()) == 1


def test_json_holds_the_changes(ailab, photo):
    said = ailab("color", photo("a.png", mode="L", file_format="PNG"), "--fit", "--json")
    assert said.err == ""
    (found,) = said.objects
    assert found["ok"]
    assert found["changes"][0] == "converted from L to RGB"


def test_fit_is_no_advice_where_it_cannot_help(ailab, photo, service):
    Path("text.jpg").write_text("hello")
    Path("cut.jpg").write_bytes(make_picture()[:300])
    Path("phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    stretched = io.BytesIO()
    Image.new("RGB", (20000, 60)).save(stretched, "PNG")
    Path("long.png").write_bytes(stretched.getvalue())
    for words in (["text.jpg"], ["cut.jpg"], ["phone.heic"], ["long.png", "--fit"]):
        said = ailab("color", *words, "--url", service.url)
        assert said.code == 2
        assert service.seen == []
        assert "--fit" not in said.err


def test_each_picture_is_told_its_own_changes(ailab, photo):
    photo("photos/grey.png", mode="L", file_format="PNG")
    photo("photos/good.jpg", 90)
    photo("photos/clear.png", mode="RGBA", file_format="PNG")
    said = ailab("color", "photos", "--fit", "--json")
    changes = {one["photo"]: one["changes"] for one in said.objects}
    assert changes["photos/good.jpg"] == []
    assert changes["photos/grey.png"][0] == "converted from L to RGB"
    assert (
        "transparen" in changes["photos/clear.png"][0] or "RGBA" in changes["photos/clear.png"][0]
    )
