"""A request body as the pre-trade checks see it, with what its ticket names at the broker."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from bridge_core.protocol.messages import Cancel, Close, Modify, Open, Request
from bridge_core.risk.order import Proposal
from bridge_server.core.ports import Pending, Position, Snapshot

__all__ = ["Ours", "everything", "propose"]

Ours = Callable[[Position | Pending], bool]


def everything(_held: Position | Pending) -> bool:
    """Say of any ticket that it is ours: for where nobody asks whose it is."""
    return True


def propose(body: Request, snapshot: Snapshot, ours: Ours = everything) -> Proposal | None:
    """Return the proposal in a body, or None for operations that carry no order.

    `ours` says whether a position or pending order was opened by a journaled order of ours.
    """
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
                strategy=body.strategy,
            )
        case Close():
            position = snapshot.positions.get(body.ticket)
            return Proposal(
                kind="CLOSE",
                symbol=body.symbol,
                volume=Decimal(body.volume),
                deviation=body.deviation,
                ticket=body.ticket,
                position=position,
                ours=position is None or ours(position),
            )
        case Modify():
            return _propose_modify(body, snapshot, ours)
        case Cancel():
            pending = snapshot.orders.get(body.ticket)
            symbol = pending.symbol if pending is not None else ""
            return Proposal(
                kind="CANCEL",
                symbol=symbol,
                ticket=body.ticket,
                pending=pending,
                ours=pending is None or ours(pending),
            )
        case _:
            return None


def _propose_modify(body: Modify, snapshot: Snapshot, ours: Ours) -> Proposal:
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
        ours=held is None or ours(held),
    )
