"""The checks of prices: to the point, on each side of the market, of orders and of changes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture
from tests.support.risk_world import (
    NOW,
    SPECS,
    code,
    code_c,
    judge,
    modify,
    opening,
    pending,
    picture,
    position,
    quote,
    quotes,
)

_C = ReasonCode
D: Final = Decimal


def _levels(points: int) -> dict[str, Any]:
    return SPECS | {"EURUSD": structs.replace(SPECS["EURUSD"], stops_level=points)}


# --- the grid --------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["price", "sl", "tp"])
def test_an_off_grid_price_is_told_the_two_nearest(field: str) -> None:
    refusal = judge(opening(**{field: "1.085123"}), picture())
    assert refusal == Refusal(
        _C.PRICE_GRID, limit="0.00001", value="1.085123", nearest=("1.08512", "1.08513")
    )


def test_prices_move_by_the_tick_size_where_there_is_one_and_a_reference_by_the_point() -> None:
    ticks = {"GER40": structs.replace(SPECS["GER40"], tick_size=D("0.5"))}
    at = picture(symbols=SPECS | ticks)
    assert judge(opening(symbol="GER40", price="20000.3"), at) is None
    order = opening("BUY_LIMIT", symbol="GER40", price="19000.3")
    assert judge(order, at) == Refusal(
        _C.PRICE_GRID, limit="0.5", value="19000.3", nearest=("19000.0", "19000.5")
    )
    assert code(opening(symbol="GER40", sl="19000.3"), at) is _C.PRICE_GRID


@pytest.mark.parametrize("price", ["NaN", "-1.1", "1000000000", "0.000000001", "1e-30"])
def test_a_price_that_no_message_can_carry_is_refused(price: str) -> None:
    for field in ("price", "sl", "tp"):
        assert code(opening(**{field: price}), picture()) is _C.PRICE_GRID
    assert code_c(modify(position(), sl=price), picture()) is _C.PRICE_GRID


def test_a_pending_order_without_a_price_is_refused() -> None:
    assert judge(opening("BUY_STOP"), picture()) == Refusal(_C.PRICE_GRID, value="0")


def test_a_change_of_stops_off_the_grid_is_refused() -> None:
    assert code(modify(position(), sl="1.090001"), picture([position()])) is _C.PRICE_GRID


# --- the side of the market: bid 1.10000, ask 1.10010 ----------------------------------------


@pytest.mark.parametrize(
    ("type_", "price", "passes"),
    [("BUY_LIMIT", "1.10009", True), ("BUY_LIMIT", "1.10010", False),
     ("BUY_STOP", "1.10011", True), ("BUY_STOP", "1.10010", False),
     ("SELL_LIMIT", "1.10001", True), ("SELL_LIMIT", "1.10000", False),
     ("SELL_STOP", "1.09999", True), ("SELL_STOP", "1.10000", False)],
)  # fmt: skip
def test_a_limit_lies_better_than_the_market_and_a_stop_worse(
    type_: str, price: str, passes: bool
) -> None:
    held = pending(type=type_, price=D("1.3"))
    expected = None if passes else _C.PRICE_SIDE
    assert code(opening(type_, price=price), picture()) is expected
    assert code(modify(held, price=price), picture((), [held])) is expected


def test_the_wrong_side_is_told_with_the_price_to_compare_with() -> None:
    refusal = judge(opening("BUY_LIMIT", price="1.2"), picture())
    assert refusal == Refusal(_C.PRICE_SIDE, limit="1.10010", value="1.2")


def test_a_resting_price_that_stays_is_not_judged_anew_however_near_the_market_has_come() -> None:
    held = pending(price=D("1.10012"))
    at = picture((), [held], symbols=_levels(50))
    assert judge(modify(held, sl="1.09000"), at) is None


def test_a_position_has_no_price_to_set() -> None:
    refusal = judge(modify(position(), price="1.09000"), picture([position()]))
    assert refusal == Refusal(_C.PRICE_SIDE, limit="0", value="1.09000")


# --- stops -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "stops", "passes"),
    [("BUY", {"sl": "1.09999"}, True), ("BUY", {"sl": "1.10000"}, False),
     ("BUY", {"tp": "1.10001"}, True), ("BUY", {"tp": "1.10000"}, False),
     ("SELL", {"sl": "1.10011"}, True), ("SELL", {"sl": "1.10010"}, False),
     ("SELL", {"tp": "1.10009"}, True), ("SELL", {"tp": "1.10010"}, False),
     ("BUY", {"sl": "1.09000", "tp": "1.09000"}, False)],
)  # fmt: skip
def test_stops_are_measured_from_where_a_position_would_be_closed(
    type_: str, stops: dict[str, str], passes: bool
) -> None:
    expected = None if passes else _C.STOPS_SIDE
    held = position(type=type_)
    assert code(opening(type_, **stops), picture()) is expected
    assert code(modify(held, **stops), picture([held])) is expected


@pytest.mark.parametrize(
    ("type_", "stops", "passes"),
    [("BUY_LIMIT", {"sl": "1.08999"}, True), ("BUY_LIMIT", {"sl": "1.09000"}, False),
     ("BUY_LIMIT", {"tp": "1.09001"}, True), ("SELL_STOP", {"sl": "1.09001"}, True),
     ("SELL_STOP", {"sl": "1.08999"}, False), ("SELL_STOP", {"tp": "1.09000"}, False)],
)  # fmt: skip
def test_stops_of_a_pending_order_are_measured_from_its_own_price(
    type_: str, stops: dict[str, str], passes: bool
) -> None:
    expected = None if passes else _C.STOPS_SIDE
    assert code(opening(type_, price="1.09000", **stops), picture()) is expected
    assert code_c(opening(type_, price="1.09000", **stops), picture()) is expected


@pytest.mark.parametrize(
    ("order", "passes"),
    [(opening("BUY_LIMIT", price="1.10000"), True), (opening("BUY_LIMIT", price="1.10001"), False),
     (opening(sl="1.09990"), True), (opening(sl="1.09991"), False),
     (opening(tp="1.10010"), True), (opening(tp="1.10009"), False),
     (opening("SELL", sl="1.10020"), True), (opening("SELL", sl="1.10019"), False),
     (opening("BUY_LIMIT", price="1.09000", sl="1.08990"), True),
     (opening("BUY_LIMIT", price="1.09000", sl="1.08991"), False)],
)  # fmt: skip
def test_the_stops_level_is_kept_to_the_point(order: Proposal, passes: bool) -> None:
    refusal = judge(order, picture(symbols=_levels(10)))
    assert (refusal is None) is passes
    assert refusal is None or (refusal.code, refusal.limit) == (_C.STOPS_LEVEL, "0.00010")


def test_of_price_and_stop_too_near_the_price_is_told() -> None:
    order = opening("BUY_LIMIT", price="1.10005", sl="1.10000")
    assert judge(order, picture(symbols=_levels(10))) == Refusal(
        _C.STOPS_LEVEL, limit="0.00010", value="1.10005"
    )


def test_a_stop_is_minded_where_the_quote_can_be_true_and_may_be_set_where_there_is_none() -> None:
    held = position(sl=D("1.09"))
    wrong = modify(held, sl="1.10000")
    assert code(wrong, picture([held])) is _C.STOPS_SIDE
    assert judge(wrong, picture([held], quotes={})) is None
    assert judge(wrong, picture([held], quotes=quotes(quote(bid="NaN")))) is None


# --- expiration ------------------------------------------------------------------------------


def test_an_expiration_is_market_time_to_come_and_only_of_a_pending_order() -> None:
    behind = picture(market_ms=NOW - 10_000)
    order = opening("BUY_LIMIT", price="1.09", expiration=NOW - 9_999)
    assert judge(order, behind) is None
    assert code(order, picture()) is _C.EXPIRATION
    refusal = judge(opening(expiration=NOW + 1), picture())
    assert refusal == Refusal(_C.EXPIRATION, limit=str(NOW), value=str(NOW + 1))
    assert code(modify(position(), sl="1.09", expiration=NOW + 1), picture()) is _C.EXPIRATION


# --- what the connector does not know --------------------------------------------------------


def test_a_change_of_a_ticket_that_the_connector_does_not_know_is_left_to_the_server() -> None:
    unknown = Proposal(kind="MODIFY", symbol="", ticket=5, sl=D("1.09"), tp=D("1.2"))
    strict = {"price_collar": D("0.01"), "max_sl_distance": 1, "max_move": D("0.1")}
    at = picture(limits=strict, risk={"max_risk_per_trade": 1}, quotes={}, account=None)
    assert judge(unknown, at, "C") is None
    assert code(unknown, at) is _C.TICKET_UNKNOWN
    assert code_c(structs.replace(unknown, sl=D(0)), picture(risk={"require_sl": True}))


@pytest.mark.parametrize("stripped", [{"symbols": {}}, {"quotes": {}}])
def test_a_stop_can_be_tightened_where_the_symbol_is_not_known(stripped: dict[str, Any]) -> None:
    held = position(sl=D("1.09"))
    at = picture([held], **stripped)
    assert judge(modify(held, sl="1.095"), at, "C") is None


# --- everything at once ----------------------------------------------------------------------

_prices = st.sampled_from(
    ["0", "0.00001", "1.09", "1.09999", "1.10000", "1.10005", "1.10010", "1.10011", "1.2",
     "1.1000001", "999999999.99999999"]
)  # fmt: skip
_types = st.sampled_from(["BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"])
_ALL: Final[dict[str, Any]] = {
    "max_total_exposure": "500%", "max_currency_exposure": 90_000, "correlation_limit": 90_000,
    "max_leverage": D(20), "min_margin_level": D(50), "max_risk_per_trade": "1%",
    "max_order_value": 200_000,
}  # fmt: skip


@given(
    type_=_types,
    volume=st.sampled_from(["0", "0.01", "0.1", "0.105", "0.5", "0.51", "999999999"]),
    price=_prices,
    sl=_prices,
    tp=_prices,
    level=st.integers(0, 50),
)
def test_no_order_makes_a_check_fail_instead_of_answer(  # noqa: PLR0917  the fields of an order
    type_: str, volume: str, price: str, sl: str, tp: str, level: int
) -> None:
    held, resting = position(), pending()
    at: Picture = picture(
        [held], [resting], symbols=_levels(level), limits={"price_collar": D(1)}, risk=_ALL
    )
    order = opening(type_, volume, price=price, sl=sl, tp=tp)
    for one in (order, modify(held, sl, tp), modify(resting, sl, tp, price=price)):
        for side in "CS":
            refusal = judge(one, at, side)
            assert refusal is None or refusal.code in ReasonCode
    if judge(order, at) is None and order.is_pending:
        assert order.price
        assert not order.sl or (order.sl < order.price) == order.is_buy
