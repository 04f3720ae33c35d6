"""What the pages say can be typed is understood, and the first of it makes what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ailab_async.cli import make_parser

pytestmark = pytest.mark.usefixtures("clean_place")

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("command-line.md", "how-to/folder.md")


def typed():
    """Yield the words behind ``ailab`` of every command in the shell blocks of the pages."""
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] == "ailab":
                    yield tuple(words[1:])


def test_the_pages_have_examples_of_every_command():
    commands = {words[0] for words in typed()}
    assert {"color", "erase", "motion", "cartoon", "call", "task", "credits"} <= commands
    assert {"catalogue", "journal", "serve"} <= commands


@pytest.mark.parametrize("words", list(typed()), ids=" ".join)
def test_an_example_is_understood(words):
    assert callable(make_parser().parse_args(words).run)


def test_the_first_examples_make_what_the_page_says(ailab, photo):
    for name in ("harbour.jpg", "sunset.jpg", "photos/a.jpg", "photos/b.jpg"):
        photo(name, 90 + len(name))
    photo("scan.webp", file_format="WEBP")
    examples = [words for words in typed() if words[0] == "color"][:5]
    for number, words in enumerate(examples):
        said = ailab(*words, "--out", f"out{number}")
        assert said.code == 0, said.err
        assert len(said.lines) == (1, 8, 1, 1, 1)[number]
