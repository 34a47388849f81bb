"""What each limit in [limits.SYMBOL] and [risk] means: unit and one line, for protocol.md 6.2.

A setting that is missing here fails the drift test, so none can be set unexplained.
"""

from __future__ import annotations

from typing import Final

from tests.support.glossary import Note

__all__ = ["ACCOUNT_LIMITS", "STRATEGY_LIMITS", "SYMBOL_LIMITS"]

_N = Note
_AMOUNT: Final = "amount"

SYMBOL_LIMITS: Final[dict[str, Note]] = {
    "max_volume": _N("lots", "volume of one entry; **required**"),
    "max_positions": _N(
        "count", "positions, resting orders and orders in flight together; **required**"
    ),
    "max_orders": _N("count", "resting orders, those in flight too"),
    "max_net_volume": _N("lots", "bought less sold, however what is open may end"),
    "max_gross_volume": _N("lots", "bought and sold together; of a netting account the net"),
    "max_deviation": _N("points", "deviation of an entry"),
    "max_spread": _N("points", "spread at an entry"),
    "max_sl_distance": _N("points", "from where the position begins to its sl"),
    "price_collar": _N(
        "% of the price", "from the market to a price, and from that price to sl and tp"
    ),
    "max_move": _N("% of the lowest", "between highest and lowest mid price of `move_window_s`"),
    "move_window_s": _N("s", "the window of `max_move`"),
    "max_tick_age_s": _N("s", "age of the last tick, in market time"),
    "trading_hours": _N("UTC", "like `Mon-Fri 07:00-21:00, Sun 22:00-24:00`, in market time"),
}

ACCOUNT_LIMITS: Final[dict[str, Note]] = {
    "max_daily_loss": _N(
        _AMOUNT,
        "loss of the broker's day, floating included; % of the equity it began with; **required**",
    ),
    "max_risk_per_trade": _N(
        _AMOUNT,
        "loss from the worst entry price to the sl; % of the equity now;"
        " **required**, or `require_sl = false`",
    ),
    "require_sl": _N(
        "",
        "whether an entry needs an sl, and none may be taken away; unsaid: where its loss is"
        " limited",
    ),
    "initial_balance": _N("account currency", "the most that any base of a percentage counts for"),
    "daily_loss_ends": _N(
        "", "what ends the cause DAILY_LOSS: the broker's next day, or only an operator"
    ),
    "max_drawdown": _N(_AMOUNT, "fall from the highest equity seen; % of that"),
    "min_equity": _N("account currency", "the equity has to be above it"),
    "max_order_value": _N(
        _AMOUNT, "value of one entry at the highest price it may get; % of the equity now"
    ),
    "max_total_exposure": _N(
        _AMOUNT, "value of positions, resting orders and orders in flight; % of the equity now"
    ),
    "max_currency_exposure": _N(
        _AMOUNT, "net of each currency, however what is open may end; % of the equity now"
    ),
    "correlation_limit": _N(
        _AMOUNT,
        "net of what moves together: by currency, or by `correlation_file`; % of the equity now",
    ),
    "correlation_file": _N("path", "CSV: symbol,symbol,correlation"),
    "correlation_from": _N("", "pairs from this correlation on, either sign, count as one"),
    "max_leverage": _N("times", "the value in all over the equity"),
    "min_margin_level": _N("%", "equity over margin once all is carried out, by the leverage"),
    "max_open_orders": _N("count", "positions, resting orders and orders in flight, all symbols"),
    "max_trades_per_day": _N("count", "entries that passed in the broker's day"),
    "max_rejections": _N("count", "entries rejected by the broker in a row; then BREAKER"),
    "max_fills": _N("count", "fills of one strategy number in `fills_window_s`; then BREAKER"),
    "fills_window_s": _N("s", "the window of `max_fills`"),
    "duplicate_window_s": _N("s", "how long the same symbol, type and volume is a repeat"),
    "trading_hours": _N("UTC", "as of a symbol, for all of them"),
    "margin_mode": _N("", "what the account has to be"),
    "allowed_types": _N("", "order types"),
    "allowed_ops": _N("", "of OPEN and MODIFY; CLOSE, CANCEL and FLATTEN are always allowed"),
    "manage": _N("", "`own`: only tickets of journaled orders may be closed, modified, cancelled"),
    "strategies": _N("tables", "`[risk.strategies.NUMBER]`, below"),
}

STRATEGY_LIMITS: Final[dict[str, Note]] = {
    "allowed_types": _N("", "order types of this strategy number; unsaid: as the account"),
    "allowed_ops": _N("", "of OPEN and MODIFY; unsaid: as the account"),
    "allowed_symbols": _N("", "symbols; unsaid: as the account"),
}
