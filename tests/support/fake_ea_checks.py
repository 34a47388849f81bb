"""What the fake EA refuses by itself: identity, state, its own caps, grids, and the ticket."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.messages import Cancel, Close, Flatten, Modify, Open, Request
from bridge_core.protocol.operations import Op
from tests.support.fake_ea_market import Spec, Trade

if TYPE_CHECKING:
    from tests.support.fake_ea_desk import Desk

__all__ = ["Checks", "Denial", "EaInputs"]

_FIELDS: Final[dict[type[Request], tuple[str, ...]]] = {
    Open: ("symbol", "type", "volume", "price", "sl", "tp", "deviation", "expiration"),
    Close: ("ticket", "symbol", "volume", "deviation"),
    Modify: ("ticket", "price", "sl", "tp", "old_sl", "old_tp", "expiration"),
    Cancel: ("ticket",),
}


class EaInputs(Struct, frozen=True, kw_only=True):
    """The EA's inputs. Looser than the real EA's where a test would only wait: `boot_fence_ms`
    (the real one: 1000) and `settle_s` (60). Empty `symbols` trades nothing."""

    symbols: tuple[str, ...] = ("EURUSD",)
    max_lots: str = "100"
    max_positions: int = 100
    account: int = 0
    server: str = ""
    boot_fence_ms: int = 0
    settle_s: float = 0.0


class Denial(Struct, frozen=True, kw_only=True):
    """A refusal: the code, the bound and the value."""

    code: ReasonCode
    limit: str = ""
    value: str = ""


def _deny(code: ReasonCode, limit: object = "", value: object = "") -> Denial:
    return Denial(code=code, limit=str(limit), value=str(value))


class Checks:
    """Reads the desk's inputs, state, journal and broker; changes nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def fields(self, body: Request) -> dict[str, str | int]:
        """Return the signed fields that the broker is given, as signed."""
        return {name: getattr(body, name) for name in _FIELDS[type(body)]}

    def in_scope(self, body: Flatten) -> list[int]:
        """Return the tickets that a FLATTEN is about now."""
        market, chosen = self._desk.broker.market, []
        if body.scope in ("PENDINGS", "ALL"):
            chosen += list(market.pending.values())
        if body.scope in ("POSITIONS", "ALL"):
            chosen += list(market.open.values())
        allowed = self._desk.inputs.symbols
        return sorted(
            t.ticket for t in chosen if t.symbol in allowed and body.symbol in ("", t.symbol)
        )

    def refuse(self, op: Op, body: Request, iat: int) -> Denial | None:
        """Return the first reason against an order, None if it may run."""
        return self._terminal() or self._state(op, body) or self._own(body, iat)

    def _terminal(self) -> Denial | None:
        broker, inputs = self._desk.broker, self._desk.inputs
        terms = broker.terms
        if inputs.account not in (0, terms.account) or inputs.server not in ("", terms.server):
            return _deny(ReasonCode.ACCOUNT_MISMATCH, inputs.account, terms.account)
        if not broker.connected:
            return _deny(ReasonCode.BROKER_DOWN)
        return None if broker.trade_allowed else _deny(ReasonCode.TRADE_DISABLED)

    def _state(self, op: Op, body: Request) -> Denial | None:
        state = self._desk.state.state
        if state == "ACTIVE" or op not in (Op.OPEN, Op.MODIFY):
            return None
        stops_only = isinstance(body, Modify) and body.price == "0"
        if state == "REDUCE_ONLY" and stops_only:
            assert isinstance(body, Modify)
            loses_sl = Decimal(body.old_sl) != 0 and Decimal(body.sl) == 0
            return _deny(ReasonCode.REDUCE_ONLY) if loses_sl else None
        return _deny(ReasonCode.HALTED if state == "HALTED" else ReasonCode.REDUCE_ONLY)

    def _own(self, body: Request, iat: int) -> Denial | None:
        match body:
            case Open():
                return self._open(body)
            case Close():
                trade = self._desk.broker.market.open.get(body.ticket)
                if trade is None or trade.symbol != body.symbol:
                    return _deny(ReasonCode.TICKET_UNKNOWN, value=body.ticket)
                return self._symbol(trade.symbol) or self._volume(body.volume, trade)
            case Modify():
                return self._modify(body, iat)
            case Cancel():
                trade = self._desk.broker.market.pending.get(body.ticket)
                if trade is None:
                    return _deny(ReasonCode.TICKET_UNKNOWN, value=body.ticket)
                return self._symbol(trade.symbol)
        return _deny(ReasonCode.BODY)

    def _symbol(self, symbol: str) -> Denial | None:
        if symbol not in self._desk.inputs.symbols:
            return _deny(ReasonCode.SYMBOL_NOT_ALLOWED, value=symbol)
        if symbol not in self._desk.broker.market.specs:
            return _deny(ReasonCode.SYMBOL_UNKNOWN, value=symbol)
        return None

    def _volume(self, text: str, trade: Trade) -> Denial | None:
        spec, volume = self._desk.broker.market.specs[trade.symbol], Decimal(text)
        if volume and volume % spec.volume_step:
            return _deny(ReasonCode.VOLUME_GRID, spec.volume_step, text)
        return None

    def _open(self, body: Open) -> Denial | None:
        found = self._symbol(body.symbol)
        if found is not None:
            return found
        market, inputs = self._desk.broker.market, self._desk.inputs
        spec, volume = market.specs[body.symbol], Decimal(body.volume)
        if volume < spec.volume_min or volume % spec.volume_step:
            return _deny(ReasonCode.VOLUME_GRID, spec.volume_step, body.volume)
        if volume > Decimal(inputs.max_lots):
            return _deny(ReasonCode.MAX_VOLUME, inputs.max_lots, body.volume)
        if len(market.open) + len(market.pending) >= inputs.max_positions:
            return _deny(ReasonCode.MAX_POSITIONS, inputs.max_positions, len(market.open))
        if body.symbol not in market.quotes:
            return _deny(ReasonCode.NO_QUOTE)
        if any(_off_grid(text, spec) for text in (body.price, body.sl, body.tp)):
            return _deny(ReasonCode.PRICE_GRID, spec.point)
        return self._prices(body, spec) or self._expiration(body.expiration)

    def _prices(self, body: Open, spec: Spec) -> Denial | None:
        bid, ask, _ = self._desk.broker.market.quotes[body.symbol]
        buys = body.type.startswith("BUY")
        market_price = ask if buys else bid
        price = Decimal(body.price)
        if "_" not in body.type:
            moved = abs(market_price - price)
            if price and moved > body.deviation * spec.point:
                return _deny(ReasonCode.PRICE_MOVED, body.deviation, int(moved / spec.point))
            price = market_price
        sl, tp = Decimal(body.sl), Decimal(body.tp)
        lower, upper = (sl, tp) if buys else (tp, sl)
        if (lower and lower >= price) or (upper and upper <= price):
            return _deny(ReasonCode.STOPS_SIDE)
        return None

    def _expiration(self, expiration: int) -> Denial | None:
        broker = self._desk.broker
        if expiration and broker.terms.zone_ms is None:
            return _deny(ReasonCode.NO_QUOTE, "time zone of the broker")
        if expiration and (expiration <= broker.market_ms() or expiration % 1000):
            return _deny(ReasonCode.EXPIRATION, broker.market_ms(), expiration)
        return None

    def _modify(self, body: Modify, iat: int) -> Denial | None:
        market = self._desk.broker.market
        trade = market.open.get(body.ticket) or market.pending.get(body.ticket)
        if trade is None:
            return _deny(ReasonCode.TICKET_UNKNOWN, value=body.ticket)
        found = self._symbol(trade.symbol)
        if found is not None:
            return found
        if iat <= self._desk.journal.applied.get(body.ticket, 0):
            return _deny(ReasonCode.SUPERSEDED)
        if (trade.sl, trade.tp) != (Decimal(body.old_sl), Decimal(body.old_tp)):
            return _deny(ReasonCode.CHANGED, f"{body.old_sl}/{body.old_tp}")
        return self._expiration(body.expiration) if body.price != "0" else None


def _off_grid(text: str, spec: Spec) -> bool:
    return Decimal(text) % spec.point != 0
