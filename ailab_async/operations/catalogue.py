"""The service's endpoints, as data: ``catalogue.json`` beside this file.

Gathered from the service's pages and its ``openapi.json`` of 2026-06-25. ``doc`` names a page
below ``https://www.ailabtools.com/docs/``. Where the two disagree the entry follows the page:
the cartoon generator's style is ``index`` (``type`` in openapi.json). Types that neither states
are ``any``. Limits of bytes are taken in units of 2**20.
"""

from __future__ import annotations

import difflib
import json
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import evolve, field, frozen

from ..errors import InvalidOperation
from ..images import PictureRules

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EndpointSpec", "FieldSpec", "FieldType", "Mode", "catalogue", "find_endpoint"]

DOCS: Final = "https://www.ailabtools.com/docs/"

FieldType = Literal["file", "string", "integer", "float", "boolean", "json", "any"]
Mode = Literal["sync", "async", "query"]

# Read with the module and not at the first use, which is on somebody's event loop.
_TEXT: Final = pkgutil.get_data(__name__, "catalogue.json") or b"[]"
_CLOSE: Final = 0.5
_MOST_NEAR: Final = 4

_UNLISTED: Final = PictureRules(formats=("JPEG", "PNG", "BMP", "WEBP"), max_bytes=10 * 2**20)
"""For a picture where the pages state no limit at all."""


@frozen(kw_only=True)
class FieldSpec:
    """One field of an endpoint's form; ``values`` are the only ones it takes, if there are any."""

    name: str
    type: FieldType
    required: bool = False
    values: tuple[str, ...] = ()


@frozen(kw_only=True)
class EndpointSpec:
    """One endpoint: how it is called and what it takes.

    ``mode`` is ``"sync"`` (answers with the result), ``"async"`` (with a task) or ``"query"``
    (the client's own business: `AsyncClient.query`, `AsyncClient.credits`). ``credits`` is the
    price of a call. ``rules`` hold for every picture but those in ``own_rules``;
    ``required_any_of`` lists groups of fields of which one must be given; ``same_size`` says which
    picture must have the size of which other; ``result`` is where the pages say the result is.
    """

    name: str
    title: str
    path: str
    method: Literal["GET", "POST"] = "POST"
    status: Literal["current", "retired"]
    mode: Mode
    credits: float | None = None
    unique_sign: str = ""
    doc: str = ""
    fields: tuple[FieldSpec, ...] = ()
    required_any_of: tuple[tuple[str, ...], ...] = ()
    rules: PictureRules = _UNLISTED
    own_rules: Mapping[str, PictureRules] = field(factory=dict, hash=False)
    same_size: Mapping[str, str] = field(factory=dict, hash=False)
    result: str = ""

    @property
    def is_async(self) -> bool:
        """Whether the service answers with a task."""
        return self.mode == "async"

    @property
    def doc_url(self) -> str:
        """The address of its page, empty where there is none any more."""
        return f"{DOCS}{self.doc}/api" if self.doc else ""

    def rules_of(self, name: str) -> PictureRules:
        """Return the limits of the picture field ``name``."""
        return self.own_rules.get(name, self.rules)


@cache
def catalogue() -> tuple[EndpointSpec, ...]:
    """Return every endpoint the service has or had, with its status; reads nothing from disk."""
    return tuple(_spec(row) for row in json.loads(_TEXT))


def find_endpoint(name: str, *, task_type: object = None) -> EndpointSpec:
    """Return the endpoint that ``name`` means: its short name, full path or ``unique_sign``.

    Two endpoints answer at once or with a task, by the field ``task_type``: one path and sign,
    two entries. ``task_type="async"`` picks the second. Raises `InvalidOperation` with the nearest
    names for one that is unknown, and for a query, which is no operation.
    """
    found = _index().get(name) if isinstance(name, str) else None
    if found is None:
        limit = "an endpoint of the catalogue"
        raise InvalidOperation("endpoint", limit, name, hint=_nearest(name))
    if found.mode == "query":
        hint = "Use client.query(id) or client.credits()."
        raise InvalidOperation("endpoint", "an operation", name, hint=hint)
    if task_type == "async" and not found.is_async:
        return _index().get(f"{found.name}-async", found)
    return found


@cache
def _index() -> dict[str, EndpointSpec]:
    """Return the endpoints by everything they can be called; the first entry keeps a name."""
    index: dict[str, EndpointSpec] = {}
    for spec in catalogue():
        for name in filter(None, (spec.name, spec.path, spec.unique_sign)):
            index.setdefault(name, spec)
    return index


def near_words(word: str, known: list[str]) -> list[str]:
    """Return the words most like ``word``, the likest first."""
    return difflib.get_close_matches(word, known, n=_MOST_NEAR, cutoff=_CLOSE)


def _nearest(name: object) -> str:
    """Say which names are like ``name``, in the spelling that was tried."""
    if not isinstance(name, str):
        return "Name it by a text: its short name, its path or its unique_sign."
    specs = [spec for spec in catalogue() if spec.mode != "query"]
    if name.startswith("/"):
        known = [spec.path for spec in specs]
    elif "_" in name and "-" not in name:
        known = [spec.unique_sign for spec in specs if spec.unique_sign]
    else:
        known = [spec.name for spec in specs]
    near = near_words(name.strip().lower(), list(dict.fromkeys(known)))
    if not near:
        return "See catalogue() for all of them."
    return f"Nearest: {', '.join(near)}."


def _spec(row: dict[str, Any]) -> EndpointSpec:
    rules = _rules(row["pictures"]) if "pictures" in row else _UNLISTED
    return EndpointSpec(
        name=row["name"],
        title=row["title"],
        path=row["path"],
        method=row.get("method", "POST"),
        status=row["status"],
        mode=row["mode"],
        credits=row.get("credits"),
        unique_sign=row.get("unique_sign", ""),
        doc=row.get("doc", ""),
        fields=tuple(
            FieldSpec(name=name, type=kind, required=required, values=tuple(*values))
            for name, (kind, required, *values) in row["fields"].items()
        ),
        required_any_of=tuple(tuple(group) for group in row.get("any_of", ())),
        rules=rules,
        own_rules={
            name: evolve(rules, **_sizes(limits))
            for name, limits in row.get("own_pictures", {}).items()
        },
        same_size=row.get("same_size", {}),
        result=row.get("result", ""),
    )


def _rules(limits: dict[str, Any]) -> PictureRules:
    return PictureRules(
        formats=tuple(limits["formats"]),
        max_bytes=limits["max_bytes"],
        three_channels=limits.get("three_channels", False),
        **_sizes(limits),
    )


def _sizes(limits: dict[str, Any]) -> dict[str, Any]:
    names = ("larger_than", "smaller_than", "at_least", "at_most")
    return {name: (limits[name][0], limits[name][1]) for name in names if name in limits}
