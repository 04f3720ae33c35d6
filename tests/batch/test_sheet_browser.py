"""The contact sheet in a browser: pictures appear, nothing leaves the page, the tools work."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from browser import Browser, find_browser
from PIL import Image

from ailab_async.batch.sheet import ContactSheet, SheetRow, SheetTotals
from ailab_async.batch.thumbnails import thumbnail

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium was found (chromium, google-chrome), or not POSIX"
)

ROWS = 130
PHOTO = Path(__file__).parents[2] / "docs" / "pictures" / "coffee.jpg"
NASTY = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script>'


@pytest.fixture(scope="module")
def photo():
    """Two thumbnails of a real photo, before and after."""
    data = PHOTO.read_bytes()
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).rotate(180).save(buffer, "JPEG")
    return thumbnail(data, side=160), thumbnail(buffer.getvalue(), side=160)


@pytest.fixture(scope="module")
def page(tmp_path_factory, photo):
    """A sheet of 130 pictures: the 4th of each 10 failed, the 8th is held, the first is nasty."""
    before, after = photo
    folder = tmp_path_factory.mktemp("sheet")
    sheet = ContactSheet(folder / "index.html", title="Harbour")
    sheet.open()
    for at in range(ROWS):
        known = {
            "label": f"picture-{at:03}.jpg",
            "operation": "hd-color-migration",
            "before": before,
        }
        known["label"] = NASTY if at == 0 else known["label"]
        if at % 10 == 3:
            row = SheetRow(**known, state="failed", error="No face.", code="PROCESS_FAILED")
        elif at % 10 == 7:
            row = SheetRow(**known, state="open", task_id=f"task-{at}")
        else:
            path = str(folder / f"picture-{at}.jpg")
            results = (after,) * (4 if at % 10 == 1 else 1)
            row = SheetRow(**known, state="saved", after=results, files=(path,))
        sheet.add(row)
    counts = {"saved": 104, "failed": 13, "open": 13}
    began = datetime(2026, 11, 20, tzinfo=UTC)
    return sheet.finish(
        SheetTotals(title="Harbour", service="test", counts=counts, seconds=60, began=began)
    )


@pytest.fixture(scope="module")
def browser():
    with Browser() as driven:
        yield driven


@pytest.fixture
def opened(browser, page):
    browser.show(width=1280, height=900, dark=False)
    browser.open(page.as_uri())
    return browser


SHOWN = "[...document.querySelectorAll('.card')].filter((card) => card.checkVisibility()).length"


def test_every_thumbnail_appears_when_it_is_come_to(opened):
    loaded = opened.evaluate("""(async () => {
      let loaded = 0;
      for (const card of document.querySelectorAll(".card")) {
        card.scrollIntoView({ behavior: "instant" });
        for (const picture of card.querySelectorAll("img")) {
          while (!picture.complete || !picture.naturalWidth)
            await new Promise(requestAnimationFrame);
          loaded += 1;
        }
      }
      return loaded;
    })()""")
    assert loaded == 104 * 2 + 3 * 13 + 26
    assert opened.complaints == []


def test_pictures_that_are_far_away_are_let_go(opened):
    first = "document.querySelector('.card img').hasAttribute('src')"
    opened.until(first)
    opened.evaluate("scrollTo(0, document.body.scrollHeight)")
    opened.until(f"!{first}")
    opened.evaluate("scrollTo(0, 0)")
    opened.until(first)


def test_nothing_leaves_the_page_and_no_text_of_others_runs(opened, page):
    opened.until("document.querySelector('.card img').naturalWidth > 0")
    asked = [url for url in opened.requests if not url.startswith("data:")]
    assert asked == [page.as_uri()]
    assert any(url.startswith("data:image/jpeg") for url in opened.requests)
    assert opened.evaluate("document.title") == "Harbour"
    assert opened.evaluate("document.querySelector('.card h2').textContent") == NASTY
    assert opened.complaints == []


def test_the_policy_stops_what_somebody_would_put_in(opened):
    for attempt in (
        "const s = document.createElement('script'); s.textContent = 'document.title = 1'",
        "const s = document.createElement('img'); s.src = 'https://127.0.0.1:9/x.png'",
    ):
        opened.evaluate(f"{{ {attempt}; document.body.append(s); }}")
    opened.until("document.images.length > 0")
    assert opened.evaluate("document.title") == "Harbour"
    assert sum("Content Security Policy" in said for said in opened.complaints) == 2


def test_filters_and_search_leave_what_was_asked_for(opened):
    def choose(value):
        opened.evaluate(f"document.querySelector('.filter [value=\"{value}\"]').click()")
        return opened.evaluate(SHOWN), opened.evaluate("shown.textContent")

    def look(words):
        opened.evaluate(
            f"search.value = {words!r}; search.dispatchEvent(new Event('input')); shown.value = ''"
        )
        opened.until("shown.value !== '' || search.value === ''")
        return opened.evaluate(SHOWN)

    assert opened.evaluate(SHOWN) == ROWS
    assert choose("bad") == (13, "13 of 130 shown")
    # the sheets that were emptied take no room
    assert opened.evaluate("document.body.scrollHeight") < 2500
    assert choose("held") == (13, "13 of 130 shown")
    assert choose("good")[0] == 104
    assert choose("") == (ROWS, "")
    assert look("process_failed 01") == 1
    assert look("TASK-17") == 1
    assert look("<script>") == 1
    assert look("nothing is called that") == 0
    assert opened.evaluate("nothing.checkVisibility()")


def test_a_pair_is_compared_from_the_keyboard(opened):
    opened.evaluate("document.querySelectorAll('.view')[1].focus()")
    opened.press("Enter")
    opened.until("viewer.open && document.getElementById('viewer-after').naturalWidth > 0")
    name = "document.getElementById('viewer-name').textContent"
    assert opened.evaluate(name) == "picture-001.jpg"
    assert opened.evaluate("document.querySelectorAll('#viewer-strip button').length") == 4
    opened.press("ArrowRight")
    assert opened.evaluate(name) == "picture-002.jpg"
    opened.press("ArrowLeft")
    opened.press("ArrowLeft")
    assert opened.evaluate(name) == NASTY
    opened.evaluate("document.getElementById('viewer-edge').focus()")
    opened.press("ArrowLeft")
    assert opened.evaluate(name) == NASTY
    assert opened.evaluate("document.getElementById('viewer-edge').value") == "49.5"
    opened.press("Escape")
    opened.until("!viewer.open")
    assert opened.evaluate("document.activeElement.closest('.card h2, .card').innerText.length") > 0
    assert opened.complaints == []


def test_a_phone_needs_no_scrolling_sideways_and_dark_is_dark(opened):
    opened.show(width=390, height=844, dark=True)
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    red, green, blue = opened.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert max(red, green, blue) < 60


def test_print_holds_all_pictures_and_no_tools(opened, tmp_path):
    asleep = "document.querySelectorAll('.card img:not([src])').length"
    assert opened.evaluate(asleep) > 0
    assert opened.evaluate(f"dispatchEvent(new Event('beforeprint')) && {asleep}") == 0
    opened.pdf(tmp_path / "sheet.pdf")
    assert (tmp_path / "sheet.pdf").read_bytes().count(b"/Type /Page\n") > 3
