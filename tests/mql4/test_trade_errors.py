"""Every error code of MetaTrader 4 and what the desk makes of it: an allow-list, else UNKNOWN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.messages import Request
from bridge_core.protocol.operations import Op
from tests.mql4.needs import needs_compiler
from tests.mql4.trade_desk import TradeDesk, an_open, cancel, close, modify

pytestmark = needs_compiler

# MQL4 reference, constants/errorswarnings/errorcodes: what each proves. Nothing else proves
# anything.
REJECTED = {
    3: "BROKER_REJECTED", 5: "BROKER_REJECTED", 7: "BROKER_REJECTED", 8: "BROKER_REJECTED",
    64: "TRADE_DISABLED", 65: "TRADE_DISABLED", 129: "INVALID_PRICE", 130: "INVALID_STOPS",
    131: "INVALID_VOLUME", 132: "MARKET_CLOSED", 133: "TRADE_DISABLED", 134: "NO_MONEY",
    135: "REQUOTE", 136: "PRICE_OFF", 137: "BROKER_REJECTED", 138: "REQUOTE",
    139: "BROKER_REJECTED", 140: "TRADE_DISABLED", 141: "BROKER_REJECTED", 145: "INVALID_STOPS",
    146: "BROKER_REJECTED", 147: "BROKER_REJECTED", 148: "TOO_MANY_ORDERS",
    149: "BROKER_REJECTED", 150: "BROKER_REJECTED", 4051: "BROKER_REJECTED",
    4106: "BROKER_REJECTED", 4107: "INVALID_PRICE", 4108: "INVALID_TICKET",
    4109: "TRADE_DISABLED", 4110: "TRADE_DISABLED", 4111: "TRADE_DISABLED", 4112: "TRADE_DISABLED",
}  # fmt: skip
PROVES_NOTHING = (1, 2, 4, 6, 128, 142, 143)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path) as made:
        yield made


def test_the_allow_list_is_exactly_this_one(desk: TradeDesk) -> None:
    codes = [*range(200), *range(4000, 4300), 5000, 65_535, -1]
    said = {code: desk.ask("rejection", code) for code in codes}
    assert {code: word for code, word in said.items() if word} == REJECTED


def test_each_definite_answer_to_an_open_is_rejected_with_its_word(desk: TradeDesk) -> None:
    for code, word in REJECTED.items():
        desk.terminal.command("fail", "OrderSend", code)
        answer = desk.order(Op.OPEN, an_open())
        assert (answer["status"], answer["code"], answer["retcode"]) == ("REJECTED", word, code)
        assert (answer["ticket"], answer["volume"]) == (0, "0")
    assert desk.calls() == len(REJECTED)
    assert desk.terminal.orders() == []


@pytest.mark.parametrize("code", PROVES_NOTHING)
def test_an_answer_that_proves_nothing_is_unknown_until_absence_is_proven(
    desk: TradeDesk, code: int
) -> None:
    desk.terminal.command("fail", "OrderSend", code)
    frames = desk.sign(Op.OPEN, an_open())
    word = desk.run(frames)
    assert (word["status"], word["code"], word["retcode"]) == ("UNKNOWN", "RECONCILING", code)
    assert desk.run(frames)["status"] == "UNKNOWN"
    desk.settle()
    final = desk.run(frames)
    assert (final["status"], final["code"]) == ("DENIED", "ABSENT")
    assert len(desk.submitted(word["rid"])) == 1


@pytest.mark.parametrize("code", PROVES_NOTHING)
def test_an_order_that_ran_though_the_answer_was_lost_is_found_by_its_tag(
    desk: TradeDesk, code: int
) -> None:
    desk.terminal.command("fail", "OrderSend", f"{code}x")
    word = desk.order(Op.OPEN, an_open(sl="1.08000"))
    assert (word["status"], word["volume"], word["retcode"]) == ("FILLED", "0.1", code)
    assert len(desk.submitted(word["rid"])) == 1


def test_an_order_that_is_carried_out_late_is_found_when_it_appears(desk: TradeDesk) -> None:
    desk.terminal.command("fail", "OrderSend", "128@500")
    word = desk.order(Op.OPEN, an_open())
    assert word["status"] == "UNKNOWN"
    assert desk.turn(3) == 1
    desk.advance(1_000)
    assert desk.turn(3) == 0
    assert desk.status(word["rid"])["status"] == "FILLED"


def test_a_late_fill_right_before_the_second_look_is_no_absence(desk: TradeDesk) -> None:
    desk.terminal.command("fail", "OrderSend", "128@3100")
    word = desk.order(Op.OPEN, an_open())
    desk.settle()
    assert desk.status(word["rid"])["status"] == "FILLED"


def _positions(desk: TradeDesk) -> list[tuple[str, Op, Request]]:
    position = desk.opened()["ticket"]
    pending = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    return [
        ("OrderClose", Op.CLOSE, close(position)),
        ("OrderModify", Op.MODIFY, modify(position, sl="1.08000")),
        ("OrderDelete", Op.CANCEL, cancel(pending)),
    ]


def test_a_requote_or_a_busy_broker_is_the_outcome_of_every_operation(desk: TradeDesk) -> None:
    for call, op, body in _positions(desk):
        for code in (137, 138):
            desk.terminal.command("fail", call, code)
            calls = desk.calls()
            word = desk.order(op, body)
            assert (word["status"], word["code"]) == ("REJECTED", REJECTED[code])
            assert desk.calls() == calls + 1


def test_a_timeout_of_any_operation_on_a_ticket_is_looked_up_by_the_ticket(
    desk: TradeDesk,
) -> None:
    for call, op, body in _positions(desk):
        desk.terminal.command("fail", call, "128")
        word = desk.order(op, body)
        assert word["status"] == "UNKNOWN", op
        desk.settle()
        final = desk.status(word["rid"])
        assert (final["status"], final["code"]) == ("DENIED", "ABSENT"), op


def test_a_change_that_ran_though_its_answer_was_lost_is_known_at_once(desk: TradeDesk) -> None:
    done = {}
    # The CLOSE comes last: the others need its ticket.
    for call, op, body in reversed(_positions(desk)):
        desk.terminal.command("fail", call, "128x")
        done[op] = desk.order(op, body)["status"]
    assert done == {Op.CLOSE: "FILLED", Op.MODIFY: "DONE", Op.CANCEL: "DONE"}


def test_a_busy_trade_context_is_waited_out_before_the_only_attempt(desk: TradeDesk) -> None:
    desk.terminal.command("busy", 300)
    word = desk.order(Op.OPEN, an_open())
    assert (word["status"], desk.calls()) == ("FILLED", 1)


def test_a_trade_context_that_stays_busy_ends_before_anything_began(desk: TradeDesk) -> None:
    desk.terminal.command("flag", "busy", 1)
    word = desk.order(Op.OPEN, an_open(), ttl=200)
    assert (word["status"], desk.calls()) == ("DENIED", 0)
    assert word["code"] in ("BROKER_BUSY", "EXPIRED")
