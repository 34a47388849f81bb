"""A deadline on two clocks: the earlier one counts (protocol.md 6)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Deadline"]


class Deadline(NamedTuple):
    """UTC ms on the wall clock and ms on the monotonic clock.

    A wall clock that is set back cannot lengthen an order's life.
    """

    wall_ms: int
    mono_ms: int

    @classmethod
    def at(cls, wall_deadline_ms: int, wall_now_ms: int, mono_now_ms: int) -> Deadline:
        """Return the deadline as seen at this first check."""
        return cls(wall_deadline_ms, mono_now_ms + wall_deadline_ms - wall_now_ms)

    def passed(self, wall_ms: int, mono_ms: int) -> bool:
        """Return whether either clock has reached it; at the deadline is too late."""
        return wall_ms >= self.wall_ms or mono_ms >= self.mono_ms

    def remaining_ms(self, wall_ms: int, mono_ms: int) -> int:
        """Return the ms left on the clock that is nearer, never below 0."""
        return max(0, min(self.wall_ms - wall_ms, self.mono_ms - mono_ms))
