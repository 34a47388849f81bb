"""FLATTEN in an emergency: the worker dies under it, the broker's link goes, and it still ends."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bridge_client import OrderResult, Status
from tests.mt5.house import House
from tests.support.fake_metatrader5 import faults
from tests.support.running import wait_until


@pytest.mark.parametrize("point", [faults.BEFORE, faults.EXECUTED])
def test_a_flatten_goes_on_with_the_next_worker(point: str, tmp_path: Path) -> None:
    with House(tmp_path) as house:
        with house.connector() as bridge:
            for symbol in ("EURUSD", "EURUSD", "USDJPY"):
                assert bridge.buy(symbol, 0.01).status is Status.FILLED
            house.terminal.faults.script("order_send", point, "kill_worker")
            flat = bridge.wait(bridge.flatten("get me out"), timeout=30)
            left = len(house.broker.positions())
            # The one at hand is found out about: sent or not, it is never sent again.
            assert left == (1 if point == faults.BEFORE else 0)
            assert flat.status is (Status.PARTIAL if left else Status.DONE), flat
            if left:
                assert bridge.wait(bridge.flatten("and the rest"), timeout=30).status is Status.DONE
        wait_until(lambda: not house.broker.positions())
        house.close()
        house.judge()


def test_a_flatten_waits_within_its_window_for_the_terminal_to_come_back(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        with house.connector() as bridge:
            for _ in range(2):
                assert bridge.sell("EURUSD", 0.01).status is Status.FILLED
            house.terminal.faults.script("order_send", faults.EXECUTED, "delay", seconds=0.5)
            told: list[OrderResult] = []
            strategy = threading.Thread(
                target=lambda: told.append(bridge.flatten("get me out", wait=30))
            )
            strategy.start()
            house.terminal.faults.wait_reached(faults.EXECUTED)
            house.broker.link(False)
            wait_until(lambda: "BROKER_LINK" in {one.cause for one in bridge.health().causes}, 10)
            assert bridge.buy("EURUSD", 0.01).code == "BROKER_DOWN"
            assert len(house.broker.positions()) == 1
            house.broker.link(True)
            strategy.join(40)
            assert told[0].status is Status.DONE, told
        assert not house.broker.positions()
        house.close()
        house.judge()


def test_a_flatten_that_waits_goes_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        with house.connector() as bridge:
            for _ in range(3):
                assert bridge.sell("EURUSD", 0.01).status is Status.FILLED
            house.terminal.faults.script("order_send", faults.EXECUTED, "delay", seconds=0.5)
            bridge.flatten("get me out", client_order_id="flat", wait=0.0)
            house.terminal.faults.wait_reached(faults.EXECUTED)
            house.broker.link(False)
            wait_until(lambda: "BROKER_LINK" in {one.cause for one in bridge.health().causes}, 10)
            assert house.stop_server() == 0
            house.start_server()
            wait_until(lambda: "BROKER_LINK" in {one.cause for one in bridge.health().causes}, 15)
            assert len(house.broker.positions()) == 2
            house.broker.link(True)
            assert bridge.wait("flat", timeout=40).status is Status.DONE
        assert not house.broker.positions()
        house.close()
        house.judge()
