"""What each lane asks of a request: its body, its load, the trading state, the risk checks."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import structs

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Close, Modify, Open
from bridge_core.protocol.operations import OPERATIONS, Lane, Op
from bridge_core.risk.rates import Rates, TokenBuckets
from bridge_server.core.gate import judge
from bridge_server.core.trading_state import Cause, Causes, TradingState
from tests.support.admission import (
    ENTRIES,
    REDUCERS,
    SETTLE_OPS,
    SHOT,
    STOPS,
    code_of,
    halted,
    judged,
)
from tests.support.builders import (
    NOW,
    admit,
    close_order,
    conditions,
    flying,
    key_set,
    limits_of,
    modify_order,
    open_order,
    pending,
    picture,
    position,
    snapshot,
)
from tests.vectors.examples import BODIES

_C = ReasonCode
_STOPS_ONLY = modify_order(4711, sl="1.09000")
_NEW_PRICE = modify_order(4712, price="1.08000")


# --- bodies and ids --------------------------------------------------------------------------

_BODIED = sorted(set(Op) - set(STOPS))


@pytest.mark.parametrize("op", _BODIED)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"a":1}'])
def test_a_body_that_is_not_what_the_operation_asks_for_is_refused(op: Op, body: bytes) -> None:
    assert judged(admit(op, body)) is _C.BODY


def test_the_body_comes_back_parsed() -> None:
    body = open_order(volume="0.20")
    assert judge(admit(Op.OPEN, body), conditions()) == body


@pytest.mark.parametrize("op", [Op.OPEN, Op.MODIFY, *REDUCERS])
def test_a_taken_client_order_id_is_told_back(op: Op) -> None:
    wanted = BODIES[op].client_order_id  # type: ignore[attr-defined]
    verdict = judge(admit(op), conditions(SHOT, id_taken=lambda name: name == wanted))
    assert verdict == Refusal(_C.DUPLICATE_ID, value=wanted)


@pytest.mark.parametrize("op", [*SETTLE_OPS, Op.CHECK])
def test_what_uses_up_no_client_order_id_cannot_have_a_taken_one(op: Op) -> None:
    assert judged(admit(op), id_taken=lambda _: True) is None


# --- load ------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", sorted(set(Op) - set(STOPS)))
def test_each_lane_is_charged_its_own_bucket(op: Op) -> None:
    lane = OPERATIONS[op].lane
    shut = {
        Lane.ENTRY: Rates(entry_per_s=0), Lane.REDUCE: Rates(reduce_per_s=0),
        Lane.SETTLE: Rates(settle_per_s=0),
    }  # fmt: skip
    for bucket, rates in shut.items():
        wanted = _C.RATE if bucket is lane else None
        assert judged(admit(op), buckets=TokenBuckets(rates)) is wanted


def test_one_key_cannot_use_up_anothers_rate() -> None:
    buckets = TokenBuckets(Rates(entry_per_s=1))
    at = conditions(buckets=buckets)
    first = admit(Op.OPEN, open_order())
    other = admit(Op.OPEN, open_order(), key_set(kid="other"), kid="other")
    assert [code_of(judge(first, at)) for _ in range(3)] == [None, None, _C.RATE]
    assert code_of(judge(other, at)) is None


@pytest.mark.parametrize("op", [*REDUCERS, *ENTRIES])
def test_a_full_queue_and_a_stopping_server_take_no_orders(op: Op) -> None:
    busy = judge(admit(op), conditions(SHOT, queue_full=True))
    assert busy == Refusal(_C.BUSY, limit=str(limits.WORKER_QUEUE_MAX))
    assert judged(admit(op), stopping=True) is _C.STOPPING


@pytest.mark.parametrize("op", SETTLE_OPS)
def test_a_full_queue_and_a_stopping_server_still_answer(op: Op) -> None:
    assert judged(admit(op), queue_full=True, stopping=True) is None


# --- trading state ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", [TradingState.REDUCE_ONLY, TradingState.HALTED])
@pytest.mark.parametrize("op", [*REDUCERS, *SETTLE_OPS])
def test_no_trading_state_refuses_what_reduces_or_asks(op: Op, state: TradingState) -> None:
    assert judged(admit(op), causes=halted(state)) is None


@pytest.mark.parametrize("op", [Op.OPEN, Op.CHECK])
def test_a_halt_refuses_entries_and_names_its_causes(op: Op) -> None:
    verdict = judge(admit(op), conditions(causes=halted(TradingState.HALTED)))
    assert verdict == Refusal(_C.HALTED, limit="OPERATOR")


def test_a_halt_refuses_every_modify() -> None:
    causes = halted(TradingState.HALTED)
    assert judged(admit(Op.MODIFY, _STOPS_ONLY), causes=causes) is _C.HALTED
    assert judged(admit(Op.MODIFY, _NEW_PRICE), causes=causes) is _C.HALTED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (modify_order(4711, sl="1.09000"), None),
        (modify_order(4711, sl="1.09000", old_sl="1.08000"), None),
        (modify_order(4711, sl="1.07000", old_sl="1.08000"), None),
        (modify_order(4711, tp="1.20000"), None),
        (modify_order(4711, tp="1.20000", old_sl="1.08000"), _C.REDUCE_ONLY),
        (modify_order(4711, sl="0.00", old_sl="1.08000"), _C.REDUCE_ONLY),
        (modify_order(4712, price="1.08000"), _C.REDUCE_ONLY),
        (modify_order(4712, price="1.08000", sl="1.07000"), _C.REDUCE_ONLY),
    ],
    ids=["new sl", "nearer sl", "wider sl", "tp", "removes sl", "removes sl as 0.00", "price",
         "price and sl"],
)  # fmt: skip
def test_reduce_only_lets_stops_change_unless_an_sl_is_taken_away(
    body: Modify, code: ReasonCode | None
) -> None:
    assert judged(admit(Op.MODIFY, body), causes=halted(TradingState.REDUCE_ONLY)) is code


def test_reduce_only_trusts_the_terminal_and_not_the_message_about_the_old_sl() -> None:
    shot = snapshot([position(4711, sl=Decimal("1.08000"))], [pending(4712, sl=Decimal("1.08000"))])
    for ticket in (4711, 4712):
        lying = modify_order(ticket, old_sl="0", tp="1.20000")
        causes = halted(TradingState.REDUCE_ONLY)
        assert judged(admit(Op.MODIFY, lying), shot=shot, causes=causes) is _C.REDUCE_ONLY


def test_an_unknown_order_closes_its_symbol_to_entries_and_no_other() -> None:
    causes = Causes()
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="EURUSD")
    refusal = judge(admit(Op.OPEN, open_order()), conditions(causes=causes))
    assert refusal == Refusal(_C.UNKNOWN_ORDER_OPEN, limit="UNKNOWN", value="EURUSD")
    other = open_order(symbol="USDJPY")
    assert judged(admit(Op.OPEN, other), causes=causes) is _C.SYMBOL_NOT_ALLOWED
    assert judged(admit(Op.MODIFY, _NEW_PRICE), causes=causes) is _C.UNKNOWN_ORDER_OPEN
    assert judged(admit(Op.MODIFY, _STOPS_ONLY), causes=causes) is None
    assert judged(admit(Op.CLOSE), causes=causes) is None


def test_the_refusal_names_the_accounts_causes_and_the_symbols_own() -> None:
    causes = halted(TradingState.REDUCE_ONLY)
    causes.raise_cause(Cause.UNKNOWN, NOW + 1, symbol="EURUSD")
    causes.raise_cause(Cause.UNKNOWN, NOW + 2, symbol="USDJPY")
    refusal = judge(admit(Op.OPEN, open_order()), conditions(causes=causes))
    assert refusal == Refusal(_C.REDUCE_ONLY, limit="OPERATOR,UNKNOWN")


def test_a_modify_of_an_unknown_ticket_is_judged_by_the_accounts_state() -> None:
    causes = Causes()
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="EURUSD")
    assert judged(admit(Op.MODIFY, modify_order(99)), causes=causes) is _C.TICKET_UNKNOWN
    lowered = {"causes": halted(TradingState.REDUCE_ONLY), "snapshot": None, "picture": None}
    assert judged(admit(Op.MODIFY, modify_order(99)), **lowered) is _C.BROKER_DOWN


@pytest.mark.parametrize(
    ("held", "order", "code"),
    [
        ("1.00", ("SELL", "0.40"), None),
        ("1.00", ("SELL", "1.00"), None),
        ("1.00", ("SELL", "1.01"), _C.REDUCE_ONLY),  # flips
        ("1.00", ("SELL", "10.00"), _C.REDUCE_ONLY),
        ("1.00", ("BUY", "0.01"), _C.REDUCE_ONLY),
        ("0.50", ("BUY", "0.01"), _C.REDUCE_ONLY),
        ("-0.50", ("SELL", "0.01"), _C.REDUCE_ONLY),
        ("-1.00", ("BUY", "1.00"), None),
        ("-1.00", ("BUY", "1.01"), _C.REDUCE_ONLY),
        ("-1.00", ("SELL", "0.01"), _C.REDUCE_ONLY),
        ("0", ("SELL", "0.01"), _C.REDUCE_ONLY),
        ("1.00", ("SELL_LIMIT", "0.40"), _C.REDUCE_ONLY),  # rests: what it meets nobody knows
    ],
)
def test_on_a_netting_account_reduce_only_takes_what_makes_the_position_smaller(
    held: str, order: tuple[str, str], code: ReasonCode | None
) -> None:
    volume = Decimal(held)
    mine = [position(1, "BUY" if volume > 0 else "SELL", volume=abs(volume))] if volume else []
    shot = snapshot(
        [*mine, position(2, symbol="USDJPY", volume=Decimal(50))], margin_mode="netting"
    )
    wide = limits_of(max_volume=Decimal(100), max_positions=9)
    at = picture(shot, limits={"EURUSD": wide})
    body = open_order(*order, price="1.20000" if "LIMIT" in order[0] else "0")
    causes = halted(TradingState.REDUCE_ONLY)
    assert judged(admit(Op.OPEN, body), shot=shot, picture=at, causes=causes) is code


def test_two_orders_that_each_reduce_and_jointly_flip_do_not_both_pass() -> None:
    shot = snapshot([position()], margin_mode="netting")
    at = picture(shot, flying=(flying(type="SELL"),))
    order = admit(Op.OPEN, open_order("SELL", "0.10"))
    causes = halted(TradingState.REDUCE_ONLY)
    assert judged(order, shot=shot, causes=causes) is None
    assert judged(order, shot=shot, picture=at, causes=causes) is _C.REDUCE_ONLY


def test_on_a_hedging_account_an_opposite_order_is_an_entry() -> None:
    order = admit(Op.OPEN, open_order("SELL", "0.10"))
    shot = snapshot([position()])
    causes = halted(TradingState.REDUCE_ONLY)
    assert judged(order, shot=shot, causes=causes) is _C.REDUCE_ONLY


def test_without_data_nothing_is_known_to_be_smaller() -> None:
    causes = halted(TradingState.REDUCE_ONLY)
    order = admit(Op.OPEN, open_order("SELL", "0.10"))
    netting = snapshot([position()], margin_mode="netting")
    assert judged(order, causes=causes, snapshot=None, picture=None) is _C.REDUCE_ONLY
    assert judged(order, shot=netting, picture=None, causes=causes) is _C.REDUCE_ONLY


# --- risk ------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [*REDUCERS, *ENTRIES])
def test_without_a_broker_no_order_is_judged(op: Op) -> None:
    assert judged(admit(op), shot=snapshot(connected=False)) is _C.BROKER_DOWN
    assert judged(admit(op), picture=None) is _C.BROKER_DOWN
    assert judged(admit(op), snapshot=None) is _C.BROKER_DOWN


@pytest.mark.parametrize("op", SETTLE_OPS)
def test_without_a_broker_every_question_is_still_answered(op: Op) -> None:
    assert judged(admit(op), snapshot=None, picture=None) is None


@pytest.mark.parametrize("op", [Op.OPEN, Op.CHECK])
def test_check_gets_the_answer_that_open_would_get(op: Op) -> None:
    assert judged(admit(op, open_order(volume="9.00"))) is _C.MAX_VOLUME


def test_a_close_of_a_foreign_symbols_ticket_is_told_as_unknown() -> None:
    body: Close = close_order(4711, symbol="USDJPY")
    assert judged(admit(Op.CLOSE, body)) is _C.TICKET_UNKNOWN


def test_a_flatten_carries_no_order_of_its_own_and_passes() -> None:
    assert judged(admit(Op.FLATTEN), picture=picture(SHOT, limits={}, allowed=frozenset())) is None


def test_an_open_that_is_refused_is_no_body() -> None:
    verdict = judge(admit(Op.OPEN, open_order(volume="9.00")), conditions())
    assert isinstance(verdict, Refusal)
    assert not isinstance(verdict, Open)


@pytest.mark.parametrize("cause", [Cause.EA_STALE, Cause.BROKER_LINK])
def test_while_the_terminal_is_away_an_entry_is_told_so_and_not_that_the_state_is_lowered(
    cause: Cause,
) -> None:
    causes = Causes()
    causes.raise_cause(cause, NOW)
    away = conditions(snapshot(connected=False, note="log in"), causes=causes)
    refusal = judge(admit(Op.OPEN, open_order()), away)
    assert refusal == Refusal(ReasonCode.BROKER_DOWN, limit=cause, value="log in")
    back = conditions(causes=causes)  # it is there again, and the cause lingers
    refusal = judge(admit(Op.OPEN, open_order()), back)
    assert isinstance(refusal, Refusal)
    assert refusal.code is ReasonCode.REDUCE_ONLY
    nothing = conditions(causes=causes, picture=None)
    nothing = structs.replace(nothing, snapshot=None)
    refusal = judge(admit(Op.OPEN, open_order()), nothing)
    assert isinstance(refusal, Refusal)
    assert refusal.code is ReasonCode.BROKER_DOWN


def test_another_cause_beside_it_is_what_an_entry_is_told() -> None:
    causes = Causes()
    causes.raise_cause(Cause.EA_STALE, NOW)
    causes.raise_cause(Cause.CLOCK, NOW)
    away = conditions(snapshot(connected=False), causes=causes)
    refusal = judge(admit(Op.OPEN, open_order()), away)
    assert isinstance(refusal, Refusal)
    assert refusal.code is ReasonCode.REDUCE_ONLY
