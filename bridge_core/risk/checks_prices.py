"""Checks of an order's prices: grid, side of the market, collar, stops, expiration."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.checks_basic import limits_of, nearest_on_grid
from bridge_core.risk.entry import (
    entering,
    held_of,
    known_quote,
    market,
    moves_price,
    shrinks,
    staked,
    tightens,
)
from bridge_core.risk.exact import EXACT, divided, fits_wire, plain, positive
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AccountLimits

__all__ = [
    "expiration_ahead", "levels_kept", "price_on_its_side", "prices_in_collar", "prices_on_grid",
    "sl_given", "sl_required", "sl_within_distance", "stops_on_their_side",
]  # fmt: skip

ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)
_TEXT_MAX: Final = 48


def prices_on_grid(order: Proposal, picture: Picture) -> Refusal | None:
    """Every price lies on the symbol's grid; a pending order has one.

    The reference of a market order is only compared: it needs no more than the digits.
    """
    if order.kind not in ("OPEN", "MODIFY"):
        return None
    if order.kind == "OPEN" and order.is_pending and not order.price:
        return Refusal(ReasonCode.PRICE_GRID, value="0")
    for price in (order.price, order.sl, order.tp):
        if not price.is_finite() or price < 0 or not fits_wire(price):
            return Refusal(ReasonCode.PRICE_GRID, value=plain(price)[:_TEXT_MAX])
    spec = picture.symbols.get(order.symbol)
    if spec is None or not positive(spec.point):
        # A change of stops does not wait for the grids: who knows them judges it by them.
        return None if order.kind == "MODIFY" else Refusal(ReasonCode.SYMBOL_UNKNOWN)
    step = spec.tick_size if positive(spec.tick_size) else spec.point
    reference = order.kind == "OPEN" and not order.is_pending
    grids = ((order.price, spec.point if reference else step), (order.sl, step), (order.tp, step))
    with localcontext(EXACT):
        for price, grid in grids:
            if price % grid:
                return Refusal(
                    ReasonCode.PRICE_GRID,
                    limit=plain(grid),
                    value=plain(price),
                    nearest=nearest_on_grid(price, grid),
                )
    return None


def price_on_its_side(order: Proposal, picture: Picture) -> Refusal | None:
    """A limit lies better than the market, a stop worse; a position has no price to set."""
    if order.kind == "MODIFY" and order.position is not None and order.price:
        # Ignoring it would be guessing what was meant.
        return Refusal(ReasonCode.PRICE_SIDE, limit="0", value=plain(order.price))
    gap, quote = _price_gap(order, picture), known_quote(order.symbol, picture)
    if gap is None or quote is None or gap > 0:
        return None
    return Refusal(
        ReasonCode.PRICE_SIDE, plain(market(order.is_buy, quote)), value=plain(order.price)
    )


def prices_in_collar(order: Proposal, picture: Picture) -> Refusal | None:
    """A price lies within price_collar percent of the market, sl and tp of the price they guard.

    A market order's reference counts as a price.
    """
    collar = limits_of(order.symbol, picture).price_collar
    if collar is None or _only_protects(order, picture):
        return None
    limit = f"{plain(collar)}%"
    quote = known_quote(order.symbol, picture)
    base = _stops_base(order, picture)
    if quote is None or base is None:
        return Refusal(ReasonCode.PRICE_COLLAR, limit=limit)
    live = market(order.is_buy, quote)
    near: list[tuple[Decimal, Decimal]] = [(order.sl, base), (order.tp, base)]
    if order.kind == "OPEN" or moves_price(order):
        near.insert(0, (order.price, live))
    with localcontext(EXACT):
        for price, reference in near:
            if price and abs(price - reference) * _HUNDRED > collar * reference:
                return Refusal(ReasonCode.PRICE_COLLAR, limit, plain(price), limit)
    return None


def stops_on_their_side(order: Proposal, picture: Picture) -> Refusal | None:
    """Of a buy, sl lies below and tp above; of a sell the reverse."""
    base = _stops_base(order, picture)
    for stop, gap in _stop_gaps(order, picture):
        if gap <= 0 and base is not None:
            return Refusal(ReasonCode.STOPS_SIDE, limit=plain(base), value=plain(stop))
    return None


def levels_kept(order: Proposal, picture: Picture) -> Refusal | None:
    """A pending price keeps the stops level from the market, sl and tp from their base.

    Stops are measured from the price at which a market position would be closed now, and from the
    price of a pending order.
    """
    spec = picture.symbols.get(order.symbol)
    if spec is None or not positive(spec.point):
        return None
    gaps = _stop_gaps(order, picture)
    price_gap = _price_gap(order, picture)
    if price_gap is not None:
        gaps.insert(0, (order.price, price_gap))
    with localcontext(EXACT):
        level = spec.stops_level * spec.point
    for price, gap in gaps:
        if gap < level:
            return Refusal(ReasonCode.STOPS_LEVEL, limit=plain(level), value=plain(price))
    return None


def sl_required(account: AccountLimits) -> bool:
    """Return whether an entry needs an sl: as said, else where there is a limit to its loss."""
    if account.require_sl is not None:
        return account.require_sl
    return account.max_risk_per_trade is not None


def sl_given(order: Proposal, picture: Picture) -> Refusal | None:
    """An entry has an sl where one is required, and a MODIFY takes none away."""
    if order.sl or not sl_required(picture.policy.account):
        return None
    if entering(order, picture):
        return Refusal(ReasonCode.SL_REQUIRED, limit="sl", value="0")
    held = held_of(order)
    if order.kind == "MODIFY" and (held is None or held.sl):
        had = plain(held.sl) if held is not None else "sl"
        return Refusal(ReasonCode.SL_REQUIRED, limit=had, value="0")
    return None


def sl_within_distance(order: Proposal, picture: Picture) -> Refusal | None:
    """The sl lies at most max_sl_distance points from where the position begins."""
    limit = limits_of(order.symbol, picture).max_sl_distance
    entry = staked(order, picture)
    if limit is None or entry is None or not entry.sl:
        return None
    spec, quote = picture.symbols.get(order.symbol), known_quote(order.symbol, picture)
    if spec is None or quote is None or not positive(spec.point):
        return Refusal(ReasonCode.SL_DISTANCE, limit=str(limit))
    is_market = entry.type in ("BUY", "SELL")
    begins = market(order.is_buy, quote) if is_market else entry.price
    with localcontext(EXACT):
        away = abs(begins - entry.sl)
        if away <= limit * spec.point:
            return None
    points = plain(divided(away, spec.point))
    return Refusal(ReasonCode.SL_DISTANCE, str(limit), points, str(limit))


def expiration_ahead(order: Proposal, picture: Picture) -> Refusal | None:
    """An expiration is market time still to come, and only on a pending order."""
    if order.kind not in ("OPEN", "MODIFY") or not order.expiration:
        return None
    if order.is_pending and order.expiration > picture.market_ms:
        return None
    now = str(picture.market_ms)
    return Refusal(ReasonCode.EXPIRATION, limit=now, value=str(order.expiration))


def _only_protects(order: Proposal, picture: Picture) -> bool:
    # Whether there is no price in it that could do harm by lying far away.
    if order.kind == "MODIFY":
        return held_of(order) is None or tightens(order)
    return order.kind != "OPEN" or shrinks(order, picture)


def _price_gap(order: Proposal, picture: Picture) -> Decimal | None:
    # How far a price that is being set lies on the right side of the market. A MODIFY that leaves
    # a resting price where it is sets none, however near the market has come.
    quote = known_quote(order.symbol, picture)
    if quote is None or not ((order.kind == "OPEN" and order.is_pending) or moves_price(order)):
        return None
    with localcontext(EXACT):
        gap = market(order.is_buy, quote) - order.price
        return gap if order.type in ("BUY_LIMIT", "SELL_STOP") else -gap


def _stops_base(order: Proposal, picture: Picture) -> Decimal | None:
    if order.is_pending:
        return order.price
    quote = known_quote(order.symbol, picture)
    return market(not order.is_buy, quote) if quote is not None else None


def _stop_gaps(order: Proposal, picture: Picture) -> list[tuple[Decimal, Decimal]]:
    # Each stop that is set, and how far it lies on its right side.
    base = _stops_base(order, picture)
    unknown = order.kind == "MODIFY" and held_of(order) is None
    if order.kind not in ("OPEN", "MODIFY") or base is None or unknown:
        return []
    sign = 1 if order.is_buy else -1
    with localcontext(EXACT):
        both = ((order.sl, sign * (base - order.sl)), (order.tp, sign * (order.tp - base)))
    return [(stop, gap) for stop, gap in both if stop]
