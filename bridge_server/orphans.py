"""The counter's watch in the loop: what it barred halts, and so does a ticket nobody ordered.

Every position and pending order that the broker shows maps to an order in the journal, by its
ticket or by the tag of that order (protocol.md 12). One that does not is an orphan. On a shared
account, the default, a person may trade beside us: orphans are listed and counted. On an account
that server.toml calls `exclusive` they halt: a compromised terminal would trade as a hand does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from bridge_core.host.logs import log_event
from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol.operations import Op
from bridge_server.admin import Admin
from bridge_server.context import Context
from bridge_server.core.counting import FLATTEN_KEPT_MS, Orphans, explains
from bridge_server.core.orders import OrderState
from bridge_server.core.ports import Pending, Position, Snapshot
from bridge_server.core.trading_state import Cause
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle

__all__ = ["CounterWatch"]

_LOOK_MS: Final = 200
_AGAIN_MS: Final = 10_000
_META: Final = "orphans"
_NAMED_MAX: Final = 8
_OUT: Final = (OrderState.DISPATCHING, OrderState.UNKNOWN)
_Held = Position | Pending


class _Known(Struct, frozen=True):
    """The tickets that an exclusive account has with nobody's order behind them, by a word."""

    exclusive: bool = False
    tickets: list[int] = []


class CounterWatch:
    """Owned by the loop."""

    def __init__(self, context: Context, lifecycle: Lifecycle, admin: Admin) -> None:
        """Tell the counter what an earlier run handed over; nothing may go out before that."""
        self._c = context
        self._orders = lifecycle
        self._admin = admin
        self._counter = context.worker.counter
        self._exclusive = context.settings.exclusive
        self._judge = Orphans()
        raw = context.journal.meta(_META)
        self._kept = msgspec.json.decode(raw, type=_Known) if raw else _Known()
        # Until it is settled what was there before, nothing is judged.
        self._adopting = self._exclusive and not self._kept.exclusive
        self._known: set[int] = set(self._kept.tickets) if self._exclusive else set()
        self._ours: set[int] = set()
        self._told: set[int] = set()
        self._foreign: set[int] = set()
        self._too_many = False
        self._looked_ms = self._again_ms = 0
        journal, since_ms = context.journal, context.clock.wall_ms() - FLATTEN_KEPT_MS
        fixed: tuple[list[tuple[str, list[int]]], ...] = ([], [])
        for row in journal.unfinished():
            if row.op == Op.FLATTEN:  # nobody signed the server's own
                tickets = [child.ticket for child in journal.children(row.rid)]
                fixed[not row.kid].append((row.rid, tickets))
        self._counter.recover(journal.dispatched_since(since_ms), *fixed)

    # --- out <= in -----------------------------------------------------------------------------

    def look(self) -> None:
        """Halt when the counter barred something; before the next order is handed over."""
        why = self._counter.tripped
        if why:
            self._counter.tripped = ""
            self._halt(why)

    def _halt(self, reason: str) -> None:
        self._c.guard.latch(Cause.COUNTER, reason, self._c.clock.wall_ms())
        self._orders.drop_barred()
        self._admin.alert(Cause.COUNTER, reason)
        log_event(self._c.log, "error", "counter", reason=reason)

    # --- orphans -------------------------------------------------------------------------------

    def tick(self, mono_ms: int) -> None:
        """Look at the newest picture of the account."""
        if mono_ms - self._looked_ms < _LOOK_MS:
            return
        self._looked_ms = mono_ms
        self._c.counters.update(self._counter.counted())
        shot = self._c.snapshot
        recovering = self._c.guard.causes.get(Cause.RECOVERING) is not None
        if shot is None or not shot.connected or recovering:
            return
        if mono_ms - self._again_ms >= _AGAIN_MS:  # a person may have said whose it is
            self._again_ms = mono_ms
            self._foreign.clear()
        shown: dict[int, _Held] = {**shot.positions, **shot.orders}
        self._resumed()
        found = self._judge.judge(self._strange(shown, shot), self._flying(), mono_ms)
        self._foreign |= found
        self._c.counters["orphans"] = len(self._foreign & shown.keys())
        if self._adopting:
            self._adopt_first(shown, found)
        elif self._exclusive:
            self._alarm(found, shown)
        else:
            self._listed(shown)

    def _strange(self, shown: Mapping[int, _Held], shot: Snapshot) -> dict[int, str]:
        self._ours &= shown.keys()
        strange = {}
        for ticket, one in shown.items():
            if ticket in self._ours or ticket in self._known:
                continue
            if ticket not in self._foreign and self._maps(one, shot):
                self._ours.add(ticket)
                continue
            strange[ticket] = one.symbol
        return strange

    def _maps(self, one: _Held, shot: Snapshot) -> bool:
        row = self._c.journal.opener_of(one.ticket)
        if row is not None and explains(row.state):
            return True
        openers = self._c.journal.openers_by_magic(one.magic) if one.magic else []
        return any(
            explains(row.state) and self._may_be(one, row, shot) for row in openers
        ) and _sole(one, shot)

    def _may_be(self, one: _Held, row: OrderRow, shot: Snapshot) -> bool:
        """Return whether a ticket that bears an order's tag can be that order's.

        Its outcome may not be written yet. And some brokers give a position another number when
        it was closed in part, or over night: then the first one is gone, and there was no less.
        """
        if not row.ticket:
            return True
        there = row.ticket in shot.positions or row.ticket in shot.orders
        same = one.symbol == row.symbol and row.view.type.startswith(one.type)
        wanted = Decimal(row.view.requested_volume or "0")
        return not there and same and (not wanted or one.volume <= wanted)

    def _flying(self) -> dict[str, str]:
        return {
            rid: flight.row.symbol
            for rid, flight in self._orders.flights.items()
            if flight.row.state in _OUT and flight.row.op in (Op.OPEN, Op.CLOSE)
        }

    # --- exclusive accounts ----------------------------------------------------------------------

    def _adopt_first(self, shown: Mapping[int, _Held], found: frozenset[int]) -> None:
        """Take for granted, once, what was there when the account was first called exclusive."""
        waiting = shown.keys() - self._ours - self._known - found
        if waiting or not self._keep(found):
            return
        self._adopting = False
        if found:
            named = _named(found)
            self._admin.alert("ORPHANS_KNOWN", f"there before this account was exclusive: {named}")
            log_event(self._c.log, "warning", "orphans_known", tickets=named, count=len(found))

    def _alarm(self, found: frozenset[int], shown: Mapping[int, _Held]) -> None:
        for ticket in sorted(found - self._told):
            one = shown[ticket]
            self._told.add(ticket)
            self._halt(
                f"ticket {ticket} ({one.symbol} {one.type} {one.volume}) has no order in the "
                "journal, and this account is exclusive"
            )

    def _resumed(self) -> None:
        """Take an operator's RESUME of COUNTER as the word that the tickets told are known."""
        latched = self._c.guard.causes.get(Cause.COUNTER) is not None
        if self._told and not latched and self._keep(self._told):
            log_event(self._c.log, "warning", "orphans_known", tickets=_named(self._told))
            self._told = set()

    def _keep(self, tickets: Iterable[int]) -> bool:
        known = self._known | set(tickets)
        kept = _Known(exclusive=self._exclusive, tickets=sorted(known))
        try:
            with self._c.journal.transaction():
                self._c.journal.put_meta({_META: msgspec.json.encode(kept).decode("ascii")})
        except JournalFull:  # the next look tries again
            self._c.guard.condition(Cause.JOURNAL_FULL, self._c.clock.wall_ms(), present=True)
            return False
        self._kept, self._known = kept, known
        return True

    # --- shared accounts -------------------------------------------------------------------------

    def _listed(self, shown: Mapping[int, _Held]) -> None:
        if self._kept.exclusive:  # called exclusive again later, it begins anew
            self._keep(())
        most, now = self._c.settings.orphans_max, self._foreign & shown.keys()
        if most is None:
            return
        above = len(now) > most
        if above and not self._too_many:
            self._admin.alert(
                "ORPHANS", f"{len(now)} tickets have no order in the journal, above "
                f"orphans_max = {most}: {_named(now)}",
            )  # fmt: skip
        self._too_many = above


def _sole(one: _Held, shot: Snapshot) -> bool:
    # A tag stands for one ticket only.
    bearers: list[_Held] = [*shot.positions.values(), *shot.orders.values()]
    return {each.ticket for each in bearers if each.magic == one.magic} == {one.ticket}


def _named(tickets: Iterable[int]) -> str:
    rows = sorted(tickets)
    more = f" and {len(rows) - _NAMED_MAX} more" if len(rows) > _NAMED_MAX else ""
    return ", ".join(str(one) for one in rows[:_NAMED_MAX]) + more
