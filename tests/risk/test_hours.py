"""Trading hours: to the minute, through the week, and no text that says something else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.risk.hours import parse_hours


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "moment", "is_open"),
    [("Mon-Fri 07:00-21:00", "2026-11-20T07:00", True),  # a Friday
     ("Mon-Fri 07:00-21:00", "2026-11-20T06:59:59.999", False),
     ("Mon-Fri 07:00-21:00", "2026-11-20T20:59:59.999", True),
     ("Mon-Fri 07:00-21:00", "2026-11-20T21:00", False),
     ("Mon-Fri 07:00-21:00", "2026-11-21T12:00", False),
     ("Mon-Fri 07:00-21:00, Sun 22:00-24:00", "2026-11-22T23:59:59.999", True),
     ("Mon-Fri 07:00-21:00, Sun 22:00-24:00", "2026-11-23T00:00", False),
     ("Sun 22:00-24:00,Mon 00:00-01:00", "2026-11-23T00:59", True),
     ("Fri-Mon 00:00-24:00", "2026-11-22T12:00", True),
     ("Fri-Mon 00:00-24:00", "2026-11-24T00:00", False),
     ("Thu 00:00-24:00", "1970-01-01T00:00", True),
     ("Mon-Sun 00:00-24:00", "2026-11-22T12:00", True)],
)  # fmt: skip
def test_a_moment_is_within_or_without(text: str, moment: str, is_open: bool) -> None:
    assert parse_hours(text).open_at(_ms(moment)) is is_open


@pytest.mark.parametrize(
    "text",
    ["", "always", "Mon", "07:00-21:00", "Mon 7:00-21:00", "Mon 07:00-24:01", "Mon 07:60-21:00",
     "Mon 24:00-24:00", "mon 07:00-21:00", "Mon-Fri 07:00-21:00,", "Mon 07:00-07:00",
     "Mon 22:00-02:00", "Mon 07:00-21:00 Tue 07:00-21:00", "Mon  07:00-21:00",
     "Mon 07:00-21:00\n, Tue\t07:00-21:00"],
)  # fmt: skip
def test_a_text_that_is_not_days_and_times_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match="trading_hours: "):
        parse_hours(text)


@given(st.integers(0, 2**50), st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440))
def test_hours_agree_with_the_calendar(at_ms: int, day: int, start: int, end: int) -> None:
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    at_ms %= 2_000_000_000_000
    if start >= end:
        return
    times = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (start, end))
    now = datetime.fromtimestamp(at_ms // 1000, UTC)
    expected = now.weekday() == day and start <= now.hour * 60 + now.minute < end
    assert parse_hours(f"{names[day]} {times}").open_at(at_ms) is expected
