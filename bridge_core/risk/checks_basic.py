"""Checks of permission and of the order by itself: what may be traded, by whom, how much.

Every check takes the proposal and the picture and returns a refusal or None. The order they come
in is that of `controls.py`; none relies on another having run.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.entry import added, entering, staked
from bridge_core.risk.exact import EXACT, finite, fits_wire, plain, positive
from bridge_core.risk.facts import SymbolSpec
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import Policy, StrategyLimits, SymbolLimits

__all__ = [
    "account_known", "deviation_within_max", "entry_symbol_known", "limits_of", "limits_set",
    "margin_mode_as_said", "missing_limits", "nearest_on_grid", "symbol_allowed", "symbol_known",
    "ticket_known", "ticket_ours", "type_allowed", "volume_on_grid", "volume_within_max",
]  # fmt: skip

_TEXT_MAX: Final = 48
_NONE: Final = SymbolLimits()
_ANY: Final = StrategyLimits()


def limits_of(symbol: str, picture: Picture) -> SymbolLimits:
    """Return a symbol's limits; without any, none is set."""
    return picture.policy.symbols.get(symbol, _NONE)


def nearest_on_grid(value: Decimal, step: Decimal) -> tuple[str, ...]:
    """Return the two grid values around an off-grid value, as texts."""
    with localcontext(EXACT):
        below = (value // step) * step
        return (plain(below), plain(below + step))


def _strategy(order: Proposal, picture: Picture) -> StrategyLimits:
    return picture.policy.account.strategies.get(str(order.strategy), _ANY)


def symbol_allowed(order: Proposal, picture: Picture) -> Refusal | None:
    """An entry's symbol is in allowed_symbols, of account and strategy, in the exact spelling."""
    if order.kind != "OPEN":
        return None
    own = _strategy(order, picture).allowed_symbols
    if order.symbol in picture.policy.allowed_symbols and (own is None or order.symbol in own):
        return None
    return Refusal(ReasonCode.SYMBOL_NOT_ALLOWED, value=order.symbol)


def type_allowed(order: Proposal, picture: Picture) -> Refusal | None:
    """Account and strategy may use this operation and order type."""
    if order.kind not in ("OPEN", "MODIFY"):
        return None
    for may in (picture.policy.account, _strategy(order, picture)):
        if may.allowed_ops is not None and order.kind not in may.allowed_ops:
            return Refusal(
                ReasonCode.TYPE_NOT_ALLOWED, limit=",".join(may.allowed_ops), value=order.kind
            )
        types = may.allowed_types
        if order.kind == "OPEN" and types is not None and order.type not in types:
            return Refusal(ReasonCode.TYPE_NOT_ALLOWED, limit=",".join(types), value=order.type)
    return None


def _usable(spec: SymbolSpec | None) -> bool:
    return spec is not None and positive(
        spec.point, spec.volume_step, spec.volume_min, spec.volume_max
    )


def symbol_known(order: Proposal, picture: Picture) -> Refusal | None:
    """The broker lists the symbol with its grids; to close all of a position none is needed."""
    if order.kind == "CANCEL" or (order.kind == "CLOSE" and not order.volume) or not order.symbol:
        return None
    if _usable(picture.symbols.get(order.symbol)):
        return None
    return Refusal(ReasonCode.SYMBOL_UNKNOWN, value=order.symbol)


def entry_symbol_known(order: Proposal, picture: Picture) -> Refusal | None:
    """The symbol of an entry is known with its grids; what only the server knows is left to it."""
    return symbol_known(order, picture) if order.kind == "OPEN" else None


def missing_limits(policy: Policy, symbol: str) -> tuple[str, ...]:
    """Return a line for each required limit that is not set; a symbol needs all to be traded."""
    own, account = policy.symbols.get(symbol, _NONE), policy.account
    name = symbol if symbol.replace("_", "").replace("-", "").isalnum() else f'"{symbol}"'
    lines = (
        (own.max_volume is None, f"[limits.{name}] max_volume = 0.01"),
        (own.max_positions is None, f"[limits.{name}] max_positions = 1"),
        (account.max_daily_loss is None, '[risk] max_daily_loss = "2%"'),
        (
            account.max_risk_per_trade is None and account.require_sl is not False,
            '[risk] max_risk_per_trade = "1%"',
        ),
    )
    return tuple(line for missing, line in lines if missing)


def limits_set(order: Proposal, picture: Picture) -> Refusal | None:
    """Every required limit is set: a symbol without one takes no entry."""
    if not entering(order, picture):
        return None
    lines = missing_limits(picture.policy, order.symbol)
    return Refusal(ReasonCode.NO_LIMIT, limit=lines[0], value=order.symbol) if lines else None


def margin_mode_as_said(order: Proposal, picture: Picture) -> Refusal | None:
    """The account is hedging or netting as `margin_mode` says, where it says."""
    said = picture.policy.account.margin_mode
    if said is None or not entering(order, picture):
        return None
    found = picture.identity.margin_mode if picture.identity is not None else ""
    return None if found == said else Refusal(ReasonCode.MARGIN_MODE, limit=said, value=found)


def account_known(order: Proposal, picture: Picture) -> Refusal | None:
    """Account, its identity and the day so far are known wherever something may be added."""
    if added(order, picture) is None and (staked(order, picture) is None or not order.sl):
        return None
    account, state = picture.account, picture.state
    if picture.identity is None:
        return Refusal(ReasonCode.NO_ACCOUNT, value="identity")
    if account is None or not finite(account.equity, account.margin):
        return Refusal(ReasonCode.NO_ACCOUNT, value="account")
    if state is None or state.day == -1:
        return Refusal(ReasonCode.NO_ACCOUNT, value="day")
    if state.realised is None:
        return Refusal(ReasonCode.NO_ACCOUNT, value="closed today")
    return None


def ticket_known(order: Proposal, _: Picture) -> Refusal | None:
    """A CLOSE, MODIFY or CANCEL names something that is open, of the symbol it says."""
    if order.kind == "OPEN":
        return None
    wanted = {"CLOSE": order.position, "CANCEL": order.pending}
    held = wanted.get(order.kind, order.position or order.pending)
    if held is None or held.symbol != order.symbol:
        return Refusal(ReasonCode.TICKET_UNKNOWN, value=str(order.ticket))
    return None


def ticket_ours(order: Proposal, picture: Picture) -> Refusal | None:
    """Where `manage` says own, the ticket is of a journaled order of ours."""
    if order.kind == "OPEN" or picture.policy.account.manage == "all" or order.ours:
        return None
    return Refusal(ReasonCode.NOT_OURS, limit="own", value=str(order.ticket))


def volume_on_grid(order: Proposal, picture: Picture) -> Refusal | None:
    """The volume is within the broker's bounds and on its step; a CLOSE's within the position."""
    if order.kind not in ("OPEN", "CLOSE") or (order.kind == "CLOSE" and not order.volume):
        return None
    spec = picture.symbols.get(order.symbol)
    if not positive(order.volume) or not fits_wire(order.volume):
        least = plain(spec.volume_min) if spec is not None else ""
        near = (least,) if least else ()
        text = plain(order.volume)[:_TEXT_MAX]
        return Refusal(ReasonCode.VOLUME_GRID, least, text, nearest=near)
    if spec is None or not _usable(spec):
        # A close does not wait for the grids: who knows them will judge it by them.
        return None if order.kind == "CLOSE" else Refusal(ReasonCode.SYMBOL_UNKNOWN)
    top = spec.volume_max
    if order.position is not None and order.position.volume < top:
        top = order.position.volume
    if not spec.volume_min <= order.volume <= top:  # only the bound itself would be taken
        bound = plain(spec.volume_min if order.volume < spec.volume_min else top)
        return Refusal(ReasonCode.VOLUME_GRID, bound, plain(order.volume), nearest=(bound,))
    with localcontext(EXACT):
        if order.volume % spec.volume_step:
            return Refusal(
                ReasonCode.VOLUME_GRID,
                limit=plain(spec.volume_step),
                value=plain(order.volume),
                nearest=nearest_on_grid(order.volume, spec.volume_step),
            )
    return None


def volume_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """An entry's volume is at most max_volume."""
    limit = limits_of(order.symbol, picture).max_volume
    if limit is None or not entering(order, picture) or order.volume <= limit:
        return None
    return Refusal(
        ReasonCode.MAX_VOLUME, limit=plain(limit), value=plain(order.volume), headroom=plain(limit)
    )


def deviation_within_max(order: Proposal, picture: Picture) -> Refusal | None:
    """An entry's deviation is at most max_deviation, where that is set."""
    limit = limits_of(order.symbol, picture).max_deviation
    if limit is None or not entering(order, picture) or order.deviation <= limit:
        return None
    return Refusal(
        ReasonCode.MAX_DEVIATION, limit=str(limit), value=str(order.deviation), headroom=str(limit)
    )
