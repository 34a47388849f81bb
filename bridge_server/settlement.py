"""Ending UNKNOWN: restart, scans of the broker, FENCE, an operator's word (protocol.md 7).

Nothing here ever sends an order. What a scan finds ends an order; what it does not find ends it
only when absence counts: two complete scans `settle` apart, the call no longer in flight.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bridge_core.host.logs import log_event
from bridge_core.protocol.codes import FINAL, ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Fence, Open, Settle, decode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_server.context import Context
from bridge_server.core.orders import Evidence, OrderState
from bridge_server.core.ports import Executed, Facts, Lost, NotBegun, Outcome, Rejected, Scan
from bridge_server.core.reconcile import Absence, Finding, Suspect, absent, doubles, find
from bridge_server.core.trading_state import Cause
from bridge_server.flatten import Flattener
from bridge_server.flight import Flight
from bridge_server.ghosts import GhostWatch
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle
from bridge_server.lives import Lives
from bridge_server.views import view_of_body
from bridge_server.worker import ScanJob

__all__ = ["Settlement"]

_LOOK_BACK_MS: Final = 60_000
_RESCAN_MS: Final = 1_000


class Settlement:
    """Finds out what became of orders whose outcome nobody saw."""

    def __init__(self, context: Context, lifecycle: Lifecycle, flattener: Flattener) -> None:
        self._c = context
        self._orders = lifecycle
        self._flattener = flattener
        self._scan_asked_ms = 0
        self._scan_due_ms: int | None = None
        self._scanning = False
        self._recovering = False
        # Where an event may have been missed, the records are read instead.
        self._follows = context.executor is not None or context.backend.settle_ms > 0
        self.lives = Lives(context, lifecycle)
        self.ghosts = GhostWatch(context, lifecycle.tell)

    # --- restart -----------------------------------------------------------------------------

    def recover(self) -> None:
        """Take up what the last run left: queued orders end, those at the broker are UNKNOWN."""
        now_ms = self._c.clock.wall_ms()
        rows = self._c.journal.unfinished()
        for row in rows:
            self._orders.flights[row.rid] = self._flight_of(row)
        for row in rows:
            flight = self._orders.flights.get(row.rid)
            if flight is None:
                continue  # a parent that its last child has ended meanwhile
            if row.parent:
                self._flattener.recover_child(flight)
            elif row.state is OrderState.ACCEPTED:
                refusal = Refusal(ReasonCode.ABORTED_RESTART)
                self._orders.finish(flight, NotBegun(refusal=refusal), Evidence.SERVER)
            elif row.state is OrderState.DISPATCHING:
                self._orders.finish(flight, Lost(cause="the server restarted"), Evidence.SERVER)
            if row.state is OrderState.UNKNOWN:
                self._c.guard.condition(
                    Cause.UNKNOWN,
                    now_ms,
                    present=True,
                    symbol=row.symbol,
                    reason=f"order {row.rid}",
                )
        self._flattener.recover_parents()
        self._recovering = True
        self._c.guard.condition(
            Cause.RECOVERING, now_ms, present=True, reason="reconciling with the broker"
        )
        self._ask_scan()

    def _flight_of(self, row: OrderRow) -> Flight:
        now_wall, now_mono = self._c.clock.wall_ms(), self._c.clock.mono_ms()
        signed = self._c.journal.get(row.parent) or row if row.parent else row
        return Flight(
            row=row,
            body=decode_body(OPERATIONS[Op(row.op)].body, row.body) if row.body else None,
            frames=Frames(signed.token, signed.body),  # a child goes out as its FLATTEN was signed
            deadline=Deadline.at(row.deadline_ms, now_wall, now_mono),
        )

    # --- scans -------------------------------------------------------------------------------

    def unknown(self) -> list[Flight]:
        """Return the orders that evidence has to end; a FLATTEN's children come before it."""
        return [
            flight
            for flight in self._orders.flights.values()
            if flight.row.state is OrderState.UNKNOWN
            and flight.row.rid != self._orders.calling
            and (flight.row.op != Op.FLATTEN or self._executor_decides(flight))
        ]

    def _executor_decides(self, flight: Flight) -> bool:
        if self._c.executor is None:
            return False
        return all(Status(child.status) in FINAL for child in flight.row.view.children)

    def magic_of(self, flight: Flight) -> int:
        """Return what an executor that attests gives the broker for an order, 0 if nothing."""
        if flight.body is not None and not isinstance(flight.body, Open):
            return 0
        return make_tag(self._c.settings.account, flight.row.rid).mt4_magic

    def _ask_scan(self) -> None:
        # A fenced rid may have run long before its FENCE came: its row's deadline is its own iat.
        since = [min(one.row.accepted_ms, one.row.deadline_ms) for one in self.unknown()]
        if self._recovering or self._follows:
            since += [row.accepted_ms for row in self._c.journal.working()]
        self._scanning = True
        self._scan_due_ms = None
        oldest = min(since, default=self._c.clock.wall_ms())
        self._orders.reads.appendleft(ScanJob(max(0, oldest - _LOOK_BACK_MS)))
        self._orders.dispatch_next()

    def tick(self) -> None:
        """Ask for a scan when one is due."""
        if self._scanning:
            return
        mono_ms = self._c.clock.mono_ms()
        # An executor that attests is asked for its own word instead.
        if self._scan_due_ms is None and self._c.executor is None and self.unknown():
            self._scan_due_ms = mono_ms
        if self._scan_due_ms is not None and mono_ms >= self._scan_due_ms:
            self._ask_scan()

    def on_scanned(self, scan: Scan | None) -> None:
        """Judge every UNKNOWN order by one scan."""
        self._scanning = False
        self._orders.busy = False
        attests = self._c.executor is not None
        if scan is not None:
            for flight in [] if attests else self.unknown():
                self._judge(flight, scan)
            if not attests:
                self.ghosts.look(scan.deals)  # a late CLOSE leaves no position to see
            self.lives.judge(scan)
            # What the terminal's history leaves out decides nothing where the executor attests.
            if self._recovering and (scan.complete or attests):
                self._recovering = False
                self._c.guard.condition(Cause.RECOVERING, self._c.clock.wall_ms(), present=False)
        if self._recovering or (self.unknown() and not attests):
            self._scan_due_ms = self._c.clock.mono_ms() + self._pause_ms()
        self._orders.dispatch_next()

    def _pause_ms(self) -> int:
        return (
            min(_RESCAN_MS, self._c.backend.settle_ms) if self._c.backend.settle_ms else _RESCAN_MS
        )

    def _suspect(self, flight: Flight) -> Suspect:
        row, tag = flight.row, make_tag(self._c.settings.account, flight.row.rid)
        magic = row.magic or (tag.mt4_magic if self._c.executor is not None else 0)
        return Suspect(rid=row.rid, tag=tag, magic=magic, body=flight.body)

    def by_tag(self, flight: Flight, scan: Scan) -> None:
        """End an order by its tag alone: an executor that attests has not said what became of it.

        What is not there proves nothing, and neither does a shape.
        """
        found = find(self._suspect(flight), scan)
        if isinstance(found, Finding) and found.evidence is Evidence.TAG:
            log_event(
                self._c.log, "warning", "order_settled", rid=flight.row.rid, evidence=found.evidence
            )
            self._orders.finish(flight, found.outcome, found.evidence)

    def _judge(self, flight: Flight, scan: Scan) -> None:
        row = flight.row
        twice = doubles(self._suspect(flight), scan)
        if twice:
            self.ghosts.tell_doubled(row.rid, twice)
            return
        found = find(self._suspect(flight), scan)
        if isinstance(found, Absence):
            found_now = self._concluded(flight, found)
            if not found_now:
                return
            found = absent()
            self.ghosts.watch(row.magic)
        log_event(self._c.log, "info", "order_settled", rid=row.rid, evidence=found.evidence)
        outcome = found.outcome
        fenced = flight.body is None and isinstance(outcome, NotBegun)
        if fenced:
            outcome = NotBegun(refusal=Refusal(ReasonCode.FENCED))
        self._orders.finish(flight, outcome, found.evidence)

    def _concluded(self, flight: Flight, absence: Absence) -> bool:
        if not absence.counts:
            flight.absent_since_ms = 0
            return False
        mono_ms = self._c.clock.mono_ms()
        if not flight.absent_since_ms:
            flight.absent_since_ms = mono_ms or 1
        return mono_ms - flight.absent_since_ms >= self._c.backend.settle_ms

    def follow(self) -> None:
        """Read the broker's records when a WORKING order rests no more, to learn what it became."""
        if self._follows and self.lives.some_gone() and self._scan_due_ms is None:
            self._scan_due_ms = self._c.clock.mono_ms()

    def on_event(self, event: EventBody) -> None:
        """Follow WORKING orders, and read the records after a deal: a ghost may have made it."""
        self.lives.on_event(event)
        watched = self._c.executor is None and self.ghosts.watches
        if event.deal and watched and self._scan_due_ms is None:
            self._scan_due_ms = self._c.clock.mono_ms()

    # --- FENCE -------------------------------------------------------------------------------

    def fence(self, fence: Fence, kid: str) -> OrderView | Refusal:
        """Make sure that a rid never runs, or tell what it did; returns the order as it stands.

        DENIED is final. PENDING and UNKNOWN mean: too late, or the broker's records are still
        being read. A Refusal says nothing about the order.
        """
        row = self._orders.find(fence.rid)
        if row is None:
            return self._plant(fence, kid)
        flight = self._orders.flights.get(fence.rid)
        if flight is not None and row.state is OrderState.ACCEPTED:
            refusal = Refusal(ReasonCode.FENCED)
            self._orders.finish(flight, NotBegun(refusal=refusal), Evidence.SERVER)
            return flight.row.view
        return row.view

    def _plant(self, fence: Fence, kid: str) -> OrderView | Refusal:
        # A tombstone: no late copy can pass it. For an earlier run the row itself may have been
        # lost, so only the broker's records can tell; until then it is UNKNOWN.
        now_ms = self._c.clock.wall_ms()
        current = fence.inc == self._c.incarnation
        state = OrderState.DENIED if current else OrderState.UNKNOWN
        view = view_of_body(fence.rid, Op.OPEN, kid, None, now_ms)
        view = msgspec.structs.replace(
            view,
            symbol=fence.symbol,
            status=Status.DENIED if current else Status.UNKNOWN,
            code=ReasonCode.FENCED if current else ReasonCode.RECONCILING,
            final=current,
            by="server",
            evidence=Evidence.SERVER if current else "",
            ended_at=now_ms if current else 0,
        )
        row = OrderRow(
            rid=fence.rid,
            client_order_id=None,
            kid=kid,
            client="",
            op=Op.OPEN,
            symbol=fence.symbol,
            state=state,
            inc=fence.inc,
            deadline_ms=fence.iat,
            accepted_ms=now_ms,
            ended_ms=now_ms if current else 0,
            evidence=view.evidence,
            view=view,
        )
        planted = self._orders.commit(
            lambda: self._c.journal.insert(row, "FENCE", {"by": "server"}), may_use_reserve=True
        )
        if not planted:
            return Refusal(ReasonCode.JOURNAL_FULL)
        if not current:
            self._orders.flights[row.rid] = self._flight_of(row)
            self._c.guard.condition(
                Cause.UNKNOWN, now_ms, present=True, symbol=row.symbol, reason=f"order {row.rid}"
            )
            self._scan_due_ms = self._c.clock.mono_ms()
        return view

    # --- SETTLE ------------------------------------------------------------------------------

    def settle(self, word: Settle) -> Refusal | None:
        """Take an operator's word on an UNKNOWN order, unless what we see contradicts it."""
        flight = self._orders.flights.get(word.rid)
        if flight is None or flight.row.state is not OrderState.UNKNOWN:
            return Refusal(ReasonCode.SETTLE_REFUSED, limit="UNKNOWN", value=self._state_of(word))
        if word.rid == self._orders.calling:
            return Refusal(ReasonCode.SETTLE_REFUSED, limit="call", value="it has not ended")
        seen = self._seen(flight, word)
        if seen is not None:
            return Refusal(ReasonCode.SETTLE_REFUSED, limit="evidence", value=seen)
        outcome: Outcome
        match word.status:
            case "REJECTED":
                outcome = Rejected(code=ReasonCode.HUMAN)
            case "DENIED":
                outcome = NotBegun(refusal=Refusal(ReasonCode.HUMAN))
            case _:
                outcome = Executed(
                    status=Status(word.status),
                    code=ReasonCode.HUMAN,
                    facts=Facts(ticket=word.ticket),
                )
        self._orders.finish(flight, outcome, Evidence.HUMAN)
        return None

    def _state_of(self, word: Settle) -> str:
        row = self._orders.find(word.rid)
        return row.state.value if row is not None else ReasonCode.NOT_SEEN.value

    def _seen(self, flight: Flight, word: Settle) -> str | None:
        shot = self._c.snapshot
        if flight.row.rid in self.ghosts.doubled:
            decided = word.status not in ("DENIED", "REJECTED")
            return None if decided else str(Evidence.TAG)
        if shot is None:
            return None
        scan = Scan(
            since_wall_ms=0,
            taken_wall_ms=shot.taken_wall_ms,
            complete=False,
            positions=tuple(shot.positions.values()),
            orders=tuple(shot.orders.values()),
        )
        found = find(self._suspect(flight), scan)
        return None if isinstance(found, Absence) else str(found.evidence)
