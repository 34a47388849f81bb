"""What a verified reply shows of the account, as the facts that the risk checks judge by."""

from __future__ import annotations

from typing import NamedTuple

from bridge_core.protocol.replies import dec
from bridge_core.protocol.views import (
    AccountView,
    PendingView,
    PositionView,
    QuoteView,
    SymbolView,
)
from bridge_core.risk.facts import Account, Identity, Pending, Position, Quote, SymbolSpec

__all__ = ["Money", "money_of", "order_of", "position_of", "quote_of", "symbol_of"]


class Money(NamedTuple):
    """The account of one picture; `asked_ms` is when the terminal said it, by the server's clock.

    `market_ms` is the broker's time then. `zone_ms` None: nobody has said when its day begins.
    """

    identity: Identity
    account: Account
    market_ms: int
    zone_ms: int | None
    asked_ms: int


def money_of(row: AccountView, taken_ms: int, zone_ms: int | None) -> Money:
    """Return the account; `taken_ms` is the reply's own time, `zone_ms` what was known before."""
    asked_ms = row.time or taken_ms
    return Money(
        identity=Identity(
            login=row.login,
            server=row.server,
            kind=row.kind,
            currency=row.currency,
            margin_mode=row.margin_mode,
            leverage=row.leverage,
        ),
        account=Account(
            balance=dec(row.balance),
            equity=dec(row.equity),
            margin=dec(row.margin),
            free_margin=dec(row.free_margin),
            profit=dec(row.profit),
            margin_level=dec(row.margin_level) if row.margin_level else None,
        ),
        market_ms=row.market_time or asked_ms,
        zone_ms=zone_ms if row.zone_ms is None else row.zone_ms,
        asked_ms=asked_ms,
    )


def position_of(row: PositionView) -> Position:
    """Return an open position."""
    return Position(
        ticket=row.ticket,
        symbol=row.symbol,
        type=row.type,
        volume=dec(row.volume),
        open_price=dec(row.open_price),
        current_price=dec(row.current_price),
        sl=dec(row.sl),
        tp=dec(row.tp),
        profit=dec(row.profit),
        swap=dec(row.swap),
        commission=dec(row.commission),
        magic=row.magic,
        comment=row.comment,
        opened_ms=row.opened_at,
    )


def order_of(row: PendingView) -> Pending:
    """Return a pending order."""
    return Pending(
        ticket=row.ticket,
        symbol=row.symbol,
        type=row.type,
        volume=dec(row.volume),
        price=dec(row.price),
        sl=dec(row.sl),
        tp=dec(row.tp),
        expiration_ms=row.expiration,
        magic=row.magic,
        comment=row.comment,
        placed_ms=row.placed_at,
    )


def quote_of(row: QuoteView, taken_ms: int) -> Quote:
    """Return a quote; `taken_ms` is the reply's own time."""
    return Quote(
        symbol=row.symbol,
        bid=dec(row.bid),
        ask=dec(row.ask),
        time_ms=row.time,
        asked_wall_ms=row.asked or taken_ms,
    )


def symbol_of(row: SymbolView) -> SymbolSpec:
    """Return a symbol's grids and terms."""
    return SymbolSpec(
        symbol=row.symbol,
        digits=row.digits,
        point=dec(row.point),
        volume_min=dec(row.volume_min),
        volume_max=dec(row.volume_max),
        volume_step=dec(row.volume_step),
        contract_size=dec(row.contract_size),
        stops_level=row.stops_level,
        freeze_level=row.freeze_level,
        currency_base=row.currency_base,
        currency_profit=row.currency_profit,
        tick_size=dec(row.tick_size),
        tick_value=dec(row.tick_value),
        trade_mode=row.trade_mode,
        execution=row.execution,
        filling=row.filling,
        session=row.session,
    )
