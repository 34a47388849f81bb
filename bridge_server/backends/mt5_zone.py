"""The broker's clock against UTC: estimated from fresh ticks, pinned, or unknown. Pure.

MetaTrader 5 counts every time on the broker's clock and offers no call that says how far that is
from UTC. A tick can be old without looking so (a pause, a week-end, a link that was away), so one
tick says nothing. Two ticks of one symbol whose own times lie as far apart as the moments at which
they were seen were both fresh: such a pair gives the offset, rounded to half an hour.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["Zone"]

_STEP_MS: Final = 1_800_000  # zones lie on the half hour
_APART_MS: Final = 2_000  # a poll may come late
_PAIR_MS_MAX: Final = 600_000
# A PC's clock is disciplined; what is further off is a delayed feed, or nothing to count with.
_RESIDUE_MS_MAX: Final = 300_000
_WEST_MS: Final = -12 * 3_600_000
_EAST_MS: Final = 14 * 3_600_000
_PAIRS_FOR_A_CHANGE: Final = 2
_MINUTE_MS: Final = 60_000
_SURE_MS: Final = 86_400_000  # clocks are changed on week-ends, and these are longer


class _Seen(NamedTuple):
    tick_ms: int
    mono_ms: int


class Zone:
    """The offset in ms, broker minus UTC. `pinned_ms` is the operator's word, and stands."""

    def __init__(self, pinned_ms: int | None = None) -> None:
        self._pinned_ms = pinned_ms
        self._found_ms: int | None = None
        self._rival_ms: int | None = None
        self._rival_pairs = 0
        self._off_ms = 0
        self._fresh_mono = 0
        self._seen: dict[str, _Seen] = {}

    @property
    def offset_ms(self) -> int | None:
        """Return the broker's clock minus UTC in ms, None while it is unknown."""
        return self._pinned_ms if self._pinned_ms is not None else self._found_ms

    def to_send_ms(self, mono_ms: int) -> int | None:
        """Return the offset for a time that goes to the broker, None while it may be another now.

        Daylight saving may have begun or ended since the last fresh ticks (`mono_ms` is now).
        """
        if self._pinned_ms is not None:
            return self._pinned_ms
        stale = mono_ms - self._fresh_mono > _SURE_MS
        return None if self._rival_pairs or stale else self._found_ms

    @property
    def why(self) -> str:
        """Return what is wrong with the offset, with the fix; "" if nothing is."""
        if self._pinned_ms is None and self._found_ms is None:
            if self._off_ms:
                return (
                    f"ticks are {abs(self._off_ms) // _MINUTE_MS} min off any zone: set this PC's "
                    "clock, or utc_offset_minutes if the quotes are delayed"
                )
            return "no two fresh ticks yet: wait for the market, or set utc_offset_minutes"
        if self._pinned_ms not in (None, self._found_ms) and self._found_ms is not None:
            return (
                f"utc_offset_minutes says {_minutes(self._pinned_ms)}, the ticks say "
                f"{_minutes(self._found_ms)}: mend that line (daylight saving?)"
            )
        return ""

    def see(self, symbol: str, tick_ms: int, wall_ms: int, mono_ms: int) -> bool:
        """Take a tick (broker's ms) as read now (UTC ms, monotonic ms); whether the offset moved.

        The first fresh pair is believed; another offset than the known one needs two in a row.
        """
        last = self._seen.get(symbol)
        if last is not None and last.tick_ms == tick_ms:
            return False
        self._seen[symbol] = _Seen(tick_ms, mono_ms)
        if last is None or not _fresh(tick_ms - last.tick_ms, mono_ms - last.mono_ms):
            return False
        gap = tick_ms - wall_ms
        offset = (gap + _STEP_MS // 2) // _STEP_MS * _STEP_MS
        residue = gap - offset
        if abs(residue) > _RESIDUE_MS_MAX or not _WEST_MS <= offset <= _EAST_MS:
            self._off_ms = residue if abs(residue) > _RESIDUE_MS_MAX else gap
            return False
        self._off_ms, self._fresh_mono = 0, mono_ms
        return self._take(offset)

    def _take(self, offset: int) -> bool:
        if offset == self._found_ms:
            self._rival_ms, self._rival_pairs = None, 0
            return False
        self._rival_pairs = self._rival_pairs + 1 if offset == self._rival_ms else 1
        self._rival_ms = offset
        if self._found_ms is not None and self._rival_pairs < _PAIRS_FOR_A_CHANGE:
            return False
        self._found_ms, self._rival_ms, self._rival_pairs = offset, None, 0
        return self._pinned_ms is None

    def forget(self) -> None:
        """Forget the ticks seen: the terminal was away, or shows another broker."""
        self._seen.clear()


def _fresh(tick_gap: int, mono_gap: int) -> bool:
    return tick_gap > 0 and mono_gap <= _PAIR_MS_MAX and abs(tick_gap - mono_gap) <= _APART_MS


def _minutes(ms: int | None) -> str:
    return f"{(ms or 0) // _MINUTE_MS:+d} min"
