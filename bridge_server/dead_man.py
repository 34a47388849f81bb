"""The dead-man's switch: what the server does by itself when the strategy is silent.

It lowers the state, tells a person, and clears away what the policy says by a FLATTEN of its own:
journaled, with children and recovery as for a signed one, but without a key (protocol.md 12.1). On
accounts whose executor attests it only lowers and tells: the executor acts by itself.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from bridge_core.host.logs import log_event
from bridge_core.protocol import limits
from bridge_core.protocol.chain import Record
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Flatten, encode_body
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import RequestToken
from bridge_core.protocol.views import DeadManView
from bridge_server.admin import Admin
from bridge_server.context import Context
from bridge_server.core.dead_man import SCOPES, Mark, Sequences, Silence
from bridge_server.core.orders import OrderState
from bridge_server.core.trading_state import CAUSES, Cause
from bridge_server.flatten import Flattener, targets
from bridge_server.flight import Flight
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle
from bridge_server.views import view_of_body

__all__ = ["DeadMan"]

_META: Final = "dead_man"
# A FLATTEN that left something is followed by another; the pause doubles from the first to the
# last. By then the terminal shows what the one before it did.
_PAUSE_MS: Final = 5_000
_PAUSE_MS_MAX: Final = 60_000
_SAVE_MS: Final = 1_000
# In the body, where a name must stand; the row itself names no client and no key.
_WHO: Final = "server"


class DeadMan:
    """Owned by the loop. Off unless `[dead_man]` is there; then armed by the first beat."""

    def __init__(
        self, context: Context, orders: Lifecycle, flattener: Flattener, admin: Admin
    ) -> None:
        self._c = context
        self._admin = admin
        self._orders = orders
        self._flattener = flattener
        self._sequences = Sequences()
        self._wanted = context.settings.dead_man
        self._silence: Silence | None = None
        self._saved = Mark()
        self._save_ms = 0
        self._next_ms = 0
        self._late_ms = 0
        self._note = ""

    @property
    def _clears(self) -> bool:
        # An attesting executor takes no order without a key: its own switch clears away.
        wanted = self._wanted
        return wanted is not None and wanted.policy in SCOPES and self._c.executor is None

    def start(self) -> None:
        """Take up what the last run left: armed stays armed, and what has fired has fired."""
        raw = self._c.journal.meta(_META)
        self._saved = msgspec.json.decode(raw, type=Mark) if raw else Mark()
        if self._wanted is None:
            self._save(Mark())
            return
        mono_ms = self._c.clock.mono_ms()
        self._silence = Silence(self._wanted.after_s * 1000, self._saved, mono_ms)
        self._next_ms = mono_ms + _PAUSE_MS if self._saved.rid else mono_ms
        self._late_ms = mono_ms + limits.FLATTEN_WINDOW_MS
        if self._silence.state == "fired":
            self._hold(self._c.clock.wall_ms(), "no heartbeat since before the start")

    # --- beats -------------------------------------------------------------------------------

    def beat(self, token: RequestToken, sequence: int) -> Refusal | None:
        """Take a heartbeat of any key id that may send one; refuse a number that is not new."""
        last = self._sequences.behind(token.kid, sequence)
        if last is not None:
            return Refusal(ReasonCode.SEQUENCE, limit=str(last), value=str(sequence))
        if self._silence is None:
            return None
        now_ms, mono_ms = self._c.clock.wall_ms(), self._c.clock.mono_ms()
        before = self._silence.state
        # Our clock was just set: until the connector has measured it anew its iat says nothing.
        set_lately = self._c.guard.causes.get(Cause.CLOCK) is not None
        if self._silence.beat(mono_ms, 0 if set_lately else now_ms - token.iat):
            self._note = ""
            log_event(self._c.log, "info", "dead_man", state="armed", was=before, kid=token.kid)
            self._save(self._silence.mark)
        return None

    # --- time --------------------------------------------------------------------------------

    def tick(self, now_ms: int, mono_ms: int) -> None:
        """Fire when it is due, and see to it that what follows comes to its end."""
        silence = self._silence
        if silence is None:
            return
        if silence.due(mono_ms):
            self._fire(silence, now_ms, mono_ms)
        fired = silence.state == "fired"
        if not fired and self._c.guard.causes.get(Cause.HEARTBEAT) is not None:
            self._c.guard.condition(Cause.HEARTBEAT, now_ms, present=False)
        if self._saved != silence.mark and mono_ms >= self._save_ms:
            self._save_ms = mono_ms + _SAVE_MS
            self._save(silence.mark)
        if fired and not silence.mark.done and mono_ms >= self._next_ms:
            self._clear(silence, now_ms, mono_ms)

    def _fire(self, silence: Silence, now_ms: int, mono_ms: int) -> None:
        assert self._wanted is not None
        reason = f"no heartbeat for {silence.ms(mono_ms) / 1000:.1f} s"
        silence.fire(now_ms, done=not self._clears)
        self._next_ms, self._late_ms = mono_ms, mono_ms + limits.FLATTEN_WINDOW_MS
        what = self._wanted.policy if self._c.executor is None else "the EA acts by itself"
        told = f"{reason}: {what}"
        self._hold(now_ms, told)
        # In the same words as the cause's own alert: one firing is told once.
        self._admin.alert(Cause.HEARTBEAT, told)
        log_event(
            self._c.log, "error", "dead_man", state="fired", policy=self._wanted.policy,
            reason=reason,
        )  # fmt: skip
        self._save(silence.mark, reason)

    def _hold(self, now_ms: int, reason: str) -> None:
        self._c.guard.condition(Cause.HEARTBEAT, now_ms, present=True, reason=reason)
        self._orders.drop_barred()

    def _save(self, mark: Mark, reason: str = "") -> None:
        # A full disk keeps neither the state from being lowered nor the FLATTEN from being tried.
        if mark == self._saved:
            return

        def work() -> None:
            self._put(mark)
            if (mark.armed, mark.fired_ms) != (self._saved.armed, self._saved.fired_ms):
                now_ms, cause = self._c.clock.wall_ms(), Cause.HEARTBEAT
                facts = {"state": "dead-man's switch armed"}
                if mark.fired_ms:
                    facts = {"state": CAUSES[cause].state, "cause": cause, "reason": reason}
                self._c.journal.append(Record(ts=now_ms, kind="STATE", data=facts))

        if self._orders.commit(work, may_use_reserve=True):
            self._saved = mark

    def _put(self, mark: Mark) -> None:
        self._c.journal.put_meta({_META: msgspec.json.encode(mark).decode("ascii")})

    # --- clearing away -----------------------------------------------------------------------

    def _clear(self, silence: Silence, now_ms: int, mono_ms: int) -> None:
        assert self._wanted is not None
        mark = silence.mark
        if mark.rid and mark.rid in self._orders.flights:
            pause = min(_PAUSE_MS * 2 ** max(0, mark.tries - 1), _PAUSE_MS_MAX)
            self._next_ms = mono_ms + pause  # counted from its end
            self._note = "under way"
            self._say_late(mono_ms, "is still under way")
            return
        scope = SCOPES[self._wanted.policy]
        left = self._left(scope)
        if left is None:
            self._note = "waits for the terminal and its broker"
            self._say_late(mono_ms, "waits for the terminal and its broker")
            return
        if mark.rid and not left:
            self._end(silence)
            return
        if mark.rid:
            self._admin.alert(
                "DEAD_MAN_LEFT", f"{left} left by FLATTEN {mark.rid[:8]}: another is sent"
            )
        self._begin(silence, scope, now_ms, mono_ms)

    def _left(self, scope: str) -> int | None:
        """Return how many tickets are in scope, None while the broker cannot be seen."""
        shot, hop = self._c.snapshot, self._c.hop
        if shot is None or not shot.connected or (hop is not None and not hop.about().linked):
            return None
        return len(targets(scope, "", shot))

    def _say_late(self, mono_ms: int, why: str) -> None:
        if mono_ms >= self._late_ms:
            self._late_ms = mono_ms + limits.FLATTEN_WINDOW_MS
            self._admin.alert("DEAD_MAN_LEFT", f"what the dead-man's switch clears away {why}")

    def _end(self, silence: Silence) -> None:
        silence.mark = msgspec.structs.replace(silence.mark, done=True)
        self._note = ""
        log_event(self._c.log, "warning", "dead_man", state="cleared", rid=silence.mark.rid)

    def _begin(self, silence: Silence, scope: str, now_ms: int, mono_ms: int) -> None:
        rid = secrets.token_hex(limits.RID_HEX // 2)
        mark = silence.tried(rid)
        parent = self._order(rid, scope, now_ms, mono_ms)
        refusal = self._flattener.begin(parent, None, lambda: self._put(mark))
        if refusal is not None:
            self._next_ms = mono_ms + _SAVE_MS
            self._note = f"not begun: {refusal.code}"
            return
        silence.mark = self._saved = mark
        self._next_ms = mono_ms + _PAUSE_MS
        log_event(self._c.log, "warning", "dead_man", state="flatten", rid=rid, scope=scope)

    def _order(self, rid: str, scope: str, now_ms: int, mono_ms: int) -> Flight:
        reason = "dead-man's switch: no heartbeat"
        body = Flatten(client_order_id=rid, client=_WHO, scope=scope, symbol="", reason=reason)  # type: ignore[arg-type]
        view = view_of_body(rid, Op.FLATTEN, "", body, now_ms)
        row = OrderRow(
            rid=rid,
            client_order_id=None,
            kid="",
            client="",
            op=Op.FLATTEN,
            symbol="",
            state=OrderState.ACCEPTED,
            body=encode_body(body),
            inc=self._c.incarnation,
            deadline_ms=now_ms + limits.TTL_MS_DEFAULT,
            accepted_ms=now_ms,
            view=msgspec.structs.replace(
                view, client_order_id="", client="", status=Status.PENDING, by="server"
            ),
        )
        deadline = Deadline.at(row.deadline_ms, now_ms, mono_ms)
        return Flight(row=row, body=body, frames=Frames(b"", row.body), deadline=deadline)

    # --- telling -----------------------------------------------------------------------------

    def view(self) -> DeadManView:
        """Return what HEALTH says of it; off is said too."""
        silence, wanted = self._silence, self._wanted
        if silence is None or wanted is None:
            return DeadManView(state="off", ea=self._ea())
        heard = silence.mark.armed
        return DeadManView(
            state=silence.state,
            policy=wanted.policy,
            after_ms=wanted.after_s * 1000,
            silent_ms=silence.ms(self._c.clock.mono_ms()) if heard else 0,
            fired=silence.mark.fired_ms,
            rid=silence.mark.rid,
            note=self._note,
            ea=self._ea(),
        )

    def _ea(self) -> str:
        executor = self._c.executor
        return "" if executor is None else dict(executor.about().caps).get("ea_dead_man", "")
