"""What to do next about one order whose bytes may have left: rules 1, 2 and 5 as a schedule.

Pure: time and answers go in, one step comes out. The caller sends, and tells what happened.

    SENDING -- resend identical bytes, before the deadline only, at most RESENDS_MAX times
       | PENDING, UNKNOWN, deadline, copies used up, another incarnation
    ASKING  -- GET_STATUS, backing off; after the deadline FENCE what was never seen
       | a final answer bound to our question
    ENDED
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from msgspec.structs import replace

from bridge_client.witness import Now
from bridge_core.protocol import limits
from bridge_core.protocol.codes import FINAL, ReasonCode, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.replies import OrderView

__all__ = ["Do", "OrderLife", "Step"]

_ENDING: Final = frozenset(str(status) for status in FINAL)
_RETRY_UNSENT_MS: Final = 50


class Do(Enum):
    """What the shell does."""

    SEND = "send the identical bytes"
    ASK = "send GET_STATUS"
    FENCE = "send FENCE"
    PAUSE = "wait for a reply, at most until"
    END = "nothing: it is final"


class Step(NamedTuple):
    """One step; `until_ms` (monotonic) belongs to PAUSE."""

    do: Do
    until_ms: int = 0


class OrderLife:
    """The schedule of one order. Never a new rid for the same intent."""

    def __init__(self, view: OrderView, inc: str, deadline: Deadline) -> None:
        """Start before the first copy; `view` is what is known so far (UNKNOWN)."""
        self.view = view
        self.inc = inc
        self._deadline = deadline
        self._copies = 0
        self._earlier_copies = False
        self._asking = False
        self._next_ms = 0
        self._delay_ms = limits.STATUS_FIRST_MS
        self._not_seen = False
        self._fence_wanted = False

    @classmethod
    def recovered(cls, view: OrderView, inc: str, deadline: Deadline) -> OrderLife:
        """Return the life of an order from before our own restart: only questions are left."""
        life = cls(view, inc, deadline)
        life._earlier_copies = life._asking = True
        return life

    @property
    def ended(self) -> bool:
        """Whether the outcome is final for the caller."""
        return self.view.final

    @property
    def over(self) -> bool:
        """Whether nothing is left to ask: final, and attested where an EA attests (rule 7)."""
        return self.view.final and self.view.attested

    @property
    def sent_copies(self) -> int:
        """How many copies of this run may have left."""
        return self._copies

    def next(self, now: Now) -> Step:
        """Return the one thing to do now."""
        if self.over:
            return Step(Do.END)
        late = self._deadline.passed(now.wall_ms, now.mono_ms)
        if not self._asking and (late or self._copies > limits.RESENDS_MAX):
            waiting = not late and now.mono_ms < self._next_ms
            if waiting:
                return Step(Do.PAUSE, self._next_ms)
            self._ask_from(now.mono_ms)
        if now.mono_ms < self._next_ms:
            return Step(Do.PAUSE, self._pause_until(now))
        if not self._asking:
            return Step(Do.SEND)
        fence = self._fence_wanted or (late and self._not_seen)
        return Step(Do.FENCE if fence else Do.ASK)

    def _pause_until(self, now: Now) -> int:
        if self._asking:
            return self._next_ms
        left = self._deadline.remaining_ms(now.wall_ms, now.mono_ms)
        return min(self._next_ms, now.mono_ms + left)

    def _ask_from(self, mono_ms: int) -> None:
        self._asking = True
        self._next_ms = mono_ms

    # --- what happened ------------------------------------------------------------------

    def sent(self, now: Now) -> None:
        """A copy may have left."""
        self._copies += 1
        self._next_ms = now.mono_ms + limits.RESEND_AFTER_MS

    def not_sent(self, now: Now) -> None:
        """The socket proved that this copy did not leave; the very first one ends it."""
        if not self._copies and not self._earlier_copies:
            self._end_unsent()
        self._next_ms = now.mono_ms + _RETRY_UNSENT_MS

    def asked(self, now: Now, *, sent: bool) -> None:
        """A GET_STATUS or FENCE was sent, or could not be."""
        if not sent:
            self._next_ms = now.mono_ms + _RETRY_UNSENT_MS
            return
        self._next_ms = now.mono_ms + self._delay_ms
        self._delay_ms = min(self._delay_ms * 2, limits.STATUS_BACKOFF_MS_MAX)

    def reconnected(self, now: Now) -> None:
        """The connection was lost or is back: repeat, or ask, at once."""
        self._next_ms = min(self._next_ms, now.mono_ms)

    def other_run(self, now: Now) -> None:
        """Another incarnation answers: it never runs these bytes, it is only asked (rule 5)."""
        if not self._asking:
            self._ask_from(now.mono_ms)

    def nudge(self, now: Now) -> None:
        """Somebody says that it is final: ask at once; the answer decides."""
        if self._asking:
            self._next_ms = now.mono_ms

    def fence(self, now: Now) -> None:
        """The caller wants it dead rather than late: FENCE from now on."""
        self._fence_wanted = True
        self._ask_from(now.mono_ms)

    def replied(self, view: OrderView, now: Now) -> None:
        """A verified reply to one of the copies."""
        if view.code == ReasonCode.STALE_INCARNATION:
            # This copy never runs. Whether another did before that run ended is not ours to say,
            # even if we sent only one: FENCE makes the server look at its record and the broker's.
            self.fence(now)
            return
        self._learn(view)
        if not self.ended and not self._asking:
            self._ask_from(now.mono_ms + limits.STATUS_FIRST_MS)

    def status_said(self, view: OrderView, now: Now) -> None:
        """A verified GET_STATUS that could be decided, about this order."""
        del now
        self._not_seen = False
        self._learn(view)

    def never_seen(self) -> None:
        """GET_STATUS: no copy has arrived. After the deadline only a FENCE makes it sure."""
        self._not_seen = True

    def fence_said(self, view: OrderView) -> None:
        """A verified FENCE answered OK: DENIED means that it is dead for ever."""
        self._fence_wanted = False
        self._not_seen = False
        self._learn(view)

    def _learn(self, view: OrderView) -> None:
        final = view.status in _ENDING
        if self.view.final and not final:
            return  # a DENIED that waits for the EA's record stays DENIED meanwhile
        if not final and view.status not in (Status.PENDING, Status.UNKNOWN):
            view = replace(view, status=Status.UNKNOWN)
        self.view = replace(view, final=final)
        if final and not view.attested:
            self._asking = True

    def _end_unsent(self) -> None:
        self._asking = True
        self.view = replace(
            self.view,
            status=Status.DENIED,
            code=ReasonCode.NO_CONNECTION,
            by="connector",
            final=True,
            attested=True,
        )
