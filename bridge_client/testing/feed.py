"""Events that pace the market: the next price comes when a strategy asks for more.

So a strategy runs in the test's own thread, as fast as it can, and meets every price after it has
dealt with the one before, however long that took.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from bridge_client.events import EventFeed, Sources
from bridge_client.facts import Fact
from bridge_client.happenings import Resync, Tick
from bridge_client.testing.market import Market
from bridge_client.transport import Subscriber
from bridge_core.protocol.errors import BridgeError

__all__ = ["OwnedFeed", "PacedFeed"]

_READY_S: Final = 10.0
_ASK_S: Final = 0.02
_LET_GO_S: Final = 2.0


class OwnedFeed(EventFeed):
    """`EventFeed` whose socket the kit closes, should the author have left it open."""

    def __init__(self, subscriber: Subscriber, sources: Sources, timeout: float | None) -> None:
        """Nobody iterates yet."""
        super().__init__(subscriber, sources, timeout)
        self._iterating = threading.Lock()

    def __next__(self) -> Fact | None:
        """Return the next event."""
        with self._iterating:
            return super().__next__()

    def let_go(self) -> None:
        """Close the socket as soon as nobody iterates; call `close` first."""
        if self._iterating.acquire(timeout=_LET_GO_S):
            try:
                self.end()
            finally:
                self._iterating.release()


class PacedFeed(OwnedFeed):
    """Begins with the price that stands, and moves its market; ends when the prices are over.

    `quote` lets the broker publish its quotes again, and says whether there is one to do so.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        sources: Sources,
        timeout: float | None,
        market: Market,
        quote: Callable[[], bool],
    ) -> None:
        super().__init__(subscriber, sources, timeout)
        self._market = market
        self._quote = quote
        self._first_ms = market.time_ms
        self._seen_ms = dict.fromkeys(sources.wanted, 0)

    def __next__(self) -> Fact | None:
        """Return the next event; give the broker a price when there is nothing left to wait for."""
        if not any(self._seen_ms.values()):
            self._come_in()
        if not self._out and not self._closed.is_set() and self._caught_up():
            if self._market.over:
                self.end()
            else:
                self._market.forward()
        while True:
            event = super().__next__()
            if not self._repeated(event):
                self._see(event)
                return event

    def _come_in(self) -> None:
        # A subscription takes a moment, and nobody says when it holds: ask for the quotes until
        # they arrive, then where the streams stand. A heartbeat says so too, but once a second.
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and not self._closed.is_set():
            if self._seen_ms.keys() <= {one.symbol for one in self._out if isinstance(one, Tick)}:
                with suppress(BridgeError):
                    _, points = self._from.sync("the beginning")
                    self._streams.synced(points)
                return
            if not self._quote():
                return
            self._turn(time.monotonic() + _ASK_S)

    def _repeated(self, event: Fact | None) -> bool:
        # It was asked for more often than once.
        return (
            isinstance(event, Tick)
            and self._ms(event.time) == self._first_ms
            and self._seen_ms.get(event.symbol, 0) >= self._first_ms
        )

    def _see(self, event: Fact | None) -> None:
        # After a Resync the lost ticks never come: its quotes stand for them.
        quotes = event.quotes if isinstance(event, Resync) else ()
        for quote in (event,) if isinstance(event, Tick) else quotes:
            if quote.symbol in self._seen_ms:
                self._seen_ms[quote.symbol] = self._ms(quote.time)

    def _caught_up(self) -> bool:
        # Somebody else may have moved the market: its ticks come first.
        return all(seen >= self._market.time_ms for seen in self._seen_ms.values())

    @staticmethod
    def _ms(at: datetime | None) -> int:
        return 0 if at is None else round(at.timestamp() * 1000)
