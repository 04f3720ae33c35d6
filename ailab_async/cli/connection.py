"""The client of a run over many pictures: which service it talks to, and what is heard of it."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from ..client import AsyncClient
from ..errors import InvalidOperation
from ..events import Event, ExchangeEvent, PictureFitted, ServiceChosen
from .options import Wrong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..operations import Operation
    from ..protocol.services import Service
    from .jobs import Job
    from .output import Reporter

__all__ = ["Connection", "Operations"]

_UNREACHED: Final = frozenset({"NotDelivered", "OutcomeUnknown"})
"""Errors of looks that say that there was no answer at all."""

_number: ContextVar[int] = ContextVar("number")
"""Which operation is being worked on, from 0; events that name none are told apart by it."""


class Operations:
    """The operations of a run, made one by one as they are asked for."""

    def __init__(self, job: Job, paths: list[str]) -> None:
        """Nothing is made yet."""
        self._job = job
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Operation[Any]]:
        for number, path in enumerate(self._paths):
            # seen by the task that is made for this operation, and by those it makes
            _number.set(number)
            yield self._job.operation(path)


class Connection:
    """The service of one run.

    ``name`` is empty before there is a client. ``lasting`` says that the service outlives the run,
    as the engine inside it does not; ``elsewhere`` that it is an engine of the user's own. With
    ``hurry`` the client is closed without waiting for exchanges.
    """

    def __init__(
        self, job: Job, service: Service | None, reporter: Reporter, paths: list[str]
    ) -> None:
        """``paths`` are the pictures, in the order of their operations."""
        self.name = ""
        self.lasting = False
        self.elsewhere = False
        self.hurry = False
        self._job = job
        self._service = service
        self._reporter = reporter
        self._paths = paths
        self._reason = ""
        self._fitted: dict[int, tuple[str, ...]] = {}
        self._outage = False

    def changes(self, number: int) -> tuple[str, ...]:
        """Return, once, what was done to a picture to make it acceptable."""
        return self._fitted.pop(number, ())

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncClient]:
        """Make the client, say which service it talks to, and close it. Raises `Wrong`."""
        client = AsyncClient(service=self._service, on_event=self._heard)
        service = client.service
        if service.name == "rapidapi":
            self._check_listed(service)
        self.name = service.name
        self.lasting = not service.embedded
        self.elsewhere = service.name == "local" and self.lasting
        try:
            await client.__aenter__()
            self._reporter.service(service.name, self._about(service))
            yield client
        finally:
            # leaving the batch gave exchanges their time already
            await client.aclose(0 if self.hurry else None)

    def _check_listed(self, service: Service) -> None:
        """Raise `Wrong` where RapidAPI does not have the operation: once, and not for each."""
        name = self._job.kind.name
        try:
            service.route(name)
        except InvalidOperation:
            text = f"{name} is not listed at RapidAPI: use --service local or direct."
            raise Wrong(text) from None

    def _heard(self, event: Event) -> None:
        match event:
            case ServiceChosen():
                self._reason = event.reason
            case PictureFitted(field="image"):
                number = _number.get()
                self._fitted[number] = event.changes
                self._reporter.fitted(self._paths[number], event.changes)
            case ExchangeEvent(action="look", phase="failed") if event.error in _UNREACHED:
                if not self._outage:
                    self._reporter.note(f"{event.host} cannot be reached, still trying.")
                self._outage = True
            case ExchangeEvent(action="look", phase="complete"):
                self._outage = False
            case _:
                pass

    def _about(self, service: Service) -> str:
        if service.embedded:
            why = "; AILAB_API_KEY is not set" if "not set" in self._reason else ""
            return f"pictures are made on this computer{why}"
        if service.name == "rapidapi":
            return "each picture counts against the plan"
        if service.name == "local":
            return service.base_url
        return f"{service.base_url}, {self._job.kind.credits:g} credits a picture"
