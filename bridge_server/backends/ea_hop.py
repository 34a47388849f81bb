"""The link between server and EA: heads and bodies, text <-> parts (protocol.md 14.2).

Pure: no socket, no clock. A head is ASCII with its parts between colons; what an EA says besides
is one JSON object, read into a struct that ignores fields it does not know.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from bridge_core.protocol import limits
from bridge_core.protocol.replies import REPLY_DECIMAL_PATTERN
from bridge_core.protocol.signing import Frames

__all__ = [
    "Account", "Beat", "Closed", "Failure", "FromEa", "Margin", "Order", "Position", "Quote",
    "Rows", "Spec", "StateWord", "make_head", "parse_from_ea", "read_body",
]  # fmt: skip

Number = Annotated[str, Meta(pattern=REPLY_DECIMAL_PATTERN)]
NumberOrNone = Annotated[str, Meta(pattern=r"\A(|" + REPLY_DECIMAL_PATTERN[2:-2] + r")\Z")]
Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Side = Literal["BUY", "SELL"]
Pending = Literal["BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"]


class Body(Struct, frozen=True, kw_only=True):
    """Any hop body of the EA."""


class Beat(Body, frozen=True, kw_only=True):
    """HELLO, BEAT, and the answer to HEALTH: who this EA is and how it stands.

    `clock`, `started` are wall time, `market_ms` market time, all UTC ms; `zone_ms` is what the
    broker's clock differs from UTC by, None while the EA does not know it: then every market time
    of its is the broker's. `book` grows when the EA saw a change of positions or orders; `seq` is
    the number of its last event.
    """

    instance: str
    clock: Natural
    started: Natural = 0
    build: Natural = 0
    version: Annotated[str, Meta(max_length=64)] = ""
    dll: Annotated[str, Meta(max_length=64)] = ""
    account: Natural
    server: Annotated[str, Meta(max_length=128)]
    kind: Literal["demo", "real"]
    currency: Annotated[str, Meta(max_length=16)] = ""
    leverage: Natural = 0
    connected: bool = False
    trade_allowed: bool = False
    busy: bool = False
    state: Literal["ACTIVE", "REDUCE_ONLY", "HALTED"] = "ACTIVE"
    cause: Annotated[str, Meta(max_length=64)] = ""
    dead_man: Annotated[str, Meta(max_length=96)] = ""
    kids: Annotated[list[str], Meta(max_length=64)] = []
    symbols: Annotated[list[str], Meta(max_length=1024)] = []
    max_lots: NumberOrNone = ""
    max_positions: Natural = 0
    journal: Literal["OK", "FULL", "FATAL"] = "OK"
    book: Natural = 0
    market_ms: Natural = 0
    zone_ms: Annotated[int, Meta(ge=-43_200_000, le=50_400_000)] | None = None
    seq: Natural = 0
    dropped: Natural = 0
    note: Annotated[str, Meta(max_length=256)] = ""


class Account(Body, frozen=True):
    """ACCOUNT: money in account currency; `margin_level` in percent, empty without margin."""

    balance: Number
    equity: Number
    margin: Number
    free_margin: Number
    profit: Number = "0"
    margin_level: NumberOrNone = ""
    connected: bool = False
    market_ms: Natural = 0
    book: Natural = 0


class Position(Body, frozen=True):
    """An open position; prices in quote currency, times are market time."""

    ticket: Natural
    symbol: str
    type: Side
    volume: Number
    open_price: Number
    current_price: Number
    sl: Number = "0"
    tp: Number = "0"
    profit: Number = "0"
    swap: Number = "0"
    commission: Number = "0"
    magic: int = 0
    comment: str = ""
    opened_ms: Natural = 0


class Order(Body, frozen=True):
    """A pending order at the broker."""

    ticket: Natural
    symbol: str
    type: Pending
    volume: Number
    price: Number
    sl: Number = "0"
    tp: Number = "0"
    expiration_ms: Natural = 0
    magic: int = 0
    comment: str = ""
    placed_ms: Natural = 0


class Closed(Body, frozen=True):
    """A row of the account's history; `from_ticket` is what a partial close left it from."""

    ticket: Natural
    symbol: str
    type: str
    volume: Number
    open_price: Number
    close_price: Number
    sl: Number = "0"
    tp: Number = "0"
    profit: Number = "0"
    swap: Number = "0"
    commission: Number = "0"
    magic: int = 0
    comment: str = ""
    opened_ms: Natural = 0
    closed_ms: Natural = 0
    reason: str = ""
    from_ticket: Natural = 0


class Rows(Body, frozen=True):
    """POSITIONS, ORDERS, HISTORY, TAG: a page of rows and how many there are."""

    positions: list[Position] = []
    orders: list[Order] = []
    closed: list[Closed] = []
    total: Natural = 0
    book: Natural = 0
    complete: bool = False


class Quote(Body, frozen=True):
    """QUOTE: bid and ask, and the tick's market time."""

    symbol: str
    bid: Number
    ask: Number
    time_ms: Natural = 0


class Spec(Body, frozen=True):
    """SYMBOL: grids and levels; volumes in lots, levels in points, `tick_value` of one point."""

    symbol: str
    digits: Annotated[int, Meta(ge=0, le=8)]
    point: Number
    volume_min: Number
    volume_max: Number
    volume_step: Number
    contract_size: Number
    stops_level: Natural = 0
    freeze_level: Natural = 0
    currency_base: str = ""
    currency_profit: str = ""
    tick_value: Number = "0"


class Margin(Body, frozen=True):
    """CHECK: what an OPEN would take, in account currency."""

    margin: Number
    free_margin: Number
    price: Number


class StateWord(Body, frozen=True):
    """The answer to HALT, REDUCE_ONLY and HEARTBEAT."""

    state: Literal["ACTIVE", "REDUCE_ONLY", "HALTED"]
    cause: str = ""


class Failure(Body, frozen=True):
    """What a query gets that cannot be answered: a code of protocol.md 8."""

    error: str


_T = TypeVar("_T", bound=Struct)


def read_body(kind: type[_T], body: bytes) -> _T | None:
    """Return the body, or None when it is not what was to come."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


# --- heads ---------------------------------------------------------------------------------

_INSTANCE = rb"([0-9a-f]{16})"
_N = rb"(0|[1-9][0-9]{0,17})"
_PRICE = rb"((?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,8})?)"
_SYMBOL = rb"([!#-9;-\[\]-~](?:[ !#-9;-\[\]-~]{0,29}[!#-9;-\[\]-~])?)"
_FROM_EA: Final = re.compile(
    rb"\A(?:(HELLO|BEAT|BYE):" + _INSTANCE
    + rb"|(BUSY):" + _N + rb":((?!0{32}\Z)[0-9a-f]{32})"
    + rb"|(ANSWER):" + _N
    + rb"|(EVENT)"
    + rb"|(TICK):" + _SYMBOL + rb":" + _PRICE + rb":" + _PRICE + rb":((?:0|[1-9][0-9]{0,13})))\Z"
)  # fmt: skip


class FromEa(NamedTuple):
    """A message of the EA: verb, its parts as text, body, and the frames of an EVENT."""

    verb: str
    parts: tuple[str, ...]
    body: bytes
    frames: Frames | None = None

    @property
    def number(self) -> int:
        """Return the request number of an ANSWER or BUSY; 0 is BUSY on the EA's own account."""
        return int(self.parts[0])

    @property
    def tick(self) -> tuple[str, Decimal, Decimal, int]:
        """Return symbol, bid, ask and market time of a TICK."""
        symbol, bid, ask, time_ms = self.parts
        return symbol, Decimal(bid), Decimal(ask), int(time_ms)


def parse_from_ea(parts: list[bytes]) -> FromEa | None:
    """Return the message behind the frames after the routing id, None if it is none.

    Exactly [empty]["ZTH5"][head][body], and for EVENT besides ["ZTB5"][token][body].
    """
    if len(parts) < 4 or parts[0] or parts[1] != limits.HOP_FRAME_TAG:
        return None
    head, body = parts[2], parts[3]
    if len(head) > limits.HOP_HEAD_BYTES_MAX or len(body) > limits.HOP_BODY_BYTES_MAX:
        return None
    found = _FROM_EA.match(head)
    if found is None:
        return None
    verb, *words = [group.decode("ascii") for group in found.groups() if group is not None]
    if verb != "EVENT":
        return FromEa(verb, tuple(words), body) if len(parts) == 4 else None
    if len(parts) != 7 or parts[4] != limits.FRAME_TAG:
        return None
    if len(parts[5]) > limits.TOKEN_BYTES_MAX or len(parts[6]) > limits.EVENT_BODY_BYTES_MAX:
        return None
    return FromEa(verb, (), body, Frames(parts[5], parts[6]))


def make_head(verb: str, *parts: str | int) -> bytes:
    """Return the head of a message to the EA.

    Raises:
        ValueError: it would be longer than a head may be, or is not ASCII.
    """
    head = ":".join([verb, *(str(part) for part in parts)]).encode("ascii")
    if len(head) > limits.HOP_HEAD_BYTES_MAX:
        raise ValueError("hop head too long")
    return head
