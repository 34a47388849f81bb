"""The volume for a risk: it passes, a step more does not, and nothing is guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.policy import amount
from bridge_core.risk.sizing import size_for_risk
from tests.support.risk_world import SPECS, code, judge, opening, picture

_C = ReasonCode
D: Final = Decimal
_RISK: Final[dict[str, Any]] = {"max_risk_per_trade": "1%", "require_sl": False}


@pytest.mark.parametrize(
    ("order", "volume"),
    [(opening(sl="1.09010"), "0.10"),  # 100 USD at 1000 a lot
     (opening(sl="1.09009"), "0.09"), (opening("SELL", sl="1.10500"), "0.20"),
     (opening(sl="1.09010", deviation=10), "0.09"), (opening(symbol="XAUUSD", sl="1980"), "0.04"),
     (opening(symbol="USDJPY", sl="149.011"), "0.15"),  # 666 a lot
     (opening(symbol="GER40", sl="19911.0"), "0.1"),
     (opening("BUY_LIMIT", price="1.09", sl="1.08"), "0.10")],
)  # fmt: skip
def test_the_volume_of_one_percent(order: Any, volume: str) -> None:
    at = picture(risk=_RISK)
    size = size_for_risk(order, at)
    assert size == D(volume)
    assert str(size) == volume
    assert judge(structs.replace(order, volume=size), at) is None


def test_another_risk_than_the_limit_may_be_asked_for() -> None:
    at = picture(risk=_RISK)
    order = opening(sl="1.09010")
    assert size_for_risk(order, at, amount("0.5%")) == D("0.05")
    assert size_for_risk(order, at, amount(250)) == D("0.25")
    assert size_for_risk(order, picture(), amount(250)) == D("0.25")


def test_the_volume_is_at_most_what_the_broker_and_max_volume_allow() -> None:
    order = opening(sl="1.10009")
    assert size_for_risk(order, picture(risk=_RISK)) == D(100)
    assert size_for_risk(order, picture(risk=_RISK, limits={"max_volume": D("0.255")})) == D("0.25")
    small = {"EURUSD": structs.replace(SPECS["EURUSD"], volume_max=D(2))}
    at = picture(risk=_RISK, symbols=small)
    assert size_for_risk(order, at) == D(2)
    bare = structs.replace(at, policy=structs.replace(at.policy, symbols={}))
    assert size_for_risk(order, bare) == D(2)


@pytest.mark.parametrize(
    ("order", "world", "refused"),
    [(opening(), {"risk": _RISK}, _C.SL_REQUIRED), (opening(sl="1.09"), {}, _C.NO_LIMIT),
     (opening(sl="1.09"), {"risk": _RISK, "account": None}, _C.NO_ACCOUNT),
     (opening(sl="1.09"), {"risk": _RISK, "symbols": {}}, _C.SYMBOL_UNKNOWN),
     (opening(sl="1.09"), {"risk": _RISK, "quotes": {}}, _C.NO_CONVERSION),
     (opening(sl="1.2"), {"risk": _RISK}, _C.STOPS_SIDE)],
)  # fmt: skip
def test_what_is_missing_is_said(order: Any, world: dict[str, Any], refused: ReasonCode) -> None:
    size = size_for_risk(order, picture(**world))
    assert isinstance(size, Refusal)
    assert size.code is refused


def test_where_the_least_volume_risks_too_much_its_loss_is_told() -> None:
    at = picture(risk={"max_risk_per_trade": "9.99", "require_sl": False})
    assert size_for_risk(opening(sl="1.09010"), at) == Refusal(
        _C.MAX_RISK, limit="9.99", value="10.00", headroom="9.99"
    )


@given(
    symbol=st.sampled_from(["EURUSD", "USDJPY", "EURGBP", "XAUUSD", "US500", "GER40"]),
    buys=st.booleans(),
    away=st.integers(1, 5_000),
    deviation=st.integers(0, 50),
    risk=st.integers(1, 500_000),
)
def test_the_volume_passes_and_one_step_more_does_not(
    symbol: str, buys: bool, away: int, deviation: int, risk: int
) -> None:
    cents = f"{risk // 100}.{risk % 100:02}"
    at = picture(risk={"max_risk_per_trade": cents, "require_sl": False})
    spec, now = SPECS[symbol], at.quotes[symbol]
    away *= 5 if symbol == "GER40" else 1
    sl = now.bid - away * spec.point if buys else now.ask + away * spec.point
    order = opening("BUY" if buys else "SELL", symbol=symbol, sl=str(sl), deviation=deviation)
    size = size_for_risk(order, at)
    if isinstance(size, Refusal):
        assert size.code is _C.MAX_RISK
        assert code(structs.replace(order, volume=spec.volume_min), at) is _C.MAX_RISK
        return
    assert judge(structs.replace(order, volume=size), at) is None
    if size < spec.volume_max:
        more = structs.replace(order, volume=size + spec.volume_step)
        assert code(more, at) is _C.MAX_RISK
