"""The commands for many pictures and what they take, for argparse; nothing is loaded for it."""

from __future__ import annotations

import argparse
from typing import Any, Final

from .exits import MEANINGS

__all__ = ["add_picture_commands", "add_said", "add_service", "describe", "exit_codes"]

_SERVICES: Final = """\
services:
  The environment variable AILAB_API_KEY chooses the service "direct", AILAB_ENGINE_URL the local
  engine at that address (ailab serve), as --url does; only one of them may be set. Without either,
  and with --service local, the pictures are made by the command itself. Which service does the
  work is said before it begins. --service rapidapi takes its key from AILAB_RAPIDAPI_KEY; an
  engine elsewhere that wants a key gets that in AILAB_ENGINE_KEY.
"""

_JOURNAL: Final = """\
again:
  What is done and paid for is written into a journal beside the output folder. The same command
  again goes on where it stopped: it leaves alone what is saved, waits for what is open at the
  service, and sends the rest. Ctrl-C stops within two seconds; a second one at once.
"""

_OUTPUT: Final = """\
output:
  The paths of the files that were made go to standard output, a line each; everything else goes to
  standard error. With --json, standard output holds one JSON object a picture, a line each.
"""

_EXAMPLES: Final = {
    "color": """\
examples:
  ailab color harbour.jpg                          one new colouring, in out/harbour-1.jpg
  ailab color photos --colors 4 --degree 0.6       four of each photo in a folder
  ailab color harbour.jpg --template 056A6B,C0392B
  ailab color harbour.jpg --ref sunset.jpg
  ailab color scan.webp --fit                      convert and scale it where it must be
  ailab color photos --report report.html          with a page of before and after
""",
    "erase": """\
examples:
  ailab erase street.jpg --mask poles.png          what is white in the mask is taken out
  ailab erase photos --masks masks                 photos/a.jpg by masks/a.png, and so on
""",
    "motion": """\
examples:
  ailab motion lake.jpg --sky                      a video in which the sky moves
  ailab motion portraits --hair --sky
""",
    "cartoon": """\
examples:
  ailab cartoon portrait.jpg --style vintage-comic
  ailab cartoon portraits --style 5
""",
}


def add_picture_commands(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``color``, ``erase``, ``motion`` and ``cartoon``."""
    color = _add(
        commands,
        "color",
        "give photos new colours",
        "Give photos new colours (HD colour migration).",
    )
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
    _add_shared(color, path=True)

    erase = _add(
        commands, "erase", "take things out of photos", "Take out of photos what a mask covers."
    )
    masks = erase.add_argument_group("masks (white is taken out; each of its photo's size)")
    masks.add_argument("--mask", metavar="FILE", help="one mask for all photos")
    masks.add_argument("--masks", metavar="FOLDER", help="a mask for each photo, by the same name")
    _add_shared(erase)

    motion = _add(
        commands, "motion", "make photos move", "Make videos in which sky or hair moves slightly."
    )
    what = motion.add_argument_group("what moves")
    what.add_argument("--sky", action="store_true", help="the sky")
    what.add_argument("--hair", action="store_true", help="the hair")
    _add_shared(motion)

    cartoon = _add(commands, "cartoon", "draw photos as cartoons", "Draw photos in a style.")
    style = cartoon.add_argument_group("style")
    style.add_argument(
        "--style",
        metavar="NAME|0-8",
        required=True,
        help="vintage-comic, fairy-tale-3d, two-dimensional, refreshing-and-elegant, "
        "future-technology, chinese-painting, general-in-battles, colorful-cartoon, "
        "graceful-chinese; or 0 to 8",
    )
    _add_shared(cartoon)


def describe(*parts: str) -> str:
    """Return what stands below the options: these parts, then the exit codes."""
    return "\n".join([*parts, "exit codes:\n" + exit_codes()])


def exit_codes() -> str:
    """Return the exit codes, a line each."""
    return "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())


def add_service(parser: argparse.ArgumentParser, *, path: bool = False) -> None:
    """Add the options that say who does the work; ``path`` is for RapidAPI."""
    service = parser.add_argument_group("service")
    service.add_argument("--service", choices=["local", "direct", "rapidapi"], help="who does it")
    service.add_argument("--url", metavar="URL", help="a local engine elsewhere (ailab serve)")
    if path:
        service.add_argument(
            "--path", metavar="PATH", help="rapidapi: the submit path, from the API's listing"
        )


def add_said(parser: argparse.ArgumentParser, *, what: str) -> None:
    """Add ``--json`` and ``--quiet``."""
    said = parser.add_argument_group("what is printed")
    said.add_argument("--json", action="store_true", help=what)
    said.add_argument("--quiet", "-q", action="store_true", help="nothing but errors")


def _add(
    commands: argparse._SubParsersAction[Any],
    name: str,
    brief: str,
    description: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=brief,
        description=description,
        epilog=describe(_EXAMPLES[name], _SERVICES, _JOURNAL, _OUTPUT),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "photos", metavar="PICTURE", nargs="+", help="files, folders, or patterns as 'a/*.jpg'"
    )
    parser.set_defaults(run=_run, command=name)
    return parser


def _add_shared(parser: argparse.ArgumentParser, *, path: bool = False) -> None:
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument("--recursive", "-r", action="store_true", help="folders in folders too")
    pictures.add_argument(
        "--fit",
        action="store_true",
        help="make pictures acceptable (convert, turn upright, scale) instead of refusing them",
    )
    where = parser.add_argument_group("files")
    where.add_argument(
        "--out", metavar="FOLDER", default="out", help="folder for the results (default: out)"
    )
    where.add_argument("--overwrite", action="store_true", help="replace files of the same name")
    where.add_argument(
        "--report", metavar="FILE", help="write a contact sheet: one page (HTML), before and after"
    )
    journal = parser.add_argument_group("journal")
    journal.add_argument(
        "--journal", metavar="FILE", help="where it is (default: FOLDER.ailab.sqlite beside --out)"
    )
    journal.add_argument(
        "--no-journal", action="store_true", help="keep none; the same again is paid for again"
    )
    journal.add_argument(
        "--retry-failed",
        action="store_true",
        help="send again what the service refused or failed to do",
    )
    journal.add_argument(
        "--resubmit-unknown",
        action="store_true",
        help="send again what is held, which may be paid for twice",
    )
    journal.add_argument(
        "--verify",
        action="store_true",
        help="look at the bytes of results that are there, not only at their size",
    )
    add_service(parser, path=path)
    add_said(parser, what="one JSON object a picture, a line each")


def _run(arguments: argparse.Namespace) -> int:
    from .batch import run  # noqa: PLC0415 - only the command that is used is loaded

    return run(arguments)
