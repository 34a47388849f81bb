"""A clock that runs by itself and that a scenario can move on, set, or hold still."""

from __future__ import annotations

import threading

from bridge_core.host.clock import SystemClock

__all__ = ["StageClock"]


class StageClock:
    """Satisfies `bridge_core.host.clock.Clock`. Thread-safe; all values are ms.

    `true_ms` is the time that no operator can set: what a deadline is judged by.
    """

    def __init__(self) -> None:
        self._real = SystemClock()
        self._lock = threading.Lock()
        self._passed_ns = 0
        self._set_ms = 0
        self.was_set = False
        self._held: tuple[int, int] | None = None

    def _now(self) -> tuple[int, int]:
        with self._lock:
            if self._held is not None:
                return self._held
            wall_ns = self._real.wall_ms() * 1_000_000 + self._passed_ns
            return wall_ns // 1_000_000, self._real.mono_ns() + self._passed_ns

    def true_ms(self) -> int:
        """Return UTC ms as everybody else's clock shows them."""
        return self._now()[0]

    def wall_ms(self) -> int:
        """Return UTC ms as this machine's clock shows them."""
        return self._now()[0] + self._set_ms

    def mono_ms(self) -> int:
        """Return monotonic ms."""
        return self._now()[1] // 1_000_000

    def mono_ns(self) -> int:
        """Return monotonic ns."""
        return self._now()[1]

    # --- for the scenario ----------------------------------------------------------------------

    @property
    def set_ms(self) -> int:
        """How far the wall clock was set, forward positive."""
        return self._set_ms

    def advance(self, ms: int) -> None:
        """Let time pass at once, on both clocks."""
        with self._lock:
            if self._held is not None:
                wall, mono = self._held
                self._held = (wall + ms, mono + ms * 1_000_000)
            self._passed_ns += ms * 1_000_000

    def set_wall(self, ms: int) -> None:
        """Set the wall clock forward or back, as an operator or NTP does."""
        with self._lock:
            self._set_ms += ms
            self.was_set = True

    def hold(self) -> None:
        """Stand still until `go`."""
        now = self._now()
        with self._lock:
            self._held = now

    def go(self) -> None:
        """Run on from where it stood."""
        with self._lock:
            if self._held is None:
                return
            wall, _ = self._held
            self._held = None
            self._passed_ns = (wall - self._real.wall_ms()) * 1_000_000
