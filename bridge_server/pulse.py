"""What the server does each second by itself: heartbeat, hops, self-test, high water."""

from __future__ import annotations

import threading

from bridge_core.host.logs import log_event
from bridge_core.protocol import limits
from bridge_core.protocol.alerts import AlertCode
from bridge_core.protocol.keys import Mode
from bridge_server.admin import Admin
from bridge_server.context import Context
from bridge_server.core.executor import ExecutorState
from bridge_server.core.trading_state import Cause
from bridge_server.health import Hop

__all__ = ["Pulse"]


class Pulse:
    """Owned by the loop; only the self-test runs in a thread of its own, for it waits."""

    def __init__(self, context: Context, admin: Admin) -> None:
        self._c = context
        self._admin = admin
        now_wall, now_mono = context.clock.wall_ms(), context.clock.mono_ms()
        self._terminal = Hop("server to terminal", now_wall, now_mono)
        self._journal = Hop("journal", now_wall, now_mono)
        self.hops = [self._terminal, self._journal]
        self._terminal_up = True
        self._bound = {
            name: context.journal.meta(name) or "" for name in ("login", "broker_server")
        }
        self._sockets = Hop("server sockets", now_wall, now_mono)
        self._sockets_why = ""
        self._sockets_told = False
        self.hops.append(self._sockets)
        name = context.hop.about().name if context.hop is not None else ""
        self._behind = Hop(name, now_wall, now_mono)
        self._behind_seen = ("", "")
        if context.hop is not None:
            self.hops.append(self._behind)
        self._beat_ms = 0
        self._self_test_ms = now_mono + limits.SELF_TEST_PERIOD_MS

    def tick(self, now_ms: int, mono_ms: int) -> None:
        """Do what is due."""
        if mono_ms - self._beat_ms < limits.HEARTBEAT_PERIOD_MS:
            return
        self._beat_ms = mono_ms
        shot = self._c.snapshot
        self.terminal(up=self._terminal_up and shot is not None and shot.connected)
        self._admin.keep_stop()  # if the disk would not take it before
        full = self._c.guard.causes.get(Cause.JOURNAL_FULL) is not None
        if full:
            self._admin.try_reserve(now_ms)
        why = "its disk is full" if full else ""
        self._journal.observe("degraded" if full else "up", why, now_ms, mono_ms)
        state = "degraded" if self._sockets_why else "up"
        self._sockets.observe(state, self._sockets_why, now_ms, mono_ms)
        if self._sockets_why and not self._sockets_told:
            self._admin.alert(AlertCode.SELF_TEST, self._sockets_why)
        self._sockets_told = bool(self._sockets_why)
        if self._c.hop is not None:
            self._watch_behind(self._c.hop.about(), now_ms, mono_ms)
        self._watch_identity(now_ms)
        self._c.alarms.tick(self._c.guard.causes)
        self._c.publisher.heartbeat(self._c.guard.causes.state(), now_ms)
        if mono_ms >= self._self_test_ms:
            self._self_test_ms = mono_ms + limits.SELF_TEST_PERIOD_MS
            threading.Thread(target=self._self_test, name="self-test", daemon=True).start()
            self._admin.keep_high_water(now_ms)

    def _watch_behind(self, about: ExecutorState, now_ms: int, mono_ms: int) -> None:
        fine = "degraded" if about.why else "up"
        state = fine if about.alive and not about.wrong_account else "down"
        if (state, about.instance) != self._behind_seen:
            self._behind_seen = (state, about.instance)
            word = about.name.rpartition(" ")[2].lower()  # `ea` or `worker`
            log_event(
                self._c.log, "info", word, state=state, why=about.why, note=about.note,
                clock_ms=about.clock_ms,
            )  # fmt: skip
        self._behind.observe(state, about.why, now_ms, mono_ms)
        self._behind.ms = about.ms
        # An EA says so itself, in a post that the loop takes.
        if about.wrong_account and self._c.executor is None and self._c.settings.mode is Mode.LIVE:
            self._latch_identity(f"the terminal shows {about.wrong_account}", now_ms)

    def _watch_identity(self, now_ms: int) -> None:
        """Halt when the terminal shows another account than the journal began with."""
        shot = self._c.snapshot
        if shot is None:
            return
        shown = {"login": str(shot.identity.login), "broker_server": shot.identity.server}
        wrong = [f"{name} {word}" for name, word in shown.items() if word != self._bound[name]]
        if wrong:
            self._latch_identity(f"the terminal shows {', '.join(wrong)}", now_ms)

    def _latch_identity(self, reason: str, now_ms: int) -> None:
        if self._c.guard.causes.get(Cause.IDENTITY) is None:
            self._c.guard.latch(Cause.IDENTITY, reason, now_ms)
            self._admin.alert(Cause.IDENTITY, reason)

    def terminal(self, *, up: bool) -> None:
        """Take a look at the hop to the terminal; a call that does not end degrades it.

        It stays down until the backend shows something again.
        """
        self._terminal_up = up
        now_ms, mono_ms = self._c.clock.wall_ms(), self._c.clock.mono_ms()
        state, why = ("up" if up else "down"), ""
        running_ms = self._c.worker.terminal_ms()
        if up and running_ms > limits.STREAM_STALE_MS:
            state, why = "degraded", f"a call to the terminal has run for {running_ms / 1000:.0f} s"
        self._terminal.observe(state, why, now_ms, mono_ms)
        reason = "" if up else self._why_away()
        self._c.guard.condition(Cause.BROKER_LINK, now_ms, present=not up, reason=reason)

    def _why_away(self) -> str:
        shot = self._c.snapshot
        return (shot.note if shot is not None else "") or "the terminal does not answer"

    def _self_test(self) -> None:
        if self._c.transport.self_test() and (self._c.hop is None or self._c.hop.self_test()):
            self._sockets_why = ""
            return
        self._sockets_why = "the self-test failed: strangers may get in, or nobody can"
        log_event(self._c.log, "error", "self_test_failed", fix="restart the server")
        self._c.count("self_test_failed")
