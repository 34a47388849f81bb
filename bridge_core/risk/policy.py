"""The limits as both configurations write them: closed structs, and what each of them means.

An amount is a number in account currency, or a text "N%": that part of a base which the limit
names. None is off. Nothing here can be set by anything that travels.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from bridge_core.risk.exact import EXACT
from bridge_core.risk.hours import parse_hours

__all__ = [
    "AccountLimits", "Amount", "AmountSetting", "Policy", "StrategyLimits", "SymbolLimits",
    "amount", "capped",
]  # fmt: skip

_HUNDRED: Final = Decimal(100)

AmountSetting = (
    Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?%?\Z")]
    | Annotated[int, Meta(gt=0)]
    | Annotated[float, Meta(gt=0)]
)
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Points = Annotated[int, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[int, Meta(ge=1, le=604_800)]
OrderKind = Literal["BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"]
EntryOp = Literal["OPEN", "MODIFY"]


class Amount(NamedTuple):
    """Money in account currency, or percent of a base."""

    value: Decimal
    percent: bool

    def of(self, base: Decimal) -> Decimal:
        """Return the money: of a percentage, that part of `base`."""
        if not self.percent:
            return self.value
        with localcontext(EXACT):
            return self.value * base / _HUNDRED

    def __str__(self) -> str:
        return format(self.value, "f") + ("%" if self.percent else "")


def amount(setting: AmountSetting) -> Amount:
    """Return what a setting says; a float means its shortest decimal text."""
    text = setting if isinstance(setting, str) else str(setting)
    return Amount(Decimal(text.removesuffix("%")), text.endswith("%"))


class SymbolLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[limits.SYMBOL]. The first two are required: without one the symbol takes no entry.

    Volumes in lots, deviation, spread and distances in points. `price_collar` and `max_move` are
    percent of the reference price; `max_move` bounds highest against lowest mid of
    `move_window_s`. `max_tick_age_s` bounds the age of the last tick.
    """

    max_volume: Decimal | None = None
    max_positions: Count | None = None
    max_orders: Count | None = None
    max_net_volume: Decimal | None = None
    max_gross_volume: Decimal | None = None
    max_deviation: Points | None = None
    max_spread: Points | None = None
    max_sl_distance: Points | None = None
    price_collar: Decimal | None = None
    max_move: Decimal | None = None
    move_window_s: Seconds = 60
    max_tick_age_s: Seconds = 60
    trading_hours: str | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are no limits."""
        for name in ("max_volume", "max_net_volume", "max_gross_volume", "price_collar",
                     "max_move"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value > 0):
                raise ValueError(f"{name} must be a positive number")
        if self.trading_hours is not None:
            parse_hours(self.trading_hours)


class StrategyLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[risk.strategies.NUMBER]: what one strategy number may ask; None: as the account."""

    allowed_types: tuple[OrderKind, ...] | None = None
    allowed_ops: tuple[EntryOp, ...] | None = None
    allowed_symbols: tuple[str, ...] | None = None


class AccountLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[risk]. Required: `max_daily_loss`, and `max_risk_per_trade` or `require_sl = false`.

    Percent of `max_daily_loss` is of the equity at the start of the broker's trading day, of
    `max_drawdown` of the highest equity seen, of all others of the equity now; `initial_balance`,
    where set, is the most that any base counts for. Counts are of the account; `max_fills` within
    `fills_window_s` is of one strategy number.
    """

    max_daily_loss: AmountSetting | None = None
    max_risk_per_trade: AmountSetting | None = None
    require_sl: bool | None = None
    initial_balance: Decimal | None = None
    daily_loss_ends: Literal["day", "operator"] = "day"
    max_drawdown: AmountSetting | None = None
    min_equity: Decimal | None = None
    max_order_value: AmountSetting | None = None
    max_total_exposure: AmountSetting | None = None
    max_currency_exposure: AmountSetting | None = None
    correlation_limit: AmountSetting | None = None
    correlation_file: str | None = None
    correlation_from: Decimal = Decimal("0.7")
    max_leverage: Decimal | None = None
    min_margin_level: Decimal | None = None
    max_open_orders: Count | None = None
    max_trades_per_day: Count | None = None
    max_rejections: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    max_fills: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    fills_window_s: Seconds = 60
    duplicate_window_s: Seconds | None = None
    trading_hours: str | None = None
    margin_mode: Literal["hedging", "netting"] | None = None
    allowed_types: tuple[OrderKind, ...] | None = None
    allowed_ops: tuple[EntryOp, ...] | None = None
    manage: Literal["all", "own"] = "all"
    strategies: dict[str, StrategyLimits] = {}

    def __post_init__(self) -> None:
        """Refuse limits that are no limits."""
        for name in ("max_daily_loss", "max_risk_per_trade", "max_drawdown", "max_order_value",
                     "max_total_exposure", "max_currency_exposure",
                     "correlation_limit"):  # fmt: skip
            setting = getattr(self, name)
            if setting is not None and amount(setting).value <= 0:
                raise ValueError(f"{name} must be above 0")
        for name in ("initial_balance", "correlation_from", "max_leverage", "min_margin_level"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value > 0):
                raise ValueError(f"{name} must be a positive number")
        if self.min_equity is not None and not self.min_equity.is_finite():
            raise ValueError("min_equity must be a number")
        if self.trading_hours is not None:
            parse_hours(self.trading_hours)


class Policy(Struct, frozen=True, kw_only=True):
    """One side's limits, by the broker's symbol names. `correlations` is the table of pairs."""

    allowed_symbols: frozenset[str]
    symbols: Mapping[str, SymbolLimits]
    account: AccountLimits
    correlations: Mapping[tuple[str, str], Decimal] = {}


def capped(base: Decimal, account: AccountLimits) -> Decimal:
    """Return what a base counts for: at most `initial_balance`, at least 0."""
    most = account.initial_balance
    return max(Decimal(0), base if most is None else min(base, most))
