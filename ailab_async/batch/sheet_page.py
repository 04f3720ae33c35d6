"""The HTML of the contact sheet: text in, text out.

Names, errors and paths come from file systems and from the service, so nothing of them reaches the
page unescaped. The page allows itself, by hashes in its content security policy, exactly its own
style and script, and pictures that stand in it: it can send nothing anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import os
import re
from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from .sheet import SheetRow, SheetTotals

__all__ = ["BREAK", "EMPTY", "GROUPS", "card", "clean", "frame", "header"]

GROUPS: Final = {
    "saved": "good",
    "done": "good",
    "failed": "bad",
    "rejected": "bad",
    "unknown": "held",
    "open": "held",
    "pending": "held",
}
"""Every state a row may have, and which of the three filters shows it."""

BREAK: Final = '</ol>\n<ol class="sheet">\n'
EMPTY: Final = '<li class="nothing">There was no picture in this batch.</li>\n'

_TITLES: Final = {"good": "Done", "bad": "Failed", "held": "Held"}
_WORDS: Final = {
    "failed": "It failed, and no reason was given.",
    "rejected": "It was refused before it was sent.",
    "unknown": "It was sent, but no answer came: whether it was accepted is not known.",
    "open": "It was accepted, and its result is still to come.",
    "pending": "It was not sent yet.",
}
"""What is said of a row that has neither a result nor an error."""

_MOSAICS: Final = (2, 4, 9, 16)
_LONGEST: Final = 400
"""Characters that are shown of a title; a page's title is no place for more."""

_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_MINUTE: Final = 60
_HOUR: Final = 3600
_PRECISE_BELOW: Final = 10
_NOT_KNOWN: Final = "\N{EN DASH}"


def clean(text: str) -> str:
    """Return ``text`` so that it can be shown, as HTML, between tags and in quotes.

    Control characters get their visible pictures. What turns the direction of other text around,
    what is no character and what has no UTF-8 form (bytes of a file name that are not UTF-8)
    becomes U+FFFD.
    """
    return html.escape(_UNSEEN.sub(_visible, text))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"  # noqa: PLR2004 - ␀


# --- the page -------------------------------------------------------------------------------------


@cache
def _part(name: str) -> str:
    return files("ailab_async.batch").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def frame(title: str) -> tuple[str, str, str]:
    """Return what stands before the header, between it and the cards, and behind the cards."""
    style, script = _part("sheet.css"), _part("sheet.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    start, rest = _part("sheet.html").split("$totals")
    middle, end = rest.split("$rows")
    known = {
        "policy": policy,
        "style": style,
        "script": script,
        "title": clean(title[:_LONGEST]),
    }
    return Template(start).substitute(known), Template(middle).substitute(known), end


# --- the header -----------------------------------------------------------------------------------


def header(totals: SheetTotals) -> str:
    """Return the totals and the filters, a few kilobytes at most."""
    groups = dict.fromkeys(_TITLES, 0)
    for state, count in totals.counts.items():
        groups[GROUPS[state]] += count
    pictures = sum(groups.values())
    figures = [("Pictures", f"{pictures:,}", "")]
    figures += [(_TITLES[group], f"{n:,}", group if n else "") for group, n in groups.items()]
    figures.append(
        ("Credits", _NOT_KNOWN if totals.credits is None else _number(totals.credits), "")
    )
    figures.append(("Time", _duration(totals.seconds), ""))
    pace = f"{groups['good'] * _MINUTE / totals.seconds:,.1f}" if totals.seconds > 0 else _NOT_KNOWN
    figures.append(("Per minute", pace, ""))
    shown = "".join(
        f'<div class="{kind}"><dt>{name}</dt><dd>{value}</dd></div>\n'
        for name, value, kind in figures
    )
    began = f"{totals.began:%Y-%m-%d %H:%M} {totals.began.tzname() or ''}".rstrip()
    return (
        f'<header class="top">\n<p class="kind">Contact sheet · <bdi>'
        f"{clean(totals.service[:_LONGEST])}</bdi> · "
        f'<time datetime="{totals.began.isoformat()}">{clean(began[:_LONGEST])}</time></p>\n'
        f"<h1><bdi>{clean(totals.title[:_LONGEST])}</bdi></h1>\n"
        f'<dl class="figures">\n{shown}</dl>\n'
        f"{_share(groups, pictures)}</header>\n{_tools(groups, pictures)}"
    )


def _share(groups: dict[str, int], pictures: int) -> str:
    if not pictures:
        return ""
    at, bars = 0, []
    for group, count in groups.items():
        bars.append(f'<rect class="{group}" x="{at}" width="{count}" height="1"/>')
        at += count
    return (
        f'<svg class="share" viewBox="0 0 {pictures} 1" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(bars)}</svg>\n'
    )


def _tools(groups: dict[str, int], pictures: int) -> str:
    choices = [("", "All", pictures)]
    choices += [(group, title, groups[group]) for group, title in _TITLES.items()]
    radios = "".join(
        f'<label><input class="aside" type="radio" name="show" value="{name}"'
        f"{' checked' if not name else '' if count else ' disabled'}>"
        f"{title} <span>{count:,}</span></label>\n"
        for name, title, count in choices
    )
    return (
        '<div class="tools">\n<fieldset class="filter">\n<legend class="aside">Show</legend>\n'
        f'{radios}</fieldset>\n<label class="find" id="tools-search" hidden>'
        '<span class="aside">Search</span><input class="search" type="search" id="search" '
        'placeholder="Name, error, task" autocomplete="off" spellcheck="false"></label>\n'
        '<output class="shown" id="shown"></output>\n</div>\n'
    )


# --- a card ---------------------------------------------------------------------------------------


def card(row: SheetRow, folder: str) -> str:
    """Return the card of a row; its files are linked relative to ``folder``, an absolute path."""
    group, label = GROUPS[row.state], clean(row.label)
    words = group != "good" and not row.after
    note = f'<p class="note">{_reason(row)}</p>\n' if not words and (row.error or row.code) else ""
    return (
        f'<li class="card {group}" data-task="{clean(row.task_id)}">\n'
        f'<header><h2 title="{label}"><bdi>{label}</bdi></h2>'
        f'<span class="state">{row.state}</span></header>\n'
        f'<div class="pair">{_pair(row, label, words=words)}</div>\n{note}'
        f"<footer><p>{_facts(row)}</p>{_files(row, folder)}</footer>\n</li>\n"
    )


def _pair(row: SheetRow, label: str, *, words: bool) -> str:
    before = '<span class="slot none before">no preview</span>'
    if row.before is not None:
        tag = '<span class="tag">Before</span>'
        before = f'<span class="slot before">{_img(row.before, "Before")}{tag}</span>'
    if words:
        task = f"<code>task {clean(row.task_id)}</code>" if row.task_id else ""
        after = f'<div class="slot words"><div>{_reason(row)}{task}</div></div>'
        if row.before is None:
            return before + after
        return _button(before, f"Enlarge {label}", "view one") + after
    after = _results(row.after)
    if row.before is None and not row.after:
        return before + after
    return _button(before + after, f"Compare {label}", "view")


def _button(inside: str, name: str, kind: str) -> str:
    return f'<button type="button" class="{kind}" aria-label="{name}">{inside}</button>'


def _results(after: tuple[bytes, ...]) -> str:
    if not after:
        return '<span class="slot none after">no preview</span>'
    if len(after) == 1:
        tag = '<span class="tag end">After</span>'
        return f'<span class="slot after">{_img(after[0], "After")}{tag}</span>'
    fields = next((most for most in _MOSAICS if len(after) <= most), _MOSAICS[-1])
    images = "".join(_img(data, f"After, {number}") for number, data in enumerate(after, 1))
    return f'<span class="slot after many n{fields}">{images}</span>'


def _img(data: bytes, alt: str) -> str:
    # no src: browsers decode every picture of data: at once, seen or not; the script sets it
    return f'<img alt="{alt}" data-jpeg="{base64.b64encode(data).decode("ascii")}">'


def _reason(row: SheetRow) -> str:
    code = f"<strong>{clean(row.code)}</strong> " if row.code else ""
    return f"{code}<bdi>{clean(row.error or _WORDS.get(row.state, ''))}</bdi>"


def _facts(row: SheetRow) -> str:
    facts = [f"<bdi>{clean(row.operation)}</bdi>"]
    if row.seconds is not None:
        facts.append(_duration(row.seconds))
    if row.credits is not None:
        facts.append(f"{_number(row.credits)} {'credit' if row.credits == 1 else 'credits'}")
    return " · ".join(facts)


def _files(row: SheetRow, folder: str) -> str:
    if not row.files:
        return ""
    several = len(row.files) > 1
    count = f'<span class="count">{len(row.files)} files:</span>' if several else ""
    links = "\n".join(
        _link(path, folder, str(number) if several else "")
        for number, path in enumerate(row.files, 1)
    )
    return f'<p class="files{" several" if several else ""}">{count}{links}</p>'


def _link(path: str, folder: str, text: str) -> str:
    try:
        near = os.path.relpath(path, folder)
    except ValueError:  # on another drive of Windows: nothing relative leads there
        return f"<bdi>{clean(path)}</bdi>"
    # "./" and the quoting of ":" keep a file named javascript:… a file
    url = "./" + quote(os.fsencode(near.replace(os.sep, "/")))
    name = clean(near)
    return (
        f'<a href="{url}" title="{name}" target="_blank" rel="noopener noreferrer">'
        f"<bdi>{text or name}</bdi></a>"
    )


# --- numbers --------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else _NOT_KNOWN


def _duration(seconds: float) -> str:
    if seconds < _PRECISE_BELOW:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // _MINUTE:,} h {minutes % _MINUTE} min"
