"""One turn at a crash point: one order of any kind, what befalls it, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bridge_client import Connector, OrderResult
from bridge_core.protocol.codes import Status
from bridge_core.protocol.tag import child_rid, make_tag
from tests.mt5.crash_house import CrashHouse
from tests.mt5.crash_table import PART, VOLUME, End, Fault, Row, allowed
from tests.mt5.house import ACCT
from tests.support.crash_matrix import LOOK_S, PATIENCE_S, outcome
from tests.support.doom import SUBJECT
from tests.support.fake_metatrader5.faults import Script
from tests.support.running import wait_until

__all__ = ["Act"]

_HASH_MASK: Final = 2**40 - 1


class Act:
    """One turn: one order, what befalls it, and what became of it."""

    def __init__(self, house: CrashHouse, bridge: Connector, row: Row, turn: int) -> None:
        self.house = house
        self.bridge = bridge
        self.row = row
        self.place, self.kind = row.turn(turn)
        self.ends = allowed(self.place.end, self.kind)
        self.name = f"{SUBJECT}-{turn}"
        self.faults = house.terminal.faults
        self.held: list[OrderResult] = []
        # Each time another one: what is so already needs no broker.
        self.level = round(1.05 + turn * 0.0001, 5)
        self.mark = Path(f"{house.folder}/mark-{turn}")

    def prepare(self) -> None:
        """Open or place what the order is about."""
        name = self.kind.name
        if name == "FLATTEN":
            self.bridge.flatten("what is left", wait=PATIENCE_S)
            self._have(self.bridge.buy("USDJPY", VOLUME, wait=PATIENCE_S))
        if name in ("CLOSE", "CLOSE PART", "MODIFY", "FLATTEN"):
            self._have(self.bridge.buy("EURUSD", VOLUME, wait=PATIENCE_S))
        if name in ("MOVE", "CANCEL", "FLATTEN"):
            self._have(self.bridge.buy_limit("EURUSD", VOLUME, price=1.07, wait=PATIENCE_S))

    def _have(self, told: OrderResult) -> None:
        assert told.status in (Status.FILLED, Status.WORKING), told
        self.held.append(told)

    def order(self, wait: float = 0.0) -> OrderResult:
        """Send the order, or ask for it: the same however often."""
        bridge, name = self.bridge, self.name
        match self.kind.name:
            case "OPEN":
                return bridge.buy("EURUSD", VOLUME, client_order_id=name, wait=wait)
            case "PENDING":
                return bridge.buy_limit(
                    "EURUSD", VOLUME, price=1.06, client_order_id=name, wait=wait
                )
            case "CLOSE":
                return bridge.close_position(self.held[0], client_order_id=name, wait=wait)
            case "CLOSE PART":
                return bridge.close_position(self.held[0], PART, client_order_id=name, wait=wait)
            case "MODIFY":
                return bridge.modify_position(
                    self.held[0], sl=self.level, client_order_id=name, wait=wait
                )
            case "MOVE":
                return bridge.modify_order(
                    self.held[0], price=self.level, client_order_id=name, wait=wait
                )
            case "CANCEL":
                return bridge.cancel_order(self.held[0], client_order_id=name, wait=wait)
            case _:
                return bridge.flatten("enough", client_order_id=name, wait=wait)

    def send(self) -> None:
        """Send it for the first time: nothing is known yet."""
        told = self.order()
        assert not told.final, told

    def go(self) -> None:
        """Prepare what the place says, and send it."""
        if self.place.server:
            self.house.arm(self.place.server)
        if self.place.fault is not None:
            self.script(self.place.fault)
        self.send()

    def script(self, fault: Fault, **more: Any) -> Script:
        """Let the terminal meet with a fault."""
        if fault.kind == "kill_pid":
            more["pid"] = self.house.server_pid
        return self.faults.script(fault.name, fault.point, fault.kind, **fault.how, **more)

    def cut_off_at(self, fault: Fault) -> None:
        """Let the terminal lose its broker there, and then meet with the fault."""

        def cut(_args: dict[str, Any]) -> bool:
            if one.times:  # it is asked at later calls too
                self.house.broker.link(False)
            return True

        one = self.script(fault, when=cut)

    def wait_reached(self) -> None:
        """Wait until the call is where the fault is."""
        assert self.place.fault is not None
        try:
            self.faults.wait_reached(self.place.fault.point, self.place.fault.name, PATIENCE_S)
        except AssertionError as error:
            error.add_note(f"{self.bridge.wait(self.name, 0.0)}\n{self.story()}")
            raise

    def wait_unknown(self) -> None:
        """Wait until the server says that nobody knows."""
        with self.house.client() as client:
            wait_until(
                lambda: client.status(rid=self.rid).subject().status == "UNKNOWN",
                PATIENCE_S,
                LOOK_S,
            )

    @property
    def rid(self) -> str:
        """The order's id, once it was sent."""
        return self.bridge.wait(self.name, 0.0).rid

    def begun(self, rid: str) -> int:
        """How often the broker was asked for it, also by its children."""
        rids = [rid, *(child_rid(rid, one.ticket) for one in self.held)]
        ours = {make_tag(ACCT, one).mt5_hash for one in rids}
        lines = self.house.broker.lines()
        asked = [line["request"]["magic"] for line in lines if line["at"] == "begin"]
        return sum(magic & _HASH_MASK in ours for magic in asked)

    def ended(self) -> End:
        """Ask for it again, everywhere: one outcome."""
        told = self.bridge.wait(self.name, PATIENCE_S)
        assert told.final, (told, self.house.child.trouble())
        for other in (self.order(PATIENCE_S), self.bridge.order_status(self.name)):
            assert outcome(other) == outcome(told), f"{other!r}, and before that {told!r}"
        if told.status is Status.PARTIAL and self.kind.name != "FLATTEN":
            assert told.volume == float(PART), told
        return End(told.status, told.code, told.evidence, self.begun(told.rid))

    def ended_anew(self) -> End:
        """Ask a restarted strategy, which knows every outcome: that runs nothing."""
        told = self.bridge.wait(self.name, PATIENCE_S)
        return End(told.status, told.code, told.evidence, self.begun(told.rid))

    def story(self) -> str:
        """What a failure is about, and what the last two servers said."""
        logs = sorted(self.house.folder.glob("server/*.err"))[-2:]
        said = "".join(path.read_text("utf-8")[-2_000:] for path in logs)
        return f"{self.row.id} {self.kind} {self.place}\n{said}"
