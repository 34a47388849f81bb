"""The server's journal on real files: compare-and-set, one chain, nothing half done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from bridge_core.host.sqlite import IntegrityError, JournalFatal, open_database, transaction
from bridge_core.protocol.chain import GENESIS, Head, Record, verify_range
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server.core.orders import Life, OrderState
from bridge_server.journal import Change, Journal, OrderRow
from tests.support.builders import NOW, RID, TAG, row

_S = OrderState


_opened: list[Journal] = []


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    first = Journal(tmp_path / "journal.db")
    yield first
    for one in (first, *_opened):
        one.close()
    _opened.clear()


def _insert(journal: Journal, *rows: OrderRow) -> None:
    with journal.transaction():
        for one in rows:
            journal.insert(one, "ORDER")


def _to(state: OrderState, view: OrderView, **over: object) -> Change:
    return Change(state=state, view=view, at_ms=NOW + 10, **over)  # type: ignore[arg-type]


def _fail_after(journal: Journal, work: Callable[[], None]) -> None:
    with journal.transaction():
        work()
        raise RuntimeError


def _reopen(journal: Journal) -> Journal:
    journal.close()
    _opened.append(Journal(journal.path))
    return _opened[-1]


def _holds(journal: Journal) -> bool:
    return verify_range(Head(0, GENESIS), journal.log_rows(1, 10_000)) == journal.head


# --- rows ------------------------------------------------------------------------------------


def test_a_row_comes_back_after_a_restart_exactly_as_it_was_written(journal: Journal) -> None:
    written = row(life="", parent="", ticket=4711, evidence="TAG")
    _insert(journal, written)
    assert _reopen(journal).get(RID) == written


def test_a_row_is_found_by_the_strategys_own_id(journal: Journal) -> None:
    _insert(journal, row(client_order_id="atlas-17"))
    found = journal.get_by_client_order_id("atlas-17")
    assert found is not None
    assert found.rid == RID
    assert journal.get_by_client_order_id("atlas-18") is None
    assert journal.get("f" * 32) is None


def test_one_request_id_has_one_row(journal: Journal) -> None:
    _insert(journal, row())
    with pytest.raises(IntegrityError), journal.transaction():
        journal.insert(row(client_order_id="other"), "ORDER")


def test_one_client_order_id_has_one_row(journal: Journal) -> None:
    _insert(journal, row(client_order_id="atlas-17"))
    with pytest.raises(IntegrityError), journal.transaction():
        journal.insert(row("f" * 32, client_order_id="atlas-17"), "ORDER")


def test_children_and_tombstones_share_having_no_client_order_id(journal: Journal) -> None:
    _insert(journal, *(row(f"{n:032x}", client_order_id=None) for n in (1, 2, 3)))
    assert len(journal.unfinished()) == 3


# --- compare-and-set -------------------------------------------------------------------------


def test_a_change_moves_the_row_and_leaves_the_one_in_hand_as_it_was(journal: Journal) -> None:
    accepted = row()
    _insert(journal, accepted)
    with journal.transaction():
        moved = journal.change(accepted, _to(_S.DISPATCHING, accepted.view))
    assert (accepted.state, moved.state) == (_S.ACCEPTED, _S.DISPATCHING)
    assert (moved.dispatched_ms, moved.ended_ms) == (NOW + 10, 0)
    assert journal.get(RID) == moved


def test_a_change_from_another_state_than_the_rows_is_fatal_and_writes_nothing(
    journal: Journal,
) -> None:
    accepted = row()
    _insert(journal, accepted)
    with journal.transaction():
        journal.change(accepted, _to(_S.DENIED, accepted.view))
    before = journal.head
    with pytest.raises(JournalFatal, match=RID), journal.transaction():
        journal.change(accepted, _to(_S.DISPATCHING, accepted.view))
    found = journal.get(RID)
    assert found is not None
    assert found.state is _S.DENIED
    assert journal.head == before
    assert _holds(journal)


def test_a_change_of_a_row_that_is_not_there_is_fatal(journal: Journal) -> None:
    with pytest.raises(JournalFatal), journal.transaction():
        journal.change(row(), _to(_S.DISPATCHING, row().view))


def test_the_final_reply_is_stored_with_the_outcome_and_carries_the_head_that_includes_it(
    journal: Journal,
) -> None:
    sent = row(state=_S.DISPATCHING)
    _insert(journal, sent)
    heads: list[Head] = []

    def reply(view: OrderView) -> Frames:
        heads.append(journal.head)
        return Frames(b"token of " + view.status.encode(), b"body")

    view = msgspec.structs.replace(sent.view, status="FILLED", final=True, ticket=4711)
    with journal.transaction():
        done = journal.change(sent, _to(_S.FILLED, view, evidence="BROKER"), reply)
    assert (done.reply_token, done.reply_body) == (b"token of FILLED", b"body")
    assert (done.ticket, done.evidence, done.ended_ms) == (4711, "BROKER", NOW + 10)
    assert done.final
    assert heads == [journal.head]
    assert _reopen(journal).get(RID) == done


@pytest.mark.parametrize("state", [_S.ACCEPTED, _S.DISPATCHING, _S.UNKNOWN])
def test_an_open_row_is_not_final_and_found_after_a_restart(
    journal: Journal, state: OrderState
) -> None:
    _insert(journal, row(state=state))
    found = _reopen(journal).unfinished()
    assert [(one.rid, one.final) for one in found] == [(RID, False)]


def test_unfinished_rows_come_oldest_first(journal: Journal) -> None:
    _insert(
        journal,
        row("a" * 32, accepted_ms=NOW + 1),
        row("b" * 32, accepted_ms=NOW),
        row("c" * 32, state=_S.FILLED),
    )
    assert [one.rid for one in journal.unfinished()] == ["b" * 32, "a" * 32]


def test_show_changes_what_a_row_looks_like_and_not_its_state(journal: Journal) -> None:
    _insert(journal, row())
    view = msgspec.structs.replace(row().view, comment="seen")
    with journal.transaction():
        shown = journal.show(row(), view)
    assert (shown.view, shown.state) == (view, _S.ACCEPTED)
    assert journal.get(RID) == shown


# --- the record ------------------------------------------------------------------------------


def test_every_change_of_state_is_a_record_of_one_chain(journal: Journal) -> None:
    accepted = row()
    _insert(journal, accepted)
    denied = msgspec.structs.replace(accepted.view, status="DENIED", code=ReasonCode.FENCED)
    with journal.transaction():
        journal.change(accepted, _to(_S.DENIED, denied, evidence="SERVER", data={"by": "server"}))
    assert journal.head.size == 2
    assert _holds(journal)
    records = [msgspec.json.decode(raw, type=Record) for _, raw, _ in journal.log_rows(1, 9)]
    assert [(one.state, one.code) for one in records] == [("ACCEPTED", ""), ("DENIED", "FENCED")]
    assert records[0].data == {"req_hash": "e" * 64}
    assert records[1].data == {"by": "server", "evidence": "SERVER"}


def test_the_chain_goes_on_over_restarts(journal: Journal) -> None:
    for n in range(1, 4):
        _insert(journal, row(f"{n:032x}"))
        journal = _reopen(journal)
    assert journal.head.size == 3
    assert _holds(journal)


def test_what_is_rolled_back_is_in_neither_the_rows_nor_the_record_nor_the_head(
    journal: Journal,
) -> None:
    _insert(journal, row())
    before = journal.head
    with pytest.raises(RuntimeError):
        _fail_after(journal, lambda: journal.insert(row("f" * 32), "ORDER"))
    assert journal.head == before
    assert journal.get("f" * 32) is None
    assert _holds(_reopen(journal))


def test_the_hash_before_the_first_record_is_the_genesis_hash(journal: Journal) -> None:
    _insert(journal, row())
    assert journal.hash_at(0) == journal.hash_at(-1) == GENESIS
    assert journal.hash_at(1) == journal.head.hash
    assert journal.hash_at(2) == b""


def test_records_are_read_in_pages(journal: Journal) -> None:
    _insert(journal, *(row(f"{n:032x}") for n in range(1, 6)))
    assert [n for n, _, _ in journal.log_rows(2, 3)] == [2, 3, 4]
    assert journal.log_rows(6, 3) == []


# --- what became of working orders -----------------------------------------------------------


def test_a_working_order_is_followed_until_its_life_ends(journal: Journal) -> None:
    resting = row(state=_S.WORKING, life=Life.WORKING, ticket=22)
    _insert(journal, resting)
    assert journal.working() == [resting]
    assert journal.working_on(22) == resting
    with journal.transaction():
        part = journal.set_life(resting, Life.PARTIAL, NOW + 1)
    assert (part.life, part.view.life, part.state) == (Life.PARTIAL, "PARTIAL", _S.WORKING)
    assert journal.working_on(22) == part
    with journal.transaction():
        journal.set_life(part, Life.CANCELLED, NOW + 2)
    assert journal.working() == []
    assert journal.working_on(22) is None
    assert journal.head.size == 3
    assert _holds(journal)


def test_the_opener_of_a_ticket_is_the_open_and_not_what_came_after(journal: Journal) -> None:
    _insert(
        journal,
        row("a" * 32, state=_S.FILLED, ticket=11),
        row("b" * 32, state=_S.FILLED, ticket=11, op="CLOSE"),
    )
    found = journal.opener_of(11)
    assert found is not None
    assert found.rid == "a" * 32
    assert journal.opener_of(12) is None


def test_what_never_reached_a_broker_is_nobodys_opener(journal: Journal) -> None:
    _insert(journal, row("a" * 32, state=_S.DENIED, ticket=0))
    assert journal.opener_of(0) is None


def test_the_openers_of_more_tickets_than_one_question_takes_are_found_all(
    journal: Journal,
) -> None:
    _insert(
        journal,
        row("a" * 32, state=_S.FILLED, ticket=1),
        row("b" * 32, state=_S.FILLED, ticket=1, op="CLOSE"),
        row("c" * 32, state=_S.FILLED, ticket=1_700),
        row("d" * 32, state=_S.FILLED, ticket=1_800),
    )
    found = journal.openers_of(range(1, 1_701))
    assert {ticket: one.rid for ticket, one in found.items()} == {1: "a" * 32, 1_700: "c" * 32}
    assert journal.openers_of([]) == {}


def test_the_children_of_a_flatten_are_its_own(journal: Journal) -> None:
    _insert(
        journal,
        row("a" * 32, op="FLATTEN"),
        row("c" * 32, parent="a" * 32, client_order_id=None),
        row("b" * 32, parent="a" * 32, client_order_id=None),
        row("d" * 32),
    )
    assert [one.rid for one in journal.children("a" * 32)] == ["b" * 32, "c" * 32]
    assert journal.children("") == []


def test_a_page_of_rows_says_how_many_there_are(journal: Journal) -> None:
    _insert(journal, *(row(f"{n:032x}", accepted_ms=NOW + n) for n in range(1, 6)))
    rows, total = journal.page(NOW + 2, 1, 2)
    assert ([one.accepted_ms - NOW for one in rows], total) == ([3, 4], 4)
    assert journal.page(NOW + 9, 0, 10) == ([], 0)


def test_only_magics_of_orders_concluded_absent_can_be_ghosts(journal: Journal) -> None:
    _insert(
        journal,
        row("a" * 32, state=_S.DENIED, evidence="ABSENT", magic=TAG.mt5_hash),
        row("b" * 32, state=_S.DENIED, evidence="ABSENT", magic=0),
        row("c" * 32, state=_S.DENIED, evidence="SERVER", magic=5),
    )
    assert _reopen(journal).absent_magics() == frozenset({TAG.mt5_hash})


# --- whose journal it is ---------------------------------------------------------------------

_ACCOUNT = {"account": "demo", "mode": "paper", "login": "1", "broker_server": "ztb-paper"}


def test_a_journal_serves_the_account_that_it_began_with(journal: Journal) -> None:
    journal.bind(_ACCOUNT)
    again = _reopen(journal)
    again.bind(_ACCOUNT)
    assert again.meta("login") == "1"


@pytest.mark.parametrize("key", list(_ACCOUNT))
def test_a_journal_refuses_another_account_or_mode_and_names_both(
    journal: Journal, key: str
) -> None:
    journal.bind(_ACCOUNT)
    with pytest.raises(ConfigError) as caught:
        journal.bind({**_ACCOUNT, key: "other"})
    assert caught.value.code == "JOURNAL_ACCOUNT"
    assert f"{key} {_ACCOUNT[key]}" in caught.value.detail
    assert "other" in caught.value.detail
    assert journal.meta(key) == _ACCOUNT[key]


def test_meta_written_in_a_transaction_falls_with_it(journal: Journal) -> None:
    journal.put_meta({"a": "1"})
    with pytest.raises(RuntimeError):
        _fail_after(journal, lambda: journal.put_meta({"a": "2", "b": "3"}))
    assert (journal.meta("a"), journal.meta("b")) == ("1", None)


def test_a_journal_has_one_owner(journal: Journal) -> None:
    with pytest.raises(ConfigError) as caught:
        Journal(journal.path)
    assert caught.value.code == "JOURNAL_IN_USE"


def test_a_newer_journal_is_refused_untouched_and_let_go(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    newer = tmp_path / "newer.db"
    other = open_database(newer, exclusive=True)
    with transaction(other):
        other.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        other.execute("INSERT INTO meta VALUES ('schema', '2')")
    other.close()
    with pytest.raises(ConfigError) as caught:
        Journal(newer)
    assert caught.value.code == "JOURNAL_NEWER"
    other = open_database(newer, exclusive=True)  # nobody holds it any more
    tables = other.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert tables == [("meta",)]
    other.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(ConfigError) as caught:
        Journal(path)
    assert caught.value.code == "JOURNAL_DAMAGED"


def _read_all(path: Path) -> None:
    journal = Journal(path)
    try:
        for n in range(1, 40):
            journal.get(f"{n:032x}")
        journal.log_rows(1, 100)
    finally:
        journal.close()


def test_a_page_that_the_disk_spoiled_is_fatal_also_when_it_is_only_read(
    journal: Journal, tmp_path: Path
) -> None:
    _insert(journal, *(row(f"{n:032x}", body=b"x" * 3_000) for n in range(1, 40)))
    journal.close()
    raw = bytearray(journal.path.read_bytes())
    raw[4096 * 4 :] = b"\xa5" * len(raw[4096 * 4 :])
    journal.path.write_bytes(bytes(raw))
    with pytest.raises((JournalFatal, ConfigError)):
        _read_all(journal.path)
