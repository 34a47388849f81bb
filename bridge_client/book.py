"""What this connector last saw of the account: grids, open positions, stops of each ticket.

It only ever saves a question or says what the strategy knew; the server judges by its own truth.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from bridge_client.journal import Quoted
from bridge_client.risk import Grid
from bridge_core.protocol.codes import Status
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.views import PendingView, PositionView, SymbolView

__all__ = ["Book", "SeenTicket"]

_QUOTE_AGE_MS_MAX: Final = 10_000
_RECENT: Final = 256


class SeenTicket(NamedTuple):
    """A ticket as last seen; texts as signed. `price` and `expiration` only of pending orders."""

    symbol: str
    sl: str
    tp: str
    price: str = "0"
    expiration: int = 0
    pending: bool = False


class _SeenQuote(NamedTuple):
    """A quote as last seen, prices as the server wrote them; `at` is monotonic seconds here."""

    bid: str
    ask: str
    at: float


class Book:
    """Thread-safe memory of what the server last showed."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._lock = threading.Lock()
        self._grids: dict[str, Grid] = {}
        self._tickets: dict[int, SeenTicket] = {}
        self._counts: dict[str, int] | None = None
        self._fills = 0
        self._filled: dict[str, int] = {}
        # The newest fills by number: more than can happen while one list is asked for.
        self._recent: deque[tuple[int, str]] = deque(maxlen=_RECENT)
        self._quotes: dict[str, _SeenQuote] = {}

    def grid(self, symbol: str) -> Grid | None:
        """Return the grids of a symbol, if it was ever asked for."""
        return self._grids.get(symbol)

    def quoted(self, symbol: str) -> Quoted | None:
        """Return the quote of a symbol that was seen last, None if it is too old to trade on."""
        seen = self._quotes.get(symbol)
        age_ms = 0 if seen is None else int((time.monotonic() - seen.at) * 1000)
        if seen is None or age_ms > _QUOTE_AGE_MS_MAX:
            return None
        return Quoted(seen.bid, seen.ask, age_ms)

    def saw_quote(self, symbol: str, bid: str, ask: str) -> None:
        """Remember a quote; one assignment, so that no tick waits for a lock."""
        self._quotes[symbol] = _SeenQuote(bid, ask, time.monotonic())

    def saw_symbols(self, rows: Iterable[SymbolView]) -> None:
        """Remember the grids of symbols."""
        for row in rows:
            self._grids[row.symbol] = Grid(
                point=Decimal(row.point),
                volume_min=Decimal(row.volume_min),
                volume_max=Decimal(row.volume_max),
                volume_step=Decimal(row.volume_step),
            )

    def asking(self) -> int:
        """Return a mark for the list of positions that is asked for now."""
        with self._lock:
            return self._fills

    def saw_positions(self, rows: Iterable[PositionView], asked: int) -> None:
        """Take a full list of positions for the truth, as it was when it was asked for.

        What filled after the mark `asked` may be in the list or not: it stays counted.
        """
        counts: dict[str, int] = {}
        seen = {}
        for row in rows:
            counts[row.symbol] = counts.get(row.symbol, 0) + 1
            seen[row.ticket] = SeenTicket(row.symbol, row.sl, row.tp)
        with self._lock:
            self._tickets = {t: s for t, s in self._tickets.items() if s.pending} | seen
            self._counts = counts
            self._filled = dict(Counter(symbol for n, symbol in self._recent if n > asked))

    def saw_orders(self, rows: Iterable[PendingView]) -> None:
        """Take a full list of pending orders for the truth."""
        seen = {
            row.ticket: SeenTicket(
                row.symbol, row.sl, row.tp, row.price, row.expiration, pending=True
            )
            for row in rows
        }
        with self._lock:
            self._tickets = {t: s for t, s in self._tickets.items() if not s.pending} | seen

    def ticket(self, ticket: int) -> SeenTicket | None:
        """Return a ticket as last seen."""
        return self._tickets.get(ticket)

    def positions(self, symbol: str) -> int | None:
        """Return how many positions a symbol has as far as seen; None before the first look.

        Fills count at once, closings only at the next look: it errs towards asking again.
        """
        with self._lock:
            if self._counts is None:
                return None
            return self._counts.get(symbol, 0) + self._filled.get(symbol, 0)

    def outcome(self, view: OrderView) -> None:
        """Take in what an order of ours did."""
        with self._lock:
            if view.op == Op.OPEN and view.status in (Status.FILLED, Status.PARTIAL):
                self._fills += 1
                self._recent.append((self._fills, view.symbol))
                self._filled[view.symbol] = self._filled.get(view.symbol, 0) + 1
            if not view.ticket:
                return
            known = self._tickets.get(view.ticket)
            if view.op == Op.MODIFY and view.status == Status.DONE and known is not None:
                self._tickets[view.ticket] = known._replace(sl=view.sl, tp=view.tp)
            elif view.op == Op.OPEN and view.status == Status.FILLED and view.code == "-":
                # With a code (STOPS_NOT_SET), or resting, look again before modifying.
                self._tickets[view.ticket] = SeenTicket(view.symbol, view.sl, view.tp)
            else:
                self._tickets.pop(view.ticket, None)

    def forget(self, ticket: int) -> None:
        """Look again before this ticket is used."""
        with self._lock:
            self._tickets.pop(ticket, None)
