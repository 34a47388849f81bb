"""What `ztb init` writes: short enough to be read, and what entries need is set."""

from __future__ import annotations

import tomllib

import pytest

from bridge_client.cli.layout import Mt5, Plan, Terminal, connector_toml, server_toml


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("backend", "mode"), [("paper", "paper"), ("ea", "paper"), ("ea", "live"), ("mt5", "live")]
)
def test_every_plan_fits_12_lines_a_side_and_sets_what_entries_need(
    backend: str, mode: str, count: int
) -> None:
    live = mode == "live"
    plan = Plan(
        name="a", symbols=("EURUSD", "GBPUSD.m", "US 500", "XAUUSD")[:count], max_volume="0.01",
        prices="synthetic", port=5555, mode=mode, backend=backend,
        terminal=Terminal(1, "Broker-Demo", "demo") if live else None,
        mt5=Mt5("C:\\MT5\\terminal64.exe", portable=True, margin_mode="hedging")
        if backend == "mt5" else None,
    )  # fmt: skip
    for text in (server_toml(plan), connector_toml(plan)):
        assert len(text.splitlines()) <= 12
        held = tomllib.loads(text)
        assert held["risk"] == {
            "max_daily_loss": "2%", "max_risk_per_trade": "1%", "require_sl": False,
        }  # fmt: skip
        assert list(held["limits"]) == list(plan.symbols)
        assert held.get("host", "127.0.0.1") == "127.0.0.1"
