"""Questions that only operators ask: the server's record, one order by either of its ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from bridge_client.link import refusal_of
from bridge_client.result import from_view
from bridge_core.protocol import limits
from bridge_core.protocol.chain import GENESIS, ChainFault, Head, Record, verify_range
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.messages import Fence, GetRange, GetStatus, Query, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import HelloReply, LogPage, LogRow, OrderView, Page, StatusReply

if TYPE_CHECKING:
    from bridge_client.cli.journals import LocalOrder
    from bridge_client.connector import Connector
    from bridge_client.result import OrderResult
    from bridge_client.witness import Offset
    from bridge_core.protocol.views import LimitView

__all__ = [
    "NumberedRecord", "Walk", "accept_log", "ask", "fence_unseen", "find_order", "hello_of",
    "log_size", "offset_of", "read_records", "records_of", "server_limits", "walk",
]  # fmt: skip

_TIMEOUT_S: Final = 5.0
_RID: Final = re.compile(r"\A(?!0{32}\Z)[0-9a-f]{32}\Z")
_T = TypeVar("_T", bound=msgspec.Struct)


class NumberedRecord(NamedTuple):
    """One record of the server's log with its 1-based number."""

    n: int
    record: Record


class Walk(NamedTuple):
    """The recomputed chain: its head, the hashes asked for, and "" or what is wrong."""

    head: Head
    hashes: Mapping[int, bytes]
    fault: str


def ask(bridge: Connector, op: Op, body: Request, kind: type[_T]) -> _T:
    """Return the answer to one question.

    Raises:
        TransportError: no connection or no answer.
        BridgeError: the server refused the question.
    """
    return bridge._link.ask(op, body, kind, _TIMEOUT_S)  # noqa: SLF001  (one distribution)


def find_order(bridge: Connector, order: str) -> OrderView:
    """Return what the server knows of an order, by rid or client_order_id.

    An order that it never saw is UNKNOWN NOT_SEEN.

    Raises:
        TransportError: no connection or no answer.
        BridgeError: the server refused the question.
    """
    rid = order if _RID.match(order) else ""
    body = GetStatus(rid=rid, client_order_id="" if rid else order)
    link = bridge._link  # noqa: SLF001  (one distribution)
    answer = link.answer(Op.GET_STATUS, body, _TIMEOUT_S)
    view = link.session.foreign_view(answer)
    if view is not None:
        return view
    if answer.code != ReasonCode.NOT_SEEN:
        raise refusal_of(answer)
    return OrderView(rid=rid, client_order_id=body.client_order_id, code=ReasonCode.NOT_SEEN)


def server_limits(bridge: Connector) -> list[LimitView]:
    """Return the limits that the server enforces, as it writes them."""
    body = Query(symbol="", since=0, until=0, first=0, count=0)
    return ask(bridge, Op.GET_LIMITS, body, Page).limits


def fence_unseen(bridge: Connector, row: LocalOrder) -> OrderResult:
    """Fence an order that was signed here and that the server never saw.

    Raises:
        BridgeError: the server refused the FENCE; its subject is as unknown as before.
    """
    symbol = bridge._to_broker(row.view.symbol)  # noqa: SLF001  (one distribution)
    body = Fence(rid=row.rid, inc=row.inc, iat=row.iat, symbol=symbol)
    return from_view(ask(bridge, Op.FENCE, body, StatusReply).order, bridge._to_user)  # noqa: SLF001


def _page(bridge: Connector, first: int, count: int) -> LogPage:
    body = GetRange(since=0, first=first, count=min(count, limits.PAGE_ROWS_MAX))
    return ask(bridge, Op.GET_LOG, body, LogPage)


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


def hello_of(bridge: Connector) -> HelloReply | None:
    """Return the server's last HELLO, None before the first."""
    return bridge._link.session.hello  # noqa: SLF001  (one distribution)


def offset_of(bridge: Connector) -> Offset | None:
    """Return the server's clock minus this machine's, None before the first signed reply."""
    return bridge._link.offset()  # noqa: SLF001  (one distribution)


def accept_log(bridge: Connector) -> None:
    """Make a client's witness start anew from what the server shows now."""
    desk = bridge._desk  # noqa: SLF001  (one distribution)
    if desk is not None:
        desk.accept_log()
