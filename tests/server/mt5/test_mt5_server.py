"""A server, its worker and a terminal, each a process: what is told when one is not well."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.operations import Op
from bridge_core.protocol.views import HopView
from tests.mt5.house import House
from tests.support.fake_metatrader5 import ACCEPTED
from tests.support.listener import Listener
from tests.support.raw_client import Answer, RawClient
from tests.support.running import Account, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a Unix socket")

_HOP = "server to terminal worker"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def client(house: House) -> Iterator[RawClient]:
    with house.client() as client:
        yield client


def _hop(client: RawClient) -> HopView:
    return next(one for one in client.health().hops if one.hop == _HOP)


def _rows(client: RawClient) -> dict[str, str]:
    return {row.name: row.value for row in client.query(Op.GET_LIMITS).limits}


def test_a_server_starts_without_its_terminal_logs_it_in_and_leaves_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    terminal, broker = house.terminal, house.broker
    terminal.launch.refuse, terminal.logged_in = True, False
    terminal.passwords = {(5_001_234, "Fake-Demo"): "hunter2!secret"}
    config = house.folder / "server" / "server.toml"
    text = config.read_text("utf-8")
    config.write_text(text.replace("mt5 = {", 'mt5 = { env = ".env",'), "utf-8")
    env = config.with_name(".env")
    env.touch(mode=0o600)
    env.write_text("MT5_PASSWORD=hunter2!secret\n", "utf-8")
    terminal.install()
    house.start_server()
    try:
        wait_until(lambda: "listening" in house.server_log(), 20)
        with house.client() as client:
            assert client.hello().account.login == 5_001_234
            wait_until(lambda: "mt5.path" in _hop(client).why, 15)
            assert _hop(client).state == "down"
            assert client.open(volume="0.01").code == "BROKER_DOWN"
            terminal.start()
            house.ready()
            assert (terminal.count("login"), broker.begun()) == (1, 0)
            assert client.open(volume="0.01").status == "FILLED"
            pids = _children(house.server_pid)
            assert pids
            assert house.stop_server() == 0
            wait_until(lambda: not any(_runs(pid) for pid in pids))
    finally:
        house.close()
        terminal.close()
    said = house.server_log() + (house.folder / "server/log/server.log").read_text("ascii")
    assert "hunter2!secret" not in said


def test_health_and_limits_say_how_the_terminal_stands(client: RawClient) -> None:
    wait_until(lambda: _hop(client).state == "up")
    assert float(_hop(client).ms) > 0
    health = client.health()
    assert "MetaTrader 5 build 5833, package 5.0.6231" in health.backend
    rows = _rows(client)
    assert (rows["mt5_login"], rows["mt5_server"], rows["mt5_kind"]) == (
        "5001234", "Fake-Demo", "demo",
    )  # fmt: skip
    assert (rows["mt5_connected"], rows["mt5_margin_mode"]) == ("true", "hedging")
    assert (rows["mt5_trade_allowed"], rows["mt5_tradeapi_disabled"]) == ("true", "false")


def test_ipc_send_failed_turns_health_red_within_five_seconds(
    house: House, client: RawClient
) -> None:
    house.terminal.launch.refuse = True
    house.terminal.stop()
    wait_until(lambda: _hop(client).state == "down", 12)  # five are promised
    assert "terminal" in _hop(client).why
    assert client.open(volume="0.01").code == "BROKER_DOWN"
    house.terminal.launch.refuse = False
    house.terminal.start()
    house.ready()
    assert client.open(volume="0.01").status == "FILLED"


def test_what_stops_algo_trading_is_told_with_its_fix(house: House, client: RawClient) -> None:
    house.terminal.trade_allowed = False
    wait_until(lambda: "Algo Trading button" in _hop(client).why)
    assert _hop(client).state == "degraded"
    assert _rows(client)["mt5_trade_allowed"] == "false"
    house.terminal.trade_allowed = True
    wait_until(lambda: _hop(client).state == "up")


def test_a_worker_that_stands_still_in_a_trade_keeps_nobody_waiting(
    house: House, client: RawClient
) -> None:
    house.terminal.faults.script("order_send", ACCEPTED, "hang")
    found: list[Answer] = []
    with house.client() as other:
        thread = threading.Thread(target=lambda: found.append(other.open(volume="0.01")))
        thread.start()
        house.terminal.faults.wait_reached(ACCEPTED)
        for _ in range(50):  # the terminal holds the worker until it is released, below
            assert client.ping().status == "OK"
            assert client.health().open_orders == 1
        thread.join()
        assert found[0].status == "PENDING"
        house.terminal.faults.release()
        rid = found[0].order().rid
        wait_until(lambda: client.status(rid).subject().status == "FILLED", 10)


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_account_in_the_terminal_halts_and_nothing_is_sent(
    house: House, client: RawClient
) -> None:
    begun = house.broker.begun()
    account = Account(house.folder, house.port)
    with Listener(account, topics=(f"{house.acct}.event".encode(),)) as listener:
        wait_until(lambda: listener.next() is not None)
        house.terminal.login_as(login=999)
        first = client.open(volume="0.01")  # before or after the server's own look
        assert first.status == "DENIED"
        assert first.code in ("ACCOUNT_MISMATCH", "BROKER_DOWN", "HALTED")
        wait_until(lambda: "IDENTITY" in [one.cause for one in client.health().causes], 12)
        listener.alerts_until("IDENTITY")
    assert _hop(client).state == "down"
    assert "login 999" in _hop(client).why
    assert client.open(volume="0.01").code == "HALTED"
    assert house.broker.begun() == begun
