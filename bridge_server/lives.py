"""What became of WORKING orders, by the broker's own events and records (protocol.md 7.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge_core.protocol.codes import Status
from bridge_core.protocol.events import EventBody
from bridge_server.context import Context
from bridge_server.core.orders import Life, life_may_become
from bridge_server.core.ports import Executed, Outcome, Scan
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle

__all__ = ["Lives"]

_LIFE_OF_EVENT: Final = {
    "position_opened": Life.FILLED,
    "order_cancelled": Life.CANCELLED,
    "order_expired": Life.BROKER_EXPIRED,
}
_BY_DEAL: Final = ("position_modified", "position_closed")
# A broker's records may show an end later than its book: looked at again, ever more seldom.
_LOOK_MS: Final = 500
_LOOK_MS_MAX: Final = 60_000


class _Look(NamedTuple):
    at_ms: int  # monotonic
    next_ms: int  # and so much later again


class Lives:
    """Follows the orders that rest at the broker."""

    def __init__(self, context: Context, lifecycle: Lifecycle) -> None:
        self._c = context
        self._orders = lifecycle
        self._resting: frozenset[int] = frozenset()
        self._missing: dict[int, _Look] = {}

    def placed(self, outcome: Outcome) -> None:
        """Follow what rests from now on; it may be gone before any snapshot has shown it."""
        if isinstance(outcome, Executed) and outcome.status is Status.WORKING:
            self._resting |= {outcome.facts.ticket}

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
            if row.ticket in resting:
                continue
            if end is None:
                self._missing.setdefault(row.ticket, self._look_in(_LOOK_MS))
                continue
            if end.filled and end.life != Life.FILLED:
                self._set(row, Life.PARTIAL)  # before what became of the rest
            self._set(row, Life(end.life))

    def some_gone(self) -> bool:
        """Return whether the records should say now what became of a WORKING order.

        They are asked when it leaves the snapshot, and again until they tell.
        """
        shot = self._c.snapshot
        if shot is None:
            return False
        resting, now_ms = frozenset(shot.orders), self._c.clock.mono_ms()
        for ticket in self._resting - resting:
            self._missing[ticket] = _Look(now_ms, _LOOK_MS)
        self._resting = resting
        asks = False
        for ticket, look in list(self._missing.items()):
            if ticket in resting or self._c.journal.working_on(ticket) is None:
                del self._missing[ticket]
            elif now_ms >= look.at_ms:
                asks = True
                self._missing[ticket] = self._look_in(look.next_ms)
        return asks

    def _look_in(self, wait_ms: int) -> _Look:
        return _Look(self._c.clock.mono_ms() + wait_ms, min(2 * wait_ms, _LOOK_MS_MAX))

    def _set(self, row: OrderRow, life: Life) -> None:
        if not life_may_become(Life(row.life or Life.WORKING), life):
            return
        now_ms = self._c.clock.wall_ms()

        def work() -> None:
            self._c.journal.set_life(row, life, now_ms)
            if life is Life.FILLED:
                self._orders.tally.filling(row)

        self._orders.commit(work, may_use_reserve=True)
