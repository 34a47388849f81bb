"""The MetaTrader 4 path: connector, server and the Advisor's real source in a simulated terminal.

The rows with a timer are the same source in programs/Timer.mq4: it never waits for a frame, it
looks at its socket each time the terminal's timer fires, as an Expert Advisor usually does. An
order takes several messages between server and EA, and each waits for the timer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from bridge_client import Connector, OrderResult, PositionClosed, PositionOpened, Status
from tests.benchmarks.place import RATES
from tests.benchmarks.table import row
from tests.mql4.build import build, missing
from tests.mql4.house import House
from tests.mql4.terminal import Terminal
from tests.mql4.terms import BrokerTerms

__all__ = ["measure"]

TIMER_SOURCE: Final = "programs/Timer.mq4"
TIMERS_MS: Final = (1, 16, 25, 100)
ORDERS: Final = 200
ORDERS_ON_A_TIMER: Final = 40
HAPPENINGS: Final = 40
IDLE_S: Final = 5.0
BOOT_FENCE_S: Final = 1.2  # what is signed sooner after its start, an EA does not execute
_EVENT_S: Final = 10.0


class _Orders(NamedTuple):
    """Microseconds of whole orders, as a strategy sees them."""

    opens: list[float]
    modifies: list[float]
    closes: list[float]


def measure(folder: Path, base: float) -> None:
    """Measure and print; one line that says why not where there is no C++ compiler.

    Args:
        folder: an empty folder.
        base: the median of the raw floor, us.
    """
    print("\nthrough the MetaTrader 4 Advisor's source, in a simulated terminal, broker at 0 ms")
    if why := missing():
        print(f"skipped: EA source ({why})", flush=True)
        return
    build("Experts/BridgeEA.mq4", sanitize=False)
    build(TIMER_SOURCE, sanitize=False)
    with _serving(House(_made(folder / "real"), sanitize=False)) as (house, bridge):
        orders = _trade(bridge, ORDERS)
        for name, times in zip(("OPEN", "MODIFY", "CLOSE"), orders, strict=True):
            row(f"{name}, connector to record and back", times, base)
        inside = _inside(house.terminal)
        for op in ("OPEN", "MODIFY", "CLOSE"):
            row(f"  {op}: frame taken to trade call", inside[op], base, "in the EA; aim: 1000")
        opened, closed = _happenings(house.terminal, bridge)
        row("event: the broker opened a position", opened, base, "broker's change to connector")
        row("event: the broker closed it", closed, base, "the EA looks each 100 ms")
        _idle("the EA, idle", house.terminal)
    for period in TIMERS_MS:
        other = _TimerHouse(_made(folder / f"timer-{period}"), period)
        with _serving(other) as (house, bridge):
            times = _trade(bridge, ORDERS_ON_A_TIMER).opens
            row(
                f"OPEN, EA polled by a {period} ms timer",
                times,
                base,
                "same source, emulated timer",
            )
            _idle(f"  idle on a {period} ms timer", house.terminal)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


class _TimerHouse(House):
    """The same house with an EA that polls."""

    def __init__(self, folder: Path, period_ms: int) -> None:
        super().__init__(folder, sanitize=False)
        terms = BrokerTerms()
        own = ("Symbols", "MaxLots", "MaxPositions", "ExpectedAccount", "ExpectedServer")
        inputs = {name: self.terminal.inputs[name] for name in own}
        self.terminal = Terminal(
            folder / "timer", inputs={**inputs, "TimerMs": period_ms}, terms=terms,
            sanitize=False, source=TIMER_SOURCE,
        )  # fmt: skip
        self.terminal.command("timer", 1)  # ms; Windows' own 16 would blur the others
        self.give_keys()


@contextmanager
def _serving(house: House) -> Iterator[tuple[House, Connector]]:
    config = house.folder / "server/server.toml"
    config.write_text(config.read_text() + RATES)
    with house, house.connector() as bridge:
        bridge.connect(10)
        time.sleep(BOOT_FENCE_S)
        yield house, bridge


def _trade(bridge: Connector, rounds: int) -> _Orders:
    """Open, move the stop, close, again and again; a spell between, as no timer is in step."""
    orders = _Orders([], [], [])
    for number in range(rounds):
        time.sleep((number * 37 % 100) / 1000 if rounds < ORDERS else 0)
        begun = time.perf_counter()
        opened = bridge.buy("EURUSD", "0.01", sl="1.08000")
        filled = time.perf_counter()
        _must(opened, Status.FILLED)
        moved = bridge.modify_position(opened, sl="1.08100")
        done = time.perf_counter()
        _must(moved, Status.DONE)
        closed = bridge.close_position(opened)
        ended = time.perf_counter()
        _must(closed, Status.FILLED)
        for times, span in zip(orders, (filled - begun, done - filled, ended - done), strict=True):
            times.append(1e6 * span)
    return orders


def _must(result: OrderResult, wanted: Status) -> None:
    assert result.status is wanted, str(result)


def _inside(terminal: Terminal) -> dict[str, list[float]]:
    """From the message's first frame in the program's hands to the broker's call, us, by op."""
    times: dict[str, list[float]] = {}
    for line in terminal.submissions():
        times.setdefault(line["op"], []).append(line["call_us"] - line["message_us"])
    return times


def _happenings(terminal: Terminal, bridge: Connector) -> tuple[list[float], list[float]]:
    """From a change at the broker to the verified event in the strategy, us."""
    opened, closed = [], []
    with bridge.events(timeout=_EVENT_S) as feed:
        feed.ready()
        for number in range(HAPPENINGS):
            time.sleep((number * 37 % 100) / 1000)
            begun = time.perf_counter()
            terminal.command("manual_open", "EURUSD", "BUY", "0.01")
            ticket = next(e.ticket for e in feed if isinstance(e, PositionOpened))
            opened.append(1e6 * (time.perf_counter() - begun))
            begun = time.perf_counter()
            terminal.command("manual_close", ticket)
            assert any(isinstance(e, PositionClosed) and e.ticket == ticket for e in feed)
            closed.append(1e6 * (time.perf_counter() - begun))
    return opened, closed


def _idle(name: str, terminal: Terminal) -> None:
    """Print the processor time of a terminal that has nothing to do."""
    stat = Path(f"/proc/{terminal.pid}/stat")
    if not stat.exists():
        print(f"{name:40} skipped: needs /proc")
        return
    begun, used = time.monotonic(), _cpu_s(stat)
    time.sleep(IDLE_S)
    share = 100 * (_cpu_s(stat) - used) / (time.monotonic() - begun)
    print(f"{name:40} {share:9.2f} % of one processor", flush=True)


def _cpu_s(stat: Path) -> float:
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
