"""Hops and their availability, for HEALTH: up or down, since when, how much of the time."""

from __future__ import annotations

from collections import deque
from typing import Final

from bridge_core.protocol.views import HopView

__all__ = ["Hop"]

_DAY_MINUTES: Final = 24 * 60
_MINUTE_MS: Final = 60_000


class Hop:
    """One hop, observed each second on the monotonic clock (ms)."""

    def __init__(self, name: str, wall_ms: int, mono_ms: int) -> None:
        self.name = name
        self.state = "down"
        self.why = "not connected yet"
        self.ms = ""
        self._since_ms = wall_ms
        self._seen_ms = mono_ms
        self._up_ms = 0
        self._all_ms = 0
        self._minutes: deque[tuple[int, int]] = deque(maxlen=_DAY_MINUTES)
        self._minute = (0, 0)

    def observe(self, state: str, why: str, wall_ms: int, mono_ms: int) -> None:
        """Take one look: `up`, `degraded` or `down`; degraded counts as available."""
        passed = max(0, mono_ms - self._seen_ms)
        up = passed if self.state != "down" else 0
        self._seen_ms = mono_ms
        self._up_ms += up
        self._all_ms += passed
        self._minute = (self._minute[0] + up, self._minute[1] + passed)
        if self._minute[1] >= _MINUTE_MS:
            self._minutes.append(self._minute)
            self._minute = (0, 0)
        if state != self.state:
            self._since_ms = wall_ms
        self.state, self.why = state, why

    def view(self) -> HopView:
        """Return the hop as HEALTH shows it; availability in percent."""
        day = [*self._minutes, self._minute]
        return HopView(
            hop=self.name,
            state=self.state,
            why=self.why,
            since=self._since_ms,
            ms=self.ms,
            availability=_percent(self._up_ms, self._all_ms),
            availability_24h=_percent(sum(up for up, _ in day), sum(every for _, every in day)),
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else ""
