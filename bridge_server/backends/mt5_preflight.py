"""What keeps an order from being sent to MetaTrader 5, seen just before it would be. Pure.

The server's own checks have passed by then, against a picture that may be a moment old; these
look at what was read now. A refusal here is proof that nothing was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Close, Modify, Open
from bridge_core.protocol.replies import text_of
from bridge_core.risk import checks_basic as basic
from bridge_core.risk import checks_market as market
from bridge_core.risk import checks_prices as prices
from bridge_core.risk.controls import first_refusal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AccountLimits, Policy
from bridge_server.backends.mt5_link import LinkStatus
from bridge_server.backends.mt5_symbols import Mt5Symbol
from bridge_server.core.ports import Pending, Position, Quote, Snapshot
from bridge_server.core.proposal import propose

__all__ = ["changed", "frozen", "moved", "not_taken", "off_grid", "standing", "with_seen"]

_C = ReasonCode

# The server's own checks that a moment can change; limits and counts are its business alone.
_CHECKS: Final = (
    basic.symbol_known, basic.ticket_known, basic.volume_on_grid, market.quote_known,
    prices.prices_on_grid, prices.price_on_its_side, prices.stops_on_their_side,
    prices.levels_kept, prices.expiration_ahead,
)  # fmt: skip
_NO_LIMITS: Final = Policy(allowed_symbols=frozenset(), symbols={}, account=AccountLimits())

_OFF: Final[tuple[tuple[str, str, bool, str], ...]] = (
    ("terminal", "trade_allowed", False, "Algo Trading is off: press the button in the terminal"),
    (
        "terminal", "tradeapi_disabled", True,
        "the terminal's option that disables trading by external Python programs is set: clear it",
    ),
    (
        "account", "trade_allowed", False,
        "this login may not trade: log in with the trading password, not the investor's",
    ),
    ("account", "trade_expert", False, "the broker lets no program trade on this account"),
)  # fmt: skip


def standing(status: LinkStatus) -> Refusal | None:
    """Return why nothing can be sent now: another account, no link, trading switched off."""
    if status.wrong_account:
        return Refusal(_C.ACCOUNT_MISMATCH, value=status.wrong_account)
    if not (status.alive and status.linked):
        return Refusal(_C.BROKER_DOWN, limit="terminal", value=status.why)
    shown: dict[str, Mapping[str, object]] = {
        "terminal": status.terminal,
        "account": status.account,
    }
    for record, name, bad, why in _OFF:
        if shown[record].get(name) is bad:
            return Refusal(_C.TRADE_DISABLED, limit=f"{record} {name}", value=why)
    return None


def not_taken(type_: str, symbol: Mt5Symbol, *, netting: bool) -> Refusal | None:
    """Return whether the symbol's modes keep an entry of this type out.

    On a netting account an entry may reduce, so there the broker judges all but DISABLED.
    """
    if symbol.takes(type_, closing=netting):
        return None
    return Refusal(_C.TRADE_DISABLED, limit=symbol.spec.trade_mode, value=type_)


def moved(body: Open, quote: Quote, point: Decimal) -> Refusal | None:
    """Return PRICE_MOVED when the market left the reference by more than the deviation."""
    reference = Decimal(body.price)
    if body.type not in ("BUY", "SELL") or not reference:
        return None
    fill = quote.ask if body.type == "BUY" else quote.bid
    points = abs(fill - reference) / point
    if points <= body.deviation:
        return None
    return Refusal(_C.PRICE_MOVED, limit=str(body.deviation), value=text_of(points.normalize() + 0))


def changed(body: Modify, held: Position | Pending) -> Refusal | None:
    """Return CHANGED when the stops are no longer what the strategy saw."""
    if (held.sl, held.tp) == (Decimal(body.old_sl), Decimal(body.old_tp)):
        return None
    return Refusal(
        _C.CHANGED,
        limit=f"sl={body.old_sl} tp={body.old_tp}",
        value=f"sl={text_of(held.sl)} tp={text_of(held.tp)}",
    )


def frozen(held: Position | Pending, quote: Quote, symbol: Mt5Symbol) -> Refusal | None:
    """Return STOPS_LEVEL when a level in force is so near the market that nothing may change."""
    spec = symbol.spec
    if not spec.freeze_level:
        return None
    distance = spec.freeze_level * spec.point
    buys = held.type.startswith("BUY")
    levels: tuple[Decimal, ...]
    if isinstance(held, Position):  # its stops act on the closing side
        closes_at, levels = quote.bid if buys else quote.ask, (held.sl, held.tp)
    else:
        closes_at, levels = quote.ask if buys else quote.bid, (held.price,)
    for level in levels:
        if level and abs(closes_at - level) <= distance:
            return Refusal(_C.STOPS_LEVEL, limit=text_of(distance), value=text_of(level))
    return None


def with_seen(
    shot: Snapshot, symbol: Mt5Symbol | None, quote: Quote | None, held: Position | Pending | None
) -> Snapshot:
    """Return the last picture with what was read now in its place."""
    quotes, symbols = dict(shot.quotes), dict(shot.symbols)
    if symbol is not None:
        symbols[symbol.spec.symbol] = symbol.spec
        quotes.pop(symbol.spec.symbol, None)
    if quote is not None:
        quotes[quote.symbol] = quote
    positions = {held.ticket: held} if isinstance(held, Position) else {}
    orders = {held.ticket: held} if isinstance(held, Pending) else {}
    return structs.replace(shot, quotes=quotes, symbols=symbols, positions=positions, orders=orders)


def off_grid(body: Open | Close | Modify, seen: Snapshot) -> Refusal | None:
    """Return the first refusal by grids, sides, levels and expiration, with the nearest values."""
    proposal = propose(body, seen)
    if proposal is None:
        return None
    shown = Picture(
        policy=_NO_LIMITS, now_wall_ms=seen.taken_wall_ms, market_ms=seen.market_ms,
        identity=seen.identity, account=seen.account, positions=seen.positions,
        orders=seen.orders, quotes=seen.quotes, symbols=seen.symbols,
    )  # fmt: skip
    return first_refusal(proposal, shown, _CHECKS)
