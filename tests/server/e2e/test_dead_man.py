"""The dead-man's switch at the server: silence is noticed, once, and what follows is on file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.messages import Heartbeat
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import LogPage, decode_reply
from tests.support.clock import SlidingClock
from tests.support.listener import Listener
from tests.support.raw_client import RawClient
from tests.support.running import Running, wait_until
from tests.support.watched import AFTER_MS, EVERYTHING, Watched, watched_account


@pytest.fixture
def clock() -> SlidingClock:
    return SlidingClock()


@pytest.fixture
def watched(tmp_path: Path, clock: SlidingClock) -> Iterator[Watched]:
    made = Watched(watched_account(tmp_path), clock)
    yield made
    made.running.stop()


def test_without_a_word_in_the_configuration_it_is_off_and_health_says_so(
    running: Running, trader: RawClient
) -> None:
    trader.open()
    assert trader.do(Op.HEARTBEAT, Heartbeat(sequence=1)).status == "OK"
    found = trader.health().dead_man
    assert found is not None
    assert found.state == "off"
    assert running.server.context.journal.meta("dead_man") is None


def test_nothing_is_cleared_away_before_the_first_beat(watched: Watched) -> None:
    watched.book()
    watched.silence(60_000)
    assert (watched.dead_man.state, watched.causes()) == ("waiting", [])
    assert not watched.cleared()


def test_silence_flattens_the_account_by_an_order_of_the_servers_own(watched: Watched) -> None:
    held, resting = watched.book()
    watched.beat()
    watched.silence(AFTER_MS - 500)
    assert watched.dead_man.state == "armed"
    assert not watched.cleared()
    with Listener(watched.account) as listener:
        wait_until(lambda: listener.next(200) is not None)
        watched.silence(600)
        alert = listener.wait_for("alert").body
        assert (alert.code, alert.message[:12]) == ("HEARTBEAT", "no heartbeat")
    wait_until(watched.cleared)
    wait_until(lambda: watched.flattens()[0].final)
    (order,) = watched.flattens()
    assert (order.status, order.by, order.client, order.kid) == ("DONE", "server", "", "")
    assert order.client_order_id == ""
    assert {one.ticket for one in order.children} == {held, resting}
    assert watched.dead_man.rid == order.rid
    assert "HEARTBEAT" in watched.causes()
    for child in order.children:
        assert watched.broker.begun(child.rid) == 1


def test_the_record_says_who_it_was(watched: Watched) -> None:
    watched.book()
    watched.beat()
    watched.silence()
    wait_until(watched.cleared)
    page = decode_reply(LogPage, watched.do(Op.GET_LOG, EVERYTHING).body)
    text = "\n".join(row.record for row in page.rows)
    assert '"state":"dead-man\'s switch armed"' in text
    assert '"cause":"HEARTBEAT","reason":"no heartbeat for 5.' in text
    assert '"children":"2","by":"server"' in text


def test_an_order_that_comes_too_late_is_refused(watched: Watched) -> None:
    watched.beat()
    watched.silence()
    wait_until(lambda: watched.dead_man.state == "fired")
    answer = watched.open()
    assert (answer.status, answer.code) == ("DENIED", "REDUCE_ONLY")


def test_the_policy_cancel_leaves_positions_alone(tmp_path: Path, clock: SlidingClock) -> None:
    watched = Watched(watched_account(tmp_path, "cancel"), clock)
    held, _ = watched.book()
    watched.beat()
    watched.silence()
    wait_until(lambda: not watched.broker.orders)
    assert set(watched.broker.positions) == {held}
    watched.running.stop()


def test_the_policy_reduce_only_sends_nothing(tmp_path: Path, clock: SlidingClock) -> None:
    watched = Watched(watched_account(tmp_path, "reduce-only"), clock)
    watched.book()
    watched.beat()
    watched.silence()
    wait_until(lambda: watched.dead_man.state == "fired")
    watched.silence(30_000)
    assert watched.causes() == ["HEARTBEAT"]
    assert watched.flattens() == []
    assert not watched.cleared()
    watched.running.stop()


def test_one_silence_is_one_firing_and_a_new_beat_begins_anew(watched: Watched) -> None:
    watched.book()
    watched.beat()
    watched.silence()
    wait_until(watched.cleared)
    for _ in range(3):
        watched.silence(60_000)
        assert watched.dead_man.state == "fired"
    assert len(watched.flattens()) == 1
    assert watched.beat().status == "OK"
    assert watched.dead_man.state == "armed"
    for _ in range(12):  # the connector is heard for 30 s, and the terminal looked at
        watched.silence(3_000)
        watched.beat()
        watched.looks()
    wait_until(lambda: watched.causes() == [])
    watched.book()
    watched.silence()
    wait_until(lambda: len(watched.flattens()) == 2)
    wait_until(watched.cleared)


def test_old_beats_played_again_keep_nothing_alive(watched: Watched) -> None:
    watched.book()
    frames = [
        watched.client.sign(Op.HEARTBEAT, Heartbeat(sequence=n), iat=watched.clock.wall_ms())
        for n in (1, 2, 3)
    ]
    for one in frames:
        assert watched.client.ask(one).status == "OK"
    for step in range(6):
        watched.silence(1_000)
        codes = {watched.client.ask(one).code for one in frames}
        assert codes <= {"REPLAYED", "EXPIRED"}, step
    wait_until(watched.cleared)


def test_beats_that_are_held_on_the_way_count_from_when_they_were_signed(watched: Watched) -> None:
    watched.book()
    watched.beat()
    for n in range(1, 3):  # each arrives, in time, 3 s late
        signed = watched.clock.wall_ms()
        watched.silence(3_000)
        answer = watched.do(Op.HEARTBEAT, Heartbeat(sequence=10 + n), iat=signed)
        assert answer.status in ("OK", "DENIED")
    assert watched.dead_man.silent_ms >= 3_000
    watched.silence(2_100)
    wait_until(watched.cleared)


@pytest.mark.parametrize("scope", ["query", "reduce"])
def test_a_key_that_may_not_trade_cannot_beat(watched: Watched, scope: str) -> None:
    watched.book()
    watched.beat()
    other = watched.running.client(scope)
    for n in range(6):
        watched.silence(1_000)
        frames = other.sign(Op.HEARTBEAT, Heartbeat(sequence=100 + n), iat=watched.clock.wall_ms())
        if scope == "query":  # it has no key at all to sign one with
            assert other.silent(frames, 50)
        else:
            assert other.ask(frames).code == "SCOPE"
    wait_until(watched.cleared)


def test_a_beat_for_another_run_of_the_server_does_not_count(watched: Watched) -> None:
    answer = watched.beat(inc="00112233445566ff")
    assert answer.code == ReasonCode.STALE_INCARNATION
    assert watched.dead_man.state == "waiting"


def test_it_stays_armed_over_a_restart_and_fires_if_the_strategy_died_meanwhile(
    watched: Watched,
) -> None:
    held, _ = watched.book()
    watched.beat()
    broker = watched.broker
    watched.running.stop()
    watched.silence(3_600_000)
    watched.start(broker)
    assert watched.dead_man.state == "armed"
    assert held in broker.positions
    watched.silence()
    wait_until(watched.cleared)
    assert len(watched.flattens()) == 1


def test_a_restart_after_the_firing_fires_no_second_time(watched: Watched) -> None:
    watched.book()
    watched.beat()
    watched.silence()
    wait_until(lambda: bool(watched.flattens()) and watched.flattens()[0].final)
    broker = watched.broker
    watched.running.stop()
    broker.put_position()
    watched.start(broker)
    assert watched.dead_man.state == "fired"
    assert watched.causes() == ["HEARTBEAT"]
    assert watched.open().code == "REDUCE_ONLY"


def test_who_takes_it_out_of_the_configuration_has_it_off(watched: Watched) -> None:
    watched.book()
    watched.beat()
    broker = watched.broker
    watched.running.stop()
    watched.account.edit("dead_man =", "# dead_man =")
    watched.start(broker)
    assert watched.dead_man.state == "off"
    watched.silence(60_000)
    assert not watched.cleared()
    watched.account.edit("# dead_man =", "dead_man =")
    watched.running.stop()
    watched.start(broker)
    assert watched.dead_man.state == "waiting"


def test_a_clock_that_was_set_fires_nothing_while_the_strategy_beats(watched: Watched) -> None:
    watched.book()
    watched.beat()
    watched.clock.step_wall(3_000)
    signed_before = -3_000  # as a connector does that has not measured it anew
    for _ in range(3):
        watched.silence(2_000)
        assert watched.beat(iat=watched.clock.wall_ms() + signed_before).status == "OK"
    assert watched.dead_man.state == "armed"
    assert watched.dead_man.silent_ms < 2_000
    assert not watched.cleared()
