"""libzmq does not connect again after a breach of protocol: the connector does."""

from __future__ import annotations

import threading
from pathlib import Path

from bridge_client import Connector
from bridge_core.protocol.limits import CLIENT_FRAME_BYTES_MAX
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from tests.support.fake_server import FakeServer, Instead, make_kit
from tests.support.running import wait_until


class _TooLarge(Instead):
    """A reply that comes late, and larger than any may be."""

    late = 0.4

    def __init__(self) -> None:
        super().__init__(
            lambda _server, _token, reply: [
                Frames(reply.token, b" " * (CLIENT_FRAME_BYTES_MAX + 1)),
            ]
        )


def test_a_connection_cut_for_too_large_a_frame_is_made_anew_though_nothing_is_unanswered(
    tmp_path: Path,
) -> None:
    kit = make_kit(tmp_path / "connector")
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        transport = bridge._link.transport
        wait_until(lambda: bridge._link.session.proven_inc == bridge._link.session.inc)
        server.fault(Op.GET_ACCOUNT, _TooLarge())
        asking = threading.Thread(target=bridge.get_account)
        asking.start()
        wait_until(lambda: server.count(Op.GET_ACCOUNT) == 1)
        bridge.get_quote("EURUSD")  # an answer to a later question: nothing counts as unanswered
        wait_until(lambda: transport.look() > 0 and not transport.connected)
        asking.join(20)
        assert bridge.ping(10).ms > 0
        assert bridge.buy("EURUSD", 0.01).status == "FILLED"
