"""Names for the results of a batch: none twice, none that a file in the folder has already.

A picture that was paid for must not fail to be saved because another photo of another folder has
the same name. A picture that is in a batch twice has its files twice, and a later run finds both.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import unicodedata
from itertools import count
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from attrs import evolve

from ..drafts import copy_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..files import SavedFile

__all__ = ["Names", "same_bytes"]

_PIECE: Final = 1 << 20

_NUMBERED: Final = re.compile(r"(?P<stem>.*)-[0-9]{1,9}\.[A-Za-z0-9]+", re.DOTALL)


class Names:
    """The stems that are taken in one folder, as ``harbour`` by ``harbour-1.png``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """``folder`` need not exist yet."""
        # whole, so that a later run finds the files wherever it is started
        self.folder = Path(folder).absolute()
        self._there: set[str] = set()
        self._claimed: set[str] = set()
        # of pictures without names, a hundred thousand are alike
        self._numbers: dict[str, int] = {}
        self._one = threading.Lock()

    def look(self) -> None:
        """Take note of the files that are there. Blocks."""
        self._there.update(self._found())

    def claim(self, stem: str) -> str:
        """Take ``stem``, or the first of ``stem_2``, ``stem_3`` … that nobody has; return it."""
        with self._one:
            number = self._numbers.get(stem, 1)
            name = _numbered(stem, number)
            while _folded(name) in self._there or _folded(name) in self._claimed:
                number += 1
                name = _numbered(stem, number)
            self._numbers[stem] = number + 1
            self._claimed.add(_folded(name))
        return name

    def keep(self, files: Iterable[SavedFile]) -> None:
        """Take the stems of files that the journal has: nobody else gets them."""
        with self._one:
            self._claimed.update(self._stems(files))

    def release(self, files: Iterable[SavedFile]) -> None:
        """Give the stems of files back that are not as they were saved."""
        with self._one:
            self._claimed.difference_update(self._stems(files))

    def called(self, files: tuple[SavedFile, ...], stem: str) -> bool:
        """Whether ``files`` have the name that a picture called ``stem`` would be given."""
        name = PurePath(files[0].path).stem.rpartition("-")[0]
        rest = name.removeprefix(stem).removeprefix("_") if name.startswith(stem) else "-"
        return not rest or (rest.isascii() and rest.isdigit())

    def copies(
        self, files: tuple[SavedFile, ...], stem: str, *, make: bool
    ) -> tuple[SavedFile, ...] | None:
        """Return copies of ``files`` under a name that nobody else in this batch has. Blocks.

        Those that an earlier run made are found again; where there are none, they are made, or
        without ``make`` it is None.
        """
        for number in count(1):
            name = _numbered(stem, number)
            with self._one:
                if _folded(name) in self._claimed:
                    continue
                self._claimed.add(_folded(name))
            copies = tuple(
                evolve(file, path=str(self.folder / f"{name}-{at}{PurePath(file.path).suffix}"))
                for at, file in enumerate(files, start=1)
            )
            if copies != files and all(map(same_bytes, copies)):
                return copies
            taken = _folded(name) in self._there or any(
                os.path.lexists(copy.path) for copy in copies
            )
            if make and not taken:
                for file, copy in zip(files, copies, strict=True):
                    copy_file(file.path, self.folder, PurePath(copy.path).name)
                return copies
            with self._one:
                self._claimed.discard(_folded(name))  # it may be another's
            if not taken:
                break
        return None

    def _stems(self, files: Iterable[SavedFile]) -> set[str]:
        paths = (PurePath(file.path) for file in files)
        return {
            _folded(path.stem.rpartition("-")[0]) for path in paths if path.parent == self.folder
        }

    def _found(self) -> Iterator[str]:
        try:
            entries = os.scandir(self.folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                match = _NUMBERED.fullmatch(entry.name)
                if match is not None:
                    yield _folded(match["stem"])


def same_bytes(file: SavedFile) -> bool:
    """Whether a file is on disk with the size and the digest that it was saved with. Blocks."""
    try:
        # paths are texts, as they were kept
        if os.stat(file.path).st_size != file.size:  # noqa: PTH116
            return False
        digest = hashlib.sha256()
        with open(file.path, "rb") as stream:  # noqa: PTH123
            while piece := stream.read(_PIECE):
                digest.update(piece)
    except (OSError, ValueError):  # the latter for what can be no path
        return False
    return digest.hexdigest() == file.sha256


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}_{number}"


def _folded(name: str) -> str:
    """Return what some file systems take for the same name."""
    return unicodedata.normalize("NFC", name).casefold()
