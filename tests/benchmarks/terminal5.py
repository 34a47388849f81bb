"""The MetaTrader 5 path: connector, server, its worker process, and the stand-in terminal.

The stand-in keeps its books in Python and answers over a local socket, so these rows bound what
this project adds to a terminal's own time, from above. While `order_send` is frozen the worker
holds its interpreter for good, as the real package does; who asks meanwhile must not notice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bridge_client import Connector, OrderResult, Status
from tests.benchmarks.place import RATES
from tests.benchmarks.table import row, timed
from tests.mt5.house import House
from tests.support.fake_metatrader5 import faults

__all__ = ["measure"]

ORDERS: Final = 200
PINGS: Final = 400
HALTS: Final = 50
FROZEN_S: Final = 5.0


def measure(folder: Path, base: float) -> None:
    """Measure and print.

    Args:
        folder: where the account is made.
        base: the median of the raw floor, us.
    """
    print("\nthrough the MetaTrader 5 worker, to a stand-in terminal, broker at 0 ms")
    folder.mkdir(parents=True)
    with _serving(House(folder)) as (house, bridge):
        opens, modifies, closes, calls = [], [], [], []
        for _ in range(ORDERS):
            begun = time.perf_counter()
            opened = _must(bridge.buy("EURUSD", "0.01", sl="1.08000"), Status.FILLED)
            filled = time.perf_counter()
            _must(bridge.modify_position(opened, sl="1.08100"), Status.DONE)
            moved = time.perf_counter()
            _must(bridge.close_position(opened), Status.FILLED)
            opens.append(1e6 * (filled - begun))
            modifies.append(1e6 * (moved - filled))
            closes.append(1e6 * (time.perf_counter() - moved))
            calls.append(1e3 * (opened.server_ms or 0.0))
        row("OPEN, filled, read back, durable", opens, base)
        row("  of it in the backend", calls, base, "check, send, deals, account")
        row("MODIFY", modifies, base)
        row("CLOSE", closes, base)
        row("PING, worker idle", timed(bridge.ping, PINGS), base)
        _frozen(house, bridge, base)
        row("HALT, worker idle", timed(lambda: bridge.halt("bench"), HALTS), base)


@contextmanager
def _serving(house: House) -> Iterator[tuple[House, Connector]]:
    config = house.folder / "server/server.toml"
    config.write_text(config.read_text("utf-8") + RATES, "utf-8")
    with house, house.connector() as bridge:
        bridge.connect(10)
        yield house, bridge


def _must(result: OrderResult, wanted: Status) -> OrderResult:
    assert result.status is wanted, str(result)
    return result


def _frozen(house: House, bridge: Connector, base: float) -> None:
    """PING and HALT beside a worker that is frozen inside `order_send`."""
    house.terminal.faults.script("order_send", faults.ACCEPTED, "hang", seconds=FROZEN_S)
    told: list[OrderResult] = []
    strategy = threading.Thread(
        target=lambda: told.append(bridge.buy("EURUSD", "0.01", wait=4 * FROZEN_S))
    )
    strategy.start()
    house.terminal.faults.wait_reached(faults.ACCEPTED)
    row("PING, order_send frozen", timed(bridge.ping, PINGS), base, "the interpreter lock is held")
    row("HALT, order_send frozen", timed(lambda: bridge.halt("bench"), HALTS), base)
    still = strategy.is_alive()
    strategy.join()
    print(f"it was frozen all the time: {still}; then the order was {told[0].status}", flush=True)
