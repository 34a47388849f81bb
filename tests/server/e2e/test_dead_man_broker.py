"""The dead-man's switch when the broker is away, refuses, or loses an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.operations import Op
from bridge_server.core.executor import ExecutorState
from tests.support.clock import SlidingClock
from tests.support.listener import Listener
from tests.support.running import wait_until
from tests.support.scripted_backend import ScriptedBackend, loses, rejects
from tests.support.watched import Watched, watched_account


@pytest.fixture
def clock() -> SlidingClock:
    return SlidingClock()


@pytest.fixture
def watched(tmp_path: Path, clock: SlidingClock) -> Iterator[Watched]:
    made = Watched(watched_account(tmp_path), clock)
    yield made
    made.running.stop()


def test_a_ticket_that_is_left_gets_another_flatten_until_nothing_is_left(
    watched: Watched,
) -> None:
    watched.book()
    watched.broker.plan += [rejects(ReasonCode.MARKET_CLOSED), rejects(ReasonCode.MARKET_CLOSED)]
    watched.beat()
    watched.silence()
    wait_until(lambda: len(watched.flattens()) == 1 and watched.flattens()[0].final)
    assert watched.flattens()[0].status == "PARTIAL"
    with Listener(watched.account) as listener:
        wait_until(lambda: listener.next(200) is not None)
        watched.silence(6_000)
        assert "HEARTBEAT" not in listener.alerts_until("DEAD_MAN_LEFT")
    wait_until(watched.cleared)
    assert len(watched.flattens()) == 2
    watched.silence(120_000)
    watched.health()
    watched.silence(120_000)
    assert len(watched.flattens()) == 2


def test_after_a_new_beat_no_further_flatten_is_sent(watched: Watched) -> None:
    watched.book()
    watched.broker.plan += [rejects(ReasonCode.MARKET_CLOSED)] * 2
    watched.beat()
    watched.silence()
    wait_until(lambda: len(watched.flattens()) == 1 and watched.flattens()[0].final)
    watched.beat()
    for _ in range(10):
        watched.silence(3_000)
        watched.beat()
    assert len(watched.flattens()) == 1
    assert not watched.cleared()


def test_no_other_flatten_is_sent_while_a_ticket_is_unknown(watched: Watched) -> None:
    watched.open()
    watched.broker.settle_ms = 3_600_000
    watched.broker.scan_complete = False
    watched.broker.plan += [loses(executed=False)]
    watched.beat()
    watched.silence()
    wait_until(lambda: [one.status for one in watched.flattens()] == ["UNKNOWN"])
    for _ in range(4):
        watched.silence(60_000)
        watched.health()
    assert len(watched.flattens()) == 1


def test_with_the_broker_away_it_waits_and_then_does_it(watched: Watched) -> None:
    watched.book()
    watched.beat()
    watched.broker.connected = False
    wait_until(lambda: "BROKER_LINK" in watched.causes())
    with Listener(watched.account) as listener:
        wait_until(lambda: listener.next(200) is not None)
        watched.silence()
        wait_until(lambda: watched.dead_man.state == "fired")
        listener.alerts_until("HEARTBEAT")
        assert watched.dead_man.note == "waits for the terminal and its broker"
        assert watched.flattens() == []
        watched.silence(limits.FLATTEN_WINDOW_MS + 1_000)
        assert "HEARTBEAT" not in listener.alerts_until("DEAD_MAN_LEFT")  # it was told once
    watched.broker.connected = True
    wait_until(watched.cleared)
    assert len(watched.flattens()) == 1


class Behind(ScriptedBackend):
    """A broker behind a terminal whose link may be down, as MetaTrader 5's or the rehearsal's."""

    linked = True

    def about(self) -> ExecutorState:
        return ExecutorState(name="server to terminal worker", alive=True, linked=self.linked)

    def self_test(self) -> bool:
        return True


def test_closes_that_wait_for_the_link_go_out_when_it_is_back_and_once(
    watched: Watched, clock: SlidingClock
) -> None:
    watched.running.stop()
    broker = Behind(clock)
    watched.start(broker)
    tickets = {watched.opened() for _ in range(3)}
    watched.beat()
    hang = broker.hang()  # the link goes down while the first close is at the broker
    watched.silence()
    hang.wait_entered()
    broker.linked = False
    hang.release()
    wait_until(lambda: len(broker.positions) == 2)
    watched.silence(60_000)
    assert len(broker.positions) == 2
    broker.linked = True
    wait_until(watched.cleared)
    closes = [one for one in broker.ledger if one.op is Op.CLOSE]
    assert len(closes) == len(tickets)
    assert len(watched.flattens()) == 1


def test_closes_that_waited_too_long_are_sent_anew_once_the_link_is_back(
    watched: Watched, clock: SlidingClock
) -> None:
    watched.running.stop()
    broker = Behind(clock)
    watched.start(broker)
    for _ in range(2):
        watched.open()
    watched.beat()
    hang = broker.hang()
    watched.silence()
    hang.wait_entered()
    broker.linked = False
    hang.release()
    wait_until(lambda: len(broker.positions) == 1)
    watched.silence(limits.FLATTEN_WINDOW_MS + 1_000)
    wait_until(lambda: [one.status for one in watched.flattens()] == ["PARTIAL"])
    watched.silence(10_000)
    assert watched.dead_man.note == "waits for the terminal and its broker"
    broker.linked = True
    wait_until(watched.cleared)
    assert len([one for one in broker.ledger if one.op is Op.CLOSE]) == 2
    assert len(watched.flattens()) == 2
