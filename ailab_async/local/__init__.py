"""The local engine: the service's HTTP interface, answered with pictures made on this computer.

Importing this package loads neither Starlette nor numpy: the worker processes import it too, and
the client names `LocalEngine` only as a string until it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine import LocalEngine

__all__ = ["LocalEngine"]


def __getattr__(name: str) -> object:
    """Load `LocalEngine` when it is first asked for."""
    if name == "LocalEngine":
        from .engine import LocalEngine  # noqa: PLC0415 - see above

        return LocalEngine
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
