"""An order in flight, and how an outcome becomes an event of the state table."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge_core.protocol.codes import Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Open, Request
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server.core.orders import OrderEvent
from bridge_server.core.ports import Executed, Lost, NotBegun, Outcome, Rejected
from bridge_server.journal import OrderRow
from bridge_server.telling import Waiter

__all__ = ["Flight", "event_of", "facts_of"]

_EVENTS: Final = {
    Status.FILLED: OrderEvent.FILL,
    Status.PARTIAL: OrderEvent.PART,
    Status.WORKING: OrderEvent.PLACE,
    Status.DONE: OrderEvent.COMPLETE,
}


class Flight(Struct, kw_only=True):
    """An order that is not final; `called_ms` is when its broker call began (monotonic, or 0)."""

    row: OrderRow
    body: Request | None
    frames: Frames
    deadline: Deadline
    waiters: list[Waiter] = []
    called_ms: int = 0
    absent_since_ms: int = 0

    @property
    def entry_symbol(self) -> str:
        """Return the symbol whose exposure this may still raise, "" if it opens nothing."""
        return self.body.symbol if isinstance(self.body, Open) else ""


def event_of(outcome: Outcome) -> OrderEvent:
    """Return what an outcome is to the state table."""
    match outcome:
        case Executed():
            return _EVENTS[outcome.status]
        case Rejected():
            return OrderEvent.REJECT
        case NotBegun():
            return OrderEvent.REFUSE
        case Lost():
            return OrderEvent.LOSE


def facts_of(view: OrderView) -> dict[str, str]:
    """Return what the record keeps of an outcome."""
    facts = {
        "ticket": str(view.ticket) if view.ticket else "",
        "deal": str(view.deal) if view.deal else "",
        "volume": view.volume if view.volume != "0" else "",
        "price": view.price if view.price != "0" else "",
        "close_price": view.close_price if view.close_price != "0" else "",
        "by": view.by,
    }
    return {name: value for name, value in facts.items() if value}
