"""Schedules of faults, each from one seed: every promise holds, and every planted bug is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.bugs import BUGS, planted
from tests.simulation.schedule import run, shrink
from tests.simulation.summary import COUNTED, SCHEDULES

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
Record = Callable[[str, object], None]
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


def _parts(first: int, end: int, parts: int) -> list[tuple[int, int]]:
    """Cut a range of seeds, for as many test processes as there may be."""
    cuts = [first + (end - first) * part // parts for part in range(parts + 1)]
    return [(a, b) for a, b in pairwise(cuts) if a < b]


def _play(first: int, end: int, record: Record) -> None:
    """Play a range of seeds in a process of its own."""
    played = subprocess.run(
        [sys.executable, "-m", "tests.simulation", f"{first}:{end}", "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert played.stdout, played.stderr
    facts = json.loads(played.stdout)
    assert not facts["broken"], (
        f"{played.stderr}\n{facts['broken']}\n"
        f"again: python -m tests.simulation {facts['seed']} --steps {facts['steps']}"
    )
    record(SCHEDULES, [facts[name] for name in COUNTED])


@pytest.mark.parametrize(("first", "end"), _parts(0, SHORT, 4))
def test_every_promise_holds_in_a_first_round_of_schedules(
    first: int, end: int, record_property: Record
) -> None:
    _play(first, end, record_property)


@pytest.mark.long
@pytest.mark.parametrize(("first", "end"), _parts(SHORT, SHORT + _count(), 16))
def test_every_promise_holds_in_every_schedule(
    first: int, end: int, record_property: Record
) -> None:
    _play(first, end, record_property)


@pytest.mark.parametrize(("seed", "found"), FOUND)
def test_a_schedule_that_has_found_something_holds_now(seed: str, found: str) -> None:
    assert run(int(seed)).broken == "", found


def _catch(name: str, record: Record) -> None:
    near = 0 if os.environ.get("ZTB_SOAK") else BUGS[name].near
    with planted(name):
        for seed in range(near, near + WITHIN):
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
