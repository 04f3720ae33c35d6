"""``ailab completion``: the scripts, and what bash offers with its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("clean_place")

BASH = shutil.which("bash")


@pytest.fixture
def offered(ailab):
    """Return what bash offers behind these words, of which the last is not whole yet."""
    script = ailab("completion", "bash").out

    def ask(*words):
        line = " ".join(f"'{word}'" for word in ("ailab", *words))
        code = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _ailab\n"
        code += 'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(  # noqa: S603 - a script of our own
            [BASH, "--norc", "-c", code], capture_output=True, check=True, text=True, timeout=20
        )
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1]

    return ask


needs_bash = pytest.mark.skipif(BASH is None, reason="asks bash")


@needs_bash
def test_bash_offers_commands_options_and_values(offered):
    assert offered("c") == ["color", "cartoon", "call", "credits", "catalogue", "completion"]
    assert offered("color", "--re") == ["--ref", "--recursive", "--report", "--retry-failed"] or (
        set(offered("color", "--re"))
        == {"--ref", "--recursive", "--report", "--retry-failed", "--resubmit-unknown"}
    )
    assert offered("color", "--mode", "") == ["auto", "template", "ref"]
    assert "vintage-comic" in offered("cartoon", "a.jpg", "--style", "v")
    assert offered("journal", "") == ["show", "retry", "export", "-h", "--help"]
    assert offered("journal", "export", "--format", "") == ["csv", "json"]
    assert "remove-objects" in offered("call", "remove-o")
    assert offered("completion", "f") == ["fish"]
    assert offered("color", "--degree", "") == [""]


@needs_bash
def test_bash_offers_files_also_with_spaces_in_their_names(offered):
    Path("my photo.jpg").touch()
    Path("my folder").mkdir()
    assert sorted(offered("color", "my")) == ["my folder", "my photo.jpg"]
    assert offered("color", "--out", "my") == ["my folder"]
    assert sorted(offered("color", "--ref", "my")) == ["my folder", "my photo.jpg"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_knows_every_command_and_option(ailab, shell):
    script = ailab("completion", shell).out
    for command in ("color", "erase", "journal", "serve", "completion"):
        assert command in script
    options = re.findall(r"(?<!\S)--([a-z-]+)", ailab("color", "--help").out)
    for option in {*options}:
        assert (f"-l {option} " if shell == "fish" else f"--{option}") in script


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_shell_itself_finds_nothing_wrong(ailab, shell):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell}")
    Path("script").write_text(ailab("completion", shell).out, encoding="utf-8")
    subprocess.run([program, "-n", "script"], check=True, timeout=20)  # noqa: S603 - as found
