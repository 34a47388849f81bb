"""The daily report as one screen: a table for each thing that happened, none for what did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bridge_client.cli.output import age, moment

if TYPE_CHECKING:
    from bridge_client.cli.output import Console
    from bridge_client.cli.report_gather import ServerDay
    from bridge_client.report_rows import DayFigures

__all__ = ["show"]


def show(
    out: Console, facts: Mapping[str, object], found: DayFigures, server: ServerDay | None
) -> None:
    """Print it."""
    clients = facts["clients"]
    out.fields(
        [
            ("day", f"{facts['day']} UTC"),
            ("account", f"{facts['account']} {facts['mode']}"),
            ("state now", facts["state"]),
            ("clients here", " ".join(clients) if isinstance(clients, list) else ""),
            ("server ran", _ran(facts["server_ran_percent"])),
            ("record", _record(server) if server is not None else "not checked"),
        ]
    )
    _orders(out, found)
    if server is not None:
        _hops(out, server)
    _happened(out, found)
    if server is not None:
        _table(out, ("HEADROOM NOW", "SYMBOL", "VALUE", "USED", "LEFT"), [
            (row.name, row.symbol, row.value, row.used, row.headroom) for row in server.nearest()
        ])  # fmt: skip


def _ran(percent: object) -> str:
    return "" if percent is None else f"{percent} % of the time that its record covers"


def _record(server: ServerDay) -> str:
    verdict = server.record.verdict
    if verdict.fault:
        return f"does NOT hold: record {verdict.first_bad}: {verdict.fault}"
    if server.latched:
        return f"does NOT hold: {server.latched} is latched here"
    if not verdict.records:
        return "no records on this day"
    head = f"head {verdict.head.size} {verdict.head.hash.hex()[:16]}"
    heads = f"{verdict.agreed} remembered heads agree" if verdict.agreed else "no head remembered"
    return f"verified, {verdict.records} records, {head}; {heads}"


def _table(out: Console, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        out.line()
        out.table(head, rows)


def _orders(out: Console, found: DayFigures) -> None:
    by_op: dict[str, list[str]] = {}
    for row in found.orders:
        by_op.setdefault(row.op, []).append(f"{row.count} {row.status}")
    if not by_op:
        out.line()
        out.line("no orders on this day")
    _table(out, ("ORDERS", "OUTCOMES"), [(op, ", ".join(told)) for op, told in by_op.items()])
    _table(out, ("REFUSED", "BY", "TIMES"), [(r.code, r.by, r.count) for r in found.refusals])
    _table(out, ("FILLS, POINTS", "N", "KNOWN", "MEAN", "MEDIAN", "WORST", "WORST ORDER"), [
        (r.symbol, r.fills, r.known, r.mean, r.median, r.worst, r.worst_order)
        for r in found.slippage
    ])  # fmt: skip
    _table(out, ("LATENCY, MS", "N", "MIN", "MEDIAN", "P99", "MAX", "CLOCK"), [
        (r.hop, r.n, *(f"{value:.1f}" for value in (r.low, r.median, r.p99, r.high)), r.clock)
        for r in found.latency
    ])  # fmt: skip


def _hops(out: Console, server: ServerDay) -> None:
    # Of the way to the server the server has the history; ours says whether it is down.
    shown = [hop for hop in server.health.hops if hop.availability is not None or hop.state != "up"]
    _table(out, ("HOP", "NOW", "24 H", "SINCE START"), [
        (hop.hop, hop.state, _percent(hop.availability_24h), _percent(hop.availability))
        for hop in shown
    ])  # fmt: skip


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:g} %"


def _happened(out: Console, found: DayFigures) -> None:
    _table(out, ("SERVER AWAY", "UNTIL", "FOR", "HOW"), [
        (moment(one.since), moment(one.until), age(one.ms),
         "stopped" if one.clean else "killed or crashed: at most so long")
        for one in found.outages
    ])  # fmt: skip
    _table(out, ("LIMIT TOUCHED", "SYMBOL", "BOUND", "TIMES", "BY"), [
        (one.code, one.symbol, one.limit, one.count, one.by) for one in found.limits
    ])  # fmt: skip
    _table(out, ("UNKNOWN", "SINCE", "FOR", "ENDED", "EVIDENCE"), [
        (one.client_order_id or one.rid, moment(one.since),
         age(one.until - one.since) if one.until else "",
         f"{one.status} {one.code}".strip() if one.until else "not yet", one.evidence)
        for one in found.unknown
    ])  # fmt: skip
    said = [(one.time, one.state, one.reason, one.record) for one in found.states]
    # A RESUME is among the states already.
    said += [(w.time, f"{w.op} {w.about}", w.reason, w.record) for w in found.words
             if w.op == "SETTLE"]  # fmt: skip
    _table(out, ("TRADING STATE, OPERATOR", "TIME", "REASON", "RECORD"), [
        (what, moment(at), reason, n) for at, what, reason, n in sorted(said)
    ])  # fmt: skip
