"""Admission: the first refusal of the table is given; stops pass; times to the millisecond."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Request, Stop
from bridge_core.protocol.operations import Op
from bridge_core.protocol.token import NO_INCARNATION
from bridge_core.risk.rates import Rates, TokenBuckets
from bridge_server.core.gate import judge, stops_only
from bridge_server.core.trading_state import Cause, Causes, TradingState
from tests.support.admission import (
    ENTRIES,
    REDUCERS,
    SETTLE_OPS,
    STOPS,
    halted,
    judged,
)
from tests.support.builders import (
    NOW,
    admit,
    conditions,
    modify_order,
    open_order,
    snapshot,
)

_C = ReasonCode
_TTL = 5_000


# --- precedence: the table of admission ------------------------------------------------------

# Each line: the code, how the request is bent, how the server is. In order of precedence.
_LINES: list[tuple[ReasonCode, dict[str, Any], dict[str, Any]]] = [
    (_C.STALE_INCARNATION, {"inc": "f" * 16}, {}),
    (_C.CLOCK, {}, {"clock_healthy": False}),
    (_C.TTL_TOO_LONG, {"ttl": _TTL + 1}, {}),
    (_C.NOT_YET_VALID, {"iat": NOW + 1_001}, {}),
    (_C.EXPIRED, {"iat": NOW - 10_001}, {}),
    (_C.BODY, {"body": b"{}"}, {}),
    (_C.DUPLICATE_ID, {}, {"id_taken": lambda _: True}),
    (_C.RATE, {}, {"buckets": TokenBuckets(Rates(entry_per_s=0, reduce_per_s=0))}),
    (_C.BUSY, {}, {"queue_full": True}),
    (_C.STOPPING, {}, {"stopping": True}),
    (_C.HALTED, {}, {"causes": halted(TradingState.HALTED, TradingState.REDUCE_ONLY)}),
    (_C.REDUCE_ONLY, {}, {"causes": halted(TradingState.REDUCE_ONLY)}),
    (_C.UNKNOWN_ORDER_OPEN, {}, {"causes": "unknown"}),
    (_C.BROKER_DOWN, {}, {"shot": snapshot(connected=False)}),
    (_C.SYMBOL_NOT_ALLOWED, {"body": open_order(symbol="USDJPY")}, {}),
]
_APART = {(_C.NOT_YET_VALID, _C.EXPIRED)}  # no request can be both


def _unknown() -> Causes:
    causes = Causes()
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="EURUSD")
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="USDJPY")
    return causes


def _bent(*lines: tuple[ReasonCode, dict[str, Any], dict[str, Any]]) -> ReasonCode | None:
    bend: dict[str, Any] = {}
    world: dict[str, Any] = {}
    for _, request, server in reversed(lines):  # where two bend one thing, the first wins
        bend |= request
        world |= server
    if world.get("causes") == "unknown":
        world["causes"] = _unknown()
    return judged(admit(Op.OPEN, bend.pop("body", open_order()), **bend), **world)


def test_the_lines_stand_in_the_order_of_the_codes() -> None:
    codes = [code for code, _, _ in _LINES]
    assert codes == [code for code in ReasonCode if code in codes]


@pytest.mark.parametrize("line", _LINES, ids=[str(code) for code, _, _ in _LINES])
def test_each_line_alone_gets_its_own_code(line: Any) -> None:
    assert _bent(line) is line[0]


_PAIRS = [
    (one, two) for one, two in itertools.combinations(_LINES, 2) if (one[0], two[0]) not in _APART
]


@pytest.mark.parametrize(
    ("first", "second"), _PAIRS, ids=[f"{one[0]}-{two[0]}" for one, two in _PAIRS]
)
def test_of_two_refusals_the_first_in_the_table_is_given(first: Any, second: Any) -> None:
    assert _bent(first, second) is first[0]


# --- the stop lane ---------------------------------------------------------------------------


@pytest.mark.parametrize("op", STOPS)
@pytest.mark.parametrize(
    ("bend", "world"),
    [
        ({"inc": "f" * 16}, {}),
        ({"inc": NO_INCARNATION}, {}),
        ({"iat": NOW - 86_400_000}, {}),
        ({"iat": NOW + 86_400_000}, {}),
        ({"ttl": 10_000}, {}),
        ({}, {"clock_healthy": False}),
        ({}, {"stopping": True, "queue_full": True}),
        ({}, {"causes": halted(TradingState.HALTED)}),
        ({}, {"buckets": TokenBuckets(Rates(entry_per_s=0, reduce_per_s=0, settle_per_s=0))}),
        ({}, {"snapshot": None, "picture": None}),
        ({}, {"shot": snapshot(connected=False)}),
    ],
    ids=["stale incarnation", "no incarnation", "old", "ahead", "long ttl", "clock", "stopping",
         "halted", "rate", "no data", "broker down"],
)  # fmt: skip
def test_nothing_keeps_a_stop_out(op: Op, bend: dict[str, Any], world: dict[str, Any]) -> None:
    verdict = judge(admit(op, Stop(reason="news"), **bend), conditions(**world))
    assert verdict == Stop(reason="news")


@pytest.mark.parametrize("op", STOPS)
@pytest.mark.parametrize("body", [b"", b"{}", b'{"reason":1}', b"\xff", b'{"reason": "x"}'])
def test_a_stop_whose_body_cannot_be_read_stops_without_a_reason(op: Op, body: bytes) -> None:
    assert judge(admit(op, body), conditions()) == Stop(reason="")


# --- incarnation -----------------------------------------------------------------------------

_NEEDS = [*REDUCERS, *ENTRIES, Op.RESUME, Op.SETTLE, Op.HEARTBEAT]


@pytest.mark.parametrize("op", _NEEDS)
@pytest.mark.parametrize("inc", ["f" * 16, NO_INCARNATION])
def test_a_stale_incarnation_never_runs(op: Op, inc: str) -> None:
    assert judged(admit(op, inc=inc)) is _C.STALE_INCARNATION


@pytest.mark.parametrize("op", sorted(set(Op) - set(_NEEDS)))
def test_what_only_asks_or_lowers_is_answered_under_any_incarnation(op: Op) -> None:
    assert judged(admit(op, inc="f" * 16)) is None


# --- time ------------------------------------------------------------------------------------

_FRESH = sorted(set(Op) - {Op.HELLO, Op.PING} - set(STOPS))


@pytest.mark.parametrize("op", _FRESH)
@pytest.mark.parametrize(
    ("bend", "code"),
    [
        ({"iat": NOW + 1_000}, None),
        ({"iat": NOW + 1_001}, _C.NOT_YET_VALID),
        ({"iat": NOW - _TTL + 1}, None),  # one ms before the deadline
        ({"iat": NOW - _TTL}, _C.EXPIRED),  # at the deadline is too late
        ({"iat": NOW - _TTL - 1}, _C.EXPIRED),
        ({"iat": NOW + 10 * 365 * 86_400_000}, _C.NOT_YET_VALID),
        ({"ttl": 200}, None),
        ({"ttl": 200, "iat": NOW - 199}, None),
        ({"ttl": 200, "iat": NOW - 200}, _C.EXPIRED),
        ({"ttl": 5_000}, None),
        ({"ttl": 5_001}, _C.TTL_TOO_LONG),
        ({"ttl": 10_000}, _C.TTL_TOO_LONG),
    ],
    ids=["ahead 1000", "ahead 1001", "last ms", "deadline", "past", "ten years", "ttl 200",
         "ttl 200 last ms", "ttl 200 deadline", "ttl 5000", "ttl 5001", "ttl 10000"],
)  # fmt: skip
def test_freshness_to_the_millisecond(
    op: Op, bend: dict[str, int], code: ReasonCode | None
) -> None:
    assert judged(admit(op, **bend)) is code


@pytest.mark.parametrize("op", [Op.HELLO, Op.PING])
@pytest.mark.parametrize("iat", [NOW - 86_400_000, NOW + 86_400_000])
def test_hello_and_ping_need_no_clock_since_their_reply_is_bound_to_the_rid(
    op: Op, iat: int
) -> None:
    assert judged(admit(op, iat=iat, ttl=10_000)) is None


def test_a_server_may_take_ten_seconds_if_it_says_so() -> None:
    assert judged(admit(Op.OPEN, open_order(), ttl=10_000), ttl_ms_max=10_000) is None


@pytest.mark.parametrize(
    ("bend", "refusal"),
    [
        ({"ttl": 5_001}, Refusal(_C.TTL_TOO_LONG, limit="5000", value="5001")),
        ({"iat": NOW + 1_500}, Refusal(_C.NOT_YET_VALID, limit="1000", value="1500")),
        ({"iat": NOW - 6_000}, Refusal(_C.EXPIRED, limit="5000", value="6000")),
    ],
    ids=["ttl", "ahead", "expired"],
)
def test_a_refusal_for_time_says_the_bound_and_the_value(
    bend: dict[str, int], refusal: Refusal
) -> None:
    assert judge(admit(Op.OPEN, open_order(), **bend), conditions()) == refusal


_STOPS_ONLY = modify_order(4711, sl="1.09000")
_NEW_PRICE = modify_order(4712, price="1.08000")


@pytest.mark.parametrize(
    ("op", "body"), [(Op.OPEN, open_order()), (Op.CHECK, open_order()), (Op.MODIFY, _NEW_PRICE)]
)
def test_a_bad_clock_refuses_entries_and_new_prices(op: Op, body: Request) -> None:
    assert judged(admit(op, body), clock_healthy=False) is _C.CLOCK


def test_a_bad_clock_lets_a_modify_of_stops_pass() -> None:
    assert judged(admit(Op.MODIFY, _STOPS_ONLY), clock_healthy=False) is None


def test_a_modify_that_cannot_be_read_does_not_pass_a_bad_clock_as_stops() -> None:
    assert judged(admit(Op.MODIFY, b"{}"), clock_healthy=False) is _C.CLOCK


@pytest.mark.parametrize("op", REDUCERS + SETTLE_OPS)
def test_a_bad_clock_keeps_nothing_else_out(op: Op) -> None:
    assert judged(admit(op), clock_healthy=False) is None


def test_stops_only_is_a_modify_that_sets_no_price() -> None:
    assert stops_only(_STOPS_ONLY)
    assert not stops_only(_NEW_PRICE)
