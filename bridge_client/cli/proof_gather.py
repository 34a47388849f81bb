"""What this machine and the server can show of one order, put together as a proof.

Own orders: the signed bytes and the reply that ended them are in the client's journal; the server
adds its answer now and its record. Foreign ones: what the server tells. Without the server: what
the journal kept, and the file says what is missing.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge_client.cli.audit_log import LogReader, record_of_row
from bridge_client.cli.journals import (
    LocalEvidence,
    LocalOrder,
    Remembered,
    kept_evidence,
    remembered,
)
from bridge_client.proof import ProofHead, ProofRow, Segment
from bridge_core.host.ledger import encode_line, read_ledger
from bridge_core.protocol.chain import Record
from bridge_core.protocol.codes import FINAL, ReasonCode
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.messages import GetStatus
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, StatusReply, decode_reply
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, make_tag
from bridge_core.protocol.token import parse_reply

if TYPE_CHECKING:
    from bridge_client.cli.places import Place
    from bridge_client.connector import Connector
    from bridge_client.journal import Said
    from bridge_core.protocol.signing import Frames

__all__ = ["ROWS_MAX", "Kept", "Shown", "ask_server", "ledger_lines", "read_kept", "segment_of"]

ROWS_MAX: Final = 5_000  # records of the segment: ten pages of GET_LOG, about 2 MB
_TRIES: Final = 5
_TRY_S: Final = 0.2
_RID: Final = re.compile(r"\A[0-9a-f]{32}\Z")


class Kept(NamedTuple):
    """What this machine keeps of the order; `order` is the rid, or what the caller named."""

    order: str
    local: LocalOrder | None
    evidence: LocalEvidence | None
    heads: dict[int, int]

    @property
    def signed(self) -> Frames | None:
        """Return the signed bytes, None if no client here has them."""
        return self.evidence.signed if self.evidence and self.evidence.signed.token else None

    @property
    def said(self) -> Said | None:
        """Return the reply that ended it, if it was kept."""
        return self.evidence.said if self.evidence is not None else None


class Shown(NamedTuple):
    """What the server shows now: its answer about the order, and its record of it."""

    view: OrderView
    said: Said
    segment: Segment | None
    records: tuple[tuple[int, Record], ...]
    version: str
    missing: tuple[str, ...]


def read_kept(place: Place, order: str, local: list[LocalOrder]) -> Kept:
    """Return what the journals keep of an order, whose rows these are.

    Raises:
        ConfigError: a journal is damaged.
    """
    row = local[0] if local else None
    kept = kept_evidence(place.state, row.rid) if row is not None else None
    heads = _heads(remembered(place.state), kept.said if kept is not None else None)
    return Kept(row.rid if row is not None else order, row, kept, heads)


def _heads(memories: list[Remembered], said: Said | None) -> dict[int, int]:
    """Return the sizes of the heads that were seen, with when (UTC ms)."""
    heads = {pair.size: one.seen_ms.get(pair.size, 0) for one in memories for pair in one.pairs}
    token = parse_reply(said.reply.token) if said is not None else None
    if said is not None and token is not None:
        heads[token.log_size] = said.heard_ms
    return heads


def ask_server(bridge: Connector, kept: Kept) -> Shown | None:
    """Return what the server shows of an order; None if it has never seen it.

    Raises:
        TransportError: nobody answered.
        BridgeError: the server refused to answer.
    """
    shown = None
    for _ in range(_TRIES):
        view, said = _status(bridge, kept.order)
        if view is None:
            return None
        shown = _with_record(bridge, view, said, kept)
        # A refusal is answered first and written with the next commit.
        if shown.segment is not None or view.status not in FINAL:
            break
        time.sleep(_TRY_S)
    return shown


def _status(bridge: Connector, order: str) -> tuple[OrderView | None, Said]:
    rid = order if _RID.match(order) else ""
    question = GetStatus(rid=rid, client_order_id="" if rid else order)
    answer, said = bridge.witnessed(Op.GET_STATUS, question)
    if answer.code == ReasonCode.NOT_SEEN:
        return None, said
    if answer.refused:
        raise BridgeError(answer.code, "op=GET_STATUS")
    view = decode_reply(StatusReply, answer.body).order
    return (None if view.code == ReasonCode.NOT_SEEN else view), said


def _with_record(bridge: Connector, view: OrderView, said: Said, kept: Kept) -> Shown:
    token = parse_reply(said.reply.token)
    if token is None:
        raise RemoteProtocolError("REPLY", "why='its token is none'")
    reader = LogReader(bridge)
    missing: list[str] = []
    rids = {view.rid, *(child.rid for child in view.children)}
    numbers = reader.find(
        view.accepted_at,
        lambda one: one.rid in rids or one.data.get("subject") == view.rid,
        ROWS_MAX,
    )
    # What was written after the answer is not what the answer is about.
    numbers = [n for n in numbers if n <= token.log_size]
    segment = None
    if numbers:
        # The answer's own head is the nearest that there always is.
        heads = {token.log_size: 0, **kept.heads}
        segment = segment_of(reader, numbers, heads, missing)
    else:
        missing.append(f"the order's records, within {ROWS_MAX} of its beginning")
    hello = bridge.hello
    return Shown(
        view=view,
        said=said,
        segment=segment,
        records=tuple((n, record_of_row(reader.rows(n, n)[0])) for n in numbers),
        version=hello.version if hello is not None else "",
        missing=tuple(missing),
    )


def segment_of(
    reader: LogReader, numbers: list[int], heads: dict[int, int], missing: list[str]
) -> Segment:
    """Return the records from the order's first to the next head that was witnessed."""
    first, last = numbers[0], numbers[-1]
    end = min((size for size in heads if size >= last), default=0)
    if not end or end - first >= ROWS_MAX:
        missing.append(f"a head that was witnessed, within {ROWS_MAX} records")
        end = last
    rows = reader.rows(first, end)
    return Segment(
        prev=reader.prev(first),
        rows=tuple(ProofRow(n=row.n, record=row.record, hash=row.hash) for row in rows),
        head=ProofHead(size=rows[-1].n, hash=rows[-1].hash, seen=heads.get(rows[-1].n, 0)),
    )


def ledger_lines(path: Path, account: str, rids: set[str]) -> tuple[str, ...]:
    """Return the paper ledger's lines about orders, begin and end.

    Raises:
        ConfigError: LEDGER: the file is missing or damaged.
    """
    tags = {make_tag(account, rid).comment for rid in rids}
    lines = read_ledger(path)
    mine = {
        one.n for one in lines
        if one.phase == "begin" and one.comment[:COMMENT_TAG_CHARS] in tags
    }  # fmt: skip
    return tuple(
        encode_line(one).decode("utf-8").rstrip("\n")
        for one in lines
        if one.phase != "start" and one.n in mine
    )
