"""A journal as a busy year leaves it: the real tables, a chain that holds, rows by the hundred
thousand."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from bridge_core.protocol.chain import Head, Record, encode_record, link
from bridge_core.protocol.replies import OrderView
from bridge_server.journal import Journal

__all__ = ["grow", "rid_of"]

_LOT: Final = 20_000
_COLUMNS: Final = 23


def rid_of(number: int) -> str:
    """Return the request id of the n-th order."""
    return f"{number:032x}"


def _orders(first: int, count: int, at_ms: int) -> Iterator[tuple[object, ...]]:
    encode = msgspec.json.Encoder().encode
    for n in range(first, first + count):
        view = encode(
            OrderView(
                rid=rid_of(n), op="OPEN", client_order_id=f"old-{n}", status="DENIED",
                code="MAX_VOLUME", final=True, symbol="EURUSD", type="BUY", by="server",
            )
        )  # fmt: skip
        row = (
            rid_of(n), f"old-{n}", "old-kid", "atlas", "OPEN", "EURUSD", "DENIED", "", "",
            "0" * 64, b"token", b"body", "0" * 16, n, at_ms, at_ms, 0, at_ms, 0, "", view,
            b"reply", b"{}",
        )  # fmt: skip
        assert len(row) == _COLUMNS
        yield row


def _records(head: Head, first: int, count: int, at_ms: int) -> Iterator[tuple[int, bytes, bytes]]:
    size, previous = head
    for n in range(first, first + count):
        record = encode_record(
            Record(ts=at_ms, kind="ORDER", rid=rid_of(n), op="OPEN", state="DENIED",
                   code="MAX_VOLUME")
        )  # fmt: skip
        size, previous = size + 1, link(previous, record)
        yield size, record, previous


def grow(path: Path, count: int, at_ms: int) -> None:
    """Add `count` denied orders of long ago (UTC ms), each with its record, to a journal."""
    journal = Journal(path)  # makes the tables, and sees to it that nobody has it open
    head = journal.head
    journal.close()
    marks = ", ".join("?" * _COLUMNS)
    orders, records = _orders(1, count, at_ms), _records(head, 1, count, at_ms)
    with sqlite3.connect(path) as database:
        while batch := list(islice(orders, _LOT)):
            database.executemany(f"INSERT INTO orders VALUES ({marks})", batch)
            database.executemany(
                "INSERT INTO log VALUES (?, ?, ?)", list(islice(records, len(batch)))
            )
    database.close()
    # A server that starts now waits for its own writes, not for these.
    with path.open("rb") as file:
        os.fsync(file.fileno())
