"""What a broker's account and its symbols are: mutable, so a test changes them while it runs.

Volumes in lots, levels in points, money in account currency, times of day in the broker's clock.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from msgspec import Struct, field

__all__ = ["ALWAYS", "WEEKDAYS", "Session", "SymbolTerms", "Terms", "pair"]

ZERO: Final = Decimal(0)
_DAY_S: Final = 86_400


class Session(Struct, frozen=True):
    """Hours of one weekday (0 Monday): seconds since the broker's midnight, end excluded."""

    weekday: int
    start_s: int = 0
    end_s: int = _DAY_S


ALWAYS: Final = tuple(Session(day) for day in range(7))
WEEKDAYS: Final = ALWAYS[:5]


class SymbolTerms(Struct, kw_only=True):
    """One symbol. The default is what a demo server showed for EURUSD: market execution, IOC only.

    `selected` False: not in Market Watch, so no tick and no trade before symbol_select().
    `drops_stops` True: a market order is filled without the SL and TP it asked for.
    `streaming` True: whoever asks for its tick gets one of this moment, at the last price.
    """

    name: str = "EURUSD"
    digits: int = 5
    tick_size: Decimal = ZERO  # 0: a point
    contract_size: Decimal = Decimal(100_000)
    volume_min: Decimal = Decimal("0.01")
    volume_max: Decimal = Decimal(500)
    volume_step: Decimal = Decimal("0.01")
    volume_limit: Decimal = ZERO  # 0: none
    stops_level: int = 0
    freeze_level: int = 0
    trade_mode: int = 4
    exemode: int = 2
    filling_mode: int = 2
    order_mode: int = 127
    expiration_mode: int = 15
    calc_mode: int = 0
    base: str = "EUR"
    profit: str = "USD"
    margin: str = "EUR"
    commission: Decimal = ZERO  # per lot and deal, paid
    swap_long: Decimal = ZERO
    swap_short: Decimal = ZERO
    sessions: tuple[Session, ...] = ALWAYS
    bid: Decimal = ZERO
    ask: Decimal = ZERO
    selected: bool = False
    streaming: bool = False
    drops_stops: bool = False
    path: str = "Forex\\EURUSD"
    description: str = "Euro vs US Dollar"

    @property
    def point(self) -> Decimal:
        """Return the smallest step of a price's digits."""
        return Decimal(1).scaleb(-self.digits)

    @property
    def step(self) -> Decimal:
        """Return the grid of prices."""
        return self.tick_size or self.point


def pair(name: str, **more: Any) -> SymbolTerms:
    """Return the terms of a currency pair by its name (six letters, then any suffix)."""
    base, profit = name[:3], name[3:6]
    fields = {"name": name, "base": base, "profit": profit, "margin": base}
    words = {"path": f"Forex\\{name}", "description": f"{base} vs {profit}"}
    return SymbolTerms(**fields | words | more)


class Terms(Struct, kw_only=True):
    """One account at one broker.

    margin_mode         hedging, netting or exchange
    zone_minutes        the broker's clock less UTC; zone_changes: (UTC ms, minutes) from then on
    comment_chars       what the broker keeps of a comment; comment_prefix goes before it;
                        comment_replaced, if given, takes the place of every comment
    rate_requests/_ms   so many trade requests in so many ms, then 10024; 0: no limit
    execute_ms/answer_ms  the call takes so long before, and after, the broker acts
    answer_deal         False: a market order is answered 10009 with deal 0 and price 0
    deal_visible_after_ms     deals are shown so late, and positions and active orders, too, unless
    present_visible_after_ms  says otherwise for these
    history_visible_after_ms  ended orders are shown so late
    first_tick_ms       from symbol_select() to the first tick
    netting_by_ticket   True: a close that names a position that is gone is refused (10036) on a
                        netting account, too. False: it is an order like any other, and opens one
    netting_magic       whose magic and comment a merged position shows: "first" or "last"
    close_tagged        whether what SL, TP and stop-out close carries the position's magic
    rest_state          state of an IOC order whose rest was cancelled (ORDER_STATE_*)
    """

    login: int = 5_001_234
    server: str = "Fake-Demo"
    name: str = "Fake Trader"
    company: str = "Fake Broker Ltd."
    trade_mode: int = 0
    margin_mode: str = "hedging"
    currency: str = "USD"
    leverage: int = 100
    balance: Decimal = Decimal(10_000)
    trade_allowed: bool = True
    trade_expert: bool = True
    only_real: bool = False
    limit_orders: int = 0
    limit_positions: int = 0
    fifo_close: bool = False
    hedge_prohibited: bool = False
    so_call: Decimal = Decimal(50)
    so_so: Decimal = Decimal(30)
    symbols: tuple[SymbolTerms, ...] = field(default_factory=lambda: (SymbolTerms(),))
    rates: dict[str, Decimal] = field(default_factory=dict)
    zone_minutes: int = 120
    zone_changes: tuple[tuple[int, int], ...] = ()
    comment_chars: int = 31
    comment_prefix: str = ""
    comment_replaced: str | None = None
    rate_requests: int = 0
    rate_ms: int = 1_000
    execute_ms: int = 0
    answer_ms: int = 0
    answer_deal: bool = True
    deal_visible_after_ms: int = 0
    present_visible_after_ms: int | None = None
    history_visible_after_ms: int = 0
    first_tick_ms: int = 0
    netting_by_ticket: bool = False
    netting_magic: str = "last"
    close_tagged: bool = True
    rest_state: int = 2

    @property
    def hedging(self) -> bool:
        """Whether each opening deal is a position of its own."""
        return self.margin_mode == "hedging"

    def stored_comment(self, comment: str) -> str:
        """Return what the broker keeps of a comment."""
        if self.comment_replaced is not None:
            return self.comment_replaced
        return f"{self.comment_prefix}{comment}"[: self.comment_chars]
