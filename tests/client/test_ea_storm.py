"""A day of a strategy on an EA account where everything fails now and then.

Real connector, real server, real link; the fake EA dies at its named points, answers late, twice
or never, its broker is slow, refuses and goes silent. Each order must end, and S1 to S7 hold.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Connector, OrderResult
from bridge_client.evidence import signed_rows
from bridge_core.protocol.codes import Status
from bridge_server.core.trading_state import CAUSES, Cause
from tests.support.ea_account import EaHouse, EaServer
from tests.support.fake_ea_broker import paper_lines
from tests.support.fake_ea_faults import POINTS
from tests.support.oracles import Evidence, Told, broken_promises, journal_evidence
from tests.support.running import wait_until

ORDERS = 25
DID = (Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE)


class Storm:
    """Sends orders and breaks things, as its seed says."""

    def __init__(self, house: EaHouse, server: EaServer, bridge: Connector, seed: int) -> None:
        self.house = house
        self.server = server
        self.bridge = bridge
        self.random = random.Random(seed)
        self.results: list[OrderResult] = []
        self.faults: Counter[str] = Counter()

    def trouble(self) -> str:
        """Order one fault, or none."""
        ea, broker = self.house.ea, self.house.broker
        fault = self.random.choice(
            ["", "", "", "die", "drop", "copy", "late", "refuse", "lose", "lost", "hang up"]
        )
        match fault:
            case "die":
                fault = self.random.choice(POINTS)
                ea.faults.die(fault)
            case "drop":
                ea.faults.drop("ANSWER")
            case "copy":
                ea.faults.copy("ANSWER")
            case "late":
                ea.faults.delay_s["ANSWER"] = 0.2
            case "refuse":
                broker.refuse("NO_MONEY")
            case "lose" | "lost":
                broker.lose(executed=fault == "lose")
            case "hang up":
                ea.hang_up()
        self.faults[fault] += 1
        return fault

    def order(self) -> None:
        """Send one order of a kind that may succeed."""
        held = [p.ticket for p in self.bridge.get_positions()]
        rest = [o.ticket for o in self.bridge.get_pending_orders()]
        kind = self.random.choice(["open", "pending", "close", "cancel", "flatten"])
        if kind == "close" and held:
            result = self.bridge.close_position(self.random.choice(held), wait=1.0)
        elif kind == "cancel" and rest:
            result = self.bridge.cancel_order(self.random.choice(rest), wait=1.0)
        elif kind == "flatten" and len(held) + len(rest) > 3:
            result = self.bridge.flatten("storm", wait=1.0)
        elif kind == "pending":
            result = self.bridge.buy_limit("EURUSD", 0.01, price="1.07000", wait=1.0)
        else:
            result = self.bridge.buy("EURUSD", 0.01, wait=1.0)
        self.results.append(result)

    def mend(self) -> None:
        """Start a dead EA again; wait until it is heard."""
        self.house.ea.faults.delay_s.clear()
        wait_until(self._well, 30)
        if self.random.random() < 0.5:  # else the next order meets one that is still open
            # One whose answer was dropped is asked about after a minute.
            wait_until(lambda: self._well() and not self.bridge.unfinished(), 90)

    def _well(self) -> bool:
        ea = self.house.ea
        if ea.died_at:  # perhaps of a death that only a question has reached
            ea.restart()
        status = self.server.ea.link.status
        return status.instance == ea.instance and self.server.ea.link.alive()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[EaHouse]:
    with EaHouse(tmp_path) as made:
        yield made


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_every_order_ends_and_the_promises_hold(
    house: EaHouse, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cause in (Cause.EA_STALE, Cause.BROKER_LINK):  # else most of the day is REDUCE_ONLY
        monkeypatch.setitem(CAUSES, cause, CAUSES[cause]._replace(linger_ms=100))
    server, _ = house.ready()
    folder = house.point_connector()
    with Connector.from_config(folder, client="atlas") as bridge:
        bridge.connect()
        storm = Storm(house, server, bridge, seed)
        for _ in range(ORDERS):
            storm.trouble()
            storm.order()
            storm.mend()
        # A death that no order has reached yet must not meet the questions.
        house.ea.faults.calm()
        storm.mend()
        wait_until(lambda: not bridge.unfinished(), 120)
        assert bridge.health().alarms == ()
    _judge(house, server, folder / "state" / "atlas.db")


def _judge(house: EaHouse, server: EaServer, journal: Path) -> None:
    server.stop()
    rows = signed_rows(journal)
    signed = {row.rid: row.order for row in rows}
    acct = house.keys.acct
    kept, log, hashes = journal_evidence(house.account.state / "journal.db")
    evidence = Evidence(
        acct=acct, signed=signed, lines=paper_lines(house.broker.lines(), signed, acct),
        told=[Told(row.rid, row.view) for row in rows], rows=kept, log=log, hashes=hashes,
    )  # fmt: skip
    assert broken_promises(evidence) == []
    assert all(row.view.final and row.view.attested for row in rows)
    outcomes = Counter(row.view.status for row in rows)
    assert sum(outcomes[status] for status in DID) >= 3, outcomes  # else it proved little
