"""Everything that can go wrong, as one tree.

::

    AILabError
    ├── what you did
    │   ├── InvalidOperation (ValueError)     refused here, nothing was sent
    │   ├── ClientClosed (RuntimeError)       the client is closed, or was closed meanwhile
    │   ├── ClientMisused (RuntimeError)      another event loop, another process
    │   ├── MissingExtra (ImportError)        an optional package is not installed
    │   └── FileKept (FileExistsError)        a file of that name is there and was not overwritten
    ├── DeliveryError                         what the way did
    │   ├── NotDelivered                      provably never reached the service whole
    │   ├── OutcomeUnknown                    may have been received, and billed
    │   └── DownloadFailed                    a result file could not be fetched
    ├── ServiceError                          what the service said
    │   ├── AuthenticationError               key, account or permission
    │   ├── CreditsExhausted                  no credits left
    │   ├── QuotaExceeded                     a limit of the plan
    │   ├── Throttled                         too many requests at once
    │   ├── InputRejected                     parameters or picture refused
    │   ├── StateConflict                     not possible in the present state
    │   ├── NotFound
    │   │   ├── EndpointRetired               the service no longer offers this
    │   │   └── TaskNotFound                  unknown or expired task id
    │   ├── PlatformError                     the service's own fault, not passing by itself
    │   ├── ServiceUnavailable                the service's own trouble, may pass
    │   │   └── ServiceUnreachable            no connection for a while: nothing was sent
    │   └── MalformedReply                    an answer that cannot be read
    ├── TaskError                             how a task ended, or did not
    │   ├── TaskFailed                        final: the service gave up on it
    │   │   ├── ProcessFailed
    │   │   ├── TimeoutFailed
    │   │   ├── LimitRetryFailed
    │   │   └── TaskCanceled
    │   ├── TaskTimeout (TimeoutError)        we stopped waiting; the task goes on
    │   ├── TaskUnsettled                     waiting broke off; the task goes on
    │   └── ResultExpired                     the result files are gone
    ├── BatchStopped                          what stopped a whole batch, and what was open then
    └── JournalError                          the file that keeps account of a batch
        ├── JournalInUse                      another batch is using it
        ├── JournalUnreadable                 foreign, damaged, of a later version; left untouched
        ├── JournalConflict                   an entry is not in the state that was expected
        └── JournalBroken                     it cannot be written; nothing more is submitted

Every error keeps its facts in fields, survives pickling, and holds neither a key nor a signed URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AILabError",
    "AuthenticationError",
    "BatchStopped",
    "ClientClosed",
    "ClientMisused",
    "CreditsExhausted",
    "DeliveryError",
    "DownloadFailed",
    "EndpointRetired",
    "FileKept",
    "InputRejected",
    "InvalidOperation",
    "JournalBroken",
    "JournalConflict",
    "JournalError",
    "JournalInUse",
    "JournalUnreadable",
    "LimitRetryFailed",
    "MalformedReply",
    "MissingExtra",
    "NotDelivered",
    "NotFound",
    "OutcomeUnknown",
    "PlatformError",
    "ProcessFailed",
    "QuotaExceeded",
    "ResultExpired",
    "ServiceError",
    "ServiceUnavailable",
    "ServiceUnreachable",
    "StateConflict",
    "TaskCanceled",
    "TaskError",
    "TaskFailed",
    "TaskNotFound",
    "TaskTimeout",
    "TaskUnsettled",
    "Throttled",
    "TimeoutFailed",
]


def _rebuild(cls: type[AILabError], args: tuple[Any, ...], fields: dict[str, Any]) -> AILabError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class AILabError(Exception):
    """The root. ``str(error)`` is one line that says what happened and what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields: an ``__init__`` with required keywords could not be called again."""
        return _rebuild, (type(self), self.args, self.__dict__.copy())

    def fresh(self) -> Self:
        """Return an equal error without traceback, for one more waiter to raise.

        Raising one stored object again and again would make its traceback grow.
        The new error's ``__cause__`` is this one.
        """
        twin: Self = self.__reduce__()[0](*self.__reduce__()[1])
        twin.__cause__ = self
        return twin


# --- what you did --------------------------------------------------------------------------------


class InvalidOperation(AILabError, ValueError):
    """A value breaks a rule of the service; it was refused here and nothing was sent.

    ``field`` names what is wrong (``"degree"``, ``"image"``), ``limit`` is the rule in words
    (``"0 to 1"``), ``value`` is what was given, shortened.
    """

    def __init__(self, field: str, limit: str, value: object, *, hint: str = "") -> None:
        """``hint`` says what to do, as a sentence."""
        self.field = field
        self.limit = limit
        self.value = _short(value)
        self.hint = hint
        text = f"{field}: must be {limit}, not {self.value}."
        super().__init__(f"{text} {hint}".rstrip())


class ClientClosed(AILabError, RuntimeError):
    """The client is closed. ``task_ids`` are tasks that were still open: attach them again."""

    def __init__(self, text: str = "", *, task_ids: Iterable[str] = ()) -> None:
        """``text`` replaces the default sentence."""
        self.task_ids = tuple(task_ids)
        said = text or "This client is closed: make a new AsyncClient()."
        if self.task_ids and not text:
            said += (
                f" {len(self.task_ids)} task(s) go on at the service; get them back with "
                f"client.attach(id): {_some(self.task_ids)}."
            )
        super().__init__(said)


class ClientMisused(AILabError, RuntimeError):
    """The client was used from another event loop or process than the one it was started in."""


class MissingExtra(AILabError, ImportError):
    """An optional part is not installed. ``extra`` is the name to install it by."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        """``purpose`` says, as a noun, what needs ``package``."""
        self.package = package
        self.extra = extra
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: "
            f"pip install 'ailab-async[{extra}]'"
        )


class FileKept(AILabError, FileExistsError):
    """A file of that name is there already; it was kept. ``path`` names it."""

    def __init__(self, path: str) -> None:
        """``path`` is the file that was kept."""
        self.path = path
        super().__init__(f"{path} exists and was kept: pass overwrite=True to replace it.")


# --- what the way did ----------------------------------------------------------------------------


class DeliveryError(AILabError):
    """Trouble between here and the service. ``action`` is submit, look, download or call."""

    def __init__(self, text: str, *, action: str = "", host: str = "") -> None:
        """``host`` is the server that was being talked to, without path or query."""
        self.action = action
        self.host = host
        super().__init__(text)


class NotDelivered(DeliveryError):
    """The request provably never reached the service whole: nothing was made, nothing is billed."""


class OutcomeUnknown(DeliveryError):
    """The whole request went out and no readable answer came back.

    The service may have accepted and billed it, so it is never sent again by itself. ``request_id``
    and ``excerpt`` are what an unreadable answer did say, empty where there was none.
    """

    request_id = ""
    excerpt = ""


class DownloadFailed(DeliveryError):
    """A result file could not be fetched; its task is fine and can be saved again later.

    ``http_status`` is what its host answered, 0 where it did not; ``retry_after`` the seconds that
    it asked to wait, where it did.
    """

    http_status = 0
    retry_after: float | None = None


# --- what the service said -----------------------------------------------------------------------


class ServiceError(AILabError):
    """The service refused or failed; the fields keep its own words.

    ``code`` is its error code (``""`` where it sent none), ``http_status`` the HTTP status,
    ``message`` its text, ``request_id`` and ``log_id`` what its support asks for, and
    ``retry_after`` the seconds it asked to wait, where it did.
    """

    advice = ""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        http_status: int = 0,
        request_id: str = "",
        log_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        """All fields may be missing in an answer, and are empty then."""
        self.code = code
        self.http_status = http_status
        self.message = message
        self.request_id = request_id
        self.log_id = log_id
        self.retry_after = retry_after
        super().__init__(self._text())

    def _text(self) -> str:
        head = " ".join(part for part in (self.code, f"(HTTP {self.http_status})") if part)
        text = f"{head}: {self.message or 'no message'}"
        if text[-1] not in ".!?":
            text += "."
        if self.advice:
            text += f" {self.advice}"
        if self.request_id:
            text += f" [request id {self.request_id}]"
        return text


class AuthenticationError(ServiceError):
    """The key, the account or its permission was refused. Never tried again."""

    advice = (
        "Check the key (api_key=, or AILAB_API_KEY; AILAB_ENGINE_KEY for an engine of your own) "
        "and that it may use this endpoint."
    )


class CreditsExhausted(ServiceError):
    """No credits are left. Never tried again; stops a batch."""

    advice = (
        "Buy credits, or run the same on the local engine: AsyncClient(service=Service.local())."
    )


class QuotaExceeded(ServiceError):
    """A limit of the plan or account is reached."""

    advice = "The plan's limit is reached: wait for it to renew, or change the plan."


class Throttled(ServiceError):
    """Too many requests at once, or the service sheds load; nothing was made."""

    advice = "Lower max_in_flight or try again later."


class InputRejected(ServiceError):
    """The service refused the parameters or the picture; sending the same again will not help."""


class StateConflict(ServiceError):
    """What was asked is not possible in the present state of a resource."""


class NotFound(ServiceError):
    """What was asked for does not exist at the service."""


class EndpointRetired(NotFound):
    """The service no longer offers this endpoint."""

    advice = (
        "The hosted endpoint is retired. The way on is the local engine, for what it makes: "
        "AsyncClient(service=Service.local())."
    )


class TaskNotFound(NotFound):
    """The service does not know this task id, or no longer: ``task_id`` names it.

    ``state`` is its last known state, ``age`` in seconds, where it was being waited for.
    """

    advice = (
        "Results are kept 24 hours (30 minutes by job id), and only by the service that made them."
    )

    def __init__(
        self,
        message: str = "",
        *,
        task_id: str = "",
        state: str = "",
        age: float = 0.0,
        **fields: Any,
    ) -> None:
        """``fields`` are those of `ServiceError`."""
        self.task_id = task_id
        self.state = state
        self.age = age
        super().__init__(message, **fields)

    def _text(self) -> str:
        return f"Task {self.task_id}: {super()._text()}" if self.task_id else super()._text()


class PlatformError(ServiceError):
    """The service's own fault, of a kind that does not pass by itself."""

    advice = "This is the service's own fault; tell its support the request id."


class ServiceUnavailable(ServiceError):
    """The service's own trouble, of a kind that may pass.

    While polling, ``task_id`` is set, and the ``state`` and ``age`` of the task in seconds.
    """

    advice = "Try again later."

    def __init__(
        self,
        message: str = "",
        *,
        task_id: str = "",
        state: str = "",
        age: float = 0.0,
        **fields: Any,
    ) -> None:
        """``fields`` are those of `ServiceError`."""
        self.task_id = task_id
        self.state = state
        self.age = age
        super().__init__(message, **fields)

    def _text(self) -> str:
        if not self.task_id:
            return super()._text()
        return (
            f"Task {self.task_id}: {super()._text()} The task may go on at the service: "
            f"client.attach({self.task_id!r}) waits for it again."
        )


class ServiceUnreachable(ServiceUnavailable):
    """Connecting failed several times in a row, so for ``retry_after`` seconds none is tried.

    Nothing was sent. ``host`` is the server's.
    """

    def __init__(self, message: str = "", *, host: str = "", **fields: Any) -> None:
        """``fields`` are those of `ServiceUnavailable`."""
        self.host = host
        super().__init__(message, **fields)

    def _text(self) -> str:
        again = "" if self.retry_after is None else f" Tried again in {self.retry_after:.1f} s."
        return f"{self.host} cannot be reached: {self.message}, and nothing was sent.{again}"


class MalformedReply(ServiceError):
    """An answer that cannot be read. ``excerpt`` holds its first 200 characters."""

    def __init__(self, message: str = "", *, excerpt: str = "", **fields: Any) -> None:
        """``fields`` are those of `ServiceError`."""
        self.excerpt = excerpt
        super().__init__(message, **fields)

    def _text(self) -> str:
        text = super()._text()
        return f"{text} It began: {self.excerpt!r}" if self.excerpt else text


# --- how a task ended ----------------------------------------------------------------------------


class TaskError(AILabError):
    """About one task. ``task_id``, its last known ``state`` and its ``age`` in seconds."""

    def __init__(self, text: str, *, task_id: str, state: str = "", age: float = 0.0) -> None:
        """``age`` counts from the submission, or from when the task was attached."""
        self.task_id = task_id
        self.state = state
        self.age = age
        super().__init__(text)


class TaskFailed(TaskError):
    """The service ended the task without a result. Final.

    ``code``, ``http_status``, ``message`` and ``request_id`` are what the service said.
    """

    advice = ""

    def __init__(
        self,
        *,
        task_id: str,
        state: str = "",
        age: float = 0.0,
        code: str = "",
        message: str = "",
        http_status: int = 200,
        request_id: str = "",
    ) -> None:
        """``state`` is the service's word or number for the failure."""
        self.code = code
        self.message = message
        self.http_status = http_status
        self.request_id = request_id
        what = ": ".join(part for part in (code or state, message) if part) or "no reason given"
        text = f"Task {task_id} failed after {age:.0f} s: {what}"
        text += "" if text[-1] in ".!?" else "."
        text += f" {self.advice}" if self.advice else ""
        super().__init__(text, task_id=task_id, state=state, age=age)


class ProcessFailed(TaskFailed):
    """``PROCESS_FAILED``: the picture could not be processed."""


class TimeoutFailed(TaskFailed):
    """``TIMEOUT_FAILED``: the service's own time limit for the task ran out."""


class LimitRetryFailed(TaskFailed):
    """``LIMIT_RETRY_FAILED``: the service tried several times and gave up."""

    advice = "The service advises to submit again later."


class TaskCanceled(TaskFailed):
    """``JOB_CANCELED``: the task was cancelled at the service."""


class TaskTimeout(TaskError, TimeoutError):
    """Waiting took longer than it may. The task itself goes on: attach its id to resume."""

    def __init__(
        self,
        *,
        task_id: str,
        state: str = "",
        age: float = 0.0,
        waited: float,
        over: bool = False,
    ) -> None:
        """``waited`` is the limit that ran out, in seconds.

        ``over`` says that it was the poll policy's deadline: this handle has stopped looking.
        """
        self.waited = waited
        resume = "" if over else "await it again, or "
        super().__init__(
            f"Task {task_id} was still {state or 'open'} after {waited:g} s of waiting "
            f"(age {age:.0f} s). It goes on at the service: {resume}"
            f"client.attach({task_id!r}) in any process.",
            task_id=task_id,
            state=state,
            age=age,
        )


class TaskUnsettled(TaskError):
    """Polling broke off with tasks open. ``task_ids`` are all of them; each can be attached."""

    def __init__(
        self, text: str, *, task_id: str, task_ids: Iterable[str], state: str = "", age: float = 0.0
    ) -> None:
        """``text`` says why."""
        self.task_ids = tuple(task_ids)
        super().__init__(
            f"{text} Task {task_id} goes on at the service: client.attach({task_id!r}).",
            task_id=task_id,
            state=state,
            age=age,
        )


class ResultExpired(TaskError):
    """The result files are no longer at the service."""


# --- many operations -----------------------------------------------------------------------------


class BatchStopped(AILabError):
    """A whole batch was stopped; its cause is ``__cause__``, and named in the text.

    ``records`` are the records of the tasks that were open then: they go on at the service, and
    ``client.attach(record)`` gets each of them back. With a journal they are in it as well.
    """

    def __init__(self, text: str, *, records: Iterable[dict[str, str]] = ()) -> None:
        """``text`` says why, and what to do."""
        self.records = tuple(records)
        super().__init__(text)


class JournalError(AILabError):
    """Something about a journal; ``path`` is its file."""

    def __init__(self, text: str, *, path: str = "") -> None:
        """``text`` says what is wrong, and what to do."""
        self.path = path
        super().__init__(text)


class JournalInUse(JournalError):
    """Another batch, in this process or another, is using the journal."""


class JournalUnreadable(JournalError):
    """The file is no journal, is damaged, or of a later version; it was left untouched."""


class JournalConflict(JournalError):
    """An entry is not in the state that was expected: somebody else has changed it meanwhile."""


class JournalBroken(JournalError):
    """The journal cannot be written any more (full disk, failing device): submitting stops.

    ``task_id`` is that of a task which was accepted and could not be written down: keep it.
    """

    def __init__(self, text: str, *, path: str = "", task_id: str = "") -> None:
        """``task_id`` is empty where no accepted task was being written."""
        self.task_id = task_id
        super().__init__(text, path=path)


def _short(value: object, limit: int = 80) -> str:
    """Show a value in an error: never the bytes of a picture, never more than ``limit``."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= limit:
        return text
    # the end stays: of a path it is the name of the file
    tail = limit * 2 // 3
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"


def _some(ids: tuple[str, ...], most: int = 5) -> str:
    shown = ", ".join(ids[:most])
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more (see .task_ids)"
