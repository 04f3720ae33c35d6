"""The contact sheet: a whole page or none, nothing in it that was not put there."""

import base64
import hashlib
import io
import os
import re
import tracemalloc
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from PIL import Image

from ailab_async.batch.sheet import ContactSheet, SheetRow, SheetTotals
from ailab_async.errors import FileKept

NASTY = (
    "<script>alert(1)</script>",
    '"\' onerror=alert(1) x="',
    "</li></ol></main><h1>",
    "\u202egpj.exe",
    "one\nline\r\x00",
    "&amp; &lt;",
    os.fsdecode(b"caf\xe9.jpg"),
    "صورة.jpg",
    "$title {rows} %s",
)
VOID = {"meta", "link", "img", "input", "rect"}


def jpeg(color="navy", size=(12, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "JPEG", quality=78)
    return buffer.getvalue()


def row(**changes):
    return SheetRow(
        **{"label": "harbour.jpg", "operation": "hd-color-migration", "state": "saved"} | changes
    )


def totals(**changes):
    known = {
        "title": "Harbour",
        "service": "https://engine.test",
        "counts": {"saved": 2, "done": 1, "failed": 1, "unknown": 1},
        "credits": 4,
        "seconds": 90,
        "began": datetime(2026, 11, 20, 17, 46, tzinfo=UTC),
    }
    return SheetTotals(**known | changes)


def written(path, *rows, title="Harbour", **changes):
    sheet = ContactSheet(path, title=title)
    sheet.open()
    for each in rows:
        sheet.add(each)
    sheet.finish(totals(**changes))
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a parser makes of a page: tags in order, texts by place, and that all are closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and data.strip():
            self.texts.append((self._open[-1], data))

    def all(self, tag):
        return [attrs for found, attrs in self.tags if found == tag]

    def said(self, tag="bdi"):
        return [data for found, data in self.texts if found == tag]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "index.html"


@pytest.mark.parametrize("text", NASTY)
def test_what_others_wrote_is_text_and_never_markup(path, text):
    each = row(
        label=text,
        operation=text,
        error=text,
        code=text,
        task_id=text,
        files=(str(path.parent / text.replace("/", "_").replace("\0", "_")),),
        state="failed",
        before=jpeg(),
    )
    page = Page(written(path, each, title=text, service=text))
    plain = Page(
        written(
            path, row(state="failed", error="x", code="y", task_id="z", files=("a",), before=jpeg())
        )
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert all(
        set(new) == set(old) for (_, new), (_, old) in zip(page.tags, plain.tags, strict=True)
    )
    shown = next(attrs["title"] for attrs in page.all("h2") if "title" in attrs)
    kept = text.translate({10: "␊", 13: "␍", 0: "␀", 0x202E: "\ufffd", 0xDCE9: "\ufffd"})
    assert shown == kept
    assert page.said().count(kept) >= 4


def test_links_are_relative_and_lead_to_the_files(path, tmp_path, monkeypatch):
    names = [
        "a b.png",
        "ünï#?.png",
        "javascript:alert(1)",
        "https:",
        os.fsdecode(b"caf\xe9.png"),
        '"<>.png',
    ]
    inside = [str(path.parent / "results" / name) for name in names]
    beside = str(tmp_path / "elsewhere.png")
    monkeypatch.chdir(tmp_path)
    page = Page(written(path, row(files=(*inside, beside, "here.png"))))
    links = [attrs["href"] for attrs in page.all("a")]
    assert all(re.fullmatch(r"\./[\w.~%/-]+", link, re.ASCII) for link in links)
    found = [
        os.path.normpath(path.parent / os.fsdecode(unquote(link, errors="surrogateescape")))
        for link in links
    ]
    assert found == [*inside, beside, str(tmp_path / "here.png")]


def test_the_policy_allows_this_style_and_this_script_and_nothing_else(path):
    text = written(path, row(before=jpeg(), after=(jpeg(),)))
    page = Page(text)
    (policy,) = [attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        ((content),) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    for tag, attrs in page.tags:
        assert "style" not in attrs
        assert not [name for name in attrs if name.startswith("on")]
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        assert attrs.get("src") is None
        if tag == "link":
            assert attrs["href"].startswith("data:")


def test_every_thumbnail_is_in_the_page_as_it_was_given(path):
    before, *after = (jpeg(color) for color in ("navy", "red", "gold", "teal"))
    page = Page(written(path, row(before=before, after=after)))
    given = [
        base64.b64decode(attrs["data-jpeg"]) for attrs in page.all("img") if "data-jpeg" in attrs
    ]
    assert given == [before, *after]
    for data in given:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.format == "JPEG"


def test_a_failure_says_its_code_its_words_and_its_task(path):
    failed = row(state="failed", error="No face was found.", code="PROCESS_FAILED", task_id="t-7")
    page = Page(
        written(path, failed, row(state="open"), row(state="pending"), row(state="rejected"))
    )
    assert "PROCESS_FAILED" in page.said("strong")
    assert "No face was found." in page.said()
    assert "task t-7" in page.said("code")
    assert "It was not sent yet." in page.said()
    groups = [attrs["class"] for attrs in page.all("li")]
    assert groups == ["card bad", "card held", "card held", "card bad"]


def test_a_result_keeps_what_was_said_beside_it(path):
    page = Page(
        written(path, row(after=(jpeg(),), error="One of two files is gone.", state="done"))
    )
    assert "One of two files is gone." in page.said()
    assert [attrs for attrs in page.all("p") if attrs.get("class") == "note"]


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({}, ["5", "3", "1", "1", "4", "1 min 30 s", "2.0"]),
        (
            {"counts": {"saved": 98_000, "failed": 2_000}, "credits": 1234.5, "seconds": 7325},
            ["100,000", "98,000", "2,000", "0", "1,234.5", "2 h 2 min", "802.7"],
        ),
        ({"counts": {}, "credits": None, "seconds": 0}, ["0", "0", "0", "0", "–", "0.0 s", "–"]),  # noqa: RUF001
        ({"seconds": 59.7, "credits": 1000}, ["5", "3", "1", "1", "1,000", "1 min 0 s", "3.0"]),
    ],
)
def test_the_totals_stand_before_the_pictures(path, changes, figures):
    text = written(path, row(), **changes)
    page = Page(text)
    assert page.said("dd") == figures
    assert text.index("<dl") < text.index('<li class="card')
    assert "2026-11-20 17:46 UTC" in page.said("time")


def test_endless_titles_are_cut_to_the_room_there_is(path):
    text = written(path, row(), title="&" * 100_000, service='"' * 100_000)
    assert written(path, row()).count("<li ") == text.count("<li ") == 1
    assert len(text) < 80_000
    Page(text)


def test_a_batch_without_pictures_is_a_page_too(path):
    page = Page(written(path, counts={}, seconds=0))
    assert "There was no picture in this batch." in page.said("li")


def test_lists_are_short_so_that_a_browser_can_leave_them_out(path):
    text = written(path, *[row() for _ in range(125)])
    Page(text)
    lists = text.split("<ol")[1:]
    assert [part.count("<li") for part in lists] == [60, 60, 5]


def test_ten_thousand_rows_take_no_more_memory_than_a_few(path):
    before, after = os.urandom(4_000), os.urandom(4_000)
    mark = b"\xff\xd8\xff"
    sheet = ContactSheet(path, title="Many")
    sheet.open()
    tracemalloc.start()
    try:
        for _ in range(10_000):
            sheet.add(row(before=mark + before, after=(mark + after,)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    sheet.finish(totals())
    assert path.stat().st_size > 100 * 2**20
    assert peak < 8 * 2**20


def test_the_page_has_its_name_only_when_it_is_whole(path):
    sheet = ContactSheet(path, title="Harbour")
    assert not path.parent.exists()
    sheet.open()
    sheet.add(row(before=jpeg(size=(900, 900))))
    assert not path.exists()
    assert sheet.finish(totals()) == path
    assert list(path.parent.iterdir()) == [path]
    sheet.discard()
    assert path.exists()


def test_a_page_that_is_not_finished_leaves_nothing(path):
    sheet = ContactSheet(path, title="Harbour")
    sheet.discard()
    sheet.open()
    sheet.add(row())
    sheet.discard()
    sheet.discard()
    assert list(path.parent.iterdir()) == []
    for late in (lambda: sheet.add(row()), lambda: sheet.finish(totals())):
        with pytest.raises(RuntimeError, match=r"call open\(\) first"):
            late()


def test_a_page_that_cannot_get_its_name_leaves_nothing(path):
    sheet = ContactSheet(path, title="Harbour")
    sheet.open()
    path.mkdir()
    with pytest.raises(OSError, match=re.escape(path.name)):
        sheet.finish(totals())
    sheet.discard()
    assert list(path.parent.iterdir()) == [path]


def test_an_older_page_is_replaced_only_when_it_may_be(path):
    first = written(path, row())
    kept = ContactSheet(path, title="Harbour", overwrite=False)
    with pytest.raises(FileKept):
        kept.open()
    sheet = ContactSheet(path, title="Harbour")
    sheet.open()
    assert path.read_text(encoding="utf-8") == first
    sheet.finish(totals(title="New"))
    assert "<bdi>New</bdi>" in path.read_text(encoding="utf-8")


def test_a_page_that_came_to_be_meanwhile_is_kept(path):
    sheet = ContactSheet(path, title="Harbour", overwrite=False)
    sheet.open()
    path.write_text("another's")
    with pytest.raises(FileKept):
        sheet.finish(totals())
    sheet.discard()
    assert path.read_text() == "another's"
    assert list(path.parent.iterdir()) == [path]


def test_a_sheet_is_opened_once(path):
    sheet = ContactSheet(path, title="Harbour")
    sheet.open()
    with pytest.raises(RuntimeError, match="open already"):
        sheet.open()
    sheet.discard()
    assert list(path.parent.iterdir()) == []


def test_two_sheets_of_one_page_do_not_share_a_draft(path):
    one, two = ContactSheet(path, title="One"), ContactSheet(path, title="Two")
    one.open()
    two.open()
    one.add(row(label="one.jpg"))
    two.add(row(label="two.jpg"))
    one.finish(totals())
    two.finish(totals())
    assert "two.jpg" in path.read_text(encoding="utf-8")
    assert "one.jpg" not in path.read_text(encoding="utf-8")


def test_what_no_row_can_be_is_refused():
    with pytest.raises(ValueError, match="state"):
        row(state="lost")
    with pytest.raises(ValueError, match="before must be a JPEG file"):
        row(before=b"\x89PNG")
    with pytest.raises(ValueError, match="after must be a JPEG file"):
        row(after=(jpeg(), b""))
    with pytest.raises(ValueError, match="not by 'lost'"):
        totals(counts={"lost": 1})
    with pytest.raises(ValueError, match="began must have a time zone"):
        totals(began=datetime(2026, 11, 20))  # noqa: DTZ001 - what is refused


def test_a_row_shows_no_thumbnail_in_its_repr():
    assert "\\xff" not in repr(row(before=jpeg(), after=(jpeg(),)))
