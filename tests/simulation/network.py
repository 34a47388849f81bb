"""The network between connectors and server: drops, delays, doubles, reorders, bends, replays.

A link has a connection (epoch, connected) as the real transport shows it. What is in flight when
a connection breaks may still arrive: a copy on its way knows nothing of the crash behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from bridge_client.mailbox import Mailbox
from bridge_client.order import rid_of
from bridge_client.session import Exchange
from bridge_core.protocol.keys import KeySet
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import OrderView, encode_reply
from bridge_core.protocol.signing import Frames, sign_reply
from bridge_core.protocol.token import ReplyToken
from bridge_server.transport import Incoming
from tests.simulation.house import ACCT, key_sets
from tests.simulation.world import World

__all__ = ["Link", "Network", "Port", "Weather", "false_reply"]

_KEPT = 400


class Weather(NamedTuple):
    """What a link does to a message; probabilities in percent, delays in ms."""

    drop: int = 0
    double: int = 0
    bend: int = 0
    delay_min: int = 1
    delay_max: int = 3


class Port:
    """The connector's end: what `bridge_client.transport.Transport` is to an order's driver."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._boxes: dict[str, Mailbox] = {}
        self.epoch = 0
        self.connected = False
        self.why = "the simulated network is down"

    def look(self) -> int:
        """Return the epoch."""
        return self.epoch

    def send(self, frames: Frames) -> bool:
        """Send; False is the proof that it did not leave."""
        return self._link.to_server(frames)

    def route(self, rid: str, mailbox: Mailbox) -> None:
        """Deliver what claims to be about a rid."""
        self._boxes[rid] = mailbox

    def forget(self, rid: str) -> None:
        """Deliver it no more."""
        self._boxes.pop(rid, None)

    def take_in(self, frames: Frames) -> None:
        """Put a reply where its waiter looks."""
        box = self._boxes.get(rid_of(frames))
        if box is not None:
            box.put(frames)


class Link:
    """One connector's way to the server and back."""

    def __init__(self, network: Network, kid: str) -> None:
        self._net = network
        self.kid = kid
        self.route = kid.encode("ascii")
        self.user_id = key_sets()[kid].curve_public.encode("ascii")
        self.weather = Weather()
        self.cut = False
        self.port = Port(self)
        self.on_reply: Callable[[], None] = lambda: None
        self.before_send: Callable[[str], None] = lambda _point: None

    def hang_up(self) -> None:
        """Start a new process at this end: nothing of the old one's is delivered."""
        self.port = Port(self)
        self.port.epoch = self._net.next_epoch()
        self.port.connected = self.is_up

    @property
    def is_up(self) -> bool:
        """Whether bytes can leave."""
        return self._net.server_up and not self.cut

    def changed(self) -> None:
        """Show the connection as it is now."""
        if self.port.connected != self.is_up:
            self.port.connected = self.is_up
            self.port.epoch = self._net.next_epoch()
            self.on_reply()

    def to_server(self, frames: Frames) -> bool:
        """Take a request; False if it cannot leave."""
        self.before_send("before send")
        if not self.is_up:
            return False
        self._net.remember(self, frames)
        self._carry(frames, lambda given: self._net.arrive(self.route, self.user_id, given))
        self.before_send("after send")
        return True

    def to_client(self, frames: Frames) -> None:
        """Take a reply."""
        port = self.port
        self._carry(frames, lambda given: self._reply(port, given))

    def _reply(self, port: Port, frames: Frames) -> None:
        if port is self.port:
            port.take_in(frames)
            self.on_reply()

    def _carry(self, frames: Frames, deliver: Callable[[Frames], None]) -> None:
        draws, weather = self._net.world.draws, self.weather
        copies = [frames]
        if draws.randrange(100) < weather.double:
            copies.append(frames)
        if draws.randrange(100) < weather.drop:
            copies.pop()
        if draws.randrange(100) < weather.bend:
            copies.append(bend(frames, draws.randrange(1 << 30)))
        for each in copies:
            delay = draws.randint(weather.delay_min, weather.delay_max)
            self._net.world.after(delay, lambda each=each: deliver(each))  # type: ignore[misc]


class Network:
    """All links; remembers what was sent, so that it can be replayed."""

    def __init__(self, world: World, arrive: Callable[[Incoming], None]) -> None:
        self.world = world
        self._arrive = arrive
        self._epoch = 0
        self.links: dict[bytes, Link] = {}
        self.server_up = False
        self._sent: deque[tuple[Link, Frames]] = deque(maxlen=_KEPT)

    def link(self, kid: str) -> Link:
        """Return the link of one key set."""
        link = Link(self, kid)
        self.links[link.route] = link
        return link

    def next_epoch(self) -> int:
        """Return a number that no connection has had."""
        self._epoch += 1
        return self._epoch

    def server_is(self, *, up: bool) -> None:
        """Make or break every connection."""
        self.server_up = up
        for link in self.links.values():
            link.changed()

    def arrive(self, route: bytes, user_id: bytes, frames: Frames) -> None:
        """Hand a request to the server, if one lives."""
        if self.server_up:
            self._arrive(Incoming(route, user_id, frames))

    def deliver(self, route: bytes, frames: Frames) -> None:
        """Take a reply from the server."""
        link = self.links.get(route)
        if link is not None:
            link.to_client(frames)

    def remember(self, link: Link, frames: Frames) -> None:
        """Keep a recording."""
        self._sent.append((link, frames))

    def replay(self, pick: int, *, stolen: bool) -> None:
        """Send a recorded request again; `stolen` comes from another CURVE identity."""
        if not self._sent:
            return
        link, frames = self._sent[pick % len(self._sent)]
        user_id = b"z" * 40 if stolen else link.user_id
        self.arrive(link.route, user_id, frames)


def bend(frames: Frames, where: int) -> Frames:
    """Return the frames with one bit changed."""
    token, body = bytearray(frames.token), bytearray(frames.body)
    part = body if where & 1 and body else token
    part[(where >> 4) % len(part)] ^= 1 << (where >> 1 & 7)
    return Frames(bytes(token), bytes(body))


def false_reply(exchange: Exchange, keys: KeySet) -> Frames:
    """Return a denial of a request, signed with keys that are nobody's."""
    token = ReplyToken(
        kid=keys.kid, acct=ACCT, rid=exchange.rid, time=exchange.token.iat, status="DENIED",
        code="EXPIRED", req_hash=exchange.req_hash, inc=exchange.token.inc, log_size=1,
        log_head="0" * 64, mac_ea="-",
    )  # fmt: skip
    view = OrderView(rid=exchange.rid, status="DENIED", code="EXPIRED", final=True)
    return sign_reply(token, encode_reply(view), keys.keys[Purpose.REPLY_SRV])
