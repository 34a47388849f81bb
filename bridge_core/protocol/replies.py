"""Reply and event bodies: JSON as msgspec writes it, decimals as text (protocol.md 5).

Readers ignore fields they do not know and take an unknown status for UNKNOWN.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import LocalProtocolError, RemoteProtocolError
from bridge_core.protocol.views import (
    AccountIdentity,
    AccountView,
    CauseView,
    DeadManView,
    DealView,
    HopView,
    LimitView,
    PendingView,
    PositionView,
    QuoteView,
    Reply,
    StreamPoint,
    SymbolView,
)

__all__ = [
    "Child",
    "HelloReply",
    "JournalPage",
    "LogPage",
    "LogRow",
    "OrderView",
    "Page",
    "RefusalReply",
    "StateReply",
    "StatusReply",
    "SyncReply",
    "dec",
    "decode_reply",
    "encode_reply",
    "text_of",
]

_T = TypeVar("_T", bound=Struct)

REPLY_DECIMAL_PATTERN: Final = r"\A(?!-0(\.0+)?\Z)-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,8})?\Z"


class HelloReply(Reply, frozen=True):
    """HELLO."""

    incarnation: str
    time: int
    mode: str
    account: AccountIdentity
    state: str
    causes: list[CauseView] = []
    version: str = ""
    protocols: list[int] = []
    features: list[str] = []
    ttl_ms_max: int = limits.TTL_MS_DEFAULT
    settle_ms: int = 0
    attests: bool = False
    symbols: list[str] = []


class StateReply(Reply, frozen=True):
    """PING (time only), HEALTH, HALT, REDUCE_ONLY, RESUME, HEARTBEAT."""

    time: int = 0
    state: str = ""
    causes: list[CauseView] = []
    hops: list[HopView] = []
    started: int = 0
    open_orders: int = 0
    unknown_orders: int = 0
    counters: dict[str, int] = {}
    backend: str = ""
    terminal_ms: str = ""
    dead_man: DeadManView | None = None
    by: str = ""
    code: str = ""
    limit: str = ""
    value: str = ""


class Page(Reply, frozen=True):
    """GET_POSITIONS, GET_ORDERS, GET_HISTORY, GET_SYMBOL, GET_LIMITS: rows and their number."""

    positions: list[PositionView] = []
    orders: list[PendingView] = []
    deals: list[DealView] = []
    symbols: list[SymbolView] = []
    limits: list[LimitView] = []
    quotes: list[QuoteView] = []
    total: int = 0
    time: int = 0


class Child(Reply, frozen=True):
    """One ticket of a FLATTEN."""

    ticket: int
    rid: str
    status: str
    code: str = ReasonCode.NONE
    op: str = ""
    ea: str = ""
    ea_mac: str = "-"


class OrderView(Reply, frozen=True):
    """One order as all faces show it: replies, GET_STATUS, FENCE, GET_JOURNAL, trace.

    `by`, `code`, `limit`, `value`, `headroom`, `nearest` explain a refusal. `life` follows a
    WORKING order. `evidence` says how an outcome is known: EA, BROKER, SERVER, TAG, SHAPE, ABSENT,
    HUMAN. `existing` is the order that has a DUPLICATE_ID's client_order_id.
    """

    rid: str
    op: str = ""
    client_order_id: str = ""
    client: str = ""
    kid: str = ""
    status: str = Status.UNKNOWN
    code: str = ReasonCode.NONE
    final: bool = False
    attested: bool = True
    evidence: str = ""
    life: str = ""
    by: str = ""
    limit: str = ""
    value: str = ""
    headroom: str = ""
    nearest: list[str] = []
    symbol: str = ""
    type: str = ""
    ticket: int = 0
    deal: int = 0
    order: int = 0
    volume: str = "0"
    price: str = "0"
    close_price: str = "0"
    sl: str = "0"
    tp: str = "0"
    profit: str = "0"
    swap: str = "0"
    commission: str = "0"
    net_profit: str = "0"
    margin: str = "0"
    remaining_volume: str = "0"
    remaining_ticket: int = 0
    retcode: int = 0
    magic: int = 0
    strategy: int = 0
    comment: str = ""
    requested_volume: str = "0"
    requested_price: str = "0"
    parent: str = ""
    accepted_at: int = 0
    dispatched_at: int = 0
    ended_at: int = 0
    execution_time: int = 0
    zone_ms: int = 0
    server_ms: str = ""
    time: int = 0
    children: list[Child] = []
    existing: OrderView | None = None
    ea: str = ""
    ea_mac: str = "-"


class StatusReply(Reply, frozen=True):
    """GET_STATUS and FENCE: the subject of the question. An answer OK decides nothing by itself."""

    order: OrderView
    by: str = ""
    code: str = ""


class JournalPage(Reply, frozen=True):
    """GET_JOURNAL: rows of the account, oldest first."""

    orders: list[OrderView] = []
    total: int = 0


class LogRow(Reply, frozen=True):
    """One record of the hash chain: 1-based index, the record's text, hash as 64 hex digits."""

    n: int
    record: str
    hash: str


class LogPage(Reply, frozen=True):
    """GET_LOG: records from `first` on; `prev` is the hash before the first of them."""

    rows: list[LogRow] = []
    prev: str = ""
    size: int = 0
    head: str = ""


class SyncReply(Reply, frozen=True):
    """SYNC_ALL: the truth now, and the point in each stream that it contains."""

    account: AccountView | None = None
    positions: list[PositionView] = []
    orders: list[PendingView] = []
    quotes: list[QuoteView] = []
    streams: list[StreamPoint] = []
    state: str = ""
    causes: list[CauseView] = []
    open_rids: list[str] = []
    time: int = 0


class RefusalReply(Reply, frozen=True):
    """The body of every DENIED that is not about an order."""

    by: str = ""
    code: str = ""
    limit: str = ""
    value: str = ""
    headroom: str = ""
    nearest: list[str] = []
    time: int = 0


# --- the codec -----------------------------------------------------------------------------

# msgspec builds what it knows of a type at its first use, and not safely in two threads: here,
# while this module is imported, there is one.
for _kind in (HelloReply, StateReply, Page, StatusReply, JournalPage, LogPage, SyncReply,
              RefusalReply, AccountView):  # fmt: skip
    msgspec.json.Decoder(_kind)

_encoder: Final = msgspec.json.Encoder()


def encode_reply(reply: Struct) -> bytes:
    """Return a reply or event body as msgspec writes it."""
    return _encoder.encode(reply)


def decode_reply(kind: type[_T], body: bytes) -> _T:
    """Return the reply, ignoring fields this version does not know.

    Raises:
        RemoteProtocolError: not JSON, or a known field has the wrong type.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("REPLY_BODY", f"kind={kind.__name__}") from error


_REPLY_DECIMAL: Final = re.compile(REPLY_DECIMAL_PATTERN)
_KNOWN: Final = 4096  # a picture of thousands of positions has few different numbers


@lru_cache(_KNOWN)
def dec(text: str) -> Decimal:
    """Return the number behind a decimal text.

    Raises:
        RemoteProtocolError: not a decimal of protocol.md 5.
    """
    if _REPLY_DECIMAL.match(text) is None:
        raise RemoteProtocolError("DECIMAL", f"value={text[:32]!r}")
    return Decimal(text)


def text_of(value: Decimal) -> str:
    """Return a decimal's text: never exponent form, never a negative zero.

    Raises:
        LocalProtocolError: NaN, infinite, or beyond 15 + 8 digits.
    """
    text = format(value, "f") if value.is_finite() else "NaN"
    if text.startswith("-") and not value:
        text = text[1:]
    if _REPLY_DECIMAL.match(text) is None:
        raise LocalProtocolError("DECIMAL", f"value={text[:48]!r}")
    return text
