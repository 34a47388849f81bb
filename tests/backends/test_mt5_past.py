"""The past of a MetaTrader 5 account: when it is whole, and when nothing may be concluded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import BridgeError
from bridge_server.backends.mt5_link import Answer, CallOf
from bridge_server.backends.mt5_past import Window
from bridge_server.core.ports import Executed
from bridge_server.core.reconcile import Absence, Finding, Suspect, find
from tests.support.builders import RID, TAG, close_order
from tests.support.mt5_hand import ZONE_MS
from tests.support.mt5_watching import BUY, SELL, Desk

DAY_MS = 86_400_000


def test_the_window_reaches_beyond_now_and_is_never_zero() -> None:
    now = 1_795_219_200_000
    pinned = Window.around(now, now, ZONE_MS)
    assert pinned == Window((now + ZONE_MS - DAY_MS) // 1000, (now + ZONE_MS + 2 * DAY_MS) // 1000)
    wide = Window.around(now, now, None)
    assert wide.from_s < pinned.from_s - 14 * 3600
    assert wide.to_s > pinned.to_s + 10 * 3600
    assert Window.around(0, now, ZONE_MS).from_s == 1
    assert Window.around(0, 2**62, 0).to_s == 2**31 - 1
    assert pinned.call("history_deals_get") == CallOf(
        "history_deals_get", (pinned.from_s, pinned.to_s)
    )


def scanned(desk: Desk) -> bool:
    """Return whether a scan of the last minute is complete."""
    return desk.past.scan(desk.clock.wall_ms() - 60_000).complete


def test_a_scan_holds_positions_orders_deals_and_every_ended_order() -> None:
    desk = Desk()
    held = desk.account.deal(BUY, "0.10", magic=7)
    resting = desk.account.place(magic=8)
    cancelled, market = desk.account.place(magic=9), desk.account.place(0, magic=10)
    desk.account.end(cancelled, 2)
    desk.account.end(market, 5)
    desk.look()
    since = desk.clock.wall_ms()
    scan = desk.past.scan(since)
    assert (scan.complete, scan.netting, scan.since_wall_ms) == (True, False, since)
    assert [one.ticket for one in scan.positions] == [held]
    assert [one.ticket for one in scan.orders] == [resting]
    assert [(one.magic, one.ticket) for one in scan.deals] == [(7, held)]
    assert [(one.magic, one.type, one.state) for one in scan.ended] == [
        (9, "BUY_LIMIT", "CANCELED"), (10, "BUY", "REJECTED"),
    ]  # fmt: skip


def test_a_netting_account_says_so() -> None:
    assert Desk(netting=True).past.scan(0).netting


@pytest.mark.parametrize("then", [None, "closed", "turned", "opened anew"])
def test_a_lost_close_of_a_turned_position_is_found_absent_whatever_became_of_it(
    then: str | None,
) -> None:
    desk = Desk(netting=True)
    desk.account.deal(BUY, "0.10")
    desk.account.deal(SELL, "0.20")
    (ticket,) = (row["ticket"] for row in desk.account.positions.values())
    assert ticket not in desk.account.positions  # they go by the identifier
    if then is not None:
        desk.account.deal(BUY, "0.20" if then == "turned" else "0.10")
    if then == "opened anew":
        desk.account.deal(BUY, "0.10")
    desk.look()
    lost = Suspect(rid=RID, tag=TAG, magic=TAG.mt5_magic(0), body=close_order(ticket))
    assert find(lost, desk.past.scan(desk.clock.wall_ms())) == Absence(counts=True)


@pytest.mark.parametrize(
    "at",
    ["history_deals_total", "orders_get", "history_orders_get", "history_deals_get",
     "positions_get"],
)  # fmt: skip
@pytest.mark.parametrize("netting", [False, True])
def test_a_close_that_runs_while_a_scan_is_read_is_never_told_as_a_part_of_it(
    at: str, *, netting: bool
) -> None:
    desk = Desk(netting=netting)
    ticket = desk.account.deal(BUY, "0.10")
    desk.look()
    magic = TAG.mt5_magic(0)
    lost = Suspect(rid=RID, tag=TAG, magic=magic, body=close_order(ticket))

    def runs(name: str) -> None:
        if name == at and desk.account.positions:
            order = desk.account.place(SELL, "0.10", magic=magic, volume_current=0.0)
            desk.account.end(order, 4)
            desk.account.deal(SELL, "0.10", order=order, at=ticket, magic=magic)

    desk.link.before = runs
    told = [find(lost, desk.past.scan(desk.clock.wall_ms())) for _ in range(2)]
    assert told[0] in (Absence(counts=False), told[1])
    assert isinstance(told[1], Finding)
    assert isinstance(told[1].outcome, Executed)
    assert told[1].outcome.status is Status.FILLED


def _stale(desk: Desk) -> None:
    desk.link.put(linked=False, linked_mono=0)


def _young(desk: Desk) -> None:
    desk.link.put(linked_mono=desk.clock.mono_ms())


def _totals(desk: Desk) -> None:
    desk.link.answers["history_deals_total"] = Answer(ok=True, value=99)


def _no_total(desk: Desk) -> None:
    desk.link.answers["history_orders_total"] = Answer(ok=False, code=-1, text="Call failed")


def _lost(desk: Desk) -> None:
    desk.account.hidden[desk.account.deals[0]["ticket"]] = 99


def _late(desk: Desk) -> None:
    desk.account.deal(BUY, "0.10")
    desk.account.deals[-1]["time_msc"] -= 3_600_000


def _bare(desk: Desk) -> None:
    desk.account.deal(BUY, "0.10", late=9)


def _unlisted(desk: Desk) -> None:
    desk.account.end(desk.account.place(magic=7), 7)


def _again(desk: Desk) -> None:
    desk.link.put(connects=2)


def _moves(desk: Desk) -> None:
    def before(name: str) -> None:
        if name == "history_deals_get":
            desk.account.deal(BUY, "0.10")

    desk.link.before = before


@pytest.mark.parametrize(
    "trouble",
    [_stale, _young, _totals, _no_total, _lost, _late, _bare, _unlisted, _again, _moves],
)
def test_absence_is_not_concluded_while(trouble: Callable[[Desk], None]) -> None:
    desk = Desk(sync_ms=2_000)
    desk.account.deal(BUY, "0.10")
    desk.look()
    assert scanned(desk)
    trouble(desk)
    assert not scanned(desk)


def test_a_second_reading_after_a_reconnect_counts_again() -> None:
    desk = Desk()
    desk.link.put(connects=2)
    assert not scanned(desk)
    assert scanned(desk)


def test_a_deal_that_the_broker_took_back_is_waited_for_only_so_long() -> None:
    desk = Desk()
    first = desk.account.deal(BUY, "0.10")
    desk.account.deal(SELL, "0.10", at=first)
    desk.look()
    del desk.account.deals[-1]
    assert not scanned(desk)
    desk.clock.advance(599_000)
    assert not desk.past.scan(desk.clock.wall_ms() - 700_000).complete
    desk.clock.advance(1_000)
    assert desk.past.scan(desk.clock.wall_ms() - 700_000).complete


@pytest.mark.parametrize("name", ["history_deals_get", "history_orders_get", "positions_get"])
def test_a_scan_or_history_that_cannot_be_read_is_no_scan(name: str) -> None:
    desk = Desk()
    desk.link.answers[name] = Answer(ok=False, code=-10002, text="IPC recv failed")
    with pytest.raises(BridgeError, match="IPC recv failed"):
        desk.past.scan(0)
    desk.link.put(alive=False, why="away")
    with pytest.raises(BridgeError, match="away"):
        desk.past.history(0, 0)


def test_history_is_asked_in_utc_and_told_with_reasons_for_people() -> None:
    desk = Desk()
    held = desk.account.deal(BUY, "0.10", comment="Zxx")
    at = desk.clock.wall_ms()
    desk.clock.advance(1_000)
    desk.account.deal(SELL, "0.10", at=held, comment="somebody's EA")
    opened, closed = desk.past.history(0, 0)
    assert (opened.entry, opened.reason, opened.time_ms) == ("IN", "", at)
    assert (closed.entry, closed.reason, closed.time_ms) == ("OUT", "MANUAL", at + 1_000)
    assert desk.past.history(at, at) == (opened,)
    assert desk.past.history(at + 1, 0) == (closed,)
    assert desk.past.history(0, at - 1) == ()


def test_while_the_zone_is_unknown_history_is_taken_wide() -> None:
    desk = Desk(pinned=False)
    desk.account.deal(BUY, "0.10")
    now = desk.clock.wall_ms()
    assert [one.time_ms for one in desk.past.history(now, now)] == [0]


@pytest.mark.parametrize(
    ("mark", "complete"),
    [({"magic": 0}, True), ({"magic": 7}, False), ({"comment": "ZABCDEFGHIJK"}, False)],
    ids=["a hand's", "a program's", "with a tag"],
)
def test_a_state_that_nobody_listed_is_in_the_way_only_where_the_order_may_be_ours(
    mark: dict[str, Any], *, complete: bool
) -> None:
    desk = Desk()
    desk.account.end(desk.account.place(0, **mark), 42)
    desk.look()
    assert scanned(desk) == complete
