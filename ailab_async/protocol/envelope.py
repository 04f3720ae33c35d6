"""An HTTP answer in, a `Reply` out, or the error that the service meant.

Three generations of the envelope are live at once (the page "Public Response Fields and Error
Codes", old and new; recorded answers), so every field is optional:

====================================  ======  ======  ======
field                                 oldest  middle  newest
====================================  ======  ======  ======
``request_id``, ``log_id``            yes     mostly  yes
``error_code`` (0, else the status)   yes     yes     no
``error_code_str``, ``error_msg``     yes     some    no
``error_detail``                      yes     yes     without ``status_code``
====================================  ======  ======  ======

A gateway (RapidAPI) answers with ``{"message": "…"}`` alone. An answer is a failure if its HTTP
status is not 200, or ``error_code`` is there and not 0. Of the two codes in one answer
``error_detail.code`` is the more precise.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from ..errors import (
    AuthenticationError,
    CreditsExhausted,
    EndpointRetired,
    InputRejected,
    MalformedReply,
    NotFound,
    PlatformError,
    QuotaExceeded,
    ServiceError,
    ServiceUnavailable,
    StateConflict,
    Throttled,
)
from .codes import CodeClass, classify
from .jsontext import parse_json
from .redact import clean_text, excerpt_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_MAX_BYTES", "Reply", "decode"]

DEFAULT_MAX_BYTES: Final = 64 * 2**20
"""Enough for a few pictures or a video as base64, which some endpoints answer with."""

ERRORS: Final[Mapping[CodeClass, type[ServiceError]]] = {
    CodeClass.parameters: InputRejected,
    CodeClass.input: InputRejected,
    CodeClass.authentication: AuthenticationError,
    CodeClass.credits: CreditsExhausted,
    CodeClass.quota: QuotaExceeded,
    CodeClass.throttled: Throttled,
    CodeClass.not_found: NotFound,
    CodeClass.state: StateConflict,
    CodeClass.transient: ServiceUnavailable,
    CodeClass.platform: PlatformError,
}

RETIRED_CODE: Final = "ERROR_AI_NOT_EXISTS"
"""What a retired endpoint answers, with a 404."""

_OK: Final = 200
_REDIRECT: Final = 300
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_DIGITS: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)


@frozen(kw_only=True)
class Reply:
    """An answer that is no error. ``raw`` is its JSON object, the rest is read from there.

    The identifiers are text also where the service sends numbers, and empty where it sends none.
    """

    raw: dict[str, Any] = field(repr=False)  # holds signed URLs
    http_status: int
    request_id: str = ""
    log_id: str = ""
    task_id: str = ""


def decode(
    status: int, headers: Mapping[str, str], body: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> Reply:
    """Read one answer.

    ``headers`` has lower-case names. Raises the `ServiceError` that fits what the service said,
    with its code, words and identifiers, and ``retry_after`` where the header has plain seconds.
    Raises `MalformedReply`, which is one too, for a body that is no JSON object, is no strict
    JSON (a key twice, ``NaN``), is nested too deeply or longer than ``max_bytes``; its excerpt
    shows how the body begins and its ``http_status`` what came with it. Nothing else is raised.
    """
    raw, problem = _read_object(body, max_bytes)
    if problem:
        raise MalformedReply(
            problem,
            excerpt=excerpt_of(body),
            http_status=status,
            retry_after=_seconds(headers),
        )
    reported = raw.get("error_code")
    if _OK <= status < _REDIRECT and _is_zero(reported):
        return Reply(
            raw=raw,
            http_status=status,
            request_id=_identifier(raw.get("request_id")),
            log_id=_identifier(raw.get("log_id")),
            task_id=_identifier(raw.get("task_id")) or _inner_task_id(raw.get("data")),
        )
    raise _service_error(status, headers, raw, reported)


def _read_object(body: bytes, max_bytes: int) -> tuple[dict[str, Any], str]:
    """Return the JSON object of a body, or what is wrong with it.

    It is returned and not raised: the reader's own errors hold the whole body.
    """
    if len(body) > max_bytes:
        return {}, f"The answer is longer than {max_bytes} bytes"
    try:
        raw = parse_json(body.decode("utf-8-sig"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such
        return {}, f"The answer is no JSON ({error})"
    if not isinstance(raw, dict):
        return {}, f"The answer is no JSON object but {type(raw).__name__}"
    reported = raw.get("error_code")
    if isinstance(reported, (bool, list, dict)):
        return {}, f"The answer's error_code is no number but {type(reported).__name__}"
    return raw, ""


def _inner_task_id(data: Any) -> str:
    """No page has it there, but an id that was paid for is looked for where it may be."""
    return _identifier(data.get("task_id")) if isinstance(data, dict) else ""


def _service_error(
    status: int, headers: Mapping[str, str], raw: dict[str, Any], reported: Any
) -> ServiceError:
    found = raw.get("error_detail")
    detail: dict[str, Any] = found if isinstance(found, dict) else {}
    word = reported if isinstance(reported, str) and _number(reported) is None else None
    code = _first_text(detail.get("code"), raw.get("error_code_str"), word)
    message = _first_text(
        detail.get("message"), detail.get("code_message"), raw.get("error_msg"), raw.get("message")
    )
    statuses = (status, _number(reported), _number(detail.get("status_code")))
    meant = next((number for number in statuses if number is not None and number != _OK), _OK)
    code_class = classify(code, meant, message)
    kind = EndpointRetired if code == RETIRED_CODE else ERRORS[code_class]
    return kind(
        clean_text(message),
        code=clean_text(code, 100),
        http_status=status,
        request_id=clean_text(_identifier(raw.get("request_id")), 200),
        log_id=clean_text(_identifier(raw.get("log_id")), 200),
        retry_after=_seconds(headers),
    )


def _is_zero(value: Any) -> bool:
    """Whether ``error_code`` reports no error: absent, empty, ``0`` or ``"0"``."""
    if value is None or value == 0:
        return True
    return isinstance(value, str) and (not value.strip() or _number(value) == 0)


def _number(value: Any) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _DIGITS.fullmatch(text) else None
    if isinstance(value, float):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _identifier(value: Any) -> str:
    if isinstance(value, str):
        return value
    # sometimes a number (recorded: log_id)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _first_text(*values: Any) -> str:
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Return ``Retry-After`` where it is a number; dates are left to whoever has a clock."""
    text = headers.get("retry-after", "").strip()
    seconds = float(text) if _SECONDS.fullmatch(text) else math.nan
    return None if math.isnan(seconds) else seconds
