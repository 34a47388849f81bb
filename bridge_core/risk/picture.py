"""What the checks of one order may look at: limits, the account as last seen, what is flying.

The caller says what it does not know by None or by leaving it out; missing data refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from bridge_core.risk.facts import Account, Identity, Pending, Position, Quote, SymbolSpec
from bridge_core.risk.order import Flying
from bridge_core.risk.policy import Policy
from bridge_core.risk.state import RiskState

__all__ = ["Picture", "Swing"]


class Swing(Struct, frozen=True):
    """Highest and lowest mid price of a symbol within its window, quote currency."""

    high: Decimal
    low: Decimal


class Picture(Struct, frozen=True, kw_only=True):
    """What one side knows at the moment of judgement. Times UTC ms.

    `now_wall_ms` is on the clock of the quotes' `asked_wall_ms`; `market_ms` is the broker's now.
    `account` None: its state is not known. `flying` are entries not yet in positions or orders.
    `state` None: what the day has brought so far is not known. `swings` by symbol, as far as seen.
    `memo` is for one judgement: what several checks need and one has reckoned; None: reckon anew.
    """

    policy: Policy
    now_wall_ms: int
    market_ms: int
    identity: Identity | None
    account: Account | None
    positions: Mapping[int, Position]
    orders: Mapping[int, Pending]
    quotes: Mapping[str, Quote]
    symbols: Mapping[str, SymbolSpec]
    flying: tuple[Flying, ...] = ()
    state: RiskState | None = None
    swings: Mapping[str, Swing] = {}
    memo: dict[object, Any] | None = None
