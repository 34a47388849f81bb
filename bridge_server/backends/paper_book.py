"""The paper broker's books: what is open, what rests, what it has cost. Pure.

A `Book` is the whole state. A `Turn` is one act upon a private copy of it (one order, or one row
of prices); its owner makes the copy durable and then adopts it, or drops it and nothing happened.

Hedging only: each fill is a position of its own. Swap and commission are 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct, structs

from bridge_core.protocol.events import EventBody
from bridge_server.backends.paper_money import Holding, Money, Price, decimal_text
from bridge_server.core.ports import (
    Account,
    Deal,
    EndedOrder,
    Pending,
    Position,
    Reason,
    SymbolSpec,
)

__all__ = ["PAPER_MARK", "Book", "Entry", "Exit", "Turn", "side_of"]

ZERO: Final = Decimal(0)
PAPER_MARK: Final = " paper"
_PERCENT: Final = Decimal(100)


class Book(Struct, kw_only=True):
    """Everything the broker knows; the maps are replaced entry by entry, never edited inside."""

    balance: Decimal
    next_ticket: int = 1
    next_deal: int = 1
    market_ms: int = 0
    positions: dict[int, Position] = {}
    orders: dict[int, Pending] = {}
    quotes: dict[str, Price] = {}

    def copy(self) -> Book:
        """Return a copy that can be acted upon."""
        return Book(
            balance=self.balance,
            next_ticket=self.next_ticket,
            next_deal=self.next_deal,
            market_ms=self.market_ms,
            positions=dict(self.positions),
            orders=dict(self.orders),
            quotes=dict(self.quotes),
        )


class Entry(NamedTuple):
    """What a fill opens: side BUY or SELL; volume in lots; sl and tp 0 mean none."""

    symbol: str
    side: str
    volume: Decimal
    sl: Decimal
    tp: Decimal
    magic: int
    comment: str


class Exit(NamedTuple):
    """Why a position closes, and whose magic and comment its deal carries."""

    reason: Reason
    magic: int
    comment: str


def side_of(order_type: str) -> str:
    """Return BUY or SELL of any order type."""
    return order_type.partition("_")[0]


class Turn:
    """One act on a copy of the book, and what it leaves behind for the store and for events."""

    def __init__(self, money: Money, book: Book) -> None:
        self.money = money
        self.book = book.copy()
        self.deals: list[Deal] = []
        self.ended: list[EndedOrder] = []
        self.events: list[EventBody] = []
        self.touched_positions: set[int] = set()
        self.touched_orders: set[int] = set()

    # --- reading ---------------------------------------------------------------------------

    def spec(self, symbol: str) -> SymbolSpec:
        """Return a symbol's terms."""
        return self.money.specs[symbol]

    def closing_price(self, position: Position) -> Decimal:
        """Return what closing now would get: bid for a BUY, ask for a SELL."""
        price = self.book.quotes[position.symbol]
        return price.bid if position.type == "BUY" else price.ask

    def floating(self, position: Position) -> Decimal:
        """Return the position's profit if it closed now, in account currency."""
        return self.valued(position).profit

    def valued(self, position: Position) -> Position:
        """Return the position with its current price and floating profit."""
        return self.money.worth(position, self.book.quotes).shown

    def account(self) -> Account:
        """Return balance, equity and margin now; margin_level in percent, two decimals."""
        worth, quotes = self.money.worth, self.book.quotes
        worths = [worth(each, quotes) for each in self.book.positions.values()]
        profit = sum((each.shown.profit for each in worths), ZERO)
        margin = sum((each.margin for each in worths), ZERO)
        equity = self.book.balance + profit
        level = None
        if margin > 0:
            level = (equity / margin * _PERCENT).quantize(Decimal("0.01"))
        return Account(
            balance=self.book.balance,
            equity=equity,
            margin=margin,
            free_margin=equity - margin,
            profit=profit,
            margin_level=level,
        )

    # --- acting ----------------------------------------------------------------------------

    def new_ticket(self) -> int:
        """Return the next order ticket; a position has the ticket of the order that opened it."""
        ticket = self.book.next_ticket
        self.book.next_ticket += 1
        return ticket

    def enter(self, entry: Entry, price: Decimal, ticket: int) -> Deal:
        """Open a position at a price and return its deal."""
        book = self.book
        book.positions[ticket] = position = Position(
            ticket=ticket,
            symbol=entry.symbol,
            type=entry.side,
            volume=entry.volume,
            open_price=price,
            current_price=price,
            sl=entry.sl,
            tp=entry.tp,
            magic=entry.magic,
            comment=entry.comment,
            opened_ms=book.market_ms,
        )
        self.touched_positions.add(ticket)
        deal = self._deal(position, "IN", (entry.volume, price, ZERO, ticket))
        deal = structs.replace(
            deal, type=entry.side, magic=entry.magic, comment=entry.comment + PAPER_MARK
        )
        self.deals.append(deal)
        self.events.append(
            structs.replace(
                self._position_event("position_opened", position),
                deal=deal.deal,
                order=ticket,
                volume=decimal_text(entry.volume),
            )
        )
        return deal

    def leave(self, ticket: int, volume: Decimal, price: Decimal, why: Exit) -> Deal:
        """Close a volume (lots) of a position at a price and return the deal."""
        book = self.book
        position = book.positions[ticket]
        rest = position.volume - volume
        held = Holding(position.symbol, position.type, volume, position.open_price)
        profit = self.money.profit(held, price, book.quotes)
        deal = self._deal(position, "OUT", (volume, price, profit, self.new_ticket()))
        deal = structs.replace(
            deal,
            type="SELL" if position.type == "BUY" else "BUY",
            magic=why.magic,
            comment=why.comment + PAPER_MARK,
            reason=why.reason.value,
        )
        if rest:
            book.positions[ticket] = structs.replace(position, volume=rest)
        else:
            del book.positions[ticket]
        book.balance += profit
        self.touched_positions.add(ticket)
        self.deals.append(deal)
        self.events.append(
            structs.replace(
                self._position_event("position_closed", position),
                deal=deal.deal,
                order=deal.order,
                volume=decimal_text(volume),
                remaining_volume=decimal_text(rest),
                remaining_ticket=ticket if rest else 0,
                close_price=self.price_text(position.symbol, price),
                profit=decimal_text(profit),
                net_profit=decimal_text(profit),
                reason=why.reason.value,
            )
        )
        return deal

    def place(self, order: Pending) -> None:
        """Put a pending order on the books."""
        self.book.orders[order.ticket] = order
        self.touched_orders.add(order.ticket)
        self.events.append(self._order_event("order_placed", order))

    def change_order(self, order: Pending) -> None:
        """Replace a pending order's price, stops or expiration."""
        self.book.orders[order.ticket] = order
        self.touched_orders.add(order.ticket)
        self.events.append(
            structs.replace(self._order_event("order_placed", order), message="modified")
        )

    def change_stops(self, ticket: int, sl: Decimal, tp: Decimal) -> Position:
        """Set a position's stops and return it."""
        position = structs.replace(self.book.positions[ticket], sl=sl, tp=tp)
        self.book.positions[ticket] = position
        self.touched_positions.add(ticket)
        self.events.append(self._position_event("position_modified", position))
        return position

    def end_order(self, ticket: int, life: str, code: str = "") -> None:
        """Take a pending order off the books: FILLED, CANCELLED or BROKER_EXPIRED."""
        order = self.book.orders.pop(ticket)
        self.touched_orders.add(ticket)
        self.ended.append(
            EndedOrder(
                ticket=ticket,
                symbol=order.symbol,
                life=life,
                magic=order.magic,
                comment=order.comment,
                time_ms=self.book.market_ms,
                last=order,
            )
        )
        if life != "FILLED":  # a fill is told by position_opened, which names the order
            name = "order_expired" if life == "BROKER_EXPIRED" else "order_cancelled"
            self.events.append(structs.replace(self._order_event(name, order), code=code))

    def tell_account(self) -> None:
        """Add an account_update if anything was dealt."""
        if not self.deals:
            return
        account = self.account()
        self.events.append(
            EventBody(
                type="account_update",
                time=self.book.market_ms,
                balance=decimal_text(account.balance),
                equity=decimal_text(account.equity),
                margin=decimal_text(account.margin),
                free_margin=decimal_text(account.free_margin),
            )
        )

    # --- texts -----------------------------------------------------------------------------

    def price_text(self, symbol: str, price: Decimal) -> str:
        """Return a price with all the symbol's digits; none is "0"."""
        return decimal_text(price.quantize(self.spec(symbol).point)) if price else "0"

    def _deal(
        self, position: Position, entry: str, fill: tuple[Decimal, Decimal, Decimal, int]
    ) -> Deal:
        volume, price, profit, order = fill
        number = self.book.next_deal
        self.book.next_deal += 1
        return Deal(
            deal=number,
            ticket=position.ticket,
            order=order,
            symbol=position.symbol,
            type=position.type,
            entry=entry,
            volume=volume,
            price=price,
            profit=profit,
            time_ms=self.book.market_ms,
        )

    def _position_event(self, name: str, position: Position) -> EventBody:
        symbol = position.symbol
        opened = self.price_text(symbol, position.open_price)
        return EventBody(
            type=name,
            symbol=symbol,
            time=self.book.market_ms,
            ticket=position.ticket,
            side=position.type,
            volume=decimal_text(position.volume),
            price=opened,
            open_price=opened,
            sl=self.price_text(symbol, position.sl),
            tp=self.price_text(symbol, position.tp),
            magic=position.magic,
            comment=position.comment,
        )

    def _order_event(self, name: str, order: Pending) -> EventBody:
        return EventBody(
            type=name,
            symbol=order.symbol,
            time=self.book.market_ms,
            ticket=order.ticket,
            order=order.ticket,
            side=order.type,
            volume=decimal_text(order.volume),
            price=self.price_text(order.symbol, order.price),
            sl=self.price_text(order.symbol, order.sl),
            tp=self.price_text(order.symbol, order.tp),
            expiration=order.expiration_ms,
            magic=order.magic,
            comment=order.comment,
        )
