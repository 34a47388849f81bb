"""The example profiles: both sides load each one, and a strategy trades under it on paper."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from bridge_client.settings import load_settings as load_connector
from bridge_client.testing import PaperBridge
from bridge_core.risk.checks_basic import missing_limits
from bridge_server.settings import Overrides
from bridge_server.settings import load_settings as load_server

PROFILES: Final = Path(__file__).resolve().parents[2] / "examples" / "profiles"
NAMES: Final = ("cautious", "moderate", "aggressive")
# What each one is for: symbols, and the loss at the stop in percent of the equity.
MEANT: Final = {"cautious": (1, "1%"), "moderate": (2, "1.5%"), "aggressive": (4, "2%")}
PRICES: Final = {"EURUSD": 1.1, "GBPUSD": 1.3, "AUDUSD": 0.7, "NZDUSD": 0.6}


def text(name: str) -> str:
    return (PROFILES / f"{name}.toml").read_text("utf-8")


def read(name: str) -> dict[str, Any]:
    return tomllib.loads(text(name))


def test_every_profile_is_looked_at() -> None:
    assert {path.stem for path in PROFILES.glob("*.toml")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_load_a_profile_and_no_required_limit_is_missing(
    tmp_path: Path, name: str
) -> None:
    ours, theirs = tmp_path / "connector.toml", tmp_path / "server.toml"
    ours.write_text(f'account = "demo"\nserver = "tcp://127.0.0.1:5555"\n{text(name)}', "utf-8")
    theirs.write_text(f'account = "demo"\nmode = "paper"\nbackend = "paper"\n{text(name)}', "utf-8")
    policy = load_connector(ours).policy(tmp_path)
    server = load_server(theirs, Overrides())
    assert server.risk == policy.account
    symbols, risk = MEANT[name]
    assert (len(policy.allowed_symbols), policy.account.max_risk_per_trade) == (symbols, risk)
    assert not [line for one in policy.allowed_symbols for line in missing_limits(policy, one)]
    assert policy.account.initial_balance is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_trades_on_paper_under_a_profile(
    name: str, paper_bridge: Callable[..., PaperBridge]
) -> None:
    profile = read(name)
    limits = {k: v for k, v in profile["limits"]["EURUSD"].items() if k != "trading_hours"}
    prices = {symbol: [PRICES[symbol]] for symbol in profile["allowed_symbols"]}
    bridge = paper_bridge(
        prices, limits=limits, risk=profile["risk"], balance=profile["risk"]["initial_balance"]
    )
    percent = profile["risk"]["max_risk_per_trade"].removesuffix("%")
    for symbol, price in list(prices.items())[:2]:
        stop = round(price[0] * 0.996, 5)
        size = bridge.size_for_risk(symbol, None, stop, percent)
        assert size.status == "OK", str(size)
        volume = min(size.volume, limits["max_volume"], 0.05)
        result = bridge.buy(symbol, volume, sl=stop, deviation=20)
        assert result.status == "FILLED", str(result)
    naked = bridge.sell("EURUSD", 0.01)
    assert (naked.code, naked.by) in {("SL_REQUIRED", "connector"), ("MAX_POSITIONS", "connector")}
    assert bridge.close_all().status == "DONE"
