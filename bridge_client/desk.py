"""From an intent to a signed, journaled, sent order, and back to its outcome.

Refusals before signing are results; nothing is journaled for them and their id stays free. What
is signed is durable first, is sent once the disk says so, and is asked about until it is final.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from bridge_client.admission import Admission, refused
from bridge_client.book import Book
from bridge_client.drafts import Draft
from bridge_client.journal import ConnectorJournal, Row
from bridge_client.judging import Judge
from bridge_client.life import OrderLife
from bridge_client.link import Link
from bridge_client.order import Driver, Order, known_of
from bridge_client.recall import Recall, adopted_row, alike, order_of, resumed
from bridge_client.resolver import Resolver
from bridge_client.session import Exchange
from bridge_client.witness import Now
from bridge_core.host.sqlite import JournalBusy, JournalFatal, JournalFull
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.errors import BridgeError, LocalProtocolError, TransportError
from bridge_core.protocol.messages import GetStatus
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.risk.rates import Rates

__all__ = ["Desk"]

_CONNECT_S = 3.0


class Desk:
    """All orders of one client. Thread-safe."""

    def __init__(
        self,
        link: Link,
        journal: ConnectorJournal,
        book: Book,
        judge: Judge,
        rates: Rates,
    ) -> None:
        """Take over what the last run left open."""
        self._link, self._journal, self._book = link, journal, book
        self._keeper = judge.keeper
        self._admission = Admission(link, judge, rates, self._live)
        self._lock = threading.Lock()
        self._signing = threading.Lock()
        self._orders: dict[str, Order] = {}
        self._modified: dict[int, int] = {}
        self._journal_dead = ""
        self._driver = Driver(link)
        self.resolver = Resolver(link, journal)
        self.resolver.on_stored = self._stored
        self.on_resolved: Callable[[OrderView], None] = lambda _view: None
        self.resolver.on_final = self._on_final
        self.resolver.keeper = self._keeper
        self.recall = Recall(link, journal, link.client, self._take_over)
        if not self.recall.done:
            self.resolver.errand = self.recall.run
        link.on_hello = self.resolver.greeted
        link.restore(journal.pairs())
        self._admission.fork = journal.latches().get("LOG_FORK", "")
        link.session.fork_latched = bool(self._admission.fork)
        for row in journal.unfinished():
            self._recover(row)
        self.resolver.start()

    @property
    def fork(self) -> str:
        """Return why LOG_FORK is latched since an earlier run, or ""."""
        return self._admission.fork

    def _live(self) -> list[Order]:
        with self._lock:
            return list(self._orders.values())

    # --- the way in -----------------------------------------------------------------------------

    def submit(self, draft: Draft, wait: float) -> OrderView:
        """Return what is known of the order after at most `wait` seconds.

        Raises:
            LocalProtocolError: a field breaks its bound, or CONFLICT: the client_order_id belongs
                to an order with other fields.
        """
        until = time.monotonic() + wait
        # Before the id is claimed: the order that has it may be among what is taken over.
        lost = self.recall.refusal(until) if self._adds(draft) else None
        order, ours = self._claim(draft)
        if not ours:
            return self._join(order, draft, until)
        try:
            refusal = lost or self._admit(draft, order, until)
        except BaseException as error:
            order.error = error if isinstance(error, BridgeError) else None
            self._drop(order)
            raise
        if refusal is not None:
            order.refused = self.refuse(refusal, order.first)
            self._drop(order)
            if draft.client_order_id and self._link.greeted:
                # Our disk may have been lost since: then this id has an order already.
                return self._adopt(order, draft, until) or order.view
            return order.view
        self._drive(order, until)
        return self._settled_view(order, draft, until)

    def _adds(self, draft: Draft) -> bool:
        return draft.entry and not self._journal_dead and self._link.session.may(draft.op)

    def _settled_view(self, order: Order, draft: Draft, until: float) -> OrderView:
        if order.view.code != ReasonCode.DUPLICATE_ID:
            return order.view
        found = self._adopt(order, draft, until)
        return found or replace(order.view, status=Status.UNKNOWN, final=False)

    def _claim(self, draft: Draft) -> tuple[Order, bool]:
        rid = self._link.new_rid()
        wanted = draft.client_order_id or rid
        with self._lock:
            order = self._orders.get(wanted)
            if order is None and draft.client_order_id:
                row = self._journal.by_client_order_id(wanted)
                order = None if row is None else order_of(row)
            if order is not None:
                if not _same(order, draft):
                    raise LocalProtocolError(
                        "CONFLICT",
                        f"client_order_id={wanted} why='it belongs to an order with other fields'",
                    )
                return order, False
            view = replace(draft.view, rid=rid, client_order_id=wanted)
            order = Order(wanted, draft.digest, view, ticket=draft.ticket)
            order.flying = draft.flying
            self._orders[wanted] = order
            return order, True

    def _join(self, order: Order, draft: Draft, until: float) -> OrderView:
        order.settled.wait(max(0.0, until - time.monotonic()))
        if order.error is not None:
            raise order.error
        return self._settled_view(order, draft, until)

    def _drop(self, order: Order) -> None:
        with self._lock:
            self._orders.pop(order.client_order_id, None)
        order.settled.set()

    # --- admission -----------------------------------------------------------------------------

    def _admit(self, draft: Draft, order: Order, until: float) -> Refusal | None:
        if self._journal_dead:
            return Refusal(ReasonCode.JOURNAL_FATAL, value=self._journal_dead)
        if not self._link.session.may(draft.op):
            return Refusal(ReasonCode.SCOPE, value=self._link.session.identity.keys.scope)
        if not self._link.ready(min(until, time.monotonic() + _CONNECT_S)):
            return Refusal(ReasonCode.NO_CONNECTION, value=self._link.why)
        if draft.entry:
            self.resolver.witness_anew(until)
        refusal = self._admission.charge(draft) or self._admission.look(draft, order, until)
        if refusal is not None:
            return refusal
        with self._signing:
            refusal = self._admission.judge(draft, order)
            return refusal if refusal is not None else self._sign(draft, order)

    def _sign(self, draft: Draft, order: Order) -> Refusal | None:
        iat = 0
        if draft.op is Op.MODIFY:
            iat = self._later_iat(draft.ticket)
        epoch = self._link.transport.epoch
        body = draft.body(order.client_order_id)
        exchange = self._link.sign(draft.op, body, order.first.rid, iat)
        view = self._link.session.blank(exchange, **known_of(order.first))
        token, now = exchange.token, self._link.clocks()
        life = OrderLife(view, token.inc, self._deadline(exchange, now))
        row = Row(
            rid=exchange.rid,
            client_order_id=order.client_order_id,
            op=draft.op,
            symbol=order.symbol,
            ticket=draft.ticket,
            fields=draft.digest,
            frames=exchange.frames,
            inc=token.inc,
            iat=token.iat,
            deadline_ms=token.deadline_ms,
            sent_ms=now.wall_ms,
            view=view,
            quote=self._book.quoted(order.symbol),
        )
        try:
            self._journal.intend(row, self._counted(draft))
        except (JournalFull, JournalBusy) as error:
            return Refusal(ReasonCode.JOURNAL_FULL, value=error.code)
        except JournalFatal as error:
            # Perhaps the row is there: the next start asks and fences it. Nothing was sent.
            self._journal_dead = error.code
            return Refusal(ReasonCode.JOURNAL_FATAL, value=error.code)
        order.begin(exchange, life, epoch)
        return None

    def _counted(self, draft: Draft) -> str:
        if draft.op is not Op.OPEN or draft.proposal is None:
            return ""
        return self._keeper.passed(draft.proposal, self._server_ms())

    def _server_ms(self) -> int:
        return self._link.session.clock.server_ms(self._link.clocks())

    def refuse(self, refusal: Refusal, view: OrderView) -> OrderView:
        """Return the view of an order that this connector refuses, and count it."""
        view = refused(refusal, view)
        self.resolver.refused(view)
        return view

    def _deadline(self, exchange: Exchange, now: Now) -> Deadline:
        # In the server's time, carried on our monotonic clock: iat may be in either clock.
        left = exchange.token.deadline_ms - self._link.session.clock.server_ms(now)
        return Deadline(now.wall_ms + left, now.mono_ms + left)

    def _later_iat(self, ticket: int) -> int:
        now_ms = self._link.session.signing_time(Op.MODIFY, self._link.clocks())
        last = self._modified.get(ticket)
        if last is None:
            last = self._journal.last_modify_iat(ticket)
        iat = self._modified[ticket] = max(now_ms, last + 1)
        return iat

    # --- driving ----------------------------------------------------------------------------------

    def _drive(self, order: Order, until: float) -> None:
        driver, transport = self._driver, self._link.transport
        driver.route(order, order.mailbox)
        try:
            # Closed in another thread: the row stays unfinished on disk.
            with suppress(TransportError):
                while True:
                    due = driver.advance(order)
                    if due is None or order.view.final or time.monotonic() >= until:
                        break
                    transport.wait(order.mailbox, min(until, due))
                    while (frames := order.mailbox.take()) is not None:
                        driver.deliver(order, frames)
        finally:
            self._leave(order)

    def _leave(self, order: Order) -> None:
        if order.view.final:
            order.told = (order.view.status, order.over)
            self._take_in(order)
            order.settled.set()
            self.resolver.store(order)
        if order.over:
            self._driver.release(order)
        else:
            self.resolver.adopt(order)

    def _take_in(self, order: Order) -> None:
        view = order.view
        if order.counted == view.status:  # told by the server, and now by the EA too
            return
        self._book.outcome(view, order.flying)
        if order.flying is not None:
            self._keeper.ended(view.status, order.flying.strategy, self._server_ms())
        order.counted = view.status

    def _on_final(self, order: Order) -> None:
        self._take_in(order)
        self.on_resolved(order.view)

    def _stored(self, order: Order) -> None:
        with self._lock:
            if self._orders.get(order.client_order_id) is order:
                del self._orders[order.client_order_id]

    # --- what an earlier run left ---------------------------------------------------------------

    def _recover(self, row: Row) -> None:
        order = self._orders[row.client_order_id] = resumed(row, self._link)
        self.resolver.adopt(order)

    def _take_over(self, rows: list[Row]) -> None:
        # Whoever holds an id already asks the server himself: it answers DUPLICATE_ID.
        with self._lock:
            free = [row for row in rows if row.client_order_id not in self._orders]
            for row in self._journal.recall(free, self._link.clocks().wall_ms):
                if not row.over:
                    self._recover(row)

    def _adopt(self, order: Order, draft: Draft, until: float) -> OrderView | None:
        """Return the order that has our client_order_id at the server: it is this one."""
        question = GetStatus(rid="", client_order_id=order.client_order_id)
        left = max(0.1, until - time.monotonic())
        try:
            answer = self._link.answer(Op.GET_STATUS, question, left)
        except TransportError:
            return None
        found = self._link.session.foreign_view(answer)
        if found is None:
            return None
        if not alike(found, replace(draft.view, op=draft.op)):
            raise LocalProtocolError(
                "CONFLICT",
                f"client_order_id={order.client_order_id} rid={found.rid} "
                "why='the server knows another order by it'",
            )
        row = replace(
            adopted_row(found, self._link.clocks().wall_ms, fields=draft.digest),
            client_order_id=order.client_order_id,
            op=draft.op,
            symbol=order.symbol,
            ticket=draft.ticket,
        )
        self.resolver.flush()
        self._journal.adopt(order.first.rid, row)
        if not row.over:
            with self._lock:
                self._orders.pop(order.client_order_id, None)
            self._recover(row)
            self._orders[order.client_order_id].recovered = False
        return found

    # --- what else is asked -----------------------------------------------------------------------

    def find(self, key: str) -> Order | None:
        """Return an order of this client by client_order_id or rid; live, or from the journal."""
        with self._lock:
            order = self._orders.get(key) or next(
                (o for o in self._orders.values() if o.first.rid == key), None
            )
        if order is not None:
            return order
        row = self._journal.by_client_order_id(key) or self._journal.by_rid(key)
        return None if row is None else order_of(row)

    def unfinished(self) -> list[OrderView]:
        """Return the orders about which something is left to ask."""
        with self._lock:
            return [o.view for o in self._orders.values() if o.life is not None and o.open]

    def keep_alarm(self, name: str, why: str) -> None:
        """Keep the first alarm of a name on file; a disk that fails now fails the next intent."""
        with suppress(BridgeError):
            self._journal.latch(name, why, self._link.clocks().wall_ms)

    def accept_log(self) -> None:
        """Start the witness anew from what the server shows now; an operator has said so."""
        self.resolver.accept(self._link.clocks().wall_ms)
        self._admission.fork = ""

    def settle_human(self, rid: str, status: str, ticket: int, reason: str) -> bool:
        """Write an operator's verified word into this journal; False if it has no such open row."""
        row = self._journal.by_rid(rid)
        if row is None or row.over:
            return False
        view = replace(
            row.view, status=status, code=ReasonCode.HUMAN, evidence="HUMAN", by="operator",
            ticket=ticket or row.view.ticket, final=True, attested=True, comment=reason[:64],
        )  # fmt: skip
        self._journal.outcomes([(view, True)], self._link.clocks().wall_ms)
        order = self.find(rid)
        if order is not None and order.life is not None:
            order.life.view = view
        return True

    def close(self) -> None:
        """Write what is known and stop; what is not final stays unfinished on disk."""
        self.resolver.close()
        self._journal.close()


def _same(order: Order, draft: Draft) -> bool:
    if order.fields:
        return order.fields == draft.digest
    return alike(order.first, replace(draft.view, op=draft.op))  # after a lost disk
