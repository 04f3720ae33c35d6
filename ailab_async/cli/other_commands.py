"""The commands for one thing and what they take, for argparse; nothing is loaded for it."""

from __future__ import annotations

import argparse
from typing import Any, Final

from .commands import add_service, describe

__all__ = ["SHELLS", "add_other_commands"]

SHELLS: Final = ("bash", "zsh", "fish")

_CALL: Final = """\
examples:
  ailab call remove-objects image=@street.jpg mask=@poles.png
  ailab catalogue remove-objects                   which fields it takes

  The answer goes to standard output as JSON, as the service gave it; its files go to --out.
"""

_TASK: Final = """\
examples:
  ailab task 5f1c…                                 wait for it, and save its files in out
  ailab task 5f1c… --operation color --name harbour

  Results are kept at the service for 24 hours.
"""

_COMPLETION: Final = """\
to be put into the shell's start file:
  bash   eval "$(ailab completion bash)"           in ~/.bashrc
  zsh    eval "$(ailab completion zsh)"            in ~/.zshrc, after compinit
  fish   ailab completion fish | source            in ~/.config/fish/config.fish
"""


def add_other_commands(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``call``, ``task``, ``credits``, ``catalogue``, ``journal`` and ``completion``."""
    call = _add(commands, "call", "call any endpoint of the catalogue", _call, describe(_CALL))
    call.add_argument("endpoint", metavar="ENDPOINT", help="its name, as ailab catalogue lists it")
    call.add_argument(
        "fields", metavar="FIELD=VALUE", nargs="*", help="its fields; a file as FIELD=@FILE"
    )
    call.add_argument("--fit", action="store_true", help="make pictures acceptable")
    _add_files(call)
    add_service(call)
    _add_quiet(call)

    task = _add(commands, "task", "wait for a task and save its files", _task, describe(_TASK))
    task.add_argument("id", metavar="ID", help="the task id")
    task.add_argument(
        "--operation", metavar="NAME", help="what it was: color, cartoon, or an endpoint's name"
    )
    task.add_argument("--name", metavar="NAME", help="what its files are called (default: the id)")
    _add_files(task)
    add_service(task)
    said = _add_quiet(task)
    said.add_argument("--json", action="store_true", help="one JSON object")

    left = _add(commands, "credits", "show what is left on the account", _credits, describe())
    add_service(left)
    _add_quiet(left).add_argument("--json", action="store_true", help="the service's own list")

    catalogue = _add(commands, "catalogue", "list the service's endpoints", _catalogue, describe())
    catalogue.add_argument(
        "search", metavar="SEARCH", nargs="*", help="words of a name or title; one hit is explained"
    )
    catalogue.add_argument("--json", action="store_true", help="as JSON, with all fields")

    _add_journal(commands)

    completion = _add(
        commands, "completion", "print a script for the shell", _completion, _COMPLETION
    )
    completion.add_argument("shell", choices=SHELLS, help="which shell")


def _add_journal(commands: argparse._SubParsersAction[Any]) -> None:
    journal = _add(commands, "journal", "look into the journal of a batch", None, describe())
    actions = journal.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = _add(actions, "show", "count what it holds, and list what went wrong", _journal, None)
    retry = _add(actions, "retry", "have the next run send pictures again", _journal, None)
    export = _add(actions, "export", "write all of it as CSV or JSON", _journal, None)
    for action, parser in (("show", show), ("retry", retry), ("export", export)):
        parser.add_argument("file", metavar="FILE", help="the journal, as out.ailab.sqlite")
        parser.set_defaults(action=action)
    retry.add_argument("--failed", action="store_true", help="those the service refused or failed")
    retry.add_argument(
        "--unknown", action="store_true", help="those that are held, which may be paid for twice"
    )
    export.add_argument(
        "--format", choices=["csv", "json"], default="csv", help="how (default: csv)"
    )
    export.add_argument(
        "--output", "-o", metavar="FILE", help="where to (default: standard output)"
    )


def _add(
    commands: argparse._SubParsersAction[Any],
    name: str,
    brief: str,
    run: Any,
    below: str | None,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=brief,
        description=f"{brief[0].upper()}{brief[1:]}.",
        epilog=below,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if run is not None:
        parser.set_defaults(run=run)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("files")
    where.add_argument(
        "--out", metavar="FOLDER", default="out", help="folder for the results (default: out)"
    )
    where.add_argument("--overwrite", action="store_true", help="replace files of the same name")


def _add_quiet(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    said = parser.add_argument_group("what is printed")
    said.add_argument("--quiet", "-q", action="store_true", help="nothing but answers and errors")
    return said


# Only the command that is used is loaded.


def _call(arguments: argparse.Namespace) -> int:
    from .call import call  # noqa: PLC0415 - as above

    return call(arguments)


def _task(arguments: argparse.Namespace) -> int:
    from .task import task  # noqa: PLC0415 - as above

    return task(arguments)


def _credits(arguments: argparse.Namespace) -> int:
    from .account import credits_left  # noqa: PLC0415 - as above

    return credits_left(arguments)


def _catalogue(arguments: argparse.Namespace) -> int:
    from .listing import listing  # noqa: PLC0415 - as above

    return listing(arguments)


def _journal(arguments: argparse.Namespace) -> int:
    from .journal import journal  # noqa: PLC0415 - as above

    return journal(arguments)


def _completion(arguments: argparse.Namespace) -> int:
    from . import make_parser  # noqa: PLC0415 - which imports this module
    from .completion import completion  # noqa: PLC0415 - as above

    return completion(make_parser(), arguments.shell)
