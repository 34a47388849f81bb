"""The loop: receive, verify, gate, journal, act, journal, reply.

One thread, bounded waits. `handle` is admission from top to bottom (protocol.md 6); what follows
an admitted request is in lifecycle, flatten, settlement, answers and admin.
"""

from __future__ import annotations

import threading
from typing import Final

from bridge_core.host.logs import RateLimited, log_event
from bridge_core.host.sqlite import JournalFatal, JournalFull
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Fence, Heartbeat, Open, Query, Request, Stop
from bridge_core.protocol.operations import Lane, Op, ReplayClass
from bridge_core.protocol.replies import OrderView, StatusReply
from bridge_core.protocol.signing import Frames, request_hash
from bridge_core.protocol.views import Reply
from bridge_core.risk.rates import TokenBuckets
from bridge_server.admin import Admin
from bridge_server.answers import Answers
from bridge_server.attesting import Attesting
from bridge_server.context import Context
from bridge_server.core.gate import (
    Admitted,
    Conditions,
    Drop,
    authenticate,
    in_scope,
    judge,
)  # fmt: skip
from bridge_server.core.orders import status_of
from bridge_server.core.replay import ReplayMemory
from bridge_server.core.trading_state import TradingState
from bridge_server.dead_man import DeadMan
from bridge_server.fatal import end_fatally
from bridge_server.flatten import Flattener
from bridge_server.lifecycle import Lifecycle
from bridge_server.orphans import CounterWatch
from bridge_server.picturing import Picturing
from bridge_server.pulse import Pulse
from bridge_server.reads import Reads
from bridge_server.replier import Subject
from bridge_server.risk_keeper import RiskKeeper
from bridge_server.settlement import Settlement
from bridge_server.telling import Waiter
from bridge_server.transport import Incoming
from bridge_server.worker import (
    Answered,
    CheckJob,
    Executed,
    Failed,
    HistoryJob,
    Observed,
    Post,
    Scanned,
    Started,
)

__all__ = ["Service"]

_POLL_MS: Final = 200
# What dies in the queue is told so, not that it is pending: both fall due at its deadline.
_EXPIRY_FIRST_MS: Final = 10


class Service:
    """Serves one account until told to stop."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self.orders = Lifecycle(context)
        self._flattener = Flattener(context, self.orders)
        self.settlement = Settlement(context, self.orders, self._flattener)
        self.admin = Admin(context, self.orders, self.settlement)
        self._pulse = Pulse(context, self.admin)
        self._counting = CounterWatch(context, self.orders, self.admin)
        self._memory = ReplayMemory()
        self._buckets = TokenBuckets(context.settings.rates)
        self.keeper = RiskKeeper(context, self.orders)
        self.picturing = Picturing(context, self.orders, self.keeper)
        self._answers = Answers(context, self.orders, self._pulse.hops, self.picturing)
        self._dead_man = DeadMan(context, self.orders, self._flattener, self.admin)
        self._answers.dead_man = self._dead_man.view
        self._reads = Reads(self.orders, self._answers, self._tell)
        self.keeper.wire(self.admin, self._reads.ask_own)
        self._attesting = Attesting(context, self.orders, self.settlement, self._tell)
        self._attesting.wire(self._flattener, self.admin)
        self._quiet = RateLimited()
        self._clock_healthy = True
        self._stopping = threading.Event()

    # --- the loop ----------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what the last run left, once the backend is connected."""
        self.picturing.start()  # its question is answered before the scan that ends RECOVERING
        self.settlement.recover()
        self._attesting.start()
        self._dead_man.start()

    def ask_stop(self) -> None:
        """Ask the loop to end; may be called from a signal handler."""
        self._stopping.set()
        self._c.transport.bell.ring()

    def run(self) -> int:
        """Serve until asked to stop; return the exit code."""
        try:
            while not self._stopping.is_set():
                self.turn(self._wait_ms())
            return self._wind_down()
        except (JournalFatal, JournalFull) as error:
            return end_fatally(self._c, self.orders, error)

    def turn(self, timeout_ms: int) -> None:
        """One round: requests, results, timers."""
        for incoming in self._c.transport.poll(timeout_ms):
            self.handle(incoming)
        for post in self._c.worker.take():
            self._on_post(post)
        self._tick()
        self.orders.refused.flush()

    def _wait_ms(self) -> int:
        due = self.orders.next_due_ms()
        if due is None:
            return _POLL_MS
        return max(0, min(_POLL_MS, due - self._c.clock.mono_ms()))

    # --- admission, top to bottom ----------------------------------------------------------------

    def handle(self, incoming: Incoming) -> None:
        """Admit one request and answer it, or queue it (protocol.md 6)."""
        now_ms, mono_ms = self._c.clock.wall_ms(), self._c.clock.mono_ms()
        self._clock_healthy = self._c.guard.observe_clock(now_ms, mono_ms)
        request = authenticate(
            incoming.frames, incoming.user_id, self._c.sets, self._c.settings.account, now_ms
        )
        if isinstance(request, Drop):
            self._drop(request, incoming.user_id, mono_ms)
            return
        token = request.token
        self._c.worker.counter.verify(token, now_ms)
        subject = Subject(token.kid, token.rid, request_hash(incoming.frames))
        # One reading for every check of this request: a clock that is set back from here on
        # cannot make its life longer.
        deadline = Deadline.at(token.deadline_ms, now_ms, mono_ms)
        left_ms = max(0, token.deadline_ms - now_ms) + _EXPIRY_FIRST_MS
        pending_ms = mono_ms + min(left_ms, limits.REPLY_WAIT_MS_MAX)
        waiter = Waiter(incoming.route, subject, pending_ms)
        refusal = in_scope(request, attests=self._c.backend.attests)
        if refusal is not None:
            self._refuse(request, waiter, refusal)
            return
        if self._known(request, waiter):
            return
        verdict = judge(request, self._conditions(request.spec.lane, now_ms, mono_ms))
        if isinstance(verdict, Refusal):
            self._refuse(request, waiter, verdict)
            return
        if request.spec.replay is ReplayClass.MEMORY:
            code = self._memory.admit(token.rid, token.deadline_ms, now_ms)
            if code is not None:
                self._refuse(request, waiter, Refusal(code))
                return
        # Before anything is journaled as accepted: what an EA could not run now is not begun.
        refusal = self._attesting.refuses(request, verdict)
        if refusal is not None:
            self._refuse(request, waiter, refusal)
            return
        self._do(request, verdict, waiter, deadline)

    def _conditions(self, lane: Lane, now_ms: int, mono_ms: int) -> Conditions:
        settings, shot = self._c.settings, self._c.snapshot
        judged = lane in (Lane.REDUCE, Lane.ENTRY)
        return Conditions(
            now_ms=now_ms,
            mono_ms=mono_ms,
            incarnation=self._c.incarnation,
            ttl_ms_max=settings.signature_ttl_s * 1000,
            clock_healthy=self._clock_healthy,
            causes=self._c.guard.causes,
            snapshot=shot,
            picture=self.picturing.picture(now_ms) if judged else None,
            ours=self.picturing.ours,
            buckets=self._buckets,
            stopping=self._stopping.is_set(),
            queue_full=self.orders.queue_full(lane),
            id_taken=lambda wanted: self.orders.find_by_id(wanted) is not None,
        )

    def _drop(self, why: Drop, user_id: bytes, mono_ms: int) -> None:
        total = self._c.count(f"dropped_{why}")
        suppressed = self._quiet.allow(why, mono_ms)
        if suppressed is not None:
            log_event(
                self._c.log, "warning", "dropped", why=why, total=total, suppressed=suppressed,
                identity=user_id[:8],
            )  # fmt: skip

    def _known(self, request: Admitted, waiter: Waiter) -> bool:
        # The rid is looked up before the time: a late copy of an order that ran must get its
        # outcome, never EXPIRED.
        if request.spec.replay is ReplayClass.MEMORY:
            if request.token.rid not in self._memory:
                return False
            self._refuse(request, waiter, Refusal(ReasonCode.REPLAYED))
            return True
        if request.spec.replay is ReplayClass.IDEMPOTENT:
            return False
        row = self.orders.find(request.token.rid)
        if row is None:
            return False
        if row.req_hash and row.req_hash != waiter.subject.req_hash:
            view = OrderView(
                rid=row.rid, status=Status.DENIED, code=ReasonCode.CONFLICT, final=True, by="server"
            )
            self.orders.tell.answer(waiter, Status.DENIED, ReasonCode.CONFLICT, view)
        elif row.final and row.reply_token:
            self._c.transport.send(waiter.route, Frames(row.reply_token, row.reply_body))
        else:
            status = status_of(row.state)
            self.orders.tell.answer(waiter, status, ReasonCode(row.view.code), row.view)
        return True

    def _refuse(self, request: Admitted, waiter: Waiter, refusal: Refusal) -> None:
        self._c.count(f"denied_{refusal.code}")
        mono_ms = self._c.clock.mono_ms()
        if self._quiet.allow(f"{request.spec.lane} {refusal.code}", mono_ms) is not None:
            log_event(
                self._c.log, "info", "denied", rid=request.token.rid, op=request.op,
                code=refusal.code, limit=refusal.limit, value=refusal.value,
            )  # fmt: skip
        if request.spec.replay is ReplayClass.JOURNAL:
            if refusal.code is ReasonCode.STALE_INCARNATION:
                view = OrderView(rid=request.token.rid, op=request.op, code=refusal.code)
                self.orders.tell.answer(waiter, Status.UNKNOWN, refusal.code, view)
                return
            self._deny_order(request, waiter, refusal)
            return
        now_ms = self._c.clock.wall_ms()
        reply = self._c.replier.refusal(waiter.subject, Status.DENIED, refusal, now_ms)
        if reply is not None:
            self._c.transport.send(waiter.route, reply)

    def _deny_order(self, request: Admitted, waiter: Waiter, refusal: Refusal) -> None:
        row = self.orders.find(request.token.rid)
        if row is None:
            row = self.orders.refuse(request, refusal)
        elif row.req_hash != waiter.subject.req_hash or not row.reply_token:
            # Somebody without the scope for it names a rid of ours: its row stays as it is.
            view = OrderView(
                rid=row.rid, status=Status.DENIED, code=refusal.code, final=True, by="server"
            )
            self.orders.tell.answer(waiter, Status.DENIED, refusal.code, view)
            return
        self._c.transport.send(waiter.route, Frames(row.reply_token, row.reply_body))

    # --- what each operation does ----------------------------------------------------------------

    def _do(self, request: Admitted, body: Request, waiter: Waiter, deadline: Deadline) -> None:
        op = request.op
        if op in self._answers.table:
            self._tell(waiter, self._answers.table[op](body))
        elif op in (Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL):
            refusal = self.orders.accept(request, body, waiter, deadline)
            if refusal is not None:
                self._refuse(request, waiter, refusal)
        elif op is Op.FLATTEN:
            self._flatten(request, body, waiter, deadline)
        elif op in (Op.HALT, Op.REDUCE_ONLY):
            self._stop(request, body, waiter)
        elif isinstance(body, Fence):
            self._fence(request, body, waiter)
        elif isinstance(body, Heartbeat):
            self._heartbeat(request, body, waiter)
        elif isinstance(body, Open):
            self._reads.ask(waiter, body, CheckJob(request.token.rid, body))
        elif isinstance(body, Query):
            job = HistoryJob(request.token.rid, body.since, body.until)
            self._reads.ask(waiter, body, job)
        else:
            refusal = self.admin.do(request, body, waiter, deadline)
            if refusal is not None:
                self._refuse(request, waiter, refusal)

    def _tell(self, waiter: Waiter, answer: Reply | Refusal | object) -> None:
        now_ms = self._c.clock.wall_ms()
        if isinstance(answer, Refusal):
            reply = self._c.replier.refusal(waiter.subject, Status.DENIED, answer, now_ms)
        else:
            assert isinstance(answer, Reply)
            status, code = Status.OK, ReasonCode.NONE
            if isinstance(answer, StatusReply) and answer.order.code == ReasonCode.NOT_SEEN:
                status, code = Status.UNKNOWN, ReasonCode.NOT_SEEN
            reply = self._c.replier.reply(waiter.subject, status, code, answer, now_ms)
        if reply is not None:
            self._c.transport.send(waiter.route, reply)

    def _fence(self, request: Admitted, body: Fence, waiter: Waiter) -> None:
        found = self.settlement.fence(body, request.token.kid)
        if isinstance(found, Refusal):
            self._tell(waiter, found)
            return
        if not self._attesting.fence(body.rid, request.frames, waiter):
            self._tell(waiter, StatusReply(order=found))

    def _flatten(
        self, request: Admitted, body: Request, waiter: Waiter, deadline: Deadline
    ) -> None:
        parent = self.orders.flight_for(request, body, deadline)
        refusal = self._flattener.begin(parent, waiter)
        if refusal is not None:
            self._refuse(request, waiter, refusal)

    def _stop(self, request: Admitted, body: Request, waiter: Waiter) -> None:
        assert isinstance(body, Stop)
        state = TradingState.HALTED if request.op is Op.HALT else TradingState.REDUCE_ONLY
        self.admin.stop(state, request.token.rid, body.reason)
        self._attesting.stop(request.op, request.frames)
        self._tell(waiter, self._answers.state_reply())

    def _heartbeat(self, request: Admitted, body: Heartbeat, waiter: Waiter) -> None:
        refusal = self._dead_man.beat(request.token, body.sequence)
        if refusal is not None:
            self._refuse(request, waiter, refusal)
            return
        if self._c.executor is not None:
            self._c.executor.forward(Op.HEARTBEAT, request.frames)
        self._tell(waiter, self._answers.state_reply())

    # --- what the worker posts -------------------------------------------------------------------

    def _on_post(self, post: Post) -> None:
        match post:
            case Executed():
                self._counting.look()
                self.orders.on_ran(post)
                self.settlement.lives.placed(post.outcome)
            case Observed(events, snapshot):
                self._c.see(snapshot)
                self._pulse.terminal(up=snapshot.connected)
                for event in events:
                    self._on_event(event)
                self.settlement.ghosts.look()
                self.settlement.follow()
            case Answered():
                self._reads.on_answered(post)
            case Scanned(scan, snapshot):
                self._c.see(snapshot)  # first: what a scan ends is counted from here on
                self.settlement.on_scanned(scan)
            case Started():
                self._c.see(post.snapshot)
            case Failed(error):
                self._pulse.terminal(up=False)
                log_event(self._c.log, "error", "backend_failed", error=str(error))

    def _on_event(self, event: EventBody) -> None:
        if event.type != "tick":
            self._c.alarms.passing(event)
            self.settlement.on_event(event)
            event = self._answers.attribute(event)
        self._c.publisher.publish(event, self._c.clock.wall_ms())

    # --- time --------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_ms, mono_ms = self._c.clock.wall_ms(), self._c.clock.mono_ms()
        self._clock_healthy = self._c.guard.observe_clock(now_ms, mono_ms)
        self.orders.tick()
        self.settlement.tick()
        self._reads.tick(mono_ms)
        self.keeper.tick(now_ms, mono_ms)
        self._attesting.tick(now_ms, mono_ms)
        self._dead_man.tick(now_ms, mono_ms)
        self._pulse.tick(now_ms, mono_ms)
        self._counting.tick(mono_ms)

    # --- the end -----------------------------------------------------------------------------

    def _wind_down(self) -> int:
        self.orders.abort_queued()
        deadline = self._c.clock.mono_ms() + limits.STOP_WAIT_MS_MAX
        told = False
        while self.orders.calling and self._c.clock.mono_ms() < deadline:
            if not told:
                log_event(self._c.log, "warning", "stopping", waits_for=self.orders.calling)
                told = True
            self.turn(50)
        clean = not self.orders.calling
        self.orders.refused.flush()
        self.admin.mark_stopped(clean=clean, now_ms=self._c.clock.wall_ms())
        return 0 if clean else 1
