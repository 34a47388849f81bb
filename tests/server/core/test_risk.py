"""Every pre-trade check but those of prices, at its limit, one step beyond it, without its data."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Request, Stop
from bridge_core.risk.controls import CONTROLS, checks_of
from bridge_core.risk.policy import SymbolLimits
from bridge_server.core.ports import Snapshot
from bridge_server.core.risk import CHECKS, first_refusal, propose
from tests.support.builders import (
    NOW,
    cancel_order,
    close_order,
    flying,
    limits_of,
    modify_order,
    open_order,
    pending,
    picture,
    position,
    snapshot,
    spec,
)

_C = ReasonCode
_NAN = Decimal("NaN")


def _judge(body: Request, shot: Snapshot | None = None, **over: Any) -> Refusal | None:
    shot = shot if shot is not None else snapshot()
    proposal = propose(body, shot)
    assert proposal is not None
    return first_refusal(proposal, picture(shot, **over))


def _code(body: Request, shot: Snapshot | None = None, **over: Any) -> ReasonCode | None:
    refusal = _judge(body, shot, **over)
    return refusal.code if refusal is not None else None


# --- the list --------------------------------------------------------------------------------


def test_the_list_is_the_servers_of_the_shared_table_in_the_order_of_the_codes() -> None:
    assert checks_of("S") == CHECKS
    codes = [one.code for one in CONTROLS if one.check is not None and "S" in one.sides]
    assert codes == sorted(codes, key=list(ReasonCode).index)
    assert len(codes) == len(CHECKS)


# What each check minds, as one change to an order that passes all others; in order of precedence.
_PENDING = {"type": "BUY_LIMIT", "price": "1.09000"}
_FAULTS: list[tuple[ReasonCode, dict[str, Any], dict[str, Any]]] = [
    (_C.SYMBOL_NOT_ALLOWED, {}, {"allowed": frozenset()}),
    (_C.SYMBOL_UNKNOWN, {}, {"symbols": {}}),
    (_C.NO_LIMIT, {}, {"limits": {}}),
    (_C.VOLUME_GRID, {"volume": "0.105"}, {}),
    (_C.MAX_VOLUME, {"volume": "0.51"}, {}),
    (_C.MAX_POSITIONS, {}, {"flying": (flying(),) * 3}),
    (_C.MAX_ORDERS, {}, {"limits": {"EURUSD": limits_of(max_orders=0)}}),
    (_C.MAX_DEVIATION, {"deviation": 21}, {"limits": {"EURUSD": limits_of(max_deviation=20)}}),
    (_C.NO_QUOTE, {}, {"quotes": {}}),
    (_C.PRICE_GRID, {"price": "1.090001"}, {}),
    (_C.PRICE_SIDE, {"price": "1.20000"}, {}),
    (_C.STOPS_SIDE, {"sl": "1.19000", "price": "1.09000"}, {}),
    (_C.STOPS_LEVEL, {"price": "1.10009"}, {"symbols": {"EURUSD": spec(stops_level=10)}}),
    (_C.EXPIRATION, {"expiration": NOW}, {}),
]


def _faulty(*faults: tuple[ReasonCode, dict[str, Any], dict[str, Any]]) -> ReasonCode | None:
    fields: dict[str, Any] = {**_PENDING}
    world: dict[str, Any] = {}
    for _, order, around in faults:
        fields |= order
        world |= around
    shot = snapshot(**{name: world.pop(name) for name in ("symbols", "quotes") if name in world})
    return _code(open_order(**fields), shot, **world)


def test_an_order_within_every_limit_passes() -> None:
    assert _faulty() is None


@pytest.mark.parametrize("fault", _FAULTS, ids=[str(code) for code, _, _ in _FAULTS])
def test_each_fault_alone_gets_its_own_code(
    fault: tuple[ReasonCode, dict[str, Any], dict[str, Any]],
) -> None:
    assert _faulty(fault) is fault[0]


# Two faults that are one field, or of which the second cannot be seen without what the first lacks.
_APART = {
    (_C.NO_LIMIT, _C.MAX_ORDERS), (_C.NO_LIMIT, _C.MAX_DEVIATION),
    (_C.VOLUME_GRID, _C.MAX_VOLUME), (_C.MAX_ORDERS, _C.MAX_DEVIATION),
    (_C.PRICE_GRID, _C.PRICE_SIDE), (_C.PRICE_GRID, _C.STOPS_SIDE),
    (_C.PRICE_GRID, _C.STOPS_LEVEL), (_C.PRICE_SIDE, _C.STOPS_SIDE),
    (_C.PRICE_SIDE, _C.STOPS_LEVEL), (_C.SYMBOL_UNKNOWN, _C.STOPS_LEVEL),
}  # fmt: skip
_PAIRS = [
    (first, second)
    for first, second in itertools.combinations(_FAULTS, 2)
    if (first[0], second[0]) not in _APART
]


@pytest.mark.parametrize(
    ("first", "second"), _PAIRS, ids=[f"{one[0]}-{two[0]}" for one, two in _PAIRS]
)
def test_of_two_faults_the_first_in_the_list_is_told(first: Any, second: Any) -> None:
    assert _faulty(first, second) is first[0]


def test_a_price_on_the_wrong_side_is_told_before_a_stop_on_the_wrong_side() -> None:
    order = open_order("BUY_LIMIT", price="1.20000", sl="1.21000")
    assert _code(order) is _C.PRICE_SIDE


def test_an_off_grid_price_is_told_before_its_wrong_side() -> None:
    assert _code(open_order("BUY_LIMIT", price="1.200001", sl="1.21000")) is _C.PRICE_GRID


def test_a_stop_on_the_wrong_side_is_told_before_another_that_is_too_near() -> None:
    shot = snapshot(symbols={"EURUSD": spec(stops_level=10)})
    assert _code(open_order(sl="1.09995", tp="1.05000"), shot) is _C.STOPS_SIDE


def test_an_off_grid_volume_is_told_before_max_volume() -> None:
    assert _code(open_order(volume="0.555")) is _C.VOLUME_GRID


def test_an_operation_without_an_order_has_no_proposal() -> None:
    assert propose(Stop(reason=""), snapshot()) is None


# --- symbols and limits ----------------------------------------------------------------------


def test_a_symbol_in_another_spelling_is_not_allowed() -> None:
    refusal = _judge(open_order(symbol="eurusd"))
    assert refusal == Refusal(_C.SYMBOL_NOT_ALLOWED, value="eurusd")


def test_an_allowed_symbol_that_the_broker_does_not_list_is_unknown() -> None:
    assert _code(open_order(), snapshot(symbols={})) is _C.SYMBOL_UNKNOWN


@pytest.mark.parametrize("grid", ["point", "volume_step", "volume_min", "volume_max"])
@pytest.mark.parametrize("value", [Decimal(0), Decimal(-1), _NAN, Decimal("Infinity")])
def test_a_symbol_whose_grid_the_broker_does_not_tell_is_unknown(grid: str, value: Decimal) -> None:
    # A terminal answers 0 for a symbol whose data it has not loaded yet.
    shot = snapshot(symbols={"EURUSD": spec("EURUSD", **{grid: value})})
    assert _code(open_order(), shot) is _C.SYMBOL_UNKNOWN


def test_a_symbol_without_limits_takes_no_entry() -> None:
    refusal = _judge(open_order(), limits={})
    assert refusal is not None
    assert (refusal.code, refusal.limit) == (_C.NO_LIMIT, "[limits.EURUSD] max_volume = 0.01")


def test_a_symbol_without_limits_can_be_closed_and_protected() -> None:
    shot = snapshot([position()])
    assert _judge(close_order(volume="0.05"), shot, limits={}, allowed=frozenset()) is None
    assert _judge(modify_order(sl="1.09000"), shot, limits={}, allowed=frozenset()) is None


@pytest.mark.parametrize("volume", [Decimal(0), Decimal(-1), _NAN, Decimal("Infinity")])
def test_a_max_volume_that_is_no_number_of_lots_is_refused_at_the_start(volume: Decimal) -> None:
    with pytest.raises(ValueError, match="max_volume"):
        limits_of(max_volume=volume)


def test_a_limit_of_zero_is_a_limit() -> None:
    assert SymbolLimits(max_volume=Decimal("0.01"), max_positions=0).max_positions == 0
    assert _code(open_order(), limits={"EURUSD": limits_of(max_positions=0)}) is _C.MAX_POSITIONS


# --- tickets ---------------------------------------------------------------------------------

_BOTH = snapshot([position(11)], [pending(22)])


@pytest.mark.parametrize(
    "body",
    [close_order(11), modify_order(11), modify_order(22), cancel_order(22)],
    ids=["close", "modify position", "modify order", "cancel"],
)
def test_what_is_open_may_be_closed_modified_and_cancelled(body: Request) -> None:
    assert _judge(body, _BOTH) is None


@pytest.mark.parametrize(
    "body",
    [close_order(99), close_order(22), modify_order(99), cancel_order(99), cancel_order(11)],
    ids=["close", "close of an order", "modify", "cancel", "cancel of a position"],
)
def test_a_ticket_that_is_not_open_as_such_is_unknown(body: Any) -> None:
    assert _judge(body, _BOTH) == Refusal(_C.TICKET_UNKNOWN, value=str(body.ticket))


def test_a_close_that_names_another_symbol_than_its_ticket_is_refused() -> None:
    shot = snapshot([position()], symbols={"EURUSD": spec(), "USDJPY": spec("USDJPY")})
    assert _code(close_order(symbol="USDJPY"), shot) is _C.TICKET_UNKNOWN


def test_an_unknown_symbol_is_told_before_an_unknown_ticket() -> None:
    assert _code(close_order(99, "0.05", symbol="XAUUSD"), _BOTH) is _C.SYMBOL_UNKNOWN


def test_all_of_a_position_can_be_closed_without_any_data_of_its_symbol() -> None:
    shot = snapshot([position()], symbols={}, quotes={})
    assert _judge(close_order(volume="0"), shot) is None
    assert _code(close_order(volume="0.05"), shot) is _C.SYMBOL_UNKNOWN


def test_a_pending_order_can_be_cancelled_without_any_data_of_its_symbol() -> None:
    assert _judge(cancel_order(), snapshot((), [pending()], symbols={}, quotes={})) is None


# --- volume ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volume", "code"),
    [("0.49", None), ("0.50", None), ("0.51", _C.MAX_VOLUME)],
)
def test_max_volume_to_the_step(volume: str, code: ReasonCode | None) -> None:
    assert _code(open_order(volume=volume)) is code


def test_max_volume_says_limit_value_and_headroom() -> None:
    refusal = _judge(open_order(volume="1.00"))
    assert refusal == Refusal(_C.MAX_VOLUME, limit="0.50", value="1.00", headroom="0.50")


@pytest.mark.parametrize(
    ("volume", "bound"),
    [("0", "0.01"), ("0.00", "0.01"), ("0.005", "0.01"), ("100.01", "100"), ("100.005", "100")],
)
def test_a_volume_outside_the_brokers_bounds_is_told_the_bound(volume: str, bound: str) -> None:
    wide = {"EURUSD": limits_of(max_volume=Decimal(1_000))}
    refusal = _judge(open_order(volume=volume), limits=wide)
    assert refusal == Refusal(_C.VOLUME_GRID, limit=bound, value=volume, nearest=(bound,))


@pytest.mark.parametrize("volume", ["0.01", "100", "100.00", "0.010"])
def test_the_brokers_bounds_themselves_pass(volume: str) -> None:
    assert (
        _judge(open_order(volume=volume), limits={"EURUSD": limits_of(max_volume=Decimal(100))})
        is None
    )


def test_an_off_grid_volume_is_told_the_two_nearest() -> None:
    refusal = _judge(open_order(volume="0.105"))
    assert refusal == Refusal(_C.VOLUME_GRID, limit="0.01", value="0.105", nearest=("0.10", "0.11"))


@given(st.decimals("0.01", "100", places=8))
def test_no_off_grid_volume_is_ever_accepted_or_rounded(volume: Decimal) -> None:
    wide = {"EURUSD": limits_of(max_volume=Decimal(100))}
    refusal = _judge(open_order(volume=format(volume, "f")), limits=wide)
    if volume * 100 == int(volume * 100):
        assert refusal is None
    else:
        assert refusal is not None
        below, above = (Decimal(near) for near in refusal.nearest)
        assert below < volume < above
        assert above - below == Decimal("0.01")
        assert all(_judge(open_order(volume=near), limits=wide) is None for near in refusal.nearest)


@pytest.mark.parametrize(
    ("volume", "code"),
    [("0", None), ("0.01", None), ("0.10", None), ("0.11", _C.VOLUME_GRID),
     ("0.055", _C.VOLUME_GRID), ("0.009", _C.VOLUME_GRID)],
)  # fmt: skip
def test_a_close_takes_at_most_the_position_and_on_the_step(
    volume: str, code: ReasonCode | None
) -> None:
    assert _code(close_order(volume=volume), snapshot([position()])) is code


def test_a_close_is_bounded_by_the_brokers_largest_volume_too() -> None:
    shot = snapshot([position(volume=Decimal(150))])
    assert _code(close_order(volume="100.00"), shot) is None
    assert _code(close_order(volume="100.01"), shot) is _C.VOLUME_GRID


def test_a_close_above_max_volume_passes_since_it_reduces() -> None:
    shot = snapshot([position(volume=Decimal(5))])
    assert _judge(close_order(volume="5.00"), shot) is None


# --- counts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positions", "orders", "in_flight", "code"),
    [(2, 0, 0, None), (3, 0, 0, _C.MAX_POSITIONS), (1, 1, 0, None), (1, 1, 1, _C.MAX_POSITIONS),
     (0, 3, 0, _C.MAX_POSITIONS), (0, 0, 2, None), (0, 0, 3, _C.MAX_POSITIONS)],
)  # fmt: skip
def test_positions_orders_and_orders_in_flight_count_together(
    positions: int, orders: int, in_flight: int, code: ReasonCode | None
) -> None:
    shot = snapshot(
        [position(10 + n) for n in range(positions)], [pending(50 + n) for n in range(orders)]
    )
    assert _code(open_order(), shot, flying=(flying(),) * in_flight) is code


def test_two_orders_that_are_each_fine_and_jointly_not_do_not_both_pass() -> None:
    one_left = snapshot([position(1), position(2)])
    assert _judge(open_order(), one_left) is None
    refusal = _judge(open_order(), one_left, flying=(flying(),))
    assert refusal == Refusal(_C.MAX_POSITIONS, limit="3", value="4", headroom="0")


def test_another_symbols_positions_do_not_count() -> None:
    shot = snapshot(
        [position(n, symbol="USDJPY") for n in range(5)], [pending(99, symbol="USDJPY")]
    )
    limited = {"EURUSD": limits_of(max_positions=1, max_orders=1)}
    others = (flying("USDJPY"),) * 3
    assert _judge(open_order(**_PENDING), shot, limits=limited, flying=others) is None


@pytest.mark.parametrize(
    ("orders", "in_flight", "code"), [(1, 0, None), (2, 0, _C.MAX_ORDERS), (1, 1, _C.MAX_ORDERS)]
)
def test_max_orders_to_the_order(orders: int, in_flight: int, code: ReasonCode | None) -> None:
    limited = {"EURUSD": limits_of(max_positions=9, max_orders=2)}
    shot = snapshot((), [pending(50 + n) for n in range(orders)])
    order = open_order(**_PENDING)
    others = (flying(type="SELL_STOP", price=Decimal("1.0")),) * in_flight
    assert _code(order, shot, limits=limited, flying=others) is code


def test_max_orders_says_limit_and_value() -> None:
    limited = {"EURUSD": limits_of(max_positions=9, max_orders=2)}
    shot = snapshot((), [pending(50), pending(51)])
    refusal = _judge(open_order(**_PENDING), shot, limits=limited)
    assert refusal == Refusal(_C.MAX_ORDERS, limit="2", value="3", headroom="0")


def test_max_orders_does_not_mind_a_market_order() -> None:
    limited = {"EURUSD": limits_of(max_orders=0)}
    assert _judge(open_order(), limits=limited) is None


def test_without_max_orders_only_max_positions_bounds_pending_orders() -> None:
    assert _judge(open_order(**_PENDING), snapshot((), [pending(1), pending(2)])) is None


@pytest.mark.parametrize(("deviation", "code"), [(20, None), (21, _C.MAX_DEVIATION)])
def test_max_deviation_to_the_point(deviation: int, code: ReasonCode | None) -> None:
    limited = {"EURUSD": limits_of(max_deviation=20)}
    assert _code(open_order(deviation=deviation), limits=limited) is code


def test_without_max_deviation_the_protocols_own_bound_holds() -> None:
    assert _judge(open_order(deviation=1_000_000)) is None


def test_a_close_is_not_bounded_by_max_deviation() -> None:
    limited = {"EURUSD": limits_of(max_deviation=0)}
    assert _judge(close_order(), snapshot([position()]), limits=limited) is None
