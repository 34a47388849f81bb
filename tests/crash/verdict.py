"""One run judged on all sides: what the strategy is told, what the server and the broker say.

Everything is asked through the front door first; then every process is dead and the files speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from bridge_client import Connector, OrderResult
from bridge_client.evidence import SignedRow, judge_all, signed_rows
from bridge_core.host.ledger import read_ledger
from bridge_core.host.sqlite import open_database
from bridge_core.protocol.chain import Head
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, make_tag
from bridge_core.protocol.token import parse_request
from bridge_server.journal import Journal
from bridge_server.record import verify_file
from tests.crash.stage import Run
from tests.crash.table import End
from tests.support.doom import SUBJECT
from tests.support.raw_client import RawClient
from tests.support.running import wait_until
from tests.support.zygote import Child

__all__ = ["ask_again", "begun_for", "connector_row", "file_verdict", "judge_run", "server_says"]

_ACCT = "demo"
_SETTLE_S = 20.0


class Truth(NamedTuple):
    """What the server says of an order, whoever asks."""

    status: str
    code: str
    evidence: str


def ask_again(run: Run, bridge: Connector) -> OrderResult:
    """Be the strategy after a restart: settle what is open, then submit the same order again."""
    bridge.connect(_SETTLE_S)
    wait_until(lambda: bridge.unfinished() == [], _SETTLE_S)
    told = bridge.buy("EURUSD", "0.01", client_order_id=SUBJECT, comment=SUBJECT)
    assert told.final, told
    return told


def connector_row(journal: Path, client_order_id: str = SUBJECT) -> SignedRow | None:
    """Return the order's row in a connector's journal."""
    rows = [row for row in signed_rows(journal) if row.client_order_id == client_order_id]
    return rows[0] if rows else None


def server_says(client: RawClient, row: SignedRow) -> Truth:
    """FENCE, GET_STATUS and late copies of the same bytes: all tell one truth."""
    token = parse_request(row.frames.token)
    assert token is not None
    fenced = client.fence(row.rid, token.inc, token.iat)
    assert fenced.status == "OK", fenced.code
    wait_until(lambda: client.status(rid=row.rid).subject().final, _SETTLE_S)
    view = client.status(rid=row.rid).subject()
    if client.bundle.kid == token.kid:
        copies = [client.ask(row.frames) for _ in range(2)]
        assert [copy.status for copy in copies] == [view.status] * 2
        # A row that a FENCE made after the first was lost has no reply of its own to repeat.
        assert not view.client or copies[0].frames == copies[1].frames
    else:
        assert client.silent(row.frames)
    again = client.fence(row.rid, token.inc, token.iat)
    assert again.subject().status == view.status
    placed = [one for one in client.query(Op.GET_POSITIONS).positions if one.rid == row.rid]
    assert len(placed) == (view.status == "FILLED")
    return Truth(view.status, view.code, view.evidence)


def begun_for(run: Run, rid: str) -> int:
    """Return how many submissions the broker has begun for a request id."""
    tag = make_tag(_ACCT, rid).comment
    return sum(line.phase == "begin" and line.comment[:COMMENT_TAG_CHARS] == tag
               for line in read_ledger(run.ledger))  # fmt: skip


def file_verdict(run: Run, rows: Sequence[SignedRow], witness: Path, *, forked: bool) -> None:
    """Judge the files of the dead: S1 to S6 by the broker's ledger, S7 by both journals."""
    for promise in judge_all(list(rows), run.ledger, _ACCT):
        assert promise.held == promise.total, promise
    assert isinstance(verify_file(run.journal), Head)
    pairs, latched = _witnessed(witness)
    assert latched == forked
    with closing(Journal(run.journal)) as journal:
        assert forked or all(journal.hash_at(pair.size) == pair.hash for pair in pairs)


def _witnessed(journal: Path) -> tuple[list[Head], bool]:
    with closing(open_database(journal, exclusive=False)) as connection:
        pairs = connection.execute("SELECT size, hash FROM heads WHERE why = ''").fetchall()
        latches = [name for (name,) in connection.execute("SELECT name FROM latches")]
    return [Head(size, digest) for size, digest in pairs], "LOG_FORK" in latches


def _signed_since(run: Run, journal: Path) -> list[SignedRow]:
    # What a new disk took over from the server has no signed bytes: those are on the old one.
    copy = run.copy(journal, "signed")
    with closing(open_database(copy, exclusive=False)) as connection:
        connection.execute("DELETE FROM orders WHERE length(token) = 0")
    return signed_rows(copy)


def judge_run(
    run: Run, server: Child, *, forked: bool = False, who: str = "connector",
    kept: Path | None = None,
) -> End:  # fmt: skip
    """Restart the strategy, ask everybody, end everything, read every file; return the outcome.

    `kept` is the journal of a connector whose disk was destroyed, `who` the bundle it has now.
    """
    run.be_patient()
    bridge = run.connector(who)
    told = ask_again(run, bridge)
    if forked:
        wait_until(lambda: bridge.buy("EURUSD", "0.01", wait=1).code == "LOG_FORK", _SETTLE_S)
    journal = run.client_journal(who)
    row = connector_row(kept or journal)
    assert row is not None
    truth = server_says(run.raw(who), row)
    assert truth.status == told.status
    if told.by != "connector" and not forked:
        assert truth == (told.status, told.code, told.evidence)
    for position in bridge.get_positions():  # closed: a ledger line that a kill cut off is proven
        assert bridge.close_position(position).status == "FILLED"
    bridge.close()
    server.kill()
    rows = signed_rows(kept) if kept else []
    final = [one._replace(view=_view(told, one)) for one in rows if one.client_order_id == SUBJECT]
    file_verdict(run, final + _signed_since(run, journal), journal, forked=forked)
    return End(told.status, told.code, told.evidence, begun_for(run, row.rid))


def _view(told: OrderResult, row: SignedRow) -> OrderView:
    return replace(
        row.view, status=told.status, code=told.code, ticket=told.ticket, final=told.final,
        volume=told.exact.get("volume", "0"), price=told.exact.get("price", "0"),
    )  # fmt: skip
