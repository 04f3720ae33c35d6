"""The asyncio client for the AILabTools image service, with a local engine of its own.

::

    async with AsyncClient() as client:
        result = await client.run(HDColorMigration("harbour.jpg", Auto(color_count=4)))
        await result.save("out/")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch.entries import EntryState
    from .batch.journal import Journal
    from .batch.outcomes import Outcome, Progress, Timings
    from .batch.stream import Outcomes
    from .client import AsyncClient
    from .errors import (
        AILabError,
        AuthenticationError,
        BatchStopped,
        ClientClosed,
        ClientMisused,
        CreditsExhausted,
        DeliveryError,
        DownloadFailed,
        EndpointRetired,
        FileKept,
        InputRejected,
        InvalidOperation,
        JournalBroken,
        JournalConflict,
        JournalError,
        JournalInUse,
        JournalUnreadable,
        LimitRetryFailed,
        MalformedReply,
        MissingExtra,
        NotDelivered,
        NotFound,
        OutcomeUnknown,
        PlatformError,
        ProcessFailed,
        QuotaExceeded,
        ResultExpired,
        ServiceError,
        ServiceUnavailable,
        ServiceUnreachable,
        StateConflict,
        TaskCanceled,
        TaskError,
        TaskFailed,
        TaskNotFound,
        TaskTimeout,
        TaskUnsettled,
        Throttled,
        TimeoutFailed,
    )
    from .events import Event
    from .files import SavedFile
    from .operations import (
        Auto,
        CartoonGenerator,
        CartoonResult,
        CartoonStyle,
        ColorMigrationResult,
        Endpoint,
        EndpointResult,
        ErasureResult,
        HDColorMigration,
        ImageErasure,
        MicroMotion,
        Motion,
        MotionResult,
        Operation,
        RefPic,
        Result,
        ResultFile,
        Template,
        catalogue,
    )
    from .operations.balance import CreditBalance
    from .protocol.services import Service
    from .protocol.states import TaskState
    from .retry import RetryPolicy
    from .rhythm import PollPolicy
    from .task import Task, TaskReport, TaskUpdate
    from .transport import Timeouts

__version__ = "0.1.0"

__all__ = [
    "AILabError",
    "AsyncClient",
    "AuthenticationError",
    "Auto",
    "BatchStopped",
    "CartoonGenerator",
    "CartoonResult",
    "CartoonStyle",
    "ClientClosed",
    "ClientMisused",
    "ColorMigrationResult",
    "CreditBalance",
    "CreditsExhausted",
    "DeliveryError",
    "DownloadFailed",
    "Endpoint",
    "EndpointResult",
    "EndpointRetired",
    "EntryState",
    "ErasureResult",
    "Event",
    "FileKept",
    "HDColorMigration",
    "ImageErasure",
    "InputRejected",
    "InvalidOperation",
    "Journal",
    "JournalBroken",
    "JournalConflict",
    "JournalError",
    "JournalInUse",
    "JournalUnreadable",
    "LimitRetryFailed",
    "MalformedReply",
    "MicroMotion",
    "MissingExtra",
    "Motion",
    "MotionResult",
    "NotDelivered",
    "NotFound",
    "Operation",
    "Outcome",
    "OutcomeUnknown",
    "Outcomes",
    "PlatformError",
    "PollPolicy",
    "ProcessFailed",
    "Progress",
    "QuotaExceeded",
    "RefPic",
    "Result",
    "ResultExpired",
    "ResultFile",
    "RetryPolicy",
    "SavedFile",
    "Service",
    "ServiceError",
    "ServiceUnavailable",
    "ServiceUnreachable",
    "StateConflict",
    "Task",
    "TaskCanceled",
    "TaskError",
    "TaskFailed",
    "TaskNotFound",
    "TaskReport",
    "TaskState",
    "TaskTimeout",
    "TaskUnsettled",
    "TaskUpdate",
    "Template",
    "Throttled",
    "TimeoutFailed",
    "Timeouts",
    "Timings",
    "__version__",
    "catalogue",
]

# A name is looked up in its module when it is first used (PEP 562), so that ``import ailab_async``
# costs next to nothing where nothing is called. A test holds this table against the imports above.
_HOMES = {
    "batch.entries": "EntryState",
    "batch.journal": "Journal",
    "batch.outcomes": "Outcome Progress Timings",
    "batch.stream": "Outcomes",
    "client": "AsyncClient",
    "errors": (
        "AILabError AuthenticationError BatchStopped ClientClosed ClientMisused CreditsExhausted "
        "DeliveryError DownloadFailed EndpointRetired FileKept InputRejected "
        "InvalidOperation JournalBroken JournalConflict JournalError JournalInUse "
        "JournalUnreadable LimitRetryFailed MalformedReply MissingExtra NotDelivered "
        "NotFound OutcomeUnknown PlatformError ProcessFailed QuotaExceeded ResultExpired "
        "ServiceError ServiceUnavailable ServiceUnreachable "
        "StateConflict TaskCanceled TaskError TaskFailed "
        "TaskNotFound TaskTimeout TaskUnsettled Throttled TimeoutFailed"
    ),
    "events": "Event",
    "files": "SavedFile",
    "operations": (
        "Auto CartoonGenerator CartoonResult CartoonStyle ColorMigrationResult Endpoint "
        "EndpointResult ErasureResult HDColorMigration ImageErasure MicroMotion Motion "
        "MotionResult Operation RefPic Result ResultFile Template catalogue"
    ),
    "operations.balance": "CreditBalance",
    "protocol.services": "Service",
    "protocol.states": "TaskState",
    "retry": "RetryPolicy",
    "rhythm": "PollPolicy",
    "task": "Task TaskReport TaskUpdate",
    "transport": "Timeouts",
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names.split():
            value = getattr(importlib.import_module(f".{home}", __name__), name)
            globals()[name] = value
            return value
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
