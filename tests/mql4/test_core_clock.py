"""The Advisor's clocks and deadlines judge as the server's do (protocol.md 6.4)."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from bridge_core.host.clock import ClockGuard
from bridge_core.protocol.deadline import Deadline
from tests.mql4.core import Core
from tests.mql4.needs import needs_compiler

pytestmark = needs_compiler

NOW = ("clock_now",)


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


def test_the_guard_judges_each_reading_as_the_servers_guard_does(core: Core) -> None:
    draw = random.Random(3)
    calls: list[tuple[str, ...]] = []
    wanted: list[list[str]] = []
    wall, mono = 1_767_225_600_000, 5_000
    guard = ClockGuard(wall, mono)
    calls.append(("clock_start", str(wall), str(mono)))
    wanted.append(["1"])
    trips = 0
    for _ in range(3_000):
        passed = draw.choice((0, 1, 16, 100, 1_000, 10_000, 30_000))
        slip = draw.choice((0, 0, 0, 0, 1, -1, 20, -100, 249, 250, 251, -251, 5_000, -86_400_000))
        if draw.random() < 0.8:
            slip = 0
        mono += passed
        wall += passed + slip
        healthy = guard.observe(wall, mono)
        trips += not healthy
        calls.append(("clock_see", str(wall), str(mono)))
        wanted.append([str(int(healthy)), str(guard.offset_jump_ms)])
    assert 100 < trips < 2_900
    assert core.run(calls) == wanted


def test_a_deadline_passes_on_the_earlier_clock_as_the_servers_does(core: Core) -> None:
    draw = random.Random(4)
    for _ in range(5):
        wall, mono, ttl = 1_767_225_600_000, draw.randrange(10**9), draw.randrange(200, 10_001)
        deadline = Deadline.at(wall + ttl, wall, mono)
        calls: list[tuple[str, ...]] = [("deadline_set", str(wall + ttl), str(wall), str(mono))]
        wanted: list[list[str]] = [["1"]]
        edges = (0, ttl - 1, ttl, ttl + 1, -5_000, 20_000)
        for ahead in edges:
            for on in edges:
                at = (wall + ahead, mono + on)
                calls.append(("deadline_passed", str(at[0]), str(at[1])))
                left = deadline.remaining_ms(*at)
                wanted.append([str(int(deadline.passed(*at))), str(left)])
        assert core.run(calls) == wanted


def test_utc_is_in_ms_and_a_step_of_it_is_seen_while_the_other_clock_goes_on(core: Core) -> None:
    with core.session() as session:
        before = time.time_ns() // 1_000_000
        wall, mono, healthy, started = session.run([NOW])[0]
        after = time.time_ns() // 1_000_000
        assert before <= int(started) <= int(wall) <= after
        assert healthy == "1"
        session.command("step_wall", "-4000")
        stepped = session.run([NOW])[0]
        assert stepped[2] == "0"
        assert int(stepped[0]) < int(wall) - 3_000
        assert int(stepped[1]) >= int(mono)
        session.command("advance", "29000")
        assert session.run([NOW])[0][2] == "0"
        session.command("advance", "1100")
        assert session.run([NOW])[0][2] == "1"


def test_the_wrap_of_the_tick_count_is_no_step(core: Core) -> None:
    with core.session() as session:
        ticks = int(session.run([("ticks",), NOW])[0][0])
        session.command("advance", str(2**32 - ticks - 30_000))
        first = session.run([NOW])[0]
        for _ in range(3):
            session.command("advance", "20000")
            last = session.run([NOW, ("ticks",)])
        assert int(last[1][0]) < 60_000  # it has wrapped
        assert last[0][2] == "1"
        assert 60_000 <= int(last[0][1]) - int(first[1]) < 90_000
