"""`ztb-server doctor` at a terminal: each thing that can be wrong, one sentence, one fix.

Real worker processes ask a stand-in terminal where the worker has a part in it. Nothing here may
ever send an order.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from bridge_server.checks_mt5 import Visit
from bridge_server.cli import main
from tests.server.mt5.doctor import BLIND, QUICK, VISIT, House
from tests.support.fake_metatrader5 import ANSWERED, BEFORE, load
from tests.support.fake_metatrader5.terms import SymbolTerms

IDS = [
    "mt5.package", "mt5.path", "mt5.terminal", "mt5.account", "mt5.broker", "mt5.api",
    "mt5.margin", "mt5.trading", "mt5.symbol EURUSD", "mt5.clock", "mt5.tag",
]  # fmt: skip


def test_a_terminal_in_order_is_found_in_order_without_an_order(house: House) -> None:
    found = house.ask(VISIT)
    assert list(found) == IDS
    assert {one.state for one in found.values()} == {"ok"}, found
    assert found["mt5.clock"].finding == "the broker's clock is UTC+2:00, by fresh ticks"
    assert found["mt5.account"].finding == "5001234@Fake-Demo (demo)"
    assert "build 5833" in found["mt5.terminal"].finding
    assert "0.01 to 500 lots, MARKET execution, filling IOC" in found["mt5.symbol EURUSD"].finding
    assert house.terminal.count("order_check") == 1


def test_the_command_ends_with_1_exactly_when_something_fails(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def visit(say: Callable[[str], object]) -> Visit:
        return structs.replace(BLIND, say=say)

    monkeypatch.setattr("bridge_server.cli.Visit", visit)
    words = ["doctor", "--config", str(house.account.config)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "mt5.terminal" in said.out
    assert "up to 3 minutes" in said.err  # nobody sits before a silent screen
    house.terminal.trade_allowed = False
    assert main([*words, "--json"]) == 1
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert rows["mt5.trading"]["state"] == "fail"


def test_a_rehearsal_needs_no_permission_and_checks_no_order(house: House) -> None:
    house.rehearsal()
    house.terminal.trade_allowed = False
    house.terminal.tradeapi_disabled = True
    found = house.ask()
    assert {name: one.state for name, one in found.items() if one.state != "ok"} == {
        "mt5.clock": "warn", "mt5.tag": "skip",
    }  # fmt: skip
    assert "5001234@Fake-Demo" in found["mt5.account"].finding
    assert house.terminal.count("order_check") == 0


Plant = Callable[[House], object]


def _symbol(**changes: object) -> Plant:
    def plant(house: House) -> None:
        for name, value in changes.items():
            setattr(house.terms.symbols[0], name, value)

    return plant


def _terminal(**changes: object) -> Plant:
    def plant(house: House) -> None:
        for name, value in changes.items():
            setattr(house.terminal, name, value)

    return plant


def _terms(**changes: object) -> Plant:
    def plant(house: House) -> None:
        for name, value in changes.items():
            setattr(house.terms, name, value)

    return plant


def _toml(old: str, new: str) -> Plant:
    return lambda house: house.account.edit(old, new)


@pytest.mark.parametrize(
    ("plant", "row", "says", "fix"),
    [
        (_terminal(trade_allowed=False), "mt5.trading fail", "Algo Trading is off", "Ctrl+E"),
        (_terms(trade_allowed=False), "mt5.trading fail", "only look", "master password"),
        (_terms(trade_expert=False), "mt5.trading fail", "no programs", "ask the broker"),
        (_terminal(tradeapi_disabled=True), "mt5.api fail", "no Python program",
         "Disable algorithmic trading via external Python API"),
        (lambda h: h.terminal.broker.link(up=False), "mt5.broker fail", "no connection",
         "lower right corner"),
        (lambda h: h.terminal.login_as(login=99), "mt5.account fail", "99@Fake-Demo (demo)",
         "Login to Trade Account: 5001234 at Fake-Demo, demo"),
        (lambda h: h.terminal.login_as(server="Other-Live", trade_mode=2), "mt5.account fail",
         "5001234@Other-Live (real)", "at Fake-Demo, demo"),
        (lambda h: h.terminal.login_as(trade_mode=1), "mt5.account fail", "(contest)", "demo"),
        (lambda h: h.terminal.login_as(trade_mode=7), "mt5.account fail", "unknown(7)", "demo"),
        (lambda h: h.terminal.login_as(margin_mode=0), "mt5.margin fail",
         "is netting, server.toml pins hedging", 'margin_mode = "netting"'),
        (lambda h: h.terminal.login_as(margin_mode=9), "mt5.margin fail", "unknown(9)",
         "log in to a hedging account"),
        (_terminal(build=2363), "mt5.terminal fail", "build 2363", "update itself"),
        (lambda h: h.terminal.broker.select("EURUSD", False), "mt5.symbol EURUSD warn",
         "not shown in Market Watch", "show EURUSD"),
        (_symbol(trade_mode=0), "mt5.symbol EURUSD fail", "DISABLED", "ask the broker"),
        (_symbol(trade_mode=3), "mt5.symbol EURUSD fail", "CLOSEONLY", "ask the broker"),
        (_symbol(trade_mode=1), "mt5.symbol EURUSD warn", "SELL is not allowed", "broker"),
        (_symbol(filling_mode=0), "mt5.symbol EURUSD fail", "no known filling", "broker"),
        (_symbol(volume_min=Decimal(5)), "mt5.symbol EURUSD fail", "smallest lot is 5",
         "max_volume = 5"),
        (lambda h: h.terminal.broker.pay_in(-9_999), "mt5.tag warn",
         "10019 (there is not enough free margin", "put money"),
        (_toml("portable = true", "portable = true\nutc_offset_minutes = 120"), "mt5.clock ok",
         "pinned to UTC+2:00", ""),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_one_sentence_with_one_fix(
    near: House, plant: Plant, row: str, says: str, fix: str
) -> None:
    plant(near)
    name, _, state = row.rpartition(" ")
    found = near.one(name)
    assert found.state == state, found
    assert says in found.finding
    assert fix in found.fix
    assert "\n" not in found.finding + found.fix


def test_another_account_s_symbols_and_permissions_are_not_judged(near: House) -> None:
    near.terminal.login_as(login=99, margin_mode=0)
    near.terms.trade_allowed = False
    found = near.ask()
    assert list(found)[-1] == "mt5.symbol"
    assert [name for name, one in found.items() if one.state == "fail"] == ["mt5.account"]
    assert near.terminal.count("order_check") == 0


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        ("EURUSD.m", "EURUSD"),  # the broker has no suffix
        ("eurusd", "EURUSD"),
        ("EURUSDx", "EURUSD"),
        ("#EURUSD", "EURUSD"),
    ],
)
def test_a_wrong_suffix_is_told_with_what_the_broker_has_and_never_guessed(
    near: House, wanted: str, has: str
) -> None:
    near.account.edit('"EURUSD"', f'"{wanted}"')
    near.account.edit("[limits.EURUSD]", f'[limits."{wanted}"]')
    found = near.ask()
    row = found[f"mt5.symbol {wanted}"]
    assert row.state == "fail"
    assert row.finding == f"the broker has no such symbol; it has {has}"
    assert has in row.fix
    assert found["mt5.tag"].state == "skip"  # no other symbol is taken in its place


def test_of_many_suffixes_the_nearest_come_first_and_only_a_few(near: House) -> None:
    names = ["EURUSD.m", "EURUSD.ecn", "EURUSDm", "#EURUSD", "EURUSD.pro", "EURUSD.raw", "GBPUSD"]
    near.terms.symbols = tuple(SymbolTerms(name=name) for name in names)
    row = near.ask()["mt5.symbol EURUSD"]
    told = row.finding.rpartition("it has ")[2].split()
    assert set(told[:2]) <= {"EURUSDm", "#EURUSD"}
    assert len(told) == 5
    assert "GBPUSD" not in told


def test_a_symbol_that_nothing_is_like_is_told_so(near: House) -> None:
    near.terms.symbols = (SymbolTerms(name="XAUUSD"),)
    row = near.ask()["mt5.symbol EURUSD"]
    assert (row.state, row.finding.endswith("none like it")) == ("fail", True)


def test_a_broker_clock_that_is_not_the_pinned_one_is_told_with_the_line(near: House) -> None:
    near.account.edit("portable = true", "portable = true\nutc_offset_minutes = 180")
    found = near.ask(VISIT)["mt5.clock"]
    assert found.state == "fail"
    assert found.finding == "the broker's clock is UTC+2:00, server.toml pins UTC+3:00"
    assert found.fix.startswith("set utc_offset_minutes = 120 in server.toml")


def test_without_fresh_ticks_nothing_is_said_about_the_clock(near: House) -> None:
    near.terms.symbols[0].streaming = False
    quick = Visit(load=load, patience_s=15, ticks_s=0.5, pace=QUICK)
    found = near.ask(quick)["mt5.clock"]
    assert (found.state, "utc_offset_minutes" in found.fix) == ("warn", True)


@pytest.mark.parametrize(("key", "kept"), [("magic", 2**32 - 1), ("comment", "Z" * 16)])
def test_a_terminal_that_loses_a_mark_is_not_to_be_traded_with(
    near: House, key: str, kept: object
) -> None:
    def lose(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "request": {**answer["request"], key: kept}}

    near.terminal.faults.script("order_check", ANSWERED, "alter", change=lose)
    found = near.one("mt5.tag")
    assert (found.state, str(kept) in found.finding) == ("fail", True), found
    assert "do not trade with this terminal" in found.fix


def test_a_check_without_an_answer_is_told_with_the_package_s_words(near: House) -> None:
    near.terminal.faults.script("order_check", BEFORE, "error", code=-1)
    found = near.one("mt5.tag")
    assert (found.state, "-1 Terminal: Call failed" in found.finding) == ("fail", True), found


def test_a_symbol_that_cannot_be_asked_for_is_not_called_missing(near: House) -> None:
    near.terminal.faults.script("symbol_info", BEFORE, "error", code=-1)
    found = near.one("mt5.symbol EURUSD")
    assert (found.state, "no such symbol" in found.finding) == ("fail", False), found
