"""Token buckets: one for each key id and lane, none for the stop lane."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.operations import Lane
from bridge_core.risk.rates import Rates, TokenBuckets
from tests.support.builders import MONO

_BOUNDED = (Lane.ENTRY, Lane.REDUCE, Lane.SETTLE)
_FIVE = Rates(entry_per_s=5, reduce_per_s=5, settle_per_s=5)


def _passes(buckets: TokenBuckets, at_ms: int, kid: str = "a", lane: Lane = Lane.ENTRY) -> bool:
    return buckets.charge(kid, lane, at_ms) is None


@pytest.mark.parametrize("lane", _BOUNDED)
def test_two_seconds_of_messages_pass_at_once_and_the_next_does_not(lane: Lane) -> None:
    buckets = TokenBuckets(_FIVE)
    assert all(_passes(buckets, MONO, lane=lane) for _ in range(10))
    refusal = buckets.charge("a", lane, MONO)
    assert refusal is not None
    assert (refusal.code, refusal.limit, refusal.headroom) == (ReasonCode.RATE, "5/s", "0")


def test_a_token_comes_back_to_the_millisecond() -> None:
    buckets = TokenBuckets(_FIVE)
    while _passes(buckets, MONO):
        pass
    assert not _passes(buckets, MONO + 199)
    assert _passes(buckets, MONO + 200)
    assert not _passes(buckets, MONO + 200)


def test_asking_again_and_again_neither_delays_nor_hastens_the_next_token() -> None:
    buckets = TokenBuckets(Rates(entry_per_s=50))
    while _passes(buckets, MONO):
        pass
    passed = [at for at in range(1, 2_001) if _passes(buckets, MONO + at)]
    assert passed == list(range(20, 2_001, 20))


def test_the_stop_lane_has_no_bound() -> None:
    buckets = TokenBuckets(Rates(entry_per_s=0, reduce_per_s=0, settle_per_s=0))
    assert all(_passes(buckets, MONO, lane=Lane.STOP) for _ in range(10_000))


def test_a_lane_of_rate_zero_is_shut() -> None:
    assert not _passes(TokenBuckets(Rates(entry_per_s=0)), MONO)


@pytest.mark.parametrize("flooded", _BOUNDED)
def test_a_flooded_lane_starves_no_other(flooded: Lane) -> None:
    buckets = TokenBuckets(_FIVE)
    for _ in range(1_000):
        buckets.charge("a", flooded, MONO)
    for lane in _BOUNDED:
        assert _passes(buckets, MONO, lane=lane) == (lane is not flooded)


def test_a_flooding_key_starves_no_other() -> None:
    buckets = TokenBuckets(_FIVE)
    for _ in range(1_000):
        buckets.charge("a", Lane.ENTRY, MONO)
    assert _passes(buckets, MONO, kid="b")


@given(st.lists(st.integers(0, 500), max_size=200), st.integers(1, 50))
def test_no_pattern_of_messages_passes_more_than_the_rate_and_the_bucket(
    gaps: list[int], per_s: int
) -> None:
    buckets, now, passed = TokenBuckets(Rates(entry_per_s=per_s)), MONO, 0
    for gap in gaps:
        now += gap
        passed += _passes(buckets, now)
        assert passed <= 2 * per_s + (now - MONO) * per_s / 1000


def test_many_keys_together_pass_no_more_entries_than_the_account_may() -> None:
    buckets = TokenBuckets(Rates(entry_per_s=5, account_entry_per_s=8))
    passed = sum(_passes(buckets, MONO, kid=f"kid-{n % 10}") for n in range(1_000))
    assert passed == 16
    refusal = buckets.charge("kid-fresh", Lane.ENTRY, MONO)
    assert refusal is not None
    assert refusal.limit == "account 8/s"
    assert all(_passes(buckets, MONO, kid="kid-0", lane=Lane.REDUCE) for _ in range(100))


def test_what_the_account_refuses_costs_the_key_no_token() -> None:
    buckets = TokenBuckets(Rates(entry_per_s=1, account_entry_per_s=1))
    assert all(_passes(buckets, MONO, kid=kid) for kid in ("a", "b"))
    assert not any(_passes(buckets, MONO, kid="c") for _ in range(50))
    assert _passes(buckets, MONO + 1_000, kid="c")
    assert not _passes(buckets, MONO + 1_000, kid="d")
    assert _passes(buckets, MONO + 2_000, kid="c")


@given(st.integers(1, 100))
def test_a_rested_bucket_holds_two_seconds_and_no_more(per_s: int) -> None:
    buckets = TokenBuckets(Rates(entry_per_s=per_s))
    _passes(buckets, MONO)
    later = MONO + 3_600_000
    assert sum(_passes(buckets, later) for _ in range(3 * per_s)) == 2 * per_s
