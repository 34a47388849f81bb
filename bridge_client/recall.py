"""What an earlier run left: rows become live orders again; a lost disk is read back (rule 4).

A journal that is new may be one that was lost. Before its client adds exposure it takes over what
the server knows of that client's orders, once; what is not final among them blocks its symbol
until questions have settled it. Tags are the server's part: it scans the broker before it answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from bridge_client.drafts import flying_row
from bridge_client.journal import ConnectorJournal, Row
from bridge_client.life import OrderLife
from bridge_client.link import Link
from bridge_client.order import Order
from bridge_client.session import Exchange, exchange_of
from bridge_client.witness import Now
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.messages import GetRange
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.replies import JournalPage, OrderView, dec
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import NO_INCARNATION, RequestToken

__all__ = ["Recall", "adopted_row", "alike", "order_of", "resumed"]

# The newest 100 000 rows: an older order is still found by its id when it is asked for again.
_PAGES_MAX: Final = 200
_PAGE_S: Final = 2.0
_CONNECT_S: Final = 3.0
_LEAST_S: Final = 0.25  # once in a journal's life, an order that would not wait waits so long


# --- one row ----------------------------------------------------------------------------------


def alike(one: OrderView, other: OrderView) -> bool:
    """Return whether two views may be of one order, where its signed bytes are gone.

    Raises:
        RemoteProtocolError: a volume is no decimal.
    """
    pairs = ((one.symbol, other.symbol), (one.type, other.type))
    return (
        one.op == other.op
        and all(a == b or not a or not b for a, b in pairs)
        and dec(one.requested_volume) == dec(other.requested_volume)
    )


def order_of(row: Row) -> Order:
    """Return a row as an order; one with nothing left to ask is settled."""
    order = Order(row.client_order_id, row.fields, row.view, ticket=row.ticket)
    order.symbol = row.symbol
    order.flying = flying_row(row.frames, replace(row.view, op=row.op, symbol=row.symbol))
    if row.over:
        order.refused = row.view
        order.settled.set()
    return order


def resumed(row: Row, link: Link) -> Order:
    """Return an unfinished row as a live order: only questions are left."""
    now = link.clocks()
    order = order_of(row)
    view = replace(row.view, op=row.op)
    if row.frames.token:
        exchange = exchange_of(row.frames, Op(row.op), Now(row.iat, now.mono_ms))
    else:
        exchange = _bare(row.rid, Op(row.op), link, now)
        order.may_fence = False
    # On this machine's clock: iat may be in the server's time, which may be hours away, and until
    # the deadline what was never seen is not fenced.
    ttl_ms = row.deadline_ms - row.iat
    deadline = Deadline.at(row.sent_ms + ttl_ms, now.wall_ms, now.mono_ms)
    order.begin(exchange, OrderLife.recovered(view, row.inc, deadline), 0)
    order.recovered = not view.final
    if view.final:
        order.settled.set()
        order.told = (view.status, False)
    return order


def _bare(rid: str, op: Op, link: Link, now: Now) -> Exchange:
    keys = link.session.identity.keys
    token = RequestToken("RISK_PASS", keys.kid, keys.acct, op, rid, 0, 0, NO_INCARNATION)
    return Exchange(op, token, Frames(b"", b""), "", now)


def adopted_row(view: OrderView, now_ms: int, *, fields: str = "") -> Row:
    """Return the row of an order that only the server has kept; its signed bytes are gone."""
    return Row(
        rid=view.rid,
        client_order_id=view.client_order_id,
        op=view.op,
        symbol=view.symbol,
        ticket=view.ticket,
        fields=fields,
        frames=Frames(b"", b""),
        inc=NO_INCARNATION,
        iat=0,
        deadline_ms=0,
        sent_ms=view.accepted_at or now_ms,
        view=view,
        over=view.final and view.attested,
    )


# --- a lost disk ----------------------------------------------------------------------------


class Recall:
    """Reads GET_JOURNAL once in a journal's life; what was read so far outlives a lost link."""

    def __init__(
        self,
        link: Link,
        journal: ConnectorJournal,
        client: str,
        take: Callable[[list[Row]], None],
    ) -> None:
        """`take` makes the rows durable and live, all of them or none."""
        self._link, self._client, self._take = link, client, take
        self._turn = threading.Lock()
        self._first: int | None = None
        self._rows: dict[str, Row] = {}
        self._pages = 0
        self.done = journal.recalled

    def refusal(self, until: float) -> Refusal | None:
        """Return why no entry may be signed yet, after trying to read until a time (s)."""
        if self.done:
            return None
        if not self._link.ready(min(until, time.monotonic() + _CONNECT_S)):
            return Refusal(ReasonCode.NO_CONNECTION, value=self._link.why)
        until = max(until, time.monotonic() + _LEAST_S)
        try:
            return None if self.run(until) else Refusal(ReasonCode.UNFINISHED, value="GET_JOURNAL")
        except BridgeError as error:
            return Refusal(ReasonCode.UNFINISHED, value=f"GET_JOURNAL {error.code}")

    def run(self, until: float) -> bool:
        """Read on until a time (s); True once the whole of it is taken over.

        Raises:
            BridgeError: the server cannot be asked, or the journal cannot keep what it said.
        """
        if not self._turn.acquire(timeout=max(0.0, until - time.monotonic())):
            return self.done
        try:
            while not self.done:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                if self._page(min(left, _PAGE_S)):
                    self._take(list(self._rows.values()))
                    self._rows.clear()
                    self.done = True
            return True
        finally:
            self._turn.release()

    def _page(self, timeout: float) -> bool:
        if self._first is None:
            total = self._ask(0, 1, timeout).total
            self._first = max(0, total - _PAGES_MAX * limits.PAGE_ROWS_MAX)
            return total == 0
        page = self._ask(self._first, 0, timeout)
        if not page.orders and self._first < page.total:
            raise RemoteProtocolError("JOURNAL_PAGE", f"first={self._first} total={page.total}")
        for view in self._ours(page.orders):
            self._rows[view.client_order_id] = adopted_row(view, self._link.clocks().wall_ms)
        self._first += len(page.orders)
        self._pages += 1
        # A server that never comes to an end does not keep us for ever.
        return self._first >= page.total or self._pages > 2 * _PAGES_MAX

    def _ask(self, first: int, count: int, timeout: float) -> JournalPage:
        body = GetRange(since=0, first=first, count=count)
        return self._link.ask(Op.GET_JOURNAL, body, JournalPage, timeout)

    def _ours(self, views: Iterable[OrderView]) -> Iterable[OrderView]:
        for view in views:
            # A FLATTEN's children and refused duplicates have no id of their own.
            named = view.client == self._client and view.client_order_id and not view.parent
            if named and view.op in Op.__members__ and OPERATIONS[Op(view.op)].prefix == _ORDER:
                yield self._link.session.listed_view(view)


_ORDER: Final = OPERATIONS[Op.OPEN].prefix
