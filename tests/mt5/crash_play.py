"""Plays the crash points of crash_table.py in real processes, several houses at a time.

After every death what died is started again, the strategy asks for the same order again, and the
answer, the broker's ledger and, at the end of a house, all that was signed, told and recorded are
judged.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bridge_client import OrderResult
from bridge_core.protocol.codes import Status
from tests.mt5.crash_act import Act
from tests.mt5.crash_house import CrashStage
from tests.mt5.crash_table import DIE, PART, Fault, Row
from tests.support.crash_matrix import LOOK_S, PATIENCE_S, Played, live, resume
from tests.support.fake_metatrader5.faults import BEFORE, EXECUTED, Kind
from tests.support.running import wait_until

__all__ = ["SCENARIOS", "play"]


# --- scenarios -----------------------------------------------------------------------------------


def _again(act: Act) -> None:
    act.house.child.died(PATIENCE_S)
    act.house.start_server()


def _hold_another(act: Act) -> str:
    """Let another order hang in the broker, so that the next has to queue."""
    act.faults.script("order_send", EXECUTED, "hang")
    told = act.bridge.buy("USDJPY", "0.01", wait=0.0)
    for _ in range(20):  # on a machine that stood still the picture may be too old for an order
        if not told.final:
            break
        assert (told.by, told.code) == ("connector", "NO_ACCOUNT"), told
        told = act.bridge.buy("USDJPY", "0.01", wait=1.0)
    act.faults.wait_reached(EXECUTED, seconds=PATIENCE_S)
    return told.client_order_id


def s_dies(act: Act) -> None:
    act.go()
    _again(act)


def s_dies_with_it_queued(act: Act) -> None:
    first = _hold_another(act)
    act.go()
    act.house.child.died(PATIENCE_S)
    act.faults.release()
    act.house.start_server()
    assert act.bridge.wait(first, PATIENCE_S).status is Status.FILLED


def _take_its_turn(act: Act) -> str:
    """Let it queue behind another order, and then meet its place; return the other's name."""
    first = _hold_another(act)
    act.send()
    with act.house.client() as client:
        wait_until(
            lambda: client.status(rid=act.rid).subject().status == "PENDING", PATIENCE_S, LOOK_S
        )
    act.house.arm(act.place.server)
    act.faults.release()
    return first


def s_dies_when_its_turn_comes(act: Act) -> None:
    first = _take_its_turn(act)
    _again(act)
    assert act.bridge.wait(first, PATIENCE_S).status is Status.FILLED


def _at_the_gate(act: Act, kind: Kind, plan: dict[str, Any]) -> None:
    """Let the worker's look at the account, right before the call, meet with something."""
    act.house.arm({"ask": [["mark", str(act.mark)]], **plan})
    gate = Fault(BEFORE, kind, {}, "account_info")
    act.script(gate, when=lambda _args: act.mark.exists())
    act.send()
    act.faults.wait_reached(BEFORE, "account_info", PATIENCE_S)


def s_dies_w_at_the_gate(act: Act) -> None:
    _at_the_gate(act, "hang", {"sent": DIE})
    act.house.child.died(PATIENCE_S)
    act.faults.release()  # it finds nobody who waits for an answer
    act.house.start_server()


def w_dies_at_the_gate(act: Act) -> None:
    _at_the_gate(act, "kill_worker", {})


def t_dies_at_the_gate(act: Act) -> None:
    _at_the_gate(act, "kill_terminal", {})


def s_is_killed_unread(act: Act) -> None:
    # It stands still while the answer comes, and dies with it in its pipe.
    act.go()
    act.wait_reached()
    act.house.child.signal(signal.SIGSTOP)
    act.faults.release()
    time.sleep(0.1)  # the answer is on its way: sooner would be point 25
    act.house.kill_server()
    act.house.start_server()


def it_goes_wrong(act: Act) -> None:
    act.go()
    if act.place.fault is not None:
        act.wait_reached()


def b_is_cut_off(act: Act) -> None:
    assert act.place.fault is not None
    act.cut_off_at(act.place.fault)
    act.send()
    act.wait_reached()
    act.wait_unknown()
    assert not act.bridge.wait(act.name, 0.5).final
    act.house.broker.link(True, history_after_ms=100)


def part_is_filled(act: Act) -> None:
    fault = act.place.fault
    assert fault is not None
    act.house.broker.fill_next(PART)
    act.cut_off_at(fault)
    act.send()
    act.wait_reached()
    if fault.kind == "kill_pid":
        _again(act)
        assert act.house.child.says("listening")
    act.wait_unknown()
    act.house.broker.link(True, history_after_ms=100)


def all_die(act: Act) -> None:
    act.go()
    act.wait_reached()
    worker = act.house.worker_pid
    act.house.kill_server()
    os.kill(worker, signal.SIGKILL)
    act.house.terminal.kill()
    act.house.terminal.start()
    act.house.start_server()


def s_dies_again(act: Act) -> None:
    act.script(Fault(EXECUTED, "kill_pid"))
    act.send()
    act.house.child.died(PATIENCE_S)
    act.house.start_server(act.place.server)
    _again(act)


def w_or_t_dies_again(act: Act) -> None:
    act.script(Fault(EXECUTED, "kill_pid"))
    act.send()
    act.house.child.died(PATIENCE_S)
    assert act.place.fault is not None
    act.script(act.place.fault)
    act.house.start_server()
    act.wait_reached()


def fsync_fails(act: Act) -> None:
    act.go()
    _start_after_a_fatal_journal(act)


def fsync_fails_at_its_turn(act: Act) -> None:
    _take_its_turn(act)
    _start_after_a_fatal_journal(act)


def _start_after_a_fatal_journal(act: Act) -> None:
    assert act.house.child.ended(PATIENCE_S) == 1
    act.house.start_server()
    assert act.house.child.says("listening")
    with act.house.client() as client:
        assert "JOURNAL_FATAL" in [one.cause for one in client.hello().causes]
    resume(act.house, "JOURNAL_FATAL")


def disk_is_full(act: Act) -> None:
    act.house.arm(act.place.server)
    _deny_until_there_is_room(act, act.order(PATIENCE_S))


def disk_is_full_at_its_turn(act: Act) -> None:
    _take_its_turn(act)
    _deny_until_there_is_room(act, act.bridge.wait(act.name, PATIENCE_S))


def _deny_until_there_is_room(act: Act, told: OrderResult) -> None:
    disk = act.house.disk
    assert disk is not None
    assert (told.status, told.code, told.by) == ("DENIED", "JOURNAL_FULL", "server")
    with act.house.client() as client:
        assert client.ping().status == "OK"
        assert client.status(rid=told.rid).subject().status == "DENIED"
        disk.heal()
        wait_until(lambda: client.hello().state == "ACTIVE", PATIENCE_S, LOOK_S)


def call_hangs(act: Act) -> None:
    worker = act.house.worker_pid
    act.go()
    act.wait_reached()
    assert act.bridge.ping().ms > 0
    assert act.bridge.halt("the call hangs").state == "HALTED"
    assert act.bridge.get_positions() is not None
    assert not act.bridge.order_status(act.name).final
    act.wait_unknown()
    assert not _lives(worker)
    other = act.bridge.buy("EURUSD", "0.01", client_order_id=f"{act.name}-other")
    assert other.status is Status.DENIED, other
    resume(act.house, "OPERATOR")
    assert act.begun(other.rid) == 0


def s_dies_while_w_hangs(act: Act) -> None:
    _wait_for_the_end_of(*_orphaned(act), act)  # the new server ends it


def s_dies_w_returns(act: Act) -> None:
    worker, calls = _orphaned(act)
    act.faults.release()
    _wait_for_the_end_of(worker, calls, act)


def _orphaned(act: Act) -> tuple[int, int]:
    """Start a new server beside a worker that hangs; return that, and the calls so far."""
    act.go()
    act.wait_reached()
    worker = act.house.worker_pid
    act.house.kill_server()
    calls = len(act.house.terminal.calls)
    act.house.start_server()
    return worker, calls


def _wait_for_the_end_of(worker: int, calls: int, act: Act) -> None:
    """Wait until it is no more; until then nobody else is let near the terminal."""

    def gone() -> bool:
        callers = {call.pid for call in act.house.terminal.calls[calls:]}
        if not _lives(worker):
            return True
        assert callers <= {worker}, "a second worker beside the first"
        return False

    wait_until(gone, PATIENCE_S, LOOK_S)


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False


SCENARIOS: Final[dict[str, Callable[[Act], None]]] = {
    "S dies": s_dies,
    "S dies with it queued": s_dies_with_it_queued,
    "S dies when its turn comes": s_dies_when_its_turn_comes,
    "S dies, W is at the gate": s_dies_w_at_the_gate,
    "W dies at the gate": w_dies_at_the_gate,
    "T dies at the gate": t_dies_at_the_gate,
    "S is killed in the call": s_dies,
    "S is killed unread": s_is_killed_unread,
    "W or T dies": it_goes_wrong,
    "B is lost": it_goes_wrong,
    "B is cut off": b_is_cut_off,
    "part is filled": part_is_filled,
    "all die": all_die,
    "S dies again": s_dies_again,
    "W or T dies again": w_or_t_dies_again,
    "fsync fails": fsync_fails,
    "fsync fails at its turn": fsync_fails_at_its_turn,
    "disk is full": disk_is_full,
    "disk is full at its turn": disk_is_full_at_its_turn,
    "call hangs": call_hangs,
    "S dies while W hangs": s_dies_while_w_hangs,
    "S dies, W returns": s_dies_w_returns,
}


# --- a house's life ------------------------------------------------------------------------------


def play(stage: CrashStage, row: Row, turns: list[int]) -> list[Played]:
    """Play these turns of a row in one house, then judge all that was signed, told and done."""
    margin_mode = row.turn(turns[0])[1].margin_mode
    house = stage.open(margin_mode, faults=row.faults, trade_ms=row.trade_ms, ttl_ms=row.ttl_ms)
    with house:
        played = live(
            house,
            lambda bridge: [Act(house, bridge, row, turn) for turn in turns],
            lambda act: SCENARIOS[act.place.how](act),
        )
    house.judge()
    house.remove()
    return played
