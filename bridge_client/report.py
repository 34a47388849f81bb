"""One day of one account: rows of orders and records in, a report out.

Pure. It counts and compares what somebody wrote down; where nobody did it says so instead of
guessing. Times are UTC ms, slippage in points with positive = worse, latency in ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from bridge_client.report_math import median, slippage_points, spread
from bridge_client.report_rows import (
    DayFigures,
    DayOrder,
    LatencyRow,
    LimitTouched,
    Outage,
    OutcomeCount,
    Refusals,
    SlippageRow,
    StateChange,
    UnknownOrder,
    Word,
)  # fmt: skip
from bridge_core.protocol.chain import Record

__all__ = [
    "OPERATORS", "figures", "latencies", "limits_touched", "orders_by_outcome", "outages",
    "ran_percent", "refusals", "slippage", "state_changes", "unknown_orders", "words",
]  # fmt: skip

_FILLS: Final = ("FILLED", "PARTIAL")
_LIMITS: Final = frozenset(
    {
        "MAX_VOLUME",
        "MAX_POSITIONS",
        "MAX_ORDERS",
        "MAX_DEVIATION",
        "RATE",
        "TTL_TOO_LONG",
        "NO_LIMIT",
    }
)
_NONE: Final = ("", "-")
OPERATORS: Final = ("RESUME", "SETTLE")


_Counts = Mapping[tuple[str, str, str], int]


def figures(
    orders: Sequence[DayOrder],
    records: Sequence[tuple[int, Record]],
    around: tuple[Record | None, Record | None],
    points: Mapping[str, Decimal],
    local: _Counts,
) -> DayFigures:
    """Return everything that is computed of a day; `around` are the records before and after."""
    return DayFigures(
        orders=orders_by_outcome(orders),
        refusals=refusals(orders, local),
        slippage=slippage(orders, points),
        measured_by=dict(Counter(one.measured_by for one in _filled(orders) if one.measured_by)),
        latency=latencies(orders),
        limits=limits_touched(orders, local),
        unknown=unknown_orders(records, orders),
        words=words(records),
        states=state_changes(records),
        outages=outages(records, *around),
    )


# --- orders -------------------------------------------------------------------------------------


def orders_by_outcome(orders: Iterable[DayOrder]) -> list[OutcomeCount]:
    """Return how many orders ended how, most frequent first within an operation.

    An operator's words are no orders; a FLATTEN's children are counted by themselves.
    """
    counts = Counter(
        (f"{order.op} of FLATTEN" if order.parent else order.op, order.status)
        for order in orders
        if order.op not in OPERATORS
    )
    return [OutcomeCount(op, s, n) for (op, s), n in sorted(counts.items(), key=_by_op)]


def _by_op(item: tuple[tuple[str, str], int]) -> tuple[str, int, str]:
    (op, status), count = item
    return op, -count, status


def refusals(orders: Iterable[DayOrder], local: _Counts) -> list[Refusals]:
    """Return the refusals by code and by whom, most frequent first.

    `local` counts what the connector refused unsigned, by (code, symbol, bound).
    """
    counts: Counter[tuple[str, str]] = Counter()
    for order in orders:
        if order.status in ("DENIED", "REJECTED"):
            by = order.by or ("broker" if order.status == "REJECTED" else "server")
            counts[order.code, by] += 1
    for (code, _, _), count in local.items():
        counts[code, "connector"] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Refusals(code, by, count) for (code, by), count in ordered]


def limits_touched(orders: Iterable[DayOrder], local: _Counts) -> list[LimitTouched]:
    """Return which limits refused something, most frequent first."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for order in orders:
        if order.status == "DENIED" and order.code in _LIMITS:
            counts[order.code, order.symbol, order.limit, order.by or "server"] += 1
    for (code, symbol, bound), count in local.items():
        if code in _LIMITS:
            counts[code, symbol, bound, "connector"] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [LimitTouched(c, s, bound, count, by) for (c, s, bound, by), count in ordered]


# --- fills --------------------------------------------------------------------------------------


def slippage(orders: Iterable[DayOrder], points: Mapping[str, Decimal]) -> list[SlippageRow]:
    """Return the slippage of each symbol's fills; `points` is the size of a point by symbol."""
    fills: dict[str, list[DayOrder]] = {}
    for order in _filled(orders):
        fills.setdefault(order.symbol, []).append(order)
    return [_slipped(symbol, rows, points.get(symbol)) for symbol, rows in sorted(fills.items())]


def _filled(orders: Iterable[DayOrder]) -> Iterable[DayOrder]:
    return (one for one in orders if one.status in _FILLS and one.op in ("OPEN", "CLOSE"))


def _slipped(symbol: str, rows: list[DayOrder], point: Decimal | None) -> SlippageRow:
    known: list[tuple[Decimal, str]] = []
    for row in rows:
        if point is not None:
            found = slippage_points(row.op, row.type, row.price, row.reference, point)
            known += [] if found is None else [(found, row.client_order_id or row.rid)]
    if not known:
        return SlippageRow(symbol, len(rows), 0)
    values = [value for value, _ in known]
    worst, order = max(known, key=lambda pair: pair[0])
    order = order if worst > 0 else ""
    mean = sum(values, Decimal(0)) / len(values)
    return SlippageRow(
        symbol, len(rows), len(known), _points(mean), _points(median(values)), _points(worst), order
    )


def _points(value: Decimal) -> str:
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def latencies(orders: Iterable[DayOrder]) -> list[LatencyRow]:
    """Return what each part of the way took, over the orders that have both of its times."""
    rows = list(orders)
    ways = (
        ("connector to server", "both clocks", _gaps(rows, "sent_ms", "accepted_ms")),
        ("server, until handed on", "server", _gaps(rows, "accepted_ms", "dispatched_ms")),
        ("server to broker and back", "server",
         [row.executor_ms for row in rows if row.executor_ms is not None]),
        ("server, accepted to ended", "server", _gaps(rows, "accepted_ms", "ended_ms")),
        ("sent to known here", "connector", _gaps(rows, "sent_ms", "heard_ms")),
    )  # fmt: skip
    found = [(hop, clock, spread(numbers)) for hop, clock, numbers in ways]
    return [LatencyRow(hop, clock, *one) for hop, clock, one in found if one is not None]


def _gaps(rows: Sequence[DayOrder], start: str, end: str) -> list[float]:
    pairs = ((getattr(row, start), getattr(row, end)) for row in rows)
    return [float(until - since) for since, until in pairs if since and until]


# --- the record ---------------------------------------------------------------------------------


def unknown_orders(
    records: Iterable[tuple[int, Record]], orders: Iterable[DayOrder]
) -> list[UnknownOrder]:
    """Return the orders that became UNKNOWN in these records, oldest first, and what ended each.

    One whose end is in no record here is looked up among `orders`, which may know a later one.
    """
    by_rid = {order.rid: order for order in orders}
    begun: dict[str, int] = {}
    ended: dict[str, Record] = {}
    for _, record in records:
        if record.state == "UNKNOWN":
            begun[record.rid] = record.ts
        elif record.state and record.rid in begun:
            ended[record.rid] = record
    return [_unknown(rid, since, ended.get(rid), by_rid.get(rid)) for rid, since in begun.items()]


def _unknown(rid: str, since: int, end: Record | None, order: DayOrder | None) -> UnknownOrder:
    name = order.client_order_id if order is not None else ""
    if end is not None:
        evidence = end.data.get("evidence", "")
        return UnknownOrder(rid, name, since, end.ts, end.state, end.code, evidence)
    if order is None or not order.ended_ms:
        return UnknownOrder(rid, name, since, 0, "UNKNOWN", "", "")
    code = "" if order.code in _NONE else order.code
    return UnknownOrder(rid, name, since, order.ended_ms, order.status, code, order.evidence)


def words(records: Iterable[tuple[int, Record]]) -> list[Word]:
    """Return what operators said."""
    return [
        Word(
            record.ts, record.kind,
            record.data.get("cause") or f"{record.data.get('subject', '')} is "
            f"{record.data.get('status', '')}",
            record.data.get("reason", ""), n,
        )
        for n, record in records
        if record.kind in OPERATORS and record.state == "DONE"
    ]  # fmt: skip


def state_changes(records: Iterable[tuple[int, Record]]) -> list[StateChange]:
    """Return who lowered the trading state and who ended a latch."""
    found = []
    for n, record in records:
        if record.kind == "STATE":
            found.append(StateChange(record.ts, record.data.get("state", ""),
                                     record.data.get("reason", ""), n))  # fmt: skip
        elif record.kind == "RESUME" and record.state == "DONE":
            cause = record.data.get("cause", "")
            found.append(StateChange(record.ts, f"{cause} ended", record.data.get("reason", ""), n))
    return found


def outages(
    records: Sequence[tuple[int, Record]], before: Record | None, after: Record | None = None
) -> list[Outage]:
    """Return when the server was not running: from its last record to its next START.

    `before` is the record before the first, `after` the one after the last, None if there is none.
    """
    found = []
    last = before
    for record in (*(record for _, record in records), after):
        if record is not None and record.kind == "START" and last is not None:
            clean = last.kind == "STOP" and last.data.get("clean") == "yes"
            away_ms = max(0, record.ts - last.ts)
            found.append(Outage(last.ts, record.ts, away_ms, clean))
        last = record if record is not None else last
    return found


def ran_percent(away: Iterable[Outage], since_ms: int, until_ms: int) -> float | None:
    """Return how much of a time (UTC ms) the server was running, None of no time at all."""
    whole = until_ms - since_ms
    if whole <= 0:
        return None
    lost = (min(one.until, until_ms) - max(one.since, since_ms) for one in away)
    return round(100 * (1 - min(whole, sum(max(0, ms) for ms in lost)) / whole), 2)
