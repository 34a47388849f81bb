"""A strategy's day on the Advisor's real source, where everything fails now and then.

Real connector, real server, real link, the EA's own text under the sanitizers. Its terminal dies at
named points, its broker refuses, is slow, loses answers, executes late; prices jump. Each order
must end, and S1 to S7 hold on the simulated broker's own ledger.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Final

import pytest

from bridge_client import Connector, OrderResult
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import BridgeError
from bridge_server.core.trading_state import Cause
from tests.mql4.house import House
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import TerminalDiedError
from tests.support.oracles import broken_promises
from tests.support.raw_client import RawClient
from tests.support.running import wait_until

pytestmark = needs_compiler

DID: Final = (Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE)
CALLS: Final = ("OrderSend", "OrderClose", "OrderDelete", "OrderModify")
# What the server says of itself while its EA is not heard or has no broker.
AWAY: Final = frozenset({Cause.EA_STALE, Cause.BROKER_LINK})
BLIND: Final = frozenset(
    {
        ReasonCode.NO_CONNECTION, ReasonCode.BROKER_DOWN, ReasonCode.NO_ACCOUNT,
        ReasonCode.NO_QUOTE, ReasonCode.STALE_QUOTE,
    }
)  # fmt: skip
FAULTS: Final = (
    "", "", "", "", "before", "inside", "after", "flush", "send", "refused", "requote", "unknown",
    "lost", "late", "slow", "busy", "offline", "gap",
)  # fmt: skip


class Storm:
    """Sends orders and breaks things, as its seed says."""

    def __init__(self, house: House, asking: RawClient, bridge: Connector, seed: int) -> None:
        self.house = house
        self.asking = asking
        self.bridge = bridge
        self.random = random.Random(seed)
        self.story: list[str] = []
        self.alone = False

    def trouble(self) -> None:
        """Order one fault, or none; one ordered before may have been waiting for its moment."""
        try:
            self._trouble()
        except TerminalDiedError:
            self.story.append("it died before that")

    def _trouble(self) -> None:
        terminal = self.house.terminal
        fault = self.random.choice(FAULTS)
        call = self.random.choice(CALLS)
        match fault:
            case "before" | "inside" | "after":
                terminal.command("die", call, fault)
            case "flush":
                terminal.command("die", "FileFlush", self.random.randint(1, 4))
            case "send":
                terminal.command("die", "zmq_send", "before", self.random.randint(1, 12))
            case "refused" | "requote":
                terminal.command("fail", call, "134" if fault == "refused" else "138")
            case "unknown":
                terminal.command("fail", call, self.random.choice(["128", "1", "2", "6"]))
            case "lost":
                terminal.command("fail", call, self.random.choice(["128x", "1x", "2x"]))
            case "late":
                terminal.command("fail", call, "128@300")
            case "slow":
                terminal.command("slow", call, 300)
            case "busy":
                terminal.command("busy", 50)
            case "offline":
                terminal.command("flag", "connected", 0)
            case "gap":
                pip = self.random.randint(-20, 20)
                bid = 1.085 + pip / 10_000
                terminal.command("price", "EURUSD", f"{bid:.5f}", f"{bid + 0.00012:.5f}")
        self.story.append(f"{fault} {call}" if fault else "-")

    def order(self) -> None:
        """Send one order of a kind that may succeed."""
        self.story.append(str(self._some_order()))

    def _some_order(self) -> OrderResult:
        held = [p.ticket for p in self.bridge.get_positions()]
        rest = [o.ticket for o in self.bridge.get_pending_orders()]
        kind = self.random.choice(["open", "pending", "close", "part", "modify", "cancel", "flat"])
        if kind == "close" and held:
            return self.bridge.close_position(self.random.choice(held), wait=1.0)
        if kind == "part" and held:
            return self.bridge.close_position(self.random.choice(held), volume="0.01", wait=1.0)
        # A change whose levels somebody moved again has no proof left (protocol.md 14.5): so alone.
        self.alone = kind == "modify" and bool(held)
        if self.alone:
            self._wait_for_all()
            sl = f"1.0{self.random.randint(600, 700)}"
            return self.bridge.modify_position(self.random.choice(held), sl=sl, wait=1.0)
        if kind == "cancel" and rest:
            return self.bridge.cancel_order(self.random.choice(rest), wait=1.0)
        if kind == "flat" and len(held) + len(rest) > 5:
            return self.bridge.flatten("storm", wait=1.0)
        if kind == "pending":
            return self.bridge.buy_limit("EURUSD", "0.01", price="1.07000", wait=1.0)
        return self.bridge.buy("EURUSD", "0.03", sl="1.06000", wait=1.0)

    def mend(self) -> None:
        """Bring a dead terminal back; wait until the server hears it."""
        wait_until(self._lives, 30)
        wait_until(self._well, 30)
        # Half the time the next order meets one that is still open.
        if self.random.random() < 0.5 or self.alone:
            self._wait_for_all()

    def _wait_for_all(self) -> None:
        wait_until(lambda: self._lives() and not self.bridge.unfinished(), 60)

    def _lives(self) -> bool:
        """Bring the terminal back if a death that waited for its moment has come meanwhile."""
        terminal = self.house.terminal
        try:
            if not terminal.running:
                terminal.wait_dead()
                assert terminal.start() == 0
            terminal.command("flag", "connected", 1)
        except TerminalDiedError:
            return False
        return True

    def _well(self) -> bool:
        causes = {one.cause for one in self.asking.hello().causes}
        if not self._lives() or not causes.isdisjoint(AWAY):
            return False
        try:
            # The connector has seen the account since: an order that it refuses tries nothing.
            return self.bridge.check_order("EURUSD", "BUY", "0.03").code not in BLIND
        except BridgeError:
            return False


def _brew(folder: Path, *, seed: int, orders: int) -> None:
    with House(folder, inputs={"SettleSeconds": 1}, server="tests.mql4.quick_server") as house:
        with house.client() as asking, house.connector() as bridge:
            bridge.connect()
            storm = Storm(house, asking, bridge, seed)
            try:
                _play(storm, orders)
            except (AssertionError, BridgeError) as error:
                error.add_note("\n".join(storm.story))
                raise
        house.end_untimed()
        _judge(house, storm, orders)


def _play(storm: Storm, orders: int) -> None:
    for _ in range(orders):
        storm.trouble()
        storm.order()
        storm.mend()
    if storm.house.terminal.running:
        storm.house.terminal.restart()  # no death that no order reached is left
    storm.mend()
    wait_until(lambda: storm._lives() and not storm.bridge.unfinished(), 120)
    assert storm.bridge.health().alarms == ()


def _judge(house: House, storm: Storm, orders: int) -> None:
    evidence = house.evidence()
    assert broken_promises(evidence) == []
    views = [one.view for one in evidence.told]
    assert all(view.final and view.attested for view in views)
    assert sum(view.status in DID for view in views) > orders / 5, "\n".join(storm.story)


# The short storm is test_mixed_orders.py; days of a hundred orders are for the soak.
_DAYS: Final = [(1, 20), *((seed, 100) for seed in range(2, 12) if os.environ.get("ZTB_SOAK"))]


@pytest.mark.long
@pytest.mark.parametrize(("seed", "orders"), _DAYS)
def test_every_order_ends_and_the_promises_hold(tmp_path: Path, seed: int, orders: int) -> None:
    _brew(tmp_path, seed=seed, orders=orders)
