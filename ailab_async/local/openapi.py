"""The engine's interface in OpenAPI 3.1, made from the same table that it is served by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..protocol.codes import CODES
from ..protocol.services import (
    CREDITS,
    DIRECT_PATHS,
    QUERY_BY_JOB,
    QUERY_BY_TASK,
    RAPIDAPI_PATHS,
)
from .answers import Code
from .offers import OFFERS
from .store import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .forms import Field
    from .offers import Offer

__all__ = ["description"]

_ANYWHERE: Final = (
    Code.ERROR_PARAMETERS,
    Code.ERROR_REQUEST_BODY_TOO_LARGE,
    Code.UNKNOWN_ERROR,
    Code.ERROR_RESOURCE_UNAVAILABLE,
)
_KEYED: Final = (Code.ERROR_USER_NOT_EXISTS,)
_UPLOAD: Final = (
    Code.UNSUPPORTED_PARAMETER_VALUES,
    Code.FILE_SIZE_EXCEEDS_LIMIT,
    Code.FILE_RESOLUTION_EXCEEDS_LIMITS,
    Code.UNSUPPORTED_FILE_TYPES,
    Code.ERROR_UNSUPPORTED_GRAYSCALE_IMAGE,
    Code.FILE_DECODING_FAILURE,
    Code.ERROR_LOW_RESOLUTION,
    Code.ERROR_INVALID_FILE,
    Code.AI_SERVICE_FLOW_RESTRICTION,
    Code.FILE_SERVICE_ERROR,
)
_MASKED: Final = (Code.ERROR_MASK_IMAGE_RESOLUTION_MISMATCH,)
_WORK: Final = (
    Code.FILE_DECODING_FAILURE,
    Code.FILE_CONTENT_NON_COMPLIANCE,
    Code.ERROR_NO_RECOGNITION_TARGET_DETECTED,
    Code.PROCESSING_FAILURE,
    Code.AI_SERVICE_TIMEOUT,
)
_JOB_WORDS: Final = (
    *("QUEUING", "PROCESSING", "PROCESS_SUCCESS"),
    *("PROCESS_FAILED", "TIMEOUT_FAILED", "LIMIT_RETRY_FAILED"),
)
_TEXT: Final = {"type": "string"}
_URL: Final = {"type": "string", "format": "uri"}


def description(rapidapi_paths: Mapping[str, str]) -> dict[str, Any]:
    """Return the whole document; ``rapidapi_paths`` are those that this engine adds or changes."""
    paths: dict[str, Any] = {}
    for offer in OFFERS.values():
        paths[offer.path] = {"post": _submission(offer, rapidapi=False)}
        other = rapidapi_paths.get(offer.name, offer.rapidapi_path)
        if other is not None:
            paths[other] = {"post": _submission(offer, rapidapi=True)}
    for rapidapi, table in ((False, DIRECT_PATHS), (True, {**RAPIDAPI_PATHS, **rapidapi_paths})):
        paths[table[QUERY_BY_TASK]] = {"get": _query_by_task(rapidapi=rapidapi)}
        paths[table[QUERY_BY_JOB]] = {"get": _query_by_job(rapidapi=rapidapi)}
    paths[DIRECT_PATHS[CREDITS]] = {
        "get": _operation("Credits", _ok(_envelope({"data": _list({"type": "object"})})), _KEYED)
        | _secured(rapidapi=False)
    }
    paths["/files/{name}"] = {"get": _file()}
    paths["/healthz"] = {"get": _operation("Health", _ok({"type": "object"}))}
    paths["/metrics"] = {"get": _operation("Metrics", _content({"text/plain": {"schema": _TEXT}}))}
    paths["/openapi.json"] = {"get": _operation("This document", _ok({"type": "object"}))}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ailab local engine",
            "version": "1",
            "description": "The HTTP interface of the AILabTools image service, answered by "
            "pictures made on this computer.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Failure": _failure()},
            "securitySchemes": {
                "direct": {"type": "apiKey", "in": "header", "name": "ailabapi-api-key"},
                "rapidapi": {"type": "apiKey", "in": "header", "name": "X-RapidAPI-Key"},
            },
        },
    }


def _submission(offer: Offer, *, rapidapi: bool) -> dict[str, Any]:
    names = [(name, field) for field in offer.fields for name in _names(field)]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: {**field.schema, "description": field.text} for name, field in names},
        "required": [
            field.name for field in offer.fields if field.required and not field.other_name
        ],
    }
    # of a field with two names exactly one is given
    either = [field for field in offer.fields if field.other_name]
    if either:
        schema["allOf"] = [
            {"oneOf": [{"required": [name]} for name in _names(field)]} for field in either
        ]
    if offer.job_type is None:
        answer = _envelope({"data": _data(offer)})
        codes: tuple[Code, ...] = (*_UPLOAD, *_WORK)
    else:
        answer = _envelope({"task_id": _TEXT, "task_type": {"const": "async"}})
        codes = _UPLOAD
    masked = any("mask" in field.name for field in offer.fields)
    codes += _MASKED if masked else ()
    return {
        **_operation(offer.title, _ok(answer), (*codes, *_KEYED)),
        **_secured(rapidapi=rapidapi),
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": schema}},
        },
    }


def _names(field: Field) -> list[str]:
    return [field.name, *([field.other_name] if field.other_name else [])]


def _query_by_task(*, rapidapi: bool) -> dict[str, Any]:
    extra = {"task_status": {"enum": [0, 1, 2]}, "data": {"type": "object"}}
    return {
        **_operation(
            "A task by its id",
            _ok(_envelope(extra)),
            (Code.ERROR_RESOURCE_NOT_FOUND, Code.FILE_SERVICE_ERROR, *_WORK, *_KEYED),
        ),
        **_secured(rapidapi=rapidapi),
        "parameters": [_parameter("task_id", _TEXT)],
    }


def _query_by_job(*, rapidapi: bool) -> dict[str, Any]:
    data = {
        "type": "object",
        "properties": {
            "status": {"enum": list(_JOB_WORDS)},
            "image_list": _list(_URL),
            "result_url": _URL,
            "ErrorCode": _TEXT,
            "ErrorMessage": _TEXT,
        },
        "required": ["status"],
    }
    codes = (
        *(Code.UNSUPPORTED_PARAMETER_VALUES, Code.ERROR_RESOURCE_NOT_FOUND),
        *(Code.FILE_SERVICE_ERROR, *_KEYED),
    )
    types = [offer.job_type for offer in OFFERS.values() if offer.job_type]
    return {
        **_operation("A task by its job id", _ok(_envelope({"data": data})), codes),
        **_secured(rapidapi=rapidapi),
        "parameters": [_parameter("job_id", _TEXT), _parameter("type", {"enum": types})],
    }


def _file() -> dict[str, Any]:
    content: dict[str, Any] = {kind: {"schema": {}} for kind in MEDIA_TYPES.values()}
    answers = {
        **_content(content),
        "206": {"description": "The range that was asked for.", "content": content},
        "304": {"description": "It is the one that the client has."},
        "416": {"description": "The file has no such bytes."},
    }
    name = {**_parameter("name", _TEXT), "in": "path"}
    asked = [
        {"name": header, "in": "header", "schema": _TEXT}
        for header in ("Range", "If-Range", "If-None-Match")
    ]
    codes = (Code.ERROR_FILE_NOT_FOUND, Code.ERROR_AI_NOT_EXISTS, Code.FILE_SERVICE_ERROR)
    return {**_operation("A result file", answers, codes), "parameters": [name, *asked]}


# --- parts --------------------------------------------------------------------------------------


def _operation(
    summary: str, answers: Mapping[str, Any], codes: Iterable[Code] = ()
) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in sorted({*codes, *_ANYWHERE}, key=lambda code: code.name):
        by_status.setdefault(CODES[code.name].http_status, []).append(code.name)
    failures = {
        str(status): {
            "description": ", ".join(names),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
        }
        for status, names in sorted(by_status.items())
    }
    return {"summary": summary, "responses": {**answers, **failures}}


def _secured(*, rapidapi: bool) -> dict[str, Any]:
    # The empty one: an engine that was started without keys asks for none.
    return {"security": [{"rapidapi" if rapidapi else "direct": []}, {}]}


def _ok(schema: Mapping[str, Any]) -> dict[str, Any]:
    return _content({"application/json": {"schema": schema}})


def _content(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "Success.", "content": content}}


def _parameter(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": True, "schema": schema}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _data(offer: Offer) -> dict[str, Any]:
    schema = _list(_URL) if offer.answer.endswith("_list") else _URL
    return {"type": "object", "properties": {offer.answer: schema}, "required": [offer.answer]}


def _envelope(extra: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        "request_id": _TEXT,
        "log_id": _TEXT,
        "error_code": {"const": 0},
        "error_msg": _TEXT,
        "error_detail": {"type": "object"},
        **extra,
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _failure() -> dict[str, Any]:
    detail = {
        "status_code": {"type": "integer"},
        "code": {"enum": [code.name for code in Code]},
        "code_message": _TEXT,
        "message": _TEXT,
    }
    schema = _envelope({"error_code": {"type": "integer", "not": {"const": 0}}})
    schema["properties"]["error_detail"] = {
        "type": "object",
        "properties": detail,
        "required": list(detail),
    }
    return schema
