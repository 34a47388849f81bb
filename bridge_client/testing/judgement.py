"""What the broker was made to do in a test, and whether the bridge kept its promises in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from bridge_client.evidence import SignedRow, signed_rows
from bridge_core.host.ledger import LedgerLine, SignedOrder, judge, read_ledger
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, child_rid, make_tag

__all__ = ["BrokenPromiseError", "BrokerAct", "acts_of", "check_promises", "signed_in"]

_NAMES: Final = {
    "S1": "at most once", "S2": "never late", "S3": "never altered", "S5": "never forged",
}  # fmt: skip


class BrokenPromiseError(AssertionError):
    """The bridge, not the strategy, did something it promises never to do."""


class BrokerAct(Struct, frozen=True, kw_only=True):
    """One order as it reached the broker, from the broker's own ledger.

    `volume`, `price`, `sl`, `tp` are as ordered (lots, quote currency; 0.0 none); `outcome` is
    EXECUTED, REJECTED, LOST, or "" while it is still there; `code` the broker's word; `ticket`,
    `filled_volume` and `filled_price` what came of it. `client_order_id` "" means that nobody
    here signed it. A child of a flatten has its parent's.
    """

    n: int
    op: str
    client_order_id: str
    ticket: int = 0
    symbol: str = ""
    type: str = ""
    volume: float = 0.0
    price: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    comment: str = ""
    outcome: str = ""
    code: str = ""
    filled_volume: float = 0.0
    filled_price: float = 0.0
    time: datetime
    market_time: datetime


def signed_in(folder: Path) -> list[SignedRow]:
    """Return every order that the clients of a connector's folder have signed.

    Raises:
        BridgeError: a journal is damaged, or in use by another process.
    """
    return [row for path in sorted((folder / "state").glob("*.db")) for row in signed_rows(path)]


def acts_of(ledger: Path, rows: Sequence[SignedRow], acct: str) -> tuple[BrokerAct, ...]:
    """Return what reached the broker, in order.

    Raises:
        ConfigError: LEDGER: it is damaged.
    """
    if not ledger.exists():
        return ()
    lines = read_ledger(ledger)
    names = {make_tag(acct, row.rid).comment: row.client_order_id for row in rows}
    parents = {row.rid: row.client_order_id for row in rows if row.order.op is Op.FLATTEN}
    ends = {line.n: line for line in lines if line.phase == "end"}
    found = []
    for line in lines:
        if line.phase == "begin":
            name = names.get(line.comment[:COMMENT_TAG_CHARS]) or _parent(line, parents, acct)
            found.append(_act(line, ends.get(line.n), name))
    return tuple(found)


def _parent(line: LedgerLine, parents: Mapping[str, str], acct: str) -> str:
    ticket, tag = line.fields.get("ticket"), line.comment[:COMMENT_TAG_CHARS]
    if isinstance(ticket, int):
        for rid, name in parents.items():
            if make_tag(acct, child_rid(rid, ticket)).comment == tag:
                return name
    return ""


def _act(begun: LedgerLine, end: LedgerLine | None, client_order_id: str) -> BrokerAct:
    asked, came = begun.fields, end.result if end is not None else {}
    return BrokerAct(
        n=begun.n,
        op=begun.op,
        client_order_id=client_order_id,
        ticket=int(came.get("ticket", 0)) or int(asked.get("ticket", 0)),
        symbol=str(asked.get("symbol", "")),
        type=str(asked.get("type", "")),
        volume=float(asked.get("volume", 0)),
        price=float(asked.get("price", 0)),
        sl=float(asked.get("sl", 0)),
        tp=float(asked.get("tp", 0)),
        comment=begun.comment[COMMENT_TAG_CHARS:].strip(),
        outcome=str(came.get("outcome", "")),
        code=str(came.get("code", "")).replace("-", ""),
        filled_volume=float(came.get("volume", 0)),
        filled_price=float(came.get("price", 0)),
        time=datetime.fromtimestamp(begun.wall_ms / 1000, UTC),
        market_time=datetime.fromtimestamp(begun.market_ms / 1000, UTC),
    )


def check_promises(ledger: Path, rows: Sequence[SignedRow], acct: str) -> None:
    """Judge S1, S2, S3 and S5 from the broker's ledger.

    Raises:
        BrokenPromiseError: one was broken; names it and the order.
    """
    if not ledger.exists():
        return
    signed: dict[str, SignedOrder] = {row.rid: row.order for row in rows}
    names = {row.rid: row.client_order_id for row in rows}
    verdict = judge(read_ledger(ledger), signed, acct)
    broken = [
        f"{key} {_NAMES[key]}: held {held.held} of {held.total} times; broken by order "
        f"{names.get(held.offender, held.offender)}"
        for key, held in verdict.promises.items()
        if not held.kept
    ]
    if broken:
        raise BrokenPromiseError(
            "the bridge broke a promise (this is a bug of the bridge, not of your strategy):\n  "
            + "\n  ".join(broken)
            + f"\n  the broker's ledger: {ledger}"
        )
