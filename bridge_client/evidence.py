"""What was signed, what the broker was made to do, and whether both agree with what was told.

Judged from the broker's own ledger (host/ledger.py). The connector's journal gives the signed
bytes and what the strategy was told, nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from bridge_core.host.ledger import LedgerLine, SignedOrder, judge, read_ledger
from bridge_core.host.sqlite import open_database
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.messages import decode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.replies import OrderView, decode_reply
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, make_tag
from bridge_core.protocol.token import parse_request

__all__ = ["Promise", "SignedRow", "begun_acts", "judge_all", "signed_rows"]

_DID = frozenset({Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE})


class SignedRow(NamedTuple):
    """One row of the connector's journal: the signed bytes, and what the strategy was told."""

    client_order_id: str
    rid: str
    order: SignedOrder
    frames: Frames
    view: OrderView


class Promise(NamedTuple):
    """One promise: how often it held, of how many times; the first order that broke it."""

    id: str
    name: str
    held: int
    total: int
    offender: str = ""

    @property
    def kept(self) -> bool:
        """Whether it was put to the test and held each time."""
        return 0 < self.total == self.held


def signed_rows(journal: Path) -> list[SignedRow]:
    """Return every signed order of a connector's journal, oldest first.

    Raises:
        BridgeError: a row is no order of protocol 5.
    """
    with closing(open_database(journal, exclusive=False)) as connection:
        found = connection.execute(
            "SELECT client_order_id, rid, op, token, body, view FROM orders ORDER BY sent_ms"
        ).fetchall()
    rows = []
    for client_order_id, rid, op, token, raw, view in found:
        parts, body = parse_request(token), decode_body(OPERATIONS[Op(op)].body, raw)
        if parts is None or body is None:
            raise BridgeError("JOURNAL", f"{journal}: order {client_order_id} is damaged")
        order = SignedOrder(Op(op), parts.iat, parts.ttl, body)
        told = decode_reply(OrderView, view)
        rows.append(SignedRow(client_order_id, rid, order, Frames(token, raw), told))
    return rows


def begun_acts(ledger: Path) -> int:
    """Return how many submissions the broker has begun."""
    return sum(line.phase == "begin" for line in read_ledger(ledger))


class _Acts:
    """The ledger by tag: what each signed order made the broker do."""

    def __init__(self, lines: list[LedgerLine], acct: str) -> None:
        self._acct = acct
        self._ends = {line.n: line for line in lines if line.phase == "end"}
        self._begins: dict[str, list[LedgerLine]] = {}
        for line in lines:
            if line.phase == "begin":
                self._begins.setdefault(line.comment[:COMMENT_TAG_CHARS], []).append(line)
        self._closed = {
            line.fields.get("ticket")
            for line in lines
            if line.phase == "begin" and line.op in ("CLOSE", "CANCEL") and self._did(line)
        }

    def _did(self, begun: LedgerLine) -> bool:
        end = self._ends.get(begun.n)
        return end is not None and end.result.get("outcome") == "EXECUTED"

    def agree(self, rid: str, view: OrderView) -> bool:
        """Return whether what was told of an order is what the broker wrote down."""
        begun = self._begins.get(make_tag(self._acct, rid).comment, [])
        ends = [self._ends.get(line.n) for line in begun]
        done = [end for end in ends if end and end.result.get("outcome") == "EXECUTED"]
        if view.status in _DID:
            if done:
                return len(done) == 1 and _same(done[0], view)
            # Cut off by the kill: that a later order ended its ticket proves that it had run.
            return None in ends and view.ticket in self._closed
        if view.status == Status.REJECTED:
            return bool(ends) and not done
        return view.status == Status.DENIED and not done


def _same(end: LedgerLine, view: OrderView) -> bool:
    if view.op not in (Op.OPEN, Op.CLOSE):
        return True
    price = view.close_price if view.op == Op.CLOSE else view.price
    if view.op == Op.OPEN and end.result.get("ticket") != view.ticket:
        return False
    if view.status != Status.FILLED:
        return True
    volumes = (Decimal(str(end.result.get("volume"))), Decimal(view.volume))
    prices = (Decimal(str(end.result.get("price"))), Decimal(price))
    return volumes[0] == volumes[1] and prices[0] == prices[1]


def _told(rows: list[SignedRow]) -> Iterator[tuple[str, str, OrderView]]:
    for row in rows:
        if row.order.op is not Op.FLATTEN:
            yield row.client_order_id, row.rid, row.view
        for child in row.view.children:
            told = OrderView(rid=child.rid, op="", status=child.status, ticket=child.ticket)
            yield row.client_order_id, child.rid, told


def judge_all(rows: list[SignedRow], ledger: Path, acct: str) -> list[Promise]:
    """Return S1 to S6 as the broker's ledger shows them.

    Raises:
        ConfigError: LEDGER: the ledger is missing or damaged.
    """
    lines = read_ledger(ledger)
    signed: Mapping[str, SignedOrder] = {row.rid: row.order for row in rows}
    names = {row.rid: row.client_order_id for row in rows}
    verdict = judge(lines, signed, acct).promises
    promises = [
        Promise(key, name, held.held, held.total, names.get(held.offender, held.offender))
        for key, name in (
            ("S1", "at most once"), ("S2", "never late"), ("S3", "never altered"),
            ("S5", "never forged"),
        )
        for held in (verdict[key],)
    ]  # fmt: skip
    lost = [row.client_order_id for row in rows if not row.view.final]
    acts = _Acts(lines, acct)
    told = list(_told(rows))
    false = [name for name, rid, view in told if not acts.agree(rid, view)]
    promises += [
        Promise("S4", "never lost", len(rows) - len(lost), len(rows), _first(lost)),
        Promise("S6", "no false outcome", len(told) - len(false), len(told), _first(false)),
    ]
    return sorted(promises)


def _first(names: list[str]) -> str:
    return names[0] if names else ""
