"""How far a price has swung lately: highest and lowest mid within a window. Pure.

Time is an argument (UTC ms). A window is kept in slices, so that memory stays bounded however many
ticks come; a price counts for its window and up to one slice longer, never shorter.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

from msgspec import Struct

from bridge_core.risk.picture import Swing

__all__ = ["Swings"]

_SLICES: Final = 60
_SLICE_MS_MIN: Final = 1_000


class _Slice(Struct):
    end_ms: int
    high: Decimal
    low: Decimal


class Swings:
    """The swings of several symbols, each over a window of its own."""

    def __init__(self) -> None:
        self._slices: dict[str, deque[_Slice]] = {}
        self._windows: dict[str, int] = {}

    def take(self, symbol: str, mid: Decimal, now_ms: int, window_ms: int) -> None:
        """Take in a mid price of now."""
        self._windows[symbol] = window_ms
        slices = self._slices.setdefault(symbol, deque())
        if not slices or now_ms >= slices[-1].end_ms:
            width = max(_SLICE_MS_MIN, window_ms // _SLICES)
            slices.append(_Slice(now_ms + width, mid, mid))
        else:
            last = slices[-1]
            last.high, last.low = max(last.high, mid), min(last.low, mid)
        self._forget(symbol, now_ms)

    def of(self, symbol: str, now_ms: int) -> Swing | None:
        """Return the swing within the window that ends now, None if no price was seen in it."""
        self._forget(symbol, now_ms)
        slices = self._slices.get(symbol)
        if not slices:
            return None
        return Swing(max(one.high for one in slices), min(one.low for one in slices))

    def _forget(self, symbol: str, now_ms: int) -> None:
        slices = self._slices.get(symbol)
        while slices and slices[0].end_ms + self._windows[symbol] <= now_ms:
            slices.popleft()
