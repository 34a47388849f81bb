"""Schedules of faults, each from one seed: every promise holds, and every planted bug is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.simulation.bugs import BUGS, planted
from tests.simulation.schedule import run, shrink

ROOT: Final = Path(__file__).resolve().parents[2]
SHORT, LONG, SOAK = 200, 2_000, 100_000
# No planted bug may need more schedules than CI plays.
WITHIN: Final = 2_000
# Where a schedule has found something: (seed, what it was). They are played each time.
FOUND: Final = tuple(
    tuple(line.split(" ", 1))
    for line in (Path(__file__).with_name("found.txt")).read_text("ascii").splitlines()
    if line and not line.startswith("#")
)
# Found at once, so they belong to the short run.
QUICK: Final = (
    "reply before J3", "retry on timeout", "report a timeout as a rejection",
    "send before the intent is on disk", "forget what was refused",
)  # fmt: skip


def _count() -> int:
    given = os.environ.get("ZTB_SEEDS", "")
    if given:
        return int(given)
    return SOAK if os.environ.get("ZTB_SOAK") else LONG


def _play(*ranges: tuple[int, int]) -> list[dict[str, Any]]:
    """Play ranges of seeds side by side, each in a process of its own."""
    playing = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation", f"{first}:{end}", "--json"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for first, end in ranges
    ]  # fmt: skip
    said = []
    for out, talk in [one.communicate() for one in playing]:
        assert out, talk
        facts = json.loads(out)
        assert not facts["broken"], (
            f"{talk}\n{facts['broken']}\n"
            f"again: python -m tests.simulation {facts['seed']} --steps {facts['steps']}"
        )
        said.append(facts)
    return said


Record = Callable[[str, object], None]


def _show(record: Record, kind: str, said: list[dict[str, Any]]) -> None:
    names = ("schedules", "orders", "submissions", "crashes")
    sums = {name: sum(facts[name] for facts in said) for name in names}
    shown = "  ".join(f"{value} {name}" for name, value in sums.items())
    record("simulated", f"{kind:52} {shown}  0 broken")


def test_every_promise_holds_in_a_first_round_of_schedules(record_property: Record) -> None:
    _show(record_property, "short", _play((0, SHORT // 2), (SHORT // 2, SHORT)))


@pytest.mark.long
def test_every_promise_holds_in_every_schedule(record_property: Record) -> None:
    end = SHORT + _count()
    half = (SHORT + end) // 2
    _show(record_property, "long", _play((SHORT, half), (half, end)))


@pytest.mark.parametrize(("seed", "found"), FOUND)
def test_a_schedule_that_has_found_something_holds_now(seed: str, found: str) -> None:
    assert run(int(seed)).broken == "", found


def _catch(name: str, record: Record) -> None:
    with planted(name):
        for seed in range(WITHIN):
            outcome = run(seed)
            if outcome.broken:
                promise = outcome.broken.partition(":")[0]
                found = f"found by {promise} in schedule {seed}"
                record("simulated", f"planted: {name:43} {found}")
                return
    raise AssertionError(f"nothing noticed: {name}")


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found_at_once(name: str, record_property: Record) -> None:
    _catch(name, record_property)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in BUGS if name not in QUICK])
def test_a_planted_bug_is_found(name: str, record_property: Record) -> None:
    _catch(name, record_property)


def test_a_seed_replays_exactly_whatever_the_process() -> None:
    traces = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "21"],
            cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": salt},
        ).stderr
        for salt in ("1", "2")
    ]  # fmt: skip
    assert traces[0] == traces[1]
    assert len(traces[0].splitlines()) > 20


def test_a_prefix_is_the_beginning_of_its_schedule() -> None:
    whole, part = run(21), run(21, steps=12)
    before = part.trace[: next(n for n, line in enumerate(part.trace) if line.endswith(" peace"))]
    assert len(before) > 5
    assert whole.trace[: len(before)] == before


def test_a_failing_schedule_is_shrunk_to_its_shortest_failing_prefix() -> None:
    with planted("retry on timeout"):
        whole = next(found for found in map(run, range(50)) if found.broken)
        shortest = shrink(whole.seed)
        assert shortest.broken
        assert shortest.steps < whole.steps
        assert run(whole.seed, shortest.steps).broken == shortest.broken
        assert shortest.steps == 0 or not run(whole.seed, shortest.steps - 1).broken
