"""Plays the crash points of crash_table.py in real processes, several houses at a time.

After every death what died is started again, the strategy asks for the same order again, and the
answer, the broker's ledger and, at the end of a house, all that was signed, told and recorded are
judged.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from bridge_client import Connector, OrderResult
from bridge_core.protocol.codes import Status
from bridge_core.protocol.tag import make_tag
from tests.mql4.crash_house import CrashHouse, CrashStage
from tests.mql4.crash_table import IN_CALL_MS, End, Row
from tests.mql4.house import ACCT
from tests.support.doom import SUBJECT
from tests.support.oracles import broken_promises
from tests.support.running import wait_until

__all__ = ["SCENARIOS", "Matrix", "Played", "summary"]

_PATIENCE_S: Final = 40.0
_HOUSE_TURNS: Final = 7
_TRUE_CALL_MS: Final = 60_000
_GRACE_MS: Final = 3_000


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
            opened = self.bridge.buy("EURUSD", "0.01", wait=_PATIENCE_S)
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
        wait_until(lambda: len(self.terminal.submissions()) > before, _PATIENCE_S)

    def ended(self) -> End:
        """Ask for it again, everywhere: one outcome, in the EA's own word."""
        told = self.bridge.wait(self.name, _PATIENCE_S)
        # What the server DENIED by itself is final at once; the EA's word on it follows.
        wait_until(lambda: self.bridge.order_status(self.name).attested, _PATIENCE_S)
        wait_until(lambda: self.bridge.wait(self.name, 0.0).attested, _PATIENCE_S)
        told = self.bridge.wait(self.name, 0.0)
        assert told.final, told
        assert told.evidence == "EA", told
        for other in (self.order(_PATIENCE_S), self.bridge.order_status(self.name)):
            assert _outcome(other) == _outcome(told), f"{other!r}, and before that {told!r}"
        return End(told.status, told.code, self.begun())


def _outcome(told: OrderResult) -> tuple[str, str, str, int, float]:
    return told.status, told.code, told.rid, told.ticket, told.price


# --- scenarios -----------------------------------------------------------------------------------


def e_dies(act: Act) -> None:
    act.arm()
    act.send()
    act.terminal.wait_dead(_PATIENCE_S)
    act.house.start_terminal()


def e_dies_later(act: Act) -> None:
    act.send_into_call()
    act.terminal.command(*act.place.during)
    act.terminal.wait_dead(_PATIENCE_S)
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
    act.house.child.died(_PATIENCE_S)
    act.house.start_server()


def s_is_killed_in_the_call(act: Act) -> None:
    act.send_into_call()
    act.house.kill_server()
    act.house.start_server()


def s_is_killed_unread(act: Act) -> None:
    # It stands still while the answer comes, and dies with it in its inbound queue.
    act.send_into_call()
    act.house.child.signal(signal.SIGSTOP)
    act.terminal.wait_for(lambda: _returned(act), _PATIENCE_S)
    time.sleep(0.05)  # the answer is on its way: sooner would be point 25
    act.house.kill_server()
    act.house.start_server()


def _returned(act: Act) -> bool:
    return bool(act.terminal.ledger()[-1]["phase"] == "return")


def all_die(act: Act) -> None:
    act.arm()
    act.send()
    act.terminal.wait_dead(_PATIENCE_S)
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
    assert act.house.child.ended(_PATIENCE_S) == 1
    act.house.start_server()
    assert act.house.child.says("listening")
    with act.house.client() as client:
        assert "JOURNAL_FATAL" in [one.cause for one in client.hello().causes]
    _resume(act, "JOURNAL_FATAL")


def disk_is_full(act: Act) -> None:
    disk = act.house.disk
    assert disk is not None
    act.arm()
    told = act.order(_PATIENCE_S)
    assert (told.status, told.code, told.by) == ("DENIED", "JOURNAL_FULL", "server")
    with act.house.client() as client:
        assert client.ping().status == "OK"
        assert client.status(rid=told.rid).subject().status == "DENIED"
        disk.heal()
        wait_until(lambda: client.hello().state == "ACTIVE", _PATIENCE_S)


def call_hangs(act: Act) -> None:
    bound_ms = act.house.call_ms or _TRUE_CALL_MS
    act.arm()
    began = time.monotonic()
    act.send_into_call(bound_ms + _GRACE_MS)
    with act.house.client() as client:
        wait_until(lambda: client.status(rid=act.rid).subject().status == "UNKNOWN",
                   bound_ms / 1000 + _PATIENCE_S)  # fmt: skip
        assert time.monotonic() - began >= bound_ms / 1000
        assert act.terminal.ledger()[-1]["phase"] == "begin", "the call was to hang still"
        _is_served(act)
        other = act.bridge.buy("EURUSD", "0.01", client_order_id=f"{act.name}-other")
        assert other.status is Status.DENIED, other
    assert act.terminal.ledger()[-1]["phase"] == "begin", "the call was to hang still"
    act.terminal.wait_for(lambda: _returned(act), _PATIENCE_S)
    wait_until(lambda: act.bridge.wait(act.name, 0.0).final, _PATIENCE_S)
    _resume(act, "OPERATOR")
    wait_until(lambda: act.bridge.order_status(other).attested, _PATIENCE_S)
    assert act.begun(other.rid) == 0


def _is_served(act: Act) -> None:
    # That the call hung all the while is seen in the broker's ledger, before and after.
    assert act.bridge.ping().ms > 0
    assert act.bridge.halt("the call hangs").state == "HALTED"
    assert act.bridge.get_positions() is not None


def _resume(act: Act, cause: str) -> None:
    with act.house.connector("operator", "operator") as operator:
        operator.connect(_PATIENCE_S)
        done = operator.resume(cause, "the test goes on")
        assert done.status in (Status.DONE, "OK"), done


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


# --- a house's life, and many --------------------------------------------------------------------


class Played(NamedTuple):
    """One turn that ended as it must: how, after how many seconds."""

    end: End
    seconds: float


def _play(stage: CrashStage, row: Row, turns: list[int]) -> list[Played]:
    """Play these turns of a row in one house, then judge all that was signed, told and done."""
    house = stage.open(faults=row.faults, call_ms=row.call_ms)
    played: list[Played] = []
    with house:
        with house.connector() as bridge:
            acts = [Act(house, bridge, row, turn) for turn in turns]
            _be_ready(house, bridge)
            # A new journal asks the server first what it may have forgotten; that takes its time.
            first = bridge.buy("EURUSD", "0.01", wait=_PATIENCE_S)
            assert first.status is Status.FILLED, first
            for act in acts:
                _be_ready(house, bridge)
                act.prepare()
                began = time.monotonic()
                SCENARIOS[act.place.how](act)
                end = act.ended()
                assert end == act.place.end, f"{row.id}: {act.place}\n{house.child.trouble()}"
                played.append(Played(end, time.monotonic() - began))
        _ask_a_new_strategy(house, acts, played)
    evidence = house.evidence()
    broken = broken_promises(evidence)
    assert broken == [], broken
    house.remove()
    return played


def _be_ready(house: CrashHouse, bridge: Connector) -> None:
    house.ready()
    wait_until(lambda: bridge.health().state == "ACTIVE", _PATIENCE_S)


def _ask_a_new_strategy(house: CrashHouse, acts: list[Act], played: list[Played]) -> None:
    """The strategy was restarted: it knows every outcome, and asking runs nothing."""
    with house.connector() as bridge:
        bridge.connect(_PATIENCE_S)
        wait_until(lambda: bridge.unfinished() == [], _PATIENCE_S)
        for act, one in zip(acts, played, strict=True):
            act.bridge = bridge
            told = act.order(_PATIENCE_S)
            assert End(told.status, told.code, act.begun()) == one.end, told


class Matrix:
    """Begins every row at once, so that waits overlap; each test takes the runs of its own row."""

    def __init__(self, stage: CrashStage, houses: int) -> None:
        self._stage = stage
        self._pool = ThreadPoolExecutor(houses, thread_name_prefix="crash")
        self._runs: dict[str, list[Future[list[Played]]]] = {}

    def begin(self, name: str, row: Row, times: int) -> None:
        """Queue so many turns of a row, a few to a house."""
        turns = list(range(times))
        self._runs[name] = [
            self._pool.submit(_play, self._stage, row, turns[first : first + _HOUSE_TURNS])
            for first in range(0, times, _HOUSE_TURNS)
        ]

    def has(self, name: str) -> bool:
        """Return whether a row is played."""
        return name in self._runs

    def wait(self, name: str) -> list[Played]:
        """Return the turns of a row; raises what the first broken house raised."""
        return [one for house in self._runs[name] for one in house.result()]

    def close(self) -> None:
        """Give up what has not begun and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)


def summary(row: Row, played: list[Played]) -> str:
    """One line for a report."""
    seen = Counter(" ".join(map(str, one.end)) for one in played)
    each = sum(one.seconds for one in played) / max(1, len(played))
    return f"{len(played):>4} turns {each:5.2f} s each  {row.id}: {dict(seen)}"
