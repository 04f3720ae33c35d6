"""What the engine knows of a task: its work, its state, and how it ended."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BY_JOB_SECONDS", "KEPT_SECONDS", "EngineTask", "Failure", "Problem", "State", "Work"]

KEPT_SECONDS: Final = 24 * 3600.0
"""How long a task and its files are kept after its end; the hosted service keeps them as long."""

BY_JOB_SECONDS: Final = 30 * 60.0
"""How long an ended task is answered for by its job id (the older page, "by job id")."""


class State(enum.IntEnum):
    """Where a task is; the first three are the numbers of the wire (``task_status``)."""

    QUEUED = 0
    PROCESSING = 1
    SUCCEEDED = 2
    FAILED = -1  # never sent: by task id a failed task is an error envelope


class Failure(enum.StrEnum):
    """How a task failed: the words of the query by job id."""

    PROCESS_FAILED = "PROCESS_FAILED"
    """The picture could not be worked on."""
    TIMEOUT_FAILED = "TIMEOUT_FAILED"
    """It took longer than a task may."""
    LIMIT_RETRY_FAILED = "LIMIT_RETRY_FAILED"
    """Its worker died under it, and again each time it was tried once more."""


@frozen
class Problem:
    """Why a task failed: its kind, an error code of the service, and a sentence.

    Only codes that are about the task: on a look, those of passing trouble (``UNKNOWN_ERROR``,
    ``FILE_SERVICE_ERROR``) would be taken for trouble of the look, and the task for alive.
    """

    kind: Failure
    code: str
    message: str


@frozen(kw_only=True)
class Work:
    """What is to be done.

    ``operation`` is the offer's name, ``job`` what the worker is told, ``uploads`` are the names
    of the uploaded pictures. ``awaited`` says that a request waits for the result and nobody can
    ask for it later: such work is not taken up again by the next engine.
    """

    operation: str
    job: Mapping[str, Any]
    uploads: tuple[str, ...] = ()
    awaited: bool = False


@define(eq=False, kw_only=True)
class EngineTask:
    """The record of one task. Times are seconds since 1970.

    ``owner`` is a hash of the key that it was submitted with, and only there to share the workers
    out between keys. ``begun`` and ``over`` are set when a worker gets it and when it has ended;
    they belong to this process.
    """

    work: Work
    owner: str
    created: float
    id: str
    request_id: str
    state: State = State.QUEUED
    attempts: int = 0
    results: tuple[str, ...] = ()
    problem: Problem | None = None
    ended: float | None = None
    begun: asyncio.Event = field(default=Factory(asyncio.Event), repr=False)
    over: asyncio.Event = field(default=Factory(asyncio.Event), repr=False)
