"""The fake EA's file journal: the intent is flushed before the call, the result after it.

One JSON object a line. A row is what the EA knows of one request id: the order it was asked to
run, and its word about it once it has one. Delete the file to play a lost disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

__all__ = ["EaJournal", "Row"]

_FILE: Final = "ea-journal.jsonl"


class Row(Struct, kw_only=True):
    """One rid. `word` is None while begun without an outcome; `order_hash` of a tombstone is ""."""

    rid: str
    kid: str
    op: str
    order_hash: str = ""
    iat: int = 0
    body: str = ""
    begun_ms: int = 0
    word: dict[str, Any] | None = None


class EaJournal:
    """Rows by rid, the scope of each FLATTEN as first seen, the last MODIFY of each ticket."""

    def __init__(self, folder: Path, now_ms: int) -> None:
        self._path = folder / _FILE
        self.rows: dict[str, Row] = {}
        self.scopes: dict[str, list[int]] = {}
        self.applied: dict[int, int] = {}
        self.born_ms = now_ms
        folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            self._read()
        else:
            self._append({"k": "BORN", "ms": now_ms})

    def _read(self) -> None:
        for line in self._path.read_bytes().splitlines():
            try:
                entry = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue  # cut off by a death
            match entry.pop("k"):
                case "BORN":
                    self.born_ms = entry["ms"]
                case "ROW":
                    row = msgspec.convert(entry, Row)
                    self.rows[row.rid] = row
                case "SCOPE":
                    self.scopes[entry["rid"]] = entry["tickets"]
                case "APPLIED":
                    self.applied[entry["ticket"]] = entry["iat"]

    def _append(self, entry: dict[str, Any]) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()

    def put(self, row: Row) -> None:
        """Write a row's newest state; the last one of a rid counts."""
        self._append({"k": "ROW"} | msgspec.to_builtins(row))
        self.rows[row.rid] = row

    def put_scope(self, rid: str, tickets: list[int]) -> None:
        """Write which tickets were in the scope of a FLATTEN when it was first seen."""
        self._append({"k": "SCOPE", "rid": rid, "tickets": tickets})
        self.scopes[rid] = tickets

    def put_applied(self, ticket: int, iat: int) -> None:
        """Write the iat of the last MODIFY that was applied to a ticket."""
        self._append({"k": "APPLIED", "ticket": ticket, "iat": iat})
        self.applied[ticket] = iat

    def begun(self) -> list[Row]:
        """Return the rows without an outcome."""
        return [row for row in self.rows.values() if row.word is None]
