"""The keeper of the trading state, with real `halted` files and a real journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge_core.host.clock import ClockGuard
from bridge_core.protocol import limits
from bridge_server.core.trading_state import Cause, TradingState
from bridge_server.guard import HALTED_FILE, Guard, cause_views, read_halted, write_halted
from bridge_server.journal import Journal
from tests.support.builders import MONO, NOW, RID

_A, _R, _H = TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.HALTED


class Kept(NamedTuple):
    """A guard, the folder its file is in, its journal, and what it told."""

    guard: Guard
    folder: Path
    journal: Journal
    told: list[tuple[str, str]]

    @property
    def file(self) -> Path:
        return self.folder / HALTED_FILE

    def again(self, now_ms: int = NOW) -> Guard:
        """Return the guard of the next run: the same folder and journal, another memory."""
        guard = Guard(self.folder, self.journal, ClockGuard(now_ms, MONO), lambda *_: None)
        guard.start(now_ms)
        return guard


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    journal = Journal(tmp_path / "journal.db")
    told: list[tuple[str, str]] = []
    guard = Guard(tmp_path, journal, ClockGuard(NOW, MONO), lambda *what: told.append(what))
    guard.start(NOW)
    yield Kept(guard, tmp_path, journal, told)
    journal.close()


# --- the file --------------------------------------------------------------------------------


def test_without_a_file_nothing_is_halted(tmp_path: Path) -> None:
    assert read_halted(tmp_path / HALTED_FILE) is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"HALTED 0f1e news\n", (_H, "0f1e news")),
        (b"REDUCE_ONLY 0f1e lunch\n", (_R, "0f1e lunch")),
        (b"REDUCE_ONLY", (_R, "")),
        (b"  REDUCE_ONLY by hand\r\n", (_R, "by hand")),
        (b"", (_H, "")),
        (b"\n", (_H, "")),
        (b"reduce_only\n", (_H, "")),
        (b"ACTIVE\n", (_H, "")),
        (b"REDUCE_ONLYX\n", (_H, "")),
        (b"REDUCE_ONLY by hand\nHALTED by another\n", (_H, "by hand\nHALTED by another")),
        (b"\xff\xfe\x00garbage", None),
        (b"\x00" * 4096, None),
    ],
    ids=["halted", "reduce only", "no reason", "by hand", "empty", "blank", "lower case",
         "another word", "a longer word", "two lines", "not text", "zeros"],
)  # fmt: skip
def test_the_halted_file_is_read_as_one_line_and_anything_unclear_means_halted(
    tmp_path: Path, content: bytes, found: tuple[TradingState, str] | None
) -> None:
    (tmp_path / HALTED_FILE).write_bytes(content)
    read = read_halted(tmp_path / HALTED_FILE)
    assert read is not None
    assert read == found if found is not None else read[0] is _H


def test_a_halted_file_that_cannot_be_read_means_halted(tmp_path: Path) -> None:
    (tmp_path / HALTED_FILE).mkdir()
    read = read_halted(tmp_path / HALTED_FILE)
    assert read is not None
    assert read[0] is _H


@pytest.mark.parametrize("state", [_R, _H])
def test_what_is_written_is_read_back_and_nothing_else_is_left(
    tmp_path: Path, state: TradingState
) -> None:
    write_halted(tmp_path / HALTED_FILE, state, RID, "news at eight")
    write_halted(tmp_path / HALTED_FILE, state, RID, "news at nine")
    assert read_halted(tmp_path / HALTED_FILE) == (state, f"{RID} news at nine")
    assert [path.name for path in tmp_path.iterdir()] == [HALTED_FILE]


# --- stopping and resuming -------------------------------------------------------------------


@pytest.mark.parametrize("state", [_R, _H])
def test_a_stop_holds_at_once_and_after_a_restart(kept: Kept, state: TradingState) -> None:
    kept.guard.stop(state, RID, "news", NOW)
    assert kept.guard.causes.state() is state
    assert kept.told == [("OPERATOR", "news")]
    assert kept.again().causes.state() is state


def test_a_stop_that_cannot_be_written_holds_in_memory(kept: Kept) -> None:
    kept.file.mkdir()
    (kept.file / "in the way").touch()
    with pytest.raises(OSError, match=HALTED_FILE):
        kept.guard.stop(_H, RID, "news", NOW)
    assert kept.guard.causes.state() is _H


def test_reduce_only_after_a_halt_does_not_make_the_file_milder(kept: Kept) -> None:
    kept.guard.stop(_H, RID, "news", NOW)
    kept.guard.stop(_R, RID, "calmer", NOW + 1)
    assert kept.guard.causes.state() is _H
    assert kept.again().causes.state() is _H


def test_a_file_made_by_hand_halts_the_next_start(kept: Kept) -> None:
    kept.file.touch()
    assert kept.again().causes.state() is _H


def test_resume_ends_the_halt_and_removes_the_file(kept: Kept) -> None:
    kept.guard.stop(_H, RID, "news", NOW)
    kept.guard.resume(Cause.OPERATOR, "checked")
    assert kept.guard.causes.state() is _A
    assert not kept.file.exists()
    assert kept.told[-1] == ("OPERATOR", "checked")
    assert kept.again().causes.state() is _A


def test_resume_of_another_latch_leaves_the_file(kept: Kept) -> None:
    kept.guard.stop(_H, RID, "news", NOW)
    kept.guard.latch(Cause.GHOST_FILL, "ticket 5", NOW)
    kept.guard.resume(Cause.GHOST_FILL, "explained")
    assert kept.file.exists()
    assert kept.guard.causes.state() is _H


# --- latches ---------------------------------------------------------------------------------


def test_a_latch_survives_a_restart_with_its_reason(kept: Kept) -> None:
    kept.guard.latch(Cause.GHOST_FILL, "ticket 5", NOW)
    held = kept.again(NOW + 60_000).causes.get(Cause.GHOST_FILL)
    assert held is not None
    assert (held.reason, held.since_ms, held.state) == ("ticket 5", NOW, _H)
    assert kept.told == [("GHOST_FILL", "ticket 5")]


def test_a_latch_raised_again_is_told_once(kept: Kept) -> None:
    kept.guard.latch(Cause.GHOST_FILL, "ticket 5", NOW)
    kept.guard.latch(Cause.GHOST_FILL, "ticket 6", NOW + 1)
    assert len(kept.told) == 1


def _persist_and_fail(kept: Kept) -> None:
    with kept.journal.transaction():
        kept.guard.persist(but=Cause.GHOST_FILL)
        raise RuntimeError


def test_a_latch_is_gone_from_the_journal_only_when_that_was_committed(kept: Kept) -> None:
    kept.guard.latch(Cause.GHOST_FILL, "ticket 5", NOW)
    with pytest.raises(RuntimeError):
        _persist_and_fail(kept)
    assert kept.guard.causes.state() is _H
    assert kept.again().causes.state() is _H
    with kept.journal.transaction():
        kept.guard.persist(but=Cause.GHOST_FILL)
    kept.guard.resume(Cause.GHOST_FILL, "explained")
    assert kept.guard.causes.state() is _A
    assert kept.again().causes.state() is _A


def test_conditions_begin_clear_after_a_restart(kept: Kept) -> None:
    kept.guard.condition(Cause.BROKER_LINK, NOW, present=True)
    kept.guard.latch(Cause.BREAKER, "five rejections", NOW)
    assert [one.cause for one in kept.again().causes] == [Cause.BREAKER]


# --- conditions ------------------------------------------------------------------------------


def test_a_condition_is_told_when_it_comes_and_when_it_has_gone(kept: Kept) -> None:
    for later, present in ((0, True), (1, True), (1_000, False), (30_999, False), (31_000, False)):
        kept.guard.condition(
            Cause.BROKER_LINK, NOW + later, present=present, reason="cable" if present else ""
        )
    assert kept.told == [("BROKER_LINK", "cable"), ("BROKER_LINK", "")]
    assert kept.guard.causes.state() is _A


def test_a_condition_of_a_symbol_is_told_with_its_symbol(kept: Kept) -> None:
    kept.guard.condition(Cause.UNKNOWN, NOW, present=True, symbol="EURUSD")
    assert kept.told == [("UNKNOWN", "EURUSD")]


def test_who_is_told_can_be_set_later(kept: Kept) -> None:
    later: list[tuple[str, str]] = []
    kept.guard.on_change(lambda *what: later.append(what))
    kept.guard.condition(Cause.RECOVERING, NOW, present=True, reason="start")
    assert (later, kept.told) == ([("RECOVERING", "start")], [])


# --- clocks ----------------------------------------------------------------------------------


def test_a_wall_clock_that_jumps_closes_entries_for_30_s_and_no_longer(kept: Kept) -> None:
    assert kept.guard.observe_clock(NOW, MONO)
    assert not kept.guard.observe_clock(NOW + 3_600_000, MONO + 10)
    assert kept.guard.causes.state() is _R
    stable = MONO + 10 + limits.CLOCK_STABLE_MS
    assert not kept.guard.observe_clock(NOW + 3_600_000 + 29_999, stable - 1)
    assert kept.guard.causes.state() is _R
    assert kept.guard.observe_clock(NOW + 3_600_000 + 30_000, stable)
    assert kept.guard.causes.state() is _A


@pytest.mark.parametrize(
    ("behind_ms", "state"), [(0, _A), (1_000, _A), (1_001, _H), (86_400_000, _H)]
)
def test_a_clock_behind_the_last_run_halts_to_the_millisecond(
    kept: Kept, behind_ms: int, state: TradingState
) -> None:
    kept.journal.put_meta({"wall_high_water": str(NOW)})
    guard = kept.again(NOW - behind_ms)
    assert guard.causes.state() is state
    if state is _H:
        held = guard.causes.get(Cause.CLOCK_HIGH_WATER)
        assert held is not None
        assert f"{behind_ms} ms" in held.reason


def test_a_clock_behind_the_last_run_halts_until_resumed_also_over_further_restarts(
    kept: Kept,
) -> None:
    kept.journal.put_meta({"wall_high_water": str(NOW)})
    kept.again(NOW - 3_600_000)
    kept.journal.put_meta({"wall_high_water": str(NOW - 3_600_000)})  # what that run writes
    assert kept.again(NOW - 3_500_000).causes.state() is _H


# --- what health shows -----------------------------------------------------------------------


def test_health_says_of_each_cause_its_kind_its_effect_and_what_ends_it(kept: Kept) -> None:
    kept.guard.stop(_R, RID, "lunch", NOW)
    kept.guard.condition(Cause.UNKNOWN, NOW + 1, present=True, symbol="EURUSD", reason="order 5")
    operator, unknown = cause_views(kept.guard.causes)
    assert (operator.cause, operator.kind, operator.effect) == ("OPERATOR", "latch", "REDUCE_ONLY")
    assert operator.ends == "ztb resume --operator DIR --cause OPERATOR --reason TEXT"
    assert (unknown.symbol, unknown.since, unknown.reason) == ("EURUSD", NOW + 1, "order 5")
    assert unknown.kind == "condition"
