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
from .exits import MEANINGS, Exit
from .streams import every_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_LAST_PORT: Final = 65535
_MOST_WORKERS: Final = 1024

_COLOR_EPILOG: Final = """\
examples:
  ailab color harbour.jpg                          one new colouring, in out/harbour-1.jpg
  ailab color *.jpg --colors 4 --degree 0.6        four of each photo
  ailab color harbour.jpg --template 056A6B,C0392B
  ailab color harbour.jpg --ref sunset.jpg
  ailab color scan.webp --fit                      convert and scale it where it must be

services:
  The environment variable AILAB_API_KEY chooses the service "direct", AILAB_ENGINE_URL the local
  engine at that address (ailab serve), as --url does; only one of them may be set. Without either,
  and with --service local, the pictures are made by the command itself. Which service does the
  work is said before it begins. --service rapidapi takes its key from AILAB_RAPIDAPI_KEY; an
  engine elsewhere that wants a key gets that in AILAB_ENGINE_KEY.

output:
  The paths of the files that were made go to standard output, a line each; everything else goes to
  standard error. With --json, standard output holds one JSON object a photo, a line each.

exit codes:
"""


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
    parser = _parser()
    arguments, surplus = parser.parse_known_args(argv)
    if surplus:
        hint = ""
        if all(re.fullmatch("#?[0-9A-Fa-f]{6}", word) for word in surplus):
            hint = "; colours of --template want commas between them, and no spaces"
        parser.error(f"unrecognized arguments: {' '.join(surplus)}{hint}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ailab",
        description="Image operations of the AILabTools API, hosted or on this computer.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ailab {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Parser
    )
    _add_color(commands)
    _add_serve(commands)
    return parser


def _add_color(commands: argparse._SubParsersAction[_Parser]) -> None:
    color = commands.add_parser(
        "color",
        help="give photos new colours",
        description="Give photos new colours (HD colour migration).",
        epilog=_COLOR_EPILOG + _exit_codes(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    color.add_argument("photos", metavar="PHOTO", nargs="+", help="JPEG or PNG, RGB, up to 3 MB")
    how = color.add_argument_group("colours")
    how.add_argument(
        "--mode",
        choices=["auto", "template", "ref"],
        help="where the colours come from (default: what --template or --ref imply, else auto)",
    )
    how.add_argument(
        "--colors", metavar="N", help="auto: how many colourings of each photo, 1 to 8 (default: 1)"
    )
    how.add_argument("--template", metavar="HEX,…", help="template: 1 to 7 colours, as 056A6B")
    how.add_argument("--ref", metavar="PHOTO", help="ref: the photo whose colours are taken")
    how.add_argument("--degree", metavar="D", help="how strongly, 0 to 1 (default: 0.4)")
    color.add_argument(
        "--fit",
        action="store_true",
        help="make photos acceptable (convert, turn upright, scale) instead of refusing them",
    )
    where = color.add_argument_group("files")
    where.add_argument(
        "--out", metavar="FOLDER", default="out", help="folder for the results (default: out)"
    )
    where.add_argument("--overwrite", action="store_true", help="replace files of the same name")
    service = color.add_argument_group("service")
    service.add_argument("--service", choices=["local", "direct", "rapidapi"], help="who does it")
    service.add_argument("--url", metavar="URL", help="a local engine elsewhere (ailab serve)")
    service.add_argument(
        "--path", metavar="PATH", help="rapidapi: the submit path, from the API's listing"
    )
    said = color.add_argument_group("what is printed")
    said.add_argument("--json", action="store_true", help="one JSON object a photo, a line each")
    said.add_argument("--quiet", "-q", action="store_true", help="nothing but errors")
    color.set_defaults(run=_color)


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
        "--data", metavar="FOLDER", help="folder for result files (default: a temporary one)"
    )
    serve.add_argument(
        "--key",
        action="append",
        metavar="KEY",
        help="accept this API key only; may be repeated (better: AILAB_ENGINE_KEY, as other users "
        "of this computer can see command lines)",
    )
    serve.set_defaults(run=_serve)


def _color(arguments: argparse.Namespace) -> int:
    from .color import color  # noqa: PLC0415 - only the command that is used is loaded

    return color(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    from .serve import serve  # noqa: PLC0415 - only the command that is used is loaded

    return serve(arguments)


def _exit_codes() -> str:
    return "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())


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
