"""A call that freezes the whole worker, interpreter lock and all, freezes nobody else."""

from __future__ import annotations

import threading
from pathlib import Path

from bridge_client import OrderResult, Status
from tests.mt5.house import House
from tests.support.fake_metatrader5 import faults
from tests.support.running import wait_until


def test_ping_health_status_fence_and_halt_are_answered_while_order_send_is_frozen(
    tmp_path: Path,
) -> None:
    with House(tmp_path) as house:
        house.terminal.faults.script("order_send", faults.ACCEPTED, "hang")
        with house.connector() as bridge, house.connector("second") as second:
            told: list[OrderResult] = []
            strategy = threading.Thread(
                target=lambda: told.append(bridge.buy("EURUSD", 0.01, client_order_id="stuck"))
            )
            strategy.start()
            house.terminal.faults.wait_reached(faults.ACCEPTED)
            second.ping()
            assert bridge.order_status("stuck").status is Status.PENDING
            assert not second.fence("stuck").final
            assert second.health().hops
            second.halt("what is it doing?")
            assert bridge.buy("EURUSD", 0.01).code == "HALTED"
            assert bridge.order_status("stuck").status is Status.PENDING  # all this time
            house.terminal.faults.release()
            strategy.join(20)
            assert bridge.wait("stuck", timeout=20).status is Status.FILLED
        house.close()
        house.judge()


def test_a_call_that_never_ends_is_cut_off_unknown_and_found_by_its_tag(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.close()
        house.environment["ZTB_TEST_TRADE_MS"] = "1500"
        house.start_server()
        house.ready()
        house.terminal.faults.script("order_send", faults.EXECUTED, "hang")
        with house.connector() as bridge:
            worker = {call.pid for call in house.terminal.calls[-5:]}
            result = bridge.buy("EURUSD", 0.01, client_order_id="lost", wait=0.5)
            assert result.status in (Status.PENDING, Status.UNKNOWN), result
            found = bridge.wait("lost", timeout=30)
            assert found.status is Status.FILLED, found
            assert found.evidence == "TAG"
            house.ready()
            assert bridge.buy("EURUSD", 0.01).status is Status.FILLED
            assert {call.pid for call in house.terminal.calls[-5:]}.isdisjoint(worker)
        wait_until(lambda: len(house.broker.positions()) == 2)
        house.close()
        house.judge()
