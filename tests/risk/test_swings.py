"""How far a price has swung: nothing is forgotten too early, and memory stays bounded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.risk.picture import Swing
from bridge_core.risk.swings import Swings
from tests.support.builders import NOW

_D = Decimal
_MINUTE = 60_000


def test_a_price_that_nobody_saw_has_no_swing() -> None:
    assert Swings().of("EURUSD", NOW) is None


def test_the_highest_and_the_lowest_count_whatever_came_between() -> None:
    swings = Swings()
    for at, mid in ((0, "1.1"), (100, "1.3"), (5_000, "0.9"), (9_000, "1.2")):
        swings.take("EURUSD", _D(mid), NOW + at, _MINUTE)
    assert swings.of("EURUSD", NOW + 9_000) == Swing(_D("1.3"), _D("0.9"))
    assert swings.of("GBPUSD", NOW + 9_000) is None


@pytest.mark.parametrize("window", [1_000, _MINUTE, 604_800_000])
def test_a_spike_counts_for_its_whole_window_and_is_forgotten_after_it(window: int) -> None:
    swings = Swings()
    swings.take("EURUSD", _D(2), NOW, window)
    swings.take("EURUSD", _D(1), NOW + window, window)
    assert swings.of("EURUSD", NOW + window) == Swing(_D(2), _D(1))
    late = NOW + window + max(1_000, window // 60)
    assert swings.of("EURUSD", late) == Swing(_D(1), _D(1))
    assert swings.of("EURUSD", late + 2 * window) is None


@given(st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 9)), max_size=300))
def test_no_swing_within_the_window_is_ever_missed(ticks: list[tuple[int, int]]) -> None:
    swings, now, seen = Swings(), NOW, []
    for gap, mid in ticks:
        now += gap
        seen.append((now, _D(mid)))
        swings.take("EURUSD", _D(mid), now, _MINUTE)
        lately = [one for at, one in seen if now - at <= _MINUTE]
        found = swings.of("EURUSD", now)
        assert found is not None
        assert found.high >= max(lately)
        assert found.low <= min(lately)


def test_a_storm_of_ticks_takes_no_more_room_than_its_slices() -> None:
    swings = Swings()
    for n in range(20_000):
        swings.take("EURUSD", _D(n), NOW + 10 * n, _MINUTE)
    assert len(swings._slices["EURUSD"]) <= 62
