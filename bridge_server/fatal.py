"""The journal failed: say UNKNOWN to whoever asks, for a moment, and end (JOURNAL_FATAL)."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from bridge_core.host.logs import log_event
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.messages import Stop, decode_body
from bridge_core.protocol.operations import Lane, Op, ReplayClass
from bridge_core.protocol.replies import OrderView, RefusalReply, StateReply
from bridge_core.protocol.signing import Frames, request_hash
from bridge_server.context import Context
from bridge_server.core.gate import Admitted, Drop, authenticate
from bridge_server.core.trading_state import TradingState
from bridge_server.guard import cause_views
from bridge_server.lifecycle import Lifecycle
from bridge_server.replier import Subject
from bridge_server.transport import Incoming

__all__ = ["end_fatally"]

_ANSWER_MS: Final = 2_000
_CODE: Final = ReasonCode.JOURNAL_FATAL


def end_fatally(c: Context, orders: Lifecycle, error: BridgeError) -> int:
    """Answer for two seconds that nobody knows what the disk holds; return the exit code."""
    log_event(c.log, "error", "journal_fatal", code=error.code, detail=error.detail)
    try:
        c.guard.journal_failed(f"{error.code} {error.detail}", c.clock.wall_ms())
    except OSError as failed:
        log_event(c.log, "error", "journal_fatal_file", error=type(failed).__name__)
    c.alarms.alert(_CODE, f"the server ends: {error.code} {error.detail}")
    for flight in orders.flights.values():
        view = structs.replace(flight.row.view, status=Status.UNKNOWN, code=_CODE)
        for waiter in flight.waiters:
            orders.tell.answer(waiter, Status.UNKNOWN, _CODE, view)
        flight.waiters.clear()
    until = c.clock.mono_ms() + _ANSWER_MS
    while c.clock.mono_ms() < until:
        for incoming in c.transport.poll(50):
            _answer(c, incoming)
    return 1


def _answer(c: Context, incoming: Incoming) -> None:
    now_ms = c.clock.wall_ms()
    request = authenticate(incoming.frames, incoming.user_id, c.sets, c.settings.account, now_ms)
    if isinstance(request, Drop):
        return
    token = request.token
    subject = Subject(token.kid, token.rid, request_hash(incoming.frames))
    if request.spec.lane is Lane.STOP:
        reply = _stop(c, request, subject)
    elif request.spec.replay is ReplayClass.JOURNAL:
        view = OrderView(rid=token.rid, code=_CODE)
        reply = c.replier.reply(subject, Status.UNKNOWN, _CODE, view, now_ms)
    else:
        body = RefusalReply(by="server", code=_CODE, time=now_ms)
        reply = c.replier.reply(subject, Status.DENIED, _CODE, body, now_ms)
    if reply is not None:
        c.transport.send(incoming.route, reply)


def _stop(c: Context, request: Admitted, subject: Subject) -> Frames | None:
    # The file needs no journal: the next start is halted.
    now_ms = c.clock.wall_ms()
    body = decode_body(Stop, request.body) or Stop(reason="")
    state = TradingState.HALTED if request.op is Op.HALT else TradingState.REDUCE_ONLY
    try:
        c.guard.stop(state, request.token.rid, body.reason, now_ms)
    except OSError:
        return c.replier.refusal(subject, Status.DENIED, Refusal(_CODE), now_ms)
    answer = StateReply(time=now_ms, state=state, causes=cause_views(c.guard.causes))
    return c.replier.reply(subject, Status.OK, ReasonCode.NONE, answer, now_ms)
