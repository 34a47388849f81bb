"""On an account with an EA the server lowers and tells, and clears nothing away by itself."""

from __future__ import annotations

from pathlib import Path

from bridge_core.protocol.messages import Heartbeat
from bridge_core.protocol.operations import Op
from tests.support.ea_account import EaHouse
from tests.support.listener import Listener
from tests.support.running import wait_until


def test_the_server_has_no_key_so_it_lowers_the_state_and_alarms(tmp_path: Path) -> None:
    with EaHouse(tmp_path) as house:
        house.account.edit("port =", 'dead_man = { after_s = 5, policy = "reduce-only" }\nport =')
        server, client = house.ready()
        ticket = client.opened()
        assert client.do(Op.HEARTBEAT, Heartbeat(sequence=1)).status == "OK"
        with Listener(house.account) as listener:
            alert = listener.wait_for("alert", 8).body
        assert alert.code == "HEARTBEAT"
        assert alert.message.endswith("s: the EA acts by itself")
        assert client.open().code == "REDUCE_ONLY"
        found = client.health().dead_man
        assert found is not None
        assert (found.state, found.rid) == ("fired", "")
        positions = client.query(Op.GET_POSITIONS).positions
        assert [one.ticket for one in positions] == [ticket]
        assert client.do(Op.HEARTBEAT, Heartbeat(sequence=2)).status == "OK"
        wait_until(lambda: (client.health().dead_man or found).state == "armed")
        assert server.exit_code is None
