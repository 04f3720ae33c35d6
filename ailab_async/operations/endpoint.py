"""Everything in the catalogue, as one operation."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from attrs import define, field

from ..errors import InvalidOperation
from ..images import check_source, show_source, source_key
from .base import Fact, FormItem, Operation, TextField
from .catalogue import EndpointSpec, FieldSpec, find_endpoint, near_words
from .results import EndpointResult
from .values import check_fit, check_same_size, decimal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..images import Part, PictureRules, PictureSource

__all__ = ["Endpoint"]

_TASK_TYPE: Final = "task_type"
_LARGE: Final = 2**63
_SENDABLE: Final = re.compile(r"[^\x00\ud800-\udfff]+")
_FIELD_NAME: Final = re.compile(r"[\w.\[\]-]+", re.ASCII)


def _show_fields(values: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in values)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, int | float | str) else show_source(value)


def _keys(values: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, source_key(value)) for name, value in values)


@define(frozen=True, init=False, repr=False)
class Endpoint(Operation[EndpointResult]):
    """Any endpoint of the catalogue, by its short name, its full path or its ``unique_sign``.

    ``Endpoint("remove-objects", image="street.jpg", mask="poles.png")``. Fields go by the names
    that the service gives them; see `catalogue` for what there is.
    """

    name = Fact("endpoint", lambda endpoint: endpoint.spec.name)
    path = Fact[str | None](None, lambda endpoint: endpoint.spec.path)
    is_async = Fact(default=False, of_value=lambda endpoint: endpoint.spec.is_async)
    credits = Fact[float | None](None, lambda endpoint: endpoint.spec.credits)
    result_type = EndpointResult
    needs_file: ClassVar[bool] = False

    spec: EndpointSpec
    texts: tuple[tuple[str, str], ...]
    sources: tuple[tuple[str, Any], ...] = field(eq=_keys)
    fit: bool | None

    def __init__(
        self,
        name_or_path: str,
        /,
        *,
        extra: Mapping[str, Any] | None = None,
        fit: bool | None = None,
        **fields: Any,
    ) -> None:
        """Check the fields against the catalogue. A field that is ``None`` is not sent.

        ``extra`` sends fields that the catalogue does not have, or values that it would refuse,
        without a check: texts, numbers and booleans as text, anything else as a picture.
        ``task_type`` is sent by itself where the endpoint needs it.

        Raises `InvalidOperation` for an unknown endpoint, a field that is unknown, missing or of
        another type or value, and what can be no picture; the nearest names are in its hint.
        """
        check_fit(self, None, fit)
        spec = find_endpoint(name_or_path, task_type=fields.get(_TASK_TYPE))
        unchecked = dict(extra or {})
        given = {name: value for name, value in fields.items() if value is not None}
        _check_names(spec, given, unchecked)
        texts: dict[str, str] = {}
        sources: dict[str, Any] = {}
        for known in spec.fields:
            if known.name not in given:
                if known.name == _TASK_TYPE and known.required and _TASK_TYPE not in unchecked:
                    texts[_TASK_TYPE] = spec.mode
            elif known.type == "file":
                check_source(given[known.name], known.name)
                sources[known.name] = given[known.name]
            else:
                texts[known.name] = _checked_text(known, given[known.name])
        for name, value in unchecked.items():
            text = _any(value)
            if text is None:
                check_source(value, name)
                sources[name] = value
            else:
                texts[name] = text
        facts = {
            "spec": spec,
            "texts": tuple(texts.items()),
            "sources": tuple(sources.items()),
            "fit": fit,
        }
        for fact, value in facts.items():
            object.__setattr__(self, fact, value)

    def __repr__(self) -> str:
        shown = _show_fields((*self.sources, *self.texts))
        return (
            f"Endpoint({self.spec.name!r}, {shown})" if shown else f"Endpoint({self.spec.name!r})"
        )

    def pictures(self) -> Mapping[str, tuple[PictureSource, PictureRules]]:
        """Return the pictures given, each with the endpoint's limits."""
        return {name: (source, self.spec.rules_of(name)) for name, source in self.sources}

    def check(self, parts: Mapping[str, Part]) -> None:
        """Raise `InvalidOperation` for a mask of another size, where the endpoint has one."""
        for name, other in self.spec.same_size.items():
            check_same_size(parts, name, other, self.labels)

    def fit_like(self) -> Mapping[str, str]:
        """Return which mask goes with which picture."""
        return self.spec.same_size

    def form(self, parts: Mapping[str, Part], *, task_type: bool = True) -> tuple[FormItem, ...]:
        """Return the form in the catalogue's order, what is extra at its end."""
        items: dict[str, FormItem] = {
            name: TextField(name=name, value=value)
            for name, value in self.texts
            if task_type or name != _TASK_TYPE
        }
        items.update({name: parts[name] for name, _ in self.sources})
        order = [known.name for known in self.spec.fields if known.name in items]
        rest = [name for name in items if name not in order]
        return tuple(items[name] for name in (*order, *rest))


def _check_names(spec: EndpointSpec, given: dict[str, Any], unchecked: dict[str, Any]) -> None:
    names = [known.name for known in spec.fields]
    listed = ", ".join(names) or "none"
    for name in given:
        if name not in names:
            near = near_words(name, names)
            hint = f"Nearest: {', '.join(near)}. " if near else ""
            hint += f"To send it all the same: extra={{{name!r}: …}}."
            limit = f"a field of {spec.name} ({listed})"
            raise InvalidOperation(name, limit, "unknown", hint=hint)
        if name in unchecked:
            raise InvalidOperation(name, "given once", "a field and in extra as well")
    for name in unchecked:
        if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
            limit = "names of letters, digits and _ . - [ ]"
            raise InvalidOperation("extra", limit, name)
    present = {*given, *unchecked}
    for known in spec.fields:
        if known.required and known.name not in present and known.name != _TASK_TYPE:
            hint = f"{spec.name} takes: {listed}."
            raise InvalidOperation(known.name, "given", "missing", hint=hint)
    for group in spec.required_any_of:
        if not present.intersection(group):
            raise InvalidOperation(group[0], f"given, or {' or '.join(group[1:])}", "missing")


# --- how each type is written -------------------------------------------------------------------


def _checked_text(known: FieldSpec, value: Any) -> str:
    kind, write = _WRITERS[known.type]
    text = write(value)
    if text is None:
        raise InvalidOperation(known.name, kind, value)
    if known.values and text not in known.values:
        limit = f"one of {', '.join(known.values)}"
        raise InvalidOperation(known.name, limit, value)
    return text


def _string(value: Any) -> str | None:
    return str(value) if isinstance(value, str) and _SENDABLE.fullmatch(value) else None


def _integer(value: Any) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(int(value)) if whole and abs(value) < _LARGE else None


def _float(value: Any) -> str | None:
    if isinstance(value, float):
        return decimal_text(value) if math.isfinite(value) else None
    return _integer(value)


def _boolean(value: Any) -> str | None:
    return ("false", "true")[value] if isinstance(value, bool) else None


def _json(value: Any) -> str | None:
    """Write a list or an object as JSON; take a text only if it is some."""
    try:
        if isinstance(value, str):
            json.loads(value)
            return _string(value)
        if isinstance(value, list | tuple | dict):
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        pass  # said by the None below
    return None


def _any(value: Any) -> str | None:
    if isinstance(value, bool):
        return _boolean(value)
    return _string(value) if isinstance(value, str) else _float(value)


_WRITERS: Final[dict[str, tuple[str, Callable[[Any], str | None]]]] = {
    "string": ("a text, not empty, of valid characters", _string),
    "integer": ("a whole number", _integer),
    "float": ("a finite number", _float),
    "boolean": ("True or False", _boolean),
    "json": ("JSON: a list, a dict, or a text that holds one", _json),
    "any": ("a text, a number or a boolean", _any),
}
