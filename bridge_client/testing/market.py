"""The market of one test: rows go to the paper broker's price files when the author says so.

Every step gives each symbol one row of one market time; a symbol whose prices are over stands
still. Thread-safe: a test may step while its strategy runs in another thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from bridge_client.testing.conditions import file_of, whole
from bridge_client.testing.prices import Row, Ruler, row_of, rows_of
from bridge_core.host.settings import nearest
from bridge_core.protocol.errors import BridgeError, ConfigError

__all__ = ["Market", "Player"]

_START_MS: Final = 1_704_153_600_000  # 2024-01-02T00:00:00Z, a Tuesday
_STEP_MS: Final = 60_000
_POINTS_MAX: Final = 100_000


class _Lane:
    """One symbol: its rows to come, where it stands, and how it is bent."""

    def __init__(self, rows: Iterator[Row], ruler: Ruler, file: Path) -> None:
        self._rows = rows
        self.ruler = ruler
        self._file = file
        self.next = next(rows, None)
        self.bid = self.ask = Decimal(0)
        self.shift = Decimal(0)

    def take(self) -> Row | None:
        """Return the next row as given, and look one further ahead."""
        row = self.next
        if row is not None:
            self.next = next(self._rows, None)
        return row

    def stand(self, row: Row | None) -> None:
        """Move to a row, shifted by the gaps so far; None stands still."""
        if row is None:
            return
        spread = self.ruler.spread * self.ruler.point if row.ask is None else row.ask - row.bid
        bid = row.bid + self.shift
        if bid <= 0:
            raise ConfigError("PRICES", f"price {bid} after the gaps: a price is above 0")
        self.bid, self.ask = bid, bid + spread

    def write(self, time_ms: int) -> None:
        """Append where it stands as a row."""
        with self._file.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{time_ms},{self.bid:f},{self.ask:f}\n")


class Market:
    """The prices of every symbol of one test."""

    def __init__(
        self, prices: Mapping[str, object], rulers: Mapping[str, Ruler], folder: Path
    ) -> None:
        """Look at the first price of each symbol.

        Raises:
            ConfigError: PRICES: there is none, or it does not hold.
        """
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        for number, (symbol, given) in enumerate(prices.items()):
            ruler = rulers[symbol]
            lane = _Lane(rows_of(given, ruler), ruler, folder / file_of(number))
            if lane.next is None:
                raise ConfigError("PRICES", f"there is no price of {symbol}: give at least one")
            self._lanes[symbol] = lane
        self._actions: dict[int, list[Callable[[], object]]] = {}
        self.time_ms = 0
        self.steps = 0

    def before(self, step: int, action: Callable[[], object]) -> None:
        """Do something just before a step, counted from 1.

        Raises:
            ConfigError: PRICES: it has come already.
        """
        if step <= self.steps:
            raise ConfigError("PRICES", f"price {step} has come already: {self.steps} have")
        self._actions.setdefault(step, []).append(action)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols, the first one first."""
        return tuple(self._lanes)

    @property
    def over(self) -> bool:
        """Whether every price was given to the broker."""
        return all(lane.next is None for lane in self._lanes.values())

    def lane(self, symbol: str) -> _Lane:
        """Return one symbol's prices.

        Raises:
            ConfigError: PRICES: no symbol of this test; names the nearest.
        """
        if symbol not in self._lanes:
            near = nearest(symbol, self._lanes)
            hint = f"did you mean {near}?" if near else f"it has {', '.join(self._lanes)}"
            raise ConfigError("PRICES", f"this test has no symbol {symbol}; {hint}")
        return self._lanes[symbol]

    def forward(self) -> int:
        """Give the broker the next price of every symbol; return its market time (UTC ms).

        Raises:
            BridgeError: PRICES_OVER.
            ConfigError: PRICES: the row, or the one after it, does not hold.
        """
        for action in self._actions.pop(self.steps + 1, ()):
            action()  # unlocked: it may move the market itself
        with self._lock:
            if self.over:
                raise BridgeError("PRICES_OVER", f"taken={self.steps} fix='give more prices'")
            rows = {symbol: lane.take() for symbol, lane in self._lanes.items()}
            times = {row.time_ms for row in rows.values() if row and row.time_ms is not None}
            if len(times) > 1:
                raise ConfigError(
                    "PRICES", "rows of several symbols have different times: align them"
                )
            time_ms = times.pop() if times else self._later()
            if time_ms <= self.time_ms:
                raise ConfigError(
                    "PRICES", "a time is not later than the one before: sort the rows"
                )
            for symbol, row in rows.items():
                self._lanes[symbol].stand(row)
            self.steps += 1
            return self._write(time_ms)

    def _later(self) -> int:
        return self.time_ms - self.time_ms % _STEP_MS + _STEP_MS if self.time_ms else _START_MS

    def place(self, symbol: str, price: object) -> int:
        """Let the market be at a price now: a mid or (bid, ask); what was given comes after it.

        Raises:
            ConfigError: PRICES: it does not hold.
        """
        with self._lock:
            lane = self.lane(symbol)
            try:
                row = row_of(price, lane.ruler)
            except (BridgeError, ValueError, ArithmeticError) as error:
                raise ConfigError("PRICES", f"price {price!r}: {error}") from error
            spread = lane.ruler.spread * lane.ruler.point if row.ask is None else row.ask - row.bid
            lane.bid, lane.ask = row.bid, row.bid + spread
            return self._write(self.time_ms + 1)

    def gap(self, symbol: str, delta: Decimal) -> int:
        """Move a symbol by a price difference at once, and all its later prices with it."""
        with self._lock:
            lane = self.lane(symbol)
            moved = lane.ruler.on_grid(delta)
            if lane.bid + moved <= 0:
                raise ConfigError("PRICES", f"gap {delta} leads below 0: a price is above 0")
            lane.shift += moved
            lane.bid, lane.ask = lane.bid + moved, lane.ask + moved
            return self._write(self.time_ms + 1)

    def spread(self, symbol: str, points: int) -> int:
        """Set a symbol's spread at once, and of all its later prices without an ask of their own.

        Raises:
            ConfigError: not a number of points.
        """
        whole(points, "spread", (0, _POINTS_MAX))
        with self._lock:
            lane = self.lane(symbol)
            lane.ruler = lane.ruler._replace(spread=points)
            lane.ask = lane.bid + points * lane.ruler.point
            return self._write(self.time_ms + 1)

    def _write(self, time_ms: int) -> int:
        self.time_ms = time_ms
        for lane in self._lanes.values():
            lane.write(time_ms)
        return time_ms


class Player:
    """Gives prices by themselves, so many a second, until they are over."""

    def __init__(self, market: Market, per_s: float) -> None:
        """Begin at once."""
        self._market = market
        self._gap_s = 1 / per_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="paper-prices", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic() + self._gap_s
        while not self._ending.wait(max(0.0, due - time.monotonic())) and not self._market.over:
            self._market.forward()
            due = max(due + self._gap_s, time.monotonic())

    def stop(self) -> None:
        """End, and wait for it."""
        self._ending.set()
        self._thread.join()
