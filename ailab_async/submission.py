"""One operation on its way to the service: its pictures loaded, its form laid out, then sent.

`AsyncClient.submit` does both at once; a batch looks into its journal in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import define

from .images import FIT_MAX_BYTES, Part
from .operations import FormItem, Operation, Result, TextField
from .protocol.multipart import FormField, MultipartBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .protocol.envelope import Reply
    from .protocol.services import Route
    from .rhythm import PollPolicy
    from .session import Receipt, Session
    from .task import Task
    from .transport import Hold

__all__ = ["Submission"]

ResultT = TypeVar("ResultT", bound=Result)


@define(eq=False, kw_only=True)
class Submission(Generic[ResultT]):
    """A loaded operation; whoever has it releases it. Made by `load`."""

    session: Session
    receipt: Receipt[ResultT]
    route: Route
    form: tuple[FormItem, ...]
    body: MultipartBody
    hold: Hold

    @classmethod
    async def load(
        cls, session: Session, operation: Operation[ResultT], *, fit: bool, policy: PollPolicy
    ) -> Submission[ResultT]:
        """Read and check the pictures, and lay out the form, within the client's byte budget.

        Raises `InvalidOperation`, `NotDelivered` where a source does not come to its end in time,
        and `ClientClosed`. A cancelled caller leaves at once and nothing is held.
        """
        service = session.settings.service
        route = service.route(operation.name, operation.path)
        # all that can go wrong goes wrong now: once the form is out, only values are made
        receipt = session.receipt(operation, policy)
        # how large a picture is turns out when it is read: until then the most it may be is held
        hold = await session.budget.hold(_most_bytes(operation, fit=fit))
        try:
            parts = await session.load(operation, fit=fit, hold=hold)
            form = operation.form(parts, task_type=service.sends_task_type)
            body = MultipartBody(_field(item) for item in form)
            hold.shrink(body.length)
        except BaseException:
            hold.release()
            raise
        return cls(session=session, receipt=receipt, route=route, form=form, body=body, hold=hold)

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The text fields of the form, in wire order."""
        return tuple((item.name, item.value) for item in self.form if isinstance(item, TextField))

    def digests(self) -> tuple[tuple[str, bytes], ...]:
        """Return the SHA-256 of each picture as it came, by field. Blocks for some milliseconds."""
        return tuple((item.field, item.digest()) for item in self.form if isinstance(item, Part))

    async def send(
        self,
        *,
        before: Callable[[], Awaitable[None]] | None = None,
        accepted: Callable[[Task[ResultT]], Awaitable[None]] | None = None,
    ) -> Task[ResultT]:
        """Send the form and return its task.

        ``before`` is awaited inside the slot, just before the bytes of an attempt go out, and
        ``accepted`` before anybody else hears of the task, also when the caller has gone by then.
        Raises what `AsyncClient.submit` does, and what these two raise.
        """
        settings = self.session.settings

        async def accept(reply: Reply) -> Task[ResultT]:
            task = self.session.accepted(self.receipt, reply)
            if accepted is not None:
                try:
                    await accepted(task)
                except Exception:
                    settings.orphaned(task)
                    raise
            self.session.announce(task)
            return task

        return await self.session.transport.submit(
            self.route,
            self.body,
            accept=accept,
            orphaned=settings.orphaned,
            before=before,
            hold=self.hold,
            filled=self.receipt.answers_at_once,
        )

    def release(self) -> None:
        """Let go of the form and its share of the byte budget; an exchange keeps its own."""
        if self.form:
            self.form, self.body = (), MultipartBody(())
            self.hold.release()


def _most_bytes(operation: Operation[Any], *, fit: bool) -> int:
    """Return how much reading the pictures of an operation may take."""
    return sum(
        FIT_MAX_BYTES if fit else rules.max_bytes for _, rules in operation.pictures().values()
    )


def _field(item: FormItem) -> FormField:
    if isinstance(item, Part):
        return FormField(
            name=item.field,
            data=item.data,
            filename=item.filename,
            content_type=item.content_type,
        )
    return FormField(name=item.name, data=item.value.encode())
