"""Events that pace the market: the next price comes when a strategy asks for more.

So a strategy runs in the test's own thread, as fast as it can, and meets every price after it has
dealt with the one before, however long that took.
"""

from __future__ import annotations

import threading
from typing import Final

from bridge_client.events import EventFeed, Sources
from bridge_client.facts import Fact
from bridge_client.happenings import Resync, Tick
from bridge_client.testing.market import Market
from bridge_client.transport import Subscriber

__all__ = ["OwnedFeed", "PacedFeed"]

_READY_S: Final = 10.0
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
    """Moves its market; ends when the prices are over."""

    def __init__(
        self, subscriber: Subscriber, sources: Sources, timeout: float | None, market: Market
    ) -> None:
        """The market's present price is no event: the next one is the first."""
        super().__init__(subscriber, sources, timeout)
        self._market = market
        self._due_ms = market.time_ms
        self._seen_ms = dict.fromkeys(sources.wanted, market.time_ms)

    def __next__(self) -> Fact | None:
        """Return the next event; give the broker a price when there is nothing left to wait for."""
        if not self._out and not self._closed.is_set() and self._caught_up():
            if self._market.over:
                self.end()
            elif self.ready(_READY_S):
                self._due_ms = self._market.forward()
        event = super().__next__()
        # After a Resync the lost ticks never come: its quotes stand for them.
        quotes = event.quotes if isinstance(event, Resync) else ()
        for quote in (event,) if isinstance(event, Tick) else quotes:
            if quote.time is not None and quote.symbol in self._seen_ms:
                self._seen_ms[quote.symbol] = round(quote.time.timestamp() * 1000)
        return event

    def _caught_up(self) -> bool:
        # Somebody else may have moved the market: its ticks come first.
        due = max(self._due_ms, self._market.time_ms)
        return all(seen >= due for seen in self._seen_ms.values())
