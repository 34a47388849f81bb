"""The trading state's keeper: causes, the `halted` file, latches in the journal (protocol.md 12).

A stop takes effect in memory first, then in the fsynced file, then in the log, so that a full or
broken journal cannot keep it from holding.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bridge_core.host.clock import ClockGuard
from bridge_core.host.keyfiles import put_in_place, remove_in_place, sync_folder
from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol import limits
from bridge_core.protocol.views import CauseView
from bridge_server.core.trading_state import CAUSES, Cause, Causes, RaisedCause, TradingState
from bridge_server.journal import Journal

__all__ = ["HALTED_FILE", "Guard", "cause_views", "read_halted", "write_halted"]

HALTED_FILE: Final = "halted"
_FATAL_FILE: Final = "journal_fatal"
_LATCHES: Final = "latches"


def read_halted(path: Path) -> tuple[TradingState, str] | None:
    """Return what the file says, None if there is no file; anything unclear means HALTED."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError:
        return TradingState.HALTED, "the halted file cannot be read"
    line = text.strip(" \t\r\n")  # str.strip() alone also takes control characters away
    word, _, reason = line.partition(" ")
    if word == TradingState.REDUCE_ONLY and len(line.splitlines()) == 1:
        return TradingState.REDUCE_ONLY, reason
    return TradingState.HALTED, reason


def write_halted(path: Path, state: TradingState, rid: str, reason: str) -> None:
    """Write the one line durably: a new file put in the old one's place."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{state.value} {rid} {reason}\n")
        file.flush()
        os.fsync(file.fileno())
    put_in_place(fresh, path)
    sync_folder(path.parent)


def remove_halted(path: Path) -> None:
    """Remove the file durably."""
    remove_in_place(path)
    sync_folder(path.parent)


def cause_views(causes: Causes) -> list[CauseView]:
    """Return the causes in force as HEALTH shows them."""
    return [
        CauseView(
            cause=one.cause,
            kind=CAUSES[one.cause].kind,
            effect=one.state,
            since=one.since_ms,
            symbol=one.symbol,
            reason=one.reason,
            ends=CAUSES[one.cause].ends.format(cause=one.cause),
        )
        for one in causes
    ]


class Guard:
    """Holds the causes. `changed` is called after every change, with the cause and its reason."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        clock_guard: ClockGuard,
        changed: Callable[[str, str], None],
    ) -> None:
        self._path = folder / HALTED_FILE
        self._fatal_path = folder / _FATAL_FILE
        self._journal = journal
        self._clock_guard = clock_guard
        self._changed = changed
        self._unwritten: tuple[TradingState, str, str] | None = None
        self.causes = Causes(self._load())

    def on_change(self, changed: Callable[[str, str], None]) -> None:
        """Say whom to tell of changes."""
        self._changed = changed

    def _load(self) -> list[RaisedCause]:
        raw = self._journal.meta(_LATCHES)
        return msgspec.json.decode(raw, type=list[RaisedCause]) if raw else []

    def start(self, now_ms: int) -> None:
        """Read the files that outlive a journal, and the wall clock's high water."""
        found = read_halted(self._path)
        if found is not None:
            state, reason = found
            self.causes.raise_cause(Cause.OPERATOR, now_ms, reason=reason, state=state)
        fatal = read_halted(self._fatal_path)
        if fatal is not None:
            self.causes.raise_cause(Cause.JOURNAL_FATAL, now_ms, reason=fatal[1])
        high_water = int(self._journal.meta("wall_high_water") or 0)
        if now_ms < high_water - limits.CLOCK_SKEW_MS_MAX:
            behind = f"the clock is {high_water - now_ms} ms behind the last run"
            # Kept: this run writes a high water of its own, which the next would find in order.
            self.latch(Cause.CLOCK_HIGH_WATER, behind, now_ms)

    def stop(self, state: TradingState, rid: str, reason: str, now_ms: int) -> None:
        """HALT or REDUCE_ONLY: memory, file; the caller logs.

        Raises:
            OSError: the file could not be written; the stop holds in memory all the same.
        """
        self.causes.raise_cause(Cause.OPERATOR, now_ms, reason=reason, state=state)
        now = self.causes.get(Cause.OPERATOR)
        held = now.state if now is not None else state
        self._changed(Cause.OPERATOR, reason)
        self._unwritten = (held, rid, reason)
        self.write_stop()

    def write_stop(self) -> None:
        """Write the stop that is not in its file yet, if there is one.

        Raises:
            OSError: the file could not be written.
        """
        if self._unwritten is not None:
            write_halted(self._path, *self._unwritten)
            self._unwritten = None

    def journal_failed(self, reason: str, now_ms: int) -> None:
        """Latch JOURNAL_FATAL in a file of its own: the journal can keep nothing any more.

        Raises:
            OSError: the file could not be written.
        """
        self.causes.raise_cause(Cause.JOURNAL_FATAL, now_ms, reason=reason)
        write_halted(self._fatal_path, TradingState.HALTED, Cause.JOURNAL_FATAL, reason)

    def resume(self, cause: Cause, reason: str) -> None:
        """End a latch, once its log record is durable without it (`persist`): memory, then file."""
        self.causes.resume(cause)
        if cause is Cause.JOURNAL_FATAL:
            remove_halted(self._fatal_path)
        if cause is Cause.OPERATOR:
            self._unwritten = None
            remove_halted(self._path)
        self._changed(cause, reason)

    def latch(self, cause: Cause, reason: str, now_ms: int) -> None:
        """Raise a latch and keep it over restarts; a full journal keeps it as soon as it can."""
        if self.causes.raise_cause(cause, now_ms, reason=reason):
            try:
                with self._journal.transaction():
                    self.persist()
            except JournalFull:
                self.condition(Cause.JOURNAL_FULL, now_ms, present=True)
            self._changed(cause, reason)

    def persist(self, *, but: Cause | None = None) -> None:
        """Write the latches to the journal, inside a transaction (OPERATOR has its own file)."""
        left_out = (Cause.OPERATOR, but)
        kept = [one for one in self.causes.latches() if one.cause not in left_out]
        self._journal.put_meta({_LATCHES: msgspec.json.encode(kept).decode("ascii")})

    def condition(
        self, cause: Cause, now_ms: int, *, present: bool, symbol: str = "", reason: str = ""
    ) -> None:
        """Follow a condition: it holds while present and lingers as its row says."""
        if present:
            changed = self.causes.raise_cause(cause, now_ms, symbol=symbol, reason=reason)
        else:
            changed = self.causes.reason_gone(cause, now_ms, symbol=symbol)
        if changed:
            self._changed(cause, reason or symbol)

    def observe_clock(self, wall_ms: int, mono_ms: int) -> bool:
        """Compare both clocks; returns whether entries may rely on them."""
        healthy = self._clock_guard.observe(wall_ms, mono_ms)
        # The guard itself waits until the offset is stable, so the cause lingers no second time.
        self.condition(
            Cause.CLOCK,
            wall_ms,
            present=not healthy,
            reason="the wall clock jumped" if not healthy else "",
        )
        return healthy
