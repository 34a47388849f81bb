"""Causes and the state they make: the worst counts, latches stay, conditions linger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode
from bridge_server.core.trading_state import (
    CAUSES,
    MATRIX,
    Act,
    Cause,
    Causes,
    Kind,
    RaisedCause,
    TradingState,
    refused_by_state,
)
from tests.support.builders import NOW

_A, _R, _H = TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.HALTED
_RANK = {_A: 0, _R: 1, _H: 2}
_LATCHES = [cause for cause, spec in CAUSES.items() if spec.kind is Kind.LATCH]
_CONDITIONS = [cause for cause, spec in CAUSES.items() if spec.kind is Kind.CONDITION]
_LINGERING = [cause for cause in _CONDITIONS if CAUSES[cause].linger_ms]
_LINGER = limits.CONDITION_CLEAR_MS


# --- the table -------------------------------------------------------------------------------


def test_the_conditions_are_those_of_the_recovery_page() -> None:
    assert {str(cause) for cause in _CONDITIONS} == {
        "RECOVERING", "UNKNOWN", "JOURNAL_FULL", "CLOCK", "BROKER_LINK", "EA_STALE", "HEARTBEAT",
        "STALE_ACCOUNT",
    }  # fmt: skip


def test_every_condition_means_reduce_only() -> None:
    assert {CAUSES[cause].state for cause in _CONDITIONS} == {_R}


def test_links_and_stale_data_linger_and_the_rest_ends_at_once() -> None:
    # CLOCK too takes 30 s: ClockGuard itself waits for them, so its cause does not wait again.
    assert set(_LINGERING) == {
        Cause.BROKER_LINK, Cause.EA_STALE, Cause.HEARTBEAT, Cause.STALE_ACCOUNT,
    }  # fmt: skip


def test_every_latch_says_how_an_operator_ends_it() -> None:
    assert all("ztb resume --operator DIR --cause" in CAUSES[cause].ends for cause in _LATCHES)


# --- the matrix ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(TradingState))
@pytest.mark.parametrize("act", list(Act))
def test_the_code_does_what_the_matrix_says(state: TradingState, act: Act) -> None:
    helps = refused_by_state(state, act, helps=True)
    hinders = refused_by_state(state, act, helps=False)
    words = MATRIX[state, act]
    refused = {_R: ReasonCode.REDUCE_ONLY, _H: ReasonCode.HALTED}.get(state)
    if words == "yes":
        assert (helps, hinders) == (None, None)
    elif words == "no":
        assert (helps, hinders) == (refused, refused)
    else:
        assert words.startswith(("only if", "yes, unless"))
        assert (helps, hinders) == (None, refused)


@pytest.mark.parametrize("state", list(TradingState))
def test_no_state_refuses_what_only_reduces(state: TradingState) -> None:
    assert refused_by_state(state, Act.REDUCE, helps=False) is None


# --- causes ----------------------------------------------------------------------------------


def test_without_causes_the_account_is_active() -> None:
    assert Causes().state() is _A


@given(st.lists(st.tuples(st.sampled_from(list(Cause)), st.sampled_from([None, _R, _H]))))
def test_the_state_is_the_worst_of_the_causes(
    raised: list[tuple[Cause, TradingState | None]],
) -> None:
    causes = Causes()
    for cause, state in raised:
        causes.raise_cause(cause, NOW, state=state)
    worst = max((_RANK[state or CAUSES[cause].state] for cause, state in raised), default=0)
    assert _RANK[causes.state()] == worst


@given(st.sampled_from(list(Cause)), st.lists(st.sampled_from([None, _R, _H]), min_size=1))
def test_a_cause_never_gets_milder_by_being_raised_again(
    cause: Cause, states: list[TradingState | None]
) -> None:
    causes, before = Causes(), 0
    for state in states:
        causes.raise_cause(cause, NOW, state=state)
        assert _RANK[causes.state()] >= before
        before = _RANK[causes.state()]


def test_reduce_only_after_a_halt_leaves_the_halt() -> None:
    causes = Causes()
    assert causes.raise_cause(Cause.OPERATOR, NOW, reason="news", state=_H)
    assert not causes.raise_cause(Cause.OPERATOR, NOW + 1, reason="calmer", state=_R)
    held = causes.get(Cause.OPERATOR)
    assert held is not None
    assert (held.state, held.reason, held.since_ms) == (_H, "news", NOW)


def test_a_halt_after_reduce_only_halts_and_keeps_since_when() -> None:
    causes = Causes()
    causes.raise_cause(Cause.OPERATOR, NOW, reason="lunch", state=_R)
    assert causes.raise_cause(Cause.OPERATOR, NOW + 1, reason="news", state=_H)
    held = causes.get(Cause.OPERATOR)
    assert held is not None
    assert (held.state, held.reason, held.since_ms) == (_H, "news", NOW)


def test_a_cause_raised_again_without_a_reason_keeps_the_one_it_had() -> None:
    causes = Causes()
    causes.raise_cause(Cause.OPERATOR, NOW, reason="lunch", state=_R)
    causes.raise_cause(Cause.OPERATOR, NOW, state=_H)
    held = causes.get(Cause.OPERATOR)
    assert held is not None
    assert held.reason == "lunch"


def test_raising_what_is_in_force_changes_nothing() -> None:
    causes = Causes()
    assert causes.raise_cause(Cause.BROKER_LINK, NOW)
    assert not causes.raise_cause(Cause.BROKER_LINK, NOW + 1)


def test_an_unknown_order_lowers_its_own_symbol_only() -> None:
    causes = Causes()
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="EURUSD")
    assert (causes.state("EURUSD"), causes.state("USDJPY"), causes.state()) == (_R, _A, _A)


def test_an_account_wide_cause_lowers_every_symbol() -> None:
    causes = Causes()
    causes.raise_cause(Cause.RECOVERING, NOW)
    assert causes.state("EURUSD") is _R


def test_causes_are_listed_oldest_first() -> None:
    causes = Causes()
    causes.raise_cause(Cause.OPERATOR, NOW + 5)
    causes.raise_cause(Cause.CLOCK, NOW)
    assert [one.cause for one in causes] == [Cause.CLOCK, Cause.OPERATOR]


# --- how they end ----------------------------------------------------------------------------


@pytest.mark.parametrize("cause", _LATCHES)
def test_a_latch_does_not_end_by_itself(cause: Cause) -> None:
    causes = Causes()
    causes.raise_cause(cause, NOW)
    assert not causes.reason_gone(cause, NOW + 10 * 86_400_000)
    assert causes.state() is CAUSES[cause].state


@pytest.mark.parametrize("cause", _LATCHES)
def test_a_latch_ends_by_resume_and_only_once(cause: Cause) -> None:
    causes = Causes()
    causes.raise_cause(cause, NOW)
    assert causes.resume(cause)
    assert not causes.resume(cause)
    assert causes.state() is _A


@pytest.mark.parametrize("cause", _CONDITIONS)
def test_no_operator_can_resume_a_condition(cause: Cause) -> None:
    causes = Causes()
    causes.raise_cause(cause, NOW)
    assert not causes.resume(cause)
    assert causes.state() is _R


def test_resuming_one_latch_leaves_the_others() -> None:
    causes = Causes()
    causes.raise_cause(Cause.OPERATOR, NOW)
    causes.raise_cause(Cause.GHOST_FILL, NOW)
    causes.resume(Cause.OPERATOR)
    assert causes.state() is _H


@pytest.mark.parametrize("cause", sorted(set(_CONDITIONS) - set(_LINGERING)))
def test_a_condition_without_linger_ends_with_its_reason(cause: Cause) -> None:
    causes = Causes()
    causes.raise_cause(cause, NOW)
    assert causes.reason_gone(cause, NOW)
    assert causes.state() is _A


@pytest.mark.parametrize("cause", _LINGERING)
def test_a_lingering_condition_ends_after_30_s_to_the_millisecond(cause: Cause) -> None:
    causes = Causes()
    causes.raise_cause(cause, NOW)
    assert not causes.reason_gone(cause, NOW + 100)
    assert not causes.reason_gone(cause, NOW + 100 + _LINGER - 1)
    assert causes.state() is _R
    assert causes.reason_gone(cause, NOW + 100 + _LINGER)
    assert causes.state() is _A


def test_a_link_that_flaps_does_not_flap_the_state() -> None:
    causes = Causes()
    causes.raise_cause(Cause.BROKER_LINK, NOW, reason="cable")
    causes.reason_gone(Cause.BROKER_LINK, NOW + 1_000)
    assert causes.raise_cause(Cause.BROKER_LINK, NOW + 30_000)  # back again: the 30 s begin anew
    assert not causes.reason_gone(Cause.BROKER_LINK, NOW + 31_500)
    held = causes.get(Cause.BROKER_LINK)
    assert held is not None
    assert (held.since_ms, held.reason, held.gone_ms) == (NOW, "cable", NOW + 31_500)


def test_the_end_of_what_never_was_is_nothing() -> None:
    assert not Causes().reason_gone(Cause.BROKER_LINK, NOW)


def test_the_end_of_one_symbols_condition_leaves_the_others() -> None:
    causes = Causes()
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="EURUSD")
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="USDJPY")
    assert causes.reason_gone(Cause.UNKNOWN, NOW, symbol="EURUSD")
    assert (causes.state("EURUSD"), causes.state("USDJPY")) == (_A, _R)


_steps = st.lists(
    st.tuples(
        st.sampled_from(["raise", "gone", "resume"]),
        st.sampled_from(list(Cause)),
        st.integers(0, 40_000),
    ),
    max_size=40,
)


@given(_steps)
def test_nothing_but_resume_ever_ends_a_latch(steps: list[tuple[str, Cause, int]]) -> None:
    causes, now, latched = Causes(), NOW, set()
    for word, cause, later in steps:
        now += later
        match word:
            case "raise":
                causes.raise_cause(cause, now)
                latched |= {cause} & set(_LATCHES)
            case "gone":
                causes.reason_gone(cause, now)
            case _:
                causes.resume(cause)
                latched -= {cause}
        assert {one.cause for one in causes.latches()} == latched


@given(st.sets(st.sampled_from(list(Cause))))
def test_latches_survive_a_restart_and_conditions_begin_clear(raised: set[Cause]) -> None:
    causes = Causes()
    for cause in raised:
        causes.raise_cause(cause, NOW)
    again = Causes(causes.latches())
    assert {one.cause for one in again} == raised & set(_LATCHES)


def test_a_latch_comes_back_as_it_was() -> None:
    latch = RaisedCause(cause=Cause.GHOST_FILL, since_ms=NOW, state=_H, reason="ticket 5")
    assert list(Causes([latch])) == [latch]
