"""Rewrites the tables in the documentation from the tables in the code.

``python docs/generate.py`` writes them, ``--check`` only says which pages would change. A table
stands between two comments, ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ailab_async.operations import (
    CartoonGenerator,
    CartoonStyle,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Motion,
    RefPic,
    catalogue,
)
from ailab_async.protocol.codes import CODES, CodeClass
from ailab_async.protocol.envelope import ERRORS, RETIRED_CODE
from ailab_async.protocol.services import DIRECT_PATHS
from ailab_async.protocol.states import (
    STATES,
    VERDICTS_BY_CODE,
    VERDICTS_BY_ERROR,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ailab_async.images import PictureRules
    from ailab_async.operations import EndpointSpec, FieldSpec, Operation

DOCS = Path(__file__).parent
MARKED = re.compile(r"(<!-- begin: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def code(word: object) -> str:
    """Return a word as code, nothing for none."""
    return f"`{word}`" if word or word == 0 else ""


# --- operations ---------------------------------------------------------------------------------


def limits(operation: Operation) -> str:
    """Return what one operation takes and costs."""
    rows: list[tuple[str, str]] = []
    for name, (_, rules) in operation.pictures().items():
        rows.append((f"`{operation.labels.get(name, name)}`", rules_in_words(rules)))
    rows.append(("costs", f"{operation.credits:g} credits at the hosted service"))
    rows.append(("answers with", "a task" if operation.is_async else "the result at once"))
    rows.append(("path", code(service_path(operation))))
    return table(("", ""), rows)


def service_path(operation: Operation) -> str:
    """Return where the service has an operation."""
    return DIRECT_PATHS[operation.name]


def rules_in_words(rules: PictureRules) -> str:
    """Return every limit of a picture in a line."""
    parts = [rules.formats_text, f"up to {rules.max_bytes / 2**20:g} MB"]
    parts += [rules.pixels_text] if rules.pixels_text else []
    parts += ["RGB with three channels"] if rules.three_channels else []
    return ", ".join(parts)


def styles() -> str:
    """Return the cartoon styles by number."""
    rows = ((code(style.value), code(f"CartoonStyle.{style.name}")) for style in CartoonStyle)
    return table(("number", "name"), rows)


# --- the catalogue ------------------------------------------------------------------------------


def endpoints(*, retired: bool) -> str:
    """Return the catalogue, the endpoints that are offered or those that are not any more."""
    status = "retired" if retired else "current"
    specs = [spec for spec in catalogue() if spec.status == status and spec.mode != "query"]
    heads = ("name", "what it is", "answers", "credits", "fields", "pictures")
    return table(heads, (endpoint_row(spec) for spec in specs))


def endpoint_row(spec: EndpointSpec) -> tuple[str, ...]:
    """Return one row of the catalogue."""
    title = f"[{spec.title}]({spec.doc_url})" if spec.doc_url else spec.title
    answers = "a task" if spec.is_async else "at once"
    fields = ", ".join(field_in_words(known) for known in spec.fields)
    own = [f"`{name}`: {rules.pixels_text}" for name, rules in spec.own_rules.items()]
    has_picture = any(known.type == "file" for known in spec.fields)
    pictures = "; ".join([rules_in_words(spec.rules), *own]) if has_picture else ""
    return f"`{spec.name}`", title, answers, f"{spec.credits:g}", fields, pictures


def field_in_words(known: FieldSpec) -> str:
    """Return one field: required ones in bold, with what it takes."""
    takes = " or ".join(known.values) if known.values else known.type
    text = f"`{known.name}` {takes}"
    return f"**{text}**" if known.required else text


# --- the reference ------------------------------------------------------------------------------


def states() -> str:
    """Return the table of task states."""
    rows = (
        (code(row.word), row.state.value, code(row.failure and row.failure.__name__), row.source)
        for row in STATES.values()
    )
    return table(("value", "state", "raised as", "source"), rows)


def verdicts() -> str:
    """Return what an error on a look means, by code and then by kind of error."""
    rows = [(code(name), verdict.value) for name, verdict in VERDICTS_BY_CODE.items()]
    rows += [(f"any other `{kind.__name__}`", verdict.value) for kind, verdict in VERDICTS_BY_ERROR]
    return table(("error on a look", "means"), rows)


def error_codes() -> str:
    """Return the table of error codes."""
    rows = (
        (
            code(spec.code),
            spec.http_status,
            spec.http_status_before or "",
            code(error_name(spec.code, spec.code_class)),
            spec.note,
        )
        for spec in CODES.values()
    )
    return table(("code", "HTTP", "before 2026-01-08", "raised as", ""), rows)


def error_name(name: str, code_class: CodeClass) -> str:
    """Return the error class of a code."""
    return "EndpointRetired" if name == RETIRED_CODE else ERRORS[code_class].__name__


TABLES: dict[str, Callable[[], str]] = {
    "hd-color-migration": lambda: limits(HDColorMigration("image", RefPic("ref"))),
    "image-erase": lambda: limits(ImageErasure("image", "mask")),
    "micro-motion": lambda: limits(MicroMotion("image", Motion.SKY)),
    "cartoon-generator": lambda: limits(CartoonGenerator("image", 0)),
    "styles": styles,
    "current-endpoints": lambda: endpoints(retired=False),
    "retired-endpoints": lambda: endpoints(retired=True),
    "states": states,
    "verdicts": verdicts,
    "error-codes": error_codes,
}


def rendered(text: str) -> str:
    """Return a page with its tables made anew."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}\n{found[3]}", text)


def pages() -> list[Path]:
    """Return the pages that have tables."""
    found = sorted(DOCS.rglob("*.md"))
    return [path for path in found if MARKED.search(path.read_text(encoding="utf-8"))]


def main(arguments: list[str]) -> int:
    """Write the pages, or only check them; return 1 where one is not up to date."""
    stale = 0
    for path in pages():
        text = path.read_text(encoding="utf-8")
        made = rendered(text)
        if made != text:
            stale = 1
            print(path.relative_to(DOCS))
            if "--check" not in arguments:
                path.write_text(made, encoding="utf-8")
    return stale if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
