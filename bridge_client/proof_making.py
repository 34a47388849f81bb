"""Puts a proof together from what is at hand, and says what is missing.

Pure. The claim is read off the signed bytes and the newest reply, so that it says nothing that
the file does not show.
"""

from __future__ import annotations

from typing import NamedTuple

from bridge_client.proof import (
    SCHEMA,
    Answered,
    Claim,
    Made,
    Message,
    Proof,
    Segment,
    has_ea,
    message_of,
    shown_tag,
)
from bridge_client.proof_history import told_of
from bridge_client.proof_reading import view_in
from bridge_core.protocol.chain import Record
from bridge_core.protocol.messages import Open, Request, decode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames, request_hash
from bridge_core.protocol.token import RequestToken, parse_reply, parse_request

__all__ = ["Account", "Parts", "assemble"]


class Account(NamedTuple):
    """Whose order it is."""

    acct: str
    mode: str


class Parts(NamedTuple):
    """What is at hand: the signed bytes, (question, reply) pairs oldest first, records, ledger.

    `first` is the order as far as anybody knows it; `records` are those of `segment`, read.
    """

    first: OrderView
    signed: Frames | None
    exchanges: tuple[tuple[Frames, Frames], ...]
    segment: Segment | None
    records: tuple[tuple[int, Record], ...]
    ledger: tuple[str, ...]
    made: Made
    missing: tuple[str, ...]


def assemble(account: Account, parts: Parts) -> Proof:
    """Return the proof.

    Raises:
        RemoteProtocolError: a reply that was accepted once is none any more.
    """
    request = message_of(parts.signed) if parts.signed is not None else None
    signed = _signed(request)
    answers = tuple(filter(None, (_answered(*pair) for pair in parts.exchanges)))
    view = _newest(answers) or _recorded(parts)
    token, body = signed if signed is not None else (None, None)
    rid = parts.first.rid
    order = Claim(
        rid=rid,
        client_order_id=getattr(body, "client_order_id", "") or view.client_order_id,
        account=account.acct,
        mode=account.mode,
        kid=token.kid if token is not None else view.kid or parts.first.kid,
        op=token.op if token is not None else view.op or parts.first.op,
        status=view.status, code=view.code, by=view.by, evidence=view.evidence, life=view.life,
    )  # fmt: skip
    strategy = view.strategy if body is None else getattr(body, "strategy", 0)
    return Proof(
        schema=SCHEMA,
        order=order,
        tag=shown_tag(
            account.acct,
            rid,
            strategy if isinstance(body, Open | None) else 0,
            ea=has_ea(token, view),
        ),
        request=request,
        req_hash=_req_hash(request, parts.records, rid),
        answers=answers,
        record=parts.segment,
        ledger=parts.ledger,
        made=parts.made,
        missing=parts.missing,
        digest="",
    )


def _signed(request: Message | None) -> tuple[RequestToken, Request | None] | None:
    token = parse_request(request.frames.token) if request is not None else None
    if request is None or token is None or token.op not in Op.__members__:
        return None
    return token, decode_body(OPERATIONS[Op(token.op)].body, request.frames.body)


def _answered(asked: Frames, reply: Frames) -> Answered | None:
    told = message_of(reply)
    if told is None:
        return None
    return Answered(asked=message_of(asked), reply=told)


def _newest(answers: tuple[Answered, ...]) -> OrderView | None:
    if not answers:
        return None
    token = parse_reply(answers[-1].reply.frames.token)
    return view_in(token, answers[-1]) if token is not None else None


def _recorded(parts: Parts) -> OrderView:
    """Return what the record alone says; what only our own notes say is no evidence."""
    first = parts.first
    told = told_of(parts.records, first.rid)
    status, code, by, evidence = told if told is not None else ("UNKNOWN", "-", "", "")
    return OrderView(
        rid=first.rid, client_order_id=first.client_order_id, kid=first.kid, op=first.op,
        status=status, code=code, by=by, evidence=evidence, strategy=first.strategy,
    )  # fmt: skip


def _req_hash(request: Message | None, records: tuple[tuple[int, Record], ...], rid: str) -> str:
    if request is not None:
        return request_hash(request.frames)
    named = (r.data.get("req_hash", "") for _, r in records if r.rid == rid)
    return next((text for text in named if text), "")
