"""What all operations of a batch share, and which failures are everybody's."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from attrs import define, field

from ..errors import (
    AuthenticationError,
    ClientClosed,
    CreditsExhausted,
    JournalBroken,
    QuotaExceeded,
    TaskUnsettled,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ..operations import Operation
    from ..rhythm import PollPolicy
    from ..session import Session
    from .entries import EntryState
    from .journal import Journal
    from .names import Names
    from .presence import Presence
    from .tally import Tally

__all__ = ["Context", "stops_everything"]

_STOPPING: Final = (
    AuthenticationError,
    ClientClosed,
    CreditsExhausted,
    JournalBroken,
    QuotaExceeded,
)

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def stops_everything(error: BaseException) -> bool:
    """Whether the rest of a batch would meet the same: no credits, a bad key, a full disk."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    unsettled = isinstance(error, TaskUnsettled) and isinstance(error.__cause__, _STOPPING)
    return unsettled or isinstance(error, _STOPPING)


@define(eq=False, kw_only=True)
class Context:
    """What all operations of a batch share."""

    session: Session
    policy: Callable[[Operation[Any]], PollPolicy]
    fits: Callable[[Operation[Any]], bool]
    journal: Journal | None
    tally: Tally
    names: Names | None
    overwrite: bool
    resubmit: frozenset[EntryState]
    presence: Presence
    sending: asyncio.Semaphore
    """For a few more than there are slots: were all to wait for one, each look would wait behind
    hundreds of uploads, and be that much too late."""
    under_way: dict[bytes, asyncio.Future[None]] = field(factory=dict)
    given: set[bytes] = field(factory=set)
    """Keys whose files somebody has got: whoever comes with the same has copies."""
    leaving: bool = False
    """Whether the batch is being left: nothing more is sent, and no task is waited for."""

    async def off_loop(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run what may block in one of the client's threads."""
        return await anyio.to_thread.run_sync(work, *args, limiter=self.session.threads)
