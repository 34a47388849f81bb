"""Socket options, proven by what they do on loopback; places and versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from bridge_core.host.endpoints import check_endpoint_host, endpoint
from bridge_core.host.sockets import (
    ClientSocketSpec,
    Context,
    CurveKeys,
    ServerSocketSpec,
    ZapResponder,
    client_socket,
    new_curve_keys,
    require_libzmq,
    server_socket,
    user_id,
)
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.limits import RECEIVE_QUEUE_MESSAGES, SERVER_FRAME_BYTES_MAX
from tests.support.curve import FRIEND, SERVER, bound, dialled, kept_context, send_soon

CURVE_BYTES = 33  # what encryption adds to a frame, and MAXMSGSIZE counts


@pytest.fixture
def context() -> Iterator[Context]:
    with kept_context() as context:
        yield context


@pytest.fixture
def zap(context: Context) -> Iterator[ZapResponder]:
    responder = ZapResponder(context, {"req": frozenset({FRIEND.public}), "pub": frozenset()})
    responder.start()
    yield responder
    responder.stop()


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


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.PUB], ids=["SUB", "PUB"])
def test_event_sockets_leave_the_question_whether_the_peer_lives_to_the_kernel(
    context: Context, kind: int
) -> None:
    # With libzmq's own pings a reader that lags behind a full queue is aborted (its issue 3937).
    if kind == zmq.SUB:
        spec = ClientSocketSpec(keys=FRIEND, server_public=SERVER.public, max_frame_bytes=2_048)
        sock = client_socket(context, zmq.SUB, spec)
    else:
        sock, _ = bound(context, zmq.PUB)
    assert sock.getsockopt(zmq.HEARTBEAT_IVL) == 0
    assert sock.getsockopt(zmq.TCP_KEEPALIVE) == 1


@pytest.mark.parametrize(
    "forgotten", [zmq.ZAP_DOMAIN, zmq.ZAP_ENFORCE_DOMAIN, zmq.CURVE_SERVER], ids=str
)
def test_a_server_socket_on_which_an_option_did_not_stick_is_not_made(
    context: Context, monkeypatch: pytest.MonkeyPatch, forgotten: int
) -> None:
    real = zmq.Socket.setsockopt

    def forgetful(sock: zmq.Socket[bytes], option: int, *value: Any) -> None:
        if option != forgotten:
            real(sock, option, *value)

    monkeypatch.setattr(zmq.Socket, "setsockopt", forgetful)
    with pytest.raises(ConfigError) as caught:
        bound(context)
    assert caught.value.code == "SELF_TEST"


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
    assert time.monotonic() - began < 5.0


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
