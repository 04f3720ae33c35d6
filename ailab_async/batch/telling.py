"""Result files of a batch with a journal: what becomes of them when they are read and saved.

Wherever their user saves them, the journal is told. Those that an earlier run has saved, and that
nobody else has any more, are read from the disk.
"""

from __future__ import annotations

import base64
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import anyio.to_thread
from attrs import evolve, frozen

from ..errors import JournalError
from ..events import logger
from ..operations import ResultFile

if TYPE_CHECKING:
    import os

    from ..files import Files, SavedFile
    from .account import Account

__all__ = ["TellingStore", "kept_files"]


@frozen
class TellingStore:
    """The ``FileStore`` of a batch with a journal that does not save by itself."""

    files: Files
    account: Account

    async def read(self, file: ResultFile) -> bytes:
        """Return the whole file. Reading is not saving: the journal is not told."""
        return await self.files.read(file)

    async def save(
        self, file: ResultFile, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> Path:
        """Save the file, and then tell the journal, which must be open still."""
        saved = await self.files.keep(file, path, overwrite=overwrite)
        try:
            await self.account.saved(int(file.name.rpartition("-")[2]), saved)
        except JournalError as error:
            # the file is there, and that is what was asked for
            logger.warning("%s was saved, but the journal was not told: %s", saved.path, error)
        return Path(saved.path)


def kept_files(files: Files, saved: tuple[SavedFile, ...]) -> tuple[ResultFile, ...]:
    """Return files that were saved as files of a result."""
    return tuple(
        ResultFile(path="", name=PurePath(file.path).stem, store=KeptStore(files, file.path))
        for file in saved
    )


@frozen
class KeptStore:
    """The ``FileStore`` of a file on disk."""

    files: Files
    path: str

    async def read(self, file: ResultFile) -> bytes:
        """Return the whole file. Raises ``OSError``."""
        del file  # it is the one at `path`
        return await anyio.to_thread.run_sync(
            Path(self.path).read_bytes, limiter=self.files.limiter
        )

    async def save(
        self, file: ResultFile, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> Path:
        """Save a copy, by the same rules as any other file."""
        data = await anyio.to_thread.run_sync(self._as_base64, limiter=self.files.limiter)
        return await self.files.save(evolve(file, base64=data), path, overwrite=overwrite)

    def _as_base64(self) -> str:
        return base64.b64encode(Path(self.path).read_bytes()).decode("ascii")
