"""What beats, what does not, and what comes of it: real servers, real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge_client import ConfigError, Connector, LinkChanged
from bridge_core.protocol.operations import Op
from tests.support.clock import SlidingClock
from tests.support.partition import Partition
from tests.support.running import ROOT, Account, Process, Running, make_account, wait_until

AFTER_S = 5
STRATEGY = """
import sys, threading, time
from bridge_client import Connector
bridge = Connector.from_config(sys.argv[1], client="atlas")
bridge.connect()
result = bridge.buy("EURUSD", 0.01)
print(result.status, flush=True)
for n in range(1_000_000):
    if sys.argv[2] == "live" or n < 3:
        bridge.beat()
    if sys.argv[2] == "hang" and n == 3:
        print("hangs", flush=True)
        threading.Event().wait()
    time.sleep(0.1)
"""


def _configured(account: Account, heartbeat: str, port: int = 0) -> Path:
    path = account.folder / "connector" / "connector.toml"
    lines = [
        line
        for line in path.read_text("utf-8").splitlines()
        if not line.startswith(("server", "heartbeat"))
    ]
    server = f'server = "tcp://127.0.0.1:{port or account.port}"'
    head = [server, f'heartbeat = "{heartbeat}"', "heartbeat_s = 1"]
    path.write_text("\n".join([*head, *lines]) + "\n", "utf-8")
    return path


class House:
    """One account with a server of its own process, and a strategy that may be started."""

    def __init__(self, folder: Path, policy: str = "flatten") -> None:
        extra = f'dead_man = {{ after_s = {AFTER_S}, policy = "{policy}" }}'
        self.account: Account = make_account(folder, extra=extra)
        self.server = Process(self.account)
        self.client = self.server.ready()
        self.strategies: list[subprocess.Popen[str]] = []

    def connector(self, heartbeat: str, port: int = 0) -> Path:
        return _configured(self.account, heartbeat, port)

    def strategy(self, path: Path, what: str) -> subprocess.Popen[str]:
        one = subprocess.Popen(
            [sys.executable, "-c", STRATEGY, str(path), what],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.strategies.append(one)
        assert one.stdout is not None
        assert one.stdout.readline().strip() == "FILLED"
        return one

    def state(self) -> str:
        found = self.client.health().dead_man
        assert found is not None
        return found.state

    def positions(self) -> int:
        return len(self.client.query(Op.GET_POSITIONS).positions)

    def close(self) -> None:
        for one in self.strategies:
            one.kill()
            one.communicate()
        self.client.close()
        self.server.kill()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def _took(holds: Callable[[], bool], seconds: float) -> float:
    began = time.monotonic()
    wait_until(holds, seconds)
    return time.monotonic() - began


def _stays(holds: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert holds()
        time.sleep(0.1)


def test_a_strategy_that_beats_in_its_loop_is_left_alone(house: House) -> None:
    house.strategy(house.connector("loop"), "live")
    wait_until(lambda: house.state() == "armed")
    _stays(lambda: house.state() == "armed" and house.positions() == 1, AFTER_S + 2)


def test_a_loop_that_hangs_fires_it_although_its_process_lives(house: House) -> None:
    strategy = house.strategy(house.connector("loop"), "hang")
    assert strategy.stdout is not None
    assert strategy.stdout.readline().strip() == "hangs"
    took = _took(lambda: house.positions() == 0, AFTER_S + 2)
    assert AFTER_S - 1 < took < AFTER_S + 1
    assert strategy.poll() is None, "the process lives, and that proves nothing"
    assert house.state() == "fired"


def test_a_process_that_is_killed_fires_it(house: House) -> None:
    strategy = house.strategy(house.connector("auto"), "hang")
    _stays(lambda: house.positions() == 1, AFTER_S + 2)  # auto says only that the process lives
    strategy.send_signal(signal.SIGKILL)
    strategy.wait()
    assert AFTER_S - 1.5 < _took(lambda: house.positions() == 0, AFTER_S + 2) < AFTER_S + 1


def test_a_cut_network_fires_it_in_time_and_what_comes_late_is_refused(house: House) -> None:
    with Partition(house.account.port) as network:
        bridge = Connector.from_config(house.connector("auto", network.port), client="atlas")
        try:
            bridge.connect()
            assert bridge.buy("EURUSD", 0.01).status == "FILLED"
            wait_until(lambda: house.state() == "armed")
            network.hold()
            took = _took(lambda: house.state() == "fired", AFTER_S + 2)
            assert took < AFTER_S + 1
            wait_until(lambda: house.positions() == 0)
            network.release()
            wait_until(lambda: house.state() == "armed", 10)
            late = bridge.buy("EURUSD", 0.01)
            assert (late.status, late.code) == ("DENIED", "REDUCE_ONLY")
        finally:
            bridge.close()


def test_after_a_restart_of_the_server_the_beats_go_on(house: House) -> None:
    bridge = Connector.from_config(house.connector("auto"), client="atlas")
    try:
        bridge.connect()
        assert bridge.buy("EURUSD", 0.01).status == "FILLED"
        wait_until(lambda: house.state() == "armed")
        house.server.kill()
        house.client.close()
        house.server = Process(house.account)
        house.client = house.server.ready()
        assert house.state() == "armed"
        _stays(lambda: house.state() == "armed" and house.positions() == 1, AFTER_S + 2)
    finally:
        bridge.close()


def test_two_connectors_of_one_key_do_not_stop_each_others_beats(house: House) -> None:
    path = house.connector("auto")
    with (
        Connector.from_config(path, client="atlas") as first,
        Connector.from_config(path, client="borea") as second,
    ):
        first.connect()
        second.connect()
        wait_until(lambda: house.state() == "armed")
        _stays(lambda: house.state() == "armed", 4)
        for one in (first, second):
            answered = one._heart.answered_s
            assert time.monotonic() - answered < 3.5, "each of them is answered"


def test_off_is_said_and_nothing_arms(house: House) -> None:
    with Connector.from_config(house.connector("off"), client="atlas") as bridge:
        bridge.connect()
        bridge.beat()
        found = bridge.health()
        assert (found.heartbeat, found.dead_man.state) == ("off", "waiting")
        assert str(found.dead_man) == "waiting for the first heartbeat, policy flatten after 5 s"
        assert found.link == "healthy"


def test_health_says_how_long_ago_the_last_beat_was(house: House) -> None:
    with Connector.from_config(house.connector("auto"), client="atlas") as bridge:
        bridge.connect()
        wait_until(lambda: house.state() == "armed")
        found = bridge.health()
        assert found.heartbeat == "auto"
        assert str(found.dead_man).startswith("armed: last beat ")
        assert str(found.dead_man).endswith(" s ago, policy flatten after 5 s")


def test_a_tool_and_a_visitor_never_beat(house: House) -> None:
    path = house.connector("auto")
    with (
        Connector.from_config(path, client="cli", heartbeat=False) as tool,
        Connector.from_config(path) as visitor,
    ):
        tool.connect()
        visitor.connect()
        _stays(lambda: house.state() == "waiting", 2.5)
        assert tool.health().heartbeat == visitor.health().heartbeat == "off"


def test_beat_returns_at_once_whatever_the_link_does(house: House) -> None:
    with Connector.from_config(house.connector("loop"), client="atlas") as bridge:
        house.server.kill()
        began = time.monotonic()
        for _ in range(1_000):
            bridge.beat()
        assert time.monotonic() - began < 5.0
    bridge.beat()  # closed: still no error


def test_a_misspelt_mode_stops_the_start(house: House) -> None:
    with pytest.raises(ConfigError, match="heartbeat"):
        Connector.from_config(house.connector("sometimes"), client="atlas")


def test_the_link_is_an_event_when_it_is_lost_and_when_it_is_back(house: House) -> None:
    with Partition(house.account.port) as network:
        path = house.connector("off", network.port)
        with (
            Connector.from_config(path, client="atlas") as bridge,
            bridge.events(timeout=0.2) as feed,
        ):
            bridge.connect()
            seen: list[LinkChanged] = []

            def told(state: str) -> bool:
                event = next(feed)
                if isinstance(event, LinkChanged):
                    seen.append(event)
                return bool(seen) and seen[-1].state == state

            network.hold()
            assert 2 < _took(lambda: told("lost"), 8) < 6
            assert seen[-1].since is not None
            assert bridge.health(timeout=0.5).link == "lost"
            network.release()
            wait_until(lambda: told("healthy"), 10)
            assert bridge.health().link == "healthy"


@pytest.mark.parametrize("step_ms", [60_000, -60_000, 3_000])
def test_a_server_whose_clock_is_set_goes_on_hearing_the_beats(
    tmp_path: Path, step_ms: int
) -> None:
    account = make_account(
        tmp_path, extra=f'dead_man = {{ after_s = {AFTER_S}, policy = "flatten" }}'
    )
    clock = SlidingClock()
    with Running(account, clock=clock) as running:
        running.ready()
        switch = running.server.service._dead_man
        path = _configured(account, "auto")
        with Connector.from_config(path, client="atlas") as bridge:
            bridge.connect()
            wait_until(lambda: switch.view().state == "armed")
            clock.step_wall(step_ms)
            _stays(lambda: switch.view().state == "armed", AFTER_S + 3)


def test_a_connector_whose_server_is_gone_closes_at_once(house: House) -> None:
    bridge = Connector.from_config(house.connector("auto"), client="atlas")
    with bridge.events(timeout=0.1) as feed:
        bridge.connect()
        house.server.kill()
        time.sleep(1.5)  # both threads wait for an answer now
        next(feed)
    began = time.monotonic()
    bridge.close()
    assert time.monotonic() - began < 2.0
