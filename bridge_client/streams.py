"""Which events to believe, and what was lost between them. Pure.

Every stream counts from 1 without a gap, so a missing number is a lost event. Ticks only report
how many; in any other stream a gap, or a stream nobody has told us of, asks for the whole truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.signing import Frames, VerifiedBody, event_mac_holds
from bridge_core.protocol.token import EventToken, parse_event
from bridge_core.protocol.views import StreamPoint

__all__ = ["EA", "EventKeys", "Heard", "StreamTracker", "Verdict", "verify_event"]

TICK: Final = "tick-"
EA: Final = "ea-"


class EventKeys(NamedTuple):
    """What verifies the events of one account."""

    acct: str
    kid: str
    keys: Mapping[Purpose, bytes]


class Heard(Enum):
    """What to do with an event."""

    NEW = "deliver it"
    OLD = "drop it: a repeat, or covered by the last snapshot"
    GAP = "events before it are lost: ask for the truth"


class Verdict(NamedTuple):
    """What to do, and how many ticks were lost just before (tick streams only)."""

    heard: Heard
    missed: int = 0


def verify_event(frames: Frames, trust: EventKeys) -> tuple[EventToken, VerifiedBody] | None:
    """Return an event's parts if it is authentic, from this account and its stream's own side.

    The topic is never looked at; the server has no key for what the EA says.
    """
    token = parse_event(frames.token)
    if token is None or (token.acct, token.kid) != (trust.acct, trust.kid):
        return None
    purpose = Purpose.EVENT_EA if token.stream.startswith(EA) else Purpose.EVENT_SRV
    body = event_mac_holds(frames, token, trust.keys.get(purpose), purpose)
    return None if body is None else (token, body)


class StreamTracker:
    """Where each stream stands for one consumer."""

    def __init__(self) -> None:
        """Nothing is known until the first heartbeat or event."""
        self._last: dict[str, int] = {}
        self._run = ""
        self.ready = False

    def event(self, stream: str, seq: int) -> Verdict:
        """Place one numbered event."""
        last = self._last.get(stream)
        if stream.startswith(TICK):
            return self._tick(stream, seq, last)
        if last is None:
            # Before the first heartbeat nothing was promised; afterwards a stream that nobody
            # has told us of is a new run, or an old one replayed: the snapshot will say.
            if self.ready:
                return Verdict(Heard.GAP)
            self._last[stream] = seq
            return Verdict(Heard.NEW)
        if seq <= last:
            return Verdict(Heard.OLD)
        if seq > last + 1:
            return Verdict(Heard.GAP)
        self._last[stream] = seq
        return Verdict(Heard.NEW)

    def _tick(self, stream: str, seq: int, last: int | None) -> Verdict:
        run = stream.split("-", 2)[1]
        if self._run and run != self._run:
            return Verdict(Heard.OLD)  # another run's ticks, until its heartbeat was believed
        if last is not None and seq <= last:
            return Verdict(Heard.OLD)
        self._last[stream] = seq
        return Verdict(Heard.NEW, 0 if last is None else seq - last - 1)

    def heartbeat(self, points: Iterable[StreamPoint]) -> bool:
        """Take in a heartbeat; return False if it shows that events were lost.

        The first one says where we come in; that is when a consumer is ready.
        """
        named = {point.stream: point.seq for point in points}
        if not self.ready:
            self._come_in(named)
            return True
        return all(
            stream in self._last and seq <= self._last[stream]
            for stream, seq in named.items()
            if not stream.startswith(TICK)
        )

    def ea_reached(self, stream: str, seq: int) -> bool:
        """Return whether the EA's own number is not below what the server told of its stream."""
        return seq >= self._last.get(stream, 0) or not self.ready

    def ea_heartbeat(self, stream: str, seq: int) -> bool:
        """Take in a heartbeat that the EA signed; return True if it shows that events were lost.

        It names its own stream alone, so it makes no consumer ready.
        """
        last = self._last.get(stream)
        if not self.ready:
            self._last[stream] = max(seq, last or 0)
            return False
        return last is None or seq > last

    def _come_in(self, named: Mapping[str, int]) -> None:
        for stream, seq in named.items():
            if stream.startswith(TICK):
                continue  # the first tick that arrives says where we come in
            self._last[stream] = max(seq, self._last.get(stream, 0))
        self._runs(named)
        self.ready = True

    def synced(self, points: Iterable[StreamPoint]) -> None:
        """Take in where the streams stood when the truth was told; older runs are gone."""
        named = {point.stream: point.seq for point in points}
        ticks = {s: n for s, n in self._last.items() if s.startswith(TICK) and s in named}
        self._last = {s: n for s, n in named.items() if not s.startswith(TICK)} | ticks
        self._runs(named)
        self.ready = True

    def _runs(self, named: Mapping[str, int]) -> None:
        self._run = next((s.split("-", 1)[1] for s in named if s.startswith("srv-")), self._run)
