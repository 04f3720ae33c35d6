"""What the README and the pages say can be run, read out of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def command(name):
    """Return the shell command behind the comment ``<!-- name command -->``."""
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} command -->\n```sh\n(.*?)\n```", text, re.DOTALL)
    assert found, f"the README has no {name} command"
    return found[1]


def examples(path):
    """Return the Python blocks of a page, each with the line it begins in."""
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield text[: found.start()].count("\n") + 2, found[1]


def pages():
    return [README, *sorted((ROOT / "docs").rglob("*.md"))]
