"""The checks of prices: to the point, on each side of the market, without a market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Open, Request
from bridge_core.risk.checks_basic import volume_within_max
from bridge_server.core.ports import Snapshot
from bridge_server.core.risk import first_refusal, propose
from tests.support.builders import (
    NOW,
    close_order,
    limits_of,
    modify_order,
    open_order,
    pending,
    picture,
    position,
    quote,
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


_PENDING = {"type": "BUY_LIMIT", "price": "1.09000"}


# --- prices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [open_order(), modify_order()], ids=["open", "modify"])
def test_without_a_quote_nothing_is_compared_and_nothing_passes(body: Request) -> None:
    assert _code(body, snapshot([position()], quotes={})) is _C.NO_QUOTE


@pytest.mark.parametrize(
    ("bid", "ask"),
    [("NaN", "1.1"), ("1.1", "NaN"), ("0", "1.1"), ("1.1", "0"), ("-1", "1.1"),
     ("1.10010", "1.10000"), ("1.1", "Infinity"), ("sNaN", "1.1")],
)  # fmt: skip
def test_a_quote_that_cannot_be_true_is_no_quote(bid: str, ask: str) -> None:
    shot = snapshot(quotes={"EURUSD": quote(bid, ask)})
    assert _code(open_order(sl="1.09000"), shot) is _C.NO_QUOTE


def test_a_quote_without_a_spread_is_a_quote() -> None:
    assert _judge(open_order(), snapshot(quotes={"EURUSD": quote("1.1", "1.1")})) is None


def test_a_close_needs_no_quote() -> None:
    assert _judge(close_order(), snapshot([position()], quotes={})) is None


@pytest.mark.parametrize("field", ["price", "sl", "tp"])
def test_an_off_grid_price_is_told_the_two_nearest(field: str) -> None:
    refusal = _judge(open_order(**{field: "1.085123"}))
    assert refusal == Refusal(
        _C.PRICE_GRID, limit="0.00001", value="1.085123", nearest=("1.08512", "1.08513")
    )


@given(st.decimals("0.5", "2", places=8))
def test_no_off_grid_price_is_ever_accepted(price: Decimal) -> None:
    refusal = _judge(open_order(price=format(price, "f")))
    if price * 100_000 == int(price * 100_000):
        assert refusal is None  # a market order's price is a reference, near or far
    else:
        assert refusal is not None
        assert refusal.code is _C.PRICE_GRID
        below, above = (Decimal(near) for near in refusal.nearest)
        assert below < price < above
        assert above - below == Decimal("0.00001")


def test_a_modify_off_the_grid_is_refused_too() -> None:
    assert _code(modify_order(sl="1.090001"), snapshot([position()])) is _C.PRICE_GRID


def test_a_pending_order_without_a_price_is_refused() -> None:
    assert _judge(open_order("BUY_STOP")) == Refusal(_C.PRICE_GRID, value="0")


# bid 1.10000, ask 1.10010: what buys is measured from the ask, what sells from the bid.
@pytest.mark.parametrize(
    ("type_", "price", "code"),
    [("BUY_LIMIT", "1.10009", None), ("BUY_LIMIT", "1.10010", _C.PRICE_SIDE),
     ("BUY_LIMIT", "1.10011", _C.PRICE_SIDE),
     ("BUY_STOP", "1.10011", None), ("BUY_STOP", "1.10010", _C.PRICE_SIDE),
     ("BUY_STOP", "1.10009", _C.PRICE_SIDE),
     ("SELL_LIMIT", "1.10001", None), ("SELL_LIMIT", "1.10000", _C.PRICE_SIDE),
     ("SELL_LIMIT", "1.09999", _C.PRICE_SIDE),
     ("SELL_STOP", "1.09999", None), ("SELL_STOP", "1.10000", _C.PRICE_SIDE),
     ("SELL_STOP", "1.10001", _C.PRICE_SIDE)],
)  # fmt: skip
def test_a_limit_lies_better_than_the_market_and_a_stop_worse(
    type_: str, price: str, code: ReasonCode | None
) -> None:
    assert _code(open_order(type_, price=price)) is code


def test_a_moved_pending_price_is_judged_like_a_new_one() -> None:
    shot = snapshot((), [pending()])
    assert _judge(modify_order(22, price="1.09500"), shot) is None
    refusal = _judge(modify_order(22, price="1.20000"), shot)
    assert refusal == Refusal(_C.PRICE_SIDE, limit="1.10010", value="1.20000")


def test_the_stops_of_a_resting_order_may_change_however_near_the_market_has_come() -> None:
    shot = snapshot(
        (), [pending(price=Decimal("1.10012"))], symbols={"EURUSD": spec(stops_level=50)}
    )
    assert _judge(modify_order(22, sl="1.09000"), shot) is None


def test_a_position_has_no_price_to_set() -> None:
    refusal = _judge(modify_order(11, price="1.09000"), snapshot([position()]))
    assert refusal == Refusal(_C.PRICE_SIDE, limit="0", value="1.09000")


# A position is closed at the bid if bought, at the ask if sold: stops are measured from there.
@pytest.mark.parametrize(
    ("type_", "stops", "code"),
    [("BUY", {"sl": "1.09999"}, None), ("BUY", {"sl": "1.10000"}, _C.STOPS_SIDE),
     ("BUY", {"sl": "1.10001"}, _C.STOPS_SIDE),
     ("BUY", {"tp": "1.10001"}, None), ("BUY", {"tp": "1.10000"}, _C.STOPS_SIDE),
     ("BUY", {"tp": "1.09999"}, _C.STOPS_SIDE),
     ("SELL", {"sl": "1.10011"}, None), ("SELL", {"sl": "1.10010"}, _C.STOPS_SIDE),
     ("SELL", {"sl": "1.10009"}, _C.STOPS_SIDE),
     ("SELL", {"tp": "1.10009"}, None), ("SELL", {"tp": "1.10010"}, _C.STOPS_SIDE),
     ("SELL", {"tp": "1.10011"}, _C.STOPS_SIDE),
     ("BUY", {"sl": "1.09000", "tp": "1.09000"}, _C.STOPS_SIDE)],
)  # fmt: skip
def test_stops_lie_on_their_side_of_an_entry_and_of_a_position(
    type_: str, stops: dict[str, str], code: ReasonCode | None
) -> None:
    assert _code(open_order(type_, **stops)) is code
    assert _code(modify_order(11, **stops), snapshot([position(11, type_)])) is code


@pytest.mark.parametrize(
    ("type_", "price", "stops", "code"),
    [("BUY_LIMIT", "1.09000", {"sl": "1.08999"}, None),
     ("BUY_LIMIT", "1.09000", {"sl": "1.09000"}, _C.STOPS_SIDE),
     ("BUY_LIMIT", "1.09000", {"tp": "1.09001"}, None),
     ("SELL_STOP", "1.09000", {"sl": "1.09001"}, None),
     ("SELL_STOP", "1.09000", {"sl": "1.08999"}, _C.STOPS_SIDE),
     ("SELL_STOP", "1.09000", {"tp": "1.09000"}, _C.STOPS_SIDE)],
)  # fmt: skip
def test_a_pending_orders_stops_are_measured_from_its_own_price(
    type_: str, price: str, stops: dict[str, str], code: ReasonCode | None
) -> None:
    assert _code(open_order(type_, price=price, **stops)) is code


@pytest.mark.parametrize(
    ("order", "code"),
    [({"type": "BUY_LIMIT", "price": "1.10000"}, None),
     ({"type": "BUY_LIMIT", "price": "1.10001"}, _C.STOPS_LEVEL),
     ({"sl": "1.09990"}, None), ({"sl": "1.09991"}, _C.STOPS_LEVEL),
     ({"tp": "1.10010"}, None), ({"tp": "1.10009"}, _C.STOPS_LEVEL),
     ({"sl": "1.09990", "tp": "1.10009"}, _C.STOPS_LEVEL),
     ({"type": "SELL", "sl": "1.10020"}, None),
     ({"type": "SELL", "sl": "1.10019"}, _C.STOPS_LEVEL),
     ({"type": "BUY_LIMIT", "price": "1.09000", "sl": "1.08990"}, None),
     ({"type": "BUY_LIMIT", "price": "1.09000", "sl": "1.08991"}, _C.STOPS_LEVEL)],
)  # fmt: skip
def test_the_stops_level_is_kept_to_the_point(
    order: dict[str, str], code: ReasonCode | None
) -> None:
    shot = snapshot(symbols={"EURUSD": spec(stops_level=10)})
    assert _code(open_order(**order), shot) is code


def test_a_stop_too_near_is_told_the_level_in_quote_currency() -> None:
    shot = snapshot(symbols={"EURUSD": spec(stops_level=10)})
    refusal = _judge(open_order(sl="1.09991"), shot)
    assert refusal == Refusal(_C.STOPS_LEVEL, limit="0.00010", value="1.09991")


def test_of_price_and_stop_too_near_the_price_is_told() -> None:
    shot = snapshot(symbols={"EURUSD": spec(stops_level=10)})
    refusal = _judge(open_order("BUY_LIMIT", price="1.10005", sl="1.10000"), shot)
    assert refusal == Refusal(_C.STOPS_LEVEL, limit="0.00010", value="1.10005")


def test_without_stops_there_is_nothing_to_be_too_near() -> None:
    shot = snapshot([position()], symbols={"EURUSD": spec(stops_level=1_000)})
    assert _judge(modify_order(11), shot) is None


# --- expiration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expiration", "code"),
    [(0, None), (NOW - 1, _C.EXPIRATION), (NOW, _C.EXPIRATION), (NOW + 1, None)],
)
def test_an_expiration_is_still_to_come_in_market_time(
    expiration: int, code: ReasonCode | None
) -> None:
    shot = snapshot((), [pending()])
    assert _code(open_order(**_PENDING, expiration=expiration)) is code
    assert _code(modify_order(22, price="1.09100", expiration=expiration), shot) is code


def test_expiration_is_measured_by_the_brokers_clock_and_not_ours() -> None:
    behind = snapshot(market_ms=NOW - 10_000)
    assert _judge(open_order(**_PENDING, expiration=NOW - 9_999), behind) is None


def test_a_market_order_or_a_position_has_no_expiration() -> None:
    refusal = _judge(open_order(expiration=NOW + 1))
    assert refusal == Refusal(_C.EXPIRATION, limit=str(NOW), value=str(NOW + 1))
    assert _code(modify_order(expiration=NOW + 1), snapshot([position()])) is _C.EXPIRATION


# --- everything at once ----------------------------------------------------------------------

_prices = st.sampled_from(
    ["0", "0.00001", "1.09", "1.09999", "1.10000", "1.10005", "1.10010", "1.10011", "1.2",
     "1.1000001", "999999999.99999999"]
)  # fmt: skip
_types = st.sampled_from(["BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"])


@given(
    order=st.builds(
        open_order,
        _types,
        st.sampled_from(["0", "0.01", "0.1", "0.105", "0.5", "0.51", "999999999"]),
        price=_prices,
        sl=_prices,
        tp=_prices,
    ),
    level=st.integers(0, 50),
)
def test_no_order_makes_a_check_fail_instead_of_answer(order: Open, level: int) -> None:
    shot = snapshot([position()], [pending()], symbols={"EURUSD": spec(stops_level=level)})
    stops = modify_order(11, sl=order.sl, tp=order.tp)
    moved = modify_order(22, price=order.price, sl=order.sl)
    for body in (order, stops, moved):
        refusal = _judge(body, shot)
        assert refusal is None or refusal.code in ReasonCode
    if _judge(order, shot) is None and order.type not in ("BUY", "SELL"):
        price, sl = Decimal(order.price), Decimal(order.sl)
        assert price
        assert not sl or (sl < price) == order.type.startswith("BUY")


def test_the_first_refusal_is_what_the_first_refusing_check_says() -> None:
    order = propose(open_order(volume="0.51", deviation=30), snapshot())
    assert order is not None
    at = picture(limits={"EURUSD": limits_of(max_deviation=20)})
    assert first_refusal(order, at) == volume_within_max(order, at)
