"""Tags that must not be there: of an order concluded absent, or on two orders at once.

Both halt the account (protocol.md 12, GHOST_FILL), for then the records have misled us.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge_server.context import Context
from bridge_server.core.ports import Deal, Pending, Position
from bridge_server.core.reconcile import ghosts
from bridge_server.core.trading_state import Cause
from bridge_server.telling import Teller

__all__ = ["GhostWatch"]


class GhostWatch:
    """Watches for tags; `doubled` holds the rids that several of the broker's orders bear."""

    def __init__(self, context: Context, teller: Teller) -> None:
        self._c = context
        self._tell = teller
        self._absent_magics = context.journal.absent_magics()
        self.doubled: set[str] = set()

    @property
    def watches(self) -> bool:
        """Return whether there is a tag that must not turn up."""
        return bool(self._absent_magics)

    def watch(self, magic: int) -> None:
        """Watch for the tag of an order concluded absent (0: a fenced rid's, and a hand's)."""
        self._absent_magics |= {magic} - {0}

    def look(self, seen: Iterable[Position | Pending | Deal] | None = None) -> None:
        """Halt when a tag turns up after its absence was concluded (default: in the snapshot)."""
        if not self._absent_magics:
            return
        if seen is None:
            shot = self._c.snapshot
            seen = [*shot.positions.values(), *shot.orders.values()] if shot is not None else []
        found = ghosts(self._absent_magics, seen)
        if found and self._c.guard.causes.get(Cause.GHOST_FILL) is None:
            self._halt(f"ticket {found[0]} carries the tag of an order that was concluded absent")

    def tell_doubled(self, rid: str, orders: tuple[int, ...]) -> None:
        """Halt, once for each rid: which of the orders is ours, a person has to find out."""
        if rid in self.doubled:
            return
        self.doubled.add(rid)
        numbers = ", ".join(str(one) for one in orders)
        self._halt(f"the broker's orders {numbers} bear the tag of one order, {rid}")

    def _halt(self, reason: str) -> None:
        self._c.guard.latch(Cause.GHOST_FILL, reason, self._c.clock.wall_ms())
        self._tell.alert("GHOST_FILL", reason)
