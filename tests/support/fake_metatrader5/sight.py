"""What the terminal sees of the broker's books, and when: delays, a lost link, a slow history."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.fake_metatrader5.books import NEVER, Book, DealRow, OrderRow, Picture
from tests.support.fake_metatrader5.broker_clock import BrokerClock
from tests.support.fake_metatrader5.terms import Terms

__all__ = ["Sight"]


class Sight:
    """A terminal is told of the present after one delay and of the past after another.

    While the link is down it shows what it last knew; what happened meanwhile enters its history
    only some time after the link is back, one record after the other.
    """

    def __init__(self, terms: Terms, clock: BrokerClock, book: Book) -> None:
        self._terms = terms
        self._clock = clock
        self._book = book
        self._coming: deque[tuple[int, Picture]] = deque()
        self._shown: Picture | None = None
        self._frozen: Picture | None = None
        self._nested = False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Enclose every change of the book."""
        if self._nested:
            yield
            return
        terms = self._terms
        present = terms.present_visible_after_ms
        lag = terms.deal_visible_after_ms if present is None else present
        if lag and not self._coming:
            self._shown = self._book.picture()
        ended, deals = len(self._book.ended), len(self._book.deals)
        self._nested = True
        try:
            yield
        finally:
            self._nested = False
            now = self._clock.mono_ms()
            for order in self._book.ended[ended:]:
                order.shown_at = self._from(now + terms.history_visible_after_ms)
            for deal in self._book.deals[deals:]:
                deal.shown_at = self._from(now + terms.deal_visible_after_ms)
            if lag or self._coming:
                self._coming.append((now + lag, self._book.picture()))

    def _from(self, when: int) -> int:
        return NEVER if self._frozen is not None else when

    def picture(self) -> Picture:
        """Return the orders and positions as the terminal shows them now."""
        if self._frozen is not None:
            return self._frozen
        now = self._clock.mono_ms()
        while self._coming and self._coming[0][0] <= now:
            self._shown = self._coming.popleft()[1]
        if self._coming and self._shown is not None:
            return self._shown
        return self._book.picture()

    def ended(self) -> Iterator[OrderRow]:
        """Return the ended orders that the terminal has."""
        now = self._clock.mono_ms()
        return (each for each in self._book.ended if each.shown_at <= now)

    def deals(self) -> Iterator[DealRow]:
        """Return the deals that the terminal has."""
        now = self._clock.mono_ms()
        return (each for each in self._book.deals if each.shown_at <= now)

    def cut(self) -> None:
        """The link to the broker is down: the present stands still."""
        if self._frozen is None:
            self._frozen = self.picture()

    def join(self, history_after_ms: int) -> None:
        """The link is back: the present at once, the missed past spread over so many ms."""
        self._frozen = None
        self._coming.clear()
        now = self._clock.mono_ms()
        missed: list[OrderRow | DealRow] = [o for o in self._book.ended if o.shown_at == NEVER]
        missed += [each for each in self._book.deals if each.shown_at == NEVER]
        self._spread(missed, now, history_after_ms)

    def reload(self, history_after_ms: int) -> None:
        """The terminal starts with an empty history, and gets it over so many ms."""
        everything: list[OrderRow | DealRow] = [*self._book.ended, *self._book.deals]
        self._spread(everything, self._clock.mono_ms(), history_after_ms)

    @staticmethod
    def _spread(rows: list[OrderRow | DealRow], now: int, over_ms: int) -> None:
        for number, row in enumerate(rows, start=1):
            row.shown_at = now + over_ms * number // len(rows)
