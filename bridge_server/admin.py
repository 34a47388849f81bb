"""Stopping, resuming, settling, and the server's own marks in the record (protocol.md 12)."""

from __future__ import annotations

import errno
from collections.abc import Callable

import msgspec

from bridge_core.host.logs import log_event
from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol.chain import Record
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Request, Resume, Settle
from bridge_core.protocol.signing import Frames
from bridge_server.context import Context
from bridge_server.core.gate import Admitted
from bridge_server.core.orders import Evidence, OrderState
from bridge_server.core.trading_state import CAUSES, Cause, Kind, TradingState
from bridge_server.flight import Flight
from bridge_server.lifecycle import Lifecycle
from bridge_server.rows import new_row
from bridge_server.settlement import Settlement
from bridge_server.telling import Waiter

__all__ = ["Admin"]

# A connector's latch: this side only writes down that an operator accepted the new head.
_LOG_FORK = "LOG_FORK"
_ROOM_BYTES = 64 * 1024


class Admin:
    """What an operator asks, and what the server notes about itself."""

    def __init__(self, context: Context, lifecycle: Lifecycle, settlement: Settlement) -> None:
        self._c = context
        self._orders = lifecycle
        self._settlement = settlement
        self.on_resumed: Callable[[Cause], None] = lambda _cause: None

    # --- stopping ----------------------------------------------------------------------------

    def stop(self, state: TradingState, rid: str, reason: str) -> None:
        """HALT or REDUCE_ONLY: in memory, in the file, in the log; queued entries end."""
        now_ms = self._c.clock.wall_ms()
        try:
            self._c.guard.stop(state, rid, reason, now_ms)
        except OSError as error:
            self._make_room(error)
        self._orders.drop_barred()
        self._note(
            Record(ts=now_ms, kind="STATE", rid=rid, data={"state": state, "reason": reason})
        )
        log_event(self._c.log, "warning", "stopped", state=state, reason=reason)

    def _make_room(self, error: OSError) -> None:
        # A stop that only memory holds ends with the process: the reserve is there for it.
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._c.guard.condition(Cause.JOURNAL_FULL, self._c.clock.wall_ms(), present=True)
            self._c.reserve.release()
        if not self.keep_stop():
            log_event(self._c.log, "error", "halted_file", error=type(error).__name__)
            self._orders.tell.alert(
                "HALTED", "the halted file could not be written: check the disk"
            )

    def keep_stop(self) -> bool:
        """Write the stop that its file lacks; return whether the file has it now."""
        try:
            self._c.guard.write_stop()
        except OSError:
            return False
        return True

    def alert(self, code: str, message: str, level: str | None = None, subject: str = "") -> None:
        """Raise an alert: event, log line, webhook (`level` None: as the table says)."""
        self._orders.tell.alert(code, message, level, subject)

    def _note(self, record: Record) -> None:
        # A full journal must not keep a stop from holding: the file holds it.
        try:
            with self._c.journal.transaction():
                self._c.journal.append(record)
        except JournalFull:
            self._c.guard.condition(Cause.JOURNAL_FULL, record.ts, present=True)

    # --- operators -----------------------------------------------------------------------------

    def do(
        self, request: Admitted, body: Request, waiter: Waiter, deadline: Deadline
    ) -> Refusal | None:
        """Carry out RESUME or SETTLE; both have a row, so a copy gets the stored reply."""
        if isinstance(body, Resume) and self._c.executor is not None and body.cause != _LOG_FORK:
            return self._resume_executor(request, body, waiter, deadline)
        if isinstance(body, Resume):
            return self._resume(request, body, waiter)
        if isinstance(body, Settle):
            refusal = self._settlement.settle(body)
            if refusal is None:
                refusal = self._done(request, body, waiter)
            return refusal
        return Refusal(ReasonCode.SCOPE, value=request.op)

    def _resume(self, request: Admitted, body: Resume, waiter: Waiter) -> Refusal | None:
        if body.cause == _LOG_FORK:
            return self._done(request, body, waiter)
        cause = self._latch(body.cause)
        if cause is None:
            return Refusal(ReasonCode.NOT_LATCHED, value=body.cause)
        # What is not in the record has not happened: without room for it the latch holds.
        return self._done(request, body, waiter, ends=cause)

    def _resume_executor(
        self, request: Admitted, body: Resume, waiter: Waiter, deadline: Deadline
    ) -> Refusal | None:
        # The executor has a state of its own; only its record ends the latch here (`on_final`).
        executor = self._c.executor
        lowered = executor is not None and executor.about().state not in ("", TradingState.ACTIVE)
        if self._latch(body.cause) is None and not lowered:
            return Refusal(ReasonCode.NOT_LATCHED, value=body.cause)
        return self._orders.accept(request, body, waiter, deadline)

    def _latch(self, word: str) -> Cause | None:
        cause = next((one for one in Cause if one.value == word), None)
        if cause is None or CAUSES[cause].kind is not Kind.LATCH:
            return None
        return cause if self._c.guard.causes.get(cause) is not None else None

    def on_final(self, flight: Flight) -> None:
        """End the latch of a RESUME that the executor has carried out and attested.

        A crash between its commit and this leaves the latch in force: the operator asks again.
        """
        body = flight.body
        if not isinstance(body, Resume) or flight.row.state is not OrderState.DONE:
            return
        cause = self._latch(body.cause)
        if cause is None:
            return
        if self._orders.commit(lambda: self._c.guard.persist(but=cause), may_use_reserve=True):
            self._end_latch(cause, body.reason)

    def _end_latch(self, cause: Cause, reason: str) -> None:
        try:
            self._c.guard.resume(cause, reason)
        except OSError as error:  # it holds now; the file would halt the next start
            log_event(self._c.log, "error", "halted_file", error=type(error).__name__)
            self._orders.tell.alert(
                "HALTED", "the halted file could not be removed: remove it by hand"
            )
        self.on_resumed(cause)
        log_event(self._c.log, "warning", "resumed", cause=cause, reason=reason)

    def _done(
        self, request: Admitted, body: Resume | Settle, waiter: Waiter, *, ends: Cause | None = None
    ) -> Refusal | None:
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
            self._c.journal.insert(row, request.op, _facts(body))
            self._c.guard.persist(but=ends)

        if not self._orders.commit(work, may_use_reserve=True):
            return Refusal(ReasonCode.JOURNAL_FULL)
        if ends is not None:
            self._end_latch(ends, body.reason)
        self._c.transport.send(waiter.route, Frames(row.reply_token, row.reply_body))
        return None

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
        self._c.alarms.follow(self._c.guard.causes, cause, reason)

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
        """Write the last record of this incarnation; without room for it the stop is unclean."""
        said = {"clean": "yes" if clean else "no"}

        def work() -> None:
            self._c.journal.append(Record(ts=now_ms, kind="STOP", data=said))
            self._c.journal.put_meta(
                {"clean_shutdown": said["clean"], "wall_high_water": str(now_ms)}
            )

        self._orders.commit(work, may_use_reserve=True)

    def keep_high_water(self, now_ms: int) -> None:
        """Remember how late it has been, so that a clock set back is noticed at the next start."""
        self._orders.commit(
            lambda: self._c.journal.put_meta({"wall_high_water": str(now_ms)}),
            may_use_reserve=False,
        )

    def try_reserve(self, now_ms: int) -> None:
        """End JOURNAL_FULL once the reserve fits on the disk again, and a few rows besides."""
        try:
            self._c.reserve.ensure()
            # The reserve may have been there all the time: only a write proves that there is room.
            for room in ("." * _ROOM_BYTES, ""):
                with self._c.journal.transaction():
                    self._c.journal.put_meta({"room": room})
                    self._c.guard.persist()
        except (JournalFull, OSError):
            return
        self._c.guard.condition(Cause.JOURNAL_FULL, now_ms, present=False)


def _facts(body: Resume | Settle) -> dict[str, str]:
    if isinstance(body, Resume):
        return {"cause": body.cause, "reason": body.reason}
    return {"subject": body.rid, "status": body.status, "reason": body.reason}
