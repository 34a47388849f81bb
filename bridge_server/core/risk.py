"""Account-side pre-trade checks: one function each, one ordered list (protocol.md 6.2).

The server trusts no number in the message: every check compares the proposal with its own
configuration and with what the terminal last showed. Missing data refuses. Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_server.core.ports import Quote, Snapshot, SymbolSpec
from bridge_server.core.proposal import Proposal, propose

__all__ = [
    "CHECKS", "Check", "Desk", "Proposal", "SymbolLimits", "first_refusal", "nearest_on_grid",
    "propose",
]  # fmt: skip


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


def nearest_on_grid(value: Decimal, step: Decimal) -> tuple[str, ...]:
    """Return the two grid values around an off-grid value, as texts."""
    below = (value // step) * step
    return (format(below, "f"), format(below + step, "f"))


# --- the checks, in the order of the list below ---------------------------------------------


def symbol_allowed(order: Proposal, desk: Desk) -> Refusal | None:
    """An entry's symbol is in allowed_symbols, in the broker's exact spelling."""
    if order.kind != "OPEN" or order.symbol in desk.allowed:
        return None
    return Refusal(ReasonCode.SYMBOL_NOT_ALLOWED, value=order.symbol)


def symbol_known(order: Proposal, desk: Desk) -> Refusal | None:
    """The broker lists the symbol with its grids; to close all of a position none is needed."""
    if order.kind == "CANCEL" or (order.kind == "CLOSE" and not order.volume) or not order.symbol:
        return None
    spec = desk.snapshot.symbols.get(order.symbol)
    if spec is not None and _positive(
        spec.point, spec.volume_step, spec.volume_min, spec.volume_max
    ):
        return None
    return Refusal(ReasonCode.SYMBOL_UNKNOWN, value=order.symbol)


def limits_set(order: Proposal, desk: Desk) -> Refusal | None:
    """No limit configured means the symbol takes no entry."""
    if order.kind != "OPEN" or order.symbol in desk.limits:
        return None
    return Refusal(ReasonCode.NO_LIMIT, limit=f"[limits.{order.symbol}]", value=order.symbol)


def ticket_known(order: Proposal, _: Desk) -> Refusal | None:
    """A CLOSE, MODIFY or CANCEL names something that is open, of the symbol it says."""
    if order.kind == "OPEN":
        return None
    wanted = {"CLOSE": order.position, "CANCEL": order.pending}
    held = wanted.get(order.kind, order.position or order.pending)
    if held is None or held.symbol != order.symbol:
        return Refusal(ReasonCode.TICKET_UNKNOWN, value=str(order.ticket))
    return None


def volume_on_grid(order: Proposal, desk: Desk) -> Refusal | None:
    """The volume is within the broker's bounds and on its step; a CLOSE's within the position."""
    if order.kind not in ("OPEN", "CLOSE") or (order.kind == "CLOSE" and not order.volume):
        return None
    spec = _spec(order, desk)
    top = spec.volume_max
    if order.position is not None and order.position.volume < top:
        top = order.position.volume
    if not spec.volume_min <= order.volume <= top:  # only the bound itself would be taken
        bound = format(spec.volume_min if order.volume < spec.volume_min else top, "f")
        return Refusal(
            ReasonCode.VOLUME_GRID, limit=bound, value=format(order.volume, "f"), nearest=(bound,)
        )
    if order.volume % spec.volume_step:
        return Refusal(
            ReasonCode.VOLUME_GRID,
            limit=format(spec.volume_step, "f"),
            value=format(order.volume, "f"),
            nearest=nearest_on_grid(order.volume, spec.volume_step),
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
    """There is a price to compare with: bid and ask are numbers above 0, the ask not below."""
    if order.kind not in ("OPEN", "MODIFY"):
        return None
    quote = desk.snapshot.quotes.get(order.symbol)
    if quote is not None and _positive(quote.bid, quote.ask) and quote.bid <= quote.ask:
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
    """A limit lies better than the market, a stop worse; a position has no price to set."""
    if order.kind == "MODIFY" and order.position is not None and order.price:
        # Ignoring it would be guessing what was meant.
        return Refusal(ReasonCode.PRICE_SIDE, limit="0", value=format(order.price, "f"))
    gap = _price_gap(order, desk)
    if gap is None or gap > 0:
        return None
    market = _market(order, desk)
    return Refusal(ReasonCode.PRICE_SIDE, limit=format(market, "f"), value=format(order.price, "f"))


def stops_on_their_side(order: Proposal, desk: Desk) -> Refusal | None:
    """Of a buy, sl lies below and tp above; of a sell the reverse."""
    for stop, gap in _stop_gaps(order, desk):
        if gap <= 0:
            base = format(_stops_base(order, desk), "f")
            return Refusal(ReasonCode.STOPS_SIDE, limit=base, value=format(stop, "f"))
    return None


def levels_kept(order: Proposal, desk: Desk) -> Refusal | None:
    """A pending price keeps the stops level from the market, sl and tp from their base.

    Stops are measured from the price at which a market position would be closed now, and from the
    price of a pending order.
    """
    gaps = _stop_gaps(order, desk)
    price_gap = _price_gap(order, desk)
    if price_gap is not None:
        gaps.insert(0, (order.price, price_gap))
    for price, gap in gaps:
        spec = _spec(order, desk)
        level = spec.stops_level * spec.point
        if gap < level:
            return Refusal(
                ReasonCode.STOPS_LEVEL, limit=format(level, "f"), value=format(price, "f")
            )
    return None


def expiration_ahead(order: Proposal, desk: Desk) -> Refusal | None:
    """An expiration is market time still to come, and only on a pending order."""
    if order.kind not in ("OPEN", "MODIFY") or not order.expiration:
        return None
    if order.is_pending and order.expiration > desk.snapshot.market_ms:
        return None
    now = str(desk.snapshot.market_ms)
    return Refusal(ReasonCode.EXPIRATION, limit=now, value=str(order.expiration))


def _spec(order: Proposal, desk: Desk) -> SymbolSpec:
    return desk.snapshot.symbols[order.symbol]


def _quote(order: Proposal, desk: Desk) -> Quote:
    return desk.snapshot.quotes[order.symbol]


def _positive(*values: Decimal) -> bool:
    # Finite first: to compare NaN is an error.
    return all(value.is_finite() and value > 0 for value in values)


def _market(order: Proposal, desk: Desk) -> Decimal:
    quote = _quote(order, desk)
    return quote.ask if order.is_buy else quote.bid


def _price_gap(order: Proposal, desk: Desk) -> Decimal | None:
    # How far a price that is being set lies on the right side of the market. A MODIFY that leaves
    # a resting price where it is sets none, however near the market has come.
    moved = order.pending is not None and order.price != order.pending.price
    if not (order.kind == "OPEN" and order.is_pending) and not (order.kind == "MODIFY" and moved):
        return None
    gap = _market(order, desk) - order.price
    return gap if order.type in ("BUY_LIMIT", "SELL_STOP") else -gap


def _stops_base(order: Proposal, desk: Desk) -> Decimal:
    if order.is_pending:
        return order.price
    quote = _quote(order, desk)
    return quote.bid if order.is_buy else quote.ask


def _stop_gaps(order: Proposal, desk: Desk) -> list[tuple[Decimal, Decimal]]:
    # Each stop that is set, and how far it lies on its right side.
    if order.kind not in ("OPEN", "MODIFY"):
        return []
    base = _stops_base(order, desk)
    sign = 1 if order.is_buy else -1
    both = ((order.sl, sign * (base - order.sl)), (order.tp, sign * (order.tp - base)))
    return [(stop, gap) for stop, gap in both if stop]


Check = Callable[[Proposal, Desk], Refusal | None]


CHECKS: Final[tuple[Check, ...]] = (
    symbol_allowed,
    symbol_known,
    limits_set,
    ticket_known,
    volume_on_grid,
    volume_within_max,
    positions_within_max,
    orders_within_max,
    deviation_within_max,
    quote_known,
    prices_on_grid,
    price_on_its_side,
    stops_on_their_side,
    levels_kept,
    expiration_ahead,
)


def first_refusal(order: Proposal, desk: Desk) -> Refusal | None:
    """Return the first refusal in precedence order, or None when every check passes."""
    for check in CHECKS:
        refusal = check(order, desk)
        if refusal is not None:
            return refusal
    return None
