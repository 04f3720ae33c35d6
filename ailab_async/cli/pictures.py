"""The pictures that a command line names: files, folders and patterns. Everything here blocks.

Only names are gathered here and no picture is opened: a hundred thousand of them take a second.
"""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define, field

from .exits import Exit
from .options import stop
from .output import Photo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .jobs import Job

__all__ = ["ENDINGS", "Found", "find_pictures", "identity", "is_picture", "look_at", "pictures_in"]

ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""What is taken for a picture in a folder."""


@define(kw_only=True)
class Found:
    """``paths`` are to be done, ``left_out`` cannot be, ``notes`` are to be told."""

    paths: list[str] = field(factory=list)
    left_out: list[Photo] = field(factory=list)
    notes: list[str] = field(factory=list)


def find_pictures(names: Iterable[str], job: Job, *, recursive: bool, out: Path) -> Found:
    """Return the pictures that are meant, in the order of their naming, each once.

    Folders are walked in alphabetical order, with ``recursive`` those within too; hidden files and
    the folder of the results are passed over. A pattern that the shell left alone is expanded.
    Raises `Wrong` where a folder of pictures is that of the results.
    """
    search = _Search(recursive=recursive, out=out, job=job)
    for name in names:
        search.take(name)
    return search.found


def pictures_in(folder: str, *, recursive: bool = False, without: object = None) -> Iterator[str]:
    """Yield the pictures in a folder by name, sorted, those of a folder before its folders.

    ``without`` is the `identity` of a folder that is not gone into. What cannot be read holds
    nothing.
    """
    folders = []
    files = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if recursive and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif is_picture(entry.name) and not entry.is_dir():
                    files.append(entry.path)
    except OSError:
        return
    yield from sorted(files)
    for path in sorted(folders):
        if without is None or identity(path) != without:
            yield from pictures_in(path, recursive=True, without=without)


def is_picture(name: str) -> bool:
    """Whether a name ends as a picture's."""
    return name.lower().endswith(ENDINGS)


def identity(path: str | Path) -> int | str:
    """Return what all names of one file or folder have in common."""
    try:
        found = os.stat(path) if path else None  # noqa: PTH116 - 100,000 of them
    except (OSError, ValueError):
        found = None
    if found is not None and found.st_ino:
        return found.st_dev << 64 | found.st_ino
    text = os.fspath(path)
    return os.path.realpath(text) if text and "\0" not in text else text


class _Search:
    """The state of one search; of each file it keeps its path and a number."""

    def __init__(self, *, recursive: bool, out: Path, job: Job) -> None:
        self.found = Found()
        self._recursive = recursive
        self._out = out
        self._job = job
        self._without = identity(out) if out.is_dir() else None
        self._seen: dict[int | str, int] = {}

    def take(self, name: str) -> None:
        """Take what a word of the command line means."""
        if not name:
            self._leave_out(name, "the name is empty.")
        elif _is_folder(name):
            self._take_folder(name)
        elif os.path.lexists(name) or not glob.has_magic(name):
            self._take_file(name)
        else:
            self._take_pattern(name)

    def _take_folder(self, name: str) -> None:
        if self._without is not None and identity(name) == self._without:
            stop(
                f"--out {self._out} is the folder of the pictures as well, and the results would "
                "be taken for pictures the next time: choose another --out."
            )
        some = False
        for path in pictures_in(name, recursive=self._recursive, without=self._without):
            self._add(path)
            some = True
        if not some:
            more = "" if self._recursive else "; --recursive looks into its folders as well"
            self._leave_out(name, f"is a folder without pictures ({', '.join(ENDINGS)}){more}.")

    def _take_pattern(self, pattern: str) -> None:
        # *.heic means what it says; * and *.* mean pictures
        ending = os.path.splitext(pattern)[1]  # noqa: PTH122 - a pattern is no path
        exact = bool(ending) and not glob.has_magic(ending)
        some = False
        for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - names as typed
            if not _is_folder(path) and (exact or is_picture(path)):
                self._add(path)
                some = True
        if not some:
            self._leave_out(pattern, "no picture is called like that.")

    def _take_file(self, path: str) -> None:
        text = look_at(path)
        if text:
            self._leave_out(path, text)
        else:
            self._add(path, named=True)

    def _add(self, path: str, *, named: bool = False) -> None:
        key = identity(path)
        known = self._seen.get(key)
        if known is not None:
            if named:
                first = self.found.paths[known]
                same = "was named twice" if first == path else f"is the same file as {first}"
                self.found.notes.append(f"{path}: {same}, and is done once.")
            return
        missing = self._job.missing(path)
        if missing:
            self._leave_out(path, missing)
            return
        self._seen[key] = len(self.found.paths)
        self.found.paths.append(path)

    def _leave_out(self, path: str, text: str) -> None:
        photo = Photo(path=path, message=text, exit_code=Exit.BAD_INPUT, refused=True)
        self.found.left_out.append(photo)


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def look_at(path: str) -> str:
    """Say in plain words what is wrong with a path; the picture itself is not read."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return "there is no such file."
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}."
    if stat.S_ISDIR(found.st_mode):
        return "is a folder, not a picture."
    return "is empty." if stat.S_ISREG(found.st_mode) and found.st_size == 0 else ""
