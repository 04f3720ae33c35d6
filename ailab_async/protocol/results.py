"""Where the files are in an answer: one walker for every shape.

The endpoints name their results in many ways (docs: the response tables of all pages):
``data.image_url``, ``data.url``, ``data.result_url``, ``data.image`` (an address in the
asynchronous editors, base64 in the synchronous ones), ``data.image_list[]``, ``data.images[]``,
``data.result_urls[]``, ``data.binary_data_base64[]``, ``data.video``, ``data.elements[].…``,
``image`` / ``result_image`` / ``result`` at the top, ``result.image``, ``result_url``,
``output.image_url``. ``data`` may be an array, ``null`` or a string of JSON, ``data.images[]`` may
hold one file twice, analyses hold none. So the walker does not know the endpoint: every string
that is an address is a file, and every string that is base64 under a name that holds such, or
begins like a picture or a video.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from .jsontext import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Found", "has_result", "walk"]

ENVELOPE_FIELDS: Final = frozenset(
    {
        "error_code",
        "error_code_str",
        "error_detail",
        "error_msg",
        "log_id",
        "message",
        "request_id",
        "task_id",
        "task_status",
        "task_type",
        "usage",
    }
)
"""Top-level fields that never hold a result."""

_BASE64_NAMES: Final = frozenset({"binary_data_base64", "image", "result_image", "video"})
_LEAST_NAMED: Final = 8
_LEAST_UNNAMED: Final = 64

# How base64 of JPEG, PNG, GIF, RIFF (WebP, AVI), TIFF and MP4 begins.
_MAGIC: Final = re.compile(r"/9j/|iVBORw0KGgo|R0lGOD|UklGR|SUkqA|TU0AK|AAAA[A-Za-z0-9+/][GWm2]Z0eX")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]*={0,2}\s*", re.ASCII)
_DATA_PREFIX: Final = re.compile(r"data:[\w.+/-]{0,80};base64,", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?", re.IGNORECASE)
_SAMPLE: Final = 256
_HOLDING: Final = (str, dict, list)
_DEPTH: Final = 3
"""How many strings of JSON within strings of JSON are opened."""


@frozen(kw_only=True)
class Found:
    """One result file: either a ``url`` or ``base64``, and the ``path`` to it in the answer."""

    path: str
    url: str | None = field(default=None, repr=False)
    base64: str | None = field(default=None, repr=False)


def walk(raw: Any) -> tuple[Found, ...]:
    """Return the result files of an answer in the order in which they stand there.

    Each file comes once, at its first place. Raises nothing, whatever ``raw`` is.
    """
    seen: set[str] = set()
    files = []
    for found in _files(raw):
        content = found.url or found.base64 or ""
        if content not in seen:
            seen.add(content)
            files.append(found)
    return tuple(files)


def has_result(raw: Any) -> bool:
    """Whether an answer holds a result file: a submission may be answered with it at once."""
    return next(_files(raw), None) is not None


def _files(raw: Any) -> Iterator[Found]:
    # A stack instead of recursion: an answer may be nested as deep as it can be read.
    stack: list[tuple[str, str, Any, int]] = [("", "", raw, _DEPTH)]
    while stack:
        path, name, value, depth = stack.pop()
        if isinstance(value, str) and depth:
            inner = unwrap(value)
            if inner is not value:
                value, depth = inner, depth - 1
        if isinstance(value, dict):
            children = [
                (f"{path}.{key}" if path else key, key, child, depth)
                for key, child in value.items()
                if isinstance(child, _HOLDING) and (path or key not in ENVELOPE_FIELDS)
            ]
            stack.extend(reversed(children))
        elif isinstance(value, list):
            children = [
                (f"{path}[{index}]", name, child, depth)
                for index, child in enumerate(value)
                if isinstance(child, _HOLDING)
            ]
            stack.extend(reversed(children))
        elif isinstance(value, str) and value:
            found = _file(path, name, value)
            if found is not None:
                yield found


def _file(path: str, name: str, text: str) -> Found | None:
    if text[:4].lower() == "http" and _ADDRESS.fullmatch(text):
        return Found(path=path, url=text)
    prefix = _DATA_PREFIX.match(text)
    if prefix is not None:
        text = text[prefix.end() :]
    least = _LEAST_NAMED if prefix or name in _BASE64_NAMES else _LEAST_UNNAMED
    if len(text) < least or not _looks_base64(text):
        return None
    expected = prefix or name in _BASE64_NAMES or path == "result"
    return Found(path=path, base64=text) if expected or _MAGIC.match(text) else None


def _looks_base64(text: str) -> bool:
    """Judge by both ends: a video's megabytes are read once, when they are decoded."""
    if len(text) <= 2 * _SAMPLE:
        return _BASE64.fullmatch(text) is not None and len("".join(text.split())) % 4 == 0
    tail = text[-_SAMPLE:]
    return _BASE64.fullmatch(text[:_SAMPLE]) is not None and _BASE64.fullmatch(tail) is not None
