"""What shows late, never, or while nobody looked: told once, and as what it was."""

from __future__ import annotations

import pytest

from bridge_core.protocol.events import EventBody
from bridge_server.backends.mt5_story import LATE_MS
from tests.support.mt5_hand import tick_row
from tests.support.mt5_watching import BUY, SELL, Desk, shown


def only(events: list[EventBody]) -> EventBody:
    """Return the one event there is."""
    assert len(events) == 1, events
    return events[0]


def held() -> tuple[Desk, int]:
    """Return a desk with a position of 0.10 that was told, and its ticket."""
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.look()
    return desk, ticket


def test_a_deal_that_shows_later_than_its_position_is_waited_for() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10", late=3)
    assert not desk.look(2)
    assert only(desk.look(3)).ticket == ticket


def test_a_position_that_shows_later_than_its_deal_is_told_once() -> None:
    desk = Desk()

    def before(name: str) -> None:
        if name == "history_orders_total" and not desk.account.deals:
            desk.account.deal(BUY, "0.10")

    desk.link.before = before
    assert [one.type for one in desk.look(3)] == ["position_opened"]


def test_what_no_deal_explains_is_told_from_the_position_after_a_while() -> None:
    desk, ticket = held()
    desk.account.positions[ticket]["volume"] = 0.03  # mended by hand at the broker
    assert not desk.look(3)
    desk.clock.advance(LATE_MS)
    told = only(desk.look())
    assert (told.type, told.volume, told.remaining_volume, told.deal, told.reason) == (
        "position_closed", "0.07", "0.03", 0, "",
    )  # fmt: skip
    assert desk.fold.positions == shown(desk.account)[0]


def test_a_deal_that_shows_after_it_was_told_without_is_told_no_more() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10", late=4)
    desk.look(2)
    desk.clock.advance(LATE_MS)
    assert (told := only(desk.look())).type == "position_opened"
    assert told.deal == 0
    assert not desk.look(5)
    desk.account.deal(SELL, "0.10", at=ticket)
    assert only(desk.look()).type == "position_closed"
    assert desk.fold.positions == {}


def test_a_close_that_was_told_without_its_deal_is_settled_when_the_deal_shows() -> None:
    desk, ticket = held()
    desk.account.deal(SELL, "0.10", at=ticket, late=4, reason=4)
    desk.look(2)
    desk.clock.advance(LATE_MS)
    told = only(desk.look())
    assert (told.type, told.deal, told.reason) == ("position_closed", 0, "")
    assert not desk.look(5)
    desk.link.asked.clear()
    assert not desk.look()
    assert "history_deals_get" not in desk.link.asked  # nothing is waited for any more


def test_old_trades_that_show_after_the_watching_began_are_no_news() -> None:
    desk = Desk(begin=False)
    held = desk.account.deal(BUY, "0.10", late=3)
    gone = desk.account.deal(BUY, "0.20", late=4)
    desk.account.deal(SELL, "0.20", at=gone, late=4)
    desk.account.end(desk.account.place(), 2, late=3)
    desk.clock.advance(LATE_MS * 2)
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
    desk.begin()
    desk.account.look()
    assert not desk.look(6)
    assert held in desk.fold.positions


@pytest.mark.parametrize("late", [0, 3])
def test_a_deal_dated_a_moment_after_its_position_is_in_it_when_the_watching_begins(
    late: int,
) -> None:
    desk = Desk(begin=False)
    desk.account.apart_ms = 1
    ticket = desk.account.deal(BUY, "0.30", late=late)
    desk.begin()
    assert not desk.look(5)
    desk.link.asked.clear()
    assert not desk.look()
    assert "history_deals_get" not in desk.link.asked  # nothing is waited for
    desk.account.deal(SELL, "0.10", at=ticket)
    desk.account.deal(SELL, "0.20", at=ticket)
    told = desk.look()
    assert [(one.type, one.deal) for one in told] == [
        ("position_closed", row["ticket"]) for row in desk.account.deals[1:]
    ]  # fmt: skip
    assert desk.fold.positions == {}


def test_what_happened_while_the_worker_was_away_is_told_when_it_is_back() -> None:
    desk = Desk()
    held = desk.account.deal(BUY, "0.10")
    desk.look()
    desk.link.put(alive=False, linked=False, why="the terminal is away")
    desk.account.deal(SELL, "0.10", at=held, reason=4)
    passed = desk.account.deal(SELL, "0.30")
    desk.account.deal(BUY, "0.30", at=passed, reason=5)
    desk.clock.advance(6 * 3_600_000)
    assert not desk.look(2)
    assert not desk.reader.snapshot().connected
    desk.link.put(alive=True, linked=True, connects=2)
    assert [(one.type, one.reason) for one in desk.look()] == [
        ("position_closed", "SL"), ("position_opened", ""), ("position_closed", "TP"),
    ]  # fmt: skip
    assert not desk.look(3)


def test_a_terminal_that_shows_nothing_before_it_has_synchronised_closes_nothing() -> None:
    desk = Desk(sync_ms=2_000)
    held = desk.account.deal(BUY, "0.10")
    desk.look()
    rows = dict(desk.account.positions)
    desk.account.positions.clear()  # restarted: connected again, and still empty
    mono = desk.clock.mono_ms()
    desk.link.put(linked_mono=mono, connects=2)
    assert not desk.look(6)
    shot = desk.reader.snapshot()
    assert (held in shot.positions, shot.connected) == (True, False)
    desk.account.positions.update(rows)
    assert not desk.look(6)
    assert desk.reader.snapshot().connected


def test_after_a_reconnect_a_slow_history_has_its_time_again() -> None:
    desk, ticket = held()
    desk.account.deal(SELL, "0.10", at=ticket, reason=5, late=5)
    desk.look()
    desk.link.put(alive=False, linked=False)
    desk.clock.advance(LATE_MS)
    desk.look()
    desk.link.put(alive=True, linked=True, connects=2)
    told = only(desk.look(5))
    assert (told.type, told.reason, told.deal > 0) == ("position_closed", "TP", True)


def test_a_deal_that_turned_a_position_is_not_taken_for_its_close_while_one_is_missing() -> None:
    desk = Desk(netting=True)
    desk.account.in_order = False
    desk.account.deal(BUY, "0.05")
    desk.look()
    desk.account.deal(SELL, "0.01", late=2)
    desk.account.deal(SELL, "0.05")  # leaves 0.01 on the other side
    desk.account.deal(BUY, "0.01")
    assert [(one.type, one.side, one.volume) for one in desk.look(4)] == [
        ("position_closed", "BUY", "0.01"), ("position_closed", "BUY", "0.04"),
        ("position_opened", "SELL", "0.01"), ("position_closed", "SELL", "0.01"),
    ]  # fmt: skip


def test_a_position_that_got_another_ticket_before_anybody_looked_is_told_once() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.account.positions[ticket]["ticket"] = 999
    told = only(desk.look())
    assert (told.type, told.ticket) == ("position_opened", 999)


def test_a_terminal_that_has_just_started_is_not_watched_before_it_shows_everything() -> None:
    desk = Desk(sync_ms=2_000, begin=False)
    desk.link.put(linked_mono=desk.clock.mono_ms())
    assert not desk.look(2)
    desk.account.deal(BUY, "0.10")  # it was there all the time, and is shown now
    desk.account.end(desk.account.place(), 2)
    assert not desk.look(12)
    desk.account.deal(SELL, "0.20")
    assert only(desk.look()).side == "SELL"


def test_a_look_after_a_reconnect_is_the_reading_that_a_scan_asks_for() -> None:
    desk, _ = held()
    desk.link.put(connects=2)
    desk.look()
    assert desk.past.scan(desk.clock.wall_ms()).complete


def test_a_pcs_clock_that_is_set_back_brings_no_old_trade_up_again() -> None:
    desk, ticket = held()
    desk.account.deal(SELL, "0.10", at=ticket)
    desk.look()
    hours = 6 * 3_600_000
    desk.clock.advance(hours)
    desk.look(2)
    desk.clock.step_wall(-hours)
    assert not desk.look(4)


def test_a_pcs_clock_that_is_hours_ahead_hides_no_trade() -> None:
    desk = Desk(begin=False)
    desk.account.zone_ms -= 5 * 3_600_000  # seen from a PC that runs five hours ahead
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.2, desk.account.now())
    desk.begin()
    ticket = desk.account.deal(BUY, "0.10")
    assert only(desk.look()).ticket == ticket


def test_a_history_shorter_than_its_own_total_is_read_again() -> None:
    desk = Desk()
    desk.account.deal(SELL, "0.10", at=desk.account.deal(BUY, "0.10"))

    def before(name: str) -> None:
        if name == "history_deals_get":
            desk.account.hidden |= {row["ticket"]: 1 for row in desk.account.deals}

    desk.link.before = before
    assert not desk.look()
    desk.link.before = lambda _name: None
    assert [one.type for one in desk.look()] == ["position_opened", "position_closed"]
