"""Silence is counted from signing, fires once, and outlives the process (protocol.md 12.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_server.core.dead_man import SCOPES, DeadManPolicy, Mark, Sequences, Silence

AFTER = 10_000


def _silence(mark: Mark = Mark(), mono: int = 0) -> Silence:  # noqa: B008  frozen
    return Silence(AFTER, mark, mono)


def test_without_a_first_beat_it_never_fires() -> None:
    silence = _silence()
    assert silence.state == "waiting"
    assert not silence.due(10**9)


def test_it_fires_at_the_bound_and_once() -> None:
    silence = _silence()
    assert silence.beat(1_000, 0)
    assert (silence.state, silence.due(10_999), silence.due(11_000)) == ("armed", False, True)
    silence.fire(5, done=False)
    assert (silence.state, silence.mark.fired_ms, silence.mark.done) == ("fired", 5, False)
    assert not silence.due(10**9)


def test_a_firing_at_no_time_is_a_firing() -> None:
    silence = _silence(Mark(armed=True))
    silence.fire(0, done=True)
    assert (silence.state, silence.mark.done) == ("fired", True)


def test_a_beat_counts_from_when_it_was_signed() -> None:
    silence = _silence()
    silence.beat(5_000, 4_000)
    assert silence.ms(5_000) == 4_000
    silence.beat(6_000, 5_500)  # an older one, held longer
    assert silence.ms(6_000) == 5_000
    silence.beat(7_000, -300)  # a clock that is ahead buys no time
    assert silence.ms(7_000) == 0
    assert silence.ms(6_900) == 0


def test_a_beat_that_is_itself_too_old_does_not_arm_it_anew() -> None:
    silence = _silence(Mark(armed=True))
    silence.fire(1, done=False)
    assert not silence.beat(20_000, AFTER)
    assert silence.state == "fired"
    assert silence.beat(20_001, 0)
    assert (silence.state, silence.mark) == ("armed", Mark(armed=True))
    assert not silence.beat(20_002, 0)


def test_what_was_armed_is_armed_after_a_restart_and_counts_from_there() -> None:
    silence = _silence(Mark(armed=True), mono=50_000)
    assert (silence.state, silence.due(59_999), silence.due(60_000)) == ("armed", False, True)


def test_what_has_fired_has_fired_after_a_restart() -> None:
    silence = _silence(Mark(armed=True, fired_ms=7, rid="ab", tries=1))
    assert (silence.state, silence.due(10**9)) == ("fired", False)
    assert silence.tried("cd") == Mark(armed=True, fired_ms=7, rid="cd", tries=2)


def test_only_the_policies_that_clear_away_have_a_scope() -> None:
    assert set(DeadManPolicy) - set(SCOPES) == {DeadManPolicy.REDUCE_ONLY}


def test_the_number_of_a_key_id_only_grows_and_is_its_own() -> None:
    numbers = Sequences()
    assert numbers.behind("a-1", 5) is None
    assert numbers.behind("a-1", 5) == 5
    assert numbers.behind("a-1", 4) == 5
    assert numbers.behind("b-1", 1) is None
    assert numbers.behind("a-1", 6) is None


@given(st.lists(st.tuples(st.integers(1, 8_000), st.integers(0, 5_000), st.booleans()),
                max_size=60))  # fmt: skip
def test_it_fires_exactly_when_nothing_signed_in_time_was_heard(
    steps: list[tuple[int, int, bool]],
) -> None:
    silence, now, last, armed, fired = _silence(), 0, 0, False, False
    for passed, age, beats in steps:
        now += passed
        if beats:
            last = max(last, now - age)
            if now - last < AFTER:
                armed, fired = True, False
            silence.beat(now, age)
        wanted = armed and not fired and now - last >= AFTER
        assert silence.due(now) is wanted
        if wanted:
            silence.fire(now, done=False)
            fired = True
        assert silence.state == ("fired" if fired else "armed" if armed else "waiting")


@pytest.mark.parametrize("policy", list(DeadManPolicy))
def test_the_words_of_the_configuration_are_the_policies(policy: DeadManPolicy) -> None:
    assert DeadManPolicy(policy.value) is policy
