"""``ailab credits``: what is left on the account."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .options import Wrong, service_from
from .single import Single, run_single, say

if TYPE_CHECKING:
    import argparse

    from ..operations.balance import CreditBalance

__all__ = ["credits_left"]


def credits_left(arguments: argparse.Namespace) -> int:
    """Run the command; a line for each kind of credits."""
    try:
        service = service_from(arguments)
    except Wrong as wrong:
        say(f"ailab credits: {wrong}")
        return wrong.code
    single = Single("credits", service, quiet=arguments.quiet or arguments.json)

    async def work() -> int:
        async with single.client() as client:
            if client.service.name == "local":
                single.note("The local engine costs nothing.")
                if arguments.json:
                    single.out("[]")
                return 0
            balances = await client.credits()
        if arguments.json:
            single.out(json.dumps([dict(balance.raw) for balance in balances]))
        else:
            for line in _table(balances):
                single.out(line)
        return 0

    return run_single(single, work)


def _table(balances: tuple[CreditBalance, ...]) -> list[str]:
    names = [
        "credits for every API" if balance.serves_all else balance.name or balance.unique_sign
        for balance in balances
    ]
    width = max(map(len, names), default=0)
    return [
        f"{name:<{width}}  {_figure(balance.balance):>10} of {_figure(balance.total)}"
        for name, balance in zip(names, balances, strict=True)
    ]


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:,.10g}"
