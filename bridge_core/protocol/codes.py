"""Status and ReasonCode: stable words, in order of precedence (protocol.md 7 and 8).

If two refusals apply, the one listed first is given. Codes are never renamed or reused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["FINAL", "CodeInfo", "ReasonCode", "Refusal", "Status"]


class Status(StrEnum):
    """What is known of an order. UNKNOWN is never "failed"."""

    OK = "OK"
    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    WORKING = "WORKING"
    DONE = "DONE"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    PENDING = "PENDING"
    UNKNOWN = "UNKNOWN"


FINAL: Final = frozenset(
    {
        Status.FILLED,
        Status.PARTIAL,
        Status.WORKING,
        Status.DONE,
        Status.REJECTED,
        Status.DENIED,
        Status.OK,
    }
)


class ReasonCode(StrEnum):
    """Why. `NONE` is written `-` in a token."""

    NONE = "-"
    # at the connector, before anything is signed
    NO_CONNECTION = "NO_CONNECTION"
    CLOCK_SKEW = "CLOCK_SKEW"
    UNFINISHED = "UNFINISHED"
    LOG_FORK = "LOG_FORK"
    # admission, protocol.md 6, top to bottom
    SCOPE = "SCOPE"
    CONFLICT = "CONFLICT"
    REPLAYED = "REPLAYED"
    REPLAY_MEMORY_FULL = "REPLAY_MEMORY_FULL"
    STALE_INCARNATION = "STALE_INCARNATION"
    CLOCK = "CLOCK"
    TTL_TOO_LONG = "TTL_TOO_LONG"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    BODY = "BODY"
    DUPLICATE_ID = "DUPLICATE_ID"
    SEQUENCE = "SEQUENCE"
    RATE = "RATE"
    BUSY = "BUSY"
    STOPPING = "STOPPING"
    HALTED = "HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"
    UNKNOWN_ORDER_OPEN = "UNKNOWN_ORDER_OPEN"
    BROKER_DOWN = "BROKER_DOWN"
    EA_KEY = "EA_KEY"
    # pre-trade checks, in the order of bridge_core/risk/controls.py
    SYMBOL_NOT_ALLOWED = "SYMBOL_NOT_ALLOWED"
    TYPE_NOT_ALLOWED = "TYPE_NOT_ALLOWED"
    SYMBOL_UNKNOWN = "SYMBOL_UNKNOWN"
    NO_LIMIT = "NO_LIMIT"
    MARGIN_MODE = "MARGIN_MODE"
    NO_ACCOUNT = "NO_ACCOUNT"
    TICKET_UNKNOWN = "TICKET_UNKNOWN"
    NOT_OURS = "NOT_OURS"
    VOLUME_GRID = "VOLUME_GRID"
    MAX_VOLUME = "MAX_VOLUME"
    MAX_POSITIONS = "MAX_POSITIONS"
    MAX_ORDERS = "MAX_ORDERS"
    MAX_OPEN_ORDERS = "MAX_OPEN_ORDERS"
    MAX_NET_VOLUME = "MAX_NET_VOLUME"
    MAX_GROSS_VOLUME = "MAX_GROSS_VOLUME"
    MAX_DEVIATION = "MAX_DEVIATION"
    TRADING_HOURS = "TRADING_HOURS"
    SESSION_CLOSED = "SESSION_CLOSED"
    NO_QUOTE = "NO_QUOTE"
    STALE_QUOTE = "STALE_QUOTE"
    MAX_MOVE = "MAX_MOVE"
    MAX_SPREAD = "MAX_SPREAD"
    PRICE_GRID = "PRICE_GRID"
    PRICE_SIDE = "PRICE_SIDE"
    PRICE_COLLAR = "PRICE_COLLAR"
    STOPS_SIDE = "STOPS_SIDE"
    STOPS_LEVEL = "STOPS_LEVEL"
    SL_REQUIRED = "SL_REQUIRED"
    SL_DISTANCE = "SL_DISTANCE"
    EXPIRATION = "EXPIRATION"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    MAX_TRADES = "MAX_TRADES"
    MAX_FILLS = "MAX_FILLS"
    MAX_REJECTIONS = "MAX_REJECTIONS"
    NO_CONVERSION = "NO_CONVERSION"
    MAX_ORDER_VALUE = "MAX_ORDER_VALUE"
    MAX_RISK = "MAX_RISK"
    MAX_EXPOSURE = "MAX_EXPOSURE"
    CORRELATION = "CORRELATION"
    CURRENCY_EXPOSURE = "CURRENCY_EXPOSURE"
    MAX_LEVERAGE = "MAX_LEVERAGE"
    MARGIN_LEVEL = "MARGIN_LEVEL"
    MIN_EQUITY = "MIN_EQUITY"
    DAILY_LOSS = "DAILY_LOSS"
    DRAWDOWN = "DRAWDOWN"
    # the journal
    JOURNAL_FULL = "JOURNAL_FULL"
    JOURNAL_FATAL = "JOURNAL_FATAL"
    # between the journal and the broker
    FENCED = "FENCED"
    ABORTED_RESTART = "ABORTED_RESTART"
    ACCOUNT_MISMATCH = "ACCOUNT_MISMATCH"
    SUPERSEDED = "SUPERSEDED"
    CHANGED = "CHANGED"
    PRICE_MOVED = "PRICE_MOVED"
    ABSENT = "ABSENT"
    # the broker's word (REJECTED)
    REQUOTE = "REQUOTE"
    PRICE_OFF = "PRICE_OFF"
    NO_MONEY = "NO_MONEY"
    MARKET_CLOSED = "MARKET_CLOSED"
    TRADE_DISABLED = "TRADE_DISABLED"
    INVALID_VOLUME = "INVALID_VOLUME"
    INVALID_PRICE = "INVALID_PRICE"
    INVALID_STOPS = "INVALID_STOPS"
    INVALID_TICKET = "INVALID_TICKET"
    TOO_MANY_ORDERS = "TOO_MANY_ORDERS"
    BROKER_REJECTED = "BROKER_REJECTED"
    # not decided
    NOT_SEEN = "NOT_SEEN"
    NO_ANSWER = "NO_ANSWER"
    RECONCILING = "RECONCILING"
    BROKER_BUSY = "BROKER_BUSY"
    EA_UNATTESTED = "EA_UNATTESTED"
    SERVER_LIED = "SERVER_LIED"
    # said with a success
    STOPS_NOT_SET = "STOPS_NOT_SET"
    CHILD_FAILED = "CHILD_FAILED"
    SETTLE_REFUSED = "SETTLE_REFUSED"
    NOT_LATCHED = "NOT_LATCHED"
    HUMAN = "HUMAN"


class CodeInfo(NamedTuple):
    """One row of the code table: what it means, who says it, whether to retry, what to do."""

    meaning: str
    by: str
    retry: str
    fix: str


class Refusal(NamedTuple):
    """A refusal is a value: the code and, as far as they apply, the numbers behind it."""

    code: ReasonCode
    limit: str = ""
    value: str = ""
    headroom: str = ""
    nearest: tuple[str, ...] = ()
