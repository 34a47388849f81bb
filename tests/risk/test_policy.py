"""Limits that are no limits stop the start; amounts mean what they say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from bridge_core.risk.checks_basic import missing_limits
from bridge_core.risk.policy import AccountLimits, Amount, SymbolLimits, amount
from tests.support.risk_world import policy

D: Final = Decimal


def _made(kind: Any, name: str, value: Any) -> Any:
    return kind(**{name: value})


@pytest.mark.parametrize(
    ("setting", "means", "text"),
    [("2%", Amount(D(2), percent=True), "2%"), ("0.5%", Amount(D("0.5"), percent=True), "0.5%"),
     ("250.50", Amount(D("250.50"), percent=False), "250.50"),
     (250, Amount(D(250), percent=False), "250"), (0.1, Amount(D("0.1"), percent=False), "0.1")],
)  # fmt: skip
def test_an_amount_means_its_text(setting: Any, means: Amount, text: str) -> None:
    assert amount(setting) == means
    assert str(means) == text


@pytest.mark.parametrize("name", ["max_volume", "max_net_volume", "max_gross_volume",
                                  "price_collar", "max_move"])  # fmt: skip
@pytest.mark.parametrize("value", [D(0), D(-1), D("NaN"), D("Infinity")])
def test_a_limit_of_a_symbol_that_is_no_positive_number_is_refused(
    name: str, value: Decimal
) -> None:
    with pytest.raises(ValueError, match=name):
        _made(SymbolLimits, name, value)


@pytest.mark.parametrize("name", ["max_leverage", "min_margin_level", "initial_balance",
                                  "correlation_from"])  # fmt: skip
@pytest.mark.parametrize("value", [D(0), D(-1), D("NaN"), D("Infinity")])
def test_a_limit_of_the_account_that_is_no_positive_number_is_refused(
    name: str, value: Decimal
) -> None:
    with pytest.raises(ValueError, match=name):
        _made(AccountLimits, name, value)


@pytest.mark.parametrize("name", ["max_daily_loss", "max_risk_per_trade", "max_drawdown",
                                  "max_order_value", "max_total_exposure",
                                  "max_currency_exposure", "correlation_limit"])  # fmt: skip
@pytest.mark.parametrize("value", ["0", "0%", "0.0%"])
def test_an_amount_of_nothing_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        _made(AccountLimits, name, value)


def test_a_least_equity_may_be_below_zero_and_must_be_a_number() -> None:
    assert AccountLimits(min_equity=D(-5)).min_equity == -5
    with pytest.raises(ValueError, match="min_equity"):
        AccountLimits(min_equity=D("NaN"))


@pytest.mark.parametrize("kind", [SymbolLimits, AccountLimits])
def test_hours_that_cannot_be_read_are_refused_where_they_stand(kind: Any) -> None:
    assert kind(trading_hours="Mon 07:00-21:00").trading_hours
    with pytest.raises(ValueError, match="trading_hours"):
        kind(trading_hours="Mon 7-21")


@pytest.mark.parametrize("text", ["-2%", "2 %", "02%", "1e3", "%", "", "2%%", "1,000", "٢%"])
def test_a_text_that_is_no_amount_is_no_setting(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"max_daily_loss": text}, AccountLimits)


@pytest.mark.parametrize(
    "table",
    [{"max_volum": 1}, {"max_positions": -1}, {"max_fills": 0}, {"max_fills": 1_001},
     {"max_rejections": 0}, {"manage": "mine"}, {"allowed_types": ["HOLD"]},
     {"allowed_ops": ["CLOSE"]}, {"daily_loss_ends": "never"}, {"margin_mode": "both"}],
)  # fmt: skip
def test_what_is_no_limit_stops_the_start(table: dict[str, Any]) -> None:
    for kind in (SymbolLimits, AccountLimits):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(table, kind)


def test_each_required_limit_that_is_missing_is_told_as_the_line_to_add() -> None:
    bare = policy(
        {"max_daily_loss": None, "require_sl": None}, {"max_volume": None, "max_positions": None}
    )
    assert missing_limits(bare, "EURUSD") == (
        "[limits.EURUSD] max_volume = 0.01",
        "[limits.EURUSD] max_positions = 1",
        '[risk] max_daily_loss = "2%"',
        '[risk] max_risk_per_trade = "1%"',
    )
    assert missing_limits(policy({}, {}), "EURUSD") == ()
    assert missing_limits(policy({}, {}), "EURUSD.m")[0] == '[limits."EURUSD.m"] max_volume = 0.01'


@pytest.mark.parametrize(
    ("require_sl", "max_risk", "missing"),
    [(False, None, False), (None, "1%", False), (True, "1%", False), (False, "1%", False),
     (None, None, True), (True, None, True)],
)  # fmt: skip
def test_either_the_loss_at_the_stop_has_a_limit_or_no_stop_is_asked_for(
    require_sl: bool | None, max_risk: str | None, missing: bool
) -> None:
    made = policy({"require_sl": require_sl, "max_risk_per_trade": max_risk}, {})
    assert bool(missing_limits(made, "EURUSD")) is missing
