"""A broker for tests, and requests to it."""

from __future__ import annotations

from typing import Any, Final

from tests.support.clock import FakeClock
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms

__all__ = ["EVER", "NOON", "broker_of", "buy", "limit", "sell"]

NOON: Final = 1_795_176_000_000  # 2026-11-20 12:00 UTC, a Friday
EVER: Final = (1, 2**31 - 1)


def broker_of(clock: FakeClock | None = None, symbol: dict[str, Any] | None = None,
              **terms: Any) -> Broker:  # fmt: skip
    """Return a broker of one watched EURUSD at 1.10000/1.10010; `terms` and `symbol` as wanted."""
    spec = SymbolTerms(**{"selected": True, "filling_mode": 3} | (symbol or {}))
    broker = Broker(Terms(symbols=(spec,), **terms), clock or FakeClock(wall=NOON))
    broker.price(spec.name, "1.10000", "1.10010")
    return broker


def buy(**more: Any) -> dict[str, Any]:
    """Return a market request for 0.1 lot EURUSD, changed by `more`."""
    return {
        "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "type_filling": 1,
        "price": 1.1001, "deviation": 10, "magic": 77, "comment": "ZTAG", **more,
    }  # fmt: skip


def sell(**more: Any) -> dict[str, Any]:
    """Return the same for a sale."""
    return buy(**{"type": 1, "price": 1.1, **more})


def limit(**more: Any) -> dict[str, Any]:
    """Return a request to place a BUY_LIMIT at 1.09."""
    return buy(**{"action": 5, "type": 2, "price": 1.09, "type_filling": 2, **more})
