"""The connector journals of this machine, read only: one order's row, remembered heads, latches.

A command that only looks is no client: it takes no lock and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from bridge_client.journal import Said
from bridge_client.risk_keeper import LocalLatch, latches_in
from bridge_core.host.sqlite import Connection, journal_errors, open_database
from bridge_core.protocol.chain import Head
from bridge_core.protocol.replies import OrderView, decode_reply
from bridge_core.protocol.signing import Frames

__all__ = [
    "DayRow", "LocalEvidence", "LocalOrder", "Remembered", "clients_of", "counted_refusals",
    "day_rows", "kept_evidence", "local_orders", "remembered", "risk_latches",
    "unfinished",
]  # fmt: skip


class LocalOrder(NamedTuple):
    """What one client on this machine wrote down about an order; times are UTC ms."""

    client: str
    rid: str
    client_order_id: str
    op: str
    inc: str
    iat: int
    deadline_ms: int
    sent_ms: int
    ended_ms: int
    over: bool
    view: OrderView


class Remembered(NamedTuple):
    """The heads of the server's record that one client remembers, its latches, and when (UTC ms).

    `seen_ms` is by size.
    """

    client: str
    pairs: tuple[Head, ...]
    latches: dict[str, str]
    seen_ms: Mapping[int, int] = {}


class LocalEvidence(NamedTuple):
    """The exact bytes that a client kept of one order: as signed, and the reply that ended it."""

    signed: Frames
    said: Said | None


class DayRow(NamedTuple):
    """One order of a day, as its client noted it: UTC ms here, and the quote it was signed on.

    `heard_ms` is 0 and the quote "" where none was kept.
    """

    client: str
    rid: str
    sent_ms: int
    heard_ms: int
    bid: str
    ask: str
    view: OrderView


def _journals(state: Path) -> Iterator[tuple[str, Connection]]:
    for path in sorted(state.glob("*.db")):
        with closing(open_database(path, exclusive=False)) as connection, journal_errors():
            connection.execute("PRAGMA query_only = ON")
            tables = {
                name
                for (name,) in connection.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'table'"
                )
            }
            if {"orders", "heads", "latches"} <= tables:
                yield path.stem, connection


_BY_ID: Final = """SELECT rid, client_order_id, op, inc, iat, deadline_ms, sent_ms, ended_ms, over,
    view FROM orders WHERE rid = ? OR client_order_id = ?"""
_OPEN: Final = """SELECT rid, client_order_id, op, inc, iat, deadline_ms, sent_ms, ended_ms, over,
    view FROM orders WHERE over = 0 ORDER BY sent_ms"""


_SAID: Final = """SELECT asked_token, asked_body, reply_token, reply_body, heard_ms FROM words
    WHERE rid = ?"""
_REFUSED: Final = "SELECT code, symbol, bound, count FROM refusals WHERE day = ?"
_TABLE: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"


def _orders(state: Path, query: str, *values: str) -> list[LocalOrder]:
    return [
        LocalOrder._make((client, *row[:-2], bool(row[-2]), decode_reply(OrderView, row[-1])))
        for client, connection in _journals(state)
        for row in connection.execute(query, values)
    ]


def local_orders(state: Path, order: str) -> list[LocalOrder]:
    """Return the rows whose rid or client_order_id this is; one, unless clients disagree.

    Raises:
        ConfigError: a journal is damaged.
    """
    return _orders(state, _BY_ID, order, order)


def unfinished(state: Path) -> list[LocalOrder]:
    """Return the rows about which something is left to ask.

    Raises:
        ConfigError: a journal is damaged.
    """
    return _orders(state, _OPEN)


def remembered(state: Path) -> list[Remembered]:
    """Return what each client remembers of the server's record.

    Raises:
        ConfigError: a journal is damaged.
    """
    return [
        Remembered(
            client,
            tuple(
                Head(size, digest)
                for size, digest in connection.execute(
                    "SELECT size, hash FROM heads WHERE why = '' ORDER BY size"
                )
            ),
            dict(connection.execute("SELECT name, detail FROM latches").fetchall()),
            dict(connection.execute("SELECT size, seen_ms FROM heads WHERE why = ''").fetchall()),
        )
        for client, connection in _journals(state)
    ]


def kept_evidence(state: Path, rid: str) -> LocalEvidence | None:
    """Return what was kept of an order's bytes; None: no client here has it.

    A journal that only an older version has opened keeps no replies.

    Raises:
        ConfigError: a journal is damaged.
    """
    for _, connection in _journals(state):
        row = connection.execute("SELECT token, body FROM orders WHERE rid = ?", (rid,)).fetchone()
        if row is None:
            continue
        said = None
        if _has(connection, "words"):
            kept = connection.execute(_SAID, (rid,)).fetchone()
            said = Said(Frames(*kept[:2]), Frames(*kept[2:4]), kept[4]) if kept else None
        return LocalEvidence(Frames(*row), said)
    return None


def _has(connection: Connection, table: str) -> bool:
    return connection.execute(_TABLE, (table,)).fetchone() is not None


_DAY: Final = """SELECT rid, sent_ms, 0, '', '', view FROM orders
    WHERE sent_ms >= ? AND sent_ms < ? ORDER BY sent_ms"""
_DAY_KEPT: Final = """SELECT orders.rid, sent_ms, COALESCE(heard_ms, 0), COALESCE(bid, ''),
    COALESCE(ask, ''), view FROM orders LEFT JOIN words ON words.rid = orders.rid
    LEFT JOIN quotes ON quotes.rid = orders.rid
    WHERE sent_ms >= ? AND sent_ms < ? ORDER BY sent_ms"""


def day_rows(state: Path, start_ms: int, end_ms: int) -> list[DayRow]:
    """Return the orders that were sent from here between two times (UTC ms).

    Raises:
        ConfigError: a journal is damaged.
    """
    return [
        DayRow._make((client, *row[:-1], decode_reply(OrderView, row[-1])))
        for client, connection in _journals(state)
        for row in connection.execute(
            _DAY_KEPT if _has(connection, "quotes") else _DAY, (start_ms, end_ms)
        )
    ]


def counted_refusals(state: Path, day: int) -> dict[tuple[str, str, str], int]:
    """Return how often the connectors here refused unsigned, by (code, symbol, bound).

    `day` counts days since 1970-01-01 UTC.

    Raises:
        ConfigError: a journal is damaged.
    """
    counts: dict[tuple[str, str, str], int] = {}
    for _, connection in _journals(state):
        if _has(connection, "refusals"):
            for *key, count in connection.execute(_REFUSED, (day,)):
                code, symbol, bound = key
                counts[code, symbol, bound] = counts.get((code, symbol, bound), 0) + count
    return counts


def risk_latches(state: Path) -> dict[str, dict[str, LocalLatch]]:
    """Return the limits that block entries on this machine: by client, then by cause.

    Raises:
        ConfigError: a journal is damaged.
    """
    found = {}
    for client, connection in _journals(state):
        row = connection.execute("SELECT value FROM meta WHERE key = 'risk'").fetchone()
        latches = latches_in(row[0]) if row is not None else {}
        if latches:
            found[client] = latches
    return found


def clients_of(state: Path) -> list[str]:
    """Return the names of the clients that have a journal here."""
    return [client for client, _ in _journals(state)]
