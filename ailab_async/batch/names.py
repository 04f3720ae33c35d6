"""Names for the results of a batch: none twice, none that a file in the folder has already.

A picture that was paid for must not fail to be saved because another photo of another folder has
the same name.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Names"]

_NUMBERED: Final = re.compile(r"(?P<stem>.*)-[0-9]{1,9}\.[A-Za-z0-9]+", re.DOTALL)


class Names:
    """The stems that are taken in one folder, as ``harbour`` by ``harbour-1.png``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """``folder`` need not exist yet."""
        # whole, so that a later run finds the files wherever it is started
        self.folder = Path(folder).absolute()
        self._taken: set[str] = set()
        self._numbers: dict[
            str, int
        ] = {}  # of pictures without names, a hundred thousand are alike

    def look(self) -> None:
        """Take note of the files that are there. Blocks."""
        self._taken.update(self._there())

    def claim(self, stem: str) -> str:
        """Take ``stem``, or the first of ``stem_2``, ``stem_3`` … that nobody has; return it."""
        number = self._numbers.get(stem, 1)
        name = stem if number == 1 else f"{stem}_{number}"
        while _folded(name) in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(_folded(name))
        self._numbers[stem] = number + 1
        return name

    def _there(self) -> Iterator[str]:
        try:
            entries = os.scandir(self.folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                match = _NUMBERED.fullmatch(entry.name)
                if match is not None:
                    yield _folded(match["stem"])


def _folded(name: str) -> str:
    """Return what some file systems take for the same name."""
    return unicodedata.normalize("NFC", name).casefold()
