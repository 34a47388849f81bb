"""What the trade server refuses, and with which code: form first, then funds, then the moment.

`form` is all that order_check sees: the shape of the request, its grids and its cost. `moment` is
what only a real request meets: market hours, freeze distance, locks, a position that is gone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tests.support.fake_metatrader5.asks import Ask
from tests.support.fake_metatrader5.books import OrderRow, PositionRow
from tests.support.fake_metatrader5.codes import (
    EXPIRATION_FLAGS,
    FILLING_FLAGS,
    ORDER_FLAGS,
    Action,
    Execution,
    Filling,
    Kind,
    Ret,
    TimeKind,
    TradeMode,
)
from tests.support.fake_metatrader5.engine import Engine
from tests.support.fake_metatrader5.terms import SymbolTerms

__all__ = ["Rules", "on_grid"]

ZERO: Final = Decimal(0)
_MAD: Final = {"volume": Ret.INVALID_VOLUME, "sl": Ret.INVALID_STOPS, "tp": Ret.INVALID_STOPS}
_QUOTED: Final = (Execution.REQUEST, Execution.INSTANT)
_SL_FLAG, _TP_FLAG, _CLOSE_BY_FLAG = 16, 32, 64
_DAY_S: Final = 86_400
_LIMITS: Final = (
    Kind.BUY_LIMIT, Kind.SELL_LIMIT, Kind.BUY_STOP_LIMIT, Kind.SELL_STOP_LIMIT,
)  # fmt: skip


def on_grid(value: Decimal, step: Decimal) -> bool:
    """Return whether a number is a multiple of a step."""
    return value % step == 0


class Rules:
    """Each method answers with the code of the first rule broken, or None."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._book = engine.book
        self._market = engine.market
        self.locked: set[int] = set()

    def form(self, ask: Ask) -> Ret | None:
        """Return what order_check would refuse."""
        if ask.mad:
            return _MAD.get(ask.mad, Ret.INVALID_PRICE)
        terms = self._engine.terms
        if terms.only_real and terms.trade_mode != 2:
            return Ret.ONLY_REAL
        if not terms.trade_allowed:
            return Ret.TRADE_DISABLED
        if not terms.trade_expert:
            return Ret.SERVER_DISABLES_AT
        match ask.action:
            case Action.DEAL:
                return self._deal(ask)
            case Action.PENDING:
                return self._pending(ask)
            case Action.SLTP:
                return self._sltp(ask)
            case Action.MODIFY | Action.REMOVE:
                return self._order(ask)
            case Action.CLOSE_BY:
                return self._close_by(ask)
            case _:
                return Ret.INVALID

    def all(self, ask: Ask) -> Ret | None:
        """Return what a real request is refused for: no prices, form and funds, the moment."""
        symbol = self._symbol(ask)
        known = self._market.spec(symbol) is not None
        if known and self._market.tick(symbol) is None and not ask.mad:
            return Ret.PRICE_OFF
        return self.form(ask) or self.moment(ask)

    def _symbol(self, ask: Ask) -> str:
        order, position = self._book.orders.get(ask.order), self.named(ask)
        if order is not None and ask.action in (Action.MODIFY, Action.REMOVE):
            return order.symbol
        return position.symbol if position is not None else ask.symbol

    def moment(self, ask: Ask) -> Ret | None:
        """Return what is refused only because of when it comes."""
        order = self._book.orders.get(ask.order)
        position = self.named(ask)
        if {ask.order, ask.position, ask.position_by} & self.locked:
            return Ret.LOCKED
        symbol = self._symbol(ask)
        spec = self._market.spec(symbol)
        if spec is None:
            return Ret.INVALID
        if not self._market.is_open(symbol):
            return Ret.MARKET_CLOSED
        closes = ask.action == Action.DEAL and position is not None
        if closes and self._book.closing(ask.position):
            return Ret.CLOSE_ORDER_EXIST
        return self._frozen(ask, order, position, spec)

    # --- one action each -------------------------------------------------------------------------

    def _deal(self, ask: Ask) -> Ret | None:
        spec = self._market.spec(ask.symbol)
        if spec is None or ask.type not in (Kind.BUY, Kind.SELL):
            return Ret.INVALID
        if not spec.order_mode & ORDER_FLAGS[Kind(ask.type)]:
            return Ret.INVALID_ORDER
        if spec.trade_mode == TradeMode.DISABLED:
            return Ret.TRADE_DISABLED
        terms = self._engine.terms
        if ask.position and (terms.hedging or terms.netting_by_ticket):
            wrong = self._close(ask)
            if wrong is not None or terms.hedging:
                return wrong or self._fill_and_price(ask, spec)
        wrong = self._opening(ask, spec)
        wrong = wrong or self._volume(ask.volume, spec) or self._fill_and_price(ask, spec)
        wrong = wrong or self._stops(ask, spec, self._market.price(ask.symbol, _other(ask)))
        return wrong or self._room(ask, spec) or self._funds(ask, spec)

    def _close(self, ask: Ask) -> Ret | None:
        held = self._book.positions.get(ask.position)
        if held is None:
            return Ret.POSITION_CLOSED
        if held.symbol != ask.symbol or ask.type == held.kind:
            return Ret.INVALID
        if ask.volume > held.volume:
            return Ret.INVALID_CLOSE_VOLUME
        spec = self._market.spec(held.symbol)
        assert spec is not None
        if ask.volume <= 0 or not on_grid(ask.volume, spec.volume_step):
            return Ret.INVALID_VOLUME
        if self._engine.terms.fifo_close:
            first = next(each for each in self._book.on(held.symbol) if each.kind is held.kind)
            if first is not held:
                return Ret.FIFO_CLOSE
        return None

    def _opening(self, ask: Ask, spec: SymbolTerms) -> Ret | None:
        kind = Kind(ask.type).side
        held = self._book.on(ask.symbol)
        if not self._engine.terms.hedging and ask.action == Action.DEAL:
            against = next((each for each in held if each.kind is not kind), None)
            if against is not None and ask.volume <= against.volume:
                return None
        if spec.trade_mode == TradeMode.CLOSEONLY:
            return Ret.CLOSE_ONLY
        if spec.trade_mode == TradeMode.LONGONLY and kind is Kind.SELL:
            return Ret.LONG_ONLY
        if spec.trade_mode == TradeMode.SHORTONLY and kind is Kind.BUY:
            return Ret.SHORT_ONLY
        hedged = self._engine.terms.hedging and any(each.kind is not kind for each in held)
        if self._engine.terms.hedge_prohibited and hedged:
            return Ret.HEDGE_PROHIBITED
        return None

    def _pending(self, ask: Ask) -> Ret | None:
        spec = self._market.spec(ask.symbol)
        if spec is None or not Kind.BUY_LIMIT <= ask.type <= Kind.SELL_STOP_LIMIT:
            return Ret.INVALID
        kind = Kind(ask.type)
        if not spec.order_mode & ORDER_FLAGS[kind]:
            return Ret.INVALID_ORDER
        if spec.trade_mode == TradeMode.DISABLED:
            return Ret.TRADE_DISABLED
        wrong = self._opening(ask, spec) or self._volume(ask.volume, spec)
        wrong = wrong or self._pending_price(ask, kind, spec) or self._pending_fill(ask, spec)
        at = ask.stoplimit if kind >= Kind.BUY_STOP_LIMIT else ask.price
        wrong = wrong or self._stops(ask, spec, at) or self._expiration(ask, spec)
        return wrong or self._room(ask, spec)

    def _sltp(self, ask: Ask) -> Ret | None:
        if self._engine.terms.hedging and not ask.position:
            return Ret.INVALID
        held = self.named(ask)
        if held is None:
            return Ret.POSITION_CLOSED
        if ask.symbol and ask.symbol != held.symbol:
            return Ret.INVALID
        spec = self._market.spec(held.symbol)
        assert spec is not None
        if (ask.sl, ask.tp) == (held.sl, held.tp):
            return Ret.NO_CHANGES
        price = self._market.price(held.symbol, held.kind.other)
        return self._stop_levels((ask.sl, ask.tp), held.kind, spec, price)

    def _order(self, ask: Ask) -> Ret | None:
        order = self._book.orders.get(ask.order)
        if order is None or order.kind not in ORDER_FLAGS or order.kind <= Kind.SELL:
            return Ret.INVALID
        if ask.action == Action.REMOVE:
            return None
        spec = self._market.spec(order.symbol)
        assert spec is not None
        wrong = self._pending_price(ask, order.kind, spec)
        at = ask.stoplimit if order.kind >= Kind.BUY_STOP_LIMIT else ask.price
        wrong = wrong or self._stop_levels((ask.sl, ask.tp), order.kind.side, spec, at)
        wrong = wrong or self._expiration(ask, spec)
        if wrong is None and self._same(order, ask):
            return Ret.NO_CHANGES
        return wrong

    def _close_by(self, ask: Ask) -> Ret | None:
        first = self._book.positions.get(ask.position)
        second = self._book.positions.get(ask.position_by)
        if not self._engine.terms.hedging:
            return Ret.INVALID
        if first is None or second is None:
            return Ret.POSITION_CLOSED
        spec = self._market.spec(first.symbol)
        if first.symbol != second.symbol or first.kind is second.kind or spec is None:
            return Ret.INVALID
        return None if spec.order_mode & _CLOSE_BY_FLAG else Ret.INVALID_ORDER

    # --- the parts -------------------------------------------------------------------------------

    def named(self, ask: Ask) -> PositionRow | None:
        """Return the position a request is about, None if it names none that is open."""
        if ask.position:
            return self._book.positions.get(ask.position)
        if self._engine.terms.hedging or ask.action != Action.SLTP:
            return None
        return next(iter(self._book.on(ask.symbol)), None)

    @staticmethod
    def _volume(volume: Decimal, spec: SymbolTerms) -> Ret | None:
        low, high = spec.volume_min, spec.volume_max
        if not low <= volume <= high or not on_grid(volume, spec.volume_step):
            return Ret.INVALID_VOLUME
        return None

    @staticmethod
    def _fill_and_price(ask: Ask, spec: SymbolTerms) -> Ret | None:
        if spec.exemode not in _QUOTED:
            allowed = spec.filling_mode & FILLING_FLAGS.get(Filling(ask.type_filling), 0) \
                if ask.type_filling in (Filling.FOK, Filling.IOC) else 0  # fmt: skip
            exchange = spec.exemode == Execution.EXCHANGE and ask.type_filling == Filling.RETURN
            return None if allowed or exchange else Ret.INVALID_FILL
        if ask.type_filling not in (Filling.FOK, Filling.IOC, Filling.RETURN):
            return Ret.INVALID_FILL
        bad = ask.price <= 0 or not on_grid(ask.price, spec.step)
        return Ret.INVALID_PRICE if bad else None

    @staticmethod
    def _pending_fill(ask: Ask, spec: SymbolTerms) -> Ret | None:
        filling = ask.type_filling
        if filling == Filling.RETURN:
            return None
        if filling == Filling.BOC and ask.type not in _LIMITS:
            return Ret.INVALID_FILL
        if filling in (Filling.FOK, Filling.IOC) and spec.exemode in _QUOTED:
            return None
        if filling not in tuple(FILLING_FLAGS):
            return Ret.INVALID_FILL
        allowed = spec.filling_mode & FILLING_FLAGS[Filling(filling)]
        return None if allowed else Ret.INVALID_FILL

    def _pending_price(self, ask: Ask, kind: Kind, spec: SymbolTerms) -> Ret | None:
        if ask.price <= 0 or not on_grid(ask.price, spec.step):
            return Ret.INVALID_PRICE
        now = self._market.price(spec.name, kind)
        level = spec.stops_level * spec.point
        below = kind in (Kind.BUY_LIMIT, Kind.SELL_STOP, Kind.SELL_STOP_LIMIT)
        away = now - ask.price if below else ask.price - now
        if away <= 0 or away < level:
            return Ret.INVALID_PRICE
        if kind >= Kind.BUY_STOP_LIMIT:
            better = ask.price - ask.stoplimit
            better = better if kind is Kind.BUY_STOP_LIMIT else -better
            if ask.stoplimit <= 0 or better < 0 or not on_grid(ask.stoplimit, spec.step):
                return Ret.INVALID_PRICE
        return None

    def _stops(self, ask: Ask, spec: SymbolTerms, price: Decimal) -> Ret | None:
        if (ask.sl and not spec.order_mode & _SL_FLAG) or (
            ask.tp and not spec.order_mode & _TP_FLAG
        ):
            return Ret.INVALID_STOPS
        return self._stop_levels((ask.sl, ask.tp), Kind(ask.type).side, spec, price)

    @staticmethod
    def _stop_levels(
        stops: tuple[Decimal, Decimal], side: Kind, spec: SymbolTerms, price: Decimal
    ) -> Ret | None:
        sign = 1 if side is Kind.BUY else -1
        level = spec.stops_level * spec.point
        for stop, away in ((stops[0], price - stops[0]), (stops[1], stops[1] - price)):
            off = not on_grid(stop, spec.step) or stop < 0
            if stop and (off or away * sign <= 0 or away * sign < level):
                return Ret.INVALID_STOPS
        return None

    def _expiration(self, ask: Ask, spec: SymbolTerms) -> Ret | None:
        if ask.type_time not in tuple(TimeKind):
            return Ret.INVALID_EXPIRATION
        if not spec.expiration_mode & EXPIRATION_FLAGS[TimeKind(ask.type_time)]:
            return Ret.INVALID_EXPIRATION
        now_s = self._engine.clock.now_s()
        if ask.type_time == TimeKind.SPECIFIED and ask.expiration <= now_s:
            return Ret.INVALID_EXPIRATION
        if ask.type_time == TimeKind.SPECIFIED_DAY and ask.expiration < now_s // _DAY_S * _DAY_S:
            return Ret.INVALID_EXPIRATION
        return None

    def _room(self, ask: Ask, spec: SymbolTerms) -> Ret | None:
        terms, side = self._engine.terms, Kind(ask.type).side
        pendings = self._book.pendings()
        if ask.action == Action.PENDING and 0 < terms.limit_orders <= len(pendings):
            return Ret.LIMIT_ORDERS
        if terms.hedging and 0 < terms.limit_positions <= len(self._book.positions):
            return Ret.LIMIT_POSITIONS
        if spec.volume_limit:
            taken = sum((p.volume for p in self._book.on(spec.name) if p.kind is side), ZERO)
            taken += sum(
                each.left for each in pendings
                if each.symbol == spec.name and each.kind.side is side
            )  # fmt: skip
            if taken + ask.volume > spec.volume_limit:
                return Ret.LIMIT_VOLUME
        return None

    def _funds(self, ask: Ask, spec: SymbolTerms) -> Ret | None:
        free = self._engine.money.funds().free
        return Ret.NO_MONEY if self.cost(ask, spec) > free else None

    def cost(self, ask: Ask, spec: SymbolTerms) -> Decimal:
        """Return the margin that a request would add."""
        kind, volume = Kind(ask.type).side, ask.volume
        if not self._engine.terms.hedging:
            against = next((p for p in self._book.on(spec.name) if p.kind is not kind), None)
            volume -= min(volume, 2 * against.volume) if against is not None else ZERO
        price = self._market.price(spec.name, kind)
        return self._engine.money.margin(spec, volume, price)

    def _frozen(
        self, ask: Ask, order: OrderRow | None, held: PositionRow | None, spec: SymbolTerms
    ) -> Ret | None:
        level = spec.freeze_level * spec.point
        if not level:
            return None
        prices: list[tuple[Decimal, Decimal]] = []
        if order is not None and ask.action in (Action.MODIFY, Action.REMOVE):
            prices = [(order.price, self._market.price(order.symbol, order.kind))]
        elif held is not None:
            now = self._market.price(held.symbol, held.kind.other)
            prices = [(held.sl, now), (held.tp, now)]
        near = any(at and abs(at - now) <= level for at, now in prices)
        return Ret.FROZEN if near else None

    @staticmethod
    def _same(order: OrderRow, ask: Ask) -> bool:
        return (
            (order.price, order.stoplimit, order.sl, order.tp)
            == (ask.price, ask.stoplimit, ask.sl, ask.tp)
            and order.time_kind == ask.type_time
            and order.expiration_s == (ask.expiration if ask.type_time >= 2 else 0)
        )


def _other(ask: Ask) -> Kind:
    return Kind(ask.type).other
