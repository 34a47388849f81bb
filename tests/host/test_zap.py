"""Who gets in: strangers stay out in every case in which libzmq would let them in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host import sockets
from bridge_core.host.sockets import (
    Context,
    ServerSocketSpec,
    ZapResponder,
    server_socket,
    unknown_key_refused,
    user_id,
)
from bridge_core.protocol.errors import ConfigError
from tests.support.curve import (
    FRIEND,
    LOOPBACK,
    SERVER,
    STRANGER,
    address_of,
    bound,
    dialled,
    kept_context,
    send_soon,
)


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
    assert unknown_key_refused(address, SERVER.public)
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


def test_a_handler_that_is_stuck_is_not_alive(
    context: Context, zap: ZapResponder, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    _, address = bound(context)
    monkeypatch.setattr(sockets, "_ZAP_STUCK_S", 0.3)
    monkeypatch.setattr(zap, "_answer", lambda frames: [b""] if free.wait(10) else [])
    unknown_key_refused(address, SERVER.public, timeout_ms=1_000)
    time.sleep(0.5)
    assert not zap.alive
    free.set()


def test_the_self_test_is_quick(context: Context, zap: ZapResponder) -> None:
    _, address = bound(context)
    began = time.monotonic()
    for _ in range(5):
        assert unknown_key_refused(address, SERVER.public)
    assert time.monotonic() - began < 5
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
