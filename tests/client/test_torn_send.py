"""A connection that ends between two parts of a message: what has not left is not UNKNOWN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zmq

from bridge_client import Connector
from bridge_core.protocol.operations import Op
from tests.support.fake_server import FakeServer, make_kit
from tests.support.running import wait_until


class Severed:
    """The real socket, but the server ends, and ZeroMQ knows it, just before the n-th part."""

    def __init__(self, bridge: Connector, server: FakeServer, part: int) -> None:
        self._transport = bridge._link.transport
        self._socket = self._transport._sock
        self._server, self._left = server, part
        self._message = 0
        self.refused: set[int] = set()
        self._transport._sock = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send(self, part: bytes, flags: int) -> None:
        self._left -= 1
        self._message += part == b""  # every message begins with the empty delimiter
        if self._left == 0:
            self._server.stop()
            wait_until(self._is_cut)
        try:
            self._socket.send(part, flags)
        except zmq.Again:
            self.refused.add(self._message)
            raise

    def _is_cut(self) -> bool:
        self._transport._watch()
        return not self._transport.connected

    def mend(self) -> None:
        self._transport._sock = self._socket


@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_a_message_that_is_cut_between_its_parts_has_not_left_and_the_next_one_goes_through(
    tmp_path: Path, part: int
) -> None:
    kit = make_kit(tmp_path / "connector")
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        bridge.get_positions()
        # The background's own questions are over, and the picture is new: the next message is the
        # order.
        wait_until(lambda: bridge._link.session.proven_inc == bridge._link.session.inc)
        assert bridge.check_order("EURUSD", "BUY", 0.01).status == "OK"
        severed = Severed(bridge, server, part)
        result = bridge.buy("EURUSD", 0.01, client_order_id="only", wait=0.2)
        severed.mend()
        told = (result.status, result.code, result.by)
        if 1 in severed.refused:
            assert told == ("DENIED", "NO_CONNECTION", "connector")
        else:  # a pipe that hears of its end too late takes every part: they may have left
            assert told[0] == "UNKNOWN"
        server.start()
        assert bridge.ping(5).ms > 0
        assert bridge.wait("only", 20).final
        assert bridge.buy("EURUSD", 0.01, client_order_id="next").status == "FILLED"
        if 1 in severed.refused:
            assert server.count(Op.OPEN) == 1
            again = bridge.buy("EURUSD", 0.01, client_order_id="only")
            assert again.code == "NO_CONNECTION"


@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_an_order_whose_picture_is_cut_off_is_not_signed_and_its_id_stays_free(
    tmp_path: Path, part: int
) -> None:
    kit = make_kit(tmp_path / "connector")
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        wait_until(lambda: bridge._link.session.proven_inc == bridge._link.session.inc)
        severed = Severed(bridge, server, part)  # no picture yet: what is cut asks for one
        result = bridge.buy("EURUSD", 0.01, client_order_id="only", wait=0.2)
        severed.mend()
        assert (result.status, result.code) == ("DENIED", "NO_CONNECTION")
        assert result.by == "connector"
        server.start()
        assert bridge.ping(5).ms > 0
        assert bridge.buy("EURUSD", 0.01, client_order_id="only").status == "FILLED"
        assert server.count(Op.OPEN) == 1
