"""Checks in account currency: value, loss at the stop, exposure, margin, and the day so far.

Whatever cannot be told in account currency refuses NO_CONVERSION, or NO_ACCOUNT.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Final, NamedTuple

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.entry import added, staked
from bridge_core.risk.exact import EXACT, divided, finite, money_text, plain
from bridge_core.risk.exposure import (
    Leg,
    bundles,
    currencies,
    gross_taken,
    held_legs,
    legs_of,
    margin_after,
    side_taken,
    value_of,
    weighed,
)
from bridge_core.risk.money import entry_value, limit_money, loss_at_stop
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AccountLimits, AmountSetting

__all__ = [
    "correlated_within_max", "currency_within_max", "daily_loss_within_max",
    "drawdown_within_max", "equity_above_min", "exposure_within_max", "leverage_within_max",
    "margin_level_above_min", "money_known", "order_value_within_max", "risk_within_max",
]  # fmt: skip

ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)
_C: Final = ReasonCode


def _unknown(what: str) -> Refusal:
    return Refusal(_C.NO_ACCOUNT, value=what)


def _over(code: ReasonCode, limit: Decimal, value: Decimal, taken: Decimal) -> Refusal | None:
    # `taken` is what of the limit is used up without this order, on the side that it is on.
    with localcontext(EXACT):
        total, room = taken + value, max(ZERO, limit - taken)
    if total <= limit:
        return None
    return Refusal(code, money_text(limit), money_text(total), money_text(room, up=False))


def _unvalued(legs: Iterable[Leg]) -> Refusal | None:
    for leg in legs:
        if leg.value is None:
            return Refusal(_C.NO_CONVERSION, value=leg.symbol)
    return None


def _sums(account: AccountLimits) -> bool:
    # Whether any limit is on what is held in all.
    return any(
        one is not None
        for one in (
            account.max_total_exposure, account.correlation_limit, account.max_currency_exposure,
            account.max_leverage, account.min_margin_level,
        )
    )  # fmt: skip


def money_known(order: Proposal, picture: Picture) -> Refusal | None:
    """What the limits in account currency need to know can be told in it."""
    account = picture.policy.account
    entry, risk = added(order, picture), staked(order, picture)
    if entry is not None and _sums(account):
        refusal = _unvalued(legs_of(order, entry, picture))
        if refusal is not None:
            return refusal
    valued = entry is not None and account.max_order_value is not None
    if valued and entry is not None and entry_value(entry, picture) is None:
        return Refusal(_C.NO_CONVERSION, value=entry.symbol)
    risked = risk is not None and risk.sl and account.max_risk_per_trade is not None
    if risked and risk is not None and loss_at_stop(risk, picture) is None:
        return Refusal(_C.NO_CONVERSION, value=risk.symbol)
    return None


def order_value_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The order's value at the highest price it may get is at most max_order_value."""
    setting, entry = picture.policy.account.max_order_value, added(order, picture)
    if setting is None or entry is None:
        return None
    limit, value = limit_money(setting, picture), entry_value(entry, picture)
    if limit is None:
        return _unknown("account")
    if value is None:
        return Refusal(_C.NO_CONVERSION, value=entry.symbol)
    return _over(_C.MAX_ORDER_VALUE, limit, value, ZERO)


def risk_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The loss from the worst entry price to the stop is at most max_risk_per_trade."""
    setting, entry = picture.policy.account.max_risk_per_trade, staked(order, picture)
    if setting is None or entry is None or not entry.sl:
        return None
    limit, loss = limit_money(setting, picture), loss_at_stop(entry, picture)
    if limit is None:
        return _unknown("account")
    if loss is None:
        return Refusal(_C.NO_CONVERSION, value=entry.symbol)
    return _over(_C.MAX_RISK, limit, loss, ZERO)


class _Sum(NamedTuple):
    """What an aggregate check needs: the limit, what is there already, and what comes on top."""

    limit: Decimal
    held: list[Leg]
    new: Leg
    value: Decimal


def _sum(order: Proposal, setting: AmountSetting | None, picture: Picture) -> _Sum | Refusal | None:
    entry = added(order, picture)
    if setting is None or entry is None:
        return None
    limit = limit_money(setting, picture)
    if limit is None:
        return _unknown("account")
    *held, new = legs_of(order, entry, picture)
    return _unvalued([*held, new]) or _Sum(limit, held, new, value_of(new))


def exposure_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The value of positions, resting orders and orders in flight is at most the limit."""
    found = _sum(order, picture.policy.account.max_total_exposure, picture)
    if not isinstance(found, _Sum):
        return found
    taken = gross_taken(found.held, picture, value_of, found.new)
    return _over(_C.MAX_EXPOSURE, found.limit, found.value, taken)


def _most_taken(found: _Sum, groups: Iterable[dict[str, int]]) -> Decimal:
    # Of the bundles that the new leg is in, the one with the least room on its side.
    symbol, side = found.new.symbol, found.new.side
    return max(side_taken(found.held, weighed(group), side * group[symbol]) for group in groups)


def correlated_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """What moves together with the symbol is worth at most correlation_limit, net."""
    found = _sum(order, picture.policy.account.correlation_limit, picture)
    if not isinstance(found, _Sum):
        return found
    taken = _most_taken(found, bundles(found.new.symbol, found.held, picture))
    return _over(_C.CORRELATION, found.limit, found.value, taken)


def currency_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """Of each currency the order exchanges, the net is at most max_currency_exposure."""
    found = _sum(order, picture.policy.account.max_currency_exposure, picture)
    if not isinstance(found, _Sum):
        return found
    groups = currencies(found.new.symbol, found.held, picture)
    if not groups:  # no currency is exchanged
        return None
    return _over(_C.CURRENCY_EXPOSURE, found.limit, found.value, _most_taken(found, groups))


def leverage_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The value in all is at most max_leverage times the equity."""
    limit, entry = picture.policy.account.max_leverage, added(order, picture)
    if limit is None or entry is None:
        return None
    account = picture.account
    if account is None or not finite(account.equity):
        return _unknown("account")
    *held, new = legs_of(order, entry, picture)
    refusal = _unvalued([*held, new])
    if refusal is not None:
        return refusal
    taken, most = gross_taken(held, picture, value_of, new), max(ZERO, account.equity)
    with localcontext(EXACT):
        value, room = taken + value_of(new), max(ZERO, limit * most - taken)
        if value <= limit * most:
            return None
    if not most:
        return Refusal(_C.MAX_LEVERAGE, plain(limit), headroom="0")
    ratio, left = divided(value, most), divided(room, most, up=False)
    return Refusal(_C.MAX_LEVERAGE, plain(limit), money_text(ratio), money_text(left, up=False))


def margin_level_above_min(order: Proposal, picture: Picture) -> Refusal | None:
    """Equity over margin, once all is carried out, is at least min_margin_level percent."""
    limit, entry = picture.policy.account.min_margin_level, added(order, picture)
    if limit is None or entry is None:
        return None
    after, account = legs_of(order, entry, picture), picture.account
    refusal = _unvalued(after)
    if refusal is not None:
        return refusal
    margin = margin_after(after, picture)
    if margin is None or account is None or not finite(account.equity):
        return _unknown("account")
    with localcontext(EXACT):
        if account.equity * _HUNDRED >= limit * margin:
            return None
        before = margin_after(held_legs(picture), picture)
        level = divided(account.equity * _HUNDRED, margin, up=False)
        room = ZERO
        if before is not None and before > 0:
            now = divided(account.equity * _HUNDRED, before, up=False)
            room = max(ZERO, now - limit)
    return Refusal(
        _C.MARGIN_LEVEL, plain(limit), money_text(level, up=False), money_text(room, up=False)
    )


def equity_above_min(order: Proposal, picture: Picture) -> Refusal | None:
    """The equity is above min_equity, where that is set."""
    limit = picture.policy.account.min_equity
    if limit is None or added(order, picture) is None:
        return None
    account = picture.account
    if account is None or not finite(account.equity):
        return _unknown("account")
    if account.equity > limit:
        return None
    return Refusal(_C.MIN_EQUITY, money_text(limit), money_text(account.equity), "0")


def _reached(code: ReasonCode, limit: Decimal | None, value: Decimal | None) -> Refusal | None:
    # Of what the day has brought: at the limit is over it.
    if limit is None or value is None:
        return _unknown("day")
    return None if value < limit else Refusal(code, money_text(limit), money_text(value), "0")


def daily_loss_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The day's loss, floating included, has not reached max_daily_loss."""
    account, state = picture.policy.account, picture.state
    if account.max_daily_loss is None or added(order, picture) is None:
        return None
    limit = state.loss_limit(account) if state is not None else None
    lost = state.lost() if state is not None else None
    return _reached(_C.DAILY_LOSS, limit, lost)


def drawdown_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """The equity has not fallen from its peak by max_drawdown."""
    account, state = picture.policy.account, picture.state
    if account.max_drawdown is None or added(order, picture) is None:
        return None
    limit = state.fall_limit(account) if state is not None else None
    fallen = state.fallen() if state is not None else None
    return _reached(_C.DRAWDOWN, limit, fallen)
