"""Which EA is the one: adoption, staleness, goodbye, two at once, and whose account it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_server.backends.ea_hop import Beat
from bridge_server.backends.ea_session import Pins, Sessions

A, B, C = "a" * 16, "b" * 16, "c" * 16
PINS = Pins(login=1, server="S", kind="demo")
STALE = limits.EA_STALE_MS


def beat(instance: str = A, **over: Any) -> Beat:
    fields: dict[str, Any] = {
        "instance": instance, "clock": 1_000, "account": 1, "server": "S", "kind": "demo",
    }  # fmt: skip
    return Beat(**fields | over)


def greet(sessions: Sessions, instance: str, mono: int, *, hello: bool = False) -> Any:
    return sessions.greet(instance.encode(), beat(instance), 1_000, mono, hello=hello)


def test_the_first_is_adopted_by_hello_and_by_beat_and_welcomed() -> None:
    for hello in (True, False):
        heard = greet(Sessions(PINS), A, 0, hello=hello)
        assert (heard.ours, heard.welcome, heard.adopted) == (True, True, True)


def test_a_second_beat_needs_no_welcome_a_second_hello_does() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    assert not greet(sessions, A, 10).welcome
    again = greet(sessions, A, 20, hello=True)
    assert (again.welcome, again.adopted) == (True, False)


def test_the_same_instance_over_a_new_connection_is_welcomed_and_answered_there() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    heard = sessions.greet(b"new", beat(A), 1_000, 5, hello=False)
    assert heard.welcome
    assert sessions.status.route == b"new"


def test_silence_for_three_seconds_is_stale_and_one_millisecond_less_is_not() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    assert sessions.status.alive(STALE - 1)
    assert not sessions.status.alive(STALE)


def test_busy_keeps_it_alive_for_a_minute_and_a_beat_ends_that() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    sessions.busy(10)
    assert sessions.status.alive(10 + limits.EA_BUSY_MS_MAX - 1)
    assert not sessions.status.alive(10 + limits.EA_BUSY_MS_MAX)
    greet(sessions, A, 20)
    assert not sessions.status.alive(20 + STALE)


def test_a_goodbye_ends_it_at_once_also_while_busy() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    sessions.busy(0)
    assert sessions.bye(A)
    assert not sessions.status.alive(1)
    assert not sessions.bye(B)


def test_another_is_adopted_after_goodbye_or_three_seconds_of_silence_and_not_before() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    assert not greet(sessions, B, STALE - 1).ours
    assert greet(sessions, B, STALE).adopted
    sessions.bye(B)
    assert greet(sessions, C, STALE + 1).adopted


def test_one_that_hangs_in_a_broker_call_is_replaced_after_three_seconds() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    sessions.busy(0)
    assert greet(sessions, B, STALE).adopted


def test_two_that_both_go_on_speaking_are_noticed_within_two_beats() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    assert not greet(sessions, B, 100).twice
    assert not greet(sessions, A, 1_000).twice
    greet(sessions, B, 1_100)
    assert greet(sessions, A, 2_000).twice


def test_the_older_is_heard_by_its_connection_too() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    greet(sessions, B, STALE)
    assert not sessions.hear(A.encode(), STALE + limits.EA_TWICE_MS).twice
    late = sessions.hear(A.encode(), STALE + limits.EA_TWICE_MS + 1)
    assert late.twice
    assert not late.ours


def test_a_restart_is_not_two() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    greet(sessions, B, 500, hello=True)  # A was killed without a word
    greet(sessions, B, 1_500, hello=True)
    greet(sessions, B, 2_500, hello=True)
    heard = greet(sessions, B, STALE, hello=True)
    assert heard.adopted
    assert not greet(sessions, B, STALE + 1_000).twice


def test_two_restarts_within_three_seconds_are_not_two() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    greet(sessions, B, 1_900, hello=True)  # A was killed without a word, and so is B at once
    assert greet(sessions, C, 3_400, hello=True).adopted
    assert not greet(sessions, C, 3_600).twice
    assert not greet(sessions, C, 4_600).twice


def test_one_that_waited_and_goes_on_speaking_beside_the_adopted_one_is_a_second() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    greet(sessions, B, 1_900, hello=True)
    assert greet(sessions, C, 3_400, hello=True).adopted
    greet(sessions, B, 3_900, hello=True)
    assert not greet(sessions, C, 4_000).twice  # that may have been under way
    greet(sessions, B, 4_900, hello=True)
    assert greet(sessions, C, 5_000).twice


_LIVES = st.lists(st.tuples(st.integers(50, 6_000), st.integers(0, 2_500)), min_size=2, max_size=6)


@given(_LIVES, st.sampled_from([200, 1_000]))
def test_lives_one_after_the_other_are_never_two(lives: list[tuple[int, int]], every: int) -> None:
    sessions, at = Sessions(PINS), 0
    for number, (life, gap) in enumerate(lives):
        for mono in range(at, at + life + 1, every):
            assert not greet(sessions, f"{number:016x}", mono, hello=True).twice
        at += life + gap


@given(st.integers(0, 3_000))
def test_two_that_speak_each_second_are_always_noticed(apart_ms: int) -> None:
    sessions, beats = Sessions(PINS), range(0, 8_000, limits.EA_BEAT_PERIOD_MS)
    said = sorted([*((mono, A) for mono in beats), *((mono + apart_ms, B) for mono in beats)])
    assert any(greet(sessions, one, mono).twice for mono, one in said)


def test_a_newer_one_that_said_goodbye_is_no_second() -> None:
    sessions = Sessions(PINS)
    greet(sessions, A, 0)
    greet(sessions, B, 100)
    sessions.bye(B)
    assert not greet(sessions, A, 2_000).twice


def test_a_connection_that_nobody_named_is_a_stranger() -> None:
    assert Sessions(PINS).hear(b"?", 0).stranger


@pytest.mark.parametrize("over", [{"account": 2}, {"server": "T"}, {"kind": "real"}])
def test_every_part_of_the_identity_counts(over: dict[str, Any]) -> None:
    sessions = Sessions(PINS)
    sessions.greet(b"r", beat(**over), 1_000, 0, hello=True)
    assert sessions.status.wrong_account
    assert str(next(iter(over.values()))) in sessions.status.wrong_account


def test_the_clocks_distance_is_its_clock_minus_ours() -> None:
    sessions = Sessions(None)
    sessions.greet(b"r", beat(clock=900), 1_000, 0, hello=True)
    assert (sessions.status.clock_ms, sessions.status.wrong_account) == (-100, "")


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 4_000)), max_size=300))
def test_never_are_two_adopted_at_once_and_memory_is_bounded(steps: list[tuple[int, int]]) -> None:
    sessions, now = Sessions(PINS), 0
    last_spoke: dict[str, int] = {}
    for number, gap in steps:
        now += gap
        instance = f"{number:016x}"
        before = sessions.status.instance
        heard = greet(sessions, instance, now)
        if heard.adopted and before:
            assert now - last_spoke[before] >= STALE
        if heard.ours:
            last_spoke[instance] = now
    assert len(sessions._routes) <= 64
