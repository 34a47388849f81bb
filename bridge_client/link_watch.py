"""How the link to the server stands: healthy, degraded or lost, as one word with its reason.

`LinkState` judges, without a clock or socket of its own; `LinkWatch` looks each second while
somebody reads events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from bridge_client.link import Link
from bridge_core.protocol import limits
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import StateReply, decode_reply
from bridge_core.protocol.views import HopView

__all__ = ["DEGRADED", "HEALTHY", "LOST", "LinkState", "LinkWatch", "Look", "Stand"]

HEALTHY: Final = "healthy"
DEGRADED: Final = "degraded"
LOST: Final = "lost"
_SLOW_MS: Final = 1_000
_LOST_S: Final = limits.STREAM_STALE_MS / 1000
_CALM_S: Final = 3.0
_PERIOD_S: Final = 1.0
_JOIN_S: Final = 2.0


class Stand(NamedTuple):
    """One word, why, and since when (UTC ms)."""

    state: str
    why: str = ""
    since_ms: int = 0


class Look(NamedTuple):
    """What one look found.

    `ms` is the round trip of an answer, None without one; `hops` is empty where it says nothing
    of them; `skew` is how wrong the clocks are, "" if they are not.
    """

    connected: bool
    why: str
    ms: float | None
    hops: Sequence[HopView] = ()
    skew: str = ""


class LinkState:
    """Gets worse at once and from lost back at once; healthy only after 3 s without trouble."""

    def __init__(self, wall_ms: int, mono_s: float) -> None:
        """Believe in a link until the first look: only changes are news."""
        self.now = Stand(HEALTHY, "", wall_ms)
        self._heard_s = mono_s
        self._troubled_s = float("-inf")
        self._hops: Sequence[HopView] = ()

    def take(self, look: Look, wall_ms: int, mono_s: float) -> Stand | None:
        """Return the new stand if the word has changed by this look (UTC ms, monotonic s)."""
        if look.ms is not None:
            self._heard_s = mono_s
            self._hops = look.hops or self._hops
        state, why = self._judge(look, mono_s)
        if state != HEALTHY:
            self._troubled_s = mono_s
        elif self.now.state == DEGRADED and mono_s - self._troubled_s < _CALM_S:
            return None
        if state == self.now.state:
            self.now = self.now._replace(why=why)
            return None
        self.now = Stand(state, why, wall_ms)
        return self.now

    def _judge(self, look: Look, mono_s: float) -> tuple[str, str]:
        if not look.connected:
            return LOST, look.why or "not connected"
        silent_s = mono_s - self._heard_s
        if silent_s >= _LOST_S:
            return LOST, f"no answer for {silent_s:.1f} s"
        if look.ms is None or look.ms > _SLOW_MS:
            took_ms = silent_s * 1000 if look.ms is None else look.ms
            return DEGRADED, f"slow: {took_ms:.0f} ms without an answer"
        for hop in self._hops:
            if hop.state != "up":
                return DEGRADED, f"{hop.hop} is {hop.state}: {hop.why}".rstrip(": ")
        return (DEGRADED, f"clock: {look.skew}") if look.skew else (HEALTHY, "")


class LinkWatch:
    """Asks HEALTH each second in a thread of its own, once it is started."""

    def __init__(self, link: Link, tell: Callable[[Stand], None]) -> None:
        """`tell` gets each change; it is called in the watch's thread, or whoever looks."""
        self._link = link
        self._tell = tell
        now = link.clocks()
        self._state = LinkState(now.wall_ms, now.mono_ms / 1000)
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link-watch", daemon=True)
        self._started = False

    @property
    def stand(self) -> Stand:
        """How it stood at the last look."""
        return self._state.now

    def start(self) -> None:
        """Begin to look, if nobody has yet."""
        with self._guard:
            if self._started or self._closed.is_set():
                return
            self._started = True
        now = self._link.clocks()
        self._state = LinkState(now.wall_ms, now.mono_ms / 1000)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def join(self) -> None:
        """Wait for the thread's end, once the link is closed and lets go of it."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def saw(self, ms: float | None, hops: Sequence[HopView] = (), why: str = "") -> Stand:
        """Take in a look that somebody has made; ms: its round trip, None without an answer.

        A `why` without an answer is somebody's whole patience, and means lost.
        """
        link, now = self._link, self._link.clocks()
        skew = link.skew()
        look = Look(
            connected=link.transport.connected and (ms is not None or not why),
            why=why or link.why,
            ms=ms,
            hops=hops,
            skew=f"{skew.offset_ms:+d} ms" if skew is not None else "",
        )
        with self._guard:
            changed = self._state.take(look, now.wall_ms, now.mono_ms / 1000)
        if changed is not None and self._started:  # else nobody reads events
            self._tell(changed)
        return self._state.now

    def _run(self) -> None:
        while not self._closed.wait(_PERIOD_S):
            try:
                self._look()
            except BridgeError:
                return  # closed

    def _look(self) -> None:
        until = time.monotonic() + _PERIOD_S
        if not self._link.ready(until):
            self.saw(None)
            return
        outcome = self._link.exchange(Op.HEALTH, self._link.hello_body, until)
        if outcome.answer is None:
            self.saw(None)
            return
        hops: Sequence[HopView] = ()
        if outcome.answer.status == Status.OK:
            try:
                hops = decode_reply(StateReply, outcome.answer.body).hops
            except RemoteProtocolError:
                return  # as if nothing had come
        self.saw(outcome.ms, hops)
