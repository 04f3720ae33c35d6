"""The command, run in this process, and a service that answers what it is told to."""

from __future__ import annotations

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from attrs import frozen
from PIL import Image

from ailab_async.cli import main

VARIABLES = ("AILAB_API_KEY", "AILAB_RAPIDAPI_KEY", "AILAB_ENGINE_KEY", "AILAB_ENGINE_URL")


@frozen
class Said:
    """What a run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def objects(self):
        return [json.loads(line) for line in self.lines]


def make_picture(width=96, height=80, *, mode="RGB", file_format="JPEG"):
    across = np.linspace(0, 255, width).astype(np.uint8)
    pixels = np.stack([np.tile(across, (height, 1)), np.full((height, width), 90)] * 2, axis=2)
    file = io.BytesIO()
    Image.fromarray(pixels[..., :3].astype(np.uint8)).convert(mode).save(file, file_format)
    return file.getvalue()


@pytest.fixture(autouse=True)
def clean_place(tmp_path, monkeypatch):
    """Every test runs in an empty folder and without keys."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def photo(tmp_path):
    """Write a photo and return its name."""

    def write(name, *size, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_picture(*size, **options))
        return name

    return write


@pytest.fixture
def ailab(capsys):
    """Run the command and return what it said."""

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return Said(int(code), said.out, said.err)

    return run


@pytest.fixture
def nothing_sent(monkeypatch):
    """Make it an error to so much as create a client."""

    def refuse(*_, **__):
        message = "a client was made"
        raise AssertionError(message)

    for module in ("connection", "single"):
        monkeypatch.setattr(f"ailab_async.cli.{module}.AsyncClient", refuse)


@pytest.fixture
def service():
    """A server; ``service.answer`` takes (method, path) and returns (status, JSON) or None.

    ``service.seen`` are method, path and headers of all requests, ``service.bodies`` the forms.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.handle_any("GET")

        def do_POST(self):
            self.handle_any("POST")

        def handle_any(self, method):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if method == "POST":
                server.bodies.append(body)
            server.seen.append((method, self.path.partition("?")[0], dict(self.headers)))
            answer = server.answer(method, self.path)
            if answer is None:
                self.close_connection = True
                return
            status, body = answer
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    server.bodies = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def refusal(status, code, message="as it is"):
    detail = {"status_code": status, "code": code, "code_message": "", "message": message}
    return status, {"error_code": status, "error_detail": detail, "request_id": "R-1"}
