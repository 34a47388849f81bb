"""The EA's word decides on accounts with an EA; a relay that lies changes nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bridge_client.attest import Subject, apply_word
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
    assert (found.status, found.code, found.final) == ("UNKNOWN", "EA_UNATTESTED", False)


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


def test_a_relay_that_says_denied_while_the_ea_says_filled_is_caught() -> None:
    found = judged(record(), "DENIED")
    assert (found.status, found.code, found.ticket) == ("FILLED", "SERVER_LIED", 77)


def test_a_record_of_a_kid_whose_key_we_do_not_hold_is_unverified() -> None:
    found = judged(record(kid="c9"))
    assert (found.status, found.evidence, found.attested) == ("UNKNOWN", "UNVERIFIED", False)


def test_a_flatten_is_done_only_when_every_child_is_attested() -> None:
    about = Subject("demo", RID, "FLATTEN", HASH, {"c1": KEY})
    word = record(rid=child_rid(RID, 5), op="CLOSE", status="FILLED").text()
    good = Child(
        ticket=5, rid=child_rid(RID, 5), status="FILLED", op="CLOSE", ea=word.decode(),
        ea_mac=ea_record_mac(KEY, word),
    )  # fmt: skip
    bare = Child(ticket=6, rid=child_rid(RID, 6), status="FILLED", op="CLOSE")
    parent = OrderView(rid=RID, op="FLATTEN", status="DONE", final=True, children=[good])
    assert apply_word(parent, about, "-").status == "DONE"
    both = replace(parent, children=[good, bare])
    assert apply_word(both, about, "-").status == "UNKNOWN"
