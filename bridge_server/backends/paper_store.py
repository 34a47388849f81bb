"""The paper broker's durable state: one SQLite file, one commit for each act or row of prices.

What is committed happened; what is not, did not. Each deal and each ended order keeps the wall
time at which it was committed, because reconciliation asks by wall time.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from bridge_core.host.sqlite import Connection, journal_errors, open_database, transaction
from bridge_core.protocol.errors import ConfigError
from bridge_server.backends.paper_book import Book, Turn
from bridge_server.backends.paper_money import Price
from bridge_server.core.ports import Deal, EndedOrder, Pending, Position, SymbolSpec

__all__ = ["FeedMark", "PaperStore", "Stored", "Terms"]

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS positions (ticket INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS orders (ticket INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS quotes (symbol TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS feeds (symbol TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS deals (deal INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, data TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS deals_wall ON deals (wall_ms)",
    "CREATE INDEX IF NOT EXISTS deals_time ON deals (time_ms)",
    """CREATE TABLE IF NOT EXISTS ended (ticket INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL,
    data TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS ended_wall ON ended (wall_ms)",
)


class Terms(Struct, frozen=True, kw_only=True):
    """What an account began with and keeps for life; another needs another state folder.

    `floating`: the symbols' terms are a terminal's, whose broker may change them.
    """

    login: int
    server: str
    currency: str
    sources: dict[str, str]
    specs: dict[str, SymbolSpec]
    floating: bool = False

    def conflict(self, other: Terms) -> str:
        """Return the name of the first term that differs, "" if none; new symbols may join."""
        for name in ("login", "server", "currency"):
            if getattr(self, name) != getattr(other, name):
                return name
        for symbol in sorted(self.specs.keys() & other.specs.keys()):
            if self.specs[symbol] != other.specs[symbol] and not other.floating:
                return f"terms of {symbol}"
            if self.sources[symbol] != other.sources[symbol]:
                return f"price source of {symbol}"
        return ""

    def joined(self, other: Terms) -> Terms:
        """Return these terms with the other's new symbols."""
        return msgspec.structs.replace(
            self, sources={**self.sources, **other.sources}, specs={**self.specs, **other.specs}
        )


class _Scalars(Struct, frozen=True):
    balance: Decimal
    next_ticket: int
    next_deal: int
    market_ms: int


class _StoredPrice(Struct, frozen=True):
    bid: Decimal
    ask: Decimal
    time_ms: int


class FeedMark(NamedTuple):
    """Where one symbol's price source stands: text that only the feed understands."""

    symbol: str
    text: str


class Stored(NamedTuple):
    """What the file held: the books and each feed's mark."""

    book: Book
    marks: dict[str, str]


def _dump(value: object) -> str:
    return msgspec.json.encode(value).decode("ascii", "strict")


class PaperStore:
    """The file. Its owner is one thread; a second process is kept out by the exclusive lock.

    Raises:
        ConfigError, or what `host.sqlite` raises: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._conn: Connection = open_database(path, exclusive=True)
        try:
            with transaction(self._conn):
                for statement in _SCHEMA:
                    self._conn.execute(statement)
        except BaseException:
            self._conn.close()
            raise

    def load(self, terms: Terms, balance: Decimal) -> Stored:
        """Return the state, beginning it with `balance` (account currency) if there is none.

        Raises:
            ConfigError: PAPER_STATE: the file belongs to other terms.
        """
        with journal_errors():
            return self._load(terms, balance)

    def _load(self, terms: Terms, balance: Decimal) -> Stored:
        row = self._conn.execute("SELECT data FROM meta WHERE name = 'terms'").fetchone()
        if row is None:
            book = Book(balance=balance)
            self._begin(terms, book)
            return Stored(book, {})
        began = msgspec.json.decode(row[0], type=Terms)
        differs = began.conflict(terms)
        if differs:
            raise ConfigError(
                "PAPER_STATE",
                f"{self.path} began with another {differs}: put the setting back, or move "
                "the file away to begin a new paper account",
            )
        joined = began.joined(terms)
        if joined != began:
            self._begin(joined, None)
        return self._read()

    def _begin(self, terms: Terms, book: Book | None) -> None:
        with transaction(self._conn):
            self._put_meta("terms", _dump(terms))
            if book is not None:
                self._put_scalars(book)

    def _read(self) -> Stored:
        row = self._conn.execute("SELECT data FROM meta WHERE name = 'book'").fetchone()
        scalars = msgspec.json.decode(row[0], type=_Scalars)
        book = Book(
            balance=scalars.balance,
            next_ticket=scalars.next_ticket,
            next_deal=scalars.next_deal,
            market_ms=scalars.market_ms,
        )
        for ticket, data in self._conn.execute("SELECT ticket, data FROM positions ORDER BY 1"):
            book.positions[ticket] = msgspec.json.decode(data, type=Position)
        for ticket, data in self._conn.execute("SELECT ticket, data FROM orders ORDER BY 1"):
            book.orders[ticket] = msgspec.json.decode(data, type=Pending)
        for symbol, data in self._conn.execute("SELECT symbol, data FROM quotes ORDER BY 1"):
            price = msgspec.json.decode(data, type=_StoredPrice)
            book.quotes[symbol] = Price(price.bid, price.ask, price.time_ms)
        marks = dict(self._conn.execute("SELECT symbol, data FROM feeds").fetchall())
        return Stored(book, marks)

    def commit(self, turn: Turn, wall_ms: int, mark: FeedMark | None = None) -> None:
        """Make one act durable; all of it or nothing.

        `wall_ms` is kept with each deal and ended order; `mark` goes with a row of prices.
        """
        with transaction(self._conn):
            self._put_scalars(turn.book)
            self._sync("positions", turn.touched_positions, turn.book.positions)
            self._sync("orders", turn.touched_orders, turn.book.orders)
            for deal in turn.deals:
                self._conn.execute(
                    "INSERT INTO deals (deal, wall_ms, time_ms, data) VALUES (?, ?, ?, ?)",
                    (deal.deal, wall_ms, deal.time_ms, _dump(deal)),
                )
            for order in turn.ended:
                self._conn.execute(
                    "INSERT INTO ended (ticket, wall_ms, data) VALUES (?, ?, ?)",
                    (order.ticket, wall_ms, _dump(order)),
                )
            if mark is not None:
                price = turn.book.quotes[mark.symbol]
                self._put("quotes", mark.symbol, _dump(_StoredPrice(*price)))
                self._put("feeds", mark.symbol, mark.text)

    def deals_since(self, wall_ms: int) -> tuple[Deal, ...]:
        """Return the deals committed at or after a wall time (UTC ms)."""
        rows = self._rows("SELECT data FROM deals WHERE wall_ms >= ? ORDER BY deal", (wall_ms,))
        return tuple(msgspec.json.decode(data, type=Deal) for (data,) in rows)

    def ended_since(self, wall_ms: int) -> tuple[EndedOrder, ...]:
        """Return the pending orders that ended at or after a wall time (UTC ms)."""
        rows = self._rows("SELECT data FROM ended WHERE wall_ms >= ? ORDER BY ticket", (wall_ms,))
        return tuple(msgspec.json.decode(data, type=EndedOrder) for (data,) in rows)

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals of a range of market time, both ends included; until 0 means all."""
        rows = self._rows(
            "SELECT data FROM deals WHERE time_ms >= ? AND (? = 0 OR time_ms <= ?) ORDER BY deal",
            (since_ms, until_ms, until_ms),
        )
        return tuple(msgspec.json.decode(data, type=Deal) for (data,) in rows)

    def close(self) -> None:
        """Close the file."""
        self._conn.close()

    def _rows(self, query: str, values: tuple[int, ...]) -> list[tuple[str]]:
        with journal_errors():
            return self._conn.execute(query, values).fetchall()

    # --- writing ---------------------------------------------------------------------------

    def _put_meta(self, name: str, data: str) -> None:
        self._conn.execute(
            "INSERT INTO meta (name, data) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET data = excluded.data",
            (name, data),
        )

    def _put_scalars(self, book: Book) -> None:
        scalars = _Scalars(book.balance, book.next_ticket, book.next_deal, book.market_ms)
        self._put_meta("book", _dump(scalars))

    def _put(self, table: str, symbol: str, data: str) -> None:
        self._conn.execute(_UPSERT[table], (symbol, data))

    def _sync(
        self, table: str, touched: set[int], rows: dict[int, Position] | dict[int, Pending]
    ) -> None:
        for ticket in sorted(touched):
            row = rows.get(ticket)
            if row is None:
                self._conn.execute(_DELETE[table], (ticket,))
            else:
                self._conn.execute(_UPSERT[table], (ticket, _dump(row)))


# Statements are written out, one for each table: no SQL is ever put together from names.
_UPSERT: Final = {
    "positions": "INSERT INTO positions (ticket, data) VALUES (?, ?)"
    " ON CONFLICT (ticket) DO UPDATE SET data = excluded.data",
    "orders": "INSERT INTO orders (ticket, data) VALUES (?, ?)"
    " ON CONFLICT (ticket) DO UPDATE SET data = excluded.data",
    "quotes": "INSERT INTO quotes (symbol, data) VALUES (?, ?)"
    " ON CONFLICT (symbol) DO UPDATE SET data = excluded.data",
    "feeds": "INSERT INTO feeds (symbol, data) VALUES (?, ?)"
    " ON CONFLICT (symbol) DO UPDATE SET data = excluded.data",
}
_DELETE: Final = {
    "positions": "DELETE FROM positions WHERE ticket = ?",
    "orders": "DELETE FROM orders WHERE ticket = ?",
}
