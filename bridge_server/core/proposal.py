"""A request body as the pre-trade checks see it, with what its ticket names at the broker."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from bridge_core.protocol.messages import Cancel, Close, Modify, Open, Request
from bridge_server.core.ports import Pending, Position, Snapshot

__all__ = ["Proposal", "propose"]

ZERO: Final = Decimal(0)


class Proposal(Struct, frozen=True, kw_only=True):
    """An order as the checks see it, whatever its operation."""

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
    position: Position | None = None
    pending: Pending | None = None

    @property
    def is_pending(self) -> bool:
        """Return whether it rests at a price."""
        return self.type not in ("BUY", "SELL")

    @property
    def is_buy(self) -> bool:
        """Return whether it buys."""
        return self.type.startswith("BUY")


def propose(body: Request, snapshot: Snapshot) -> Proposal | None:
    """Return the proposal in a body, or None for operations that carry no order."""
    match body:
        case Open():
            return Proposal(
                kind="OPEN",
                symbol=body.symbol,
                type=body.type,
                volume=Decimal(body.volume),
                price=Decimal(body.price),
                sl=Decimal(body.sl),
                tp=Decimal(body.tp),
                deviation=body.deviation,
                expiration=body.expiration,
            )
        case Close():
            return Proposal(
                kind="CLOSE",
                symbol=body.symbol,
                volume=Decimal(body.volume),
                deviation=body.deviation,
                ticket=body.ticket,
                position=snapshot.positions.get(body.ticket),
            )
        case Modify():
            return _propose_modify(body, snapshot)
        case Cancel():
            pending = snapshot.orders.get(body.ticket)
            symbol = pending.symbol if pending is not None else ""
            return Proposal(kind="CANCEL", symbol=symbol, ticket=body.ticket, pending=pending)
        case _:
            return None


def _propose_modify(body: Modify, snapshot: Snapshot) -> Proposal:
    position = snapshot.positions.get(body.ticket)
    pending = snapshot.orders.get(body.ticket)
    held = position if position is not None else pending
    price = Decimal(body.price)
    if pending is not None and not price:
        price = pending.price
    return Proposal(
        kind="MODIFY",
        symbol=held.symbol if held is not None else "",
        type=held.type if held is not None else "",
        price=price,
        sl=Decimal(body.sl),
        tp=Decimal(body.tp),
        expiration=body.expiration,
        ticket=body.ticket,
        position=position,
        pending=pending,
    )
