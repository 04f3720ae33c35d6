"""Result files that tell the journal when they are saved, wherever their user puts them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from ..errors import JournalError
from ..events import logger

if TYPE_CHECKING:
    import os

    from ..files import Files
    from ..operations import ResultFile
    from .account import Account

__all__ = ["TellingStore"]


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
