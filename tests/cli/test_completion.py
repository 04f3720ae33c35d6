"""``ailab completion``: the scripts, and what bash, zsh and fish make of them."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
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


@pytest.mark.skipif(shutil.which("fish") is None, reason="asks fish")
def test_fish_offers_commands_values_and_files(ailab):
    Path("script").write_text(ailab("completion", "fish").out, encoding="utf-8")
    Path("my photo.jpg").touch()
    Path("my folder").mkdir()

    def offered(line):
        done = subprocess.run(  # noqa: S603 - a script of our own
            ["fish", "--no-config", "-c", f"source script; complete -C '{line}'"],  # noqa: S607
            capture_output=True,
            check=True,
            text=True,
            timeout=20,
        )
        assert done.stderr == ""
        return {one.split("\t")[0] for one in done.stdout.splitlines()}

    assert offered("ailab co") == {"color", "completion"}
    assert offered("ailab color --mode ") == {"auto", "template", "ref"}
    assert offered("ailab color --ref my") == {"my photo.jpg", "my folder/"}
    assert offered("ailab color my") == {"my photo.jpg", "my folder/"}
    assert offered("ailab journal ") >= {"show", "retry", "export"}


def typed(shell, lines):
    """Type lines into a terminal in which a shell runs; return what it showed until it ended."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - as found
        shell,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "PS1": "> ", "TERM": "dumb"},
    )
    os.close(theirs)
    shown, end = b"", time.monotonic() + 20
    try:
        os.write(ours, "".join(f"{line}\n" for line in lines).encode())
        while time.monotonic() < end:
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 1 << 16)
    except OSError:  # the shell has ended, and with it the other side
        pass
    finally:
        os.close(ours)
        process.kill()
        process.wait(timeout=20)
    return shown.decode()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="types into zsh")
def test_zsh_completes_commands_values_and_files(ailab):
    Path("script").write_text(ailab("completion", "zsh").out, encoding="utf-8")
    Path("my photo.jpg").touch()
    setup = ["autoload -Uz compinit; compinit -D; source ./script", "ailab() { print -r got:$*: }"]
    keys = ["ailab col\t", "ailab color --mode te\t", "ailab cartoon my\t --style v\t"]
    shown = typed([shutil.which("zsh"), "-f", "-i"], [*setup, *keys, "exit"])
    got = re.findall(r"(?m)^\r?got:(.*?):\r?$", shown)
    wanted = ["color", "color --mode template", "cartoon my photo.jpg --style vintage-comic"]
    assert [" ".join(one.split()) for one in got] == wanted, shown
