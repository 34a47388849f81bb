"""What is held and may come, at its worst; headroom is what would still pass, to the step."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.entry import shrinks
from bridge_core.risk.exposure import (
    bundles,
    currencies,
    held_legs,
    kin_of,
    margin_after,
    weights_of,
)
from bridge_core.risk.order import Flying
from bridge_core.risk.picture import Picture
from tests.support.risk_world import (
    account,
    code,
    identity,
    judge,
    modify,
    opening,
    pending,
    picture,
    position,
)

_C = ReasonCode
D: Final = Decimal
_GOLD: Final[dict[tuple[str, str], Decimal]] = {
    ("EURUSD", "XAUUSD"): D("0.8"), ("GBPUSD", "XAUUSD"): D("-0.7"),
    ("EURUSD", "GBPUSD"): D("0.69"), ("EURUSD", "EURUSD"): D(1),
}  # fmt: skip


def _by_table(*held: Any, **over: Any) -> Picture:
    risk = {"correlation_limit": 22_002, "correlation_file": "pairs.csv"}
    at = picture(held, risk=risk, **over)
    return structs.replace(at, policy=structs.replace(at.policy, correlations=_GOLD))


# --- what moves together ---------------------------------------------------------------------


def test_by_default_symbols_move_together_by_the_currencies_they_consist_of() -> None:
    assert weights_of("EURGBP", picture()) == {"EUR": 1, "GBP": -1}
    assert weights_of("US500", picture()) == {"US500": 1}
    assert weights_of("NOTHING", picture()) == {"NOTHING": 1}
    legs = held_legs(picture([position(1, symbol="USDJPY"), position(2, symbol="EURGBP")]))
    assert bundles("EURUSD", legs, picture()) == [
        {"EURUSD": 1, "EURGBP": 1}, {"EURUSD": -1, "USDJPY": 1},
    ]  # fmt: skip
    assert currencies("US500", legs, picture()) == []
    assert currencies("NOTHING", legs, picture()) == []


def test_a_table_counts_pairs_from_its_threshold_on_by_the_sign_of_rho() -> None:
    at = _by_table()
    assert kin_of("XAUUSD", at) == {"XAUUSD": 1, "EURUSD": 1, "GBPUSD": -1}
    assert kin_of("EURUSD", at) == {"EURUSD": 1, "XAUUSD": 1}
    assert kin_of("US500", at) == {"US500": 1}


def test_by_a_table_gold_and_euros_fill_one_limit() -> None:
    # 0.05 x 100 x 2000.00 = 10 000 held: 12 002 are left, 0.109 lots at 110 010 each.
    gold = position(1, symbol="XAUUSD", volume=D("0.05"), current_price=D("2000"))
    assert judge(opening(volume="0.10"), _by_table(gold)) is None
    assert judge(opening(volume="0.11"), _by_table(gold)) == Refusal(
        _C.CORRELATION, limit="22002.00", value="22101.10", headroom="12002.00"
    )
    against = structs.replace(gold, type="SELL")
    assert judge(opening(volume="0.29"), _by_table(against)) is None
    assert code(opening(volume="0.30"), _by_table(against)) is _C.CORRELATION


def test_an_order_is_bounded_by_every_family_it_belongs_to_not_only_by_its_own() -> None:
    # Euros do not count with pounds, yet gold counts with both: sold pounds and bought euros.
    pounds = position(1, "SELL", symbol="GBPUSD", volume=D("0.10"), current_price=D("1.29000"))
    gold = position(2, symbol="XAUUSD", volume=D("0.01"), current_price=D("2000"))
    assert judge(opening(volume="0.06"), _by_table(pounds, gold)) is None
    assert code(opening(volume="0.07"), _by_table(pounds, gold)) is _C.CORRELATION
    assert judge(opening(volume="0.10"), _by_table(pounds)) is None


def test_opposite_currencies_take_from_each_other() -> None:
    at = picture([position(1, "SELL")], risk={"max_currency_exposure": 22_002})
    assert judge(opening(volume="0.29"), at) is None  # 11 000 sold, 31 902.90 bought
    assert code(opening(volume="0.30"), at) is _C.CURRENCY_EXPOSURE
    assert judge(opening(symbol="US500", volume="900"), at) is None  # no currency is exchanged


def test_an_index_fills_no_currency_and_still_moves_with_itself() -> None:
    at = picture(risk={"correlation_limit": 22_002})
    assert judge(opening(symbol="US500", volume="4"), at) is None  # 20 002
    assert code(opening(symbol="US500", volume="5"), at) is _C.CORRELATION


# --- the worst of what may come --------------------------------------------------------------


def test_a_netting_account_holds_the_net_and_a_hedging_account_both_legs() -> None:
    hedging = picture([position(1, "SELL")], limits={"max_gross_volume": D("0.30")})
    netting = structs.replace(hedging, identity=identity(margin_mode="netting"))
    assert judge(opening(volume="0.20"), hedging) is None
    assert code(opening(volume="0.21"), hedging) is _C.MAX_GROSS_VOLUME
    assert judge(opening(volume="0.40"), netting) is None
    assert code(opening(volume="0.41"), netting) is _C.MAX_GROSS_VOLUME


def test_an_order_that_may_never_be_filled_is_no_room_for_its_opposite() -> None:
    flying = (Flying(symbol="EURUSD", type="SELL", volume=D("0.20")),)
    at = picture(limits={"max_net_volume": D("0.20")}, flying=flying)
    assert judge(opening(volume="0.20"), at) is None
    assert code(opening(volume="0.21"), at) is _C.MAX_NET_VOLUME
    assert judge(opening("SELL", "0.01"), at) == Refusal(
        _C.MAX_NET_VOLUME, limit="0.20", value="0.21", headroom="0"
    )


def test_the_other_symbols_of_a_netting_account_count_at_their_worst() -> None:
    resting = [pending(1, "BUY_LIMIT", symbol="GBPUSD"), pending(2, "SELL_LIMIT", symbol="GBPUSD")]
    at = picture(
        (), resting, identity=identity(margin_mode="netting"), risk={"max_total_exposure": 21_901}
    )
    # 10 900 of either rests, not of both: 11 001 are left.
    assert judge(opening(volume="0.10"), at) is None
    assert judge(opening(volume="0.11"), at) == Refusal(
        _C.MAX_EXPOSURE, limit="21901.00", value="23001.10", headroom="11001.00"
    )


def test_the_margin_is_what_is_bound_and_what_more_would_be_held() -> None:
    held = [position()]  # 11 000 by 1:100 are 110, which the broker counts as 150
    at = picture(held, account=account(margin=D(150)))
    assert margin_after(held_legs(at), at) == 150
    with_more = structs.replace(at, orders={22: pending()})
    assert margin_after(held_legs(with_more), with_more) == 259  # 10 900 / 100
    assert margin_after([], structs.replace(at, identity=None)) is None
    assert margin_after([], structs.replace(at, account=None)) is None


def test_the_margin_level_is_told_as_it_would_be_and_how_far_it_is_now() -> None:
    at = picture([position()], risk={"min_margin_level": D(5_000)}, account=account(margin=D(110)))
    refusal = judge(opening(volume="0.10"), at)
    assert refusal == Refusal(
        _C.MARGIN_LEVEL, limit="5000", value="4545.24", headroom="4090.90"
    )  # fmt: skip


@pytest.mark.parametrize("equity", ["0", "-1"])
def test_without_equity_nothing_is_levered(equity: str) -> None:
    at = picture(risk={"max_leverage": D(30)}, account=account(equity))
    refusal = judge(opening(), at)
    assert refusal is not None
    assert (refusal.code, refusal.headroom) == (_C.MAX_LEVERAGE, "0")


def test_leverage_is_told_as_a_ratio() -> None:
    at = picture([position()], risk={"max_leverage": D(2)})
    assert judge(opening(), at) == Refusal(
        _C.MAX_LEVERAGE, limit="2", value="2.21", headroom="0.9"
    )  # fmt: skip


# --- headroom --------------------------------------------------------------------------------

_volumes = st.integers(1, 100).map(lambda n: D(n) / 100)
_sides = st.sampled_from(["BUY", "SELL"])
_symbols = st.sampled_from(["EURUSD", "GBPUSD", "USDJPY"])


@st.composite
def _worlds(draw: st.DrawFn) -> Picture:
    held = [
        position(n, draw(_sides), volume=draw(_volumes), symbol=symbol, current_price=D("1.1"))
        for n, symbol in enumerate(draw(st.lists(_symbols, max_size=3, unique=True)))
    ]
    resting = [
        pending(50 + n, f"{draw(_sides)}_STOP", volume=draw(_volumes), symbol=draw(_symbols))
        for n in range(draw(st.integers(0, 3)))
    ]
    flying = tuple(
        Flying(symbol=draw(_symbols), type=draw(_sides), volume=draw(_volumes))
        for _ in range(draw(st.integers(0, 2)))
    )
    mode = draw(st.sampled_from(["hedging", "netting"]))
    return picture(
        held, resting, flying=flying, identity=identity(margin_mode=mode), account=account("10000")
    )


@given(
    at=_worlds(), side=_sides, limit=_volumes,
    name=st.sampled_from(["max_net_volume", "max_gross_volume"]),
)  # fmt: skip
def test_the_headroom_of_a_volume_passes_and_a_step_more_does_not(
    at: Picture, side: str, limit: Decimal, name: str
) -> None:
    limits = {one: structs.replace(own, **{name: limit}) for one, own in at.policy.symbols.items()}
    at = structs.replace(at, policy=structs.replace(at.policy, symbols=limits))
    refusal = judge(opening(side, "500"), at)
    assert refusal is not None
    room = D(refusal.headroom)
    assert room >= 0
    if room:
        assert judge(opening(side, str(room)), at) is None
        assert code(opening(side, str(room + D("0.01"))), at) is refusal.code


@given(
    at=_worlds(), side=_sides, limit=st.integers(150_000, 900_000),
    name=st.sampled_from(["max_total_exposure", "max_currency_exposure", "correlation_limit"]),
)  # fmt: skip
def test_the_headroom_of_a_value_is_what_still_passes(
    at: Picture, side: str, limit: int, name: str
) -> None:
    account_limits = structs.replace(at.policy.account, **{name: limit})
    at = structs.replace(at, policy=structs.replace(at.policy, account=account_limits))
    refusal = judge(opening(side, "500"), at)
    assert refusal is not None
    lots = D(refusal.headroom) / D("110010")
    assume(lots >= D("0.01"))
    whole = (lots // D("0.01")) * D("0.01")
    more = opening(side, str(whole + D("0.01")))
    assert judge(opening(side, str(whole)), at) is None
    assert code(more, at) is refusal.code or shrinks(more, at)


def test_a_moved_order_is_no_part_of_what_is_taken() -> None:
    held = pending(volume=D("0.20"))
    at = picture((), [held, pending(23)], risk={"max_leverage": D("3.1799")})
    assert judge(modify(held, price="1.04495"), at) is None
    assert code(modify(held, price="1.09999"), at) is _C.MAX_LEVERAGE
