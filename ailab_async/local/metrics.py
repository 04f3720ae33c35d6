"""What the engine counts, in the text format that Prometheus reads (version 0.0.4).

Only numbers, names of operations, states and codes: nothing of keys, pictures or who asked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Seconds: a small picture takes a few tenths, a video ten or more."""


class Metrics:
    """Counters since the engine was made; for its event loop only."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._tasks: Counter[tuple[str, str]] = Counter()
        self._seconds: Counter[tuple[str, float]] = Counter()
        self._sums: dict[str, float] = {}
        self._refusals: Counter[str] = Counter()
        self._requests: Counter[int] = Counter()
        self._bytes: Counter[str] = Counter()
        self._deaths = 0

    def task_ended(self, operation: str, state: str, seconds: float) -> None:
        """Count a task by how it ended, and how long it took from its submission on."""
        self._tasks[operation, state] += 1
        self._sums[operation] = self._sums.get(operation, 0.0) + seconds
        self._seconds[operation, next((b for b in _BOUNDS if seconds <= b), float("inf"))] += 1

    def worker_died(self) -> None:
        """Count a worker that ended in the middle of a task."""
        self._deaths += 1

    def refused(self, code: str) -> None:
        """Count an answer with an error code."""
        self._refusals[code] += 1

    def answered(self, status: int, *, received: int, sent: int) -> None:
        """Count a request with the bytes of its body and of its answer's."""
        self._requests[status] += 1
        self._bytes["received"] += received
        self._bytes["sent"] += sent

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return everything; ``gauges`` are what is so at this moment, by name."""
        return "\n".join([*self._lines(gauges), ""])

    def _lines(self, gauges: Mapping[str, float]) -> Iterator[str]:
        yield from _head("tasks_total", "counter", "Tasks by operation and end state.")
        for (operation, state), count in sorted(self._tasks.items()):
            yield f'ailab_engine_tasks_total{{operation="{operation}",state="{state}"}} {count}'
        yield from _head("task_seconds", "histogram", "Seconds from submission to end.")
        for operation, total in sorted(self._sums.items()):
            yield from self._histogram(operation, total)
        yield from _head("refusals_total", "counter", "Error answers by code.")
        for code, count in sorted(self._refusals.items()):
            yield f'ailab_engine_refusals_total{{code="{code}"}} {count}'
        yield from _head("requests_total", "counter", "Requests by HTTP status.")
        for status, count in sorted(self._requests.items()):
            yield f'ailab_engine_requests_total{{status="{status}"}} {count}'
        for way in ("received", "sent"):
            name = f"{way}_bytes_total"
            yield from _head(name, "counter", f"Bytes of bodies {way}.")
            yield f"ailab_engine_{name} {self._bytes[way]}"
        yield from _head("worker_deaths_total", "counter", "Workers that died under a task.")
        yield f"ailab_engine_worker_deaths_total {self._deaths}"
        for name, value in gauges.items():
            yield from _head(name, "gauge", f"{name.replace('_', ' ').capitalize()} now.")
            yield f"ailab_engine_{name} {value:g}"

    def _histogram(self, operation: str, total: float) -> Iterator[str]:
        name, label, below = "ailab_engine_task_seconds", f'operation="{operation}"', 0
        for bound in (*_BOUNDS, float("inf")):
            below += self._seconds[operation, bound]
            shown = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f'{name}_bucket{{{label},le="{shown}"}} {below}'
        yield f"{name}_sum{{{label}}} {total:.6f}"
        yield f"{name}_count{{{label}}} {below}"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP ailab_engine_{name} {text}"
    yield f"# TYPE ailab_engine_{name} {kind}"
