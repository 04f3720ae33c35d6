"""The tables in the documentation are those of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def load_generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


@pytest.mark.parametrize("path", GENERATOR.pages(), ids=lambda path: path.name)
def test_a_page_is_up_to_date(path):
    text = path.read_text(encoding="utf-8")
    assert GENERATOR.rendered(text) == text, "run: python docs/generate.py"


def test_every_table_stands_somewhere():
    text = "".join(path.read_text(encoding="utf-8") for path in GENERATOR.pages())
    for name in GENERATOR.TABLES:
        assert f"<!-- begin: {name} -->\n|" in text


def test_a_stale_page_would_be_seen():
    text = "<!-- begin: states -->\n| old |\n<!-- end: states -->"
    assert "| `PROCESS_FAILED` | failed | `ProcessFailed` |" in GENERATOR.rendered(text)
