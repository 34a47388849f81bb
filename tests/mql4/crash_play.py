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
from typing import Final

from bridge_client import Connector, OrderResult
from bridge_core.protocol.codes import Status
from bridge_core.protocol.tag import make_tag
from tests.mql4.crash_house import CrashHouse, CrashStage
from tests.mql4.crash_table import IN_CALL_MS, End, Row
from tests.mql4.house import ACCT
from tests.support.crash_matrix import LOOK_S, PATIENCE_S, Played, live, outcome, resume
from tests.support.doom import SUBJECT
from tests.support.running import wait_until

__all__ = ["SCENARIOS", "play"]

_TRUE_CALL_MS: Final = 60_000
_GRACE_MS: Final = 8_000  # the call hangs still after all that is asked meanwhile


class Act:
    """One turn: one order, what befalls it, and what became of it."""

    def __init__(self, house: CrashHouse, bridge: Connector, row: Row, turn: int) -> None:
        self.house = house
        self.bridge = bridge
        self.row = row
        self.place = row.places[turn % len(row.places)]
        self.name = f"kill-{turn}"
        self.terminal = house.terminal
        self.opened: OrderResult | None = None

    def prepare(self) -> None:
        """Open what the order is to close."""
        if self.row.call == "OrderClose":
            opened = self.bridge.buy("EURUSD", "0.01", wait=PATIENCE_S)
            assert opened.status is Status.FILLED, opened
            self.opened = opened

    def order(self, wait: float = 0.0) -> OrderResult:
        """Send the order, or ask for it: the same however often."""
        if self.opened is not None:
            return self.bridge.close_position(self.opened, client_order_id=self.name, wait=wait)
        return self.bridge.buy(
            "EURUSD", "0.01", client_order_id=self.name, comment=SUBJECT, wait=wait
        )

    def send(self) -> OrderResult:
        """Send it for the first time: nothing is known yet."""
        told = self.order()
        assert not told.final, told
        return told

    def begun(self, rid: str = "") -> int:
        """How often the broker was asked for it; of another order by its rid."""
        if self.opened is not None and not rid:
            asked = self.terminal.submissions("CLOSE")
            return sum(line["fields"]["ticket"] == self.opened.ticket for line in asked)
        magic = make_tag(ACCT, rid or self.rid).mt4_magic
        return sum(line["magic"] == magic for line in self.terminal.submissions("OPEN"))

    @property
    def rid(self) -> str:
        """The order's id, once it was sent."""
        return self.bridge.wait(self.name, 0.0).rid

    def arm(self) -> None:
        """Order what the place says."""
        if self.place.server:
            self.house.arm(self.place.server)
        if self.place.terminal:
            self.terminal.command(*self.place.terminal)

    def send_into_call(self, ms: int = IN_CALL_MS) -> None:
        """Send it and wait until the broker is being asked."""
        self.terminal.command("slow", self.row.call, ms)
        before = len(self.terminal.submissions())
        self.send()
        wait_until(lambda: len(self.terminal.submissions()) > before, PATIENCE_S, LOOK_S)

    def ended(self) -> End:
        """Ask for it again, everywhere: one outcome, in the EA's own word."""
        told = self.bridge.wait(self.name, PATIENCE_S)
        # What the server DENIED by itself is final at once; the EA's word on it follows.
        wait_until(lambda: self.bridge.order_status(self.name).attested, PATIENCE_S, LOOK_S)
        wait_until(lambda: self.bridge.wait(self.name, 0.0).attested, PATIENCE_S, LOOK_S)
        told = self.bridge.wait(self.name, 0.0)
        assert told.final, told
        assert told.evidence == "EA", told
        for other in (self.order(PATIENCE_S), self.bridge.order_status(self.name)):
            assert outcome(other) == outcome(told), f"{other!r}, and before that {told!r}"
        return End(told.status, told.code, self.begun())

    @property
    def ends(self) -> tuple[End, ...]:
        """What may come of it."""
        return (self.place.end,)

    def ended_anew(self) -> End:
        """Send it again from a restarted strategy: that runs nothing."""
        told = self.order(PATIENCE_S)
        return End(told.status, told.code, self.begun())

    def story(self) -> str:
        """What a failure is about."""
        return f"{self.row.id}: {self.place}\n{self.house.child.trouble()}"


# --- scenarios -----------------------------------------------------------------------------------


def e_dies(act: Act) -> None:
    act.arm()
    act.send()
    act.terminal.wait_dead(PATIENCE_S)
    act.house.start_terminal()


def e_dies_later(act: Act) -> None:
    act.send_into_call()
    act.terminal.command(*act.place.during)
    act.terminal.wait_dead(PATIENCE_S)
    act.house.start_terminal()


def e_is_killed_in_the_call(act: Act) -> None:
    act.send_into_call(60_000)
    act.terminal.kill()
    act.house.start_terminal()


def e_dies_deaf(act: Act) -> None:
    # The order is in its inbound queue, and nobody ever reads it.
    act.arm()
    act.send()
    act.house.child.expect("call")
    os.kill(act.terminal.pid, signal.SIGSTOP)
    assert act.house.child.expect("sent")["taken"]
    act.terminal.kill()
    act.house.start_terminal()


def s_dies(act: Act) -> None:
    act.arm()
    act.send()
    act.house.child.died(PATIENCE_S)
    act.house.start_server()


def s_is_killed_in_the_call(act: Act) -> None:
    act.send_into_call()
    act.house.kill_server()
    act.house.start_server()


def s_is_killed_unread(act: Act) -> None:
    # It stands still while the answer comes, and dies with it in its inbound queue.
    act.send_into_call()
    act.house.child.signal(signal.SIGSTOP)
    act.terminal.wait_for(lambda: _returned(act), PATIENCE_S)
    time.sleep(0.05)  # the answer is on its way: sooner would be point 25
    act.house.kill_server()
    act.house.start_server()


def _returned(act: Act) -> bool:
    return bool(act.terminal.ledger()[-1]["phase"] == "return")


def all_die(act: Act) -> None:
    act.arm()
    act.send()
    act.terminal.wait_dead(PATIENCE_S)
    act.house.kill_server()
    act.house.start_server()
    act.house.start_terminal()


def hop_loses(act: Act) -> None:
    act.arm()
    act.send()


def b_is_lost(act: Act) -> None:
    act.arm()
    act.send()


def fsync_fails(act: Act) -> None:
    act.arm()
    act.send()
    assert act.house.child.ended(PATIENCE_S) == 1
    act.house.start_server()
    assert act.house.child.says("listening")
    with act.house.client() as client:
        assert "JOURNAL_FATAL" in [one.cause for one in client.hello().causes]
    resume(act.house, "JOURNAL_FATAL")


def disk_is_full(act: Act) -> None:
    disk = act.house.disk
    assert disk is not None
    act.arm()
    told = act.order(PATIENCE_S)
    assert (told.status, told.code, told.by) == ("DENIED", "JOURNAL_FULL", "server")
    with act.house.client() as client:
        assert client.ping().status == "OK"
        assert client.status(rid=told.rid).subject().status == "DENIED"
        disk.heal()
        wait_until(lambda: client.hello().state == "ACTIVE", PATIENCE_S, LOOK_S)


def call_hangs(act: Act) -> None:
    bound_ms = act.house.call_ms or _TRUE_CALL_MS
    act.arm()
    began = time.monotonic()
    act.send_into_call(bound_ms + _GRACE_MS)
    with act.house.client() as client:
        wait_until(lambda: client.status(rid=act.rid).subject().status == "UNKNOWN",
                   bound_ms / 1000 + PATIENCE_S, LOOK_S)  # fmt: skip
        assert time.monotonic() - began >= bound_ms / 1000
        assert act.terminal.ledger()[-1]["phase"] == "begin", "the call was to hang still"
        _is_served(act)
        other = act.bridge.buy("EURUSD", "0.01", client_order_id=f"{act.name}-other")
        assert other.status is Status.DENIED, other
    assert act.terminal.ledger()[-1]["phase"] == "begin", "the call was to hang still"
    act.terminal.wait_for(lambda: _returned(act), PATIENCE_S)
    wait_until(lambda: act.bridge.wait(act.name, 0.0).final, PATIENCE_S, LOOK_S)
    resume(act.house, "OPERATOR")
    wait_until(lambda: act.bridge.order_status(other).attested, PATIENCE_S, LOOK_S)
    assert act.begun(other.rid) == 0


def _is_served(act: Act) -> None:
    # That the call hung all the while is seen in the broker's ledger, before and after.
    assert act.bridge.ping().ms > 0
    assert act.bridge.halt("the call hangs").state == "HALTED"
    assert act.bridge.get_positions() is not None


SCENARIOS: Final[dict[str, Callable[[Act], None]]] = {
    "E dies": e_dies,
    "E dies later": e_dies_later,
    "E is killed in the call": e_is_killed_in_the_call,
    "E dies deaf": e_dies_deaf,
    "S dies": s_dies,
    "S is killed in the call": s_is_killed_in_the_call,
    "S is killed unread": s_is_killed_unread,
    "all die": all_die,
    "hop loses": hop_loses,
    "B is lost": b_is_lost,
    "fsync fails": fsync_fails,
    "disk is full": disk_is_full,
    "call hangs": call_hangs,
}


# --- a house's life ------------------------------------------------------------------------------


def play(stage: CrashStage, row: Row, turns: list[int]) -> list[Played]:
    """Play these turns of a row in one house, then judge all that was signed, told and done."""
    house = stage.open(faults=row.faults, call_ms=row.call_ms)
    with house:
        played = live(
            house,
            lambda bridge: [Act(house, bridge, row, turn) for turn in turns],
            lambda act: SCENARIOS[act.place.how](act),
        )
    house.judge()
    house.remove()
    return played
