"""Answers GET_LOG of a record that is held in memory, as a connector would be answered."""

from __future__ import annotations

from typing import Any

from bridge_client.cli.audit_log import LogReader
from bridge_core.protocol.chain import Head, Record, encode_record, link
from bridge_core.protocol.replies import LogPage, LogRow

__all__ = ["RecordServer", "reader_of"]


class RecordServer:
    """A record of `count` rows, one a second; row `broken` is not what its hash says."""

    def __init__(self, count: int, *, broken: int = 0) -> None:
        self.rows: list[LogRow] = []
        digest = bytes(32)
        for n in range(1, count + 1):
            raw = encode_record(Record(ts=1000 * n, kind="ORDER", rid=str(n)))
            digest = link(digest, raw)
            shown = raw.replace(b"ORDER", b"OTHER") if n == broken else raw
            self.rows.append(LogRow(n=n, record=shown.decode(), hash=digest.hex()))
        self.asked = 0

    def ask(self, _op: object, body: Any, _kind: object) -> LogPage:
        self.asked += 1
        first = max(1, body.first)
        prev = self.rows[first - 2].hash if first > 1 else "00" * 32
        return LogPage(rows=self.rows[first - 1 : first - 1 + (body.count or 500)], prev=prev,
                       size=len(self.rows), head=self.rows[-1].hash)  # fmt: skip

    def head(self, n: int) -> Head:
        return Head(n, bytes.fromhex(self.rows[n - 1].hash))


def reader_of(server: RecordServer) -> LogReader:
    """Return a reader of its record."""
    return LogReader(server)  # type: ignore[arg-type]  # it needs no more of a connector than ask
