"""Remembered request ids, bounded: the memory replay class (protocol.md 6).

Only authenticated requests may touch it, and nothing that is still live is ever evicted: a full
memory refuses new requests instead (jupyter_client evicts at random; that reopens the window).
"""

from __future__ import annotations

from collections import deque

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode

__all__ = ["ReplayMemory"]


class ReplayMemory:
    """Request ids until iat + ttl + skew, after which no copy can be fresh."""

    def __init__(self, ids_max: int = limits.REPLAY_IDS_MAX) -> None:
        self._ids_max = ids_max
        self._until: dict[str, int] = {}
        self._order: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self._until)

    def __contains__(self, rid: str) -> bool:
        """Return whether the id is remembered; it may be stale."""
        return rid in self._until

    def admit(self, rid: str, deadline_ms: int, now_ms: int) -> ReasonCode | None:
        """Return the refusal, or None once the id is remembered (times UTC ms)."""
        self._forget(now_ms)
        if rid in self._until:
            return ReasonCode.REPLAYED
        if len(self._until) >= self._ids_max:
            return ReasonCode.REPLAY_MEMORY_FULL
        # One life past now bounds what a far-future iat could pin.
        until = min(deadline_ms, now_ms + limits.TTL_MS_MAX + limits.CLOCK_SKEW_MS_MAX)
        until = max(until, now_ms) + limits.CLOCK_SKEW_MS_MAX
        self._until[rid] = until
        self._order.append((until, rid))
        return None

    def _forget(self, now_ms: int) -> None:
        # Entries are nearly ordered (ttl differs by 10 s at most): one that outlives its turn at
        # the front only waits, it is never dropped early.
        while self._order and self._order[0][0] < now_ms:
            _, rid = self._order.popleft()
            del self._until[rid]
