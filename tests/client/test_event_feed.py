"""events(): in order, verified, gap-checked, and OrderFinal only after our own question."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge_client import (
    Alert,
    Connector,
    EventFeed,
    OrderFinal,
    PositionClosed,
    Resync,
    StateChanged,
    Tick,
    events,
)
from bridge_core.protocol import limits
from bridge_core.protocol.events import EventBody, event_topic
from bridge_core.protocol.messages import Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.token import RequestToken
from tests.support.fake_server import FakeServer, Kit, make_kit


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "connector", more='[symbols]\nEURUSD = "EURUSD.m"')


@pytest.fixture
def server(kit: Kit) -> Iterator[FakeServer]:
    with FakeServer(kit) as running:
        running.symbols = [replace(one, symbol=f"{one.symbol}.m") for one in running.symbols]
        running.quotes = {f"{name}.m": pair for name, pair in running.quotes.items()}
        yield running


@pytest.fixture
def bridge(server: FakeServer, kit: Kit) -> Iterator[Connector]:
    with Connector.from_config(kit.config, client="atlas") as made:
        made.connect()
        yield made


@pytest.fixture
def feed(bridge: Connector) -> Iterator[EventFeed]:
    with bridge.events("EURUSD", timeout=4.0) as made:
        assert made.ready()
        yield made


def silent(feed: EventFeed) -> bool:
    """Return whether nothing comes for a second."""
    patience, feed._timeout = feed._timeout, 1.0
    try:
        return next(feed) is None
    finally:
        feed._timeout = patience


def tick(n: int, symbol: str = "EURUSD.m") -> EventBody:
    at = 1_700_000_000_000 + n
    return EventBody(type="tick", symbol=symbol, bid=f"1.{n:05d}", ask="1.5", time=at)


def test_every_tick_arrives_in_order_under_the_users_name(
    server: FakeServer, feed: EventFeed
) -> None:
    for n in range(300):
        server.event(tick(n))
    got = [next(feed) for _ in range(300)]
    assert all(isinstance(t, Tick) for t in got)
    assert [t.exact["bid"] for t in got if t is not None] == [f"1.{n:05d}" for n in range(300)]
    assert {t.symbol for t in got if isinstance(t, Tick)} == {"EURUSD"}
    assert silent(feed)


def test_lost_ticks_are_counted_on_the_next_one(server: FakeServer, feed: EventFeed) -> None:
    server.event(tick(1))
    server.event(tick(2), lose=True)
    server.event(tick(3), lose=True)
    server.event(tick(4))
    first, second = next(feed), next(feed)
    assert isinstance(first, Tick)
    assert isinstance(second, Tick)
    assert (first.missed, second.missed) == (0, 2)


def test_a_lost_event_brings_the_truth_and_the_stream_goes_on_after_it(
    server: FakeServer, feed: EventFeed
) -> None:
    server.event(EventBody(type="alert", level="info", message="one"))
    server.event(EventBody(type="alert", level="info", message="lost"), lose=True)
    server.event(EventBody(type="alert", level="info", message="three"))
    one, truth = next(feed), next(feed)
    assert isinstance(one, Alert)
    assert isinstance(truth, Resync)
    assert truth.account is not None
    server.event(EventBody(type="state_changed", state="HALTED", cause="OPERATOR"))
    after = next(feed)
    assert isinstance(after, StateChanged)
    assert (after.state, after.cause) == ("HALTED", "OPERATOR")


def test_a_lost_last_event_is_noticed_by_the_heartbeat(server: FakeServer, feed: EventFeed) -> None:
    server.event(EventBody(type="alert", message="lost"), lose=True)
    assert isinstance(next(feed), Resync)


def test_a_restarted_server_brings_the_truth_and_then_its_events(
    server: FakeServer, feed: EventFeed
) -> None:
    server.restart()
    until = time.monotonic() + 8
    while not isinstance(next(feed), Resync):
        assert time.monotonic() < until
    server.event(EventBody(type="alert", level="info", message="new run"))
    found = next(feed)
    assert isinstance(found, Alert)
    assert found.message == "new run"


def test_a_forged_event_is_as_if_nothing_had_arrived(server: FakeServer, feed: EventFeed) -> None:
    server.event(tick(666), key=b"x" * 32)
    server.event(tick(1))
    found = next(feed)
    assert isinstance(found, Tick)
    assert found.exact["bid"] == "1.00001"
    assert feed.rejected == 1


def test_the_same_number_with_other_content_is_an_alarm_and_not_an_event(
    server: FakeServer, feed: EventFeed
) -> None:
    server.event(EventBody(type="alert", level="info", message="one"))
    stream = f"srv-{server.inc}"
    other = EventBody(type="alert", level="info", message="other")
    server._publish(event_topic("demo"), stream, server.seqs[stream], other, None)
    server.event(EventBody(type="alert", level="info", message="two"))
    heard = [next(feed) for _ in range(3)]
    assert all(isinstance(one, Alert) for one in heard)
    assert [one.message for one in heard if isinstance(one, Alert)][::2] == ["one", "two"]
    fork = heard[1]
    assert isinstance(fork, Alert)
    assert fork.code == "EVENT_FORK"


def test_order_final_is_yielded_only_after_a_reply_bound_to_our_question(
    server: FakeServer, bridge: Connector, feed: EventFeed
) -> None:
    def pending(token: RequestToken, body: Request) -> OrderView:
        wanted = getattr(body, "client_order_id", "")
        return OrderView(rid=token.rid, op=token.op, status="PENDING", client_order_id=wanted)

    server.decide = pending
    left = bridge.buy("EURUSD", 0.01, wait=0.05)
    asked = server.count(Op.GET_STATUS)
    # the event alone lies: nothing is final at the server yet
    server.event(EventBody(type="order_final", rid=left.rid, status="FILLED"))
    assert silent(feed)
    assert server.count(Op.GET_STATUS) > asked
    server.finish(left.rid, status="FILLED", ticket=3)
    found = next(feed)
    while found is None:
        found = next(feed)
    assert isinstance(found, OrderFinal)
    assert (found.result.status, found.result.ticket, found.rid) == ("FILLED", 3, left.rid)
    assert silent(feed)  # once


def test_several_consumers_each_get_every_event(server: FakeServer, bridge: Connector) -> None:
    feeds = [bridge.events(timeout=4.0) for _ in range(3)]
    assert all(feed.ready() for feed in feeds)
    closed = EventBody(
        type="position_closed", symbol="EURUSD.m", ticket=5, side="BUY", reason="SL",
        net_profit="-1.25", time=1_700_000_000_000,
    )  # fmt: skip
    server.event(closed)
    for feed in feeds:
        found = next(feed)
        match found:
            case PositionClosed(reason="SL", net_profit=profit, symbol="EURUSD", type="BUY"):
                assert profit == -1.25
            case _:
                pytest.fail(repr(found))
        feed.end()


def test_closing_the_connector_ends_the_iteration(bridge: Connector) -> None:
    seen: list[object] = []
    feed = bridge.events("EURUSD")
    thread = threading.Thread(target=lambda: seen.extend(feed))
    thread.start()
    time.sleep(0.1)
    bridge.close()
    thread.join(5)
    assert not thread.is_alive()


def test_a_silent_stream_is_told_once_and_brings_the_truth_when_it_is_back(
    server: FakeServer, feed: EventFeed
) -> None:
    server.heartbeats = False
    started = time.monotonic()
    found = None
    while found is None and time.monotonic() < started + 8:
        found = next(feed)
    assert isinstance(found, Alert)
    assert found.code == "STREAM_STALE"
    assert time.monotonic() - started < limits.STREAM_STALE_MS / 1000 + 4
    assert silent(feed)  # once
    server.heartbeats = True
    back = next(feed)
    assert isinstance(back, Resync)
    assert "silent" in back.why
    assert silent(feed)


def test_a_strategy_that_was_away_finds_its_events_and_no_false_alarm(
    server: FakeServer, feed: EventFeed
) -> None:
    server.event(tick(1))
    time.sleep(limits.STREAM_STALE_MS / 1000 + 0.3)
    assert isinstance(next(feed), Tick)
    assert silent(feed)


def test_an_order_final_that_nobody_bears_out_is_not_asked_about_for_ever(
    server: FakeServer, feed: EventFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_RETRY_S", 0.01)
    monkeypatch.setattr(events, "_BACKOFF_S_MAX", 0.01)
    server.event(EventBody(type="order_final", rid="e" * 32, status="FILLED"))
    assert silent(feed)
    asked = server.count(Op.GET_STATUS)
    assert 0 < asked <= 12
    assert silent(feed)
    assert server.count(Op.GET_STATUS) == asked
    assert not feed._asked


def test_a_flood_of_false_order_finals_stays_bounded(feed: EventFeed) -> None:
    for n in range(3000):
        feed._wonder(f"{n + 1:032x}")
    assert len(feed._asked) <= 1024
