"""An order as the pre-trade checks see it, whatever its operation, with what its ticket names."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from bridge_core.risk.facts import Pending, Position

__all__ = ["Flying", "Proposal"]

ZERO: Final = Decimal(0)


class Proposal(Struct, frozen=True, kw_only=True):
    """`kind` is OPEN, CLOSE, MODIFY or CANCEL; 0 means none.

    Volume in lots, prices in quote currency, deviation in points, expiration in UTC ms. `ours`
    says whether the ticket was opened by a journaled order of ours.
    """

    kind: str
    symbol: str
    type: str = ""
    volume: Decimal = ZERO
    price: Decimal = ZERO
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    deviation: int = 0
    expiration: int = 0
    ticket: int = 0
    strategy: int = 0
    position: Position | None = None
    pending: Pending | None = None
    ours: bool = True

    @property
    def is_pending(self) -> bool:
        """Return whether it rests at a price."""
        return self.type not in ("BUY", "SELL")

    @property
    def is_buy(self) -> bool:
        """Return whether it buys."""
        return self.type.startswith("BUY")


class Flying(Struct, frozen=True, kw_only=True):
    """An entry that is accepted, at the broker or UNKNOWN: taken for filled, its worst case."""

    symbol: str
    type: str
    volume: Decimal
    price: Decimal = ZERO
    sl: Decimal = ZERO
    deviation: int = 0
    strategy: int = 0
