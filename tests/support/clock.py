"""Clocks for tests: one that stands still until a test moves it, and one that can be moved."""

from __future__ import annotations

import time

__all__ = ["FakeClock", "SlidingClock"]


class FakeClock:
    """Satisfies `bridge_core.host.clock.Clock`; `wall` and `mono` are ms and may be set."""

    def __init__(self, wall: int = 1_795_219_200_000, mono: int = 1_000_000) -> None:
        self.wall = wall
        self.mono = mono

    def wall_ms(self) -> int:
        """Return the wall clock in UTC ms."""
        return self.wall

    def mono_ms(self) -> int:
        """Return the monotonic clock in ms."""
        return self.mono

    def mono_ns(self) -> int:
        """Return the monotonic clock in ns."""
        return self.mono * 1_000_000

    def advance(self, ms: int) -> None:
        """Let time pass: both clocks move."""
        self.wall += ms
        self.mono += ms

    def step_wall(self, ms: int) -> None:
        """Set the wall clock forward or back, as an operator or NTP would."""
        self.wall += ms


class SlidingClock(FakeClock):
    """This machine's clocks, plus what a test has added: for worlds with live threads."""

    def __init__(self) -> None:
        super().__init__(wall=0, mono=0)

    def wall_ms(self) -> int:
        """Return the wall clock in UTC ms."""
        return time.time_ns() // 1_000_000 + self.wall

    def mono_ms(self) -> int:
        """Return the monotonic clock in ms."""
        return time.monotonic_ns() // 1_000_000 + self.mono

    def mono_ns(self) -> int:
        """Return the monotonic clock in ns."""
        return time.monotonic_ns() + self.mono * 1_000_000
