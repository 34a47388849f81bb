"""The independent counter: stands between the loop and the broker, and believes neither.

The loop says which request ids it verified, in the moment it did; the worker asks before each
hand-over. What is barred reaches no broker, and `tripped` says why until somebody latches it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from bridge_core.host.clock import Clock, SystemClock
from bridge_core.protocol.operations import Op
from bridge_core.protocol.token import RequestToken
from bridge_server.core.counting import Tally
from bridge_server.core.ports import Submission

__all__ = ["Counter"]

_SPARE: Final = 4_096


class Counter:
    """A tally that two threads share."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Without a clock it is this machine's; only its monotonic side is read."""
        self._clock = clock if clock is not None else SystemClock()
        self._lock = threading.Lock()
        self._tally = Tally()
        self._room = _SPARE
        self.tripped = ""

    def verify(self, token: RequestToken, wall_ms: int) -> None:
        """Count a request whose MAC held; one whose time has passed is no order any more."""
        if token.deadline_ms <= wall_ms:
            return
        now_ms = self._clock.mono_ms()
        with self._lock:
            self._tally.verify(token.rid, Op(token.op), now_ms)
            if len(self._tally) > self._room:
                self._tally.forget(now_ms)
                self._room = 2 * len(self._tally) + _SPARE

    def fix(self, rid: str, tickets: Iterable[int]) -> None:
        """Fix the tickets of a verified FLATTEN."""
        with self._lock:
            self._tally.fix(rid, tickets)

    def own(self, rid: str, tickets: Iterable[int]) -> None:
        """Name a FLATTEN that the server itself begins (the dead-man's switch), and its tickets."""
        now_ms = self._clock.mono_ms()
        with self._lock:
            self._tally.own(rid, tickets, now_ms)

    def recover(
        self,
        begun: Iterable[str],
        flattens: Iterable[tuple[str, list[int]]],
        own: Iterable[tuple[str, list[int]]],
    ) -> None:
        """Take over what the journal of an earlier run says: it was verified there.

        Args:
            begun: the request ids that were handed over lately.
            flattens: the open FLATTENs with the tickets they were fixed to.
            own: those of them that the server itself began.
        """
        now_ms = self._clock.mono_ms()
        with self._lock:
            for rid in begun:
                self._tally.begun(rid, now_ms)
            for rid, tickets in flattens:
                self._tally.verify(rid, Op.FLATTEN, now_ms)
                self._tally.fix(rid, tickets)
            for rid, tickets in own:
                self._tally.own(rid, tickets, now_ms)

    def submit(self, submission: Submission) -> str:
        """Return why a submission may not reach the broker, "" if it may."""
        with self._lock:
            why = self._tally.submit(submission, self._clock.mono_ms())
            self.tripped = self.tripped or why
        return why

    def counted(self) -> dict[str, int]:
        """Return both sides, of this run."""
        with self._lock:
            return {"verified": self._tally.verified, "submitted": self._tally.submitted}
