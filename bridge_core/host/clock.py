"""What reads the clocks, and the guard against steps of one of them."""

from __future__ import annotations

import time
from typing import Final, Protocol

from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.limits import CLOCK_JUMP_MS_MAX, CLOCK_STABLE_MS

__all__ = ["Clock", "ClockGuard", "Deadline", "SystemClock"]

# How fast the reference of ClockGuard follows the offset, in parts per million of monotonic time.
# Twice the 500 ppm at which kernels slew, so ordinary NTP correction is followed without lag,
# while an offset that creeps faster than that is measured against where it started.
_FOLLOW_PPM: Final = 1_000


class Clock(Protocol):
    """The two clocks a shell reads; the floors below take the numbers as arguments."""

    def wall_ms(self) -> int:
        """Return UTC milliseconds since 1970; may step when an operator or NTP sets it."""
        ...

    def mono_ms(self) -> int:
        """Return milliseconds of a clock that never goes back; its zero means nothing."""
        ...

    def mono_ns(self) -> int:
        """Return nanoseconds of the same clock, for measuring."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def wall_ms(self) -> int:
        """Return UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        """Return monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def mono_ns(self) -> int:
        """Return monotonic nanoseconds."""
        return time.monotonic_ns()


class ClockGuard:
    """Watches wall minus monotonic time; a step makes it unhealthy until the offset is stable.

    Every observation is compared with the one before it (a step) and with a slow reference that
    follows at most `_FOLLOW_PPM` (many small steps, or a slew faster than any kernel's). More
    than CLOCK_JUMP_MS_MAX from either trips it; the new offset becomes the reference, and it
    is healthy again once no further jump was seen for CLOCK_STABLE_MS of monotonic time.
    Observe at least once a minute: over longer gaps honest drift looks like a step.
    """

    def __init__(self, wall_ms: int, mono_ms: int) -> None:
        self._last_offset = wall_ms - mono_ms
        self._last_mono_ms = mono_ms
        # The reference is kept in nanoseconds: at 1000 ppm a call each ms moves it by 1000 ns.
        self._reference_ns = self._last_offset * 1_000_000
        self._unstable_since_ms: int | None = None
        self._offset_jump_ms = 0

    @property
    def healthy(self) -> bool:
        """False from a jump until the offset has been stable."""
        return self._unstable_since_ms is None

    @property
    def offset_jump_ms(self) -> int:
        """The last jump in ms, positive if the wall clock went forward; 0 if there was none."""
        return self._offset_jump_ms

    def observe(self, wall_ms: int, mono_ms: int) -> bool:
        """Take one reading of both clocks (ms) and return whether the clock may be trusted."""
        offset = wall_ms - mono_ms
        step = offset - self._last_offset
        creep = offset - self._reference_ns // 1_000_000
        jump = step if abs(step) >= abs(creep) else creep
        if abs(jump) > CLOCK_JUMP_MS_MAX:
            self._offset_jump_ms = jump
            self._unstable_since_ms = mono_ms
            self._reference_ns = offset * 1_000_000
        else:
            self._follow(offset, mono_ms)
            since = self._unstable_since_ms
            if since is not None and mono_ms - since >= CLOCK_STABLE_MS:
                self._unstable_since_ms = None
        self._last_offset = offset
        self._last_mono_ms = mono_ms
        return self.healthy

    def _follow(self, offset: int, mono_ms: int) -> None:
        """Move the reference towards the offset, no faster than honest slewing."""
        allowed_ns = max(0, mono_ms - self._last_mono_ms) * _FOLLOW_PPM
        distance_ns = offset * 1_000_000 - self._reference_ns
        self._reference_ns += max(-allowed_ns, min(allowed_ns, distance_ns))
