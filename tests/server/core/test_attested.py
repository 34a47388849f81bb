"""The executor's word: it is believed only when it can be about the order, and no further."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.signing import NO_ORDER_HASH
from bridge_core.protocol.token import EaRecord
from bridge_server.core.attested import Lie, NotSeen, Wanted, Word, judge_word
from bridge_server.core.ports import Executed, Lost, NotBegun, Rejected
from tests.support.builders import ACCT, KID, NOW, RID

HASH = "ab" * 32
MAC = "cd" * 32
WANTED = Wanted(acct=ACCT, rid=RID, kid=KID, op="OPEN", order_hash=HASH)


def record(**over: Any) -> EaRecord:
    fields: dict[str, Any] = {
        "kid": KID, "acct": ACCT, "rid": RID, "op": "OPEN", "order_hash": HASH,
        "status": "FILLED", "code": "-", "ticket": 7, "volume": "0.10", "price": "1.08512",
        "sl": "1.08", "tp": "0", "time": NOW,
    }  # fmt: skip
    return EaRecord(**fields | over)


def word(of: EaRecord | None = None, **over: Any) -> Word:
    of = of if of is not None else record()
    fields: dict[str, Any] = {
        "rid": RID, "status": of.status, "code": of.code, "record": of.text().decode(), "mac": MAC,
    }  # fmt: skip
    return Word(**fields | over)


def test_the_facts_are_the_records_where_both_say_them() -> None:
    told = word(ticket=8, volume="9", price="2", sl="3", tp="4", symbol="EURUSD", profit="-1.50")
    outcome = judge_word(told, WANTED)
    assert isinstance(outcome, Executed)
    facts = outcome.facts
    assert (facts.ticket, facts.volume, facts.price) == (7, Decimal("0.10"), Decimal("1.08512"))
    assert (facts.sl, facts.tp) == (Decimal("1.08"), Decimal(0))
    assert (facts.symbol, facts.profit) == ("EURUSD", Decimal("-1.50"))
    assert (outcome.record, outcome.record_mac) == (record().text(), MAC)


def test_a_closes_price_is_its_closing_price() -> None:
    of = record(op="CLOSE")
    wanted = Wanted(acct=ACCT, rid=RID, kid=KID, op="CLOSE", order_hash=HASH)
    outcome = judge_word(word(of, close_price="9"), wanted)
    assert isinstance(outcome, Executed)
    assert outcome.facts.close_price == Decimal("1.08512")


def test_an_opens_word_keeps_the_close_price_it_gives() -> None:
    outcome = judge_word(word(close_price="0"), WANTED)
    assert isinstance(outcome, Executed)
    assert outcome.facts.close_price == 0


def test_a_rejection_and_a_denial_carry_their_code_and_record() -> None:
    no = judge_word(word(record(status="REJECTED", code="NO_MONEY"), retcode=134), WANTED)
    assert isinstance(no, Rejected)
    assert (no.code, no.facts.retcode) == (ReasonCode.NO_MONEY, 134)
    denied = judge_word(
        word(record(status="DENIED", code="MAX_VOLUME"), limit="0.01", value="1"), WANTED
    )
    assert isinstance(denied, NotBegun)
    assert denied.refusal[:3] == (ReasonCode.MAX_VOLUME, "0.01", "1")
    assert denied.record


def test_a_rid_it_never_saw_and_one_it_cannot_decide_yet() -> None:
    assert judge_word(Word(rid=RID, status="NOT_SEEN"), WANTED) == NotSeen()
    unknown = judge_word(Word(rid=RID, status="UNKNOWN", code="RECONCILING"), WANTED)
    assert isinstance(unknown, Lost)
    assert "RECONCILING" in unknown.cause


def test_an_unknown_beside_a_record_stays_unknown() -> None:
    assert isinstance(judge_word(word(status="UNKNOWN"), WANTED), Lost)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (word(rid="a" * 32), "rid"),
        (word(record="", mac="-"), "no record"),
        (word(record="EA_REC:5:rubbish"), "no record"),
        (word(record="é"), "no record"),
        (word(record(acct="other")), "acct"),
        (word(record(rid="a" * 32)), "rid"),
        (word(status="PARTIAL"), "status"),
        (word(code="STOPS_NOT_SET"), "code"),
        (word(mac="-"), "mac"),
        (word(mac="CD" * 32), "mac"),
        (word(record(order_hash=NO_ORDER_HASH)), "order_hash"),
        (word(record(order_hash="ef" * 32)), "order_hash"),
        (word(record(op="CLOSE")), "op"),
        (word(record(kid="nobody-1")), "kid"),
        (word(record(status="DONE")), "status"),
        (word(record(status="OK")), "status"),
        (word(record(status="PENDING")), "status"),
        (word(record(code="SOME_DAY")), "code"),
    ],
)
def test_a_word_that_does_not_fit_proves_nothing(told: Word, why: str) -> None:
    assert judge_word(told, WANTED) == Lie(why)


def test_a_word_about_an_operation_that_no_ea_runs_is_a_lie() -> None:
    wanted = Wanted(acct=ACCT, rid=RID, kid=KID, op="SETTLE", order_hash=HASH)
    assert judge_word(word(record(op="SETTLE", status="DONE")), wanted) == Lie("status")


def test_the_form_for_an_unseen_rid_is_believed_whoever_asked_for_it() -> None:
    of = record(
        op="FENCE", order_hash=NO_ORDER_HASH, status="DENIED", code="FENCED", kid="reduce-9"
    )
    outcome = judge_word(word(of), WANTED)
    assert isinstance(outcome, NotBegun)
    assert outcome.refusal.code is ReasonCode.FENCED


def test_of_a_rid_whose_bytes_were_never_here_any_hash_and_operation_is_taken() -> None:
    blind = Wanted(acct=ACCT, rid=RID, kid=KID, op="OPEN", order_hash="")
    of = record(op="CLOSE", order_hash="ef" * 32, kid="other-1")
    outcome = judge_word(word(of), blind)
    assert isinstance(outcome, Executed)
    assert outcome.status is Status.FILLED


def test_a_time_before_the_market_began_is_no_time() -> None:
    outcome = judge_word(word(market_ms=-5), WANTED)
    assert isinstance(outcome, Executed)
    assert outcome.facts.market_ms == 0


_STATUSES = ["FILLED", "PARTIAL", "WORKING", "DONE", "REJECTED", "DENIED"]


@given(
    st.sampled_from(["OPEN", "CLOSE", "MODIFY", "CANCEL", "FLATTEN", "RESUME"]),
    st.sampled_from(_STATUSES),
    st.sampled_from([HASH, NO_ORDER_HASH, "ef" * 32]),
)
def test_nothing_but_a_fitting_record_ever_executes_or_rejects(
    op: str, status: str, digest: str
) -> None:
    wanted = Wanted(acct=ACCT, rid=RID, kid=KID, op=op, order_hash=HASH)
    outcome = judge_word(word(record(op=op, status=status, order_hash=digest)), wanted)
    if isinstance(outcome, Executed | Rejected):
        assert digest == HASH
        assert outcome.record
    if isinstance(outcome, NotBegun):
        assert status == "DENIED"
        assert digest in (HASH, NO_ORDER_HASH)
