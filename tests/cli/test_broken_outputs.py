"""Standard output and standard error that are full, closed or missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .test_command_processes import COMMAND, ROOT, run

pytestmark = [
    pytest.mark.usefixtures("clean_place"),
    pytest.mark.skipif(sys.platform != "linux", reason="/dev/full, and a shell"),
]


def shell(words, redirections):
    line = f'exec "$0" "$@" {redirections}'
    return subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", line, *COMMAND, *words],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(Path.cwd())},
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_full_standard_output_is_one_line_and_costs_no_photo(photo, words):
    names = [photo(f"{number}.jpg") for number in range(3)]
    done = shell(["color", *names, "--out", "o", *words], ">/dev/full")
    assert done.returncode == 5
    lines = [line for line in done.stderr.splitlines() if "No space left" in line]
    assert len(lines) == 1
    assert lines[0].startswith("ailab color: standard output cannot be written: ")
    assert lines[0].endswith("No space left on device; what was made is in o.")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert len(list(Path("o").iterdir())) == 3


def test_a_full_standard_output_does_not_hide_a_failure(photo):
    done = shell(["color", photo("a.jpg"), "missing.jpg"], ">/dev/full")
    assert done.returncode == 1


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_missing_outputs_change_nothing(photo, redirection):
    done = shell(["color", photo("a.jpg"), photo("b.jpg")], redirection)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == ["a-1.jpg", "b-1.jpg"]
    done = shell(["color", "a.jpg", "missing.jpg", "--overwrite", "--json"], redirection)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_serve_complains_nowhere_but_on_standard_error():
    done = shell(["serve", "--data", ""], "2>&-")
    assert done.returncode == 2
    assert done.stdout == ""
    assert run("serve", "--data", "")[2] == "ailab serve: --data must name a folder.\n"
