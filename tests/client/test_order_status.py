"""What a connector says of an order later: it asks by the rid that its own journal has."""

from __future__ import annotations

from pathlib import Path

from bridge_client import Connector
from bridge_core.protocol.operations import Op
from tests.support.fake_server import FakeServer, Lose, make_kit


def test_a_fenced_order_keeps_its_outcome_when_a_restarted_strategy_asks_the_server(
    tmp_path: Path,
) -> None:
    kit = make_kit(tmp_path / "connector", more="ttl_ms = 300")
    with FakeServer(kit) as server:
        server.fault(Op.OPEN, Lose(), Lose(), Lose(), Lose())
        with Connector.from_config(kit.config, client="atlas") as bridge:
            bridge.connect()
            told = bridge.buy("EURUSD", 0.01, client_order_id="lost", wait=5)
        assert (told.status, told.code) == ("DENIED", "FENCED")
        with Connector.from_config(kit.config, client="atlas") as bridge:
            bridge.connect()
            # The row that the FENCE planted has the rid alone: the id never arrived.
            asked = bridge.order_status("lost")
            assert (asked.status, asked.code, asked.rid) == ("DENIED", "FENCED", told.rid)
