"""The promises S1 to S7 as oracles: what was signed, told and recorded, against the ledger.

Evidence comes from five places that cannot agree by accident: the signed requests, the broker's
ledger, what the clients were told, the server's journal, and the heads of its record as replies
showed them. `broken_promises` returns every promise that does not hold, with its offender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from bridge_core.host.ledger import LedgerLine, SignedOrder, judge
from bridge_core.protocol.chain import GENESIS, ChainFault, Head
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, make_tag
from bridge_server.answers import order_status_view
from bridge_server.journal import Journal
from bridge_server.record import verify_file

__all__ = ["Broken", "Evidence", "Told", "broken_promises", "journal_evidence"]

DID: Final = frozenset({Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE})
# A FLATTEN acts through its children; the operator's words act on the account's state alone.
_ASKS_NO_BROKER: Final = (Op.FLATTEN, Op.RESUME, Op.SETTLE)
_PAGE: Final = 5_000


class Broken(NamedTuple):
    """One promise that did not hold: S1 to S7, the rid or record that broke it, and how."""

    promise: str
    offender: str
    why: str


class Told(NamedTuple):
    """What one authenticated answer said of an order."""

    rid: str
    view: OrderView


@dataclass
class Evidence:
    """Everything the oracles need of one run.

    signed   rid -> the request as its signer signed it
    lines    the broker's ledger (bridge_core/host/ledger.py)
    told     what clients were told, in any order
    rows     the server's journal: rid -> the order as GET_STATUS shows it
    whole    False when the test itself took rows away: then none is missed
    alarms   the causes that the trading state shows at the end
    heads    heads of the record that replies carried
    log      the record's head when recomputed from its start, or its first fault
    hashes   index -> hash of that record, as far as it was read
    """

    acct: str
    signed: Mapping[str, SignedOrder]
    lines: list[LedgerLine]
    told: Sequence[Told] = ()
    rows: Mapping[str, OrderView] = field(default_factory=dict)
    whole: bool = True
    alarms: frozenset[str] = frozenset()
    heads: Sequence[Head] = ()
    log: Head | ChainFault = Head(0, GENESIS)  # noqa: RUF009  a constant
    hashes: Mapping[int, bytes] = field(default_factory=dict)


def journal_evidence(
    path: Path,
) -> tuple[dict[str, OrderView], Head | ChainFault, dict[int, bytes]]:
    """Return the rows, the recomputed head and the hashes of a journal that no server has open.

    Raises:
        ConfigError: there is no journal, it is damaged, or a server owns it.
    """
    log = verify_file(path)
    journal = Journal(path)
    try:
        rows, total = journal.page(0, 0, _PAGE)
        while len(rows) < total:
            rows += journal.page(0, len(rows), _PAGE)[0]
        hashes = {0: GENESIS}
        while page := journal.log_rows(max(hashes) + 1, _PAGE):
            hashes.update((n, digest) for n, _, digest in page)
    finally:
        journal.close()
    return {row.rid: order_status_view(row) for row in rows}, log, hashes


def broken_promises(evidence: Evidence) -> list[Broken]:
    """Return every promise that the evidence contradicts; empty when all hold."""
    verdict = judge(evidence.lines, evidence.signed, evidence.acct)
    found = [
        Broken(name, held.offender, f"{held.total - held.held} of {held.total} submissions")
        for name, held in verdict.promises.items()
        if not held.kept
    ]
    return sorted([*found, *_lost(evidence), *_false(evidence), *_rewritten(evidence)])


# --- S4: never silently lost -----------------------------------------------------------------


def _lost(evidence: Evidence) -> Iterable[Broken]:
    for rid, row in evidence.rows.items():
        if row.status == Status.UNKNOWN and not evidence.alarms:
            yield Broken("S4", rid, "UNKNOWN, and nothing in the trading state says so")
        elif not row.final and row.status != Status.UNKNOWN:
            yield Broken("S4", rid, f"still {row.status} at the end")
    if not evidence.whole:
        return
    for rid, view in evidence.told:
        if _was_taken(view) and rid not in evidence.rows:
            yield Broken("S4", rid, f"told {view.status}, and the journal has no such order")
    known = {make_tag(evidence.acct, rid).comment for rid in evidence.rows}
    for line in evidence.lines:
        tag = line.comment[:COMMENT_TAG_CHARS]
        if line.phase == "begin" and evidence.rows and tag not in known:
            yield Broken("S4", f"n={line.n}", "the broker was asked, and the journal has no row")


def _was_taken(view: OrderView) -> bool:
    if view.status == Status.UNKNOWN:
        return view.code not in (ReasonCode.STALE_INCARNATION, ReasonCode.NOT_SEEN)
    return view.status in DID or view.status in (Status.PENDING, Status.REJECTED)


# --- S6: no false outcome --------------------------------------------------------------------


class _Acts:
    """The ledger by tag: what each rid made the broker do."""

    def __init__(self, evidence: Evidence) -> None:
        self._acct = evidence.acct
        self._ends = {line.n: line for line in evidence.lines if line.phase == "end"}
        self._begins: dict[str, list[LedgerLine]] = {}
        for line in evidence.lines:
            if line.phase == "begin":
                self._begins.setdefault(line.comment[:COMMENT_TAG_CHARS], []).append(line)

    def contradict(self, rid: str, view: OrderView) -> str:
        """Return how a final outcome differs from what the broker did, or ""."""
        begun = self._begins.get(make_tag(self._acct, rid).comment, [])
        ends = [self._ends.get(line.n) for line in begun]
        done = [end for end in ends if end and end.result.get("outcome") == "EXECUTED"]
        said = f"told {view.status} {view.code}".removesuffix(" -")
        if view.status in DID:
            if not begun:
                return f"{said}, and the broker was never asked"
            return "" if None in ends else _difference(done, view, said)
        if view.status == Status.REJECTED and not begun:
            return f"{said}, and the broker was never asked"
        if view.status in (Status.REJECTED, Status.DENIED) and done:
            return f"{said}, and the broker did it"
        return ""


def _difference(done: list[LedgerLine], view: OrderView, said: str) -> str:
    if not done:
        return f"{said}, and the broker did not do it"
    result = done[0].result
    if view.op == Op.OPEN and result.get("ticket") not in (None, view.ticket):
        return f"{said} ticket={view.ticket}, and the broker's is {result['ticket']}"
    measured = view.code != ReasonCode.HUMAN  # a person names a ticket, and no numbers
    if view.status == Status.FILLED and measured and view.op in (Op.OPEN, Op.CLOSE):
        price = view.close_price if view.op == Op.CLOSE else view.price
        for name, shown in (("volume", view.volume), ("price", price)):
            truth = result.get(name)
            if truth is not None and Decimal(str(truth)) != Decimal(shown):
                return f"{said} {name}={shown}, and the broker's is {truth}"
    return ""


def _false(evidence: Evidence) -> Iterable[Broken]:
    acts = _Acts(evidence)
    claims = [*evidence.told, *(Told(rid, row) for rid, row in evidence.rows.items())]
    seen: set[tuple[str, str]] = set()
    for rid, view in claims:
        order = evidence.signed.get(rid)
        if (order.op if order is not None else view.op) not in _ASKS_NO_BROKER:
            why = acts.contradict(rid, view)
            if why and (rid, why) not in seen:
                seen.add((rid, why))
                yield Broken("S6", rid, why)
        for child in view.children:
            told = OrderView(rid=child.rid, status=child.status, code=child.code)
            why = acts.contradict(child.rid, told)
            if why and (child.rid, why) not in seen:
                seen.add((child.rid, why))
                yield Broken("S6", child.rid, why)
    yield from _changed_their_mind(evidence.told)


def _changed_their_mind(told: Sequence[Told]) -> Iterable[Broken]:
    # One order, one outcome: two final answers about it are the same answer.
    first: dict[str, tuple[str, str]] = {}
    for rid, view in told:
        if not view.final:
            continue
        outcome = (view.status, view.code)
        if first.setdefault(rid, outcome) != outcome:
            yield Broken("S6", rid, f"told {first[rid]}, then {outcome}")


# --- S7: no silent change of history -----------------------------------------------------------


def _rewritten(evidence: Evidence) -> Iterable[Broken]:
    if isinstance(evidence.log, ChainFault):
        yield Broken("S7", f"record {evidence.log.n}", evidence.log.why)
        return
    for head in evidence.heads:
        if head.size > evidence.log.size:
            why = f"a reply showed {head.size} records, the log has {evidence.log.size}"
            yield Broken("S7", f"record {head.size}", why)
        elif evidence.hashes.get(head.size, head.hash) != head.hash:
            yield Broken("S7", f"record {head.size}", "a reply showed another head of this size")
