"""Death at each point between the order's arrival and its answer, and what is known afterwards.

The terminal is killed by SIGKILL at named points; the broker's ledger outlives it. Catalogue: crash
points 20 to 27 and 37 of the recovery table; promises S1, S2 and S6.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.messages import Request, Resume, Stop
from bridge_core.protocol.operations import Op, Scope
from bridge_core.protocol.signing import Frames
from tests.mql4.needs import needs_compiler
from tests.mql4.trade_desk import (
    TradeDesk,
    an_open,
    cancel,
    close,
    modify,
)

pytestmark = needs_compiler


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path) as made:
        yield made


def _die_of(desk: TradeDesk, frames: Frames, *point: str | int) -> None:
    """Order a death, hand over the frames, and start again after it."""
    desk.terminal.command("die", *point)
    desk.post("exec", 1, 0, frames.token.hex(), frames.body.hex())
    desk.terminal.wait_dead()
    desk.start()


def _rid(frames: Frames) -> str:
    return frames.token.split(b":")[5].decode("ascii")


# --- an OPEN ------------------------------------------------------------------------------


def test_death_before_the_intent_is_on_disk_means_that_it_never_runs(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open(), ttl=10_000)
    _die_of(desk, frames, "FileFlush", "before", 1)
    word = desk.run(frames)
    assert (word["status"], word["code"], desk.calls()) == ("DENIED", "FENCED", 0)
    assert desk.record(word).order_hash != "0" * 64
    assert desk.run(frames) == word


def test_death_after_the_intent_is_unknown_and_then_proven_absent(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open(), ttl=10_000)
    _die_of(desk, frames, "FileFlush", "inside", 1)
    assert desk.run(frames)["status"] == "UNKNOWN"
    assert desk.status(_rid(frames))["code"] == "RECONCILING"
    desk.settle()
    word = desk.run(frames)
    assert (word["status"], word["code"], desk.calls()) == ("DENIED", "ABSENT", 0)


def test_death_before_the_broker_got_it_is_proven_absent(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open())
    _die_of(desk, frames, "OrderSend", "before")
    assert desk.status(_rid(frames))["status"] == "UNKNOWN"
    desk.settle()
    assert desk.status(_rid(frames))["code"] == "ABSENT"
    assert desk.terminal.orders() == []


@pytest.mark.parametrize("point", ["inside", "after"])
def test_death_once_the_broker_executed_finds_the_fill_by_its_tag(
    desk: TradeDesk, point: str
) -> None:
    frames = desk.sign(Op.OPEN, an_open(sl="1.08000", comment="mine"))
    _die_of(desk, frames, "OrderSend", point)
    desk.turn()
    word = desk.status(_rid(frames))
    assert (word["status"], word["volume"], word["sl"]) == ("FILLED", "0.1", "1.08000")
    assert word["price"] == "1.08512"
    assert desk.run(frames) == word
    assert len(desk.submitted(_rid(frames))) == 1


def test_death_right_after_the_result_is_on_disk_gives_the_same_word(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open())
    _die_of(desk, frames, "FileFlush", "inside", 2)
    word = desk.status(_rid(frames))
    assert word["status"] == "FILLED"
    assert desk.run(frames) == word
    assert desk.calls() == 1


def test_a_fill_that_its_stop_ended_before_the_restart_is_still_filled(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open(sl="1.08400"))
    desk.terminal.command("die", "OrderSend", "inside")
    desk.post("exec", 1, 0, frames.token.hex(), frames.body.hex())
    desk.terminal.wait_dead()
    desk.start()
    desk.terminal.command("price", "EURUSD", "1.08300", "1.08312")
    assert desk.terminal.orders() == []
    desk.turn()
    assert desk.status(_rid(frames))["status"] == "FILLED"


def test_parts_of_a_fill_that_was_closed_in_part_meanwhile_add_up(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open(volume="0.10"))
    _die_of(desk, frames, "OrderSend", "inside")
    (row,) = desk.terminal.orders()
    desk.terminal.command("manual_close", row["ticket"], "0.03")
    desk.turn()
    word = desk.status(_rid(frames))
    assert (word["status"], word["ticket"], word["volume"]) == ("FILLED", row["ticket"], "0.1")


def test_a_pending_order_is_found_resting_and_also_after_it_fired(desk: TradeDesk) -> None:
    body = an_open(type="BUY_LIMIT", price="1.08400")
    resting, fired = desk.sign(Op.OPEN, body), desk.sign(Op.OPEN, body)
    _die_of(desk, resting, "OrderSend", "inside")
    desk.turn()
    assert desk.status(_rid(resting))["status"] == "WORKING"
    fired = desk.sign(Op.OPEN, body)
    _die_of(desk, fired, "OrderSend", "inside")
    desk.terminal.command("price", "EURUSD", "1.08380", "1.08392")
    desk.turn()
    assert desk.status(_rid(fired))["status"] == "FILLED"


# --- CLOSE, MODIFY, CANCEL ----------------------------------------------------------------


def _prepared(desk: TradeDesk, op: Op) -> tuple[str, Request]:
    if op is Op.CANCEL:
        pending = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
        return "OrderDelete", cancel(pending)
    position = desk.opened()["ticket"]
    if op is Op.CLOSE:
        return "OrderClose", close(position, "0.04")
    return "OrderModify", modify(position, sl="1.08000")


@pytest.mark.parametrize("op", [Op.CLOSE, Op.MODIFY, Op.CANCEL])
@pytest.mark.parametrize("point", ["before", "inside", "after"])
def test_death_at_a_change_is_told_by_the_ticket(desk: TradeDesk, op: Op, point: str) -> None:
    call, body = _prepared(desk, op)
    frames = desk.sign(op, body)
    _die_of(desk, frames, call, point)
    desk.settle()
    word = desk.status(_rid(frames))
    if point == "before":
        assert (word["status"], word["code"]) == ("DENIED", "ABSENT")
    else:
        assert word["status"] == ("FILLED" if op is Op.CLOSE else "DONE")
    assert desk.run(frames) == word
    assert len(desk.terminal.submissions(op.value)) == 1
    if op is Op.CLOSE and point != "before":
        assert (word["volume"], word["remaining_volume"]) == ("0.04", "0.06")


def test_a_ticket_that_its_stop_closed_is_no_close_of_ours(desk: TradeDesk) -> None:
    ticket = desk.opened(sl="1.08400")["ticket"]
    frames = desk.sign(Op.CLOSE, close(ticket))
    _die_of(desk, frames, "OrderClose", "before")
    desk.terminal.command("price", "EURUSD", "1.08300", "1.08312")
    desk.settle()
    word = desk.status(_rid(frames))
    assert (word["status"], word["code"]) == ("REJECTED", "INVALID_TICKET")


def test_a_pending_order_that_fired_was_not_cancelled(desk: TradeDesk) -> None:
    ticket = desk.opened(type="BUY_LIMIT", price="1.08400")["ticket"]
    frames = desk.sign(Op.CANCEL, cancel(ticket))
    _die_of(desk, frames, "OrderDelete", "before")
    desk.terminal.command("price", "EURUSD", "1.08380", "1.08392")
    desk.turn(3)
    word = desk.status(_rid(frames))
    assert (word["status"], word["code"]) == ("REJECTED", "INVALID_TICKET")


@pytest.mark.parametrize("op", [Op.CLOSE, Op.CANCEL])
def test_a_ticket_that_another_order_of_ours_ended_is_told_of_that_one_alone(
    desk: TradeDesk, op: Op
) -> None:
    call, _ = _prepared(desk, op)
    ticket = desk.terminal.orders()[0]["ticket"]
    body = close(ticket) if op is Op.CLOSE else cancel(ticket)
    desk.terminal.command("fail", call, "128")  # told a timeout, and the broker never did it
    lost = desk.sign(op, body)
    assert desk.run(lost)["status"] == "UNKNOWN"
    done = desk.order(op, body)
    assert done["status"] == ("FILLED" if op is Op.CLOSE else "DONE")
    desk.turn(3)
    word = desk.status(_rid(lost))
    assert (word["status"], word["code"]) == ("REJECTED", "INVALID_TICKET")


def test_levels_that_are_neither_old_nor_wanted_prove_nothing(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    frames = desk.sign(Op.MODIFY, modify(ticket, sl="1.08000"))
    _die_of(desk, frames, "OrderModify", "before")
    desk.terminal.command("manual_modify", ticket, "1.08111", "0")
    desk.settle()
    desk.settle()
    assert desk.status(_rid(frames))["status"] == "UNKNOWN"


@pytest.mark.parametrize("point", ["before", "inside"])
def test_death_at_the_move_of_a_pending_price_is_told_by_the_price(
    desk: TradeDesk, point: str
) -> None:
    ticket = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    frames = desk.sign(Op.MODIFY, modify(ticket, price="1.07900"))
    _die_of(desk, frames, "OrderModify", point)
    desk.settle()
    word = desk.status(_rid(frames))
    assert word["code"] == ("ABSENT" if point == "before" else "-")


def test_a_pending_price_that_a_person_moved_meanwhile_proves_nothing(desk: TradeDesk) -> None:
    ticket = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    frames = desk.sign(Op.MODIFY, modify(ticket, price="1.07900"))
    _die_of(desk, frames, "OrderModify", "before")
    desk.terminal.command("manual_modify", ticket, "0", "0", "1.07800")
    desk.settle()
    assert desk.status(_rid(frames))["status"] == "UNKNOWN"


def test_an_operators_resume_is_known_after_a_death_between_state_and_answer(
    desk: TradeDesk,
) -> None:
    desk.forward(Op.HALT, Stop(reason=""))
    frames = desk.sign(Op.RESUME, Resume(cause="OPERATOR", reason=""), scope=Scope.OPERATOR)
    _die_of(desk, frames, "FileMove", "after", 1)
    desk.settle()
    word = desk.status(_rid(frames))
    lifted = desk.ask("state") == '{"state":"ACTIVE","cause":""}'
    assert (word["status"] == "DONE") == lifted
    assert word["status"] != "UNKNOWN"
