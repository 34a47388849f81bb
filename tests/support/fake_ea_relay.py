"""A relay without a server behind it: the server's end of the EA link, and signers of orders.

It says and passes on what a test tells it to, true or not: it has the link's keys and no key for
an order. `House` holds everything one EA account needs.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any, Final, Self

import zmq

from bridge_core.host.bundles import Bundle
from bridge_core.host.keyfiles import random_key
from bridge_core.host.sockets import (
    Context,
    CurveKeys,
    ServerSocketSpec,
    ZapResponder,
    new_curve_keys,
    server_socket,
)  # fmt: skip
from bridge_core.protocol import limits
from bridge_core.protocol.keys import Mode, derive, request_purpose
from bridge_core.protocol.messages import Request, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope
from bridge_core.protocol.signing import Frames, RequestKeys, sign_request
from bridge_core.protocol.token import RequestToken
from tests.support.ea_keys import EaKeys, ea_key_text, ea_keys_of

__all__ = ["House", "Relay", "Signer", "kid_of", "write_keys"]

_HOP: Final = b"ZTH5"
_MESSAGE_BYTES_MAX: Final = 65_536
ACCT: Final = "demo"


def kid_of(scope: Scope) -> str:
    """Return the kid of a house's set of a scope."""
    return f"{scope}-1"


class Signer:
    """Signs requests with one bundle's keys, mac-ea included."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.keys = bundle.key_set()

    def _token(self, op: Op, changes: dict[str, Any]) -> RequestToken:
        return RequestToken(
            prefix=OPERATIONS[op].prefix,
            kid=self.bundle.kid,
            acct=self.bundle.acct,
            op=op.value,
            rid=secrets.token_hex(16),
            iat=time.time_ns() // 1_000_000,
            ttl=limits.TTL_MS_DEFAULT,
            inc="00112233445566ff",
        )._replace(**changes)

    def sign(self, op: Op, body: Request | bytes, **changes: Any) -> Frames:
        """Return signed frames; `changes` replace parts of the token before signing."""
        token = self._token(op, changes)
        raw = body if isinstance(body, bytes) else encode_body(body)
        srv, ea = request_purpose(op, self.keys.scope)
        assert ea is not None
        keys = self.keys.keys
        return sign_request(token, raw, RequestKeys(keys[srv], srv, keys[ea], ea))

    def forge(self, op: Op, body: Request) -> Frames:
        """Return an operation that our scope may not ask, with MACs of the keys that we do have."""
        own = (
            (Purpose.ADMIN_SRV, Purpose.ADMIN_EA)
            if self.bundle.scope is Scope.OPERATOR
            else (Purpose.ORDER_SRV, Purpose.ORDER_EA)
        )
        token = self._token(op, {})
        keys = self.keys.keys
        signs = RequestKeys(keys[own[0]], own[0], keys[own[1]], own[1])
        return sign_request(token, encode_body(body), signs)


class House:
    """The keys of one EA account, made for this test alone."""

    def __init__(self, port: int, mode: Mode = Mode.LIVE) -> None:
        self.mode = mode
        self.server = new_curve_keys()
        self.ea_curve = new_curve_keys()
        self.endpoint = f"tcp://127.0.0.1:{port}"
        event_root = random_key()
        events = {
            p: derive(event_root, mode=mode, acct=ACCT, kid="event-1", purpose=p).hex()
            for p in (Purpose.EVENT_SRV, Purpose.EVENT_EA)
        }
        self.bundles = {scope: self._bundle(scope, events, mode) for scope in Scope}
        self.signers = {scope: Signer(bundle) for scope, bundle in self.bundles.items()}

    def _bundle(self, scope: Scope, events: dict[Purpose, str], mode: Mode) -> Bundle:
        curve = new_curve_keys()
        return Bundle(
            kid=kid_of(scope), acct=ACCT, mode=mode, scope=scope, ea=True,
            root=random_key().hex(), curve_public=curve.public.decode("ascii"),
            curve_secret=curve.secret.decode("ascii"),
            server_public=self.server.public.decode("ascii"), event_kid="event-1",
            event_srv=events[Purpose.EVENT_SRV], event_ea=events[Purpose.EVENT_EA],
        )  # fmt: skip

    def ea_keys(self, curve: CurveKeys | None = None) -> EaKeys:
        """Return what the EA's key file holds."""
        curve = curve or self.ea_curve
        return ea_keys_of(self.bundles.values(), curve, self.endpoint, self.mode)

    def reply_keys(self) -> dict[str, bytes]:
        """Return `reply<ea` by kid, as a connector that holds every bundle has them."""
        return {s.bundle.kid: s.keys.keys[Purpose.REPLY_EA] for s in self.signers.values()}


class Relay:
    """Binds the link's ROUTER; answers HELLO with WELCOME unless told to be silent.

    `heard` holds every message of the EA as (head, body, frames), oldest first.
    """

    def __init__(self, house: House, *, welcome: bool = True) -> None:
        self.heard: list[tuple[str, Any, Frames | None]] = []
        self.welcome = welcome
        self._house = house
        self._number = 0
        self._peer = b""
        self._context: Context = zmq.Context()
        allow = {"ea": frozenset({house.ea_curve.public})}
        self._zap = ZapResponder(self._context, allow)
        self._zap.start()
        spec = ServerSocketSpec(domain="ea", keys=house.server, max_frame_bytes=_MESSAGE_BYTES_MAX)
        self._socket = server_socket(self._context, zmq.ROUTER, spec)
        self._socket.bind(house.endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(0)
        self._zap.stop()
        self._context.term()

    def pump(self, seconds: float) -> bool:
        """Take in one message; False if none came in time."""
        if not self._socket.poll(int(seconds * 1000)):
            return False
        peer, empty, tag, head, body, *rest = self._socket.recv_multipart()
        assert (empty, tag) == (b"", _HOP)
        frames = Frames(rest[1], rest[2]) if rest else None
        text = head.decode("ascii")
        self.heard.append((text, json.loads(body), frames))
        if text.startswith("HELLO:"):
            self._peer = peer
            if self.welcome:
                self.say("WELCOME:00112233445566ff")
        return True

    def say(self, head: str, frames: Frames | None = None) -> None:
        """Send one message to the EA that said HELLO last."""
        message = [self._peer, b"", _HOP, head.encode("ascii"), b""]
        if frames is not None:
            message += [limits.FRAME_TAG, *frames]
        self._socket.send_multipart(message)

    def greet(self, seconds: float = 5.0) -> str:
        """Wait for a HELLO; return the EA's instance."""
        self.heard = [one for one in self.heard if not one[0].startswith("HELLO:")]
        return self.wait_for("HELLO:", seconds)[0].partition(":")[2]

    def wait_for(self, start: str, seconds: float = 5.0) -> tuple[str, Any, Frames | None]:
        """Return the first message whose head starts so; it is taken out of `heard`."""
        until = time.monotonic() + seconds
        while True:
            for one in self.heard:
                if one[0].startswith(start):
                    self.heard.remove(one)
                    return one
            assert time.monotonic() < until, f"no {start} in {[h for h, _, _ in self.heard]}"
            self.pump(0.05)

    def ask(self, verb: str, *parts: object, frames: Frames | None = None) -> Any:
        """Ask and return the body of the answer."""
        number = self.send(verb, *parts, frames=frames)
        return self.wait_for(f"ANSWER:{number}")[1]

    def send(self, verb: str, *parts: object, frames: Frames | None = None) -> int:
        """Ask without waiting; return the request's number."""
        self._number += 1
        head = ":".join(str(part) for part in (verb, self._number, *parts))
        self.say(head, frames)
        return self._number

    def silence(self, verb: str, *parts: object, frames: Frames | None = None) -> bool:
        """Ask, and return whether only a later question was answered."""
        number = self.send(verb, *parts, frames=frames)
        self.ask("HEALTH")
        return not any(head == f"ANSWER:{number}" for head, _, _ in self.heard)


def write_keys(house: House, folder: Path) -> Path:
    """Write the house's `bridge.key` into a folder (an EA's MQL4/Files) and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bridge.key"
    path.write_text(ea_key_text(house.ea_keys()), "ascii")
    return path
