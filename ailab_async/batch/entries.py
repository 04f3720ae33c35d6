"""What a journal knows of one operation, and which state may follow which.

An operation is *planned* (``pending``). Just before its bytes go out it is marked ``submitting``;
if it is then proved that nothing was received, that is *withdrawn*. When the service has accepted
it, it is ``submitted`` and its task is known; when there is an answer, it is ``done``; when all
files of the answer are on disk, ``saved``. A service that answers at once skips ``submitted``, and
a result without files skips the waiting in ``done``. A result that is looked up again (its
addresses had expired) is done once more, and files that are *lost* from the disk make a saved one
done again.

What goes wrong ends in one of three states. ``rejected``: refused, nothing was made.  ``failed``:
accepted, and the service gave up. ``unknown``: it may have been accepted, and paid for, and nobody
here can tell; also where a process died while it was submitting. None of the three changes by
itself. *Retry* takes them back to ``pending`` when somebody asks for it, *renew* does so for an
engine whose tasks cost nothing and died with it.

`MOVES` holds the same as a table; every change of a journal goes by it.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from ..errors import InvalidOperation
from ..files import SavedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from attrs import Attribute

__all__ = ["MOVES", "Entry", "EntryState", "Move", "Planned", "SavedFile", "entry_key"]

KEY_BYTES: Final = 32
_KEY_VERSION: Final = b"ailab-async journal key 1"


class EntryState(StrEnum):
    """Where an operation is."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    DONE = "done"
    SAVED = "saved"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Move:
    """A change of state: from any of ``sources`` to ``target``.

    ``until_whole`` is the state instead of ``target`` while files of the result are missing.
    """

    sources: tuple[EntryState, ...]
    target: EntryState
    until_whole: EntryState | None = None


_S = EntryState

MOVES: Final[Mapping[str, Move]] = {
    "submitting": Move(sources=(_S.PENDING,), target=_S.SUBMITTING),
    "withdrawn": Move(sources=(_S.SUBMITTING,), target=_S.PENDING),
    "submitted": Move(sources=(_S.SUBMITTING,), target=_S.SUBMITTED),
    "done": Move(
        sources=(_S.SUBMITTING, _S.SUBMITTED, _S.DONE), target=_S.SAVED, until_whole=_S.DONE
    ),
    "saved": Move(sources=(_S.DONE, _S.SAVED), target=_S.SAVED, until_whole=_S.DONE),
    "lost": Move(sources=(_S.SAVED,), target=_S.DONE),
    "rejected": Move(sources=(_S.PENDING, _S.SUBMITTING), target=_S.REJECTED),
    "failed": Move(sources=(_S.SUBMITTED, _S.DONE), target=_S.FAILED),
    "unknown": Move(sources=(_S.SUBMITTING,), target=_S.UNKNOWN),
    "retry": Move(sources=(_S.UNKNOWN, _S.FAILED, _S.REJECTED), target=_S.PENDING),
    "renew": Move(sources=(_S.SUBMITTING, _S.SUBMITTED, _S.DONE, _S.UNKNOWN), target=_S.PENDING),
}
"""What may happen to an entry, by name."""


def _check_key(_: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, bytes) or len(value) != KEY_BYTES:
        limit = f"{KEY_BYTES} bytes"
        raise InvalidOperation(attribute.name, limit, value, hint="Make it with entry_key().")


@frozen(kw_only=True)
class Planned:
    """An operation to be done: its key, its name (``hd-color-migration``), a label for people."""

    key: bytes = field(validator=_check_key)
    operation: str
    label: str


@frozen(kw_only=True)
class Entry:
    """What the journal knew of an operation when it was asked.

    ``record`` is that of the accepted task (``TaskRecord.to_json()``; empty before). ``raw`` is the
    JSON answer of a success, which names its files; of an entry that is saved, pictures that stood
    in the answer itself are empty strings. ``expires_at`` is when the addresses in it die, in
    seconds of Unix time. ``of`` is how many files the result has, 0 before it is done, and
    ``files`` those that are saved, by number from 1. ``code`` and ``message`` say why it was
    rejected, failed, or is unknown. ``submissions`` is how often it was marked as submitting,
    ``changed`` when it changed last (Unix time).
    """

    key: bytes
    state: EntryState
    operation: str
    label: str
    record: Mapping[str, str] = field(factory=dict)
    raw: Mapping[str, Any] | None = field(default=None, repr=False)  # holds signed addresses
    expires_at: float | None = None
    of: int = 0
    saved: Mapping[int, SavedFile] = field(factory=dict)
    code: str = ""
    message: str = ""
    submissions: int = 0
    changed: float = 0.0

    @property
    def files(self) -> tuple[SavedFile, ...]:
        """The saved files, in the order of their numbers."""
        return tuple(self.saved[number] for number in sorted(self.saved))


def entry_key(
    *,
    service: str,
    operation: str,
    fields: Iterable[tuple[str, str]],
    pictures: Iterable[tuple[str, bytes]],
) -> bytes:
    """Return the key of an operation: 32 bytes, equal where the same would be paid for again.

    ``service`` says who would do it, ``fields`` are the text fields in wire order, ``pictures``
    the picture fields with the SHA-256 digest of the bytes sent. Content alone counts: neither a
    file's name nor its time is in the key.
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)

    def add(part: bytes) -> None:
        # the length first: no two lists of parts may run together to the same bytes
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)

    def add_all(pairs: Iterable[tuple[str, bytes]]) -> None:
        listed = tuple(pairs)
        digest.update(len(listed).to_bytes(8, "big"))
        for name, value in listed:
            add(_encoded(name))
            add(value)

    add(_KEY_VERSION)
    add(_encoded(service))
    add(_encoded(operation))
    add_all((name, _encoded(value)) for name, value in fields)
    add_all(pictures)
    return digest.digest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # whatever the text is, it has a key
