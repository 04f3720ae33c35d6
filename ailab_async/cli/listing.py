"""``ailab catalogue``: what the service can do, from the catalogue that comes with the library."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from attrs import asdict

from ..operations.catalogue import catalogue, near_words
from .exits import Exit
from .single import say
from .streams import write_line

if TYPE_CHECKING:
    import argparse

    from ..operations.catalogue import EndpointSpec

__all__ = ["listing"]


def listing(arguments: argparse.Namespace) -> int:
    """Run the command: a table of what fits, all fields where that is one."""
    known = [spec for spec in catalogue() if spec.mode != "query"]
    words = [word.lower() for word in arguments.search]
    found = [spec for spec in known if all(word in _text(spec) for word in words)]
    exact = [spec for spec in found if words == [spec.name]]
    found = exact or found
    if not found:
        near = near_words("-".join(words), [spec.name for spec in known])
        hint = f" Nearest: {', '.join(near)}." if near else ""
        say(f"ailab catalogue: nothing fits {' '.join(arguments.search)!r}.{hint}")
        return Exit.BAD_INPUT
    if arguments.json:
        lines = [json.dumps([_facts(spec) for spec in found], indent=2)]
    elif len(found) == 1:
        lines = _details(found[0])
    else:
        lines = _table(found)
    for line in lines:
        lost = write_line(sys.stdout, line)
        if lost:
            say(f"ailab catalogue: standard output cannot be written: {lost}.")
            return Exit.CANNOT_WRITE
    return Exit.DONE


def _text(spec: EndpointSpec) -> str:
    return f"{spec.name} {spec.title} {spec.unique_sign} {spec.path}".lower()


def _table(specs: list[EndpointSpec]) -> list[str]:
    rows = [("name", "credits", "answers", "title")]
    rows += [(spec.name, _credits(spec), _mode(spec), spec.title) for spec in specs]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{name:<{widths[0]}}  {cost:>{widths[1]}}  {mode:<{widths[2]}}  {title}".rstrip()
        for name, cost, mode, title in rows
    ]


def _details(spec: EndpointSpec) -> list[str]:
    lines = [f"{spec.name}: {spec.title}", f"{_credits(spec)} credits, {_mode(spec)}, {spec.path}"]
    if spec.doc_url:
        lines.append(spec.doc_url)
    for known in spec.fields:
        text = f"  {known.name}={'@' if known.type == 'file' else ''}{known.type.upper()}"
        if known.values:
            text += f"  one of {', '.join(known.values)}"
        lines.append(f"{text}{'' if known.required else '  (optional)'}")
    return lines


def _facts(spec: EndpointSpec) -> dict[str, Any]:
    names = ("name", "title", "path", "status", "mode", "credits", "unique_sign")
    facts = {name: getattr(spec, name) for name in names}
    return {**facts, "doc": spec.doc_url, "fields": [asdict(known) for known in spec.fields]}


def _credits(spec: EndpointSpec) -> str:
    return "?" if spec.credits is None else f"{spec.credits:g}"


def _mode(spec: EndpointSpec) -> str:
    how = "with a task" if spec.is_async else "at once"
    return f"{how}, retired" if spec.status == "retired" else how
