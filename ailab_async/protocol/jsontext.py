"""JSON as it may come from anywhere, read strictly.

Python's own reader lets pass what two readers would understand differently: a key that comes
twice, ``NaN``, numbers beyond a float. In an answer about paid work none of that is guessed at.
"""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["parse_json", "unwrap"]


def parse_json(text: str) -> Any:
    """Return the value that ``text`` holds.

    Raises `ValueError`, and nothing else, for what is no JSON, has a key twice in one object,
    ``NaN`` or an infinity, an integer too long to convert, or is nested too deeply to read.
    """
    try:
        return _decode(text)
    except RecursionError:
        pass  # raised below, outside of a traceback that is a thousand frames long
    message = "nested too deeply"
    raise ValueError(message)


def unwrap(value: Any) -> Any:
    """Return what a JSON string holds, any other value as it is.

    The field ``data`` may come as a string of JSON, and so do some results of the skin analysis
    (docs: ai-portrait/analysis/skin-analysis-pro/api). A string that is no JSON is a string.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key comes twice in one object"
        raise ValueError(message)
    return found


def _refuse_constant(word: str) -> Any:
    message = f"{word} is no JSON"
    raise ValueError(message)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        message = "a number is too large"
        raise ValueError(message)
    return number


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
).decode
