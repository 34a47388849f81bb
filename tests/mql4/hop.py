"""A server's end of the EA link for tests: a real CURVE ROUTER, real keys, and nothing clever.

`Hop` speaks protocol.md 14 by hand, so that a test can also say what no server would. It has no
thread: it reads only while a test waits for something, and keeps what it was not waiting for.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec
import zmq

from bridge_core.host.ea_keys import EaKeys, EaSet, format_ea_keys
from bridge_core.host.sockets import (
    Context,
    CurveKeys,
    ServerSocketSpec,
    Socket,
    ZapResponder,
    new_curve_keys,
    server_socket,
)
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.keys import KeySet, Mode, derive, derive_set, purposes, request_purpose
from bridge_core.protocol.messages import Request, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope
from bridge_core.protocol.replies import decode_reply
from bridge_core.protocol.signing import Frames, RequestKeys, event_mac_holds, sign_request
from bridge_core.protocol.token import EventToken, RequestToken, parse_event
from tests.mql4.terminal import Terminal
from tests.support.running import free_port

__all__ = [
    "ACCT", "INPUTS", "Hop", "Keyring", "Message", "SignedEvent", "attached", "learn_zone",
    "stranger", "wait_for", "write_keys",
]  # fmt: skip

ACCT: Final = "mt4"
INC: Final = "00112233445566ff"
# What a user would set for the broker of BrokerTerms(), with room for a test's orders.
INPUTS: Final[Mapping[str, str | int | float | bool]] = {
    "Symbols": "EURUSD,USDJPY", "MaxLots": 1.0, "MaxPositions": 20, "ExpectedAccount": 12345678,
    "ExpectedServer": "Broker-Demo",
}  # fmt: skip
_WAIT_S: Final = 10.0
_FRAME_MAX: Final = 65_536
_HEX64: Final = "[0-9a-f]{64}"


class Keyring:
    """One account's keys: a set of each scope, the event key and both CURVE pairs."""

    def __init__(self, *, mode: Mode = Mode.LIVE, acct: str = ACCT) -> None:
        self.acct = acct
        self.mode = mode
        self.server = new_curve_keys()
        self.ea = new_curve_keys()
        self.event_root = secrets.token_bytes(32)
        self.sets = {f"{scope}-1": self.new_set(scope, f"{scope}-1") for scope in Scope}

    def new_set(self, scope: Scope, kid: str) -> KeySet:
        """A set with keys of its own."""
        base = KeySet(kid=kid, acct=self.acct, mode=self.mode, scope=scope, keys={})
        return derive_set(secrets.token_bytes(32), base, purposes(scope, ea=True))

    def event_key(self) -> bytes:
        return derive(
            self.event_root, mode=self.mode, acct=self.acct, kid="ev-1", purpose=Purpose.EVENT_EA
        )

    def file(self, endpoint: str) -> bytes:
        """The bytes of bridge.key, as `ztb init` writes them."""
        keys = EaKeys(
            acct=self.acct,
            mode=self.mode,
            endpoint=endpoint,
            server_public=self.server.public.decode(),
            curve_public=self.ea.public.decode(),
            curve_secret=self.ea.secret.decode(),
            event_kid="ev-1",
            event_ea=self.event_key().hex(),
            sets=tuple(self._line(one) for one in self.sets.values()),
        )
        return bytes(format_ea_keys(keys))

    def _line(self, one: KeySet) -> EaSet:
        if self.mode is not Mode.LIVE:
            return EaSet(kid=one.kid, scope=one.scope, signs="", reply="")
        signs = one.keys.get(Purpose.ORDER_EA) or one.keys.get(Purpose.ADMIN_EA) or b""
        return EaSet(
            kid=one.kid, scope=one.scope, signs=signs.hex(), reply=one.keys[Purpose.REPLY_EA].hex()
        )

    def sign(self, op: Op, body: Request, kid: str = "trade-1", **over: Any) -> Frames:
        """The frames of a request, signed now; `over` replaces parts of the token."""
        held = self.sets[kid]
        purpose, purpose_ea = request_purpose(op, held.scope)
        fields: dict[str, Any] = {
            "prefix": OPERATIONS[op].prefix, "kid": kid, "acct": self.acct, "op": op.value,
            "rid": secrets.token_hex(16), "iat": time.time_ns() // 1_000_000, "ttl": 5_000,
            "inc": INC,
        }  # fmt: skip
        keys = RequestKeys(
            srv=held.keys[purpose],
            srv_purpose=purpose,
            ea=held.keys[purpose_ea] if purpose_ea else None,
            ea_purpose=purpose_ea,
        )
        return sign_request(RequestToken(**fields | over), encode_body(body), keys)


class Message(NamedTuple):
    """One message of the EA, its head cut at the colons."""

    word: str
    parts: tuple[str, ...]
    body: dict[str, Any]
    frames: Frames | None


class SignedEvent(NamedTuple):
    """A verified event."""

    token: EventToken
    body: EventBody
    raw: bytes


def wait_for(holds: Callable[[], bool], why: str, seconds: float = _WAIT_S) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, why
        time.sleep(0.005)


class Hop:
    """The server's ROUTER of one account."""

    def __init__(self, keys: Keyring | None = None, port: int | None = None) -> None:
        self.keys = keys or Keyring()
        self.port = port or free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.kept: list[Message] = []
        self.events: list[SignedEvent] = []
        self.heartbeats: list[SignedEvent] = []
        self.tokens: list[EventToken] = []  # of every numbered event, in order
        self.instances: list[str] = []
        self.greets = True  # answers each HELLO of the instance it welcomed, as a server does
        self._welcomed = ""
        self._inc = INC
        self._peer = b""
        self._number = 0
        self._open()

    # --- the socket ------------------------------------------------------------------------

    def _open(self) -> None:
        self._context: Context = zmq.Context()
        self._zap = ZapResponder(self._context, {"ea": frozenset({self.keys.ea.public})})
        self._zap.start()
        spec = ServerSocketSpec(domain="ea", keys=self.keys.server, max_frame_bytes=_FRAME_MAX)
        self._socket: Socket = server_socket(self._context, zmq.ROUTER, spec)
        self._socket.bind(self.endpoint)

    def die(self) -> None:
        """The server process is gone, without a word."""
        self._socket.close(0)
        self._zap.stop()
        self._context.term()

    def rise(self) -> None:
        """Another run of the server, on the same port with the same keys."""
        self._peer = b""
        self._welcomed = ""
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.die()

    @property
    def refused(self) -> int:
        """Handshakes that were turned away."""
        return self._zap.refused

    # --- reading ---------------------------------------------------------------------------

    def read(self, seconds: float) -> Message | None:
        """The next message, None if there is none in time; events are verified and kept apart."""
        if not self._socket.poll(max(0, int(1000 * seconds))):
            return None
        peer, empty, tag, head, body, *frames = self._socket.recv_multipart()
        assert (empty, tag) == (b"", b"ZTH5")
        assert len(head) <= 200
        assert len(body) <= 49_152
        self._peer = peer
        word, *parts = head.decode("ascii").split(":")
        carried = None
        if frames:
            assert len(frames) == 3
            assert frames[0] == b"ZTB5"
            carried = Frames(frames[1], frames[2])
        message = Message(word, tuple(parts), msgspec.json.decode(body), carried)
        if word == "EVENT":
            self._take_event(message)
        if word == "HELLO":
            self.instances.append(parts[0])
            if self.greets and parts[0] == self._welcomed:
                self.say(f"WELCOME:{self._inc}")
        return message

    def _take_event(self, message: Message) -> None:
        assert message.frames is not None
        token = parse_event(message.frames.token)
        assert token is not None
        assert (token.kid, token.acct) == ("ev-1", self.keys.acct)
        verified = event_mac_holds(message.frames, token, self.keys.event_key(), Purpose.EVENT_EA)
        assert verified is not None, "an event whose MAC does not hold"
        event = SignedEvent(token, decode_reply(EventBody, verified), verified)
        if event.body.type == "heartbeat":
            self.heartbeats.append(event)
        else:
            self.events.append(event)
            self.tokens.append(token)

    def expect(self, word: str, seconds: float = _WAIT_S) -> Message:
        """Wait for the next message with this word; the others are kept."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = self.read(left)
            if message is not None and message.word == word:
                return message
            if message is not None and message.word != "EVENT":
                self.kept.append(message)
        raise AssertionError(f"no {word} in {seconds} s; there were {self.kept[-5:]}")

    def silence(self, word: str, seconds: float = 0.3) -> None:
        """Make sure that no message with this word comes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = self.read(left)
            assert message is None or message.word != word, message

    def event(self, kind: str, seconds: float = _WAIT_S, **wanted: Any) -> EventBody:
        """Wait for an event of a kind with these fields; each is given once."""
        until = time.monotonic() + seconds
        while True:
            for one in self.events:
                fits = all(getattr(one.body, name) == value for name, value in wanted.items())
                if one.body.type == kind and fits:
                    self.events.remove(one)
                    return one.body
            left = until - time.monotonic()
            assert left > 0, f"no {kind} {wanted} among {[e.body for e in self.events]}"
            message = self.read(left)
            if message is not None and message.word != "EVENT":
                self.kept.append(message)

    # --- writing ---------------------------------------------------------------------------

    def raw(self, *frames: bytes) -> None:
        """Send any frames after the EA's routing id."""
        assert self._peer, "the EA has not said anything yet"
        self._socket.send_multipart([self._peer, *frames])

    def say(self, head: str, frames: Frames | None = None) -> None:
        """Send a message as the seam has it."""
        carried = [b"ZTB5", frames.token, frames.body] if frames else []
        self.raw(b"", b"ZTH5", head.encode("ascii"), b"", *carried)

    def welcome(self, inc: str = INC) -> Message:
        """Wait for HELLO, welcome it, and return it."""
        self._welcomed = ""
        hello = self.expect("HELLO")
        self._welcomed, self._inc = hello.parts[0], inc
        self.say(f"WELCOME:{inc}")
        return hello

    def ask(self, verb: str, *parts: object, frames: Frames | None = None) -> dict[str, Any]:
        """Ask one thing and return the body of its ANSWER; other answers are kept."""
        self._number += 1
        number = str(self._number)
        self.say(":".join([verb, number, *map(str, parts)]), frames)
        while True:
            answer = self.expect("ANSWER")
            if answer.parts == (number,):
                return answer.body
            self.kept.append(answer)

    def beat(self) -> Mapping[str, Any]:
        """What the EA says of itself now."""
        return self.ask("HEALTH")

    def past_boot(self) -> None:
        """Wait until an order signed now is younger than the EA's boot fence (protocol.md 14)."""
        started = self.beat()["started"]
        wait_for(lambda: time.time_ns() // 1_000_000 > started + 1_050, "the clock stands")


@contextmanager
def attached(
    folder: Path, *, hop: Hop | None = None, up: bool = True, **over: Any
) -> Iterator[tuple[Terminal, Hop]]:
    """The Advisor on a chart and its server; `up`: with the session on.

    `over` replaces inputs; `terms` are the broker's. The end asserts that nothing was left open.
    """
    terms = over.pop("terms", None)
    with hop or Hop() as server, Terminal(folder, inputs={**INPUTS, **over}, terms=terms) as one:
        write_keys(one.files, server.keys.file(server.endpoint))
        if up:
            assert one.start() == 0, one.prints
            server.welcome()
        yield one, server


def learn_zone(terminal: Terminal, hop: Hop) -> int:
    """Let quotes come until the EA knows the broker's zone (two, a second apart); return it, ms.

    No clock is moved: what is signed now stays fresh.
    """
    symbol = terminal.terms.symbols[0]

    def knows() -> bool:
        terminal.command("price", symbol.name, symbol.bid, symbol.ask)
        return "zone_ms" in hop.beat()

    wait_for(knows, "the zone stays unknown")
    zone_ms: int = hop.beat()["zone_ms"]
    return zone_ms


def write_keys(folder: Path, data: bytes) -> None:
    """Put a key file where the EA looks, as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / "bridge.key.new"
    new.write_bytes(data)
    new.replace(folder / "bridge.key")


def stranger() -> CurveKeys:
    """A CURVE pair that nobody knows."""
    return new_curve_keys()
