"""The options of ``ailab color``, read and checked; nothing here looks at a photo."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from attrs import define

from ..errors import InvalidOperation
from ..operations import Auto, HDColorMigration, RefPic, Template
from ..protocol.services import Service
from .exits import Exit
from .explain import explain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

__all__ = ["COLOR", "Job", "Wrong", "folder_from", "job_from", "service_from"]

_T = TypeVar("_T")

COLOR: Final = re.compile(r"#?[0-9A-Fa-f]{6}")
"""What is a colour of ``--template``, and hardly the name of a photo."""

_OWNER: Final = {"colors": "auto", "template": "template", "ref": "ref"}


class Wrong(Exception):
    """What makes the whole run impossible, as a sentence."""

    def __init__(self, text: str, code: Exit = Exit.BAD_INPUT) -> None:
        """``code`` is the exit code of the run."""
        self.code = code
        super().__init__(text)


@define(eq=False)
class Job:
    """The same for all photos: mode, degree, and whether they are made acceptable."""

    mode: Auto | Template | RefPic
    degree: float
    results: int
    reference: str | None
    fit: bool

    def operation(self, photo: str) -> HDColorMigration:
        """Return the operation for one photo; its file is not looked at yet."""
        return HDColorMigration(photo, self.mode, degree=self.degree, fit=self.fit)


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
            _check_commas(colors, arguments.photos)
            mode = _checked(lambda: Template(*colors))
        case "ref":
            if arguments.ref is None:
                _stop("--mode ref needs --ref with the photo whose colours are to be taken.")
            mode = _checked(lambda: RefPic(arguments.ref))
        case _:
            results = _whole(arguments.colors)
            mode = _checked(lambda: Auto(color_count=results))
    degree = _number(arguments.degree)
    job = Job(
        mode=mode,
        degree=degree,
        results=results,
        reference=arguments.ref,
        fit=arguments.fit,
    )
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


def folder_from(arguments: argparse.Namespace) -> Path:
    """Return the folder for the results. Raises `Wrong`."""
    if not arguments.out.strip():
        _stop("--out must name a folder; for this one give a dot: --out .")
    return Path(arguments.out)


def _check_commas(colors: Iterable[str], photos: Iterable[str]) -> None:
    """Stop where colours are parted by spaces, within the option or as if they were photos."""
    stray = [name for name in photos if COLOR.fullmatch(name) and not Path(name).exists()]
    if stray or any(len(color.split()) > 1 for color in colors):
        _stop("--template wants commas between its colours, and no spaces: 056A6B,C0392B.")


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
