"""Sockets on loopback: strangers stay out in every case in which libzmq would let them in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host.sockets import (
    ClientSocketSpec,
    Context,
    CurveKeys,
    ServerSocketSpec,
    Socket,
    ZapResponder,
    check_endpoint_host,
    client_socket,
    endpoint,
    new_curve_keys,
    require_libzmq,
    server_socket,
    unknown_key_refused,
    user_id,
)
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.limits import RECEIVE_QUEUE_MESSAGES, SERVER_FRAME_BYTES_MAX

SERVER = new_curve_keys()
FRIEND = new_curve_keys()
STRANGER = new_curve_keys()
LOOPBACK = "tcp://127.0.0.1:*"
CURVE_BYTES = 33  # what encryption adds to a frame, and MAXMSGSIZE counts


class Keeper(zmq.Context[zmq.Socket[bytes]]):
    """Keeps its sockets until the end of the test, whatever the test forgets."""

    kept: tuple[Socket, ...] = ()

    def socket(self, *args: Any, **kwargs: Any) -> Socket:
        made = super().socket(*args, **kwargs)
        self.kept = (*self.kept, made)
        return made


@pytest.fixture
def context() -> Iterator[Context]:
    context = Keeper()
    yield context
    for socket in context.kept:
        socket.close(0)
    context.term()


@pytest.fixture
def zap(context: Context) -> Iterator[ZapResponder]:
    responder = ZapResponder(context, {"req": frozenset({FRIEND.public}), "pub": frozenset()})
    responder.start()
    yield responder
    responder.stop()


def address_of(socket: Socket) -> str:
    value = socket.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(value, bytes)
    return value.decode().rstrip("\0")


def bound(context: Context, kind: int = zmq.ROUTER, domain: str = "req") -> tuple[Socket, str]:
    spec = ServerSocketSpec(domain=domain, keys=SERVER, max_frame_bytes=SERVER_FRAME_BYTES_MAX)
    socket = server_socket(context, kind, spec)
    socket.bind(LOOPBACK)
    return socket, address_of(socket)


@contextmanager
def dialled(address: str, keys: CurveKeys, kind: int = zmq.DEALER) -> Iterator[Socket]:
    own: Context = zmq.Context()
    spec = ClientSocketSpec(keys=keys, server_public=SERVER.public, max_frame_bytes=1024)
    with client_socket(own, kind, spec) as socket:
        socket.connect(address)
        yield socket
    own.term()


def send_soon(socket: Socket, frames: list[bytes], wait_s: float = 2.0) -> bool:
    """Send as soon as there is a connection; False if there is none in time."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        try:
            socket.send_multipart(frames)
        except zmq.Again:
            time.sleep(0.01)
        else:
            return True
    return False


# --- who gets in ---------------------------------------------------------------------------


@pytest.mark.usefixtures("zap")
def test_a_friend_gets_in_and_is_known_by_name(context: Context) -> None:
    router, address = bound(context)
    with dialled(address, FRIEND) as dealer:
        assert send_soon(dealer, [b"", b"hello"])
        assert router.poll(2_000)
        frames = router.recv_multipart(copy=False)
        assert user_id(frames[-1]) == FRIEND.public
        assert user_id(frames[1]) == FRIEND.public
        router.send_multipart([frames[0].bytes, b"", b"back"])
        assert dealer.poll(2_000)
        assert dealer.recv_multipart() == [b"", b"back"]


def test_a_stranger_stays_out(context: Context, zap: ZapResponder) -> None:
    router, address = bound(context)
    with dialled(address, STRANGER) as dealer:
        assert not send_soon(dealer, [b"", b"hello"], 0.3)
        assert not router.poll(0)
    assert zap.refused >= 1


@pytest.mark.usefixtures("zap")
def test_a_friend_of_one_domain_is_a_stranger_in_another(context: Context) -> None:
    _, address = bound(context, domain="pub")
    with dialled(address, FRIEND) as dealer:
        assert not send_soon(dealer, [b"x"], 0.3)
    _, unheard_of = bound(context, domain="ea")
    with dialled(unheard_of, FRIEND) as dealer:
        assert not send_soon(dealer, [b"x"], 0.3)


@pytest.mark.usefixtures("zap")
def test_a_client_without_curve_stays_out(context: Context) -> None:
    router, address = bound(context)
    own: Context = zmq.Context()
    with own.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(address)
        dealer.send_multipart([b"", b"hello"])
        assert not router.poll(200)
    own.term()


def test_a_client_refuses_a_server_with_another_key(context: Context, zap: ZapResponder) -> None:
    spec = ServerSocketSpec(domain="req", keys=STRANGER, max_frame_bytes=1024)
    impostor = server_socket(context, zmq.ROUTER, spec)
    impostor.bind(LOOPBACK)
    assert zap.alive
    address = address_of(impostor)
    with dialled(address, FRIEND) as dealer:
        assert not send_soon(dealer, [b"", b"secret order"], 0.3)
        assert not impostor.poll(0)


@pytest.mark.parametrize("handler", ["running", "never started", "stopped"])
@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.PUB])
def test_strangers_are_refused_whatever_becomes_of_the_handler(
    context: Context, handler: str, kind: int
) -> None:
    zap = ZapResponder(context, {"req": frozenset({FRIEND.public})})
    if handler != "never started":
        zap.start()
    _, address = bound(context, kind)
    if handler == "stopped":
        assert unknown_key_refused(address, SERVER.public)
        zap.stop()
    assert zap.alive is (handler == "running")
    began = time.monotonic()
    assert unknown_key_refused(address, SERVER.public)
    assert time.monotonic() - began < 1
    with dialled(address, STRANGER) as dealer:
        assert not send_soon(dealer, [b"x"], 0.2)
    zap.stop()


def test_a_stopped_handler_keeps_friends_out_as_well_and_a_new_one_lets_them_in(
    context: Context, zap: ZapResponder
) -> None:
    zap.stop()
    router, address = bound(context)
    with dialled(address, FRIEND) as dealer:
        assert not send_soon(dealer, [b"", b"x"], 0.3)
        zap.start()
        assert send_soon(dealer, [b"", b"x"], 3.0)
        assert router.poll(2_000)


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        (False, {}),
        (False, {zmq.ZAP_ENFORCE_DOMAIN: 1}),
        (False, {zmq.ZAP_DOMAIN: b"req"}),
        (True, {zmq.ZAP_ENFORCE_DOMAIN: 1}),
    ],
)
def test_the_self_test_finds_every_way_in_which_libzmq_lets_strangers_in(
    context: Context, handler: bool, options: dict[int, int | bytes]
) -> None:
    zap = ZapResponder(context, {"req": frozenset({FRIEND.public})})
    if handler:
        zap.start()
    open_door = context.socket(zmq.ROUTER)
    open_door.setsockopt(zmq.CURVE_SERVER, 1)
    open_door.setsockopt(zmq.CURVE_SECRETKEY, SERVER.secret)
    for option, value in options.items():
        open_door.setsockopt(option, value)
    open_door.bind(LOOPBACK)
    address = address_of(open_door)
    assert not unknown_key_refused(address, SERVER.public)
    zap.stop()


def test_the_self_test_counts_neither_silence_nor_a_door_without_curve_as_a_refusal(
    context: Context,
) -> None:
    plain = context.socket(zmq.ROUTER)
    plain.bind(LOOPBACK)
    address = address_of(plain)
    for _ in range(5):
        assert not unknown_key_refused(address, SERVER.public, timeout_ms=500)
    plain.unbind(address)
    assert not unknown_key_refused(address, SERVER.public, timeout_ms=200)


def test_the_self_test_is_quick(context: Context, zap: ZapResponder) -> None:
    _, address = bound(context)
    began = time.monotonic()
    for _ in range(5):
        assert unknown_key_refused(address, SERVER.public)
    assert time.monotonic() - began < 2
    assert zap.refused == 5


@pytest.mark.usefixtures("zap")
def test_a_second_responder_in_one_context_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError) as caught:
        ZapResponder(context, {}).start()
    assert caught.value.code == "ZAP"


def test_the_allow_list_can_be_replaced_while_it_runs(context: Context, zap: ZapResponder) -> None:
    router, address = bound(context)
    zap.set_allowed("req", frozenset({STRANGER.public}))
    with dialled(address, FRIEND) as dealer:
        assert not send_soon(dealer, [b"", b"x"], 0.3)
    with dialled(address, STRANGER) as dealer:
        assert send_soon(dealer, [b"", b"x"])
        assert router.poll(2_000)


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"1.0"],
        [b"1.0", b"7"],
        [b"1.0", b"7", b"req", b"1.2.3.4", b"", b"CURVE"],
        [b"1.0", b"7", b"req", b"1.2.3.4", b"", b"CURVE", b"short"],
        [b"1.0", b"7", b"req", b"1.2.3.4", b"", b"CURVE", bytes(32), b"more"],
        [b"1.0", b"7", b"req", b"1.2.3.4", b"", b"NULL"],
        [b"1.0", b"7", b"req", b"1.2.3.4", b"", b"PLAIN", b"user", b"password"],
        [b"2.0", b"7", b"req", b"1.2.3.4", b"", b"CURVE", bytes(32)],
        [b"1.0", b"7", b"\xff\x00", b"", b"", b"CURVE", bytes(32)],
        [b"x"] * 1_000,
    ],
)
def test_the_responder_refuses_what_it_does_not_understand_and_lives_on(
    context: Context, zap: ZapResponder, frames: list[bytes]
) -> None:
    asker = context.socket(zmq.REQ)
    asker.connect("inproc://zeromq.zap.01")
    for _ in range(2):
        asker.send_multipart(frames)
        assert asker.poll(2_000)
        answer = asker.recv_multipart()
        assert answer[0] == b"1.0"
        assert answer[1] == (frames[1] if len(frames) > 1 else b"")
        assert answer[2] == b"400"
        assert len(answer) == 6
    assert zap.alive
    assert zap.refused == 2


def test_a_message_without_the_delimiter_does_not_kill_the_responder(
    context: Context, zap: ZapResponder
) -> None:
    asker = context.socket(zmq.DEALER)
    asker.connect("inproc://zeromq.zap.01")
    asker.send_multipart([b"no", b"delimiter"])
    asker.send_multipart([b"", b"1.0", b"7"])
    assert asker.poll(2_000)
    assert asker.recv_multipart()[3] == b"400"
    assert zap.alive


@given(st.lists(st.binary(max_size=40), max_size=9))
def test_no_invented_request_is_ever_allowed(frames: list[bytes]) -> None:
    zap = ZapResponder(cast("Context", None), {"req": frozenset({FRIEND.public})})
    assert zap._answer(frames)[2] == b"400"


def test_the_responder_ends_with_its_context() -> None:
    context: Context = zmq.Context()
    zap = ZapResponder(context, {})
    zap.start()
    context.term()
    zap.stop()
    assert not zap.alive


# --- options -------------------------------------------------------------------------------


def test_every_option_of_a_server_socket_is_what_was_measured(context: Context) -> None:
    router, _ = bound(context)
    wanted = {
        zmq.LINGER: 0,
        zmq.CURVE_SERVER: 1,
        zmq.ZAP_DOMAIN: b"req",
        zmq.MAXMSGSIZE: SERVER_FRAME_BYTES_MAX,
        zmq.HANDSHAKE_IVL: 1_500,
        zmq.HEARTBEAT_IVL: 1_000,
        zmq.HEARTBEAT_TIMEOUT: 3_000,
        zmq.HEARTBEAT_TTL: 3_000,
        zmq.BACKLOG: 128,
        zmq.RCVHWM: RECEIVE_QUEUE_MESSAGES,
        zmq.TCP_KEEPALIVE: -1,
        zmq.IPV6: 0,
    }
    assert {option: router.getsockopt(option) for option in wanted} == wanted


def test_every_option_of_a_client_socket_is_what_was_measured(context: Context) -> None:
    spec = ClientSocketSpec(keys=FRIEND, server_public=SERVER.public, max_frame_bytes=2_048)
    dealer = client_socket(context, zmq.DEALER, spec)
    wanted = {
        zmq.LINGER: 0,
        zmq.IMMEDIATE: 1,
        zmq.SNDTIMEO: 0,
        zmq.MAXMSGSIZE: 2_048,
        zmq.RECONNECT_IVL: 50,
        zmq.RECONNECT_IVL_MAX: 1_000,
        zmq.CONNECT_TIMEOUT: 3_000,
        zmq.HANDSHAKE_IVL: 1_500,
        zmq.HEARTBEAT_IVL: 1_000,
    }
    assert {option: dealer.getsockopt(option) for option in wanted} == wanted
    assert client_socket(context, zmq.SUB, spec).getsockopt(zmq.LINGER) == 0


@pytest.mark.usefixtures("zap")
def test_an_unroutable_reply_is_an_error_that_can_be_counted(context: Context) -> None:
    router, _ = bound(context)
    with pytest.raises(zmq.ZMQError) as caught:
        router.send_multipart([b"nobody", b"", b"x"], zmq.NOBLOCK)
    assert caught.value.errno == zmq.EHOSTUNREACH


def test_an_order_to_a_server_that_is_down_is_proven_not_sent(context: Context) -> None:
    spec = ClientSocketSpec(keys=FRIEND, server_public=SERVER.public, max_frame_bytes=2_048)
    dealer = client_socket(context, zmq.DEALER, spec)
    dealer.connect("tcp://127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(zmq.Again):
        dealer.send(b"order")
    assert time.monotonic() - began < 0.5


@pytest.mark.usefixtures("zap")
def test_a_frame_over_the_bound_is_never_delivered(context: Context) -> None:
    router, address = bound(context)
    with dialled(address, FRIEND) as dealer:
        assert send_soon(dealer, [b"", b"x" * (SERVER_FRAME_BYTES_MAX - CURVE_BYTES + 1)])
        assert not router.poll(300)
    with dialled(address, FRIEND) as dealer:
        assert send_soon(dealer, [b"", b"x" * (SERVER_FRAME_BYTES_MAX - CURVE_BYTES)])
        assert router.poll(2_000)


def test_a_bad_key_leaves_no_socket_behind(context: Context) -> None:
    bad = ServerSocketSpec(domain="req", keys=CurveKeys(b"x", b"y"), max_frame_bytes=1)
    with pytest.raises(zmq.ZMQError):
        server_socket(context, zmq.ROUTER, bad)
    context.term()


def test_a_frame_without_a_sender_has_no_name() -> None:
    assert user_id(zmq.Frame(b"x")) == b""


def test_ipv6_is_on_for_its_literals_only(context: Context) -> None:
    spec = ServerSocketSpec(domain="req", keys=SERVER, max_frame_bytes=1024, host="::1")
    assert server_socket(context, zmq.ROUTER, spec).getsockopt(zmq.IPV6) == 1


# --- places and versions -------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "::1", "fe80::1"])
def test_an_address_may_be_bound(host: str) -> None:
    check_endpoint_host(host, bind_any=False)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"])
def test_every_interface_needs_a_word(host: str) -> None:
    check_endpoint_host(host, bind_any=True)
    with pytest.raises(ConfigError, match="bind_any") as caught:
        check_endpoint_host(host, bind_any=False)
    assert caught.value.code == "BIND"


@pytest.mark.parametrize(
    "host",
    ["localhost", "", "0", "eth0", "127.1", "127.0.0.1:5555", "127.0.0.1;", "[::1]", " 0.0.0.0",
     "0x7f.0.0.1", "00.0.0.0", "example.com", "127.0.0.1\n"],
)  # fmt: skip
def test_a_name_is_no_address(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_endpoint_host(host, bind_any=True)
    assert caught.value.code == "BIND"


def test_an_ipv6_literal_gets_its_brackets() -> None:
    assert endpoint("127.0.0.1", 5555) == "tcp://127.0.0.1:5555"
    assert endpoint("::1", 5555) == "tcp://[::1]:5555"


def test_an_old_libzmq_or_one_without_curve_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_libzmq()
    with monkeypatch.context() as patch:
        patch.setattr(zmq, "zmq_version_info", lambda: (4, 3, 3))
        with pytest.raises(ConfigError, match="pip install"):
            require_libzmq()
    monkeypatch.setattr(zmq, "has", lambda _name: False)
    with pytest.raises(ConfigError) as caught:
        require_libzmq()
    assert caught.value.code == "LIBZMQ"


def test_the_secret_half_of_a_pair_is_not_shown() -> None:
    keys = new_curve_keys()
    assert len(keys.public) == len(keys.secret) == 40
    for text in (repr(keys), str(keys), f"{keys}", repr(ServerSocketSpec(
        domain="req", keys=keys, max_frame_bytes=1
    ))):  # fmt: skip
        assert keys.secret.decode() not in text
