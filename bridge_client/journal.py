"""The connector's journal: what it signed, before it left; what became of it; what it witnessed.

One SQLite file per client name, owned by one process (an OS lock that dies with it). A row is
INTENT and SENT in one commit, made before the first byte leaves: a row without an outcome means
that the order may have run, and is asked about for as long as it takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from bridge_core.host.sqlite import FileLock, open_database, transaction
from bridge_core.protocol.chain import Head
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.replies import OrderView, decode_reply, encode_reply
from bridge_core.protocol.signing import Frames

__all__ = ["ConnectorJournal", "Quoted", "Refused", "Row", "Said"]

SCHEMA: Final = 1
_PAIRS_KEPT: Final = 256
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS orders (
        rid TEXT PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE, op TEXT NOT NULL,
        symbol TEXT NOT NULL, ticket INTEGER NOT NULL, fields TEXT NOT NULL,
        token BLOB NOT NULL, body BLOB NOT NULL, inc TEXT NOT NULL, iat INTEGER NOT NULL,
        deadline_ms INTEGER NOT NULL, sent_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,
        over INTEGER NOT NULL, view BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS orders_open ON orders (over) WHERE over = 0",
    "CREATE INDEX IF NOT EXISTS orders_by_ticket ON orders (ticket, iat)",
    """CREATE TABLE IF NOT EXISTS heads (
        size INTEGER NOT NULL, hash BLOB NOT NULL, seen_ms INTEGER NOT NULL, why TEXT NOT NULL,
        PRIMARY KEY (size, hash)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS latches (
        name TEXT PRIMARY KEY, since_ms INTEGER NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Added later, beside the tables of schema 1 and never read by an older version: a file that
    # either version has written can be opened by the other, so the schema's number stays.
    """CREATE TABLE IF NOT EXISTS words (
        rid TEXT PRIMARY KEY, asked_token BLOB NOT NULL, asked_body BLOB NOT NULL,
        reply_token BLOB NOT NULL, reply_body BLOB NOT NULL, heard_ms INTEGER NOT NULL)
        WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS quotes (
        rid TEXT PRIMARY KEY, bid TEXT NOT NULL, ask TEXT NOT NULL, age_ms INTEGER NOT NULL)
        WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS refusals (
        day INTEGER NOT NULL, op TEXT NOT NULL, symbol TEXT NOT NULL, code TEXT NOT NULL,
        bound TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (day, op, symbol, code, bound)) WITHOUT ROWID""",
)
_COLUMNS: Final = (
    "rid, client_order_id, op, symbol, ticket, fields, token, body, inc, iat, deadline_ms, "
    "sent_ms, ended_ms, over, view"
)
# Built from our own column names only; every value is bound.
_INSERT: Final = f"INSERT INTO orders ({_COLUMNS}) VALUES ({','.join('?' * 15)})"  # noqa: S608
_INSERT_NEW: Final = _INSERT.replace("INSERT", "INSERT OR IGNORE", 1)
_SELECT: Final = f"SELECT {_COLUMNS} FROM orders"  # noqa: S608
_UNFINISHED: Final = _SELECT + " WHERE over = 0 ORDER BY sent_ms"
_BY_ID: Final = _SELECT + " WHERE client_order_id = ?"
_BY_RID: Final = _SELECT + " WHERE rid = ?"


class Quoted(NamedTuple):
    """The quote that this side had seen last when it signed, and how old it was (ms)."""

    bid: str
    ask: str
    age_ms: int


class Row(Struct, frozen=True, kw_only=True):
    """One order of this client.

    `fields` is what the caller asked for, `over` that nothing is left to ask; `frames` are empty
    for an order adopted from the server after a lost disk. `quote` is written and not read back.
    """

    rid: str
    client_order_id: str
    op: str
    symbol: str
    ticket: int
    fields: str
    frames: Frames
    inc: str
    iat: int
    deadline_ms: int
    sent_ms: int
    view: OrderView
    ended_ms: int = 0
    over: bool = False
    quote: Quoted | None = None

    def values(self) -> tuple[object, ...]:
        """Return the columns in their order."""
        return (
            self.rid, self.client_order_id, self.op, self.symbol, self.ticket, self.fields,
            self.frames.token, self.frames.body, self.inc, self.iat, self.deadline_ms,
            self.sent_ms, self.ended_ms, int(self.over), encode_reply(self.view),
        )  # fmt: skip


class Said(NamedTuple):
    """The exact bytes that ended an order: the reply, and the question it answers.

    `asked` is empty when the reply answers the order itself; `heard_ms` is UTC ms here.
    """

    asked: Frames
    reply: Frames
    heard_ms: int


class Refused(NamedTuple):
    """What this connector refused, nothing having been signed: one key of a count."""

    day: int
    op: str
    symbol: str
    code: str
    bound: str


class ConnectorJournal:
    """One client's journal. Thread-safe; every method is one short transaction."""

    def __init__(self, path: Path, account: str, mode: str) -> None:
        """Open or create.

        Raises:
            ConfigError: CLIENT_IN_USE (names the other process), another account or mode, a
                newer schema, or a damaged file.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._owner = FileLock(path.with_name(path.name + ".lock"), path.stem)
        self._owner.acquire()
        try:
            self._conn = open_database(path, exclusive=False)
            self._guard = threading.Lock()
            self._start(path, {"account": account, "mode": mode, "schema": str(SCHEMA)})
        except BaseException:
            self._owner.release()
            raise

    def _start(self, path: Path, wanted: dict[str, str]) -> None:
        with transaction(self._conn):
            for statement in _TABLES:
                self._conn.execute(statement)
            known = dict(self._conn.execute("SELECT key, value FROM meta").fetchall())
            for key, value in wanted.items():
                if known.setdefault(key, value) != value:
                    raise ConfigError(
                        "JOURNAL",
                        f"{path} belongs to {key} {known[key]}, not {value}: use another `state` "
                        "folder",
                    )
            self._conn.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", list(wanted.items()))

    # --- orders ---------------------------------------------------------------------------

    def intend(self, row: Row, risk: str = "") -> None:
        """Make the order durable before it leaves, with the quote it was signed on, if any.

        `risk` is what it counts for (risk_keeper.py), in the same commit.

        Raises:
            JournalFull, JournalFatal: it is not; nothing may be sent.
        """
        with self._guard, transaction(self._conn):
            self._conn.execute(_INSERT, row.values())
            if row.quote is not None:
                self._conn.execute("INSERT INTO quotes VALUES (?,?,?,?)", (row.rid, *row.quote))
            self._keep_risk(risk)

    def adopt(self, replaced_rid: str, row: Row) -> None:
        """Let the server's order take the place of the copy it refused as a duplicate."""
        with self._guard, transaction(self._conn):
            self._conn.execute("DELETE FROM orders WHERE rid = ?", (replaced_rid,))
            self._conn.execute(
                "DELETE FROM orders WHERE client_order_id = ? OR rid = ?",
                (row.client_order_id, row.rid),
            )
            self._conn.execute(_INSERT, row.values())

    @property
    def recalled(self) -> bool:
        """Whether this file has already taken over what the server knew of its client."""
        with self._guard:
            found = self._conn.execute("SELECT 1 FROM meta WHERE key = 'recalled_ms'").fetchone()
        return found is not None

    def recall(self, rows: Iterable[Row], now_ms: int) -> list[Row]:
        """Take over what the server knew, once; return what was not written here already."""
        with self._guard, transaction(self._conn):
            taken = [r for r in rows if self._conn.execute(_INSERT_NEW, r.values()).rowcount]
            self._conn.execute(
                "INSERT OR REPLACE INTO meta VALUES ('recalled_ms', ?)", (str(now_ms),)
            )
        return taken

    def outcomes(
        self,
        views: Iterable[tuple[OrderView, bool]],
        now_ms: int,
        pair: Head | None = None,
        said: Mapping[str, Said] | None = None,
        risk: str = "",
    ) -> None:
        """Store what became of orders, (view, nothing left to ask), and the newest log head.

        `said` has the replies that ended them, by rid; `risk` is what they count for.
        """
        rows = [(encode_reply(v), int(over), now_ms, v.rid) for v, over in views]
        words = [(rid, *one.asked, *one.reply, one.heard_ms) for rid, one in (said or {}).items()]
        if not rows and pair is None and not risk:
            return
        with self._guard, transaction(self._conn):
            self._conn.executemany(
                "UPDATE orders SET view = ?, over = ?, ended_ms = ? WHERE rid = ?", rows
            )
            self._conn.executemany("INSERT OR REPLACE INTO words VALUES (?,?,?,?,?,?)", words)
            if pair is not None:
                self._keep(pair, now_ms, "")
            self._keep_risk(risk)

    def count_refusals(self, counts: Mapping[Refused, int]) -> None:
        """Add to the counts of what this connector refused unsigned."""
        if not counts:
            return
        with self._guard, transaction(self._conn):
            self._conn.executemany(
                "INSERT INTO refusals VALUES (?,?,?,?,?,?) ON CONFLICT (day, op, symbol, code, "
                "bound) DO UPDATE SET count = count + excluded.count",
                [(*key, count) for key, count in counts.items()],
            )

    def by_client_order_id(self, client_order_id: str) -> Row | None:
        """Return the order that has this id, for ever."""
        return self._one(_BY_ID, client_order_id)

    def by_rid(self, rid: str) -> Row | None:
        """Return the order with this request id."""
        return self._one(_BY_RID, rid)

    def unfinished(self) -> list[Row]:
        """Return the orders about which something is left to ask, oldest first."""
        with self._guard:
            found = self._conn.execute(_UNFINISHED).fetchall()
        return [_row(values) for values in found]

    def last_modify_iat(self, ticket: int) -> int:
        """Return the iat (UTC ms) of the latest MODIFY signed for a ticket, or 0."""
        with self._guard:
            (found,) = self._conn.execute(
                "SELECT MAX(iat) FROM orders WHERE ticket = ? AND op = 'MODIFY'", (ticket,)
            ).fetchone()
        return int(found or 0)

    def _one(self, statement: str, value: str) -> Row | None:
        with self._guard:
            found = self._conn.execute(statement, (value,)).fetchone()
        return None if found is None else _row(found)

    # --- what was witnessed ---------------------------------------------------------------

    def pairs(self) -> tuple[Head, ...]:
        """Return the remembered (size, head) pairs, oldest first; disputed ones are left out."""
        with self._guard:
            found = self._conn.execute(
                "SELECT size, hash FROM heads WHERE why = '' ORDER BY size"
            ).fetchall()
        return tuple(Head(size, digest) for size, digest in found)

    def keep_pair(self, pair: Head, now_ms: int, why: str = "") -> None:
        """Remember a pair; one with a `why` is evidence of a fork and stays on file."""
        with self._guard, transaction(self._conn):
            self._keep(pair, now_ms, why)

    def _keep(self, pair: Head, now_ms: int, why: str) -> None:
        self._conn.execute(
            "INSERT OR IGNORE INTO heads VALUES (?, ?, ?, ?)", (pair.size, pair.hash, now_ms, why)
        )
        self._conn.execute(
            "DELETE FROM heads WHERE why = '' AND size NOT IN (SELECT size FROM heads "
            "WHERE why = '' ORDER BY size DESC LIMIT ?)",
            (_PAIRS_KEPT,),
        )

    def accept_pair(self, pair: Head, now_ms: int) -> None:
        """Start anew from this pair; the earlier ones stay on file as disputed."""
        with self._guard, transaction(self._conn):
            self._conn.execute("UPDATE heads SET why = 'before accept' WHERE why = ''")
            self._conn.execute(
                "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, '')", (pair.size, pair.hash, now_ms)
            )
            self._conn.execute("DELETE FROM latches WHERE name = 'LOG_FORK'")

    def latch(self, name: str, detail: str, now_ms: int) -> None:
        """Set a latch; the first reason stays."""
        with self._guard, transaction(self._conn):
            self._conn.execute(
                "INSERT OR IGNORE INTO latches VALUES (?, ?, ?)", (name, now_ms, detail)
            )

    def latches(self) -> dict[str, str]:
        """Return the latches that are set, with their reasons."""
        with self._guard:
            return dict(self._conn.execute("SELECT name, detail FROM latches").fetchall())

    # --- the day's counts and the latches of the limits --------------------------------------

    def risk(self) -> str:
        """Return what the limits must remember, as last kept; "" in a new journal."""
        with self._guard:
            found = self._conn.execute("SELECT value FROM meta WHERE key = 'risk'").fetchone()
        return "" if found is None else str(found[0])

    def keep_risk(self, risk: str) -> None:
        """Make durable what the limits must remember."""
        with self._guard, transaction(self._conn):
            self._keep_risk(risk)

    def _keep_risk(self, risk: str) -> None:
        if risk:
            self._conn.execute("INSERT OR REPLACE INTO meta VALUES ('risk', ?)", (risk,))

    def close(self) -> None:
        """Close the file and give up the client name."""
        with self._guard:
            self._conn.close()
        self._owner.release()


def _row(values: tuple[Any, ...]) -> Row:
    named = msgspec.convert(
        dict(zip(_COLUMNS.split(", "), values, strict=True)), _Stored, strict=False
    )
    return Row(
        rid=named.rid,
        client_order_id=named.client_order_id,
        op=named.op,
        symbol=named.symbol,
        ticket=named.ticket,
        fields=named.fields,
        frames=Frames(named.token, named.body),
        inc=named.inc,
        iat=named.iat,
        deadline_ms=named.deadline_ms,
        sent_ms=named.sent_ms,
        ended_ms=named.ended_ms,
        over=bool(named.over),
        view=decode_reply(OrderView, named.view),
    )


class _Stored(Struct):
    rid: str
    client_order_id: str
    op: str
    symbol: str
    ticket: int
    fields: str
    token: bytes
    body: bytes
    inc: str
    iat: int
    deadline_ms: int
    sent_ms: int
    ended_ms: int
    over: int
    view: bytes
