"""One order of ours while it lives, and the one way its schedule is carried out.

The schedule (life.py) decides; this sends, verifies and feeds back. It is driven by one thread at
a time: the caller's within `wait`, the background's afterwards.
"""

from __future__ import annotations

import threading
from typing import Final

from bridge_client.journal import Said
from bridge_client.life import Do, OrderLife
from bridge_client.link import Link
from bridge_client.mailbox import Mailbox
from bridge_client.session import Answer, Exchange
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.messages import Fence, GetStatus
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.risk.order import Flying

__all__ = ["Driver", "Order", "known_of"]

_QUESTIONS_KEPT: Final = 8


class Order:
    """A live order. `settled` is set once there is an outcome for the callers.

    `flying` is what an entry adds at its worst, until the book has what it did (`counted`: the
    status that the book knows).
    """

    def __init__(self, client_order_id: str, fields: str, view: OrderView, *, ticket: int = 0):
        self.client_order_id = client_order_id
        self.fields = fields
        self.ticket = ticket
        self.symbol = view.symbol
        self.first = view
        self.refused: OrderView | None = None
        self.error: BridgeError | None = None
        self.exchange: Exchange | None = None
        self.life: OrderLife | None = None
        self.mailbox = Mailbox(link=True)
        self.questions: dict[str, Exchange] = {}
        self.epoch = 0
        self.recovered = False
        self.flying: Flying | None = None
        self.counted = ""
        self.may_fence = True
        self.told: tuple[str, bool] = ("", False)
        self.said: Said | None = None
        self.settled = threading.Event()

    @property
    def view(self) -> OrderView:
        """Return what is known now."""
        if self.refused is not None:
            return self.refused
        return self.first if self.life is None else self.life.view

    @property
    def op(self) -> str:
        """Return the operation."""
        return self.first.op

    @property
    def over(self) -> bool:
        """Whether nothing is left to ask."""
        return self.refused is not None or (self.life is not None and self.life.over)

    @property
    def open(self) -> bool:
        """Whether bytes may have left and the outcome is not sure yet: it counts at its worst."""
        return self.refused is None and not self.over

    def begin(self, exchange: Exchange, life: OrderLife, epoch: int) -> None:
        """Take the signed bytes and their schedule."""
        self.exchange, self.life, self.epoch = exchange, life, epoch


class Driver:
    """Carries out schedules over one link. Stateless between calls, so any thread may."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def route(self, order: Order, mailbox: Mailbox) -> None:
        """Deliver everything about this order to a mailbox from now on."""
        assert order.exchange is not None
        order.mailbox = mailbox
        for rid in (order.exchange.rid, *order.questions):
            self._link.transport.route(rid, mailbox)

    def release(self, order: Order) -> None:
        """Deliver nothing about this order any more."""
        if order.exchange is None:
            return
        for rid in (order.exchange.rid, *order.questions):
            self._link.transport.forget(rid)

    def advance(self, order: Order) -> float | None:
        """Do what is due; return until when to wait (monotonic s), None when nothing is left."""
        life, transport = order.life, self._link.transport
        assert life is not None
        assert order.exchange is not None
        while True:
            now = self._link.clocks()
            if transport.epoch != order.epoch:
                order.epoch = transport.epoch
                life.reconnected(now)
            step = life.next(now)
            if step.do is Do.END:
                return None
            if step.do is Do.PAUSE:
                return step.until_ms / 1000
            if step.do is Do.SEND:
                if transport.send(order.exchange.frames):
                    life.sent(now)
                else:
                    life.not_sent(now)
            else:
                self._question(order, life, fence=step.do is Do.FENCE)

    def _question(self, order: Order, life: OrderLife, *, fence: bool) -> None:
        link, subject = self._link, order.exchange
        assert subject is not None
        link.transport.look()
        if not link.transport.connected:
            # Nothing is signed that cannot leave: an outage may last, and be asked about by many.
            life.asked(link.clocks(), sent=False)
            return
        if fence and order.may_fence and link.session.may(Op.FENCE):
            body = Fence(
                rid=subject.rid,
                inc=subject.token.inc,
                iat=subject.token.iat,
                symbol=order.symbol,
            )
            question = link.sign(Op.FENCE, body)
        else:
            question = link.sign(Op.GET_STATUS, GetStatus(rid=subject.rid, client_order_id=""))
        order.questions[question.rid] = question
        link.transport.route(question.rid, order.mailbox)
        if len(order.questions) > _QUESTIONS_KEPT:
            oldest = next(iter(order.questions))
            del order.questions[oldest]
            link.transport.forget(oldest)
        life.asked(link.clocks(), sent=link.transport.send(question.frames))

    def deliver(self, order: Order, frames: Frames) -> None:
        """Feed one reply to the order it claims to be about; a forged one changes nothing."""
        assert order.exchange is not None
        rid = rid_of(frames)
        exchange = order.exchange if rid == order.exchange.rid else order.questions.get(rid)
        answer = self._link.accept(frames, exchange) if exchange is not None else None
        if exchange is None or answer is None or order.life is None:
            return
        before = order.view
        try:
            self._learn(order, order.life, answer)
        except RemoteProtocolError:
            self._link.session.rejected += 1
            return
        after = order.view
        doubted = before.final and not before.attested
        if doubted and after.attested and after.status != before.status:
            self._link.session.on_lie(after.rid, f"said {before.status}, the EA {after.status}")
        if order.view.final and order.view is not before:
            asked = Frames(b"", b"") if exchange is order.exchange else exchange.frames
            order.said = Said(asked, frames, self._link.clocks().wall_ms)

    def _learn(self, order: Order, life: OrderLife, answer: Answer) -> None:
        session, now, exchange = self._link.session, self._link.clocks(), order.exchange
        assert exchange is not None
        if answer.rid == exchange.rid:
            life.replied(session.order_view(answer, exchange), now)
        elif answer.code == ReasonCode.NOT_SEEN and answer.op is Op.GET_STATUS:
            life.never_seen()
        else:
            view = session.subject_view(answer, exchange)
            if view is not None and answer.op is Op.FENCE:
                life.fence_said(view)
            elif view is not None:
                life.status_said(view, now)
        if answer.inc != life.inc and not life.ended:
            life.other_run(now)


def known_of(view: OrderView) -> dict[str, object]:
    """Return what is known of an order before anything has become of it."""
    return {
        name: getattr(view, name)
        for name in (
            "client_order_id", "symbol", "type", "ticket", "requested_volume", "requested_price",
            "strategy", "comment",
        )
    }  # fmt: skip


def rid_of(frames: Frames) -> str:
    """Return the rid that a reply claims, unverified; "" if it has none."""
    parts = frames.token.split(b":", 5)
    return parts[4].decode("ascii", "replace") if len(parts) == 6 else ""
