"""The clock guard against steps, creeping and drift."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host.clock import Clock, ClockGuard, Deadline, SystemClock
from bridge_core.protocol import deadline
from bridge_core.protocol.limits import CLOCK_JUMP_MS_MAX, CLOCK_STABLE_MS
from tests.support.clock import FakeClock


def guarded() -> tuple[FakeClock, ClockGuard]:
    clock = FakeClock()
    return clock, ClockGuard(clock.wall, clock.mono)


def watch(clock: FakeClock, guard: ClockGuard, seconds: int, slew_ppm: int = 0) -> bool:
    """Observe once a second; the wall clock gains `slew_ppm` on the monotonic one."""
    always = True
    base_wall, base_mono = clock.wall, clock.mono
    for second in range(1, seconds + 1):
        clock.mono = base_mono + second * 1000
        clock.wall = base_wall + second * 1000 + second * slew_ppm // 1000
        always = guard.observe(clock.wall, clock.mono) and always
    return always


def test_the_system_clock_and_the_fake_one_fit_the_protocol() -> None:
    for clock in (SystemClock(), FakeClock()):
        fits: Clock = clock
        assert isinstance(fits.wall_ms(), int)
        assert abs(fits.mono_ns() - fits.mono_ms() * 1_000_000) < 50_000_000


def test_the_system_clock_counts_milliseconds() -> None:
    clock = SystemClock()
    assert abs(clock.wall_ms() - time.time() * 1000) < 1_000
    before = clock.mono_ms()
    time.sleep(0.02)
    assert 15 <= clock.mono_ms() - before < 1_000


def test_there_is_one_deadline_and_it_lives_in_the_contract() -> None:
    assert Deadline is deadline.Deadline


@pytest.mark.parametrize("step", [CLOCK_JUMP_MS_MAX + 1, -CLOCK_JUMP_MS_MAX - 1, 3_600_000, -5_000])
def test_a_step_of_the_wall_clock_is_seen_at_the_next_reading(step: int) -> None:
    clock, guard = guarded()
    assert watch(clock, guard, 100)
    clock.advance(1_000)
    clock.step_wall(step)
    assert not guard.observe(clock.wall, clock.mono)
    assert not guard.healthy
    assert guard.offset_jump_ms == step


@pytest.mark.parametrize("step", [CLOCK_JUMP_MS_MAX, -CLOCK_JUMP_MS_MAX, 1, 0])
def test_a_step_within_the_bound_is_no_jump(step: int) -> None:
    clock, guard = guarded()
    clock.step_wall(step)
    assert guard.observe(clock.wall, clock.mono)
    assert guard.offset_jump_ms == 0


def test_a_suspended_machine_is_a_jump() -> None:
    clock, guard = guarded()
    clock.wall += 8 * 3_600_000  # the monotonic clock slept with the machine
    assert not guard.observe(clock.wall, clock.mono)


def test_it_is_healthy_again_exactly_once_the_new_offset_was_stable() -> None:
    clock, guard = guarded()
    clock.step_wall(10_000)
    assert not guard.observe(clock.wall, clock.mono)
    clock.advance(CLOCK_STABLE_MS - 1)
    assert not guard.observe(clock.wall, clock.mono)
    clock.advance(1)
    assert guard.observe(clock.wall, clock.mono)
    assert guard.offset_jump_ms == 10_000


def test_a_second_step_begins_the_wait_anew_even_if_it_takes_the_first_back() -> None:
    clock, guard = guarded()
    clock.step_wall(10_000)
    guard.observe(clock.wall, clock.mono)
    clock.advance(CLOCK_STABLE_MS - 1)
    clock.step_wall(-10_000)
    assert not guard.observe(clock.wall, clock.mono)
    assert guard.offset_jump_ms == -10_000
    clock.advance(CLOCK_STABLE_MS - 1)
    assert not guard.observe(clock.wall, clock.mono)
    clock.advance(1)
    assert guard.observe(clock.wall, clock.mono)


@pytest.mark.parametrize("slew_ppm", [500, -500, 1_000, -1_000])
def test_a_day_of_honest_slewing_never_trips_it(slew_ppm: int) -> None:
    clock, guard = guarded()
    assert watch(clock, guard, 86_400, slew_ppm)


def test_many_small_steps_do_not_slip_under_the_bound() -> None:
    clock, guard = guarded()
    for _ in range(5):
        clock.advance(1_000)
        clock.step_wall(CLOCK_JUMP_MS_MAX - 50)
        guard.observe(clock.wall, clock.mono)
    assert not guard.healthy


def test_a_clock_that_runs_two_per_cent_fast_trips_it_although_no_reading_jumps() -> None:
    clock, guard = guarded()
    assert not watch(clock, guard, 60, slew_ppm=20_000)


def test_reading_it_a_thousand_times_a_second_does_not_make_the_reference_follow_faster() -> None:
    clock, guard = guarded()
    for _ in range(1_000):
        clock.advance(1)
        clock.step_wall(1)  # wall at double speed
        guard.observe(clock.wall, clock.mono)
    assert not guard.healthy


def test_a_long_gap_without_readings_does_not_excuse_a_step() -> None:
    clock, guard = guarded()
    clock.advance(3_600_000)
    clock.step_wall(2_000)
    assert not guard.observe(clock.wall, clock.mono)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(-2_000, 2_000)), max_size=30))
def test_no_step_beyond_the_bound_is_ever_missed(moves: list[tuple[int, int]]) -> None:
    clock, guard = guarded()
    for ms, step in moves:
        clock.advance(ms)
        clock.step_wall(step)
        healthy = guard.observe(clock.wall, clock.mono)
        if abs(step) > CLOCK_JUMP_MS_MAX:
            assert not healthy
