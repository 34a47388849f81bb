"""What became of WORKING orders, by the broker's own events and records (protocol.md 7.2)."""

from __future__ import annotations

from typing import Final

from bridge_core.protocol.codes import Status
from bridge_core.protocol.events import EventBody
from bridge_server.context import Context
from bridge_server.core.orders import Life, life_may_become
from bridge_server.core.ports import Scan
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle

__all__ = ["Lives"]

_LIFE_OF_EVENT: Final = {
    "position_opened": Life.FILLED,
    "order_cancelled": Life.CANCELLED,
    "order_expired": Life.BROKER_EXPIRED,
}
_BY_DEAL: Final = ("position_modified", "position_closed")


class Lives:
    """Follows the orders that rest at the broker."""

    def __init__(self, context: Context, lifecycle: Lifecycle) -> None:
        self._c = context
        self._orders = lifecycle
        self._resting: frozenset[int] = frozenset()

    def on_event(self, event: EventBody) -> None:
        """Follow a WORKING order by the broker's own event."""
        life, ticket = _LIFE_OF_EVENT.get(event.type), event.order or event.ticket
        if event.type in _BY_DEAL and event.deal:  # where an account nets, a fill opens nothing
            life, ticket = Life.FILLED, event.order
        if life is None or not ticket:
            return
        if life is Life.FILLED and event.status == Status.PARTIAL:  # the rest still rests
            life = Life.PARTIAL
        row = self._c.journal.working_on(ticket)
        if row is not None:
            self._set(row, life)

    def judge(self, scan: Scan) -> None:
        """Follow every WORKING order by the broker's records."""
        resting = {one.ticket for one in scan.orders}
        ended = {one.ticket: one for one in scan.ended}
        for row in self._c.journal.working():
            end = ended.get(row.ticket)
            if end is None or row.ticket in resting:
                continue
            if end.filled and end.life != Life.FILLED:
                self._set(row, Life.PARTIAL)  # before what became of the rest
            self._set(row, Life(end.life))

    def some_gone(self) -> bool:
        """Return whether a WORKING order has left the snapshot since the last call."""
        shot = self._c.snapshot
        resting = frozenset(shot.orders) if shot is not None else self._resting
        gone, self._resting = self._resting - resting, resting
        return any(self._c.journal.working_on(ticket) is not None for ticket in gone)

    def _set(self, row: OrderRow, life: Life) -> None:
        if not life_may_become(Life(row.life or Life.WORKING), life):
            return
        now_ms = self._c.clock.wall_ms()

        def work() -> None:
            self._c.journal.set_life(row, life, now_ms)
            if life is Life.FILLED:
                self._orders.tally.filling(row)

        self._orders.commit(work, may_use_reserve=True)
