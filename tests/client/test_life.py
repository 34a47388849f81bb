"""Rules 1, 2 and 5: identical bytes before the deadline, questions afterwards, one outcome."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_client.life import Do, OrderLife
from bridge_client.witness import Now
from bridge_core.protocol import limits
from bridge_core.protocol.codes import Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.replies import OrderView

RID = "a" * 32
INC = "b" * 16
WALL = 1_700_000_000_000
TTL = 5_000


def at(ms: int) -> Now:
    return Now(WALL + ms, 1_000 + ms)


def life(*, attested: bool = True) -> OrderLife:
    view = OrderView(rid=RID, attested=attested)
    return OrderLife(view, INC, Deadline(WALL + TTL, 1_000 + TTL))


def said(status: str, code: str = "-", **more: object) -> OrderView:
    return OrderView(rid=RID, status=status, code=code, **more)  # type: ignore[arg-type]


def run(one: OrderLife, until: int, step: int = 10) -> list[tuple[int, Do]]:
    """Drive it without any reply; return what it did when."""
    done: list[tuple[int, Do]] = []
    for ms in range(0, until, step):
        while True:
            todo = one.next(at(ms)).do
            if todo in (Do.PAUSE, Do.END):
                break
            done.append((ms, todo))
            if todo is Do.SEND:
                one.sent(at(ms))
            else:
                one.asked(at(ms), sent=True)
    return done


def test_rule_1_identical_bytes_go_out_again_each_half_second_at_most_three_times() -> None:
    sends = [ms for ms, do in run(life(), 20_000) if do is Do.SEND]
    assert sends == [0, 500, 1000, 1500]


def test_rule_1_no_copy_is_sent_after_the_deadline() -> None:
    one = life()
    assert one.next(at(0)).do is Do.SEND
    one.sent(at(0))
    assert one.next(at(TTL)).do is not Do.SEND
    assert all(do is not Do.SEND for _, do in run(one, 0))


def test_rule_1_a_reported_disconnect_repeats_the_bytes_at_once() -> None:
    one = life()
    one.sent(at(0))
    assert one.next(at(50)).do is Do.PAUSE
    one.reconnected(at(50))
    assert one.next(at(50)).do is Do.SEND


def test_rule_1_after_pending_the_bytes_are_never_sent_again_and_questions_back_off() -> None:
    one = life()
    one.sent(at(0))
    one.replied(said("PENDING"), at(10))
    did = run(one, 60_000)
    assert {do for _, do in did} == {Do.ASK}
    times = [ms for ms, _ in did]
    gaps = [b - a for a, b in pairwise(times)]
    assert times[0] <= 10 + limits.STATUS_FIRST_MS + 10
    assert gaps[:5] == [100, 200, 400, 800, 1600]
    assert max(gaps) == limits.STATUS_BACKOFF_MS_MAX
    one.nudge(at(60_000))
    assert one.next(at(60_000)).do is Do.ASK


def test_rule_2_after_the_deadline_what_was_never_seen_is_fenced_not_sent() -> None:
    one = life()
    one.sent(at(0))
    assert one.next(at(TTL)).do is Do.ASK
    one.asked(at(TTL), sent=True)
    one.never_seen()
    assert one.next(at(TTL + 100)).do is Do.FENCE
    one.asked(at(TTL + 100), sent=True)
    one.fence_said(said("DENIED", "FENCED"))
    assert one.over
    assert one.view.status == Status.DENIED


def test_rule_2_never_seen_before_the_deadline_is_not_fenced_yet() -> None:
    one = life()
    one.sent(at(0))
    one.replied(said("PENDING"), at(0))
    one.never_seen()
    assert one.next(at(200)).do is Do.ASK


@pytest.mark.parametrize("copies", [1, 2])
def test_rule_2_a_stale_incarnation_is_fenced_at_once_and_decides_nothing(copies: int) -> None:
    one = life()
    for copy in range(copies):
        one.sent(at(copy * 500))
    one.replied(said("UNKNOWN", "STALE_INCARNATION"), at(510))
    assert not one.ended
    assert one.next(at(510)).do is Do.FENCE


def test_rule_4_a_recovered_order_is_only_asked_about_and_stale_is_no_proof() -> None:
    one = OrderLife.recovered(OrderView(rid=RID), INC, Deadline(WALL + TTL, 1_000 + TTL))
    assert one.next(at(0)).do is Do.ASK
    one.replied(said("UNKNOWN", "STALE_INCARNATION"), at(1))
    assert not one.ended


def test_rule_5_another_incarnation_is_asked_not_sent_to() -> None:
    one = life()
    one.sent(at(0))
    one.other_run(at(20))
    assert one.next(at(20)).do is Do.ASK
    assert Do.SEND not in {do for _, do in run(one, 30_000)}


def test_rule_0_a_first_copy_that_provably_did_not_leave_is_denied_here() -> None:
    one = life()
    one.not_sent(at(0))
    assert one.over
    assert (one.view.status, one.view.code) == ("DENIED", "NO_CONNECTION")


def test_rule_7_a_denied_without_the_eas_word_is_told_at_once_and_asked_about_further() -> None:
    one = life(attested=False)
    one.sent(at(0))
    one.replied(said("DENIED", "HALTED", attested=False), at(5))
    assert one.ended
    assert not one.over
    assert one.next(at(5_000)).do is Do.ASK
    one.status_said(said("PENDING", attested=False), at(5_010))
    assert one.view.status == "DENIED"
    one.status_said(said("DENIED", "HALTED", attested=True), at(5_020))
    assert one.over


STATUSES = st.sampled_from([*Status, "NEW_WORD"])


@given(st.lists(st.tuples(st.integers(0, 3), STATUSES, st.integers(0, 2_000)), max_size=40))
def test_whatever_arrives_nothing_is_sent_after_the_deadline_or_more_than_four_times(
    script: list[tuple[int, str, int]],
) -> None:
    one, ms, sends = life(), 0, 0
    for kind, status, pause in script:
        todo = one.next(at(ms)).do
        if todo is Do.SEND:
            assert ms < TTL
            sends += 1
            one.sent(at(ms))
        elif todo in (Do.ASK, Do.FENCE):
            one.asked(at(ms), sent=True)
        ended_as = one.view.status if one.over else None
        (one.replied, one.status_said)[kind % 2](said(status), at(ms))
        if kind == 2:
            one.never_seen()
        if ended_as is not None and kind < 2:
            assert one.over  # an outcome is never taken back to "open"
        ms += pause
    assert sends <= 1 + limits.RESENDS_MAX
