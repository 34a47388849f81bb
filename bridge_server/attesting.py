"""The executor's own word, in the loop (protocol.md 14): it ends UNKNOWN and completes DENIED.

Whatever this server decided by itself about a request that an EA may run gets the EA's signed
record afterwards: a TOMBSTONE makes sure that the EA never runs it, and says so. The loop asks in
the background, never in the way of an order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from bridge_core.host.logs import log_event
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.messages import Modify, Open, Request, Resume
from bridge_core.protocol.operations import OPERATIONS, Op, ReplayClass
from bridge_core.protocol.replies import StatusReply
from bridge_core.protocol.signing import Frames
from bridge_server.admin import Admin
from bridge_server.answers import order_status_view
from bridge_server.context import Context
from bridge_server.core.attested import Lie, NotSeen
from bridge_server.core.executor import (
    Acknowledged,
    Alarm,
    Attestor,
    ExecutorPost,
    ExecutorState,
    Inquiry,
    Relayed,
    Told,
)
from bridge_server.core.gate import Admitted, stops_only
from bridge_server.core.orders import FINAL_STATES, Evidence, OrderState
from bridge_server.core.ports import Executed, Lost, NotBegun, Outcome, Rejected
from bridge_server.core.trading_state import Cause
from bridge_server.flatten import Flattener
from bridge_server.flight import Flight
from bridge_server.held_stops import HeldStops
from bridge_server.journal import Change, OrderRow
from bridge_server.lifecycle import Lifecycle
from bridge_server.rows import wanted_of
from bridge_server.settlement import Settlement
from bridge_server.telling import Waiter

__all__ = ["Attesting", "may_attest"]

_AGAIN_MS: Final = 1_000
_AGAIN_MS_MAX: Final = 60_000
_READING_MS: Final = 5_000
_LOOK_BACK_MS: Final = 24 * 3_600_000
_BACKLOG_MAX: Final = 10_000
_OPEN_QUESTIONS_MAX: Final = 16
_FENCES_MAX: Final = 64
_SPACING_MS: Final = 1_000 // limits.EA_TOMBSTONES_PER_SECOND
_ATTESTED: Final = frozenset(
    op
    for op, spec in OPERATIONS.items()
    if spec.replay is ReplayClass.JOURNAL and spec.purpose_ea is not None
)


def may_attest(row: OrderRow) -> bool:
    """Return whether a row is final, of an operation that the EA attests, and without its word."""
    if row.op == Op.RESUME and row.state is OrderState.DONE:
        return False  # one that only this server took (LOG_FORK)
    return row.final and not row.view.ea and row.op in _ATTESTED


def _may_bury(row: OrderRow) -> bool:
    # The children of a FLATTEN have run: "it never happened" would be false of the whole.
    return not row.view.children


class _Asking(Struct):
    """How often a row was asked about; times are monotonic ms."""

    due_ms: int = 0
    tries: int = 0
    under_way: bool = False
    unknown_since_ms: int = 0

    def again(self, mono_ms: int, *, slower: bool) -> None:
        self.under_way = False
        self.tries += 1
        wait = min(_AGAIN_MS << min(self.tries, 6), _AGAIN_MS_MAX) if slower else _AGAIN_MS
        self.due_ms = mono_ms + wait


class _Fencing(Struct):
    rid: str
    waiter: Waiter
    due_ms: int


class Attesting:
    """Owned by the loop; on accounts whose executor does not attest it does nothing.

    `tell` answers a waiter.
    """

    def __init__(
        self,
        context: Context,
        orders: Lifecycle,
        settlement: Settlement,
        tell: Callable[[Waiter, object], None],
    ) -> None:
        self._c = context
        self._executor = context.executor
        self._orders = orders
        self._settlement = settlement
        self._tell = tell
        self._stops = HeldStops(context)
        self._unknown: dict[str, _Asking] = {}
        self._bare: dict[str, _Asking] = {}
        self._fences: list[_Fencing] = []
        self._next_bare_ms = 0
        self._looked_ms = 0

    def wire(self, flattener: Flattener, admin: Admin) -> None:
        """Take part in the life of orders, beside those who do so everywhere."""
        hooks = self._orders.hooks

        def on_final(flight: Flight) -> None:
            flattener.on_final(flight)
            admin.on_final(flight)
            self._on_final(flight)

        hooks.on_final = on_final
        hooks.waits = flattener.waits
        if self._executor is not None:
            hooks.on_bare = self._want
            hooks.before_intent = lambda flight: self._refusal(flight.row.kid, flight.body)
            hooks.weigh = flattener.weigh

    def start(self) -> None:
        """Take up what the last run left: rows without a word, stops not acknowledged."""
        if self._executor is None:
            return
        since_ms = max(0, self._c.clock.wall_ms() - _LOOK_BACK_MS)
        for row in self._c.journal.unattested(since_ms, _BACKLOG_MAX):
            self._want(row)
        self._stops.start()

    # --- what others ask -----------------------------------------------------------------------

    def refuses(self, request: Admitted, body: Request) -> Refusal | None:
        """Return why the EA could not run a request now; asked before anything is journaled."""
        if request.op not in _ATTESTED or (isinstance(body, Resume) and body.cause == "LOG_FORK"):
            return None
        return self._refusal(request.token.kid, body)

    def _refusal(self, kid: str, body: Request | None) -> Refusal | None:
        if self._executor is None:
            return None
        wrong = self._executor.about().wrong_account
        if wrong:
            self._identity(f"the terminal shows {wrong}")
        entry = isinstance(body, Open) or (isinstance(body, Modify) and not stops_only(body))
        return self._executor.refuses(kid, entry=entry)

    def stop(self, op: Op, frames: Frames) -> None:
        """Pass a HALT or REDUCE_ONLY on until the EA has acknowledged it."""
        self._stops.add(op, frames)

    def _on_final(self, flight: Flight) -> None:
        body = flight.body
        done = flight.row.state is OrderState.DONE
        if isinstance(body, Resume) and done and body.cause == Cause.OPERATOR:
            self._stops.release()

    def _want(self, row: OrderRow) -> None:
        if may_attest(row) and len(self._bare) < _BACKLOG_MAX:
            self._bare.setdefault(row.rid, _Asking())

    def fence(self, rid: str, frames: Frames, waiter: Waiter) -> bool:
        """Pass a FENCE on; False: there is nothing to wait for, answer now."""
        row = self._orders.find(rid)
        if self._executor is None or row is None or row.view.ea or row.op not in _ATTESTED:
            return False
        self._want(row)
        if not self._executor.about().alive or len(self._fences) >= _FENCES_MAX:
            return False
        due_ms = self._c.clock.mono_ms() + limits.EA_FENCE_WAIT_MS
        self._fences.append(_Fencing(row.rid, waiter, due_ms))
        self._executor.ask(Inquiry(wanted=wanted_of(self._c, row), fence=frames))
        return True

    # --- time ----------------------------------------------------------------------------------

    def tick(self, now_ms: int, mono_ms: int) -> None:
        """Take what the EA said, then ask what is due."""
        executor = self._executor
        if executor is None:
            return
        for post in executor.take():
            self._on(post, now_ms, mono_ms)
        about = executor.about()
        if mono_ms - self._looked_ms >= limits.EA_BEAT_PERIOD_MS:
            self._looked_ms = mono_ms
            self._look(about, now_ms)
        if about.alive:
            self._ask_unknown(executor, mono_ms)
            self._ask_bare(executor, about, mono_ms)
        for one in [one for one in self._fences if mono_ms >= one.due_ms]:
            self._answer(one)

    def _look(self, about: ExecutorState, now_ms: int) -> None:
        gone = not about.alive
        self._c.guard.condition(
            Cause.EA_STALE, now_ms, present=gone, reason=about.why if gone else ""
        )
        for name, count in about.counters:
            self._c.counters[name] = count

    def _ask_unknown(self, executor: Attestor, mono_ms: int) -> None:
        flights = {flight.row.rid: flight for flight in self._settlement.unknown()}
        for rid in [rid for rid in self._unknown if rid not in flights]:
            del self._unknown[rid]
        under_way = sum(asking.under_way for asking in self._unknown.values())
        for rid, flight in flights.items():
            asking = self._unknown.setdefault(rid, _Asking())
            if asking.under_way or mono_ms < asking.due_ms or under_way >= _OPEN_QUESTIONS_MAX:
                continue
            if flight.row.op == Op.FLATTEN and not _may_bury(flight.row):
                asking.again(mono_ms, slower=False)
                self._orders.ask_word(rid)  # STATUS would not make the EA judge the whole
                continue
            asking.under_way = True
            under_way += 1
            magic = self._settlement.magic_of(flight)
            executor.ask(
                Inquiry(
                    wanted=wanted_of(self._c, flight.row), magic=magic, bury=_may_bury(flight.row)
                )
            )

    def _ask_bare(self, executor: Attestor, about: ExecutorState, mono_ms: int) -> None:
        if mono_ms < self._next_bare_ms:
            return
        self._next_bare_ms = mono_ms + _SPACING_MS
        for rid, asking in list(self._bare.items()):
            if asking.under_way or mono_ms < asking.due_ms:
                continue
            row = self._orders.find(rid)
            if row is None or not may_attest(row):
                del self._bare[rid]
                continue
            if row.kid not in about.kids:  # it could not sign for that key id
                asking.again(mono_ms, slower=True)
                continue
            asking.under_way = True
            executor.ask(Inquiry(wanted=wanted_of(self._c, row), bury=_may_bury(row)))
            return

    # --- what the EA said ------------------------------------------------------------------------

    def _on(self, post: ExecutorPost, now_ms: int, mono_ms: int) -> None:
        match post:
            case Told():
                self._on_told(post, mono_ms)
            case Relayed():
                self._c.publisher.relay(post.stream, post.seq, post.frames)
                self._c.alarms.passing(post.hint)
            case Acknowledged(op):
                self._stops.acknowledged(op)
            case Alarm(code, reason):
                self._alarm(code, reason, now_ms)

    def _alarm(self, code: str, reason: str, now_ms: int) -> None:
        if code == Cause.IDENTITY:
            self._identity(reason)
            return
        if code == Cause.EA_TWICE:
            if self._c.guard.causes.get(Cause.EA_TWICE) is not None:
                return
            self._c.guard.latch(Cause.EA_TWICE, reason, now_ms)
        self._orders.tell.alert(code, reason)
        log_event(self._c.log, "error", "ea_alarm", code=code, reason=reason)

    def _identity(self, reason: str) -> None:
        if self._c.guard.causes.get(Cause.IDENTITY) is None:
            self._c.guard.latch(Cause.IDENTITY, reason, self._c.clock.wall_ms())
            self._orders.tell.alert(Cause.IDENTITY, reason)

    def _on_told(self, told: Told, mono_ms: int) -> None:
        rid, verdict = told.wanted.rid, told.verdict
        asking = self._unknown.get(rid) or self._bare.get(rid)
        if asking is not None:
            reading = isinstance(verdict, Lost)  # the EA looks at the broker's records meanwhile
            bare = rid in self._bare and not reading
            asking.again(mono_ms, slower=bare or isinstance(verdict, Lie))
            if reading and rid in self._bare:
                asking.due_ms = mono_ms + _READING_MS
        flight = self._orders.flights.get(rid)
        if isinstance(verdict, Lost) and flight is not None and told.scan is not None:
            self._look_at_tag(flight, told, mono_ms)
        elif isinstance(verdict, Executed | Rejected | NotBegun):
            self._decided(rid, flight, verdict)
        elif verdict is None or isinstance(verdict, Lie | NotSeen):
            return  # asked again when it is due; a FENCE waits for that as long as it may
        for one in [one for one in self._fences if one.rid == rid]:
            self._answer(one)

    def _look_at_tag(self, flight: Flight, told: Told, mono_ms: int) -> None:
        # The EA's own word comes first. It stays silent for ever when it has lost its journal:
        # then what the broker shows is this server's own evidence, for this server's books only.
        asking = self._unknown.get(flight.row.rid)
        if asking is None or told.scan is None:
            return
        if not asking.unknown_since_ms:
            asking.unknown_since_ms = mono_ms or 1
        if mono_ms - asking.unknown_since_ms >= self._c.backend.settle_ms:
            self._settlement.by_tag(flight, told.scan)

    def _decided(self, rid: str, flight: Flight | None, outcome: Outcome) -> None:
        if flight is not None:
            if flight.row.state is OrderState.UNKNOWN:
                if isinstance(outcome, NotBegun) and outcome.refusal.code is ReasonCode.ABSENT:
                    self._settlement.ghosts.watch(flight.row.magic)
                self._orders.finish(flight, self._orders.hooks.weigh(flight, outcome), Evidence.EA)
            return
        if self._orders.refused.get(rid) is not None:
            self._orders.refused.flush()
        row = self._c.journal.get(rid)
        if row is not None and may_attest(row):
            self._attach(row, outcome)

    def _attach(self, row: OrderRow, outcome: Outcome) -> None:
        assert not isinstance(outcome, Lost)
        now_ms, status = self._c.clock.wall_ms(), _status_of(outcome)
        view = msgspec.structs.replace(
            row.view,
            ea=outcome.record.decode("ascii"),
            ea_mac=outcome.record_mac,
            evidence=Evidence.EA,
            time=now_ms,
        )
        word = Change(
            state=row.state, view=view, at_ms=now_ms,
            data={"status": status, "evidence": Evidence.EA},
        )  # fmt: skip

        def work() -> None:
            moved = self._c.journal.attest(row, word, self._orders.tell.make_reply(row))
            self._show_in_parent(moved, now_ms)

        if not self._orders.commit(work, may_use_reserve=False):
            return
        self._bare.pop(row.rid, None)
        if status != row.view.status:
            self._contradicted(row, status, now_ms)
        self._orders.tell.final(view)

    def _show_in_parent(self, child: OrderRow, now_ms: int) -> None:
        parent = self._c.journal.get(child.parent) if child.parent else None
        if parent is None or parent.state not in FINAL_STATES:
            return
        children = [
            msgspec.structs.replace(one, ea=child.view.ea, ea_mac=child.view.ea_mac)
            if one.rid == child.rid
            else one
            for one in parent.view.children
        ]
        view = msgspec.structs.replace(parent.view, children=children)
        word = Change(state=parent.state, view=view, at_ms=now_ms, data={"child": child.rid})
        self._c.journal.attest(parent, word, self._orders.tell.make_reply(parent))

    def _contradicted(self, row: OrderRow, status: str, now_ms: int) -> None:
        reason = f"order {row.rid}: this server says {row.view.status}, the EA says {status}"
        if status not in (Status.DENIED, Status.REJECTED):
            self._c.guard.latch(Cause.GHOST_FILL, reason, now_ms)
        self._orders.tell.alert("EA_CONTRADICTS", reason)
        log_event(self._c.log, "error", "ea_contradicts", rid=row.rid, status=status)

    def _answer(self, fencing: _Fencing) -> None:
        self._fences.remove(fencing)
        row = self._orders.find(fencing.rid)
        if row is not None:
            self._tell(fencing.waiter, StatusReply(order=order_status_view(row)))


def _status_of(outcome: Executed | Rejected | NotBegun) -> str:
    match outcome:
        case Executed():
            return outcome.status
        case Rejected():
            return Status.REJECTED
        case NotBegun():
            return Status.DENIED
