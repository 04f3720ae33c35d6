"""What comes back: result files that read and save themselves, and the results that hold them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from ..errors import ClientClosed
from ..protocol.results import walk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

__all__ = [
    "CartoonResult",
    "ColorMigrationResult",
    "EndpointResult",
    "ErasureResult",
    "FileStore",
    "MotionResult",
    "Result",
    "ResultFile",
    "files_in",
]


class FileStore(Protocol):
    """What fetches and writes result files; the client has one."""

    async def read(self, file: ResultFile) -> bytes:
        """Return the whole file."""
        ...

    async def save(
        self, file: ResultFile, path: os.PathLike[str] | str, *, overwrite: bool = False
    ) -> Path:
        """Write the file to ``path`` and return where it is."""
        ...


@frozen(kw_only=True)
class ResultFile:
    """One file of a result, at the service or already here as base64.

    ``path`` says where it stood in the answer (``"data.image_list[0]"``), ``name`` what it is
    called without an extension (``"harbour-1"``), ``expires_at`` when it is gone from the service:
    24 hours after it was first seen (every page with a result address). A file that was pickled or
    copied is a value without a client: its fields can be read, the file no more.
    """

    path: str
    name: str
    url: str | None = field(default=None, repr=False)  # signed: whoever has it has the picture
    base64: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    task_id: str = ""
    _store: FileStore | None = field(default=None, alias="store", repr=False, eq=False)

    async def read(self) -> bytes:
        """Return the whole file, fetched or decoded.

        Raises `DownloadFailed`, `ResultExpired` once it is gone, and `ClientClosed` where the
        client it came from is closed or left behind in another process.
        """
        return await self._open_store().read(self)

    async def save(self, path: os.PathLike[str] | str, *, overwrite: bool = False) -> Path:
        """Write the file and return its path. Raises what `read` does, and `FileKept`.

        Where ``path`` is a folder, or ends with a slash, the file goes there by its ``name`` with
        the extension that its bytes ask for; any other path is taken as it is. The file is there
        whole or not at all, also after a cancellation.
        """
        return await self._open_store().save(self, path, overwrite=overwrite)

    def _open_store(self) -> FileStore:
        if self._store is None:
            message = "This result file has no client"
            if self.task_id:
                message += f"; get it again with client.attach({self.task_id!r})"
            message += "."
            raise ClientClosed(message)
        return self._store

    def __getstate__(self) -> dict[str, Any]:
        fields = ("path", "name", "url", "base64", "expires_at", "task_id")
        return {name: getattr(self, name) for name in fields}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in {**state, "_store": None}.items():
            object.__setattr__(self, name, value)


@frozen(kw_only=True)
class Result:
    """What an operation came to: its ``files`` in order, and ``raw``, the whole JSON answer.

    ``stem`` is what its files are called before their number.
    """

    files: tuple[ResultFile, ...]
    raw: Mapping[str, Any] = field(repr=False, hash=False)
    stem: str

    async def save(self, folder: os.PathLike[str] | str, *, overwrite: bool = False) -> list[Path]:
        """Save every file into ``folder`` and return the paths in order.

        All files are tried, at the same time; then the first error is raised, of which
        `ResultFile.save` says the kinds. A cancellation stops them all.
        """
        place = os.path.join(os.fspath(folder), "")  # noqa: PTH118 - the slash says: a folder
        saves = (file.save(place, overwrite=overwrite) for file in self.files)
        paths: list[Path] = []
        errors: list[BaseException] = []
        for outcome in await asyncio.gather(*saves, return_exceptions=True):
            if isinstance(outcome, BaseException):
                errors.append(outcome)
            else:
                paths.append(outcome)
        if errors:
            raise errors[0]
        return paths


@frozen(kw_only=True)
class ColorMigrationResult(Result):
    """The recoloured pictures; ``color_count`` of them in automatic mode, else one."""

    @property
    def images(self) -> tuple[ResultFile, ...]:
        """The pictures, in the service's order."""
        return self.files


@frozen(kw_only=True)
class ErasureResult(Result):
    """The picture without what was masked."""

    @property
    def image(self) -> ResultFile:
        """The picture."""
        return self.files[0]


@frozen(kw_only=True)
class MotionResult(Result):
    """The video made of a picture."""

    @property
    def video(self) -> ResultFile:
        """The video; which format it has is told by its bytes (AVI and MP4 were seen)."""
        return self.files[0]


@frozen(kw_only=True)
class CartoonResult(Result):
    """The cartoon made of a picture."""

    @property
    def image(self) -> ResultFile:
        """The picture."""
        return self.files[0]


@frozen(kw_only=True)
class EndpointResult(Result):
    """The answer of an endpoint of the catalogue; an analysis has no files."""

    @property
    def data(self) -> Any:
        """The field ``data`` of the answer, ``None`` where it has none."""
        return self.raw.get("data")


def files_in(
    raw: Any,
    *,
    stem: str,
    expires_at: datetime | None = None,
    task_id: str = "",
    store: FileStore | None = None,
) -> tuple[ResultFile, ...]:
    """Return the files of an answer, numbered from 1: ``harbour-1`` and so on.

    ``expires_at`` is given to those at the service; one that came as base64 does not expire.
    """
    return tuple(
        ResultFile(
            path=found.path,
            name=f"{stem}-{number}",
            url=found.url,
            base64=found.base64,
            expires_at=expires_at if found.url else None,
            task_id=task_id,
            store=store,
        )
        for number, found in enumerate(walk(raw), start=1)
    )
