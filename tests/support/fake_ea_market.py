"""The fake broker's market: quotes, trades, pending orders and history, as in MetaTrader 4.

A trade keeps its ticket from the opening to the history; a partial close moves the closed part
there under the old ticket and leaves the rest under a new one, whose comment names the old.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from msgspec import Struct

from bridge_core.protocol.replies import text_of

__all__ = ["Market", "Spec", "Terms", "Trade", "side_of"]

ZERO: Final = Decimal(0)
_CENT: Final = Decimal("0.01")


class Spec(Struct, frozen=True, kw_only=True):
    """A symbol's grids; levels in points."""

    symbol: str = "EURUSD"
    digits: int = 5
    volume_min: Decimal = Decimal("0.01")
    volume_max: Decimal = Decimal(1000)
    volume_step: Decimal = Decimal("0.01")
    contract_size: Decimal = Decimal(100_000)
    stops_level: int = 0
    freeze_level: int = 0

    @property
    def point(self) -> Decimal:
        """Return the smallest step of a price."""
        return Decimal(1).scaleb(-self.digits)

    def row(self) -> dict[str, str | int]:
        """Return the row of the link's SYMBOL query."""
        return {
            "symbol": self.symbol, "digits": self.digits, "point": text_of(self.point),
            "volume_min": text_of(self.volume_min), "volume_max": text_of(self.volume_max),
            "volume_step": text_of(self.volume_step),
            "contract_size": text_of(self.contract_size), "stops_level": self.stops_level,
            "freeze_level": self.freeze_level, "currency_base": self.symbol[:3],
            "currency_profit": self.symbol[3:6],
        }  # fmt: skip


class Terms(Struct, frozen=True, kw_only=True):
    """What the account is; `balance` in account currency."""

    account: int = 22437
    server: str = "Fake-Demo"
    kind: str = "demo"
    currency: str = "USD"
    leverage: int = 100
    balance: Decimal = Decimal(10_000)
    symbols: tuple[Spec, ...] = (Spec(),)
    comment_chars: int = 31
    zone_ms: int | None = 7_200_000  # the broker's clock less UTC; None: not measured yet


class Trade(Struct, kw_only=True):
    """One ticket in any of its three lives: pending, open, closed. Times are UTC ms."""

    ticket: int
    symbol: str
    type: str
    volume: Decimal
    open_price: Decimal
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    magic: int = 0
    comment: str = ""
    opened_ms: int = 0
    expiration_ms: int = 0
    close_price: Decimal = ZERO
    closed_ms: int = 0
    profit: Decimal = ZERO
    reason: str = ""
    from_ticket: int = 0


def side_of(kind: str) -> str:
    """Return BUY or SELL of an order type."""
    return kind.split("_", 1)[0]


class Market:
    """Prices and tickets; the broker (fake_ea_broker.py) decides what is asked of it."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.specs = {spec.symbol: spec for spec in terms.symbols}
        self.quotes: dict[str, tuple[Decimal, Decimal, int]] = {}
        self.open: dict[int, Trade] = {}
        self.pending: dict[int, Trade] = {}
        self.closed: list[Trade] = []
        self.balance = terms.balance
        self.book = 0
        self.ticket = 1000

    # --- money --------------------------------------------------------------------------------

    def exit_price(self, trade: Trade) -> Decimal:
        """Return the price at which a position would be closed now."""
        bid, ask, _ = self.quotes[trade.symbol]
        return bid if trade.type == "BUY" else ask

    def profit(self, trade: Trade, price: Decimal, volume: Decimal) -> Decimal:
        """Return the profit of a volume closed at a price, in account currency."""
        spec = self.specs[trade.symbol]
        moved = price - trade.open_price if trade.type == "BUY" else trade.open_price - price
        return (moved * volume * spec.contract_size).quantize(_CENT, ROUND_HALF_UP) + 0

    def margin(self, symbol: str, volume: Decimal) -> Decimal:
        """Return the margin that a volume takes now, in account currency."""
        ask = self.quotes[symbol][1]
        used = volume * self.specs[symbol].contract_size * ask / self.terms.leverage
        return used.quantize(_CENT, ROUND_HALF_UP)

    def account(self) -> dict[str, str]:
        """Return the money fields of the link's Account."""
        floating = sum((self.profit(t, self.exit_price(t), t.volume) for t in self.open.values()),
                       ZERO)  # fmt: skip
        margin = sum((self.margin(t.symbol, t.volume) for t in self.open.values()), ZERO)
        equity = self.balance + floating
        level = text_of((equity / margin * 100).quantize(_CENT)) if margin else ""
        return {
            "balance": text_of(self.balance), "equity": text_of(equity),
            "margin": text_of(margin), "free_margin": text_of(equity - margin),
            "profit": text_of(floating), "margin_level": level,
        }  # fmt: skip

    # --- tickets ------------------------------------------------------------------------------

    def next_ticket(self) -> int:
        """Return a ticket that was never given."""
        self.ticket += 1
        return self.ticket

    def changed(self) -> None:
        """Count a change of the book."""
        self.book += 1

    def close(self, trade: Trade, volume: Decimal, price: Decimal, reason: str, now: int) -> Trade:
        """Close a volume of a position; return the closed row. The rest has a new ticket."""
        del self.open[trade.ticket]
        rest = trade.volume - volume
        profit = self.profit(trade, price, volume)
        trade.volume, trade.close_price, trade.closed_ms = volume, price, now
        trade.profit, trade.reason = profit, reason
        if reason in ("SL", "TP"):
            trade.comment = f"{trade.comment}[{reason.lower()}]"
        self.closed.append(trade)
        self.balance += profit
        if rest:
            left = Trade(
                ticket=self.next_ticket(), symbol=trade.symbol, type=trade.type, volume=rest,
                open_price=trade.open_price, sl=trade.sl, tp=trade.tp, magic=trade.magic,
                comment=f"from #{trade.ticket}", opened_ms=trade.opened_ms,
                from_ticket=trade.ticket,
            )  # fmt: skip
            self.open[left.ticket] = left
        self.changed()
        return trade

    def cancel(self, trade: Trade, reason: str, now: int) -> None:
        """End a pending order."""
        del self.pending[trade.ticket]
        trade.reason, trade.closed_ms, trade.close_price = reason, now, self.exit_price(trade)
        self.closed.append(trade)
        self.changed()

    def remainder(self, ticket: int) -> Trade | None:
        """Return what is left of a partly closed ticket."""
        return next((t for t in self.open.values() if t.from_ticket == ticket), None)

    def find_closed(self, ticket: int) -> Trade | None:
        """Return a ticket's row in the history."""
        return next((t for t in self.closed if t.ticket == ticket), None)

    # --- rows of the link -----------------------------------------------------------------------

    def position_row(self, trade: Trade) -> dict[str, str | int]:
        """Return an open position as the link shows it."""
        price = self.exit_price(trade)
        return {
            "ticket": trade.ticket, "symbol": trade.symbol, "type": trade.type,
            "volume": text_of(trade.volume), "open_price": text_of(trade.open_price),
            "current_price": text_of(price), "sl": text_of(trade.sl), "tp": text_of(trade.tp),
            "profit": text_of(self.profit(trade, price, trade.volume)), "swap": "0",
            "commission": "0", "magic": trade.magic, "comment": trade.comment,
            "opened_ms": trade.opened_ms,
        }  # fmt: skip

    def order_row(self, trade: Trade) -> dict[str, str | int]:
        """Return a pending order as the link shows it."""
        return {
            "ticket": trade.ticket, "symbol": trade.symbol, "type": trade.type,
            "volume": text_of(trade.volume), "price": text_of(trade.open_price),
            "sl": text_of(trade.sl), "tp": text_of(trade.tp),
            "expiration_ms": trade.expiration_ms, "magic": trade.magic,
            "comment": trade.comment, "placed_ms": trade.opened_ms,
        }  # fmt: skip

    def closed_row(self, trade: Trade) -> dict[str, str | int]:
        """Return a row of the history as the link shows it."""
        return {
            "ticket": trade.ticket, "symbol": trade.symbol, "type": trade.type,
            "volume": text_of(trade.volume), "open_price": text_of(trade.open_price),
            "close_price": text_of(trade.close_price), "sl": text_of(trade.sl),
            "tp": text_of(trade.tp), "profit": text_of(trade.profit), "swap": "0",
            "commission": "0", "magic": trade.magic, "comment": trade.comment,
            "opened_ms": trade.opened_ms, "closed_ms": trade.closed_ms, "reason": trade.reason,
            "from_ticket": trade.from_ticket,
        }  # fmt: skip
