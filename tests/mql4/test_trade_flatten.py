"""FLATTEN: one signed order, each ticket once, a scope that nobody on the way can widen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.messages import Stop
from bridge_core.protocol.operations import Op, Scope
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import child_rid
from tests.mql4.needs import needs_compiler
from tests.mql4.trade_desk import TradeDesk, Word

pytestmark = needs_compiler


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path, {"Symbols": "EURUSD,USDJPY"}) as made:
        yield made


def _rid(frames: Frames) -> str:
    return frames.token.split(b":")[5].decode("ascii")


def _child(desk: TradeDesk, frames: Frames, ticket: int) -> Word:
    word = desk.run(frames, ticket)
    assert word["rid"] == child_rid(_rid(frames), ticket)
    return word


def test_every_ticket_is_closed_or_cancelled_once_and_the_whole_is_done(desk: TradeDesk) -> None:
    position = desk.opened()["ticket"]
    pending = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    frames = desk.flatten()
    closed = _child(desk, frames, position)
    assert (closed["status"], desk.record(closed).op) == ("FILLED", "CLOSE")
    cancelled = _child(desk, frames, pending)
    assert (cancelled["status"], desk.record(cancelled).op) == ("DONE", "CANCEL")
    calls = desk.calls()
    assert _child(desk, frames, position) == closed
    whole = desk.run(frames)
    assert (whole["status"], whole["code"], desk.calls()) == ("DONE", "-", calls)
    assert desk.run(frames) == whole
    assert desk.terminal.orders() == []


def test_a_halted_account_is_flattened_all_the_same(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    desk.forward(Op.HALT, Stop(reason=""))
    assert _child(desk, desk.flatten(), ticket)["status"] == "FILLED"


def test_a_ticket_outside_the_signed_scope_is_refused(desk: TradeDesk) -> None:
    position = desk.opened()["ticket"]
    pending = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    other = desk.opened(symbol="USDJPY")["ticket"]
    frames = desk.flatten(scope="POSITIONS", symbol="EURUSD")
    assert _child(desk, frames, pending)["code"] == "TICKET_UNKNOWN"
    assert _child(desk, frames, other)["code"] == "TICKET_UNKNOWN"
    assert _child(desk, frames, position)["status"] == "FILLED"


def test_a_ticket_that_was_opened_after_the_flatten_was_seen_is_refused(desk: TradeDesk) -> None:
    first = desk.opened()["ticket"]
    frames = desk.flatten()
    _child(desk, frames, first)
    later = desk.opened()["ticket"]
    word = _child(desk, frames, later)
    assert (word["status"], word["code"]) == ("DENIED", "TICKET_UNKNOWN")


def test_what_stays_open_makes_the_whole_partial(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    frames = desk.flatten()
    desk.terminal.command("fail", "OrderClose", 132)
    assert _child(desk, frames, ticket)["code"] == "MARKET_CLOSED"
    whole = desk.run(frames)
    assert (whole["status"], whole["code"]) == ("PARTIAL", "CHILD_FAILED")


def test_the_rest_of_a_partial_close_counts_as_still_open(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    frames = desk.flatten()
    desk.terminal.command("fail", "OrderClose", 132)
    _child(desk, frames, ticket)
    desk.terminal.command("manual_close", ticket, "0.04")
    assert desk.run(frames)["status"] == "PARTIAL"


def test_the_whole_is_unknown_while_a_child_is(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    frames = desk.flatten()
    desk.terminal.command("fail", "OrderClose", "128")
    assert _child(desk, frames, ticket)["status"] == "UNKNOWN"
    assert desk.run(frames)["status"] == "UNKNOWN"
    desk.settle()
    desk.turn(5)
    assert desk.status(_rid(frames))["status"] == "PARTIAL"
    assert desk.status(child_rid(_rid(frames), ticket))["code"] == "ABSENT"


def test_a_child_may_begin_within_the_window_and_not_after_it(desk: TradeDesk) -> None:
    first, second = desk.opened()["ticket"], desk.opened()["ticket"]
    frames = desk.flatten()
    desk.advance(100_000)
    assert _child(desk, frames, first)["status"] == "FILLED"
    desk.advance(30_000)
    assert _child(desk, frames, second)["code"] == "EXPIRED"
    assert desk.run(frames)["status"] == "PARTIAL"


def test_a_child_may_begin_after_a_restart_if_its_flatten_was_seen_before(desk: TradeDesk) -> None:
    first, second = desk.opened()["ticket"], desk.opened()["ticket"]
    frames = desk.flatten()
    done = _child(desk, frames, first)
    unseen = desk.flatten()
    desk.die()
    assert _child(desk, frames, first) == done
    assert _child(desk, frames, second)["status"] == "FILLED"
    assert _child(desk, unseen, second)["code"] == "FENCED"
    assert desk.run(frames)["status"] == "DONE"


@pytest.mark.parametrize("point", ["before", "inside", "after"])
def test_death_in_the_middle_of_a_child_closes_no_ticket_twice(desk: TradeDesk, point: str) -> None:
    ticket = desk.opened()["ticket"]
    frames = desk.flatten()
    desk.terminal.command("die", "OrderClose", point)
    desk.post("exec", 1, ticket, frames.token.hex(), frames.body.hex())
    desk.terminal.wait_dead()
    desk.start()
    desk.settle()
    word = desk.status(child_rid(_rid(frames), ticket))
    assert word["status"] == ("DENIED" if point == "before" else "FILLED")
    assert desk.run(frames, ticket) == word
    assert len(desk.terminal.submissions("CLOSE")) == 1


def test_a_flatten_without_targets_is_done(desk: TradeDesk) -> None:
    assert desk.run(desk.flatten())["status"] == "DONE"
    assert desk.calls() == 0


def test_a_fenced_flatten_begins_no_child(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    desk.advance(3_000)
    frames = desk.flatten()
    assert desk.fence(_rid(frames))["code"] == "FENCED"
    word = _child(desk, frames, ticket)
    assert (word["status"], word["code"]) == ("DENIED", "FENCED")
    assert len(desk.terminal.orders()) == 1


def test_a_flatten_that_has_begun_cannot_be_fenced_away(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    desk.advance(3_000)
    frames = desk.flatten()
    _child(desk, frames, ticket)
    assert desk.fence(_rid(frames))["status"] == "UNKNOWN"
    assert desk.run(frames)["status"] == "DONE"


def test_a_reduce_key_may_flatten(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    frames = desk.flatten(token={"scope": Scope.REDUCE})
    assert _child(desk, frames, ticket)["status"] == "FILLED"
