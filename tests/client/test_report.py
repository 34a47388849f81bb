"""The daily report's arithmetic: signs, spreads, days, and what is counted as what."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_client.cli.journals import DayRow, Remembered
from bridge_client.cli.report_gather import day_orders, verdict_of
from bridge_client.report import (
    figures,
    latencies,
    limits_touched,
    orders_by_outcome,
    outages,
    ran_percent,
    refusals,
    slippage,
    state_changes,
    unknown_orders,
    words,
)
from bridge_client.report_math import (
    DAY_MS,
    day_bounds,
    median,
    percentile,
    slippage_points,
    spread,
)
from bridge_client.report_rows import DayOrder, Outage
from bridge_core.protocol.chain import Head, Record
from bridge_core.protocol.replies import OrderView
from tests.support.record_server import RecordServer, reader_of

POINT = Decimal("0.00001")
D = Decimal


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "side", "price", "points"),
    [
        ("OPEN", "BUY", "1.10003", 3),  # bought dearer
        ("OPEN", "BUY", "1.09998", -2),
        ("OPEN", "SELL", "1.09997", 3),  # sold cheaper
        ("OPEN", "SELL", "1.10004", -4),
        ("CLOSE", "BUY", "1.09995", 5),  # a long position is sold
        ("CLOSE", "BUY", "1.10001", -1),
        ("CLOSE", "SELL", "1.10005", 5),  # a short one is bought back
        ("CLOSE", "SELL", "1.09999", -1),
        ("OPEN", "BUY_STOP", "1.10007", 7),
        ("OPEN", "SELL_LIMIT", "1.10007", -7),
    ],
)
def test_slippage_is_positive_when_it_is_worse_for_us(
    op: str, side: str, price: str, points: int
) -> None:
    assert slippage_points(op, side, D(price), D("1.10000"), POINT) == points


@pytest.mark.parametrize(
    ("op", "side", "price", "reference", "point"),
    [
        ("MODIFY", "BUY", "1", "1", "0.1"), ("OPEN", "", "1", "1", "0.1"),
        ("OPEN", "BUY", "0", "1", "0.1"), ("OPEN", "BUY", "1", "0", "0.1"),
        ("OPEN", "BUY", "1", "1", "0"),
    ],
)  # fmt: skip
def test_slippage_is_not_known_without_both_prices(
    op: str, side: str, price: str, reference: str, point: str
) -> None:
    assert slippage_points(op, side, D(price), D(reference), D(point)) is None


_price = st.decimals("0.5", "2", places=5)


@given(_price, _price, st.sampled_from(["BUY", "SELL"]))
def test_what_is_worse_to_open_is_better_to_close(a: Decimal, b: Decimal, side: str) -> None:
    opened = slippage_points("OPEN", side, a, b, POINT)
    closed = slippage_points("CLOSE", side, a, b, POINT)
    assert opened is not None
    assert closed == -opened
    assert slippage_points("OPEN", side, b, a, POINT) == -opened


_floats = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


@given(_floats)
def test_a_spread_is_in_order_and_its_percentile_was_measured(numbers: list[float]) -> None:
    found = spread(numbers)
    assert found is not None
    assert found.n == len(numbers)
    assert found.low <= found.median <= found.high
    assert found.low <= found.p99 <= found.high
    assert found.p99 in numbers
    assert sum(one <= found.p99 for one in numbers) >= 0.99 * len(numbers)
    assert sum(one < found.p99 for one in numbers) < 0.99 * len(numbers)


def test_percentiles_of_few_numbers() -> None:
    assert [percentile([5.0], p) for p in (1, 50, 99, 100)] == [5.0] * 4
    assert [percentile(map(float, range(1, 101)), p) for p in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert [median([D(3), D(1)]), median([D(9), D(1), D(2)])] == [D(2), D(2)]
    assert spread([]) is None
    for call in (lambda: median([]), lambda: percentile([], 50), lambda: percentile([1.0], 0)):
        with pytest.raises(ValueError, match="no "):
            call()


@given(st.dates(date(1970, 1, 1), date(2100, 1, 1)))
def test_a_day_is_24_hours_of_utc_and_ends_where_the_next_begins(day: date) -> None:
    start, end = day_bounds(day)
    assert (end - start, start % DAY_MS) == (DAY_MS, 0)
    assert day_bounds(date.fromordinal(day.toordinal() + 1))[0] == end


# --- orders -----------------------------------------------------------------------------------


def order(**over: Any) -> DayOrder:
    fields: dict[str, Any] = {
        "rid": "a" * 32, "client_order_id": "x", "op": "OPEN", "type": "BUY", "symbol": "EURUSD",
        "status": "FILLED", "code": "-", "price": D("1.10002"), "reference": D("1.10000"),
    }  # fmt: skip
    return DayOrder(**fields | over)


def denied(code: str, by: str = "server", **over: Any) -> DayOrder:
    return order(status="DENIED", code=code, by=by, price=D(0), **over)


def test_an_empty_day_is_an_empty_report() -> None:
    found = figures([], [], (None, None), {}, {})
    assert not any(getattr(found, name) for name in found.__struct_fields__)


def test_outcomes_are_counted_by_operation_and_children_by_themselves() -> None:
    rows = [
        order(), order(), denied("RATE"), order(op="CLOSE", parent="b" * 32),
        order(op="RESUME", status="DONE"), order(op="SETTLE", status="DENIED"),
    ]  # fmt: skip
    found = [(row.op, row.status, row.count) for row in orders_by_outcome(rows)]
    assert found == [
        ("CLOSE of FLATTEN", "FILLED", 1),
        ("OPEN", "FILLED", 2),
        ("OPEN", "DENIED", 1),
    ]


def test_refusals_are_counted_by_code_and_by_whom() -> None:
    rows = [denied("RATE"), denied("RATE"), denied("EXPIRED", ""), denied("RATE", "connector"),
            order(status="REJECTED", code="NO_MONEY", by="")]  # fmt: skip
    local = {("MAX_VOLUME", "EURUSD", "0.1"): 3, ("RATE", "", ""): 1}
    assert [(r.code, r.by, r.count) for r in refusals(rows, local)] == [
        ("MAX_VOLUME", "connector", 3), ("RATE", "connector", 2), ("RATE", "server", 2),
        ("EXPIRED", "server", 1), ("NO_MONEY", "broker", 1),
    ]  # fmt: skip


def test_only_limits_are_limits_touched() -> None:
    rows = [denied("MAX_VOLUME", limit="0.1"), denied("EXPIRED"), denied("HALTED")]
    local = {("MAX_VOLUME", "EURUSD", "0.1"): 2, ("NO_CONNECTION", "EURUSD", ""): 9}
    found = [(r.code, r.limit, r.count, r.by) for r in limits_touched(rows, local)]
    assert found == [("MAX_VOLUME", "0.1", 2, "connector"), ("MAX_VOLUME", "0.1", 1, "server")]


def test_slippage_by_symbol_says_how_many_fills_it_knows() -> None:
    rows = [
        order(client_order_id="worst", price=D("1.10009")), order(), order(reference=D(0)),
        order(type="SELL", price=D("1.10001")), order(symbol="GBPUSD"), order(symbol="XAUUSD",
        reference=D(0)), denied("RATE"), order(op="MODIFY", status="DONE"),
    ]  # fmt: skip
    eu, gb, xau = slippage(rows, {"EURUSD": POINT, "XAUUSD": D("0.01")})
    assert (eu.fills, eu.known, eu.mean, eu.median) == (4, 3, "+3.3", "+2.0")
    assert (eu.worst, eu.worst_order) == ("+9.0", "worst")
    assert (gb.fills, gb.known, gb.worst) == (1, 0, "-")  # no point is known
    assert (xau.fills, xau.known, xau.mean) == (1, 0, "-")  # no reference is


def test_a_day_of_better_fills_names_no_worst_order() -> None:
    (row,) = slippage([order(price=D("1.09999"))], {"EURUSD": POINT})
    assert (row.worst, row.worst_order, row.mean) == ("-1.0", "", "-1.0")


def test_latency_counts_only_orders_that_have_both_times() -> None:
    rows = [
        order(sent_ms=100, accepted_ms=104, dispatched_ms=105, ended_ms=120, heard_ms=124,
              executor_ms=3.5),
        order(sent_ms=200, heard_ms=210), order(accepted_ms=300), order(),
    ]  # fmt: skip
    found = {row.hop: (row.n, row.low, row.high) for row in latencies(rows)}
    assert found == {
        "connector to server": (1, 4, 4), "server, until handed on": (1, 1, 1),
        "server to broker and back": (1, 3.5, 3.5), "server, accepted to ended": (1, 16, 16),
        "sent to known here": (2, 10, 24),
    }  # fmt: skip


# --- the record -------------------------------------------------------------------------------


def record(ts: int, kind: str = "ORDER", state: str = "", rid: str = "", **data: str) -> Record:
    return Record(ts=ts, kind=kind, state=state, rid=rid, data=data)


def test_unknown_orders_tell_how_each_ended_also_after_the_day() -> None:
    rows = [
        record(10, state="UNKNOWN", rid="a"), record(20, state="UNKNOWN", rid="b"),
        record(30, state="UNKNOWN", rid="c"), record(40, state="FILLED", rid="a", evidence="TAG"),
        record(50, state="FILLED", rid="z", evidence="BROKER"),
    ]  # fmt: skip
    later = order(rid="b", status="DENIED", code="ABSENT", evidence="ABSENT", ended_ms=99)
    found = unknown_orders(list(enumerate(rows, 1)), [later, order(rid="c", status="UNKNOWN")])
    assert [(u.rid, u.since, u.until, u.status, u.evidence) for u in found] == [
        ("a", 10, 40, "FILLED", "TAG"), ("b", 20, 99, "DENIED", "ABSENT"),
        ("c", 30, 0, "UNKNOWN", ""),
    ]  # fmt: skip


def test_words_and_states_are_those_that_took_effect() -> None:
    rows = list(enumerate([
        Record(ts=1, kind="STATE", data={"state": "HALTED", "reason": "news"}),
        record(2, "RESUME", "DONE", cause="OPERATOR", reason="ok"),
        record(3, "RESUME", "DENIED", cause="DRAWDOWN"),
        record(4, "SETTLE", "DONE", subject="s", status="FILLED", reason="statement"),
    ], 1))  # fmt: skip
    assert [(w.op, w.about, w.reason, w.record) for w in words(rows)] == [
        ("RESUME", "OPERATOR", "ok", 2), ("SETTLE", "s is FILLED", "statement", 4),
    ]  # fmt: skip
    assert [(s.state, s.reason) for s in state_changes(rows)] == [
        ("HALTED", "news"), ("OPERATOR ended", "ok"),
    ]  # fmt: skip


def test_outages_lie_between_the_last_record_and_the_next_start() -> None:
    rows = list(enumerate([
        record(100, "START"), record(150), record(200, "START"), record(250, "STOP", clean="yes"),
        record(300, "START"), record(400, "STOP", clean="no"),
    ], 1))  # fmt: skip
    found = outages(rows, record(40, "STOP", clean="yes"), record(900, "START"))
    assert [(o.since, o.until, o.ms, o.clean) for o in found] == [
        (40, 100, 60, True), (150, 200, 50, False), (250, 300, 50, True), (400, 900, 500, False),
    ]  # fmt: skip
    assert outages(rows[:1], None) == []


def test_how_long_the_server_ran_counts_only_the_time_asked_about() -> None:
    away = [Outage(-50, 10, 60, clean=True), Outage(90, 500, 410, clean=False)]
    assert ran_percent(away, 0, 100) == 80.0
    assert ran_percent([], 0, 100) == 100.0
    assert ran_percent([Outage(0, 100, 100, clean=False)] * 2, 0, 100) == 0.0
    assert ran_percent([], 5, 5) is None


# --- a day's orders and its record ------------------------------------------------------------


def view(rid: str, **over: Any) -> OrderView:
    fields: dict[str, Any] = {"rid": rid, "op": "OPEN", "type": "BUY", "status": "FILLED",
                              "symbol": "EURUSD", "price": "1.1"}  # fmt: skip
    return OrderView(**fields | over)


def local(rid: str, sent_ms: int, **over: Any) -> DayRow:
    row = DayRow("atlas", rid, sent_ms, sent_ms + 5, "1.09", "1.11", view(rid))
    return row._replace(**over)


def test_an_order_belongs_to_the_day_on_which_the_server_accepted_it() -> None:
    rows = [
        local("before", 998, view=view("before", accepted_at=999)),
        local("over midnight", 999, view=view("over midnight", accepted_at=1000)),
        local("never accepted", 1500),
        local("after", 1999, view=view("after", accepted_at=2000)),
    ]
    found = day_orders((1000, 2000), rows, None)
    assert [one.rid for one in found] == ["over midnight", "never accepted"]


@pytest.mark.parametrize(
    ("over", "wanted"),
    [
        ({"requested_price": "1.05"}, ("1.05", "signed")),
        ({}, ("1.11", "quote")),
        ({"type": "SELL"}, ("1.09", "quote")),
        ({"op": "CLOSE", "close_price": "1.1"}, ("1.09", "quote")),
        ({"op": "CLOSE", "type": "SELL", "close_price": "1.1"}, ("1.11", "quote")),
        ({"op": "MODIFY"}, ("0", "")),
    ],
)
def test_a_fill_is_measured_by_the_signed_price_else_by_the_quote_at_signing(
    over: dict[str, str], wanted: tuple[str, str]
) -> None:
    (one,) = day_orders((0, 2000), [local("r", 1000, view=view("r", **over))], None)
    assert (str(one.reference), one.measured_by) == wanted


def _memory(*pairs: Head) -> list[Remembered]:
    return [Remembered("atlas", pairs, {})]


def test_the_day_is_found_in_a_long_record_with_few_questions() -> None:
    server = RecordServer(3000)
    reader = reader_of(server)
    assert reader.first_since(2_000_500) == 2001
    assert (reader.first_since(0), reader.first_since(9_999_999)) == (1, 3001)
    assert server.asked < 60


def test_a_record_that_holds_is_verified_from_a_remembered_head() -> None:
    server = RecordServer(100)
    reader = reader_of(server)
    found = verdict_of(reader, (40, 60), _memory(server.head(20), server.head(50), server.head(90)))
    assert (found.fault, found.records, found.agreed) == ("", 21, 3)
    assert (found.since, found.until) == (server.head(20), server.head(90))
    alone = verdict_of(reader, (40, 60), [])
    assert (alone.fault, alone.head, alone.since) == ("", server.head(60), None)
    nothing = verdict_of(reader, (101, 100), [])
    assert (nothing.fault, nothing.records) == ("", 0)


@pytest.mark.parametrize("bad", [40, 50, 60])
def test_the_first_record_that_does_not_hold_is_named(bad: int) -> None:
    reader = reader_of(RecordServer(100, broken=bad))
    found = verdict_of(reader, (40, 60), [])
    assert (found.first_bad, bool(found.fault)) == (bad, True)


def test_a_record_that_is_not_the_remembered_one_is_named() -> None:
    reader = reader_of(RecordServer(100))
    found = verdict_of(reader, (40, 60), _memory(Head(55, b"x" * 32)))
    assert found.first_bad == 55
    cut = verdict_of(reader, (90, 100), _memory(Head(104, b"x" * 32)))
    assert (cut.first_bad, cut.fault) == (101, "it is missing")
