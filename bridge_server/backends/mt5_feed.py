"""The rehearsal's MetaTrader 5 terminal: its symbols and quotes, read every so often (14.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import structs

from bridge_core.host.clock import Clock
from bridge_server.backends.mt5_link import Mt5Link
from bridge_server.backends.mt5_reader import Reader, Watched
from bridge_server.backends.mt5_settings import Mt5Served
from bridge_server.backends.mt5_zone import Zone
from bridge_server.backends.rehearsal import Price
from bridge_server.core.executor import ExecutorState
from bridge_server.core.ports import Identity, Quote, SymbolSpec

__all__ = ["Mt5Feed"]

_MINUTE_MS = 60_000


class Mt5Feed:
    """`rehearsal.TerminalFeed` over a link that may not trade (`LinkSpec.trading` False)."""

    name = "mt5"
    word = "terminal"

    def __init__(self, link: Mt5Link, served: Mt5Served, clock: Clock) -> None:
        self.link = link
        self.symbols = served.symbols
        self.on_price: Callable[[Price], None] = _nobody
        self._wait_s = served.wait_s
        self._poll_ms = served.settings.poll_ms
        self._clock = clock
        minutes, pins = served.settings.utc_offset_minutes, served.pins
        self._zone = Zone(minutes * _MINUTE_MS if minutes is not None else None)
        # Whatever account the terminal shows: the rehearsal has its own.
        shown = Identity(
            login=pins.login if pins is not None else 0,
            server=pins.server if pins is not None else "",
            kind=pins.kind if pins is not None else "",
            currency="", margin_mode="", leverage=0,
        )  # fmt: skip
        watched = Watched(symbols=served.symbols, pinned=shown)
        self._reader = Reader(link, watched, clock, self._zone)
        self._seen: dict[str, Quote] = {}
        self._due_mono = 0

    def start(self) -> None:
        """Start the worker, and wait a moment for the terminal.

        Raises:
            ConfigError: it can never work as configured.
        """
        self.link.start()
        if self.link.wait(self._wait_s):
            self._reader.refresh()

    def close(self) -> None:
        """End the worker."""
        self.link.close()

    def alive(self) -> bool:
        """Return whether the terminal answers, and shows the account that is pinned, if one is."""
        status = self.link.status
        return status.alive and not status.wrong_account

    def linked(self) -> bool:
        """Return whether the terminal could be read lately, and has its broker."""
        return self.alive() and self._reader.snapshot().connected

    def specs(self) -> Mapping[str, SymbolSpec]:
        """Return the terms of the symbols as last read."""
        return self._reader.snapshot().symbols

    def quotes(self) -> Iterator[Price]:
        """Return the present quotes; one whose session is open has just changed."""
        shot = self._reader.snapshot()
        for one in shot.quotes.values():
            self._seen[one.symbol] = one
            yield _price(one, live=shot.symbols[one.symbol].session == "OPEN")

    def pump(self) -> None:
        """Read the terminal if that is due, and pass on the prices that changed."""
        mono = self._clock.mono_ms()
        if mono < self._due_mono:
            return
        self._due_mono = mono + self._poll_ms
        if not self._reader.refresh():
            return
        for one in self._reader.snapshot().quotes.values():
            last = self._seen.get(one.symbol)
            self._seen[one.symbol] = one
            known = last is not None
            if last is None or _moved(last, one):
                self.on_price(_price(one, live=known))

    def self_test(self) -> bool:
        """Return whether the hop refuses strangers: the worker's pipe has no door."""
        return self.link.self_test()

    def about(self) -> ExecutorState:
        """Return how the terminal stands."""
        found, offset = self.link.about(), self._zone.offset_ms
        word = "unknown" if offset is None else f"{offset // _MINUTE_MS:+d} min"
        note = "; ".join(one for one in (found.note, self._reader.snapshot().note) if one)
        return structs.replace(found, caps=(*found.caps, ("mt5_offset", word)), note=note[:400])


def _nobody(_price: Price) -> None:
    return None


def _moved(last: Quote, now: Quote) -> bool:
    if (last.bid, last.ask) != (now.bid, now.ask):
        return True
    # A zone that became known moves no price.
    return bool(last.time_ms) and last.time_ms != now.time_ms


def _price(one: Quote, *, live: bool) -> Price:
    return Price(one.symbol, one.bid, one.ask, one.time_ms, live)
