"""What this connector last saw of the account: one picture, and the stops of each ticket.

The picture is one SYNC_ALL: money, positions, pending orders and quotes of one moment. Times are
the server's, carried on by what has passed here since the question was sent: a picture is never
younger than it says. Symbols are asked for less often.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from bridge_client.journal import Quoted
from bridge_client.seen import Money, money_of, order_of, position_of, quote_of, symbol_of
from bridge_core.protocol.codes import Status
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, SyncReply, dec
from bridge_core.protocol.views import PendingView, PositionView, SymbolView
from bridge_core.risk.facts import Pending, Position, Quote, SymbolSpec
from bridge_core.risk.order import Flying
from bridge_core.risk.picture import Swing
from bridge_core.risk.swings import Swings

__all__ = ["ADDED", "Asked", "Book", "Filled", "Seen", "SeenTicket"]

_QUOTE_AGE_MS_MAX: Final = 10_000
_RECENT: Final = 1024
_FOREIGN: Final = "foreign"
NO_WINDOWS: Final[Mapping[str, int]] = {}
# An entry that ended so is at the broker.
ADDED: Final = (Status.FILLED, Status.PARTIAL, Status.WORKING)


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


class Filled(NamedTuple):
    """An entry of ours that has just ended well, and its ticket: until a picture shows it."""

    number: int
    ticket: int
    flying: Flying


class Asked(NamedTuple):
    """A question for the picture: which entries had ended, and when (monotonic ms here)."""

    mark: int
    mono_ms: int


class Seen(Struct, frozen=True, kw_only=True):
    """One picture. `server_ms` is the server's clock (UTC ms) when it was asked for, at the latest.

    `foreign` are the tickets that no order of ours opened.
    """

    asked: Asked
    server_ms: int
    money: Money | None
    positions: Mapping[int, Position]
    orders: Mapping[int, Pending]
    quotes: Mapping[str, Quote]
    foreign: frozenset[int] = frozenset()

    def now_ms(self, mono_ms: int) -> int:
        """Return the server's time now: never earlier than its clock says."""
        return self.server_ms + mono_ms - self.asked.mono_ms

    def age_ms(self, mono_ms: int) -> int:
        """Return how long ago the terminal was asked for the money; without it, very long ago."""
        return self.now_ms(mono_ms) - (self.money.asked_ms if self.money is not None else 0)


class Book:
    """Thread-safe memory of what the server last showed."""

    def __init__(self, windows: Mapping[str, int] = NO_WINDOWS) -> None:
        """Nothing has been seen. `windows` (ms) are those of symbols whose swing counts."""
        self._windows, self._swings = windows, Swings()
        self._lock = threading.Lock()
        self._tickets: dict[int, SeenTicket] = {}
        self._fills = 0
        # The newest fills by number: more than can happen while one picture is asked for.
        self._recent: deque[Filled] = deque(maxlen=_RECENT)
        self._quotes: dict[str, _SeenQuote] = {}
        self.symbols: Mapping[str, SymbolSpec] = {}
        self.symbols_mono_ms: int | None = None
        self.seen: Seen | None = None
        self._zone_ms: int | None = None

    # --- quotes and symbols ---------------------------------------------------------------------

    def quoted(self, symbol: str) -> Quoted | None:
        """Return the quote of a symbol that was seen last, None if it is too old to trade on."""
        seen = self._quotes.get(symbol)
        age_ms = 0 if seen is None else int((time.monotonic() - seen.at) * 1000)
        if seen is None or age_ms > _QUOTE_AGE_MS_MAX:
            return None
        return Quoted(seen.bid, seen.ask, age_ms)

    def saw_quote(self, symbol: str, bid: str, ask: str) -> None:
        """Remember a quote; where no swing counts, no tick waits for a lock."""
        at = time.monotonic()
        self._quotes[symbol] = _SeenQuote(bid, ask, at)
        if symbol in self._windows:
            mid = (dec(bid) + dec(ask)) / 2
            with self._lock:
                self._swings.take(symbol, mid, int(at * 1000), self._windows[symbol])

    def swings(self) -> dict[str, Swing]:
        """Return the swings of the symbols where they count, as far as prices were seen here."""
        now_ms = int(time.monotonic() * 1000)
        with self._lock:
            found = {symbol: self._swings.of(symbol, now_ms) for symbol in self._windows}
        return {symbol: swing for symbol, swing in found.items() if swing is not None}

    def saw_symbols(self, rows: Iterable[SymbolView], all_at_mono_ms: int | None = None) -> None:
        """Remember symbols; `all_at_mono_ms` is when all of them were asked for."""
        seen = {row.symbol: symbol_of(row) for row in rows}
        with self._lock:
            self.symbols = {**self.symbols, **seen}
            if all_at_mono_ms is not None:
                self.symbols_mono_ms = all_at_mono_ms

    def forget_symbols(self) -> None:
        """Ask again before they are used: another run of the server may know others."""
        self.symbols_mono_ms = None

    # --- the picture ----------------------------------------------------------------------------

    def asking(self, mono_ms: int) -> Asked:
        """Return a mark for the picture that is asked for now."""
        with self._lock:
            return Asked(self._fills, mono_ms)

    def saw_all(self, reply: SyncReply, asked: Asked, answered_ms: int) -> Seen:
        """Take a picture for the truth, as it was when it was asked for; the newest one stays.

        `answered_ms` is the server's clock when it signed the answer (UTC ms). What filled after
        the mark may be in it or not: it stays counted.

        Raises:
            RemoteProtocolError: a decimal field does not hold a decimal.
        """
        money = None
        if reply.account is not None:
            money = money_of(reply.account, reply.time, self._zone_ms)
        seen = Seen(
            asked=asked,
            server_ms=max(answered_ms, reply.time),
            money=money,
            positions={row.ticket: position_of(row) for row in reply.positions},
            orders={row.ticket: order_of(row) for row in reply.orders},
            quotes={row.symbol: quote_of(row, reply.time) for row in reply.quotes},
            foreign=frozenset(
                {row.ticket for row in reply.positions if row.origin == _FOREIGN}
                | {row.ticket for row in reply.orders if row.origin == _FOREIGN}
            ),
        )
        self.saw_positions(reply.positions)
        self.saw_orders(reply.orders)
        for row in reply.quotes:
            self.saw_quote(row.symbol, row.bid, row.ask)
        with self._lock:
            if self.seen is None or self.seen.asked.mono_ms <= asked.mono_ms:
                self.seen = seen
                self._zone_ms = money.zone_ms if money is not None else self._zone_ms
            return self.seen

    def ended(self) -> tuple[Flying, ...]:
        """Return our entries that ended well and may not be in the picture yet, as flying."""
        with self._lock:
            seen = self.seen
            if seen is None:
                return tuple(one.flying for one in self._recent)
            return tuple(
                one.flying
                for one in self._recent
                if one.number > seen.asked.mark
                and one.ticket not in seen.positions
                and one.ticket not in seen.orders
            )

    # --- tickets ----------------------------------------------------------------------------

    def saw_positions(self, rows: Iterable[PositionView]) -> None:
        """Take a full list of positions for the truth about their stops."""
        seen = {row.ticket: SeenTicket(row.symbol, row.sl, row.tp) for row in rows}
        with self._lock:
            self._tickets = {t: s for t, s in self._tickets.items() if s.pending} | seen

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

    def outcome(self, view: OrderView, flying: Flying | None = None) -> None:
        """Take in what an order of ours did; `flying` is what an entry added at its worst."""
        with self._lock:
            if flying is not None and view.status in ADDED:
                self._fills += 1
                self._recent.append(Filled(self._fills, view.ticket, flying))
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
