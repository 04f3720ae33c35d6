"""The command ``ailab``.

Made with `argparse`: it is in the standard library, loads in 6 ms where typer takes 50, and lets
``ailab color`` work with no more than the library itself installed. Everything else is imported by
the subcommand that needs it.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final, NoReturn

from .. import __version__
from .commands import add_picture_commands
from .exits import Exit
from .other_commands import add_other_commands
from .streams import every_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "make_parser"]

_LAST_PORT: Final = 65535
_MOST_WORKERS: Final = 1024


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `SystemExit` after ``--help`` or wrong usage."""
    with every_stream():
        arguments = _parsed(argv)
        try:
            code: int = arguments.run(arguments)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        return code


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser()
    arguments, surplus = parser.parse_known_args(argv)
    if surplus:
        hint = ""
        if all(re.fullmatch("#?[0-9A-Fa-f]{6}", word) for word in surplus):
            hint = "; colours of --template want commas between them, and no spaces"
        parser.error(f"unrecognized arguments: {' '.join(surplus)}{hint}")
    return arguments


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    parser = _Parser(
        prog="ailab",
        description="Image operations of the AILabTools API, hosted or on this computer.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ailab {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Parser
    )
    add_picture_commands(commands)
    _add_serve(commands)
    add_other_commands(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[_Parser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the local engine as a server",
        description="Run the local engine as a server: the API's addresses, on this computer.",
        allow_abbrev=False,
    )
    serve.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=_port, default=8765, help="port (default: 8765; 0: any that is free)"
    )
    serve.add_argument(
        "--workers", type=_workers, metavar="N", help="worker processes (default: one a core)"
    )
    serve.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder for tasks and result files, which an engine started again goes on with "
        "(default: a temporary one)",
    )
    serve.add_argument(
        "--key",
        action="append",
        metavar="KEY",
        help="accept this API key only; may be repeated (better: AILAB_ENGINE_KEY, as other users "
        "of this computer can see command lines)",
    )
    serve.add_argument(
        "--access-log",
        action="store_true",
        help="write a line for each request to standard error: method, path, status, bytes, ms",
    )
    serve.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from .serve import serve  # noqa: PLC0415 - only the command that is used is loaded

    return serve(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        message = f"must be 0 to 65535, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_WORKERS:
        message = f"must be a whole number from 1, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)
