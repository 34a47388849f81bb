"""A strategy that runs away while everything fails: no limit breaks, and nothing is lost."""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from tests.simulation.schedule import Schedule, run

_BURST: Final = 40
_STEPS: Final = 12
# Schedules of these seeds have limits that bind after a few orders (server.py).
_SHORT: Final = range(2, 14, 3)
_LONG: Final = range(14, 62, 3)
_FAULTS: Final = (
    Schedule.weather, Schedule.cut, Schedule.crash_server, Schedule.crash_client,
    Schedule.broker_fault, Schedule.broker_slow, Schedule.replay,
)  # fmt: skip


class Runaway(Schedule):
    """Entries as fast as they can be wanted, and a fault after each burst."""

    def play(self, steps: int) -> None:
        """Do the first so many bursts."""
        for number in range(steps):
            draws = self.world.stream(f"burst {number}")
            client = draws.choice(self.clients)
            for _ in range(_BURST):
                client.want(*self.strategy.wish(client.name, draws, 0))
            self.world.guard(partial(draws.choice(_FAULTS), self, draws))
            self.world.run(draws.choice((5, 40, 300, 2_000)))


def _run_away(seed: int) -> None:
    outcome = run(seed, _STEPS, Runaway)
    assert outcome.broken == ""  # the limits, reckoned from the broker's own book, and S1 to S6
    assert outcome.orders >= _BURST
    assert outcome.begun < outcome.orders / 2


@pytest.mark.parametrize("seed", _SHORT)
def test_a_strategy_that_runs_away_under_faults_breaks_no_limit(seed: int) -> None:
    _run_away(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", _LONG)
def test_many_that_run_away_under_faults_break_no_limit(seed: int) -> None:
    _run_away(seed)
