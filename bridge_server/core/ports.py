"""The seam to a broker: what a backend is given, what it may answer, what it shows.

One backend object lives in one worker thread and is called by it alone; a call may block as long
as its broker does. Domain numbers are exact decimals: volumes in lots, prices in quote currency,
money in account currency. Market time comes from the broker, wall time from the clock; a field
ending `_wall_ms` is wall time, every other time is market time; both are UTC ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Open, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import Tag
from bridge_core.protocol.views import StreamPoint
from bridge_core.risk.facts import Account, Identity, Pending, Position, Quote, SymbolSpec

__all__ = [
    "Account", "Backend", "Deal", "EndedOrder", "Executed", "Facts", "Identity", "Lost",
    "MarginEstimate", "NotBegun", "Outcome", "Pending", "Position", "Quote", "Reason", "Rejected",
    "Scan", "Snapshot", "Submission", "SymbolSpec", "blank",
]  # fmt: skip

ZERO = Decimal(0)


class Reason(StrEnum):
    """Why a position was closed."""

    SL = "SL"
    TP = "TP"
    STOP_OUT = "STOP_OUT"
    MANUAL = "MANUAL"
    OURS = "OURS"


class Deal(Struct, frozen=True, kw_only=True):
    """One execution; `ticket` is the position's, `magic` and `comment` those of the order.

    `entry` is IN or OUT, and where the broker knows them INOUT (it turned the position of a
    netting account) and OUT_BY (closed against another position).
    """

    deal: int
    ticket: int
    order: int
    symbol: str
    type: str
    entry: str
    volume: Decimal
    price: Decimal
    profit: Decimal = ZERO
    swap: Decimal = ZERO
    commission: Decimal = ZERO
    magic: int = 0
    comment: str = ""
    reason: str = ""
    time_ms: int = 0


class EndedOrder(Struct, frozen=True, kw_only=True):
    """An order that is no more: FILLED, CANCELLED or BROKER_EXPIRED.

    A pending order, or also a market order (`type` BUY or SELL) where the broker keeps these on
    record. `state` is the broker's own word for its end (REJECTED is a life CANCELLED). `filled`
    is the executed part of `volume` as the order itself says; a volume of 0: it is not told.
    `reason` is SL, TP or STOP_OUT if that is what placed it, else "". `last` is a pending order as
    it was at its end, None where that is not told.
    """

    ticket: int
    symbol: str
    life: str
    type: str = ""
    state: str = ""
    volume: Decimal = ZERO
    filled: Decimal = ZERO
    reason: str = ""
    magic: int = 0
    comment: str = ""
    time_ms: int = 0
    last: Pending | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """The account as last read; replaced as a whole, so any thread may hold one.

    `taken_wall_ms` 0: never read, and only the identity is known. `seen` are the numbers in the
    executor's own event streams that this picture contains. `zone_ms` is the broker's clock minus
    UTC as last confirmed, None while it was never.
    """

    taken_wall_ms: int
    market_ms: int
    connected: bool
    identity: Identity
    account: Account
    positions: Mapping[int, Position]
    orders: Mapping[int, Pending]
    quotes: Mapping[str, Quote]
    symbols: Mapping[str, SymbolSpec]
    note: str = ""
    seen: tuple[StreamPoint, ...] = ()
    zone_ms: int | None = 0


def blank(identity: Identity) -> Snapshot:
    """Return the picture of a terminal that was never read: `taken_wall_ms` is 0."""
    return Snapshot(
        taken_wall_ms=0,
        market_ms=0,
        connected=False,
        identity=identity,
        account=Account(balance=ZERO, equity=ZERO, margin=ZERO, free_margin=ZERO, profit=ZERO),
        positions={},
        orders={},
        quotes={},
        symbols={},
    )


class Submission(Struct, frozen=True, kw_only=True):
    """One order on its way to the broker, exactly as signed; handed over at most once.

    `frames` are the connector's original bytes (for an executor that verifies them itself);
    `magic` and `comment` are what the broker is to show. A FLATTEN child has a derived body.
    """

    rid: str
    op: Op
    body: Request
    frames: Frames
    tag: Tag
    magic: int
    comment: str
    deadline: Deadline


class Facts(Struct, frozen=True, kw_only=True):
    """What the broker's own records say happened, never what was asked for.

    `zone_ms` is the broker's clock minus UTC by which its times were read, 0 also if unknown.
    """

    symbol: str = ""
    type: str = ""
    ticket: int = 0
    deal: int = 0
    order: int = 0
    volume: Decimal = ZERO
    price: Decimal = ZERO
    close_price: Decimal = ZERO
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    profit: Decimal = ZERO
    swap: Decimal = ZERO
    commission: Decimal = ZERO
    remaining_volume: Decimal = ZERO
    remaining_ticket: int = 0
    retcode: int = 0
    market_ms: int = 0
    zone_ms: int = 0
    comment: str = ""


class Executed(Struct, frozen=True, kw_only=True):
    """FILLED, PARTIAL, WORKING or DONE. `record` and `record_mac` are the EA's word, if any."""

    status: Status
    facts: Facts
    code: ReasonCode = ReasonCode.NONE
    record: bytes = b""
    record_mac: str = "-"


class Rejected(Struct, frozen=True, kw_only=True):
    """The broker said no, by its allow-list of definite answers."""

    code: ReasonCode
    facts: Facts = Facts()
    record: bytes = b""
    record_mac: str = "-"


class NotBegun(Struct, frozen=True, kw_only=True):
    """Proven: no broker call began (deadline, CHANGED, PRICE_MOVED, ACCOUNT_MISMATCH …)."""

    refusal: Refusal
    record: bytes = b""
    record_mac: str = "-"


class Lost(Struct, frozen=True, kw_only=True):
    """Nobody knows: no answer, an unlisted answer, or a crash. Never "failed"."""

    cause: str


Outcome = Executed | Rejected | NotBegun | Lost


class Scan(Struct, frozen=True, kw_only=True):
    """The broker's records over an explicit window, for reconciliation.

    `complete` is True only if the terminal was connected to the right account and the whole
    window since `since_wall_ms` was asked for; only then may absence be concluded. On a netting
    account an OPEN may reduce or turn a position, so that its deals leave instead of entering.
    `orders_kept`: the broker keeps every order that ended on record, market orders too, so a deal
    or an end of which the order's own record is not shown yet is not the whole story. `zone_ms`
    is the broker's clock minus UTC, 0 also if unknown; while it is (`zone_known`), times are 0.
    """

    since_wall_ms: int
    taken_wall_ms: int
    complete: bool
    netting: bool = False
    orders_kept: bool = False
    zone_ms: int = 0
    zone_known: bool = True
    positions: tuple[Position, ...] = ()
    orders: tuple[Pending, ...] = ()
    deals: tuple[Deal, ...] = ()
    ended: tuple[EndedOrder, ...] = ()


class MarginEstimate(Struct, frozen=True, kw_only=True):
    """What an OPEN would take: margin and free margin afterwards, in account currency."""

    margin: Decimal
    free_margin: Decimal
    price: Decimal


class Backend(Protocol):
    """One platform. Every method is called by the one worker thread that owns it.

    A backend reads no configuration of the order path and judges no policy; it checks, just
    before it acts, what only it can see (deadline, identity, stops, price) and acts once.
    """

    name: str
    settle_ms: int
    attests: bool
    pump_interval_ms: int
    comment_chars: int

    def start(self) -> Identity:
        """Connect and say which account this is.

        Raises:
            ConfigError: it can never work as configured.
            TransportError: the terminal or broker is away.
        """

    def execute(self, submission: Submission) -> Outcome:
        """Carry out OPEN, CLOSE, MODIFY or CANCEL, at most one broker call, no retry."""

    def check(self, order: Open) -> MarginEstimate | Refusal:
        """Estimate the margin of an OPEN; nothing is sent."""

    def scan(self, since_wall_ms: int) -> Scan:
        """Read the broker's records from the given wall time on."""

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals of a range of market time (until 0: now)."""

    def pump(self) -> list[EventBody]:
        """Take in what happened since the last call; called between orders, never blocks long."""

    def snapshot(self) -> Snapshot:
        """Return the account as last read; cheap."""

    def close(self) -> None:
        """Let go of the terminal; nothing is left half done."""
