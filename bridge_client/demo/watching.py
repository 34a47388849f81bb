"""The bridge as the demo hands it to the strategy: the same public calls, noted and paced.

A private name is not there, so a strategy that runs here uses the public API and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from bridge_client.connector import Connector
from bridge_client.demo.house import House
from bridge_client.demo.prices import SYMBOL, Tape, TapeRow
from bridge_client.events import EventFeed
from bridge_client.facts import Fact
from bridge_client.happenings import Resync, Tick
from bridge_client.result import OrderResult
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.errors import BridgeError

__all__ = ["Noted", "Pacer", "Watched"]

_ENTRY_CALLS: Final = frozenset(
    {"send_order", "buy", "sell", "buy_limit", "sell_limit", "buy_stop", "sell_stop"}
)
_ORDER_CALLS: Final = _ENTRY_CALLS | {
    "close_position", "modify_position", "modify_order", "cancel_order", "flatten",
}  # fmt: skip
_PROBE_LOTS: Final = "0.01"
_LOOK_S: Final = 0.01
_READY_S: Final = 10.0
_PATIENCE_S: Final = 10.0
_RESYNC_S: Final = 20.0


class Noted(NamedTuple):
    """One order call: its id, what it returned, how long it took (ms), before which price (row)."""

    client_order_id: str
    result: OrderResult
    ms: float
    row: int


class Watched:
    """Everything public of a Connector; each order call gets the next id and is noted."""

    def __init__(self, bridge: Connector, seed: int) -> None:
        self._bridge = bridge
        self._prefix = f"demo-{seed}-"
        self._pacer: Pacer | None = None
        self._numbered = 0
        self.noted: list[Noted] = []
        self.row = 0

    def pace_with(self, pacer: Pacer) -> None:
        """Let `events()` be paced."""
        self._pacer = pacer

    def events(self, *symbols: str, timeout: float | None = None) -> Iterator[Fact | None]:
        """Return the events of Connector.events, each price when the one before was handled."""
        assert self._pacer is not None
        del timeout  # silence ends the demo long before a strategy's patience does
        return self._pacer.events(self._bridge.events(*symbols, timeout=_PATIENCE_S))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the connector has)
        if name.startswith("_"):
            raise AttributeError(f"{name} is not public: a strategy has no business with it")
        found = getattr(self._bridge, name)
        return self._noting(name, found) if name in _ORDER_CALLS else found

    def _until_the_day_is_known(self) -> None:
        # A fixing is another day: an entry is refused until what that day has brought is read.
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            try:
                told = self._bridge.check_order(SYMBOL, "BUY", _PROBE_LOTS)
            except BridgeError:
                return  # the order itself will say so
            if told.code != ReasonCode.NO_ACCOUNT:
                return
            time.sleep(_LOOK_S)

    def _noting(self, name: str, call: Callable[..., OrderResult]) -> Callable[..., OrderResult]:
        def noted(*args: object, **options: object) -> OrderResult:
            if name in _ENTRY_CALLS:
                self._until_the_day_is_known()
            # Numbered, not random: two runs of one seed can be compared order by order.
            if "client_order_id" not in options:
                self._numbered += 1
                options["client_order_id"] = f"{self._prefix}{self._numbered:04}"
            begun = time.perf_counter()
            result = call(*args, **options)
            ms = (time.perf_counter() - begun) * 1000
            order = Noted(str(options["client_order_id"]), result, ms, self.row)
            self.noted.append(order)
            return result

        return noted


class Pacer:
    """Appends the next price when the strategy has asked for more than the last one's ticks.

    `between` is called before each row with its number, and says whether the server was restarted;
    so market time depends on what was handled, never on how long it took.
    """

    def __init__(self, house: House, tape: Tape, rate: int, between: Callable[[int], bool]) -> None:
        self._house = house
        self._tape = tape
        self._gap_s = 1 / rate
        self._between = between
        self.prices = 0
        self.ticks = 0

    def events(self, feed: EventFeed) -> Iterator[Fact | None]:
        """Yield every event of the feed until the prices are over.

        Raises:
            BridgeError: SILENCE or MISSED: a price did not reach us.
        """
        with feed:
            if not feed.ready(_READY_S):
                raise BridgeError("SILENCE", f"what='the first heartbeat' within_s={_READY_S:g}")
            due = time.monotonic()
            for number, row in enumerate(self._tape.rows):
                if self._between(number):
                    yield from _until_resync(feed)
                # A late price does not make the next one hurry.
                due = max(due + self._gap_s, time.monotonic())
                time.sleep(max(0.0, due - self._gap_s - time.monotonic()))
                self._house.append(row.line)
                yield from self._row(feed, row)
                self.prices += 1

    def _row(self, feed: EventFeed, row: TapeRow) -> Iterator[Fact | None]:
        left = row.ticks
        while left:
            event = next(feed, None)
            if event is None:
                self._house.alive()
                raise BridgeError("SILENCE", f"row={self.prices + 1} within_s={_PATIENCE_S:g}")
            if isinstance(event, Tick):
                if _ms(event.time) != row.time_ms:
                    continue  # a restarted server repeats its last quote; it was handled before
                if event.missed:
                    raise BridgeError("MISSED", f"row={self.prices + 1} ticks={event.missed}")
                left -= 1
                self.ticks += 1
            yield event


def _until_resync(feed: EventFeed) -> Iterator[Fact | None]:
    until = time.monotonic() + _RESYNC_S
    while time.monotonic() < until:
        event = next(feed, None)
        if event is not None and not isinstance(event, Tick):
            yield event
        if isinstance(event, Resync):
            return
    raise BridgeError("SILENCE", f"what='the truth after a restart' within_s={_RESYNC_S:g}")


def _ms(at: datetime | None) -> int:
    return 0 if at is None else round(at.timestamp() * 1000)
