"""The demo's parts: prices, plan, strategy, evidence, report. The whole is in test_demo_run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from bridge_client.cli.output import Console
from bridge_client.demo.acts import ACTS, Act, plan
from bridge_client.demo.options import draw
from bridge_client.demo.prices import ecb_tape, file_tape
from bridge_client.demo.recheck import RecordCheck
from bridge_client.demo.report import Latency, Money, Report, latency_of, show
from bridge_client.demo.screen import Progress
from bridge_client.demo.watching import Watched
from bridge_client.evidence import Promise, SignedRow, judge_all
from bridge_core.host.ledger import LedgerLine, SignedOrder, encode_line
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from tests.support.command_line import ROOT, Ztb
from tests.support.paper import ACCT, HEADER, bar, open_order

EXAMPLE = ROOT / "examples" / "moving_average.py"


# --- the strategy -----------------------------------------------------------------------------


def test_the_example_and_the_strategy_in_the_package_are_the_same_file() -> None:
    shipped = ROOT / "bridge_client" / "demo" / "moving_average.py"
    assert EXAMPLE.read_bytes() == shipped.read_bytes()


def test_the_example_is_under_60_lines_and_uses_only_the_public_api() -> None:
    import bridge_client

    text = EXAMPLE.read_text("utf-8")
    assert len(text.splitlines()) < 60
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            assert node.module in ("bridge_client", "collections", "itertools", "statistics")
            if node.module == "bridge_client":
                assert {alias.name for alias in node.names} <= set(bridge_client.__all__)
        assert not isinstance(node, ast.Import)
        assert not (isinstance(node, ast.Attribute) and node.attr.startswith("_"))


def test_a_strategy_in_the_demo_cannot_reach_what_is_not_public() -> None:
    class Bridge:
        _link = "secret"
        get_quote = "public"

    watched: Any = Watched(Bridge(), seed=1)  # type: ignore[arg-type]
    assert watched.get_quote == "public"
    with pytest.raises(AttributeError):
        _ = watched._link


# --- prices -----------------------------------------------------------------------------------


def test_the_ecb_tape_is_the_newest_fixings_in_order_and_on_the_grid() -> None:
    tape = ecb_tape(50)
    assert len(tape.rows) == 50
    assert [row.time_ms for row in tape.rows] == sorted({row.time_ms for row in tape.rows})
    assert {row.ticks for row in tape.rows} == {1}
    assert tape.rows[-1].time_ms == ecb_tape(1).rows[-1].time_ms
    assert "1 fixing a day: a stop fills at the next one" in tape.caution


def test_a_file_gives_its_newest_rows_and_knows_how_many_ticks_each_makes(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    rows = [bar(n, "1.10000", "1.10010", "1.09990", "1.10005", spread=7) for n in range(30)]
    file.write_text(HEADER + "".join(rows), "utf-8")
    tape = file_tape(file, 10)
    assert [row.line for row in tape.rows] == [row.rstrip("\n") for row in rows[-10:]]
    assert {row.ticks for row in tape.rows} == {4}
    assert tape.spread_from_file
    assert tape.digits == 5


def test_plain_rows_without_a_header_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    file.write_text("2024-01-02T00:00:00Z,150.1,150.2\n2024-01-03T00:00:00Z,150.3,150.4\n", "utf-8")
    tape = file_tape(file, 10)
    assert (tape.header, len(tape.rows), tape.digits) == ("", 2, 1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HEADER + bar(0, "1.1", "1.2", "1.0", "1.1") + bar(1, "1.1", "1.0", "1.0", "1.1"),
         ["line 3", "<HIGH>"]),
        (HEADER + bar(5, "1.1", "1.2", "1.0", "1.1") + bar(5, "1.1", "1.2", "1.0", "1.1"),
         ["line 3", "<TIME>", "not later"]),
        ("time,bid,ask\n2024-01-02T00:00:00Z,1.10000,1,10010\n", ["line 2", "ask"]),
        ("time,bid,ask\n2024-01-02T00:00:00Z,1.10010,1.10000\n", ["line 2", "ask"]),
        ("open;high\n1;2\n", ["line 1"]),
        ("time,bid,ask\n", ["holds no price"]),
    ],
)  # fmt: skip
def test_a_bad_price_row_names_its_line_and_column_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, named: list[str]
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text, "utf-8")
    ended = Ztb(capsys)("demo", "--prices", file, "--json")
    assert ended.code == 3
    assert ended.json["error"]["code"] == "PRICES"
    assert all(word in ended.err for word in ("bad.csv", *named)), ended.err
    assert "paper account" not in ended.err


def test_a_price_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.csv"):
        file_tape(tmp_path / "nothing.csv", 10)


# --- what the seed decides --------------------------------------------------------------------


def test_a_plan_has_every_act_once_and_depends_on_the_seed_alone() -> None:
    for rows in (40, 200, 1500):
        for seed in range(1, 30):
            planned = plan(rows, seed)
            acts = [act for before in planned.values() for act in before]
            assert sorted(acts) == list(range(len(ACTS)))
            assert all(0 < row < rows for row in planned)
            assert planned == plan(rows, seed)
    assert plan(1500, 1) != plan(1500, 2)
    assert {draw(1, f"{n}", 8) for n in range(200)} == set(range(8))


# --- evidence ---------------------------------------------------------------------------------


def _row(rid: str, view: OrderView) -> SignedRow:
    body = open_order()
    order = SignedOrder(Op.OPEN, 1_000_000, 5_000, body)
    return SignedRow(f"id-{rid[-1]}", rid, order, Frames(b"", b""), view)


def _ledger(path: Path, rid: str, **result: str | int) -> Path:
    tag, body = make_tag(ACCT, rid), open_order()
    begin = LedgerLine(
        phase="begin", n=1, wall_ms=1_000_100, op="OPEN", magic=tag.mt5_magic(body.strategy),
        comment=tag.broker_comment(body.comment, 25),
        fields={
            "symbol": "EURUSD", "type": "BUY", "volume": "0.10", "price": "0", "sl": "0",
            "tp": "0", "deviation": 20, "expiration": 0,
        },
    )  # fmt: skip
    lines = [LedgerLine(phase="start", n=0, wall_ms=1, result={"comment_chars": 25}), begin]
    if result:
        lines.append(LedgerLine(phase="end", n=1, wall_ms=1_000_101, op="OPEN",
                                comment=begin.comment, result=result))  # fmt: skip
    path.write_bytes(b"".join(map(encode_line, lines)))
    return path


def _view(rid: str, status: str, **more: Any) -> OrderView:
    return OrderView(rid=rid, op="OPEN", status=status, final=True, **more)


RID = "0" * 31 + "7"
FILL: dict[str, str | int] = {
    "outcome": "EXECUTED", "status": "FILLED", "ticket": 5, "volume": "0.10", "price": "1.10010",
}  # fmt: skip
TOLD = {"ticket": 5, "volume": "0.1", "price": "1.10010"}


def _promise(found: list[Promise], key: str) -> Promise:
    return next(one for one in found if one.id == key)


def test_a_fill_that_the_broker_wrote_down_as_told_keeps_every_promise(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path / "ledger", RID, **FILL)
    found = judge_all([_row(RID, _view(RID, "FILLED", **TOLD))], ledger, ACCT)
    assert [one.id for one in found] == ["S1", "S2", "S3", "S4", "S5", "S6"]
    assert all(one.kept for one in found)


@pytest.mark.parametrize(
    "told",
    [
        _view(RID, "DENIED"),
        _view(RID, "REJECTED"),
        _view(RID, "UNKNOWN"),
        _view(RID, "FILLED", **{**TOLD, "price": "1.10011"}),
        _view(RID, "FILLED", **{**TOLD, "ticket": 6}),
        _view(RID, "FILLED", **{**TOLD, "volume": "0.2"}),
    ],
    ids=["denied", "rejected", "unknown", "price", "ticket", "volume"],
)
def test_a_word_that_differs_from_the_brokers_is_a_false_outcome_and_names_the_order(
    tmp_path: Path, told: OrderView
) -> None:
    ledger = _ledger(tmp_path / "ledger", RID, **FILL)
    promise = _promise(judge_all([_row(RID, told)], ledger, ACCT), "S6")
    assert (promise.kept, promise.held, promise.total, promise.offender) == (False, 0, 1, "id-7")


def test_a_fill_that_the_broker_never_began_is_a_false_outcome(tmp_path: Path) -> None:
    other = "0" * 31 + "8"
    ledger = _ledger(tmp_path / "ledger", RID, **FILL)
    rows = [_row(RID, _view(RID, "FILLED", **TOLD)), _row(other, _view(other, "FILLED", **TOLD))]
    assert _promise(judge_all(rows, ledger, ACCT), "S6").offender == "id-8"


def test_a_fill_cut_off_by_the_kill_counts_only_with_a_later_trace_of_its_ticket(
    tmp_path: Path,
) -> None:
    ledger = _ledger(tmp_path / "ledger", RID)
    rows = [_row(RID, _view(RID, "FILLED", **TOLD))]
    assert not _promise(judge_all(rows, ledger, ACCT), "S6").kept
    closing = LedgerLine(phase="begin", n=2, wall_ms=2, op="CLOSE", comment="Zother",
                         fields={"ticket": 5})  # fmt: skip
    end = LedgerLine(phase="end", n=2, wall_ms=3, op="CLOSE", result={"outcome": "EXECUTED"})
    with ledger.open("ab") as file:
        file.write(encode_line(closing) + encode_line(end))
    assert _promise(judge_all(rows, ledger, ACCT), "S6").kept


def test_an_order_without_an_outcome_is_lost_and_a_submission_nobody_signed_is_forged(
    tmp_path: Path,
) -> None:
    ledger = _ledger(tmp_path / "ledger", RID, **FILL)
    view = OrderView(rid=RID, op="OPEN", status="UNKNOWN", final=False)
    assert _promise(judge_all([_row(RID, view)], ledger, ACCT), "S4").offender == "id-7"
    forged = _promise(judge_all([], ledger, ACCT), "S5")
    assert (forged.kept, forged.offender) == (False, "n=1")


# --- the report -------------------------------------------------------------------------------


def _report(**changes: Any) -> Report:
    facts: dict[str, Any] = {
        "seed": 42, "prices": "mine", "caution": "yours", "rows": 1, "ticks": 1, "seconds": 1.0,
        "strategy": "s", "pids": (1, 2), "orders": [],
        "story": [Act(order="market", outcome="FILLED", by="broker", ms=1.0, what="x",
                      client_order_id="demo-42-0001")],
        "money": Money(currency="USD", start="1", end="2", result="+1", trades=1, won=1,
                       by_reason={"SL": 1}),
        "orders_ms": Latency(count=1, median=1, p99=1),
        "floor_ms": Latency(count=1, median=1, p99=1),
        "promises": [Promise("S1", "at most once", 3, 3)],
        "record": RecordCheck(records=9, heads=2, agreeing=2, flipped=4, found=4),
        "server_journal": "/a/server.db", "connector_journal": "/a/connector.db",
        "ledger": "/a/ledger.jsonl", **changes,
    }  # fmt: skip
    return Report(**facts)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"promises": [Promise("S1", "at most once", 2, 3, "demo-42-0007")]}, "demo-42-0007"),
        ({"promises": [Promise("S1", "at most once", 0, 0)]}, "S1 at most once"),
        ({"story": [Act(order="forged", outcome="ANSWERED", by="server", ms=None, what="x",
                        held=False, client_order_id="demo-42-byte")]}, "demo-42-byte"),
        ({"record": RecordCheck(records=9, heads=2, agreeing=1, flipped=4, found=4)}, "S7"),
        ({"record": RecordCheck(records=9, heads=2, agreeing=2, flipped=4, found=0)}, "S7"),
        ({"record": RecordCheck(records=0, heads=2, agreeing=2, flipped=4, found=4)}, "S7"),
    ],
)  # fmt: skip
def test_a_broken_promise_names_seed_order_and_both_journals(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
) -> None:
    report = _report(**changes)
    assert report.broken
    show(Console(json=False, colour=False), report)
    said = capsys.readouterr().out
    for word in (says, "seed 42", "/a/server.db", "/a/connector.db", "fail"):
        assert word in said
    assert "every promise held" not in said


def test_a_report_without_a_fault_says_so_in_its_last_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(Console(json=False, colour=False), _report())
    assert capsys.readouterr().out.splitlines()[-1] == "ok    every promise held (seed 42)"


def test_the_99th_percentile_is_never_better_than_a_sample() -> None:
    assert latency_of([5.0, 1.0, 3.0]) == Latency(count=3, median=3.0, p99=5.0)
    assert latency_of([float(n) for n in range(1, 101)]).p99 == 99.0
    assert latency_of([]).count == 0


def test_away_from_a_terminal_there_is_one_line_for_each_ten_percent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(Console(json=False, colour=False), 1500)
    for done in range(1501):
        progress.at(done, done // 5)
    progress.end()
    said = capsys.readouterr()
    assert not said.out
    assert [line.split()[0] for line in said.err.splitlines()] == [
        str(n) for n in range(10, 101, 10)
    ]
    assert "\r" not in said.err
