"""The broker's clock against UTC: told by two fresh ticks, pinned, or unknown."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_server.backends.mt5_zone import Zone

NOW: Final = 1_795_219_200_000
HOUR: Final = 3_600_000
E = "EURUSD"


def feed(zone: Zone, offset: int, start: int = 0, ticks: int = 3, age: int = 0) -> None:
    """Let some ticks come, one a second, each seen `age` ms after it was made."""
    for n in range(ticks):
        at = start + n * 1000
        zone.see(E, NOW + at + offset - age, NOW + at, 5000 + at)


def test_before_any_tick_the_offset_is_unknown_and_says_so() -> None:
    zone = Zone()
    assert zone.offset_ms is None
    assert "two fresh ticks" in zone.why


@pytest.mark.parametrize("minutes", [-720, -300, 0, 120, 180, 330, 570, 840])
def test_two_fresh_ticks_tell_the_offset(minutes: int) -> None:
    zone = Zone()
    feed(zone, minutes * 60_000, age=140)
    assert zone.offset_ms == minutes * 60_000
    assert zone.why == ""


@given(
    age_s=st.integers(10, 100_000),
    offset=st.integers(-24, 28).map(lambda n: n * HOUR // 2),
    asked=st.integers(1, 20),
)
def test_an_old_tick_seen_again_and_again_tells_nothing(
    age_s: int, offset: int, asked: int
) -> None:
    zone = Zone()
    for n in range(asked):
        zone.see(E, NOW - age_s * 1000 + offset, NOW + n * 1000, n * 1000)
    assert zone.offset_ms is None


@given(age_s=st.integers(30, 80_000), offset=st.sampled_from([0, 2 * HOUR, 3 * HOUR]))
def test_an_old_tick_followed_by_a_fresh_one_tells_nothing_wrong(age_s: int, offset: int) -> None:
    zone = Zone()
    zone.see(E, NOW + offset - age_s * 1000, NOW, 0)
    zone.see(E, NOW + offset + 1000, NOW + 1000, 1000)
    assert zone.offset_ms is None
    zone.see(E, NOW + offset + 2000, NOW + 2000, 2000)
    assert zone.offset_ms == offset


def test_one_tick_of_each_of_two_symbols_is_no_pair() -> None:
    zone = Zone()
    zone.see("EURUSD", NOW, NOW, 0)
    zone.see("GBPUSD", NOW + 1000, NOW + 1000, 1000)
    assert zone.offset_ms is None


def test_quotes_that_are_delayed_by_a_quarter_of_an_hour_tell_nothing_but_that() -> None:
    zone = Zone()
    feed(zone, 2 * HOUR, age=900_000 - 60_000)
    assert zone.offset_ms is None
    assert "min off any zone" in zone.why


@pytest.mark.parametrize("days", [-30, -1, 1, 30])
def test_a_pc_whose_date_is_wrong_has_no_zone(days: int) -> None:
    zone = Zone()
    feed(zone, days * 24 * HOUR)
    assert zone.offset_ms is None


def test_daylight_saving_is_noticed_by_two_pairs_and_one_alone_changes_nothing() -> None:
    zone = Zone()
    feed(zone, 2 * HOUR)
    feed(zone, 3 * HOUR, start=60_000, ticks=2)
    assert zone.offset_ms == 2 * HOUR
    feed(zone, 3 * HOUR, start=62_000, ticks=2)
    assert zone.offset_ms == 3 * HOUR


def test_a_single_wild_pair_between_good_ones_is_forgotten() -> None:
    zone = Zone()
    feed(zone, 2 * HOUR)
    feed(zone, 3 * HOUR, start=60_000, ticks=2)
    feed(zone, 2 * HOUR, start=120_000)
    feed(zone, 3 * HOUR, start=180_000, ticks=2)
    assert zone.offset_ms == 2 * HOUR


def test_a_look_that_came_late_is_no_pair() -> None:
    zone = Zone()
    zone.see(E, NOW, NOW, 0)
    zone.see(E, NOW + 1000, NOW + 6000, 6000)  # the thread stood still for five seconds
    assert zone.offset_ms is None


def test_the_operators_word_stands_and_a_contradiction_is_told() -> None:
    zone = Zone(3 * HOUR)
    assert (zone.offset_ms, zone.why) == (3 * HOUR, "")
    feed(zone, 2 * HOUR)
    assert zone.offset_ms == 3 * HOUR
    assert zone.why == (
        "utc_offset_minutes says +180 min, the ticks say +120 min: mend that line "
        "(daylight saving?)"
    )


def test_ticks_of_before_a_reconnect_make_no_pair_with_those_after_it() -> None:
    zone = Zone()
    zone.see(E, NOW, NOW, 0)
    zone.forget()
    zone.see(E, NOW + 1000, NOW + 1000, 1000)
    assert zone.offset_ms is None


# --- a time that is sent --------------------------------------------------------------------------


def test_an_offset_from_before_the_week_end_is_not_sent_until_ticks_confirm_it() -> None:
    zone, days = Zone(), 49 * HOUR
    feed(zone, 2 * HOUR)
    assert zone.to_send_ms(8_000) == 2 * HOUR
    assert zone.to_send_ms(8_000 + days) is None
    assert zone.offset_ms == 2 * HOUR  # what was recorded before is still read by it
    feed(zone, 3 * HOUR, start=days, ticks=2)  # one fresh pair: it may have changed
    assert zone.to_send_ms(8_000 + days) is None
    feed(zone, 3 * HOUR, start=days + 2_000)
    assert zone.to_send_ms(12_000 + days) == 3 * HOUR


def test_a_pinned_offset_is_sent_whatever_the_ticks_say() -> None:
    zone = Zone(2 * HOUR)
    feed(zone, 3 * HOUR)
    assert zone.to_send_ms(99 * HOUR) == 2 * HOUR


def test_an_unknown_offset_is_not_sent() -> None:
    assert Zone().to_send_ms(0) is None
