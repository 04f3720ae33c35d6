"""What ``ailab color`` is going to do, and whether it can be done: all before anything is sent.

The options first, then the photos, then the names of their results, then the folder. What is wrong
with an option, with ``--ref`` or with the folder ends the run; what is wrong with one photo leaves
out that photo.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import anyio
import anyio.to_thread
from attrs import define

from ..errors import AILabError, InvalidOperation
from ..images import load_part
from ..operations import Auto, HDColorMigration, RefPic, Template
from ..protocol.services import Service
from .exits import Exit
from .explain import explain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from .output import Photo

__all__ = [
    "Job",
    "Wrong",
    "check_names",
    "check_photo",
    "job_from",
    "prepare_folder",
    "service_from",
]

_T = TypeVar("_T")

_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
"""What a result may end with; which of them it is only shows when its bytes are there."""

_OWNER: Final = {"colors": "auto", "template": "template", "ref": "ref"}


class Wrong(Exception):
    """What makes the whole run impossible, as a sentence."""

    def __init__(self, text: str, code: Exit = Exit.BAD_INPUT) -> None:
        """``code`` is the exit code of the run."""
        self.code = code
        super().__init__(text)


@define(eq=False)
class Job:
    """The same for all photos: mode and degree."""

    mode: Auto | Template | RefPic
    degree: float
    results: int
    reference: str | None

    def operation(self, photo: str) -> HDColorMigration:
        """Return the operation for one photo; its file is not looked at yet."""
        return HDColorMigration(photo, self.mode, degree=self.degree)


def _stop(text: str, code: Exit = Exit.BAD_INPUT) -> NoReturn:
    raise Wrong(text, code) from None


def job_from(arguments: argparse.Namespace) -> Job:
    """Read the options that say what to do. Raises `Wrong`."""
    given = [name for name in _OWNER if getattr(arguments, name) is not None]
    implied = [_OWNER[name] for name in given]
    if arguments.mode is None and len(given) > 1:
        _stop(f"--{given[0]} and --{given[1]} are of different modes: give one of them.")
    name = arguments.mode or (implied[0] if implied else "auto")
    for option, owner in zip(given, implied, strict=True):
        if owner != name:
            _stop(f"--{option} belongs to --mode {owner}, and this is --mode {name}.")
    mode: Auto | Template | RefPic
    results = 1
    match name:
        case "template":
            if arguments.template is None:
                _stop("--mode template needs --template with 1 to 7 colours, as 056A6B,C0392B.")
            colors = [color.strip() for color in arguments.template.split(",")]
            mode = _checked(lambda: Template(*colors))
        case "ref":
            if arguments.ref is None:
                _stop("--mode ref needs --ref with the photo whose colours are to be taken.")
            mode = _checked(lambda: RefPic(arguments.ref))
        case _:
            results = _whole(arguments.colors)
            mode = _checked(lambda: Auto(color_count=results))
    degree = _number(arguments.degree)
    job = Job(mode=mode, degree=degree, results=results, reference=arguments.ref)
    # A wrong degree is one mistake, not one for each photo.
    _checked(lambda: job.operation(arguments.photos[0] or "photo"))
    return job


def service_from(arguments: argparse.Namespace) -> Service | None:
    """Read the options that say who does it; ``None``: the client chooses. Raises `Wrong`."""
    name = arguments.service
    if arguments.path is not None and name != "rapidapi":
        _stop("--path belongs to --service rapidapi.")
    if arguments.url is not None:
        if name not in {None, "local"}:
            _stop(f"--url is for a local engine elsewhere, and this is --service {name}.")
        engine_key = os.environ.get("AILAB_ENGINE_KEY") or None
        return _checked(lambda: Service.local(arguments.url, api_key=engine_key))
    match name:
        case "local":
            return Service.local()
        case "direct":
            key = _key("AILAB_API_KEY", "direct")
            return _checked(lambda: Service.direct(key))
        case "rapidapi":
            key = _key("AILAB_RAPIDAPI_KEY", "rapidapi")
            path = arguments.path or ""
            if not path.startswith("/"):
                hint = "it is shown in the API's listing there, as POST /…"
                _stop(f"--service rapidapi needs --path with the submit path; {hint}.")
            return _checked(lambda: Service.rapidapi(key, paths={HDColorMigration.name: path}))
        case _:
            return None


async def check_photo(job: Job, photo: Photo, *, limiter: anyio.CapacityLimiter) -> bool:
    """Read and measure a photo; whether it can be sent. If not, the photo knows why."""
    try:
        text = await anyio.to_thread.run_sync(_look_at, photo.path, limiter=limiter)
        if text:
            photo.message, photo.exit_code = text, Exit.BAD_INPUT
            return False
        operation = job.operation(photo.path)
        pictures = operation.pictures()
        source, rules = pictures["image"]
        await load_part(source, rules, field="image", limiter=limiter)
    except AILabError as error:
        photo.error, photo.exit_code = error, Exit.BAD_INPUT
        photo.message = explain(error)
        return False
    return True


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
    there = _files_in(out)
    folder = Path(os.path.realpath(out))
    taken: dict[str, str] = {}
    free = []
    for photo in everything:
        stem = job.operation(photo.path).stem
        names = [f"{stem}-{number + 1}".casefold() for number in range(job.results)]
        rival = next((taken[name] for name in names if name in taken), None)
        source = next((sources[folder, name] for name in names if (folder, name) in sources), None)
        file = next((there[name] for name in names if name in there), None)
        if rival is not None:
            photo.exit_code = Exit.BAD_INPUT
            photo.message = (
                f"its results would have the same names as those of {rival}: "
                "take it in a run of its own, with another --out."
            )
        elif source is not None:
            photo.exit_code = Exit.CANNOT_WRITE
            photo.message = f"a result could replace the photo {source}: choose another --out."
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
    made = []
    try:
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
        _stop(text, Exit.CANNOT_WRITE)
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
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return "there is no such file."
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}."
    if stat.S_ISDIR(found.st_mode):
        return "is a folder: name the photos in it."
    return "is empty." if stat.S_ISREG(found.st_mode) and found.st_size == 0 else ""


def _files_in(folder: Path) -> dict[str, str]:
    try:
        files = list(folder.iterdir())
    except OSError:
        return {}
    return {path.stem.casefold(): path.name for path in files if path.suffix.lower() in _ENDINGS}


def _place(path: Path) -> tuple[Path, str]:
    real = Path(os.path.realpath(path))
    return real.parent, real.stem.casefold()


def _checked(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except InvalidOperation as error:
        _stop(explain(error))


def _key(variable: str, service: str) -> str:
    key = os.environ.get(variable, "")
    if not key.strip():
        _stop(f"--service {service} needs a key in {variable}; --service local needs none.")
    return key


def _number(text: str | None) -> float:
    if text is None:
        return 0.4
    try:
        return float(text)
    except ValueError:
        _stop(f"--degree must be a number from 0 to 1, not {text!r}.")


def _whole(text: str | None) -> int:
    if text is None:
        return 1
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        _stop(f"--colors must be a whole number from 1 to 8, not {text!r}.")
    return int(text)
