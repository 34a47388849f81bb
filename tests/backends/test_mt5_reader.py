"""One picture of a MetaTrader 5 account: whole, of the right account, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.limits import EA_SESSION_SILENCE_MS, SELF_TEST_PERIOD_MS
from bridge_server.backends.mt5_link import Answer
from tests.support.mt5_hand import ZONE_MS, symbol_row, tick_row
from tests.support.mt5_watching import BUY, PINNED, Desk

D = Decimal


def test_before_anything_was_read_the_picture_says_so() -> None:
    desk = Desk(begin=False)
    shot = desk.reader.snapshot()
    assert (shot.taken_wall_ms, shot.connected, shot.identity) == (0, False, PINNED)


def test_one_trip_shows_positions_orders_money_prices_and_terms() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    order = desk.account.place()
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.10012, desk.account.now())
    assert desk.reader.refresh()
    shot = desk.reader.snapshot()
    assert (shot.connected, shot.taken_wall_ms) == (True, desk.clock.wall_ms())
    assert (set(shot.positions), set(shot.orders)) == ({ticket}, {order})
    assert (shot.identity, shot.account.balance) == (PINNED, D(10_000))
    assert shot.quotes["EURUSD"].ask == D("1.10012")
    assert shot.market_ms == desk.clock.wall_ms()
    assert (shot.symbols["EURUSD"].filling, shot.symbols["EURUSD"].trade_mode) == ("IOC", "FULL")
    assert shot.note == ""


@pytest.mark.parametrize("kind", [0, 1, 8])
def test_a_market_order_on_its_way_is_no_pending_order_but_stands_in_a_scan(kind: int) -> None:
    desk = Desk()
    ticket = desk.account.place(kind)
    desk.reader.refresh()
    assert not desk.reader.snapshot().orders
    assert [one.ticket for one in desk.past.scan(0).orders] == [ticket]


def test_a_symbol_that_does_not_exist_is_named_with_the_fix_and_the_rest_goes_on() -> None:
    desk = Desk()
    del desk.link.symbols["EURUSD"]
    desk.clock.advance(SELF_TEST_PERIOD_MS)
    assert desk.reader.refresh()
    shot = desk.reader.snapshot()
    assert shot.connected
    assert "EURUSD: the broker has no such symbol: write its exact name" in shot.note
    assert "EURUSD" not in shot.symbols
    desk.link.symbols["EURUSD"] = symbol_row()
    desk.clock.advance(5_000)
    desk.reader.refresh()
    assert "EURUSD" in desk.reader.snapshot().symbols
    assert not desk.reader.missing


def test_a_symbol_that_was_taken_out_of_market_watch_has_no_price_and_is_selected_again() -> None:
    desk = Desk()
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
    desk.reader.refresh()
    desk.link.selected.clear()
    desk.reader.refresh()
    assert not desk.reader.snapshot().quotes
    desk.clock.advance(5_000)
    desk.reader.refresh()
    assert desk.reader.snapshot().quotes


def test_terms_that_the_broker_changes_are_read_within_a_minute() -> None:
    desk = Desk()
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
    desk.reader.refresh()
    desk.link.symbols["EURUSD"] = symbol_row(digits=3, point=0.001, trade_mode=3)
    desk.clock.advance(SELF_TEST_PERIOD_MS)
    desk.reader.refresh()
    spec = desk.reader.snapshot().symbols["EURUSD"]
    assert (spec.point, spec.trade_mode) == (D("0.001"), "CLOSEONLY")


def test_a_session_is_open_while_ticks_come() -> None:
    desk = Desk()
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now() - 60_000)
    desk.reader.refresh()
    assert desk.reader.snapshot().symbols["EURUSD"].session == "OPEN"
    desk.clock.advance(EA_SESSION_SILENCE_MS)
    desk.reader.refresh()
    assert desk.reader.snapshot().symbols["EURUSD"].session == "CLOSED"
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
    desk.reader.refresh()
    assert desk.reader.snapshot().symbols["EURUSD"].session == "OPEN"


def test_while_the_zone_is_unknown_times_and_sessions_are_too() -> None:
    desk = Desk(pinned=False)
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now() - 30_000)
    desk.account.deal(BUY, "0.10")
    desk.reader.refresh()
    shot = desk.reader.snapshot()
    assert (shot.market_ms, shot.symbols["EURUSD"].session) == (0, "")
    assert next(iter(shot.positions.values())).opened_ms == 0
    assert "two fresh ticks" in shot.note
    for _ in range(2):
        desk.clock.advance(1000)
        desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
        desk.reader.refresh()
    shot = desk.reader.snapshot()
    assert (desk.reader.zone_ms, shot.market_ms) == (ZONE_MS, desk.clock.wall_ms())
    assert shot.symbols["EURUSD"].session == "OPEN"


def test_ticks_of_two_connections_make_no_pair_that_tells_the_zone() -> None:
    desk = Desk(pinned=False)
    for connects in (1, 2):
        desk.link.put(connects=connects)
        desk.clock.advance(1000)
        desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
        desk.reader.refresh()
    assert desk.reader.zone_ms is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(ok=False, code=-10001, text="IPC send failed"), Answer(ok=True, value=None),
        Answer(ok=True, value=7), Answer(ok=True, value=[7]), Answer(ok=True, value=[{}]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["positions_get", "orders_get", "account_info"])
def test_what_cannot_be_read_leaves_the_old_picture_not_connected(
    name: str, answer: Answer
) -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.reader.refresh()
    desk.link.answers[name] = answer
    assert not desk.reader.refresh()
    shot = desk.reader.snapshot()
    assert (set(shot.positions), shot.connected) == ({ticket}, False)
    assert shot.note
    desk.link.answers.clear()
    assert desk.reader.refresh()
    assert desk.reader.snapshot().connected


def test_a_link_that_is_away_says_why_and_is_asked_for_nothing() -> None:
    desk = Desk()
    desk.link.put(alive=False, why="the terminal is away: start it")
    desk.link.asked.clear()
    assert not desk.reader.refresh()
    assert desk.reader.snapshot().note == "the terminal is away: start it"
    assert desk.link.asked == []


def test_another_accounts_positions_and_money_are_never_shown() -> None:
    desk = Desk()
    desk.link.put(wrong_account="login 9999")
    desk.account.login, desk.account.balance = 9999, 5.0
    desk.account.deal(BUY, "0.10")
    assert not desk.reader.refresh()
    shot = desk.reader.snapshot()
    assert (shot.identity.login, shot.positions, shot.connected) == (5001, {}, False)
    assert shot.account.balance == D(10_000)
    with pytest.raises(BridgeError, match="login 9999"):
        desk.past.scan(0)


def test_an_account_that_changes_within_a_reading_is_not_shown() -> None:
    desk = Desk()

    def before(name: str) -> None:
        if name == "positions_get":
            desk.account.login = 9999

    desk.link.before = before
    assert not desk.reader.refresh()
    assert "the account changed meanwhile" in desk.reader.snapshot().note


def test_a_terminal_without_its_broker_shows_what_it_knows_and_is_not_connected() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.reader.refresh()
    desk.link.put(linked=False, linked_mono=0, why="the terminal has no broker")
    assert not desk.reader.refresh()
    shot = desk.reader.snapshot()
    assert (set(shot.positions), shot.connected) == ({ticket}, False)


def test_a_fresh_quote_is_one_call_and_none_where_there_is_no_price() -> None:
    desk = Desk()
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
    desk.link.asked.clear()
    quote = desk.reader.quote("EURUSD")
    assert quote is not None
    assert (quote.bid, quote.asked_wall_ms) == (D("1.1"), desk.clock.wall_ms())
    assert desk.link.asked == ["symbol_info_tick"]
    desk.link.answers["symbol_info_tick"] = Answer(ok=False, code=-10002, text="IPC recv failed")
    assert desk.reader.quote("EURUSD") is None
    desk.link.answers.clear()
    desk.link.ticks["EURUSD"] = tick_row(0.0, 0.0, 0)
    assert desk.reader.quote("EURUSD") is None


def test_ten_thousand_positions_are_one_picture() -> None:
    desk = Desk()
    desk.account.deal(BUY, "0.01")
    row = next(iter(desk.account.positions.values()))
    for n in range(10_000):
        desk.account.positions[10_000 + n] = row | {"ticket": 10_000 + n, "identifier": 10_000 + n}
    assert desk.reader.refresh()
    assert len(desk.reader.snapshot().positions) == 10_001
