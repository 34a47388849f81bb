"""What a queued order meets at its turn, and how its outcome enters the state table."""

from __future__ import annotations

import pytest

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Modify, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server.core.orders import OrderEvent
from bridge_server.core.ports import Executed, Facts, Lost, NotBegun, Outcome, Rejected
from bridge_server.core.trading_state import Cause, Causes, TradingState
from bridge_server.flight import Flight, barred, event_of, facts_of
from tests.support.admission import halted
from tests.support.builders import (
    NOW,
    RID,
    cancel_order,
    close_order,
    key_set,
    modify_order,
    open_order,
    row,
    sign,
)

_C = ReasonCode
_R, _H = TradingState.REDUCE_ONLY, TradingState.HALTED


def _never(_flight: Flight) -> bool:
    return False


def _flight(body: Request, token: bytes = b"", symbol: str = "EURUSD") -> Flight:
    return Flight(
        row=row(token=token, symbol=symbol),
        body=body,
        frames=Frames(b"", b""),
        deadline=Deadline(NOW + 5_000, 0),
    )


def _signed(body: Modify) -> Flight:
    return _flight(body, token=sign(Op.MODIFY, body, key_set()).token)


def _code(body: Request, causes: Causes) -> ReasonCode | None:
    refusal = barred(_flight(body), causes, {}, _never)
    return refusal.code if refusal is not None else None


# --- at its turn -------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [open_order(), modify_order(), close_order(), cancel_order()])
def test_on_an_active_account_nothing_is_barred(body: Request) -> None:
    assert barred(_flight(body), Causes(), {}, _never) is None


@pytest.mark.parametrize("body", [close_order(), cancel_order()])
def test_a_queued_reduce_order_survives_a_halt(body: Request) -> None:
    assert _code(body, halted(_H)) is None


@pytest.mark.parametrize(
    "body", [open_order(), modify_order(sl="1.09000"), modify_order(price="1.09000")]
)
def test_a_queued_entry_does_not_survive_a_halt(body: Request) -> None:
    assert _code(body, halted(_H)) is _C.HALTED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (open_order(), _C.REDUCE_ONLY),
        (modify_order(price="1.09000"), _C.REDUCE_ONLY),
        (modify_order(sl="1.09000"), None),
        (modify_order(old_sl="1.09000", tp="1.20000"), _C.REDUCE_ONLY),
        (modify_order(tp="1.20000"), None),
    ],
    ids=["open", "price", "sl", "removes the sl", "tp"],
)
def test_reduce_only_bars_a_queued_order_as_it_would_a_new_one(
    body: Request, code: ReasonCode | None
) -> None:
    assert _code(body, halted(_R)) is code


def test_a_queued_entry_that_only_shrinks_the_position_survives_reduce_only_and_no_halt() -> None:
    assert barred(_flight(open_order()), halted(_R), {}, lambda _: True) is None
    assert barred(_flight(open_order()), halted(_H), {}, lambda _: True) == Refusal(_C.HALTED)
    assert barred(_flight(modify_order(price="1.09")), halted(_R), {}, lambda _: True) is not None


def test_a_queued_entry_does_not_run_once_an_order_of_its_symbol_is_unknown() -> None:
    causes = Causes()
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="EURUSD")
    refusal = barred(_flight(open_order()), causes, {}, _never)
    assert refusal == Refusal(_C.UNKNOWN_ORDER_OPEN, limit="UNKNOWN", value="EURUSD")
    assert barred(_flight(open_order(symbol="USDJPY"), symbol="USDJPY"), causes, {}, _never) is None
    assert barred(_flight(modify_order(sl="1.09000")), causes, {}, _never) is None


@pytest.mark.parametrize(("applied_ms", "superseded"), [(-1, False), (0, True), (1, True)])
def test_of_two_modifies_of_a_ticket_only_a_later_iat_follows_an_applied_one(
    applied_ms: int, *, superseded: bool
) -> None:
    flight = _signed(modify_order(11, sl="1.09000"))
    refusal = barred(flight, Causes(), {11: NOW + applied_ms}, _never)
    assert (refusal == Refusal(_C.SUPERSEDED, value=str(NOW))) == superseded
    assert barred(flight, Causes(), {12: NOW + 1}, _never) is None


# --- outcomes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (Executed(status=Status.FILLED, facts=Facts()), OrderEvent.FILL),
        (Executed(status=Status.PARTIAL, facts=Facts()), OrderEvent.PART),
        (Executed(status=Status.WORKING, facts=Facts()), OrderEvent.PLACE),
        (Executed(status=Status.DONE, facts=Facts()), OrderEvent.COMPLETE),
        (Rejected(code=_C.NO_MONEY), OrderEvent.REJECT),
        (NotBegun(refusal=Refusal(_C.CHANGED)), OrderEvent.REFUSE),
        (Lost(cause="TimeoutError"), OrderEvent.LOSE),
    ],
    ids=["filled", "partial", "working", "done", "rejected", "not begun", "lost"],
)
def test_each_outcome_is_one_event_of_the_state_table(outcome: Outcome, event: OrderEvent) -> None:
    assert event_of(outcome) is event


def test_the_record_keeps_the_facts_and_nothing_empty() -> None:
    assert facts_of(OrderView(rid=RID)) == {}
    view = OrderView(rid=RID, ticket=11, deal=5, volume="0.10", price="1.1", by="server")
    assert facts_of(view) == {
        "ticket": "11", "deal": "5", "volume": "0.10", "price": "1.1", "by": "server",
    }  # fmt: skip


def test_only_an_open_raises_the_exposure_of_its_symbol() -> None:
    assert _flight(open_order()).entry_symbol == "EURUSD"
    assert _flight(close_order()).entry_symbol == ""
