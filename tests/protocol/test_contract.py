"""The tables of the contract agree with each other: limits, codes, operations, errors, time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import errors, limits
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.operations import (
    EA_OPS,
    OPERATIONS,
    Lane,
    Op,
    Purpose,
    ReplayClass,
    Scope,
    granted,
)

# Lengths that the grammar itself fixes; every other bound is a row of the table.
GRAMMAR = {"PROTOCOL_VERSION", "RID_HEX", "INCARNATION_HEX", "MAC_HEX"}


def test_every_bound_is_in_the_printed_table_with_its_unit_and_reason() -> None:
    printed = {limit.value for limit in limits.LIMITS}
    bounds = {n: v for n, v in vars(limits).items() if n.isupper() and isinstance(v, int)}
    assert {name for name, value in bounds.items() if value not in printed} <= GRAMMAR
    assert len({limit.name for limit in limits.LIMITS}) == len(limits.LIMITS)
    assert all(limit.unit and limit.reason for limit in limits.LIMITS)


def test_replay_memory_outlives_every_message_it_must_refuse() -> None:
    life_s = (limits.TTL_MS_MAX + 2 * limits.CLOCK_SKEW_MS_MAX) / 1000
    assert life_s * limits.QUERIES_PER_SECOND <= limits.REPLAY_IDS_MAX


@pytest.mark.parametrize("code", ReasonCode)
def test_every_code_has_a_meaning_a_sender_a_retry_rule_and_a_fix(code: ReasonCode) -> None:
    info = CODES[code]
    assert all(info)
    assert code is ReasonCode.NONE or code.value == code.name
    assert info.meaning[-1] not in ".!"


def test_codes_and_table_have_the_same_order() -> None:
    assert list(CODES) == list(ReasonCode)
    assert all(len(code) <= 32 for code in [*ReasonCode, *Status])


def test_a_refusal_carries_the_numbers_behind_it() -> None:
    refusal = Refusal(ReasonCode.MAX_VOLUME, limit="0.10", value="1.00", headroom="0.04")
    assert (refusal.limit, refusal.value, refusal.headroom, refusal.nearest) == (
        "0.10", "1.00", "0.04", (),
    )  # fmt: skip


def test_only_orders_carry_risk_pass_and_are_journaled_on_arrival() -> None:
    risky = {op for op, spec in OPERATIONS.items() if spec.prefix == "RISK_PASS"}
    assert risky == {Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL, Op.FLATTEN}
    for op in risky:
        assert OPERATIONS[op].purpose is Purpose.ORDER_SRV
        assert OPERATIONS[op].replay is ReplayClass.JOURNAL
    assert all(spec.prefix in ("RISK_PASS", "AUTH_PASS") for spec in OPERATIONS.values())


def test_the_executor_verifies_whatever_could_move_money_or_its_own_state() -> None:
    assert {
        Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL, Op.FLATTEN, Op.FENCE, Op.HALT, Op.REDUCE_ONLY,
        Op.HEARTBEAT, Op.RESUME,
    } == EA_OPS  # fmt: skip


def test_lanes_and_replay_classes_are_those_of_the_admission_table() -> None:
    lanes = {lane: {op for op, spec in OPERATIONS.items() if spec.lane is lane} for lane in Lane}
    assert lanes[Lane.STOP] == {Op.HALT, Op.REDUCE_ONLY}
    assert lanes[Lane.REDUCE] == {Op.CLOSE, Op.CANCEL, Op.FLATTEN}
    assert lanes[Lane.ENTRY] == {Op.OPEN, Op.MODIFY, Op.CHECK}
    idempotent = {op for op, spec in OPERATIONS.items() if spec.replay is ReplayClass.IDEMPOTENT}
    assert idempotent == {Op.HALT, Op.REDUCE_ONLY, Op.FENCE}
    journal = {op for op, spec in OPERATIONS.items() if spec.replay is ReplayClass.JOURNAL}
    assert journal == {
        Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL, Op.FLATTEN, Op.RESUME, Op.SETTLE
    }  # fmt: skip


def test_no_scope_but_trade_opens_and_no_scope_but_operator_raises_the_state() -> None:
    for scope in Scope:
        assert (Op.OPEN in granted(scope)) is (scope is Scope.TRADE)
        assert (Op.RESUME in granted(scope)) is (scope is Scope.OPERATOR)


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n != "BridgeError"])
def test_every_error_carries_its_code_and_is_of_the_family(name: str) -> None:
    error = getattr(errors, name)("CODE", "key=value")
    assert isinstance(error, errors.BridgeError)
    assert (error.code, error.detail, str(error)) == ("CODE", "key=value", "CODE: key=value")
    assert str(errors.BridgeError("CODE")) == "CODE"


clocks = st.integers(0, 2**53)


@given(deadline=clocks, now=clocks, mono=clocks, later=clocks)
def test_a_wall_clock_set_back_never_lengthens_an_orders_life(
    deadline: int, now: int, mono: int, later: int
) -> None:
    limit = Deadline.at(deadline, now, mono)
    if limit.passed(now, mono):
        assert limit.remaining_ms(now, mono) == 0
    # Whatever the wall clock shows, the monotonic clock ends it after the same span.
    assert limit.passed(0, mono + max(0, deadline - now)) or deadline < now
    assert limit.remaining_ms(now - min(now, later), mono) <= max(0, deadline - now)


@pytest.mark.parametrize(
    ("wall", "mono", "passed", "remaining"),
    [(999, 49, False, 1), (1000, 49, True, 0), (999, 50, True, 0), (0, 50, True, 0),
     (2000, 0, True, 0), (900, 0, False, 50), (990, 45, False, 5)],
)  # fmt: skip
def test_at_the_deadline_is_too_late_and_the_nearer_clock_counts(
    wall: int, mono: int, passed: bool, remaining: int
) -> None:
    limit = Deadline.at(1000, 950, 0)
    assert limit == Deadline(1000, 50)
    assert limit.passed(wall, mono) is passed
    assert limit.remaining_ms(wall, mono) == remaining
