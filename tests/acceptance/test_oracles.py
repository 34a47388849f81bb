"""Each promise's oracle catches a ledger, journal or reply that was doctored against it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from bridge_core.host.ledger import LedgerLine, SignedOrder
from bridge_core.protocol.chain import GENESIS, ChainFault, Head
from bridge_core.protocol.messages import Flatten, Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import Child, OrderView
from bridge_core.protocol.tag import child_rid, make_tag
from tests.acceptance.house import House
from tests.acceptance.language import parse, run
from tests.acceptance.world import Stage, World
from tests.support.oracles import Broken, Evidence, Told, broken_promises, journal_evidence
from tests.support.raw_client import open_body

ACCT: Final = "demo"
RID: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
IAT: Final = 1_795_219_200_000
FIELDS: Final = ("symbol", "type", "volume", "price", "sl", "tp", "deviation", "expiration")


def body() -> Open:
    return open_body(client_order_id="mine", volume="0.10", sl="1.05", comment="v1")


def begin(**changes: object) -> LedgerLine:
    tag = make_tag(ACCT, RID)
    line = LedgerLine(
        phase="begin", n=1, wall_ms=IAT + 5, op="OPEN", magic=tag.mt5_magic(0),
        comment=f"{tag.comment} v1", fields={name: getattr(body(), name) for name in FIELDS},
    )  # fmt: skip
    return replace(line, **changes)


def end(**changes: str | int) -> LedgerLine:
    result: dict[str, str | int] = {
        "outcome": "EXECUTED", "ticket": 7, "volume": "0.10", "price": "1.1", **changes,
    }  # fmt: skip
    return LedgerLine(phase="end", n=1, wall_ms=IAT + 6, result=result)


def view(**changes: object) -> OrderView:
    filled = OrderView(
        rid=RID, op="OPEN", status="FILLED", final=True, ticket=7, volume="0.1", price="1.10"
    )
    return replace(filled, **changes)


def start() -> LedgerLine:
    return LedgerLine(phase="start", n=0, wall_ms=IAT, result={"comment_chars": 31})


def honest(**changes: object) -> Evidence:
    evidence = Evidence(
        acct=ACCT,
        signed={RID: SignedOrder(Op.OPEN, IAT, 5000, body())},
        lines=[start(), begin(), end()],
        told=[Told(RID, view(status="PENDING", final=False)), Told(RID, view())],
        rows={RID: view()},
        heads=[Head(2, b"2" * 32)],
        log=Head(3, b"3" * 32),
        hashes={0: GENESIS, 1: b"1" * 32, 2: b"2" * 32, 3: b"3" * 32},
    )
    for name, value in changes.items():
        setattr(evidence, name, value)
    return evidence


def caught(**changes: object) -> Broken:
    """Return the one promise that the doctored evidence breaks."""
    found = broken_promises(honest(**changes))
    assert len({one.promise for one in found}) == 1, found
    return found[0]


def test_honest_evidence_breaks_nothing() -> None:
    assert broken_promises(honest()) == []


def test_s1_a_second_submission_of_one_rid_is_caught() -> None:
    again = [begin(n=2), replace(end(), n=2)]
    found = caught(lines=[start(), begin(), end(), *again])
    assert found[:2] == ("S1", RID)


@pytest.mark.parametrize("late_ms", [5000, 60_000])
def test_s2_a_submission_at_or_after_the_deadline_is_caught(late_ms: int) -> None:
    assert caught(lines=[start(), begin(wall_ms=IAT + late_ms), end()])[:2] == ("S2", RID)


def test_s2_a_millisecond_before_the_deadline_is_in_time() -> None:
    assert broken_promises(honest(lines=[start(), begin(wall_ms=IAT + 4999), end()])) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("volume", "0.1"), ("sl", "0"), ("symbol", "GBPUSD"), ("type", "SELL"), ("deviation", 21)],
)
def test_s3_another_field_than_the_signed_one_is_caught(field: str, value: object) -> None:
    altered = begin(fields={**begin().fields, field: value})
    assert caught(lines=[start(), altered, end()])[:2] == ("S3", RID)


def test_s3_another_comment_or_magic_is_caught() -> None:
    tag = make_tag(ACCT, RID)
    for altered in (begin(comment=f"{tag.comment} v2"), begin(magic=tag.mt5_magic(3))):
        assert caught(lines=[start(), altered, end()])[:2] == ("S3", RID)


def test_s4_an_order_left_pending_is_caught() -> None:
    open_row = view(status="PENDING", final=False)
    found = caught(rows={RID: open_row}, told=[], lines=[start()])
    assert found[:2] == ("S4", RID)


def test_s4_an_unknown_order_without_an_alarm_is_caught() -> None:
    unknown = {RID: view(status="UNKNOWN", code="NO_ANSWER", final=False)}
    assert caught(rows=unknown, told=[])[:2] == ("S4", RID)
    assert broken_promises(honest(rows=unknown, told=[], alarms=frozenset({"UNKNOWN"}))) == []


def test_s4_an_order_that_was_taken_and_is_in_no_journal_is_caught() -> None:
    found = broken_promises(honest(rows={}, lines=[start(), begin(), end()]))
    assert {one[:2] for one in found} == {("S4", RID)}
    # Refused for its incarnation, it was never taken.
    never = [Told(RID, view(status="UNKNOWN", code="STALE_INCARNATION", final=False))]
    assert broken_promises(honest(rows={}, told=never, lines=[start()])) == []


def test_s4_a_submission_without_a_row_is_caught() -> None:
    other = "ab" * 16
    row = {other: view(rid=other, status="DENIED", code="EXPIRED", ticket=0)}
    found = caught(rows=row, told=[])
    assert found[:2] == ("S4", "n=1")


def test_s5_a_submission_that_nobody_signed_is_caught() -> None:
    found = broken_promises(honest(signed={}))
    assert [one[:2] for one in found] == [("S5", "n=1")]


def test_s5_a_flattens_child_is_signed_by_its_parent_and_no_other_ticket_is() -> None:
    order = Flatten(client_order_id="f", client="c", scope="ALL", symbol="", reason="x")
    tag = make_tag(ACCT, child_rid(RID, 9))
    fields: dict[str, str | int] = {
        "ticket": 9, "symbol": "EURUSD", "volume": "0", "deviation": 20,
    }  # fmt: skip
    line = LedgerLine(
        phase="begin", n=1, wall_ms=IAT + 5, op="CLOSE", magic=tag.mt5_hash, comment=tag.comment,
        fields=fields,
    )  # fmt: skip
    given: dict[str, object] = {
        "signed": {RID: SignedOrder(Op.FLATTEN, IAT, 5000, order)}, "told": [], "rows": {},
        "lines": [start(), line, end()],
    }  # fmt: skip
    assert broken_promises(honest(**given)) == []
    given["lines"] = [start(), replace(line, fields={**fields, "ticket": 10}), end()]
    assert [one.promise for one in broken_promises(honest(**given))] == ["S5"]


def _claims(claim: OrderView) -> list[dict[str, object]]:
    """A claim as a client was told it, and as the journal has it."""
    return [{"told": [Told(RID, claim)]}, {"rows": {RID: claim}, "told": []}]


@pytest.mark.parametrize(
    ("claim", "lines"),
    [
        (view(status="DENIED", code="EXPIRED"), [start(), begin(), end()]),
        (view(status="REJECTED", code="NO_MONEY"), [start(), begin(), end()]),
        (view(), [start(), begin(), end(outcome="REJECTED")]),
        (view(ticket=8), [start(), begin(), end()]),
        (view(volume="0.2"), [start(), begin(), end()]),
        (view(price="1.2"), [start(), begin(), end()]),
        (view(), [start()]),
        (view(status="REJECTED", code="NO_MONEY"), [start()]),
    ],
)
def test_s6_a_false_outcome_is_caught_wherever_it_is_claimed(
    claim: OrderView, lines: list[LedgerLine]
) -> None:
    for where in _claims(claim):
        others = {"rows": {RID: claim}} if "rows" not in where else {}
        found = broken_promises(honest(**where, **others, lines=lines))
        assert ("S6", RID) in {one[:2] for one in found}


def test_s6_a_false_word_about_a_flattens_child_is_caught() -> None:
    child = Child(ticket=9, rid=child_rid(RID, 9), status="FILLED")
    parent = view(op="FLATTEN", status="DONE", children=[child])
    order = Flatten(client_order_id="f", client="c", scope="ALL", symbol="", reason="x")
    found = caught(
        signed={RID: SignedOrder(Op.FLATTEN, IAT, 5000, order)}, lines=[start()],
        told=[Told(RID, parent)], rows={RID: parent},
    )  # fmt: skip
    assert found[:2] == ("S6", child.rid)


def test_s6_two_final_answers_that_differ_are_caught() -> None:
    lines = [start(), begin(), end(outcome="REJECTED")]
    rejected = view(status="REJECTED", code="NO_MONEY")
    changed = [Told(RID, rejected), Told(RID, view(status="DENIED", code="EXPIRED"))]
    found = caught(lines=lines, rows={RID: rejected}, told=changed)
    assert found.promise == "S6"
    assert "then" in found.why


def test_what_was_in_flight_at_a_crash_is_no_false_outcome() -> None:
    assert broken_promises(honest(lines=[start(), begin()])) == []


def test_s7_a_log_that_does_not_chain_is_caught() -> None:
    found = caught(log=ChainFault(2, "hash does not match the record"))
    assert found == ("S7", "record 2", "hash does not match the record")


def test_s7_a_log_shorter_than_what_a_reply_showed_is_caught() -> None:
    assert caught(heads=[Head(4, b"4" * 32)])[:2] == ("S7", "record 4")


def test_s7_another_head_than_a_reply_showed_is_caught() -> None:
    assert caught(heads=[Head(2, b"x" * 32)])[:2] == ("S7", "record 2")


# --- the same on a real server -----------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("oracles"))
    client = made.ready()
    held = client.open()
    client.close_position(held.order().ticket)
    client.open(volume="50")
    client.flatten()
    made.stop()
    return made


def test_a_real_run_breaks_nothing(house: House) -> None:
    evidence = house.evidence()
    assert len(evidence.rows) == 4
    assert len(evidence.lines) > 4
    assert broken_promises(evidence) == []


@pytest.mark.parametrize(
    ("doctor", "promise"),
    [
        (lambda e: e.lines.extend([replace(e.lines[1], n=99)]), "S1"),
        (lambda e: e.lines.__setitem__(1, replace(e.lines[1], wall_ms=2**41)), "S2"),
        (lambda e: e.lines[1].fields.__setitem__("volume", "0.02"), "S3"),
        (lambda e: e.rows.pop(e.told[0].rid), "S4"),
        (lambda e: e.signed.pop(e.told[0].rid), "S5"),
        (lambda e: e.lines[2].result.__setitem__("outcome", "REJECTED"), "S6"),
        (lambda e: e.heads.append(Head(1, bytes(32))), "S7"),
    ],
)
def test_a_real_run_doctored_breaks_the_promise(
    house: House, doctor: Callable[[Evidence], object], promise: str
) -> None:
    evidence = house.evidence()
    evidence.rows = dict(evidence.rows)
    evidence.heads = list(evidence.heads)
    evidence.lines = [
        replace(one, fields=dict(one.fields), result=dict(one.result)) for one in evidence.lines
    ]
    doctor(evidence)
    assert promise in {one.promise for one in broken_promises(evidence)}


def test_a_lie_under_the_true_key_is_believed_and_the_oracle_catches_the_liar() -> None:
    text = """Group D: replies and events
80  A server that lies with its own key is believed, for all its client can know [protocol.md 4.6]
  a lying server and its connector
  before its true reply to the next OPEN it sends a denial under the true key
  the connector buys EURUSD 0.01   -> DENIED MAX_VOLUME by server
  it executed                      -> one
"""
    (case,) = parse(text, "d.txt")
    with Stage() as stage, World(stage) as world:
        with pytest.raises(AssertionError, match=r"S6 broken by .* and the broker did it"):
            run(case, world)
        assert {one.promise for one in world.broken()} == {"S6"}


def test_an_edited_journal_file_is_caught(house: House, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes((house.account.state / "journal.db").read_bytes())
    rows, log, hashes = journal_evidence(path)
    assert isinstance(log, Head)
    assert len(rows) == 4
    raw = bytearray(path.read_bytes())
    raw[raw.index(b'"kind":"ORDER"') + 9] = ord("X")
    path.write_bytes(raw)
    assert isinstance(journal_evidence(path)[1], ChainFault)
    assert hashes[log.size] == log.hash
