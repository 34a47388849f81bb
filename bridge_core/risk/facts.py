"""What both sides judge an order by: the account, its positions, prices and symbols.

Domain numbers are exact decimals: volumes in lots, prices in quote currency, money in account
currency. A field ending `_wall_ms` is wall time, every other time is market time; both are UTC ms.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

__all__ = ["Account", "Identity", "Pending", "Position", "Quote", "SymbolSpec"]

ZERO: Final = Decimal(0)


class Identity(Struct, frozen=True, kw_only=True):
    """Which account a terminal is logged in to; pinned in live mode."""

    login: int
    server: str
    kind: str
    currency: str
    margin_mode: str
    leverage: int


class SymbolSpec(Struct, frozen=True, kw_only=True):
    """A symbol's grids and levels; levels in points, volumes in lots.

    Words of the broker, "" where it says nothing: `trade_mode` FULL, LONGONLY, SHORTONLY,
    CLOSEONLY or DISABLED; `execution` REQUEST, INSTANT, MARKET or EXCHANGE; `filling` those of
    FOK, IOC and RETURN that a market order may have. `session` is OPEN or CLOSED by its ticks.
    A `tick_size` of 0: prices move by `point`. `tick_value` is what one lot gains or loses by one
    `tick_size` (else `point`), in account currency as the broker says it now; 0: not said.
    """

    symbol: str
    digits: int
    point: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    contract_size: Decimal
    stops_level: int = 0
    freeze_level: int = 0
    currency_base: str = ""
    currency_profit: str = ""
    tick_size: Decimal = ZERO
    tick_value: Decimal = ZERO
    trade_mode: str = ""
    execution: str = ""
    filling: str = ""
    session: str = ""


class Quote(Struct, frozen=True, kw_only=True):
    """Bid and ask; `asked_wall_ms` is when the terminal was asked, `time_ms` the tick's own."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time_ms: int
    asked_wall_ms: int


class Account(Struct, frozen=True, kw_only=True):
    """Money in account currency; margin_level in percent, None without margin."""

    balance: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    profit: Decimal
    margin_level: Decimal | None = None


class Position(Struct, frozen=True, kw_only=True):
    """An open position; `type` is BUY or SELL; sl and tp 0 mean none."""

    ticket: int
    symbol: str
    type: str
    volume: Decimal
    open_price: Decimal
    current_price: Decimal
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    profit: Decimal = ZERO
    swap: Decimal = ZERO
    commission: Decimal = ZERO
    magic: int = 0
    comment: str = ""
    opened_ms: int = 0


class Pending(Struct, frozen=True, kw_only=True):
    """A pending order at the broker; expiration 0 means none."""

    ticket: int
    symbol: str
    type: str
    volume: Decimal
    price: Decimal
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    expiration_ms: int = 0
    magic: int = 0
    comment: str = ""
    placed_ms: int = 0
