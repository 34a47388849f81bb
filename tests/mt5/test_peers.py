"""What broke other bridges to MetaTrader 5, one test each, through connector, server and worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Connector, Status
from tests.mt5.house import House
from tests.support.fake_metatrader5 import faults
from tests.support.running import wait_until


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("peers")) as house:
        yield house
        house.terminal.faults.calm()
        house.terminal.faults.release()
        house.close()
        house.judge()


@pytest.fixture
def bridge(house: House) -> Iterator[Connector]:
    house.ready()
    with house.connector() as bridge:
        yield bridge


def _sent(house: House) -> int:
    return house.terminal.count("order_send")


def test_a_slow_broker_and_an_impatient_strategy_make_one_order(
    house: House, bridge: Connector
) -> None:
    before = _sent(house)
    house.terminal.faults.script("order_send", faults.ACCEPTED, "delay", seconds=3.0)
    results = [bridge.buy("EURUSD", 0.01, client_order_id="slow", wait=0.2) for _ in range(5)]
    assert {one.status for one in results} <= {Status.UNKNOWN, Status.PENDING, Status.FILLED}
    assert bridge.wait("slow", timeout=20).status is Status.FILLED
    again = bridge.buy("EURUSD", 0.01, client_order_id="slow")
    assert again.status is Status.FILLED
    assert _sent(house) == before + 1


def test_no_money_is_never_a_fill(house: House, bridge: Connector) -> None:
    for executed in (False, True):  # by order_check, and by a server that changed its mind
        if executed:
            house.broker.fail_next(10019)
        volume = 10 if not executed else 0.01
        rich = house.broker.account()["balance"]
        if not executed:
            house.broker.pay_in(-(rich - 10))
        result = bridge.buy("EURUSD", volume)
        assert result.status is Status.REJECTED, result
        assert result.code == "NO_MONEY"
        if not executed:
            house.broker.pay_in(rich - 10)


def test_a_sell_stays_a_sell_through_every_layer(house: House, bridge: Connector) -> None:
    sold = bridge.sell("EURUSD", 0.02)
    assert sold.status is Status.FILLED
    assert sold.price == 1.085
    (position,) = [one for one in bridge.get_positions() if one.ticket == sold.ticket]
    assert position.type == "SELL"
    (row,) = [one for one in house.broker.positions() if one["ticket"] == sold.ticket]
    assert row["type"] == 1
    assert bridge.close_position(sold).status is Status.FILLED


def test_a_terminal_that_cannot_be_reached_is_told_within_five_seconds_and_heals(
    house: House, bridge: Connector
) -> None:
    house.terminal.launch.hang = True  # whoever starts it again does not get it up
    house.terminal.kill()
    begun = time.monotonic()
    wait_until(lambda: "down" in {one.state for one in bridge.health().hops}, 12)
    assert time.monotonic() - begun < 10.0  # five are promised, to a machine that has time
    refused = bridge.buy("EURUSD", 0.01)
    assert refused.status is Status.DENIED
    assert refused.code == "BROKER_DOWN"
    house.terminal.launch.hang = False
    house.terminal.start()
    house.ready()
    assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


def test_another_accounts_terminal_gets_no_order_and_halts_the_server(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        with house.connector() as bridge:
            house.terminal.login_as(login=7_777_777)
            before = _sent(house)
            refused = bridge.buy("EURUSD", 0.01)
            assert refused.status is Status.DENIED, refused
            # NO_ACCOUNT: the connector had no picture to judge by, and signed nothing.
            told = ("ACCOUNT_MISMATCH", "BROKER_DOWN", "HALTED", "NO_ACCOUNT")
            assert refused.code in told, refused
            wait_until(lambda: "IDENTITY" in {one.cause for one in bridge.health().causes}, 10)
            house.terminal.login_as()
            time.sleep(0.5)
            halted = bridge.buy("EURUSD", 0.01)
            assert halted.code == "HALTED", halted
            assert _sent(house) == before
        house.close()
        house.judge()
