"""The controls as a trader sets them: one row each, with what it lets pass and what it refuses.

Prices stand still: EURUSD 1.10000 / 1.10010 and GBPUSD 1.25000 / 1.25010 on a hedging paper
account of 10,000 USD with a leverage of 100.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from bridge_client import Connector, OrderResult

__all__ = ["PRICES", "ROWS", "STATES", "Act", "Row"]

Act = Callable[[Connector], OrderResult]
PRICES: Final = {"EURUSD": ("1.10000", "1.10010"), "GBPUSD": ("1.25000", "1.25010")}


class Row(Struct, frozen=True, kw_only=True):
    """One control: its numbers in the catalogue, its line in one side's configuration.

    `limits` belongs to [limits.EURUSD], `risk` to [risk], `top` stands by itself. `within` passes,
    in this order; then `over` is refused with `code`. `script` is for the paper broker. `local`: a
    connector cannot even see what the server bars.
    """

    numbers: tuple[int, ...]
    code: str
    limits: str = ""
    risk: str = ""
    top: str = ""
    within: tuple[Act, ...] = ()
    over: Act
    script: str = ""
    local: bool = False

    @property
    def name(self) -> str:
        """What the test is called."""
        line = (self.limits or self.risk or self.top).partition("=")[0].strip()
        return f"{self.code}-{line}"


# --- what is asked -------------------------------------------------------------------------------


def buy(volume: str, symbol: str = "EURUSD", **options: str | int) -> Act:
    """A market buy."""
    return lambda bridge: bridge.buy(symbol, volume, **options)  # type: ignore[arg-type]


def sell(volume: str, symbol: str = "EURUSD", **options: str | int) -> Act:
    """A market sell."""
    return lambda bridge: bridge.sell(symbol, volume, **options)  # type: ignore[arg-type]


def rest(volume: str, price: str, **options: str) -> Act:
    """A buy limit."""
    return lambda bridge: bridge.buy_limit("EURUSD", volume, price=price, **options)  # type: ignore[arg-type]


def _take_sl_away(bridge: Connector) -> OrderResult:
    held = bridge.get_positions()[0]
    return bridge.modify_position(held, sl=0)


def _hours(now_in: bool) -> str:
    # The whole day but the hour that is now, or the other way round; half an hour of room.
    now = datetime.now(UTC)
    away = timedelta(hours=0 if now_in else 6)
    first, last = (now + away - timedelta(hours=1)), (now + away + timedelta(hours=1))
    return _span(first, last)


def _span(first: datetime, last: datetime) -> str:
    if first.date() == last.date():
        return f"{first:%a %H:%M}-{last:%H:%M}"
    return f"{first:%a %H:%M}-24:00, {last:%a} 00:00-{last:%H:%M}"


# --- the rows ------------------------------------------------------------------------------------

ROWS: Final[tuple[Row, ...]] = (
    Row(numbers=(5,), code="MAX_VOLUME", limits="max_volume = 0.02",
        within=(buy("0.02"),), over=buy("0.03")),
    Row(numbers=(14,), code="MAX_POSITIONS", limits="max_positions = 1",
        within=(buy("0.01"),), over=buy("0.01")),
    Row(numbers=(15,), code="MAX_ORDERS", limits="max_orders = 1",
        within=(rest("0.01", "1.05"),), over=rest("0.01", "1.06")),
    Row(numbers=(15,), code="MAX_OPEN_ORDERS", risk="max_open_orders = 2",
        within=(rest("0.01", "1.05"), buy("0.01", "GBPUSD")), over=buy("0.01")),
    Row(numbers=(14,), code="MAX_NET_VOLUME", limits="max_net_volume = 0.03",
        within=(buy("0.02"), sell("0.01"), buy("0.02")), over=buy("0.01")),
    Row(numbers=(14,), code="MAX_GROSS_VOLUME", limits="max_gross_volume = 0.03",
        within=(buy("0.02"), sell("0.01")), over=sell("0.01")),
    Row(numbers=(8,), code="MAX_DEVIATION", limits="max_deviation = 30",
        within=(buy("0.01", deviation=30),), over=buy("0.01", deviation=31)),
    Row(numbers=(25,), code="MAX_SPREAD", limits="max_spread = 9",
        within=(buy("0.01", "GBPUSD"),), over=buy("0.01")),
    Row(numbers=(7,), code="PRICE_COLLAR", limits="price_collar = 1.0",
        within=(rest("0.01", "1.0950"),), over=rest("0.01", "1.0800")),
    Row(numbers=(24,), code="SL_REQUIRED", risk="require_sl = true, max_risk_per_trade = 1000",
        within=(buy("0.01", sl="1.09000"),), over=buy("0.01")),
    Row(numbers=(24,), code="SL_REQUIRED", risk="max_risk_per_trade = 100, require_sl = true",
        within=(buy("0.01", sl="1.09000"),), over=_take_sl_away),
    Row(numbers=(24,), code="SL_DISTANCE", limits="max_sl_distance = 1000",
        within=(rest("0.01", "1.09000", sl="1.08000"),),
        over=rest("0.01", "1.09000", sl="1.07999")),
    # 0.01 lots are 1,000 EUR: one USD for each 100 points. The worst price is 20 points away.
    Row(numbers=(13,), code="MAX_RISK", risk="max_risk_per_trade = 10, require_sl = false",
        within=(buy("0.01", sl="1.09030", deviation=20), buy("0.01")),
        over=buy("0.01", sl="1.09029", deviation=20)),
    Row(numbers=(13,), code="MAX_RISK", risk='max_risk_per_trade = "0.1%", require_sl = false',
        within=(rest("0.01", "1.09000", sl="1.08100"),),
        over=rest("0.01", "1.09000", sl="1.07900")),
    Row(numbers=(11,), code="DUPLICATE_INTENT", risk="duplicate_window_s = 60",
        within=(buy("0.01"), buy("0.02"), sell("0.01")), over=buy("0.01")),
    Row(numbers=(9,), code="MAX_TRADES", risk="max_trades_per_day = 2",
        within=(buy("0.01"), rest("0.01", "1.05")), over=sell("0.01")),
    Row(numbers=(6,), code="MAX_ORDER_VALUE", risk="max_order_value = 2201",
        within=(buy("0.02"),), over=buy("0.03")),
    Row(numbers=(13, 14), code="MAX_EXPOSURE", risk='max_total_exposure = "30%"',
        within=(buy("0.01"), rest("0.01", "1.05")), over=buy("0.01")),
    Row(numbers=(14,), code="CURRENCY_EXPOSURE", risk="max_currency_exposure = 3000",
        within=(buy("0.02"),), over=buy("0.01", "GBPUSD")),
    Row(numbers=(14,), code="CORRELATION", risk="correlation_limit = 3000",
        within=(buy("0.02"),), over=buy("0.01", "GBPUSD")),
    Row(numbers=(13,), code="MAX_LEVERAGE", risk="max_leverage = 0.25",
        within=(buy("0.02"),), over=buy("0.01")),
    Row(numbers=(13,), code="MARGIN_LEVEL", risk="min_margin_level = 40000",
        within=(buy("0.02"),), over=buy("0.01")),
    Row(numbers=(13,), code="MIN_EQUITY", risk="min_equity = 20000", over=buy("0.01")),
    Row(numbers=(20,), code="TYPE_NOT_ALLOWED", risk='allowed_types = ["BUY", "BUY_LIMIT"]',
        within=(buy("0.01"), rest("0.01", "1.05")), over=sell("0.01")),
    Row(numbers=(21,), code="TRADING_HOURS", limits=f'trading_hours = "{_hours(False)}"',
        within=(buy("0.01", "GBPUSD"),), over=buy("0.01")),
    Row(numbers=(18,), code="SYMBOL_NOT_ALLOWED", top='allowed_symbols = ["EURUSD"]', local=True,
        within=(buy("0.01"),), over=buy("0.01", "GBPUSD")),
    Row(numbers=(28,), code="MARGIN_MODE", risk='margin_mode = "netting"', over=buy("0.01")),
)  # fmt: skip

# What lowers the state on the side that sees it; the spread alone is the loss here.
STATES: Final[tuple[Row, ...]] = (
    Row(numbers=(16,), code="DAILY_LOSS", risk="max_daily_loss = 0.15",
        within=(buy("0.02"),), over=buy("0.01")),
    Row(numbers=(16,), code="DRAWDOWN", risk="max_drawdown = 0.15",
        within=(buy("0.02"),), over=buy("0.01")),
    Row(numbers=(10,), code="MAX_FILLS", risk="max_fills = 2",
        within=(buy("0.01"), buy("0.01")), over=buy("0.01")),
    Row(numbers=(17,), code="MAX_REJECTIONS", risk="max_rejections = 2",
        script='{"do":"reject","code":"NO_MONEY"}\n{"do":"reject","code":"NO_MONEY"}\n',
        within=(buy("0.01"), buy("0.01")), over=buy("0.01")),
)  # fmt: skip
