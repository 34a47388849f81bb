"""Events: numbered from 1 in each stream, signed, bounded; the heartbeat carries every number."""

from __future__ import annotations

from bridge_core.protocol import limits
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.replies import decode_reply
from bridge_core.protocol.signing import Frames, event_mac_holds
from bridge_core.protocol.token import EventToken, parse_event
from bridge_core.protocol.views import StreamPoint
from bridge_server.publisher import Publisher
from tests.support.builders import ACCT, INC, NOW

_KEY = b"e" * 32


class Wire:
    """Keeps what was published; each message is verified as a client would."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, EventToken, EventBody]] = []
        self.publisher = Publisher(ACCT, INC, ("ev-1", _KEY), self._take)

    def _take(self, topic: bytes, frames: Frames) -> None:
        token = parse_event(frames.token)
        assert token is not None
        body = event_mac_holds(frames, token, _KEY)
        assert body is not None
        self.sent.append((topic, token, decode_reply(EventBody, body)))


def _tick(symbol: str) -> EventBody:
    return EventBody(type="tick", symbol=symbol, bid="1.1", ask="1.2")


def test_events_are_numbered_from_one_in_each_stream() -> None:
    wire = Wire()
    for event in (_tick("EURUSD"), _tick("USDJPY"), _tick("EURUSD"), EventBody(type="alert")):
        wire.publisher.publish(event, NOW)
    assert [(token.stream, token.seq) for _, token, _ in wire.sent] == [
        (f"tick-{INC}-EURUSD", 1), (f"tick-{INC}-USDJPY", 1), (f"tick-{INC}-EURUSD", 2),
        (f"srv-{INC}", 1),
    ]  # fmt: skip


def test_ticks_have_a_topic_for_each_symbol_and_all_else_one() -> None:
    wire = Wire()
    for event in (_tick("EURUSD.m"), EventBody(type="order_final")):
        wire.publisher.publish(event, NOW)
    wire.publisher.heartbeat("ACTIVE", NOW)
    assert [topic for topic, _, _ in wire.sent] == [
        b"demo.tick.EURUSD.m", b"demo.event", b"demo.event",
    ]  # fmt: skip


def test_an_event_says_when_the_server_published_it() -> None:
    wire = Wire()
    wire.publisher.publish(EventBody(type="alert", time=5), NOW)
    _, token, body = wire.sent[0]
    assert (token.time, body.server_time, body.time) == (NOW, NOW, 5)
    assert (token.kid, token.acct) == ("ev-1", ACCT)


def test_a_heartbeat_takes_no_number_and_carries_those_of_every_stream() -> None:
    wire = Wire()
    wire.publisher.heartbeat("ACTIVE", NOW)
    wire.publisher.publish(EventBody(type="alert"), NOW)
    wire.publisher.publish(_tick("EURUSD"), NOW)
    wire.publisher.heartbeat("HALTED", NOW + 1_000)
    wire.publisher.publish(EventBody(type="alert"), NOW)
    seqs = [token.seq for _, token, _ in wire.sent]
    assert seqs == [0, 1, 1, 1, 2]
    beat = wire.sent[3][2]
    assert (beat.type, beat.state, beat.server_time) == ("heartbeat", "HALTED", NOW + 1_000)
    assert beat.streams == [
        StreamPoint(stream=f"srv-{INC}", seq=1),
        StreamPoint(stream=f"tick-{INC}-EURUSD", seq=1),
    ]


def test_an_event_past_its_bound_is_not_sent_and_its_gap_shows() -> None:
    wire = Wire()
    wire.publisher.publish(EventBody(type="alert", message="x" * limits.EVENT_BODY_BYTES_MAX), NOW)
    wire.publisher.publish(EventBody(type="alert"), NOW)
    assert wire.publisher.too_large == 1
    assert [token.seq for _, token, _ in wire.sent] == [2]
