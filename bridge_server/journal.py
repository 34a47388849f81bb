"""The server's journal: one row per journaled request, a hash-chained log, meta (protocol.md 11).

One connection, one owner thread. Every change of state is compare-and-set and stands in the same
transaction as its log record. An unclear commit is JournalFatal: nothing may act after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bridge_core.host.sqlite import JournalFatal, journal_errors, open_database, transaction
from bridge_core.protocol.chain import GENESIS, Head, Record, encode_record, link
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server.core.orders import FINAL_STATES, Life, OrderState
from bridge_server.journal_row import COLUMNS, Change, OrderRow, encode_value, row_of

__all__ = ["Change", "Journal", "OrderRow"]

SCHEMA: Final = 1
# Values of one question; SQLite takes 999 at the least.
_TICKETS_MAX: Final = 500

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS orders (
        rid TEXT PRIMARY KEY, client_order_id TEXT UNIQUE, kid TEXT NOT NULL, client TEXT NOT NULL,
        op TEXT NOT NULL, symbol TEXT NOT NULL, state TEXT NOT NULL, life TEXT NOT NULL,
        parent TEXT NOT NULL, req_hash TEXT NOT NULL, token BLOB NOT NULL, body BLOB NOT NULL,
        inc TEXT NOT NULL, magic INTEGER NOT NULL, deadline_ms INTEGER NOT NULL,
        accepted_ms INTEGER NOT NULL, dispatched_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,
        ticket INTEGER NOT NULL, evidence TEXT NOT NULL, view BLOB NOT NULL,
        reply_token BLOB NOT NULL, reply_body BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS orders_by_state ON orders (state)",
    "CREATE INDEX IF NOT EXISTS orders_by_time ON orders (accepted_ms)",
    "CREATE INDEX IF NOT EXISTS orders_by_ticket ON orders (ticket)",
    "CREATE INDEX IF NOT EXISTS orders_by_parent ON orders (parent) WHERE parent <> ''",
    "CREATE INDEX IF NOT EXISTS openers_by_magic ON orders (magic) WHERE op = 'OPEN'",
    "CREATE INDEX IF NOT EXISTS orders_absent ON orders (magic) WHERE evidence = 'ABSENT'",
    """CREATE TABLE IF NOT EXISTS log (
        n INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)

_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM orders "  # noqa: S608  constant columns
_INSERT: Final = (
    f"INSERT INTO orders ({', '.join(COLUMNS)}) "  # noqa: S608  constant columns
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)


class Journal:
    """The durable truth of one account. Times are UTC ms."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            ConfigError: in use, not durable, damaged, or of a newer schema.
        """
        self.path = path
        self._db = open_database(path, exclusive=True)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        # A newer file is left exactly as it is.
        if self._read("SELECT 1 FROM sqlite_schema WHERE name = 'meta'"):
            found = self.meta("schema")
            if found is not None and int(found) > SCHEMA:
                raise ConfigError(
                    "JOURNAL_NEWER",
                    f"{self.path} has schema {found}, this version knows {SCHEMA}: upgrade",
                )
        with transaction(self._db):
            for statement in _TABLES:
                self._db.execute(statement)
        self.head = self._read_head()

    def _read(self, query: str, values: tuple[str | int, ...] = ()) -> list[tuple[Any, ...]]:
        # A disk that fails while reading is as fatal as one that fails while writing.
        with journal_errors():
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- meta ------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        """Return a value of the meta table."""
        found = self._read("SELECT value FROM meta WHERE key = ?", (key,))
        return str(found[0][0]) if found else None

    def put_meta(self, values: dict[str, str]) -> None:
        """Write values to the meta table, in the surrounding transaction if there is one."""
        with journal_errors():
            self._db.executemany(
                "INSERT INTO meta VALUES (?, ?)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                list(values.items()),
            )

    def bind(self, account: dict[str, str]) -> None:
        """Tie an empty journal to an account; refuse one that began with another.

        Raises:
            ConfigError: JOURNAL_ACCOUNT, naming both.
        """
        for key, wanted in account.items():
            found = self.meta(key)
            if found is not None and found != wanted:
                raise ConfigError(
                    "JOURNAL_ACCOUNT",
                    f"{self.path} began with {key} {found}, the configuration says {wanted}: "
                    "use another state folder",
                )
        with transaction(self._db):
            self.put_meta({**account, "schema": str(SCHEMA)})

    # --- transactions and the log ----------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One durable commit; on failure the in-memory head goes back with the file."""
        before = self.head
        try:
            with transaction(self._db):
                yield
        except BaseException:
            self.head = before
            raise

    def append(self, record: Record) -> None:
        """Add one record to the chain, inside a transaction."""
        raw = encode_record(record)
        digest = link(self.head.hash, raw)
        self._db.execute("INSERT INTO log VALUES (?, ?, ?)", (self.head.size + 1, raw, digest))
        self.head = Head(self.head.size + 1, digest)

    def log_rows(self, first: int, count: int) -> list[tuple[int, bytes, bytes]]:
        """Return records from index `first` (1-based) on."""
        # Cast, since whoever edits the file may leave a text where bytes belong.
        rows = self._read(
            "SELECT n, CAST(record AS BLOB), CAST(hash AS BLOB) FROM log"
            " WHERE n >= ? ORDER BY n LIMIT ?",
            (first, count),
        )
        return [(int(n), bytes(record), bytes(digest)) for n, record, digest in rows]

    def hash_at(self, n: int) -> bytes:
        """Return the hash of record n, the genesis hash for 0."""
        if n <= 0:
            return GENESIS
        found = self._read("SELECT CAST(hash AS BLOB) FROM log WHERE n = ?", (n,))
        return bytes(found[0][0]) if found else b""

    def _read_head(self) -> Head:
        found = self._read("SELECT n, CAST(hash AS BLOB) FROM log ORDER BY n DESC LIMIT 1")
        return Head(int(found[0][0]), bytes(found[0][1])) if found else Head(0, GENESIS)

    # --- orders ----------------------------------------------------------------------------

    def insert(self, row: OrderRow, kind: str, data: dict[str, str] | None = None) -> None:
        """Write a new row and its record, inside a transaction."""
        self._db.execute(
            _INSERT,
            tuple(
                encode_value(value) if name == "view" else value
                for name, value in ((name, getattr(row, name)) for name in COLUMNS)
            ),
        )
        self.append(
            Record(
                ts=row.accepted_ms,
                kind=kind,
                rid=row.rid,
                op=row.op,
                state=row.state,
                code=row.view.code if row.view.code != "-" else "",
                data={"req_hash": row.req_hash, **(data or {})} if row.req_hash else data or {},
            )
        )

    def change(
        self,
        row: OrderRow,
        to: Change,
        reply: Callable[[OrderView], Frames] | None = None,
    ) -> OrderRow:
        """Move a row along by compare-and-set, inside a transaction; return the row as it is then.

        The reply is made after the record, so that it carries the head that includes it. `row`
        itself stays as it was: what is not committed has not happened.

        Raises:
            JournalFatal: the row was not in the state we hold it to be in.
        """
        data = {**to.data, "evidence": to.evidence} if to.evidence else dict(to.data)
        self.append(
            Record(
                ts=to.at_ms,
                kind="RESUME" if row.op == "RESUME" else "ORDER",
                rid=row.rid,
                op=row.op,
                state=to.state,
                code=to.view.code if to.view.code != "-" else "",
                data=data,
            )
        )
        frames = reply(to.view) if reply is not None else Frames(b"", b"")
        moved = msgspec.structs.replace(
            row,
            state=to.state,
            view=to.view,
            evidence=to.evidence,
            life=to.life,
            ticket=to.view.ticket,
            dispatched_ms=to.at_ms if to.state is OrderState.DISPATCHING else row.dispatched_ms,
            ended_ms=to.at_ms if to.state in FINAL_STATES else 0,
            reply_token=frames.token,
            reply_body=frames.body,
        )
        cursor = self._db.execute(
            "UPDATE orders SET state = ?, view = ?, evidence = ?, life = ?, ticket = ?,"
            " dispatched_ms = ?, ended_ms = ?, reply_token = ?, reply_body = ?"
            " WHERE rid = ? AND state = ?",
            (
                moved.state, encode_value(moved.view), moved.evidence, moved.life, moved.ticket,
                moved.dispatched_ms, moved.ended_ms, moved.reply_token, moved.reply_body,
                row.rid, row.state,
            ),
        )  # fmt: skip
        if cursor.rowcount != 1:
            raise JournalFatal("JOURNAL_FATAL", f"rid={row.rid} expected={row.state}")
        return moved

    def show(self, row: OrderRow, view: OrderView) -> OrderRow:
        """Write what an open row looks like now, inside a transaction; its state stays."""
        self._db.execute("UPDATE orders SET view = ? WHERE rid = ?", (encode_value(view), row.rid))
        return msgspec.structs.replace(row, view=view)

    def set_life(self, row: OrderRow, life: Life, at_ms: int) -> OrderRow:
        """Follow a WORKING order, inside a transaction; return the row as it is then."""
        view = msgspec.structs.replace(row.view, life=life.value)
        self.append(
            Record(ts=at_ms, kind="LIFE", rid=row.rid, op=row.op, data={"life": life.value})
        )
        self._db.execute(
            "UPDATE orders SET life = ?, view = ? WHERE rid = ?",
            (life, encode_value(view), row.rid),
        )
        return msgspec.structs.replace(row, life=life, view=view)

    def attest(self, row: OrderRow, word: Change, reply: Callable[[OrderView], Frames]) -> OrderRow:
        """Add the executor's record to a final row that came without, inside a transaction.

        Its state stays; the reply is made anew, with the head that includes the log's record.

        Raises:
            JournalFatal: the row was not in the state we hold it to be in.
        """
        self.append(Record(ts=word.at_ms, kind="EA", rid=row.rid, op=row.op, data=word.data))
        view, frames = word.view, reply(word.view)
        moved = msgspec.structs.replace(
            row, view=view, evidence=view.evidence, reply_token=frames.token,
            reply_body=frames.body,
        )  # fmt: skip
        cursor = self._db.execute(
            "UPDATE orders SET view = ?, evidence = ?, reply_token = ?, reply_body = ?"
            " WHERE rid = ? AND state = ?",
            (encode_value(view), view.evidence, frames.token, frames.body, row.rid, row.state),
        )
        if cursor.rowcount != 1:
            raise JournalFatal("JOURNAL_FATAL", f"rid={row.rid} expected={row.state}")
        return moved

    def unattested(self, since_ms: int, count: int) -> list[OrderRow]:
        """Return final rows accepted since a time that have no executor's record, newest first."""
        found = self._read(
            _SELECT + "WHERE accepted_ms >= ? AND ended_ms > 0 AND evidence <> 'EA'"
            " AND op <> 'SETTLE' ORDER BY accepted_ms DESC LIMIT ?",
            (since_ms, count),
        )
        return [row_of(values) for values in found]

    def get(self, rid: str) -> OrderRow | None:
        """Return a row by request id."""
        return self._one("WHERE rid = ?", rid)

    def get_by_client_order_id(self, client_order_id: str) -> OrderRow | None:
        """Return a row by the strategy's own id."""
        return self._one("WHERE client_order_id = ?", client_order_id)

    def working_on(self, ticket: int) -> OrderRow | None:
        """Return the WORKING row whose pending order has this ticket."""
        return self._one(
            "WHERE ticket = ? AND state = 'WORKING' AND life IN ('WORKING', 'PARTIAL')", ticket
        )

    def working(self) -> list[OrderRow]:
        """Return the rows whose pending orders we believe to rest at the broker."""
        found = self._read(_SELECT + "WHERE state = 'WORKING' AND life IN ('WORKING', 'PARTIAL')")
        return [row_of(values) for values in found]

    def opener_of(self, ticket: int) -> OrderRow | None:
        """Return the OPEN that made this position or pending order."""
        # All that never reached a broker stand under 0: nobody asks for those, and they are many.
        return self._one("WHERE ticket = ? AND op = 'OPEN'", ticket) if ticket else None

    def openers_of(self, tickets: Sequence[int]) -> dict[int, OrderRow]:
        """Return the OPENs that made these positions and pending orders, by ticket."""
        found: dict[int, OrderRow] = {}
        for at in range(0, len(tickets), _TICKETS_MAX):
            some = tuple(tickets[at : at + _TICKETS_MAX])
            marks = ", ".join("?" * len(some))
            rows = self._read(_SELECT + f"WHERE op = 'OPEN' AND ticket IN ({marks})", some)
            found |= {row.ticket: row for row in map(row_of, rows)}
        return found

    def openers_by_magic(self, magic: int) -> list[OrderRow]:
        """Return the OPENs whose tag this is; a collision apart there is one."""
        found = self._read(_SELECT + "WHERE magic = ? AND op = 'OPEN'", (magic,))
        return [row_of(values) for values in found]

    def dispatched_since(self, accepted_ms: int) -> list[str]:
        """Return the rids of orders accepted since a time that were handed to the broker."""
        found = self._read(
            "SELECT rid FROM orders WHERE accepted_ms >= ? AND dispatched_ms > 0", (accepted_ms,)
        )
        return [str(rid) for (rid,) in found]

    def opened_as(self, magic: int) -> bool:
        """Return whether an OPEN of ours was sent under this magic (0: none was)."""
        return bool(magic) and bool(self.openers_by_magic(magic))

    def _one(self, where: str, value: str | int) -> OrderRow | None:
        found = self._read(_SELECT + where, (value,))
        return row_of(found[0]) if found else None

    def unfinished(self) -> list[OrderRow]:
        """Return the rows that are not final, oldest first."""
        found = self._read(
            _SELECT
            + "WHERE state IN ('ACCEPTED', 'DISPATCHING', 'UNKNOWN') ORDER BY accepted_ms, rid"
        )
        return [row_of(values) for values in found]

    def children(self, parent: str) -> list[OrderRow]:
        """Return the child rows of a FLATTEN."""
        found = self._read(_SELECT + "WHERE parent = ? AND parent <> '' ORDER BY rid", (parent,))
        return [row_of(values) for values in found]

    def page(self, since_ms: int, first: int, count: int) -> tuple[list[OrderRow], int]:
        """Return rows accepted since a time, and how many there are."""
        total = self._read("SELECT count(*) FROM orders WHERE accepted_ms >= ?", (since_ms,))
        found = self._read(
            _SELECT + "WHERE accepted_ms >= ? ORDER BY accepted_ms, rid LIMIT ? OFFSET ?",
            (since_ms, count, first),
        )
        return [row_of(values) for values in found], int(total[0][0])

    def absent_magics(self) -> frozenset[int]:
        """Return the magics of orders that were concluded absent (GHOST_FILL watches them)."""
        found = self._read("SELECT magic FROM orders WHERE evidence = 'ABSENT'")
        return frozenset(int(magic) for (magic,) in found if magic)
