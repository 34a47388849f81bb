"""The broker's clock: UTC plus an offset that changes with daylight saving."""

from __future__ import annotations

from bridge_core.host.clock import Clock
from tests.support.fake_metatrader5.terms import Terms

__all__ = ["BrokerClock"]


class BrokerClock:
    """Broker time is ms since 1970 counted on the broker's own clock, as MetaTrader shows it."""

    def __init__(self, terms: Terms, clock: Clock) -> None:
        self._terms = terms
        self.source = clock

    def offset_ms(self, utc_ms: int) -> int:
        """Return broker time less UTC at an instant."""
        minutes = self._terms.zone_minutes
        for since_ms, later in sorted(self._terms.zone_changes):
            if utc_ms >= since_ms:
                minutes = later
        return minutes * 60_000

    def utc_ms(self) -> int:
        """Return UTC now."""
        return self.source.wall_ms()

    def now_ms(self) -> int:
        """Return the broker's time now."""
        utc_ms = self.source.wall_ms()
        return utc_ms + self.offset_ms(utc_ms)

    def now_s(self) -> int:
        """Return the broker's time now, in whole seconds."""
        return self.now_ms() // 1000

    def mono_ms(self) -> int:
        """Return a time that only goes forward, for delays."""
        return self.source.mono_ms()
