"""Every limit as a row: what is set, how much of it is used, what is left (GET_LIMITS).

Money is in account currency, also of a limit in percent: what is used and what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from typing import Any, Final

from msgspec import structs

from bridge_core.protocol.views import LimitView
from bridge_core.risk.checks_count import volume_legs
from bridge_core.risk.checks_prices import sl_required
from bridge_core.risk.exact import EXACT, divided, finite, money_text, plain, positive
from bridge_core.risk.exposure import (
    Leg,
    bundles,
    currencies,
    gross,
    held_legs,
    margin_after,
    net,
    value_of,
    volume_of,
    weighed,
)
from bridge_core.risk.facts import Pending
from bridge_core.risk.money import limit_money
from bridge_core.risk.order import Flying
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import SymbolLimits

__all__ = ["limit_rows"]

ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)
# Used and left, as text; "" where that says nothing.
Usage = tuple[str, str]
_UNSAID: Final[Usage] = ("", "")


def limit_rows(picture: Picture) -> tuple[LimitView, ...]:
    """Return a row for every setting of the account, of each strategy, of each symbol.

    `value` is the setting as it is written, "" where it is off. `used` and `headroom` are "" where
    a limit is of one order only, or where what they take is not known.
    """
    picture = structs.replace(picture, memo={})
    policy = picture.policy
    rows = [LimitView(name="allowed_symbols", value=_text(tuple(sorted(policy.allowed_symbols))))]
    for field, value in _settings(policy.account):
        if field == "strategies":
            rows += [
                LimitView(name=f"strategies.{number}.{name}", value=_text(one))
                for number, own in policy.account.strategies.items()
                for name, one in _settings(own)
            ]
            continue
        if field == "require_sl":  # what it is where nothing is said
            rows.append(LimitView(name=field, value=_text(sl_required(policy.account))))
            continue
        known = _ACCOUNT.get(field)
        used, left = known(picture) if known is not None and value is not None else _UNSAID
        rows.append(LimitView(name=field, value=_text(value), used=used, headroom=left))
    for symbol in sorted(policy.allowed_symbols | set(policy.symbols)):
        rows += _symbol_rows(symbol, picture)
    return tuple(rows)


def _settings(group: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401  any struct of settings
    return ((name, getattr(group, name)) for name in group.__struct_fields__)


def _text(value: Any) -> str:  # noqa: ANN401  whatever a setting may be
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return plain(value) if isinstance(value, Decimal) else str(value)


def _symbol_rows(symbol: str, picture: Picture) -> list[LimitView]:
    limits = picture.policy.symbols.get(symbol, SymbolLimits())
    rows = []
    for field, value in _settings(limits):
        known = _SYMBOL.get(field)
        used, left = _UNSAID
        if known is not None and value is not None:
            now = known(symbol, picture)
            used, left = plain(now), plain(max(ZERO, Decimal(value) - now))
        rows.append(LimitView(field, symbol, _text(value), used, left))
    return rows


def _count(symbol: str, picture: Picture) -> Decimal:
    return Decimal(len(volume_legs(symbol, picture)))


def _resting(symbol: str, picture: Picture) -> Decimal:
    waiting: tuple[Pending | Flying, ...] = (*picture.orders.values(), *picture.flying)
    return Decimal(sum(o.symbol == symbol and o.type not in ("BUY", "SELL") for o in waiting))


_SYMBOL: Final[dict[str, Callable[[str, Picture], Decimal]]] = {
    "max_positions": _count,
    "max_orders": _resting,
    "max_net_volume": lambda symbol, at: net(
        volume_legs(symbol, at), lambda leg: leg.side * leg.volume
    ),
    "max_gross_volume": lambda symbol, at: gross(volume_legs(symbol, at), at, volume_of),
}


def _of(limit: Decimal | None, used: Decimal | None) -> Usage:
    if limit is None or used is None:
        return _UNSAID
    with localcontext(EXACT):
        return money_text(used), money_text(max(ZERO, limit - used), up=False)


def _sum(name: str, measure: Callable[[list[Leg], Picture], Decimal]) -> Callable[[Picture], Usage]:
    def usage(picture: Picture) -> Usage:
        legs = held_legs(picture)
        if any(leg.value is None for leg in legs):
            return _UNSAID
        return _of(
            limit_money(getattr(picture.policy.account, name), picture), measure(legs, picture)
        )

    return usage


def _exposure(legs: list[Leg], picture: Picture) -> Decimal:
    return gross(legs, picture, value_of)


def _most(
    groups: Callable[[str, Iterable[Leg], Picture], list[dict[str, int]]],
) -> Callable[[list[Leg], Picture], Decimal]:
    # The largest net of any bundle that something held is in.
    def measure(legs: list[Leg], picture: Picture) -> Decimal:
        symbols = dict.fromkeys(leg.symbol for leg in legs)
        found = [group for symbol in symbols for group in groups(symbol, legs, picture)]
        return max((net(legs, weighed(group)) for group in found), default=ZERO)

    return measure


def _daily_loss(picture: Picture) -> Usage:
    if picture.state is None:
        return _UNSAID
    lost = picture.state.lost()
    limit = picture.state.loss_limit(picture.policy.account)
    return _of(limit, None if lost is None else max(ZERO, lost))


def _drawdown(picture: Picture) -> Usage:
    if picture.state is None:
        return _UNSAID
    return _of(picture.state.fall_limit(picture.policy.account), picture.state.fallen())


def _min_equity(picture: Picture) -> Usage:
    least, account = picture.policy.account.min_equity, picture.account
    if least is None or account is None or not finite(account.equity):
        return _UNSAID
    with localcontext(EXACT):
        left = max(ZERO, account.equity - least)
    return money_text(account.equity), money_text(left, up=False)


def _leverage(picture: Picture) -> Usage:
    limit, account, legs = picture.policy.account.max_leverage, picture.account, held_legs(picture)
    unvalued = any(leg.value is None for leg in legs)
    if limit is None or account is None or unvalued or not positive(account.equity):
        return _UNSAID
    return _of(limit, divided(gross(legs, picture, value_of), account.equity))


def _margin_level(picture: Picture) -> Usage:
    limit, account, legs = (
        picture.policy.account.min_margin_level, picture.account, held_legs(picture)
    )  # fmt: skip
    if limit is None or account is None or any(leg.value is None for leg in legs):
        return _UNSAID
    margin = margin_after(legs, picture)
    if margin is None or margin <= 0 or not finite(account.equity):
        return _UNSAID
    with localcontext(EXACT):
        level = divided(account.equity * _HUNDRED, margin, up=False)
        return money_text(level, up=False), money_text(max(ZERO, level - limit), up=False)


def _counted(limit: int | None, used: int) -> Usage:
    return _UNSAID if limit is None else (str(used), str(max(0, limit - used)))


def _open_orders(picture: Picture) -> Usage:
    held = len(picture.positions) + len(picture.orders) + len(picture.flying)
    return _counted(picture.policy.account.max_open_orders, held)


def _trades(picture: Picture) -> Usage:
    if picture.state is None:
        return _UNSAID
    return _counted(picture.policy.account.max_trades_per_day, picture.state.trades)


def _rejections(picture: Picture) -> Usage:
    if picture.state is None:
        return _UNSAID
    return _counted(picture.policy.account.max_rejections, picture.state.rejections)


def _fills(picture: Picture) -> Usage:
    account, state = picture.policy.account, picture.state
    if state is None:
        return _UNSAID
    strategies = {one.strategy for one in state.fills}
    most = max((state.fills_of(s, account, picture.now_wall_ms) for s in strategies), default=0)
    return _counted(account.max_fills, most)


_ACCOUNT: Final[dict[str, Callable[[Picture], Usage]]] = {
    "max_daily_loss": _daily_loss,
    "max_drawdown": _drawdown,
    "min_equity": _min_equity,
    "max_total_exposure": _sum("max_total_exposure", _exposure),
    "max_currency_exposure": _sum("max_currency_exposure", _most(currencies)),
    "correlation_limit": _sum("correlation_limit", _most(bundles)),
    "max_leverage": _leverage,
    "min_margin_level": _margin_level,
    "max_open_orders": _open_orders,
    "max_trades_per_day": _trades,
    "max_rejections": _rejections,
    "max_fills": _fills,
}
