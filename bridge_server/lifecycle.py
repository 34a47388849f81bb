"""One order's way through the server: journal, act, journal, reply (protocol.md 7).

J1 before any acknowledgement, J2 (the intent) before the broker call, J3 before the reply. The
broker call is made at most once per row. Waiting orders stand here and not in the worker, so that
a halt, a fence or a deadline finds them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from bridge_core.host.logs import log_event
from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Modify, Request, decode_body
from bridge_core.protocol.operations import Lane, Op
from bridge_core.protocol.signing import Frames
from bridge_server.context import Context
from bridge_server.core.gate import Admitted
from bridge_server.core.orders import Evidence, OrderState, after, status_of
from bridge_server.core.ports import Lost, NotBegun, Outcome
from bridge_server.core.trading_state import Cause
from bridge_server.flight import (
    Flight,
    Hooks,
    Tally,
    barred,
    event_of,
    evidence_of,
    facts_of,
    submission_of,
    take_next,
)  # fmt: skip
from bridge_server.journal import Change, OrderRow
from bridge_server.refusals import Refusals
from bridge_server.rows import kind_of, new_row, ttl_of
from bridge_server.telling import Teller, Waiter
from bridge_server.views import with_outcome
from bridge_server.worker import CheckJob, ExecuteJob, HistoryJob, ScanJob
from bridge_server.worker import Executed as Ran

__all__ = ["Lifecycle"]

CALL_MS_MAX: Final = limits.TRADE_CALL_MS_MAX


class Lifecycle:
    """The flights, their queues and the one order that is at the broker."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self.flights: dict[str, Flight] = {}
        self.reduce: deque[str] = deque()
        self.entries: deque[str] = deque()
        self.reads: deque[CheckJob | HistoryJob | ScanJob] = deque()
        self.busy = False
        self.calling = ""
        self.tell = Teller(context)
        self.refused = Refusals(context, self.tell)
        self._modified: dict[int, int] = {}
        self.words: deque[str] = deque()
        self.hooks = Hooks()
        self.tally = Tally()

    # --- what the gate asks ------------------------------------------------------------------

    def queue_full(self, lane: Lane) -> bool:
        """Return whether another order of a lane would only wait for its own death."""
        queue = self.reduce if lane is Lane.REDUCE else self.entries
        return len(queue) >= limits.WORKER_QUEUE_MAX

    def find(self, rid: str) -> OrderRow | None:
        """Return the row of a request id, durable or about to be."""
        flight = self.flights.get(rid)
        if flight is not None:
            return flight.row
        return self.refused.get(rid) or self._c.journal.get(rid)

    def find_by_id(self, client_order_id: str) -> OrderRow | None:
        """Return the row that has a client_order_id."""
        refused = self.refused.get_by_client_order_id(client_order_id)
        if refused is not None:
            return refused
        found = self._c.journal.get_by_client_order_id(client_order_id)
        return self.find(found.rid) if found is not None else None

    # --- refusals ------------------------------------------------------------------------------

    def refuse(self, request: Admitted, refusal: Refusal) -> OrderRow:
        """Remember a DENIED of an authentic request; the row carries the reply to send."""
        body = decode_body(request.spec.body, request.body)
        wanted = getattr(body, "client_order_id", "")
        holder = self.find_by_id(wanted) if wanted else None
        row = self.refused.add(request, body, refusal, holder)
        self.hooks.on_bare(row)
        return row

    def drop_barred(self) -> None:
        """End what waits and may not begin any more; queued reduce orders survive a halt."""
        for rid in tuple(self.entries):
            flight = self.flights[rid]
            refusal = barred(flight, self._c.guard.causes, self._modified, self.hooks.shrinks)
            if refusal is not None:
                self.finish(flight, NotBegun(refusal=refusal), Evidence.SERVER)

    def abort_queued(self) -> None:
        """End everything that has not begun, at the end of this run."""
        for rid in (*self.entries, *self.reduce):
            flight = self.flights[rid]
            if not flight.row.parent:  # a FLATTEN's child goes on after the restart
                stopping = NotBegun(refusal=Refusal(ReasonCode.STOPPING))
                self.finish(flight, stopping, Evidence.SERVER)
        self.entries.clear()
        self.reduce.clear()
        self.reads.clear()

    # --- acceptance ------------------------------------------------------------------------------

    def accept(
        self, request: Admitted, body: Request, waiter: Waiter, deadline: Deadline
    ) -> Refusal | None:
        """Journal an order and hand it on, or queue it; returns the refusal of a full journal.

        `deadline` stands on the reading of the clocks by which the request was found fresh.
        """
        at_once = not self.busy and not self.reduce and not self.entries
        at_once = at_once and request.op is not Op.MODIFY
        flight = self.flight_for(request, body, deadline)
        flight.waiters.append(waiter)
        row = flight.row
        if at_once:
            row.state, row.dispatched_ms = OrderState.DISPATCHING, row.accepted_ms
        reducing = request.spec.lane is not Lane.ENTRY
        kind, facts = kind_of(body)

        def work() -> None:
            self._c.journal.insert(row, kind, facts)
            self.tally.accepting(flight)

        if not self.commit(work, may_use_reserve=reducing):
            return Refusal(ReasonCode.JOURNAL_FULL)
        self.flights[row.rid] = flight
        if at_once:
            self._call(flight)
        else:
            (self.reduce if reducing else self.entries).append(row.rid)
            self.dispatch_next()
        return None

    def flight_for(self, request: Admitted, body: Request, deadline: Deadline) -> Flight:
        """Return a flight that is not journaled yet."""
        return Flight(
            row=new_row(self._c, request, body, OrderState.ACCEPTED),
            body=body,
            frames=request.frames,
            deadline=deadline,
        )

    def commit(self, work: Callable[[], None], *, may_use_reserve: bool) -> bool:
        """Run one durable transaction; False when the disk is full and nothing was written.

        The reserve is given up for the reduce lane and for outcomes, never for entries.
        """
        for attempt in range(2):
            try:
                with self._c.journal.transaction():
                    work()
            except JournalFull:
                self.tally.undone()
                now_ms = self._c.clock.wall_ms()
                self._c.guard.condition(Cause.JOURNAL_FULL, now_ms, present=True)
                if attempt or not may_use_reserve or not self._c.reserve.exists:
                    return False
                self._c.reserve.release()
            else:
                self.tally.committed()
                return True
        return False

    # --- dispatch ----------------------------------------------------------------------------

    def dispatch_next(self) -> None:
        """Give the worker its next job: reduce before entry before reads."""
        while not self.busy:
            rid = take_next((self.reduce, self.entries), self.flights, self.hooks.waits)
            if rid:
                flight = self.flights.get(rid)
                if flight is not None and flight.row.state is OrderState.ACCEPTED:
                    self._dispatch(flight)
            elif self.words:
                self._ask_word(self.words.popleft())
            elif self.reads:
                self.busy = True
                self._c.worker.give(self.reads.popleft())
            else:
                return

    def _dispatch(self, flight: Flight) -> None:
        refusal = (
            self._too_late(flight)
            or barred(flight, self._c.guard.causes, self._modified, self.hooks.shrinks)
            or self.hooks.before_intent(flight)
        )
        if refusal is not None:
            self.finish(flight, NotBegun(refusal=refusal), Evidence.SERVER)
            return
        row, now_ms = flight.row, self._c.clock.wall_ms()
        change = Change(state=OrderState.DISPATCHING, view=row.view, at_ms=now_ms)
        moved: list[OrderRow] = []
        reducing = flight.entry_symbol == ""
        if not self.commit(
            lambda: moved.append(self._c.journal.change(row, change)), may_use_reserve=reducing
        ):
            refusal = Refusal(ReasonCode.JOURNAL_FULL)
            self.finish(flight, NotBegun(refusal=refusal), Evidence.SERVER)
            return
        flight.row = moved[-1]
        self._call(flight)

    def _call(self, flight: Flight) -> None:
        # The intent is durable. A commit can stall, so the deadline is asked once more.
        refusal = self._too_late(flight)
        if refusal is not None or flight.body is None:
            refusal = refusal or Refusal(ReasonCode.BODY)
            self.finish(flight, NotBegun(refusal=refusal), Evidence.SERVER)
            return
        flight.called_ms = max(1, self._c.clock.mono_ms())
        self._give(flight, flight.body)

    def _give(self, flight: Flight, body: Request) -> None:
        self.busy, self.calling = True, flight.row.rid
        self._c.worker.give(ExecuteJob(submission_of(self._c, flight, body)))

    def ask_word(self, rid: str) -> None:
        """Ask the executor what a FLATTEN came to, when it is free."""
        if rid not in self.words and rid != self.calling:
            self.words.append(rid)
            self.dispatch_next()

    def _ask_word(self, rid: str) -> None:
        # A FLATTEN whose children are all final: the executor's own word about it trades nothing.
        flight = self.flights.get(rid)
        if flight is not None and flight.body is not None:
            self._give(flight, flight.body)

    def _too_late(self, flight: Flight) -> Refusal | None:
        wall_ms, mono_ms = self._c.clock.wall_ms(), self._c.clock.mono_ms()
        if not flight.deadline.passed(wall_ms, mono_ms):
            return None
        return Refusal(ReasonCode.EXPIRED, value=str(wall_ms - flight.row.deadline_ms))

    # --- outcomes ----------------------------------------------------------------------------

    def on_ran(self, ran: Ran) -> None:
        """Take an outcome from the worker."""
        self._c.see(ran.snapshot)
        self.busy, self.calling = False, ""
        flight = self.flights.get(ran.rid)
        if flight is not None:
            flight.called_ms = 0
            flight.row.view = msgspec.structs.replace(
                flight.row.view, server_ms=f"{ran.took_ms:.3f}"
            )
            outcome = self.hooks.weigh(flight, ran.outcome)
            self.finish(flight, outcome, evidence_of(outcome, attests=self._c.backend.attests))
        self.dispatch_next()

    def finish(self, flight: Flight, outcome: Outcome, evidence: Evidence) -> None:
        """J3, then the reply. An outcome that the state table does not allow changes nothing."""
        row, now_ms = flight.row, self._c.clock.wall_ms()
        event = event_of(outcome)
        state = after(row.state, event)
        if state is None:
            return
        view = with_outcome(row.view, outcome, evidence, now_ms)
        change = Change(
            state=state,
            view=view,
            at_ms=now_ms,
            evidence="" if state is OrderState.UNKNOWN else evidence,
            life=view.life,
            data=facts_of(view),
        )
        moved: list[OrderRow] = []

        def work() -> None:
            self.refused.write()
            reply = self.tell.make_reply(row) if view.final else None
            moved.append(self._c.journal.change(row, change, reply))
            self.tally.ending(flight, view)

        if self.commit(work, may_use_reserve=True):
            self.refused.clear()
            flight.row, flight.held = moved[-1], None
        elif row.state is OrderState.ACCEPTED and not row.parent:
            # Nothing was sent and nothing will be, whatever the disk takes: a restart says so too.
            flight.row = self.refused.keep(row, change)
        else:
            flight.held = (outcome, evidence)  # `tick` tries again; until then it is PENDING
            return
        if row.state is OrderState.ACCEPTED:
            self._unqueue(row.rid)
        if state is OrderState.UNKNOWN:
            self._lost(flight, outcome)
        else:
            self._ended(flight)

    def _unqueue(self, rid: str) -> None:
        for queue in (self.reduce, self.entries):
            if rid in queue:
                queue.remove(rid)

    def _ended(self, flight: Flight) -> None:
        row = flight.row
        self.flights.pop(row.rid, None)
        if isinstance(flight.body, Modify) and row.state is OrderState.DONE:
            iat = row.deadline_ms - ttl_of(row)
            self._modified[flight.body.ticket] = max(iat, self._modified.get(flight.body.ticket, 0))
        for waiter in flight.waiters:
            self._c.transport.send(waiter.route, Frames(row.reply_token, row.reply_body))
        flight.waiters.clear()
        self.clear_unknown(row.symbol)
        self.tally.ended(flight)
        self.hooks.on_bare(row)
        if not row.parent:
            self.tell.final(row.view)
        self.hooks.on_final(flight)

    def _lost(self, flight: Flight, outcome: Outcome) -> None:
        row, now_ms = flight.row, self._c.clock.wall_ms()
        cause = outcome.cause if isinstance(outcome, Lost) else ""
        self._c.guard.condition(
            Cause.UNKNOWN,
            now_ms,
            present=True,
            symbol=row.symbol,
            reason=f"order {row.rid} {cause}",
        )
        for waiter in flight.waiters:
            self.tell.answer(waiter, Status.UNKNOWN, ReasonCode.NO_ANSWER, row.view)
        flight.waiters.clear()
        self.tell.alert(
            "UNKNOWN", f"order {row.view.client_order_id or row.rid} is UNKNOWN: {cause}"
        )
        log_event(self._c.log, "warning", "order_unknown", rid=row.rid, cause=cause)
        self.hooks.on_final(flight)

    def clear_unknown(self, symbol: str) -> None:
        """End UNKNOWN(symbol) once no order of the symbol is UNKNOWN."""
        if self._c.guard.causes.get(Cause.UNKNOWN, symbol) is None:
            return
        left = any(
            flight.row.symbol == symbol and flight.row.state is OrderState.UNKNOWN
            for flight in self.flights.values()
        )
        if not left:
            now_ms = self._c.clock.wall_ms()
            self._c.guard.condition(Cause.UNKNOWN, now_ms, present=False, symbol=symbol)

    # --- time --------------------------------------------------------------------------------

    def tick(self) -> None:
        """Send what is due: PENDING, EXPIRED of the queued, UNKNOWN of a call without an answer."""
        mono_ms = self._c.clock.mono_ms()
        for flight in list(self.flights.values()):
            if flight.held is not None:
                self.finish(flight, *flight.held)
            elif flight.row.state is OrderState.ACCEPTED and self._too_late(flight) is not None:
                self._expire(flight)
                continue
            due = [one for one in flight.waiters if mono_ms >= one.pending_at_ms]
            for waiter in due:
                flight.waiters.remove(waiter)
                status = status_of(flight.row.state)
                self.tell.answer(waiter, status, ReasonCode.NONE, flight.row.view)
            called = flight.called_ms and flight.row.state is OrderState.DISPATCHING
            if called and mono_ms - flight.called_ms >= CALL_MS_MAX:
                self.finish(flight, Lost(cause="no answer from the broker"), Evidence.BROKER)
        self.dispatch_next()  # what waited may begin now

    def _expire(self, flight: Flight) -> None:
        refusal = self._too_late(flight) or Refusal(ReasonCode.EXPIRED)
        self.finish(flight, NotBegun(refusal=refusal), Evidence.SERVER)

    def next_due_ms(self) -> int | None:
        """Return the next monotonic ms at which `tick` has something to do."""
        due = [waiter.pending_at_ms for one in self.flights.values() for waiter in one.waiters]
        due += [
            one.deadline.mono_ms
            for one in self.flights.values()
            if one.row.state is OrderState.ACCEPTED
        ]
        return min(due, default=None)
