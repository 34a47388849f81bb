"""What the terminal sees, and when: answers before deals, a lost link, hours, daylight saving."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from tests.mt5.asking import EVER, NOON, broker_of, buy, limit, sell
from tests.support.clock import FakeClock
from tests.support.fake_metatrader5.broker import (
    WEEKDAYS,
    Broker,
    Session,
    SymbolTerms,
    Terms,
    pair,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall=NOON)


def test_a_deal_and_its_position_may_be_seen_later_than_the_answer(clock: FakeClock) -> None:
    broker = broker_of(clock, deal_visible_after_ms=300, history_visible_after_ms=500)
    answer = broker.send(buy())
    assert answer["deal"]
    assert broker.positions() == ()
    assert len(broker.history_deals(*EVER)) == 1
    clock.advance(300)
    assert len(broker.positions()) == 1
    assert len(broker.history_deals(*EVER)) == 2
    assert broker.history_order(int(answer["order"])) is None
    clock.advance(200)
    assert broker.history_order(int(answer["order"])) is not None


def test_a_position_that_is_closed_is_shown_until_the_terminal_knows(clock: FakeClock) -> None:
    broker = broker_of(clock)
    ticket = broker.send(buy())["order"]
    broker.terms.deal_visible_after_ms = 100
    broker.send(sell(position=ticket))
    assert len(broker.positions()) == 1
    assert broker.account()["balance"] == 10_000.0
    clock.advance(100)
    assert broker.positions() == ()
    assert broker.account()["balance"] == 9_999.0


def test_changes_are_shown_one_after_the_other(clock: FakeClock) -> None:
    broker = broker_of(clock, deal_visible_after_ms=100)
    broker.send(buy())
    clock.advance(60)
    broker.send(buy())
    clock.advance(60)
    assert len(broker.positions()) == 1
    clock.advance(60)
    assert len(broker.positions()) == 2


def test_an_answer_may_lack_deal_and_price() -> None:
    broker = broker_of(answer_deal=False)
    answer = broker.send(buy())
    assert (answer["retcode"], answer["deal"], answer["price"]) == (10009, 0, 0.0)
    assert answer["order"] == broker.history_deals(*EVER)[-1]["order"]


@pytest.mark.parametrize(
    ("then", "state", "held"), [("fill", 4, 1), ("reject", 5, 0), ("cancel", 2, 0)]
)
def test_an_order_placed_first_ends_later(
    clock: FakeClock, then: str, state: int, held: int
) -> None:
    broker = broker_of(clock)
    broker.place_next(then, after_ms=1_000)
    answer = broker.send(buy())
    assert (answer["retcode"], answer["deal"], answer["price"]) == (10008, 0, 0.0)
    (order,) = broker.orders()
    assert (order["ticket"], order["type"], order["magic"]) == (answer["order"], 0, 77)
    clock.advance(1_000)
    assert len(broker.positions()) == held
    assert broker.orders() == ()
    assert broker.history_orders(*EVER)[-1]["state"] == state


def test_an_order_on_its_way_may_wait_for_the_test() -> None:
    broker = broker_of()
    broker.place_next(after_ms=None)
    ticket = int(broker.send(buy())["order"])
    assert broker.positions() == ()
    broker.finish(ticket)
    assert broker.positions()[0]["ticket"] == ticket


@pytest.mark.parametrize(("filling", "state"), [(1, 2), (2, 3)], ids=["IOC", "RETURN"])
def test_a_partial_fill_gives_the_rest_back_or_leaves_it_active(filling: int, state: int) -> None:
    broker = broker_of(symbol={"exemode": 3})
    broker.fill_next("0.03", "0.04")
    answer = broker.send(buy(type_filling=filling))
    assert (answer["retcode"], answer["volume"]) == (10010, 0.07)
    (position,) = broker.positions()
    assert (position["ticket"], position["volume"]) == (answer["order"], 0.07)
    assert [d["volume"] for d in broker.history_deals(*EVER)[1:]] == [0.03, 0.04]
    rows = broker.orders() or broker.history_orders(*EVER)
    assert [(o["state"], o["volume_current"]) for o in rows] == [(state, 0.03)]


def test_fill_or_kill_takes_no_part() -> None:
    broker = broker_of()
    broker.fill_next("0.05")
    assert broker.send(buy(type_filling=0))["retcode"] == 10006
    assert broker.positions() == ()


def test_fills_may_come_after_the_answer(clock: FakeClock) -> None:
    broker = broker_of(clock)
    broker.fill_next("0.03", "0.07", gap_ms=50)
    answer = broker.send(buy())
    assert (answer["retcode"], answer["volume"]) == (10010, 0.03)
    broker.price("EURUSD", "1.10010", "1.10020")
    clock.advance(50)
    (position,) = broker.positions()
    assert (position["volume"], position["price_open"]) == (0.1, 1.10017)
    assert broker.history_orders(*EVER)[-1]["state"] == 4


def test_without_a_link_the_terminal_shows_what_it_knew(clock: FakeClock) -> None:
    broker = broker_of(clock)
    ticket = int(broker.send(buy(sl=1.09))["order"])
    broker.link(False)
    assert broker.send(buy())["retcode"] == 10031
    broker.price("EURUSD", "1.08000", "1.08010")
    assert broker.positions()[0]["price_current"] == 1.1
    tick = broker.tick("EURUSD")
    assert tick is not None
    assert tick["bid"] == 1.1
    broker.link(True, history_after_ms=2_000)
    assert broker.positions() == ()
    assert len(broker.history_deals_of(ticket)) == 1, "the stop's deal is not there yet"
    clock.advance(2_000)
    assert [d["reason"] for d in broker.history_deals_of(ticket)] == [3, 4]


def test_a_history_may_come_bit_by_bit(clock: FakeClock) -> None:
    broker = broker_of(clock)
    for _ in range(3):
        broker.send(buy(volume=0.01))
    broker.reload_history(700)
    counts = []
    for _ in range(8):
        counts.append(len(broker.history_deals(*EVER)) + len(broker.history_orders(*EVER)))
        clock.advance(100)
    assert counts == [0, 1, 2, 3, 4, 5, 6, 7]


def test_the_calls_take_as_long_as_the_terms_say() -> None:
    broker = broker_of(execute_ms=30, answer_ms=40)
    begun = time.monotonic()
    broker.send(buy())
    assert time.monotonic() - begun >= 0.07


def test_trading_hours_are_the_brokers() -> None:
    clock = FakeClock(wall=NOON)
    broker = broker_of(clock, symbol={"sessions": (Session(4, 0, 14 * 3600 + 60),)})
    assert broker.send(buy())["retcode"] == 10009
    clock.advance(60_000)
    assert broker.send(buy())["retcode"] == 10018


def test_daylight_saving_moves_the_clock_and_leaves_the_past() -> None:
    clock = FakeClock(wall=NOON)
    change_ms = NOON + 3_600_000
    broker = broker_of(clock, zone_minutes=180, zone_changes=((change_ms, 120),))
    broker.send(buy())
    clock.advance(3_600_000)
    broker.send(buy())
    first, second = (p["time_msc"] for p in broker.positions())
    assert first == NOON + 3 * 3_600_000
    assert second == first, "an hour later, on a clock that was set back an hour"


def test_a_tick_grows_stale_unless_the_price_streams(clock: FakeClock) -> None:
    broker = broker_of(clock)
    clock.advance(60_000)
    tick = broker.tick("EURUSD")
    assert tick is not None
    assert tick["time_msc"] == NOON + 7_200_000
    broker.terms.symbols[0].streaming = True
    tick = broker.tick("EURUSD")
    assert tick is not None
    assert tick["time_msc"] == NOON + 7_260_000
    broker.close_market("EURUSD")
    clock.advance(60_000)
    assert broker.tick("EURUSD") == tick


def test_the_first_tick_comes_some_time_after_the_selection(clock: FakeClock) -> None:
    broker = Broker(Terms(symbols=(SymbolTerms(),), first_tick_ms=200), clock)
    broker.price("EURUSD", "1.1", "1.1001")
    broker.select("EURUSD")
    tick = broker.tick("EURUSD")
    assert tick is not None
    assert (tick["time"], tick["bid"]) == (0, 0.0)
    clock.advance(200)
    tick = broker.tick("EURUSD")
    assert tick is not None
    assert tick["bid"] == 1.1


def test_a_day_order_ends_with_the_brokers_day(clock: FakeClock) -> None:
    broker = broker_of(clock)
    broker.send(limit(type_time=1))
    clock.advance(10 * 3_600_000 - 1)
    assert len(broker.orders()) == 1
    clock.advance(1)
    assert broker.orders() == ()


def test_a_stop_out_closes_the_worst_first() -> None:
    broker = broker_of(balance=Decimal(1_000))
    worst = int(broker.send(buy(volume=0.5))["order"])
    broker.send(buy(volume=0.01))
    broker.price("EURUSD", "1.08300", "1.08310")
    out = broker.history_deals_of(worst)[-1]
    assert (out["reason"], str(out["comment"])[:4]) == (6, "[so ")
    assert len(broker.positions()) == 1


def test_a_ledger_file_outlives_the_broker(tmp_path: object) -> None:
    from pathlib import Path

    from tests.support.fake_metatrader5.ledger import read_lines

    path = Path(str(tmp_path)) / "ledger.jsonl"
    broker = Broker(Terms(symbols=(SymbolTerms(selected=True),)), FakeClock(wall=NOON), path)
    broker.price("EURUSD", "1.1", "1.1001")
    broker.send(buy())
    assert read_lines(path) == broker.lines()


def test_the_present_and_the_deals_may_come_in_either_order(clock: FakeClock) -> None:
    broker = broker_of(clock, deal_visible_after_ms=100, present_visible_after_ms=0)
    broker.send(buy())
    assert (len(broker.positions()), len(broker.history_deals(*EVER))) == (1, 1)
    broker = broker_of(clock, present_visible_after_ms=100)
    broker.send(buy())
    assert (len(broker.positions()), len(broker.history_deals(*EVER))) == (0, 2)
    clock.advance(100)
    assert len(broker.positions()) == 1


def test_an_order_answered_as_done_may_still_be_rejected(clock: FakeClock) -> None:
    broker = broker_of(clock)
    broker.place_next("reject", after_ms=100, retcode=10009)
    answer = broker.send(buy())
    assert (answer["retcode"], answer["deal"]) == (10009, 0)
    clock.advance(100)
    assert broker.positions() == ()
    assert broker.history_orders(*EVER)[-1]["state"] == 5


def test_on_weekdays_only_means_by_the_brokers_calendar() -> None:
    saturday = NOON + 10 * 3_600_000  # 22:00 UTC on Friday, and the broker's midnight
    clock = FakeClock(wall=saturday - 1)
    broker = broker_of(clock, symbol={"sessions": WEEKDAYS})
    assert broker.send(buy())["retcode"] == 10009
    clock.advance(1)
    assert broker.send(buy())["retcode"] == 10018


def test_a_symbol_may_get_another_name_and_its_positions_go_along(clock: FakeClock) -> None:
    terms = Terms(symbols=(pair("GBPUSD", selected=True),))
    broker = Broker(terms, clock)
    broker.price("GBPUSD", "1.3", "1.3001")
    ticket = int(broker.send(buy(symbol="GBPUSD"))["order"])
    broker.rename_symbol("GBPUSD", "GBPUSD.x")
    assert broker.positions()[0]["symbol"] == "GBPUSD.x"
    assert broker.symbol("GBPUSD") is None
    broker.select("GBPUSD.x")
    assert broker.send(sell(symbol="GBPUSD.x", position=ticket))["retcode"] == 10009


@pytest.mark.parametrize(("by_hand", "state", "left"), [("0.04", 2, 0.04), ("0.1", 5, 0.1)])
def test_a_close_on_its_way_closes_no_more_than_there_is(
    by_hand: str, state: int, left: float
) -> None:
    broker = broker_of()
    ticket = int(broker.send(buy())["order"])
    broker.place_next(after_ms=None)
    closing = int(broker.send(sell(position=ticket))["order"])
    broker.manual_close(ticket, by_hand)
    broker.finish(closing)
    assert broker.positions() == ()
    assert broker.orders() == ()
    order = broker.history_order(closing)
    assert order is not None
    assert (order["state"], order["volume_current"]) == (state, left)
