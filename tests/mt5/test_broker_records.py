"""The broker's rows are the package's records, its numbers the package's, its filter, too."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any

import pytest

from tests.mt5.asking import EVER, NOON, broker_of, buy, limit, sell
from tests.support.fake_metatrader5 import codes
from tests.support.fake_metatrader5.facts import FACTS
from tests.support.fake_metatrader5.filters import in_group
from tests.support.fake_metatrader5.records import record

FAMILIES = {
    codes.Action: ("TRADE_ACTION_",),
    codes.Kind: ("ORDER_TYPE_",),
    codes.State: ("ORDER_STATE_",),
    codes.Filling: ("ORDER_FILLING_",),
    codes.TimeKind: ("ORDER_TIME_",),
    codes.Reason: ("ORDER_REASON_", "DEAL_REASON_"),
    codes.Entry: ("DEAL_ENTRY_",),
    codes.DealKind: ("DEAL_TYPE_",),
    codes.TradeMode: ("SYMBOL_TRADE_MODE_",),
    codes.Execution: ("SYMBOL_TRADE_EXECUTION_",),
    codes.Ret: ("TRADE_RETCODE_",),
}
# No constant of the package: order_check's "good", and a code that only MQL5 has.
BEYOND = {"GOOD", "HEDGE_PROHIBITED"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_the_numbers_are_those_of_the_package(family: type[enum.IntEnum]) -> None:
    for each in family:
        if each.name in BEYOND:
            continue
        for prefix in FAMILIES[family]:
            assert FACTS.constants[prefix + each.name] == each


def test_no_code_of_the_package_lacks_a_text() -> None:
    for name, number in FACTS.constants.items():
        if name.startswith("TRADE_RETCODE_"):
            assert number in codes.TEXTS, name


def test_the_margin_modes_are_those_of_the_package() -> None:
    names = {"netting": "RETAIL_NETTING", "exchange": "EXCHANGE", "hedging": "RETAIL_HEDGING"}
    for mode, name in names.items():
        shown = broker_of(margin_mode=mode).account()["margin_mode"]
        assert shown == FACTS.constants["ACCOUNT_MARGIN_MODE_" + name]


def test_every_row_is_a_record_with_its_fields_and_types() -> None:
    broker = broker_of(symbol={"commission": 7})
    ticket = broker.send(buy())["order"]
    broker.send(sell(position=ticket, volume=0.04))
    broker.send(limit())
    request = FACTS.records["TradeRequest"]
    asked = {name: "" if kind == "str" else 0.0 if kind == "float" else 0 for name, kind in request}
    rows = [
        ("AccountInfo", broker.account()),
        ("SymbolInfo", broker.symbol("EURUSD")),
        ("Tick", broker.tick("EURUSD")),
        ("OrderCheckResult", broker.check(buy()) | {"request": asked}),
        ("OrderSendResult", broker.send(buy()) | {"request": asked}),
        *(("TradePosition", each) for each in broker.positions()),
        *(("TradeOrder", each) for each in (*broker.orders(), *broker.history_orders(*EVER))),
        *(("TradeDeal", each) for each in broker.history_deals(*EVER)),
    ]
    for name, row in rows:
        assert row is not None
        kinds = dict(FACTS.records[name])
        for field, value in row.items():
            wanted = {"float": float, "str": str, "bool": bool}.get(kinds[field], int)
            if field != "request":
                assert type(value) is wanted, f"{name}.{field}"
        record(name, row)


def test_a_symbol_shows_what_a_request_builder_needs() -> None:
    row = broker_of(symbol={"tick_size": 0, "filling_mode": 2}).symbol("EURUSD")
    assert row is not None
    assert (row["trade_exemode"], row["filling_mode"], row["trade_mode"]) == (2, 2, 4)
    assert (row["bid"], row["ask"], row["spread"], row["trade_tick_size"]) == (
        1.1,
        1.1001,
        10,
        1e-5,
    )
    assert row["trade_tick_value"] == 1.0


def test_an_unwatched_symbol_has_no_prices() -> None:
    broker = broker_of()
    broker.select("EURUSD", on=False)
    row = broker.symbol("EURUSD")
    assert row is not None
    assert (row["bid"], row["ask"], row["select"], row["time"]) == (0.0, 0.0, False, 0)


def test_a_symbol_with_something_open_cannot_be_taken_out_of_market_watch() -> None:
    broker = broker_of()
    broker.send(buy())
    assert broker.select("EURUSD", on=False) is False
    assert broker.select("NOSUCH") is False


def test_a_check_tells_the_margin_after_the_order_and_sends_nothing() -> None:
    broker = broker_of()
    checked = broker.check(buy())
    assert (checked["retcode"], checked["comment"]) == (0, "Done")
    assert (checked["margin"], checked["margin_free"]) == (110.01, 9_889.99)
    assert broker.begun() == 0
    broker.send(buy())
    assert broker.check(buy())["margin"] == 220.02


def test_money_in_another_currency_is_converted() -> None:
    yen = {"name": "USDJPY", "digits": 3, "base": "USD", "profit": "JPY", "margin": "USD"}
    broker = broker_of(symbol=yen)
    broker.price("USDJPY", "150.000", "150.010")
    assert broker.calc_margin(0, "USDJPY", 0.1, 150.01) == 100.0
    assert broker.calc_profit(0, "USDJPY", 0.1, 150.0, 151.0) == pytest.approx(66.66)
    gold = {"name": "XAUUSD", "digits": 2, "calc_mode": 2, "contract_size": Decimal(100),
            "base": "XAU", "margin": "USD"}  # fmt: skip
    broker = broker_of(symbol=gold)
    assert broker.calc_margin(0, "XAUUSD", 0.1, 2_000.0) == 20_000.0, "a CFD has no leverage"


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ({"comment_chars": 4}, "ZTAG"),
        ({"comment_prefix": "br:"}, "br:ZTAG and more"),
        ({"comment_replaced": "broker"}, "broker"),
        ({"comment_replaced": ""}, ""),
    ],
)
def test_a_broker_keeps_of_a_comment_what_it_likes(cut: dict[str, Any], kept: str) -> None:
    broker = broker_of(**cut)
    broker.send(buy(comment="ZTAG and more"))
    assert broker.positions()[0]["comment"] == kept
    assert broker.history_deals(*EVER)[-1]["comment"] == kept
    assert broker.lines()[-4]["request"]["comment"] == "ZTAG and more", "the judge sees all of it"


def test_a_person_at_the_terminal_leaves_a_persons_reason() -> None:
    broker = broker_of()
    ticket = broker.manual_buy("EURUSD", "0.1", sl="1.09")
    assert broker.positions()[0]["reason"] == 0
    broker.manual_modify(ticket, tp="1.2")
    assert (broker.positions()[0]["sl"], broker.positions()[0]["tp"]) == (1.09, 1.2)
    broker.manual_close(ticket, "0.04", reason=1)
    assert broker.history_deals_of(ticket)[-1]["reason"] == 1
    placed = broker.manual_pending("EURUSD", 2, "0.1", "1.08")
    broker.manual_modify(placed, price="1.07")
    assert broker.orders()[0]["price_open"] == 1.07
    broker.manual_remove(placed)
    assert broker.history_orders(*EVER)[-1]["state"] == 2
    assert broker.begun() == 0, "nobody asked the broker for that"


def test_a_position_may_get_another_ticket_and_keeps_its_identifier() -> None:
    broker = broker_of()
    ticket = int(broker.send(buy())["order"])
    renamed = broker.renumber(ticket)
    (position,) = broker.positions()
    assert (position["ticket"], position["identifier"]) == (renamed, ticket)
    assert broker.send(sell(position=ticket))["retcode"] == 10036
    assert broker.send(sell(position=renamed))["retcode"] == 10009
    assert broker.history_deals_of(ticket)[-1]["position_id"] == ticket


def test_opposite_positions_close_each_other() -> None:
    broker = broker_of()
    long = int(broker.send(buy(volume=0.3))["order"])
    short = int(broker.send(sell(volume=0.1))["order"])
    answer = broker.send({"action": 10, "position": long, "position_by": short, "magic": 9})
    assert answer["retcode"] == 10009
    (position,) = broker.positions()
    assert (position["ticket"], position["volume"]) == (long, 0.2)
    outs = [d for d in broker.history_deals(*EVER) if d["entry"] == 3]
    assert [(d["position_id"], d["volume"], d["price"]) for d in outs] == [
        (long, 0.1, 1.1), (short, 0.1, 1.1001),
    ]  # fmt: skip
    assert [d["profit"] for d in outs] == [-1.0, 0.0]


def test_swap_and_commission_reach_the_deals_and_the_balance() -> None:
    broker = broker_of(symbol={"commission": Decimal(7)})
    ticket = int(broker.send(buy())["order"])
    broker.charge_swap(ticket, "-1.20")
    broker.send(sell(position=ticket, volume=0.05))
    opened, closed = broker.history_deals_of(ticket)
    assert (opened["commission"], closed["commission"], closed["swap"]) == (-0.7, -0.35, -0.6)
    assert broker.positions()[0]["swap"] == -0.6
    assert broker.account()["balance"] == pytest.approx(10_000 - 0.7 - 0.35 - 0.6 - 0.5)


def test_a_stop_limit_places_its_limit_when_its_trigger_is_hit() -> None:
    broker = broker_of()
    broker.send(limit(type=6, price=1.11, stoplimit=1.105))
    broker.price("EURUSD", "1.10990", "1.11000")
    (order,) = broker.orders()
    assert (order["type"], order["price_open"]) == (2, 1.105)
    broker.price("EURUSD", "1.10490", "1.10500")
    assert len(broker.positions()) == 1


def test_a_pending_order_without_money_is_cancelled_when_its_price_comes() -> None:
    broker = broker_of()
    broker.send(limit(volume=100.0))
    broker.price("EURUSD", "1.08990", "1.09000")
    assert broker.positions() == ()
    assert broker.history_orders(*EVER)[-1]["state"] == 2


def test_the_window_of_history_includes_both_ends_in_broker_time() -> None:
    broker = broker_of()
    at = NOON // 1000 + 7200
    assert len(broker.history_deals(at, at)) == 1
    assert broker.history_deals(at + 1, at + 9) == ()
    assert broker.history_deals(at - 9, at - 1) == ()


@pytest.mark.parametrize(
    ("group", "symbol", "kept"),
    [
        ("*", "EURUSD", True), ("EURUSD", "EURUSD", True), ("EUR", "EURUSD", False),
        ("*USD*", "EURUSD", True), ("*,!EUR", "EURUSD", True), ("*,!*EUR*", "EURUSD", False),
        ("!*EUR*,*", "EURUSD", True), ("*usd", "EURUSD", False), ("", "EURUSD", False),
        ("GBP*, EUR*", "EURUSD", True), ("EUR?SD", "EURUSD", False), ("[E]URUSD", "EURUSD", False),
        ("X.[a]", "X.[a]", True), ("*.m", "EURUSD.m", True),
    ],
)  # fmt: skip
def test_a_group_filters_in_order_by_case_and_exactly_without_a_star(
    group: str, symbol: str, kept: bool
) -> None:
    assert in_group(group, symbol) is kept
