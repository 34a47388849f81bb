"""The Advisor's own dead-man's switch: no server, no link, no signature, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.messages import Heartbeat
from bridge_core.protocol.operations import Op
from tests.mql4.needs import needs_compiler
from tests.mql4.trade_desk import TradeDesk, an_open

pytestmark = needs_compiler
SECONDS, SILENT_MS = 10, 10_500
INPUTS: dict[str, str | int | float | bool] = {
    "DeadManSeconds": SECONDS,
    "DeadManPolicy": 2,
    "Symbols": "EURUSD,USDJPY",
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path, INPUTS) as made:
        yield made


class Beats:
    """Heartbeats with a number that grows."""

    def __init__(self, desk: TradeDesk) -> None:
        self.desk, self.number = desk, 0

    def __call__(self) -> None:
        self.number += 1
        self.desk.forward(Op.HEARTBEAT, Heartbeat(sequence=self.number))
        self.desk.turn()


def _book(desk: TradeDesk) -> tuple[int, int]:
    held = desk.opened()["ticket"]
    return held, desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]


def _tickets(desk: TradeDesk) -> set[int]:
    return {row["ticket"] for row in desk.terminal.orders()}


def _state(desk: TradeDesk) -> str:
    return desk.ask("state")


FIRED = '{"state":"REDUCE_ONLY","cause":"HEARTBEAT"}'


def test_silence_closes_and_cancels_each_ticket_once_by_itself(desk: TradeDesk) -> None:
    held, resting = _book(desk)
    Beats(desk)()
    calls = desk.calls()
    desk.advance(SILENT_MS)
    assert desk.turn(1) == 0
    assert desk.calls() == calls, "the tickets are fixed before anything is sent"
    desk.turn(1)
    assert desk.calls() == calls + 1, "one broker call a turn"
    desk.turn(5)
    assert desk.calls() == calls + 2
    assert _tickets(desk) == set()
    assert _state(desk) == FIRED
    said = " ".join(desk.alerts())
    assert f"CLOSE {held} EURUSD FILLED" in said
    assert f"CANCEL {resting} EURUSD DONE" in said
    desk.advance(3_600_000)
    desk.turn(10)
    assert desk.calls() == calls + 2


def test_each_of_its_acts_has_a_record_that_names_no_order(desk: TradeDesk) -> None:
    _book(desk)
    Beats(desk)()
    desk.advance(SILENT_MS)
    desk.turn(5)
    rids = [one.rpartition("request ")[2] for one in desk.alerts() if "request " in one]
    assert len(set(rids)) == 2
    for rid in rids:
        record = desk.record(desk.status(rid))
        assert record.order_hash == "0" * 64
        assert (record.op, record.status) in (("CLOSE", "FILLED"), ("CANCEL", "DONE"))


def test_a_server_that_knows_the_number_cannot_bury_what_it_will_do(desk: TradeDesk) -> None:
    _book(desk)
    Beats(desk)()
    desk.advance(SILENT_MS)
    desk.turn(5)
    first = {one.rpartition("request ")[2] for one in desk.alerts() if "request " in one}
    assert all(desk.tombstone(rid)["status"] in ("FILLED", "DONE") for rid in first)


def test_the_policy_cancel_leaves_positions_alone(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, {**INPUTS, "DeadManPolicy": 1}) as desk:
        held, _ = _book(desk)
        Beats(desk)()
        desk.advance(SILENT_MS)
        desk.turn(6)
        assert _tickets(desk) == {held}


def test_the_policy_reduce_only_sends_nothing(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, {**INPUTS, "DeadManPolicy": 0}) as desk:
        _book(desk)
        Beats(desk)()
        calls = desk.calls()
        desk.advance(SILENT_MS)
        desk.turn(6)
        assert (desk.calls(), _state(desk)) == (calls, FIRED)


def test_nothing_is_closed_before_the_first_heartbeat(desk: TradeDesk) -> None:
    _book(desk)
    calls = desk.calls()
    desk.turn()
    desk.advance(60_000)
    desk.turn(6)
    assert (desk.calls(), _state(desk)) == (calls, FIRED)


def test_it_stays_armed_over_a_restart(desk: TradeDesk) -> None:
    _book(desk)
    Beats(desk)()
    desk.die()
    desk.turn()
    desk.advance(SILENT_MS)
    desk.turn(6)
    assert _tickets(desk) == set()


def test_a_restart_after_the_firing_closes_nothing_new(desk: TradeDesk) -> None:
    _book(desk)
    Beats(desk)()
    desk.advance(SILENT_MS)
    desk.turn(6)
    desk.die()
    calls = desk.calls()
    assert _state(desk) == FIRED, "a restart is no sign of life"
    assert desk.order(Op.OPEN, an_open())["code"] == "REDUCE_ONLY"
    desk.advance(3_600_000)
    desk.turn(6)
    assert desk.calls() == calls


@pytest.mark.parametrize("turns", range(1, 4))
def test_a_kill_in_the_middle_is_taken_up_and_nothing_is_sent_twice(
    desk: TradeDesk, turns: int
) -> None:
    tickets = {*_book(desk), desk.opened(symbol="USDJPY")["ticket"]}
    Beats(desk)()
    calls = desk.calls()
    desk.advance(SILENT_MS)
    desk.turn(turns)
    desk.die()
    for _ in range(4):
        desk.advance(1_100)
        desk.turn(4)
    assert _tickets(desk) == set()
    assert desk.calls() == calls + len(tickets)


@pytest.mark.parametrize("executed", ["128", "128x"])
def test_a_lost_answer_is_looked_for_and_never_guessed(desk: TradeDesk, executed: str) -> None:
    desk.opened()
    Beats(desk)()
    desk.terminal.command("fail", "OrderClose", executed)
    desk.advance(SILENT_MS)
    desk.turn(3)
    calls = desk.calls()
    desk.turn(20)
    if executed == "128":
        desk.advance(6_000)
        desk.turn(2)
        assert desk.calls() == calls, "while it is unknown nothing is sent again"
        desk.settle()
        desk.advance(6_000)
        desk.turn(6)
    assert _tickets(desk) == set()
    assert desk.calls() == calls + (executed == "128")


def test_what_the_broker_refuses_is_tried_again_after_a_pause(desk: TradeDesk) -> None:
    desk.opened()
    Beats(desk)()
    desk.terminal.command("fail", "OrderClose", 132)
    desk.advance(SILENT_MS)
    desk.turn(10)
    calls = desk.calls()
    assert "DEAD_MAN_LEFT" in " ".join(desk.alerts())
    desk.turn(10)
    assert desk.calls() == calls
    desk.advance(5_100)
    desk.turn(5)
    assert (_tickets(desk), desk.calls()) == (set(), calls + 1)


def test_a_heartbeat_ends_it_and_the_next_silence_fires_anew(desk: TradeDesk) -> None:
    beats = Beats(desk)
    desk.opened()
    beats()
    desk.terminal.command("fail", "OrderClose", 132)
    desk.advance(SILENT_MS)
    desk.turn(4)
    calls = desk.calls()
    for _ in range(10):
        beats()
        desk.advance(4_000)
        desk.turn(2)
    assert desk.calls() == calls, "no other FLATTEN once the strategy is back"
    assert _state(desk) == '{"state":"ACTIVE","cause":""}'
    desk.opened(symbol="USDJPY")
    desk.advance(SILENT_MS)
    desk.turn(6)
    assert _tickets(desk) == set()


def test_with_the_broker_away_it_waits_and_says_so(desk: TradeDesk) -> None:
    _book(desk)
    Beats(desk)()
    desk.terminal.command("flag", "connected", 0)
    calls = desk.calls()
    desk.advance(SILENT_MS)
    desk.turn(6)
    assert desk.calls() == calls
    assert "DEAD_MAN_LEFT" in " ".join(desk.alerts())
    desk.terminal.command("flag", "connected", 1)
    desk.turn(6)
    assert _tickets(desk) == set()


def test_a_heartbeat_held_on_the_way_counts_from_when_it_was_signed(desk: TradeDesk) -> None:
    desk.opened()
    frames = desk.sign(Op.HEARTBEAT, Heartbeat(sequence=1))
    desk.advance(4_000)
    desk.ask("forward", frames.token.hex(), frames.body.hex())
    desk.turn()
    desk.advance(SILENT_MS - 4_000)
    desk.turn(4)
    assert _tickets(desk) == set()


def test_an_old_heartbeat_played_again_keeps_nothing_alive(desk: TradeDesk) -> None:
    desk.opened()
    frames = desk.sign(Op.HEARTBEAT, Heartbeat(sequence=1))
    for _ in range(12):
        desk.ask("forward", frames.token.hex(), frames.body.hex())
        desk.turn(3)
        desk.advance(1_000)
    assert _tickets(desk) == set()


@pytest.mark.parametrize(
    "point",
    [("FileFlush", "before", 1), ("FileFlush", "inside", 2), ("OrderClose", "before"),
     ("OrderClose", "inside"), ("OrderClose", "after")],
    ids=lambda point: "-".join(str(word) for word in point),
)  # fmt: skip
def test_a_death_inside_it_is_taken_up_and_no_ticket_is_closed_twice(
    desk: TradeDesk, point: tuple[str | int, ...]
) -> None:
    desk.opened()
    desk.opened(symbol="USDJPY")
    Beats(desk)()
    desk.advance(SILENT_MS)
    desk.terminal.command("die", *point)
    desk.post("turn", 4)
    desk.terminal.wait_dead()
    desk.start()
    desk.settle()  # an intent without an outcome is looked for, twice
    for _ in range(8):
        desk.advance(6_000)
        desk.turn(4)
    assert _tickets(desk) == set()
    begun = {line["n"]: line["fields"]["ticket"] for line in desk.terminal.submissions("CLOSE")}
    done = [begun[line["n"]] for line in desk.terminal.ledger()
            if line["phase"] == "end" and line["n"] in begun]  # fmt: skip
    assert len(done) == len(set(done)) == 2
    # What the broker never had is proven absent first; only then is its ticket tried again.
    assert len(begun) == (3 if point[:2] == ("OrderClose", "before") else 2)
