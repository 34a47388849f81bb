"""The schedule of alerts on a clock of its own: dedupe, order, retry, rate, and no silent loss."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host.outbox import Alert, Item, Outbox
from bridge_core.protocol import limits
from bridge_core.protocol.alerts import AlertCode, Severity

NOW = 1_000_000
WINDOW = limits.ALERT_DEDUPE_MS


def _alert(code: str = "CLOCK", severity: str = "error", **more: Any) -> Alert:
    return Alert(code=code, severity=severity, message=f"about {code}", **more)


def _take(box: Outbox, now_ms: int) -> Item:
    item = box.take(now_ms)
    assert item is not None
    return item


def _drain(box: Outbox, now_ms: int) -> list[Item]:
    found = []
    while (item := box.take(now_ms)) is not None:
        box.delivered(item)
        found.append(item)
    return found


def test_the_first_of_a_kind_goes_at_once_and_what_repeats_is_one_sum_a_minute_later() -> None:
    box = Outbox()
    for n in range(43):
        box.add(_alert(), NOW + n * 100)
    assert [one.repeated for one in _drain(box, NOW + 4_300)] == [0]
    assert box.due_ms(NOW + 4_300) == NOW + WINDOW
    assert box.take(NOW + WINDOW - 1) is None
    (total,) = _drain(box, NOW + WINDOW)
    assert total.repeated == 41  # this one, and 41 more
    assert box.due_ms(NOW + WINDOW) is None


def test_a_subject_is_a_kind_of_its_own() -> None:
    box = Outbox()
    for subject in ("EURUSD", "USDJPY", "EURUSD"):
        box.add(_alert(subject=subject), NOW)
    assert [one.alert.subject for one in _drain(box, NOW)] == ["EURUSD", "USDJPY"]


def test_after_a_quiet_minute_the_same_kind_goes_at_once_again() -> None:
    box = Outbox()
    box.add(_alert(), NOW)
    assert len(_drain(box, NOW)) == 1
    box.add(_alert(), NOW + WINDOW)
    assert [one.repeated for one in _drain(box, NOW + WINDOW)] == [0]


def test_what_becomes_worse_does_not_wait_for_the_sum() -> None:
    box = Outbox()
    box.add(_alert("OPERATOR", "warning"), NOW)
    box.add(_alert("OPERATOR", "warning"), NOW + 1)
    _drain(box, NOW + 1)
    box.add(_alert("OPERATOR", "critical"), NOW + 2)
    (worse,) = _drain(box, NOW + 2)
    assert (worse.alert.severity, worse.repeated) == ("critical", 1)


def test_the_critical_one_overtakes() -> None:
    box = Outbox()
    box.add(_alert("ZONE", "warning"), NOW)
    box.add(_alert("IDENTITY", "critical"), NOW)
    assert [one.alert.code for one in _drain(box, NOW)] == ["IDENTITY", "ZONE"]


def test_a_failing_receiver_is_tried_later_and_later_and_a_minute_apart_at_most() -> None:
    box = Outbox()
    box.add(_alert("IDENTITY", "critical"), NOW)
    now, waits = NOW, []
    for _ in range(9):
        assert not box.failed(_take(box, now), now)
        due = box.due_ms(now)
        assert due is not None
        assert box.take(due - 1) is None
        waits.append(due - now)
        now = due
    assert waits == [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]


def test_something_new_is_worth_a_try_at_once_but_not_many_a_second() -> None:
    box = Outbox()
    box.add(_alert("IDENTITY", "critical"), NOW)
    now = NOW
    for _ in range(6):
        box.failed(_take(box, now), now)
        now = box.due_ms(now) or 0
    box.failed(_take(box, now), now)  # the next try would be a minute later
    box.add(_alert("GHOST_FILL", "critical"), now + 10)
    assert box.take(now + 10) is None
    assert _take(box, now + limits.ALERT_RETRY_MS_MIN).alert.code == "GHOST_FILL"


@pytest.mark.parametrize(("asked", "waits"), [(7_000, 7_000), (0, 0), (86_400_000, 60_000)])
def test_a_receiver_that_asks_for_patience_gets_it_within_a_bound(asked: int, waits: int) -> None:
    box = Outbox()
    box.add(_alert(), NOW)
    box.failed(_take(box, NOW), NOW, wait_ms=asked)
    box.add(_alert("IDENTITY", "critical"), NOW)  # not even this one hurries
    assert box.due_ms(NOW) == NOW + waits
    assert (box.take(NOW + waits - 1) is None) or not waits
    assert _take(box, NOW + waits).alert.code == "IDENTITY"


@pytest.mark.parametrize(("severity", "kept"), [("critical", True), ("error", False)])
def test_what_cannot_be_delivered_is_dropped_and_told_but_never_if_critical(
    severity: str, kept: bool
) -> None:
    box = Outbox()
    box.add(_alert(severity=severity), NOW)
    now, ends = NOW, []
    for _ in range(limits.ALERT_TRIES_MAX):
        ends.append(box.failed(_take(box, now), now))
        now = box.due_ms(now) or 0
    assert ends == [False] * (limits.ALERT_TRIES_MAX - 1) + [not kept]
    told = [(one.alert.code, one.repeated) for one in _drain(box, now)]
    assert told == [("CLOCK", 0) if kept else (AlertCode.ALERTS_LOST, 1)]


def test_what_the_receiver_refuses_for_good_is_tried_three_times() -> None:
    box = Outbox()
    box.add(_alert("IDENTITY", "critical"), NOW)
    now, ends = NOW, []
    for _ in range(3):
        ends.append(box.failed(_take(box, now), now, for_good=True))
        now = box.due_ms(now) or now
    assert ends == [False, False, True]
    assert box.left() == {AlertCode.ALERTS_LOST: 1}


def test_a_full_queue_drops_the_oldest_that_is_not_critical_and_tells_how_many() -> None:
    box = Outbox()
    for n in range(limits.ALERT_QUEUE_MAX + 20):
        severity = "critical" if n % 2 else "warning"
        box.add(_alert(f"C{n}", severity), NOW)
    waiting = box.left()
    assert "C1" in waiting
    assert "C0" not in waiting
    assert waiting[AlertCode.ALERTS_LOST] == 20
    assert sum(1 for code in waiting if code.startswith("C")) == limits.ALERT_QUEUE_MAX


def test_when_all_that_waits_is_critical_what_is_not_has_no_place() -> None:
    box = Outbox()
    for n in range(limits.ALERT_QUEUE_MAX):
        box.add(_alert(f"C{n}", "critical"), NOW)
    box.add(_alert("ZONE", "warning"), NOW)
    assert "ZONE" not in box.left()
    assert box.left()["C0"] == 1
    box.add(_alert("GHOST_FILL", "critical"), NOW)
    assert "C0" not in box.left()
    assert box.left()[AlertCode.ALERTS_LOST] == 2


def test_a_flood_of_kinds_is_paced_and_critical_ones_do_not_wait() -> None:
    box = Outbox()
    for n in range(limits.ALERT_BURST + 5):
        box.add(_alert(f"C{n}", "warning"), NOW)
    assert len(_drain(box, NOW)) == limits.ALERT_BURST
    due = box.due_ms(NOW)
    assert due is not None
    assert NOW < due <= NOW + limits.ALERT_SPACING_MS + 1
    box.add(_alert("IDENTITY", "critical"), NOW)
    assert [one.alert.code for one in _drain(box, NOW)] == ["IDENTITY"]
    assert len(_drain(box, due)) == 1


def test_what_repeats_while_its_message_is_on_its_way_is_not_taken_for_told() -> None:
    box = Outbox()
    box.add(_alert(), NOW)
    flying = _take(box, NOW)
    box.add(_alert(), NOW + 1)
    box.add(_alert("ZONE"), NOW + WINDOW)  # sweeps
    box.delivered(flying)
    told = {one.alert.code: one.repeated for one in _drain(box, NOW + WINDOW)}
    assert told == {"CLOCK": 0, "ZONE": 0}


def test_what_repeats_while_nobody_listens_stays_one_message() -> None:
    box = Outbox()
    now = NOW
    for n in range(600):
        now = NOW + n * 1_000
        box.add(_alert("IDENTITY", "critical"), now)
        item = box.take(now)
        if item is not None:
            box.failed(item, now)
    told = _drain(box, now + WINDOW)
    assert len(told) <= 2
    assert sum(1 + one.repeated for one in told) == 600


def test_at_the_end_sums_are_told_at_once_and_nothing_waits_for_a_back_off() -> None:
    box = Outbox()
    box.add(_alert(), NOW)
    box.add(_alert(), NOW)
    box.failed(_take(box, NOW), NOW)
    box.hurry(NOW + 1)
    assert sum(1 + one.repeated for one in _drain(box, NOW + 1)) == 2
    assert not box.left()


# --- whatever comes in whatever order -----------------------------------------------------------

_KINDS = st.sampled_from([f"K{n}" for n in range(6)])
_SEVERITIES = st.sampled_from([one.value for one in Severity])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _KINDS, _SEVERITIES),
        st.tuples(st.just("wait"), st.integers(1, 90_000)),
        st.tuples(st.just("ok")),
        st.tuples(st.just("fail"), st.booleans()),
    ),
    max_size=120,
)


def _settle(box: Outbox, now_ms: int, arrived: list[Item]) -> None:
    # The receiver is well from here on: everything that is left has to come, or be told as lost.
    for _ in range(2_000):
        item = box.take(now_ms)
        if item is not None:
            box.delivered(item)
            arrived.append(item)
            continue
        due = box.due_ms(now_ms)
        if due is None:
            return
        assert due > now_ms, "it would spin"
        now_ms = due
    raise AssertionError("it never ends")


@given(steps=_STEPS)
def test_every_alert_arrives_is_in_a_sum_or_is_told_as_lost_and_nothing_twice(
    steps: list[tuple[Any, ...]],
) -> None:
    box, now, added, arrived = Outbox(), NOW, Counter[str](), list[Item]()
    for step in steps:
        if step[0] == "add":
            box.add(_alert(step[1], step[2]), now)
            added[step[1]] += 1
        elif step[0] == "wait":
            now += step[1]
        elif (item := box.take(now)) is not None:
            if step[0] == "ok":
                box.delivered(item)
                arrived.append(item)
            else:
                box.failed(item, now, for_good=step[1])
    _settle(box, now, arrived)
    told = Counter[str]()
    for item in arrived:
        told[item.alert.code] += item.repeated + (1 if item.sequence else 0)
    lost = told.pop(AlertCode.ALERTS_LOST, 0)
    assert sum(told.values()) + lost == sum(added.values())
    numbers = [item.sequence for item in arrived if item.sequence]
    assert len(set(numbers)) == len(numbers)
    if not lost:
        assert told == added


@given(gaps=st.lists(st.integers(0, 30_000), max_size=60))
def test_the_first_of_each_window_is_immediate_and_no_kind_floods(gaps: list[int]) -> None:
    box, now, sent = Outbox(), NOW, []
    box.add(_alert(), now)
    assert len(_drain(box, now)) == 1
    for gap in gaps:
        now += gap
        box.add(_alert(), now)
        sent += [now for _ in _drain(box, now)]
    assert len(sent) <= (now - NOW) // WINDOW + 1
