"""DENIED is final: every refusal of a journal-class request is remembered (protocol.md 6).

It is answered at once and written in the next shared commit; until then it stands in memory, so
that no copy of its bytes can run in between.
"""

from __future__ import annotations

import msgspec

from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Request
from bridge_core.protocol.signing import Frames
from bridge_server.context import Context
from bridge_server.core.gate import Admitted
from bridge_server.core.orders import Evidence, OrderState
from bridge_server.core.trading_state import Cause
from bridge_server.journal import Change, OrderRow
from bridge_server.rows import new_row
from bridge_server.telling import Teller
from bridge_server.views import with_refusal

__all__ = ["Refusals"]


class Refusals:
    """Refused rows that are not durable yet."""

    def __init__(self, context: Context, teller: Teller) -> None:
        self._c = context
        self._tell = teller
        self._rows: dict[str, OrderRow] = {}
        self._ids: dict[str, str] = {}
        self._changes: dict[str, tuple[OrderRow, Change]] = {}

    def get(self, rid: str) -> OrderRow | None:
        """Return a refused row by request id."""
        return self._rows.get(rid)

    def get_by_client_order_id(self, client_order_id: str) -> OrderRow | None:
        """Return a refused row by the strategy's own id."""
        rid = self._ids.get(client_order_id)
        return self._rows.get(rid) if rid is not None else None

    def add(
        self,
        request: Admitted,
        body: Request | None,
        refusal: Refusal,
        holder: OrderRow | None,
    ) -> OrderRow:
        """Remember a refusal; `holder` is the row that has its client_order_id already."""
        now_ms = self._c.clock.wall_ms()
        row = new_row(self._c, request, body, OrderState.DENIED)
        row.view = with_refusal(row.view, refusal, "server", now_ms)
        row.evidence, row.ended_ms = Evidence.SERVER, now_ms
        if holder is not None:
            row.client_order_id = None
        if refusal.code is ReasonCode.DUPLICATE_ID and holder is not None:
            row.view = msgspec.structs.replace(row.view, existing=holder.view)
        row.reply_token, row.reply_body = self._tell.make_reply(row)(row.view)
        self._rows[row.rid] = row
        if row.client_order_id is not None:
            self._ids[row.client_order_id] = row.rid
        return row

    def keep(self, row: OrderRow, change: Change) -> OrderRow:
        """Refuse a row that is in the journal as ACCEPTED, when the journal has no room for it."""
        reply = self._tell.make_reply(row)(change.view)
        denied = msgspec.structs.replace(
            row, state=change.state, view=change.view, evidence=change.evidence,
            ended_ms=change.at_ms, reply_token=reply.token, reply_body=reply.body,
        )  # fmt: skip
        self._rows[row.rid] = denied
        self._changes[row.rid] = (row, change)
        return denied

    def write(self) -> None:
        """Write them all, inside a transaction; `clear` follows its commit."""
        for rid, row in self._rows.items():
            if rid in self._changes:
                given = Frames(row.reply_token, row.reply_body)
                self._c.journal.change(*self._changes[rid], lambda _, given=given: given)  # type: ignore[misc]
            else:
                self._c.journal.insert(row, "ORDER", {"by": "server"})

    def clear(self) -> None:
        """Forget what is durable now."""
        self._rows.clear()
        self._ids.clear()
        self._changes.clear()

    def flush(self) -> None:
        """Write what has been answered already, in one commit."""
        if not self._rows:
            return
        try:
            with self._c.journal.transaction():
                self.write()
        except JournalFull:
            self._c.guard.condition(Cause.JOURNAL_FULL, self._c.clock.wall_ms(), present=True)
            self._forget_dead()
            return
        self.clear()

    def _forget_dead(self) -> None:
        # With no room to write them they are kept until no copy can be fresh any more; those whose
        # row is in the journal as ACCEPTED are kept until it says what they were told.
        now_ms = self._c.clock.wall_ms() - limits.CLOCK_SKEW_MS_MAX
        dead = [rid for rid, row in self._rows.items() if row.deadline_ms < now_ms]
        for rid in dead:
            if rid in self._changes:
                continue
            row = self._rows.pop(rid)
            if row.client_order_id is not None:
                self._ids.pop(row.client_order_id, None)
