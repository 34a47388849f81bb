"""The trade requests of MetaTrader 5, built whole and from an allow-list of keys. Pure.

Decimals until here; floats are made here and nowhere else. The package ignores a key that it does
not know (a misspelt `sl` is no stop), so every request is checked before it goes out. Fields by
action: MetaTrader 5 documentation, MqlTradeRequest; types: measured in wheel 5.0.6231.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_server.backends.mt5_books import Row
from bridge_server.backends.mt5_symbols import FOK, RETURN, Mt5Symbol
from bridge_server.core.ports import Position, Quote

__all__ = [
    "COMMENT_CHARS", "Label", "TradeRequest", "Venue", "close_request", "expiration_s",
    "fault_of", "filling_of", "modify_request", "open_request", "order_type", "remove_request",
    "stops_request",
]  # fmt: skip

TradeRequest = dict[str, object]

DEAL: Final = 1
PENDING: Final = 5
SLTP: Final = 6
MODIFY: Final = 7
REMOVE: Final = 8

_TYPES: Final = ("BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP")
_GTC: Final = 0
_SPECIFIED: Final = 2
# The package takes 29; 28 was the most that one broker took.
COMMENT_CHARS: Final = 28
_SYMBOL_CHARS: Final = 29
_UINT32: Final = 2**32 - 1
_MAGIC_MAX: Final = 2**53 - 1
_TICKET_MAX: Final = 2**63 - 1
_TIME_MAX: Final = 2**31 - 1  # the package's own dates end there

_WHOLE: Final[Mapping[str, tuple[int, int]]] = {
    "action": (1, 10),
    "magic": (1, _MAGIC_MAX),
    "order": (1, _TICKET_MAX),
    "deviation": (0, _UINT32),
    "type": (0, 8),
    "type_filling": (0, 3),
    "type_time": (0, 3),
    "expiration": (0, _TIME_MAX),
    "position": (1, _TICKET_MAX),
    "position_by": (1, _TICKET_MAX),
}
_REAL: Final = frozenset({"volume", "price", "stoplimit", "sl", "tp"})
_TEXT: Final[Mapping[str, int]] = {"symbol": _SYMBOL_CHARS, "comment": COMMENT_CHARS}
_NEEDED: Final[Mapping[int, frozenset[str]]] = {
    DEAL: frozenset({"symbol", "volume", "type", "type_filling", "price", "deviation"}),
    PENDING: frozenset({"symbol", "volume", "type", "type_filling", "price", "type_time"}),
    SLTP: frozenset({"symbol", "position", "sl", "tp"}),
    MODIFY: frozenset({"order", "price", "sl", "tp", "type_time"}),
    REMOVE: frozenset({"order"}),
}
_POSITIVE: Final = frozenset({"volume", "price"})


class Label(NamedTuple):
    """What every request of one order carries, so that the broker's records show whose it is."""

    magic: int
    comment: str


class Venue(NamedTuple):
    """What a request depends on besides the order: symbol, a fresh quote, the broker's zone.

    `zone_ms` is the broker's clock minus UTC, None while it is unknown.
    """

    symbol: Mt5Symbol
    quote: Quote
    zone_ms: int | None = None


def order_type(name: str) -> int:
    """Return the ORDER_TYPE_ number of a type's name."""
    return _TYPES.index(name)


def filling_of(symbol: Mt5Symbol) -> int:
    """Return the ORDER_FILLING_ of a market order: the strictest that the symbol allows.

    Where it allows none, FOK: the broker then says no by itself, and a close is at least tried.
    """
    return next(iter(symbol.fillings()), FOK)


def expiration_s(expiration_ms: int, zone_ms: int | None) -> int | None:
    """Return a UTC time in ms as whole seconds on the broker's clock, None without its zone."""
    if not expiration_ms:
        return 0
    return None if zone_ms is None else (expiration_ms + zone_ms) // 1000


def open_request(body: Open, label: Label, venue: Venue) -> TradeRequest | Refusal:
    """Return the request of an OPEN; a market order carries the price it is to meet."""
    pending = body.type not in ("BUY", "SELL")
    request: TradeRequest = {
        "action": PENDING if pending else DEAL,
        "symbol": body.symbol,
        "volume": float(Decimal(body.volume)),
        "type": order_type(body.type),
        "type_filling": RETURN if pending else filling_of(venue.symbol),
        "sl": float(Decimal(body.sl)),
        "tp": float(Decimal(body.tp)),
        "deviation": body.deviation,
    }
    if not pending:
        price = venue.quote.ask if body.type == "BUY" else venue.quote.bid
        return _signed(request | {"price": float(price)}, label)
    timed = _timed(body.expiration, venue)
    if isinstance(timed, Refusal):
        return timed
    request |= {"price": float(Decimal(body.price)), **timed}
    return _signed(request, label)


def close_request(
    body: Close, position: Position, label: Label, venue: Venue
) -> TradeRequest | Refusal:
    """Return the request of a CLOSE, which always names its position."""
    buys = position.type == "SELL"
    request: TradeRequest = {
        "action": DEAL,
        "symbol": position.symbol,
        "position": position.ticket,
        "volume": float(Decimal(body.volume) or position.volume),
        "type": order_type("BUY" if buys else "SELL"),
        "type_filling": filling_of(venue.symbol),
        "price": float(venue.quote.ask if buys else venue.quote.bid),
        "deviation": body.deviation,
    }
    return _signed(request, label)


def stops_request(body: Modify, position: Position, label: Label) -> TradeRequest | Refusal:
    """Return the request that sets the stops of a position, both of them."""
    request: TradeRequest = {
        "action": SLTP,
        "symbol": position.symbol,
        "position": position.ticket,
        "sl": float(Decimal(body.sl)),
        "tp": float(Decimal(body.tp)),
    }
    return _signed(request, label)


def modify_request(body: Modify, order: Row, label: Label, venue: Venue) -> TradeRequest | Refusal:
    """Return the request that changes a pending order.

    It sets everything anew, so what a MODIFY of stops leaves alone is repeated as the broker's own
    record has it (`order`), its expiration in the broker's seconds.
    """
    request: TradeRequest = {
        "action": MODIFY,
        "symbol": str(order.get("symbol", "")),
        "order": body.ticket,
        "sl": float(Decimal(body.sl)),
        "tp": float(Decimal(body.tp)),
        "price": order.get("price_open"),
        "type_time": order.get("type_time"),
    }
    if order.get("time_expiration"):
        request["expiration"] = order["time_expiration"]
    if order.get("price_stoplimit"):
        request["stoplimit"] = order["price_stoplimit"]
    if Decimal(body.price):
        timed = _timed(body.expiration, venue)
        if isinstance(timed, Refusal):
            return timed
        request.pop("expiration", None)
        request |= {"price": float(Decimal(body.price)), **timed}
    return _signed(request, label)


def remove_request(body: Cancel, order: Row, label: Label) -> TradeRequest | Refusal:
    """Return the request that removes a pending order."""
    request: TradeRequest = {
        "action": REMOVE,
        "symbol": str(order.get("symbol", "")),
        "order": body.ticket,
    }
    return _signed(request, label)


def _timed(expiration_ms: int, venue: Venue) -> TradeRequest | Refusal:
    wanted = _SPECIFIED if expiration_ms else _GTC
    times = venue.symbol.times()
    if times and wanted not in times:
        words = "until a time" if expiration_ms else "until cancelled"
        return Refusal(
            ReasonCode.EXPIRATION, limit=f"the symbol takes no orders {words}",
            value=str(expiration_ms),
        )  # fmt: skip
    seconds = expiration_s(expiration_ms, venue.zone_ms)
    if seconds is None:  # a time on a clock that nobody knows
        why = (
            "no fresh ticks tell the broker's zone: wait for the market, or set utc_offset_minutes"
        )
        return Refusal(ReasonCode.NO_QUOTE, limit=why)
    return {"type_time": wanted, "expiration": seconds} if seconds else {"type_time": wanted}


def _signed(request: TradeRequest, label: Label) -> TradeRequest | Refusal:
    whole = request | {"magic": label.magic, "comment": label.comment}
    fault = fault_of(whole)
    return Refusal(ReasonCode.BODY, limit=fault, value="trade request") if fault else whole


# --- the check of what goes out --------------------------------------------------------------


def fault_of(request: Mapping[str, object]) -> str:
    """Return the first key that makes a request unfit to be sent, "" if there is none.

    Unknown keys, other types than exactly int, float and str, NaN, infinity, numbers out of
    bounds, texts that are too long or not ASCII, and keys that the action needs and are missing.
    """
    for key, value in request.items():
        if not _fits(key, value):
            return key
    action = request.get("action")
    needed = _NEEDED.get(action) if isinstance(action, int) else None
    if needed is None:
        return "action"
    return next(iter(sorted((needed | {"magic", "comment"}) - request.keys())), "")


def _fits(key: str, value: object) -> bool:
    if key in _WHOLE:
        least, most = _WHOLE[key]
        return type(value) is int and least <= value <= most
    if key in _REAL:
        # 0 is "none" of a stop, and no volume or price.
        return (
            type(value) is float
            and math.isfinite(value)
            and (value > 0 or (value == 0 and key not in _POSITIVE))
        )
    if key in _TEXT:
        return (
            type(value) is str and 0 < len(value) <= _TEXT[key]
            and value.isascii() and value.isprintable()
        )  # fmt: skip
    return False
