"""The account as the strategy sees it: account, positions, pending orders, quotes, symbols.

Volumes in lots, prices in quote currency, money in account currency, levels in points, times
aware UTC (market time, unless a name says otherwise).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from bridge_client.facts import Fact
from bridge_client.numbers import Number, Rounding, exact, snap
from bridge_core.protocol.errors import LocalProtocolError

__all__ = [
    "Account", "Cause", "Deal", "Health", "Hop", "LimitRow", "PendingOrder", "Ping", "Position",
    "Quote", "StateResult", "Symbol", "Sync",
]  # fmt: skip


class Account(Fact, frozen=True):
    """The account; `kind` is paper, demo or real, `margin_level` in percent or None."""

    login: int
    server: str
    kind: str
    currency: str
    margin_mode: str
    leverage: int
    balance: float
    equity: float
    margin: float
    free_margin: float
    margin_level: float | None = None
    profit: float = 0.0
    market_time: datetime | None = None
    time: datetime | None = None
    mode: str = ""


class Position(Fact, frozen=True):
    """An open position; sl and tp 0.0 mean none; `origin` "foreign" means not opened by us."""

    ticket: int
    symbol: str
    type: str
    volume: float
    open_price: float
    current_price: float
    sl: float = 0.0
    tp: float = 0.0
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    magic: int = 0
    strategy: int = 0
    comment: str = ""
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    opened_at: datetime | None = None


class PendingOrder(Fact, frozen=True):
    """An order resting at the broker; `expiration` None means until cancelled."""

    ticket: int
    symbol: str
    type: str
    volume: float
    price: float
    sl: float = 0.0
    tp: float = 0.0
    expiration: datetime | None = None
    magic: int = 0
    strategy: int = 0
    comment: str = ""
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    placed_at: datetime | None = None


class Deal(Fact, frozen=True):
    """One execution of the history; entry IN or OUT."""

    deal: int
    ticket: int
    order: int
    symbol: str
    type: str
    entry: str
    volume: float
    price: float
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    magic: int = 0
    comment: str = ""
    reason: str = ""
    time: datetime | None = None


class Quote(Fact, frozen=True):
    """Bid and ask; `time` is the tick's market time, `asked` when the terminal said it."""

    symbol: str
    bid: float
    ask: float
    time: datetime | None = None
    asked: datetime | None = None


class LimitRow(Fact, frozen=True):
    """One limit the server enforces, as text; `value` "" means off."""

    name: str
    symbol: str = ""
    value: str = ""
    used: str = ""
    headroom: str = ""


class Symbol(Fact, frozen=True):
    """A symbol's grids; volumes in lots, levels in points, prices in quote currency."""

    symbol: str
    digits: int
    point: float
    volume_min: float
    volume_max: float
    volume_step: float
    contract_size: float
    stops_level: int = 0
    freeze_level: int = 0
    currency_base: str = ""
    currency_profit: str = ""
    allowed: bool = True

    def price(self, value: Number, rounding: Rounding = "nearest") -> Decimal:
        """Return the price on the symbol's grid, rounded as you say."""
        self._check(rounding)
        return snap(exact(value, "price"), self.grid("point"), rounding)

    def volume(self, value: Number, rounding: Rounding = "down") -> Decimal:
        """Return the volume on the symbol's grid (lots), by default never more than given.

        A value below volume_min gives 0, which no order accepts.
        """
        self._check(rounding)
        low, wanted = self.grid("volume_min"), exact(value, "volume")
        snapped = snap(wanted, self.grid("volume_step"), rounding, low)
        if snapped < low:
            return Decimal(0)
        return min(snapped, self.grid("volume_max"))

    def points(self, count: Number) -> Decimal:
        """Return the price distance of so many points."""
        return exact(count, "points") * self.grid("point")

    def grid(self, name: str) -> Decimal:
        """Return a grid's exact value: point, volume_min, volume_max or volume_step."""
        return Decimal(self.exact[name])

    @staticmethod
    def _check(rounding: str) -> None:
        if rounding not in ("down", "up", "nearest"):
            raise LocalProtocolError("NUMBER", f"rounding={rounding!r} why='down, up or nearest'")


class Cause(Fact, frozen=True):
    """One cause that lowers the trading state, since when, and what ends it."""

    cause: str
    kind: str
    effect: str
    since: datetime | None = None
    symbol: str = ""
    reason: str = ""
    ends: str = ""


class Hop(Fact, frozen=True):
    """One hop: up, degraded or down, why and since when; availability in percent."""

    hop: str
    state: str
    why: str = ""
    since: datetime | None = None
    availability_24h: float | None = None
    availability: float | None = None
    ms: float | None = None


class Ping(Fact, frozen=True):
    """One authenticated round trip (ms) and the clock offset to the server, ± uncertainty (ms).

    A positive offset means that the server's clock is ahead of this machine's.
    """

    ms: float
    terminal_ms: float | None = None
    offset_ms: int = 0
    uncertainty_ms: int = 0


class Health(Fact, frozen=True):
    """Each hop, the trading state with its causes, and what this connector itself holds open.

    `state` is ACTIVE, REDUCE_ONLY, HALTED, or OFFLINE when no authenticated answer came.
    `latches` are this connector's own (LOG_FORK), `alarms` what it caught the server lying about
    since it was opened (SERVER_LIED). `settle_clock` says which clock signs settle
    and reduce operations.
    """

    state: str
    account: str = ""
    mode: str = ""
    server: str = ""
    why: str = ""
    hops: tuple[Hop, ...] = ()
    causes: tuple[Cause, ...] = ()
    latches: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    open_orders: int = 0
    unknown_orders: int = 0
    started: datetime | None = None
    backend: str = ""
    counters: dict[str, int] = {}
    offset_ms: int = 0
    uncertainty_ms: int = 0
    settle_clock: str = "server time as last measured"


class StateResult(Fact, frozen=True):
    """Answer to halt, reduce_only, resume and settle.

    `status` is DONE or OK when the server took it, DENIED with a code, or UNKNOWN when no answer
    came and the bytes may have left.
    """

    status: str
    code: str = "-"
    by: str = ""
    state: str = ""
    causes: tuple[Cause, ...] = ()


class Sync(Fact, frozen=True):
    """SYNC_ALL: everything at one moment."""

    account: Account | None
    positions: tuple[Position, ...] = ()
    orders: tuple[PendingOrder, ...] = ()
    quotes: tuple[Quote, ...] = ()
    state: str = ""
    causes: tuple[Cause, ...] = ()
    open_rids: tuple[str, ...] = ()
    streams: tuple[tuple[str, int], ...] = ()
    time: datetime | None = None
