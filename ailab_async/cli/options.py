"""The options that several commands share, read and checked; nothing here looks at a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from attrs import frozen

from ..errors import InvalidOperation
from ..operations import HDColorMigration
from ..protocol.services import Service
from .exits import Exit
from .explain import explain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = [
    "BatchOptions",
    "Wrong",
    "batch_options_from",
    "checked",
    "folder_from",
    "service_from",
    "stop",
]

T = TypeVar("T")

JOURNAL_ENDING: Final = ".ailab.sqlite"


class Wrong(Exception):
    """What makes the whole run impossible, as a sentence."""

    def __init__(self, text: str, code: Exit = Exit.BAD_INPUT) -> None:
        """``code`` is the exit code of the run."""
        self.code = code
        super().__init__(text)


@frozen(kw_only=True)
class BatchOptions:
    """Where results and account of a batch go, and what is done again.

    ``journal`` is None without one, ``report`` without a contact sheet.
    """

    out: Path
    journal: Path | None
    report: Path | None
    overwrite: bool
    retry_failed: bool
    resubmit_unknown: bool
    verify: bool


def stop(text: str, code: Exit = Exit.BAD_INPUT) -> NoReturn:
    """Raise `Wrong`."""
    raise Wrong(text, code) from None


def checked(make: Callable[[], T]) -> T:
    """Return what ``make`` returns. Raises `Wrong` where it raises `InvalidOperation`."""
    try:
        return make()
    except InvalidOperation as error:
        stop(explain(error, fields=True))


def service_from(arguments: argparse.Namespace) -> Service | None:
    """Read the options that say who does it; ``None``: the client chooses. Raises `Wrong`."""
    name = arguments.service
    path = getattr(arguments, "path", None)
    if path is not None and name != "rapidapi":
        stop("--path belongs to --service rapidapi.")
    if arguments.url is not None:
        if name not in {None, "local"}:
            stop(f"--url is for a local engine elsewhere, and this is --service {name}.")
        engine_key = os.environ.get("AILAB_ENGINE_KEY") or None
        return checked(lambda: Service.local(arguments.url, api_key=engine_key))
    match name:
        case "local":
            return Service.local()
        case "direct":
            key = _key("AILAB_API_KEY", "direct")
            return checked(lambda: Service.direct(key))
        case "rapidapi":
            return _rapidapi(arguments, path)
        case _:
            return None


def folder_from(arguments: argparse.Namespace) -> Path:
    """Return the folder for the results. Raises `Wrong`."""
    if not arguments.out.strip():
        stop("--out must name a folder; for this one give a dot: --out .")
    return Path(arguments.out)


def batch_options_from(arguments: argparse.Namespace) -> BatchOptions:
    """Read the options that all commands for many pictures have. Raises `Wrong`."""
    out = folder_from(arguments)
    if arguments.no_journal:
        for name in ("journal", "retry_failed", "resubmit_unknown", "verify"):
            if getattr(arguments, name):
                option = name.replace("_", "-")
                stop(f"--{option} goes by the journal: leave --no-journal away.")
    for name in ("journal", "report"):
        path = getattr(arguments, name)
        if path is not None and not path.strip():
            stop(f"--{name} must name a file.")
        if path is not None and Path(path).is_dir():
            stop(f"--{name} {path} is a folder: name a file in it.", Exit.CANNOT_WRITE)
    journal = None
    if not arguments.no_journal:
        journal = journal_beside(out) if arguments.journal is None else Path(arguments.journal)
    return BatchOptions(
        out=out,
        journal=journal,
        report=None if arguments.report is None else Path(arguments.report),
        overwrite=arguments.overwrite,
        retry_failed=arguments.retry_failed,
        resubmit_unknown=arguments.resubmit_unknown,
        verify=arguments.verify,
    )


def journal_beside(out: Path) -> Path:
    """Return the journal of an output folder: beside it, so that it holds results only."""
    if out.name and out.name != "..":
        return out.with_name(f"{out.name}{JOURNAL_ENDING}")
    whole = Path(os.path.realpath(out))
    return whole.with_name(f"{whole.name}{JOURNAL_ENDING}") if whole.name else Path(JOURNAL_ENDING)


def _rapidapi(arguments: argparse.Namespace, path: str | None) -> Service:
    key = _key("AILAB_RAPIDAPI_KEY", "rapidapi")
    if not hasattr(arguments, "path"):
        return checked(lambda: Service.rapidapi(key))
    if path is None or not path.startswith("/"):
        hint = "it is shown in the API's listing there, as POST /…"
        stop(f"--service rapidapi needs --path with the submit path; {hint}.")
    return checked(lambda: Service.rapidapi(key, paths={HDColorMigration.name: path}))


def _key(variable: str, service: str) -> str:
    key = os.environ.get(variable, "")
    if not key.strip():
        stop(f"--service {service} needs a key in {variable}; --service local needs none.")
    return key
