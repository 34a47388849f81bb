"""What each change writes: the record's exact bytes, the row as returned and as read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge_core.host.sqlite import JournalFatal
from bridge_core.protocol.chain import Record, encode_record
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server.core.orders import Life, OrderState
from bridge_server.journal import Change, Journal, OrderRow
from tests.support.builders import NOW, RID, row

_S = OrderState
_HASH = {"req_hash": "e" * 64}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "journal.db")
    yield one
    one.close()


def _insert(journal: Journal, one: OrderRow, data: dict[str, str] | None = None) -> OrderRow:
    with journal.transaction():
        journal.insert(one, "ACCEPTED", data)
    return one


def _last(journal: Journal) -> bytes:
    return journal.log_rows(journal.head.size, 1)[0][1]


def _view(code: str = "-", **over: object) -> OrderView:
    return OrderView(rid=RID, op="OPEN", code=code, **over)  # type: ignore[arg-type]


def test_a_bare_row_has_nothing_but_what_was_said() -> None:
    bare = OrderRow(
        rid=RID, client_order_id=None, kid="k", client="c", op="OPEN", symbol="EURUSD",
        state=_S.ACCEPTED, view=_view(),
    )  # fmt: skip
    texts = (bare.life, bare.parent, bare.req_hash, bare.inc, bare.evidence)
    raw = (bare.token, bare.body, bare.reply_token, bare.reply_body)
    numbers = (bare.magic, bare.deadline_ms, bare.accepted_ms, bare.dispatched_ms, bare.ended_ms,
               bare.ticket)  # fmt: skip
    assert (set(texts), set(raw), set(numbers)) == ({""}, {b""}, {0})
    change = Change(state=_S.DENIED, view=_view(), at_ms=1)
    assert (change.evidence, change.life, change.data) == ("", "", {})
    assert Change.__match_args__ == ()


@pytest.mark.parametrize(
    ("over", "data", "wanted"),
    [
        ({}, None, {"code": "", "data": _HASH}),
        ({}, {"why": "x"}, {"code": "", "data": {**_HASH, "why": "x"}}),
        ({"req_hash": ""}, None, {"code": "", "data": {}}),
        ({"req_hash": ""}, {"why": "x"}, {"code": "", "data": {"why": "x"}}),
        ({"view": _view("FENCED")}, None, {"code": "FENCED", "data": _HASH}),
    ],
)
def test_a_new_row_is_recorded_with_its_bytes_hash(
    journal: Journal,
    over: dict[str, Any],
    data: dict[str, str] | None,
    wanted: dict[str, object],
) -> None:
    _insert(journal, row(**over), data)
    record = Record(
        ts=NOW, kind="ACCEPTED", rid=RID, op="OPEN", state="ACCEPTED", **wanted  # type: ignore[arg-type]
    )  # fmt: skip
    assert _last(journal) == encode_record(record)


@pytest.mark.parametrize(
    ("code", "evidence", "wanted"),
    [
        ("-", "", {"code": "", "data": {"by": "x"}}),
        ("NO_ANSWER", "BROKER", {"code": "NO_ANSWER", "data": {"by": "x", "evidence": "BROKER"}}),
    ],
)
def test_a_change_is_recorded_with_its_code_and_evidence(
    journal: Journal, code: str, evidence: str, wanted: dict[str, object]
) -> None:
    one = _insert(journal, row())
    to = Change(
        state=_S.DISPATCHING, view=_view(code), at_ms=NOW + 1, evidence=evidence, data={"by": "x"}
    )
    with journal.transaction():
        journal.change(one, to)
    record = Record(
        ts=NOW + 1, kind="ORDER", rid=RID, op="OPEN", state="DISPATCHING", **wanted  # type: ignore[arg-type]
    )  # fmt: skip
    assert _last(journal) == encode_record(record)


def test_the_row_that_a_change_returns_is_the_row_that_is_read_again(journal: Journal) -> None:
    one = _insert(journal, row())
    with journal.transaction():
        sent = journal.change(
            one, Change(state=_S.DISPATCHING, view=_view(status="PENDING"), at_ms=NOW + 1)
        )
    assert sent == journal.get(RID)
    assert (sent.dispatched_ms, sent.ended_ms) == (NOW + 1, 0)
    assert (sent.reply_token, sent.reply_body) == (b"", b"")
    view = _view(status="WORKING", ticket=7, life="WORKING")
    to = Change(state=_S.WORKING, view=view, at_ms=NOW + 2, evidence="TAG", life="WORKING")
    with journal.transaction():
        done = journal.change(sent, to, lambda _: Frames(b"t", b"b"))
    assert done == journal.get(RID)
    assert (done.view, done.life, done.ticket, done.evidence) == (view, "WORKING", 7, "TAG")
    assert (done.dispatched_ms, done.ended_ms) == (NOW + 1, NOW + 2)
    assert (done.reply_token, done.reply_body) == (b"t", b"b")
    with journal.transaction():
        over = journal.set_life(done, Life.CANCELLED, NOW + 3)
    assert over == journal.get(RID)
    record = Record(ts=NOW + 3, kind="LIFE", rid=RID, op="OPEN", data={"life": "CANCELLED"})
    assert _last(journal) == encode_record(record)


def test_a_denial_without_a_dispatch_has_no_time_of_one(journal: Journal) -> None:
    one = _insert(journal, row())
    with journal.transaction():
        denied = journal.change(one, Change(state=_S.DENIED, view=_view("HALTED"), at_ms=NOW + 5))
    assert (denied.dispatched_ms, denied.ended_ms) == (0, NOW + 5)


def test_a_row_in_another_state_than_we_hold_is_fatal_and_says_which(journal: Journal) -> None:
    one = _insert(journal, row())
    wrong = row(state=_S.UNKNOWN)
    with pytest.raises(JournalFatal) as caught, journal.transaction():
        journal.change(wrong, Change(state=_S.DENIED, view=_view(), at_ms=NOW))
    assert (caught.value.code, caught.value.detail) == (
        "JOURNAL_FATAL", f"rid={RID} expected=UNKNOWN",
    )  # fmt: skip
    assert journal.get(RID) == one


def test_a_bound_journal_knows_its_schema_and_refuses_another_account(journal: Journal) -> None:
    journal.bind({"account": "demo"})
    assert journal.meta("schema") == "1"
    with pytest.raises(ConfigError) as caught:
        journal.bind({"account": "other"})
    assert caught.value.detail == (
        f"{journal.path} began with account demo, the configuration says other: "
        "use another state folder"
    )


def test_a_newer_journal_is_left_alone(journal: Journal) -> None:
    journal.bind({})
    journal.put_meta({"schema": "2"})
    journal.close()
    with pytest.raises(ConfigError) as caught:
        Journal(journal.path)
    assert (caught.value.code, caught.value.detail) == (
        "JOURNAL_NEWER", f"{journal.path} has schema 2, this version knows 1: upgrade",
    )  # fmt: skip
