"""Stopping, and the operator's words: calls that need no journal.

They answer with a StateResult, because a stop that may have left must never look like a failure.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from bridge_client.link import Outcome
from bridge_client.queries import Questions
from bridge_client.views import StateResult
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.messages import GetStatus, Request, Resume, Settle, Stop
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import StateReply, decode_reply

__all__ = ["Stops"]

_STOP_S: Final = 5.0
_ASK_AGAIN_S: Final = 0.2


class Stops(Questions):
    """The stopping quarter of a Connector."""

    def halt(self, reason: str, *, wait: float | None = None) -> StateResult:
        """Stop all new exposure. Goes out at once, whatever else is waiting.

        Waits at most `wait` seconds for the answer (None: five).
        """
        return self._lower(Op.HALT, reason, wait)

    def reduce_only(self, reason: str, *, wait: float | None = None) -> StateResult:
        """Let only orders pass that reduce exposure. Goes out at once; `wait` as in halt."""
        return self._lower(Op.REDUCE_ONLY, reason, wait)

    def _lower(self, op: Op, reason: str, wait: float | None) -> StateResult:
        self._check()
        if not self._link.session.may(op):
            return StateResult(status=Status.DENIED, code=ReasonCode.SCOPE, by="connector")
        body = Stop(reason=reason)
        # No HELLO first: a stop may carry an incarnation of zeros, and only ever lowers.
        until = time.monotonic() + (_STOP_S if wait is None else wait)
        outcome = self._link.exchange(op, lambda: body, until)
        return self._stated(outcome)

    def resume(self, cause: str, reason: str) -> StateResult:
        """End one latch; only with the operator's bundle."""
        return self._admin(Op.RESUME, Resume(cause=cause, reason=reason))

    def settle(self, rid: str, status: str, ticket: int, reason: str) -> StateResult:
        """Give an operator's word on an UNKNOWN order; only with the operator's bundle."""
        body = Settle(rid=rid, status=status, ticket=ticket, reason=reason)  # type: ignore[arg-type]
        return self._admin(Op.SETTLE, body)

    def _admin(self, op: Op, body: Request) -> StateResult:
        self._check()
        if not self._link.session.may(op):
            return StateResult(status=Status.DENIED, code=ReasonCode.SCOPE, by="connector")
        until = time.monotonic() + _STOP_S
        if not self._link.ready(until):
            return StateResult(status=Status.DENIED, code=ReasonCode.NO_CONNECTION, by="connector")
        outcome = self._link.exchange(op, lambda: body, until)
        stated = self._stated(outcome)
        attests = self._link.session.identity.ea and getattr(body, "cause", "") != "LOG_FORK"
        return self._attested(stated, outcome, until) if op is Op.RESUME and attests else stated

    def _attested(self, stated: StateResult, outcome: Outcome, until: float) -> StateResult:
        # The EA holds a kill switch of its own: only its word says that it is released.
        session, exchange = self._link.session, outcome.exchange
        if outcome.answer is None or exchange is None:
            return stated
        view = session.order_view(outcome.answer, exchange)
        question = GetStatus(rid=exchange.rid, client_order_id="")
        while view.status in (Status.PENDING, Status.UNKNOWN) and time.monotonic() < until:
            time.sleep(_ASK_AGAIN_S)
            with suppress(BridgeError):
                answer = self._link.answer(Op.GET_STATUS, question, until - time.monotonic())
                view = session.subject_view(answer, exchange) or view
        return replace(stated, status=view.status, code=view.code)

    def _stated(self, outcome: Outcome) -> StateResult:
        answer = outcome.answer
        if answer is None and not outcome.left:
            return StateResult(status=Status.DENIED, code=ReasonCode.NO_CONNECTION, by="connector")
        if answer is None:
            return StateResult(status=Status.UNKNOWN, code=ReasonCode.NO_ANSWER, by="connector")
        try:
            reply = decode_reply(StateReply, answer.body)
        except RemoteProtocolError:
            reply = StateReply()
        self._link.state = reply.state or self._link.state
        by = reply.by or ("server" if answer.status == Status.DENIED else "")
        return StateResult(
            status=answer.status,
            code=answer.code,
            by=by,
            state=reply.state,
            causes=self._causes(reply.causes),
        )
