"""Questions that only operators ask: the server's limits and its record, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bridge_core.protocol import limits
from bridge_core.protocol.chain import GENESIS, ChainFault, Head, Record, verify_range
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.messages import GetRange, Query
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import LogPage, LogRow, Page

if TYPE_CHECKING:
    from bridge_client.connector import Connector
    from bridge_core.protocol.views import LimitView

__all__ = [
    "NumberedRecord", "Walk", "log_size", "read_records", "records_of", "server_limits", "walk",
]  # fmt: skip


class NumberedRecord(NamedTuple):
    """One record of the server's log with its 1-based number."""

    n: int
    record: Record


class Walk(NamedTuple):
    """The recomputed chain: its head, the hashes asked for, and "" or what is wrong."""

    head: Head
    hashes: Mapping[int, bytes]
    fault: str


def server_limits(bridge: Connector) -> list[LimitView]:
    """Return the limits that the server enforces, as it writes them."""
    body = Query(symbol="", since=0, until=0, first=0, count=0)
    return bridge.ask(Op.GET_LIMITS, body, Page).limits


def _page(bridge: Connector, first: int, count: int) -> LogPage:
    body = GetRange(since=0, first=first, count=min(count, limits.PAGE_ROWS_MAX))
    return bridge.ask(Op.GET_LOG, body, LogPage)


def log_size(bridge: Connector) -> int:
    """Return how many records the server's log has."""
    return _page(bridge, 1, 1).size


def _pages(bridge: Connector, first: int) -> Iterator[LogPage]:
    """Yield pages from `first` to the end of the log."""
    while True:
        page = _page(bridge, first, limits.PAGE_ROWS_MAX)
        yield page
        if not page.rows or page.rows[-1].n >= page.size:
            return
        first = page.rows[-1].n + 1


def _decode(row: LogRow) -> NumberedRecord:
    try:
        return NumberedRecord(row.n, msgspec.json.decode(row.record, type=Record))
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError("LOG_RECORD", f"n={row.n}") from error


def read_records(bridge: Connector, first: int, count: int) -> list[NumberedRecord]:
    """Return `count` records from `first` on.

    Raises:
        RemoteProtocolError: a record that is none.
    """
    found: list[NumberedRecord] = []
    for page in _pages(bridge, first):
        found += [_decode(row) for row in page.rows]
        if len(found) >= count:
            break
    return found[:count]


def records_of(bridge: Connector, rid: str, accepted_ms: int) -> list[NumberedRecord]:
    """Return the records about one order, oldest first.

    Looked for from the end of the log backwards, until a record older than the order.
    """
    found: list[NumberedRecord] = []
    last = log_size(bridge)
    while last > 0:
        first = max(1, last - limits.PAGE_ROWS_MAX + 1)
        rows = [_decode(row) for row in _page(bridge, first, last - first + 1).rows]
        found = [row for row in rows if row.record.rid == rid] + found
        # Records are in the order of commits; a clock step may disturb it by seconds, no more.
        if rows and rows[0].record.ts < accepted_ms - 60_000:
            break
        last = first - 1
    return found


def walk(bridge: Connector, wanted: Mapping[int, bytes]) -> Walk:
    """Recompute the whole chain from its first record; keep the hashes at the wanted sizes."""
    head = Head(0, GENESIS)
    hashes: dict[int, bytes] = {}
    for page in _pages(bridge, 1):
        for row in page.rows:
            try:
                claimed = bytes.fromhex(row.hash)
            except ValueError:
                return Walk(head, hashes, f"record {row.n} has no hash")
            after = verify_range(head, [(row.n, row.record.encode("utf-8"), claimed)])
            if isinstance(after, ChainFault):
                return Walk(head, hashes, f"record {after.n}: {after.why}")
            head = after
            if head.size in wanted:
                hashes[head.size] = head.hash
        if head.size == page.size and head.hash.hex() != page.head:
            return Walk(head, hashes, f"the server names another head for {head.size} records")
        if head.size < page.size and not page.rows:
            return Walk(head, hashes, f"records after {head.size} are missing")
    return Walk(head, hashes, "")
