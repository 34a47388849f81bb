"""Knocking at the server's sockets, and what keeps strangers out when parts of it fail."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import threading
import time
from typing import Any, Final

import zmq

from bridge_core.host.bundles import load_bundle
from bridge_core.host.endpoints import endpoint
from bridge_core.host.sockets import (
    ClientSocketSpec,
    CurveKeys,
    ServerSocketSpec,
    ZapResponder,
    _handshake,
    new_curve_keys,
    server_socket,
    unknown_key_refused,
)
from bridge_core.protocol.limits import SERVER_FRAME_BYTES_MAX
from tests.acceptance.language import says
from tests.acceptance.middle import greeting
from tests.acceptance.steps_keyfiles import file_of
from tests.acceptance.steps_latches import other_account
from tests.acceptance.world import Signed, World
from tests.support.curve import address_of
from tests.support.running import wait_until

__all__ = ["knock"]

_PATIENCE_MS: Final = 120
_KNOCK_NS: Final = 1_000_000_000
_REPLY: Final = b"RISK_ACK"


# --- 133, 138: peers without CURVE ---------------------------------------------------------------


def _zmq_peer(one: Signed, address: str, *, password: bool) -> bytes:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peer = context.socket(zmq.DEALER)
    peer.setsockopt(zmq.LINGER, 0)
    if password:
        peer.setsockopt(zmq.PLAIN_USERNAME, b"admin")
        peer.setsockopt(zmq.PLAIN_PASSWORD, b"admin")
    peer.connect(address)
    peer.send_multipart(one.parts)
    got = b"".join(peer.recv_multipart()) if peer.poll(_PATIENCE_MS) else b""
    peer.close(0)
    context.term()
    return got


def _raw_peer(first: bytes, one: Signed, host: str, port: int) -> bytes:
    got = b""
    with socket.create_connection((host, port)) as peer:
        peer.settimeout(_PATIENCE_MS / 1000)
        with contextlib.suppress(OSError):
            peer.sendall(first)
            peer.sendall(b"".join(bytes([1, len(p) % 256]) + p for p in one.parts))
            while chunk := peer.recv(4096):
                got += chunk
    return got


_FIRST: Final = {
    "a browser": b"POST /order HTTP/1.1\r\nHost: x\r\n\r\n",
    "a peer that says half a greeting": greeting()[:20],
    "a peer that greets without CURVE": greeting(b"NULL"),
    "a peer that greets with CURVE and goes on in plain": greeting(),
    "a peer that sends random bytes": secrets.token_bytes(64),
}


@says(r"(?P<peer>a (?:ZeroMQ peer|browser|peer) ?.*?) brings (?P<which>[a-z-]+) "
      r"to the (?P<port>request|event) port(?: of (?P<host>\S+))?")  # fmt: skip
def brings(world: World, peer: str, which: str, port: str, host: str = "127.0.0.1") -> str:
    """Take a truly signed order to a port by other means than CURVE."""
    one = world.get(which)
    number = world.house.account.port + (port == "event")
    if peer in _FIRST:
        got = _raw_peer(_FIRST[peer], one, host, number)
    else:
        got = _zmq_peer(one, f"tcp://{host}:{number}", password="password" in peer)
    return "gets a reply" if _REPLY in got else "gets no reply"


# --- 134, 140: knocking --------------------------------------------------------------------------


def knock(world: World, keys: CurveKeys, port: int) -> str:
    """Try a CURVE handshake: `let in`, `refused`, or `not let in` without a word."""
    public = world.house.bundle("connector").server_public.encode("ascii")
    spec = ClientSocketSpec(keys=keys, server_public=public, max_frame_bytes=1024)
    event = _handshake(f"tcp://127.0.0.1:{port}", spec, time.monotonic_ns() + _KNOCK_NS)
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        return "let in"
    return "not let in" if event is None else "refused, not let in"


def _keys(world: World, name: str) -> CurveKeys:
    fresh = new_curve_keys()
    house = world.house
    if name == "another account's key":
        place = other_account(world.stage.folder) / "connector/keys/connector.key"
        return load_bundle(place).curve()
    if name == "the trade key":
        return house.bundle("trade").curve()
    public = {
        "a fresh key": fresh.public,
        "the server's own public key": house.bundle("trade").server_public.encode("ascii"),
        "a key set's public half without its secret": house.bundle("query").curve().public,
    }[name]
    return fresh._replace(public=public)


@says(r"a knock with (?P<name>.+) at the (?P<port>request|event) port")
def knocks(world: World, name: str, port: str) -> str:
    """Knock with a key."""
    if not world.house.alive:
        world.house.ready()
    heard = knock(world, _keys(world, name), world.house.account.port + (port == "event"))
    # Who is stuck says nothing, who has stopped hangs up: both are "not let in".
    return heard.removeprefix("refused, ") if world.notes.get("doorkeeper") else heard


@says(r"the trade key set's CURVE identity is (?P<identity>.+)")
def identity_is(world: World, identity: str) -> None:
    """Write something else where the public key stands in the server's file."""
    kid = world.house.bundle("trade").kid
    path = file_of(world.house, "server").with_name(f"{kid}.key")
    held = json.loads(path.read_text("utf-8"))
    held["curve_public"] = "" if identity == "(nothing at all)" else identity
    path.write_text(json.dumps(held), "utf-8")


# --- 136: the doorkeeper -------------------------------------------------------------------------


@says(r"the doorkeeper (?P<how>has stopped|is stuck|answers nothing but nonsense)")
def doorkeeper(world: World, how: str) -> None:
    """Break the ZAP responder of a running server."""
    running = world.house.running
    assert running is not None
    zap = running.server.context.transport._zap
    world.notes["doorkeeper"] = how
    if how == "has stopped":
        zap.stop()
        return
    free = threading.Event()

    def answer(frames: list[bytes]) -> list[bytes]:
        if how == "is stuck":
            free.wait(30)
        return [b"1.0", frames[1] if len(frames) > 1 else b"", b"what?", b"", b"", b""]

    vars(zap)["_answer"] = answer
    world.at_end(free.set)


@says(r"the hop `(?P<hop>[a-z ]+)` becomes (?P<state>[a-z]+)")
def hop_becomes(world: World, hop: str, state: str) -> str:
    """Ask HEALTH until a hop is so; an operator's first look."""
    client = world.client()

    def now() -> str:
        return next(one.state for one in client.health().hops if one.hop == hop)

    wait_until(lambda: now() == state, 15)
    return now()


# --- 137, 141: a libzmq that is not what it should be --------------------------------------------


@says(r"libzmq forgets (?P<options>[A-Z_]+(?: and [A-Z_]+)*)")
def forgets(world: World, options: str) -> None:
    """Make socket options not stick."""
    lost = {getattr(zmq, name) for name in options.split(" and ")}
    real = zmq.Socket.setsockopt

    def forgetful(sock: zmq.Socket[bytes], option: int, *value: Any) -> None:
        if option not in lost:
            real(sock, option, *value)

    _patch(world, zmq.Socket, "setsockopt", forgetful)


def _patch(world: World, owner: Any, name: str, value: object) -> None:
    real = getattr(owner, name)
    setattr(owner, name, value)
    world.at_end(lambda: setattr(owner, name, real))


@says(r"libzmq is (?P<version>\d+\.\d+\.\d+)(?P<bare> without CURVE)?")
def libzmq_is(world: World, version: str, bare: str = "") -> None:
    """Make the library say another version of itself, or no CURVE."""
    numbers = tuple(int(one) for one in version.split("."))
    _patch(world, zmq, "zmq_version_info", lambda: numbers)
    _patch(world, zmq, "zmq_version", lambda: version)
    if bare:
        _patch(world, zmq, "has", lambda what: what != "curve")


@says(r"a door (?P<how>.+) is tried with an unknown key")
def door_tried(world: World, how: str) -> str:
    """Bind a socket with less than the server's options and let the self-test try it."""
    del world
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    keys = new_curve_keys()
    zap = ZapResponder(context, {"req": frozenset({new_curve_keys().public})})
    if "without a doorkeeper" not in how:
        zap.start()
    try:
        if how == "as the server makes it":
            spec = ServerSocketSpec(domain="req", keys=keys, max_frame_bytes=SERVER_FRAME_BYTES_MAX)
            door = server_socket(context, zmq.ROUTER, spec)
        else:
            door = _lesser_door(context, keys, how)
        door.bind("tcp://127.0.0.1:*")
        closed = unknown_key_refused(address_of(door), keys.public, timeout_ms=800)
        door.close(0)
        return "found closed" if closed else "found open"
    finally:
        zap.stop()
        context.destroy(0)


@says(r"the server's door at (?P<host>\S+) is tried with an unknown key")
def server_door(world: World, host: str) -> str:
    """Start the server there, and knock at both of its ports."""
    house = world.house
    house.start()
    public = house.bundle("connector").server_public.encode("ascii")
    ports = (house.account.port, house.account.port + 1)
    closed = all(unknown_key_refused(endpoint(host, port), public) for port in ports)
    house.stop()
    return "found closed" if closed else "found open"


def _lesser_door(
    context: zmq.Context[zmq.Socket[bytes]], keys: CurveKeys, how: str
) -> zmq.Socket[bytes]:
    door = context.socket(zmq.ROUTER)
    if "without CURVE" not in how:
        door.setsockopt(zmq.CURVE_SERVER, 1)
        door.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    if not re.search(r"without a domain", how):
        door.setsockopt(zmq.ZAP_DOMAIN, b"req")
    if "without enforcing" not in how and "without a domain and" not in how:
        door.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    return door
