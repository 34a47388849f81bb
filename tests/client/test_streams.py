"""Which events are believed, and how a lost one is noticed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge_client.streams import EventKeys, Heard, StreamTracker, verify_event
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.signing import Frames, sign_event
from bridge_core.protocol.token import EventToken
from bridge_core.protocol.views import StreamPoint

SRV = "srv-" + "a" * 16
TICKS = "tick-" + "a" * 16 + "-EURUSD"
KEYS = EventKeys("demo", "ev1", {Purpose.EVENT_SRV: b"s" * 32, Purpose.EVENT_EA: b"e" * 32})


def points(**named: int) -> list[StreamPoint]:
    return [StreamPoint(stream={"srv": SRV, "ticks": TICKS}[k], seq=v) for k, v in named.items()]


def test_an_unbroken_stream_is_delivered_and_a_repeat_is_dropped() -> None:
    track = StreamTracker()
    track.heartbeat(points(srv=3))
    assert track.event(SRV, 4).heard is Heard.NEW
    assert track.event(SRV, 4).heard is Heard.OLD
    assert track.event(SRV, 2).heard is Heard.OLD
    assert track.event(SRV, 6).heard is Heard.GAP


def test_a_lost_last_event_shows_in_the_next_heartbeat() -> None:
    track = StreamTracker()
    assert track.heartbeat(points(srv=3))
    assert not track.heartbeat(points(srv=4))


def test_a_stream_nobody_told_us_of_is_not_believed_until_the_snapshot_names_it() -> None:
    track = StreamTracker()
    track.heartbeat(points(srv=3))
    other = "srv-" + "f" * 16
    assert track.event(other, 1).heard is Heard.GAP
    track.synced([StreamPoint(stream=other, seq=1)])
    assert track.event(other, 1).heard is Heard.OLD
    assert track.event(other, 2).heard is Heard.NEW
    assert track.event(SRV, 4).heard is Heard.GAP


@given(st.lists(st.integers(1, 30), max_size=30))
def test_missed_ticks_add_up_to_what_was_not_delivered(seqs: list[int]) -> None:
    track = StreamTracker()
    track.heartbeat(points(srv=0))
    got, missed, first = 0, 0, None
    for seq in seqs:
        verdict = track.event(TICKS, seq)
        if verdict.heard is Heard.NEW:
            first = seq if first is None else first
            got += 1
            missed += verdict.missed
    if first is not None:
        last = max(s for s in seqs if s >= first)
        assert got + missed == last - first + 1


def test_ticks_of_another_run_are_dropped() -> None:
    track = StreamTracker()
    track.heartbeat(points(srv=0))
    assert track.event("tick-" + "f" * 16 + "-EURUSD", 9).heard is Heard.OLD


def _event(stream: str, key: bytes, purpose: Purpose, kid: str = "ev1") -> Frames:
    token = EventToken(kid, "demo", stream, 1, 1_700_000_000_000)
    return sign_event(token, b"{}", key, purpose)


def test_only_the_streams_own_side_can_sign_it() -> None:
    assert verify_event(_event(SRV, b"s" * 32, Purpose.EVENT_SRV), KEYS) is not None
    assert verify_event(_event("ea-1", b"e" * 32, Purpose.EVENT_EA), KEYS) is not None
    # the server cannot speak for the EA, nor under its own key in the EA's stream
    assert verify_event(_event("ea-1", b"s" * 32, Purpose.EVENT_SRV), KEYS) is None
    assert verify_event(_event("ea-1", b"s" * 32, Purpose.EVENT_EA), KEYS) is None
    assert verify_event(_event(SRV, b"x" * 32, Purpose.EVENT_SRV), KEYS) is None
    assert verify_event(_event(SRV, b"s" * 32, Purpose.EVENT_SRV, kid="ev2"), KEYS) is None
    good = _event(SRV, b"s" * 32, Purpose.EVENT_SRV)
    assert verify_event(Frames(good.token, b'{"a":1}'), KEYS) is None
