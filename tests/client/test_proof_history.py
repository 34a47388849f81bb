"""Which histories of an order a proof may tell, and what the paper ledger may add to one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bridge_client.proof import Proof, decode_proof, encode_proof
from bridge_client.proof_checks import check_proof
from bridge_client.proof_history import FIRST, LIVES, NEXT
from bridge_client.proof_ledger import ledger_check
from bridge_client.proof_reading import Known
from bridge_core.protocol.chain import Record
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import request_hash
from bridge_server.core.orders import LIFE, TRANSITIONS, OrderState
from tests.support.builders import KID, NOW, RID
from tests.support.proofs import KEYS, Case, filled_case, make

PROOF = make(filled_case())


def again(proof: Proof) -> Proof:
    """Return a proof as it is read back from its file."""
    return decode_proof(encode_proof(proof))


def failed(proof: Proof) -> list[str]:
    checks = list(check_proof(proof, Known(keys=KEYS)))
    if all(check.state != "fail" for check in checks):
        checks.append(ledger_check(proof))
    return [check.id for check in checks if check.state == "fail"]


# --- histories --------------------------------------------------------------------------------


def _step(state: str, kind: str = "ORDER", **data: str) -> Record:
    code = data.pop("code", "")
    return Record(ts=NOW + 6, kind=kind, rid=RID, op="OPEN", state=state, code=code, data=data)


def _with(records: tuple[Record, ...], **view: object) -> Case:
    case = filled_case()
    base = OrderView(rid=RID, op="OPEN", kid=KID, client_order_id="atlas-17")
    told = replace(base, **view)
    first = replace(records[0], data={**records[0].data, "req_hash": request_hash(case.signed)})
    return case._replace(view=told, records=(first, *records[1:]), ledger=())


_END = {"evidence": "BROKER"}
_LEGAL: list[tuple[tuple[Record, ...], dict[str, object]]] = [
    ((_step("DENIED", code="RATE", by="server"),),
     {"status": "DENIED", "code": "RATE", "by": "server", "evidence": "SERVER"}),
    ((_step("DENIED", "FENCE", code="FENCED", by="server"),),
     {"status": "DENIED", "code": "FENCED", "by": "server", "evidence": "SERVER"}),
    ((_step("ACCEPTED"), _step("DENIED", code="EXPIRED", by="server", evidence="SERVER")),
     {"status": "DENIED", "code": "EXPIRED", "by": "server", "evidence": "SERVER"}),
    ((_step("DISPATCHING"), _step("UNKNOWN"), _step("DENIED", code="ABSENT", evidence="ABSENT")),
     {"status": "DENIED", "code": "ABSENT", "evidence": "ABSENT"}),
    ((_step("DISPATCHING"), _step("WORKING", **_END), _step("", "LIFE", life="CANCELLED")),
     {"status": "WORKING", "evidence": "BROKER", "life": "CANCELLED"}),
    ((_step("DISPATCHING"), _step("UNKNOWN")), {"status": "UNKNOWN", "code": "-"}),
    ((_step("ACCEPTED"),), {"status": "PENDING", "code": "-"}),
]  # fmt: skip


@pytest.mark.parametrize(("records", "view"), _LEGAL, ids=lambda one: str(len(one)))
def test_each_legal_way_of_an_order_can_be_proven(
    records: tuple[Record, ...], view: dict[str, object]
) -> None:
    assert failed(again(make(_with(records, **view)))) == []


_ILLEGAL = [
    (_step("FILLED", **_END),),
    (_step("DISPATCHING"), _step("ACCEPTED"), _step("DISPATCHING"), _step("FILLED", **_END)),
    (_step("DISPATCHING"), _step("DISPATCHING"), _step("FILLED", **_END)),
    (_step("DISPATCHING"), _step("FILLED", **_END), _step("FILLED", **_END)),
    (_step("DISPATCHING"), _step("DENIED"), _step("FILLED", **_END)),
    (_step("DISPATCHING"), _step("FILLED", **_END), _step("", "LIFE", life="CANCELLED")),
    (_step("DISPATCHING"), _step("FILLED", evidence="TAG")),
    (_step("DISPATCHING"), _step("FILLED", ticket="7", **_END)),
    (_step("DISPATCHING"), _step("PARTIAL", **_END)),
    (_step("DISPATCHING"), replace(_step("FILLED", **_END), op="CLOSE")),
]


@pytest.mark.parametrize("records", _ILLEGAL, ids=lambda one: ">".join(r.state for r in one))
def test_an_illegal_way_or_another_end_is_found(records: tuple[Record, ...]) -> None:
    case = _with(records, status="FILLED", code="-", evidence="BROKER")
    assert "record.history" in failed(make(case))


def test_the_verifiers_table_says_what_the_servers_does() -> None:
    mine = {(state, after) for state, nexts in NEXT.items() for after in nexts}
    assert mine == {(state.value, after.value) for (state, _), after in TRANSITIONS.items()}
    assert {k: set(v) for k, v in LIVES.items()} == {
        one.value: {life.value for life in after} for one, after in LIFE.items() if after
    }
    assert set().union(*FIRST.values()) <= {state.value for state in OrderState}


def test_an_order_that_a_fence_ended_is_proven_by_the_answer_to_the_fence() -> None:
    view = OrderView(rid=RID, op="OPEN", kid=KID, client_order_id="atlas-17", status="DENIED",
                     code="FENCED", final=True, by="server", evidence="SERVER")  # fmt: skip
    case = _with((_step("ACCEPTED"), _step("DENIED", code="FENCED", evidence="SERVER",
                                           by="server")))  # fmt: skip
    case = case._replace(view=view, direct=False, fenced=True)
    assert failed(again(make(case))) == []
    other = make(case._replace(view=replace(view, rid="cd" * 16)))
    assert failed(again(replace(make(case), answers=other.answers)))[0] == "replies"


# --- the ledger -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"volume":"0.10","price":"1.08512"', '"volume":"0.20","price":"1.08512"'),
        ('"phase":"begin","n":4', '"phase":"begin","n":5'),
        ('"op":"OPEN"', '"op":"CLOSE"'), ('"comment":"Z', '"comment":"Y'),
        ('"outcome":"EXECUTED"', '"outcome":"REJECTED"'), ('"price":"1.10010"', '"price":"1.2"'),
        ('"magic":1', '"magic":2'), ('"phase":"end"', '"phase":"start"'),
        (f'"wall_ms":{NOW + 7}', f'"wall_ms":{NOW + 5000}'), ('"v":1', '"v":"x"'),
    ],
)  # fmt: skip
def test_a_ledger_that_says_something_else_is_found(old: str, new: str) -> None:
    lines = tuple(text.replace(old, new, 1) for text in PROOF.ledger)
    assert lines != PROOF.ledger, "the case changes nothing"
    assert failed(again(replace(PROOF, ledger=lines))) == ["ledger"]
