"""The EA's word decides on accounts with an EA; a relay that lies changes nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bridge_client.attest import Judged, Subject, apply_word, judge_word
from bridge_core.protocol.replies import Child, OrderView
from bridge_core.protocol.signing import NO_ORDER_HASH, ea_record_mac
from bridge_core.protocol.tag import child_rid
from bridge_core.protocol.token import EaRecord

KEY, OTHER = b"k" * 32, b"o" * 32
RID, HASH = "a" * 32, "c" * 64
ABOUT = Subject("demo", RID, "OPEN", HASH, {"c1": KEY})


def record(**change: object) -> EaRecord:
    made = EaRecord(
        "c1", "demo", RID, "OPEN", HASH, "FILLED", "-", 77, "0.10", "1.08512", "0", "0",
        1_700_000_000_000,
    )  # fmt: skip
    return made._replace(**change)  # type: ignore[arg-type]


def view(word: EaRecord | None, status: str = "FILLED", **more: object) -> OrderView:
    text = "" if word is None else word.text().decode()
    made = OrderView(rid=RID, op="OPEN", status=status, final=True, ea=text, ticket=1, price="9")
    return replace(made, **more)


def judged(word: EaRecord | None, status: str = "FILLED", key: bytes = KEY) -> OrderView:
    mac = "-" if word is None else ea_record_mac(key, word.text())
    return apply_word(view(word, status), ABOUT, mac)


def test_status_ticket_volume_and_price_come_from_the_record() -> None:
    found = judged(record())
    told = (found.status, found.ticket, found.volume, found.price)
    assert told == ("FILLED", 77, "0.10", "1.08512")
    assert found.attested


def test_rule_7_denied_without_a_record_is_told_as_denied_but_not_attested() -> None:
    found = judged(None, "DENIED")
    assert found.status == "DENIED"
    assert not found.attested


@pytest.mark.parametrize("status", ["FILLED", "PARTIAL", "WORKING", "DONE", "REJECTED"])
def test_any_other_outcome_without_a_record_is_unknown(status: str) -> None:
    found = judged(None, status)
    assert (found.status, found.code, found.final) == ("UNKNOWN", "SERVER_LIED", False)


def test_an_operators_word_told_by_the_server_is_no_lie_and_ends_nothing() -> None:
    found = judge_word(view(None, evidence="HUMAN"), ABOUT, "-")
    assert (found.lie, found.view.status, found.view.code) == ("", "UNKNOWN", "EA_UNATTESTED")


@pytest.mark.parametrize("status", ["PENDING", "UNKNOWN", "DENIED"])
def test_a_server_that_waits_for_the_ea_does_not_lie(status: str) -> None:
    assert judge_word(view(None, status), ABOUT, "-").lie == ""
    forged = judge_word(view(record(), status), ABOUT, "0" * 64)
    assert "forged" in forged.lie
    assert forged.view.status == status


@pytest.mark.parametrize(
    ("field", "value"), [("ticket", 78), ("volume", "0.11"), ("price", "1.08513")]
)
def test_a_field_that_the_record_contradicts_is_a_lie_and_the_record_holds(
    field: str, value: object
) -> None:
    honest = view(record(), ticket=77, volume="0.1", price="1.085120")
    mac = ea_record_mac(KEY, record().text())
    assert judge_word(honest, ABOUT, mac).lie == ""
    found = judge_word(replace(honest, **{field: value}), ABOUT, mac)
    assert field in found.lie
    told = (found.view.status, found.view.code, found.view.ticket, found.view.price)
    assert told == ("FILLED", "SERVER_LIED", 77, "1.08512")


def test_the_price_of_a_close_is_its_close_price() -> None:
    word = record(op="CLOSE")
    about = ABOUT._replace(op="CLOSE")
    mac = ea_record_mac(KEY, word.text())
    honest = view(word, op="CLOSE", ticket=77, price="0", close_price="1.08512")
    found = judge_word(honest, about, mac)
    assert (found.lie, found.view.close_price) == ("", "1.08512")
    lied = judge_word(replace(honest, close_price="1.09"), about, mac)
    assert "price" in lied.lie
    assert lied.view.close_price == "1.08512"


def test_a_true_record_in_an_answer_that_says_unknown_ends_the_order() -> None:
    mac = ea_record_mac(KEY, record().text())
    found = judge_word(view(record(), "UNKNOWN", ticket=0, price="0"), ABOUT, mac)
    assert (found.lie, found.view.status, found.view.final) == ("", "FILLED", True)


@pytest.mark.parametrize(
    "word",
    [
        record(rid="b" * 32), record(acct="live"), record(order_hash="d" * 64),
        record(op="CLOSE"), record(order_hash=NO_ORDER_HASH),
    ],
)  # fmt: skip
def test_a_record_about_something_else_counts_as_none(word: EaRecord) -> None:
    assert judged(word).status == "UNKNOWN"


def test_a_forged_record_counts_as_none() -> None:
    assert judged(record(), key=OTHER).status == "UNKNOWN"


def test_the_tombstone_form_is_accepted_only_with_denied() -> None:
    dead = record(order_hash=NO_ORDER_HASH, status="DENIED", code="FENCED", ticket=0)
    found = judged(dead, "DENIED")
    assert found.attested
    assert found.status == "DENIED"


def test_a_tombstone_attests_a_denial_and_leaves_its_reason_as_it_was() -> None:
    dead = record(order_hash=NO_ORDER_HASH, status="DENIED", code="FENCED", ticket=0)
    mac = ea_record_mac(KEY, dead.text())
    refused = view(dead, "DENIED", code="MAX_VOLUME", by="server", ticket=0, price="0")
    found = judge_word(refused, ABOUT, mac)
    told = (found.view.status, found.view.code, found.view.by, found.view.attested, found.lie)
    assert told == ("DENIED", "MAX_VOLUME", "server", True, "")
    late = judge_word(replace(refused, status="UNKNOWN", code="RECONCILING"), ABOUT, mac)
    assert (late.view.status, late.view.code) == ("DENIED", "FENCED")


def test_a_relay_that_says_denied_while_the_ea_says_filled_is_caught() -> None:
    found = judged(record(), "DENIED")
    assert (found.status, found.code, found.ticket) == ("FILLED", "SERVER_LIED", 77)


def test_a_record_of_a_kid_whose_key_we_do_not_hold_is_unverified() -> None:
    found = judged(record(kid="c9"))
    assert (found.status, found.evidence, found.attested) == ("UNKNOWN", "UNVERIFIED", False)


FLATTEN = ABOUT._replace(op="FLATTEN")


def child(ticket: int, **change: object) -> Child:
    """Return a child with its record, signed by the EA."""
    fields: dict[str, object] = {"rid": child_rid(RID, ticket), "op": "CLOSE", "ticket": ticket}
    word = record(**fields | change)
    text = word.text()
    return Child(
        ticket=ticket, rid=word.rid, status=word.status, op=word.op, ea=text.decode(),
        ea_mac=ea_record_mac(KEY, text),
    )  # fmt: skip


def flatten(*children: Child, status: str = "DONE", own: str = "DONE") -> Judged:
    """Return a FLATTEN judged; `own` is the status of its own record, "" without one."""
    code = "-" if own == "DONE" else "CHILD_FAILED"
    word = record(op="FLATTEN", status=own, code=code, ticket=0, volume="0", price="0")
    text = word.text()
    shown = OrderView(
        rid=RID, op="FLATTEN", status=status, final=True, children=list(children),
        ea=text.decode() if own else "",
    )  # fmt: skip
    return judge_word(shown, FLATTEN, ea_record_mac(KEY, text) if own else "-")


def test_a_flatten_is_done_only_with_its_own_record_and_every_childs() -> None:
    bare = Child(ticket=6, rid=child_rid(RID, 6), status="FILLED", op="CLOSE")
    found = flatten(child(5))
    assert (found.view.status, found.view.final, found.lie) == ("DONE", True, "")
    waiting = flatten(child(5), own="")
    assert (waiting.view.status, waiting.view.final, waiting.lie) == ("UNKNOWN", False, "")
    stripped = flatten(child(5), bare)
    assert (stripped.view.status, stripped.view.final) == ("UNKNOWN", False)
    assert "ticket 6" in stripped.lie
    assert [c.status for c in stripped.view.children] == ["FILLED", "UNKNOWN"]


def test_a_flatten_that_the_ea_calls_partial_is_never_done() -> None:
    found = flatten(child(5), own="PARTIAL")
    assert (found.view.status, found.view.code) == ("PARTIAL", "SERVER_LIED")
    honest = flatten(child(5), status="PARTIAL", own="PARTIAL")
    assert (honest.view.status, honest.view.code, honest.lie) == ("PARTIAL", "CHILD_FAILED", "")


def test_a_child_whose_ticket_a_stop_took_first_does_not_contradict_its_parent() -> None:
    gone = child(5, status="REJECTED", code="INVALID_TICKET")
    found = flatten(gone)
    assert (found.view.status, found.view.code, found.lie) == ("DONE", "-", "")
    assert found.view.children[0].status == "REJECTED"


def test_a_childs_record_counts_only_with_the_flattens_own_hash() -> None:
    other = child(5, order_hash="e" * 64)
    assert "forged" in flatten(other).lie
    assert flatten(other).view.status == "UNKNOWN"


def test_an_empty_flatten_needs_its_record_too() -> None:
    assert flatten().view.status == "DONE"
    assert flatten(own="").view.status == "UNKNOWN"
