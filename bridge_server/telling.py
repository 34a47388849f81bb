"""What is told about orders: replies to those who wait, events to those who listen."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server.context import Context
from bridge_server.journal import OrderRow
from bridge_server.replier import Subject

__all__ = ["Teller", "Waiter"]


class Waiter(Struct, frozen=True):
    """Somebody who wants the answer; gets PENDING at `pending_at_ms` (monotonic)."""

    route: bytes
    subject: Subject
    pending_at_ms: int


class Teller:
    """Signs and sends; remembers nothing."""

    def __init__(self, context: Context) -> None:
        self._c = context

    def make_reply(self, row: OrderRow) -> Callable[[OrderView], Frames]:
        """Return what makes a row's own reply, to be stored with it."""

        def make(view: OrderView) -> Frames:
            if not row.req_hash:  # a FLATTEN's child or a tombstone: nobody asked under this rid
                return Frames(b"", b"")
            subject = Subject(row.kid, row.rid, row.req_hash)
            now_ms = self._c.clock.wall_ms()
            reply = self._c.replier.reply(subject, Status(view.status), view.code, view, now_ms)
            return reply if reply is not None else Frames(b"", b"")

        return make

    def answer(self, waiter: Waiter, status: Status, code: ReasonCode, view: OrderView) -> None:
        """Send a reply about an order to one waiter."""
        now_ms = self._c.clock.wall_ms()
        reply = self._c.replier.reply(waiter.subject, status, code, view, now_ms)
        if reply is not None:
            self._c.transport.send(waiter.route, reply)

    def alert(self, code: str, message: str, level: str | None = None, subject: str = "") -> None:
        """Raise an alert: event, log line, webhook (`level` None: as the table says)."""
        self._c.alarms.alert(code, message, level, subject)

    def final(self, view: OrderView) -> None:
        """Publish that an order is final; listeners ask GET_STATUS, the event proves nothing."""
        event = EventBody(
            type="order_final",
            rid=view.rid,
            client_order_id=view.client_order_id,
            symbol=view.symbol,
            ticket=view.ticket,
            status=view.status,
            code=view.code if view.code != "-" else "",
        )
        self._c.publisher.publish(event, self._c.clock.wall_ms())
