"""`ztb report --day` against a real server: what it counts, says and returns."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge_client import Connector
from bridge_core.protocol.operations import Op
from tests.support.command_line import Ended, Ztb, on_a_terminal
from tests.support.lived_day import LivedDay
from tests.support.running import Running, wait_until
from tests.support.scripted_backend import loses


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedDay]:
    with LivedDay(tmp_path_factory.mktemp("report")) as one:
        one.trade()
        one.stop(kill=True)
        one.start()
        yield one


class Report:
    """`ztb report` of an account."""

    def __init__(self, ztb: Ztb) -> None:
        self._ztb = ztb

    def __call__(self, day: LivedDay, *more: object, who: str = "connector") -> Ended:
        return self._ztb("report", *more, "--config", day.config(who))

    def json(self, day: LivedDay, *more: object, code: int = 0, who: str = "connector") -> Any:
        ended = self(day, "--json", *more, who=who)
        assert (ended.code, ended.json["schema"]) == (code, "ztb.report/1"), ended
        return ended.json


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    return Report(Ztb(capsys))


def test_outcomes_refusals_and_limits_are_those_of_the_day(report: Report, day: LivedDay) -> None:
    told = report.json(day)
    assert {(r["op"], r["status"]): r["count"] for r in told["orders"]} == {
        ("CANCEL", "DONE"): 1, ("CLOSE", "FILLED"): 1, ("CLOSE of FLATTEN", "FILLED"): 1,
        ("FLATTEN", "DONE"): 1, ("MODIFY", "DONE"): 1, ("OPEN", "FILLED"): 2,
        ("OPEN", "WORKING"): 1, ("OPEN", "DENIED"): 2,
    }  # fmt: skip
    refused = {(r["code"], r["by"]): r["count"] for r in told["refusals"]}
    assert refused == {
        ("PRICE_SIDE", "server"): 1, ("HALTED", "server"): 1, ("MAX_VOLUME", "connector"): 1,
    }  # fmt: skip
    (limit,) = told["limits"]
    assert (limit["code"], limit["by"], limit["symbol"]) == ("MAX_VOLUME", "connector", "EURUSD")
    assert told["clients"] == ["atlas"]


def test_slippage_is_measured_by_the_signed_price_and_by_the_quote_seen(
    report: Report, day: LivedDay
) -> None:
    told = report.json(day)
    (row,) = told["slippage"]
    assert (row["symbol"], row["fills"], row["known"]) == ("EURUSD", 4, 3)
    assert told["measured_by"] == {"signed": 1, "quote": 2}
    # The paper price moves by a few points in the tenths of a second that this takes, no more.
    assert all(abs(float(row[name])) < 100 for name in ("mean", "median", "worst"))


def test_latency_of_each_hop_is_told_of_the_orders_that_took_it(
    report: Report, day: LivedDay
) -> None:
    hops = {row["hop"]: row for row in report.json(day)["latency"]}
    assert len(hops) == 5
    assert hops["sent to known here"]["n"] == hops["connector to server"]["n"] == 9
    for row in hops.values():
        assert row["low"] <= row["median"] <= row["p99"] <= row["high"]
    assert hops["server to broker and back"]["low"] > 0


def test_stops_words_and_a_killed_server_are_told(report: Report, day: LivedDay) -> None:
    told = report.json(day)
    assert [(s["state"], s["reason"]) for s in told["states"]] == [
        ("HALTED", "lunch"), ("OPERATOR ended", "after lunch"),
    ]  # fmt: skip
    assert [(w["op"], w["about"]) for w in told["words"]] == [("RESUME", "OPERATOR")]
    (outage,) = told["outages"]
    assert (outage["clean"], outage["ms"] > 0) == (False, True)
    assert 0 < told["server_ran_percent"] < 100
    names = {hop["hop"] for hop in told["hops"]}
    assert {"connector to server", "server to terminal"} <= names


def test_the_record_is_verified_against_what_was_remembered(report: Report, day: LivedDay) -> None:
    record = report.json(day)["record"]
    assert (record["verified"], record["first"], record["first_bad"]) == (True, 1, 0)
    assert record["records"] == record["head"]["size"]
    assert record["remembered"] > 0
    line = next(one for one in report(day).out.splitlines() if one.startswith("record"))
    assert f"verified, {record['records']} records, head {record['head']['size']}" in line


def test_a_monitor_sees_the_same_day_without_the_connectors_times(
    report: Report, day: LivedDay
) -> None:
    told = report.json(day, who="query")
    assert told["orders"] == report.json(day)["orders"]
    assert (told["clients"], told["record"]["remembered"]) == ([], 0)
    assert "sent to known here" not in {row["hop"] for row in told["latency"]}
    assert ("MAX_VOLUME", "connector") not in {(r["code"], r["by"]) for r in told["refusals"]}


def test_another_day_is_empty_and_a_day_to_come_is_refused(report: Report, day: LivedDay) -> None:
    today = datetime.now(UTC).date()
    told = report.json(day, "--day", today - timedelta(days=2))
    assert (told["orders"], told["record"]["records"], told["states"]) == ([], 0, [])
    assert any("the record begins at" in note for note in told["notes"])
    assert any("24 h only" in note for note in told["notes"])
    assert "no orders on this day" in report(day, "--day", today - timedelta(days=2)).out
    assert report(day, "--day", today + timedelta(days=2)).code == 3
    wrong = report(day, "--day", "yesterday")
    assert wrong.code == 3
    assert "2030-01-31" in wrong.err
    assert report.json(day, "--day")["day"] == today.isoformat()


@pytest.mark.skipif(sys.platform == "win32", reason="platform: needs a POSIX pty")
def test_a_person_gets_it_on_one_screen_of_tables(day: LivedDay) -> None:
    ended = on_a_terminal("report", "--config", day.config(), columns=100, NO_COLOR="1")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 100
    for head in ("ORDERS", "REFUSED", "FILLS, POINTS", "LATENCY, MS", "HOP", "SERVER AWAY"):
        assert any(line.startswith(head) for line in lines), head
    assert "\t" not in ended.out


def test_with_the_server_away_it_is_partial_and_says_so(
    report: Report, day: LivedDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_client.queries.QUERY_S", 0.5)
    text = day.config().read_text("utf-8")
    whole = report.json(day)
    try:
        day.config().write_text(text.replace(str(day.account.port), "9"), "utf-8")
        told = report.json(day, code=2)
    finally:
        day.config().write_text(text, "utf-8")
    assert (told["server_answered"], told["record"], told["state"]) == (False, None, "OFFLINE")
    mine = [row for row in whole["orders"] if "FLATTEN" not in row["op"].split()[1:]]
    assert [row for row in told["orders"] if row["op"] != "FLATTEN"] == [
        row for row in mine if row["op"] != "FLATTEN"
    ]
    assert told["refusals"] == whole["refusals"]
    assert any("alone" in note for note in told["notes"])


@pytest.mark.long
def test_a_record_that_was_edited_is_found_and_ends_with_1(report: Report, tmp_path: Path) -> None:
    with LivedDay(tmp_path) as one:
        one.stop()
        with closing(sqlite3.connect(one.account.state / "journal.db")) as db:
            db.execute("UPDATE log SET record = CAST(replace(CAST(record AS TEXT), '\"ts\":1', "
                       "'\"ts\": 1') AS BLOB) WHERE n = 2")  # fmt: skip
            db.commit()
        one.start()
        told = report.json(one, code=1)
    assert (told["record"]["verified"], told["record"]["first_bad"]) == (False, 2)
    assert "hash" in told["record"]["fault"]


def test_an_unknown_order_and_the_operators_word_on_it_are_told(
    report: Report, tmp_path: Path
) -> None:
    one = LivedDay(tmp_path)
    with Running(one.account) as server:
        server.ready()
        server.scripted.plan.append(loses(executed=False))
        server.scripted.scan_complete = False
        with Connector.from_config(one.config(), client="atlas") as bridge:
            bridge.connect()
            lost = bridge.buy("EURUSD", 0.1, client_order_id="lost", wait=0.5)
            with Connector.from_config(one.config("operator")) as operator:
                wait_until(lambda: bridge.order_status("lost").status == "UNKNOWN")
                assert operator.settle(lost.rid, "DENIED", 0, "statement").status == "DONE"
            assert bridge.wait("lost", 5).evidence == "HUMAN"
        told = report.json(one)
    assert [(u["client_order_id"], u["status"], u["code"], u["evidence"])
            for u in told["unknown"]] == [("lost", "DENIED", "HUMAN", "HUMAN")]  # fmt: skip
    (word,) = told["words"]
    assert (word["op"], word["about"], word["reason"]) == (
        Op.SETTLE, f"{lost.rid} is DENIED", "statement"
    )  # fmt: skip
