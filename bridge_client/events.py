"""`events()`: one SUB socket, read in the caller's thread; verified, gap-checked, in order.

An event never ends an order and never causes a trade: order_final only makes us ask.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, NamedTuple, Self

from bridge_client.facts import Fact, Symbols
from bridge_client.happenings import Alert, OrderFinal, Resync, event_of, tick_of
from bridge_client.result import OrderResult
from bridge_client.streams import EA, EventKeys, Heard, StreamTracker, verify_event
from bridge_client.transport import Subscriber
from bridge_core.protocol import limits
from bridge_core.protocol.alerts import severity_of
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import decode_reply
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import EventToken
from bridge_core.protocol.views import StreamPoint

__all__ = ["EventFeed", "Sources"]

_RETRY_S: Final = 0.5
_REMEMBERED: Final = 4096
_STALE: Final = "STREAM_STALE"
_FORK: Final = "EVENT_FORK"
_STALE_S: Final = limits.STREAM_STALE_MS / 1000
# An order_final that no answer bears out is asked about so often, a little later each time; when
# the order does end later, the server says so again.
_ANSWERS_MAX: Final = 12
_ASKED_MAX: Final = 1024
_EA_AGE_MS_MAX: Final = limits.TTL_MS_MAX
_BACKOFF_S_MAX: Final = limits.STATUS_BACKOFF_MS_MAX / 1000


class _Ask(NamedTuple):
    """When to ask about an order next (monotonic s), and how many answers did not end it."""

    due: float
    answers: int = 0


class _Pulse:
    """When a source was heard last (monotonic s), and whether its silence was told."""

    def __init__(self, now: float) -> None:
        self.heard = now
        self.stale = False


class Sources(NamedTuple):
    """What a feed asks: the truth with its stream points, and one order's bound outcome."""

    trust: EventKeys
    symbols: Symbols
    wanted: frozenset[str]
    sync: Callable[[str], tuple[Resync, list[StreamPoint]]]
    outcome: Callable[[str], OrderResult | None]
    closed: Callable[[EventFeed], None]
    saw_quote: Callable[[str, str, str], None] = lambda _symbol, _bid, _ask: None
    alarm: Callable[[str, str], object] = lambda _code, _message: None


class EventFeed(Iterator["Fact | None"]):
    """An iterator of events; yields None when nothing came for `timeout` seconds.

    A stream without an event or heartbeat for STREAM_STALE_MS yields one Alert STREAM_STALE, and
    a Resync once it is back: what it said meanwhile may be lost. An event that comes again under
    its number with other content yields an Alert EVENT_FORK: two readers may have been told two
    stories. On accounts whose EA signs its own events its silence is watched apart: a relay that
    goes on talking while the EA is cut off is noticed. A lie about an order yields SERVER_LIED.

    One thread iterates; `close()` ends it. It is subscribed from the moment it is made, and
    complete from `ready()` on.
    """

    def __init__(self, subscriber: Subscriber, sources: Sources, timeout: float | None) -> None:
        self._sub = subscriber
        self._from = sources
        self._timeout = timeout
        self._streams = StreamTracker()
        self._out: deque[Fact] = deque()
        self._inbox: deque[OrderResult] = deque()
        self._asked: dict[str, _Ask] = {}
        self._told: dict[str, str] = {}
        self._macs: dict[tuple[str, int], str] = {}
        self._sync_due = 0.0
        self._why = ""
        self._server = _Pulse(time.monotonic())
        self._ea = _Pulse(time.monotonic()) if Purpose.EVENT_EA in sources.trust.keys else None
        self._ea_beat = 0
        self._warnings: deque[Fact] = deque()
        self._closed = threading.Event()
        self.rejected = 0

    # --- for the strategy ------------------------------------------------------------------

    def ready(self, timeout: float = 5.0) -> bool:
        """Wait for the first heartbeat (s): from then on no event is missed unnoticed."""
        until = time.monotonic() + timeout
        while not self._streams.ready and not self._closed.is_set():
            if time.monotonic() >= until:
                return False
            self._turn(until)
        return self._streams.ready

    def __iter__(self) -> EventFeed:
        return self

    def __next__(self) -> Fact | None:
        """Return the next event, or None after `timeout` seconds without one."""
        until = float("inf") if self._timeout is None else time.monotonic() + self._timeout
        while True:
            if self._out:
                return self._out.popleft()
            if self._closed.is_set():
                self._sub.close()
                raise StopIteration
            if time.monotonic() >= until:
                return None
            self._turn(until)

    def close(self) -> None:
        """End the iteration; may be called from any thread."""
        if not self._closed.is_set():
            self._closed.set()
            self._from.closed(self)
            self._sub.wake()

    def end(self) -> None:
        """Close the socket too: only from the thread that iterates, or when none does."""
        self.close()
        self._sub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def tell(self, result: OrderResult) -> None:
        """Take in an order that the background has settled; called from its thread."""
        self._inbox.append(result)
        self._sub.wake()

    def warn(self, news: Fact) -> None:
        """Take in an alarm or a change of the connector's own; called from any thread."""
        self._warnings.append(news)
        self._sub.wake()

    # --- one turn ---------------------------------------------------------------------------

    def _turn(self, until: float) -> None:
        now = time.monotonic()
        if self._sync_due and now >= self._sync_due:
            self._sync()
        frames = self._sub.receive(min(until, self._next_due(now)))
        if frames is not None:
            self._take(frames)
        else:
            self._notice_silence()
        while self._warnings:
            self._out.append(self._warnings.popleft())
        while self._inbox:
            self._final(self._inbox.popleft())
        for rid in [rid for rid, ask in self._asked.items() if ask.due <= time.monotonic()]:
            self._ask(rid)

    def _next_due(self, now: float) -> float:
        due = min((ask.due for ask in self._asked.values()), default=now + 1.0)
        if self._sync_due:
            due = min(due, self._sync_due)
        for pulse in self._pulses():
            if not pulse.stale:
                due = min(due, pulse.heard + _STALE_S)
        return due

    def _pulses(self) -> Iterator[_Pulse]:
        yield self._server
        if self._ea is not None and not self._server.stale:  # one silence is told once
            yield self._ea

    def _notice_silence(self) -> None:
        # Only ever after an empty queue: a strategy that was away a while finds its events first.
        for pulse in self._pulses():
            silent_s = time.monotonic() - pulse.heard
            if not pulse.stale and silent_s >= _STALE_S and not self._closed.is_set():
                pulse.stale = True
                whose = "of the EA's" if pulse is self._ea else ""
                message = f"no event {whose} and no heartbeat {whose} for {silent_s:.1f} s"
                message = " ".join(message.split())
                self._warn(_STALE, message)

    def _warn(self, code: str, message: str) -> None:
        self._out.append(Alert(level=severity_of(code), code=code, message=message))
        self._from.alarm(code, message)

    def _listen(self, pulse: _Pulse) -> None:
        pulse.heard = time.monotonic()
        if pulse.stale:
            pulse.stale = False
            if self._ea is not None:
                self._ea.heard = pulse.heard  # nobody could be heard meanwhile
            self._lost("the stream was silent")

    def _take(self, frames: Frames) -> None:
        parts = verify_event(frames, self._from.trust)
        if parts is None:
            self.rejected += 1
            return
        self._listen(self._server)
        token, raw = parts
        try:
            body = decode_reply(EventBody, raw)
            if token.stream.startswith(EA):
                self._of_the_ea(token, body)
            elif body.type == "heartbeat":
                self._heartbeat(body)
            else:
                self._event(token, body)
        except RemoteProtocolError:
            self.rejected += 1

    def _heartbeat(self, body: EventBody) -> None:
        if not self._streams.heartbeat(body.streams):
            self._lost("heartbeat")

    def _of_the_ea(self, token: EventToken, body: EventBody) -> None:
        # A recording of the EA's words, played again, is no sign of life.
        age_ms = time.time_ns() // 1_000_000 - token.time
        if token.time > self._ea_beat and abs(age_ms) <= _EA_AGE_MS_MAX and self._ea is not None:
            self._ea_beat = token.time
            if self._streams.ea_reached(token.stream, token.seq):
                self._listen(self._ea)
        if body.type != "heartbeat":
            self._event(token, body)
        elif self._streams.ea_heartbeat(token.stream, token.seq):
            self._lost(token.stream)

    def _event(self, token: EventToken, body: EventBody) -> None:
        self._compare(token)
        verdict = self._streams.event(token.stream, token.seq)
        if verdict.heard is Heard.OLD:
            return
        if verdict.heard is Heard.GAP:
            self._lost(token.stream)  # the snapshot will contain it
            if body.type == "order_final":
                self._wonder(body.rid)
            return
        if body.type == "tick":
            self._from.saw_quote(body.symbol, body.bid, body.ask)
            if body.symbol in self._from.wanted:
                self._out.append(tick_of(body, self._from.symbols, verdict.missed))
        elif body.type == "order_final":
            self._wonder(body.rid)
        else:
            event = event_of(body, self._from.symbols)
            if event is not None:
                self._out.append(event)

    def _compare(self, token: EventToken) -> None:
        # Whatever differs in an event differs in its MAC.
        known = self._macs.setdefault((token.stream, token.seq), token.mac)
        if known != token.mac:
            message = f"{token.stream} told number {token.seq} twice, with other content"
            self._warn(_FORK, message)
        if len(self._macs) > _REMEMBERED:
            del self._macs[next(iter(self._macs))]

    def _lost(self, why: str) -> None:
        if not self._sync_due:
            self._sync_due = time.monotonic()
            self._why = why

    def _sync(self) -> None:
        try:
            resync, points = self._from.sync(self._why)
        except BridgeError:
            self._sync_due = time.monotonic() + _RETRY_S  # the server is away; the gap stays
            return
        self._sync_due = 0.0
        self._streams.synced(points)
        self._out.append(resync)

    def _wonder(self, rid: str) -> None:
        if rid not in self._told:
            self._asked[rid] = _Ask(0.0)
        if len(self._asked) > _ASKED_MAX:
            del self._asked[next(iter(self._asked))]

    def _ask(self, rid: str) -> None:
        result = self._from.outcome(rid)
        if result is not None and result.final:
            self._final(result)
            return
        # Without an answer nothing was learnt; only answers count.
        answers = self._asked[rid].answers + (result is not None)
        if answers >= _ANSWERS_MAX:
            del self._asked[rid]
            return
        wait_s = min(_RETRY_S * 2 ** max(0, answers - 1), _BACKOFF_S_MAX)
        self._asked[rid] = _Ask(time.monotonic() + wait_s, answers)

    def _final(self, result: OrderResult) -> None:
        self._asked.pop(result.rid, None)
        if self._told.get(result.rid) == result.status:
            return  # told; only the EA's word can still end a DENIED of the server's otherwise
        self._told[result.rid] = result.status
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        self._out.append(
            OrderFinal(
                result=result,
                client_order_id=result.client_order_id,
                rid=result.rid,
                exact={"rid": result.rid},
            )
        )
