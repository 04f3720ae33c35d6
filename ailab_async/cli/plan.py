"""Whether the photos of ``ailab color`` can be done: all before anything is sent.

First the photos, then the names of their results, then the folder. What is wrong with ``--ref`` or
with the folder ends the run; what is wrong with one photo leaves out that photo.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from ..errors import AILabError
from ..events import Event, PictureFitted
from ..images import load_part
from .exits import Exit
from .explain import explain
from .options import Job, Wrong
from .output import Photo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..images import Part

__all__ = [
    "check_names",
    "check_photo",
    "distinct",
    "prepare_folder",
    "remove_empty",
]

_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
"""What a result may end with; which of them it is only shows when its bytes are there."""


def distinct(paths: Iterable[str]) -> tuple[list[Photo], list[str]]:
    """Return a photo for each file, and a note for each further name of the same. Blocks."""
    first: dict[object, str] = {}
    notes = []
    for path in paths:
        key = _identity(path)
        if key in first:
            known = first[key]
            same = "was named twice" if known == path else f"is the same file as {known}"
            notes.append(f"{path}: {same}, and is done once.")
        else:
            first[key] = path
    return [Photo(path) for path in first.values()], notes


async def check_photo(job: Job, photo: Photo, *, limiter: anyio.CapacityLimiter) -> Part | None:
    """Read and measure a photo; what would be sent. If it cannot be, the photo knows why.

    With ``--fit`` it is made acceptable, and the photo knows how.
    """

    def heard(event: Event) -> None:
        if isinstance(event, PictureFitted):
            photo.changes = event.changes

    try:
        text = await anyio.to_thread.run_sync(_look_at, photo.path, limiter=limiter)
        if text:
            photo.message, photo.exit_code = text, Exit.BAD_INPUT
            return None
        source, rules = job.operation(photo.path).pictures()["image"]
        return await load_part(
            source, rules, field="image", fit=job.fit, limiter=limiter, on_event=heard
        )
    except AILabError as error:
        photo.error, photo.exit_code = error, Exit.BAD_INPUT
        photo.message = explain(error, fit=job.fit)
        return None


def check_names(job: Job, photos: Iterable[Photo], out: Path, *, overwrite: bool) -> list[Photo]:
    """Return the photos whose results have free names; the others know why not. Blocks.

    That a result would be kept away by a file, or replace a photo it is made from, must be found
    before it is paid for.
    """
    everything = list(photos)
    inputs = [photo.path for photo in everything]
    if job.reference is not None:
        inputs.append(job.reference)
    sources = {_place(Path(path)): path for path in inputs}
    there, folders = _files_in(out)
    folder = Path(os.path.realpath(out))
    taken: dict[str, str] = {}
    free = []
    for photo in everything:
        stem = job.operation(photo.path).stem
        names = [f"{stem}-{number + 1}".casefold() for number in range(job.results)]
        rival = next((taken[name] for name in names if name in taken), None)
        source = next((sources[folder, name] for name in names if (folder, name) in sources), None)
        file = next((there[name] for name in names if name in there), None)
        barrier = next((folders[name] for name in names if name in folders), None)
        if rival is not None:
            photo.exit_code = Exit.BAD_INPUT
            photo.message = (
                f"its results would have the same names as those of {rival}: "
                "take it in a run of its own, with another --out."
            )
        elif source is not None:
            photo.exit_code = Exit.CANNOT_WRITE
            photo.message = f"a result could replace the photo {source}: choose another --out."
        elif barrier is not None:
            photo.exit_code = Exit.CANNOT_WRITE
            photo.message = (
                f"{out / barrier} is a folder, which no result replaces: rename it, "
                "or choose another --out."
            )
        elif file is not None and not overwrite:
            photo.exit_code = Exit.CANNOT_WRITE
            photo.message = (
                f"{out / file} is there already and was kept: --overwrite replaces it, "
                "another --out leaves it alone."
            )
        else:
            taken.update(dict.fromkeys(names, photo.path))
            free.append(photo)
    return free


def prepare_folder(out: Path) -> list[Path]:
    """Make the folder and see that it can be written. Blocks; raises `Wrong`.

    Returns the folders that were made, the innermost first.
    """
    made: list[Path] = []
    try:
        if out.exists() and not out.is_dir():
            text = f"--out {out} is a file, not a folder. Nothing was sent."
            raise Wrong(text, Exit.CANNOT_WRITE)
        for folder in (out, *out.parents):
            if folder.exists():
                break
            made.append(folder)
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        remove_empty(made)
        text = f"cannot write to --out {out}: {why}. Nothing was sent."
        raise Wrong(text, Exit.CANNOT_WRITE) from None
    return made


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that were made for results which never came. Blocks."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _look_at(path: str) -> str:
    """Say in plain words what is wrong with a path; the picture itself is not read."""
    if not path:
        return "the name is empty."
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return "there is no such file."
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}."
    if stat.S_ISDIR(found.st_mode):
        return "is a folder: name the photos in it."
    return "is empty." if stat.S_ISREG(found.st_mode) and found.st_size == 0 else ""


def _identity(path: str) -> object:
    """Return what two names of one file have in common."""
    try:
        found = Path(path).stat() if path else None
    except (OSError, ValueError):
        found = None
    if found is not None and found.st_ino:
        return found.st_dev, found.st_ino
    return os.path.realpath(path) if path and "\0" not in path else path


def _files_in(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return what has a picture's extension, by its stem: what can be replaced, and folders."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    try:
        for path in folder.iterdir():
            if path.suffix.lower() in _ENDINGS:
                known = folders if path.is_dir() and not path.is_symlink() else files
                known[path.stem.casefold()] = path.name
    except OSError:
        return {}, {}
    return files, folders


def _place(path: Path) -> tuple[Path, str]:
    real = Path(os.path.realpath(path))
    return real.parent, real.stem.casefold()
