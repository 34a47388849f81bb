"""The end of a demo: its facts as one value, and how a person reads them in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from msgspec import Struct

from bridge_client.cli.output import Console
from bridge_client.demo.acts import Act
from bridge_client.demo.recheck import RecordCheck
from bridge_client.evidence import Promise

__all__ = ["Latency", "Money", "OrderLine", "Report", "latency_of", "show"]

_WIDTH: Final = 80


class Latency(Struct, frozen=True, kw_only=True):
    """Round trips in ms: how many, the median, the 99th percentile."""

    count: int
    median: float
    p99: float


class Money(Struct, frozen=True, kw_only=True):
    """The account's result, in account currency; trades are closings."""

    currency: str
    start: str
    end: str
    result: str
    trades: int
    won: int
    by_reason: dict[str, int]


class OrderLine(Struct, frozen=True, kw_only=True):
    """One order as it can be compared between two runs: no ticket, no time."""

    id: str
    row: int
    op: str
    type: str
    volume: str
    price: str
    sl: str
    tp: str
    status: str
    code: str
    by: str
    profit: str


class Report(Struct, frozen=True, kw_only=True):
    """Everything that `--json` says too."""

    seed: int
    prices: str
    caution: str
    rows: int
    ticks: int
    seconds: float
    strategy: str
    story: list[Act]
    pids: tuple[int, ...]
    money: Money
    orders_ms: Latency
    floor_ms: Latency
    promises: list[Promise]
    record: RecordCheck
    server_journal: str
    connector_journal: str
    ledger: str
    orders: list[OrderLine]

    @property
    def broken(self) -> list[str]:
        """What did not hold, each with the order; empty when everything did."""
        found = [f"{p.id} {p.name}: order {p.offender}" for p in self.promises if not p.kept]
        found += [f"{act.order}: order {act.client_order_id}" for act in self.story if not act.held]
        if not self.record.kept:
            found.append(f"S7 the record: {self.record.why or 'see above'}")
        return found


def latency_of(taken: list[float]) -> Latency:
    """Return the summary of round trips (ms)."""
    if not taken:
        return Latency(count=0, median=0.0, p99=0.0)
    ordered = sorted(taken)
    # Nearest rank: with few samples it is the slowest, never a better one.
    p99 = ordered[min(len(ordered) - 1, -(-99 * len(ordered) // 100) - 1)]
    return Latency(count=len(taken), median=round(median(taken), 3), p99=round(p99, 3))


def show(out: Console, report: Report) -> None:
    """Print the report; the last line says whether every promise held."""
    out.line(f"prices    {report.prices}")
    out.line(f"          {report.caution}")
    out.line()
    for line in _table(out, report.story):
        out.line(line)
    out.line()
    for line in _results(report):
        out.line(line)
    out.line()
    for line in _promises(out, report):
        out.line(line)
    out.line()
    if not report.broken:
        out.line(f"{out.word('ok')}    every promise held (seed {report.seed})")
        return
    for sentence in report.broken:
        out.line(f"{out.word('fail')}  {sentence}")
    out.line(f"      seed {report.seed}; both journals and the broker's ledger are kept:")
    for path in (report.connector_journal, report.server_journal, report.ledger):
        out.line(f"      {path}")


def _table(out: Console, story: list[Act]) -> Iterator[str]:
    # The same 80 columns everywhere: this is for people, and `--json` is for programs.
    yield _laid(("ORDER", "OUTCOME", "BY", "MS", "WHAT HAPPENED"))
    for act in story:
        ms = "-" if act.ms is None else f"{act.ms:.1f}" if act.ms < 1000 else f"{act.ms:.0f}"
        text = _laid((act.order, act.outcome, act.by, ms, act.what))
        yield text.replace(act.outcome, out.word(act.outcome), 1)


def _laid(cells: tuple[str, str, str, str, str]) -> str:
    order, outcome, by, ms, what = cells
    return f"{order:<19}  {outcome:<8} {by:<9} {ms:>6}  {what}"[:_WIDTH].rstrip()


def _results(report: Report) -> Iterator[str]:
    money, orders, floor = report.money, report.orders_ms, report.floor_ms
    reasons = ", ".join(f"{name} {times}" for name, times in sorted(money.by_reason.items()))
    yield (
        f"account   {money.start} -> {money.end} {money.currency} ({money.result}); "
        f"{money.trades} closings, {money.won} won"
    )
    yield f"          closed by {reasons}" if reasons else "          nothing was closed"
    if report.pids:
        yield f"server    killed as pid {report.pids[0]}, came back as pid {report.pids[1]}"
    yield f"latency   orders      {_times(orders)}  {orders.count} of them"
    yield f"          raw ZeroMQ  {_times(floor)}  {floor.count}, same sizes, same run"
    yield (
        f"prices    {report.rows} rows, {report.ticks} ticks, each one handled by the strategy; "
        f"{report.seconds:.1f} s"
    )


def _times(latency: Latency) -> str:
    return f"median {latency.median:.3f} ms  p99 {latency.p99:.3f} ms "


def _promises(out: Console, report: Report) -> Iterator[str]:
    yield "promises, judged from the broker's own ledger"
    for one in report.promises:
        yield f"  {_mark(out, one.kept)}{one.id} {one.name:<17} {one.held}/{one.total}"
    check = report.record
    yield (
        f"  {_mark(out, check.kept)}S7 {'no edited history':<17} {check.records} records chain, "
        f"{check.agreeing}/{check.heads} witnessed heads agree"
    )
    end = f"found at record {check.found}" if check.found else "NOT found"
    yield f"{'':<8}one bit of record {check.flipped} flipped in a copy: {end}"


def _mark(out: Console, good: bool) -> str:  # noqa: FBT001  (one word or the other)
    word = "ok" if good else "fail"
    return out.word(word) + " " * (6 - len(word))
