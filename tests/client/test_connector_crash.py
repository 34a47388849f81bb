"""SIGKILL of the connector's process at the points of the crash table; the next start settles it.

The child really dies; the server, the journal file and the next connector are real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Connector, OrderResult, Status
from bridge_core.protocol.operations import Op
from tests.support.fake_server import Drop, FakeServer, Kit, Lose, make_kit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, signal, sys
from bridge_client import Connector
from bridge_client.journal import ConnectorJournal
from bridge_client.order import Driver
from bridge_client.transport import Transport

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

point = sys.argv[2]
bridge = Connector.from_config(sys.argv[1], client="atlas")
bridge.connect()
bridge.get_positions()
if point == "before the intent":
    ConnectorJournal.intend = die
elif point == "after the intent":
    kept = ConnectorJournal.intend
    def intend(self, row):
        kept(self, row)
        die()
    ConnectorJournal.intend = intend
elif point == "after the send":
    sent = Transport.send
    def send(self, frames):
        sent(self, frames)
        if b":OPEN:" in frames.token:
            import time
            time.sleep(0.1)
            die()
    Transport.send = send
elif point == "after the reply":
    Driver.deliver = die
elif point == "before the outcome's commit":
    ConnectorJournal.outcomes = die
result = bridge.buy("EURUSD", 0.01, client_order_id="only", wait=5)
if point == "before the outcome's commit":
    import time
    time.sleep(5)
"""


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    made = make_kit(tmp_path / "connector")
    made.config.write_text("ttl_ms = 300\n" + made.config.read_text())
    return made


@pytest.fixture
def server(kit: Kit) -> Iterator[FakeServer]:
    with FakeServer(kit) as running:
        yield running


def killed_at(point: str, kit: Kit) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(kit.config), point],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL


def settled(kit: Kit) -> OrderResult:
    """Start anew, let the background settle what was left, and ask for the same order again."""
    with Connector.from_config(kit.config, client="atlas") as bridge:
        until = time.monotonic() + 10
        while bridge.unfinished() and time.monotonic() < until:
            time.sleep(0.02)
        assert bridge.unfinished() == []
        return bridge.buy("EURUSD", 0.01, client_order_id="only")


def test_killed_before_the_intent_nothing_ever_was_and_the_id_is_free(
    kit: Kit, server: FakeServer
) -> None:
    killed_at("before the intent", kit)
    assert server.count(Op.OPEN) == 0
    assert settled(kit).status is Status.FILLED
    assert len(server.executed) == 1


def test_killed_after_the_intent_the_next_start_fences_it_and_it_never_runs(
    kit: Kit, server: FakeServer
) -> None:
    killed_at("after the intent", kit)
    result = settled(kit)
    assert (result.status, result.code) == ("DENIED", "FENCED")
    assert server.executed == []
    assert server.count(Op.OPEN) == 0


@pytest.mark.parametrize("point", ["after the send", "after the reply",
                                   "before the outcome's commit"])  # fmt: skip
def test_killed_later_the_next_start_learns_the_one_outcome(
    kit: Kit, server: FakeServer, point: str
) -> None:
    killed_at(point, kit)
    result = settled(kit)
    assert result.status is Status.FILLED
    assert len(server.executed) == 1
    assert server.count(Op.OPEN) == 1


def test_killed_after_a_send_that_was_lost_it_is_fenced(kit: Kit, server: FakeServer) -> None:
    server.fault(Op.OPEN, Lose())
    killed_at("after the send", kit)
    assert settled(kit).code == "FENCED"
    assert server.executed == []


def test_killed_and_the_server_restarted_too_the_row_still_tells(
    kit: Kit, server: FakeServer
) -> None:
    server.fault(Op.OPEN, Drop())
    killed_at("after the send", kit)
    server.restart()
    assert settled(kit).status is Status.FILLED
    assert len(server.executed) == 1


def test_the_lock_of_a_killed_process_is_free_at_once(kit: Kit, server: FakeServer) -> None:
    killed_at("after the reply", kit)
    with Connector.from_config(kit.config, client="atlas") as bridge:
        assert bridge.ping().ms > 0
