"""The server's sockets: ROUTER for requests, PUB for events, and a bell for the worker's results.

The only user of ZeroMQ on this side besides host/sockets.py. Every send is NOBLOCK: what cannot be
delivered is counted, and its outcome stays in the journal.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Final, NamedTuple

import zmq

from bridge_core.host.endpoints import check_endpoint_host
from bridge_core.host.sockets import (
    CurveKeys,
    ServerSocketSpec,
    ZapResponder,
    require_libzmq,
    server_socket,
    unknown_key_refused,
    user_id,
)
from bridge_core.protocol import limits
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.signing import Frames

__all__ = ["Bell", "Binding", "Incoming", "Transport"]

REQUEST_DOMAIN: Final = "req"
EVENT_DOMAIN: Final = "pub"
_BATCH: Final = 64
# Of these one turn of the loop takes a few: a stop that comes in the meantime must not wait for
# an order's disk writes times sixty-four.
_TURN: Final = 8
_STOPS: Final = frozenset({b"HALT", b"REDUCE_ONLY"})
# Plain integers: the flags of pyzmq are enums, whose operators cost a microsecond each.
_MORE: Final = int(zmq.SNDMORE) | int(zmq.NOBLOCK)
_LAST: Final = int(zmq.NOBLOCK)
_POLLIN: Final = int(zmq.POLLIN)


class Incoming(NamedTuple):
    """One request off the wire: the way back, the CURVE identity, and the two frames."""

    route: bytes
    user_id: bytes
    frames: Frames


class Binding(NamedTuple):
    """Where to listen: requests on `port`, events on `port + 1`."""

    host: str
    port: int
    bind_any: bool
    keys: CurveKeys
    allowed: frozenset[bytes]


class Bell:
    """Wakes the loop from another thread; portable, and cheaper than a thread-safe queue's lock."""

    def __init__(self) -> None:
        self._ring, self._hear = socket.socketpair()
        self._ring.settimeout(0)
        self._hear.settimeout(0)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._hear.fileno()

    def ring(self) -> None:
        """Wake the loop; a bell that is ringing already is enough."""
        try:
            self._ring.send(b"!")
        except (BlockingIOError, OSError):
            return

    def quiet(self) -> None:
        """Take the rings that have been heard."""
        try:
            self._hear.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both ends."""
        self._ring.close()
        self._hear.close()


class Transport:
    """Bound sockets with CURVE on, proven by a self-test before anything is served."""

    def __init__(self, binding: Binding) -> None:
        """Bind.

        Raises:
            ConfigError: libzmq too old, a host that may not be bound, a port in use, or the
                self-test found that an unknown key is not refused.
        """
        require_libzmq()
        check_endpoint_host(binding.host, binding.bind_any)
        self._binding = binding
        self._context = zmq.Context()
        self._zap = ZapResponder(
            self._context, {REQUEST_DOMAIN: binding.allowed, EVENT_DOMAIN: binding.allowed}
        )
        self._zap.start()
        self.bell = Bell()
        self.undelivered = 0
        self.malformed = 0
        self._waiting: deque[Incoming] = deque()
        self._stops: deque[Incoming] = deque()
        try:
            self._requests = self._make(zmq.ROUTER, REQUEST_DOMAIN, limits.SERVER_FRAME_BYTES_MAX)
            self._events = self._make(zmq.PUB, EVENT_DOMAIN, limits.SERVER_FRAME_BYTES_MAX)
            self._bind(self._requests, binding.port)
            self._bind(self._events, binding.port + 1)
        except BaseException:
            self._zap.stop()
            self.bell.close()
            self._context.destroy(0)
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._requests, zmq.POLLIN)
        self._poller.register(self.bell.fileno(), zmq.POLLIN)

    def _make(self, kind: int, domain: str, frame_bytes_max: int) -> zmq.Socket[bytes]:
        spec = ServerSocketSpec(
            domain=domain,
            keys=self._binding.keys,
            max_frame_bytes=frame_bytes_max,
            host=self._binding.host,
        )
        return server_socket(self._context, kind, spec)

    def _bind(self, sock: zmq.Socket[bytes], port: int) -> None:
        endpoint = self.endpoint(port)
        try:
            sock.bind(endpoint)
        except zmq.ZMQError as error:
            raise ConfigError(
                "BIND", f"cannot listen on {endpoint} ({error}): choose another --port or --host"
            ) from error

    def endpoint(self, port: int) -> str:
        """Return the endpoint of one port."""
        host = self._binding.host
        return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    def self_test(self) -> bool:
        """Return whether an unknown key is refused on both sockets and the handler lives."""
        public = self._binding.keys.public
        refused = all(
            unknown_key_refused(self.endpoint(port), public)
            for port in (self._binding.port, self._binding.port + 1)
        )
        return refused and self._zap.alive  # afterwards: the knocks show whether it is stuck

    def poll(self, timeout_ms: int) -> list[Incoming]:
        """Wait for requests or the bell, at most so long; return what arrived, bounded.

        Stops come before what arrived earlier; the rest keeps its order, and is not starved.
        """
        ready = dict(self._poller.poll(0 if self._waiting or self._stops else timeout_ms))
        if self.bell.fileno() in ready:
            self.bell.quiet()
        if self._requests in ready:
            self._read()
        taken = [self._stops.popleft() for _ in range(min(_TURN // 2, len(self._stops)))]
        room = _TURN - len(taken)
        return taken + [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]

    def _read(self) -> None:
        for _ in range(_BATCH - len(self._waiting) - len(self._stops)):
            # Reading EVENTS costs less than the exception of an empty socket.
            if not int(self._requests.getsockopt(zmq.EVENTS)) & _POLLIN:
                break
            incoming = self._shape(self._requests.recv_multipart(_LAST, copy=False))
            if incoming is None:
                self.malformed += 1
            elif _names_stop(incoming.frames.token):
                self._stops.append(incoming)
            else:
                self._waiting.append(incoming)

    def _shape(self, parts: list[zmq.Frame]) -> Incoming | None:
        # [route][empty][F0][F1][F2]: exactly these; anything else is dropped without an answer.
        if len(parts) != 5 or parts[1].bytes or parts[2].bytes != limits.FRAME_TAG:
            return None
        return Incoming(parts[0].bytes, user_id(parts[4]), Frames(parts[3].bytes, parts[4].bytes))

    def send(self, route: bytes, reply: Frames) -> None:
        """Send a reply to the socket that asked; a vanished peer is counted."""
        sock = self._requests
        try:
            sock.send(route, _MORE)
            # Once the route is taken the rest follows: a message is queued as a whole.
            sock.send(b"", _MORE)
            sock.send(limits.FRAME_TAG, _MORE)
            sock.send(reply.token, _MORE)
            sock.send(reply.body, _LAST)
        except zmq.ZMQError:
            self.undelivered += 1

    def publish(self, topic: bytes, event: Frames) -> None:
        """Publish one event; a subscriber that does not keep up loses it and sees the gap."""
        try:
            self._events.send_multipart(
                (topic, limits.FRAME_TAG, event.token, event.body), zmq.NOBLOCK
            )
        except zmq.ZMQError:
            self.undelivered += 1

    @property
    def refused_keys(self) -> int:
        """Return how many handshakes were refused."""
        return self._zap.refused

    def close(self) -> None:
        """Close everything; nothing lingers."""
        self._requests.close(0)
        self._events.close(0)
        self._zap.stop()
        self.bell.close()
        self._context.term()


def _names_stop(token: bytes) -> bool:
    # It only decides whose turn it is: nothing here is verified yet.
    parts = token.split(b":", 5)
    return len(parts) > 5 and parts[4] in _STOPS
