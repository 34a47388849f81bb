"""A client with no manners: builds requests by hand, so that tests can bend each byte of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

import zmq

from bridge_core.host.bundles import Bundle, load_bundle
from bridge_core.host.sockets import ClientSocketSpec, client_socket
from bridge_core.protocol import limits
from bridge_core.protocol.keys import KeySet, request_purpose
from bridge_core.protocol.messages import (
    Cancel,
    Close,
    Fence,
    Flatten,
    GetStatus,
    Hello,
    Modify,
    Open,
    Query,
    Request,
    Stop,
    encode_body,
)
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose
from bridge_core.protocol.replies import (
    HelloReply,
    OrderView,
    Page,
    RefusalReply,
    StateReply,
    StatusReply,
    decode_reply,
)
from bridge_core.protocol.signing import (
    Frames,
    RequestKeys,
    VerifiedBody,
    reply_mac_holds,
    request_hash,
    sign_request,
)
from bridge_core.protocol.token import NO_INCARNATION, ReplyToken, RequestToken, parse_reply
from bridge_core.protocol.views import Reply

__all__ = ["Answer", "RawClient", "close_body", "open_body", "opened"]

SILENCE_MS: Final = 250
# What a crowded machine may answer an entry that is in order, and for how long.
_NOT_SEEN: Final = frozenset({"STALE_QUOTE", "NO_ACCOUNT", "NO_QUOTE"})
_SEEN_S: Final = 20.0
_T = TypeVar("_T", bound=Reply)
Send = Callable[[Op, Request], "Answer"]


def now_ms() -> int:
    """Return UTC ms."""
    return time.time_ns() // 1_000_000


def open_body(**changes: object) -> Open:
    """Return a small legal market order."""
    fields: dict[str, object] = {
        "client_order_id": secrets.token_hex(8),
        "client": "raw",
        "symbol": "EURUSD",
        "type": "BUY",
        "volume": "0.01",
        "price": "0",
        "sl": "0",
        "tp": "0",
        "deviation": 20,
        "expiration": 0,
        "stops_fail": "KEEP",
        "strategy": 0,
        "comment": "",
    }
    fields.update(changes)
    return Open(**fields)  # type: ignore[arg-type]


def close_body(ticket: int, **changes: object) -> Close:
    """Return a CLOSE of a whole EURUSD position."""
    fields: dict[str, object] = {
        "client_order_id": secrets.token_hex(8),
        "client": "raw",
        "ticket": ticket,
        "symbol": "EURUSD",
        "volume": "0",
        "deviation": 20,
    }
    fields.update(changes)
    return Close(**fields)  # type: ignore[arg-type]


class Answer:
    """A reply whose MAC held and whose binding was right."""

    def __init__(self, token: ReplyToken, body: VerifiedBody, frames: Frames) -> None:
        self.token = token
        self.body = body
        self.frames = frames

    @property
    def status(self) -> str:
        """The token's status."""
        return self.token.status

    @property
    def code(self) -> str:
        """The token's code."""
        return self.token.code

    def order(self) -> OrderView:
        """The body as an order."""
        return decode_reply(OrderView, self.body)

    def subject(self) -> OrderView:
        """The order a GET_STATUS or FENCE speaks of."""
        return decode_reply(StatusReply, self.body).order

    def refusal(self) -> RefusalReply:
        """The body as a refusal."""
        return decode_reply(RefusalReply, self.body)


def opened(send: Send, **changes: object) -> int:
    """Return the ticket of an OPEN; sent anew while the account was not seen just now."""
    until = time.monotonic() + _SEEN_S
    while (answer := send(Op.OPEN, open_body(**changes))).code in _NOT_SEEN:
        assert time.monotonic() < until, answer.refusal()
        time.sleep(0.1)
    assert answer.status != "DENIED", answer.refusal()
    order = answer.order()
    while order.status == "PENDING" and time.monotonic() < until:
        time.sleep(0.1)
        order = send(Op.GET_STATUS, GetStatus(rid=order.rid, client_order_id="")).subject()
    return order.ticket


class RawClient:
    """One DEALER; signs with a bundle's keys unless told otherwise."""

    def __init__(self, bundle: Bundle, endpoint: str, *, curve: Bundle | None = None) -> None:
        self.bundle = bundle
        self.keys: KeySet = bundle.key_set()
        self.inc = NO_INCARNATION
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        who = curve if curve is not None else bundle
        spec = ClientSocketSpec(
            keys=who.curve(),
            server_public=bundle.server_public.encode("ascii"),
            max_frame_bytes=limits.CLIENT_FRAME_BYTES_MAX,
        )
        self._socket = client_socket(self._context, zmq.DEALER, spec)
        self._socket.connect(endpoint)

    @classmethod
    def of(cls, folder: Path, port: int) -> RawClient:
        """Return a client of the bundle in `folder`, which has said HELLO."""
        bundle = load_bundle(folder / "keys" / "connector.key")
        client = cls(bundle, f"tcp://127.0.0.1:{port}")
        try:
            client.hello()
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(0)
        self._context.term()

    # --- making requests -----------------------------------------------------------------------

    def token(self, op: Op, **changes: object) -> RequestToken:
        """Return an unsigned token of an operation."""
        token = RequestToken(
            prefix=OPERATIONS[op].prefix,
            kid=self.bundle.kid,
            acct=self.bundle.acct,
            op=op.value,
            rid=secrets.token_hex(16),
            iat=now_ms(),
            ttl=limits.TTL_MS_DEFAULT,
            inc=self.inc,
        )
        return token._replace(**changes)  # type: ignore[arg-type]

    def sign(self, op: Op, body: Request | bytes, **changes: object) -> Frames:
        """Return signed frames; `changes` replace parts of the token before signing."""
        token = self.token(op, **changes)
        raw = body if isinstance(body, bytes) else encode_body(body)
        purpose, purpose_ea = request_purpose(op, self.keys.scope)
        key = self.keys.keys.get(purpose, self.keys.keys[Purpose.QUERY_SRV])
        if self.bundle.ea and purpose_ea is not None:
            ea = self.keys.keys.get(purpose_ea)
            return sign_request(token, raw, RequestKeys(key, purpose, ea, purpose_ea))
        return sign_request(token, raw, RequestKeys(key, purpose))

    # --- sending -------------------------------------------------------------------------------

    def send(self, frames: Frames, *, patience_s: float = 10.0) -> None:
        """Send without waiting; a connection that is not there yet is waited for."""
        for _ in range(int(patience_s * 100)):
            try:
                self._socket.send_multipart(
                    (b"", limits.FRAME_TAG, frames.token, frames.body), zmq.NOBLOCK
                )
            except zmq.Again:
                time.sleep(0.01)
            else:
                return
        raise TimeoutError("no connection")

    def send_parts(self, *parts: bytes) -> None:
        """Send exactly these parts."""
        self._socket.send_multipart(parts)

    def receive(self, timeout_ms: int = 5_000) -> Frames | None:
        """Return the next reply's frames, or None."""
        if not self._socket.poll(timeout_ms):
            return None
        parts = self._socket.recv_multipart()
        assert parts[:2] == [b"", limits.FRAME_TAG]
        return Frames(parts[2], parts[3])

    def check(self, request: Frames, reply: Frames) -> Answer:
        """Return a reply as an answer to `request`; fails unless it is bound to it."""
        token = parse_reply(reply.token)
        assert token is not None
        body = reply_mac_holds(reply, token, self.keys.keys[Purpose.REPLY_SRV])
        assert body is not None
        assert token.req_hash == request_hash(request)
        return Answer(token, body, reply)

    def answers(self, requests: Sequence[Frames], timeout_ms: int = 5_000) -> list[Answer]:
        """Return each request's answer, in the order of the requests.

        The replies come in any order: what has the same deadline may end in either.
        """
        replies: dict[str, Frames] = {}
        for _ in requests:
            reply = self.receive(timeout_ms)
            assert reply is not None
            token = parse_reply(reply.token)
            assert token is not None
            replies[token.req_hash] = reply
        return [self.check(request, replies[request_hash(request)]) for request in requests]

    def ask(self, request: Frames, timeout_ms: int = 5_000) -> Answer:
        """Send and return the bound answer; replies to other requests are passed over."""
        self.send(request)
        until = time.monotonic() + timeout_ms / 1000
        while (left := until - time.monotonic()) > 0:
            reply = self.receive(max(1, int(left * 1000)))
            if reply is not None:
                token = parse_reply(reply.token)
                if token is not None and token.req_hash == request_hash(request):
                    return self.check(request, reply)
        raise TimeoutError("no answer")

    def silent(self, request: Frames, timeout_ms: int = SILENCE_MS) -> bool:
        """Send and return whether nothing came back."""
        self.send(request)
        return self.receive(timeout_ms) is None

    def do(self, op: Op, body: Request | bytes, **changes: object) -> Answer:
        """Sign, send, return the answer."""
        return self.ask(self.sign(op, body, **changes))

    # --- everyday requests -----------------------------------------------------------------------

    def hello(self) -> HelloReply:
        """Say HELLO and learn the incarnation."""
        answer = self.do(
            Op.HELLO, Hello(client="raw", version="1", sent=now_ms()), inc=NO_INCARNATION
        )
        reply = decode_reply(HelloReply, answer.body)
        self.inc = reply.incarnation
        return reply

    def ping(self) -> Answer:
        """Ask for the time."""
        return self.do(Op.PING, Hello(client="raw", version="1", sent=now_ms()))

    def health(self) -> StateReply:
        """Ask for HEALTH."""
        answer = self.do(Op.HEALTH, Hello(client="raw", version="1", sent=now_ms()))
        return decode_reply(StateReply, answer.body)

    def query(self, op: Op, **fields: object) -> Page:
        """Ask one of the queries that answer a page."""
        values: dict[str, object] = {
            "symbol": "", "since": 0, "until": 0, "first": 0, "count": 0, **fields,
        }  # fmt: skip
        return decode_reply(Page, self.do(op, Query(**values)).body)  # type: ignore[arg-type]

    def open(self, **changes: object) -> Answer:
        """Send an OPEN."""
        return self.do(Op.OPEN, open_body(**changes))

    def opened(self, **changes: object) -> int:
        """Send an OPEN that must be taken and return its ticket."""
        return opened(self.do, **changes)

    def close_position(self, ticket: int, **changes: object) -> Answer:
        """Send a CLOSE."""
        return self.do(Op.CLOSE, close_body(ticket, **changes))

    def modify(self, ticket: int, **changes: object) -> Answer:
        """Send a MODIFY of stops."""
        fields: dict[str, object] = {
            "client_order_id": secrets.token_hex(8), "client": "raw", "ticket": ticket,
            "price": "0", "sl": "0", "tp": "0", "old_sl": "0", "old_tp": "0", "expiration": 0,
            **changes,
        }  # fmt: skip
        return self.do(Op.MODIFY, Modify(**fields))  # type: ignore[arg-type]

    def cancel(self, ticket: int) -> Answer:
        """Send a CANCEL."""
        body = Cancel(client_order_id=secrets.token_hex(8), client="raw", ticket=ticket)
        return self.do(Op.CANCEL, body)

    def flatten(self, scope: str = "ALL") -> Answer:
        """Send a FLATTEN."""
        body = Flatten(
            client_order_id=secrets.token_hex(8), client="raw", scope=scope,  # type: ignore[arg-type]
            symbol="", reason="test",
        )  # fmt: skip
        return self.do(Op.FLATTEN, body)

    def status(self, rid: str = "", client_order_id: str = "") -> Answer:
        """Ask for one order."""
        return self.do(Op.GET_STATUS, GetStatus(rid=rid, client_order_id=client_order_id))

    def fence(self, rid: str, inc: str, iat: int, symbol: str = "EURUSD") -> Answer:
        """FENCE one rid."""
        return self.do(Op.FENCE, Fence(rid=rid, inc=inc, iat=iat, symbol=symbol))

    def stop(self, op: Op, reason: str = "test") -> Answer:
        """HALT or REDUCE_ONLY."""
        return self.do(op, Stop(reason=reason))


def decode(kind: type[_T], answer: Answer) -> _T:
    """Return the answer's body as a reply of a kind."""
    return decode_reply(kind, answer.body)
