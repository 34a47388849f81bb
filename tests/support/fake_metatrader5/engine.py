"""What an execution does to the books: hedging opens and reduces, netting merges and reverses."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from tests.support.fake_metatrader5.books import Book, DealRow, OrderRow, PositionRow
from tests.support.fake_metatrader5.broker_clock import BrokerClock
from tests.support.fake_metatrader5.codes import DealKind, Entry, Kind, Reason, State
from tests.support.fake_metatrader5.ledger import Ledger
from tests.support.fake_metatrader5.market import Market
from tests.support.fake_metatrader5.money import Money
from tests.support.fake_metatrader5.rows import deal_row, order_row
from tests.support.fake_metatrader5.terms import Terms

__all__ = ["Engine"]

ZERO: Final = Decimal(0)


class Engine:
    """Carries out what was decided; it checks nothing."""

    def __init__(self, terms: Terms, clock: BrokerClock, ledger: Ledger) -> None:
        self.terms = terms
        self.clock = clock
        self.ledger = ledger
        self.book = Book()
        self.market = Market(terms, clock)
        self.money = Money(terms, self.market, self.book)
        self.pay_in(terms.balance)

    def pay_in(self, amount: Decimal) -> None:
        """Book money from outside: every real account's history begins with such a deal."""
        self.book.balance += amount
        self._write_deal(DealRow(
            ticket=self.book.next_deal(), order=0, symbol="", kind=DealKind.BALANCE,
            entry=Entry.IN, volume=ZERO, price=ZERO, position_id=0, reason=Reason.CLIENT,
            profit=amount, comment="Deposit", time_ms=self.clock.now_ms(),
        ))  # fmt: skip

    def add(self, order: OrderRow) -> OrderRow:
        """Take an order into the books as active."""
        order.setup_ms = order.setup_ms or self.clock.now_ms()
        self.book.orders[order.ticket] = order
        return order

    def end(self, order: OrderRow, state: int) -> None:
        """Move an order into the history, and into the ledger."""
        self.book.end(order, state, self.clock.now_ms())
        self.ledger.write("order", row=order_row(order, self.market))

    def fill(self, order: OrderRow, volume: Decimal, price: Decimal) -> DealRow:
        """Execute so much of an order at a price: one deal; a whole fill ends the order."""
        side = order.kind.side
        if self.terms.hedging:
            held = self.book.position_of(order.position_id)
        else:
            held = next(iter(self.book.on(order.symbol)), None)
        if held is None:
            deal = self._opened(order, side, volume, price)
        elif held.kind is side:
            deal = self._added(order, held, volume, price)
        elif volume <= held.volume:
            deal = self._reduced(order, held, volume, price)
        else:
            deal = self._reversed(order, held, volume, price)
        order.position_id = deal.position_id
        order.left -= volume
        self._write_deal(deal)
        if not order.left:
            self.end(order, State.FILLED)
        elif order.ticket in self.book.orders:
            order.state = State.PARTIAL
        return deal

    def _opened(self, order: OrderRow, side: Kind, volume: Decimal, price: Decimal) -> DealRow:
        now_ms = self.clock.now_ms()
        position = PositionRow(
            ticket=order.ticket, identifier=order.ticket, symbol=order.symbol, kind=side,
            volume=volume, price=price, sl=order.sl, tp=order.tp, magic=order.magic,
            comment=order.comment, reason=order.reason, time_ms=now_ms, update_ms=now_ms,
        )  # fmt: skip
        self.book.positions[position.ticket] = position
        return self._deal(order, position, Entry.IN, (volume, price))

    def _added(
        self, order: OrderRow, held: PositionRow, volume: Decimal, price: Decimal
    ) -> DealRow:
        whole = held.volume + volume
        held.price = round((held.price * held.volume + price * volume) / whole, 8).normalize()
        held.volume = whole
        if not self.terms.hedging:
            self._takes_over(held, order)
        held.update_ms = self.clock.now_ms()
        return self._deal(order, held, Entry.IN, (volume, price))

    def _takes_over(self, held: PositionRow, order: OrderRow) -> None:
        # The stops of a merged position are those of the last request, none included.
        held.sl, held.tp = order.sl, order.tp
        if self.terms.netting_magic == "last":
            held.magic, held.comment = order.magic, order.comment

    def _reduced(
        self, order: OrderRow, held: PositionRow, volume: Decimal, price: Decimal
    ) -> DealRow:
        deal = self._deal(order, held, Entry.OUT, (volume, price))
        self._realise(deal, held, volume)
        held.volume -= volume
        held.update_ms = self.clock.now_ms()
        if not held.volume:
            del self.book.positions[held.ticket]
        return deal

    def _reversed(
        self, order: OrderRow, held: PositionRow, volume: Decimal, price: Decimal
    ) -> DealRow:
        deal = self._deal(order, held, Entry.INOUT, (volume, price))
        self._realise(deal, held, held.volume)
        del self.book.positions[held.ticket]
        now_ms = self.clock.now_ms()
        # The identifier stays, the ticket becomes that of the order that turned the position.
        turned = replace(
            held, ticket=order.ticket, kind=held.kind.other, volume=volume - held.volume,
            price=price, sl=order.sl, tp=order.tp, magic=order.magic, comment=order.comment,
            swap=ZERO, time_ms=now_ms, update_ms=now_ms,
        )  # fmt: skip
        self.book.positions[turned.ticket] = turned
        return deal

    def _realise(self, deal: DealRow, held: PositionRow, volume: Decimal) -> None:
        spec = self.market.spec(held.symbol)
        assert spec is not None
        deal.profit = self.money.profit(spec, held.kind, volume, (held.price, deal.price))
        deal.swap = round(held.swap * volume / held.volume, 2)
        held.swap -= deal.swap
        self.book.balance += deal.profit + deal.swap

    def _deal(
        self, order: OrderRow, held: PositionRow, entry: Entry, size: tuple[Decimal, Decimal]
    ) -> DealRow:
        volume, price = size
        spec = self.market.spec(order.symbol)
        paid = spec.commission * volume if spec is not None else ZERO
        commission = -round(paid, 2) if paid else ZERO
        self.book.balance += commission
        return DealRow(
            ticket=self.book.next_deal(), order=order.ticket, symbol=order.symbol,
            kind=DealKind(order.kind.side), entry=entry, volume=volume, price=price,
            position_id=held.identifier, magic=order.magic, comment=order.comment,
            reason=order.reason, commission=commission, time_ms=self.clock.now_ms(),
        )  # fmt: skip

    def close_by(self, order: OrderRow, first: PositionRow, second: PositionRow) -> list[DealRow]:
        """Close two opposite positions by each other: two deals OUT_BY, what is over stays open."""
        volume = min(first.volume, second.volume)
        deals = []
        for held, price in ((first, second.price), (second, first.price)):
            each = replace(order, kind=held.kind.other, volume=volume, left=volume)
            deal = self._deal(each, held, Entry.OUT_BY, (volume, price))
            if held is first:  # the whole result is booked once
                self._realise(deal, held, volume)
            held.volume -= volume
            held.update_ms = self.clock.now_ms()
            if not held.volume:
                del self.book.positions[held.ticket]
            self._write_deal(deal)
            deals.append(deal)
        order.left = ZERO
        order.position_id, order.position_by_id = first.identifier, second.identifier
        self.end(order, State.FILLED)
        return deals

    def _write_deal(self, deal: DealRow) -> None:
        self.book.add_deal(deal)
        self.ledger.write("deal", row=deal_row(deal))
