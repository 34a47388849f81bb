"""Bugs planted on purpose: each is a mistake that a bridge has been seen to make, or nearly ours.

`planted(name)` puts one in for the length of a `with`. The simulator has to find every one of
them; with none of them in, it has to find nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from bridge_client import order as client_order
from bridge_client import session as client_session
from bridge_client.journal import ConnectorJournal
from bridge_client.life import Do, OrderLife, Step
from bridge_client.witness import Witness
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Open, decode_body
from bridge_core.protocol.operations import Op, ReplayClass
from bridge_server import flight, guard, service
from bridge_server.core import gate, ports, reconcile
from bridge_server.core.orders import Evidence, OrderEvent
from bridge_server.flight import event_of
from bridge_server.journal import Journal
from bridge_server.lifecycle import Lifecycle
from bridge_server.picturing import Picturing
from bridge_server.refusals import Refusals
from bridge_server.risk_keeper import RiskKeeper
from bridge_server.service import Service
from bridge_server.settlement import Settlement
from bridge_server.views import with_outcome
from bridge_server.worker import Worker
from tests.simulation import connector

__all__ = ["BUGS", "Bug", "planted"]

_NEVER_MS: Final = 1 << 60
_RESTARTED: Final = "the server restarted"


class Bug(NamedTuple):
    """Where it goes, and how it makes the wrong one from the right one.

    `near` is the first schedule that finds it, of all from 0 on: a search in CI begins there and
    goes on from there. A soak searches from 0, so what stands here may be corrected by one.
    """

    where: Any
    what: str
    wrong: Callable[[Any], Any]
    near: int = 0


def _forget_tombstone(right: Any) -> Any:
    def insert(self: Journal, row: Any, kind: str, data: Any = None) -> None:
        if kind != "FENCE" or not row.final:
            right(self, row, kind, data)

    return insert


def _reply_before_j3(right: Any) -> Any:
    def finish(self: Lifecycle, flight: Any, outcome: Any, evidence: Evidence) -> None:
        now_ms = self._c.clock.wall_ms()
        view = with_outcome(flight.row.view, outcome, evidence, now_ms)
        if view.final and event_of(outcome) is not OrderEvent.REFUSE:
            frames = self.tell.make_reply(flight.row)(view)
            for waiter in flight.waiters:
                self._c.transport.send(waiter.route, frames)
            flight.waiters.clear()
        right(self, flight, outcome, evidence)

    return finish


def _ttl_before_rid(right: Any) -> Any:
    def known(self: Service, request: Any, waiter: Any) -> bool:
        late = self._c.clock.wall_ms() >= request.token.deadline_ms
        row = self.orders.find(request.token.rid)
        if late and row is not None and request.spec.replay is ReplayClass.JOURNAL:
            view = replace(row.view, status=Status.DENIED, code=ReasonCode.EXPIRED, final=True)
            self.orders.tell.answer(waiter, Status.DENIED, ReasonCode.EXPIRED, view)
            return True
        return bool(right(self, request, waiter))

    return known


def _retry_on_timeout(right: Any) -> Any:
    def execute(self: Worker, submission: Any) -> Any:
        ran = right(self, submission)
        return right(self, submission) if isinstance(ran.outcome, ports.Lost) else ran

    return execute


def _timeout_is_rejection(right: Any) -> Any:
    def execute(self: Worker, submission: Any) -> Any:
        ran = right(self, submission)
        if isinstance(ran.outcome, ports.Lost):
            return replace(ran, outcome=ports.Rejected(code=ReasonCode.BROKER_DOWN))
        return ran

    return execute


def _intent_is_nothing(right: Any) -> Any:
    def finish(self: Lifecycle, flight: Any, outcome: Any, evidence: Evidence) -> None:
        if isinstance(outcome, ports.Lost) and outcome.cause == _RESTARTED:
            outcome = ports.NotBegun(refusal=Refusal(ReasonCode.ABORTED_RESTART))
        right(self, flight, outcome, evidence)

    return finish


def _restart_sends_again(right: Any) -> Any:
    def finish(self: Lifecycle, flight: Any, outcome: Any, evidence: Evidence) -> None:
        if isinstance(outcome, ports.Lost) and outcome.cause == _RESTARTED:
            self._call(flight)
        else:
            right(self, flight, outcome, evidence)

    return finish


def _any_incarnation(right: Any) -> Any:
    def judge(request: Any, at: Any) -> Any:
        return right(request, replace(at, incarnation=request.token.inc))

    return judge


def _no_deadline_in_queue(right: Any) -> Any:
    def submission(**fields: Any) -> Any:
        return right(**{**fields, "deadline": Deadline(_NEVER_MS, _NEVER_MS)})

    return submission


def _client_gives_up(right: Any) -> Any:
    def following(self: OrderLife, now: Any) -> Step:
        step = right(self, now)
        if step.do in (Do.ASK, Do.FENCE) and self._deadline.passed(now.wall_ms, now.mono_ms):
            self._end_unsent()
            return Step(Do.END)
        return Step(*step)

    return following


def _new_rid_for_a_copy(right: Any) -> Any:
    def advance(self: Any, order: Any) -> Any:
        life, link = order.life, self._link
        if life.sent_copies and life.next(link.clocks()).do is Do.SEND:
            token, body = order.exchange.token, order.exchange.frames.body
            if token.op == Op.OPEN:
                again = link.sign(Op.OPEN, decode_body(Open, body), link.new_rid())
                link.transport.send(again.frames)
        return right(self, order)

    return advance


def _absent_at_once(_right: Any) -> Any:
    return lambda _self, _flight, absence: absence.counts


def _mac_unread(_right: Any) -> Any:
    return lambda frames, _token, key, _purpose: None if key is None else frames.body


def _reply_mac_unread(_right: Any) -> Any:
    return lambda frames, _token, _key: frames.body


def _blind_witness(_right: Any) -> Any:
    return lambda _self, _shown, *, fresh_hello=False: None


def _halt_in_memory_only(_right: Any) -> Any:
    return lambda _path, _state, _rid, _reason: None


def _part_is_whole(right: Any) -> Any:
    def tagged(status: Status, facts: Any) -> Any:
        return right(Status.FILLED if status is Status.PARTIAL else status, facts)

    return tagged


def _forget_refusals(right: Any) -> Any:
    def add(self: Refusals, *given: Any) -> Any:
        row = right(self, *given)
        self._rows.pop(row.rid, None)
        self._ids.pop(row.client_order_id or "", None)
        return row

    return add


def _no_client_intent(_right: Any) -> Any:
    return lambda _self, _row, *_risk: None


def _deadline_in_server_time(right: Any) -> Any:
    def resumed(row: Any, link: Any) -> Any:
        order = right(row, link)
        now = link.clocks()
        order.life._deadline = Deadline.at(row.deadline_ms, now.wall_ms, now.mono_ms)
        return order

    return resumed


def _stale_is_denied(right: Any) -> Any:
    def replied(self: OrderLife, view: Any, now: Any) -> None:
        if view.code == ReasonCode.STALE_INCARNATION and self.sent_copies == 1:
            self._end_unsent()
        else:
            right(self, view, now)

    return replied


def _no_doubt(_right: Any) -> Any:
    return lambda _self, view, _inc: view


def _nothing_flies(_: Any) -> Any:
    def flying(self: Picturing, *_: Any, **__: Any) -> tuple[()]:
        return ()

    return flying


def _counts_not_kept(_: Any) -> Any:
    return lambda self: None


BUGS: Final[Mapping[str, Bug]] = {
    "forget the tombstone": Bug(Journal, "insert", _forget_tombstone),
    "reply before J3": Bug(Lifecycle, "finish", _reply_before_j3),
    "look at the time before the rid": Bug(Service, "_known", _ttl_before_rid, 64),
    "retry on timeout": Bug(Worker, "_execute", _retry_on_timeout),
    "report a timeout as a rejection": Bug(Worker, "_execute", _timeout_is_rejection),
    "take an intent for nothing after a restart": Bug(Lifecycle, "finish", _intent_is_nothing, 15),
    "send again after a restart": Bug(Lifecycle, "finish", _restart_sends_again),
    "run orders of another incarnation": Bug(service, "judge", _any_incarnation, 11),
    "ask the deadline on arrival only": Bug(flight, "Submission", _no_deadline_in_queue),
    "give up when the deadline has passed": Bug(OrderLife, "next", _client_gives_up),
    "sign a copy anew": Bug(client_order.Driver, "advance", _new_rid_for_a_copy, 26),
    "conclude absence at the first look": Bug(Settlement, "_concluded", _absent_at_once, 24),
    "read a request without its MAC": Bug(gate, "request_mac_holds", _mac_unread),
    "read a reply without its MAC": Bug(client_session, "reply_mac_holds", _reply_mac_unread, 36),
    "overlook a record set back": Bug(Witness, "observe", _blind_witness, 37),
    "keep a halt in memory only": Bug(guard, "write_halted", _halt_in_memory_only, 47),
    "call a part of a fill the whole": Bug(reconcile, "_tagged", _part_is_whole),
    "forget what was refused": Bug(Refusals, "add", _forget_refusals),
    "send before the intent is on disk": Bug(ConnectorJournal, "intend", _no_client_intent),
    "judge by what the broker shows alone": Bug(Picturing, "flying", _nothing_flies),
    "count trades in memory only": Bug(RiskKeeper, "_write", _counts_not_kept, 20),
    # These three were ours, found by this simulator.
    "deny the only copy sent when it is stale": Bug(OrderLife, "replied", _stale_is_denied, 142),
    "wait for a deadline in another clock's time": Bug(
        connector, "resumed", _deadline_in_server_time, 88
    ),
    "believe a record set back about what has no tag": Bug(
        client_session.Session, "_doubt", _no_doubt, 37
    ),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Run the block with one bug in; "" plants nothing."""
    if not name:
        yield
        return
    bug = BUGS[name]
    right = vars(bug.where)[bug.what]
    setattr(bug.where, bug.what, bug.wrong(right))
    try:
        yield
    finally:
        setattr(bug.where, bug.what, right)
