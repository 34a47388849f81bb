"""The stand-in's broker on a hedging account: orders, deals, positions, money, times."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms

NOON = 1_795_176_000_000  # 2026-11-20 12:00 UTC, a Friday


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall=NOON)


@pytest.fixture
def broker(clock: FakeClock) -> Broker:
    broker = Broker(Terms(symbols=(SymbolTerms(selected=True),)), clock)
    broker.price("EURUSD", "1.10000", "1.10010")
    return broker


def buy(**more: Any) -> dict[str, Any]:
    return {
        "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "type_filling": 1,
        "price": 1.1001, "deviation": 10, "magic": 77, "comment": "ZTAG", **more,
    }  # fmt: skip


def test_a_market_order_is_an_order_in_the_history_a_deal_and_a_position(broker: Broker) -> None:
    answer = broker.send(buy())
    assert answer["retcode"] == 10009
    assert (answer["volume"], answer["price"]) == (0.1, 1.1001)
    assert broker.orders() == ()
    (position,) = broker.positions()
    assert position["ticket"] == position["identifier"] == answer["order"]
    assert (position["magic"], position["comment"], position["reason"]) == (77, "ZTAG", 3)
    deal = broker.history_deal(int(answer["deal"]))
    assert deal is not None
    assert deal["order"] == answer["order"] != answer["deal"]
    assert (deal["entry"], deal["position_id"]) == (0, position["identifier"])
    order = broker.history_order(int(answer["order"]))
    assert order is not None
    assert (order["state"], order["volume_initial"], order["volume_current"]) == (4, 0.1, 0.0)


def test_a_close_that_names_the_position_books_the_profit(broker: Broker) -> None:
    ticket = broker.send(buy())["order"]
    broker.price("EURUSD", "1.10110", "1.10120")
    answer = broker.send(buy(type=1, position=ticket, price=1.1011, comment="ZCLOSE", magic=78))
    assert answer["retcode"] == 10009
    assert broker.positions() == ()
    out = broker.history_deals_of(int(ticket))[-1]
    assert (out["entry"], out["profit"], out["magic"]) == (1, 10.0, 78)
    assert broker.account()["balance"] == 10_010.0


def test_a_close_without_the_position_opens_the_opposite_one(broker: Broker) -> None:
    broker.send(buy())
    broker.send(buy(type=1, price=1.1))
    assert sorted(p["type"] for p in broker.positions()) == [0, 1]


def test_a_second_close_of_the_same_position_is_refused(broker: Broker) -> None:
    ticket = broker.send(buy())["order"]
    close = buy(type=1, position=ticket)
    assert broker.send(close)["retcode"] == 10009
    assert broker.send(close)["retcode"] == 10036


def test_times_are_those_of_the_brokers_clock(broker: Broker) -> None:
    broker.send(buy())
    assert broker.positions()[0]["time_msc"] == NOON + 2 * 3_600_000
    tick = broker.tick("EURUSD")
    assert tick is not None
    assert tick["time"] == NOON // 1000 + 7200
    now_s = NOON // 1000
    assert len(broker.history_deals(now_s - 86_400, now_s)) == 0, "a window in UTC misses them"
    assert len(broker.history_deals(now_s - 86_400, now_s + 2 * 86_400)) == 2


def test_the_history_begins_with_the_deposit(broker: Broker) -> None:
    (deposit,) = broker.history_deals(1, 2**31 - 1)
    assert (deposit["type"], deposit["symbol"], deposit["profit"]) == (2, "", 10_000.0)


def test_margin_and_free_margin_follow_the_open_positions(broker: Broker) -> None:
    broker.send(buy())
    account = broker.account()
    assert account["margin"] == 110.01
    assert account["profit"] == -1.0
    assert account["equity"] == 9_999.0
    assert account["margin_free"] == 9_888.99


def test_a_stop_loss_closes_with_its_reason_and_comment(broker: Broker) -> None:
    ticket = int(broker.send(buy(sl=1.099, tp=1.102))["order"])
    broker.price("EURUSD", "1.09890", "1.09900")
    assert broker.positions() == ()
    out = broker.history_deals_of(ticket)[-1]
    assert (out["reason"], out["comment"], out["price"]) == (4, "[sl 1.09900]", 1.0989)
    order = broker.history_orders_of(ticket)[-1]
    assert (order["reason"], order["state"], order["magic"]) == (4, 4, 77)


def test_a_pending_order_waits_fills_and_moves_to_the_history(broker: Broker) -> None:
    answer = broker.send(buy(action=5, type=2, price=1.09, type_filling=2))
    assert (answer["retcode"], answer["deal"], answer["price"]) == (10009, 0, 0.0)
    (order,) = broker.orders()
    assert (order["ticket"], order["state"], order["type"]) == (answer["order"], 1, 2)
    broker.price("EURUSD", "1.08990", "1.09000")
    assert broker.orders() == ()
    assert broker.positions()[0]["ticket"] == answer["order"]
    assert broker.positions()[0]["magic"] == 77


def test_an_expired_order_ends_by_the_brokers_clock(broker: Broker, clock: FakeClock) -> None:
    ends_s = NOON // 1000 + 7200 + 60
    broker.send(buy(action=5, type=2, price=1.09, type_filling=2, type_time=2, expiration=ends_s))
    clock.advance(59_000)
    assert len(broker.orders()) == 1
    clock.advance(1_000)
    assert broker.orders() == ()
    assert broker.history_orders(1, 2**31 - 1)[-1]["state"] == 6


def test_an_unselected_symbol_has_no_tick_and_no_trade() -> None:
    broker = Broker(Terms(), FakeClock(wall=NOON))
    broker.price("EURUSD", "1.1", "1.1001")
    assert broker.tick("EURUSD") is None
    assert broker.send(buy())["retcode"] == 10021
    assert broker.select("EURUSD", True)
    assert broker.send(buy())["retcode"] == 10009


def test_the_sums_of_the_fact_sheet_hold(broker: Broker) -> None:
    assert broker.calc_margin(0, "EURUSD", 0.1, 1.0991) == 109.91
    assert broker.calc_profit(0, "EURUSD", 0.1, 1.1, 1.101) == 10.0
    assert broker.calc_profit(2, "EURUSD", 0.1, 1.1, 1.101) is None


def test_volumes_of_binary_fractions_do_not_drift(broker: Broker) -> None:
    ticket = broker.send(buy(volume=0.3))["order"]
    for _ in range(3):
        broker.send(buy(type=1, position=ticket, volume=0.1))
    assert broker.positions() == ()
    assert sum(Decimal(str(d["volume"])) for d in broker.history_deals_of(int(ticket))) == Decimal(
        "0.6"
    )


def test_a_broker_may_fill_an_order_without_the_stops_it_asked_for(broker: Broker) -> None:
    broker.terms.symbols[0].drops_stops = True
    broker.send(buy(sl=1.09, tp=1.2))
    (position,) = broker.positions()
    assert (position["sl"], position["tp"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "price", "short_of", "reached"),
    [
        (2, 1.09, ("1.08991", "1.09001"), ("1.08990", "1.09000")),
        (3, 1.11, ("1.10999", "1.11009"), ("1.11000", "1.11010")),
        (4, 1.11, ("1.10989", "1.10999"), ("1.10990", "1.11000")),
        (5, 1.09, ("1.09001", "1.09011"), ("1.09000", "1.09010")),
    ],
    ids=["BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"],
)
def test_a_pending_order_fills_at_its_own_side_of_the_price(
    broker: Broker, kind: int, price: float, short_of: tuple[str, str], reached: tuple[str, str]
) -> None:
    broker.send(buy(action=5, type=kind, price=price, type_filling=2))
    broker.price("EURUSD", *short_of)
    assert broker.positions() == ()
    broker.price("EURUSD", *reached)
    (position,) = broker.positions()
    assert (position["type"], position["price_open"]) == (kind % 2, price)


def test_a_sell_stop_limit_places_its_limit_when_the_bid_falls_to_its_trigger(
    broker: Broker,
) -> None:
    broker.send(buy(action=5, type=7, price=1.09, stoplimit=1.095, type_filling=2))
    broker.price("EURUSD", "1.09001", "1.09011")
    assert broker.orders()[0]["type"] == 7
    broker.price("EURUSD", "1.09000", "1.09010")
    (order,) = broker.orders()
    assert (order["type"], order["price_open"], order["price_stoplimit"]) == (3, 1.095, 0.0)
