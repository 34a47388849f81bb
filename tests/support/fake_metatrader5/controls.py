"""What a test does to the broker: prices, a person's hand, planned answers, the link."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, Final

from tests.support.fake_metatrader5.asks import Ask, Plan
from tests.support.fake_metatrader5.broker_clock import BrokerClock
from tests.support.fake_metatrader5.codes import Action, Kind, Reason, Ret
from tests.support.fake_metatrader5.dealing import Dealer
from tests.support.fake_metatrader5.engine import Engine
from tests.support.fake_metatrader5.ledger import Ledger
from tests.support.fake_metatrader5.lifecycle import Life
from tests.support.fake_metatrader5.rules import Rules
from tests.support.fake_metatrader5.sight import Sight
from tests.support.fake_metatrader5.terms import Terms

__all__ = ["Controls"]

Number = Decimal | str | float | int
ZERO: Final = Decimal(0)


class Controls:
    """Base of `Broker`; plans are for one request each, in the order they were made."""

    terms: Terms
    clock: BrokerClock
    lock: threading.RLock
    connected: bool
    _ledger: Ledger
    _engine: Engine
    _rules: Rules
    _life: Life
    _dealer: Dealer
    _sight: Sight

    def _changing(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    # --- the market ------------------------------------------------------------------------------

    def price(self, symbol: str, bid: Number, ask: Number) -> None:
        """Let the price move: stops, targets, pending orders and the stop-out follow."""
        with self._changing():
            self._engine.market.quote(symbol, _number(bid), _number(ask))
            self._life.priced(symbol)

    def close_market(self, symbol: str) -> None:
        """Close a symbol's session, whatever the hour."""
        with self.lock:
            self._engine.market.closed.add(symbol)

    def open_market(self, symbol: str) -> None:
        """Let the symbol's own hours count again."""
        with self.lock:
            self._engine.market.closed.discard(symbol)

    # --- planned answers -------------------------------------------------------------------------

    def fail_next(self, retcode: int, *, executed: bool = False, times: int = 1) -> None:
        """Answer the next accepted request with this code; `executed`: it is carried out anyway."""
        with self.lock:
            plan = Plan(retcode=retcode, executed=executed)
            self._dealer.plans.extend([plan] * times)

    def fill_next(self, *parts: Number, gap_ms: int = 0, retcode: int = 0) -> None:
        """Fill the next market order in these volumes, one deal each, `gap_ms` apart.

        Less than the whole: the rest goes back (IOC), stays active (RETURN), or nothing is done
        at all (FOK). With a gap the answer comes after the first part.
        """
        with self.lock:
            volumes = tuple(_number(each) for each in parts)
            plan = Plan(parts=volumes, gap_ms=gap_ms, retcode=retcode, executed=True)
            self._dealer.plans.append(plan)

    def place_next(
        self, then: str = "fill", after_ms: int | None = 0, retcode: int = Ret.PLACED
    ) -> None:
        """Answer `retcode` to the next request, and only `then` fill, reject or cancel it.

        `after_ms` None: when `finish` says so.
        """
        with self.lock:
            plan = Plan(then=then, after_ms=after_ms, retcode=retcode, executed=True)
            self._dealer.plans.append(plan)

    def jump_next(self, bid: Number, ask: Number) -> None:
        """Let the price jump between the check of the next request and its execution."""
        with self.lock:
            self._dealer.plans.append(Plan(prices=(_number(bid), _number(ask))))

    def finish(self, ticket: int, how: str = "fill") -> None:
        """End an active order: fill, reject, cancel or expire."""
        with self._changing():
            self._dealer.finish(ticket, how)

    # --- a person's hand -------------------------------------------------------------------------

    def manual_buy(self, symbol: str, volume: Number, **more: Any) -> int:
        """Buy by hand; `more`: sl, tp, magic, comment, reason. Returns the order's ticket."""
        return self._market_by_hand(symbol, volume, Kind.BUY, **more)

    def manual_sell(self, symbol: str, volume: Number, **more: Any) -> int:
        """Sell by hand; as `manual_buy`."""
        return self._market_by_hand(symbol, volume, Kind.SELL, **more)

    def _market_by_hand(self, symbol: str, volume: Number, kind: Kind, **more: Any) -> int:
        return self._by_hand(
            more, action=Action.DEAL, symbol=symbol, volume=_number(volume), type=kind
        )

    def manual_pending(
        self, symbol: str, kind: int, volume: Number, price: Number, **more: Any
    ) -> int:
        """Place a pending order by hand; `more` also: stoplimit, type_time, expiration."""
        return self._by_hand(
            {"type_filling": 2, **more}, action=Action.PENDING, symbol=symbol,
            volume=_number(volume), type=kind, price=_number(price),
        )  # fmt: skip

    def manual_close(self, ticket: int, volume: Number = 0, **more: Any) -> int:
        """Close a position, or part of it, by hand. Returns the closing order's ticket."""
        held = self._engine.book.positions[ticket]
        return self._by_hand(
            more, action=Action.DEAL, symbol=held.symbol, position=ticket,
            volume=_number(volume) or held.volume, type=held.kind.other,
        )  # fmt: skip

    def manual_modify(self, ticket: int, *, price: Number = 0, **more: Any) -> None:
        """Change sl and tp of a position, or also the price of a pending order, by hand."""
        book = self._engine.book
        with self.lock:
            row = book.positions.get(ticket) or book.orders[ticket]
            fields: dict[str, Any] = {"sl": row.sl, "tp": row.tp, **more}
            order = book.orders.get(ticket)
            if order is None:
                self._by_hand(fields, action=Action.SLTP, symbol=row.symbol, position=ticket)
                return
            kept = {"type_time": order.time_kind, "expiration": order.expiration_s}
            self._by_hand(
                kept | fields, action=Action.MODIFY, order=ticket, stoplimit=order.stoplimit,
                price=_number(price) or order.price,
            )  # fmt: skip

    def manual_remove(self, ticket: int) -> None:
        """Delete a pending order by hand."""
        self._by_hand({}, action=Action.REMOVE, order=ticket)

    def _by_hand(self, more: dict[str, Any], **fields: Any) -> int:
        reason = int(more.pop("reason", Reason.CLIENT))
        for name in ("sl", "tp", "stoplimit"):
            if name in more:
                more[name] = _number(more[name])
        with self._changing():
            ask = Ask(**fields | more)
            self._ledger.write("hand", action=int(ask.action), symbol=ask.symbol)
            return int(self._dealer.by_hand(ask, reason).get("order", 0))

    # --- the books -------------------------------------------------------------------------------

    def lines(self) -> list[dict[str, Any]]:
        """Return the ledger so far (ledger.py says what a line is)."""
        with self._changing():
            return self._ledger.lines()

    def begun(self) -> int:
        """Return how many trade requests the broker has got."""
        return sum(line["at"] == "begin" for line in self.lines())

    def rename_symbol(self, old: str, new: str) -> None:
        """Give a symbol another name, as brokers do; what is open in it goes along."""
        with self._changing():
            spec = self._engine.market.spec(old)
            assert spec is not None
            self._engine.market.rename(old, new)
            spec.name = new
            for held in self._engine.book.on(old):
                held.symbol = new
            for order in self._engine.book.orders.values():
                order.symbol = new if order.symbol == old else order.symbol

    def renumber(self, ticket: int) -> int:
        """Give a position a new ticket, as a service operation does; its identifier stays."""
        with self._changing():
            book = self._engine.book
            held = book.positions.pop(ticket)
            held.ticket = book.next_order()
            book.positions[held.ticket] = held
            return held.ticket

    def charge_swap(self, ticket: int, amount: Number) -> None:
        """Add swap to a position, as the rollover at midnight does."""
        with self._changing():
            self._engine.book.positions[ticket].swap += _number(amount)

    def pay_in(self, amount: Number) -> None:
        """Book a deposit (negative: a withdrawal)."""
        with self._changing():
            self._engine.pay_in(_number(amount))

    def lock_ticket(self, ticket: int, *, on: bool = True) -> None:
        """Let the server be busy with an order or position: 10028 until it is unlocked."""
        with self.lock:
            (self._rules.locked.add if on else self._rules.locked.discard)(ticket)

    # --- the link and the clock ------------------------------------------------------------------

    def link(self, up: bool, history_after_ms: int = 0) -> None:
        """Cut or restore the terminal's link to the broker.

        Down: trade requests are answered 10031 and the terminal shows what it last knew. Up
        again: what happened meanwhile enters the history bit by bit over so many ms.
        """
        with self._changing():
            self.connected = up
            market = self._engine.market
            if up:
                self._sight.join(history_after_ms)
                market.frozen = None
            elif market.frozen is None:
                self._sight.cut()
                market.frozen = dict(market.quotes)

    def reload_history(self, over_ms: int) -> None:
        """Let the terminal's history start empty and arrive over so many ms, as after a login."""
        with self.lock:
            self._sight.reload(over_ms)

    def set_zone(self, minutes: int) -> None:
        """Move the broker's clock against UTC from now on (daylight saving)."""
        with self.lock:
            self.terms.zone_changes = ((self.clock.utc_ms(), minutes),)


def _number(value: Number) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
