"""The command as a process: terminals, signals, pipes, and ``ailab serve``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from .conftest import make_picture

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "ailab_async"]

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")


def start(*words, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "xterm"}
    return subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, *words],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        env={**environment, "TMPDIR": str(Path.cwd())},
    )


def run(*words):
    process = start(*words)
    out, err = process.communicate(timeout=40)
    return process.returncode, out.decode(), err.decode()


@contextlib.contextmanager
def serving(*words):
    process = start("serve", "--port", "0", *words)
    try:
        line = process.stdout.readline().decode()
        yield process, re.search(r"http://\S+", line)[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def engine_folders():
    return list(Path().glob("ailab-engine-*"))


def test_it_runs_as_a_module(photo):
    code, out, err = run("color", photo("a.jpg"))
    assert code == 0
    assert out == "out/a-1.jpg\n"
    assert len(err.splitlines()) == 1
    assert not engine_folders()


def test_help_loads_nothing_heavy():
    names = ["numpy", "cv2", "PIL", "httpx", "starlette", "rich", "uvicorn"]
    code = (
        "import sys, contextlib, io\n"
        "from ailab_async.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['color', '--help'])\n"
        f"print([name for name in {names!r} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", code], capture_output=True, check=True, env=environment, text=True
    )
    assert result.stdout.strip() == "[]"


@needs_signals
def test_a_reader_that_goes_away_costs_no_file(photo):
    names = [photo(f"{letter}.jpg") for letter in "abcd"]
    read, write = os.pipe()
    process = start("color", *names, stdout=write)
    os.close(write)
    os.close(read)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert len(list(Path("out").iterdir())) == 4


@needs_terminal
def test_a_terminal_gets_a_progress_display_and_plain_names(photo, tmp_path):
    import pty

    main, side = pty.openpty()
    names = [photo("[red]dunes.jpg", 900, 800), photo("lake.jpg", 800, 900)]
    process = start("color", *names, "odd\x1b]0;x\x07.jpg", stdout=side, stderr=side, stdin=side)
    os.close(side)
    seen = b""
    with contextlib.suppress(OSError):  # Linux says EIO when the other side is closed
        while piece := os.read(main, 65536):
            seen += piece
    os.close(main)
    assert process.wait(timeout=30) == 1
    text = seen.decode()
    assert "2/2" in text
    assert "2 open" in text
    assert "out/[red]dunes-1.jpg" in text
    assert "out/lake-1.jpg" in text
    assert "\x1b]0;x" not in text
    assert "\\x1b]0;x\\x07.jpg: there is no such file." in text
    assert "2 of 3 pictures done, 2 files made." in text


@needs_terminal
def test_without_rich_a_terminal_gets_plain_lines_and_a_hint(photo, tmp_path, monkeypatch):
    import pty

    (tmp_path / "no_rich").mkdir()
    (tmp_path / "no_rich" / "rich.py").write_text("raise ImportError('no rich')")
    main, side = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "no_rich"), str(ROOT)]),
        "TERM": "xterm",
    }
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "color", photo("a.jpg")], stdout=side, stderr=side, env=environment
    )
    os.close(side)
    seen = b""
    with contextlib.suppress(OSError):
        while piece := os.read(main, 65536):
            seen += piece
    os.close(main)
    assert process.wait(timeout=30) == 0
    lines = seen.decode().split("\r\n")
    assert "pip install 'ailab-async[cli]'" in lines[0]
    assert lines[1].startswith("Service: local")
    assert lines[2] == "out/a-1.jpg"


# --- ailab serve --------------------------------------------------------------------------------


def test_serve_is_where_color_finds_it(photo):
    with serving() as (_, url):
        assert url.startswith("http://127.0.0.1:")
        code, out, err = run("color", photo("a.jpg"), "--url", url, "--json")
        assert code == 0, err
        assert json.loads(out)["files"] == ["out/a-1.jpg"]
        assert json.loads(out)["service"] == "local"


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_cleanly(photo, number):
    with serving() as (process, url):
        assert run("color", photo("a.jpg"), "--url", url)[0] == 0
        assert len(engine_folders()) == 1
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert (out, err) == (b"", b"")
    assert not engine_folders()


def test_serve_keeps_its_results_where_it_is_told_to(photo):
    with serving("--data", "results", "--workers", "1") as (_, url):
        assert run("color", photo("a.jpg"), "--url", url)[0] == 0
    assert [path.suffix for path in Path("results/results").iterdir()] == [".jpg"]


@pytest.mark.parametrize("how", ["option", "variable"])
def test_serve_demands_its_key(photo, how, monkeypatch):
    words = ["--key", "open-sesame"] if how == "option" else []
    if how == "variable":
        monkeypatch.setenv("AILAB_ENGINE_KEY", "open-sesame")
    with serving(*words) as (_, url):
        monkeypatch.delenv("AILAB_ENGINE_KEY", raising=False)
        assert httpx.get(f"{url}/api/common/query-credits").status_code == 401
        code, _, err = run("color", photo("a.jpg"), "--url", url)
        assert code == 3
        assert "ERROR_USER_NOT_EXISTS" in err
        monkeypatch.setenv("AILAB_ENGINE_KEY", "open-sesame")
        assert run("color", photo("a.jpg"), "--url", url)[0] == 0


def test_serve_says_in_one_line_what_is_wrong(tmp_path):
    with serving() as (_, url):
        port = url.rpartition(":")[2]
        code, out, err = run("serve", "--port", port)
        assert (code, out) == (4, "")
        assert err.count("\n") == 1
        assert port in err
    Path("file").touch()
    code, out, err = run("serve", "--port", "0", "--data", "file/data")
    assert (code, out) == (5, "")
    assert err.count("\n") == 1
    for words in (
        ["--port", "70000"],
        ["--port", "x"],
        ["--workers", "0"],
        ["--host", "no such"],
        ["--key", ""],
    ):
        code, _, err = run("serve", "--port", "0", *words)
        assert code in {2, 4}
        assert err.count("\n") == 1


def test_serve_warns_where_everybody_may_come():
    with serving("--host", "0.0.0.0") as (process, url):  # noqa: S104 - what is tested
        assert "AILAB_ENGINE_KEY" in process.stderr.readline().decode()
        assert url.startswith("http://0.0.0.0:")


def test_a_bad_photo_is_refused_over_the_port_as_well():
    with serving() as (_, url):
        files = {"image": ("a.jpg", make_picture(mode="L"))}
        path = "/api/image/effects/image-hd-color-migration"
        answer = httpx.post(url + path, files=files)
        assert answer.status_code == 415
