"""Prices, Market Watch and trading hours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

from msgspec import Struct

from tests.support.fake_metatrader5.broker_clock import BrokerClock
from tests.support.fake_metatrader5.codes import Kind
from tests.support.fake_metatrader5.terms import SymbolTerms, Terms

__all__ = ["Market", "Quote"]

ZERO: Final = Decimal(0)
_DAY_S: Final = 86_400
_THURSDAY: Final = 3  # the weekday of 1970-01-01
# What a tick says has changed: bid and ask, and a bit that no document names (seen live: 1030).
_TICK_FLAGS: Final = 1024 + 6


class Quote(Struct, frozen=True):
    """The last price of a symbol; `time_ms` is the broker's."""

    bid: Decimal
    ask: Decimal
    time_ms: int


class Market:
    """What the broker quotes, and which symbols the terminal watches."""

    def __init__(self, terms: Terms, clock: BrokerClock) -> None:
        self._terms = terms
        self._clock = clock
        self.quotes: dict[str, Quote] = {}
        self.closed: set[str] = set()
        self.frozen: dict[str, Quote] | None = None
        self._watched: dict[str, int] = {}
        for symbol in terms.symbols:
            if symbol.bid:
                self.quote(symbol.name, symbol.bid, symbol.ask)
            if symbol.selected:
                self._watched[symbol.name] = clock.mono_ms()

    def spec(self, name: str) -> SymbolTerms | None:
        """Return a symbol's terms, None if the broker has no such symbol."""
        return next((each for each in self._terms.symbols if each.name == name), None)

    def quote(self, name: str, bid: Decimal, ask: Decimal) -> None:
        """Let the price move."""
        self.quotes[name] = Quote(bid, ask, self._clock.now_ms())

    def price(self, name: str, kind: Kind) -> Decimal:
        """Return what somebody who buys (the ask) or sells (the bid) gets now."""
        quote = self.quotes.get(name)
        if quote is None:
            return ZERO
        return quote.ask if kind.side is Kind.BUY else quote.bid

    @contextmanager
    def as_seen(self) -> Iterator[None]:
        """Show the prices that the terminal knows: those of the moment when its link was lost."""
        truth = self.quotes
        if self.frozen is not None:
            self.quotes = self.frozen
        try:
            yield
        finally:
            self.quotes = truth

    def rename(self, old: str, new: str) -> None:
        """Quote a symbol under another name; it is no longer in Market Watch."""
        if old in self.quotes:
            self.quotes[new] = self.quotes.pop(old)
        self.forget(old)

    def watched(self, name: str) -> bool:
        """Return whether the symbol is in Market Watch."""
        return name in self._watched

    def watch(self, name: str) -> None:
        """Put a symbol into Market Watch; its first tick comes after the terms' lag."""
        due = self._clock.mono_ms() + self._terms.first_tick_ms
        self._watched.setdefault(name, due)

    def forget(self, name: str) -> None:
        """Take a symbol out of Market Watch."""
        self._watched.pop(name, None)

    def tick(self, name: str) -> Quote | None:
        """Return the last tick as the terminal has it, None before the first."""
        due = self._watched.get(name)
        if due is None or self._clock.mono_ms() < due:
            return None
        quote, spec = self.quotes.get(name), self.spec(name)
        if quote is not None and spec is not None and spec.streaming and self._streams(name):
            quote = Quote(quote.bid, quote.ask, self._clock.now_ms())
            self.quotes[name] = quote
        return quote

    def _streams(self, name: str) -> bool:
        return self.frozen is None and self.is_open(name)

    def is_open(self, name: str) -> bool:
        """Return whether the symbol's session is open by the broker's clock."""
        spec = self.spec(name)
        if spec is None or name in self.closed:
            return False
        now_s = self._clock.now_s()
        weekday, time_s = (now_s // _DAY_S + _THURSDAY) % 7, now_s % _DAY_S
        return any(
            each.weekday == weekday and each.start_s <= time_s < each.end_s
            for each in spec.sessions
        )

    def row(self, name: str) -> dict[str, int | float]:
        """Return the fields of a Tick; zeros before the first tick of a symbol just selected."""
        quote = self.tick(name)
        return {
            "time": quote.time_ms // 1000 if quote else 0,
            "bid": float(quote.bid) if quote else 0.0,
            "ask": float(quote.ask) if quote else 0.0,
            "last": 0.0, "volume": 0,
            "time_msc": quote.time_ms if quote else 0,
            "flags": _TICK_FLAGS if quote else 0, "volume_real": 0.0,
        }  # fmt: skip
