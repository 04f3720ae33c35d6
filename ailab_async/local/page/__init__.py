"""The engine's own page at ``/``: its operations in a browser, by the same addresses as any client.

The page is plain files beside this module: nothing is built, and nothing comes from elsewhere. Its
content security policy lets it talk to the engine and to nobody else.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from starlette.responses import Response
from starlette.routing import Route

from ..answers import Code, Refused

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["routes"]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""No script or style inside the page, no other host; pictures also from its own memory."""

_HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # asked for again each time, so that page and engine are of one version
    "cache-control": "no-cache",
}
_INDEX: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}


def routes() -> list[Route]:
    """Return the routes of the page: ``/``, and its parts ``/page/…``; neither needs a key.

    All files are read with the first request, in a worker thread, and kept in memory: less than a
    quarter of a megabyte. A name that is not among them is refused as a file that is not there.
    """
    parts: dict[str, _Part] = {}

    async def whole(request: Request) -> Response:
        return await answer(request, _INDEX)

    async def part(request: Request) -> Response:
        name = request.path_params["name"]
        if name == _INDEX:  # it has one address, as its links are relative to that
            raise Refused(Code.ERROR_FILE_NOT_FOUND)
        return await answer(request, name)

    async def answer(request: Request, name: str) -> Response:
        if not parts:
            limiter = request.app.state.engine.limiter
            parts.update(await anyio.to_thread.run_sync(_read, limiter=limiter))
        if name not in parts:
            raise Refused(Code.ERROR_FILE_NOT_FOUND)
        return parts[name].answer(request)

    return [Route("/", whole), Route("/page/{name}", part)]


def _read() -> dict[str, _Part]:
    return {
        file.name: _Part(file.name, file.read_bytes())
        for file in files("ailab_async.local.page").iterdir()
        if PurePosixPath(file.name).suffix in _TYPES
    }


class _Part:
    """A file of the page."""

    def __init__(self, name: str, content: bytes) -> None:
        self._content = content
        self._tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
        media_type = _TYPES[PurePosixPath(name).suffix]
        self._headers = {**_HEADERS, "etag": self._tag, "content-type": media_type}

    def answer(self, request: Request) -> Response:
        """Answer 200, or 304 where the browser has it already."""
        # a proxy that compresses makes the tag a weak one
        if request.headers.get("if-none-match", "").removeprefix("W/") == self._tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=self._headers)
        return Response(self._content, headers=self._headers)
