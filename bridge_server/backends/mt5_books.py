"""MetaTrader 5 records -> the server's own picture of the account (`core.ports`). Pure.

A record is a dict of plain values, as the worker sends it. What cannot be believed (a missing
field, NaN, a position that is neither BUY nor SELL) is a `RecordError`; a number of an enumeration
that nobody listed becomes "", never a guess. `zone_ms` is the broker's clock minus UTC; while it
is unknown every time is 0. Numbers of enumerations: MetaTrader 5 documentation, trade constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final, Generic, TypeVar

from bridge_server.backends.mt5_pins import kind_of, margin_of
from bridge_server.core.ports import (
    Account,
    Deal,
    EndedOrder,
    Identity,
    Pending,
    Position,
    Quote,
)

__all__ = [
    "Kept", "RecordError", "Row", "account_of", "deal_of", "ended_of", "exact", "identity_of",
    "number", "pending_of", "position_of", "quote_of", "signed_volume", "sort_key", "text",
    "type_name", "utc_ms",
]  # fmt: skip

Row = Mapping[str, object]
_Made = TypeVar("_Made")

_SIDES: Final = ("BUY", "SELL")
_ORDER_TYPES: Final = (
    *_SIDES, "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP", "BUY_STOP_LIMIT",
    "SELL_STOP_LIMIT", "CLOSE_BY",
)  # fmt: skip
_ENTRIES: Final = ("IN", "OUT", "INOUT", "OUT_BY")
_STATES: Final = (
    "STARTED", "PLACED", "CANCELED", "PARTIAL", "FILLED", "REJECTED", "EXPIRED", "REQUEST_ADD",
    "REQUEST_MODIFY", "REQUEST_CANCEL",
)  # fmt: skip
# A rest that is cancelled after a part was filled, and a pending order whose activation the broker
# refused, are ends by the broker's hand as a cancellation is: `state` and `filled` tell them apart.
_LIVES: Final = {
    "CANCELED": "CANCELLED",
    "PARTIAL": "CANCELLED",
    "FILLED": "FILLED",
    "REJECTED": "CANCELLED",
    "EXPIRED": "BROKER_EXPIRED",
}
_BY_HAND: Final = frozenset({0, 1, 2})  # the terminal's window, a phone, a browser
_BY_PROGRAM: Final = 3
_BY_BROKER: Final = {4: "SL", 5: "TP", 6: "STOP_OUT"}
_PLACES: Final = Decimal("0.00000001")  # what a decimal of this bridge can hold
_AMOUNT_MAX: Final = 1e15
_WIDE: Final = Context(prec=40)
_ONE: Final = Decimal(1)
_ZERO: Final = Decimal(0)
_S: Final = 1000
_KNOWN: Final = 4096  # the same few prices and volumes stand in thousands of records


class RecordError(ValueError):
    """A record of the terminal that cannot be believed."""


class Kept(Generic[_Made]):
    """What positions were made into at the last look: only what changed is made anew.

    An account of thousands is looked at several times a second, and most of it stands still.
    """

    def __init__(self) -> None:
        self._under: object = None
        self._rows: dict[int, tuple[Row, _Made]] = {}

    def of(self, rows: Iterable[Row], under: object, make: Callable[[Row], _Made]) -> list[_Made]:
        """Return what each record is; `under` is what that hangs on beside the record.

        Raises:
            RecordError: one cannot be believed.
        """
        old = self._rows if under == self._under else {}
        self._under, self._rows = under, {}
        made: list[_Made] = []
        for row in rows:
            ticket = number(row, "ticket")
            was = old.get(ticket)
            kept = was if was is not None and was[0] == row else (row, make(row))
            self._rows[ticket] = kept
            made.append(kept[1])
        return made


# --- single values -----------------------------------------------------------------------------


def number(row: Row, name: str) -> int:
    """Return a whole number.

    Raises:
        RecordError: there is none.
    """
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RecordError(f"{name}={value!r} is no whole number")
    return value


def text(row: Row, name: str) -> str:
    """Return a text, "" if there is none."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def exact(row: Row, name: str) -> Decimal:
    """Return a double as the decimal it stands for: its shortest text, at most 8 places.

    Raises:
        RecordError: it is missing, NaN, infinite, or beyond 15 digits.
    """
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{name}={value!r} is no number")
    if not math.isfinite(value) or abs(value) >= _AMOUNT_MAX:
        raise RecordError(f"{name}={value!r} is out of bounds")
    return _exact(value)


@lru_cache(_KNOWN)
def _exact(value: float) -> Decimal:
    found = Decimal(repr(value)).quantize(_PLACES, context=_WIDE).normalize()
    # 100 is written so, and not as 1E+2; a zero has no sign.
    whole = found == found.to_integral_value()
    return (found.quantize(_ONE, context=_WIDE) if whole else found) or _ZERO


def utc_ms(broker_ms: int, zone_ms: int | None) -> int:
    """Return UTC ms of a time on the broker's clock; 0 stays 0, and so does an unknown zone."""
    return max(0, broker_ms - zone_ms) if broker_ms and zone_ms is not None else 0


def type_name(value: int) -> str:
    """Return the name of an ORDER_TYPE_ number, "" if nobody listed it."""
    return _ORDER_TYPES[value] if 0 <= value < len(_ORDER_TYPES) else ""


def _reason(value: int) -> str:
    if value == _BY_PROGRAM:
        return "OURS"
    return "MANUAL" if value in _BY_HAND else _BY_BROKER.get(value, "")


def _time(row: Row, name: str, zone_ms: int | None) -> int:
    return utc_ms(number(row, name), zone_ms)


# --- the account -------------------------------------------------------------------------------


def identity_of(row: Row) -> Identity:
    """Return which account the terminal shows.

    Raises:
        RecordError: the record cannot be believed.
    """
    words = dict(row)
    return Identity(
        login=number(row, "login"),
        server=text(row, "server"),
        kind=kind_of(words),
        currency=text(row, "currency"),
        margin_mode=margin_of(words),
        leverage=number(row, "leverage"),
    )


def account_of(row: Row) -> Account:
    """Return the money, in account currency; credit counts as balance's neighbour, not in it.

    Raises:
        RecordError: the record cannot be believed.
    """
    margin = exact(row, "margin")
    return Account(
        balance=exact(row, "balance"),
        equity=exact(row, "equity"),
        margin=margin,
        free_margin=exact(row, "margin_free"),
        profit=exact(row, "profit"),
        margin_level=exact(row, "margin_level") if margin else None,
    )


def quote_of(symbol: str, row: Row, zone_ms: int | None, asked_wall_ms: int) -> Quote | None:
    """Return a tick as a quote, None while there is no price on both sides.

    Raises:
        RecordError: the record cannot be believed.
    """
    bid, ask = exact(row, "bid"), exact(row, "ask")
    if bid <= 0 or ask <= 0:
        return None
    return Quote(
        symbol=symbol,
        bid=bid,
        ask=ask,
        time_ms=_time(row, "time_msc", zone_ms),
        asked_wall_ms=asked_wall_ms,
    )


# --- what is open ------------------------------------------------------------------------------


def position_of(row: Row, zone_ms: int | None) -> Position:
    """Return an open position; `ticket` is the present one, which the broker may change.

    Raises:
        RecordError: the record cannot be believed, or it is neither BUY nor SELL.
    """
    side = type_name(number(row, "type"))
    if side not in _SIDES:
        raise RecordError(f"position type={row.get('type')!r} is neither BUY nor SELL")
    return Position(
        ticket=number(row, "ticket"),
        symbol=text(row, "symbol"),
        type=side,
        volume=exact(row, "volume"),
        open_price=exact(row, "price_open"),
        current_price=exact(row, "price_current"),
        sl=exact(row, "sl"),
        tp=exact(row, "tp"),
        profit=exact(row, "profit"),
        swap=exact(row, "swap"),
        magic=number(row, "magic"),
        comment=text(row, "comment"),
        opened_ms=_time(row, "time_msc", zone_ms),
    )


def pending_of(row: Row, zone_ms: int | None) -> Pending:
    """Return an active order; a market order still on its way has the type BUY or SELL.

    Raises:
        RecordError: the record cannot be believed.
    """
    return Pending(
        ticket=number(row, "ticket"),
        symbol=text(row, "symbol"),
        type=type_name(number(row, "type")),
        volume=exact(row, "volume_current"),
        price=exact(row, "price_open"),
        sl=exact(row, "sl"),
        tp=exact(row, "tp"),
        expiration_ms=utc_ms(number(row, "time_expiration") * _S, zone_ms),
        magic=number(row, "magic"),
        comment=text(row, "comment"),
        placed_ms=_time(row, "time_setup_msc", zone_ms),
    )


# --- the past ----------------------------------------------------------------------------------


def deal_of(row: Row, zone_ms: int | None, tickets: Mapping[int, int]) -> Deal | None:
    """Return an execution; None: it traded nothing (balance, credit, commission, dividend …).

    `tickets`: identifier of a position -> the ticket it has now. A fee is a commission. The
    reason is OURS for every program's deal: whose it was, the deal alone does not say.

    Raises:
        RecordError: the record cannot be believed.
    """
    side = type_name(number(row, "type"))
    if side not in _SIDES:
        return None
    entry = number(row, "entry")
    identifier = number(row, "position_id")
    return Deal(
        deal=number(row, "ticket"),
        ticket=tickets.get(identifier, identifier),
        order=number(row, "order"),
        symbol=text(row, "symbol"),
        type=side,
        entry=_ENTRIES[entry] if 0 <= entry < len(_ENTRIES) else "",
        volume=exact(row, "volume"),
        price=exact(row, "price"),
        profit=exact(row, "profit"),
        swap=exact(row, "swap"),
        commission=exact(row, "commission") + exact(row, "fee"),
        magic=number(row, "magic"),
        comment=text(row, "comment"),
        reason=_reason(number(row, "reason")),
        time_ms=_time(row, "time_msc", zone_ms),
    )


def signed_volume(row: Row) -> Decimal:
    """Return what a deal adds to its position: lots, negative for a SELL, 0 if it is no trade.

    Raises:
        RecordError: the record cannot be believed.
    """
    side = type_name(number(row, "type"))
    if side not in _SIDES:
        return _ZERO
    return exact(row, "volume") if side == "BUY" else -exact(row, "volume")


def sort_key(row: Row) -> tuple[int, int]:
    """Return what orders deals in time: the broker's time, then the number.

    Raises:
        RecordError: the record cannot be believed.
    """
    return number(row, "time_msc"), number(row, "ticket")


def ended_of(row: Row, zone_ms: int | None) -> EndedOrder:
    """Return an order of the history, market orders too; `life` is "" in a state nobody listed.

    Raises:
        RecordError: the record cannot be believed.
    """
    state, kind = number(row, "state"), type_name(number(row, "type"))
    word = _STATES[state] if 0 <= state < len(_STATES) else ""
    volume = exact(row, "volume_initial")
    return EndedOrder(
        ticket=number(row, "ticket"),
        symbol=text(row, "symbol"),
        life=_LIVES.get(word, ""),
        type=kind,
        state=word,
        volume=volume,
        filled=volume - exact(row, "volume_current"),
        reason=_BY_BROKER.get(number(row, "reason"), ""),
        magic=number(row, "magic"),
        comment=text(row, "comment"),
        time_ms=_time(row, "time_done_msc", zone_ms),
        last=pending_of(row, zone_ms) if kind not in (*_SIDES, "CLOSE_BY", "") else None,
    )
