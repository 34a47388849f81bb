"""Money of the paper broker: profit, margin, conversion. Pure and exact.

Every amount is rounded once, half to even, to two decimals of the account's currency: a deal's
profit when it closes, a position's floating profit and its margin when they are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple

from msgspec import structs

from bridge_core.protocol.errors import ConfigError
from bridge_server.core.ports import Position, SymbolSpec

__all__ = ["Holding", "Money", "Price", "Worth", "cents", "decimal_text"]

_CENT: Final = Decimal("0.01")
_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_ONE: Final = Decimal(1)
_WORTHS_MAX: Final = 20_000


class Price(NamedTuple):
    """Bid and ask of one symbol, and the market time they are of (UTC ms)."""

    bid: Decimal
    ask: Decimal
    time_ms: int


def cents(amount: Decimal) -> Decimal:
    """Return an amount rounded to two decimals, half to even; never a negative zero."""
    return amount.quantize(_CENT, ROUND_HALF_EVEN, _CONTEXT) + 0


def decimal_text(value: Decimal) -> str:
    """Return plain digits as protocol.md 5 writes decimals: no exponent, no negative zero."""
    return format(value or abs(value), "f")


class Holding(NamedTuple):
    """A volume (lots) held on one side (BUY or SELL) of a symbol since a price."""

    symbol: str
    side: str
    volume: Decimal
    opened: Decimal


class Worth(NamedTuple):
    """A position as it is shown at a price, with its floating profit, and the margin it holds.

    The other fields are what that was reckoned from.
    """

    shown: Position
    margin: Decimal
    position: Position
    price: Price
    via: Price | None


class Money:
    """Converts a symbol's profit currency into the account's.

    Profit currency = account currency: as it is. Base currency = account currency: divided by
    the price. Otherwise through another configured symbol's bid: times it (profit currency is
    its base) or divided by it (profit currency is its quote).

    Raises:
        ConfigError: PAPER_CURRENCY: a symbol's profit cannot be converted.
    """

    def __init__(self, currency: str, leverage: int, specs: Mapping[str, SymbolSpec]) -> None:
        self.currency = currency
        self.leverage = leverage
        self.specs = specs
        self._routes = {name: self._route(spec) for name, spec in specs.items()}
        self._worths: dict[int, Worth] = {}

    def _route(self, spec: SymbolSpec) -> tuple[str, bool]:
        """Return (symbol whose bid converts, whether it multiplies); "" means as it is."""
        profit, account = spec.currency_profit, self.currency
        if profit == account:
            return "", True
        if spec.currency_base == account:
            return spec.symbol, False
        for other in sorted(self.specs.values(), key=lambda each: each.symbol):
            if (other.currency_base, other.currency_profit) == (profit, account):
                return other.symbol, True
            if (other.currency_base, other.currency_profit) == (account, profit):
                return other.symbol, False
        raise ConfigError(
            "PAPER_CURRENCY",
            f"{spec.symbol}: no allowed symbol converts {profit} to {account}: add "
            f"{profit}{account} or {account}{profit} to allowed_symbols, or change the currency",
        )

    def convertible(self, symbol: str, quotes: Mapping[str, Price]) -> bool:
        """Return whether the price that converts this symbol's profit is known."""
        via, _ = self._routes[symbol]
        return via in ("", symbol) or via in quotes

    def _convert(
        self, symbol: str, amount: Decimal, own: Decimal, quotes: Mapping[str, Price]
    ) -> Decimal:
        via, multiplies = self._routes[symbol]
        if not via:
            return cents(amount)
        rate = own if via == symbol else quotes[via].bid
        if multiplies:
            return cents(_CONTEXT.multiply(amount, rate))
        return cents(_CONTEXT.divide(amount, rate))

    def profit(self, held: Holding, close: Decimal, quotes: Mapping[str, Price]) -> Decimal:
        """Return the profit in account currency of closing a holding at a price."""
        move = close - held.opened if held.side == "BUY" else held.opened - close
        amount = _CONTEXT.multiply(move, held.volume * self.specs[held.symbol].contract_size)
        return self._convert(held.symbol, amount, close, quotes)

    def worth(self, position: Position, quotes: Mapping[str, Price]) -> Worth:
        """Return what a position is worth now; reckoned once for each position and price.

        Positions and prices are never edited, so the same objects give the same numbers.
        """
        price, via = quotes[position.symbol], quotes.get(self._routes[position.symbol][0])
        known = self._worths.get(position.ticket)
        same = known is not None and known.position is position
        if known is not None and same and known.price is price and known.via is via:
            return known
        close = price.bid if position.type == "BUY" else price.ask
        held = Holding(position.symbol, position.type, position.volume, position.open_price)
        profit = self.profit(held, close, quotes)
        margin = self.margin(position.symbol, position.volume, position.open_price, quotes)
        if len(self._worths) >= _WORTHS_MAX:
            self._worths.clear()  # most are of positions that were closed
        shown = structs.replace(position, current_price=close, profit=profit)
        worth = self._worths[position.ticket] = Worth(shown, margin, position, price, via)
        return worth

    def margin(
        self, symbol: str, volume: Decimal, price: Decimal, quotes: Mapping[str, Price]
    ) -> Decimal:
        """Return the margin in account currency of a volume (lots) entered at a price.

        Volume x contract x price / leverage, converted; opposite positions are not set off.
        """
        notional = _CONTEXT.multiply(volume * self.specs[symbol].contract_size, price)
        amount = _CONTEXT.divide(notional, _ONE * self.leverage)
        return self._convert(symbol, amount, price, quotes)
