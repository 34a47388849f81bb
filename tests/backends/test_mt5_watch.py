"""What happens at a MetaTrader 5 account by itself, and how it is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest

from bridge_core.protocol.events import EventBody
from bridge_server.backends.mt5_link import Answer
from tests.support.mt5_hand import tick_row
from tests.support.mt5_watching import BUY, SELL, Desk, shown

D = Decimal
TAG: Final = "ZABCDEFGHIJK mine"


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


# --- what is told ------------------------------------------------------------------------------


def test_a_position_is_told_with_its_deal_order_price_and_time() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10", magic=77, comment=TAG, price=1.10010)
    at = desk.clock.wall_ms()
    told = only(desk.look())
    assert (told.type, told.ticket, told.side, told.volume) == (
        "position_opened", ticket, "BUY", "0.1",
    )  # fmt: skip
    deal = desk.account.deals[-1]
    assert (told.deal, told.order) == (deal["ticket"], deal["order"])
    assert (told.price, told.open_price) == ("1.1001", "1.1001")
    assert (told.magic, told.comment, told.time) == (77, TAG, at)


@pytest.mark.parametrize(
    ("reason", "comment", "word"),
    [
        (4, "[sl 1.09900]", "SL"), (5, "[tp 1.2]", "TP"), (6, "so", "STOP_OUT"),
        (0, "", "MANUAL"), (1, "", "MANUAL"), (2, "", "MANUAL"),
        (3, TAG, "OURS"), (3, "another EA", "MANUAL"), (7, "rollover", ""), (99, "?", ""),
        (4, TAG, "SL"),
    ],
)  # fmt: skip
def test_a_close_says_why(reason: int, comment: str, word: str) -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.look()
    desk.account.deal(SELL, "0.10", at=ticket, reason=reason, comment=comment, price=1.2)
    told = only(desk.look())
    assert (told.type, told.ticket, told.reason) == ("position_closed", ticket, word)
    assert (told.close_price, told.remaining_volume, told.remaining_ticket) == ("1.2", "0", 0)


def test_a_close_is_ours_by_the_magic_that_was_sent_when_the_broker_has_rewritten_the_comment() -> (
    None
):
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.look()
    desk.past.tags.sent(4711)
    desk.account.deal(SELL, "0.10", at=ticket, magic=4711, comment="broker says")
    assert only(desk.look()).reason == "OURS"


def test_a_partial_close_names_what_is_left_and_the_money_of_its_own_deal() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.look()
    desk.account.deal(
        SELL, "0.04", at=ticket, price=1.2, profit=4.0, swap=-0.5, commission=-0.2, fee=-0.1
    )
    told = only(desk.look())
    assert (told.volume, told.remaining_volume, told.remaining_ticket) == ("0.04", "0.06", ticket)
    assert (told.profit, told.swap, told.commission, told.net_profit) == (
        "4", "-0.5", "-0.3", "3.2",
    )  # fmt: skip


def test_a_netting_position_that_one_deal_turns_is_closed_and_opened() -> None:
    desk = Desk(netting=True)
    desk.account.deal(BUY, "0.10")
    desk.look()
    desk.account.deal(SELL, "0.25", profit=12.0)
    closed, opened = desk.look()
    assert (closed.type, closed.side, closed.volume, closed.profit) == (
        "position_closed", "BUY", "0.1", "12",
    )  # fmt: skip
    assert (opened.type, opened.side, opened.volume) == ("position_opened", "SELL", "0.15")
    assert closed.deal == opened.deal
    assert opened.ticket == desk.account.deals[-1]["order"] != closed.ticket
    assert desk.fold.positions == shown(desk.account)[0]


def test_what_adds_to_a_netting_position_is_told_with_its_own_deal_and_the_new_total() -> None:
    desk = Desk(netting=True)
    desk.account.deal(BUY, "0.10", price=1.1)
    desk.look()
    desk.account.deal(BUY, "0.30", price=1.2)
    told = only(desk.look())
    assert (told.type, told.message, told.volume) == ("position_modified", "increased", "0.4")
    assert (told.price, told.open_price) == ("1.2", "1.175")
    assert told.order == desk.account.deals[-1]["order"]


def test_a_position_opened_and_closed_between_two_looks_is_told_as_both() -> None:
    desk = Desk()
    ticket = desk.account.deal(BUY, "0.10")
    desk.account.deal(SELL, "0.10", at=ticket)
    assert [one.type for one in desk.look()] == ["position_opened", "position_closed"]


def test_stops_that_change_are_told_and_equal_ones_are_not() -> None:
    desk, ticket = held()
    desk.account.positions[ticket]["sl"] = 1.05
    told = only(desk.look())
    assert (told.type, told.ticket, told.sl, told.tp) == ("position_modified", ticket, "1.05", "0")
    assert not desk.look(3)


def test_a_ticket_that_the_broker_changes_is_told_with_the_old_one() -> None:
    desk, ticket = held()
    desk.account.positions[ticket]["ticket"] = 999
    told = only(desk.look())
    assert (told.ticket, told.message) == (999, f"ticket was {ticket}")


# --- pending orders ----------------------------------------------------------------------------


def test_a_pending_order_is_told_placed_changed_and_gone_once_each() -> None:
    desk = Desk()
    ticket = desk.account.place(2, "0.20", magic=5, comment=TAG)
    placed = only(desk.look())
    assert (placed.type, placed.ticket, placed.order, placed.side) == (
        "order_placed", ticket, ticket, "BUY_LIMIT",
    )  # fmt: skip
    assert (placed.volume, placed.price, placed.magic, placed.comment) == ("0.2", "1.05", 5, TAG)
    desk.account.orders[ticket]["price_open"] = 1.04
    changed = only(desk.look())
    assert (changed.type, changed.message, changed.price) == ("order_placed", "modified", "1.04")
    desk.account.end(ticket, 6)
    assert only(desk.look()).type == "order_expired"
    assert not desk.look(3)


def test_an_order_that_is_gone_is_called_nothing_until_the_history_says_what_became_of_it() -> None:
    desk = Desk()
    ticket = desk.account.place()
    desk.look()
    desk.account.end(ticket, 2, late=3)
    assert not desk.look(2)
    told = only(desk.look(3))
    assert (told.type, told.ticket, told.code) == ("order_cancelled", ticket, "")


def test_an_order_whose_activation_was_refused_is_cancelled_with_a_code() -> None:
    desk = Desk()
    ticket = desk.account.place()
    desk.look()
    desk.account.end(ticket, 5)
    assert only(desk.look()).code == "BROKER_REJECTED"


def test_an_order_placed_weeks_ago_is_still_found_when_it_ends() -> None:
    desk = Desk()
    ticket = desk.account.place()
    desk.look()
    desk.clock.advance(30 * 86_400_000)
    desk.look(2)
    desk.account.end(ticket, 2)
    assert only(desk.look(2)).type == "order_cancelled"


def test_an_order_placed_and_cancelled_between_two_looks_is_told_as_both() -> None:
    desk = Desk()
    desk.account.end(desk.account.place(), 2)
    assert [one.type for one in desk.look()] == ["order_placed", "order_cancelled"]


def test_a_fill_in_parts_says_partial_until_the_last_part() -> None:
    desk = Desk()
    ticket = desk.account.place(2, "0.10")
    desk.look()
    desk.account.fill(ticket, "0.04")
    first = [one for one in desk.look() if one.deal]
    desk.account.fill(ticket, "0.06")
    second = [one for one in desk.look() if one.deal]
    assert [(one.type, one.status) for one in first + second] == [
        ("position_opened", "PARTIAL"), ("position_modified", ""),
    ]  # fmt: skip
    assert first[0].order == second[0].order == ticket


def test_a_rest_that_is_cancelled_comes_after_its_part() -> None:
    desk = Desk()
    ticket = desk.account.place(2, "0.10")
    desk.account.fill(ticket, "0.04")
    desk.account.end(ticket, 2)
    placed, opened, cancelled = desk.look()
    assert (placed.type, opened.type, opened.status) == (
        "order_placed", "position_opened", "PARTIAL",
    )  # fmt: skip
    assert (cancelled.type, cancelled.ticket) == ("order_cancelled", ticket)


# --- how often, and what cannot be read --------------------------------------------------------


def test_a_look_that_is_not_due_asks_nothing_and_a_hint_makes_it_due() -> None:
    desk = Desk()
    asked = len(desk.link.asked)
    assert desk.watch.pump() == []
    assert len(desk.link.asked) == asked
    desk.watch.hint()
    desk.watch.pump()
    assert len(desk.link.asked) > asked


def test_a_quiet_account_is_not_asked_for_its_history() -> None:
    desk = Desk()
    desk.link.asked.clear()
    desk.look(8)
    assert "history_deals_get" not in desk.link.asked
    assert desk.link.asked.count("history_deals_total") == 8


@pytest.mark.parametrize("name", ["history_deals_get", "history_deals_total", "positions_get"])
def test_an_answer_that_is_none_tells_nothing_and_loses_nothing(name: str) -> None:
    desk = Desk()
    desk.link.answers[name] = Answer(ok=False, code=-10002, text="IPC recv failed")
    ticket = desk.account.deal(BUY, "0.10")
    assert not desk.look(3)
    desk.link.answers.clear()
    assert only(desk.look()).ticket == ticket


def test_a_record_that_cannot_be_stops_the_events_and_says_so() -> None:
    desk = Desk()
    desk.account.deal(BUY, "0.10", commission=float("nan"))
    assert not desk.look(2)
    assert "commission=nan" in desk.reader.snapshot().note
    desk.account.deals[-1]["commission"] = 0.0
    assert [one.type for one in desk.look()] == ["position_opened"]
    desk.look()
    assert desk.reader.snapshot().note == ""


def test_another_account_in_between_is_never_told_of() -> None:
    desk = Desk()

    def before(name: str) -> None:
        if name == "history_orders_total":
            desk.account.login = 9999
            desk.account.deal(BUY, "0.10")

    desk.link.before = before
    assert not desk.look()


# --- ticks and money -----------------------------------------------------------------------------


def test_a_tick_is_told_when_it_changed() -> None:
    desk = Desk()
    desk.link.ticks["EURUSD"] = tick_row(1.1, 1.10012, desk.account.now())
    at = desk.clock.wall_ms()
    desk.look(3)
    told = only([one for one in desk.told if one.type == "tick"])
    assert (told.symbol, told.bid, told.ask, told.time) == ("EURUSD", "1.10000", "1.10012", at)


def test_money_is_told_when_it_moved_at_most_once_a_second_unless_something_was_dealt() -> None:
    desk = Desk()
    for cents in range(8):
        desk.account.balance = 10_000 + cents / 100
        desk.look()
    updates = [one for one in desk.told if one.type == "account_update"]
    assert 1 <= len(updates) <= 3
    desk.account.deal(BUY, "0.10")
    desk.account.balance = 9_999.0
    desk.look()
    assert desk.told[-1].type == "account_update"
    assert desk.told[-1].balance == "9999"
