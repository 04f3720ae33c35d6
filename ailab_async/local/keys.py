"""The keys that an engine accepts, and what it calls them: never by themselves."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from ..errors import InvalidOperation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Keys"]


class Keys:
    """Tells good keys from bad ones in constant time, and owners apart."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Accept these keys; without any, every key, and none.

        Raises `InvalidOperation` where a key is empty, or ``keys`` is one text instead of several.
        """
        if isinstance(keys, str) or not all(keys):
            # of one text, every letter would be a key
            hint = "For one key: keys=[key]."
            raise InvalidOperation("keys", "a list of keys, none empty", "another", hint=hint)
        # The salt is nowhere but here: what is written down cannot be tried against guessed keys.
        self._salt = secrets.token_bytes(16)
        self._known = tuple(self._hashed(key.encode()) for key in keys)

    def owner(self, key: str) -> str | None:
        """Return what a key's tasks are sorted by, ``None`` for a key that is not accepted.

        Takes equally long whichever key it is, and however much of it is right.
        """
        given = self._hashed(key.encode("utf-8", "surrogateescape"))
        matches = [hmac.compare_digest(given, known) for known in self._known]
        return given.hex() if any(matches) or not self._known else None

    def _hashed(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, key=self._salt, digest_size=16).digest()
