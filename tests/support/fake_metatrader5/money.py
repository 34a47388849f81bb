"""Margin, profit and the account's money, in account currency, rounded to cents."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

from msgspec import Struct

from tests.support.fake_metatrader5.books import Book, Picture, PositionRow
from tests.support.fake_metatrader5.codes import Kind
from tests.support.fake_metatrader5.market import Market
from tests.support.fake_metatrader5.terms import SymbolTerms, Terms

__all__ = ["Funds", "Money"]

ZERO: Final = Decimal(0)
_CENT: Final = Decimal("0.01")
_FOREX, _CFD, _CFD_LEVERAGE, _FOREX_FULL = 0, 2, 4, 5


class Funds(Struct, frozen=True, kw_only=True):
    """The account's money now; `level` in percent, 0 without margin."""

    balance: Decimal
    equity: Decimal
    profit: Decimal
    margin: Decimal
    free: Decimal
    level: Decimal


class Money:
    """The formulas of the MetaTrader 5 documentation for the calculation modes of a retail account.

    Hedged volume is not discounted: each position takes its whole margin.
    """

    def __init__(self, terms: Terms, market: Market, book: Book) -> None:
        self._terms = terms
        self._market = market
        self._book = book

    def rate(self, source: str) -> Decimal:
        """Return what one unit of a currency is in account currency."""
        home = self._terms.currency
        if source == home or not source:
            return Decimal(1)
        if source in self._terms.rates:
            return self._terms.rates[source]
        quotes = self._market.quotes
        for spec in self._terms.symbols:
            quote = quotes.get(spec.name)
            if quote is None or not quote.bid:
                continue
            if (spec.base, spec.profit) == (source, home):
                return quote.bid
            if (spec.base, spec.profit) == (home, source):
                return 1 / quote.ask
        return Decimal(1)

    def margin(self, spec: SymbolTerms, volume: Decimal, price: Decimal) -> Decimal:
        """Return the margin of a volume at a price."""
        value = volume * spec.contract_size
        if spec.calc_mode not in (_FOREX, _FOREX_FULL):
            value *= price
            rate = self.rate(spec.profit)
        elif spec.base == spec.margin and spec.profit == self._terms.currency:
            rate = price  # the pair itself is the conversion
        else:
            rate = self.rate(spec.margin)
        if spec.calc_mode in (_FOREX, _CFD_LEVERAGE):
            value /= self._terms.leverage
        return _cents(value * rate)

    def profit(self, spec: SymbolTerms, kind: Kind, volume: Decimal,
               prices: tuple[Decimal, Decimal]) -> Decimal:  # fmt: skip
        """Return the profit of a volume opened and closed at two prices."""
        opened, closed = prices
        moved = closed - opened if kind is Kind.BUY else opened - closed
        return _gain(moved, volume, spec.contract_size, self.rate(spec.profit))

    def floating(self, position: PositionRow) -> Decimal:
        """Return a position's profit if it were closed now."""
        spec = self._market.spec(position.symbol)
        price = self._market.price(position.symbol, position.kind.other)
        if spec is None or not price:
            return ZERO
        return self.profit(spec, position.kind, position.volume, (position.price, price))

    def funds(self, picture: Picture | None = None) -> Funds:
        """Return the account's money as a terminal's picture shows it (default: the truth)."""
        held = tuple(self._book.positions.values()) if picture is None else picture.positions
        profit, margin = sum((each.swap for each in held), ZERO), ZERO
        # Of thousands of positions most are alike.
        alike = Counter((each.symbol, each.kind, each.volume, each.price) for each in held)
        rows = {(each.symbol, each.kind, each.volume, each.price): each for each in held}
        for same, count in alike.items():
            one = rows[same]
            profit += self.floating(one) * count
            spec = self._market.spec(one.symbol)
            if spec is not None:
                margin += self.margin(spec, one.volume, one.price) * count
        balance = self._book.balance if picture is None else picture.balance
        equity = balance + profit
        level = _cents(equity / margin * 100) if margin else ZERO
        return Funds(
            balance=balance, equity=equity, profit=profit, margin=margin,
            free=equity - margin, level=level,
        )  # fmt: skip


@lru_cache(4096)  # of thousands of positions most are alike
def _gain(moved: Decimal, volume: Decimal, size: Decimal, rate: Decimal) -> Decimal:
    return _cents(moved * volume * size * rate)


@lru_cache(4096)
def _cents(value: Decimal) -> Decimal:
    return value.quantize(_CENT, ROUND_HALF_UP) + 0
