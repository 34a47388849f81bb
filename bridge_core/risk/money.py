"""What prices and volumes are in account currency; where two answers are possible, the dearer.

MetaTrader reckons the profit of Forex and CFD symbols as (close - open) x contract size x lots, in
the symbol's profit currency (MQL5 documentation: ENUM_SYMBOL_CALC_MODE, OrderCalcProfit). What is
owed in another currency is bought at the ask of a direct pair, or at the bid of an inverse one.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Final

from bridge_core.risk.entry import fresh, known_quote, worst_entry, worst_value_price
from bridge_core.risk.exact import EXACT, divided, finite, positive
from bridge_core.risk.facts import Position, SymbolSpec
from bridge_core.risk.order import Flying
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AmountSetting, amount, capped

__all__ = [
    "entry_value", "limit_money", "loss_at_stop", "lot_value", "pair_of", "position_value", "rate",
]  # fmt: skip

ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)


def pair_of(spec: SymbolSpec) -> tuple[str, str] | None:
    """Return base and profit currency of a symbol that exchanges the one for the other.

    Its name must say so too: an index whose broker names two currencies is no rate of exchange.
    """
    base, profit = spec.currency_base, spec.currency_profit
    letters = "".join(one for one in spec.symbol.upper() if one.isalnum())
    if not base or not profit or base == profit or f"{base}{profit}".upper() not in letters:
        return None
    return base, profit


def _steps(picture: Picture) -> Iterator[tuple[str, str, Decimal]]:
    # What one unit of the first currency costs in the second, at the dearer side.
    for symbol, spec in picture.symbols.items():
        pair, quote = pair_of(spec), known_quote(symbol, picture)
        if pair is None or quote is None or not fresh(quote, picture):
            continue
        base, profit = pair
        yield base, profit, quote.ask
        yield profit, base, divided(ONE, quote.bid)


def rate(currency: str, picture: Picture) -> Decimal | None:
    """Return what one unit of a currency costs in account currency, None if nobody knows.

    By a pair of the two, either way round; else through one currency between them. Of several
    ways of a kind the dearest counts.
    """
    home = picture.identity.currency if picture.identity is not None else ""
    if not currency or not home:
        return None
    if currency == home:
        return ONE
    out: dict[str, Decimal] = {}
    into: dict[str, Decimal] = {}
    for source, target, cost in _steps(picture):
        if source == currency:
            out[target] = max(cost, out.get(target, ZERO))
        if target == home:
            into[source] = max(cost, into.get(source, ZERO))
    if home in out:
        return out[home]
    with localcontext(EXACT):
        through = [cost * into[middle] for middle, cost in out.items() if middle in into]
    return max(through, default=None)


def lot_value(symbol: str, picture: Picture) -> Decimal | None:
    """Return what one lot gains or loses in account currency when the price moves by 1.

    By contract size and conversion, and by the broker's own tick value; of both, the larger.
    """
    spec = picture.symbols.get(symbol)
    if spec is None:
        return None
    ways: list[Decimal] = []
    with localcontext(EXACT):
        cost = rate(spec.currency_profit, picture)
        if cost is not None and positive(spec.contract_size):
            ways.append(spec.contract_size * cost)
        tick = spec.tick_size if positive(spec.tick_size) else spec.point
        if positive(spec.tick_value, tick):
            ways.append(divided(spec.tick_value, tick))
    return max(ways, default=None)


def _lot(symbol: str, picture: Picture) -> Decimal | None:
    # The same for every leg of a judgement.
    memo, key = picture.memo, ("lot", symbol)
    if memo is None:
        return lot_value(symbol, picture)
    if key not in memo:
        memo[key] = lot_value(symbol, picture)
    found: Decimal | None = memo[key]
    return found


def position_value(held: Position, picture: Picture) -> Decimal | None:
    """Return the value of a position at the price at which it would be closed now."""
    each = _lot(held.symbol, picture)
    if each is None or not positive(held.current_price, held.volume):
        return None
    with localcontext(EXACT):
        return held.volume * held.current_price * each


def entry_value(entry: Flying, picture: Picture) -> Decimal | None:
    """Return the value of an entry at the highest price it may get, None if nobody knows."""
    price, each = worst_value_price(entry, picture), _lot(entry.symbol, picture)
    if price is None or each is None or not positive(entry.volume):
        return None
    with localcontext(EXACT):
        return entry.volume * price * each


def loss_at_stop(entry: Flying, picture: Picture) -> Decimal | None:
    """Return what is lost from the worst entry price to the stop; None if nobody knows.

    A gap beyond the stop, commission and swap come on top: no broker tells them beforehand.
    """
    price, each = worst_entry(entry, picture), _lot(entry.symbol, picture)
    if price is None or each is None or not positive(entry.volume):
        return None
    with localcontext(EXACT):
        away = price - entry.sl if entry.type.startswith("BUY") else entry.sl - price
        return max(ZERO, entry.volume * away * each)


def limit_money(setting: AmountSetting, picture: Picture) -> Decimal | None:
    """Return an amount that is measured by the equity now; None if that is not known."""
    said = amount(setting)
    if not said.percent:
        return said.value
    if picture.account is None or not finite(picture.account.equity):
        return None
    return said.of(capped(picture.account.equity, picture.policy.account))
