"""Result files over HTTP: whole, or one range of bytes, so that a broken download can go on.

After RFC 9110, sections 13 and 14. A file never changes under its name, so its tag is strong.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from attrs import frozen
from starlette.responses import Response, StreamingResponse

from .store import MEDIA_TYPES

if TYPE_CHECKING:
    from starlette.requests import Request

    from .store import FileStore, StoredFile

__all__ = ["download"]

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_LISTED: Final = re.compile(r'(?:W/)?"[^"]*"')


@frozen
class _Span:
    """Bytes of a file from ``start`` on."""

    start: int
    length: int


def download(request: Request, store: FileStore, file: StoredFile) -> Response:
    """Answer a GET or HEAD for a file: 200, 206 with one range, 304, or 416.

    A range of another unit, of several parts, or that makes no sense is ignored, as is one whose
    ``If-Range`` is not this file's tag or date.
    """
    tag = f'"{PurePosixPath(file.name).stem}-{file.size:x}"'
    date = formatdate(file.modified, usegmt=True)
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=86400, immutable",
        "etag": tag,
        "last-modified": date,
        "x-content-type-options": "nosniff",
    }
    if _names(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    asked = request.headers.get("range") if request.method == "GET" else None
    if request.headers.get("if-range", tag) not in {tag, date}:
        asked = None
    span, status = _span(asked, file.size), HTTPStatus.OK
    if span is None:
        headers["content-range"] = f"bytes */{file.size}"
        return Response(status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
    if asked is not None and span.length < file.size:
        status = HTTPStatus.PARTIAL_CONTENT
        last = span.start + span.length - 1
        headers["content-range"] = f"bytes {span.start}-{last}/{file.size}"
    headers["content-length"] = str(span.length)
    media_type = MEDIA_TYPES[PurePosixPath(file.name).suffix]
    if request.method == "HEAD":
        return Response(headers=headers, media_type=media_type)
    body = store.pieces(file.name, start=span.start, length=span.length)
    return StreamingResponse(body, status, headers=headers, media_type=media_type)


def _span(asked: str | None, size: int) -> _Span | None:
    """Return the bytes that a Range header asks for; ``None`` where the file has none of them."""
    whole = _Span(0, size)
    found = _RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if found is None:
        return whole
    first, last = found.groups()
    if not first:
        if not last:
            return whole
        length = min(int(last), size)
        return _Span(size - length, length) if length else None
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return whole
    if start >= size:
        return None
    return _Span(start, min(end, size - 1) - start + 1)


def _names(listed: str, tag: str) -> bool:
    """Whether an If-None-Match header names the tag; weakly, as it is compared there."""
    return listed.strip() == "*" or tag in {
        each.removeprefix("W/") for each in _LISTED.findall(listed)
    }
