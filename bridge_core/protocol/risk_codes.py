"""The rows of the code table that pre-trade checks give, in their order (protocol.md 8)."""

from __future__ import annotations

from typing import Final

from bridge_core.protocol.codes import CodeInfo, ReasonCode

__all__ = ["RISK_CODES"]

_C = ReasonCode
_NEW: Final = "as a new order"
_NO: Final = "no"

RISK_CODES: Final[dict[ReasonCode, CodeInfo]] = {
    _C.SYMBOL_NOT_ALLOWED: CodeInfo(
        "the symbol is not in allowed_symbols",
        "server or connector",
        _NO,
        "add it to `allowed_symbols` on the side that refused",
    ),
    _C.TYPE_NOT_ALLOWED: CodeInfo(
        "the account or this strategy may not use this order type or operation",
        "server or connector",
        _NO,
        "allow it in [risk] on the side that refused",
    ),
    _C.SYMBOL_UNKNOWN: CodeInfo(
        "the broker has no such symbol, or has not told its grids",
        "server or connector",
        _NO,
        "use the broker's spelling: `ztb symbols`",
    ),
    _C.NO_LIMIT: CodeInfo(
        "a required limit of this symbol is not set",
        "server or connector",
        _NO,
        "add the line in the message on the side that refused",
    ),
    _C.MARGIN_MODE: CodeInfo(
        "the account is not hedging or netting as `margin_mode` says",
        "server or connector",
        _NO,
        "mend `margin_mode`, or log in to the right account",
    ),
    _C.NO_ACCOUNT: CodeInfo(
        "the account's state is not known or too old to judge by",
        "server or connector",
        _NEW,
        "`ztb health`: mend the hop to the terminal",
    ),
    _C.TICKET_UNKNOWN: CodeInfo(
        "no open position or pending order has this ticket", "server", _NO, "`ztb positions`"
    ),
    _C.NOT_OURS: CodeInfo(
        "the ticket is not of an order of ours, and `manage` says own",
        "server or connector",
        _NO,
        "close it in the terminal, or say `manage = 'all'`",
    ),
    _C.VOLUME_GRID: CodeInfo(
        "the volume is not on the symbol's grid; nothing is rounded",
        "server or connector",
        _NEW,
        "use one of the two nearest volumes in the message",
    ),
    _C.MAX_VOLUME: CodeInfo(
        "the volume is above max_volume", "server or connector", _NEW, "trade less, or raise it"
    ),
    _C.MAX_POSITIONS: CodeInfo(
        "as many positions are open as max_positions allows",
        "server or connector",
        _NEW,
        "close one, or raise it",
    ),
    _C.MAX_ORDERS: CodeInfo(
        "as many pending orders rest as max_orders allows",
        "server or connector",
        _NEW,
        "cancel one",
    ),
    _C.MAX_OPEN_ORDERS: CodeInfo(
        "positions and pending orders of the account reach max_open_orders",
        "server or connector",
        _NEW,
        "close or cancel one",
    ),
    _C.MAX_NET_VOLUME: CodeInfo(
        "the symbol's net volume would pass max_net_volume",
        "server or connector",
        _NEW,
        "trade less",
    ),
    _C.MAX_GROSS_VOLUME: CodeInfo(
        "the symbol's volume in all would pass max_gross_volume",
        "server or connector",
        _NEW,
        "trade less",
    ),
    _C.MAX_DEVIATION: CodeInfo(
        "the deviation is above max_deviation", "server or connector", _NEW, "ask for less"
    ),
    _C.TRADING_HOURS: CodeInfo(
        "outside trading_hours (UTC)",
        "server or connector",
        "later",
        "wait for them",
    ),
    _C.SESSION_CLOSED: CodeInfo(
        "the broker does not trade the symbol now, or not in this direction",
        "server or connector",
        "later",
        "`ztb symbols`",
    ),
    _C.NO_QUOTE: CodeInfo(
        "no price of the symbol to check against",
        "server or connector",
        _NEW,
        "`ztb quote SYMBOL`",
    ),
    _C.STALE_QUOTE: CodeInfo(
        "the price is too old: since it was asked for, or since its last tick",
        "server or connector",
        _NEW,
        "`ztb quote SYMBOL`; see max_tick_age_s",
    ),
    _C.MAX_MOVE: CodeInfo(
        "the price has moved by more than max_move within its window",
        "server or connector",
        "later",
        "wait until it is calm",
    ),
    _C.MAX_SPREAD: CodeInfo(
        "the spread is above max_spread",
        "server or connector",
        _NEW,
        "wait for a narrower spread",
    ),
    _C.PRICE_GRID: CodeInfo(
        "a price has more digits than the symbol; nothing is rounded",
        "server or connector",
        _NEW,
        "use one of the two nearest prices in the message",
    ),
    _C.PRICE_SIDE: CodeInfo(
        "a pending price on the wrong side of the market for its type",
        "server or connector",
        _NEW,
        "limits lie better than the market, stops worse",
    ),
    _C.PRICE_COLLAR: CodeInfo(
        "a price is further from the market than price_collar",
        "server or connector",
        _NEW,
        "look at the digits of the price",
    ),
    _C.STOPS_SIDE: CodeInfo(
        "sl or tp on the wrong side of the price", "server or connector", _NEW, "check both"
    ),
    _C.STOPS_LEVEL: CodeInfo(
        "sl, tp or price nearer to the market than the broker allows",
        "server or connector",
        _NEW,
        "move it",
    ),
    _C.SL_REQUIRED: CodeInfo(
        "an entry needs a stop loss, and none may be taken away",
        "server or connector",
        _NEW,
        "give `sl`, or say `require_sl = false`",
    ),
    _C.SL_DISTANCE: CodeInfo(
        "the stop loss is further away than max_sl_distance",
        "server or connector",
        _NEW,
        "move it nearer",
    ),
    _C.EXPIRATION: CodeInfo(
        "the expiration is not in the market's future",
        "server or connector",
        _NEW,
        "sign a later one",
    ),
    _C.DUPLICATE_INTENT: CodeInfo(
        "same symbol, type and volume as an order within duplicate_window_s",
        "server or connector",
        _NEW,
        "wait, if it is meant twice",
    ),
    _C.MAX_TRADES: CodeInfo(
        "max_trades_per_day entries have passed in the broker's day",
        "server or connector",
        "later",
        "wait for its next day",
    ),
    _C.MAX_FILLS: CodeInfo(
        "this strategy has reached max_fills within its window",
        "server or connector",
        _NO,
        "see why, then `ztb resume --operator DIR --cause BREAKER`",
    ),
    _C.MAX_REJECTIONS: CodeInfo(
        "the broker rejected max_rejections entries in a row",
        "server or connector",
        _NO,
        "see why, then `ztb resume --operator DIR --cause BREAKER`",
    ),
    _C.NO_CONVERSION: CodeInfo(
        "its money cannot be told in account currency: a quote or a term is missing",
        "server or connector",
        _NEW,
        "`ztb symbols`; allow the pair that converts",
    ),
    _C.MAX_ORDER_VALUE: CodeInfo(
        "the order's value is above max_order_value",
        "server or connector",
        _NEW,
        "trade less",
    ),
    _C.MAX_RISK: CodeInfo(
        "the loss at the stop is above max_risk_per_trade",
        "server or connector",
        _NEW,
        "trade less, or nearer the stop: `size_for_risk`",
    ),
    _C.MAX_EXPOSURE: CodeInfo(
        "the value of all positions would pass max_total_exposure",
        "server or connector",
        _NEW,
        "trade less, or close something",
    ),
    _C.CORRELATION: CodeInfo(
        "what moves together would pass correlation_limit",
        "server or connector",
        _NEW,
        "close what is correlated",
    ),
    _C.CURRENCY_EXPOSURE: CodeInfo(
        "one currency's exposure would pass max_currency_exposure",
        "server or connector",
        _NEW,
        "trade less",
    ),
    _C.MAX_LEVERAGE: CodeInfo(
        "the value in all over the equity would pass max_leverage",
        "server or connector",
        _NEW,
        "trade less",
    ),
    _C.MARGIN_LEVEL: CodeInfo(
        "the margin level afterwards would be below min_margin_level",
        "server or connector",
        _NEW,
        "trade less",
    ),
    _C.MIN_EQUITY: CodeInfo(
        "the equity is at or below min_equity",
        "server or connector",
        _NO,
        "only reduce",
    ),
    _C.DAILY_LOSS: CodeInfo(
        "the day's loss, floating included, has reached max_daily_loss",
        "server or connector",
        "later",
        "wait for the broker's next day",
    ),
    _C.DRAWDOWN: CodeInfo(
        "the equity has fallen from its peak by max_drawdown",
        "server or connector",
        _NO,
        "see why, then `ztb resume --operator DIR --cause DRAWDOWN`",
    ),
}
