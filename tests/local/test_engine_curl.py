"""The commands of the page about curl, run as they stand there, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ailab_async.local.offers import OFFERS
from ailab_async.protocol.services import DIRECT_PATHS, RAPIDAPI_PATHS

from .test_engine_processes import ROOT
from .test_engine_survival import serve

PAGE = (ROOT / "docs" / "how-to" / "curl.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8765"
BLOCK = re.compile(r"^```sh\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
BETWEEN = "---- the next block ----"


def blocks():
    """Return what is typed, and what is printed then (``None``: nothing)."""
    found = BLOCK.findall(PAGE)
    assert len(found) > 10
    return found


def matches(shown, printed):
    """Whether something was printed as shown, with anything but a line's end for each ``…``."""
    return re.fullmatch(".+?".join(map(re.escape, shown.split("…"))), printed)


def make_smaller_pictures(folder):
    """Have all that is named ``docs/pictures/…`` on the page, for a part of the time."""
    folder.mkdir(parents=True)
    for name in set(re.findall(r"docs/pictures/([\w.-]+)", PAGE)):
        with Image.open(ROOT / "docs" / "pictures" / name) as picture:
            width, height = picture.size
            part = 2 if name == "portrait.jpg" else 4  # 256x256 is the least that is drawn
            picture.resize((width // part, height // part)).save(folder / name)


def test_the_page_has_every_address():
    offered = {offer.rapidapi_path for offer in OFFERS.values()} - {None}
    paths = {offer.path for offer in OFFERS.values()} | offered
    paths |= set(DIRECT_PATHS.values()) | set(RAPIDAPI_PATHS.values())
    assert {path for path in paths if f"$URL{path}" not in PAGE} == set()


@pytest.mark.timeout(180)
def test_the_commands_print_what_the_page_shows(tmp_path):
    for tool in ("curl", "sh", "cmp", "python3"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    version = subprocess.run(("curl", "--version"), capture_output=True, text=True, check=True)  # noqa: S607
    if tuple(map(int, re.findall(r"\d+", version.stdout)[:2])) < (7, 84):
        pytest.skip("this curl is older than 7.84, which brought %header{}")
    pytest.importorskip("av")
    make_smaller_pictures(tmp_path / "docs" / "pictures")
    process, url = serve(tmp_path / "data", stderr=subprocess.PIPE)
    script = f"\necho '{BETWEEN}'\n".join(typed for typed, _ in blocks())
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            ("sh", "-eu", "-c", script.replace(ADDRESS, url)),  # noqa: S607
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
            # what stands in for python3 elsewhere may take longer than the engine
            env={
                **os.environ,
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            },
        )
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert (done.returncode, done.stderr, said) == (0, "", ""), done.stdout
    printed = done.stdout.replace(url, ADDRESS).split(f"{BETWEEN}\n")
    for (typed, shown), one in zip(blocks(), printed, strict=True):
        assert matches(shown, one), f"{typed}\nprinted\n{one}"
    for name in ("dusk-1.jpg", "dusk-2.jpg", "cartoon.jpg"):
        assert Path(tmp_path / "out" / name).read_bytes().startswith(b"\xff\xd8\xff")
