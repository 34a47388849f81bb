"""Reading and watching a terminal for real: worker process, pipe, stand-in terminal and broker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.fake_metatrader5.broker import SymbolTerms
from tests.support.mt5_seat import BUY_LIMIT, SELL_LIMIT, ZONE_MS, E, Place, Seat, places
from tests.support.running import wait_until

D = Decimal


@pytest.fixture(scope="module")
def hedging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from places(tmp_path_factory.mktemp("hedging"), "hedging")


@pytest.fixture
def seat(hedging: Place) -> Iterator[Seat]:
    made = Seat(hedging)
    yield made
    for ticket in list(made.reader.snapshot().positions):
        made.broker.manual_close(ticket)
    wait_until(lambda: made.reader.refresh() and not made.reader.snapshot().positions)


def test_the_terminals_account_prices_and_terms_are_read(seat: Seat) -> None:
    seat.broker.price(E, "1.10000", "1.10010")
    seat.reader.refresh()
    shot = seat.reader.snapshot()
    assert (shot.connected, shot.identity, shot.note) == (True, seat.place.pinned, "")
    assert (shot.quotes[E].bid, shot.quotes[E].ask) == (D("1.1"), D("1.1001"))
    assert abs(shot.quotes[E].time_ms - shot.taken_wall_ms) < 5_000
    spec = shot.symbols[E]
    assert (spec.digits, spec.volume_min, spec.volume_step, spec.contract_size) == (
        5, D("0.01"), D("0.01"), D(100_000),
    )  # fmt: skip
    assert (spec.execution, spec.filling, spec.trade_mode, spec.session) == (
        "MARKET", "FOK IOC", "FULL", "OPEN",
    )  # fmt: skip


@pytest.mark.parametrize(("bid", "word"), [("1.09800", "SL"), ("1.10300", "TP")])
def test_a_stop_of_the_brokers_own_is_told_with_its_reason_and_money(
    seat: Seat, bid: str, word: str
) -> None:
    ticket = seat.broker.manual_buy(E, "0.10", sl="1.09900", tp="1.10200")
    opened = seat.next()[0]
    assert (opened.type, opened.ticket, opened.volume, opened.sl) == (
        "position_opened", ticket, "0.1", "1.099",
    )  # fmt: skip
    seat.broker.price(E, bid, str(D(bid) + D("0.0001")))
    closed = seat.next()[0]
    assert (closed.type, closed.ticket, closed.reason) == ("position_closed", ticket, word)
    assert D(closed.profit) != 0
    seat.broker.price(E, "1.10000", "1.10010")
    seat.ends_well()


def test_a_person_closes_a_part_and_the_rest(seat: Seat) -> None:
    ticket = seat.broker.manual_sell(E, "0.10")
    seat.broker.manual_close(ticket, "0.04")
    seat.broker.manual_modify(ticket, sl="1.20000")
    seat.broker.manual_close(ticket)
    told = seat.next(3)
    assert [(one.type, one.reason, one.remaining_volume) for one in told] == [
        ("position_opened", "", "0"), ("position_closed", "MANUAL", "0.06"),
        ("position_closed", "MANUAL", "0"),
    ]  # fmt: skip
    seat.ends_well()


def test_a_pending_order_lives_and_ends_in_every_way(seat: Seat) -> None:
    filled = seat.broker.manual_pending(E, BUY_LIMIT, "0.10", "1.09500")
    removed = seat.broker.manual_pending(E, SELL_LIMIT, "0.20", "1.20000")
    expired = seat.broker.manual_pending(E, BUY_LIMIT, "0.30", "1.01000")
    placed = seat.next(3)
    assert [(one.type, one.ticket) for one in placed] == [
        ("order_placed", ticket) for ticket in (filled, removed, expired)
    ]
    seat.broker.manual_modify(removed, price="1.21000")
    assert [(one.message, one.price) for one in seat.next()] == [("modified", "1.21")]
    seat.broker.manual_remove(removed)
    seat.broker.finish(expired, "expire")
    ends = seat.next(2)
    assert {(one.type, one.ticket) for one in ends} == {
        ("order_cancelled", removed), ("order_expired", expired),
    }  # fmt: skip
    seat.broker.price(E, "1.09400", "1.09410")
    fill = seat.next()[0]
    assert (fill.type, fill.order, fill.status) == ("position_opened", filled, "")
    seat.broker.price(E, "1.10000", "1.10010")
    seat.ends_well()


def test_a_deal_that_is_shown_late_is_told_once_with_its_number(seat: Seat) -> None:
    seat.place.terms.deal_visible_after_ms = 150
    ticket = seat.broker.manual_buy(E, "0.10")
    told = seat.next()[0]
    seat.place.terms.deal_visible_after_ms = 0
    assert (told.ticket, told.deal > 0) == (ticket, True)
    seat.ends_well()


def test_a_ticket_that_the_broker_changes_is_followed(seat: Seat) -> None:
    ticket = seat.broker.manual_buy(E, "0.10")
    seat.next()
    new = seat.broker.renumber(ticket)
    assert [(one.ticket, one.message) for one in seat.next()] == [(new, f"ticket was {ticket}")]
    deal = next(one for one in seat.past.history(0, 0) if one.order == ticket)
    assert deal.ticket == new
    seat.ends_well()


def test_what_happens_while_the_broker_is_away_is_told_when_its_history_has_come(
    seat: Seat,
) -> None:
    held = seat.broker.manual_buy(E, "0.10")
    seat.next()
    seat.broker.link(False)
    wait_until(lambda: not seat.look() and not seat.reader.snapshot().connected)
    assert not seat.past.scan(0).complete
    seat.broker.manual_close(held)
    passed = seat.broker.manual_sell(E, "0.20")
    seat.broker.manual_close(passed)
    seat.broker.link(True, history_after_ms=300)
    told = seat.next(3)
    assert [(one.type, one.ticket) for one in told] == [
        ("position_closed", held), ("position_opened", passed), ("position_closed", passed),
    ]  # fmt: skip
    assert all(one.deal for one in told)
    wait_until(lambda: seat.past.scan(0).complete)
    seat.ends_well()


def test_a_history_that_is_still_coming_proves_no_absence(seat: Seat) -> None:
    held = seat.broker.manual_buy(E, "0.10")
    seat.next()
    assert seat.past.scan(0).complete
    seat.broker.reload_history(400)
    seen = [seat.past.scan(0)]

    def whole() -> bool:
        seen.append(seat.past.scan(0))
        return seen[-1].complete

    wait_until(whole)
    assert not seen[0].complete
    assert held in {one.ticket for one in seen[-1].deals}
    for scan in seen:
        assert not scan.complete or held in {one.ticket for one in scan.deals}


@pytest.mark.parametrize("end", ["worker", "terminal"])
def test_what_happens_while_worker_or_terminal_is_gone_is_told_after_the_reconnect(
    seat: Seat, end: str
) -> None:
    held = seat.broker.manual_buy(E, "0.10")
    seat.next()
    if end == "worker":
        os.kill(seat.link.status.pid, signal.SIGKILL)
    else:
        seat.place.terminal.stop()
    seat.broker.manual_close(held)
    passed = seat.broker.manual_sell(E, "0.20")
    seat.broker.manual_close(passed)
    wait_until(lambda: not seat.look() and not seat.reader.snapshot().connected)
    if end == "terminal":
        seat.place.terminal.start()
    told = seat.next(3, seconds=15)
    assert [(one.type, one.ticket) for one in told] == [
        ("position_closed", held), ("position_opened", passed), ("position_closed", passed),
    ]  # fmt: skip
    seat.ends_well()


def test_another_account_at_the_terminal_is_never_shown(seat: Seat) -> None:
    seat.place.terminal.login_as(login=99)
    assert not seat.reader.refresh()
    shot = seat.reader.snapshot()
    assert (shot.identity, shot.connected) == (seat.place.pinned, False)
    assert "99" in shot.note
    seat.place.terminal.login_as()
    wait_until(seat.reader.refresh)
    assert seat.reader.snapshot().connected


def test_the_zone_is_found_from_ticks_and_daylight_saving_is_noticed(hedging: Place) -> None:
    seat = Seat(hedging, zone_ms=None)
    hedging.terms.symbols[0].streaming = True  # a tick of this moment at each look
    wait_until(lambda: not seat.look() and seat.reader.zone_ms == ZONE_MS)
    seat.broker.set_zone(180)
    wait_until(lambda: not seat.look() and seat.reader.zone_ms == ZONE_MS + 3_600_000)
    seat.broker.set_zone(120)
    hedging.terms.symbols[0].streaming = False
    assert seat.reader.snapshot().note == ""


def test_a_symbol_is_selected_and_its_first_tick_waited_for(hedging: Place, tmp_path: Path) -> None:
    place = Place(tmp_path, "hedging")
    place.terms.symbols = (SymbolTerms(name="EURUSD", selected=False),)
    place.terms.first_tick_ms = 100
    place.terms.symbols[0].bid = place.terms.symbols[0].ask = D(0)
    with place.terminal:
        place.link.start()
        assert place.link.wait(10.0)
        seat = Seat(place)
        wait_until(lambda: not seat.look() and E in seat.reader.snapshot().quotes)
        assert not seat.reader.missing
        place.link.close()
    del hedging
