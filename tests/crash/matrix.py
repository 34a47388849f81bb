"""Plays the rows of the matrix in several pipelines at once, and keeps what was seen."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from tests.crash.dying import DYING, Scenario
from tests.crash.failing import FAILING
from tests.crash.losing import LOSING
from tests.crash.network import NETWORK
from tests.crash.recovering import RECOVERING
from tests.crash.stage import Stage
from tests.crash.table import End, Point

__all__ = ["SCENARIOS", "Matrix", "Played"]

SCENARIOS: Final[dict[str, Scenario]] = {**DYING, **NETWORK, **LOSING, **RECOVERING, **FAILING}


class Played(NamedTuple):
    """One run: how it ended, after how many seconds."""

    end: End
    seconds: float


class Matrix:
    """Begins every row at once, so that waits overlap; each test takes the runs of its own row."""

    def __init__(self, stage: Stage, pipelines: int) -> None:
        self._stage = stage
        self._pool = ThreadPoolExecutor(pipelines, thread_name_prefix="crash")
        self._runs: dict[str, list[Future[Played]]] = {}
        self._points: dict[str, Point] = {}

    def begin(self, name: str, point: Point, times: int) -> None:
        """Queue so many runs of a row; its places take turns."""
        if point.needs_faults and self._stage.no_faults:
            return
        self._points[name] = point
        self._runs[name] = [self._pool.submit(self._play, point, turn) for turn in range(times)]

    def _play(self, point: Point, turn: int) -> Played:
        began = time.monotonic()
        with self._stage.open(point.ttl_ms) as run:
            end = SCENARIOS[point.how](run, point, turn)
        return Played(end, time.monotonic() - began)

    def wait(self, name: str) -> list[Played]:
        """Return the runs of a row; raises what the first broken one raised."""
        return [one.result() for one in self._runs[name]]

    def close(self) -> None:
        """Give up what has not begun and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)

    def report(self) -> list[str]:
        """Return a line for each row: runs, submissions begun, seconds, outcomes seen."""
        lines = [f"{'runs':>5} {'begun':>5} {'s each':>6}  row"]
        for name, point in self._points.items():
            done = [one.result() for one in self._runs[name]
                    if one.done() and not one.cancelled() and one.exception() is None]  # fmt: skip
            seen = Counter(str(one.end) for one in done)
            ends = ", ".join(f"{end} x{count}" for end, count in sorted(seen.items()))
            each = sum(one.seconds for one in done) / max(1, len(done))
            begun = sum(one.end.begun for one in done)
            lines.append(f"{len(done):>5} {begun:>5} {each:>6.2f}  {point.id}: {ends}")
        return lines
