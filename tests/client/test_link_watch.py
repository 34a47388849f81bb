"""healthy, degraded or lost: worse at once, better only when it has proven to be."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_client import Connector
from bridge_client.link_watch import DEGRADED, HEALTHY, LOST, LinkState, Look
from bridge_core.protocol.operations import Op
from bridge_core.protocol.views import HopView
from tests.support.fake_server import Drop, FakeServer, make_kit

UP = (HopView(hop="server to terminal", state="up"), HopView(hop="journal", state="up"))
GOOD = Look(connected=True, why="", ms=1.0, hops=UP)
MUTE = Look(connected=True, why="", ms=None)


def _state() -> LinkState:
    return LinkState(1_000, 0.0)


def test_only_a_change_is_news() -> None:
    state = _state()
    assert [state.take(GOOD, 1_000 * n, float(n)) for n in range(5)] == [None] * 5
    assert state.now.state == HEALTHY


def test_three_seconds_without_an_answer_are_lost_and_one_answer_is_not() -> None:
    state = _state()
    state.take(GOOD, 0, 10.0)
    first = state.take(MUTE, 11_000, 11.0)
    assert first is not None
    assert (first.state, first.since_ms) == (DEGRADED, 11_000)
    assert state.take(MUTE, 12_900, 12.9) is None
    lost = state.take(MUTE, 13_000, 13.0)
    assert lost is not None
    assert (lost.state, lost.why) == (LOST, "no answer for 3.0 s")
    back = state.take(GOOD, 14_000, 14.0)
    assert back is not None
    assert back.state == HEALTHY


def test_a_cut_connection_is_lost_at_once() -> None:
    state = _state()
    lost = state.take(Look(connected=False, why="the connection was lost", ms=None), 1, 1.0)
    assert lost is not None
    assert (lost.state, lost.why) == (LOST, "the connection was lost")


def test_a_hop_that_is_down_is_named_and_remembered_while_nothing_is_said_of_it() -> None:
    state = _state()
    down = (HopView(hop="server to EA", state="down", why="the EA said goodbye"), *UP)
    found = state.take(Look(connected=True, why="", ms=1.0, hops=down), 1, 1.0)
    assert found is not None
    assert (found.state, found.why) == (DEGRADED, "server to EA is down: the EA said goodbye")
    assert state.take(Look(connected=True, why="", ms=1.0), 9_000, 9.0) is None
    assert state.now.state == DEGRADED
    assert state.take(GOOD, 10_000, 10.0) is None  # calm for 3 s first
    assert state.take(GOOD, 11_900, 11.9) is None
    healthy = state.take(GOOD, 12_000, 12.0)
    assert healthy is not None
    assert healthy.state == HEALTHY


def test_a_slow_answer_and_a_wrong_clock_degrade_it() -> None:
    slow = _state().take(Look(connected=True, why="", ms=1_500.0, hops=UP), 1, 1.0)
    wrong = _state().take(Look(connected=True, why="", ms=1.0, hops=UP, skew="+2000 ms"), 1, 1.0)
    assert slow is not None
    assert wrong is not None
    assert (slow.state, slow.why) == (DEGRADED, "slow: 1500 ms without an answer")
    assert (wrong.state, wrong.why) == (DEGRADED, "clock: +2000 ms")


LOOKS = st.builds(
    Look,
    connected=st.booleans(),
    why=st.just("cut"),
    ms=st.none() | st.floats(0, 3_000),
    hops=st.sampled_from([(), UP, (HopView(hop="journal", state="degraded"),)]),
    skew=st.sampled_from(["", "+2 s"]),
)


@given(st.lists(st.tuples(st.floats(0.1, 5.0), LOOKS), max_size=40))
def test_it_never_calls_healthy_what_is_not_heard_and_tells_each_change_once(
    steps: list[tuple[float, Look]],
) -> None:
    state, now, heard, said = _state(), 0.0, 0.0, HEALTHY
    for passed, look in steps:
        now += passed
        heard = now if look.ms is not None else heard
        news = state.take(look, int(now * 1000), now)
        if not look.connected or now - heard >= 3.0:
            assert state.now.state == LOST
        if state.now.state == HEALTHY and news is not None:
            assert look.connected
            assert look.ms is not None
        assert (news is None) == (state.now.state == said)
        said = state.now.state


@pytest.mark.parametrize("heartbeat", ["auto", "loop"])
@pytest.mark.parametrize("server_is", ["there", "silent", "gone"])
def test_after_close_no_thread_of_the_connector_is_left(
    tmp_path: Path, heartbeat: str, server_is: str
) -> None:
    kit = make_kit(tmp_path / "connector")
    text = kit.config.read_text("utf-8")
    kit.config.write_text(f'heartbeat = "{heartbeat}"\nheartbeat_s = 1\n{text}', "utf-8")
    before = set(threading.enumerate())
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        with bridge.events(timeout=0.1) as feed:
            assert feed.ready(5)
            names = {one.name for one in set(threading.enumerate()) - before}
            assert {"heartbeat", "link-watch"} <= names
            if server_is == "silent":
                for op in (Op.HEARTBEAT, Op.HEALTH):
                    server.fault(op, *[Drop()] * 50)
            bridge.beat()
            time.sleep(1.1)  # both have asked
            if server_is == "gone":
                server.stop()
            bridge.beat()
            began = time.monotonic()
            bridge.close()
            assert time.monotonic() - began < 3.0
    left = {one.name for one in set(threading.enumerate()) - before}
    assert left == set()
