"""What the page about services shows: a Dockerfile and a systemd unit that fit this checkout."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from ailab_async.cli import make_parser

from .test_engine_processes import ROOT

PAGE = (ROOT / "docs" / "how-to" / "run-the-engine.md").read_text(encoding="utf-8")


def block(kind):
    return re.search(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]


def instructions():
    """Return the instructions of the Dockerfile, each with the rest of its line."""
    text = re.sub(r"\\\n", " ", block("dockerfile"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]


def command(words):
    """Read the words of an ``ailab`` command as the command itself does."""
    assert words[0].endswith("ailab")
    return make_parser().parse_args(words[1:])


def test_the_dockerfile_copies_what_is_there_and_all_that_is_built_from():
    copied = set()
    for name, rest in instructions():
        if name == "COPY":
            *sources, target = rest.split()
            assert target.startswith("/src/")
            copied |= set(sources)
    assert all((ROOT / source).exists() for source in copied)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'^(?:readme|license-files) = \[?"([^"]+)"', project, re.MULTILINE)
    assert copied == {"pyproject.toml", "ailab_async", *named}


def test_the_dockerfile_runs_what_it_installs():
    steps = dict(instructions())
    assert "'/src[local]'" in steps["RUN"]
    words = json.loads(steps["CMD"])
    arguments = command(words)
    assert (arguments.port, arguments.data) == (int(steps["EXPOSE"]), steps["VOLUME"])
    assert f"--home-dir {arguments.data} {steps['USER']}" in steps["RUN"]
    _, check = steps["HEALTHCHECK"].split("CMD python -c ")
    (code,) = shlex.split(check)
    assert f":{arguments.port}/healthz" in code
    compile(code, "healthcheck", "exec")


def test_the_unit_runs_the_engine_on_the_folder_that_systemd_makes():
    directives = dict(re.findall(r"^(\w+)=(.*)$", block("ini"), re.MULTILINE))
    arguments = command(shlex.split(directives["ExecStart"]))
    assert arguments.data == f"/var/lib/{directives['StateDirectory']}"


def test_systemd_understands_every_directive(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = re.sub(r"^(ExecStart=)\S+", rf"\1{sys.executable}", block("ini"), flags=re.MULTILINE)
    path = tmp_path / "ailab-engine.service"
    path.write_text(unit)
    said = subprocess.run(  # noqa: S603 - our own unit
        ("systemd-analyze", "verify", str(path)),  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
