"""Rule by rule, from the first byte to the broker: what the desk lets begin and answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.messages import Heartbeat, Resume, Stop
from bridge_core.protocol.operations import Op, Scope
from bridge_core.protocol.signing import Frames
from tests.mql4.needs import needs_compiler
from tests.mql4.trade_desk import TradeDesk, an_open, cancel, close, modify

pytestmark = needs_compiler

HALT = Stop(reason="by hand")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path) as made:
        yield made


def _exec(desk: TradeDesk, frames: Frames) -> str:
    return desk.ask("exec", 1, 0, frames.token.hex(), frames.body.hex())


# --- before the MAC: silence -----------------------------------------------------------------


def test_a_byte_changed_anywhere_is_dropped_without_an_answer(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open())
    ea_end = len(frames.token) - 65  # the last part is mac-srv, which is the server's
    for at in range(0, ea_end, 7):
        token = bytearray(frames.token)
        token[at] ^= 1
        assert _exec(desk, Frames(bytes(token), frames.body)) == "dropped", at
    for at in range(0, len(frames.body), 11):
        body = bytearray(frames.body)
        body[at] ^= 1
        assert _exec(desk, Frames(frames.token, bytes(body))) == "dropped", at
    assert desk.calls() == 0
    assert desk.run(frames)["status"] == "FILLED"


def test_what_was_signed_for_another_account_or_with_a_foreign_key_is_dropped(
    desk: TradeDesk, tmp_path: Path
) -> None:
    other = TradeDesk(tmp_path / "other")
    assert _exec(desk, other.sign(Op.OPEN, an_open())) == "dropped"
    assert _exec(desk, desk.sign(Op.OPEN, an_open(), acct="live")) == "dropped"
    assert _exec(desk, desk.sign(Op.OPEN, an_open(), kid="trade-2")) == "dropped"


def test_a_scope_that_does_not_grant_the_operation_is_dropped(desk: TradeDesk) -> None:
    signers = desk.house.signers
    for scope in (Scope.REDUCE, Scope.OPERATOR):
        frames = signers[scope].forge(Op.OPEN, an_open())
        assert _exec(desk, frames) == "dropped", scope
    resume = signers[Scope.TRADE].forge(Op.RESUME, Resume(cause="OPERATOR", reason=""))
    assert _exec(desk, resume) == "dropped"


def test_a_stop_or_a_heartbeat_is_no_order_and_an_order_is_not_forwarded(desk: TradeDesk) -> None:
    halt, order = desk.sign(Op.HALT, HALT), desk.sign(Op.OPEN, an_open())
    assert _exec(desk, halt) == "dropped"
    assert desk.ask("forward", order.token.hex(), order.body.hex()) == "dropped"
    assert desk.calls() == 0


def test_a_ticket_beside_an_order_that_is_no_flatten_is_dropped(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open())
    for ticket in ("1", "-1", "x", "", "00", "99999999999"):
        answer = desk.ask("exec", 1, ticket, frames.token.hex(), frames.body.hex())
        assert answer == "dropped", ticket


# --- known request ids -------------------------------------------------------------------------


def test_a_repeat_gets_the_stored_word_and_executes_nothing(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open())
    first = desk.run(frames)
    desk.advance(60_000)
    assert desk.run(frames) == first == desk.status(first["rid"])
    assert desk.calls() == 1


def test_a_repeat_after_a_restart_gets_the_stored_word_byte_for_byte(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open())
    first = desk.run(frames)
    desk.die()
    assert desk.run(frames) == first
    assert desk.calls() == 1


def test_other_bytes_under_a_known_request_id_are_a_conflict_that_changes_nothing(
    desk: TradeDesk,
) -> None:
    first = desk.opened()
    other = desk.order(Op.OPEN, an_open(volume="0.20"), rid=first["rid"])
    assert (other["status"], other["code"]) == ("DENIED", "CONFLICT")
    assert desk.status(first["rid"]) == first
    assert desk.calls() == 1


def test_a_denied_order_stays_denied_when_its_reason_is_gone(desk: TradeDesk) -> None:
    desk.terminal.command("flag", "connected", 0)
    frames = desk.sign(Op.OPEN, an_open())
    word = desk.run(frames)
    assert (word["status"], word["code"]) == ("DENIED", "BROKER_DOWN")
    desk.terminal.command("flag", "connected", 1)
    assert desk.run(frames) == word
    desk.die()
    assert desk.run(frames) == word
    assert desk.calls() == 0


def test_status_of_what_never_arrived_is_not_seen(desk: TradeDesk) -> None:
    word = desk.status(secrets.token_hex(16))
    assert (word["status"], word["code"]) == ("NOT_SEEN", "NOT_SEEN")


# --- time ----------------------------------------------------------------------------------------


def test_an_order_at_its_deadline_is_too_late_and_one_from_the_future_too_early(
    desk: TradeDesk,
) -> None:
    late = desk.sign(Op.OPEN, an_open(), ttl=500)
    desk.advance(500)
    assert desk.run(late)["code"] == "EXPIRED"
    early = desk.order(Op.OPEN, an_open(), iat=desk.now_ms() + 1_500)
    assert early["code"] == "NOT_YET_VALID"
    assert desk.order(Op.OPEN, an_open(), iat=desk.now_ms() + 500)["status"] == "FILLED"
    assert desk.calls() == 1


def test_a_step_of_the_clock_stops_entries_and_nothing_that_reduces(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    pending = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    desk.turn()
    desk.terminal.command("step_wall", 400)
    desk.turn()
    assert desk.order(Op.OPEN, an_open())["code"] == "CLOCK"
    assert desk.order(Op.MODIFY, modify(pending, price="1.07900"))["code"] == "CLOCK"
    assert desk.order(Op.MODIFY, modify(ticket, sl="1.08000"))["status"] == "DONE"
    assert desk.order(Op.CANCEL, cancel(pending))["status"] == "DONE"
    assert desk.order(Op.CLOSE, close(ticket))["status"] == "FILLED"
    desk.advance(31_000)
    desk.turn()
    assert desk.order(Op.OPEN, an_open())["status"] == "FILLED"


def test_no_order_of_many_near_their_deadline_begins_at_or_after_it(desk: TradeDesk) -> None:
    desk.advance(1_000)
    for spare_ms in range(12):
        frames = desk.sign(
            Op.OPEN, an_open(volume="0.01"), ttl=200, iat=desk.now_ms() - 200 + spare_ms
        )
        word = desk.run(frames)
        late = (word["status"], word["code"]) == ("DENIED", "EXPIRED")
        sent = desk.submitted(word["rid"])
        assert len(sent) == (0 if late else 1), word
        assert all(one["pc_ms"] < desk.signed[word["rid"]][2] + 200 for one in sent)


def test_an_order_that_a_slow_disk_held_past_its_deadline_is_not_sent(desk: TradeDesk) -> None:
    desk.terminal.command("slow", "FileFlush", 1_100)
    frames = desk.sign(Op.OPEN, an_open(), ttl=1_000)
    word = desk.run(frames)
    assert (word["status"], word["code"], desk.calls()) == ("DENIED", "EXPIRED", 0)
    assert b"INTENT" in desk.journal()
    assert desk.run(frames) == word


# --- body, account, state, caps -------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"{}", b"\xff\xfe", b'{"client_order_id":"a"}', b" " * 4096])
def test_a_body_that_is_not_the_contracts_is_denied(desk: TradeDesk, raw: bytes) -> None:
    word = desk.order(Op.OPEN, raw)
    assert (word["status"], word["code"], desk.calls()) == ("DENIED", "BODY", 0)


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"ExpectedAccount": 0}, "ACCOUNT_MISMATCH"),
        ({"ExpectedAccount": 87654321}, "ACCOUNT_MISMATCH"),
        ({"ExpectedServer": ""}, "ACCOUNT_MISMATCH"),
        ({"ExpectedServer": "Broker-Live"}, "ACCOUNT_MISMATCH"),
        ({"Symbols": ""}, "SYMBOL_NOT_ALLOWED"),
        ({"Symbols": "eurusd,USDJPY"}, "SYMBOL_NOT_ALLOWED"),
        ({"MaxLots": 0.09}, "MAX_VOLUME"),
        ({"MaxPositions": 0}, "MAX_POSITIONS"),
    ],
)
def test_the_terminals_own_inputs_refuse_what_was_signed(
    tmp_path: Path, inputs: dict[str, str | int | float], code: str
) -> None:
    with TradeDesk(tmp_path, inputs) as desk:
        word = desk.order(Op.OPEN, an_open())
        assert (word["status"], word["code"], desk.calls()) == ("DENIED", code, 0)


def test_a_real_account_is_not_traded_unless_the_input_says_so(tmp_path: Path) -> None:
    with TradeDesk(tmp_path) as desk:
        desk.terminal.command("account", 12345678, "Broker-Demo", "real")
        desk.advance(1_100)
        word = desk.order(Op.OPEN, an_open())
        assert (word["code"], word["limit"], word["value"]) == ("ACCOUNT_MISMATCH", "demo", "real")
        desk.terminal.command("input", "AllowReal", True)
        desk.terminal.command("reinit", 5)
        desk.advance(1_100)
        desk.terminal.command("deposit", 10_000)
        assert desk.order(Op.OPEN, an_open())["status"] == "FILLED"


@pytest.mark.parametrize("flag", ["trade_allowed", "expert"])
def test_algo_trading_that_is_off_refuses_everything(desk: TradeDesk, flag: str) -> None:
    ticket = desk.opened()["ticket"]
    desk.terminal.command("flag", flag, 0)
    assert desk.order(Op.OPEN, an_open())["code"] == "TRADE_DISABLED"
    assert desk.order(Op.CLOSE, close(ticket))["code"] == "TRADE_DISABLED"
    assert desk.calls() == 1


def test_positions_and_pending_orders_and_unknown_entries_count_against_max_positions(
    tmp_path: Path,
) -> None:
    with TradeDesk(tmp_path, {"MaxPositions": 3}) as desk:
        desk.opened()
        desk.opened(type="BUY_LIMIT", price="1.08000")
        desk.terminal.command("fail", "OrderSend", "128")
        unknown = desk.order(Op.OPEN, an_open())
        word = desk.order(Op.OPEN, an_open())
        assert (word["code"], word["limit"], word["value"]) == ("MAX_POSITIONS", "3", "4")
        desk.settle()
        assert desk.status(unknown["rid"])["code"] == "ABSENT"
        assert desk.order(Op.OPEN, an_open())["status"] == "FILLED"


def test_positions_of_other_symbols_are_closed_only_where_the_symbol_is_allowed(
    desk: TradeDesk,
) -> None:
    foreign = desk.terminal.command("manual_open", "USDJPY", "BUY", "0.10")["ticket"]
    word = desk.order(Op.CLOSE, close(foreign, symbol="USDJPY"))
    assert (word["status"], word["code"]) == ("DENIED", "SYMBOL_NOT_ALLOWED")


def test_reduce_only_lets_through_what_reduces_and_a_tighter_stop(desk: TradeDesk) -> None:
    ticket = desk.opened(sl="1.08000")["ticket"]
    pending = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    state = desk.forward(Op.REDUCE_ONLY, Stop(reason=""))
    assert state == {"state": "REDUCE_ONLY", "cause": "OPERATOR"}
    codes = [
        desk.order(Op.OPEN, an_open())["code"],
        desk.order(Op.MODIFY, modify(pending, price="1.07900"))["code"],
        desk.order(Op.MODIFY, modify(ticket, old_sl="1.08000"))["code"],
    ]
    assert codes == ["REDUCE_ONLY"] * 3
    raised = desk.order(Op.MODIFY, modify(ticket, sl="1.08200", old_sl="1.08000"))
    assert raised["status"] == "DONE"
    assert desk.order(Op.CANCEL, cancel(pending))["status"] == "DONE"
    assert desk.order(Op.CLOSE, close(ticket))["status"] == "FILLED"


def test_halt_holds_over_a_restart_and_only_an_operators_resume_ends_it(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    assert desk.forward(Op.HALT, HALT)["state"] == "HALTED"
    desk.die()
    assert desk.order(Op.OPEN, an_open())["code"] == "HALTED"
    assert desk.order(Op.MODIFY, modify(ticket, sl="1.08000"))["code"] == "HALTED"
    other = desk.order(Op.RESUME, Resume(cause="DRAWDOWN", reason=""), scope=Scope.OPERATOR)
    assert other["status"] == "DONE"
    assert desk.order(Op.OPEN, an_open())["code"] == "HALTED"
    word = desk.order(Op.RESUME, Resume(cause="OPERATOR", reason="ok"), scope=Scope.OPERATOR)
    assert word["status"] == "DONE"
    assert desk.order(Op.OPEN, an_open())["status"] == "FILLED"


def test_a_reduce_key_may_halt_and_close_but_not_open(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    assert desk.forward(Op.HALT, HALT, scope=Scope.REDUCE)["state"] == "HALTED"
    assert desk.order(Op.CLOSE, close(ticket), scope=Scope.REDUCE)["status"] == "FILLED"


def test_an_old_halt_still_halts_and_never_raises(desk: TradeDesk) -> None:
    halt, reduce_only = desk.sign(Op.HALT, HALT), desk.sign(Op.REDUCE_ONLY, HALT)
    desk.advance(600_000)
    for frames in (halt, reduce_only):
        answer = desk.ask("forward", frames.token.hex(), frames.body.hex())
        assert answer == '{"state":"HALTED","cause":"OPERATOR"}'


def test_the_dead_mans_switch_lowers_the_state_and_heartbeats_raise_it_again(
    tmp_path: Path,
) -> None:
    with TradeDesk(tmp_path, {"DeadManSeconds": 5}) as desk:
        ticket = desk.opened()["ticket"]
        state = desk.forward(Op.HEARTBEAT, Heartbeat(sequence=1))
        assert state["state"] == "ACTIVE"
        desk.turn()
        desk.advance(6_000)
        desk.turn()
        assert desk.ask("state") == '{"state":"REDUCE_ONLY","cause":"HEARTBEAT"}'
        assert desk.order(Op.OPEN, an_open())["code"] == "REDUCE_ONLY"
        desk.forward(Op.HEARTBEAT, Heartbeat(sequence=1))  # an old one does not count
        desk.turn()
        assert desk.order(Op.CLOSE, close(ticket))["status"] == "FILLED"
        for sequence in range(2, 12):
            desk.forward(Op.HEARTBEAT, Heartbeat(sequence=sequence))
            desk.turn()
            desk.advance(4_000)
            desk.turn()
        assert desk.ask("state") == '{"state":"ACTIVE","cause":""}'
