"""The hash chain names the first record that was edited, removed or moved (protocol.md 11)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.chain import (
    GENESIS,
    ChainFault,
    Head,
    Record,
    encode_record,
    link,
    verify_range,
)
from tests.support import independent

Rows = list[tuple[int, bytes, bytes]]
START = Head(0, GENESIS)


def build(records: list[bytes]) -> Rows:
    rows: Rows = []
    previous = GENESIS
    for n, record in enumerate(records, start=1):
        previous = link(previous, record)
        rows.append((n, record, previous))
    return rows


ROWS = build([encode_record(Record(ts=1767225600000 + n, kind="state")) for n in range(9)])
logs = st.lists(st.binary(max_size=30), min_size=1, max_size=12)


@given(logs)
def test_an_untouched_chain_holds_from_any_record_on(records: list[bytes]) -> None:
    rows = build(records)
    for cut in range(len(rows)):
        start = START if cut == 0 else Head(rows[cut - 1][0], rows[cut - 1][2])
        assert verify_range(start, rows[cut:]) == Head(len(rows), rows[-1][2])
    previous = bytes(32)
    for _, record, digest in rows:
        previous = independent.chain_link(previous, record)
        assert digest == previous


def test_an_empty_range_leaves_the_head_where_it_was() -> None:
    assert verify_range(START, []) == START


@given(logs, st.data())
def test_an_edited_record_is_named(records: list[bytes], data: st.DataObject) -> None:
    rows = build(records)
    at = data.draw(st.integers(0, len(rows) - 1))
    n, record, digest = rows[at]
    rows[at] = (n, record + b"x", digest)
    assert verify_range(START, rows) == ChainFault(n, "hash does not match the record")


@given(logs, st.data())
def test_an_edit_with_a_recomputed_hash_breaks_at_the_next_record(
    records: list[bytes], data: st.DataObject
) -> None:
    rows = build(records)
    at = data.draw(st.integers(0, len(rows) - 1))
    n, record, _ = rows[at]
    before = rows[at - 1][2] if at else GENESIS
    rows[at] = (n, record + b"x", link(before, record + b"x"))
    found = verify_range(START, rows)
    if at == len(rows) - 1:
        # Only whoever saw the old head can tell: that is why replies carry it.
        assert isinstance(found, Head)
        assert found.size == n
        assert found.hash != digest_of(records)
    else:
        assert found == ChainFault(n + 1, "hash does not match the record")


def digest_of(records: list[bytes]) -> bytes:
    return build(records)[-1][2]


def test_a_removed_record_is_named() -> None:
    for at in range(len(ROWS) - 1):
        rows = ROWS[:at] + ROWS[at + 1 :]
        assert verify_range(START, rows) == ChainFault(at + 1, "missing or out of order")


def test_two_records_exchanged_are_named_at_the_first() -> None:
    for at in range(len(ROWS) - 1):
        rows = [*ROWS[:at], ROWS[at + 1], ROWS[at], *ROWS[at + 2 :]]
        assert verify_range(START, rows) == ChainFault(at + 1, "missing or out of order")


def test_two_records_exchanged_and_renumbered_are_named_at_the_first() -> None:
    (a, one, first), (b, two, second) = ROWS[2], ROWS[3]
    rows = [*ROWS[:2], (a, two, second), (b, one, first), *ROWS[4:]]
    assert verify_range(START, rows) == ChainFault(3, "hash does not match the record")


def test_a_truncated_log_shows_less_than_the_head_that_was_seen() -> None:
    seen = verify_range(START, ROWS)
    short = verify_range(START, ROWS[:-2])
    assert isinstance(seen, Head)
    assert isinstance(short, Head)
    assert short.size == seen.size - 2
    assert short.hash == ROWS[-3][2]


def test_a_log_that_begins_elsewhere_does_not_chain() -> None:
    assert verify_range(Head(0, b"\x01" * 32), ROWS) == ChainFault(
        1, "hash does not match the record"
    )


def test_record_bytes_leave_out_what_is_empty_and_keep_the_order_of_the_fields() -> None:
    assert encode_record(Record(ts=1, kind="start")) == b'{"ts":1,"kind":"start"}'
    full = Record(
        ts=1, kind="state", rid="ab", op="OPEN", state="DENIED", code="BODY", data={"by": "server"}
    )
    assert encode_record(full) == (
        b'{"ts":1,"kind":"state","rid":"ab","op":"OPEN","state":"DENIED","code":"BODY",'
        b'"data":{"by":"server"}}'
    )
