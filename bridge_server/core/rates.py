"""Message rates: one token bucket per key id and lane, so that reads never starve a close."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.operations import Lane

__all__ = ["Rates", "TokenBuckets"]

_TOKEN: Final = 1000


class Rates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages per second by lane; the stop lane has no bound. A bucket holds two seconds."""

    entry_per_s: int = 50
    reduce_per_s: int = 100
    settle_per_s: int = limits.QUERIES_PER_SECOND

    def of(self, lane: Lane) -> int | None:
        """Return the bound of a lane, None for the stop lane."""
        return {
            Lane.ENTRY: self.entry_per_s,
            Lane.REDUCE: self.reduce_per_s,
            Lane.SETTLE: self.settle_per_s,
        }.get(lane)


class TokenBuckets:
    """Buckets on the monotonic clock (ms); the table is bounded by kids x lanes."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        # Thousandths of a token, so that a per-second rate and milliseconds stay whole numbers.
        self._level: dict[tuple[str, Lane], tuple[int, int]] = {}

    def charge(self, kid: str, lane: Lane, mono_ms: int) -> Refusal | None:
        """Take one token, or return RATE with the bound."""
        per_s = self._rates.of(lane)
        if per_s is None:
            return None
        capacity = 2 * per_s * _TOKEN
        level, then = self._level.get((kid, lane), (capacity, mono_ms))
        level = min(capacity, level + (mono_ms - then) * per_s)
        if level < _TOKEN:
            self._level[kid, lane] = (level, mono_ms)
            return Refusal(ReasonCode.RATE, limit=f"{per_s}/s", headroom="0")
        self._level[kid, lane] = (level - _TOKEN, mono_ms)
        return None
