"""What the daily report is made from: the server's journal and record, and the journals here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge_client.cli.audit_log import LogReader, record_of_row
from bridge_client.cli.journals import DayRow, Remembered
from bridge_client.report_rows import DayOrder
from bridge_core.protocol.chain import ChainFault, Head, Record, verify_range
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.messages import GetRange, Query
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import JournalPage, LogRow, OrderView, Page, dec

if TYPE_CHECKING:
    from bridge_client.connector import Connector
    from bridge_client.views import Health
    from bridge_core.protocol.views import LimitView

__all__ = [
    "RECORDS_MAX", "DayRecord", "ServerDay", "Verdict", "ask_day", "day_orders", "verdict_of",
]  # fmt: skip

RECORDS_MAX: Final = 100_000  # of a day: 200 pages of GET_LOG
_LINK_MAX: Final = 5_000  # records between the day and a remembered head
_PAGES_MAX: Final = 400
_NEAREST: Final = 5


class Verdict(NamedTuple):
    """Whether the day's records chain: which were recomputed, up to which head.

    `since` is the remembered head that they extend, `until` one that they lead to, None if none
    is near; `agreed` counts the remembered heads on the way. `fault` is "" or what is wrong,
    `first_bad` the first index that does not hold.
    """

    first: int
    records: int
    head: Head
    since: Head | None
    until: Head | None
    agreed: int = 0
    fault: str = ""
    first_bad: int = 0


class DayRecord(NamedTuple):
    """The day's part of the server's record, the records around it, and the verdict."""

    rows: list[tuple[int, Record]]
    around: tuple[Record | None, Record | None]
    begins_ms: int
    verdict: Verdict
    cut: bool


class ServerDay(NamedTuple):
    """What the server shows of a day, and of itself now."""

    orders: list[OrderView]
    record: DayRecord
    points: dict[str, Decimal]
    limits: list[LimitView]
    health: Health
    latched: str

    @property
    def verified(self) -> bool:
        """Whether the day's record holds, and no client here has latched a fork."""
        return not self.record.verdict.fault and not self.latched

    def nearest(self) -> list[LimitView]:
        """Return the limits that have the least left of them, in proportion."""
        near = [(_left(row), row) for row in self.limits if row.headroom and row.used]
        near.sort(key=lambda pair: pair[0])
        return [row for _, row in near[:_NEAREST]]


def _left(row: LimitView) -> Decimal:
    """Return what is left of a limit in proportion; its value may be a percentage of a base."""
    used, left = dec(row.used), dec(row.headroom)
    whole = used if row.name.startswith("min_") else used + left
    return left / whole if whole else Decimal(0)


# --- the server -------------------------------------------------------------------------------


def ask_day(
    bridge: Connector, bounds: tuple[int, int], memories: Iterable[Remembered]
) -> ServerDay:
    """Return what the server shows of the time between two moments (UTC ms).

    Raises:
        TransportError: nobody answered.
        BridgeError: the server refused a question.
    """
    everything = Query(symbol="", since=0, until=0, first=0, count=0)
    orders = list(_orders(bridge, bounds))
    symbols = bridge.ask(Op.GET_SYMBOL, everything, Page).symbols
    memories = list(memories)
    return ServerDay(
        orders=orders,
        record=_record(LogReader(bridge), bounds, memories),
        points={one.symbol: dec(one.point) for one in symbols},
        limits=bridge.ask(Op.GET_LIMITS, everything, Page).limits,
        health=bridge.health(),
        latched=" ".join(sorted({name for one in memories for name in one.latches})),
    )


def _orders(bridge: Connector, bounds: tuple[int, int]) -> Iterator[OrderView]:
    start, end = bounds
    first = 0
    for _ in range(_PAGES_MAX):
        body = GetRange(since=start, first=first, count=0)
        page = bridge.ask(Op.GET_JOURNAL, body, JournalPage)
        for view in page.orders:
            if view.accepted_at < end:
                yield view
        first += len(page.orders)
        if not page.orders or first >= page.total or page.orders[-1].accepted_at >= end:
            return
    raise RemoteProtocolError("JOURNAL_PAGE", f"rows={first} why='it does not end'")


def _record(
    reader: LogReader, bounds: tuple[int, int], memories: Iterable[Remembered]
) -> DayRecord:
    first, after = (reader.first_since(ms) for ms in bounds)
    last = min(after - 1, first + RECORDS_MAX - 1)
    rows = reader.rows(first, last)
    around = [reader.rows(n, n) if n else [] for n in (first - 1, last + 1)]
    oldest = reader.rows(1, 1)
    return DayRecord(
        rows=[(row.n, record_of_row(row)) for row in rows],
        around=(_only(around[0]), _only(around[1])),
        begins_ms=record_of_row(oldest[0]).ts if oldest else 0,
        verdict=verdict_of(reader, (first, last), memories),
        cut=last < after - 1,
    )


def _only(rows: list[LogRow]) -> Record | None:
    return record_of_row(rows[0]) if rows else None


def verdict_of(reader: LogReader, day: tuple[int, int], memories: Iterable[Remembered]) -> Verdict:
    """Return whether the records `day` (first, last) chain, from and to remembered heads.

    Raises:
        TransportError: nobody answered.
        BridgeError: the server refused a question.
    """
    first, last = day
    known = {pair.size: pair.hash for one in memories for pair in one.pairs if pair.size}
    since = _near(known, max((n for n in known if n < first), default=0), first - 1)
    until = _near(known, min((n for n in known if n >= last), default=0), last)
    start = since or Head(first - 1, bytes.fromhex(reader.prev(first)))
    rows = reader.rows(start.size + 1, until.size if until is not None else last)
    count = max(0, last - first + 1)
    end = verify_range(start, map(_hashed, rows))
    if isinstance(end, ChainFault):
        return Verdict(first, count, start, since, until, 0, end.why, end.n)
    mine = [row for row in rows if row.n in known]
    for row in mine:
        if known[row.n].hex() != row.hash:
            why = "it is not the one that this machine remembers"
            return Verdict(first, count, end, since, until, 0, why, row.n)
    wanted = until.size if until is not None else last
    if count and end.size != wanted:
        return Verdict(first, count, end, since, until, 0, "it is missing", end.size + 1)
    return Verdict(first, count, end, since, until, len(mine) + (since is not None))


def _near(known: Mapping[int, bytes], size: int, to: int) -> Head | None:
    return Head(size, known[size]) if size and abs(size - to) <= _LINK_MAX else None


def _hashed(row: LogRow) -> tuple[int, bytes, bytes]:
    try:
        return row.n, row.record.encode("utf-8"), bytes.fromhex(row.hash)
    except ValueError:
        return row.n, b"", b""  # no hash: the chain breaks here


# --- both together ----------------------------------------------------------------------------


def day_orders(
    bounds: tuple[int, int], local: Iterable[DayRow], server: ServerDay | None
) -> list[DayOrder]:
    """Return the day's orders, the server's word before the connector's, oldest first."""
    mine = {row.rid: row for row in local}
    shown = {view.rid: view for view in server.orders} if server is not None else {}
    dispatched = {
        record.rid: record.ts
        for _, record in (server.record.rows if server is not None else ())
        if record.state == "DISPATCHING"
    }
    found = []
    for rid in dict.fromkeys((*mine, *shown)):
        row = mine.get(rid)
        view = shown.get(rid) or (row.view if row is not None else None)
        if view is None:
            continue
        at = view.accepted_at or (row.sent_ms if row is not None else 0)
        if bounds[0] <= at < bounds[1]:
            found.append((at, _day_order(view, row, dispatched.get(rid, 0))))
    return [order for _, order in sorted(found, key=lambda pair: pair[0])]


def _day_order(view: OrderView, row: DayRow | None, dispatched_ms: int) -> DayOrder:
    reference, measured_by = _reference(view, row)
    price = view.close_price if view.op == Op.CLOSE else view.price
    return DayOrder(
        rid=view.rid,
        client_order_id=view.client_order_id,
        client=view.client or (row.client if row is not None else ""),
        parent=view.parent,
        op=view.op,
        type=view.type,
        symbol=view.symbol,
        status=view.status,
        code=view.code,
        by=view.by,
        evidence=view.evidence,
        life=view.life,
        limit=view.limit,
        headroom=view.headroom,
        price=dec(price),
        reference=reference,
        measured_by=measured_by,
        sent_ms=row.sent_ms if row is not None else 0,
        heard_ms=row.heard_ms if row is not None else 0,
        accepted_ms=view.accepted_at,
        dispatched_ms=dispatched_ms,
        ended_ms=view.ended_at,
        executor_ms=float(view.server_ms) if view.server_ms else None,
    )


def _reference(view: OrderView, row: DayRow | None) -> tuple[Decimal, str]:
    """Return the price to measure a fill by: the signed one, else the quote at signing."""
    signed = dec(view.requested_price) if view.op == Op.OPEN else Decimal(0)
    if signed:
        return signed, "signed"
    if row is None or not row.bid or view.op not in (Op.OPEN, Op.CLOSE):
        return Decimal(0), ""
    buys = view.type.startswith("BUY") == (view.op == Op.OPEN)
    return dec(row.ask if buys else row.bid), "quote"
