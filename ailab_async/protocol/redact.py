"""Words from outside, made fit for an error's text: short, printable, without signatures."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["clean_text", "excerpt_of"]

EXCERPT_CHARACTERS: Final = 200

# A query string of an address is where a signed URL keeps its signature. JSON may write the
# slashes as "\/". Behind a bare "?name=" it is taken for one as well, and the names of the usual
# signatures are looked for on their own, for addresses that were percent-encoded into others.
_QUERY: Final = re.compile(
    r"(https?:\\?/\\?/[^\s\"'<>?]*)\?[^\s\"'<>]*|\?[\w.%~-]+=[^\s\"'<>]*", re.IGNORECASE
)
_SIGNATURE: Final = re.compile(
    r"((?:signature|token|credential|access_?key_?(?:id)?)(?:=|%3d))[^\s&\"'<>]+", re.IGNORECASE
)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def clean_text(text: str, limit: int = 500) -> str:
    """Return ``text`` on one line of at most ``limit`` characters, without query strings.

    Lone surrogates, which JSON may hold and no terminal or file takes, go as well.
    """
    # enough is looked at that cutting never leaves half of an address unredacted
    text = _UNPRINTABLE.sub(" ", text[: 20 * limit])
    text = _QUERY.sub(lambda found: f"{found[1] or ''}?…", text)
    text = _SIGNATURE.sub(r"\1…", text).strip()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def excerpt_of(body: bytes) -> str:
    """Return the first 200 characters of a body, as text that may be shown."""
    text = body[: 20 * EXCERPT_CHARACTERS].decode("utf-8", "replace")
    return clean_text(text, EXCERPT_CHARACTERS)
