"""Every setting as a row: what it says, what is used of it, what is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec import structs

from bridge_core.protocol.views import LimitView
from bridge_core.risk.order import Flying
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AccountLimits, StrategyLimits, SymbolLimits
from bridge_core.risk.state import Fill
from bridge_core.risk.usage import limit_rows
from tests.support.risk_world import (
    NOW,
    SPECS,
    account,
    identity,
    pending,
    picture,
    position,
    state,
)

D: Final = Decimal
_HELD: Final = position(current_price=D("1.10000"))


def _row(name: str, at: Picture, symbol: str = "") -> LimitView:
    (found,) = [row for row in limit_rows(at) if (row.name, row.symbol) == (name, symbol)]
    return found


def _seen(name: str, at: Picture, symbol: str = "") -> tuple[str, str, str]:
    row = _row(name, at, symbol)
    return row.value, row.used, row.headroom


def test_every_setting_of_account_and_symbols_has_one_row_and_what_is_off_is_empty() -> None:
    bare = picture(account=None, state=None, identity=None)
    policy = structs.replace(
        bare.policy, account=AccountLimits(), symbols={"EURUSD": SymbolLimits()}
    )
    rows = limit_rows(structs.replace(bare, policy=policy))
    keys = [(row.name, row.symbol) for row in rows]
    assert len(keys) == len(set(keys))
    named = {name for name in AccountLimits.__struct_fields__ if name != "strategies"}
    assert {name for name, symbol in keys if not symbol} == {*named, "allowed_symbols"}
    for symbol in SPECS:  # allowed ones without limits of their own too
        own = {name for name, of in keys if of == symbol}
        assert own == set(SymbolLimits.__struct_fields__)
    said = {"allowed_symbols", "require_sl", "daily_loss_ends", "correlation_from", "manage",
            "fills_window_s", "move_window_s", "max_tick_age_s"}  # fmt: skip
    assert {row.name for row in rows if row.value} == said
    assert all(not row.used and not row.headroom for row in rows)


@pytest.mark.parametrize(
    ("risk", "name", "value"),
    [({"require_sl": None, "max_risk_per_trade": "1%"}, "require_sl", "true"),
     ({"require_sl": False}, "require_sl", "false"),
     ({"allowed_types": ("BUY", "SELL")}, "allowed_types", "BUY,SELL"),
     ({"max_daily_loss": 250}, "max_daily_loss", "250"),
     ({"max_leverage": D("30")}, "max_leverage", "30")],
)  # fmt: skip
def test_a_row_says_the_setting_as_it_is_written(
    risk: dict[str, Any], name: str, value: str
) -> None:
    assert _row(name, picture(risk=risk)).value == value


def test_the_limits_of_a_strategy_have_rows_of_their_own() -> None:
    at = picture(risk={"strategies": {"7": StrategyLimits(allowed_ops=("OPEN",))}})
    assert _row("strategies.7.allowed_ops", at).value == "OPEN"
    assert _row("strategies.7.allowed_types", at).value == ""


def test_counts_and_volumes_of_a_symbol_are_used_by_what_is_held_rests_and_flies() -> None:
    flying = (Flying(symbol="EURUSD", type="SELL_STOP", volume=D("0.05"), price=D("1.09")),)
    limits = {"max_positions": 5, "max_orders": 2, "max_net_volume": D(1), "max_gross_volume": D(1)}
    at = picture([_HELD], [pending()], limits=limits, flying=flying)
    assert _seen("max_positions", at, "EURUSD") == ("5", "3", "2")
    assert _seen("max_orders", at, "EURUSD") == ("2", "2", "0")
    assert _seen("max_net_volume", at, "EURUSD") == ("1", "0.20", "0.80")
    assert _seen("max_gross_volume", at, "EURUSD") == ("1", "0.25", "0.75")
    assert _seen("max_positions", at, "USDJPY") == ("5", "0", "5")
    assert _seen("max_volume", at, "EURUSD") == ("1000", "", "")


def test_money_is_used_in_account_currency_whatever_the_limit_is_written_in() -> None:
    risk = {
        "max_total_exposure": "400%", "max_currency_exposure": 30_000, "correlation_limit": 30_000,
        "max_leverage": D(3), "min_margin_level": D(100), "min_equity": D(9_000),
        "max_drawdown": "10%",
    }  # fmt: skip
    held = [_HELD, position(12, "SELL", symbol="GBPUSD", current_price=D("1.29010"))]
    now = state("-50", "-20.5", peak_equity=D(10_100))
    at = picture(held, risk=risk, account=account(margin=D(239)), state=now)
    assert _seen("max_total_exposure", at) == ("400%", "23901.00", "16099.00")
    assert _seen("max_currency_exposure", at) == ("30000", "12901.00", "17099.00")
    assert _seen("correlation_limit", at) == ("30000", "12901.00", "17099.00")
    assert _seen("max_leverage", at) == ("3", "2.40", "0.6099")
    assert _seen("min_margin_level", at) == ("100", "4184.10", "4084.10")
    assert _seen("min_equity", at) == ("9000", "10000.00", "1000.00")
    assert _seen("max_daily_loss", at) == ("2%", "70.50", "129.50")
    assert _seen("max_drawdown", at) == ("10%", "100.00", "910.00")


def test_an_account_that_holds_nothing_uses_nothing() -> None:
    risk = {"max_currency_exposure": 1, "correlation_limit": 1, "min_margin_level": D(1)}
    at = picture(risk=risk, state=state("50"))
    assert _seen("max_currency_exposure", at)[1:] == ("0", "1.00")
    assert _seen("correlation_limit", at)[1:] == ("0", "1.00")
    assert _seen("min_margin_level", at) == ("1", "", "")
    assert _seen("max_daily_loss", at) == ("2%", "0", "200.00")  # a gain is no loss


def test_counts_of_the_day_and_of_the_busiest_strategy() -> None:
    fills = [Fill(1, NOW), Fill(2, NOW), Fill(2, NOW - 1), Fill(1, NOW - 60_000)]
    now = state(trades=3, rejections=1, fills=fills)
    risk = {"max_trades_per_day": 2, "max_rejections": 5, "max_fills": 10, "max_open_orders": 4}
    at = picture([_HELD], [pending()], risk=risk, state=now)
    assert _seen("max_trades_per_day", at) == ("2", "3", "0")
    assert _seen("max_rejections", at) == ("5", "1", "4")
    assert _seen("max_fills", at) == ("10", "2", "8")
    assert _seen("max_open_orders", at) == ("4", "2", "2")


@pytest.mark.parametrize(
    ("name", "unknown"),
    [("max_daily_loss", {"state": None}), ("max_drawdown", {"state": None}),
     ("max_trades_per_day", {"state": None}), ("max_rejections", {"state": None}),
     ("max_fills", {"state": None}), ("max_daily_loss", {"state": state(realised=None)}),
     ("min_equity", {"account": None}), ("max_leverage", {"account": account("0")}),
     ("max_leverage", {"account": None}), ("min_margin_level", {"account": None}),
     ("min_margin_level", {"identity": identity(leverage=0)}),
     ("min_margin_level", {"account": account("NaN", margin=D(1))}),
     ("max_total_exposure", {"account": None}), ("max_total_exposure", {"symbols": {}}),
     ("max_leverage", {"symbols": {}}), ("min_margin_level", {"symbols": {}})],
)  # fmt: skip
def test_what_is_not_known_is_left_empty_and_the_limit_still_told(
    name: str, unknown: dict[str, Any]
) -> None:
    risk = {
        "max_drawdown": "10%", "max_trades_per_day": 2, "max_rejections": 5, "max_fills": 10,
        "min_equity": D(1), "max_leverage": D(30), "min_margin_level": D(100),
        "max_total_exposure": "400%",
    }  # fmt: skip
    value, used, left = _seen(name, picture([_HELD], risk=risk, **unknown))
    assert value
    assert (used, left) == ("", "")
