"""Steps about clocks: of the server, of the connector, of the machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.acceptance.language import says
from tests.acceptance.steps_orders import UNITS
from tests.acceptance.world import World

_SPAN = r"(?P<count>\d+) (?P<unit>ms|s|min|h|days|years)"
_DRIFT_CHUNK_S = 20


@says(r"all clocks (?P<how>stand still|go on)")
def hold(world: World, how: str) -> None:
    """Hold the clocks of both sides, so that a bound can be met to the millisecond."""
    if how == "go on":
        world.house.clock.go()
        return
    world.client()  # a server starts on a clock that runs
    world.house.clock.hold()


@says(rf"the server's clock is set (?P<where>forward|back) {_SPAN}")
def set_clock(world: World, where: str, count: str, unit: str) -> None:
    """Set the wall clock of the server's machine; its monotonic clock cannot be set."""
    ms = int(count) * UNITS[unit]
    world.house.clock.set_wall(ms if where == "forward" else -ms)
    world.house.pass_time()


@says(rf"the server's clock is set back {_SPAN} while it takes the next order")
def set_while_taken(world: World, count: str, unit: str) -> None:
    """Set the clock after the order was found fresh and before it is journaled."""
    running, clock = world.house.running, world.house.clock
    assert running is not None
    orders = running.server.service.orders
    true = orders.accept

    def accept(*given: Any) -> Any:
        orders.accept = true  # type: ignore[method-assign]
        clock.set_wall(-int(count) * UNITS[unit])
        return true(*given)

    orders.accept = accept  # type: ignore[method-assign, assignment]


@says(r"the server's clock is set right")
def set_right(world: World) -> None:
    """Set the wall clock to the true time."""
    clock = world.house.clock
    clock.set_wall(-clock.set_ms)
    world.house.pass_time()


@says(rf"the server's clock drifts by (?P<drift>\d+) ms a second for {_SPAN}")
def drift(world: World, drift: str, count: str, unit: str) -> None:
    """Let it run fast for a while, looked at as often as a server in use looks at it."""
    seconds = int(count) * UNITS[unit] // 1000
    client, clock = world.client(), world.house.clock
    for _ in range(seconds // _DRIFT_CHUNK_S):
        world.house.pass_time(_DRIFT_CHUNK_S * 1000)
        clock.set_wall(int(drift) * _DRIFT_CHUNK_S)
        client.ping()
    world.house.pass_time()


@says(rf"the next commit takes {_SPAN}")
def slow_commit(world: World, count: str, unit: str) -> None:
    """Let time pass inside the journal's next commit, as a disk does that stalls."""
    running = world.house.running
    assert running is not None
    journal, clock = running.server.context.journal, world.house.clock
    true = journal.transaction

    @contextmanager
    def slow() -> Iterator[None]:
        journal.transaction = true  # type: ignore[method-assign]
        with true():
            yield
        clock.advance(int(count) * UNITS[unit])

    journal.transaction = slow  # type: ignore[method-assign]


@says(r"a fresh server at (?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
def server_at(world: World, when: str) -> str:
    """Start a server, and have its clients, at another date (UTC)."""
    house = world.fresh()
    target = int(datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp() * 1000)
    house.pass_time(target - house.clock.true_ms())
    return house.ready().hello().state


@says(r"the server's time is after (?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
def time_is_after(world: World, when: str) -> str:
    """Ask the server for its time."""
    target = int(datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp() * 1000)
    return "yes" if world.client().hello().time > target else "no"


@says(r"the machine's time zone becomes (?P<zone>\S+)")
def zone_becomes(world: World, zone: str) -> None:
    """Change the time zone under the running server, as a user or a summer does."""
    before = os.environ.get("TZ")

    def back() -> None:
        os.environ.pop("TZ", None)
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()

    world.at_end(back)
    os.environ["TZ"] = zone
    time.tzset()


@says(r"the server's process is (?P<how>frozen|thawed)")
def freeze(world: World, how: str) -> None:
    """Stop every thread of it at once, as a paused virtual machine is stopped."""
    process = world.house.process
    assert process is not None, "only a server process can be frozen"
    process.signal(signal.SIGSTOP if how == "frozen" else signal.SIGCONT)
    if how == "frozen":
        world.at_end(lambda: process.signal(signal.SIGCONT) if process.exit_code is None else None)


@says(r"(?P<count>\d+) ms really pass")
def really_pass(world: World, count: str) -> None:
    """Wait: another process has no clock of ours."""
    time.sleep(int(count) / 1000)
