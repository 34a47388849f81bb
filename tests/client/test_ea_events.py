"""The EA's own events: believed under the EA's key alone, gap-checked, watched for silence.

The relay in front of them is hostile here: it has the server's keys and the recording of what the
EA said. Catalogue items 89 to 93 of the security reference.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Alert, Connector, EventFeed, PositionOpened, Resync, events
from bridge_core.protocol.events import EventBody, event_topic
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import encode_reply
from bridge_core.protocol.signing import Frames, sign_event
from bridge_core.protocol.token import EventToken
from bridge_core.protocol.views import StreamPoint
from tests.support.fake_server import FakeServer, Kit, make_kit

EA = "ea-00112233445566aa"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Relay:
    """Passes on the EA's events, or what it makes of them."""

    def __init__(self, server: FakeServer, kit: Kit) -> None:
        self._server = server
        self._keys = kit.bundle.event_keys()
        self.seq = 0

    def sign(
        self, seq: int, body: EventBody, *, stream: str = EA, ms: int = 0,
        purpose: Purpose = Purpose.EVENT_EA,
    ) -> Frames:  # fmt: skip
        token = EventToken("ev1", "demo", stream, seq, ms or now_ms())
        return sign_event(token, encode_reply(body), self._keys[purpose], purpose)

    def pass_on(self, frames: Frames) -> None:
        self._server._tell.append((event_topic("demo"), frames))

    def opened(self, ticket: int, *, lose: bool = False) -> Frames:
        """Let the EA say that a position was opened."""
        self.seq += 1
        frames = self.sign(self.seq, opened(ticket))
        if not lose:
            self.pass_on(frames)
        return frames

    def beat(self, seq: int = -1, ms: int = 0) -> Frames:
        """Let the EA's heartbeat pass."""
        frames = self.sign(self.seq if seq < 0 else seq, EventBody(type="heartbeat"), ms=ms)
        self.pass_on(frames)
        return frames


def opened(ticket: int) -> EventBody:
    return EventBody(
        type="position_opened", symbol="EURUSD", ticket=ticket, side="BUY", volume="0.01",
        open_price="1.1",
    )  # fmt: skip


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "connector", ea=True)


@pytest.fixture
def server(kit: Kit) -> Iterator[FakeServer]:
    with FakeServer(kit) as running:
        yield running


@pytest.fixture
def relay(server: FakeServer, kit: Kit) -> Relay:
    return Relay(server, kit)


@pytest.fixture
def feed(server: FakeServer, kit: Kit, relay: Relay) -> Iterator[EventFeed]:
    server.seqs[EA] = 0  # the server's heartbeat names the stream
    with Connector.from_config(kit.config) as bridge:
        bridge.connect()
        with bridge.events(timeout=0.5) as made:
            assert made.ready()
            relay.beat()
            yield made


def next_of(feed: EventFeed, kind: type) -> object:
    until = time.monotonic() + 8
    while time.monotonic() < until:
        event = next(feed)
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__}")


def alert(feed: EventFeed, code: str) -> Alert:
    until = time.monotonic() + 8
    while time.monotonic() < until:
        event = next(feed)
        if isinstance(event, Alert) and event.code == code:
            return event
    raise AssertionError(f"no alert {code}")


def test_an_event_that_the_ea_signed_is_delivered(feed: EventFeed, relay: Relay) -> None:
    relay.opened(7)
    event = next(feed)
    assert isinstance(event, PositionOpened)
    assert event.ticket == 7


def test_a_forged_altered_or_borrowed_event_is_ignored(feed: EventFeed, relay: Relay) -> None:
    true = relay.opened(7, lose=True)
    relay.seq -= 1
    relay.pass_on(relay.sign(1, opened(8), purpose=Purpose.EVENT_SRV))  # the server's own key
    relay.pass_on(relay.sign(1, opened(9), stream="srv-" + "0" * 16))  # the EA's key, our stream
    relay.pass_on(Frames(true.token, true.body.replace(b"0.01", b"0.02")))
    relay.pass_on(Frames(true.token.replace(b"aa:1:", b"bb:1:"), true.body))  # another instance
    relay.opened(10)
    event = next(feed)
    assert isinstance(event, PositionOpened)
    assert event.ticket == 10
    assert feed.rejected == 4


def test_a_gap_asks_for_the_truth(feed: EventFeed, relay: Relay) -> None:
    relay.opened(7, lose=True)
    relay.opened(8)
    found = next(feed)
    assert isinstance(found, Resync)
    assert found.why == EA


def test_a_lost_last_event_shows_in_the_eas_own_heartbeat(feed: EventFeed, relay: Relay) -> None:
    relay.opened(7, lose=True)
    relay.beat()
    assert isinstance(next(feed), Resync)


def test_copies_and_late_copies_are_told_once_and_in_order(feed: EventFeed, relay: Relay) -> None:
    first, second = relay.opened(7), relay.opened(8)
    for again in (first, second, first):
        relay.pass_on(again)
    relay.opened(9)
    got = [next(feed) for _ in range(3)]
    assert [e.ticket for e in got if isinstance(e, PositionOpened)] == [7, 8, 9]
    assert next(feed) is None


def test_one_number_told_twice_with_other_content_is_an_alarm(
    feed: EventFeed, relay: Relay
) -> None:
    relay.opened(7)
    relay.pass_on(relay.sign(1, opened(66)))
    found = alert(feed, "EVENT_FORK")
    assert EA in found.message


def test_an_ea_that_is_cut_off_is_noticed_though_the_server_goes_on_talking(
    feed: EventFeed, server: FakeServer, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_STALE_S", 0.4)
    found = alert(feed, "STREAM_STALE")
    assert "EA" in found.message
    assert server.heartbeats  # the server's own stream is as alive as ever
    relay.beat()
    back = next_of(feed, Resync)
    assert isinstance(back, Resync)


def test_a_recording_of_the_ea_is_no_sign_of_life(
    feed: EventFeed, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_STALE_S", 0.6)
    recorded = relay.beat()
    old = relay.sign(0, EventBody(type="heartbeat"), ms=now_ms() - 60_000)
    until = time.monotonic() + 10
    found: Alert | None = None
    while found is None and time.monotonic() < until:
        relay.pass_on(recorded)
        relay.pass_on(old)
        event = next(feed)
        found = event if isinstance(event, Alert) else None
    assert found is not None
    assert found.code == "STREAM_STALE"


def test_a_server_that_claims_a_higher_number_cannot_hide_events_quietly(
    feed: EventFeed, server: FakeServer, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_STALE_S", 0.6)
    server.seqs[EA] = 1_000
    assert isinstance(next_of(feed, Resync), Resync)  # from here on 1 to 1000 count as seen
    until = time.monotonic() + 10
    found: Alert | None = None
    while found is None and time.monotonic() < until:
        relay.opened(7)
        relay.beat()
        event = next(feed)
        found = event if isinstance(event, Alert) else None
    assert found is not None
    assert found.code == "STREAM_STALE"


def test_a_new_instance_brings_the_truth_and_then_its_events(
    feed: EventFeed, server: FakeServer, relay: Relay
) -> None:
    other = "ea-ffeeddccbbaa9988"
    server.seqs[other] = 0
    beat = relay.sign(0, EventBody(type="heartbeat"), stream=other)
    relay.pass_on(beat)
    assert isinstance(next_of(feed, Resync), Resync)
    relay.pass_on(relay.sign(1, opened(5), stream=other))
    assert isinstance(next_of(feed, PositionOpened), PositionOpened)


def test_the_eas_heartbeat_speaks_for_no_other_stream(feed: EventFeed, relay: Relay) -> None:
    points = [StreamPoint(stream="srv-" + "0" * 16, seq=9), StreamPoint(stream=EA, seq=0)]
    relay.pass_on(relay.sign(0, EventBody(type="heartbeat", streams=points)))
    assert next(feed) is None
