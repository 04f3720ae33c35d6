"""What is to be done with each picture, from the options of ``color``, ``erase`` and the others.

A job makes an operation of a picture's path. Whatever is wrong with its options is said when it is
made, once, and not for every picture.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from ..operations import (
    Auto,
    CartoonGenerator,
    CartoonStyle,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Motion,
    Operation,
    RefPic,
    Template,
)
from .options import checked, stop
from .pictures import is_picture, pictures_in

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from ..images import PictureRules

__all__ = ["Job", "Shared", "job_from", "style_names"]

_COLOR: Final = re.compile(r"#?[0-9A-Fa-f]{6}")
"""What is a colour of ``--template``, and hardly the name of a photo."""

_OWNER: Final = {"colors": "auto", "template": "template", "ref": "ref"}


@frozen(kw_only=True)
class Shared:
    """A picture that goes with all others, such as ``--ref``; ``option`` is what named it."""

    option: str
    path: str
    rules: PictureRules


@frozen(kw_only=True)
class Job:
    """The same for all pictures.

    ``operation`` makes the operation for one path, whose file is not looked at yet; ``missing``
    says what a picture lacks, empty where nothing. ``results`` is how many files each gives.
    """

    kind: type[Operation[Any]]
    operation: Callable[[str], Operation[Any]]
    fit: bool
    results: int = 1
    shared: tuple[Shared, ...] = ()
    missing: Callable[[str], str] = field(default=lambda _: "")


def job_from(arguments: argparse.Namespace) -> Job:
    """Read the options of the command that was given. Raises `Wrong`."""
    make = {"color": _color, "erase": _erase, "motion": _motion, "cartoon": _cartoon}
    job = make[arguments.command](arguments)
    if not job.missing("photo"):
        # a wrong degree is one mistake, not one for each photo
        checked(lambda: job.operation("photo"))
    return job


def style_names() -> list[str]:
    """Return what ``--style`` takes, beside numbers: the names in the order of their numbers."""
    return [style.name.lower().replace("_", "-") for style in CartoonStyle]


# --- color ----------------------------------------------------------------------------------------


def _color(arguments: argparse.Namespace) -> Job:
    given = [name for name in _OWNER if getattr(arguments, name) is not None]
    implied = [_OWNER[name] for name in given]
    if arguments.mode is None and len(given) > 1:
        stop(f"--{given[0]} and --{given[1]} are of different modes: give one of them.")
    name = arguments.mode or (implied[0] if implied else "auto")
    for option, owner in zip(given, implied, strict=True):
        if owner != name:
            stop(f"--{option} belongs to --mode {owner}, and this is --mode {name}.")
    mode: Auto | Template | RefPic
    shared: tuple[Shared, ...] = ()
    results = 1
    match name:
        case "template":
            if arguments.template is None:
                stop("--mode template needs --template with 1 to 7 colours, as 056A6B,C0392B.")
            colors = [color.strip() for color in arguments.template.split(",")]
            _check_commas(colors, arguments.photos)
            mode = checked(lambda: Template(*colors))
        case "ref":
            if arguments.ref is None:
                stop("--mode ref needs --ref with the photo whose colours are to be taken.")
            mode = checked(lambda: RefPic(arguments.ref))
            rules = HDColorMigration("photo", mode).pictures()["ref"][1]
            shared = (Shared(option="--ref", path=arguments.ref, rules=rules),)
        case _:
            results = _whole(arguments.colors)
            mode = checked(lambda: Auto(color_count=results))
    degree = _number(arguments.degree)
    return Job(
        kind=HDColorMigration,
        operation=lambda photo: HDColorMigration(photo, mode, degree=degree, fit=arguments.fit),
        fit=arguments.fit,
        results=results,
        shared=shared,
    )


def _check_commas(colors: Iterable[str], photos: Iterable[str]) -> None:
    """Stop where colours are parted by spaces, within the option or as if they were photos."""
    stray = [name for name in photos if _COLOR.fullmatch(name) and not Path(name).exists()]
    if stray or any(len(color.split()) > 1 for color in colors):
        stop("--template wants commas between its colours, and no spaces: 056A6B,C0392B.")


def _number(text: str | None) -> float:
    if text is None:
        return 0.4
    try:
        return float(text)
    except ValueError:
        stop(f"--degree must be a number from 0 to 1, not {text!r}.")


def _whole(text: str | None) -> int:
    if text is None:
        return 1
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        stop(f"--colors must be a whole number from 1 to 8, not {text!r}.")
    return int(text)


# --- erase ----------------------------------------------------------------------------------------


def _erase(arguments: argparse.Namespace) -> Job:
    mask, masks = arguments.mask, arguments.masks
    if (mask is None) == (masks is None):
        stop("give either --mask with one mask for all, or --masks with a folder of masks.")
    rules = ImageErasure("photo", "mask").pictures()["user_mask"][1]
    if mask is not None:
        checked(lambda: ImageErasure("photo", mask))
        return Job(
            kind=ImageErasure,
            operation=lambda photo: ImageErasure(photo, mask, fit=arguments.fit),
            fit=arguments.fit,
            shared=(Shared(option="--mask", path=mask, rules=rules),),
        )
    by_stem = _masks_in(masks)
    return Job(
        kind=ImageErasure,
        operation=lambda photo: ImageErasure(photo, by_stem[_stem(photo)], fit=arguments.fit),
        fit=arguments.fit,
        missing=lambda photo: (
            "" if _stem(photo) in by_stem else f"there is no mask {_stem(photo)}.* in {masks}."
        ),
    )


def _masks_in(folder: str) -> dict[str, str]:
    """Return the masks of a folder by their stem; of two with one stem it cannot be told which."""
    if not Path(folder).is_dir():
        stop(f"--masks {folder!r} is no folder: name the folder that holds the masks.")
    found: dict[str, str] = {}
    for path in pictures_in(folder):
        stem = _stem(path)
        if stem in found:
            stop(f"--masks {folder}: {found[stem]} and {path} have the same name. Keep one.")
        found[stem] = path
    if not found:
        stop(f"--masks {folder} has no pictures in it.")
    return found


def _stem(path: str) -> str:
    name = Path(path).name
    return Path(name).stem if is_picture(name) else name


# --- motion, cartoon ------------------------------------------------------------------------------


def _motion(arguments: argparse.Namespace) -> Job:
    motion = Motion(0)
    if arguments.sky:
        motion |= Motion.SKY
    if arguments.hair:
        motion |= Motion.HAIR
    if not motion:
        stop("say what moves: --sky, --hair, or both.")
    return Job(
        kind=MicroMotion,
        operation=lambda photo: MicroMotion(photo, motion, fit=arguments.fit),
        fit=arguments.fit,
    )


def _cartoon(arguments: argparse.Namespace) -> Job:
    names = style_names()
    said = arguments.style.strip().lower().replace("_", "-")
    if said in names:
        style = CartoonStyle(names.index(said))
    elif re.fullmatch("[0-9]", said) and int(said) < len(names):
        style = CartoonStyle(int(said))
    else:
        stop(f"--style must be 0 to 8 or one of {', '.join(names)}, not {arguments.style!r}.")
    return Job(
        kind=CartoonGenerator,
        operation=lambda photo: CartoonGenerator(photo, style, fit=arguments.fit),
        fit=arguments.fit,
    )
