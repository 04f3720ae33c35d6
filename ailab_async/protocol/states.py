"""What state a task is in: one table, and what to make of an error on the way to it.

**The table.** Two kinds of query are live. By ``task_id`` the state is a number at the top,
``task_status`` (docs: ai-common/async-task-results/api): 0 queued, 1 processing, 2 success. No
number for failure is documented; 3 is what some clients take for one. By ``job_id`` it is a word
in ``data.status`` (the older page "Querying Async Task Results"), and a failure arrives with HTTP
200 and ``error_code`` 0. The RapidAPI listing of HD colour migration shows both in one body.
`STATES` has one row for each value. It is looked up by value alone, digits or number: a service
that mixes two generations of fields may mix their values too.

**Values the table does not have.** A negative number, or a word that ends in ``FAILED`` or
``CANCELED``, is a failure. Any other is waited out: it is reported as not known, and the caller's
deadline ends it.

**Two values at once.** A failure wins; success counts if either says so and neither says failure;
of two open states the further one is taken. A success often has its files elsewhere than in
``data`` and no status at all where the submission was answered at once: an answer that holds a
result and names no state has succeeded.

**Errors.** By ``task_id`` a failed task is an error envelope on the look itself, and so is every
trouble of the look. `judge_look` tells the two apart, by `VERDICTS`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from ..errors import (
    EndpointRetired,
    InputRejected,
    LimitRetryFailed,
    MalformedReply,
    NotFound,
    PlatformError,
    ProcessFailed,
    ServiceError,
    StateConflict,
    TaskCanceled,
    TaskFailed,
    TimeoutFailed,
)
from .jsontext import unwrap
from .redact import clean_text
from .results import has_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "DOUBTS_BEFORE_FAILURE",
    "STATES",
    "VERDICTS_BY_CODE",
    "VERDICTS_BY_ERROR",
    "LookVerdict",
    "StateReading",
    "StateRow",
    "TaskState",
    "judge_look",
    "read_state",
]


class TaskState(StrEnum):
    """Where a task is on its way. ``SUCCEEDED`` and ``FAILED`` are final."""

    QUEUED = "queued"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether the task will not change any more."""
        return self in {TaskState.SUCCEEDED, TaskState.FAILED}


@frozen
class StateRow:
    """One row of the table: a value of the service, the state it means, and who says so."""

    word: str
    state: TaskState
    source: str
    failure: type[TaskFailed] | None = None


_BY_TASK: Final = "docs: ai-common/async-task-results/api"
_BY_JOB: Final = "the older page, by job id"

STATES: Final[Mapping[str, StateRow]] = MappingProxyType(
    {
        row.word: row
        for row in (
            StateRow("0", TaskState.QUEUED, _BY_TASK),
            StateRow("1", TaskState.PROCESSING, _BY_TASK),
            StateRow("2", TaskState.SUCCEEDED, _BY_TASK),
            StateRow("3", TaskState.FAILED, "a guess of some clients", TaskFailed),
            StateRow("QUEUING", TaskState.QUEUED, _BY_JOB),
            StateRow("PROCESSING", TaskState.PROCESSING, _BY_JOB),
            StateRow("PROCESS_SUCCESS", TaskState.SUCCEEDED, _BY_JOB),
            StateRow("PROCESS_FAILED", TaskState.FAILED, _BY_JOB, ProcessFailed),
            StateRow("TIMEOUT_FAILED", TaskState.FAILED, _BY_JOB, TimeoutFailed),
            StateRow("LIMIT_RETRY_FAILED", TaskState.FAILED, _BY_JOB, LimitRetryFailed),
            StateRow("JOB_CANCELED", TaskState.FAILED, "the upstream service", TaskCanceled),
        )
    }
)
"""Every documented value of ``task_status`` and ``data.status``."""

_CANCELED_ENDINGS: Final = ("CANCELED", "CANCELLED")
_FAILED_ENDINGS: Final = ("FAILED", *_CANCELED_ENDINGS)
_LARGE: Final = 10**18
_PROGRESS: Final = (TaskState.UNKNOWN, TaskState.QUEUED, TaskState.PROCESSING)


@frozen(kw_only=True)
class StateReading:
    """What one answer says about a task.

    ``word`` is the service's own word or number, as text. ``failure`` is the error to raise for
    a task that failed; ``code`` and ``message`` are what the answer says about why. ``known`` is
    false where the answer has a value that the table does not cover, which is then ``word``.
    """

    state: TaskState
    word: str = ""
    failure: type[TaskFailed] | None = None
    code: str = ""
    message: str = ""
    known: bool = True


def read_state(raw: Mapping[str, Any]) -> StateReading:
    """Read the state of a task from an answer that is no error. Raises nothing.

    ``raw`` is the JSON object of either query, or of a submission that was answered at once.
    """
    readings = [_read_word(word) for word in _words(raw)]
    for final in (TaskState.FAILED, TaskState.SUCCEEDED):
        for reading in readings:
            if reading.state is final:
                return _with_reason(reading, raw) if final is TaskState.FAILED else reading
    if not readings:
        done = has_result(raw)
        return StateReading(state=TaskState.SUCCEEDED if done else TaskState.UNKNOWN, known=done)
    furthest = max(readings, key=lambda reading: _PROGRESS.index(reading.state))
    strange = next((reading for reading in readings if not reading.known), furthest)
    return StateReading(state=furthest.state, word=strange.word, known=strange.known)


def _objects(data: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of ``data``, which may be one, an array of them, or a string of JSON."""
    data = unwrap(data)
    for item in data if isinstance(data, list) else (data,):
        if isinstance(item, dict):
            yield item


def _words(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values that name a state, as text."""
    places = (raw.get("task_status"), *(item.get("status") for item in _objects(raw.get("data"))))
    for value in places:
        if isinstance(value, str) and value.strip():
            yield clean_text(value, 80)
        elif isinstance(value, float):
            yield f"{value:.15g}"
        elif isinstance(value, int) and not isinstance(value, bool):
            yield str(value) if abs(value) < _LARGE else "a very large number"


def _read_word(word: str) -> StateReading:
    key = word.upper().replace(" ", "_").replace("-", "_")
    number = _integer(word)
    row = STATES.get(key if number is None else str(number))
    if row is not None:
        return StateReading(state=row.state, word=word, failure=row.failure)
    if (number is not None and number < 0) or key.endswith(_FAILED_ENDINGS):
        failure = TaskCanceled if key.endswith(_CANCELED_ENDINGS) else TaskFailed
        return StateReading(state=TaskState.FAILED, word=word, failure=failure)
    return StateReading(state=TaskState.UNKNOWN, word=word, known=False)


def _integer(word: str) -> int | None:
    sign, digits = (word[:1], word[1:]) if word[:1] in {"+", "-"} else ("", word)
    return int(sign + digits) if digits.isascii() and digits.isdigit() else None


def _with_reason(reading: StateReading, raw: Mapping[str, Any]) -> StateReading:
    """Add why: ``ErrorCode`` and ``ErrorMessage`` in ``data`` (upstream), else the envelope's."""
    detail = raw.get("error_detail")
    sources = [*_objects(raw.get("data")), detail if isinstance(detail, dict) else {}, raw]
    code = _text(sources, ("ErrorCode", "error_code_str", "code"))
    message = _text(sources, ("ErrorMessage", "error_msg", "message", "code_message"))
    return StateReading(
        state=reading.state,
        word=reading.word,
        failure=reading.failure,
        code=clean_text(code, 100),
        message=clean_text(message),
    )


def _text(sources: list[Mapping[str, Any]], names: tuple[str, ...]) -> str:
    for source in sources:
        for name in names:
            value = source.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
    return ""


class LookVerdict(StrEnum):
    """What an error on a look says about the task."""

    FINAL_FAILURE = "final failure"
    """The task has failed; this error is its outcome."""
    NOT_FOUND = "not found"
    """The service does not know the task, or no longer."""
    TROUBLE = "trouble"
    """The look went wrong, which says nothing about the task; a bounded number is borne."""
    DOUBTFUL = "doubtful"
    """May be either: after `DOUBTS_BEFORE_FAILURE` in a row the task has failed."""


DOUBTS_BEFORE_FAILURE: Final = 3

VERDICTS_BY_CODE: Final[Mapping[str, LookVerdict]] = MappingProxyType(
    {
        "ERROR_RESOURCE_NOT_FOUND": LookVerdict.NOT_FOUND,
        "ERROR_CONTENT_NOT_FOUND": LookVerdict.NOT_FOUND,
        "ERROR_RESOURCE_RECLAIMED": LookVerdict.NOT_FOUND,
        "ERROR_TASK_REVOKED": LookVerdict.NOT_FOUND,
        # the query was refused as such
        "ERROR_ILLEGAL_OPERATION": LookVerdict.TROUBLE,
        # about the moment, not about the outcome
        "ERROR_RESOURCE_IN_USE": LookVerdict.TROUBLE,
        "ERROR_TASK_CONFLICT": LookVerdict.TROUBLE,
        "ERROR_TASK_REVOCATION_FAILED": LookVerdict.TROUBLE,
        # load is being shed, though its name begins like the doubtful ones
        "AI_SERVICE_FLOW_RESTRICTION": LookVerdict.TROUBLE,
        # a step failed: the task's, or the one that should answer this look
        "PROCESSING_FAILURE": LookVerdict.DOUBTFUL,
    }
)
"""Codes whose meaning on a look does not follow from their class."""

VERDICTS_BY_ERROR: Final[tuple[tuple[type[ServiceError], LookVerdict], ...]] = (
    (MalformedReply, LookVerdict.TROUBLE),
    (InputRejected, LookVerdict.FINAL_FAILURE),
    # the query itself is gone (the one by job id is announced as retired), not the task
    (EndpointRetired, LookVerdict.TROUBLE),
    (NotFound, LookVerdict.FINAL_FAILURE),  # with a code: a face, a file; without: see below
    (StateConflict, LookVerdict.FINAL_FAILURE),
    (PlatformError, LookVerdict.DOUBTFUL),
    # key, credits, quota, throttling, transient: the look's own, the task goes on
    (ServiceError, LookVerdict.TROUBLE),
)
"""The first row that fits decides, for every code that is not in `VERDICTS_BY_CODE`."""

_GONE: Final = 410
_NOT_ALLOWED: Final = 405


def judge_look(error: ServiceError) -> LookVerdict:  # noqa: PLR0911 - one a rule
    """Say what an error answer to a look means for the task. Raises nothing.

    A refused key, an empty account or a full quota is trouble of the look: the task goes on at
    the service, and a client with another key gets it. A code that begins with ``AI_SERVICE_`` may
    be the task's own failure or the look's. A 404 or 410 without a code is taken for
    an unknown or expired id, but for the gateway's "Endpoint '…' does not exist" (recorded),
    which is about the address. A refused request without a code is doubtful: a paid task is not
    given up for a single word of a gateway.
    """
    verdict = VERDICTS_BY_CODE.get(error.code)
    if verdict is not None:
        return verdict
    if error.code.startswith("AI_SERVICE_") and not isinstance(error, InputRejected):
        return LookVerdict.DOUBTFUL  # InputRejected: the one that is about the file's name
    if not error.code:
        if error.http_status == _NOT_ALLOWED:
            return LookVerdict.TROUBLE
        if isinstance(error, InputRejected):
            return LookVerdict.DOUBTFUL  # a gateway's word about this request, perhaps
        if isinstance(error, NotFound) and not isinstance(error, EndpointRetired):
            wrong_address = error.message.startswith("Endpoint ")
            return LookVerdict.TROUBLE if wrong_address else LookVerdict.NOT_FOUND
        if isinstance(error, StateConflict) and error.http_status == _GONE:
            return LookVerdict.NOT_FOUND
    return next(verdict for kind, verdict in VERDICTS_BY_ERROR if isinstance(error, kind))
