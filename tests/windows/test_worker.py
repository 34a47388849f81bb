"""The worker process with the real MetaTrader5 package, where there is no terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from bridge_core.host.clock import SystemClock
from bridge_core.protocol.deadline import Deadline
from bridge_server.backends.mt5_link import LinkSpec, Mt5Link
from bridge_server.backends.mt5_pins import Mt5Pins
from bridge_server.backends.mt5_worker import import_metatrader5
from tests.support.running import wait_until

assert sys.platform == "win32"  # conftest.py leaves it out elsewhere

PINS = Mt5Pins(login=7001, server="Nowhere-Demo", kind="demo", margin="hedging")


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Mt5Link]:
    made = Mt5Link(
        LinkSpec(
            path=str(tmp_path / "terminal64.exe"), pins=PINS, trading=True,
            load=import_metatrader5, lock=tmp_path / "lock",
        ),
        SystemClock(),
    )  # fmt: skip
    made.start()
    yield made
    made.close()


def test_the_package_is_loaded_in_a_process_of_its_own_and_says_what_is_missing(
    link: Mt5Link,
) -> None:
    wait_until(lambda: "logs in" not in link.status.why, 120)
    assert link.status.package == metadata.version("MetaTrader5")
    assert not link.status.linked
    assert "terminal64.exe" in link.status.why, link.status.why
    assert link.status.pid not in (0, os.getpid())


def test_nothing_is_sent_where_no_terminal_is(link: Mt5Link) -> None:
    clock = SystemClock()
    sent = link.trade(
        {"action": 1, "symbol": "EURUSD", "volume": 0.01, "type": 0, "price": 1.1},
        Deadline(clock.wall_ms() + 5_000, clock.mono_ms() + 5_000),
    )
    assert not sent.begun
    assert sent.refusal is not None
    assert sent.refusal.code == "BROKER_DOWN"
