"""Every question of the server, against what the broker really holds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.mql4.hop import Hop, attached, learn_zone
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import BrokerTerms, SymbolTerms, Terminal

pytestmark = needs_compiler


def opened(terminal: Terminal, *words: str | float) -> int:
    """The ticket of a position or order that somebody opens by hand."""
    ticket: int = terminal.command("manual_open", *words)["ticket"]
    return ticket


def rows(hop: Hop, verb: str) -> list[dict[str, Any]]:
    """Every row of POSITIONS or ORDERS, through its pages."""
    found: list[dict[str, Any]] = []
    while True:
        page = hop.ask(verb, len(found))
        found += page[verb.lower()]
        if len(found) >= page["total"]:
            return found


def test_account_money_is_the_brokers(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        empty = hop.ask("ACCOUNT")
        assert (empty["balance"], empty["margin"], empty["margin_level"]) == (
            "10000.00",
            "0.00",
            "",
        )
        opened(terminal, "EURUSD", "BUY", "1.00")
        terminal.command("price", "EURUSD", "1.08612", "1.08624")
        money = hop.ask("ACCOUNT")
        assert money["balance"] == "10000.00"
        assert money["profit"] == "100.00"
        assert money["equity"] == "10100.00"
        assert Decimal(money["margin"]) > 0
        assert Decimal(money["free_margin"]) == Decimal(money["equity"]) - Decimal(money["margin"])
        level = 100 * Decimal(money["equity"]) / Decimal(money["margin"])
        assert abs(Decimal(money["margin_level"]) - level) < Decimal("0.01")
        assert money["connected"] is True
        assert money["book"] > empty["book"]


def test_positions_and_orders_are_told_apart_with_every_field(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = opened(terminal, "EURUSD", "BUY", "0.10", "1.08512", "1.08000", "1.09000")
        pending = opened(terminal, "USDJPY", "SELL_LIMIT", "0.03", "151.000", "152.000", "149.500")
        terminal.command("swap", ticket, "-1.25")
        terminal.command("price", "EURUSD", "1.08562", "1.08574")
        (position,) = rows(hop, "POSITIONS")
        (order,) = rows(hop, "ORDERS")
        theirs = {row["ticket"]: row for row in terminal.orders()}
        assert position == {
            "ticket": ticket, "symbol": "EURUSD", "type": "BUY", "volume": "0.1",
            "open_price": "1.08512", "current_price": "1.08562", "sl": "1.08000", "tp": "1.09000",
            "profit": "5.00", "swap": "-1.25", "commission": "0.00", "magic": 0, "comment": "",
            "opened_ms": 1000 * theirs[ticket]["open_s"],
        }  # fmt: skip
        assert order == {
            "ticket": pending, "symbol": "USDJPY", "type": "SELL_LIMIT", "volume": "0.03",
            "price": "151.000", "sl": "152.000", "tp": "149.500", "expiration_ms": 0, "magic": 0,
            "comment": "", "placed_ms": 1000 * theirs[pending]["open_s"],
        }  # fmt: skip


def test_many_positions_come_in_pages_that_fit(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        tickets = [opened(terminal, "EURUSD", "BUY", "0.01") for _ in range(130)]
        page = hop.ask("POSITIONS", 0)
        assert (len(page["positions"]), page["total"], page["complete"]) == (100, 130, True)
        assert [row["ticket"] for row in rows(hop, "POSITIONS")] == tickets
        assert hop.ask("POSITIONS", 130)["positions"] == []
        assert hop.ask("POSITIONS", 10**17)["positions"] == []


def test_the_book_grows_with_every_change_and_rests_without(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        first = hop.ask("POSITIONS", 0)["book"]
        assert hop.ask("ORDERS", 0)["book"] == first
        ticket = opened(terminal, "EURUSD", "BUY", "0.10")
        second = hop.ask("POSITIONS", 0)["book"]
        assert second > first
        terminal.command("manual_close", ticket)
        assert hop.ask("ORDERS", 0)["book"] > second


def test_history_is_oldest_first_by_the_time_of_closing(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        zone_ms = learn_zone(terminal, hop)  # or it is learnt between two of the questions
        one, two = (opened(terminal, "EURUSD", "BUY", "0.10") for _ in range(2))
        pending = opened(terminal, "EURUSD", "BUY_LIMIT", "0.10", "1.08000")
        for ticket in two, one:
            terminal.command("advance", 2_000)
            terminal.command("price", "EURUSD", "1.08502", "1.08514")
            terminal.command("manual_close", ticket)
        terminal.command("advance", 2_000)
        terminal.command("manual_delete", pending)
        page = hop.ask("HISTORY", 0, 0, 0)
        assert page["total"] == 4
        assert [row["reason"] for row in page["closed"]] == [
            "BALANCE", "MANUAL", "MANUAL", "CANCELLED",
        ]  # fmt: skip
        assert [row["ticket"] for row in page["closed"]][1:] == [two, one, pending]
        closed = {row["ticket"]: row for row in terminal.history()}
        for row in page["closed"][1:]:
            assert row["closed_ms"] == 1000 * closed[row["ticket"]]["close_s"] - zone_ms
        between = page["closed"][2]["closed_ms"]
        only = hop.ask("HISTORY", between, between, 0)
        assert [row["ticket"] for row in only["closed"]] == [one]
        assert hop.ask("HISTORY", 0, 0, 3)["closed"] == page["closed"][3:]


def test_history_is_complete_only_if_it_reaches_back_far_enough(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        deposit = hop.ask("HISTORY", 0, 0, 0)["closed"][0]["closed_ms"]
        terminal.command("advance", 3 * 86_400_000)
        terminal.command("price", "EURUSD", "1.08502", "1.08514")
        assert hop.ask("HISTORY", deposit + 1000, 0, 0)["complete"] is True
        terminal.command("history_range", "today")
        assert hop.ask("HISTORY", deposit + 1000, 0, 0)["complete"] is False
        terminal.command("flag", "connected", 0)
        assert hop.ask("POSITIONS", 0)["complete"] is False


def test_why_a_position_closed_is_in_its_row(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        stopped = opened(terminal, "EURUSD", "BUY", "0.10", "1.08512", "1.08400", "0")
        taken = opened(terminal, "EURUSD", "SELL", "0.10", "1.08500", "0", "1.08450")
        part = opened(terminal, "EURUSD", "BUY", "0.30")
        terminal.command("manual_close", part, "0.10")
        rest = max(row["ticket"] for row in terminal.orders())
        terminal.command("price", "EURUSD", "1.08390", "1.08402")
        terminal.command("manual_close", rest)
        found = {row["ticket"]: row for row in hop.ask("HISTORY", 0, 0, 0)["closed"]}
        assert found[stopped]["reason"] == "SL"
        assert found[taken]["reason"] == "TP"
        assert (found[part]["volume"], found[part]["from_ticket"]) == ("0.1", 0)
        assert (found[rest]["volume"], found[rest]["from_ticket"]) == ("0.2", part)


def test_quote_and_symbol_are_the_brokers(tmp_path: Path) -> None:
    terms = BrokerTerms(
        symbols=(
            SymbolTerms(name="EURUSD.m", stop_level=30, freeze_level=10, lot_step=0.1, min_lot=0.1),
            SymbolTerms(name="USDJPY", digits=3, bid="150.100", ask="150.112", base="USD",
                        profit="JPY"),
        )
    )  # fmt: skip
    with attached(tmp_path, terms=terms, Symbols="EURUSD.m") as (_terminal, hop):
        spec = hop.ask("SYMBOL", "EURUSD.m")
        assert spec == {
            "symbol": "EURUSD.m", "digits": 5, "point": "0.00001", "volume_min": "0.1",
            "volume_max": "100", "volume_step": "0.1", "contract_size": "100000.00",
            "stops_level": 30, "freeze_level": 10, "currency_base": "EUR",
            "currency_profit": "USD", "tick_value": "1.00000000",
        }  # fmt: skip
        quote = hop.ask("QUOTE", "USDJPY")
        assert (quote["bid"], quote["ask"]) == ("150.100", "150.112")
        assert hop.ask("SYMBOL", "USDJPY")["point"] == "0.001"


@pytest.mark.parametrize("verb", ["QUOTE", "SYMBOL"])
def test_a_symbol_nobody_knows_is_an_error(tmp_path: Path, verb: str) -> None:
    with attached(tmp_path) as (_terminal, hop):
        assert hop.ask(verb, "NOSUCH") == {"error": "SYMBOL_UNKNOWN"}
        assert hop.ask("CHECK", "BUY", "0.10", "NOSUCH") == {"error": "SYMBOL_UNKNOWN"}


def test_a_margin_estimate_is_what_the_order_then_takes(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        guess = hop.ask("CHECK", "BUY", "0.50", "EURUSD")
        assert guess["price"] == "1.08512"
        opened(terminal, "EURUSD", "BUY", "0.50")
        assert hop.ask("ACCOUNT")["margin"] == guess["margin"]
        assert hop.ask("CHECK", "SELL_STOP", "0.10", "EURUSD")["price"] == "1.08500"
        assert hop.ask("CHECK", "BUY", "100", "EURUSD") == {"error": "NO_MONEY"}
        for kind, volume in ("BUY", "0"), ("BUY", "1e2"), ("HOLD", "0.10"), ("BUY", "-1"):
            assert hop.ask("CHECK", kind, volume, "EURUSD") == {"error": "BODY"}


def test_a_magic_that_nobody_used_has_no_rows(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        opened(terminal, "EURUSD", "BUY", "0.10")
        found = hop.ask("TAG", 1234567)
        assert (found["positions"], found["orders"], found["closed"]) == ([], [], [])
        assert found["complete"] is True
        assert hop.ask("TAG", 0) == {"error": "BODY"}  # would be every foreign order
        terminal.command("flag", "connected", 0)
        assert hop.ask("TAG", 1234567)["complete"] is False
