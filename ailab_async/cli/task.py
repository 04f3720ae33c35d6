"""``ailab task``: wait for a task that was submitted elsewhere or earlier, and save its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..operations import CartoonGenerator, HDColorMigration
from ..operations.catalogue import find_endpoint
from .options import Wrong, checked, folder_from, service_from, stop
from .single import Single, run_single, say

if TYPE_CHECKING:
    import argparse

    from ..operations import Operation

__all__ = ["task"]

_KINDS: dict[str, type[Operation[Any]]] = {"color": HDColorMigration, "cartoon": CartoonGenerator}


def task(arguments: argparse.Namespace) -> int:
    """Run the command; the paths of the files go to standard output."""
    try:
        record = {"id": arguments.id.strip(), "operation": _name(arguments.operation)}
        if not record["id"]:
            stop("the task id is empty.")
        record["stem"] = arguments.name or record["id"][:40]
        out, service = folder_from(arguments), service_from(arguments)
    except Wrong as wrong:
        say(f"ailab task: {wrong}")
        return wrong.code
    single = Single("task", service, quiet=arguments.quiet)

    async def work() -> int:
        async with single.client() as client:
            if client.service.embedded:
                stop(
                    "the engine inside the command has no tasks of other commands: give --url, "
                    "or set AILAB_API_KEY."
                )
            handle = await client.attach(record)
            single.left = f"It goes on at the service: ailab task {record['id']}"
            result = await handle
            paths = await result.save(out, overwrite=arguments.overwrite) if result.files else []
            if arguments.json:
                answer = {"task_id": record["id"], "files": [str(path) for path in paths]}
                single.out(json.dumps(answer))
            else:
                single.saved(paths, on_stdout=True)
            if not paths:
                single.note("The task is done, and its result has no files.")
        return 0

    return run_single(single, work)


def _name(said: str | None) -> str:
    """Return the service's name of an operation, empty where none was said. Raises `Wrong`."""
    if said is None:
        return ""
    kind = _KINDS.get(said)
    if kind is not None:
        return str(kind.name)
    return checked(lambda: find_endpoint(said)).name
