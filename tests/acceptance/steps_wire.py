"""Impostors, and somebody on the wire between a connector and its server."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import zmq

from bridge_client import Connector
from bridge_client.happenings import Resync
from bridge_client.witness import Now
from bridge_core.host.sockets import new_curve_keys
from tests.acceptance.connectors import CLIENT, connect, connector_of, journal_of, write_config
from tests.acceptance.house import House
from tests.acceptance.language import says
from tests.acceptance.middle import Middle
from tests.acceptance.world import World
from tests.support.running import free_port

__all__ = ["Impostor", "through_middle"]

_WHO: Final = (
    "another server with CURVE|a peer without CURVE|somebody who never answers"
    r"|somebody who hangs up"
)
_LEARN_S: Final = 8.0
_EMPTY_BYTES: Final = 35  # an encrypted part without a byte in it: each reply begins with one


class Impostor:
    """Listens where a connector calls, and keeps all that it is given."""

    def __init__(self, who: str) -> None:
        self.got = b""
        self._done = threading.Event()
        self._who = who
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        run: Callable[[], None] = self._listen
        if "CURVE" in who:
            self._server.close()
            self.port = self._router(curve="without" not in who)
            run = self._take
        self._thread = threading.Thread(target=run, name="impostor", daemon=True)
        self._thread.start()

    def _router(self, *, curve: bool) -> int:
        self._sock = self._context.socket(zmq.ROUTER)
        if curve:
            keys = new_curve_keys()
            self._sock.setsockopt(zmq.CURVE_SERVER, 1)
            self._sock.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        self._sock.setsockopt(zmq.LINGER, 0)
        return self._sock.bind_to_random_port("tcp://127.0.0.1")

    def _take(self) -> None:
        while not self._done.is_set():
            if self._sock.poll(50):
                self.got += b"".join(self._sock.recv_multipart())
        self._sock.close(0)

    def _listen(self) -> None:
        self._server.settimeout(0.05)
        peers: list[socket.socket] = []
        while not self._done.is_set():
            with contextlib.suppress(OSError):
                peer, _ = self._server.accept()
                peer.settimeout(0.05)
                peers.append(peer)
            for peer in peers:
                with contextlib.suppress(OSError):
                    self.got += peer.recv(65_536)
            if self._who == "somebody who hangs up":
                for peer in peers:
                    peer.close()
                peers.clear()
        for peer in peers:
            peer.close()
        self._server.close()

    def close(self) -> None:
        """End it."""
        self._done.set()
        self._thread.join(5)
        self._context.term()


def _server_line(house: House, address: str) -> None:
    config = write_config(house)
    text = config.read_text("utf-8")
    config.write_text(re.sub(r'server = "[^"]+"', f'server = "{address}"', text, count=1), "utf-8")


def _open(world: World) -> None:
    # Not `connect`: nobody may answer, and that is what the scenario is about.
    house = world.house
    made = Connector.from_config(house.account.bundle(), client=CLIENT)
    world.at_end(made.close)
    world.notes["connector"] = made
    house.journals.append(journal_of(house.account.bundle()))


@says(rf"a connector that is answered by (?P<who>{_WHO})")
def answered_by(world: World, who: str, host: str = "127.0.0.1") -> None:
    """Point the connector at somebody who does not have the pinned key."""
    impostor = Impostor(who)
    world.at_end(impostor.close)
    world.notes["impostor"] = impostor
    _server_line(world.house, f"tcp://{host}:{impostor.port}")
    _open(world)


@says(rf"a connector that calls localhost(?: and is answered by (?P<who>{_WHO}))?")
def calls_localhost(world: World, who: str = "") -> None:
    """Use a name instead of an address."""
    if who:
        answered_by(world, who, "localhost")
        return
    _server_line(world.house, f"tcp://localhost:{world.house.account.port}")
    _open(world)
    connector_of(world).connect(10)


@says(rf"what (?P<who>{_WHO}) got of the order")
def got_of_it(world: World, who: str) -> str:
    """Look for any part of a signed request in what it was given."""
    del who
    impostor = world.notes["impostor"]
    assert isinstance(impostor, Impostor)
    time.sleep(0.1)
    found = [word for word in (b"RISK_PASS", b"AUTH_PASS", b"EURUSD") if word in impostor.got]
    return f"{found}" if found else f"nothing of it in {len(impostor.got)} bytes"


# --- 145: deletions ------------------------------------------------------------------------------


def through_middle(world: World) -> tuple[Middle, Middle]:
    """Return the two relays (requests, events) that stand before the house's server."""
    found = world.notes.get("middle")
    if found is None:
        port, house = free_port(), world.house
        found = (Middle(house.account.port, port), Middle(house.account.port + 1, port + 1))
        for one in found:
            world.at_end(one.close)
        world.notes["middle"] = found
    assert isinstance(found, tuple)
    return found


@says(r"a connector through somebody on the wire")
def wired(world: World) -> None:
    """Connect through a relay that can delete encrypted parts."""
    house = world.house
    requests, _ = through_middle(world)
    _server_line(house, f"tcp://127.0.0.1:{requests.port}")
    clock = house.clock
    config = house.account.bundle() / "connector.toml"
    connect(world, config, lambda: Now(clock.true_ms(), clock.mono_ms()))
    house.journals.append(journal_of(config.parent))


class Deleter:
    """Says which encrypted parts to delete: of the next `count` messages, one part or all.

    A message has four parts. A reply begins with an empty one, an event with its topic; a libzmq
    heartbeat is a single part between messages and is let through.
    """

    def __init__(self, part: str, count: int, *, reply: bool) -> None:
        self._part, self._left, self._reply = part, count, reply
        self._at = 0
        self._first = 0

    def __call__(self, raw: bytes) -> bool:
        if self._left <= 0:
            return False
        if self._at == 0:
            if self._reply and len(raw) != _EMPTY_BYTES:
                return False
            if not self._reply and not self._begins_event(raw):
                return False
        self._at += 1
        numbers = {"whole": (1, 2, 3, 4), "first frame": (1,), "second frame": (2,)}
        gone = self._at in numbers.get(self._part, (4,))
        if self._at == 4:
            self._at, self._left = 0, self._left - 1
        return gone

    def _begins_event(self, raw: bytes) -> bool:
        # `demo.event` in a part: header, command name, nonce, flags, box.
        return len(raw) == _EMPTY_BYTES + len(b"demo.event")


@says(r"somebody deletes the (?P<part>whole|first frame|second frame|last frame) of the next "
      r"(?P<count>\d+) (?P<what>replies|events)")  # fmt: skip
def deletes(world: World, part: str, count: str, what: str) -> None:
    """Arm the relay."""
    requests, events = through_middle(world)
    relay = requests if what == "replies" else events
    relay.deletes = Deleter(part, int(count), reply=what == "replies")


@says(r"somebody deletes (?P<how>every reply|no more)")
def deletes_all(world: World, how: str) -> None:
    """Delete every part on its way to the connector, or none."""
    requests, _ = through_middle(world)
    requests.deletes = lambda _raw: how == "every reply"


@says(r"something was deleted")
def was_deleted(world: World) -> str:
    """Say whether the relay did anything."""
    return "yes" if any(one.deleted for one in through_middle(world)) else "no"


@says(r"a strategy listens over the wire")
def listens(world: World) -> None:
    """Subscribe through the relay, and wait for the first heartbeat."""
    feed = connector_of(world).events(timeout=0.1)
    world.at_end(feed.end)
    assert feed.ready(5)
    world.notes["wire feed"] = feed


@says(r"the strategy over the wire learns")
def learns(world: World) -> str:
    """Listen until events are known to be missing."""
    feed = world.notes["wire feed"]
    until = time.monotonic() + _LEARN_S
    heard: list[str] = []
    while time.monotonic() < until:
        fact = next(feed)  # type: ignore[call-overload]
        if isinstance(fact, Resync):
            return f"Resync {fact.why}"
        heard.append(type(fact).__name__)
    return f"only {heard}"
