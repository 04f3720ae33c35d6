"""What is left on the account (docs: ai-common/credits/api, ``/api/common/query-credits``)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ..errors import MalformedReply

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CreditBalance", "read_balances"]

COMMON = "common"
"""The ``unique_sign`` of the credits that serve every API."""


@frozen(kw_only=True)
class CreditBalance:
    """Credits of one kind: for one API (``unique_sign``), or for all (``"common"``).

    Figures are credits, times are aware, UTC; None where the service does not say. ``raw`` is the
    service's own object.
    """

    unique_sign: str
    name: str = ""
    balance: float | None = None
    total: float | None = None
    last_recharge_balance: float | None = None
    balance_warning: float | None = None
    first_buy_time: datetime | None = None
    last_update_time: datetime | None = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def serves_all(self) -> bool:
        """Whether every API may be paid with it."""
        return self.unique_sign == COMMON


def read_balances(raw: Mapping[str, Any]) -> tuple[CreditBalance, ...]:
    """Read an answer: a list of balances, or one object in place of the list.

    Raises `MalformedReply` where it holds neither.
    """
    data = raw.get("data")
    rows = [data] if isinstance(data, dict) else data
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        message = f"the answer holds no list of credits but {type(data).__name__}"
        raise MalformedReply(message, http_status=200)
    return tuple(
        CreditBalance(
            unique_sign=str(row.get("unique_sign") or ""),
            name=str(row.get("name") or ""),
            **{name: _number(row.get(name)) for name in _FIGURES},
            first_buy_time=_time(row.get("first_buy_time")),
            last_update_time=_time(row.get("last_update_time")),
            raw=row,
        )
        for row in rows
    )


_FIGURES = ("balance", "total", "last_recharge_balance", "balance_warning")


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _time(value: Any) -> datetime | None:
    """Unix seconds; 0 is how the service says never."""
    seconds = _number(value)
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
