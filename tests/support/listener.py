"""A subscriber that believes nothing it cannot verify."""

from __future__ import annotations

import time
from typing import NamedTuple, Self

import msgspec
import zmq

from bridge_core.host.bundles import Bundle, load_bundle
from bridge_core.host.sockets import ClientSocketSpec, client_socket
from bridge_core.protocol import limits
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.signing import Frames, event_mac_holds
from bridge_core.protocol.token import EventToken, parse_event
from tests.support.running import Account

__all__ = ["Heard", "Listener"]


class Heard(NamedTuple):
    """One event whose MAC held."""

    topic: bytes
    token: EventToken
    body: EventBody


class Listener:
    """One SUB socket; `topics` are prefixes."""

    def __init__(
        self, account: Account, *, who: str = "connector", curve: Bundle | None = None,
        topics: tuple[bytes, ...] = (b"",),
    ) -> None:  # fmt: skip
        bundle = load_bundle(account.bundle(who) / "keys" / "connector.key")
        self._keys = bundle.event_keys()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        spec = ClientSocketSpec(
            keys=(curve or bundle).curve(),
            server_public=bundle.server_public.encode("ascii"),
            max_frame_bytes=limits.EVENT_FRAME_BYTES_MAX,
        )
        self._socket = client_socket(self._context, zmq.SUB, spec)
        for topic in topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._socket.connect(f"tcp://127.0.0.1:{account.port + 1}")
        self.heard: list[Heard] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(0)
        self._context.term()

    def next(self, timeout_ms: int = 3_000) -> Heard | None:
        """Return the next event, or None; fails on anything that does not verify."""
        if not self._socket.poll(timeout_ms):
            return None
        topic, tag, raw, body = self._socket.recv_multipart()
        assert tag == limits.FRAME_TAG
        token = parse_event(raw)
        assert token is not None
        purpose = Purpose.EVENT_EA if token.stream.startswith("ea-") else Purpose.EVENT_SRV
        verified = event_mac_holds(Frames(raw, body), token, self._keys[purpose], purpose)
        assert verified is not None
        heard = Heard(topic, token, msgspec.json.decode(verified, type=EventBody))
        self.heard.append(heard)
        return heard

    def wait_for(self, type_: str, seconds: float = 4.0) -> Heard:
        """Return the next event of a type."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            one = self.next(200)
            if one is not None and one.body.type == type_:
                return one
        raise AssertionError(f"no {type_}: {[one.body.type for one in self.heard]}")

    def alerts_until(self, code: str) -> list[str]:
        """Return the codes of the next alerts, up to the first with this code."""
        codes: list[str] = []
        while code not in codes:
            codes.append(self.wait_for("alert").body.code)
        return codes
