"""The account read through the hop: pages put together to one picture (protocol.md 14.2).

Owned by the worker's thread. An answer that does not come leaves the last picture as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_core.protocol.views import StreamPoint
from bridge_server.backends.ea_books import (
    account_of,
    identity_of,
    pending_of,
    position_of,
    quote_of,
    scan_of,
    spec_of,
)
from bridge_server.backends.ea_hop import Account, Beat, Closed, Quote, Rows, Spec, read_body
from bridge_server.backends.ea_link import EaLink
from bridge_server.core import ports
from bridge_server.core.ports import Scan, Snapshot, SymbolSpec

__all__ = ["Reader"]

_TRIES: Final = 3
_PAGES_MAX: Final = 1_000
# The EA turns the broker's times into UTC by today's zone: rows before a change of its clock are an
# hour off, and the PC's clock may differ from the broker's by minutes.
_SHIFT_MS: Final = 3_600_000 + 600_000
# While it does not know the zone it says the broker's times; no zone is further west.
_WEST_MS: Final = 12 * 3_600_000
_T = TypeVar("_T", bound=Struct)


class Reader:
    """Asks and assembles. `symbols` are those that the server trades."""

    def __init__(self, link: EaLink, symbols: tuple[str, ...], clock: Clock) -> None:
        self._link = link
        self._symbols = symbols
        self._clock = clock
        self.specs: dict[str, SymbolSpec] = {}
        self._of_instance = ""
        self._specs_mono = 0

    def ask(self, kind: type[_T], verb: str, *parts: str | int) -> _T | None:
        """Return an answer, None when there was none or it was no such thing."""
        reply = self._link.query(verb, *parts).wait()
        return read_body(kind, reply.body) if reply.body is not None else None

    # --- one picture -------------------------------------------------------------------------

    def read(self, beat: Beat, seen: Iterable[StreamPoint]) -> Snapshot | None:
        """Return the account as it stands now, without quotes, or None.

        `seen` are the numbers of the EA's own events that had come before the first question.
        """
        for _ in range(_TRIES):
            money = self.ask(Account, "ACCOUNT")
            if money is None:
                return None
            positions = self._pages("POSITIONS", lambda rows: rows.positions)
            orders = self._pages("ORDERS", lambda rows: rows.orders)
            if positions is None or orders is None:
                return None
            if positions[1] != orders[1]:
                continue  # something changed while we read: pages of two books are no picture
            return Snapshot(
                taken_wall_ms=self._clock.wall_ms(),
                market_ms=money.market_ms,
                connected=money.connected,
                identity=identity_of(beat),
                account=account_of(money),
                positions={row.ticket: position_of(row) for row in positions[0]},
                orders={row.ticket: pending_of(row) for row in orders[0]},
                quotes={},
                symbols=dict(self.specs),
                seen=tuple(seen),
                zone_ms=beat.zone_ms,
            )
        return None

    def _pages(self, verb: str, rows_of: Callable[[Rows], list[_T]]) -> tuple[list[_T], int] | None:
        found: list[_T] = []
        book = -1
        for _ in range(_PAGES_MAX):
            page = self.ask(Rows, verb, len(found))
            if page is None or (book not in (-1, page.book)):
                return None if page is None else (found, -1)
            book = page.book
            rows = rows_of(page)
            found += rows
            if len(found) >= page.total or not rows:
                return found, book
        return None

    # --- symbols -----------------------------------------------------------------------------

    def learn_symbols(self, instance: str) -> None:
        """Read the grids of every symbol, anew for a new instance and each minute."""
        mono = self._clock.mono_ms()
        fresh = mono - self._specs_mono < limits.SELF_TEST_PERIOD_MS
        if instance == self._of_instance and fresh and len(self.specs) == len(self._symbols):
            return
        if instance == self._of_instance and mono - self._specs_mono < limits.EA_BEAT_PERIOD_MS:
            return
        self._of_instance, self._specs_mono = instance, mono
        for symbol in self._symbols:
            spec = self.ask(Spec, "SYMBOL", symbol)
            if spec is not None and spec.symbol == symbol:
                self.specs[symbol] = spec_of(spec)

    def learn_quotes(self, quotes: Mapping[str, ports.Quote]) -> dict[str, ports.Quote]:
        """Return quotes of the symbols that no tick has told of yet."""
        found: dict[str, ports.Quote] = {}
        for symbol in self._symbols:
            if symbol in quotes or symbol not in self.specs:
                continue
            quote = self.ask(Quote, "QUOTE", symbol)
            if quote is not None and quote.symbol == symbol:
                found[symbol] = quote_of(quote, self._clock.wall_ms())
        return found

    # --- the past ------------------------------------------------------------------------------

    def closed(self, since_ms: int, until_ms: int) -> tuple[list[Closed], bool] | None:
        """Return closed rows of a range of market time, and whether all of it was asked for."""
        found: list[Closed] = []
        complete = True
        for _ in range(_PAGES_MAX):
            page = self.ask(Rows, "HISTORY", since_ms, until_ms, len(found))
            if page is None:
                return None
            complete = complete and page.complete
            found += page.closed
            if len(found) >= page.total or not page.closed:
                return found, complete
        return None

    def scan(self, since_wall_ms: int, beat: Beat) -> Scan | None:
        """Return the broker's records since a wall time (UTC ms), None when they cannot be read."""
        shift = _SHIFT_MS if beat.zone_ms is not None else _SHIFT_MS + _WEST_MS
        since = max(0, since_wall_ms - shift)
        positions = self._pages("POSITIONS", lambda rows: rows.positions)
        orders = self._pages("ORDERS", lambda rows: rows.orders)
        past = self.closed(since, 0)
        if positions is None or orders is None or past is None:
            return None
        rows = Rows(
            positions=positions[0],
            orders=orders[0],
            closed=past[0],
            complete=past[1] and positions[1] == orders[1] and beat.connected,
        )
        return structs.replace(
            scan_of(rows, since_wall_ms, self._clock.wall_ms()), since_wall_ms=since_wall_ms
        )
