"""Each step of an order's life to the millisecond: what to do next, and until when to wait."""

from __future__ import annotations

from bridge_client.life import Do, OrderLife, Step
from bridge_client.witness import Now
from bridge_core.protocol import limits
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.replies import OrderView

RID = "a" * 32
INC = "b" * 16
WALL = 1_700_000_000_000
TTL = 5_000
MONO = 1_000  # the monotonic clock at 0


def at(ms: int) -> Now:
    return Now(WALL + ms, MONO + ms)


def life(*, attested: bool = True) -> OrderLife:
    view = OrderView(rid=RID, attested=attested)
    return OrderLife(view, INC, Deadline(WALL + TTL, MONO + TTL))


def recovered() -> OrderLife:
    return OrderLife.recovered(OrderView(rid=RID), INC, Deadline(WALL + TTL, MONO + TTL))


def said(status: str, code: str = "-", **more: object) -> OrderView:
    return OrderView(rid=RID, status=status, code=code, **more)  # type: ignore[arg-type]


def pause(ms: int) -> Step:
    return Step(Do.PAUSE, MONO + ms)


def asking() -> OrderLife:
    """One copy sent at 0, PENDING heard at 0, the first question asked at 100."""
    one = life()
    one.sent(at(0))
    one.replied(said("PENDING"), at(0))
    one.asked(at(100), sent=True)
    return one


def test_it_begins_with_the_bytes_and_knows_its_run() -> None:
    one = life()
    assert (one.inc, one.sent_copies) == (INC, 0)
    assert one.next(at(0)) == Step(Do.SEND, 0)
    assert OrderLife(one.view, INC, Deadline(WALL + TTL, TTL)).next(Now(WALL, 0)).do is Do.SEND


def test_a_copy_counts_and_the_next_waits_its_half_second() -> None:
    one = life()
    one.sent(at(0))
    assert one.sent_copies == 1
    assert one.next(at(100)) == pause(500)
    assert one.next(at(499)) == pause(500)
    assert one.next(at(500)) == Step(Do.SEND)


def test_a_pause_before_the_deadline_never_outlasts_it() -> None:
    one = life()
    one.sent(at(4_800))
    assert one.next(at(4_900)) == pause(TTL)
    assert one.next(at(TTL)).do is Do.ASK


def test_after_the_last_copy_it_waits_its_turn_before_it_asks() -> None:
    one = life()
    for ms in (0, 500, 1_000, 1_500):
        one.sent(at(ms))
    assert one.next(at(1_600)) == pause(2_000)
    assert one.next(at(1_999)) == pause(2_000)
    assert one.next(at(2_000)).do is Do.ASK


def test_the_deadline_ends_that_wait() -> None:
    one = life()
    for ms in (4_600, 4_700, 4_800, 4_900):
        one.sent(at(ms))
    assert one.next(at(4_950)).do is Do.PAUSE
    assert one.next(at(TTL)).do is Do.ASK


def test_questions_wait_their_own_time_even_across_the_deadline() -> None:
    one = life()
    one.sent(at(4_000))
    one.replied(said("PENDING"), at(4_000))
    one.asked(at(4_950), sent=True)
    assert one.next(at(4_960)) == pause(5_050)
    assert one.next(at(5_010)) == pause(5_050)
    assert one.next(at(5_050)).do is Do.ASK


def test_pending_is_asked_about_a_tenth_of_a_second_later() -> None:
    one = life()
    one.sent(at(0))
    one.replied(said("PENDING"), at(10))
    assert one.view.status == "PENDING"
    assert one.next(at(10)) == pause(110)


def test_a_pending_without_the_eas_word_is_asked_about_as_soon() -> None:
    one = life()
    one.sent(at(0))
    one.replied(said("PENDING", attested=False), at(10))
    assert one.next(at(10)) == pause(110)


def test_another_answer_to_the_bytes_does_not_hurry_a_question() -> None:
    one = asking()
    one.replied(said("PENDING"), at(110))
    assert one.next(at(120)) == pause(200)


def test_another_run_does_not_hurry_one_either() -> None:
    one = asking()
    one.other_run(at(110))
    assert one.next(at(120)) == pause(200)


def test_a_recovered_order_begins_its_questions_with_the_first_delay() -> None:
    one = recovered()
    one.asked(at(0), sent=True)
    assert one.next(at(1)) == pause(limits.STATUS_FIRST_MS)


def test_a_question_that_could_not_be_sent_is_tried_again_soon_and_costs_no_back_off() -> None:
    one = asking()
    one.asked(at(300), sent=False)
    assert one.next(at(300)) == pause(350)
    one.asked(at(350), sent=True)
    assert one.next(at(350)) == pause(550)  # the second delay, not the third


def test_a_nudge_hurries_a_question_and_nothing_else() -> None:
    one = asking()
    one.nudge(at(110))
    assert one.next(at(110)).do is Do.ASK
    two = life()
    two.sent(at(0))
    two.nudge(at(10))
    assert two.next(at(10)) == pause(500)


def test_a_fence_is_sent_at_once_and_only_until_it_is_answered() -> None:
    one = life()
    one.sent(at(0))
    one.fence(at(100))
    assert one.next(at(100)).do is Do.FENCE
    one.asked(at(100), sent=True)
    one.fence_said(said("UNKNOWN"))
    assert one.next(at(200)).do is Do.ASK


def test_a_fence_does_not_shorten_the_back_off() -> None:
    one = asking()  # the next delay is 200
    one.asked(at(200), sent=True)  # and then 400
    one.fence(at(210))
    one.asked(at(210), sent=True)
    assert one.next(at(211)) == pause(610)


def test_a_fence_after_the_deadline_that_decides_nothing_goes_back_to_questions() -> None:
    one = life()
    one.sent(at(0))
    assert one.next(at(TTL)).do is Do.ASK
    one.never_seen()
    assert one.next(at(TTL)).do is Do.FENCE
    one.asked(at(TTL), sent=True)
    one.fence_said(said("UNKNOWN"))
    assert one.next(at(TTL + 100)).do is Do.ASK


def test_what_was_seen_after_all_is_not_fenced() -> None:
    one = asking()
    one.never_seen()
    one.status_said(said("PENDING"), at(150))
    assert one.next(at(TTL)).do is Do.ASK


# --- what did not leave ---------------------------------------------------------------------------


def test_a_later_copy_that_did_not_leave_ends_nothing_and_is_tried_again() -> None:
    one = life()
    one.sent(at(0))
    one.not_sent(at(500))
    assert not one.ended
    assert one.next(at(500)) == pause(550)
    assert one.next(at(550)).do is Do.SEND


def test_of_a_recovered_order_an_earlier_copy_may_have_left() -> None:
    one = recovered()
    one.not_sent(at(0))
    assert not one.ended
    one.sent(at(10))
    one.replied(said("UNKNOWN", "STALE_INCARNATION"), at(20))
    assert not one.ended


def test_a_first_copy_that_did_not_leave_needs_no_eas_word() -> None:
    one = life(attested=False)
    one.not_sent(at(0))
    assert one.over
    assert one.next(at(60_000)) == Step(Do.END)


# --- how it ends ----------------------------------------------------------------------------------


def test_a_final_answer_ends_everything() -> None:
    one = life()
    one.sent(at(0))
    one.replied(said("FILLED", ticket=7), at(10))
    assert (one.view.status, one.view.ticket, one.view.final) == ("FILLED", 7, True)
    for ms in (10, 600, 60_000):
        assert one.next(at(ms)) == Step(Do.END)


def test_a_word_that_this_version_does_not_know_is_unknown() -> None:
    one = life()
    one.sent(at(0))
    one.replied(said("NEW_WORD"), at(10))
    assert (one.view.status, one.view.final) == ("UNKNOWN", False)


def test_denied_without_the_eas_word_is_asked_about_and_never_sent_again() -> None:
    one = life(attested=False)
    one.sent(at(0))
    one.replied(said("DENIED", "HALTED", attested=False), at(5))
    assert one.next(at(600)).do is Do.ASK


def test_another_run_s_word_about_one_copy_ends_nothing_and_fences_the_order() -> None:
    one = life(attested=False)
    one.sent(at(0))
    one.replied(said("UNKNOWN", "STALE_INCARNATION"), at(5))
    assert not one.ended
    assert one.next(at(5)).do is Do.FENCE
