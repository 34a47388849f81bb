"""How a figure is taken and shown: a line with its median, its p99 and its ratio to the floor."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

__all__ = ["quantile", "row", "timed"]


def quantile(times: Sequence[float], share: float) -> float:
    """Return a quantile of the sample."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def row(name: str, times: Sequence[float], base: float | None, note: str = "") -> None:
    """Print one line: median and p99 in microseconds, the median's ratio to the floor's."""
    median = statistics.median(times)
    ratio = f"{median / base:7.2f} x floor" if base else " " * 15
    print(f"{name:40} {median:9.1f} {quantile(times, 0.99):9.1f} {ratio}  {note}", flush=True)


def timed(call: Callable[[], object], rounds: int) -> list[float]:
    """Return microseconds per call."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e6)
    return times
