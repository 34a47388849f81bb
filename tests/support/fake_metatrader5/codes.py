"""The numbers of MetaTrader 5 that a broker speaks in, and the texts of its answers.

Values as in the package (wheel 5.0.6231) and the MetaTrader 5 documentation; a test compares them
with facts.json.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = [
    "EXPIRATION_FLAGS", "FILLING_FLAGS", "ORDER_FLAGS", "TEXTS", "Action", "DealKind", "Entry",
    "Execution", "Filling", "Kind", "Margin", "Reason", "Ret", "State", "TimeKind", "TradeMode",
]  # fmt: skip


class Action(IntEnum):
    DEAL = 1
    PENDING = 5
    SLTP = 6
    MODIFY = 7
    REMOVE = 8
    CLOSE_BY = 10


class Kind(IntEnum):
    """ORDER_TYPE_*; the first two are also those of positions and deals."""

    BUY = 0
    SELL = 1
    BUY_LIMIT = 2
    SELL_LIMIT = 3
    BUY_STOP = 4
    SELL_STOP = 5
    BUY_STOP_LIMIT = 6
    SELL_STOP_LIMIT = 7
    CLOSE_BY = 8

    @property
    def side(self) -> Kind:
        """BUY or SELL."""
        return Kind.SELL if self in _SELLS else Kind.BUY

    @property
    def other(self) -> Kind:
        """The opposite side."""
        return Kind.BUY if self in _SELLS else Kind.SELL


_SELLS: Final = (Kind.SELL, Kind.SELL_LIMIT, Kind.SELL_STOP, Kind.SELL_STOP_LIMIT)


class State(IntEnum):
    STARTED = 0
    PLACED = 1
    CANCELED = 2
    PARTIAL = 3
    FILLED = 4
    REJECTED = 5
    EXPIRED = 6


class Filling(IntEnum):
    FOK = 0
    IOC = 1
    RETURN = 2
    BOC = 3


class TimeKind(IntEnum):
    GTC = 0
    DAY = 1
    SPECIFIED = 2
    SPECIFIED_DAY = 3


class Reason(IntEnum):
    """ORDER_REASON_* and DEAL_REASON_*."""

    CLIENT = 0
    MOBILE = 1
    WEB = 2
    EXPERT = 3
    SL = 4
    TP = 5
    SO = 6


class Entry(IntEnum):
    IN = 0
    OUT = 1
    INOUT = 2
    OUT_BY = 3


class DealKind(IntEnum):
    BUY = 0
    SELL = 1
    BALANCE = 2


class TradeMode(IntEnum):
    DISABLED = 0
    LONGONLY = 1
    SHORTONLY = 2
    CLOSEONLY = 3
    FULL = 4


class Execution(IntEnum):
    REQUEST = 0
    INSTANT = 1
    MARKET = 2
    EXCHANGE = 3


class Margin(IntEnum):
    NETTING = 0
    EXCHANGE = 1
    HEDGING = 2


# Flags of symbol_info(): not the values of the enumerations above.
FILLING_FLAGS: Final = {Filling.FOK: 1, Filling.IOC: 2, Filling.BOC: 4}
EXPIRATION_FLAGS: Final = {
    TimeKind.GTC: 1, TimeKind.DAY: 2, TimeKind.SPECIFIED: 4, TimeKind.SPECIFIED_DAY: 8,
}  # fmt: skip
ORDER_FLAGS: Final = {
    Kind.BUY: 1, Kind.SELL: 1, Kind.BUY_LIMIT: 2, Kind.SELL_LIMIT: 2, Kind.BUY_STOP: 4,
    Kind.SELL_STOP: 4, Kind.BUY_STOP_LIMIT: 8, Kind.SELL_STOP_LIMIT: 8, Kind.CLOSE_BY: 64,
}  # fmt: skip


class Ret(IntEnum):
    """TRADE_RETCODE_*; HEDGE_PROHIBITED is not in the package."""

    GOOD = 0
    REQUOTE = 10004
    REJECT = 10006
    CANCEL = 10007
    PLACED = 10008
    DONE = 10009
    DONE_PARTIAL = 10010
    ERROR = 10011
    TIMEOUT = 10012
    INVALID = 10013
    INVALID_VOLUME = 10014
    INVALID_PRICE = 10015
    INVALID_STOPS = 10016
    TRADE_DISABLED = 10017
    MARKET_CLOSED = 10018
    NO_MONEY = 10019
    PRICE_CHANGED = 10020
    PRICE_OFF = 10021
    INVALID_EXPIRATION = 10022
    ORDER_CHANGED = 10023
    TOO_MANY_REQUESTS = 10024
    NO_CHANGES = 10025
    SERVER_DISABLES_AT = 10026
    CLIENT_DISABLES_AT = 10027
    LOCKED = 10028
    FROZEN = 10029
    INVALID_FILL = 10030
    CONNECTION = 10031
    ONLY_REAL = 10032
    LIMIT_ORDERS = 10033
    LIMIT_VOLUME = 10034
    INVALID_ORDER = 10035
    POSITION_CLOSED = 10036
    INVALID_CLOSE_VOLUME = 10038
    CLOSE_ORDER_EXIST = 10039
    LIMIT_POSITIONS = 10040
    REJECT_CANCEL = 10041
    LONG_ONLY = 10042
    SHORT_ONLY = 10043
    CLOSE_ONLY = 10044
    FIFO_CLOSE = 10045
    HEDGE_PROHIBITED = 10046


TEXTS: Final[dict[int, str]] = {
    Ret.GOOD: "Done",
    Ret.REQUOTE: "Requote",
    Ret.REJECT: "Request rejected",
    Ret.CANCEL: "Request canceled by trader",
    Ret.PLACED: "Order placed",
    Ret.DONE: "Request executed",
    Ret.DONE_PARTIAL: "Request executed partially",
    Ret.ERROR: "Request processing error",
    Ret.TIMEOUT: "Request timed out",
    Ret.INVALID: "Invalid request",
    Ret.INVALID_VOLUME: "Invalid volume",
    Ret.INVALID_PRICE: "Invalid price",
    Ret.INVALID_STOPS: "Invalid stops",
    Ret.TRADE_DISABLED: "Trade disabled",
    Ret.MARKET_CLOSED: "Market closed",
    Ret.NO_MONEY: "No money",
    Ret.PRICE_CHANGED: "Price changed",
    Ret.PRICE_OFF: "No prices",
    Ret.INVALID_EXPIRATION: "Invalid expiration",
    Ret.ORDER_CHANGED: "Order changed",
    Ret.TOO_MANY_REQUESTS: "Too many requests",
    Ret.NO_CHANGES: "No changes",
    Ret.SERVER_DISABLES_AT: "AutoTrading disabled by server",
    Ret.CLIENT_DISABLES_AT: "AutoTrading disabled by client",
    Ret.LOCKED: "Request locked",
    Ret.FROZEN: "Order or position frozen",
    Ret.INVALID_FILL: "Unsupported filling mode",
    Ret.CONNECTION: "No connection",
    Ret.ONLY_REAL: "Only real accounts allowed",
    Ret.LIMIT_ORDERS: "Limit of orders",
    Ret.LIMIT_VOLUME: "Limit of volume",
    Ret.INVALID_ORDER: "Invalid order",
    Ret.POSITION_CLOSED: "Position doesn't exist",
    Ret.INVALID_CLOSE_VOLUME: "Invalid close volume",
    Ret.CLOSE_ORDER_EXIST: "Close order already exists",
    Ret.LIMIT_POSITIONS: "Limit of positions",
    Ret.REJECT_CANCEL: "Pending order activation rejected",
    Ret.LONG_ONLY: "Only long positions allowed",
    Ret.SHORT_ONLY: "Only short positions allowed",
    Ret.CLOSE_ONLY: "Only position closing allowed",
    Ret.FIFO_CLOSE: "Position closing by FIFO only",
    Ret.HEDGE_PROHIBITED: "Hedging prohibited",
}
