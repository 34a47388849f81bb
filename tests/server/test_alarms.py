"""Every cause alerts by itself, once; what is passed on is bounded; nothing else is invented."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.host.clock import ClockGuard
from bridge_core.protocol.alerts import ALERTS, AlertCode, Severity
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.signing import Frames
from bridge_server.alarms import Alarms
from bridge_server.core.trading_state import CAUSES, Cause, Kind, TradingState
from bridge_server.guard import Guard
from bridge_server.journal import Journal
from bridge_server.publisher import Publisher
from tests.support.clock import FakeClock

_SILENT = {Cause.RECOVERING, Cause.UNKNOWN}


class Desk:
    """A guard whose changes reach alarms, as in the server."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.said: list[EventBody] = []
        publisher = Publisher("demo", "0" * 16, ("e1", b"k" * 32), self._publish)
        real = publisher.publish

        def publish(event: EventBody, now_ms: int) -> None:
            self.said.append(event)
            real(event, now_ms)

        publisher.publish = publish  # type: ignore[method-assign]
        self.alarms = Alarms(publisher, self.clock, logging.getLogger("test"), None)
        self.journal = Journal(folder / "journal.db")
        watch = ClockGuard(self.clock.wall_ms(), self.clock.mono_ms())
        self.guard = Guard(folder, self.journal, watch, self._changed)
        self.clock.advance(4_000)

    def _publish(self, topic: bytes, frames: Frames) -> None:
        assert topic
        assert frames.token

    def _changed(self, cause: str, reason: str) -> None:
        self.alarms.follow(self.guard.causes, cause, reason)

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.said]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.journal.close()


@pytest.mark.parametrize("cause", [c for c in Cause if CAUSES[c].kind is Kind.LATCH])
def test_every_latch_alerts_by_itself_and_its_end_is_told(desk: Desk, cause: Cause) -> None:
    if cause is Cause.OPERATOR:
        desk.guard.stop(TradingState.HALTED, "ab" * 16, "why", 1)
    else:
        desk.guard.latch(cause, "why", 1)
        desk.alarms.alert(cause, "why")  # whoever raised it says so once more
    assert desk.codes == [cause]
    assert desk.said[0].level == ALERTS[AlertCode(cause)].severity
    assert "why" in desk.said[0].message
    desk.guard.resume(cause, "mended")
    assert desk.codes == [cause, "CAUSE_ENDED"]
    assert "mended" in desk.said[1].message
    assert desk.said[1].level == "info"


@pytest.mark.parametrize("cause", [c for c in Cause if CAUSES[c].kind is Kind.CONDITION])
def test_every_condition_alerts_by_itself_but_two(desk: Desk, cause: Cause) -> None:
    for _ in range(3):
        desk.guard.condition(cause, 1, present=True, reason="why")
    assert desk.codes == ([] if cause in _SILENT else [cause])
    for at_ms in (2, 2 + CAUSES[cause].linger_ms):
        desk.guard.condition(cause, at_ms, present=False)
    assert desk.codes == ([] if cause in _SILENT else [cause, "CAUSE_ENDED"])


def test_a_cause_without_a_reason_says_what_ends_it(desk: Desk) -> None:
    desk.guard.condition(Cause.JOURNAL_FULL, 1, present=True)
    assert desk.said[0].message == "there is room on the journal's disk"


def test_a_halt_after_a_reduce_only_is_told_as_what_it_is(desk: Desk) -> None:
    for state in (TradingState.REDUCE_ONLY, TradingState.HALTED):
        desk.guard.stop(state, "ab" * 16, "why", 1)
    assert [(one.level, one.message) for one in desk.said] == [
        ("warning", "REDUCE_ONLY: why"), ("critical", "HALTED: why"),
    ]  # fmt: skip


def test_only_what_an_earlier_run_left_is_told_at_the_start(desk: Desk, tmp_path: Path) -> None:
    desk.guard.latch(Cause.DRAWDOWN, "lost too much", 1)
    desk.guard.condition(Cause.CLOCK, 1, present=True, reason="jumped")
    desk.journal.close()
    again = Desk(tmp_path)
    again.guard.start(2)
    again.alarms.started(again.guard.causes)
    assert again.codes == ["DRAWDOWN"]
    assert again.said[0].message == "the server starts HALTED, lost too much"
    again.guard.resume(Cause.DRAWDOWN, "mended")
    assert again.codes == ["DRAWDOWN", "CAUSE_ENDED"]
    again.journal.close()


@pytest.mark.parametrize("cause", [Cause.BROKER_LINK, Cause.EA_STALE])
@pytest.mark.parametrize("comes", [True, False])
def test_what_connects_a_moment_after_the_server_is_no_news(
    desk: Desk, cause: Cause, comes: bool
) -> None:
    desk.alarms.started(desk.guard.causes)
    desk.guard.condition(cause, 1, present=True, reason="not heard yet")
    if comes:
        desk.guard.condition(cause, 2, present=False)
    for _ in range(5):
        desk.alarms.tick(desk.guard.causes)
        assert desk.codes == []
        desk.clock.advance(600)
    desk.alarms.tick(desk.guard.causes)
    desk.alarms.tick(desk.guard.causes)
    assert desk.codes == ([] if comes else [cause])
    desk.guard.condition(cause, 3, present=True, reason="gone")
    assert desk.codes == [cause]  # from here on each loss is told at once


def test_an_echo_is_silent_for_a_second_and_another_message_is_none(desk: Desk) -> None:
    desk.alarms.alert("GHOST_FILL", "ticket 1")
    desk.alarms.alert("GHOST_FILL", "ticket 1")
    desk.alarms.alert("GHOST_FILL", "ticket 2")
    desk.clock.advance(1_000)
    desk.alarms.alert("GHOST_FILL", "ticket 1")
    assert [one.message for one in desk.said] == ["ticket 1", "ticket 2", "ticket 1"]


def test_the_level_of_the_caller_counts_and_a_long_message_is_cut(desk: Desk) -> None:
    desk.alarms.alert("ZONE", "x" * 500, "error", "EURUSD")
    desk.alarms.alert("OF_TOMORROW", "y")
    assert [(one.level, len(one.message)) for one in desk.said] == [("error", 200), ("warning", 1)]


@pytest.mark.parametrize(
    ("code", "level", "shown"),
    [("STOPS_NOT_SET", "error", "error"), ("EA_LIED", "", "critical"),
     ("NEVER_HEARD", "critical", "error"), ("NEVER_HEARD", "", "warning"),
     ("C" * 500, "catastrophe", "catastrophe")],
)  # fmt: skip
def test_what_an_ea_says_is_passed_on_bounded_and_jumps_no_queue_by_itself(
    desk: Desk, caplog: pytest.LogCaptureFixture, code: str, level: str, shown: str
) -> None:
    with caplog.at_level(logging.DEBUG, "test"):
        desk.alarms.passing(EventBody(type="alert", code=code, level=level, message="m" * 900))
        desk.alarms.passing(EventBody(type="tick", code=code, level=level))
        desk.alarms.passing(None)
    (record,) = caplog.records
    fields = vars(record)["ztb_fields"]
    assert fields["severity"] == shown
    assert (len(fields["code"]) <= 40, len(fields["message"])) == (True, 200)
    assert desk.said == []  # its event is on its way already
    assert shown in [*Severity, "catastrophe"]
