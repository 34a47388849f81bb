"""Stops after the entry: the journaled protective step of market-execution accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.operations import Op
from tests.mql4.needs import needs_compiler
from tests.mql4.trade_desk import TradeDesk, Word, an_open, ecn

pytestmark = needs_compiler

STOPS = {"sl": "1.08000", "tp": "1.09000"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path, {"MarketExecution": True}, ecn()) as made:
        yield made


def _stops(desk: TradeDesk) -> tuple[float, float]:
    (row,) = desk.terminal.orders()
    return row["sl"], row["tp"]


def test_the_entry_goes_without_stops_and_they_follow_at_once(desk: TradeDesk) -> None:
    word = desk.order(Op.OPEN, an_open(**STOPS))
    assert (word["status"], word["code"]) == ("FILLED", "-")
    assert (word["sl"], word["tp"]) == ("1.08000", "1.09000")
    sent = [(line["op"], line["fields"]["sl"]) for line in desk.terminal.submissions()]
    assert sent == [("OPEN", "0"), ("MODIFY", "1.08")]
    assert [one for one in desk.terminal.prints if one.startswith("BUSY")] == [
        f"BUSY 7 {word['rid']}", f"BUSY 0 {word['rid']}",
    ]  # fmt: skip


def test_without_the_input_such_a_broker_rejects_the_entry_and_nothing_is_open(
    tmp_path: Path,
) -> None:
    with TradeDesk(tmp_path, terms=ecn()) as desk:
        word = desk.order(Op.OPEN, an_open(**STOPS))
        assert (word["status"], word["code"]) == ("REJECTED", "INVALID_STOPS")


def test_an_entry_without_stops_needs_no_step(desk: TradeDesk) -> None:
    assert desk.order(Op.OPEN, an_open())["code"] == "-"
    assert desk.calls() == 1


def test_a_pending_order_carries_its_stops_itself(desk: TradeDesk) -> None:
    word = desk.order(Op.OPEN, an_open(type="BUY_LIMIT", price="1.08400", **STOPS))
    assert (word["status"], word["sl"], desk.calls()) == ("WORKING", "1.08000", 1)


def _refused(desk: TradeDesk, *codes: int | str, **changes: str) -> Word:
    desk.terminal.command("fail", "OrderModify", *codes)
    word = desk.order(Op.OPEN, an_open(**STOPS, **changes))
    assert (word["status"], word["code"], word["sl"]) == ("FILLED", "STOPS_NOT_SET", "0")
    return word


def test_a_requote_of_the_step_is_tried_again_until_the_stops_stand(desk: TradeDesk) -> None:
    word = _refused(desk, 138, 138)
    assert any("STOPS_NOT_SET" in alert for alert in desk.alerts())
    for _ in range(3):
        desk.advance(4_000)
        desk.turn()
    assert _stops(desk) == (1.08, 1.09)
    later = desk.status(word["rid"])
    assert (later["status"], later["code"], later["sl"]) == ("FILLED", "-", "1.08000")


def test_a_step_is_not_tried_in_a_rush(desk: TradeDesk) -> None:
    _refused(desk, *([138] * 20))
    calls = desk.calls()
    desk.turn(50)
    assert desk.calls() == calls


def test_a_step_whose_answer_was_lost_is_looked_at_before_it_is_tried_again(
    desk: TradeDesk,
) -> None:
    desk.terminal.command("fail", "OrderModify", "128x")
    word = desk.order(Op.OPEN, an_open(**STOPS))
    desk.advance(2_000)
    desk.turn()
    assert desk.status(word["rid"])["code"] == "-"
    assert len(desk.terminal.submissions("MODIFY")) == 1


def test_stops_that_are_refused_for_good_leave_the_position_if_keep_was_signed(
    desk: TradeDesk,
) -> None:
    word = _refused(desk, 130)
    for _ in range(3):
        desk.advance(40_000)
        desk.turn()
    assert _stops(desk) == (0, 0)
    assert len(desk.terminal.submissions("MODIFY")) == 1
    assert desk.status(word["rid"])["code"] == "STOPS_NOT_SET"
    assert any("kept without sl and tp" in alert for alert in desk.alerts())


def test_stops_that_are_refused_for_good_close_the_position_if_close_was_signed(
    desk: TradeDesk,
) -> None:
    word = _refused(desk, 130, stops_fail="CLOSE")
    desk.turn(2)
    assert desk.terminal.orders() == []
    assert desk.status(word["rid"])["code"] == "STOPS_NOT_SET"
    assert len(desk.terminal.submissions("CLOSE")) == 1
    desk.turn(5)
    assert len(desk.terminal.submissions("CLOSE")) == 1


def test_a_close_that_is_requoted_is_tried_again_until_nothing_is_unprotected(
    desk: TradeDesk,
) -> None:
    _refused(desk, 130, stops_fail="CLOSE")
    desk.terminal.command("fail", "OrderClose", 138, 136)
    for _ in range(4):
        desk.turn()
        desk.advance(5_000)
    desk.turn()
    assert desk.terminal.orders() == []


def test_refusals_that_could_pass_do_not_postpone_a_signed_close_for_ever(desk: TradeDesk) -> None:
    _refused(desk, *([136] * 50), stops_fail="CLOSE")
    for _ in range(8):
        desk.advance(40_000)
        desk.turn()
    assert desk.terminal.orders() == []


@pytest.mark.parametrize(
    "point",
    [
        ("OrderSend", "inside"),
        ("OrderSend", "after"),
        ("OrderModify", "before"),
        ("OrderModify", "inside"),
        ("FileFlush", "inside", 2),
        ("FileFlush", "inside", 3),
        ("FileFlush", "inside", 4),
    ],
)
def test_the_step_is_completed_after_a_restart_and_after_the_deadline(
    desk: TradeDesk, point: tuple[str | int, ...]
) -> None:
    frames = desk.sign(Op.OPEN, an_open(**STOPS), ttl=1_000)
    desk.terminal.command("die", *point)
    desk.post("exec", 1, 0, frames.token.hex(), frames.body.hex())
    desk.terminal.wait_dead()
    desk.start()
    desk.advance(60_000)
    for _ in range(3):
        desk.turn()
        desk.advance(2_000)
    assert _stops(desk) == (1.08, 1.09)
    word = desk.run(frames)
    assert (word["status"], word["code"], word["sl"]) == ("FILLED", "-", "1.08000")
    assert len(desk.terminal.submissions("OPEN")) == 1


def test_a_step_of_a_position_that_is_gone_is_over(desk: TradeDesk) -> None:
    word = _refused(desk, 138)
    desk.terminal.command("manual_close", word["ticket"])
    calls = desk.calls()
    for _ in range(3):
        desk.advance(5_000)
        desk.turn()
    assert desk.calls() == calls
