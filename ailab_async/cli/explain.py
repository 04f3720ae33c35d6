"""Errors in one line, for people at a command line rather than in Python."""

from __future__ import annotations

from typing import Final

from .. import errors

__all__ = ["explain"]

_OPTIONS: Final = {
    "color_count": "--colors",
    "color_template": "--template",
    "colors": "--template",
    "degree": "--degree",
    "base_url": "--url",
    "api_key": "the API key",
    "ref": "--ref",
    "mask": "the mask",
    "AILAB_ENGINE_URL": "AILAB_ENGINE_URL",
}
"""What a field of an operation is called on the command line."""

_ADVICE: Final[tuple[tuple[type[errors.ServiceError], str], ...]] = (
    (errors.AuthenticationError, "Check the key, and that it may use this operation."),
    (errors.CreditsExhausted, "Buy credits, or use --service local."),
    (errors.QuotaExceeded, "Wait for the plan's limit to renew, or use --service local."),
    (errors.EndpointRetired, "--service local makes the same pictures on this computer."),
    (errors.Throttled, "Try again later."),
    (errors.ServiceUnavailable, "Try again later."),
    (errors.PlatformError, "This is the service's own fault; tell its support the request id."),
)

_KNOWS_NO_MORE: Final = (errors.TaskFailed, errors.TaskNotFound, errors.ResultExpired)
"""After these nothing can be fetched from the service any more."""

_IS_IT_RUNNING: Final = "Is 'ailab serve' running there?"
_IN_PYTHON: Final = "fit=True"
_SAID_IN_PYTHON: Final = (
    ("on_unknown='resubmit'", "--resubmit-unknown"),
    ("on_failed='resubmit'", "--retry-failed"),
)
_UNKNOWN_TO_PILLOW: Final = "HEIC"


def explain(
    error: BaseException,
    *,
    task_id: str = "",
    elsewhere: bool = False,
    fit: bool = False,
    url: str = "--url",
    fields: bool = False,
) -> str:
    """Return what happened and what to do, as one line.

    ``task_id`` is the photo's, if a service has it that outlives the run; ``elsewhere`` says that
    this is an engine of the user's own, whose address came from ``url``; ``fit`` that pictures are
    made acceptable already, so that it is no advice; ``fields`` that what is wrong is not named
    before the line already, as a picture is.
    """
    match error:
        case errors.InvalidOperation():
            text = _invalid(error, fit=fit, url=url, fields=fields)
        case errors.FileKept():
            text = f"{error.path} exists and was kept: --overwrite replaces it."
        case errors.TaskError():
            text = _task(error)
        case errors.ServiceError():
            text = _service(error, elsewhere=elsewhere)
        case errors.OutcomeUnknown() | errors.JournalError() | errors.MissingExtra():
            text = _on_the_command_line(str(error))
        case errors.NotDelivered() if elsewhere:
            text = f"{error} {_IS_IT_RUNNING}"
        case OSError() if error.strerror:
            name = f"{error.filename}: " if error.filename else ""
            text = f"{name}{error.strerror}."
        case _:
            text = str(error)
    if task_id and not isinstance(error, _KNOWS_NO_MORE):
        text += " " + _who_has_it(error, task_id, elsewhere=elsewhere)
    return " ".join(text.split())


def _invalid(error: errors.InvalidOperation, *, fit: bool, url: str, fields: bool) -> str:
    wrong = f"must be {error.limit}, not {error.value}."
    if _IN_PYTHON in error.hint and not fit and error.value != _UNKNOWN_TO_PILLOW:
        wrong += " --fit makes it acceptable."
    # A photo's name stands before the line already; which field it fills says nothing more.
    option = url if error.field == "base_url" else _OPTIONS.get(error.field)
    if fields and not option:
        option = error.field
        wrong = f"{wrong} {error.hint if _IN_PYTHON not in error.hint else ''}".rstrip()
    return f"{option} {wrong}" if option else wrong


def _on_the_command_line(text: str) -> str:
    """Return a text for people in Python with its advice as options."""
    for python, option in _SAID_IN_PYTHON:
        text = text.replace(python, option)
    return text


def _host(error: BaseException) -> str:
    """Return whom the error, or what led to it, could not reach."""
    link: BaseException | None = error
    while link is not None:
        host = getattr(link, "host", "")
        if isinstance(host, str) and host:
            return host
        link = link.__cause__
    return ""


def _unanswered(error: BaseException) -> bool:
    return isinstance(error, errors.ServiceUnavailable) and not error.http_status


def _who_has_it(error: BaseException, task_id: str, *, elsewhere: bool) -> str:
    if elsewhere and _unanswered(error):
        # such an engine keeps its tasks in memory
        return f"It has the photo as task {task_id}, unless it was stopped."
    return f"The service has it as task {task_id}, for 24 hours."


def _task(error: errors.TaskError) -> str:
    match error:
        case errors.TaskFailed():
            return _sentence("failed", error.code or error.state, error.message)
        case errors.TaskTimeout():
            return f"not done after {error.waited:g} s of waiting."
        case errors.TaskUnsettled():
            return "waiting for it broke off."
        case _:
            return _on_the_command_line(str(error))


def _service(error: errors.ServiceError, *, elsewhere: bool) -> str:
    if _unanswered(error):
        advice = _IS_IT_RUNNING if elsewhere else "Try again later."
        return f"nothing answers at {_host(error) or 'its address'}. {advice}"
    status = f"(HTTP {error.http_status})" if error.http_status else ""
    code = f"{error.code or 'an error'} {status}".rstrip()
    text = _sentence("the service answered", code, error.message)
    if isinstance(error, errors.TaskNotFound):
        text += f" It does not know task {error.task_id}, or no longer."
    advice = next((words for kind, words in _ADVICE if isinstance(error, kind)), "")
    request = f" [request id {error.request_id}]" if error.request_id else ""
    return f"{text} {advice}".rstrip() + request


def _sentence(*parts: str) -> str:
    text = ": ".join([" ".join(part for part in parts[:2] if part), *filter(None, parts[2:])])
    return text if text[-1] in ".!?" else f"{text}."
