"""Each operation of the MetaTrader 5 backend on the stand-in, hedging and netting."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_server.backends.mt5 import Mt5Backend, Patience
from bridge_server.core.ports import Lost, Rejected
from bridge_server.core.reconcile import Finding
from tests.support.fake_metatrader5 import ANSWERED, BEFORE, EXECUTED
from tests.support.fake_metatrader5.broker import SymbolTerms, Terms
from tests.support.mt5_world import (
    QUICK,
    Mt5World,
    filled,
    mt5_world,
    netting_terms,
    refused,
    scanned,
)
from tests.support.paper import cancel, close, modify, open_order
from tests.support.running import wait_until

_D = Decimal


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Mt5World]:
    with mt5_world(tmp_path) as made:
        yield made


@pytest.fixture
def netting(tmp_path: Path) -> Iterator[Mt5World]:
    with mt5_world(tmp_path, netting_terms()) as made:
        yield made


def _nothing_sent(world: Mt5World) -> None:
    assert world.terminal.count("order_send") == 0
    assert world.broker.begun() == 0


# --- each operation ----------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_side_stays_that_side_through_every_layer(world: Mt5World, side: str) -> None:
    outcome = filled(world, open_order(side))
    (request,) = [call.args for call in world.terminal.calls if call.name == "order_send"]
    assert request["type"] == ("BUY", "SELL").index(side)
    (row,) = world.broker.positions()
    assert row["type"] == ("BUY", "SELL").index(side)
    assert outcome.facts.type == side
    assert world.backend.snapshot().positions[outcome.facts.ticket].type == side
    closing = filled(world, close(outcome.facts.ticket))
    assert closing.facts.type == {"BUY": "SELL", "SELL": "BUY"}[side]
    assert not world.broker.positions()


def test_a_slow_broker_gets_one_order(world: Mt5World) -> None:
    world.broker.terms.execute_ms = 300
    world.broker.terms.answer_ms = 300
    assert filled(world).status is Status.FILLED
    assert world.terminal.count("order_send") == 1
    assert len(world.broker.positions()) == 1


def test_a_position_that_was_given_a_new_number_is_closed_and_found(world: Mt5World) -> None:
    opened = filled(world).facts.ticket
    moved = world.broker.renumber(opened)
    world.next_prices()
    outcome = filled(world, close(moved, "0.04"))
    assert (outcome.status, outcome.facts.volume) == (Status.FILLED, _D("0.04"))
    assert (outcome.facts.remaining_ticket, outcome.facts.remaining_volume) == (moved, _D("0.06"))


def test_a_close_fills_in_part_and_says_what_is_left(world: Mt5World) -> None:
    ticket = filled(world).facts.ticket
    world.broker.fill_next("0.03")
    outcome = filled(world, close(ticket))
    assert outcome.status is Status.PARTIAL
    assert (outcome.facts.volume, outcome.facts.remaining_volume) == (_D("0.03"), _D("0.07"))


def test_a_position_of_a_symbol_that_is_not_served_can_be_closed(tmp_path: Path) -> None:
    symbols = tuple(
        SymbolTerms(name=name, selected=True, streaming=True) for name in ("EURUSD", "GBPUSD")
    )
    with mt5_world(tmp_path, Terms(symbols=symbols)) as world:
        world.broker.price("GBPUSD", "1.25000", "1.25010")
        world.broker.manual_buy("GBPUSD", "0.10")
        (row,) = world.broker.positions()
        outcome = filled(world, close(int(row["ticket"]), symbol="GBPUSD"))
        assert outcome.status is Status.FILLED
        assert not world.broker.positions()
        world.next_prices()
        assert set(world.backend.snapshot().quotes) == {"EURUSD"}


def test_a_close_that_is_told_it_was_closed_already_looks_whose_close_that_was(
    world: Mt5World,
) -> None:
    ticket = filled(world).facts.ticket
    world.broker.fail_next(10036, executed=True)  # ours, all the same
    assert filled(world, close(ticket)).status is Status.FILLED
    ticket = filled(world).facts.ticket
    world.broker.fail_next(10036)
    outcome = world.do(close(ticket))
    assert isinstance(outcome, Rejected)
    assert outcome.code is ReasonCode.INVALID_TICKET


def test_stops_that_are_as_wanted_already_are_done(world: Mt5World) -> None:
    ticket = filled(world, open_order(sl="1.07000")).facts.ticket
    outcome = filled(world, modify(ticket, sl="1.07000", old_sl="1.07000"))
    assert outcome.status is Status.DONE
    assert outcome.facts.sl == _D("1.07")


def test_a_modify_moves_a_pending_orders_price_stops_and_expiration(world: Mt5World) -> None:
    until = world.clock.wall_ms() + 3_600_000
    ticket = filled(world, open_order("BUY_LIMIT", price="1.07000")).facts.ticket
    body = modify(ticket, price="1.06500", sl="1.05000", expiration=until)
    outcome = filled(world, body)
    assert (outcome.status, outcome.facts.price) == (Status.DONE, _D("1.065"))
    held = world.backend.snapshot().orders[ticket]
    assert (held.price, held.sl, held.expiration_ms) == (
        _D("1.065"), _D("1.05"), until // 1000 * 1000,
    )  # fmt: skip
    # A MODIFY of stops leaves both as they are.
    filled(world, modify(ticket, sl="1.05100", old_sl="1.05000"))
    held = world.backend.snapshot().orders[ticket]
    assert (held.price, held.sl, held.expiration_ms) == (
        _D("1.065"), _D("1.051"), until // 1000 * 1000,
    )  # fmt: skip


def test_what_a_person_changed_meanwhile_is_left_alone(world: Mt5World) -> None:
    ticket = filled(world).facts.ticket
    world.broker.manual_modify(ticket, sl="1.07000")
    refused(world.do(modify(ticket, sl="1.06000")), "CHANGED")
    assert world.terminal.count("order_send") == 1


def test_a_modify_of_what_is_gone_when_it_is_looked_for_keeps_the_brokers_word(
    world: Mt5World,
) -> None:
    ticket = filled(world).facts.ticket

    def gone(_rows: object) -> list[object]:
        return []

    world.terminal.faults.script("positions_get", ANSWERED, "alter", change=gone, skip=1, times=99)
    outcome = filled(world, modify(ticket, sl="1.06000"))
    world.terminal.faults.calm()
    assert (outcome.status, outcome.facts.ticket) == (Status.DONE, ticket)


# --- stops that are missing --------------------------------------------------------------------


def _bare(rows: Any) -> Any:
    return [row | {"sl": 0.0, "tp": 0.0} for row in rows]


def test_a_fill_whose_stops_are_missing_says_so_with_an_alarm_and_sends_nothing_more(
    world: Mt5World,
) -> None:
    world.terminal.faults.script("positions_get", ANSWERED, "alter", change=_bare, times=99)
    outcome = filled(world, open_order(sl="1.07000", stops_fail="CLOSE"))
    assert (outcome.status, outcome.code) == (Status.FILLED, ReasonCode.STOPS_NOT_SET)
    assert outcome.facts.sl == 0
    alarms = [one for one in world.backend.pump() if one.type == "alert"]
    assert [(one.level, one.code, one.ticket) for one in alarms] == [
        ("error", "STOPS_NOT_SET", outcome.facts.ticket)
    ]
    assert world.terminal.count("order_send") == 1
    assert not [one for one in world.backend.pump() if one.type == "alert"]


def test_stops_that_are_shown_a_moment_later_are_no_alarm(world: Mt5World) -> None:
    world.terminal.faults.script("positions_get", ANSWERED, "alter", change=_bare, times=2)
    outcome = filled(world, open_order(sl="1.07000"))
    assert (outcome.code, outcome.facts.sl) == (ReasonCode.NONE, _D("1.07"))


def test_without_stops_none_are_missed(world: Mt5World) -> None:
    assert filled(world).code is ReasonCode.NONE


# --- netting -----------------------------------------------------------------------------------


def test_on_a_netting_account_opens_merge_and_each_is_told_its_own_deal(
    netting: Mt5World,
) -> None:
    first = filled(netting, open_order(volume="0.10"))
    netting.broker.price("EURUSD", "1.09000", "1.09012")
    second = filled(netting, open_order(volume="0.30"))
    assert (second.facts.volume, second.facts.price) == (_D("0.3"), _D("1.09012"))
    assert second.facts.ticket == first.facts.ticket
    (held,) = netting.backend.snapshot().positions.values()
    assert held.volume == _D("0.4")


@pytest.mark.parametrize(("volume", "left"), [("0.04", "0.06"), ("0.10", None), ("0.25", "0.15")])
def test_on_a_netting_account_an_opposite_open_reduces_closes_or_turns(
    netting: Mt5World, volume: str, left: str | None
) -> None:
    filled(netting, open_order(volume="0.10"))
    outcome = filled(netting, open_order("SELL", volume))
    assert (outcome.status, outcome.facts.volume) == (Status.FILLED, _D(volume))
    assert outcome.facts.price == _D("1.085")
    held = [one.volume for one in netting.backend.snapshot().positions.values()]
    assert held == ([_D(left)] if left else [])


def test_on_a_netting_account_close_and_modify_work_on_the_position(netting: Mt5World) -> None:
    ticket = filled(netting).facts.ticket
    assert filled(netting, modify(ticket, sl="1.07000")).facts.sl == _D("1.07")
    outcome = filled(netting, close(ticket, "0.04"))
    assert outcome.facts.remaining_volume == _D("0.06")
    requests = [call.args for call in netting.terminal.calls if call.name == "order_send"]
    assert [one["position"] for one in requests] == [0, ticket, ticket]


# --- the link, and time ------------------------------------------------------------------------


def test_every_request_carries_the_tag(world: Mt5World) -> None:
    ticket = filled(world).facts.ticket
    resting = filled(world, open_order("BUY_LIMIT", price="1.07000")).facts.ticket
    for body in (modify(ticket, sl="1.06000"), modify(resting, price="1.06500"), cancel(resting),
                 close(ticket)):  # fmt: skip
        filled(world, body)
    requests = [call.args for call in world.terminal.calls if call.name == "order_send"]
    assert len(requests) == 6
    for request, rid in zip(requests, world.signed, strict=True):
        assert request["comment"].startswith("Z")
        assert request["magic"]
        assert rid in world.signed
    assert len({request["magic"] for request in requests}) == 6


def test_an_expiration_without_the_brokers_zone_isrefused(tmp_path: Path) -> None:
    with mt5_world(tmp_path, utc_offset_minutes=None) as world:
        world.terminal.broker.terms.symbols[0].streaming = False
        body = open_order(
            "BUY_LIMIT", price="1.07000", expiration=world.clock.wall_ms() + 3_600_000
        )
        if dict(world.mt5.about().caps)["mt5_offset"] == "unknown":
            refused(world.do(body), "NO_QUOTE")
            _nothing_sent(world)


def test_the_hop_tells_the_brokers_clock(world: Mt5World) -> None:
    state = world.mt5.about()
    assert dict(state.caps)["mt5_offset"] == "+120 min"
    assert state.alive
    assert world.mt5.self_test()


def test_a_check_is_the_terminals_own_estimate(world: Mt5World) -> None:
    found = world.mt5.check(open_order())
    assert not isinstance(found, Refusal)
    assert found.price == _D("1.08512")
    assert found.margin == _D("108.51")
    assert found.free_margin < _D(10_000)
    _nothing_sent(world)
    refusal = world.mt5.check(open_order(volume="100"))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.value) == (ReasonCode.NO_MONEY, "10019")


def test_patience_is_the_settling_time_that_others_are_told() -> None:
    assert Patience().settle_ms == 60_000
    assert Mt5Backend.comment_chars == 28


# --- with a real worker ------------------------------------------------------------------------


@pytest.mark.parametrize("point", [BEFORE, EXECUTED])
def test_a_worker_killed_in_the_call_leaves_it_unknown_and_the_new_one_finds_out(
    tmp_path: Path, point: str
) -> None:
    with mt5_world(tmp_path, inline=False, patience=QUICK) as world:
        world.terminal.faults.script("order_send", point, "kill_worker")
        submission = world.submission(open_order())
        assert isinstance(world.backend.execute(submission), Lost)
        wait_until(lambda: world.mt5.link.status.connects == 2, 20)
        executed = point != BEFORE
        wait_until(lambda: world.backend.scan(0).complete, 10)
        assert isinstance(scanned(world, submission), Finding) == executed
        assert len(world.broker.positions()) == executed
        assert filled(world).status is Status.FILLED  # and it trades on
        assert world.broker.begun() == 1 + executed
