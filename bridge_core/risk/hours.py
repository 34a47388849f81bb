"""Trading hours as text, UTC: `Mon-Fri 07:00-21:00, Sun 22:00-24:00`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

__all__ = ["Hours", "parse_hours"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTE_MS: Final = 60_000
_DAY_MINUTES: Final = 1_440
_WEEK_MINUTES: Final = 7 * _DAY_MINUTES
# 1970-01-01 was a Thursday.
_EPOCH_DAY: Final = 3
_SPAN: Final = re.compile(
    rf"\A({'|'.join(_DAYS)})(?:-({'|'.join(_DAYS)}))? "
    r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|(24:00))\Z"
)


class Hours(Struct, frozen=True):
    """Spans in minutes of the week from Monday 00:00 UTC; the end is outside."""

    spans: tuple[tuple[int, int], ...]

    def open_at(self, utc_ms: int) -> bool:
        """Return whether a moment lies within."""
        minute = (utc_ms // _MINUTE_MS + _EPOCH_DAY * _DAY_MINUTES) % _WEEK_MINUTES
        return any(start <= minute < end for start, end in self.spans)


@lru_cache(maxsize=256)
def parse_hours(text: str) -> Hours:
    """Return the hours in a text.

    Raises:
        ValueError: not days and times; a span over midnight is two spans.
    """
    spans: list[tuple[int, int]] = []
    for part in text.split(","):
        found = _SPAN.match(part.strip())
        if found is None:
            raise ValueError(f"trading_hours: {part.strip()!r} is not like 'Mon-Fri 07:00-21:00'")
        start = int(found[3]) * 60 + int(found[4])
        end = _DAY_MINUTES if found[7] else int(found[5]) * 60 + int(found[6])
        if start >= end:
            raise ValueError(
                f"trading_hours: {part.strip()!r} ends before it begins; over midnight write two"
            )
        first = _DAYS.index(found[1])
        last = _DAYS.index(found[2] or found[1])
        for ahead in range((last - first) % 7 + 1):
            day = (first + ahead) % 7 * _DAY_MINUTES
            spans.append((day + start, day + end))
    return Hours(tuple(spans))
