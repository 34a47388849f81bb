"""The one table of pre-trade controls, in the order of their codes (protocol.md 6.2).

Numbers are those of the catalogue of controls (RTS 6, SEC 15c3-5 and practice). A control without
a check for each order says where it lives. There is no switch that turns a check off, and nothing
that lets one refused order through: a limit is raised in a file, and the side started again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk import checks_basic as basic
from bridge_core.risk import checks_count as count
from bridge_core.risk import checks_market as market
from bridge_core.risk import checks_money as money
from bridge_core.risk import checks_prices as prices
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture

__all__ = ["CONTROLS", "Check", "Control", "checks_of", "first_refusal"]

Check = Callable[[Proposal, Picture], Refusal | None]
_C = ReasonCode


class Control(NamedTuple):
    """One row: number in the catalogue, what it bounds, its code, who checks, how, where else.

    `sides` is C (connector), S (server) or CS; "" where no check of each order does it.
    """

    number: int
    name: str
    code: ReasonCode
    sides: str
    check: Check | None
    where: str


def _row(number: int, code: ReasonCode, check: Check, name: str, sides: str = "CS") -> Control:
    return Control(number, name, code, sides, check, "")


def _elsewhere(number: int, name: str, where: str) -> Control:
    return Control(number, name, _C.NONE, "", None, where)


CONTROLS: Final[tuple[Control, ...]] = (
    _row(18, _C.SYMBOL_NOT_ALLOWED, basic.symbol_allowed, "symbols"),
    _row(20, _C.TYPE_NOT_ALLOWED, basic.type_allowed, "operations and order types"),
    _row(18, _C.SYMBOL_UNKNOWN, basic.entry_symbol_known, "an entry's symbol is known", "C"),
    _row(18, _C.SYMBOL_UNKNOWN, basic.symbol_known, "the symbol is known", "S"),
    _row(5, _C.NO_LIMIT, basic.limits_set, "required limits"),
    _row(28, _C.MARGIN_MODE, basic.margin_mode_as_said, "hedging or netting"),
    _row(16, _C.NO_ACCOUNT, basic.account_known, "account and day are known"),
    _row(27, _C.TICKET_UNKNOWN, basic.ticket_known, "the ticket is open", "S"),
    _row(27, _C.NOT_OURS, basic.ticket_ours, "the ticket is ours"),
    _row(22, _C.VOLUME_GRID, basic.volume_on_grid, "volume: least, most, step"),
    _row(5, _C.MAX_VOLUME, basic.volume_within_max, "volume of an order"),
    _row(14, _C.MAX_POSITIONS, count.positions_within_max, "positions of a symbol"),
    _row(15, _C.MAX_ORDERS, count.orders_within_max, "pending orders of a symbol"),
    _row(15, _C.MAX_OPEN_ORDERS, count.open_orders_within_max, "positions and orders in all"),
    _row(14, _C.MAX_NET_VOLUME, count.net_volume_within_max, "net volume of a symbol"),
    _row(14, _C.MAX_GROSS_VOLUME, count.gross_volume_within_max, "volume of a symbol in all"),
    _row(8, _C.MAX_DEVIATION, basic.deviation_within_max, "deviation"),
    _row(21, _C.TRADING_HOURS, market.within_hours, "trading hours"),
    _row(21, _C.SESSION_CLOSED, market.session_open, "the broker's session and trade mode"),
    _row(26, _C.NO_QUOTE, market.quote_known, "the quote can be true"),
    _row(26, _C.STALE_QUOTE, market.quote_fresh, "the quote is fresh"),
    _row(25, _C.MAX_MOVE, market.move_within_max, "movement within a window"),
    _row(25, _C.MAX_SPREAD, market.spread_within_max, "spread"),
    _row(22, _C.PRICE_GRID, prices.prices_on_grid, "digits of prices"),
    _row(22, _C.PRICE_SIDE, prices.price_on_its_side, "side of a pending price"),
    _row(7, _C.PRICE_COLLAR, prices.prices_in_collar, "distance of prices, sl and tp"),
    _row(22, _C.STOPS_SIDE, prices.stops_on_their_side, "side of sl and tp"),
    _row(22, _C.STOPS_LEVEL, prices.levels_kept, "the broker's stops level"),
    _row(24, _C.SL_REQUIRED, prices.sl_given, "a stop loss"),
    _row(24, _C.SL_DISTANCE, prices.sl_within_distance, "distance of the stop loss"),
    _row(22, _C.EXPIRATION, prices.expiration_ahead, "expiration"),
    _row(11, _C.DUPLICATE_INTENT, count.not_a_repeat, "the same order again"),
    _row(10, _C.MAX_TRADES, count.trades_within_max, "entries in a day"),
    _row(10, _C.MAX_FILLS, count.fills_within_max, "fills of a strategy"),
    _row(17, _C.MAX_REJECTIONS, count.rejections_within_max, "rejections in a row"),
    _row(6, _C.NO_CONVERSION, money.money_known, "its money can be told"),
    _row(6, _C.MAX_ORDER_VALUE, money.order_value_within_max, "value of an order"),
    _row(6, _C.MAX_RISK, money.risk_within_max, "loss at the stop"),
    _row(13, _C.MAX_EXPOSURE, money.exposure_within_max, "value of all in all"),
    _row(14, _C.CORRELATION, money.correlated_within_max, "what moves together"),
    _row(14, _C.CURRENCY_EXPOSURE, money.currency_within_max, "net of each currency"),
    _row(13, _C.MAX_LEVERAGE, money.leverage_within_max, "value over equity"),
    _row(13, _C.MARGIN_LEVEL, money.margin_level_above_min, "margin level afterwards"),
    _row(13, _C.MIN_EQUITY, money.equity_above_min, "least equity"),
    _row(16, _C.DAILY_LOSS, money.daily_loss_within_max, "loss of the day"),
    _row(16, _C.DRAWDOWN, money.drawdown_within_max, "fall from the highest equity"),
    _elsewhere(1, "kill switch", "HALT and the file `halted` (12)"),
    _elsewhere(2, "cancel all", "FLATTEN of scope PENDINGS (5.6)"),
    _elsewhere(3, "flatten", "FLATTEN (5.6)"),
    _elsewhere(4, "ACTIVE, REDUCE_ONLY, HALTED", "trading state, before these checks (12)"),
    _elsewhere(9, "message rate", "token buckets by key id and lane (6.2)"),
    _elsewhere(12, "every order counts at once", "orders in flight stand in the picture"),
    _elsewhere(19, "account", "HELLO and ACCOUNT_MISMATCH: identity before each call"),
    _elsewhere(23, "numbers are numbers", "grammar of the body (5.1), before any comparison"),
    _elsewhere(29, "clock, link, journal", "CLOCK, BROKER_LINK, JOURNAL_FULL (12)"),
    _elsewhere(30, "dead man's switch", "HEARTBEAT (12)"),
    _elsewhere(31, "limits under our own control", "files only; START records their digest (11)"),
    _elsewhere(32, "override of one order", "there is none"),
    _elsewhere(33, "alerts", "event `alert` and the alarm doors (10)"),
    _elsewhere(34, "reconciliation", "scans of the account; GHOST_FILL (12)"),
    _elsewhere(35, "attribution", "kid, client and strategy in journal and tag (5.7)"),
    _elsewhere(36, "yearly test", "`ztb doctor`, `ztb-server audit`, and the test suite"),
    _elsewhere(37, "out is at most in", "the independent counter: COUNTER (12)"),
)


def checks_of(side: str) -> tuple[Check, ...]:
    """Return the checks of a side, "C" or "S", in their order."""
    return tuple(one.check for one in CONTROLS if one.check is not None and side in one.sides)


def first_refusal(order: Proposal, picture: Picture, checks: tuple[Check, ...]) -> Refusal | None:
    """Return the first refusal in the order of the checks, or None when every one passes."""
    picture = structs.replace(picture, memo={})
    for check in checks:
        refusal = check(order, picture)
        if refusal is not None:
            return refusal
    return None
