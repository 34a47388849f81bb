"""Proofs as `ztb audit show --proof` makes them, without a server: signed, chained, complete."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from bridge_client.proof import Made, Proof, ProofHead, ProofRow, Segment
from bridge_client.proof_making import Account, Parts, assemble
from bridge_core.host.ledger import LedgerLine, encode_line
from bridge_core.protocol.chain import GENESIS, Record, encode_record, link
from bridge_core.protocol.keys import KeySet
from bridge_core.protocol.messages import Fence, GetStatus, Open
from bridge_core.protocol.operations import Op, Purpose, Scope
from bridge_core.protocol.replies import OrderView, StatusReply, encode_reply
from bridge_core.protocol.signing import Frames, request_hash, sign_reply
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import ReplyToken
from tests.support.builders import ACCT, INC, KID, NOW, RID, key_set, sign
from tests.vectors.examples import BODIES

__all__ = ["KEYS", "OPEN", "RECORDS", "Case", "chained", "filled_case", "filled_view", "make"]

KEYS: Final[KeySet] = key_set(Scope.TRADE)
_open = BODIES[Op.OPEN]
assert isinstance(_open, Open)
OPEN: Final[Open] = _open
QUESTION_RID: Final = "ab" * 16


class Case(NamedTuple):
    """What a proof is made of; change a part, then `make`."""

    signed: Frames
    view: OrderView
    records: tuple[Record, ...]
    ledger: tuple[str, ...] = ()
    before: int = 3
    direct: bool = True
    asked: bool = True
    fenced: bool = False


def filled_view() -> OrderView:
    """Return the outcome of OPEN as the server shows it."""
    return OrderView(
        rid=RID, op="OPEN", client_order_id=OPEN.client_order_id, client=OPEN.client, kid=KID,
        status="FILLED", final=True, evidence="BROKER", symbol=OPEN.symbol, type=OPEN.type,
        ticket=11, deal=12, order=11, volume="0.10", price="1.10010", sl=OPEN.sl, tp=OPEN.tp,
        magic=make_tag(ACCT, RID).mt5_magic(OPEN.strategy), strategy=OPEN.strategy,
        comment="fine", accepted_at=NOW + 5, ended_at=NOW + 9, server_ms="3.1", time=NOW + 9,
    )  # fmt: skip


def RECORDS(req_hash: str) -> tuple[Record, ...]:  # noqa: N802  (a constant of its argument)
    """Return the records of an order that was queued, begun and filled, among others'."""
    other = Record(ts=NOW + 6, kind="ORDER", rid="cd" * 16, op="CLOSE", state="DENIED", code="RATE")
    facts = {"ticket": "11", "deal": "12", "volume": "0.10", "price": "1.10010"}
    return (
        Record(ts=NOW + 5, kind="ORDER", rid=RID, op="OPEN", state="ACCEPTED",
               data={"req_hash": req_hash}),
        other,
        Record(ts=NOW + 7, kind="ORDER", rid=RID, op="OPEN", state="DISPATCHING"),
        Record(ts=NOW + 9, kind="ORDER", rid=RID, op="OPEN", state="FILLED",
               data={**facts, "evidence": "BROKER"}),
    )  # fmt: skip


def ledger(signed_at: int = NOW) -> tuple[str, ...]:
    """Return what the paper broker wrote of it."""
    tag = make_tag(ACCT, RID)
    common = {"n": 4, "op": "OPEN", "magic": tag.mt5_magic(OPEN.strategy),
              "comment": tag.broker_comment(OPEN.comment, 31),
              "deadline_wall_ms": signed_at + 5000}  # fmt: skip
    fields = {name: getattr(OPEN, name) for name in (
        "symbol", "type", "volume", "price", "sl", "tp", "deviation", "expiration")}  # fmt: skip
    result: dict[str, str | int] = {
        "outcome": "EXECUTED", "status": "FILLED", "ticket": 11, "deal": 12, "volume": "0.10",
        "price": "1.10010",
    }  # fmt: skip
    begin = LedgerLine(phase="begin", wall_ms=NOW + 7, fields=fields, **common)  # type: ignore[arg-type]
    end = LedgerLine(phase="end", wall_ms=NOW + 8, result=result, **common)  # type: ignore[arg-type]
    return tuple(encode_line(one).decode("ascii").strip() for one in (begin, end))


def filled_case() -> Case:
    """Return an order of this client that was filled, with everything at hand."""
    signed = sign(Op.OPEN, OPEN, KEYS)
    return Case(signed, filled_view(), RECORDS(request_hash(signed)), ledger())


def chained(records: tuple[Record, ...], before: int) -> Segment:
    """Return records as a segment after `before` records of somebody else."""
    prev = GENESIS
    for n in range(before):
        prev = link(prev, encode_record(Record(ts=NOW - 100 + n, kind="START")))
    rows, digest = [], prev
    for n, record in enumerate(records, start=before + 1):
        raw = encode_record(record)
        digest = link(digest, raw)
        rows.append(ProofRow(n=n, record=raw.decode("ascii"), hash=digest.hex()))
    head = ProofHead(size=before + len(rows), hash=digest.hex(), seen=NOW + 20)
    return Segment(prev=prev.hex(), rows=tuple(rows), head=head)


def _reply(rid: str, asked: Frames, said: tuple[str, str, bytes], head: ProofHead) -> Frames:
    status, code, body = said
    parts = ReplyToken(
        kid=KID, acct=ACCT, rid=rid, time=NOW + 9, status=status, code=code,
        req_hash=request_hash(asked), inc=INC, log_size=head.size, log_head=head.hash,
    )  # fmt: skip
    return sign_reply(parts, body, KEYS.keys[Purpose.REPLY_SRV])


def make(case: Case) -> Proof:
    """Return the proof of a case."""
    segment = chained(case.records, case.before)
    view, none = case.view, Frames(b"", b"")
    exchanges = []
    if case.direct:
        said = (view.status, view.code, encode_reply(view))
        exchanges.append((none, _reply(view.rid, case.signed, said, segment.head)))
    if case.asked:
        status = GetStatus(rid=view.rid, client_order_id="")
        fence = Fence(rid=view.rid, inc=INC, iat=NOW, symbol="EURUSD")
        op, body = (Op.FENCE, fence) if case.fenced else (Op.GET_STATUS, status)
        question = sign(op, body, KEYS, rid=QUESTION_RID)
        said = ("OK", "-", encode_reply(StatusReply(order=view)))
        exchanges.append((question, _reply(QUESTION_RID, question, said, segment.head)))
    return assemble(
        Account(ACCT, "paper"),
        Parts(
            first=view,
            signed=case.signed,
            exchanges=tuple(exchanges),
            segment=segment,
            records=tuple(
                (row.n, msgspec.json.decode(row.record.encode(), type=Record))
                for row in segment.rows
            ),
            ledger=case.ledger,
            made=Made(at=NOW + 30, version="0.1.0", server="0.1.0", offline=False),
            missing=(),
        ),
    )
