"""A deadline on two clocks: the earlier one counts, and at the deadline is too late."""

from __future__ import annotations

import pytest

from bridge_core.protocol.deadline import Deadline

# Seen 400 ms before the end: wall clock 9 600 of 10 000, monotonic clock 50 of 450.
SEEN = Deadline.at(10_000, 9_600, 50)


def test_the_first_check_fixes_the_same_rest_on_both_clocks() -> None:
    assert Deadline(wall_ms=10_000, mono_ms=450) == SEEN


@pytest.mark.parametrize(
    ("wall", "mono", "passed"),
    [
        (9_999, 449, False),
        (10_000, 449, True),
        (9_999, 450, True),
        (10_001, 60, True),  # the wall clock was set forward
        (1, 451, True),  # the wall clock was set back: that lengthens nothing
    ],
)
def test_either_clock_ends_it(wall: int, mono: int, *, passed: bool) -> None:
    assert SEEN.passed(wall, mono) is passed


@pytest.mark.parametrize(
    ("wall", "mono", "left"),
    [(9_600, 50, 400), (9_900, 50, 100), (9_600, 449, 1), (10_000, 450, 0), (20_000, 50, 0)],
)
def test_what_is_left_is_what_the_nearer_clock_says_and_never_negative(
    wall: int, mono: int, left: int
) -> None:
    assert SEEN.remaining_ms(wall, mono) == left
