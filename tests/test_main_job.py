"""The README's main job, in process and through a real server; the pictures are looked at."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imaging.measures import difference, lightness, turned_by
from PIL import Image
from readme import ROOT, command, examples, pages

from ailab_async.local.imaging.recolor import auto_angles

# the middle of the astronaut's face: centre and half axes in pixels, read off the photo by hand
FACE = (223, 113, 34, 46)


def arguments_of_the_main_command():
    """Return what the README runs after installing."""
    install, _, job = command("main").partition(" && ")
    assert install == "pip install '.[all]'"
    program, *words = shlex.split(job)
    assert program == "ailab"
    return words


def ailab(*words, out):
    """Run the command in a process of its own, as its user would, with other output folder."""
    words = list(words)
    if "--out" in words:
        words[words.index("--out") + 1] = str(out)
    environment = {name: value for name, value in os.environ.items() if name != "AILAB_API_KEY"}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ailab_async", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
def server():
    """``ailab serve`` in a process of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ailab_async", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline()
        yield re.search(r"http://\S+", said)[0]
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode in {0, 143, -15}


def opened(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def on_the_face(picture):
    x, y, across, down = FACE
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 < 1


def look_at(folder, *, count, degree):
    """Judge the results as the README promises them."""
    original = opened(ROOT / "docs/pictures/portrait.jpg")
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"portrait-{n}.jpg" for n in range(1, count + 1)]
    face = on_the_face(original)
    rest = ~on_the_face_and_around(original)
    for file, angle in zip(files, auto_angles(count, degree), strict=True):
        result = opened(file)
        assert result.shape == original.shape
        turn = turned_by(original[rest], result[rest])
        assert abs((turn - angle + 180) % 360 - 180) < 8, (file.name, turn, angle)
        assert lightness(result) == pytest.approx(lightness(original), rel=0.03)
        assert difference(original, result)[face].mean() < 3


def on_the_face_and_around(picture):
    """The upper middle: head, hair, neck, which are protected together."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return (abs(columns - FACE[0]) < 90) & (rows < 200)


def test_the_main_command_in_process(tmp_path):
    words = arguments_of_the_main_command()
    done = ailab(*words, out=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / f"out/portrait-{n}.jpg") for n in (1, 2, 3, 4)]
    assert "local" in done.stderr
    look_at(tmp_path / "out", count=4, degree=0.4)


def test_the_main_command_through_a_real_server(tmp_path, server):
    words = arguments_of_the_main_command()
    done = ailab(*words, "--url", server, out=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 4
    assert server in done.stderr
    look_at(tmp_path / "out", count=4, degree=0.4)


def test_degree_zero_changes_nothing_but_the_encoding(tmp_path):
    photo = "docs/pictures/portrait.jpg"
    done = ailab("color", photo, "--degree", "0", "--out", "out", out=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    change = difference(opened(ROOT / photo), opened(tmp_path / "out/portrait-1.jpg"))
    assert change.mean() < 1


EXAMPLES = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}:{line}")
    for path in pages()
    for line, code in examples(path)
]


@pytest.mark.parametrize("code", EXAMPLES)
async def test_the_examples_of_the_pages_run(code, tmp_path):
    """Each block is a program by itself; it runs beside the pictures, on the local engine."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/pictures").symlink_to(ROOT / "docs/pictures")
    script = tmp_path / "example.py"
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(script)),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert not list(tmp_path.rglob("*.part"))


def test_the_test_command_is_what_decides():
    assert command("test") == "pip install nox && nox"
    decides = Path(ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "README.md" in decides
