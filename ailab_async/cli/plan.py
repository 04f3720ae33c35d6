"""What can be known before anything is sent: shared pictures, names, the folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from ..errors import InvalidOperation
from ..events import Event, PictureFitted
from ..images import load_part
from ..images.sources import source_stem
from .exits import Exit
from .explain import explain
from .options import Wrong
from .output import Photo
from .pictures import is_picture, look_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .jobs import Job
    from .pictures import Found

__all__ = ["changed_since", "check_names", "check_shared", "prepare_folder", "remove_empty"]


async def check_shared(job: Job, fitted: Callable[[str, tuple[str, ...]], None]) -> None:
    """Read and measure the pictures that go with all others, as ``--ref``. Raises `Wrong`.

    ``fitted`` is told of one that must be made acceptable.
    """
    for shared in job.shared:

        def heard(event: Event, path: str = shared.path) -> None:
            if isinstance(event, PictureFitted):
                fitted(path, event.changes)

        text = await anyio.to_thread.run_sync(look_at, shared.path)
        try:
            if not text:
                name = shared.option.removeprefix("--")
                await load_part(shared.path, shared.rules, field=name, fit=job.fit, on_event=heard)
        except InvalidOperation as error:
            text = explain(error, fit=job.fit).removeprefix(f"{shared.option} ")
            text = text.removeprefix("the mask ")
        if text:
            message = f"{shared.option} {shared.path}: {text}"
            raise Wrong(message)


def check_names(job: Job, found: Found, out: Path) -> None:
    """Leave out the pictures whose results could replace the wrong thing. Blocks.

    For ``--overwrite`` only: without it nothing is ever replaced, and results whose names are
    taken get others.
    """
    inputs = [*found.paths, *(shared.path for shared in job.shared)]
    folder = Path(os.path.realpath(out))
    sources = {
        Path(path).stem.casefold(): path
        for path in inputs
        if Path(os.path.realpath(path)).parent == folder
    }
    barriers = _folders_in(out)
    free: list[str] = []
    for path in found.paths:
        stem = (source_stem(path) or "").casefold()
        names = [f"{stem}-{number + 1}" for number in range(job.results)]
        source = next((sources[name] for name in names if name in sources), None)
        barrier = next((barriers[name] for name in names if name in barriers), None)
        if source is not None:
            text = f"a result could replace the picture {source}: choose another --out."
            _leave_out(found, path, text)
        elif barrier is not None:
            text = (
                f"{out / barrier} is a folder, which no result replaces: rename it, or choose "
                "another --out."
            )
            _leave_out(found, path, text)
        else:
            free.append(path)
    found.paths = free


def prepare_folder(out: Path) -> tuple[list[Path], int]:
    """Make the folder and see that it can be written. Blocks; raises `Wrong`.

    Returns the folders that were made, the innermost first, and the time by the clock of the
    folder's disk, in nanoseconds: what changes from now on is not older than that.
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
        with tempfile.TemporaryFile(dir=out) as probe:
            now = os.fstat(probe.fileno()).st_mtime_ns
    except OSError as error:
        why = error.strerror or str(error)
        remove_empty(made)
        text = f"cannot write to --out {out}: {why}. Nothing was sent."
        raise Wrong(text, Exit.CANNOT_WRITE) from None
    return made, now


def changed_since(paths: Iterable[str], moment: int) -> bool:
    """Whether a file was written since then, as `prepare_folder` told the time. Blocks."""
    for path in paths:
        with contextlib.suppress(OSError):
            if os.stat(path).st_mtime_ns >= moment:  # noqa: PTH116 - 100,000 of them
                return True
    return False


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that were made for results which never came. Blocks."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _leave_out(found: Found, path: str, text: str) -> None:
    photo = Photo(path=path, message=text, exit_code=Exit.CANNOT_WRITE, refused=True)
    found.left_out.append(photo)


def _folders_in(out: Path) -> dict[str, str]:
    """Return the folders that are called like results, by their stem."""
    try:
        found = [path for path in out.iterdir() if is_picture(path.name)]
        return {
            path.stem.casefold(): path.name
            for path in found
            if path.is_dir() and not path.is_symlink()
        }
    except OSError:
        return {}
