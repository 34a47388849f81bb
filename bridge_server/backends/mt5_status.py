"""How the hop to MetaTrader 5 stands: kept by the link, read by any thread, told in HEALTH."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_server.backends.mt5_connect import Pace, halting
from bridge_server.backends.mt5_pins import kind_of, margin_of
from bridge_server.core.executor import ExecutorState

__all__ = ["TRADE", "LinkStatus", "StatusBook"]

HOP_NAME: Final = "server to terminal worker"
TRADE: Final = "order_send"


class LinkStatus(Struct, frozen=True, kw_only=True):
    """How the link stands, as any thread may read it.

    `alive`: connected, and the last call that worked is young. `linked`: the terminal has its
    broker. `why` is one sentence with the fix, "" if nothing is wrong; `wrong_account` says how
    terminal or account differ from the pinned ones. Times are UTC ms; `linked_mono` is since when
    (monotonic ms) connection and broker are there without a break, 0 if they are not.
    `terminal` and `account` are the last `terminal_info` and `account_info`. `generation` counts
    workers and `connects` connections: more of them means that something may have been missed.
    `ms` is the last call's round trip.
    """

    alive: bool = False
    linked: bool = False
    why: str = "the terminal starts, or logs in"
    wrong_account: str = ""
    since_ms: int = 0
    last_ok_ms: int = 0
    busy_since_ms: int = 0
    busy_with: str = ""
    linked_mono: int = 0
    terminal: Mapping[str, object] = {}
    account: Mapping[str, object] = {}
    package: str = ""
    ms: str = ""
    pid: int = 0
    generation: int = 0
    connects: int = 0
    restarts: int = 0

    @property
    def kind(self) -> str:
        """demo, contest, real, or unknown."""
        return kind_of(self.account)

    @property
    def margin_mode(self) -> str:
        """hedging, netting, or unknown."""
        return margin_of(self.account)


class StatusBook:
    """The status with its clocks. Every method may come from any thread."""

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self._pace = pace
        self._clock = clock
        self._lock = threading.Lock()
        self._status = LinkStatus(since_ms=clock.wall_ms())
        self._ok_mono = 0
        self._busy_mono = 0

    # --- what the link says ----------------------------------------------------------------------

    def worker(self, pid: int) -> None:
        """A new worker has been started."""
        with self._lock:
            now = self._status
            first = not now.generation
            self._status = structs.replace(
                now, pid=pid, generation=now.generation + 1,
                restarts=now.restarts + (0 if first else 1),
            )  # fmt: skip

    def package(self, version: str) -> None:
        """The worker has loaded the package."""
        with self._lock:
            self._status = structs.replace(self._status, package=version)

    def waiting(self, why: str) -> None:
        """It is not connected, and this is why."""
        with self._lock:
            self._down(why)

    def joined(self) -> None:
        """It is connected; a look follows."""
        with self._lock:
            self._ok_mono = self._clock.mono_ms()
            self._status = structs.replace(
                self._status, alive=True, since_ms=self._clock.wall_ms(),
                last_ok_ms=self._clock.wall_ms(), connects=self._status.connects + 1, linked_mono=0,
            )  # fmt: skip

    def look(
        self, terminal: Mapping[str, object], account: Mapping[str, object], wrong: str
    ) -> None:
        """Terminal and account as just read, and how they differ from the pinned ones."""
        with self._lock:
            mono, now = self._clock.mono_ms(), self._status
            linked = bool(terminal.get("connected"))
            # A link that came and went between two looks is shown by nothing; a new one counts.
            since = (now.linked_mono or mono) if linked and not wrong else 0
            self._status = structs.replace(
                now, terminal=terminal, account=account, wrong_account=wrong, linked=linked,
                linked_mono=since, why=_first(wrong, terminal, account),
            )  # fmt: skip

    def busy(self, what: str) -> None:
        """A call begins."""
        with self._lock:
            self._busy_mono = self._clock.mono_ms()
            self._status = structs.replace(
                self._status, busy_with=what, busy_since_ms=self._clock.wall_ms()
            )

    def idle(self, *, ok: bool, ms: float) -> None:
        """A call has ended; `ok`: the terminal answered it."""
        with self._lock:
            now = structs.replace(self._status, busy_with="", busy_since_ms=0)
            if ok:
                self._ok_mono = self._clock.mono_ms()
                now = structs.replace(now, last_ok_ms=self._clock.wall_ms(), ms=f"{ms:.3f}")
            self._busy_mono, self._status = 0, now

    def _down(self, why: str) -> None:
        now = self._status
        since = self._clock.wall_ms() if now.alive else now.since_ms
        self._status = structs.replace(
            now, alive=False, linked=False, linked_mono=0, why=why, since_ms=since
        )

    # --- what others read ------------------------------------------------------------------------

    def read(self) -> LinkStatus:
        """Return the status now: a call that does not end makes it worse by itself."""
        with self._lock:
            now, mono = self._status, self._clock.mono_ms()
            running_ms = mono - self._busy_mono if now.busy_with else 0
            silent_ms = mono - self._ok_mono
        if not now.alive:
            return now
        if now.busy_with == TRADE and running_ms > self._pace.stale_ms:
            why = f"{TRADE} has run for {running_ms / 1000:.0f} s: the terminal or the broker hangs"
            return structs.replace(now, why=why)
        if now.busy_with != TRADE and silent_ms > self._pace.stale_ms:
            what = f"{now.busy_with} hangs" if now.busy_with else "nothing was asked"
            why = f"no call has worked for {silent_ms / 1000:.0f} s, {what}: is it frozen?"
            return structs.replace(now, alive=False, linked=False, linked_mono=0, why=why)
        return now

    def about(self) -> ExecutorState:
        """Return the hop as HEALTH and GET_LIMITS tell it."""
        now = self.read()
        return ExecutorState(
            name=HOP_NAME, alive=now.alive, linked=now.alive and now.linked, why=now.why,
            instance=f"worker {now.generation}, connection {now.connects}",
            since_ms=now.since_ms, ms=now.ms, wrong_account=now.wrong_account, caps=_rows(now),
            note=_note(now)[:400], counters=(("mt5_restarts", now.restarts),),
        )  # fmt: skip


def _first(wrong: str, terminal: Mapping[str, object], account: Mapping[str, object]) -> str:
    if wrong:
        return f"the terminal shows {wrong}: log in to the pinned account, or mend server.toml"
    return halting(terminal, account)


def _note(now: LinkStatus) -> str:
    if not now.connects:
        return ""
    build, login = now.terminal.get("build", 0), now.account.get("login", 0)
    return (
        f"MetaTrader 5 build {build}, package {now.package}, login {login} at "
        f"{now.account.get('server', '')} ({now.kind}, {now.margin_mode}), worker {now.generation}"
    )


def _rows(now: LinkStatus) -> tuple[tuple[str, str], ...]:
    """Return what GET_LIMITS passes on; the doctor judges it."""
    terminal, account = now.terminal, now.account
    ping_us = terminal.get("ping_last")
    return (
        ("mt5_alive", _word(now.alive)),
        ("mt5_why", now.why),
        ("mt5_build", _word(terminal.get("build"))),
        ("mt5_package", now.package),
        ("mt5_path", _word(terminal.get("path"))),
        ("mt5_login", _word(account.get("login"))),
        ("mt5_server", _word(account.get("server"))),
        ("mt5_kind", now.kind if account else ""),
        ("mt5_margin_mode", now.margin_mode if account else ""),
        ("mt5_connected", _word(now.linked)),
        ("mt5_trade_allowed", _word(terminal.get("trade_allowed"))),
        ("mt5_tradeapi_disabled", _word(terminal.get("tradeapi_disabled"))),
        ("mt5_account_trade_allowed", _word(account.get("trade_allowed"))),
        ("mt5_trade_expert", _word(account.get("trade_expert"))),
        ("mt5_ping_ms", f"{ping_us / 1000:.1f}" if isinstance(ping_us, int) else ""),
        ("mt5_last_call", str(now.last_ok_ms)),
        ("mt5_restarts", str(now.restarts)),
        ("mt5_connects", str(now.connects)),
    )


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
