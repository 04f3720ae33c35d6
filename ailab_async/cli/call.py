"""``ailab call``: any endpoint of the catalogue, once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..operations import Endpoint
from ..operations.catalogue import find_endpoint
from .options import checked, folder_from, service_from, stop
from .single import Single, run_single, say

if TYPE_CHECKING:
    import argparse

    from ..operations.catalogue import EndpointSpec

__all__ = ["call"]


def call(arguments: argparse.Namespace) -> int:
    """Run the command; the answer goes to standard output as JSON, its files to the folder."""
    from .options import Wrong  # noqa: PLC0415 - beside its use

    try:
        operation = _operation(arguments)
        out, service = folder_from(arguments), service_from(arguments)
    except Wrong as wrong:
        say(f"ailab call: {wrong}")
        return wrong.code
    single = Single("call", service, quiet=arguments.quiet)

    async def work() -> int:
        async with single.client() as client:
            result = await client.run(operation)
            paths = await result.save(out, overwrite=arguments.overwrite) if result.files else []
            inline = {
                file.base64: f"saved as {path}"
                for file, path in zip(result.files, paths, strict=True)
                if file.base64
            }
            single.out(json.dumps(_without(result.raw, inline), indent=2))
            single.saved(paths, on_stdout=False)
        return 0

    return run_single(single, work)


def _operation(arguments: argparse.Namespace) -> Endpoint:
    spec = checked(lambda: find_endpoint(arguments.endpoint))
    fields = dict(_field(spec, word) for word in arguments.fields)
    if len(fields) < len(arguments.fields):
        stop("a field is given twice: give each once, a list as JSON.")
    names = [known.name for known in spec.fields]
    for name in fields:
        if name in {"extra", "fit"} and name not in names:  # which would mean something else below
            stop(f"{name} is no field of {spec.name} ({', '.join(names)}).")
    own: dict[str, Any] = {name: fields.pop(name) for name in ("extra", "fit") if name in fields}
    return checked(
        lambda: Endpoint(spec.name, extra=own or None, fit=arguments.fit or None, **fields)
    )


def _field(spec: EndpointSpec, word: str) -> tuple[str, Any]:
    """Return the name and value of ``name=value``, of the type that the catalogue says."""
    name, equals, text = word.partition("=")
    if not equals or not name:
        stop(f"fields are written name=value, or name=@file, not {word!r}.")
    kind = next((known.type for known in spec.fields if known.name == name), "any")
    if kind == "file":
        if not text.startswith("@") or text == "@":
            stop(f"{name} is a file: write {name}=@{text.lstrip('@') or 'FILE'}.")
        return name, text[1:]
    return name, _value(name, kind, text)


def _value(name: str, kind: str, text: str) -> Any:
    """Return a text as what the field takes; what is wrong with its range the operation says."""
    try:
        match kind:
            case "integer":
                return int(text)
            case "float":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case _:
                return text
    except (KeyError, ValueError):
        what = {"integer": "a whole number", "float": "a number", "boolean": "true or false"}
        stop(f"{name} must be {what[kind]}, not {text!r}.")


def _without(value: Any, inline: dict[str, str]) -> Any:
    """Return an answer with whole files in it replaced by where they were saved."""
    if isinstance(value, dict):
        return {name: _without(item, inline) for name, item in value.items()}
    if isinstance(value, list):
        return [_without(item, inline) for item in value]
    if isinstance(value, str) and inline:
        whole = value.rpartition("base64,")[2]
        return inline.get(value) or inline.get(whole) or value
    return value
