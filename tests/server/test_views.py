"""Domain to wire: what peers are shown of rows, outcomes and snapshots."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.messages import Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, decode_reply, encode_reply
from bridge_server import views
from bridge_server.core.orders import Evidence
from bridge_server.core.ports import Account, Executed, Facts, Lost, NotBegun, Outcome, Rejected
from tests.support.builders import (
    KID,
    NOW,
    RID,
    deal,
    open_order,
    pending,
    position,
    quote,
    snapshot,
    spec,
)
from tests.vectors.examples import BODIES

_OPEN = views.view_of_body(RID, "OPEN", KID, open_order(volume="0.20", comment="mine"), NOW)


# --- before anything happened ----------------------------------------------------------------


@pytest.mark.parametrize("op", [Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL, Op.FLATTEN])
def test_every_order_is_shown_with_its_own_id_and_client(op: Op) -> None:
    body: Any = BODIES[op]
    view = views.view_of_body(RID, op, KID, body, NOW)
    assert (view.client_order_id, view.client) == (body.client_order_id, "atlas")
    assert (view.rid, view.op, view.kid, view.status) == (RID, op, KID, "PENDING")
    assert not view.final


@pytest.mark.parametrize("body", [None, BODIES[Op.RESUME]], ids=["unreadable", "RESUME"])
def test_what_carries_no_order_is_shown_without_one(body: Request | None) -> None:
    view = views.view_of_body(RID, "RESUME", KID, body, NOW)
    assert (view.client_order_id, view.symbol, view.ticket) == ("", "", 0)


def test_a_request_shows_what_was_asked_and_not_what_happened() -> None:
    assert (_OPEN.requested_volume, _OPEN.volume) == ("0.20", "0")
    assert (_OPEN.symbol, _OPEN.type, _OPEN.comment) == ("EURUSD", "BUY", "mine")


# --- outcomes --------------------------------------------------------------------------------

_FACTS = Facts(
    ticket=11, deal=5, order=11, volume=Decimal("0.10"), price=Decimal("1.10010"),
    profit=Decimal("5.00"), swap=Decimal("-0.10"), commission=Decimal("-0.20"), retcode=10009,
    market_ms=NOW - 5, comment="at the broker",
)  # fmt: skip
_OUTCOMES: list[tuple[Outcome, Evidence, Status, ReasonCode, str]] = [
    (Executed(status=Status.FILLED, facts=_FACTS), Evidence.BROKER, Status.FILLED,
     ReasonCode.NONE, ""),
    (Rejected(code=ReasonCode.NO_MONEY, facts=Facts(retcode=10019)), Evidence.BROKER,
     Status.REJECTED, ReasonCode.NO_MONEY, "broker"),
    (NotBegun(refusal=Refusal(ReasonCode.PRICE_MOVED)), Evidence.BROKER, Status.DENIED,
     ReasonCode.PRICE_MOVED, "executor"),
    (NotBegun(refusal=Refusal(ReasonCode.EXPIRED)), Evidence.SERVER, Status.DENIED,
     ReasonCode.EXPIRED, "server"),
    (NotBegun(refusal=Refusal(ReasonCode.ABSENT)), Evidence.ABSENT, Status.DENIED,
     ReasonCode.ABSENT, "server"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "evidence", "status", "code", "by"),
    _OUTCOMES,
    ids=["filled", "rejected", "executor", "server", "absent"],
)
def test_an_outcome_says_what_why_who_and_how_it_is_known(
    outcome: Outcome, evidence: Evidence, status: Status, code: ReasonCode, by: str
) -> None:
    view = views.with_outcome(_OPEN, outcome, evidence, NOW + 9)
    assert (view.status, view.code, view.by, view.evidence) == (status, code, by, evidence)
    assert (view.final, view.ended_at) == (True, NOW + 9)


def test_a_lost_answer_is_unknown_and_not_final() -> None:
    view = views.with_outcome(_OPEN, Lost(cause="TimeoutError"), Evidence.BROKER, NOW + 9)
    assert (view.status, view.code, view.final) == ("UNKNOWN", "NO_ANSWER", False)
    assert (view.evidence, view.ended_at) == ("", 0)


def test_a_fill_tells_the_brokers_facts_beside_what_was_asked() -> None:
    view = views.with_outcome(
        _OPEN, Executed(status=Status.PARTIAL, facts=_FACTS), Evidence.BROKER, NOW
    )
    assert (view.requested_volume, view.volume, view.price) == ("0.20", "0.10", "1.10010")
    assert (view.net_profit, view.retcode, view.execution_time) == ("4.70", 10009, NOW - 5)
    assert (view.symbol, view.type, view.comment) == ("EURUSD", "BUY", "mine")


def test_facts_fill_what_the_request_did_not_name() -> None:
    bare = OrderView(rid=RID)
    facts = Facts(symbol="USDJPY", type="SELL", ticket=3, comment="at the broker")
    view = views.with_outcome(bare, Executed(status=Status.FILLED, facts=facts), Evidence.TAG, NOW)
    assert (view.symbol, view.type, view.ticket) == ("USDJPY", "SELL", 3)
    assert view.comment == "at the broker"


@pytest.mark.parametrize("status", [Status.FILLED, Status.PARTIAL, Status.DONE])
def test_only_a_working_order_has_a_life(status: Status) -> None:
    filled = views.with_outcome(_OPEN, Executed(status=status, facts=_FACTS), Evidence.EA, NOW)
    assert filled.life == ""
    resting = Executed(status=Status.WORKING, facts=_FACTS)
    assert views.with_outcome(_OPEN, resting, Evidence.EA, NOW).life == "WORKING"


@pytest.mark.parametrize(
    "outcome",
    [
        Executed(status=Status.FILLED, facts=_FACTS, record=b"EA_REC", record_mac="c" * 64),
        Rejected(code=ReasonCode.NO_MONEY, record=b"EA_REC", record_mac="c" * 64),
        NotBegun(refusal=Refusal(ReasonCode.EXPIRED), record=b"EA_REC", record_mac="c" * 64),
    ],
    ids=["executed", "rejected", "not begun"],
)
def test_the_eas_word_is_passed_on_byte_for_byte(outcome: Outcome) -> None:
    view = views.with_outcome(_OPEN, outcome, Evidence.EA, NOW)
    assert (view.ea, view.ea_mac) == ("EA_REC", "c" * 64)


def test_a_refusal_carries_its_numbers() -> None:
    refusal = Refusal(ReasonCode.VOLUME_GRID, limit="0.01", value="0.105", nearest=("0.10", "0.11"))
    view = views.with_refusal(_OPEN, refusal, "server", NOW)
    assert (view.status, view.code, view.by) == ("DENIED", "VOLUME_GRID", "server")
    assert (view.limit, view.value, view.nearest) == ("0.01", "0.105", ["0.10", "0.11"])
    assert view.final
    assert decode_reply(OrderView, encode_reply(view)) == view


# --- the account -----------------------------------------------------------------------------


def test_the_account_is_shown_with_its_identity_and_its_times() -> None:
    view = views.account_view(snapshot(market_ms=NOW - 5), "paper")
    assert (view.login, view.server, view.kind, view.mode) == (1, "ztb-paper", "paper", "paper")
    assert (view.balance, view.margin_level) == ("10000", "")
    assert (view.time, view.market_time) == (NOW, NOW - 5)


def test_a_margin_level_is_shown_in_hundredths_of_a_percent() -> None:
    money = Account(
        balance=Decimal(1), equity=Decimal(1), margin=Decimal(3), free_margin=Decimal(-2),
        profit=Decimal(0), margin_level=Decimal(100) / 3,
    )  # fmt: skip
    view = views.account_view(snapshot(account=money), "paper")
    assert (view.margin_level, view.free_margin) == ("33.33", "-2")


def test_a_position_of_ours_says_whose_order_it_was() -> None:
    opener = OrderView(rid=RID, client_order_id="atlas-17", strategy=7, comment="mine")
    view = views.position_view(position(comment="ZABC"), opener)
    assert (view.origin, view.rid, view.client_order_id) == ("ours", RID, "atlas-17")
    assert (view.strategy, view.comment) == (7, "mine")


def test_a_position_that_we_did_not_open_is_foreign() -> None:
    view = views.position_view(position(comment="by hand"), None)
    assert (view.origin, view.rid, view.comment) == ("foreign", "", "by hand")


def test_a_pending_order_says_the_same() -> None:
    opener = OrderView(rid=RID, client_order_id="atlas-18")
    ours = views.pending_view(pending(comment="ZABC", expiration_ms=NOW), opener)
    assert (ours.origin, ours.comment, ours.expiration) == ("ours", "ZABC", NOW)
    assert views.pending_view(pending(), None).origin == "foreign"


def test_rows_of_the_market_are_shown_as_they_are() -> None:
    assert views.quote_view(quote()).ask == "1.10010"
    assert views.symbol_view(spec(), allowed=False).allowed is False
    shown = views.deal_view(deal(5, "OUT", profit=Decimal("-1.50"), reason="SL"))
    assert (shown.deal, shown.entry, shown.profit, shown.reason) == (5, "OUT", "-1.50", "SL")
    assert views.identity_view(snapshot().identity).margin_mode == "hedging"


@given(st.decimals(-(10**12), 10**12, places=8))
def test_every_amount_is_told_as_a_plain_decimal(amount: Decimal) -> None:
    facts = msgspec.structs.replace(_FACTS, profit=amount, swap=Decimal(0), commission=Decimal(0))
    view = views.with_outcome(
        _OPEN, Executed(status=Status.FILLED, facts=facts), Evidence.BROKER, NOW
    )
    assert "E" not in view.profit.upper()
    assert Decimal(view.profit) == Decimal(view.net_profit) == amount
