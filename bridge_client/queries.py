"""Knowing: every question that needs no journal.

Questions raise TransportError when nobody answers and BridgeError when the server refuses them.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from bridge_client.book import Book
from bridge_client.drafts import milliseconds
from bridge_client.facts import moment, number, read
from bridge_client.happenings import Resync
from bridge_client.heartbeat import Heart
from bridge_client.journal import Said
from bridge_client.judging import Judge
from bridge_client.link import Link, refusal_of
from bridge_client.link_watch import LinkWatch
from bridge_client.session import Answer
from bridge_client.settings import ConnectorSettings
from bridge_client.transport import HOP
from bridge_client.views import (
    Account,
    Cause,
    DeadMan,
    Deal,
    Health,
    Hop,
    LimitRow,
    PendingOrder,
    Ping,
    Position,
    Quote,
    Symbol,
    Sync,
)
from bridge_client.witness import Offset
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import BridgeError, TransportError
from bridge_core.protocol.messages import Query, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import HelloReply, Page, StateReply, SyncReply, decode_reply
from bridge_core.protocol.views import (
    AccountView,
    CauseView,
    LimitView,
    QuoteView,
    StreamPoint,
)

__all__ = ["QUERY_S", "Questions"]

QUERY_S: Final = 5.0
_PAGES_MAX: Final = 200
_R = TypeVar("_R", bound=Struct)


class Questions(ABC):
    """The asking half of a Connector."""

    _link: Link
    _book: Book
    _judge: Judge
    _settings: ConnectorSettings
    _watch: LinkWatch
    _heart: Heart
    _to_broker: Callable[[str], str]
    _to_user: Callable[[str], str]

    @abstractmethod
    def _check(self) -> None:
        """Refuse to go on in a forked process, or closed."""

    def _ask(
        self, op: Op, *, symbol: str = "", since: int = 0, until: int = 0, first: int = 0
    ) -> Page:
        body = Query(symbol=symbol, since=since, until=until, first=first, count=0)
        return self._link.ask(op, body, Page, QUERY_S)

    def _pages(self, op: Op, rows: Callable[[Page], list[_R]], **which: object) -> list[_R]:
        self._check()
        found: list[_R] = []
        for _ in range(_PAGES_MAX):
            page = self._ask(op, first=len(found), **which)  # type: ignore[arg-type]
            got = rows(page)
            found += got
            if not got or len(found) >= page.total:
                break
        return found

    # --- for tools ------------------------------------------------------------------------------

    def ask(self, op: Op, body: Request, kind: type[_R], timeout: float | None = None) -> _R:
        """Return a question's verified answer in protocol.md's own words and units.

        For tools; a strategy has the calls below.

        Raises:
            TransportError: no authenticated connection, or no answer within `timeout` seconds
                (None: as long as every question).
            BridgeError: the server refused the question; `code` says why.
        """
        self._check()
        return self._link.ask(op, body, kind, QUERY_S if timeout is None else timeout)

    def witnessed(self, op: Op, body: Request) -> tuple[Answer, Said]:
        """Return a question's verified answer with the exact bytes of both, as evidence.

        For tools. A refusal is an answer too.

        Raises:
            TransportError: no authenticated connection, or no answer in time.
        """
        self._check()
        until = time.monotonic() + QUERY_S
        if not self._link.ready(until):
            raise TransportError("NO_CONNECTION", f"hop={HOP} why={self._link.why!r}")
        outcome = self._link.exchange(op, lambda: body, until)
        if outcome.answer is None or outcome.exchange is None:
            raise TransportError("NO_ANSWER", f"hop={HOP} op={op}")
        now_ms = self._link.clocks().wall_ms
        return outcome.answer, Said(outcome.exchange.frames, outcome.reply, now_ms)

    @property
    def hello(self) -> HelloReply | None:
        """What the server said of itself, None before the first HELLO."""
        return self._link.session.hello

    @property
    def clock_offset(self) -> Offset | None:
        """The server's clock minus this machine's (ms), None before the first signed reply."""
        return self._link.offset()

    @property
    def attests(self) -> bool:
        """Whether outcomes of this account need the word of an EA (from the key bundle)."""
        return self._link.session.identity.ea

    # --- the account --------------------------------------------------------------------------

    def get_account(self) -> Account:
        """Return the account's money."""
        self._check()
        body = Query(symbol="", since=0, until=0, first=0, count=0)
        view = self._link.ask(Op.GET_ACCOUNT, body, AccountView, QUERY_S)
        return read(Account, view, self._to_user)

    def get_positions(self, symbol: str | None = None) -> list[Position]:
        """Return the open positions, of one symbol or of all."""
        rows = self._pages(Op.GET_POSITIONS, lambda page: page.positions)
        self._book.saw_positions(rows)
        found = [read(Position, row, self._to_user) for row in rows]
        return [p for p in found if symbol is None or p.symbol == symbol]

    def get_pending_orders(self, symbol: str | None = None) -> list[PendingOrder]:
        """Return the pending orders, of one symbol or of all."""
        rows = self._pages(Op.GET_ORDERS, lambda page: page.orders)
        self._book.saw_orders(rows)
        found = [read(PendingOrder, row, self._to_user) for row in rows]
        return [p for p in found if symbol is None or p.symbol == symbol]

    def get_history(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        symbol: str | None = None,
    ) -> list[Deal]:
        """Return the deals of a range of market time (None: from the start, until now)."""
        rows = self._pages(
            Op.GET_HISTORY,
            lambda page: page.deals,
            since=milliseconds(since, "since"),
            until=milliseconds(until, "until"),
            symbol=self._to_broker(symbol) if symbol else "",
        )
        found = [read(Deal, row, self._to_user) for row in rows]
        return [d for d in found if symbol is None or d.symbol == symbol]

    # --- symbols ------------------------------------------------------------------------------

    def get_quote(self, symbol: str) -> Quote:
        """Return bid and ask of a symbol."""
        self._check()
        page = self._ask(Op.GET_QUOTE, symbol=self._to_broker(symbol))
        if not page.quotes:
            raise BridgeError(ReasonCode.NO_QUOTE, f"symbol={symbol}")
        self._saw(page.quotes)
        return read(Quote, page.quotes[0], self._to_user)

    def _saw(self, quotes: Iterable[QuoteView]) -> None:
        for one in quotes:
            self._book.saw_quote(one.symbol, one.bid, one.ask)

    def get_symbol(self, symbol: str) -> Symbol:
        """Return a symbol's grids."""
        self._check()
        page = self._ask(Op.GET_SYMBOL, symbol=self._to_broker(symbol))
        if not page.symbols:
            raise BridgeError(ReasonCode.SYMBOL_UNKNOWN, f"symbol={symbol}")
        self._book.saw_symbols(page.symbols)
        return read(Symbol, page.symbols[0], self._to_user)

    def get_symbols(self) -> list[Symbol]:
        """Return the grids of every symbol that the server serves."""
        rows = self._pages(Op.GET_SYMBOL, lambda page: page.symbols)
        self._book.saw_symbols(rows)
        return [read(Symbol, row, self._to_user) for row in rows]

    def get_limits(self, symbol: str | None = None) -> list[LimitRow]:
        """Return the limits of connector, server and EA with what is used of them, of all or one.

        With a symbol also those of the account. What is used here is as this client sees it.

        Raises:
            TransportError: nobody answered.
        """
        self._check()
        self._judge.look(time.monotonic() + QUERY_S)  # without it, the next question says so
        told = self._pages(Op.GET_LIMITS, lambda page: page.limits)
        rows = [replace(row, by=row.by or _told_by(row)) for row in told]
        return [*self.own_limits(symbol), *self._of(symbol, rows)]

    def own_limits(self, symbol: str | None = None) -> list[LimitRow]:
        """Return this connector's limits alone, with what is used of them as far as it is known."""
        rates = self._settings.rates
        lanes = [
            LimitView(name=name, value=str(getattr(rates, name)))
            for name in rates.__struct_fields__
        ]
        rows = [*self._judge.limit_rows(), *lanes]
        return self._of(symbol, [replace(row, by="connector") for row in rows])

    def _of(self, symbol: str | None, rows: list[LimitView]) -> list[LimitRow]:
        wanted = ("", self._to_broker(symbol or ""))
        found = [row for row in rows if symbol is None or row.symbol in wanted]
        return [read(LimitRow, row, self._to_user) for row in found]

    # --- the whole truth ----------------------------------------------------------------------

    def _sync(self) -> SyncReply:
        self._check()
        return self._judge.sync(time.monotonic() + QUERY_S)[0]

    def sync_all(self) -> Sync:
        """Return everything at one moment, with the point of each event stream it contains."""
        reply = self._sync()
        return Sync(
            account=read(Account, reply.account, self._to_user) if reply.account else None,
            positions=tuple(read(Position, p, self._to_user) for p in reply.positions),
            orders=tuple(read(PendingOrder, p, self._to_user) for p in reply.orders),
            quotes=tuple(read(Quote, q, self._to_user) for q in reply.quotes),
            state=reply.state,
            causes=self._causes(reply.causes),
            open_rids=tuple(reply.open_rids),
            streams=tuple((p.stream, p.seq) for p in reply.streams),
            time=moment(reply.time),
        )

    def _resync(self, why: str) -> tuple[Resync, list[StreamPoint]]:
        reply = self._sync()
        resync = Resync(
            positions=tuple(read(Position, p, self._to_user) for p in reply.positions),
            orders=tuple(read(PendingOrder, p, self._to_user) for p in reply.orders),
            account=read(Account, reply.account, self._to_user) if reply.account else None,
            quotes=tuple(read(Quote, q, self._to_user) for q in reply.quotes),
            state=reply.state,
            open_rids=tuple(reply.open_rids),
            why=why,
            time=moment(reply.time),
        )
        return resync, reply.streams

    def _causes(self, rows: list[CauseView]) -> tuple[Cause, ...]:
        return tuple(read(Cause, row, self._to_user) for row in rows)

    # --- the link -----------------------------------------------------------------------------

    def ping(self, timeout: float = 2.0) -> Ping:
        """Return one authenticated round trip and the clock offset.

        Raises:
            TransportError: no answer within `timeout` seconds.
            BridgeError: answered, but refused.
        """
        self._check()
        outcome = self._link.exchange(Op.PING, self._link.hello_body, time.monotonic() + timeout)
        answer = outcome.answer
        if answer is None:
            why = self._link.why if not outcome.left else f"no answer in {timeout:g} s"
            raise TransportError("NO_ANSWER", f"hop={HOP} why={why!r}")
        if answer.status != Status.OK:
            raise refusal_of(answer)
        offset = self._link.offset()
        state = decode_reply(StateReply, answer.body)
        self._link.state = state.state or self._link.state
        return Ping(
            ms=outcome.ms,
            terminal_ms=number(state.terminal_ms),
            offset_ms=offset.offset_ms if offset else 0,
            uncertainty_ms=offset.uncertainty_ms if offset else 0,
        )

    def health(self, timeout: float = 3.0) -> Health:
        """Return what works and what does not, on every hop; never raises for a dead one."""
        self._check()
        started = time.perf_counter()
        try:
            reply = self._link.ask(Op.HEALTH, self._link.hello_body(), StateReply, timeout)
        except BridgeError as error:
            return self._health(StateReply(state="OFFLINE"), down=str(error))
        ms = (time.perf_counter() - started) * 1000
        self._link.state = reply.state or self._link.state
        return self._health(reply, ms=ms)

    def _health(self, reply: StateReply, *, down: str = "", ms: float | None = None) -> Health:
        offset, settings = self._link.offset(), self._settings
        first = Hop(hop="connector to server", state="down" if down else "up", why=down, ms=ms)
        hops = (first, *(read(Hop, row, self._to_user) for row in reply.hops))
        fork = self._link.session.fork
        stand = self._watch.saw(ms, reply.hops, down)
        dead_man = read(DeadMan, reply.dead_man, self._to_user) if reply.dead_man else DeadMan()
        return Health(
            state=reply.state,
            account=settings.account,
            mode=settings.mode.value,
            server=settings.server,
            why=down,
            hops=hops,
            causes=self._causes(reply.causes),
            latches=(
                *(("LOG_FORK",) if fork is not None or self._forked() else ()),
                *self._judge.keeper.latches,
            ),
            alarms=self._alarmed(),
            unfinished=self._unfinished_ids(),
            link=stand.state,
            link_why=stand.why,
            heartbeat=self._heart.mode,
            dead_man=dead_man,
            open_orders=reply.open_orders,
            unknown_orders=reply.unknown_orders,
            started=moment(reply.started),
            backend=reply.backend,
            counters=reply.counters,
            offset_ms=offset.offset_ms if offset else 0,
            uncertainty_ms=offset.uncertainty_ms if offset else 0,
        )

    def _forked(self) -> bool:
        return False

    def _alarmed(self) -> tuple[str, ...]:
        return ()

    def _unfinished_ids(self) -> tuple[str, ...]:
        return ()


def _told_by(row: LimitView) -> str:
    return "ea" if row.name.startswith("ea_") else "server"  # an older server names no side
