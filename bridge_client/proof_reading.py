"""A proof's parts, parsed once and bound to one another (protocol.md 3, 4.6 and 5.4).

Pure. What is read here is what the checks of `proof_checks.py` compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bridge_client.proof import Answered, Claim, Message, Proof
from bridge_core.protocol.chain import Record
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.keys import KeySet
from bridge_core.protocol.messages import Fence, GetStatus, Request, decode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.replies import OrderView, StatusReply, decode_reply
from bridge_core.protocol.signing import request_hash
from bridge_core.protocol.token import ReplyToken, RequestToken, parse_reply, parse_request

__all__ = [
    "Answer", "Evidence", "FaultError", "Known", "SkipError", "read_replies", "same", "view_in",
]  # fmt: skip


class Known(NamedTuple):
    """What the verifier brings along: a key set, and heads of the record that it remembers."""

    keys: KeySet | None = None
    heads: Mapping[int, bytes] = {}


class Answer(NamedTuple):
    """One reply, parsed: its own token, the question's, and what it says of the order."""

    token: ReplyToken
    asked: RequestToken | None
    view: OrderView


class FaultError(Exception):
    """The check does not hold; the text says why."""


class SkipError(Exception):
    """The check cannot be made; the text says why."""


class Evidence:
    """A proof's parts, parsed once; every check reads them from here."""

    def __init__(self, proof: Proof, known: Known) -> None:
        self.proof, self.known = proof, known
        self.request: RequestToken | None = None
        self.body: Request | None = None
        self.replies: list[Answer] = []
        self.records: list[tuple[int, Record]] = []

    @property
    def order(self) -> Claim:
        """Return the claim."""
        return self.proof.order

    @property
    def view(self) -> OrderView | None:
        """Return what the last reply says of the order, None without one."""
        return self.replies[-1].view if self.replies else None


def same(what: str, given: object, wanted: object) -> None:
    """Raise FaultError unless two things that must agree do."""
    if given != wanted:
        raise FaultError(f"{what} is {given!r}, elsewhere in the file it is {wanted!r}")


def read_replies(e: Evidence) -> str:
    """Parse the replies and bind each to its request; return the finding.

    Raises:
        FaultError: one is none, or is not about this order.
        SkipError: there is none.
    """
    if not e.proof.answers:
        raise SkipError("no signed reply is in the file")
    e.replies = [_reply(e, answer) for answer in e.proof.answers]
    bound = "to the order itself" if e.proof.answers[0].asked is None else "to a question about it"
    return f"{len(e.replies)} signed, the first {bound}; each is bound to its request by req-hash"


def _reply(e: Evidence, answer: Answered) -> Answer:
    token = parse_reply(answer.reply.frames.token)
    if token is None:
        raise FaultError("a reply's token is none")
    same("a reply's account", token.acct, e.order.account)
    asked = None
    if answer.asked is None:
        wanted = (e.order.rid, e.order.kid, e.proof.req_hash)
        same("the reply's rid, kid and req-hash", (token.rid, token.kid, token.req_hash), wanted)
    else:
        asked = _question(e, answer.asked)
        bound = (asked.rid, asked.kid, request_hash(answer.asked.frames))
        same("a reply's rid, kid and req-hash", (token.rid, token.kid, token.req_hash), bound)
    try:
        view = view_in(token, answer)
    except RemoteProtocolError as error:
        raise FaultError("a reply's body is none") from error
    same("a reply's subject", view.rid, e.order.rid)
    return Answer(token, asked, view)


def _question(e: Evidence, message: Message) -> RequestToken:
    token = parse_request(message.frames.token)
    if token is None or token.op not in (Op.GET_STATUS, Op.FENCE):
        raise FaultError("a question's token is none of GET_STATUS or FENCE")
    body = decode_body(OPERATIONS[Op(token.op)].body, message.frames.body)
    same("a question's account", token.acct, e.order.account)
    if isinstance(body, GetStatus) and not body.rid:
        same("a question's client_order_id", body.client_order_id, e.order.client_order_id)
    elif isinstance(body, GetStatus | Fence):
        same("a question's rid", body.rid, e.order.rid)
    else:
        raise FaultError("a question's body is none")
    return token


def view_in(token: ReplyToken, answer: Answered) -> OrderView:
    """Return what a reply says of the order.

    Raises:
        RemoteProtocolError: its body is none.
        FaultError: its body contradicts its own token.
    """
    if answer.asked is not None:
        return decode_reply(StatusReply, answer.reply.frames.body).order
    raw = answer.reply.frames.body
    try:
        view = decode_reply(OrderView, raw)
    except RemoteProtocolError:  # a refusal at admission has a small body of its own
        return OrderView(rid=token.rid, status=token.status, code=token.code, by="server")
    same("the reply's status and code", (token.status, token.code), (view.status, view.code))
    return view
