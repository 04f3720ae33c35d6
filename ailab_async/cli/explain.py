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


def explain(error: BaseException, *, task_id: str = "") -> str:
    """Return what happened and what to do, as one line; ``task_id`` is the photo's, if known."""
    match error:
        case errors.InvalidOperation():
            text = _invalid(error)
        case errors.FileKept():
            text = f"{error.path} exists and was kept: --overwrite replaces it."
        case errors.TaskFailed():
            text = _sentence("failed", error.code or error.state, error.message)
        case errors.TaskTimeout():
            text = f"not done after {error.waited:g} s of waiting."
        case errors.TaskUnsettled():
            text = "waiting for it broke off."
        case errors.ServiceError():
            text = _service(error)
        case OSError() if error.strerror:
            name = f"{error.filename}: " if error.filename else ""
            text = f"{name}{error.strerror}."
        case _:
            text = str(error)
    if task_id and not isinstance(error, errors.TaskFailed):
        text += f" The service has it as task {task_id}, for 24 hours."
    return " ".join(text.split())


def _invalid(error: errors.InvalidOperation) -> str:
    wrong = f"must be {error.limit}, not {error.value}."
    # A photo's name stands before the line already; which field it fills says nothing more.
    option = _OPTIONS.get(error.field)
    return f"{option} {wrong}" if option else wrong


def _service(error: errors.ServiceError) -> str:
    code = f"{error.code or 'an error'} (HTTP {error.http_status})"
    text = _sentence("the service answered", code, error.message)
    advice = next((words for kind, words in _ADVICE if isinstance(error, kind)), "")
    request = f" [request id {error.request_id}]" if error.request_id else ""
    return f"{text} {advice}".rstrip() + request


def _sentence(*parts: str) -> str:
    text = ": ".join([" ".join(part for part in parts[:2] if part), *filter(None, parts[2:])])
    return text if text[-1] in ".!?" else f"{text}."
