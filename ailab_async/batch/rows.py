"""How entries stand in the file: the tables, and the text in them under a checksum.

SQLite keeps none: where a piece of a long text is missing from the file it reads zeros. So every
text of unbounded length is *sealed*: its UTF-8 bytes, then the CRC-32 of them. Nothing is NULL
but what is empty.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from ..protocol.results import walk
from .entries import Entry, EntryState, SavedFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "COLUMNS",
    "SCHEMA",
    "Damaged",
    "check_row",
    "files_text",
    "json_text",
    "read_entry",
    "read_files",
    "seal",
    "unseal",
    "without_inline_files",
]

# What is short comes first: SQLite keeps the beginning of a row in one place.
SCHEMA: Final = (
    """
    CREATE TABLE entries(
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        state TEXT NOT NULL,
        operation TEXT NOT NULL,
        files_expected INTEGER NOT NULL DEFAULT 0,
        submissions INTEGER NOT NULL DEFAULT 0,
        changed REAL NOT NULL,
        expires_at REAL,
        label BLOB, record BLOB, files BLOB, code BLOB, message BLOB, raw BLOB
    )
    """,
    """
    CREATE TABLE owner(
        one INTEGER PRIMARY KEY CHECK (one = 1),
        body TEXT NOT NULL, closed INTEGER NOT NULL, turns INTEGER NOT NULL
    )
    """,
    "CREATE TABLE reserve(blank BLOB)",
)

COLUMNS: Final = (
    "key, state, operation, files_expected, submissions, changed, expires_at, "
    "label, record, files, code, message, raw"
)
_FIRST_SEALED: Final = 7
_CRC_BYTES: Final = 4
_SHORT: Final = 1024
"""Characters of base64 that are not worth dropping, and might stand elsewhere by chance."""


class Damaged(Exception):
    """What is in the file cannot have been written by us."""


def seal(text: str) -> bytes | None:
    """Return the bytes to store for a text."""
    if not text:
        return None
    data = text.encode("utf-8", "surrogatepass")  # names of files may hold lone surrogates
    return data + zlib.crc32(data).to_bytes(_CRC_BYTES, "big")


def unseal(stored: Any) -> str:
    """Return the text that `seal` made bytes of; raises `Damaged`."""
    if stored is None:
        return ""
    # other types come out of a damaged file
    if isinstance(stored, bytes):
        data = stored[:-_CRC_BYTES]
        if zlib.crc32(data) == int.from_bytes(stored[-_CRC_BYTES:], "big"):
            return data.decode("utf-8", "surrogatepass")
    message = "a text in it does not match its checksum"
    raise Damaged(message)


def check_row(row: Sequence[Any]) -> None:
    """Raise `Damaged` where a row of `COLUMNS` is not as it was written."""
    _state(row[1])
    for stored in row[_FIRST_SEALED:]:
        unseal(stored)


def read_entry(row: Sequence[Any]) -> Entry:
    """Return the entry in a row of `COLUMNS`; raises `Damaged`."""
    key, state, operation, expected, submissions, changed, expires_at, *sealed = row
    label, record, files, code, message, raw = map(unseal, sealed)
    # one text, because there are a hundred thousand of these: a call of the reader costs most
    known = json.loads(f"[{record or '{}'},{raw or 'null'},{files or '[]'}]")
    return Entry(
        key=key,
        state=_state(state),
        operation=operation,
        label=label,
        record=known[0],
        raw=known[1],
        expires_at=expires_at,
        of=expected,
        saved=_files(known[2]),
        code=code,
        message=message,
        submissions=submissions,
        changed=changed,
    )


def json_text(value: Mapping[str, Any]) -> str:
    """Return compact JSON; raises `TypeError` and `ValueError` for what is none."""
    return _to_json(dict(value))


def files_text(files: Mapping[int, SavedFile]) -> str:
    """Return saved files as text; that of none is empty."""
    rows = [[number, file.path, file.sha256, file.size] for number, file in files.items()]
    return _to_json(rows) if rows else ""


def read_files(text: str) -> dict[int, SavedFile]:
    """Read what `files_text` returned."""
    return _files(json.loads(text)) if text else {}


def without_inline_files(text: str) -> str:
    """Return the JSON of an answer with pictures that stand in it as base64 made empty strings.

    They are on disk by now, and a journal of thousands of pictures would be as large as they are.
    """
    if len(text) < _SHORT:
        return text
    for found in walk(json.loads(text)):
        if found.base64 is not None and len(found.base64) >= _SHORT:
            written = json.dumps(found.base64, ensure_ascii=False)[1:-1]
            text = text.replace(written, "")
    return text


_to_json: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode
_STATES: Final = {state.value: state for state in EntryState}


def _state(stored: Any) -> EntryState:
    state = _STATES.get(stored)
    if state is None:
        message = f"the state {stored!r} is none"
        raise Damaged(message)
    return state


def _files(rows: list[tuple[int, str, str, int]]) -> dict[int, SavedFile]:
    return {
        number: SavedFile(path=path, sha256=sha256, size=size)
        for number, path, sha256, size in rows
    }
