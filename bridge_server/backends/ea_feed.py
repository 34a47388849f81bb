"""The rehearsal's terminal behind an EA: its symbols and quotes, asked for and heard (14.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bridge_core.host.clock import Clock
from bridge_server.backends.ea import Served
from bridge_server.backends.ea_hop import FromEa
from bridge_server.backends.ea_link import EaLink
from bridge_server.backends.ea_reader import Reader
from bridge_server.backends.ea_session import EaStatus
from bridge_server.backends.ea_side import about
from bridge_server.backends.rehearsal import Price
from bridge_server.core.executor import ExecutorState
from bridge_server.core.ports import SymbolSpec

__all__ = ["EaFeed"]


class EaFeed:
    """`rehearsal.TerminalFeed` over an EA's link."""

    name = "ea"
    word = "EA"

    def __init__(self, link: EaLink, served: Served, clock: Clock) -> None:
        self.link = link
        link.on_message = self._hear
        self.symbols = served.symbols
        self.on_price: Callable[[Price], None] = _nobody
        self._wait_s = served.wait_s
        self._clock = clock
        self._reader = Reader(link, served.symbols, clock)

    def start(self) -> None:
        """Listen, and wait a moment for the EA.

        Raises:
            ConfigError: the port is in use.
        """
        self.link.start()
        self.link.wait_for_ea(self._wait_s)

    def close(self) -> None:
        """Let go of the port."""
        self.link.close()

    def alive(self) -> bool:
        """Return whether the EA answers."""
        return self.link.alive()

    def linked(self) -> bool:
        """Return whether the EA's terminal has its broker."""
        beat = self.link.status.beat
        return beat is not None and beat.connected and self.link.alive()

    def specs(self) -> Mapping[str, SymbolSpec]:
        """Return the terms of the symbols, asked for at the first time."""
        if set(self._reader.specs) != set(self.symbols):
            self._reader.learn_symbols(self.link.status.instance)
        return self._reader.specs

    def quotes(self) -> Iterator[Price]:
        """Ask for the present quotes; how old they are is not known."""
        status = self.link.status
        for one in self._reader.learn_quotes({}).values():
            time_ms = _market_ms(status, one.time_ms)
            yield Price(one.symbol, one.bid, one.ask, time_ms, live=False)

    def pump(self) -> None:
        """Do nothing: the EA speaks by itself."""

    def _hear(self, message: FromEa, status: EaStatus) -> None:
        """Take a tick; in the link's thread. The EA's own events are not for a rehearsal."""
        if message.verb != "TICK":
            return
        symbol, bid, ask, time_ms = message.tick
        if symbol in self.symbols:
            self.on_price(Price(symbol, bid, ask, _market_ms(status, time_ms), live=True))

    def self_test(self) -> bool:
        """Return whether an unknown key is refused on the EA's port."""
        return self.link.self_test()

    def about(self) -> ExecutorState:
        """Return how the EA stands."""
        return about(self.link, self._clock.mono_ms())


def _nobody(_price: Price) -> None:
    return None


def _market_ms(status: EaStatus, time_ms: int) -> int:
    # While the EA does not know the broker's zone its times are not UTC, and market time never goes
    # back: the price counts, and market time stands still.
    return time_ms if status.beat is not None and status.beat.zone_ms is not None else 0
