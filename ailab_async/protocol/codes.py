"""What an error code means for whoever gets it: the class of each of the service's 126 codes.

Old and new answers give one code under different HTTP statuses (they moved on 2026-01-08), and
the status 429 stands for an empty account as well as for too many requests. So the code decides;
the status only where there is no code, or one that no table knows.
"""

from __future__ import annotations

import re
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from attrs import frozen

from .code_table import ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CODES", "CodeClass", "CodeSpec", "classify"]


class CodeClass(StrEnum):
    """Who can do what about an error."""

    parameters = "parameters"
    """A field is wrong: the caller changes it."""
    input = "input"
    """The picture is not one that the service takes: the caller changes it."""
    authentication = "authentication"
    """Key, account or permission."""
    credits = "credits"
    """No credits left. Never tried again."""
    quota = "quota"
    """A limit of the plan."""
    throttled = "throttled"
    """Too much at once; nothing was made."""
    not_found = "not_found"
    """What was asked for does not exist."""
    state = "state"
    """Not possible in the present state of a resource."""
    transient = "transient"
    """The service's own trouble, may pass."""
    platform = "platform"
    """The service's own trouble, does not pass by itself."""


@frozen(kw_only=True)
class CodeSpec:
    """One code: its HTTP status now and before 2026-01-08, and what it means for the caller."""

    code: str
    http_status: int
    http_status_before: int | None
    code_class: CodeClass
    note: str = ""


CODES: Final[Mapping[str, CodeSpec]] = MappingProxyType(
    {
        row[0]: CodeSpec(
            code=row[0],
            http_status=row[1],
            http_status_before=row[2],
            code_class=CodeClass(row[3]),
            note=row[4] if len(row) == 5 else "",  # noqa: PLR2004 - a row with a note
        )
        for row in ROWS
    }
)
"""Every code that the service documents, by its name."""

_BY_STATUS: Final[Mapping[int, CodeClass]] = {
    400: CodeClass.parameters,
    401: CodeClass.authentication,
    402: CodeClass.credits,
    403: CodeClass.authentication,  # RapidAPI: "You are not subscribed to this API."
    404: CodeClass.not_found,
    405: CodeClass.not_found,
    406: CodeClass.parameters,
    407: CodeClass.platform,
    408: CodeClass.transient,
    409: CodeClass.state,
    410: CodeClass.state,
    413: CodeClass.input,
    415: CodeClass.input,
    422: CodeClass.input,
    425: CodeClass.transient,
    501: CodeClass.platform,
    505: CodeClass.platform,
}

_RATE_WORDS: Final = re.compile(
    r"rate.?limit|too many requests|per (second|minute)|concurren", re.IGNORECASE
)

_FILE_TYPE_WORDS: Final = re.compile(
    r"(file|image|picture)[\s_.-]*(type|format|extension|suffix)"
    r"|(type|format|extension|suffix) of (the |this )?(file|image|picture)"
    r"|\b(jpe?g|png|bmp|webp|gif|tiff?|heic|heif|avif)\b",
    re.IGNORECASE,
)


def classify(code: str, http_status: int, message: str = "") -> CodeClass:
    """Return the class of an error: by its code, by the HTTP status where the code says nothing.

    One code needs its message: an ``AI_SERVICE_INTERNAL_ERROR`` that names a file type is about
    the file's name and comes again with every attempt *(recorded)*. And one status does: a
    gateway's 429 without a code is the plan's quota (RapidAPI), unless it speaks of a rate.
    """
    spec = CODES.get(code)
    if spec is not None:
        if code == "AI_SERVICE_INTERNAL_ERROR" and _FILE_TYPE_WORDS.search(message):
            return CodeClass.input
        return spec.code_class
    if http_status == 429:  # noqa: PLR2004 - a status is its own best name
        quota = bool(message) and not code and not _RATE_WORDS.search(message)
        return CodeClass.quota if quota else CodeClass.throttled
    # by hundreds last; what is neither a refusal nor a failure is a redirect, or a strange success
    by_hundreds = {4: CodeClass.parameters, 5: CodeClass.transient}
    return _BY_STATUS.get(http_status) or by_hundreds.get(http_status // 100, CodeClass.platform)
