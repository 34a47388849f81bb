"""Checks that count: places, volumes of a symbol, orders of a day, fills, rejections, repeats."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Final

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.checks_basic import limits_of
from bridge_core.risk.entry import added, entering
from bridge_core.risk.exact import EXACT, plain
from bridge_core.risk.exposure import Leg, gross_taken, side_taken, volume_of
from bridge_core.risk.facts import Pending, Position
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.state import SENT_MAX

__all__ = [
    "fills_within_max", "gross_volume_within_max", "net_volume_within_max", "not_a_repeat",
    "open_orders_within_max", "orders_within_max", "positions_within_max",
    "rejections_within_max", "trades_within_max", "volume_legs",
]  # fmt: skip

ZERO: Final = Decimal(0)


def _of(symbol: str, *held: Iterable[Position | Pending | Flying]) -> int:
    return sum(one.symbol == symbol for many in held for one in many)


def _full(code: ReasonCode, limit: int, held: int) -> Refusal | None:
    # One more has to fit.
    if held < limit:
        return None
    return Refusal(code, limit=str(limit), value=str(held + 1), headroom="0")


def positions_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """Positions, pending orders and orders in flight of the symbol stay within max_positions."""
    limit = limits_of(order.symbol, picture).max_positions
    if limit is None or not entering(order, picture):
        return None
    held = _of(order.symbol, picture.positions.values(), picture.orders.values(), picture.flying)
    return _full(ReasonCode.MAX_POSITIONS, limit, held)


def orders_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """Pending orders of the symbol, those in flight too, stay within max_orders, where set."""
    limit = limits_of(order.symbol, picture).max_orders
    if limit is None or order.kind != "OPEN" or not order.is_pending:
        return None
    resting = [one for one in picture.flying if one.type not in ("BUY", "SELL")]
    return _full(ReasonCode.MAX_ORDERS, limit, _of(order.symbol, picture.orders.values(), resting))


def open_orders_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """Positions, pending orders and orders in flight of the account stay in max_open_orders."""
    limit = picture.policy.account.max_open_orders
    if limit is None or not entering(order, picture):
        return None
    held = len(picture.positions) + len(picture.orders) + len(picture.flying)
    return _full(ReasonCode.MAX_OPEN_ORDERS, limit, held)


def volume_legs(symbol: str, picture: Picture) -> list[Leg]:
    """Return what is held and may come of a symbol, by volume only."""
    return [
        Leg(symbol, 1 if one.type.startswith("BUY") else -1, one.volume, None, sure)
        for many, sure in (
            (picture.positions.values(), True),
            (picture.orders.values(), False),
            (picture.flying, False),
        )
        for one in many
        if one.symbol == symbol
    ]


def _new_leg(order: Proposal) -> Leg:
    side = 1 if order.is_buy else -1
    return Leg(order.symbol, side, order.volume, None, sure=True)


def _signed(leg: Leg) -> Decimal:
    return leg.side * leg.volume


def _over(code: ReasonCode, limit: Decimal, taken: Decimal, volume: Decimal) -> Refusal | None:
    with localcontext(EXACT):
        value, room = taken + volume, max(ZERO, limit - taken)
    if value <= limit:
        return None
    return Refusal(code, plain(limit), plain(value), plain(room))


def net_volume_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """Bought less sold of the symbol stays within max_net_volume, whatever else is carried out."""
    limit = limits_of(order.symbol, picture).max_net_volume
    if limit is None or not entering(order, picture):
        return None
    taken = side_taken(volume_legs(order.symbol, picture), _signed, _new_leg(order).side)
    return _over(ReasonCode.MAX_NET_VOLUME, limit, taken, order.volume)


def gross_volume_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The symbol's volumes in all stay within max_gross_volume."""
    limit = limits_of(order.symbol, picture).max_gross_volume
    if limit is None or not entering(order, picture):
        return None
    held = volume_legs(order.symbol, picture)
    taken = gross_taken(held, picture, volume_of, _new_leg(order))
    return _over(ReasonCode.MAX_GROSS_VOLUME, limit, taken, order.volume)


def not_a_repeat(order: Proposal, picture: Picture) -> Refusal | None:
    """No entry of the same symbol, type and volume has passed within duplicate_window_s."""
    window = picture.policy.account.duplicate_window_s
    if window is None or not entering(order, picture):
        return None
    limit = f"{window}s"
    if picture.state is None:
        return Refusal(ReasonCode.NO_ACCOUNT, value="day")
    since = picture.now_wall_ms - window * 1000
    recent = [one for one in picture.state.sent if one.at_ms > since]
    if len(recent) >= SENT_MAX:  # an older one may have been forgotten
        return Refusal(ReasonCode.DUPLICATE_INTENT, limit, f"{SENT_MAX} orders", "0")
    for one in recent:
        if (one.symbol, one.type, one.volume) == (order.symbol, order.type, order.volume):
            age = f"{picture.now_wall_ms - one.at_ms}ms"
            return Refusal(ReasonCode.DUPLICATE_INTENT, limit, age, "0")
    return None


def trades_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """Fewer than max_trades_per_day entries have passed in the broker's day."""
    limit = picture.policy.account.max_trades_per_day
    if limit is None or not entering(order, picture):
        return None
    if picture.state is None:
        return Refusal(ReasonCode.NO_ACCOUNT, value="day")
    return _full(ReasonCode.MAX_TRADES, limit, picture.state.trades)


def fills_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The strategy has fewer than max_fills fills in its window; orders in flight count."""
    account = picture.policy.account
    if account.max_fills is None or not entering(order, picture):
        return None
    if picture.state is None:
        return Refusal(ReasonCode.NO_ACCOUNT, value="day")
    filled = picture.state.fills_of(order.strategy, account, picture.now_wall_ms)
    filled += sum(one.strategy == order.strategy for one in picture.flying)
    return _full(ReasonCode.MAX_FILLS, account.max_fills, filled)


def rejections_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The broker has not rejected max_rejections entries in a row."""
    limit = picture.policy.account.max_rejections
    if limit is None or added(order, picture) is None:
        return None
    if picture.state is None:
        return Refusal(ReasonCode.NO_ACCOUNT, value="day")
    rejected = picture.state.rejections
    if rejected < limit:
        return None
    return Refusal(ReasonCode.MAX_REJECTIONS, limit=str(limit), value=str(rejected), headroom="0")
