"""What the server's record may say of one order, in which order (protocol.md 7.1, 7.2, 11).

Written from the page and not from the server: a verifier that shared its table would share its
mistakes. A test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bridge_client.proof import Claim
from bridge_core.protocol.chain import Record
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.replies import OrderView

__all__ = ["FIRST", "LIVES", "NEXT", "history_fault", "told_of"]

_DECIDED: Final = frozenset({"FILLED", "PARTIAL", "WORKING", "DONE", "REJECTED", "DENIED"})
# Which states an order may be written down in first, by the kind of the record.
FIRST: Final[Mapping[str, frozenset[str]]] = {
    "ORDER": frozenset({"ACCEPTED", "DISPATCHING", "DENIED"}),
    "FENCE": frozenset({"DENIED", "UNKNOWN"}),
    "RESUME": frozenset({"DONE", "DISPATCHING", "ACCEPTED"}),  # an EA has to agree to it first
    "SETTLE": frozenset({"DONE"}),
}
NEXT: Final[Mapping[str, frozenset[str]]] = {
    "ACCEPTED": frozenset({"DISPATCHING", "DENIED"}),
    "DISPATCHING": _DECIDED | {"UNKNOWN"},
    "UNKNOWN": _DECIDED,
}
LIVES: Final[Mapping[str, frozenset[str]]] = {
    "WORKING": frozenset({"FILLED", "PARTIAL", "CANCELLED", "BROKER_EXPIRED"}),
    "PARTIAL": frozenset({"FILLED", "CANCELLED", "BROKER_EXPIRED"}),
}
_FACTS: Final = ("ticket", "deal", "volume", "price", "close_price", "by")


def _mine(records: Iterable[tuple[int, Record]], rid: str) -> list[tuple[int, Record]]:
    return [(n, record) for n, record in records if record.rid == rid]


def told_of(records: Iterable[tuple[int, Record]], rid: str) -> tuple[str, str, str, str] | None:
    """Return (status, code, by, evidence) of the last state that the records give an order."""
    states = [record for _, record in _mine(records, rid) if record.state]
    if not states:
        return None
    last = states[-1]
    status = "PENDING" if last.state in ("ACCEPTED", "DISPATCHING") else last.state
    code = last.code or ReasonCode.NONE.value
    return status, code, last.data.get("by", ""), last.data.get("evidence", "")


def history_fault(
    records: Iterable[tuple[int, Record]], order: Claim, req_hash: str, view: OrderView | None
) -> str:
    """Return what is wrong with an order's records, or ""."""
    mine = _mine(records, order.rid)
    if not mine:
        return "the record does not know this order"
    return _path_fault(mine, order, req_hash) or _end_fault(mine, order, view)


def _path_fault(mine: list[tuple[int, Record]], order: Claim, req_hash: str) -> str:
    state, life = "", ""
    for n, record in mine:
        if record.op != order.op:
            return f"record {n}: says {record.op}, the order is {order.op}"
        if record.data.get("req_hash", req_hash) != req_hash:
            return f"record {n}: is about other bytes (req_hash)"
        if not state:
            if record.state not in FIRST.get(record.kind, ()):
                return f"record {n}: {record.kind} {record.state} cannot be an order's first"
            state = record.state
        elif record.kind == "LIFE":
            becomes = record.data.get("life", "")
            if state != "WORKING" or becomes not in LIVES.get(life or "WORKING", ()):
                return f"record {n}: life {becomes} cannot follow {life or state}"
            life = becomes
        elif record.kind == "EA":
            continue  # its record came later; the state stands
        elif record.kind not in ("ORDER", "RESUME") or record.state not in NEXT.get(state, ()):
            return f"record {n}: {record.state or record.kind} cannot follow {state}"
        else:
            state = record.state
    if life and order.life != life:
        return f"the record's last life is {life}, told was {order.life or 'none'}"
    return ""


def _end_fault(mine: list[tuple[int, Record]], order: Claim, view: OrderView | None) -> str:
    n, last = [(n, record) for n, record in mine if record.state][-1]
    told = told_of(mine, order.rid)
    assert told is not None
    if (order.status, order.code) != told[:2] and order.status != "PENDING":
        return f"record {n}: ends {told[0]} {told[1]}, told was {order.status} {order.code}"
    evidence = last.data.get("evidence", "")
    if evidence and evidence != order.evidence:
        return f"record {n}: evidence {evidence}, told was {order.evidence or 'none'}"
    if not evidence or view is None:
        return ""
    for name in _FACTS:
        shown = str(getattr(view, name))
        shown = "" if shown == "0" else shown
        if last.data.get(name, "") != shown:
            return f"record {n}: {name} {last.data.get(name, 'none')}, told was {shown or 'none'}"
    return ""
