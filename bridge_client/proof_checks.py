"""Judges a proof, offline: what its parts say about one another, and under which key.

Pure. Each check is one claim; the first that fails is the first thing that does not hold. Without
a key everything is recomputed that a third party can recompute: hashes, bindings, the chain, the
history. With the key set that signed, the MACs too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from bridge_client.attest import Subject, record_of
from bridge_client.proof import Message, Proof, digest_of, has_ea, shown_tag
from bridge_client.proof_history import history_fault, told_of
from bridge_client.proof_reading import Evidence, FaultError, Known, SkipError, read_replies, same
from bridge_core.protocol.chain import ChainFault, Head, Record, verify_range
from bridge_core.protocol.codes import FINAL
from bridge_core.protocol.keys import KeySet, request_purpose
from bridge_core.protocol.messages import Open, decode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import (
    order_hash,
    reply_mac_holds,
    request_hash,
    request_mac_holds,
)
from bridge_core.protocol.tag import child_rid
from bridge_core.protocol.token import RequestToken, parse_request

__all__ = ["CHECKS", "Check", "check_proof"]

_KEYLESS: Final = "needs the key that signed: --keys DIR"


class Check(NamedTuple):
    """One claim: `ok`, `fail` or `skip` (could not be made, and why)."""

    id: str
    state: str
    finding: str


# --- what was signed --------------------------------------------------------------------------


def _digest(e: Evidence) -> str:
    if e.proof.digest != digest_of(e.proof):
        raise FaultError("the file was changed after it was written")
    return "the file is as it was written (a digest finds damage, not a forger)"


def _request(e: Evidence) -> str:
    message = e.proof.request
    if message is None:
        raise SkipError("the signed bytes are not in the file: the client that signed has them")
    token = parse_request(message.frames.token)
    if token is None or token.op not in Op.__members__:
        raise FaultError("the request's token is none")
    spec = OPERATIONS[Op(token.op)]
    body = decode_body(spec.body, message.frames.body)
    if body is None or token.prefix != spec.prefix:
        raise FaultError(f"the request's body is not the one legal spelling of {token.op}")
    order = e.order
    for name, given, wanted in (
        ("rid", token.rid, order.rid), ("account", token.acct, order.account),
        ("kid", token.kid, order.kid), ("op", token.op, order.op),
        ("client_order_id", getattr(body, "client_order_id", ""), order.client_order_id),
    ):  # fmt: skip
        same(f"the request's {name}", given, wanted)
    e.request, e.body = token, body
    return f"{token.op} signed by {token.kid} for {token.acct}, rid {token.rid}"


def _req_hash(e: Evidence) -> str:
    wanted = e.proof.req_hash
    if e.proof.request is not None:
        same("req_hash", wanted, request_hash(e.proof.request.frames))
        return "req_hash is the SHA-256 of the signed bytes"
    if not wanted:
        raise SkipError("nothing in the file names the request's hash")
    named = {r.token.req_hash for r in e.replies if r.asked is None}
    named |= {record.data["req_hash"] for _, record in e.records if "req_hash" in record.data}
    if named != {wanted}:
        raise FaultError("req_hash is not the one that the reply or the record names")
    return "req_hash is the one that the server wrote down"


def _key(e: Evidence) -> KeySet:
    if e.known.keys is None:
        raise SkipError(_KEYLESS)
    return e.known.keys


def _signed(keys: KeySet, message: Message, token: RequestToken) -> None:
    if token.kid != keys.kid:
        raise SkipError(f"signed by {token.kid}, the key at hand is {keys.kid}")
    purpose, _ = request_purpose(Op(token.op), keys.scope)
    if request_mac_holds(message.frames, token, keys.keys.get(purpose), purpose) is None:
        raise FaultError(f"the MAC of the {token.op} does not hold under {purpose} of {keys.kid}")


def _request_mac(e: Evidence) -> str:
    if e.request is None or e.proof.request is None:
        raise SkipError("the signed bytes are not in the file")
    keys = _key(e)
    _signed(keys, e.proof.request, e.request)
    return f"the request's MAC holds under the key of {keys.kid}"


def _mode(e: Evidence) -> str:
    keys = _key(e)
    same("mode", e.order.mode, str(keys.mode))
    same("account", e.order.account, keys.acct)
    return f"the key at hand is for {keys.acct}, {keys.mode}"


# --- what was answered ------------------------------------------------------------------------


def _reply_mac(e: Evidence) -> str:
    if not e.replies:
        raise SkipError("no signed reply is in the file")
    keys = _key(e)
    for answer, reply in zip(e.proof.answers, e.replies, strict=True):
        if reply.token.kid != keys.kid:
            raise SkipError(f"the reply is for {reply.token.kid}, the key at hand is {keys.kid}")
        if answer.asked is not None and reply.asked is not None:
            _signed(keys, answer.asked, reply.asked)
        frames, key = answer.reply.frames, keys.keys.get(Purpose.REPLY_SRV)
        if reply_mac_holds(frames, reply.token, key) is None:
            raise FaultError(f"the MAC of a reply does not hold under the key of {keys.kid}")
    return f"the MAC of each reply holds under the key of {keys.kid}"


def _ea_word(e: Evidence) -> str:
    view = e.view
    if view is None or not view.ea:
        raise SkipError("no EA attests on this account" if view is not None else "no reply")
    digest = ""
    if e.proof.request is not None and e.request is not None:
        digest = order_hash(e.proof.request.frames, e.request)
    key = e.known.keys.keys.get(Purpose.REPLY_EA) if e.known.keys is not None else None
    keys = {e.known.keys.kid: key} if e.known.keys is not None and key is not None else {}
    word = record_of(Subject(e.order.account, e.order.rid, e.order.op, digest, keys), view.ea,
                     view.ea_mac)  # fmt: skip
    if word is None:
        raise FaultError("the EA's record is about another order, or its MAC does not hold")
    same("the EA's status", word.record.status, view.status)
    if not word.verified:
        raise SkipError("the EA's record is about this order; its MAC needs the key of its kid")
    return "the EA's record is about this order and its MAC holds"


# --- what became of it ------------------------------------------------------------------------


def _outcome(e: Evidence) -> str:
    order, view = e.order, e.view
    given = (order.status, order.code, order.by, order.evidence, order.life)
    if view is None:
        last = told_of(e.records, order.rid)
        if last is None and (order.status, order.code) != ("UNKNOWN", "-"):
            raise FaultError(f"nothing in the file shows that the order is {order.status}")
        if last is not None:
            same("the outcome", given, (*last, order.life))
        return "nothing is known of it" if last is None else "the record alone says the outcome"
    wanted = (view.status, view.code, view.by, view.evidence, view.life)
    same("the outcome (status, code, by, evidence, life)", given, wanted)
    for name in ("client_order_id", "kid", "op"):
        told = getattr(view, name)
        if told or (e.request is None and name != "client_order_id"):
            same(f"the order's {name}", getattr(order, name), told)
    final = [reply.view for reply in e.replies if reply.view.status in FINAL]
    for one in final[1:]:
        same("a later reply's outcome", _core(one), _core(final[0]))
    return f"{view.status} {view.code if view.code != '-' else ''}".strip() + " as the reply says"


def _core(view: OrderView) -> tuple[object, ...]:
    return (view.status, view.code, view.ticket, view.deal, view.volume, view.price,
            view.close_price, view.evidence)  # fmt: skip


def _tag(e: Evidence) -> str:
    view, order = e.view, e.order
    strategy = e.body.strategy if isinstance(e.body, Open) else 0
    if e.body is None and view is not None:
        strategy = view.strategy
    wanted = shown_tag(order.account, order.rid, strategy, ea=has_ea(e.request, view))
    same("the tag", e.proof.tag, wanted)
    if view is not None and view.magic:
        same("the magic in the reply", str(view.magic), wanted.magic)
    return f"the broker shows this order as {e.proof.tag.comment}, magic {e.proof.tag.magic}"


# --- the record -------------------------------------------------------------------------------


def _chain(e: Evidence) -> str:
    segment = e.proof.record
    if segment is None:
        raise SkipError("no record of the server is in the file")
    if not segment.rows:
        raise FaultError("the segment of the record is empty")
    first = segment.rows[0].n
    try:
        prev = bytes.fromhex(segment.prev)
        rows = [(r.n, r.record.encode("utf-8"), bytes.fromhex(r.hash)) for r in segment.rows]
        head = Head(segment.head.size, bytes.fromhex(segment.head.hash))
        e.records = [
            (r.n, msgspec.json.decode(r.record.encode("utf-8"), type=Record)) for r in segment.rows
        ]
    except (ValueError, msgspec.MsgspecError) as error:
        raise FaultError("a record or a hash of the segment is none") from error
    if len(prev) != 32 or first < 1 or (first == 1 and any(prev)):
        raise FaultError("the hash before the segment is none")
    end = verify_range(Head(first - 1, prev), rows)
    if isinstance(end, ChainFault):
        raise FaultError(f"record {end.n}: {end.why}")
    if end != head:
        raise FaultError(f"the records end at {end.size}, not in the head that the file names")
    return f"records {first} to {end.size} chain to the head"


def _history(e: Evidence) -> str:
    if not e.records:
        raise SkipError("no record of the server is in the file")
    req_hash = e.proof.req_hash
    fault = history_fault(e.records, e.order, req_hash, e.view)
    if fault:
        raise FaultError(fault)
    mine = [(n, r) for n, r in e.records if r.rid == e.order.rid]
    if e.request is not None:
        late = [n for n, r in mine if r.state == "DISPATCHING" and r.ts >= e.request.deadline_ms]
        if late:
            raise FaultError(f"record {late[0]}: begun after the order's deadline")
    for child in e.view.children if e.view is not None else ():
        if child.rid != child_rid(e.order.rid, child.ticket):
            raise FaultError(f"ticket {child.ticket} is no child of this order")
        told = told_of(e.records, child.rid)
        if told is not None and child.status in FINAL:
            same(f"the outcome of ticket {child.ticket}", (child.status, child.code), told[:2])
    steps = " > ".join(f"{r.state or r.kind} ({n})" for n, r in mine)
    return f"legal, and ends as told: {steps}"


def _witness(e: Evidence) -> str:
    if e.proof.record is None:
        raise SkipError("no record of the server is in the file")
    hashes = {row.n: row.hash for row in e.proof.record.rows}
    head = e.proof.record.head
    signed = []
    for reply in e.replies:
        mine = hashes.get(reply.token.log_size)
        if mine is not None and mine != reply.token.log_head:
            raise FaultError(f"the head signed in a reply is not record {reply.token.log_size}")
        signed += [reply.token.log_size] if mine is not None else []
    for size, digest in e.known.heads.items():
        if size in hashes and hashes[size] != digest.hex():
            raise FaultError(f"record {size} is not the one that this machine remembers")
    if head.size in e.known.heads:
        return f"this machine remembers head {head.size}"
    if signed:
        return f"the server signed head {max(signed)} in a reply that is in the file"
    if head.seen:
        raise SkipError(
            f"the file says that the connector saw head {head.size}; its journal can tell"
        )
    raise SkipError(f"nobody witnessed head {head.size}: it is the server's word now")


CHECKS: Final[tuple[tuple[str, Callable[[Evidence], str]], ...]] = (
    ("request", _request),
    ("record.chain", _chain),
    ("replies", read_replies),
    ("req_hash", _req_hash),
    ("outcome", _outcome),
    ("tag", _tag),
    ("record.history", _history),
    ("record.witness", _witness),
    ("key", _mode),
    ("request.mac", _request_mac),
    ("reply.mac", _reply_mac),
    ("ea.word", _ea_word),
    ("digest", _digest),
)


def check_proof(proof: Proof, known: Known = Known()) -> Iterator[Check]:  # noqa: B008
    """Yield each check in order; the first `fail` is the first thing that does not hold."""
    evidence = Evidence(proof, known)
    for name, check in CHECKS:
        try:
            yield Check(name, "ok", check(evidence))
        except FaultError as fault:
            yield Check(name, "fail", str(fault))
        except SkipError as skip:
            yield Check(name, "skip", str(skip))
