"""Message rates: a token bucket per key id and lane, so that reads never starve a close.

Entries pass a second bucket that all key ids share: many strategies are not many limits.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.operations import Lane

__all__ = ["Rates", "TokenBuckets"]

_TOKEN: Final = 1000
_ALL: Final = ("", Lane.ENTRY)  # no key id is empty


class Rates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages per second by lane; the stop lane has no bound. A bucket holds two seconds.

    `account_entry_per_s` bounds the entries of all key ids together.
    """

    entry_per_s: int = 50
    account_entry_per_s: int = 100
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
    """Buckets on the monotonic clock (ms); the table is bounded by kids x lanes, and one more."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        # Thousandths of a token, so that a per-second rate and milliseconds stay whole numbers.
        self._level: dict[tuple[str, Lane], tuple[int, int]] = {}

    def charge(self, kid: str, lane: Lane, mono_ms: int) -> Refusal | None:
        """Take one token of every bucket of the message, or none and return RATE with the bound."""
        per_s = self._rates.of(lane)
        if per_s is None:
            return None
        bounds = [((kid, lane), per_s)]
        if lane is Lane.ENTRY:
            bounds.append((_ALL, self._rates.account_entry_per_s))
        levels = [self._filled(key, bound, mono_ms) for key, bound in bounds]
        for (key, bound), level in zip(bounds, levels, strict=True):
            if level < _TOKEN:
                whose = "account " if key is _ALL else ""
                return Refusal(ReasonCode.RATE, limit=f"{whose}{bound}/s", headroom="0")
        for (key, _), level in zip(bounds, levels, strict=True):
            self._level[key] = (level - _TOKEN, mono_ms)
        return None

    def _filled(self, key: tuple[str, Lane], per_s: int, mono_ms: int) -> int:
        capacity = 2 * per_s * _TOKEN
        level, then = self._level.get(key, (capacity, mono_ms))
        level = min(capacity, level + (mono_ms - then) * per_s)
        self._level[key] = (level, mono_ms)
        return level
