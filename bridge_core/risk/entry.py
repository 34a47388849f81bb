"""Which part of an order adds to what is held, which only takes from it, and at what price.

An order that only takes away passes every limit of exposure, loss and count, and needs neither
account nor prices: a close must go through when nothing else does.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from bridge_core.protocol import limits
from bridge_core.risk.exact import EXACT, positive
from bridge_core.risk.facts import Pending, Position, Quote
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture

__all__ = [
    "added", "entering", "fresh", "held_of", "known_quote", "market", "moves_price", "shrinks",
    "staked", "tightens", "worst_entry", "worst_value_price",
]  # fmt: skip

ZERO: Final = Decimal(0)


def held_of(order: Proposal) -> Position | Pending | None:
    """Return what the order's ticket names, as far as it is known."""
    return order.position if order.position is not None else order.pending


def shrinks(order: Proposal, picture: Picture) -> bool:
    """Return whether an OPEN can only make the position of a netting account smaller.

    It does even if everything else of its direction, resting or in flight, is carried out too. On
    a hedging account an opposite order only adds a leg.
    """
    netting = picture.identity is not None and picture.identity.margin_mode == "netting"
    if order.kind != "OPEN" or order.is_pending or not netting:
        return False
    held = same = ZERO
    for one in picture.positions.values():
        if one.symbol == order.symbol:
            held += one.volume if one.type == "BUY" else -one.volume
    waiting: tuple[Pending | Flying, ...] = (*picture.orders.values(), *picture.flying)
    for other in waiting:
        if other.symbol == order.symbol and other.type.startswith("BUY") == order.is_buy:
            same += other.volume
    opposite = held < 0 if order.is_buy else held > 0
    return opposite and order.volume + same <= abs(held)


def entering(order: Proposal, picture: Picture) -> bool:
    """Return whether it is an OPEN that may make something larger."""
    return order.kind == "OPEN" and not shrinks(order, picture)


def moves_price(order: Proposal) -> bool:
    """Return whether it is a MODIFY that moves a resting order's price."""
    return (
        order.kind == "MODIFY"
        and order.pending is not None
        and order.position is None
        and order.price != order.pending.price
    )


def tightens(order: Proposal) -> bool:
    """Return whether it is a MODIFY that leaves no more to lose: a stop as near, or nearer."""
    held = held_of(order)
    if order.kind != "MODIFY" or held is None or moves_price(order) or not order.sl:
        return False
    if not held.sl or order.sl == held.sl:
        return True
    return (order.sl > held.sl) == held.type.startswith("BUY")


def added(order: Proposal, picture: Picture) -> Flying | None:
    """Return the entry that an order would be once it passes, or None if it adds nothing.

    A MODIFY that moves a resting order's price is that order again, at its new price.
    """
    if moves_price(order) and order.pending is not None:
        resting = order.pending
        return Flying(
            symbol=resting.symbol, type=resting.type, volume=resting.volume, price=order.price,
            sl=order.sl, strategy=order.strategy,
        )  # fmt: skip
    if not entering(order, picture):
        return None
    return Flying(
        symbol=order.symbol, type=order.type, volume=order.volume, price=order.price, sl=order.sl,
        deviation=order.deviation, strategy=order.strategy,
    )  # fmt: skip


def staked(order: Proposal, picture: Picture) -> Flying | None:
    """Return what the loss at the stop is judged of: an entry, or what a MODIFY risks more of.

    Of a position the price is the one at which it was opened, and its deviation is none.
    """
    entry = added(order, picture)
    if entry is not None or order.kind != "MODIFY" or tightens(order):
        return entry
    held = held_of(order)
    if held is None:
        return None
    price = held.open_price if isinstance(held, Position) else held.price
    resting = f"{held.type}_STOP" if isinstance(held, Position) else held.type
    return Flying(symbol=held.symbol, type=resting, volume=held.volume, price=price, sl=order.sl)


def known_quote(symbol: str, picture: Picture) -> Quote | None:
    """Return a symbol's quote if it can be true: numbers above 0, the ask not below the bid."""
    quote = picture.quotes.get(symbol)
    if quote is None or not positive(quote.bid, quote.ask) or quote.bid > quote.ask:
        return None
    return quote


def fresh(quote: Quote, picture: Picture) -> bool:
    """Return whether it was asked for within QUOTE_AGE_MS_MAX; none comes from the future."""
    age_ms = picture.now_wall_ms - quote.asked_wall_ms
    return -limits.CLOCK_SKEW_MS_MAX <= age_ms <= limits.QUOTE_AGE_MS_MAX


def market(is_buy: bool, quote: Quote) -> Decimal:  # noqa: FBT001  a side, as the orders have it
    """Return the price at which a market order of this side is carried out now."""
    return quote.ask if is_buy else quote.bid


def _bounds(entry: Flying, picture: Picture) -> tuple[Decimal, Decimal] | None:
    # The lowest and highest price at which it may be carried out; None: nobody knows.
    if entry.type not in ("BUY", "SELL"):
        return (entry.price, entry.price) if positive(entry.price) else None
    quote, spec = known_quote(entry.symbol, picture), picture.symbols.get(entry.symbol)
    if quote is None or spec is None or not positive(spec.point):
        return None
    # The reference a market order names is a price it may get as well.
    low, high = (min(quote.bid, entry.price), max(quote.ask, entry.price))
    with localcontext(EXACT):
        away = entry.deviation * spec.point
        return max(ZERO, (low if entry.price else quote.bid) - away), high + away


def worst_entry(entry: Flying, picture: Picture) -> Decimal | None:
    """Return the price at which an entry would lose most, None if nobody knows."""
    bounds = _bounds(entry, picture)
    if bounds is None:
        return None
    return bounds[1] if entry.type.startswith("BUY") else bounds[0]


def worst_value_price(entry: Flying, picture: Picture) -> Decimal | None:
    """Return the highest price an entry may get: what it is valued at; None if nobody knows."""
    bounds = _bounds(entry, picture)
    return bounds[1] if bounds is not None else None
