"""The connector's sockets: one DEALER for requests, one SUB for each `events()`.

The only user of ZeroMQ on this side besides host/sockets.py. There is no reader thread: whoever
waits pumps. One waiter at a time is the leader; it watches the socket's descriptor, takes what
arrived and hands each reply to its waiter; the others sleep until they are served or promoted.

The descriptor of a ZeroMQ socket is edge-triggered, which gives the one invariant of this file:
whoever touches the socket, under the lock, drains it until EAGAIN and serves what came out.
"""

from __future__ import annotations

import selectors
import struct
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import zmq

from bridge_client.mailbox import Bell, Mailbox
from bridge_core.host.endpoints import endpoint
from bridge_core.host.sockets import (
    ClientSocketSpec,
    Context,
    CurveKeys,
    Socket,
    client_socket,
    require_libzmq,
)
from bridge_core.protocol import limits
from bridge_core.protocol.errors import TransportError
from bridge_core.protocol.signing import Frames

__all__ = ["HOP", "Dial", "Subscriber", "Transport"]

HOP: Final = "connector-server"
_SILENCE_S: Final = limits.SILENCE_MS_MAX / 1000
_LOOK_S: Final = 0.5  # how often a leader looks at the silence, beside what wakes it
# Plain integers: the flags of pyzmq are enums, whose operators cost a microsecond each.
_MORE: Final = int(zmq.SNDMORE) | int(zmq.NOBLOCK)
_LAST: Final = int(zmq.NOBLOCK)
_POLLIN: Final = int(zmq.POLLIN)
_WATCHED: Final = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Dial(NamedTuple):
    """Whom to call, and the pinned keys of both ends."""

    host: str
    port: int
    keys: CurveKeys
    server_public: bytes

    def spec(self, max_frame_bytes: int) -> ClientSocketSpec:
        """Return what our sockets share."""
        return ClientSocketSpec(
            keys=self.keys,
            server_public=self.server_public,
            max_frame_bytes=max_frame_bytes,
            ipv6=":" in self.host,
        )


class Transport:
    """One connection to one server, usable from every thread.

    `epoch` changes whenever the connection is made, lost or replaced: what was agreed in an
    earlier epoch (HELLO) must be agreed anew.
    """

    def __init__(self, dial: Dial) -> None:
        """Start to connect; returns at once.

        Raises:
            ConfigError: libzmq is too old.
        """
        require_libzmq()
        self._dial = dial
        self._context: Context = zmq.Context()
        self._lock = threading.Lock()
        self._leader = threading.Lock()
        self._waiting: dict[Mailbox, None] = {}
        self._routes: dict[bytes, Mailbox] = {}
        self._bell = Bell()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell.hear, selectors.EVENT_READ, "bell")
        self._unanswered = 0
        self._subscribers = 0
        self._heard = self._lost = 0.0
        self._closed = False
        self.epoch = 0
        self.connected = False
        self.why = "no connection yet"
        self.replaced = 0
        self._open()

    # --- the socket: under the lock, and for its replacement under the leadership too ------

    def _open(self) -> None:
        sock = client_socket(
            self._context, zmq.DEALER, self._dial.spec(limits.CLIENT_FRAME_BYTES_MAX)
        )
        self._sock: Socket = sock
        self._monitor = sock.get_monitor_socket(_WATCHED)
        sock.connect(endpoint(self._dial.host, self._dial.port))
        self._fds = (sock.getsockopt(zmq.FD), self._monitor.getsockopt(zmq.FD))
        for fd, name in zip(self._fds, ("socket", "monitor"), strict=True):
            self._selector.register(int(fd), selectors.EVENT_READ, name)

    def _shut(self) -> None:
        for fd in self._fds:
            self._selector.unregister(int(fd))
        self._sock.disable_monitor()
        self._monitor.close(0)  # disable_monitor only lets go of it; an open one blocks term()
        self._sock.close(0)

    def _replace(self, why: str) -> None:
        self._shut()
        self._open()
        self._unanswered = 0
        self._lost = time.monotonic() if self._lost else 0.0
        self.replaced += 1
        self._changed(connected=False, why=why)

    def _changed(self, *, connected: bool, why: str) -> None:
        self.connected = connected
        self.why = why
        self.epoch += 1
        for mailbox in tuple(self._waiting):
            if mailbox.link:
                mailbox.knock()

    def _silent(self) -> bool:
        # libzmq connects again by itself after most ends, but not after one for a breach of
        # protocol (a frame too large): so what is lost and stays lost is silence too.
        since = self._heard if self._unanswered else self._lost
        return since > 0 and time.monotonic() - since > _SILENCE_S

    def _replace_silent(self) -> None:
        self._replace("no answer for 3 s" if self._unanswered else self.why)

    def _watch(self) -> None:
        while True:
            try:
                parts = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event, _value = struct.unpack("=Hi", parts[0])
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._lost = 0.0
                self._changed(connected=True, why="")
            elif event == zmq.EVENT_DISCONNECTED:
                # A refused handshake ends in a disconnect too: its own reason is the better one.
                why = "the connection was lost" if self.connected else self.why
                self._lost = time.monotonic() if self.connected else self._lost
                self._changed(connected=False, why=why)
            else:
                self.why = "the server refused our key, or is not the pinned server"

    def _drain(self) -> list[Frames]:
        # Reading EVENTS takes in what the descriptor announced, and costs less than an Again.
        got = []
        while int(self._sock.getsockopt(zmq.EVENTS)) & _POLLIN:
            parts = self._sock.recv_multipart(_LAST)
            if len(parts) == 4 and not parts[0] and parts[1] == limits.FRAME_TAG:
                got.append(Frames(parts[2], parts[3]))
        if got:
            self._heard = time.monotonic()
            self._unanswered = 0
        return got

    def _serve(self, got: list[Frames]) -> None:
        # Routing by an unverified rid is safe: the waiter verifies before it believes.
        for frames in got:
            fields = frames.token.split(b":", 5)
            mailbox = self._routes.get(fields[4]) if len(fields) == 6 else None
            if mailbox is not None:
                mailbox.put(frames)

    # --- for callers ------------------------------------------------------------------------

    def route(self, rid: str, mailbox: Mailbox) -> None:
        """Deliver replies that claim this rid to this mailbox."""
        self._routes[rid.encode("ascii")] = mailbox

    def forget(self, rid: str) -> None:
        """Deliver no more replies of this rid."""
        self._routes.pop(rid.encode("ascii"), None)

    def wake(self, mailbox: Mailbox) -> None:
        """Make a wait on this mailbox return, be it the leader's."""
        mailbox.knock()
        self._bell.ring()

    def look(self) -> int:
        """Take in what is known of the connection now, and return the epoch."""
        self._end_silence()
        with self._lock:
            if not self._closed:
                self._watch()
            return self.epoch

    def send(self, frames: Frames) -> bool:
        """Send a request; False means proven not sent (not connected, or no room).

        Raises:
            TransportError: closed.
        """
        self._end_silence()
        with self._lock:
            self._if_open()
            sent = self._send(frames)
            got = self._drain()
        if got:
            self._serve(got)
        return sent

    def _end_silence(self) -> None:
        # A leader that pumps sees the silence itself.
        if self._silent() and self._leader.acquire(blocking=False):
            try:
                with self._lock:
                    if not self._closed and self._silent():
                        self._replace_silent()
            finally:
                self._resign()

    def _if_open(self) -> None:
        if self._closed:
            raise TransportError("CLOSED", f"hop={HOP} why='this connector is closed'")

    def _send(self, frames: Frames) -> bool:
        sock = self._sock
        try:
            sock.send(b"", _MORE)
        except zmq.Again:
            return False
        whole = True
        for part, flags in (
            (limits.FRAME_TAG, _MORE), (frames.token, _MORE), (frames.body, _LAST),
        ):  # fmt: skip
            try:
                sock.send(part, flags)
            except zmq.Again:
                # The connection ended between two parts: ZeroMQ has taken the message back, and
                # drops what is sent until the last part; so that has to be sent all the same.
                whole = False
        if not whole:
            return False
        if not self._unanswered:
            self._heard = time.monotonic()
        self._unanswered += 1
        return True

    def wait(self, mailbox: Mailbox, until: float) -> bool:
        """Wait for something in the mailbox until a monotonic time (s); pump if nobody does.

        Raises:
            TransportError: closed.
        """
        self._waiting[mailbox] = None
        try:
            while True:
                mailbox.quiet()
                if mailbox.ready:
                    return True
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._if_open()
                if self._leader.acquire(blocking=False):
                    try:
                        self._pump(mailbox, until)
                    finally:
                        self._resign(mailbox)
                elif mailbox.hang_bell():
                    mailbox.sleep(left)
        finally:
            self._waiting.pop(mailbox, None)

    def _resign(self, but: Mailbox | None = None) -> None:
        self._leader.release()
        for mailbox in tuple(self._waiting):
            if mailbox is not but:
                mailbox.ring()  # it looks, finds no leader, and leads
                return

    def _pump(self, mailbox: Mailbox, until: float) -> None:
        while not mailbox.ready:
            left = until - time.monotonic()
            if left <= 0:
                return
            awake = {key.data for key, _ in self._selector.select(min(left, _LOOK_S))}
            if "bell" in awake:
                self._bell.quiet()
            with self._lock:
                if self._closed:
                    return
                if self._silent():
                    self._replace_silent()
                if "monitor" in awake:
                    self._watch()
                got = self._drain()
            if got:
                self._serve(got)

    def subscriber(self, topics: tuple[bytes, ...]) -> Subscriber:
        """Return a new subscription to these topics, in the same context."""
        with self._lock:
            self._if_open()
            self._subscribers += 1
        return Subscriber(self._context, self._dial, topics, self._let_go)

    def _let_go(self) -> None:
        # The context outlives the last of its sockets; ending it earlier would hang.
        with self._lock:
            self._subscribers -= 1
            last = self._closed and not self._subscribers
        if last:
            self._context.term()

    def close(self) -> None:
        """Close; waiters raise TransportError. What was not sent yet is never sent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._bell.ring()
        for mailbox in tuple(self._waiting):
            mailbox.ring()
        with self._leader, self._lock:
            self._shut()
            self._selector.close()
            self._bell.close()
            last = not self._subscribers
        if last:
            self._context.term()


class Subscriber:
    """One SUB socket, used by one thread; `wake` may be called by any."""

    def __init__(
        self,
        context: Context,
        dial: Dial,
        topics: tuple[bytes, ...],
        closed: Callable[[], None],
    ) -> None:
        """Connect and subscribe; delivery begins once the server has heard of it."""
        self._on_close = closed
        self._sock = client_socket(context, zmq.SUB, dial.spec(limits.EVENT_FRAME_BYTES_MAX))
        for topic in topics:
            self._sock.setsockopt(zmq.SUBSCRIBE, topic)
        self._sock.connect(endpoint(dial.host, dial.port + 1))
        self._bell = Bell()
        self._poller = zmq.Poller()
        self._poller.register(self._sock, zmq.POLLIN)
        self._poller.register(self._bell.hear.fileno(), zmq.POLLIN)

    def wake(self) -> None:
        """Make a waiting `receive` return."""
        self._bell.ring()

    def receive(self, until: float) -> Frames | None:
        """Return the next event's frames, or None at a monotonic time (s) or when woken."""
        while True:
            try:
                parts = self._sock.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                left = until - time.monotonic()
                if left <= 0:
                    return None
                ready = dict(self._poller.poll(int(left * 1000) + 1))
                if self._bell.hear.fileno() in ready:
                    self._bell.quiet()
                    return None
                continue
            if len(parts) == 4 and parts[1] == limits.FRAME_TAG:
                return Frames(parts[2], parts[3])

    def close(self) -> None:
        """Close; idempotent."""
        if not self._sock.closed:
            self._sock.close(0)
            self._bell.close()
            self._on_close()
