"""Request bodies: frozen closed structs and their one strict codec.

Request bodies are one flat JSON object whose bytes are accepted only if decoding and encoding
again gives the same bytes (protocol.md 5). Decimals travel as text: `"0.10"` stays ten
hundredths.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from bridge_core.protocol import limits
from bridge_core.protocol.errors import LocalProtocolError

__all__ = [
    "Cancel", "Close", "Fence", "Flatten", "GetRange", "GetStatus", "Heartbeat", "Hello", "Modify",
    "Open", "OrderType", "Query", "Request", "Resume", "Settle", "Stop", "decode_body",
    "encode_body",
]  # fmt: skip

_C: Final = r"[!#-9;-\[\]-~]"  # printable, without space, quote, colon, backslash
_CS: Final = r"[ !#-9;-\[\]-~]"

DECIMAL_PATTERN: Final = r"\A(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?\Z"

DecimalText = Annotated[str, Meta(pattern=DECIMAL_PATTERN)]
Rid = Annotated[str, Meta(pattern=r"\A(?!0{32}\Z)[0-9a-f]{32}\Z")]
RidOrNone = Annotated[str, Meta(pattern=r"\A(|(?!0{32}\Z)[0-9a-f]{32})\Z")]
Incarnation = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
OrderId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,36}\Z")]
OrderIdOrNone = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{0,36}\Z")]
ClientName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,36}\Z")]
SymbolText = Annotated[str, Meta(pattern=rf"\A{_C}({_CS}{{0,29}}{_C})?\Z")]
SymbolOrNone = Annotated[str, Meta(pattern=rf"\A({_C}({_CS}{{0,29}}{_C})?)?\Z")]
Comment = Annotated[str, Meta(pattern=r"\A[ !#-\[\]-~]{0,64}\Z")]
Reason = Annotated[str, Meta(pattern=r"\A[ !#-\[\]-~]{0,128}\Z")]
Word = Annotated[str, Meta(pattern=r"\A[A-Z][A-Z0-9_]{0,31}\Z")]
Ticket = Annotated[int, Meta(ge=1, le=limits.TICKET_MAX)]
TicketOrNone = Annotated[int, Meta(ge=0, le=limits.TICKET_MAX)]
Points = Annotated[int, Meta(ge=0, le=limits.DEVIATION_POINTS_MAX)]
Strategy = Annotated[int, Meta(ge=0, le=limits.STRATEGY_MAX)]
TimeMs = Annotated[int, Meta(ge=0, le=9_999_999_999_999)]
Count = Annotated[int, Meta(ge=0, le=limits.PAGE_ROWS_MAX)]
Index = Annotated[int, Meta(ge=0, le=limits.TICKET_MAX)]

OrderType = Literal["BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"]
Scope = Literal["PENDINGS", "POSITIONS", "ALL"]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any request body. The order of the fields is the order on the wire."""


class Hello(Request, frozen=True):
    """HELLO, PING, HEALTH: who asks, and when (UTC ms on its own clock)."""

    client: ClientName
    version: ClientName
    sent: TimeMs


class Query(Request, frozen=True):
    """Every GET_* that reads the broker's side, and SYNC_ALL. `count` 0 means the server's page."""

    symbol: SymbolOrNone
    since: TimeMs = field(name="from")
    until: TimeMs = field(name="to")
    first: Index
    count: Count


class GetStatus(Request, frozen=True):
    """One order, by exactly one of the two ids."""

    rid: RidOrNone
    client_order_id: OrderIdOrNone

    def __post_init__(self) -> None:
        """Refuse both and neither, here and while decoding."""
        if bool(self.rid) == bool(self.client_order_id):
            raise ValueError("exactly one of rid and client_order_id")


class GetRange(Request, frozen=True):
    """GET_JOURNAL (rows accepted since, UTC ms) and GET_LOG (records from index `first`)."""

    since: TimeMs
    first: Index
    count: Count


class Open(Request, frozen=True):
    """Open a position or place a pending order; CHECK asks what OPEN would get."""

    client_order_id: OrderId
    client: ClientName
    symbol: SymbolText
    type: OrderType
    volume: DecimalText
    price: DecimalText
    sl: DecimalText
    tp: DecimalText
    deviation: Points
    expiration: TimeMs
    stops_fail: Literal["KEEP", "CLOSE"]
    strategy: Strategy
    comment: Comment


Check = Open


class Close(Request, frozen=True):
    """Close a position; volume "0" closes all of it."""

    client_order_id: OrderId
    client: ClientName
    ticket: Ticket
    symbol: SymbolText
    volume: DecimalText
    deviation: Points


class Modify(Request, frozen=True):
    """Set sl and tp; price "0" leaves a pending order's price and expiration as they are."""

    client_order_id: OrderId
    client: ClientName
    ticket: Ticket
    price: DecimalText
    sl: DecimalText
    tp: DecimalText
    old_sl: DecimalText
    old_tp: DecimalText
    expiration: TimeMs


class Cancel(Request, frozen=True):
    """Remove a pending order."""

    client_order_id: OrderId
    client: ClientName
    ticket: Ticket


class Flatten(Request, frozen=True):
    """Cancel pending orders and close positions; empty symbol means all symbols."""

    client_order_id: OrderId
    client: ClientName
    scope: Scope
    symbol: SymbolOrNone
    reason: Reason


class Fence(Request, frozen=True):
    """Make sure that a request never runs: its rid, the incarnation, time and symbol it signed."""

    rid: Rid
    inc: Incarnation
    iat: TimeMs
    symbol: SymbolOrNone


class Stop(Request, frozen=True):
    """HALT and REDUCE_ONLY."""

    reason: Reason


class Heartbeat(Request, frozen=True):
    """The dead-man's switch: each sequence exceeds the last."""

    sequence: Index


class Resume(Request, frozen=True):
    """End one latch."""

    cause: Word
    reason: Reason


class Settle(Request, frozen=True):
    """An operator's word on an UNKNOWN order."""

    rid: Rid
    status: Literal["FILLED", "PARTIAL", "WORKING", "DONE", "REJECTED", "DENIED"]
    ticket: TicketOrNone
    reason: Reason


# --- the codec -----------------------------------------------------------------------------

_BODY_BYTES: Final = re.compile(rb"\A[\x20-\x5b\x5d-\x7e]*\Z")
_encoder: Final = msgspec.json.Encoder()
_decoders: Final[dict[type[Request], msgspec.json.Decoder[Request]]] = {}
_T = TypeVar("_T", bound=Request)


def _decoder(kind: type[Request]) -> msgspec.json.Decoder[Request]:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder


def encode_body(body: Request) -> bytes:
    """Return the exact bytes to sign.

    Raises:
        LocalProtocolError: a field breaks its own pattern or bound; names the field.
    """
    kind = type(body)
    try:
        raw = _encoder.encode(body)
    except (TypeError, ValueError, OverflowError) as error:  # an object, a lone surrogate
        raise LocalProtocolError("BODY", f"op={kind.__name__} why={str(error)!r}") from error
    # Equal, not only legal: msgspec writes bytes as base64, which would be another symbol.
    if decode_body(kind, raw) != body:
        raise LocalProtocolError("BODY", _explain(kind, raw))
    return raw


def decode_body(kind: type[_T], body: bytes) -> _T | None:
    """Return the request, or None unless the bytes are the one legal encoding of it."""
    if len(body) > limits.BODY_BYTES_MAX or _BODY_BYTES.match(body) is None:
        return None
    try:
        request = _decoder(kind).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(request, kind) or _encoder.encode(request) != body:
        return None
    return request


def _explain(kind: type[Request], raw: bytes) -> str:
    try:
        _decoder(kind).decode(raw)
    except msgspec.MsgspecError as error:
        return f"op={kind.__name__} why={str(error)!r}"
    return f"op={kind.__name__} why='a field has another type than the body asks for'"
