"""Admission, top to bottom (protocol.md 6): who asks, may it, is it fresh, is it allowed.

`authenticate` comes before anything is remembered or parsed; `judge` is the table by lane. Between
them the caller looks the rid up: a late copy of an order that ran must get its outcome, never
EXPIRED. Every refusal is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.keys import KeySet, request_purpose
from bridge_core.protocol.messages import Modify, Open, Request, Stop, decode_body
from bridge_core.protocol.operations import OPERATIONS, Lane, Op, OpSpec, granted
from bridge_core.protocol.signing import Frames, VerifiedBody, request_mac_holds
from bridge_core.protocol.token import NO_MAC, RequestToken, parse_request
from bridge_core.risk.entry import shrinks
from bridge_core.risk.rates import TokenBuckets
from bridge_server.core import risk
from bridge_server.core.ports import Pending, Position, Snapshot
from bridge_server.core.trading_state import Act, Cause, Causes, TradingState, refused_by_state

__all__ = [
    "Admitted", "Conditions", "Drop", "authenticate", "in_scope", "judge", "stops_only",
]  # fmt: skip


class Drop(StrEnum):
    """Why a message got no answer: a counter and a rate-limited log line, nothing on the wire."""

    SHAPE = "shape"
    TOKEN = "token"  # noqa: S105  the name of a check, not a secret
    KEY = "key"
    MAC = "mac"
    ACCOUNT = "account"
    IDENTITY = "identity"


class Admitted(Struct, frozen=True, kw_only=True):
    """An authentic request: its parts, its bytes, and who signed it."""

    token: RequestToken
    op: Op
    spec: OpSpec
    key_set: KeySet
    frames: Frames
    body: VerifiedBody


class Conditions(Struct, frozen=True, kw_only=True):
    """What the judgement depends on at this moment. Times are UTC ms and monotonic ms."""

    now_ms: int
    mono_ms: int
    incarnation: str
    ttl_ms_max: int
    clock_healthy: bool
    causes: Causes
    snapshot: Snapshot | None
    picture: risk.Picture | None
    ours: risk.Ours
    buckets: TokenBuckets
    stopping: bool
    queue_full: bool
    id_taken: Callable[[str], bool]


def authenticate(
    frames: Frames, user_id: bytes, sets: Mapping[str, KeySet], acct: str, now_ms: int
) -> Admitted | Drop:
    """Return the authentic request, or why it is dropped without an answer.

    An unknown kid costs the same HMAC as a wrong MAC, so timing tells no names.
    """
    token = parse_request(frames.token)
    if token is None or len(frames.body) > limits.BODY_BYTES_MAX:
        return Drop.TOKEN
    op = _OPS.get(token.op)
    key_set = sets.get(token.kid)
    if op is None or OPERATIONS[op].prefix != token.prefix:
        return Drop.TOKEN
    spec = OPERATIONS[op]
    purpose = spec.purpose
    if key_set is not None:
        purpose = request_purpose(op, key_set.scope)[0]
    alive = key_set is not None and key_set.alive(now_ms)
    key = key_set.keys.get(purpose) if alive and key_set is not None else None
    body = request_mac_holds(frames, token, key, purpose)
    if key is None or key_set is None:
        return Drop.KEY
    if body is None:
        return Drop.MAC
    if token.acct != acct or key_set.acct != acct:
        return Drop.ACCOUNT
    if not user_id or user_id != key_set.curve_public.encode("ascii"):
        return Drop.IDENTITY
    return Admitted(token=token, op=op, spec=spec, key_set=key_set, frames=frames, body=body)


_OPS: Final = {op.value: op for op in Op}


def in_scope(request: Admitted, *, attests: bool) -> Refusal | None:
    """Return SCOPE unless the set may ask this; mac-ea is there exactly where an EA is."""
    if request.op not in granted(request.key_set.scope):
        return Refusal(ReasonCode.SCOPE, value=request.op)
    has_mac = request.token.mac_ea != NO_MAC
    if has_mac != (attests and request.spec.purpose_ea is not None):
        return Refusal(ReasonCode.SCOPE, limit="mac-ea", value="present" if has_mac else "absent")
    return None


def judge(request: Admitted, at: Conditions) -> Refusal | Request:
    """Return the parsed body once every check of the request's lane has passed.

    The lines stand in the order of the table in protocol.md 6.
    """
    lane, op = request.spec.lane, request.op
    if lane is Lane.STOP:  # only lowers: no clock, body or incarnation may keep it out
        return decode_body(Stop, request.body) or Stop(reason="")
    refusal = _incarnation(request, at) or _time(request, at)
    if refusal is not None:
        return refusal
    body = decode_body(request.spec.body, request.body)
    if body is None:
        return Refusal(ReasonCode.BODY)
    client_order_id = getattr(body, "client_order_id", "")
    if lane in (Lane.REDUCE, Lane.ENTRY) and op is not Op.CHECK and at.id_taken(client_order_id):
        return Refusal(ReasonCode.DUPLICATE_ID, value=client_order_id)
    refusal = (
        _load(request, at)
        or (_state(body, at) if lane is Lane.ENTRY else None)
        or (_risk(body, at) if lane in (Lane.REDUCE, Lane.ENTRY) else None)
    )
    return body if refusal is None else refusal


_NEEDS_INCARNATION: Final = frozenset({Op.RESUME, Op.SETTLE, Op.HEARTBEAT})
_NO_FRESHNESS: Final = frozenset({Op.HELLO, Op.PING})


def _incarnation(request: Admitted, at: Conditions) -> Refusal | None:
    needs = request.spec.lane in (Lane.REDUCE, Lane.ENTRY) or request.op in _NEEDS_INCARNATION
    if not needs or request.token.inc == at.incarnation:
        return None
    return Refusal(ReasonCode.STALE_INCARNATION)


def _time(request: Admitted, at: Conditions) -> Refusal | None:
    # Freshness for every lane but the stop lane; the clock guard for what opens exposure. A ttl
    # below the least is no token at all.
    token = request.token
    if request.op in _NO_FRESHNESS:
        return None
    if request.spec.lane is Lane.ENTRY and not at.clock_healthy and not _is_stops(request):
        return Refusal(ReasonCode.CLOCK)
    if token.ttl > at.ttl_ms_max:
        return Refusal(ReasonCode.TTL_TOO_LONG, limit=str(at.ttl_ms_max), value=str(token.ttl))
    ahead = token.iat - at.now_ms
    if ahead > limits.CLOCK_SKEW_MS_MAX:
        return Refusal(
            ReasonCode.NOT_YET_VALID, limit=str(limits.CLOCK_SKEW_MS_MAX), value=str(ahead)
        )
    if at.now_ms >= token.deadline_ms:
        return Refusal(ReasonCode.EXPIRED, limit=str(token.ttl), value=str(at.now_ms - token.iat))
    return None


def _is_stops(request: Admitted) -> bool:
    if request.op is not Op.MODIFY:
        return False
    body = decode_body(Modify, request.body)
    return body is not None and stops_only(body)


def stops_only(body: Modify) -> bool:
    """Return whether a MODIFY leaves a pending order's price and expiration alone."""
    return not Decimal(body.price)


def _load(request: Admitted, at: Conditions) -> Refusal | None:
    refusal = at.buckets.charge(request.token.kid, request.spec.lane, at.mono_ms)
    if refusal is not None or request.spec.lane not in (Lane.REDUCE, Lane.ENTRY):
        return refusal
    if at.queue_full:
        return Refusal(ReasonCode.BUSY, limit=str(limits.WORKER_QUEUE_MAX))
    if at.stopping:
        return Refusal(ReasonCode.STOPPING)
    return None


def _state(body: Request, at: Conditions) -> Refusal | None:
    if isinstance(body, Modify):
        act = Act.STOPS if stops_only(body) else Act.PRICE
        held = _held(body.ticket, at.snapshot)
        symbol = held.symbol if held is not None else ""
        helps = not _removes_sl(body, held)
    else:
        assert isinstance(body, Open)  # the entry lane's other operations
        act, symbol, helps = Act.ENTER, body.symbol, _shrinks(body, at)
    code = refused_by_state(at.causes.state(symbol), act, helps=helps)
    if code is None:
        return None
    account = at.causes.state()
    if code is ReasonCode.REDUCE_ONLY and account is TradingState.ACTIVE:
        return Refusal(ReasonCode.UNKNOWN_ORDER_OPEN, limit=Cause.UNKNOWN, value=symbol)
    worst = [one.cause for one in at.causes if one.symbol in ("", symbol)]
    if _AWAY.issuperset(worst) and not (at.snapshot is not None and at.snapshot.connected):
        return _away(at, ",".join(worst))
    return Refusal(code, limit=",".join(worst))


# What lowers the state while the terminal is away; said by its own name as long as it is.
_AWAY: Final = frozenset({Cause.BROKER_LINK, Cause.EA_STALE, Cause.RECOVERING})


def _away(at: Conditions, limit: str = "") -> Refusal:
    # With what the terminal last said about it, which is what there is to do.
    value = at.snapshot.note if at.snapshot is not None else ""
    return Refusal(ReasonCode.BROKER_DOWN, limit=limit, value=value)


def _held(ticket: int, snapshot: Snapshot | None) -> Position | Pending | None:
    if snapshot is None:
        return None
    return snapshot.positions.get(ticket) or snapshot.orders.get(ticket)


def _removes_sl(body: Modify, held: Position | Pending | None) -> bool:
    # The message's own old_sl proves nothing: what the terminal last showed counts as well.
    had = Decimal(body.old_sl) or (held is not None and held.sl)
    return bool(had) and not Decimal(body.sl)


def _shrinks(body: Open, at: Conditions) -> bool:
    # On a hedging account an opposite order only adds a leg. On a netting account it reduces as
    # far as flat; beyond that it is an entry. What is flying or pending may have reduced already.
    if at.picture is None or at.snapshot is None:
        return False
    proposal = risk.propose(body, at.snapshot)
    return proposal is not None and shrinks(proposal, at.picture)


def _risk(body: Request, at: Conditions) -> Refusal | None:
    if at.picture is None or at.snapshot is None or not at.snapshot.connected:
        return _away(at)
    proposal = risk.propose(body, at.snapshot, at.ours)
    return risk.first_refusal(proposal, at.picture) if proposal is not None else None
