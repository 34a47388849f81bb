"""What happens without a request: stops, targets, pending orders, expiry, stop-out."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tests.support.fake_metatrader5.books import OrderRow, PositionRow
from tests.support.fake_metatrader5.codes import Kind, Reason, State, TimeKind
from tests.support.fake_metatrader5.engine import Engine
from tests.support.fake_metatrader5.rules import Rules
from tests.support.fake_metatrader5.terms import SymbolTerms

__all__ = ["Life"]

ZERO: Final = Decimal(0)
_DAY_S: Final = 86_400
_WORDS: Final = {Reason.SL: "sl", Reason.TP: "tp", Reason.SO: "so"}
# Reached by a price that falls to them; the others by one that rises.
_BELOW: Final = (Kind.BUY_LIMIT, Kind.SELL_STOP, Kind.SELL_STOP_LIMIT)
_LIMIT_OF: Final = {
    Kind.BUY_STOP_LIMIT: Kind.BUY_LIMIT, Kind.SELL_STOP_LIMIT: Kind.SELL_LIMIT,
}  # fmt: skip


class Life:
    """Carries on what was placed before; called after each price and by the passing of time."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self._engine = engine
        self._rules = rules
        self._book = engine.book
        self._market = engine.market

    def priced(self, symbol: str) -> None:
        """React to a new price of a symbol."""
        spec = self._market.spec(symbol)
        if spec is None:
            return
        self.expire()
        for held in self._book.on(symbol):
            self._stop(held, spec)
        for order in [each for each in self._book.pendings() if each.symbol == symbol]:
            self._trigger(order)
        self._stop_out()

    def expire(self) -> None:
        """End what has expired by the broker's clock."""
        now_s = self._engine.clock.now_s()
        for order in self._book.pendings():
            due = _due_s(order)
            if due and now_s >= due:
                self._engine.end(order, State.EXPIRED)

    def close(
        self, held: PositionRow, reason: Reason, comment: str = "", volume: Decimal = ZERO
    ) -> OrderRow:
        """Close a position at the market; for a stop the comment says which, as brokers write."""
        tagged = self._engine.terms.close_tagged and reason in _WORDS
        order = OrderRow(
            ticket=self._book.next_order(), symbol=held.symbol, kind=held.kind.other,
            volume=volume or held.volume, left=volume or held.volume, closes=held.ticket,
            position_id=held.identifier, reason=reason, comment=comment,
            magic=held.magic if tagged else 0, price=ZERO,
        )  # fmt: skip
        self._engine.add(order)
        order.price = self._market.price(held.symbol, held.kind.other)
        self._engine.fill(order, order.volume, order.price)
        return order

    def _stop(self, held: PositionRow, spec: SymbolTerms) -> None:
        price = self._market.price(held.symbol, held.kind.other)
        sign = 1 if held.kind is Kind.BUY else -1
        if held.sl and (price - held.sl) * sign <= 0:
            self.close(held, Reason.SL, f"[sl {held.sl:.{spec.digits}f}]")
        elif held.tp and (price - held.tp) * sign >= 0:
            self.close(held, Reason.TP, f"[tp {held.tp:.{spec.digits}f}]")

    def _trigger(self, order: OrderRow) -> None:
        price = self._market.price(order.symbol, order.kind)
        below = order.kind in _BELOW
        if not (price <= order.price if below else price >= order.price):
            return
        if order.kind in _LIMIT_OF:
            order.kind, order.price = _LIMIT_OF[order.kind], order.stoplimit
            order.stoplimit = ZERO
            self._trigger(order)
            return
        self.activate(order, price)

    def activate(self, order: OrderRow, price: Decimal) -> None:
        """Fill a pending order at a price, or cancel it if there is no money for it."""
        spec = self._market.spec(order.symbol)
        assert spec is not None
        free = self._engine.money.funds().free
        if self._engine.money.margin(spec, order.left, price) > free:
            self._engine.end(order, State.CANCELED)
        else:
            self._engine.fill(order, order.left, price)

    def _stop_out(self) -> None:
        money, terms = self._engine.money, self._engine.terms
        while self._book.positions:
            funds = money.funds()
            if not funds.margin or funds.level >= terms.so_so:
                return
            worst = min(self._book.positions.values(), key=money.floating)
            comment = f"[so {funds.level:.2f}%/{funds.equity:.2f}/{funds.margin:.2f}]"
            self.close(worst, Reason.SO, comment)


def _due_s(order: OrderRow) -> int:
    if order.time_kind == TimeKind.SPECIFIED:
        return order.expiration_s
    if order.time_kind == TimeKind.SPECIFIED_DAY:
        return order.expiration_s // _DAY_S * _DAY_S + _DAY_S
    if order.time_kind == TimeKind.DAY:
        return order.setup_ms // 1000 // _DAY_S * _DAY_S + _DAY_S
    return 0
