"""A MetaTrader 5 broker in plain Python: the half of the stand-in that keeps the money.

    broker = Broker(Terms(symbols=(SymbolTerms(selected=True),)), clock)
    broker.price("EURUSD", "1.10000", "1.10010")
    answer = broker.send({"action": 1, "symbol": "EURUSD", "type": 0, "volume": 0.1, ...})

One lock; call it from any thread. It outlives every terminal, worker and server that a test kills.
Time passes for it when somebody looks: delays are over as soon as the clock says so.

Not covered: the discount on hedged margin, margin of pending orders, swaps at the rollover (see
`charge_swap`), credit and bonus, day orders by the symbol's own mode, prices by the last trade,
market depth, hours of quotes apart from hours of trade, options and bonds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge_core.host.clock import Clock, SystemClock
from tests.support.fake_metatrader5.asks import Accepted, Answer, Refused, exact
from tests.support.fake_metatrader5.broker_clock import BrokerClock
from tests.support.fake_metatrader5.codes import TEXTS, Kind
from tests.support.fake_metatrader5.controls import Controls
from tests.support.fake_metatrader5.dealing import Dealer
from tests.support.fake_metatrader5.engine import Engine
from tests.support.fake_metatrader5.ledger import Ledger
from tests.support.fake_metatrader5.lifecycle import Life
from tests.support.fake_metatrader5.rows import (
    Record,
    account_row,
    deal_row,
    order_row,
    position_row,
    symbol_row,
)
from tests.support.fake_metatrader5.rules import Rules
from tests.support.fake_metatrader5.sight import Sight
from tests.support.fake_metatrader5.terms import ALWAYS, WEEKDAYS, Session, SymbolTerms, Terms, pair

__all__ = [
    "ALWAYS", "WEEKDAYS", "Accepted", "Broker", "Refused", "Session", "SymbolTerms", "Terms",
    "pair",
]  # fmt: skip


class Broker(Controls):
    """What a terminal asks of it; what a test does to it is in controls.py.

    Every record is a dict with exactly the fields of the package's record, times by the broker's
    clock. `ledger` names a file that holds the ledger as well.
    """

    def __init__(
        self, terms: Terms | None = None, clock: Clock | None = None, ledger: Path | None = None
    ) -> None:
        self.terms = terms if terms is not None else Terms()
        self.clock = BrokerClock(self.terms, clock if clock is not None else SystemClock())
        self.lock = threading.RLock()
        self.connected = True
        self._ledger = Ledger(self.clock, ledger)
        self._ledger.write(
            "start", login=self.terms.login, server=self.terms.server,
            margin_mode=self.terms.margin_mode, source="fake MetaTrader 5 broker",
        )  # fmt: skip
        self._engine = Engine(self.terms, self.clock, self._ledger)
        self._rules = Rules(self._engine)
        self._life = Life(self._engine, self._rules)
        self._dealer = Dealer(self._engine, self._rules, self._life)
        self._sight = Sight(self.terms, self.clock, self._engine.book)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self.lock, self._sight.changing():
            self._dealer.advance()
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._changing(), self._engine.market.as_seen():
            yield

    # --- reading ---------------------------------------------------------------------------------

    def account(self) -> Record:
        """Return the fields of an AccountInfo."""
        with self._reading():
            funds = self._engine.money.funds(self._sight.picture())
            return account_row(self.terms, funds)

    def symbols(self) -> tuple[Record, ...]:
        """Return every symbol the broker has, as SymbolInfo."""
        with self._reading():
            return tuple(self._symbol(each) for each in self.terms.symbols)

    def symbol(self, name: str) -> Record | None:
        """Return one symbol, None if there is none of this name."""
        with self._reading():
            spec = self._engine.market.spec(name)
            return None if spec is None else self._symbol(spec)

    def _symbol(self, spec: SymbolTerms) -> Record:
        return symbol_row(spec, self._engine.market, self._engine.money)

    def select(self, name: str, on: bool = True) -> bool:
        """Put a symbol into Market Watch, or take it out if nothing is open in it."""
        with self._reading():
            market = self._engine.market
            if market.spec(name) is None:
                return False
            book = self._engine.book
            if on:
                market.watch(name)
            elif book.on(name) or any(each.symbol == name for each in book.orders.values()):
                return False
            else:
                market.forget(name)
            return True

    def tick(self, name: str) -> Record | None:
        """Return the fields of a Tick; None for a symbol that is unknown or not in Market Watch."""
        with self._reading():
            market = self._engine.market
            return dict(market.row(name)) if market.watched(name) else None

    def positions(self) -> tuple[Record, ...]:
        """Return the open positions as TradePosition."""
        with self._reading():
            rows = self._sight.picture().positions
            return tuple(
                position_row(each, self._engine.market, self._engine.money) for each in rows
            )

    def orders(self) -> tuple[Record, ...]:
        """Return the active orders as TradeOrder."""
        with self._reading():
            rows = self._sight.picture().orders
            return tuple(order_row(each, self._engine.market) for each in rows)

    def history_orders(self, from_s: int, to_s: int) -> tuple[Record, ...]:
        """Return the orders that ended in a range of broker time, both ends included."""
        with self._reading():
            return tuple(
                order_row(each, self._engine.market) for each in self._sight.ended()
                if from_s <= each.done_ms // 1000 <= to_s
            )  # fmt: skip

    def history_deals(self, from_s: int, to_s: int) -> tuple[Record, ...]:
        """Return the deals of a range of broker time, both ends included."""
        with self._reading():
            return tuple(
                deal_row(each) for each in self._sight.deals()
                if from_s <= each.time_ms // 1000 <= to_s
            )  # fmt: skip

    def history_order(self, ticket: int) -> Record | None:
        """Return one ended order."""
        with self._reading():
            rows = (order_row(o, self._engine.market) for o in self._sight.ended()
                    if o.ticket == ticket)  # fmt: skip
            return next(rows, None)

    def history_deal(self, ticket: int) -> Record | None:
        """Return one deal by its own ticket, not by its order's."""
        with self._reading():
            rows = (deal_row(each) for each in self._sight.deals() if each.ticket == ticket)
            return next(rows, None)

    def history_orders_of(self, position_id: int) -> tuple[Record, ...]:
        """Return the ended orders of a position identifier."""
        with self._reading():
            return tuple(
                order_row(each, self._engine.market) for each in self._sight.ended()
                if each.position_id == position_id
            )  # fmt: skip

    def history_deals_of(self, position_id: int) -> tuple[Record, ...]:
        """Return the deals of a position identifier."""
        with self._reading():
            return tuple(
                deal_row(each) for each in self._sight.deals() if each.position_id == position_id
            )

    # --- trading ---------------------------------------------------------------------------------

    def accept(self, request: Mapping[str, Any]) -> Accepted | Refused:
        """Take a trade request: nothing is executed yet, but it is in the ledger."""
        with self._changing():
            return self._dealer.accept(request, linked=self.connected)

    def execute(self, accepted: Accepted | Refused) -> Answer:
        """Execute what was accepted and return the fields of an OrderSendResult."""
        if isinstance(accepted, Refused):
            return accepted.answer
        _wait(self.terms.execute_ms)
        with self._changing():
            answer = self._dealer.execute(accepted)
        _wait(self.terms.answer_ms)
        return answer

    def send(self, request: Mapping[str, Any]) -> Answer:
        """Accept and execute in one go."""
        return self.execute(self.accept(request))

    def turn_away(
        self, request: Mapping[str, Any], retcode: int, *, checked: bool = False
    ) -> Answer:
        """Let the terminal itself refuse a request, or its check; the ledger has it too."""
        with self._changing():
            return self._dealer.turn_away(request, retcode, checked=checked)

    def check(self, request: Mapping[str, Any]) -> Record:
        """Return the fields of an OrderCheckResult: form and funds, not the moment."""
        with self._changing():
            ask, code = self._dealer.check(request, linked=self.connected)
            funds = self._engine.money.funds()
            spec = self._engine.market.spec(ask.symbol)
            opens = ask.action in (1, 5) and not ask.position and spec is not None
            cost = self._rules.cost(ask, spec) if opens and spec and ask.type <= 7 else 0
            margin = funds.margin + cost
            level = round(funds.equity / margin * 100, 2) if margin else 0
            return {
                "retcode": code, "balance": float(funds.balance),
                "equity": float(funds.equity), "profit": float(funds.profit),
                "margin": float(margin), "margin_free": float(funds.equity - margin),
                "margin_level": float(level), "comment": TEXTS[code],
            }  # fmt: skip

    def calc_margin(self, action: int, symbol: str, volume: float, price: float) -> float | None:
        """Return the margin of an order type, None for what it does not know."""
        with self._changing():
            spec = self._engine.market.spec(symbol)
            if spec is None or not 0 <= action <= Kind.SELL_STOP_LIMIT:
                return None
            return float(self._engine.money.margin(spec, exact(volume), exact(price)))

    def calc_profit(
        self, action: int, symbol: str, volume: float, opened: float, closed: float
    ) -> float | None:
        """Return the profit of a BUY or SELL, None for anything else."""
        with self._changing():
            spec = self._engine.market.spec(symbol)
            if spec is None or action not in (Kind.BUY, Kind.SELL):
                return None
            prices = exact(opened), exact(closed)
            return float(self._engine.money.profit(spec, Kind(action), exact(volume), prices))


def _wait(ms: int) -> None:
    if ms:
        time.sleep(ms / 1000)
