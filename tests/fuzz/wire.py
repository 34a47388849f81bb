"""Targets of what travels: requests at the server, replies, events and the EA's word at a client.

Where a parser stands behind a MAC the input is signed with the true key first, so that it is
reached at all; in front of it nothing but a genuine frame may pass.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bridge_client.attest import Subject, apply_word
from bridge_client.happenings import event_of, tick_of
from bridge_client.result import from_view
from bridge_client.session import Exchange, Identity, Session, exchange_of
from bridge_client.streams import EventKeys, StreamTracker, verify_event
from bridge_client.witness import Now
from bridge_core.protocol import limits
from bridge_core.protocol.chain import Record
from bridge_core.protocol.codes import Refusal, Status
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.keys import EVENT_PURPOSES, KeySet, Mode, derive, derive_set, purposes
from bridge_core.protocol.messages import Request, decode_body, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope
from bridge_core.protocol.replies import (
    HelloReply,
    JournalPage,
    LogPage,
    OrderView,
    Page,
    RefusalReply,
    StateReply,
    StatusReply,
    SyncReply,
    decode_reply,
    encode_reply,
)
from bridge_core.protocol.signing import Frames, ea_record_mac_holds, mac, sign_event, sign_reply
from bridge_core.protocol.token import (
    EventToken,
    ReplyToken,
    parse_ea_record,
    parse_event,
    parse_reply,
    parse_request,
)
from bridge_server.core.gate import Admitted, authenticate, in_scope, judge
from tests.fuzz.target import Target
from tests.support import builders, independent
from tests.vectors.examples import BODIES
from tests.vectors.make import ACCT, EVENT_ROOT, OPERATOR_ROOT, TRADE_ROOT, build

__all__ = ["WIRE"]

_BREAK: Final = b"\n"  # between token and body: no token holds one
_CURVE: Final = "c" * 40
_NOW: Final = Now(1_767_225_601_000, 5_000)


def _cases(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    made = msgspec.json.decode(build()[name])
    return made["cases"], made["refused"]


def _joined(case: dict[str, Any]) -> bytes:
    if "token_hex" in case:
        return bytes.fromhex(case["token_hex"]) + _BREAK + bytes.fromhex(case["body_hex"])
    return str(case["token"]).encode() + _BREAK + str(case["body"]).encode()


def _split(data: bytes) -> Frames:
    token, _, body = data.partition(_BREAK)
    return Frames(token, body)


def _set(kid: str, root: bytes, scope: Scope) -> KeySet:
    base = KeySet(
        kid=kid, acct=ACCT, mode=Mode.PAPER, scope=scope, curve_public=_CURVE, keys={}
    )  # fmt: skip
    return derive_set(root, base, purposes(scope, ea=True))


_TRADE: Final = _set("trade-1", TRADE_ROOT, Scope.TRADE)
_SETS: Final = {
    "trade-1": _TRADE,
    "operator-1": _set("operator-1", OPERATOR_ROOT, Scope.OPERATOR),
    "query-1": _set("query-1", bytes(range(1, 33)), Scope.QUERY),
    "reduce-1": _set("reduce-1", bytes(range(2, 34)), Scope.REDUCE),
}


def _enter(frames: Frames) -> object:
    return authenticate(frames, _CURVE.encode(), _SETS, ACCT, _NOW.wall_ms)


# --- requests -------------------------------------------------------------------------------------

_REQUESTS, _NO_REQUESTS = _cases("requests.json")
_GENUINE: Final = frozenset(_split(_joined(case)) for case in _REQUESTS)


def _request(data: bytes) -> None:
    frames = _split(data)
    request = _enter(frames)
    assert isinstance(request, Admitted) == (frames in _GENUINE), "a forgery was accepted"
    parts = parse_request(frames.token)
    assert (parts is None) == (independent.request_parts(frames.token) is None)
    if parts is not None:
        assert frames.token == parts.head() + f"{parts.mac_ea}:{parts.mac_srv}".encode()


_CONDITIONS: Final = builders.conditions(
    builders.snapshot([builders.position()], [builders.pending()]),
    now_ms=_NOW.wall_ms,
    incarnation="00112233445566ff",
)


def _signed(head: bytes, body: bytes, kid: str, purpose: Purpose) -> Frames:
    key = _SETS[kid].keys.get(purpose, bytes(32))
    head += b"-:"
    return Frames(head + mac(key, purpose, head, body).hex().encode(), body)


def _authentic(data: bytes) -> None:
    # Whatever head and body the owner of the trade key may sign, under every purpose it has.
    head, _, body = data.partition(_BREAK)
    for purpose in (Purpose.QUERY_SRV, Purpose.ORDER_SRV):
        request = _enter(_signed(head, body, "trade-1", purpose))
        if not isinstance(request, Admitted):
            continue
        assert (request.token.kid, request.token.acct) == ("trade-1", ACCT)
        assert request.spec.purpose is purpose
        assert request.body == body
        in_scope(request, attests=False)
        verdict = judge(request, _CONDITIONS)
        assert isinstance(verdict, Refusal | Request)
        if not isinstance(verdict, Refusal) and encode_body(verdict) != body:
            assert request.op in (Op.HALT, Op.REDUCE_ONLY), "another body than was signed"


_OPS: Final = tuple(Op)


def _body(data: bytes) -> None:
    op = _OPS[data[0] % len(_OPS)] if data else Op.OPEN
    kind, raw = OPERATIONS[op].body, data[1:]
    found = decode_body(kind, raw)
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    assert found is None or encode_body(found) == raw, "accepted, and another when written again"
    if found is not None:
        legal = independent.legal_json(raw, names)
        assert legal is not None
        assert list(legal.values()) == list(msgspec.structs.astuple(found))


# --- replies --------------------------------------------------------------------------------------

_REPLIES, _NO_REPLIES = _cases("replies.json")


def _session(*, ea: bool = True) -> Session:
    return Session(Identity(keys=_TRADE, ea=ea))


def _asked(case: dict[str, Any]) -> Exchange:
    frames = Frames(str(case["request_token"]).encode(), str(case["request_body"]).encode())
    return exchange_of(frames, Op(frames.token.split(b":")[4].decode()), _NOW)


_EXCHANGES: Final = tuple(_asked(case) for case in _REPLIES)
_TRUE_REPLIES: Final = frozenset(_split(_joined(case)) for case in _REPLIES)


def _reply(data: bytes) -> None:
    frames, session = _split(data), _session()
    believed = any(session.verify(frames, exchange) is not None for exchange in _EXCHANGES)
    assert not believed or frames in _TRUE_REPLIES, "a forged reply was believed"
    parts = parse_reply(frames.token)
    if parts is not None:
        assert frames.token == parts.head() + f"{parts.mac_ea}:{parts.mac_srv}".encode()


_KINDS: Final = (
    HelloReply, StateReply, OrderView, RefusalReply, StatusReply, SyncReply, Page, JournalPage,
    LogPage, Record,
)  # fmt: skip
_REPLY_WORDS: Final = (*(str(one) for one in Status), "NEW_WORD")


def _reply_body(data: bytes) -> None:
    # The server's own key signs it: a broken or hostile server, behind every MAC.
    choice, raw = data[:2].ljust(2, b"\0"), data[2:]
    exchange, session = _EXCHANGES[0], _session(ea=bool(choice[1] & 1))
    token = ReplyToken(
        kid="trade-1", acct=ACCT, rid=exchange.rid, time=_NOW.wall_ms,
        status=_REPLY_WORDS[choice[0] % len(_REPLY_WORDS)], code="-", req_hash=exchange.req_hash,
        inc="00112233445566ff", log_size=1, log_head="60" * 32,
    )  # fmt: skip
    frames = sign_reply(token, raw, _TRADE.keys[Purpose.REPLY_SRV])
    answer = session.accept(frames, exchange, _NOW)
    assert answer is not None
    for kind in _KINDS:
        _tolerated(decode_reply, kind, raw)
    ours = [
        _tolerated(session.order_view, answer, exchange),
        _tolerated(session.subject_view, answer, exchange),
    ]
    for view in ours:
        if isinstance(view, OrderView) and session.identity.ea:
            assert not (view.final and view.attested), "no EA said so"
    for view in (
        *ours,
        _tolerated(session.foreign_view, answer),
        _tolerated(session.check_view, answer, OrderView(rid=exchange.rid)),
    ):
        if isinstance(view, OrderView):
            _tolerated(from_view, view)
    _tolerated(session.greeted, answer, exchange, _NOW)


def _tolerated(act: Any, *args: Any) -> object:
    try:
        return act(*args)
    except RemoteProtocolError:
        return None


_REPLY_BODIES: Final = (
    *(str(case["body"]).encode() for case in _REPLIES),
    encode_reply(OrderView(rid=_EXCHANGES[0].rid, op="OPEN", status="FILLED", ticket=1)),
    encode_reply(StatusReply(order=OrderView(rid=_EXCHANGES[0].rid, op="OPEN", status="DENIED"))),
    encode_reply(RefusalReply(code="BODY")),
    encode_reply(StateReply(time=1, state="ACTIVE")),
)


# --- events ---------------------------------------------------------------------------------------

_EVENTS, _NO_EVENTS = _cases("events.json")
_TRUE_EVENTS: Final = frozenset(_split(_joined(case)) for case in _EVENTS)
_TRUST: Final = EventKeys(
    ACCT,
    "event-1",
    {
        purpose: derive(EVENT_ROOT, mode=Mode.PAPER, acct=ACCT, kid="event-1", purpose=purpose)
        for purpose in EVENT_PURPOSES
    },
)


def _event(data: bytes) -> None:
    frames = _split(data)
    believed = verify_event(frames, _TRUST) is not None
    assert not believed or frames in _TRUE_EVENTS, "a forged event was believed"
    parts = parse_event(frames.token)
    if parts is not None:
        assert frames.token == parts.head() + parts.mac.encode()


def _event_body(data: bytes) -> None:
    stream, _, raw = data.partition(_BREAK)
    token = EventToken("event-1", ACCT, stream.decode("latin-1"), 1 + len(data), _NOW.wall_ms)
    if not token.stream.isascii():
        return
    parts = verify_event(sign_event(token, raw, _TRUST.keys[Purpose.EVENT_SRV]), _TRUST)
    if parts is None:
        return
    tracker = StreamTracker()
    body = _tolerated(decode_reply, EventBody, parts[1])
    if not isinstance(body, EventBody):
        return
    tracker.event(parts[0].stream, parts[0].seq)
    tracker.heartbeat(body.streams)
    tracker.event(parts[0].stream, parts[0].seq + 1)
    tracker.synced(body.streams)
    _tolerated(tick_of, body, str, 0)
    _tolerated(event_of, body, str)


# --- the EA's word --------------------------------------------------------------------------------

_RECORDS: Final = _cases("records.json")[0]
_WORDS: Final = frozenset((str(case["record"]), str(case["mac_ea"])) for case in _RECORDS)
_EA_KEY: Final = _TRADE.keys[Purpose.REPLY_EA]


def _record(data: bytes) -> None:
    raw, _, claimed = data.partition(_BREAK)
    parts = parse_ea_record(raw)
    assert parts is None or parts.text() == raw
    mac_text = claimed.decode("latin-1")
    if len(mac_text) != limits.MAC_HEX or not set(mac_text) <= set("0123456789abcdef"):
        mac_text = "0" * limits.MAC_HEX
    genuine = (raw.decode("latin-1"), mac_text) in _WORDS
    assert genuine or not ea_record_mac_holds(_EA_KEY, raw, mac_text)
    rid = _EXCHANGES[0].rid
    view = OrderView(rid=rid, op="OPEN", status="FILLED", ea=raw.decode("latin-1"))
    told = apply_word(view, Subject(ACCT, rid, "OPEN", "", {"trade-1": _EA_KEY}), mac_text)
    assert genuine or (told.status, told.attested) == ("UNKNOWN", False), "no EA said so"


def _bodies() -> tuple[bytes, ...]:
    return tuple(
        bytes([number]) + encode_body(BODIES[op])
        for number, op in enumerate(_OPS)
        if op in BODIES
    )  # fmt: skip


def _heads() -> tuple[bytes, ...]:
    return tuple(
        str(case["token"]).encode().rsplit(b":", 2)[0] + b":" + _BREAK + str(case["body"]).encode()
        for case in _REQUESTS
        if not case["ea"]
    )


WIRE: Final = (
    Target("request", _request, tuple(map(_joined, (*_REQUESTS, *_NO_REQUESTS)))),
    Target("authentic", _authentic, _heads()),
    Target("body", _body, _bodies()),
    Target("reply", _reply, tuple(map(_joined, (*_REPLIES, *_NO_REPLIES)))),
    Target(
        "reply_body", _reply_body, tuple(bytes([k, k]) + b for k, b in enumerate(_REPLY_BODIES))
    ),
    Target("event", _event, tuple(map(_joined, (*_EVENTS, *_NO_EVENTS)))),
    Target(
        "event_body",
        _event_body,
        tuple(
            str(case["token"]).split(":")[4].encode() + _BREAK + str(case["body"]).encode()
            for case in _EVENTS
        ),
    ),
    Target(
        "record",
        _record,
        tuple(f"{case['record']}\n{case['mac_ea']}".encode() for case in _RECORDS),
    ),
)
