"""What the paper broker's ledger in a proof says of the order (protocol.md 13).

The ledger carries no MAC: its lines are compared with what was signed and told, and prove nothing
by themselves.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from bridge_client.proof import Proof
from bridge_client.proof_checks import Check
from bridge_client.proof_reading import Evidence, Known, read_replies
from bridge_core.host.ledger import LedgerLine, SignedOrder, judge
from bridge_core.protocol.messages import decode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, child_rid, make_tag
from bridge_core.protocol.token import parse_request

__all__ = ["ledger_check"]

_ID: Final = "ledger"
_DID: Final = frozenset({"FILLED", "PARTIAL", "WORKING", "DONE"})


def ledger_check(proof: Proof) -> Check:
    """Compare the ledger's lines with the signed order and with what was told of it.

    Meant for a proof whose other checks hold.
    """
    if not proof.ledger:
        return Check(_ID, "skip", "no lines of a paper ledger are in the file")
    try:
        lines = [msgspec.json.decode(text, type=LedgerLine) for text in proof.ledger]
    except (msgspec.MsgspecError, UnicodeError):
        return Check(_ID, "fail", "a line of the ledger is none")
    evidence = Evidence(proof, Known())
    view = _told(evidence)
    fault = _owner_fault(lines, proof, view) or _promise_fault(lines, proof)
    if not fault and view is not None and proof.order.op != Op.FLATTEN:
        fault = _outcome_fault(lines, view)
    if fault:
        return Check(_ID, "fail", fault)
    begun = sum(line.phase == "begin" for line in lines)
    return Check(_ID, "ok", f"{begun} begun at the broker, as signed and as told (no MAC on it)")


def _told(evidence: Evidence) -> OrderView | None:
    if not evidence.proof.answers:
        return None
    read_replies(evidence)
    return evidence.view


def _owner_fault(lines: list[LedgerLine], proof: Proof, view: OrderView | None) -> str:
    acct, rid = proof.order.account, proof.order.rid
    rids = [rid, *(child_rid(rid, child.ticket) for child in (view.children if view else ()))]
    tags = {make_tag(acct, one).comment for one in rids}
    begun = {line.n for line in lines if line.phase == "begin"}
    for line in lines:
        if line.phase == "begin" and line.comment[:COMMENT_TAG_CHARS] not in tags:
            return f"act {line.n} of the ledger is another order's"
        if line.phase not in ("begin", "end") or line.n not in begun:
            return f"line {line.n} of the ledger belongs to no act of this order"
    return ""


def _promise_fault(lines: list[LedgerLine], proof: Proof) -> str:
    if proof.request is None:
        return ""
    token = parse_request(proof.request.frames.token)
    body = None
    if token is not None and token.op in Op.__members__:
        body = decode_body(OPERATIONS[Op(token.op)].body, proof.request.frames.body)
    if token is None or body is None:
        return "the signed order is none"
    signed = {token.rid: SignedOrder(Op(token.op), token.iat, token.ttl, body)}
    for name, held in judge(lines, signed, proof.order.account).promises.items():
        if not held.kept:
            return f"the ledger breaks {name} for this order"
    return ""


def _outcome_fault(lines: list[LedgerLine], view: OrderView) -> str:
    ends = [line.result for line in lines if line.phase == "end"]
    done = [one for one in ends if one.get("outcome") == "EXECUTED"]
    begun = sum(line.phase == "begin" for line in lines)
    if view.status in _DID and (begun != 1 or len(done) != len(ends)):
        return f"told was {view.status}, the ledger shows {len(done)} executed"
    if view.status in ("REJECTED", "DENIED") and done:
        return f"told was {view.status}, the ledger shows it executed"
    if view.status != "FILLED" or not done or view.op not in (Op.OPEN, Op.CLOSE):
        return ""
    price = view.close_price if view.op == Op.CLOSE else view.price
    same = (_number(done[0].get("volume")), _number(done[0].get("price")))
    if same != (_number(view.volume), _number(price)):
        return "the ledger shows another volume or price than was told"
    return ""


def _number(value: str | int | None) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
