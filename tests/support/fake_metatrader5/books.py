"""The broker's books: active orders, ended orders, deals, positions, and who gets which number.

Order and deal numbers come from two counters. A position takes its first order's ticket, and keeps
it as `identifier` when the ticket changes. All times in the books are the broker's, in ms.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tests.support.fake_metatrader5.codes import Filling, Kind, Reason, State

__all__ = ["NEVER", "Book", "DealRow", "OrderRow", "Picture", "PositionRow"]

ZERO: Final = Decimal(0)
NEVER: Final = 1 << 62  # a time that does not come: not shown until somebody says when


class OrderRow(Struct, kw_only=True):
    """An order, active or ended. `closes` is the position it was sent to close, 0 if none."""

    ticket: int
    symbol: str
    kind: Kind
    volume: Decimal
    left: Decimal
    price: Decimal = ZERO
    stoplimit: Decimal = ZERO
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    filling: int = Filling.RETURN
    time_kind: int = 0
    expiration_s: int = 0
    state: int = State.STARTED
    magic: int = 0
    comment: str = ""
    reason: int = Reason.EXPERT
    position_id: int = 0
    position_by_id: int = 0
    setup_ms: int = 0
    done_ms: int = 0
    external_id: str = ""
    closes: int = 0
    triggered: bool = False
    shown_at: int = 0


class DealRow(Struct, kw_only=True):
    """One execution; `kind` is DEAL_TYPE_*, money in account currency."""

    ticket: int
    order: int
    symbol: str
    kind: int
    entry: int
    volume: Decimal
    price: Decimal
    position_id: int
    magic: int = 0
    comment: str = ""
    reason: int = Reason.EXPERT
    commission: Decimal = ZERO
    swap: Decimal = ZERO
    profit: Decimal = ZERO
    time_ms: int = 0
    external_id: str = ""
    shown_at: int = 0


class PositionRow(Struct, kw_only=True):
    """An open position; `kind` is BUY or SELL."""

    ticket: int
    identifier: int
    symbol: str
    kind: Kind
    volume: Decimal
    price: Decimal
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    magic: int = 0
    comment: str = ""
    reason: int = Reason.EXPERT
    swap: Decimal = ZERO
    time_ms: int = 0
    update_ms: int = 0
    external_id: str = ""


class Picture(Struct, frozen=True):
    """What a terminal shows of the present: active orders, positions and the balance."""

    orders: tuple[OrderRow, ...]
    positions: tuple[PositionRow, ...]
    balance: Decimal


class Book:
    """The truth. What a terminal sees of it, and when, is sight.py's matter."""

    def __init__(self) -> None:
        self.orders: dict[int, OrderRow] = {}
        self.ended: list[OrderRow] = []
        self.deals: list[DealRow] = []
        self.positions: dict[int, PositionRow] = {}
        self.balance = ZERO
        self._deals_of: dict[int, list[DealRow]] = {}
        self._last_order = 70_000_000
        self._last_deal = 90_000_000

    def next_order(self) -> int:
        """Return an order ticket that was never given."""
        self._last_order += 1
        return self._last_order

    def next_deal(self) -> int:
        """Return a deal ticket that was never given."""
        self._last_deal += 1
        return self._last_deal

    def position_of(self, identifier: int) -> PositionRow | None:
        """Return the open position of an identifier, whatever its ticket is now."""
        held = self.positions.get(identifier)
        if not identifier or (held is not None and held.identifier == identifier):
            return held
        return next((p for p in self.positions.values() if p.identifier == identifier), None)

    def on(self, symbol: str) -> list[PositionRow]:
        """Return the open positions of a symbol, oldest first."""
        return [each for each in self.positions.values() if each.symbol == symbol]

    def pendings(self) -> list[OrderRow]:
        """Return the active orders that wait for a price."""
        return [each for each in self.orders.values() if each.kind > Kind.SELL]

    def closing(self, ticket: int) -> OrderRow | None:
        """Return an active order that is to close a position."""
        return next((each for each in self.orders.values() if each.closes == ticket), None)

    def add_deal(self, deal: DealRow) -> None:
        """Write down an execution."""
        self.deals.append(deal)
        self._deals_of.setdefault(deal.order, []).append(deal)

    def deals_of(self, order: int) -> list[DealRow]:
        """Return every deal of an order."""
        return self._deals_of.get(order, [])

    def end(self, order: OrderRow, state: int, now_ms: int) -> None:
        """Move an order into the history."""
        self.orders.pop(order.ticket, None)
        order.state, order.done_ms = state, now_ms
        self.ended.append(order)

    def picture(self) -> Picture:
        """Return a copy of the present."""
        orders = tuple(replace(each) for each in self.orders.values())
        positions = tuple(replace(each) for each in self.positions.values())
        return Picture(orders, positions, self.balance)
