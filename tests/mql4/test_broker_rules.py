"""The simulated broker keeps the rules of the MQL4 pages named in simulator/*.cpp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mql4.desk import Desk
from tests.mql4.needs import needs_compiler
from tests.mql4.terms import BrokerTerms, SymbolTerms

pytestmark = needs_compiler

STRICT = SymbolTerms(name="GBPUSD", bid="1.25000", ask="1.25020", stop_level=50, freeze_level=20,
                     base="GBP")  # fmt: skip
ECN = SymbolTerms(name="EURCHF", bid="0.95000", ask="0.95010", ecn=True, profit="CHF")
TERMS = BrokerTerms(symbols=(SymbolTerms(name="EURUSD", commission=7), STRICT, ECN))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, TERMS)
    with desk.terminal:
        desk.terminal.start()
        yield desk


def _row(rows: list[dict[str, Any]], ticket: int) -> dict[str, Any]:
    return next(row for row in rows if row["ticket"] == ticket)


REFUSED = [
    ("lots below the least", ("send", "EURUSD", 0, "0.001", "1.08512", 10, 0, 0, "c", 1, 0), 131),
    ("lots off the step", ("send", "EURUSD", 0, "0.015", "1.08512", 10, 0, 0, "c", 1, 0), 131),
    ("a price not normalised", ("send", "EURUSD", 0, "0.1", "1.085123", 10, 0, 0, "c", 1, 0), 4107),
    ("an sl not normalised", ("send", "EURUSD", 0, "0.1", "1.08512", 9, "1.0800001", 0, "", 1, 0),
     4107),
    ("an unknown symbol", ("send", "NOSUCH", 0, "0.1", "1.0", 10, 0, 0, "c", 1, 0), 4106),
    ("a type there is not", ("send", "EURUSD", 6, "0.1", "1.08512", 10, 0, 0, "c", 1, 0), 4051),
    ("a price out of the deviation", ("send", "EURUSD", 0, "0.1", "1.08490", 5, 0, 0, "", 1, 0),
     138),
    ("a price of another day", ("send", "EURUSD", 0, "0.1", "1.20000", 5, 0, 0, "", 1, 0), 129),
    ("an sl above the bid of a buy", ("send", "EURUSD", 0, "0.1", "1.08512", 9, "1.09", 0, "", 1,
                                      0), 130),
    ("an sl within the stop level", ("send", "GBPUSD", 0, "0.1", "1.25020", 9, "1.24951", 0, "", 1,
                                     0), 130),
    ("stops at a market execution entry", ("send", "EURCHF", 0, "0.1", "0.9501", 9, "0.94", 0, "",
                                           1, 0), 130),
    ("a buy limit above the ask", ("send", "EURUSD", 2, "0.1", "1.09000", 0, 0, 0, "", 1, 0), 130),
    ("a buy stop below the ask", ("send", "EURUSD", 4, "0.1", "1.08000", 0, 0, 0, "", 1, 0), 130),
    ("more than the money", ("send", "EURUSD", 0, "50", "1.08512", 10, 0, 0, "", 1, 0), 134),
    ("a ticket there is not", ("close", 4711, "0.1", "1.085", 10), 4108),
    ("a deletion of nothing", ("delete", 4711), 4108),
]  # fmt: skip


@pytest.mark.parametrize(("why", "words", "error"), REFUSED, ids=[each[0] for each in REFUSED])
def test_the_broker_refuses(desk: Desk, why: str, words: tuple[object, ...], error: int) -> None:
    answer = desk.do(*words)
    assert answer.error == error, why
    assert answer.value in ("-1", "false")
    assert desk.terminal.orders() == []
    end = [line for line in desk.terminal.ledger() if line["phase"] == "end"][-1]
    assert (end["result"]["outcome"], end["result"]["retcode"]) == ("REJECTED", error)


def test_the_least_distance_of_a_stop_is_taken(desk: Desk) -> None:
    answer = desk.do("send", "GBPUSD", 0, "0.1", "1.25020", 9, "1.24950", "1.25050", "", 1, 0)
    assert answer.error == 0


def test_a_fill_is_at_the_market_within_the_deviation(desk: Desk) -> None:
    answer = desk.do("send", "EURUSD", 0, "0.1", "1.08510", 2, 0, 0, "tag", 77, 0)
    row = desk.terminal.orders()[0]
    assert (str(row["ticket"]), row["open_price"], row["magic"]) == (answer.value, 1.08512, 77)
    assert row["commission"] == pytest.approx(-0.7)


def test_market_execution_takes_any_price_and_fills_at_the_market(desk: Desk) -> None:
    assert desk.do("send", "EURCHF", 1, "0.1", "0.90000", 0, 0, 0, "", 1, 0).error == 0
    assert desk.terminal.orders()[0]["open_price"] == 0.95


def test_a_partial_close_goes_on_under_a_new_ticket(desk: Desk) -> None:
    ticket = desk.buy("0.30")
    assert desk.do("close", ticket, "0.10", "1.08500", 5).error == 0
    (rest,) = desk.terminal.orders()
    old = _row(desk.terminal.history(), ticket)
    assert rest["ticket"] != ticket
    assert rest["comment"] == f"from #{ticket}"
    assert (rest["lots"], rest["magic"], rest["open_price"]) == (0.2, 77, 1.08512)
    assert (old["lots"], old["comment"]) == (0.1, f"to #{rest['ticket']}")
    assert old["profit"] == pytest.approx(-1.2)
    assert old["commission"] + rest["commission"] == pytest.approx(-2.1)


def test_more_than_it_holds_is_not_closed(desk: Desk) -> None:
    ticket = desk.buy("0.10")
    assert desk.do("close", ticket, "0.20", "1.08500", 5).error == 131
    assert len(desk.terminal.orders()) == 1


def test_a_closed_ticket_cannot_be_closed_again(desk: Desk) -> None:
    ticket = desk.buy()
    assert desk.do("close", ticket, "0.10", "1.08500", 5).error == 0
    assert desk.do("close", ticket, "0.10", "1.08500", 5).error == 4108
    balance = desk.terminal.command("orders")["balance"]
    assert balance == pytest.approx(10_000 - 1.2 - 0.7)


@pytest.mark.parametrize(
    ("price", "mark", "close_price"),
    [(("1.07900", "1.07912"), "[sl]", 1.079), (("1.09100", "1.09112"), "[tp]", 1.09)],
)
def test_stops_are_hit_and_marked(
    desk: Desk, price: tuple[str, str], mark: str, close_price: float
) -> None:
    ticket = desk.buy(sl="1.08000", tp="1.09000", comment="twenty-nine-characters-inside")
    desk.terminal.command("price", "EURUSD", *price)
    row = _row(desk.terminal.history(), ticket)
    assert row["comment"].endswith(mark)
    assert len(row["comment"]) <= 31
    assert row["close_price"] == close_price  # a stop loss gets the gap, a take profit its price


def test_unchanged_values_are_error_1_and_change_nothing(desk: Desk) -> None:
    ticket = desk.buy(sl="1.08000")
    assert desk.do("modify", ticket, 0, "1.08000", 0, 0).error == 1
    assert desk.do("modify", ticket, 0, "1.08100", 0, 0).error == 0
    assert desk.terminal.orders()[0]["sl"] == 1.081


def test_the_freeze_level_forbids_changes_near_the_market(desk: Desk) -> None:
    ticket = int(desk.do("send", "GBPUSD", 0, "0.1", "1.25020", 9, "1.24900", 0, "", 1, 0).value)
    desk.terminal.command("price", "GBPUSD", "1.24915", "1.24935")
    assert desk.do("modify", ticket, 0, "1.24800", 0, 0).error == 145
    assert desk.do("close", ticket, "0.1", "1.24915", 5).error == 145


@pytest.mark.parametrize(
    ("kind", "price", "quote", "opened"),
    [
        (2, "1.08000", ("1.07980", "1.07992"), 1.08),
        (3, "1.09000", ("1.09010", "1.09022"), 1.09),
        (4, "1.09000", ("1.09010", "1.09022"), 1.09022),
        (5, "1.08000", ("1.07980", "1.07992"), 1.0798),
    ],
)
def test_a_pending_fires_and_keeps_its_ticket(
    desk: Desk, kind: int, price: str, quote: tuple[str, str], opened: float
) -> None:
    ticket = int(desk.do("send", "EURUSD", kind, "0.1", price, 0, 0, 0, "tag", 5, 0).value)
    desk.terminal.command("price", "EURUSD", *quote)
    (row,) = desk.terminal.orders()
    assert (row["ticket"], row["comment"], row["open_price"]) == (ticket, "tag", opened)
    assert row["type"] == ("BUY" if kind in (2, 4) else "SELL")


def test_a_pending_expires_by_the_brokers_clock(desk: Desk) -> None:
    now = desk.terminal.command("stat")["server_ms"] // 1000
    early = desk.do("send", "EURUSD", 2, "0.1", "1.08", 0, 0, 0, "", 1, now + 60)
    assert early.error == 147
    ticket = int(desk.do("send", "EURUSD", 2, "0.1", "1.08", 0, 0, 0, "", 1, now + 900).value)
    desk.terminal.command("step_wall", 2_000_000)  # the PC's clock is not the broker's
    assert len(desk.terminal.orders()) == 1
    desk.terminal.command("advance", 901_000)
    assert desk.terminal.orders() == []
    assert _row(desk.terminal.history(), ticket)["comment"].startswith("expiration [")


def test_a_deleted_pending_is_history(desk: Desk) -> None:
    ticket = int(desk.do("send", "EURUSD", 2, "0.1", "1.08", 0, 0, 0, "tag", 5, 0).value)
    assert desk.do("delete", ticket).error == 0
    row = _row(desk.terminal.history(), ticket)
    assert (row["type"], row["profit"], row["comment"]) == ("BUY_LIMIT", 0, "tag")


def test_a_stop_out_closes_the_worst_position_first(desk: Desk) -> None:
    small, large = desk.buy("0.10"), desk.buy("4.00")
    desk.terminal.command("price", "EURUSD", "1.06500", "1.06512")
    assert _row(desk.terminal.history(), large)["comment"].startswith("so: ")
    assert _row(desk.terminal.orders(), small)


def test_history_shows_what_its_tab_shows(desk: Desk) -> None:
    ticket = desk.buy()
    desk.do("close", ticket, "0.10", "1.08500", 5)
    assert desk.do("select", ticket, 1, 0).value.startswith(
        f"{ticket},0,0.10,1.08512,1.08500,-1.20"
    )
    desk.terminal.command("advance", 3 * 3_600_000)
    desk.terminal.command("history_range", "2")
    assert desk.do("select", ticket, 1, 0) == ("none", 4108)
    assert desk.do("totals").value == "0/0"
    desk.terminal.command("history_range", "all")
    assert desk.do("totals").value == "0/2"  # the deposit is a row too


def test_a_person_trades_beside_the_program(desk: Desk) -> None:
    ticket = int(desk.terminal.command("manual_open", "EURUSD", "SELL", "0.2")["ticket"])
    assert (
        desk.do("select", ticket, 1, 0).value == f"{ticket},1,0.20,1.08500,1.08512,-2.40,0,EURUSD"
    )
    desk.terminal.command("manual_modify", ticket, "1.09", "0")
    desk.terminal.command("manual_close", ticket, "0.05")
    assert desk.terminal.orders()[0]["lots"] == pytest.approx(0.15)
    assert desk.terminal.submissions() == []  # none of it was the program's


def test_the_clocks_are_three(desk: Desk) -> None:
    before = [int(each) for each in desk.do("clocks").value.split("/")]
    desk.terminal.command("advance", 60_000)
    desk.terminal.command("price", "EURUSD", "1.085", "1.08512")
    advanced = [int(each) for each in desk.do("clocks").value.split("/")]
    desk.terminal.command("step_wall", -10_000)
    stepped = [int(each) for each in desk.do("clocks").value.split("/")]
    for i, unit in enumerate((1, 1, 1000)):
        assert 60 * unit <= advanced[i] - before[i] <= 75 * unit
    assert -10 <= stepped[0] - advanced[0] <= -1
    assert stepped[2] >= advanced[2]


def test_each_submission_is_in_the_ledger_with_every_field(desk: Desk) -> None:
    desk.do("send", "EURUSD", 0, "0.10", "1.08512", 10, "1.08", "1.09", "tag", 77, 0)
    (begin,) = desk.terminal.submissions()
    assert begin["fields"] == {
        "symbol": "EURUSD", "type": "BUY", "volume": "0.1", "price": "1.08512", "sl": "1.08",
        "tp": "1.09", "deviation": 10, "expiration": 0,
    }  # fmt: skip
    assert (begin["op"], begin["magic"], begin["comment"]) == ("OPEN", 77, "tag")
    phases = [line["phase"] for line in desk.terminal.ledger() if line["n"] == begin["n"]]
    assert phases == ["begin", "end", "state", "return"]
