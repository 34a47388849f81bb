"""The arithmetic of the daily report: slippage, spreads of numbers, which day it is.

Pure. Points are the symbol's; positive slippage is worse for us.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar

__all__ = ["DAY_MS", "Spread", "day_bounds", "median", "percentile", "slippage_points", "spread"]

DAY_MS: Final = 86_400_000
_N = TypeVar("_N", Decimal, float)


class Spread(NamedTuple):
    """How many numbers (`n`), the smallest, the middle, the 99th of a hundred, and the largest."""

    n: int
    low: float
    median: float
    p99: float
    high: float


def day_bounds(day: date) -> tuple[int, int]:
    """Return the first UTC ms of a day, and the first of the next."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(start.timestamp() * 1000), int((start + timedelta(days=1)).timestamp() * 1000)


def median(numbers: Iterable[_N]) -> _N:
    """Return the middle number; of an even count the mean of the middle two.

    Raises:
        ValueError: there is none.
    """
    ordered = sorted(numbers)
    if not ordered:
        raise ValueError("no numbers")
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(numbers: Iterable[float], percent: int) -> float:
    """Return the nearest-rank percentile: a number that was measured, never one between two.

    Raises:
        ValueError: there is no number, or `percent` is not 1 to 100.
    """
    ordered = sorted(numbers)
    if not ordered or not 1 <= percent <= 100:
        raise ValueError("no numbers, or no percentage")
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def spread(numbers: Iterable[float]) -> Spread | None:
    """Return the spread of numbers, None of none."""
    ordered = sorted(numbers)
    if not ordered:
        return None
    return Spread(len(ordered), ordered[0], median(ordered), percentile(ordered, 99), ordered[-1])


def slippage_points(
    op: str, side: str, price: Decimal, reference: Decimal, point: Decimal
) -> Decimal | None:
    """Return how many points worse than the reference a fill was; negative is better.

    `side` is the order's type, and of a CLOSE that of the position it closes: an OPEN of BUY and a
    CLOSE of a SELL buy, the others sell. None where there is no such price.
    """
    first = side.partition("_")[0]
    if op not in ("OPEN", "CLOSE") or first not in ("BUY", "SELL") or point <= 0:
        return None
    if price <= 0 or reference <= 0:
        return None
    buys = (first == "BUY") == (op == "OPEN")
    return (price - reference if buys else reference - price) / point
