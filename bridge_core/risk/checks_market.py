"""Checks of the market at this moment: hours, session, the quote and how it has moved."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.checks_basic import limits_of
from bridge_core.risk.entry import entering, fresh, held_of, known_quote, shrinks, tightens
from bridge_core.risk.exact import EXACT, divided, plain, positive
from bridge_core.risk.hours import parse_hours
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture

__all__ = [
    "move_within_max", "quote_fresh", "quote_known", "session_open", "spread_within_max",
    "within_hours",
]  # fmt: skip

_HUNDRED: Final = Decimal(100)
_CENT: Final = Decimal("0.01")
_BARRED: Final = {
    "DISABLED": ("BUY", "SELL"),
    "CLOSEONLY": ("BUY", "SELL"),
    "LONGONLY": ("SELL",),
    "SHORTONLY": ("BUY",),
}


def within_hours(order: Proposal, picture: Picture) -> Refusal | None:
    """Market time lies within trading_hours of account and symbol, where they are set."""
    if not entering(order, picture):
        return None
    own = limits_of(order.symbol, picture).trading_hours
    for text in (picture.policy.account.trading_hours, own):
        if text is not None and not parse_hours(text).open_at(picture.market_ms):
            return Refusal(ReasonCode.TRADING_HOURS, limit=text, value=str(picture.market_ms))
    return None


def session_open(order: Proposal, picture: Picture) -> Refusal | None:
    """The broker trades the symbol now and in this direction, as far as it says."""
    if not entering(order, picture):
        return None
    spec = picture.symbols.get(order.symbol)
    if spec is None:
        return Refusal(ReasonCode.SYMBOL_UNKNOWN, value=order.symbol)
    if spec.session == "CLOSED":
        return Refusal(ReasonCode.SESSION_CLOSED, value=spec.session)
    if ("BUY" if order.is_buy else "SELL") in _BARRED.get(spec.trade_mode, ()):
        return Refusal(ReasonCode.SESSION_CLOSED, limit=spec.trade_mode, value=order.type)
    return None


def _compares(order: Proposal, picture: Picture) -> bool:
    # What only takes away does not wait for a price.
    if order.kind == "MODIFY":
        return held_of(order) is not None and not tightens(order)
    return order.kind == "OPEN" and not shrinks(order, picture)


def quote_known(order: Proposal, picture: Picture) -> Refusal | None:
    """There is a price to compare with: bid and ask are numbers above 0, the ask not below."""
    if not _compares(order, picture) or known_quote(order.symbol, picture) is not None:
        return None
    return Refusal(ReasonCode.NO_QUOTE, value=order.symbol)


def quote_fresh(order: Proposal, picture: Picture) -> Refusal | None:
    """The price was asked for just now, and its last tick is no older than max_tick_age_s."""
    quote = known_quote(order.symbol, picture)
    if not _compares(order, picture) or quote is None:
        return None
    if not fresh(quote, picture):
        age = f"{picture.now_wall_ms - quote.asked_wall_ms}ms"
        return Refusal(ReasonCode.STALE_QUOTE, limit=f"{limits.QUOTE_AGE_MS_MAX}ms", value=age)
    most = limits_of(order.symbol, picture).max_tick_age_s
    age_ms = picture.market_ms - quote.time_ms
    if age_ms > most * 1000:
        return Refusal(ReasonCode.STALE_QUOTE, limit=f"{most}s", value=f"{age_ms}ms")
    return None


def move_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """Highest and lowest mid price of the window lie within max_move percent of each other."""
    limit = limits_of(order.symbol, picture).max_move
    if limit is None or not entering(order, picture):
        return None
    swing, quote = picture.swings.get(order.symbol), known_quote(order.symbol, picture)
    if swing is None or quote is None or not positive(swing.high, swing.low):
        return Refusal(ReasonCode.MAX_MOVE, limit=f"{plain(limit)}%")
    with localcontext(EXACT):
        mid = (quote.bid + quote.ask) / 2
        high, low = max(swing.high, mid), min(swing.low, mid)
        if (high - low) * _HUNDRED <= limit * low:
            return None
        moved = divided((high - low) * _HUNDRED, low).quantize(_CENT, "ROUND_CEILING")
    return Refusal(ReasonCode.MAX_MOVE, limit=f"{plain(limit)}%", value=f"{plain(moved)}%")


def spread_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The spread is at most max_spread points, where that is set."""
    limit = limits_of(order.symbol, picture).max_spread
    if limit is None or not entering(order, picture):
        return None
    quote, spec = known_quote(order.symbol, picture), picture.symbols.get(order.symbol)
    if quote is None or spec is None or not positive(spec.point):
        return Refusal(ReasonCode.MAX_SPREAD, limit=str(limit))
    with localcontext(EXACT):
        if quote.ask - quote.bid <= limit * spec.point:
            return None
        wide = divided(quote.ask - quote.bid, spec.point)
    return Refusal(ReasonCode.MAX_SPREAD, limit=str(limit), value=plain(wide))
