"""The link to the EA: one thread owns the ROUTER; requests with numbers, answers, deadlines.

Any thread may `ask`. What could not be handed to the EA's connection is proven not sent; what was
handed over and not answered is silence, which proves nothing. There is no retry here.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

import zmq
from msgspec import Struct

from bridge_core.host.clock import Clock
from bridge_core.host.endpoints import endpoint
from bridge_core.host.sockets import (
    CurveKeys,
    ServerSocketSpec,
    ZapResponder,
    server_socket,
    unknown_key_refused,
)
from bridge_core.protocol import limits
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.signing import Frames
from bridge_server.backends.ea_hop import Beat, FromEa, make_head, parse_from_ea, read_body
from bridge_server.backends.ea_session import EaStatus, Pins, Sessions
from bridge_server.transport import Bell

__all__ = ["Call", "EaLink", "HopSpec", "Reply", "TRADING_VERBS"]

TRADING_VERBS: Final = frozenset({"EXEC", "FORWARD", "TOMBSTONE"})
EA_DOMAIN: Final = "ea"
_BATCH: Final = 256
_POLL_MS: Final = 100
_POSTS_MAX: Final = 10_000
_MORE: Final = int(zmq.SNDMORE) | int(zmq.NOBLOCK)
_LAST: Final = int(zmq.NOBLOCK)
_POLLIN: Final = int(zmq.POLLIN)


class HopSpec(Struct, frozen=True, kw_only=True):
    """Where the link listens and whom it lets in.

    `trading` False is the rehearsal: nothing that could move money can be sent at all.
    """

    port: int
    keys: CurveKeys
    ea_public: bytes
    incarnation: str
    pins: Pins | None
    trading: bool
    host: str = "127.0.0.1"


class Reply(NamedTuple):
    """How a request ended. `sent` False is proof that the EA never got it."""

    sent: bool
    body: bytes | None = None
    why: str = ""
    took_ms: float = 0.0


class Call:
    """One request on its way: ends once, then `then` runs in the link's thread."""

    def __init__(
        self, head: Callable[[int], bytes], frames: Frames | None, patience_ms: int
    ) -> None:
        self.head = head
        self.frames = frames
        self.patience_ms = patience_ms
        self.executes = False
        self.busy = False
        self.then: Callable[[Reply], None] | None = None
        self.instance = ""
        self.begun_ns = 0
        self.due_mono = 0
        self._done = threading.Event()
        self._reply = Reply(sent=False)

    def wait(self) -> Reply:
        """Return the reply; every call ends, at the latest when the link is closed."""
        self._done.wait()
        return self._reply

    def end(self, reply: Reply) -> None:
        """End the call; the first word counts."""
        if self._done.is_set():
            return
        self._reply = reply
        self._done.set()
        if self.then is not None:
            self.then(reply)


class EaLink:
    """Requests out, answers, events and ticks in. `on_*` run in the link's thread; be quick."""

    def __init__(self, spec: HopSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self.sessions = Sessions(spec.pins)
        self.counters: Counter[str] = Counter()
        self.on_message: Callable[[FromEa, EaStatus], None] = _ignore
        self.on_adopted: Callable[[EaStatus], None] = _ignore_status
        self.on_twice: Callable[[str], None] = _ignore_text
        self.took_ms = ""
        self._asked: deque[Call] = deque()
        self._calls: dict[int, Call] = {}
        self._number = 0
        self._stopping = threading.Event()
        self._closed = False
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ea-link", daemon=True)

    @property
    def status(self) -> EaStatus:
        """Return the adopted instance as last heard."""
        return self.sessions.status

    @property
    def address(self) -> str:
        """Return where it listens."""
        return endpoint(self._spec.host, self._spec.port)

    def alive(self) -> bool:
        """Return whether the EA is there now."""
        return self.status.alive(self._clock.mono_ms())

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Bind and serve in the background.

        Raises:
            ConfigError: the port is in use, or an unknown key is not refused.
        """
        self._bell = Bell()
        self._context = zmq.Context()
        self._zap = ZapResponder(self._context, {EA_DOMAIN: frozenset({self._spec.ea_public})})
        self._zap.start()
        spec = ServerSocketSpec(
            domain=EA_DOMAIN,
            keys=self._spec.keys,
            max_frame_bytes=limits.HOP_SERVER_FRAME_BYTES_MAX,
            host=self._spec.host,
        )
        self._sock = server_socket(self._context, zmq.ROUTER, spec)
        try:
            self._sock.bind(self.address)
        except zmq.ZMQError as error:
            self._drop_sockets()
            raise ConfigError(
                "BIND", f"cannot listen for the EA on {self.address} ({error}): choose another port"
            ) from error
        self._thread.start()
        if not self.self_test():
            self.close()
            raise ConfigError(
                "SELF_TEST",
                "an unknown CURVE key was not seen to be refused on the EA's port: start again on "
                "a quieter machine; if that does not help, reinstall pyzmq",
            )

    def self_test(self) -> bool:
        """Return whether an unknown key is refused and the handler lives."""
        refused = unknown_key_refused(self.address, self._spec.keys.public)
        return refused and self._zap.alive

    @property
    def refused_keys(self) -> int:
        """Return how many handshakes were refused."""
        return self._zap.refused

    def wait_for_ea(self, timeout_s: float) -> bool:
        """Wait for the first EA, at most so long; return whether one is there."""
        return self._first.wait(timeout_s)

    def close(self) -> None:
        """End the thread; every open call ends as silence."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._bell.ring()
            self._thread.join()

    def _drop_sockets(self) -> None:
        self._sock.close(0)
        self._bell.close()
        self._zap.stop()
        self._context.term()
        self._bell.close()

    # --- asking --------------------------------------------------------------------------------

    def query(
        self, verb: str, *parts: str | int, then: Callable[[Reply], None] | None = None
    ) -> Call:
        """Ask without frames; an answer is awaited for EA_QUERY_MS_MAX."""
        return self.hand_over(
            Call(lambda n: make_head(verb, n, *parts), None, limits.EA_QUERY_MS_MAX), verb, then
        )

    def hand_over(self, call: Call, verb: str, then: Callable[[Reply], None] | None = None) -> Call:
        """Queue a call; whatever becomes of it, it ends."""
        call.then = then
        if verb in TRADING_VERBS and not self._spec.trading:
            call.end(Reply(sent=False, why="a rehearsal sends no orders"))
            return call
        self._asked.append(call)
        self._bell.ring()
        if self._closed:  # after the look: what the thread did not see any more ends here
            self._end_all("the link is closed")
        return call

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._sock, zmq.POLLIN)
        poller.register(self._bell.fileno(), zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                poller.poll(_POLL_MS)
                self._bell.quiet()
                self._receive()
                while self._asked:
                    self._send(self._asked.popleft())
                self._expire()
        finally:
            self._closed = True
            self._end_all("the link is closed")
            self._drop_sockets()

    def _end_all(self, why: str) -> None:
        while self._asked:
            self._asked.popleft().end(Reply(sent=False, why=why))
        for number in list(self._calls):
            self._calls.pop(number).end(Reply(sent=True, why=why))

    def _receive(self) -> None:
        for _ in range(_BATCH):
            if not int(self._sock.getsockopt(zmq.EVENTS)) & _POLLIN:
                return
            route, *parts = self._sock.recv_multipart(_LAST)
            message = parse_from_ea(parts)
            if message is None:
                self.counters["ea_malformed"] += 1
                continue
            try:
                self._take(route, message)
            except Exception:  # noqa: BLE001  one message must not cost the link, and every order with it
                self.counters["ea_faulty"] += 1

    def _take(self, route: bytes, message: FromEa) -> None:
        if message.verb in ("HELLO", "BEAT"):
            self._greet(route, message)
        elif message.verb == "BYE":
            self._bye(message.parts[0])
        else:
            self._hear(route, message)

    def _greet(self, route: bytes, message: FromEa) -> None:
        beat = read_body(Beat, message.body)
        if beat is None or beat.instance != message.parts[0]:
            self.counters["ea_malformed"] += 1
            return
        wall, mono = self._clock.wall_ms(), self._clock.mono_ms()
        heard = self.sessions.greet(route, beat, wall, mono, hello=message.verb == "HELLO")
        if heard.twice:
            self.on_twice(heard.twice)
        if heard.adopted:
            self._abandon("another EA took its place")
        if heard.welcome:
            self._put(route, [make_head("WELCOME", self._spec.incarnation), b""])
            self._first.set()
            self.on_adopted(self.status)
        elif heard.ours:
            self._after_busy(mono)
            self.on_message(message, self.status)

    def _bye(self, instance: str) -> None:
        if self.sessions.bye(instance):
            self._abandon("the EA said goodbye")

    def _abandon(self, why: str) -> None:
        for number in list(self._calls):
            self._calls.pop(number).end(Reply(sent=True, why=why))

    def _hear(self, route: bytes, message: FromEa) -> None:
        mono = self._clock.mono_ms()
        heard = self.sessions.hear(route, mono)
        if heard.twice:
            self.on_twice(heard.twice)
        if heard.stranger and message.verb == "ANSWER":
            self._answer(message)  # the number is ours, and only the EA asked could know it
        elif not heard.ours:
            self.counters["ea_stray"] += 1
        elif message.verb == "BUSY":
            self.sessions.busy(mono)
            call = self._calls.get(message.number)
            if call is not None:
                call.busy = True
                call.due_mono = mono + limits.EA_BUSY_MS_MAX
        elif message.verb == "ANSWER":
            self.sessions.idle()
            self._answer(message)
        else:
            self.on_message(message, self.status)

    def _after_busy(self, mono_ms: int) -> None:
        # The EA has one thread: a beat after BUSY means that the call is over, and its answer
        # came before the beat or will not come.
        for call in self._calls.values():
            if call.busy:
                call.busy = False
                call.due_mono = min(call.due_mono, mono_ms + limits.EA_BEAT_PERIOD_MS)

    def _answer(self, message: FromEa) -> None:
        call = self._calls.pop(message.number, None)
        if call is None:
            self.counters["ea_unasked"] += 1
            return
        took_ms = (self._clock.mono_ns() - call.begun_ns) / 1_000_000
        if not call.executes:
            self.took_ms = f"{took_ms:.3f}"
        call.end(Reply(sent=True, body=message.body, took_ms=took_ms))

    def _send(self, call: Call) -> None:
        mono, status = self._clock.mono_ms(), self.status
        if not status.alive(mono):
            call.end(Reply(sent=False, why="no EA is there"))
            return
        self._number += 1
        parts = [call.head(self._number), b""]
        if call.frames is not None:
            parts += [limits.FRAME_TAG, call.frames.token, call.frames.body]
        call.instance, call.begun_ns = status.instance, self._clock.mono_ns()
        call.due_mono = mono + call.patience_ms
        if not self._put(status.route, parts):
            call.end(Reply(sent=False, why="the EA's connection takes nothing"))
            return
        self._calls[self._number] = call

    def _put(self, route: bytes, parts: list[bytes]) -> bool:
        """Send one message; False only if it is proven that nothing of it was taken."""
        try:
            self._sock.send(route, _MORE)
        except zmq.ZMQError:  # EHOSTUNREACH: no such connection; EAGAIN: its queue is full
            self.counters["ea_undelivered"] += 1
            return False
        # Once the route is taken the rest follows: a message is queued as a whole.
        for part in (b"", limits.HOP_FRAME_TAG, *parts[:-1]):
            self._sock.send(part, _MORE)
        self._sock.send(parts[-1], _LAST)
        return True

    def _expire(self) -> None:
        if not self._calls:
            return
        mono, alive = self._clock.mono_ms(), self.alive()
        for number, call in list(self._calls.items()):
            if mono >= call.due_mono:
                self._calls.pop(number).end(Reply(sent=True, why="the EA did not answer in time"))
            elif not alive:
                self._calls.pop(number).end(Reply(sent=True, why="the EA went silent"))


def _ignore(_message: FromEa, _status: EaStatus) -> None:
    return None


def _ignore_status(_status: EaStatus) -> None:
    return None


def _ignore_text(_text: str) -> None:
    return None
