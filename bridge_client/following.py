"""What became of an order: status, wait, fence, unfinished; and the events."""

from __future__ import annotations

import re
import time
from typing import Final

from msgspec.structs import replace

from bridge_client.drafts import Ref
from bridge_client.events import EventFeed, Sources
from bridge_client.link import refusal_of
from bridge_client.opening import Opened
from bridge_client.order import Order
from bridge_client.queries import QUERY_S
from bridge_client.result import OrderResult
from bridge_client.streams import EventKeys
from bridge_client.transport import Subscriber
from bridge_client.views import PendingOrder, Position
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import BridgeError, LocalProtocolError, TransportError
from bridge_core.protocol.events import event_topic, tick_topic
from bridge_core.protocol.messages import Fence, GetStatus
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, StatusReply

__all__ = ["Following", "key_of"]

_RID: Final = re.compile(r"\A[0-9a-f]{32}\Z")
_POLL_FIRST_S: Final = 0.1
_POLL_MAX_S: Final = 5.0


def key_of(ref: Ref) -> str:
    """Return the client_order_id or rid of a reference to an order.

    Raises:
        LocalProtocolError: a bare ticket, or a position that is not ours, names no order.
    """
    if isinstance(ref, str) and ref:
        return ref
    if isinstance(ref, OrderResult | Position | PendingOrder):
        key = ref.rid or ref.client_order_id
        if key:
            return key
    raise LocalProtocolError("REF", "why='name an order by its result, client_order_id or rid'")


class Following(Opened):
    """The half of a Connector that follows orders after they were sent."""

    def _own(self, key: str) -> Order | None:
        return None if self._desk is None else self._desk.find(key)

    # --- asking ----------------------------------------------------------------------------------

    def order_status(self, ref: Ref) -> OrderResult:
        """Return what the server (and the EA, where there is one) knows of an order now.

        `ref` is a client_order_id, a rid or a result. An order that never arrived is UNKNOWN
        NOT_SEEN, which is not an outcome: `fence` makes it one.

        Raises:
            TransportError: nobody answered.
        """
        self._check()
        key = key_of(ref)
        return self._result(self._status(key, self._own(key)))

    def _status(self, key: str, own: Order | None) -> OrderView:
        exchange = None if own is None else own.exchange
        rid = key if _RID.match(key) else ""
        if own is not None and own.first.rid:
            rid = own.first.rid  # a row that a FENCE planted has no client_order_id
        question = GetStatus(rid=rid, client_order_id="" if rid else key)
        answer = self._link.answer(Op.GET_STATUS, question, QUERY_S)
        session = self._link.session
        found = (
            session.foreign_view(answer)
            if exchange is None
            else session.subject_view(answer, exchange)
        )
        if found is not None:
            return found
        known = (
            own.first
            if own is not None
            else OrderView(rid=rid, client_order_id=question.client_order_id)
        )
        return replace(known, status=Status.UNKNOWN, code=answer.code, by="server", final=False)

    def wait(self, ref: Ref, timeout: float | None = None) -> OrderResult:
        """Wait until an order is final (`timeout` seconds, None: for ever); return what is known.

        Raises:
            TransportError: closed meanwhile.
        """
        self._check()
        key = key_of(ref)
        until = float("inf") if timeout is None else time.monotonic() + timeout
        own = self._own(key)
        if own is not None and (own.refused is not None or own.life is not None):
            while not own.settled.wait(min(1.0, max(0.0, until - time.monotonic()))):
                self._check()
                if time.monotonic() >= until:
                    break
            return self._result(own.view)
        return self._poll(key, until)

    def _poll(self, key: str, until: float) -> OrderResult:
        nap = _POLL_FIRST_S
        last = OrderView(rid=key if _RID.match(key) else "", client_order_id=key)
        while True:
            try:
                last = self._status(key, None)
            except TransportError as error:
                self._check()
                last = replace(last, code=error.code, by="connector")
            if last.status not in (Status.PENDING, Status.UNKNOWN) or time.monotonic() >= until:
                return self._result(last)
            time.sleep(max(0.0, min(nap, until - time.monotonic())))
            nap = min(nap * 2, _POLL_MAX_S)

    def unfinished(self) -> list[OrderResult]:
        """Return the orders of this client whose outcome is not sure yet."""
        self._check()
        return [] if self._desk is None else [self._result(v) for v in self._desk.unfinished()]

    def _unfinished_ids(self) -> tuple[str, ...]:
        return tuple(v.client_order_id for v in (self._desk.unfinished() if self._desk else ()))

    def _forked(self) -> bool:
        return self._desk is not None and bool(self._desk.fork)

    def find_order(self, order: str) -> OrderView:
        """Return what the server knows of any order of the account, by rid or client_order_id.

        For tools. An order that it never saw is UNKNOWN NOT_SEEN.

        Raises:
            TransportError: no connection or no answer.
            BridgeError: the server refused the question.
        """
        self._check()
        rid = order if _RID.match(order) else ""
        question = GetStatus(rid=rid, client_order_id="" if rid else order)
        answer = self._link.answer(Op.GET_STATUS, question, QUERY_S)
        view = self._link.session.foreign_view(answer)
        if view is not None:
            return view
        if answer.code != ReasonCode.NOT_SEEN:
            raise refusal_of(answer)
        return OrderView(rid=rid, client_order_id=question.client_order_id, code=answer.code)

    # --- ending ---------------------------------------------------------------------------------

    def fence(self, ref: Ref, timeout: float = 10.0) -> OrderResult:
        """Make sure that an order never runs, and return what became of it.

        DENIED means that no copy of it can run any more; anything else is what it did.

        Raises:
            LocalProtocolError: the server never saw it and its bytes are not in this journal.
            TransportError: nobody answered.
        """
        self._check()
        key = key_of(ref)
        own = self._own(key)
        if own is None or own.life is None or own.exchange is None:
            return self._fence_foreign(key) if own is None else self._result(own.view)
        if self._desk is not None and own.open and not own.settled.is_set():
            self._desk.resolver.fence(own)
        return self.wait(key, timeout)

    def _fence_foreign(self, key: str) -> OrderResult:
        view = self._status(key, None)
        if view.code == ReasonCode.NOT_SEEN:
            raise LocalProtocolError(
                "NOT_OURS",
                f"order={key} why='the server never saw it: fence it from the client that "
                "signed it'",
            )
        if view.status not in (Status.PENDING, Status.UNKNOWN):
            return self._result(view)
        # The row is there, so its own incarnation and time decide; ours only fill the form.
        body = Fence(
            rid=view.rid,
            inc=self._link.session.inc,
            iat=view.accepted_at or self._link.clocks().wall_ms,
            symbol=view.symbol,
        )
        answer = self._link.answer(Op.FENCE, body, QUERY_S)
        return self._result(self._link.session.foreign_view(answer) or view)

    def fence_signed(self, rid: str, inc: str, iat: int, symbol: str) -> OrderResult:
        """Fence bytes that another client of this machine signed (rid, inc, iat in UTC ms).

        For tools: a client fences its own orders with `fence`.

        Raises:
            TransportError: nobody answered.
            BridgeError: the server refused the FENCE; its subject is as unknown as before.
        """
        body = Fence(rid=rid, inc=inc, iat=iat, symbol=self._to_broker(symbol))
        reply = self.ask(Op.FENCE, body, StatusReply)
        return self._result(self._link.session.listed_view(reply.order))

    # --- an operator's word -------------------------------------------------------------------

    def accept_log(self) -> None:
        """End LOG_FORK: trust the record that the server shows now. Both heads stay on file.

        Call it only after the operator's RESUME with cause LOG_FORK answered DONE.
        """
        desk = self._orders()
        if not self._link.ready(time.monotonic() + QUERY_S):
            raise TransportError("NO_CONNECTION", f"why={self._link.why!r}")
        desk.accept_log()

    def end_latch(self, cause: str) -> bool:
        """End this client's own DAILY_LOSS, DRAWDOWN or BREAKER; False if it is not latched here.

        Call it only after the operator's RESUME of that cause answered DONE or NOT_LATCHED.
        """
        self._orders()
        return self._judge.keeper.end(cause)

    def settle_human(self, rid: str, status: str, ticket: int, reason: str) -> bool:
        """Write an operator's word into this client's journal; False if no such row is open.

        Call it only after the operator's SETTLE answered DONE; on accounts with an EA only this
        makes the row final.
        """
        return self._orders().settle_human(rid, status, ticket, reason)

    # --- events -----------------------------------------------------------------------------------

    def events(self, *symbols: str, timeout: float | None = None) -> EventFeed:
        """Return an iterator of events: the account's, and the ticks of these symbols.

        It yields None after `timeout` seconds without one (None: never). Each call is a consumer
        of its own that gets every event; iterate one from one thread. It is complete from its
        first heartbeat on: `ready()` waits for that.
        """
        self._check()
        broker = [self._to_broker(symbol) for symbol in symbols]
        acct = self._settings.account
        topics = (event_topic(acct), *(tick_topic(acct, symbol) for symbol in broker))
        sources = Sources(
            trust=EventKeys(acct, self._bundle.event_kid, self._bundle.event_keys()),
            symbols=self._to_user,
            wanted=frozenset(broker),
            sync=self._resync,
            outcome=self._outcome,
            closed=self._forget_feed,
            saw_quote=self._book.saw_quote,
            alarm=self._alerts.alert,
        )
        feed = self._feed(self._link.transport.subscriber(topics), sources, timeout)
        with self._feeds_lock:
            self._feeds.add(feed)
        self._watch.start()
        return feed

    def _feed(self, sub: Subscriber, sources: Sources, timeout: float | None) -> EventFeed:
        return EventFeed(sub, sources, timeout)

    def _forget_feed(self, feed: EventFeed) -> None:
        with self._feeds_lock:
            self._feeds.discard(feed)

    def _outcome(self, rid: str) -> OrderResult | None:
        """Return an order's outcome for OrderFinal: what is already bound, or a bound question."""
        own = self._own(rid)
        if own is not None and own.view.final:
            return self._result(own.view)
        if own is not None and self._desk is not None:
            self._desk.resolver.nudge(rid)  # whoever drives it tells us
        try:
            return self._result(self._status(rid, own))
        except BridgeError:
            return None
