"""Answers of the settle lane: from the last snapshot and the journal, never from a broker call.

So they come at the usual speed while the backend hangs; every answer says how old its data is.
GET_HISTORY and CHECK alone need the terminal: the service queues them as reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from msgspec import Struct, structs

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import GetRange, GetStatus, Query, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import (
    HelloReply,
    JournalPage,
    LogPage,
    LogRow,
    OrderView,
    Page,
    StateReply,
    StatusReply,
    SyncReply,
    encode_reply,
    text_of,
)
from bridge_core.protocol.views import (
    DeadManView,
    LimitView,
    PendingView,
    PositionView,
    StreamPoint,
)
from bridge_core.risk.usage import limit_rows
from bridge_server.context import Context
from bridge_server.core.orders import OrderState, status_of
from bridge_server.core.ports import Deal, MarginEstimate, Pending, Position, Snapshot
from bridge_server.guard import cause_views
from bridge_server.health import Hop
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle
from bridge_server.picturing import Picturing
from bridge_server.views import (
    account_view,
    deal_view,
    identity_view,
    pending_view,
    position_view,
    quote_view,
    symbol_view,
)

__all__ = ["Answer", "Answers", "order_status_view", "package_version"]

_FEATURES: Final = ["fence", "flatten", "check", "journal", "log", "sync"]
_PAGE_FRAME_BYTES: Final = 256
Answer = Struct | Refusal


@cache  # it reads a file of the installation, and every HELLO says it
def package_version() -> str:
    """Return the installed distribution's version."""
    try:
        return version("zero-trust-bridge")
    except PackageNotFoundError:  # run from a bare checkout
        return "0"


def order_status_view(row: OrderRow) -> OrderView:
    """Return a row with the status a peer is told."""
    if row.final or row.state is OrderState.UNKNOWN:
        return row.view
    return structs.replace(row.view, status=status_of(row.state))


class Answers:
    """One method per query; the table at the end is what the service calls."""

    def __init__(
        self, context: Context, lifecycle: Lifecycle, hops: list[Hop], picturing: Picturing
    ) -> None:
        self._c = context
        self._orders = lifecycle
        self._hops = hops
        self.dead_man: Callable[[], DeadManView | None] = lambda: None
        self._picturing = picturing
        self.table: Final[dict[Op, Callable[[Request], Answer]]] = {
            Op.HELLO: self._hello,
            Op.PING: self._ping,
            Op.HEALTH: self._health,
            Op.GET_ACCOUNT: self._account,
            Op.GET_POSITIONS: self._positions,
            Op.GET_ORDERS: self._pendings,
            Op.GET_QUOTE: self._quote,
            Op.GET_SYMBOL: self._symbol,
            Op.GET_LIMITS: self._limits,
            Op.SYNC_ALL: self._sync,
            Op.GET_STATUS: self._status,
            Op.GET_JOURNAL: self._journal,
            Op.GET_LOG: self._log,
        }

    def _shot(self) -> Snapshot | None:
        return self._c.snapshot

    def _hello(self, _: Request) -> Answer:
        shot = self._shot()
        identity = shot.identity if shot is not None else self._c.identity
        if identity is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        settings = self._c.settings
        return HelloReply(
            incarnation=self._c.incarnation,
            time=self._c.clock.wall_ms(),
            mode=settings.mode,
            account=identity_view(identity),
            state=self._c.guard.causes.state(),
            causes=cause_views(self._c.guard.causes),
            version=package_version(),
            protocols=[limits.PROTOCOL_VERSION],
            features=[*_FEATURES, "ea"] if self._c.executor is not None else _FEATURES,
            ttl_ms_max=settings.signature_ttl_s * 1000,
            settle_ms=self._c.backend.settle_ms,
            attests=self._c.backend.attests,
            symbols=sorted(settings.allowed_symbols),
        )

    def _ping(self, _: Request) -> Answer:
        return StateReply(
            time=self._c.clock.wall_ms(),
            state=self._c.guard.causes.state(),
            terminal_ms=self._terminal_ms(),
        )

    def _terminal_ms(self) -> str:
        told = self._c.hop.about().ms if self._c.hop is not None else ""
        return told or f"{self._c.worker.terminal_ms():.3f}"

    def state_reply(self) -> StateReply:
        """Return the trading state with its causes."""
        return StateReply(
            time=self._c.clock.wall_ms(),
            state=self._c.guard.causes.state(),
            causes=cause_views(self._c.guard.causes),
            dead_man=self.dead_man(),
        )

    def _health(self, _: Request) -> Answer:
        flights = list(self._orders.flights.values())
        shot = self._shot()
        return StateReply(
            time=self._c.clock.wall_ms(),
            state=self._c.guard.causes.state(),
            causes=cause_views(self._c.guard.causes),
            hops=[hop.view() for hop in self._hops],
            started=self._c.started_ms,
            open_orders=len(flights),
            unknown_orders=sum(one.row.state is OrderState.UNKNOWN for one in flights),
            counters={
                **self._c.counters,
                "undelivered": self._c.transport.undelivered,
                "malformed": self._c.transport.malformed,
                "refused_keys": self._c.transport.refused_keys,
            },
            backend=self._note(shot),
            dead_man=self.dead_man(),
        )

    def _note(self, shot: Snapshot | None) -> str:
        hop = self._c.hop.about().note if self._c.hop is not None else ""
        words = [one for one in (shot.note if shot is not None else "", hop) if one]
        return "; ".join(dict.fromkeys(words)) or self._c.backend.name

    def _account(self, _: Request) -> Answer:
        shot = self._shot()
        if shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        return account_view(shot, self._c.settings.mode)

    def _opener(self, ticket: int) -> OrderView | None:
        row = self._c.journal.opener_of(ticket)
        return row.view if row is not None else None

    def _openers(self, held: Sequence[Position | Pending]) -> dict[int, OrderView]:
        # One question for all: an account may hold thousands, and no order waits for that.
        found = self._c.journal.openers_of([one.ticket for one in held])
        return {ticket: row.view for ticket, row in found.items()}

    def _position_views(self, positions: Iterable[Position]) -> list[PositionView]:
        rows = list(positions)
        openers = self._openers(rows)
        return [position_view(one, openers.get(one.ticket)) for one in rows]

    def _pending_views(self, orders: Iterable[Pending]) -> list[PendingView]:
        rows = list(orders)
        openers = self._openers(rows)
        return [pending_view(one, openers.get(one.ticket)) for one in rows]

    def _positions(self, body: Request) -> Answer:
        shot, query = self._shot(), _query(body)
        if shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        # Cut first: each row's opener is a question to the journal.
        rows = [one for one in shot.positions.values() if query.symbol in ("", one.symbol)]
        page = self._position_views(rows[query.first : query.first + _count(query.count)])
        return Page(positions=page, total=len(rows), time=shot.taken_wall_ms)

    def _pendings(self, body: Request) -> Answer:
        shot, query = self._shot(), _query(body)
        if shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        rows = [one for one in shot.orders.values() if query.symbol in ("", one.symbol)]
        page = self._pending_views(rows[query.first : query.first + _count(query.count)])
        return Page(orders=page, total=len(rows), time=shot.taken_wall_ms)

    def _quote(self, body: Request) -> Answer:
        shot, query = self._shot(), _query(body)
        if shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        quotes = [one for one in shot.quotes.values() if query.symbol in ("", one.symbol)]
        if query.symbol and not quotes:
            known = query.symbol in shot.symbols
            code = ReasonCode.NO_QUOTE if known else ReasonCode.SYMBOL_UNKNOWN
            return Refusal(code, value=query.symbol)
        return Page(
            quotes=[quote_view(one) for one in quotes], total=len(quotes), time=shot.taken_wall_ms
        )

    def _symbol(self, body: Request) -> Answer:
        shot, query = self._shot(), _query(body)
        if shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        if query.symbol and query.symbol not in shot.symbols:
            return Refusal(ReasonCode.SYMBOL_UNKNOWN, value=query.symbol)
        allowed = self._c.settings.allowed_symbols
        rows = [
            symbol_view(one, allowed=one.symbol in allowed)
            for one in shot.symbols.values()
            if query.symbol in ("", one.symbol)
        ]
        page = rows[query.first : query.first + _count(query.count)]
        return Page(symbols=page, total=len(rows), time=shot.taken_wall_ms)

    def _limits(self, body: Request) -> Answer:
        shot, query = self._shot(), _query(body)
        if shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        settings = self._c.settings
        rows = [
            LimitView(name=name, value=str(value))
            for name, value in (
                ("entry_per_s", settings.rates.entry_per_s),
                ("account_entry_per_s", settings.rates.account_entry_per_s),
                ("reduce_per_s", settings.rates.reduce_per_s),
                ("settle_per_s", settings.rates.settle_per_s),
                ("signature_ttl_s", settings.signature_ttl_s),
            )
        ]
        now = self._picturing.picture(self._c.clock.wall_ms())
        assert now is not None  # there is a snapshot
        wanted = ("", query.symbol)
        rows += [one for one in limit_rows(now) if not query.symbol or one.symbol in wanted]
        rows = [structs.replace(one, by="server") for one in rows]
        if self._c.hop is not None:
            caps = self._c.hop.about().caps
            rows += [LimitView(name=name, value=value, by="ea") for name, value in caps]
        return Page(limits=rows, total=len(rows), time=shot.taken_wall_ms)

    def _sync(self, _: Request) -> Answer:
        shot = self._shot()
        if shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        return SyncReply(
            account=account_view(shot, self._c.settings.mode),
            positions=self._position_views(shot.positions.values()),
            orders=self._pending_views(shot.orders.values()),
            quotes=[quote_view(one) for one in shot.quotes.values()],
            streams=self._points(shot),
            state=self._c.guard.causes.state(),
            causes=cause_views(self._c.guard.causes),
            open_rids=sorted(self._orders.flights),
            time=shot.taken_wall_ms,
        )

    def _points(self, shot: Snapshot) -> list[StreamPoint]:
        # An executor's own events may be ahead of the picture: only what it contains is said.
        seen = {point.stream: point.seq for point in shot.seen}
        return [
            structs.replace(point, seq=seen.get(point.stream, 0))
            if point.stream.startswith("ea-")
            else point
            for point in self._c.publisher.points()
        ]

    def _status(self, body: Request) -> Answer:
        assert isinstance(body, GetStatus)
        if bool(body.rid) == bool(body.client_order_id):
            return Refusal(ReasonCode.BODY)
        if body.rid:
            row = self._orders.find(body.rid)
        else:
            row = self._orders.find_by_id(body.client_order_id)
        if row is None:
            unseen = OrderView(
                rid=body.rid,
                client_order_id=body.client_order_id,
                status=Status.UNKNOWN,
                code=ReasonCode.NOT_SEEN,
            )
            return StatusReply(order=unseen)
        self._orders.hooks.on_bare(row)  # somebody cares: the executor's word is worth asking for
        return StatusReply(order=order_status_view(row))

    def _journal(self, body: Request) -> Answer:
        assert isinstance(body, GetRange)
        rows, total = self._c.journal.page(body.since, body.first, _count(body.count))
        shown: list[OrderView] = []
        room = limits.REPLY_BODY_BYTES_MAX - _PAGE_FRAME_BYTES
        for row in rows:
            view = order_status_view(self._orders.find(row.rid) or row)
            room -= len(encode_reply(view)) + 1
            if room < 0 and shown:  # the reader asks on from where a short page ends
                break
            shown.append(view)
        return JournalPage(orders=shown, total=total)

    def _log(self, body: Request) -> Answer:
        assert isinstance(body, GetRange)
        first = max(1, body.first)
        rows = self._c.journal.log_rows(first, _count(body.count))
        size, head = self._c.journal.head
        return LogPage(
            rows=[LogRow(n=n, record=raw.decode("utf-8"), hash=h.hex()) for n, raw, h in rows],
            prev=self._c.journal.hash_at(first - 1).hex(),
            size=size,
            head=head.hex(),
        )

    # --- reads that come back from the terminal ------------------------------------------------

    def estimate(self, rid: str, answer: MarginEstimate) -> OrderView:
        """Return CHECK's answer: every check passed, and what it would take."""
        return OrderView(
            rid=rid,
            op=Op.CHECK,
            status=Status.OK,
            final=True,
            margin=text_of(answer.margin),
            price=text_of(answer.price),
            headroom=text_of(answer.free_margin),
        )

    def history(self, deals: tuple[Deal, ...], body: Request) -> Page:
        """Return GET_HISTORY's answer: one page of the range, oldest first."""
        query = _query(body)
        rows = [one for one in deals if query.symbol in ("", one.symbol)]
        shown = rows[query.first : query.first + _count(query.count)]
        return Page(
            deals=[deal_view(one) for one in shown],
            total=len(rows),
            time=self._c.clock.wall_ms(),
        )

    def attribute(self, event: EventBody) -> EventBody:
        """Return an event with the order of ours behind its ticket."""
        if not event.ticket:
            return event
        opener = self._opener(event.order or event.ticket) or self._opener(event.ticket)
        if opener is None:
            return structs.replace(event, origin="foreign")
        return structs.replace(
            event,
            rid=opener.rid,
            client_order_id=opener.client_order_id,
            comment=opener.comment or event.comment,
            origin="ours",
        )


def _query(body: Request) -> Query:
    assert isinstance(body, Query)
    return body


def _count(asked: int) -> int:
    return asked or limits.PAGE_ROWS_MAX
