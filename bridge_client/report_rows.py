"""What the daily report is made of: orders in, and one row for each thing it shows.

Times are UTC ms, slippage in points with positive = worse, latency in ms.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

__all__ = [
    "DayFigures", "DayOrder", "LatencyRow", "LimitTouched", "Outage", "OutcomeCount", "Refusals",
    "SlippageRow", "StateChange", "UnknownOrder", "Word",
]  # fmt: skip


class DayOrder(Struct, frozen=True, kw_only=True):
    """One order of the day, as far as the connector's journal and the server know it.

    0 and None mean not known. `heard_ms` and `sent_ms` are this machine's clock, the others the
    server's; `executor_ms` is what the call at the broker took; `reference` the price that the
    fill is measured by, and `measured_by` where it comes from: signed, quote.
    """

    rid: str
    client_order_id: str = ""
    client: str = ""
    parent: str = ""
    op: str = ""
    type: str = ""
    symbol: str = ""
    status: str = ""
    code: str = ""
    by: str = ""
    evidence: str = ""
    life: str = ""
    limit: str = ""
    headroom: str = ""
    price: Decimal = Decimal(0)
    reference: Decimal = Decimal(0)
    measured_by: str = ""
    sent_ms: int = 0
    heard_ms: int = 0
    accepted_ms: int = 0
    dispatched_ms: int = 0
    ended_ms: int = 0
    executor_ms: float | None = None


class Refusals(Struct, frozen=True):
    """How often a code was given, and by whom."""

    code: str
    by: str
    count: int


class SlippageRow(Struct, frozen=True):
    """The fills of a symbol: how many, of how many the slippage is known, and the points.

    mean, median and worst are texts with one decimal, "-" where none is known.
    """

    symbol: str
    fills: int
    known: int
    mean: str = "-"
    median: str = "-"
    worst: str = "-"
    worst_order: str = ""


class LatencyRow(Struct, frozen=True):
    """What one part of the way took (ms) over `n` orders, and whose clocks say so."""

    hop: str
    clock: str
    n: int
    low: float
    median: float
    p99: float
    high: float


class LimitTouched(Struct, frozen=True):
    """A limit that refused something: its bound as the refusals named it, and how often."""

    code: str
    symbol: str
    limit: str
    count: int
    by: str


class Outage(Struct, frozen=True):
    """The server wrote no record for `ms`; an upper bound when it did not write its stop either."""

    since: int
    until: int
    ms: int
    clean: bool


class UnknownOrder(Struct, frozen=True):
    """An order that was UNKNOWN: since when, until when (0: it still is), and what ended it."""

    rid: str
    client_order_id: str
    since: int
    until: int
    status: str
    code: str
    evidence: str


class Word(Struct, frozen=True):
    """An operator's word: SETTLE or RESUME, about what, and why."""

    time: int
    op: str
    about: str
    reason: str
    record: int


class StateChange(Struct, frozen=True):
    """Somebody stopped trading or let it go on."""

    time: int
    state: str
    reason: str
    record: int


class OutcomeCount(Struct, frozen=True):
    """How many orders of an operation ended in a status."""

    op: str
    status: str
    count: int


class DayFigures(Struct, frozen=True, kw_only=True):
    """Everything that is computed of a day.

    `measured_by` counts the fills that are measured by a signed price, and by a quote.
    """

    orders: list[OutcomeCount]
    refusals: list[Refusals]
    slippage: list[SlippageRow]
    measured_by: dict[str, int]
    latency: list[LatencyRow]
    limits: list[LimitTouched]
    unknown: list[UnknownOrder]
    words: list[Word]
    states: list[StateChange]
    outages: list[Outage]
