"""ZeroMQ sockets: every option in one place, our own ZAP responder, and the proof that it works.

libzmq lets an unknown CURVE key in when there is no handler, no domain, or when the handler has
stopped; only a domain together with ZAP_ENFORCE_DOMAIN refuses in every one of these cases.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, NoReturn, TypeAlias

import msgspec
import zmq
from zmq.utils import z85

from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.limits import (
    LIBZMQ_MIN,
    RECEIVE_QUEUE_MESSAGES,
    SEND_QUEUE_MESSAGES,
)

__all__ = [
    "ClientSocketSpec", "Context", "CurveKeys", "ServerSocketSpec", "Socket", "ZapResponder",
    "client_socket", "new_curve_keys", "require_libzmq", "server_socket", "unknown_key_refused",
    "user_id",
]  # fmt: skip

Socket: TypeAlias = zmq.Socket[bytes]
Context: TypeAlias = zmq.Context[zmq.Socket[bytes]]

_HANDSHAKE_MS: Final = 1_500  # the default of 30 s lets idle connections use up the descriptors
_HEARTBEAT_MS: Final = 1_000
_HEARTBEAT_LOST_MS: Final = 3_000
_CONNECT_MS: Final = 3_000
_RECONNECT_MS: Final = 50
_RECONNECT_MS_MAX: Final = 1_000
_BACKLOG: Final = 128
_ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
_ZAP_POLL_MS: Final = 100
_ZAP_STUCK_S: Final = 2.5
_NEWER: Final = "run `python -m pip install --upgrade pyzmq`"


def require_libzmq() -> None:
    """Check that libzmq is new enough and has CURVE.

    Raises:
        ConfigError: LIBZMQ.
    """
    wanted = ".".join(map(str, LIBZMQ_MIN))
    if zmq.zmq_version_info() < LIBZMQ_MIN:
        raise ConfigError("LIBZMQ", f"libzmq {zmq.zmq_version()} is older than {wanted}: {_NEWER}")
    if not zmq.has("curve"):
        raise ConfigError("LIBZMQ", f"libzmq was built without CURVE: {_NEWER}")


# --- keys and places -----------------------------------------------------------------------


class CurveKeys(NamedTuple):
    """A CURVE pair, each 40 bytes of Z85 text."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        """Show the public half only."""
        return f"<CurveKeys {self.public.decode('ascii', 'replace')}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")


def new_curve_keys() -> CurveKeys:
    """Return a fresh pair."""
    public, secret = zmq.curve_keypair()
    return CurveKeys(public, secret)


# --- sockets -------------------------------------------------------------------------------


class ServerSocketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between our bound sockets.

    `domain` names the ZAP allow-list; `host` is the literal it will be bound to. The bound on
    a frame is MAXMSGSIZE, which libzmq compares with the encrypted frame: 33 bytes are CURVE's.
    """

    domain: str
    keys: CurveKeys
    max_frame_bytes: int
    rcvhwm: int = RECEIVE_QUEUE_MESSAGES
    sndhwm: int = SEND_QUEUE_MESSAGES
    mandatory: bool = True
    host: str = "127.0.0.1"


class ClientSocketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between our connecting sockets. `server_public` is pinned, Z85."""

    keys: CurveKeys
    server_public: bytes
    max_frame_bytes: int
    rcvhwm: int = SEND_QUEUE_MESSAGES
    sndhwm: int = SEND_QUEUE_MESSAGES
    ipv6: bool = False


_COMMON: Final = (
    (zmq.LINGER, 0),  # else an order may be delivered after its sender has given up
    (zmq.HANDSHAKE_IVL, _HANDSHAKE_MS),
    (zmq.HEARTBEAT_IVL, _HEARTBEAT_MS),
    (zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_LOST_MS),
    (zmq.HEARTBEAT_TTL, _HEARTBEAT_LOST_MS),
)


# Of the event sockets. libzmq (4.3.5 too) cannot hear a ping while a reader lags behind its queue,
# ends the connection, and aborts the whole process when the reader goes on after the reconnect
# (libzmq issue 3937). The kernel's probes ask the other machine, and no queue keeps them waiting;
# that events come at all is what our own signed heartbeat proves.
_ASK_THE_KERNEL: Final = (
    (zmq.HEARTBEAT_IVL, 0),
    (zmq.TCP_KEEPALIVE, 1),
    (zmq.TCP_KEEPALIVE_IDLE, 5),
    (zmq.TCP_KEEPALIVE_INTVL, 2),
    (zmq.TCP_KEEPALIVE_CNT, 3),
)


def _new(context: Context, kind: int, options: Sequence[tuple[int, int | bytes]]) -> Socket:
    socket = context.socket(kind)
    if kind in {zmq.PUB, zmq.SUB}:
        options = [*options, *_ASK_THE_KERNEL]
    try:
        for option, value in options:
            socket.setsockopt(option, value)
    except BaseException:
        socket.close(0)
        raise
    return socket


def server_socket(context: Context, kind: int, spec: ServerSocketSpec) -> Socket:
    """Return a ROUTER or PUB with every option set, not bound yet.

    A ZapResponder must run in the same context before it is bound, or nobody gets in.

    Raises:
        ConfigError: SELF_TEST; an option that keeps strangers out does not read back as set.
    """
    assert kind in {zmq.ROUTER, zmq.PUB}
    assert spec.domain, "without a domain libzmq lets everybody in"
    options: list[tuple[int, int | bytes]] = [
        *_COMMON,
        (zmq.CURVE_SERVER, 1),
        (zmq.CURVE_PUBLICKEY, spec.keys.public),
        (zmq.CURVE_SECRETKEY, spec.keys.secret),
        (zmq.ZAP_DOMAIN, spec.domain.encode("ascii")),
        (zmq.ZAP_ENFORCE_DOMAIN, 1),
        (zmq.MAXMSGSIZE, spec.max_frame_bytes),
        (zmq.RCVHWM, spec.rcvhwm),
        (zmq.SNDHWM, spec.sndhwm),
        (zmq.BACKLOG, _BACKLOG),
        (zmq.IPV6, int(":" in spec.host)),
    ]
    if kind == zmq.ROUTER:
        options += [
            (zmq.ROUTER_HANDOVER, 0),  # a second peer under the same routing id is refused
            (zmq.ROUTER_MANDATORY, int(spec.mandatory)),
        ]
    socket = _new(context, kind, options)
    _read_back(socket, spec.domain)
    return socket


def _read_back(socket: Socket, domain: str) -> None:
    # Without ENFORCE_DOMAIN all is well until the handler stops: no probe would notice at start.
    wanted: dict[int, int | str] = {
        zmq.MECHANISM: int(zmq.CURVE),
        zmq.CURVE_SERVER: 1,
        zmq.ZAP_DOMAIN: domain,
        zmq.ZAP_ENFORCE_DOMAIN: 1,
    }
    for option, value in wanted.items():
        raw = socket.getsockopt(option)
        found = raw.rstrip(b"\0").decode("ascii", "replace") if isinstance(raw, bytes) else raw
        if found != value:
            socket.close(0)
            name = zmq.SocketOption(option).name
            raise ConfigError("SELF_TEST", f"{name} stays {found!r}, not {value!r}: {_NEWER}")


def client_socket(context: Context, kind: int, spec: ClientSocketSpec) -> Socket:
    """Return a DEALER or SUB with every option set, not connected yet.

    On a DEALER `zmq.Again` from send means proven not sent: nothing queues without a connection.
    """
    assert kind in {zmq.DEALER, zmq.SUB}
    options: list[tuple[int, int | bytes]] = [
        *_COMMON,
        (zmq.CURVE_PUBLICKEY, spec.keys.public),
        (zmq.CURVE_SECRETKEY, spec.keys.secret),
        (zmq.CURVE_SERVERKEY, spec.server_public),
        (zmq.MAXMSGSIZE, spec.max_frame_bytes),
        (zmq.RCVHWM, spec.rcvhwm),
        (zmq.SNDHWM, spec.sndhwm),
        (zmq.RECONNECT_IVL, _RECONNECT_MS),
        (zmq.RECONNECT_IVL_MAX, _RECONNECT_MS_MAX),
        (zmq.CONNECT_TIMEOUT, _CONNECT_MS),
        (zmq.IPV6, int(spec.ipv6)),
    ]
    if kind == zmq.DEALER:
        options += [(zmq.IMMEDIATE, 1), (zmq.SNDTIMEO, 0)]
    return _new(context, kind, options)


def user_id(frame: zmq.Frame) -> bytes:
    """Return the authenticated key (Z85) of a frame's sender, or nothing if it has none.

    The frame must come from `recv_multipart(copy=False)`.
    """
    try:
        value = frame.get("User-Id")
    except zmq.ZMQError:  # EINVAL: no such property, the frame came from no CURVE peer
        return b""
    return value.encode("ascii", "replace") if isinstance(value, str) else b""


# --- who gets in ---------------------------------------------------------------------------


class ZapResponder:
    """Answers libzmq's question "may this key enter this domain?" in a small thread of its own.

    One per context. Anything it does not understand is refused; if its thread ends, everybody is
    refused (ZAP_ENFORCE_DOMAIN), which `alive` shows.
    """

    def __init__(self, context: Context, allow: Mapping[str, frozenset[bytes]]) -> None:
        self._context = context
        self._allow = {domain.encode("ascii"): keys for domain, keys in allow.items()}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._refused = 0
        self._turned = 0.0

    @property
    def alive(self) -> bool:
        """Whether the thread runs and is not stuck: it turns ten times a second."""
        running = self._thread is not None and self._thread.is_alive()
        return running and time.monotonic() - self._turned < _ZAP_STUCK_S

    @property
    def refused(self) -> int:
        """How many handshakes were refused."""
        return self._refused

    def start(self) -> None:
        """Bind, then answer in the background.

        Raises:
            ConfigError: ZAP; this context has a handler already.
        """
        socket = self._context.socket(zmq.REP)
        socket.setsockopt(zmq.LINGER, 0)
        try:
            socket.bind(_ZAP_ENDPOINT)
        except zmq.ZMQError as error:
            socket.close(0)
            raise ConfigError(
                "ZAP", f"the ZAP handler cannot start ({error}): use a ZeroMQ context of your own"
            ) from None
        self._stopping.clear()
        self._turned = time.monotonic()
        self._thread = threading.Thread(
            target=self._run, args=(socket,), name="ztb-zap", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; from then on everybody is refused."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def set_allowed(self, domain: str, keys: frozenset[bytes]) -> None:
        """Replace one domain's allow-list (Z85 public keys); connections that exist stay."""
        with self._lock:
            self._allow = {**self._allow, domain.encode("ascii"): keys}

    def _run(self, socket: Socket) -> None:
        try:
            while not self._stopping.is_set():
                self._turned = time.monotonic()
                if socket.poll(_ZAP_POLL_MS):
                    socket.send_multipart(self._answer(socket.recv_multipart()))
        except zmq.ContextTerminated:
            return  # the context ends with its owner; nothing is left to answer
        finally:
            socket.close(0)

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        """Return the reply of RFC 27: version, request id, status, text, user id, metadata."""
        request_id = frames[1] if len(frames) > 1 else b""
        name = self._known(frames)
        if name is None:
            self._refused += 1
            return [b"1.0", request_id, b"400", b"refused", b"", b""]
        return [b"1.0", request_id, b"200", b"OK", name, b""]

    def _known(self, frames: list[bytes]) -> bytes | None:
        """Return the Z85 name of an allowed key; frames: … domain, address, id, CURVE, key."""
        if len(frames) != 7 or frames[0] != b"1.0" or frames[5] != b"CURVE":
            return None
        if len(frames[6]) != 32:
            return None
        name = z85.encode(frames[6])
        return name if name in self._allow.get(frames[2], frozenset()) else None


# --- the proof -----------------------------------------------------------------------------


def unknown_key_refused(address: str, server_public: bytes, timeout_ms: int = 10_000) -> bool:
    """Try to enter with a key nobody knows; True only if the server was seen to refuse it.

    Usually takes a few ms, on a crowded machine seconds. False also when nothing answered in
    `timeout_ms`: no proof is no refusal. It proves that strangers stay out, not that friends get
    in.
    """
    stranger = ClientSocketSpec(
        keys=new_curve_keys(),
        server_public=server_public,
        max_frame_bytes=1024,
        ipv6="[" in address,
    )
    end = time.monotonic_ns() + timeout_ms * 1_000_000
    event = _handshake(address, stranger, end)
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        # It hung up without a word: a handler that has stopped, or a socket without CURVE, which
        # understood nothing and would let anybody in who does not ask for CURVE.
        return _handshake(address, None, end) in _HUNG_UP
    return event == zmq.EVENT_HANDSHAKE_FAILED_AUTH


_HUNG_UP: Final = frozenset(
    {zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL}
)


def _handshake(address: str, spec: ClientSocketSpec | None, end_ns: int) -> int | None:
    """Return the event that ends the first handshake, None at `end_ns`; without spec no CURVE."""
    context: Context = zmq.Context()
    plain = [*_COMMON, (zmq.IPV6, int("[" in address))]
    try:
        probe = (
            client_socket(context, zmq.DEALER, spec) if spec else _new(context, zmq.DEALER, plain)
        )
        monitor = probe.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )
        try:
            probe.connect(address)
            left_ms = max(0, end_ns - time.monotonic_ns()) // 1_000_000
            if not monitor.poll(left_ms):
                return None
            event, _value = struct.unpack("=Hi", monitor.recv_multipart()[0])
            return int(event)
        finally:
            probe.disable_monitor()
            monitor.close(0)
            probe.close(0)
    finally:
        context.destroy(0)
