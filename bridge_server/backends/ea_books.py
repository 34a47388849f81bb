"""Hop rows -> the server's own picture of the account (`core.ports`). Pure.

MetaTrader 4 knows no deals: a closed order is one row with both its prices. It is shown as a deal
IN and a deal OUT, both numbered by its ticket. A partial close leaves the rest under a new ticket.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from bridge_server.backends import ea_hop
from bridge_server.core.ports import (
    Account,
    Deal,
    EndedOrder,
    Identity,
    MarginEstimate,
    Pending,
    Position,
    Quote,
    Scan,
    SymbolSpec,
)

__all__ = [
    "account_of", "deals_of", "ended_of", "identity_of", "margin_of", "pending_of", "position_of",
    "quote_of", "scan_of", "spec_of",
]  # fmt: skip

_SIDES: Final = frozenset({"BUY", "SELL"})
_LIVES: Final = {"CANCELLED": "CANCELLED", "EXPIRED": "BROKER_EXPIRED"}
_D = Decimal


def identity_of(beat: ea_hop.Beat) -> Identity:
    """Return which account the terminal shows; MetaTrader 4 accounts are hedging accounts."""
    return Identity(
        login=beat.account,
        server=beat.server,
        kind=beat.kind,
        currency=beat.currency,
        margin_mode="hedging",
        leverage=beat.leverage,
    )


def account_of(row: ea_hop.Account) -> Account:
    """Return the money."""
    return Account(
        balance=_D(row.balance),
        equity=_D(row.equity),
        margin=_D(row.margin),
        free_margin=_D(row.free_margin),
        profit=_D(row.profit),
        margin_level=_D(row.margin_level) if row.margin_level and _D(row.margin) else None,
    )


def position_of(row: ea_hop.Position) -> Position:
    """Return an open position."""
    return Position(
        ticket=row.ticket,
        symbol=row.symbol,
        type=row.type,
        volume=_D(row.volume),
        open_price=_D(row.open_price),
        current_price=_D(row.current_price),
        sl=_D(row.sl),
        tp=_D(row.tp),
        profit=_D(row.profit),
        swap=_D(row.swap),
        commission=_D(row.commission),
        magic=row.magic,
        comment=row.comment,
        opened_ms=row.opened_ms,
    )


def pending_of(row: ea_hop.Order) -> Pending:
    """Return a pending order."""
    return Pending(
        ticket=row.ticket,
        symbol=row.symbol,
        type=row.type,
        volume=_D(row.volume),
        price=_D(row.price),
        sl=_D(row.sl),
        tp=_D(row.tp),
        expiration_ms=row.expiration_ms,
        magic=row.magic,
        comment=row.comment,
        placed_ms=row.placed_ms,
    )


def quote_of(row: ea_hop.Quote, asked_wall_ms: int) -> Quote:
    """Return a quote; `asked_wall_ms` (UTC ms) is when the terminal was asked."""
    return Quote(
        symbol=row.symbol,
        bid=_D(row.bid),
        ask=_D(row.ask),
        time_ms=row.time_ms,
        asked_wall_ms=asked_wall_ms,
    )


def spec_of(row: ea_hop.Spec) -> SymbolSpec:
    """Return a symbol's grids."""
    return SymbolSpec(
        symbol=row.symbol,
        digits=row.digits,
        point=_D(row.point),
        volume_min=_D(row.volume_min),
        volume_max=_D(row.volume_max),
        volume_step=_D(row.volume_step),
        contract_size=_D(row.contract_size),
        stops_level=row.stops_level,
        freeze_level=row.freeze_level,
        currency_base=row.currency_base,
        currency_profit=row.currency_profit,
        tick_value=max(_D(0), _D(row.tick_value)),
    )


def margin_of(row: ea_hop.Margin) -> MarginEstimate:
    """Return what an OPEN would take."""
    return MarginEstimate(
        margin=_D(row.margin), free_margin=_D(row.free_margin), price=_D(row.price)
    )


def _deal_in(row: ea_hop.Closed | ea_hop.Position) -> Deal:
    return Deal(
        deal=row.ticket,
        ticket=row.ticket,
        order=row.ticket,
        symbol=row.symbol,
        type=row.type,
        entry="IN",
        volume=_D(row.volume),
        price=_D(row.open_price),
        magic=row.magic,
        comment=row.comment,
        time_ms=row.opened_ms,
    )


def _deal_out(row: ea_hop.Closed) -> Deal:
    return Deal(
        deal=row.ticket,
        ticket=row.ticket,
        order=row.ticket,
        symbol=row.symbol,
        type=row.type,
        entry="OUT",
        volume=_D(row.volume),
        price=_D(row.close_price),
        profit=_D(row.profit),
        swap=_D(row.swap),
        commission=_D(row.commission),
        magic=row.magic,
        comment=row.comment,
        reason=row.reason,
        time_ms=row.closed_ms,
    )


def deals_of(
    closed: Iterable[ea_hop.Closed], positions: Iterable[ea_hop.Position]
) -> tuple[Deal, ...]:
    """Return the executions behind closed rows and open positions, oldest first."""
    trades = [row for row in closed if row.type in _SIDES]
    deals = [_deal_in(row) for row in trades] + [_deal_in(row) for row in positions]
    deals += [_deal_out(row) for row in trades]
    return tuple(sorted(deals, key=lambda deal: (deal.time_ms, deal.ticket, deal.entry)))


def ended_of(
    closed: Iterable[ea_hop.Closed], positions: Iterable[ea_hop.Position]
) -> tuple[EndedOrder, ...]:
    """Return what pending orders may have become: MetaTrader 4 keeps the ticket through a fill."""
    gone: list[tuple[ea_hop.Closed | ea_hop.Position, str, int]] = []
    for row in closed:
        if row.type in _SIDES:
            gone.append((row, "FILLED", row.opened_ms))
        elif row.reason in _LIVES:
            gone.append((row, _LIVES[row.reason], row.closed_ms))
    gone += [(row, "FILLED", row.opened_ms) for row in positions]
    return tuple(
        EndedOrder(
            ticket=row.ticket,
            symbol=row.symbol,
            life=life,
            magic=row.magic,
            comment=row.comment,
            time_ms=time_ms,
        )
        for row, life, time_ms in gone
    )


def scan_of(rows: ea_hop.Rows, since_wall_ms: int, taken_wall_ms: int) -> Scan:
    """Return the broker's records as one answer shows them (wall times, UTC ms)."""
    return Scan(
        since_wall_ms=since_wall_ms,
        taken_wall_ms=taken_wall_ms,
        complete=rows.complete,
        positions=tuple(position_of(row) for row in rows.positions),
        orders=tuple(pending_of(row) for row in rows.orders),
        deals=deals_of(rows.closed, rows.positions),
        ended=ended_of(rows.closed, rows.positions),
    )
