"""Account-side pre-trade checks: one function each, one ordered list (protocol.md 12).

The server trusts no number in the message: every check compares the proposal with its own
configuration and with what the terminal last showed. Missing data refuses. Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Cancel, Close, Modify, Open, Request
from bridge_server.core.ports import Pending, Position, Quote, Snapshot, SymbolSpec

__all__ = [
    "CHECKS", "Check", "Desk", "Proposal", "SymbolLimits", "first_refusal", "nearest_on_grid",
    "propose",
]  # fmt: skip

ZERO: Final = Decimal(0)


class SymbolLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one symbol may do: volume per order in lots, counts, deviation in points."""

    max_volume: Decimal
    max_positions: int
    max_orders: int | None = None
    max_deviation: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are no limits."""
        if not (self.max_volume.is_finite() and self.max_volume > 0):
            raise ValueError("max_volume must be a positive number of lots")
        counts = (self.max_positions, self.max_orders, self.max_deviation)
        if any(count is not None and count < 0 for count in counts):
            raise ValueError("a limit must not be negative")


class Desk(Struct, frozen=True, kw_only=True):
    """What the checks know: limits, the last snapshot, and orders not yet in it.

    `flying` counts entries by symbol that are accepted, at the broker or UNKNOWN: each is taken
    for filled, which is its worst case.
    """

    allowed: frozenset[str]
    limits: Mapping[str, SymbolLimits]
    snapshot: Snapshot
    flying: Mapping[str, int]


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


def nearest_on_grid(value: Decimal, step: Decimal) -> tuple[str, ...]:
    """Return the two grid values around an off-grid value, as texts."""
    below = (value // step) * step
    return (format(below, "f"), format(below + step, "f"))


# --- the checks, in the order of the list below ---------------------------------------------


def ticket_known(order: Proposal, desk: Desk) -> Refusal | None:
    """A CLOSE, MODIFY or CANCEL names something that is open, of the symbol it says."""
    if order.kind == "OPEN":
        return None
    wanted = {"CLOSE": order.position, "CANCEL": order.pending}
    held = wanted.get(order.kind, order.position or order.pending)
    if held is None or held.symbol != order.symbol:
        return Refusal(ReasonCode.TICKET_UNKNOWN, value=str(order.ticket))
    return None


def symbol_allowed(order: Proposal, desk: Desk) -> Refusal | None:
    """An entry's symbol is in allowed_symbols, in the broker's exact spelling."""
    if order.kind != "OPEN" or order.symbol in desk.allowed:
        return None
    return Refusal(ReasonCode.SYMBOL_NOT_ALLOWED, value=order.symbol)


def symbol_known(order: Proposal, desk: Desk) -> Refusal | None:
    """The broker lists the symbol: without its grids nothing can be checked."""
    if order.kind == "CANCEL" or order.symbol in desk.snapshot.symbols:
        return None
    return Refusal(ReasonCode.SYMBOL_UNKNOWN, value=order.symbol)


def limits_set(order: Proposal, desk: Desk) -> Refusal | None:
    """No limit configured means the symbol takes no entry."""
    if order.kind != "OPEN" or order.symbol in desk.limits:
        return None
    return Refusal(ReasonCode.NO_LIMIT, limit=f"[limits.{order.symbol}]", value=order.symbol)


def volume_on_grid(order: Proposal, desk: Desk) -> Refusal | None:
    """The volume is within the broker's bounds and on its step; a CLOSE's within the position."""
    if order.kind not in ("OPEN", "CLOSE") or (order.kind == "CLOSE" and not order.volume):
        return None
    spec = _spec(order, desk)
    top = spec.volume_max
    if order.position is not None and order.position.volume < top:
        top = order.position.volume
    if order.volume % spec.volume_step:
        near = nearest_on_grid(order.volume, spec.volume_step)
        return Refusal(
            ReasonCode.VOLUME_GRID,
            limit=format(spec.volume_step, "f"),
            value=format(order.volume, "f"),
            nearest=near,
        )
    if not spec.volume_min <= order.volume <= top:
        bound = spec.volume_min if order.volume < spec.volume_min else top
        return Refusal(
            ReasonCode.VOLUME_GRID, limit=format(bound, "f"), value=format(order.volume, "f")
        )
    return None


def volume_within_max(order: Proposal, desk: Desk) -> Refusal | None:
    """An entry's volume is at most max_volume."""
    if order.kind != "OPEN":
        return None
    limit = desk.limits[order.symbol].max_volume
    if order.volume <= limit:
        return None
    return Refusal(
        ReasonCode.MAX_VOLUME,
        limit=format(limit, "f"),
        value=format(order.volume, "f"),
        headroom=format(limit, "f"),
    )


def positions_within_max(order: Proposal, desk: Desk) -> Refusal | None:
    """Positions, pending orders and orders in flight of the symbol stay below max_positions."""
    if order.kind != "OPEN":
        return None
    limit = desk.limits[order.symbol].max_positions
    held = sum(one.symbol == order.symbol for one in desk.snapshot.positions.values())
    held += sum(one.symbol == order.symbol for one in desk.snapshot.orders.values())
    held += desk.flying.get(order.symbol, 0)
    if held < limit:
        return None
    return Refusal(ReasonCode.MAX_POSITIONS, limit=str(limit), value=str(held + 1), headroom="0")


def orders_within_max(order: Proposal, desk: Desk) -> Refusal | None:
    """Pending orders of the symbol stay below max_orders, where that is set."""
    if order.kind != "OPEN" or not order.is_pending:
        return None
    limit = desk.limits[order.symbol].max_orders
    if limit is None:
        return None
    held = sum(one.symbol == order.symbol for one in desk.snapshot.orders.values())
    held += desk.flying.get(order.symbol, 0)
    if held < limit:
        return None
    return Refusal(ReasonCode.MAX_ORDERS, limit=str(limit), value=str(held + 1), headroom="0")


def deviation_within_max(order: Proposal, desk: Desk) -> Refusal | None:
    """An entry's deviation is at most max_deviation, where that is set."""
    if order.kind != "OPEN":
        return None
    limit = desk.limits[order.symbol].max_deviation
    if limit is None or order.deviation <= limit:
        return None
    return Refusal(
        ReasonCode.MAX_DEVIATION, limit=str(limit), value=str(order.deviation), headroom=str(limit)
    )


def quote_known(order: Proposal, desk: Desk) -> Refusal | None:
    """There is a price to compare with."""
    if order.kind not in ("OPEN", "MODIFY") or order.symbol in desk.snapshot.quotes:
        return None
    return Refusal(ReasonCode.NO_QUOTE, value=order.symbol)


def prices_on_grid(order: Proposal, desk: Desk) -> Refusal | None:
    """Every price has at most the symbol's digits; a pending order has one."""
    if order.kind not in ("OPEN", "MODIFY"):
        return None
    point = _spec(order, desk).point
    if order.kind == "OPEN" and order.is_pending and not order.price:
        return Refusal(ReasonCode.PRICE_GRID, value="0")
    for price in (order.price, order.sl, order.tp):
        if price % point:
            near = nearest_on_grid(price, point)
            return Refusal(
                ReasonCode.PRICE_GRID,
                limit=format(point, "f"),
                value=format(price, "f"),
                nearest=near,
            )
    return None


def price_on_its_side(order: Proposal, desk: Desk) -> Refusal | None:
    """A limit lies better than the market, a stop worse; both further than the stops level."""
    resting = order.is_pending and (order.kind == "OPEN" or order.pending is not None)
    if order.kind not in ("OPEN", "MODIFY") or not resting:
        return None
    quote = _quote(order, desk)
    market = quote.ask if order.is_buy else quote.bid
    below = order.type in ("BUY_LIMIT", "SELL_STOP")
    gap = market - order.price if below else order.price - market
    if gap <= 0:
        return Refusal(ReasonCode.PRICE_SIDE, limit=format(market, "f"), value=format(order.price, "f"))
    return _too_near(gap, order.price, order, desk)


def stops_on_their_side(order: Proposal, desk: Desk) -> Refusal | None:
    """Of a buy, sl lies below and tp above; of a sell the reverse; beyond the stops level.

    They are measured from the price at which a market position would be closed now, and from the
    price of a pending order.
    """
    if order.kind not in ("OPEN", "MODIFY"):
        return None
    quote = _quote(order, desk)
    base = quote.bid if order.is_buy else quote.ask
    if order.is_pending:
        base = order.price
    sign = 1 if order.is_buy else -1
    for stop, gap in ((order.sl, sign * (base - order.sl)), (order.tp, sign * (order.tp - base))):
        if stop and gap <= 0:
            return Refusal(ReasonCode.STOPS_SIDE, limit=format(base, "f"), value=format(stop, "f"))
        near = _too_near(gap, stop, order, desk) if stop else None
        if near is not None:
            return near
    return None


def expiration_ahead(order: Proposal, desk: Desk) -> Refusal | None:
    """An expiration is market time still to come, and only on a pending order."""
    if order.kind not in ("OPEN", "MODIFY") or not order.expiration:
        return None
    if order.is_pending and order.expiration > desk.snapshot.market_ms:
        return None
    return Refusal(
        ReasonCode.EXPIRATION,
        limit=str(desk.snapshot.market_ms),
        value=str(order.expiration),
    )


def _spec(order: Proposal, desk: Desk) -> SymbolSpec:
    return desk.snapshot.symbols[order.symbol]


def _quote(order: Proposal, desk: Desk) -> Quote:
    return desk.snapshot.quotes[order.symbol]


def _too_near(gap: Decimal, price: Decimal, order: Proposal, desk: Desk) -> Refusal | None:
    spec = _spec(order, desk)
    level = spec.stops_level * spec.point
    if gap >= level:
        return None
    return Refusal(
        ReasonCode.STOPS_LEVEL, limit=format(level, "f"), value=format(price, "f")
    )


Check = Callable[[Proposal, Desk], Refusal | None]


class NamedCheck(NamedTuple):
    """One row of the list: what it is called in protocol.md, and the function."""

    name: str
    check: Check


CHECKS: Final[tuple[NamedCheck, ...]] = tuple(
    NamedCheck(check.__name__, check)
    for check in (
        ticket_known,
        symbol_allowed,
        symbol_known,
        limits_set,
        volume_on_grid,
        volume_within_max,
        positions_within_max,
        orders_within_max,
        deviation_within_max,
        quote_known,
        prices_on_grid,
        price_on_its_side,
        stops_on_their_side,
        expiration_ahead,
    )
)


def first_refusal(order: Proposal, desk: Desk) -> Refusal | None:
    """Return the first refusal in precedence order, or None when every check passes."""
    for _, check in CHECKS:
        refusal = check(order, desk)
        if refusal is not None:
            return refusal
    return None
