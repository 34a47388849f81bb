"""Stopping, resuming, settling, and the server's own marks in the record (recovery.md)."""

from __future__ import annotations

import msgspec

from bridge_core.host.logs import log_event
from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol.chain import Record
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Request, Resume, Settle
from bridge_core.protocol.signing import Frames
from bridge_server.context import Context
from bridge_server.core.gate import Admitted
from bridge_server.core.orders import Evidence, OrderState
from bridge_server.core.trading_state import CAUSES, Cause, Kind, TradingState
from bridge_server.lifecycle import Lifecycle
from bridge_server.rows import new_row
from bridge_server.settlement import Settlement
from bridge_server.telling import Waiter

__all__ = ["Admin"]

# A connector's latch: this side only writes down that an operator accepted the new head.
_LOG_FORK = "LOG_FORK"


class Admin:
    """What an operator asks, and what the server notes about itself."""

    def __init__(self, context: Context, lifecycle: Lifecycle, settlement: Settlement) -> None:
        self._c = context
        self._orders = lifecycle
        self._settlement = settlement

    # --- stopping ----------------------------------------------------------------------------

    def stop(self, state: TradingState, rid: str, reason: str) -> None:
        """HALT or REDUCE_ONLY: in memory, in the file, in the log; queued entries end."""
        now_ms = self._c.clock.wall_ms()
        try:
            self._c.guard.stop(state, rid, reason, now_ms)
        except OSError as error:
            log_event(self._c.log, "error", "halted_file", error=type(error).__name__)
            self._orders.tell.alert(
                "HALTED", "the halted file could not be written: check the disk"
            )
        self._orders.drop_entries(
            ReasonCode.HALTED if state is TradingState.HALTED else ReasonCode.REDUCE_ONLY
        )
        self._note(
            Record(ts=now_ms, kind="STATE", rid=rid, data={"state": state, "reason": reason})
        )
        log_event(self._c.log, "warning", "stopped", state=state, reason=reason)

    def _note(self, record: Record) -> None:
        # A full journal must not keep a stop from holding: the file holds it.
        try:
            with self._c.journal.transaction():
                self._c.journal.append(record)
        except JournalFull:
            self._c.guard.condition(Cause.JOURNAL_FULL, record.ts, present=True)

    # --- operators -----------------------------------------------------------------------------

    def do(self, request: Admitted, body: Request, waiter: Waiter) -> Refusal | None:
        """Carry out RESUME or SETTLE; both have a row, so a copy gets the stored reply."""
        if isinstance(body, Resume):
            return self._resume(request, body, waiter)
        if isinstance(body, Settle):
            refusal = self._settlement.settle(body)
            if refusal is None:
                facts = {"subject": body.rid, "status": body.status, "reason": body.reason}
                self._done(request, body, waiter, facts)
            return refusal
        return Refusal(ReasonCode.SCOPE, value=request.op)

    def _resume(self, request: Admitted, body: Resume, waiter: Waiter) -> Refusal | None:
        facts = {"cause": body.cause, "reason": body.reason}
        if body.cause == _LOG_FORK:
            self._done(request, body, waiter, facts)
            return None
        cause = next((one for one in Cause if one.value == body.cause), None)
        if cause is None or CAUSES[cause].kind is not Kind.LATCH:
            return Refusal(ReasonCode.NOT_LATCHED, value=body.cause)
        if self._c.guard.causes.get(cause) is None:
            return Refusal(ReasonCode.NOT_LATCHED, value=body.cause)
        self._c.guard.resume(cause)
        self._done(request, body, waiter, facts)
        self._c.guard.forget_halted(cause, body.reason)
        log_event(self._c.log, "warning", "resumed", cause=cause, reason=body.reason)
        return None

    def _done(
        self, request: Admitted, body: Request, waiter: Waiter, facts: dict[str, str]
    ) -> None:
        row = new_row(self._c, request, body, OrderState.DONE)
        now_ms = row.accepted_ms
        row.view = msgspec.structs.replace(
            row.view,
            status=Status.DONE,
            final=True,
            evidence=Evidence.HUMAN,
            by="operator",
            ended_at=now_ms,
        )
        row.evidence, row.ended_ms = Evidence.HUMAN, now_ms
        row.reply_token, row.reply_body = self._orders.tell.make_reply(row)(row.view)

        def work() -> None:
            self._c.journal.insert(row, request.op, facts)
            self._c.guard.persist()

        if self._orders.commit(work, may_use_reserve=True):
            self._c.transport.send(waiter.route, Frames(row.reply_token, row.reply_body))

    # --- the server's own marks ------------------------------------------------------------------

    def state_changed(self, cause: str, reason: str) -> None:
        """Publish that the trading state's causes have changed."""
        event = EventBody(
            type="state_changed",
            state=self._c.guard.causes.state(),
            cause=cause,
            message=reason[:200],
        )
        self._c.publisher.publish(event, self._c.clock.wall_ms())
        log_event(
            self._c.log, "info", "state", state=self._c.guard.causes.state(), cause=cause,
            reason=reason,
        )  # fmt: skip

    def mark_started(self, facts: dict[str, str]) -> None:
        """Write the first record of this incarnation."""
        now_ms = self._c.clock.wall_ms()
        with self._c.journal.transaction():
            self._c.journal.append(Record(ts=now_ms, kind="START", data=facts))
            self._c.journal.put_meta(
                {
                    "incarnation": self._c.incarnation,
                    "clean_shutdown": "no",
                    "wall_high_water": str(now_ms),
                }
            )

    def mark_stopped(self, *, clean: bool, now_ms: int) -> None:
        """Write the last record of this incarnation."""
        with self._c.journal.transaction():
            self._c.journal.append(
                Record(ts=now_ms, kind="STOP", data={"clean": "yes" if clean else "no"})
            )
            self._c.journal.put_meta(
                {"clean_shutdown": "yes" if clean else "no", "wall_high_water": str(now_ms)}
            )

    def keep_high_water(self, now_ms: int) -> None:
        """Remember how late it has been, so that a clock set back is noticed at the next start."""
        self._orders.commit(
            lambda: self._c.journal.put_meta({"wall_high_water": str(now_ms)}),
            may_use_reserve=False,
        )

    def try_reserve(self, now_ms: int) -> None:
        """End JOURNAL_FULL once the reserve fits on the disk again."""
        try:
            self._c.reserve.ensure()
        except (JournalFull, OSError):
            return
        self._c.guard.condition(Cause.JOURNAL_FULL, now_ms, present=False)
