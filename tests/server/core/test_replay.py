"""Remembered request ids: none that is live is forgotten, the memory is bounded, full refuses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode
from bridge_server.core.replay import ReplayMemory
from tests.support.builders import NOW

_SKEW = limits.CLOCK_SKEW_MS_MAX
_requests = st.lists(
    st.tuples(
        st.integers(0, 3_000),  # how long after the one before
        st.integers(-_SKEW * 11, _SKEW),  # iat against the server's clock: what may be fresh
        st.integers(limits.TTL_MS_MIN, limits.TTL_MS_MAX),
    ),
    max_size=60,
)


def _rid(number: int) -> str:
    return f"{number:032x}"


@given(_requests, st.integers(1, 40))
def test_no_id_is_forgotten_while_a_copy_could_be_fresh(
    requests: list[tuple[int, int, int]], ids_max: int
) -> None:
    memory, now = ReplayMemory(ids_max), NOW
    live: dict[str, int] = {}
    for number, (later, ahead, ttl) in enumerate(requests, 1):
        now += later
        deadline = now + ahead + ttl
        if memory.admit(_rid(number), deadline, now) is None:
            live[_rid(number)] = deadline
        for rid, until in live.items():
            if now < until + _SKEW:
                assert memory.admit(rid, until, now) is ReasonCode.REPLAYED
        assert len(memory) <= ids_max


@given(_requests, st.integers(1, 10))
def test_a_full_memory_refuses_and_evicts_nobody(
    requests: list[tuple[int, int, int]], ids_max: int
) -> None:
    memory = ReplayMemory(ids_max)
    for number in range(1, ids_max + 1):
        assert memory.admit(_rid(number), NOW + 5_000, NOW) is None
    for number, _ in enumerate(requests, 1_000):
        assert memory.admit(_rid(number), NOW + 5_000, NOW) is ReasonCode.REPLAY_MEMORY_FULL
    assert all(_rid(number) in memory for number in range(1, ids_max + 1))


def test_a_repeat_in_a_full_memory_is_still_told_as_replayed() -> None:
    memory = ReplayMemory(1)
    memory.admit(_rid(1), NOW + 5_000, NOW)
    assert memory.admit(_rid(1), NOW + 5_000, NOW) is ReasonCode.REPLAYED


def test_an_id_is_kept_until_deadline_and_skew_to_the_millisecond() -> None:
    memory = ReplayMemory()
    memory.admit(_rid(1), NOW + 5_000, NOW)
    last = NOW + 5_000 + _SKEW
    assert memory.admit(_rid(1), NOW + 5_000, last) is ReasonCode.REPLAYED
    assert memory.admit(_rid(1), NOW + 5_000, last + 1) is None


def test_dead_ids_make_room() -> None:
    memory = ReplayMemory(1)
    memory.admit(_rid(1), NOW + 200, NOW)
    assert memory.admit(_rid(2), NOW + 5_000, NOW + 300) is ReasonCode.REPLAY_MEMORY_FULL
    assert memory.admit(_rid(2), NOW + 5_000, NOW + 200 + _SKEW + 1) is None
    assert _rid(1) not in memory


def test_an_iat_ten_years_ahead_pins_no_memory_for_longer_than_one_life() -> None:
    # HELLO and PING are asked without freshness, so their iat may be anything.
    memory = ReplayMemory()
    memory.admit(_rid(1), NOW + 10 * 365 * 86_400_000, NOW)
    longest = limits.TTL_MS_MAX + 2 * _SKEW
    assert memory.admit(_rid(1), 0, NOW + longest) is ReasonCode.REPLAYED
    assert memory.admit(_rid(1), 0, NOW + longest + 1) is None


def test_an_id_that_is_dead_on_arrival_is_still_remembered_for_a_moment() -> None:
    memory = ReplayMemory()
    assert memory.admit(_rid(1), NOW - 86_400_000, NOW) is None
    assert memory.admit(_rid(1), NOW - 86_400_000, NOW + _SKEW) is ReasonCode.REPLAYED


def test_a_clock_set_back_forgets_nothing() -> None:
    memory = ReplayMemory()
    memory.admit(_rid(1), NOW + 5_000, NOW)
    assert memory.admit(_rid(1), NOW + 5_000, NOW - 3_600_000) is ReasonCode.REPLAYED


def test_more_queries_than_the_bound_do_not_grow_the_memory() -> None:
    memory = ReplayMemory()
    for number in range(1, limits.REPLAY_IDS_MAX + 1_000):
        memory.admit(_rid(number), NOW + 5_000, NOW)
    assert len(memory) == limits.REPLAY_IDS_MAX
    assert _rid(1) in memory
