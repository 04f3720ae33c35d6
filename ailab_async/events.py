"""What happens, as frozen records handed to whoever listens.

A hook is any callable that takes one event: ``AsyncClient(on_event=print)``. It is called on the
event loop and must return quickly; what it raises is logged and goes no further. No event holds a
key, a query string or a signed URL. Standard ``logging`` gets the same under ``ailab_async``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar, Literal

from attrs import frozen

__all__ = [
    "Action",
    "Event",
    "EventHook",
    "ExchangeEvent",
    "Phase",
    "PictureFitted",
    "ServiceChosen",
    "Slowed",
    "StateUnknown",
    "TaskOrphaned",
    "TaskSettled",
    "emit",
    "listening",
    "logger",
]

logger = logging.getLogger("ailab_async")
logger.addHandler(logging.NullHandler())

Action = Literal["submit", "look", "download", "call"]
"""What an exchange is for: start an operation, query a task, fetch a file, anything else."""

Phase = Literal["started", "complete", "failed", "retrying"]


@frozen(kw_only=True)
class Event:
    """The root of all events."""

    _name: ClassVar[str]

    @property
    def name(self) -> str:
        """A dotted word, as ``submit.complete``."""
        return self._name


@frozen(kw_only=True)
class ServiceChosen(Event):
    """Which service this client talks to, and why: a forgotten key must not pass unseen."""

    service: str
    reason: str

    _name: ClassVar[str] = "service.chosen"


@frozen(kw_only=True)
class ExchangeEvent(Event):
    """One request and its answer.

    ``attempt`` counts from 1. ``seconds`` is the time since it started; ``sent`` and ``received``
    are bytes of the bodies. ``task_id`` is what a look asks for. ``error`` is the name of an
    error's class, ``wait`` the seconds until the next attempt.
    """

    action: Action
    phase: Phase
    host: str
    attempt: int = 1
    seconds: float = 0.0
    sent: int = 0
    received: int = 0
    http_status: int = 0
    task_id: str = ""
    error: str = ""
    wait: float = 0.0

    @property
    def name(self) -> str:
        """The action and the phase, as ``submit.complete``."""
        return f"{self.action}.{self.phase}"


@frozen(kw_only=True)
class Slowed(Event):
    """The service throttled us: ``limit`` requests may run at once, the next in ``wait`` s."""

    limit: int
    wait: float

    _name: ClassVar[str] = "throttled"


@frozen(kw_only=True)
class PictureFitted(Event):
    """A picture was made acceptable (``fit=True``); ``changes`` says how, in words."""

    field: str
    changes: tuple[str, ...]

    _name: ClassVar[str] = "picture.fitted"


@frozen(kw_only=True)
class StateUnknown(Event):
    """The service named a task state that no table knows; the task is waited for all the same."""

    task_id: str
    state: str

    _name: ClassVar[str] = "task.unknown_state"


@frozen(kw_only=True)
class TaskSettled(Event):
    """A task came to its end: ``error`` is empty on success, else the name of the error's class."""

    task_id: str
    operation: str
    seconds: float
    looks: int
    error: str = ""

    _name: ClassVar[str] = "task.settled"


@frozen(kw_only=True)
class TaskOrphaned(Event):
    """A submission succeeded after its caller had gone; the task is in ``client.orphans``."""

    task_id: str
    operation: str

    _name: ClassVar[str] = "task.orphaned"


EventHook = Callable[[Event], None]


def listening(hook: EventHook | None) -> bool:
    """Say whether anybody would see an event; where nobody does, none need be made."""
    return hook is not None or logger.isEnabledFor(logging.DEBUG)


def emit(hook: EventHook | None, event: Event) -> None:
    """Hand ``event`` to ``hook`` and to the log; a hook that raises is logged, never obeyed."""
    logger.debug("%s %s", event.name, event)
    if hook is None:
        return
    try:
        hook(event)
    except Exception:
        logger.exception("an event hook raised on %s", event.name)
