"""The JSON that the engine answers with: the envelope of the service's middle generation.

Codes and their statuses are those of the service's own table (docs:
ai-common/response-description); the sentences are the engine's.
"""

from __future__ import annotations

import enum
import uuid
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from ..protocol.codes import CODES
from .tasks import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .tasks import EngineTask

__all__ = [
    "Code",
    "Refused",
    "credits_left",
    "failure",
    "made",
    "queried",
    "queried_by_job",
    "submitted",
]


class Code(enum.Enum):
    """Every code that the engine answers with; the value says in a sentence what it means."""

    ERROR_PARAMETERS = "The request cannot be read."
    UNSUPPORTED_PARAMETER_VALUES = "Invalid parameter values."
    ERROR_USER_NOT_EXISTS = "The API key is missing or unknown."
    ERROR_ILLEGAL_OPERATION = "This method is not allowed here."
    ERROR_AI_NOT_EXISTS = (
        "The local engine makes colour migration (HD and plain), erasure (image-erase, "
        "remove-objects), micro motion and cartoons; the hosted service makes the others "
        "(set AILAB_API_KEY)."
    )
    ERROR_FILE_NOT_FOUND = "There is no such file, or no longer."
    ERROR_RESOURCE_NOT_FOUND = "There is no such task, or no longer."
    ERROR_REQUEST_BODY_TOO_LARGE = "The request is too large."
    FILE_SIZE_EXCEEDS_LIMIT = "The file is too large."
    FILE_RESOLUTION_EXCEEDS_LIMITS = "The picture has too many pixels."
    ERROR_MASK_IMAGE_RESOLUTION_MISMATCH = "The mask must have the size of the picture."
    UNSUPPORTED_FILE_TYPES = "Files of this type are not accepted."
    ERROR_UNSUPPORTED_GRAYSCALE_IMAGE = "The picture must be RGB with three channels."
    FILE_DECODING_FAILURE = "The file cannot be decoded."
    ERROR_LOW_RESOLUTION = "The picture has too few pixels."
    ERROR_INVALID_FILE = "The file cannot be used."
    FILE_CONTENT_NON_COMPLIANCE = "The picture is not one that this can be done with."
    ERROR_NO_RECOGNITION_TARGET_DETECTED = "The picture shows nothing that could move."
    PROCESSING_FAILURE = "Processing failed."
    UNKNOWN_ERROR = "Unknown error."
    FILE_SERVICE_ERROR = "The files could not be stored."
    ERROR_RESOURCE_UNAVAILABLE = "The engine is not running."
    AI_SERVICE_FLOW_RESTRICTION = "Too many tasks are waiting."
    AI_SERVICE_TIMEOUT = "The task took too long."


@frozen
class Refused(Exception):
    """Raised by a handler to answer with a failure; ``message`` says what in particular."""

    code: Code
    message: str = ""
    retry_after: int | None = None


def submitted(task: EngineTask) -> dict[str, Any]:
    """The answer to a submission that becomes a task."""
    head = _envelope(request_id=task.request_id)
    return {**head, "task_type": "async", "task_id": task.id}


def made(task: EngineTask, shape: str, urls: Sequence[str]) -> dict[str, Any]:
    """The answer to a request that waited for its result."""
    return {**_envelope(request_id=task.request_id), "data": _data(shape, urls)}


def queried(
    task: EngineTask, shape: str, urls: Sequence[str], *, both: bool = False
) -> dict[str, Any]:
    """The answer to a look, by task id, at a task that has not failed.

    With ``both`` it has the word of the query by job id too, as the RapidAPI listing shows.
    """
    data = {"status": _WORDS[task.state]} if both else {}
    data |= _data(shape, urls)
    head = _envelope(request_id=task.request_id)
    return {**head, "task_status": int(task.state), "data": data}


def queried_by_job(task: EngineTask, shape: str, urls: Sequence[str]) -> dict[str, Any]:
    """The answer to a look by job id; a failed task is no error here, but a word in ``data``.

    ``ErrorCode`` and ``ErrorMessage`` are what the upstream service adds.
    """
    data: dict[str, Any]
    if task.problem is None:
        data = {"status": _WORDS[task.state], **_data(shape, urls)}
    else:
        problem = task.problem
        data = {
            "status": problem.kind.value,
            "ErrorCode": problem.code,
            "ErrorMessage": problem.message,
        }
    return {**_envelope(request_id=task.request_id), "data": data}


_WORDS: Final = {
    State.QUEUED: "QUEUING",
    State.PROCESSING: "PROCESSING",
    State.SUCCEEDED: "PROCESS_SUCCESS",
}


def _data(shape: str, urls: Sequence[str]) -> dict[str, Any]:
    """Return the result files as the operation's own page names them; nothing while it is open."""
    if shape.endswith("_list"):
        return {shape: list(urls)}
    return {shape: urls[0]} if urls else {}


def credits_left() -> dict[str, Any]:
    """The answer to a question for credits: one account that never runs out."""
    account = {
        "unique_sign": "common",
        "name": "Local engine: pictures are made on this computer and cost nothing",
        "balance": 1_000_000.0,
        "total": 1_000_000.0,
        "last_recharge_balance": 0.0,
        "balance_warning": 0.0,
        "first_buy_time": 0,
        "last_update_time": 0,
    }
    return {**_envelope(), "data": [account]}


def failure(code: Code, message: str = "", *, request_id: str = "") -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the envelope of a failure."""
    status, meaning = CODES[code.name].http_status, code.value
    detail = {
        "status_code": status,
        "code": code.name,
        "code_message": meaning,
        "message": message or meaning,
    }
    return status, _envelope(request_id=request_id, error_code=status, detail=detail)


def _envelope(
    *, request_id: str = "", error_code: int = 0, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    good = {"status_code": 200, "code": "", "code_message": "", "message": ""}
    detail = detail or good
    return {
        "request_id": request_id or str(uuid.uuid4()).upper(),
        "log_id": uuid.uuid4().hex[:8],
        "error_code": error_code,
        "error_msg": detail["message"],
        "error_detail": detail,
    }
