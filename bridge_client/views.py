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
    """One limit of one side (`by` connector, server or ea), as text; `value` "" means off.

    `symbol` "" is of the account. `used` and `headroom` "" where the limit is of one order.
    """

    name: str
    symbol: str = ""
    value: str = ""
    used: str = ""
    headroom: str = ""
    by: str = ""

    @property
    def off(self) -> bool:
        """Whether this side does not judge by it."""
        return not self.value


class Symbol(Fact, frozen=True):
    """A symbol's grids; volumes in lots, levels in points, prices in quote currency.

    Empty words: the broker does not say. `session` is OPEN while ticks come, `filling` what a
    market order may ask for. A `tick_size` of 0: prices move by `point`.
    """

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
    tick_size: float = 0.0
    trade_mode: str = ""
    execution: str = ""
    filling: str = ""
    session: str = ""

    def price(self, value: Number, rounding: Rounding = "nearest") -> Decimal:
        """Return the price on the symbol's grid, rounded as you say."""
        self._check(rounding)
        step = self.grid("tick_size") if self.tick_size else self.grid("point")
        return snap(exact(value, "price"), step, rounding)

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
        """Return a grid's exact value: point, tick_size, volume_min, volume_max, volume_step."""
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


class DeadMan(Fact, frozen=True):
    """The server's dead-man's switch: off, waiting (for the first heartbeat), armed or fired.

    `after_ms` is the silence that fires it, `silent_ms` how long it has lasted; `rid` names the
    FLATTEN that followed and `note` what that waits for; `ea` is the EA's own switch, in words.
    "": an older server, which does not say.
    """

    state: str = ""
    policy: str = ""
    after_ms: int = 0
    silent_ms: int = 0
    fired: datetime | None = None
    rid: str = ""
    note: str = ""
    ea: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self._server()}; the EA by itself: {self.ea}" if self.ea else self._server()

    def _server(self) -> str:
        bound = f"policy {self.policy} after {self.after_ms / 1000:g} s"
        note = f" ({self.note})" if self.note else ""
        silent = f"last beat {self.silent_ms / 1000:.1f} s ago"
        match self.state:
            case "armed":
                return f"armed: {silent}, {bound}"
            case "waiting":
                return f"waiting for the first heartbeat, {bound}"
            case "fired":
                what = f", FLATTEN {self.rid}" if self.rid else ""
                return f"fired: {silent}, {bound}{what}{note}"
        return self.state or "the server does not say"


class Health(Fact, frozen=True):
    """Each hop, the trading state with its causes, and what this connector itself holds open.

    `state` is ACTIVE, REDUCE_ONLY, HALTED, or OFFLINE when no authenticated answer came.
    `latches` are this connector's own (LOG_FORK), `alarms` what it caught the server lying about
    since it was opened (SERVER_LIED). `settle_clock` says which clock signs settle
    and reduce operations. `link` is healthy, degraded or lost. `heartbeat` is what this connector
    sends: off, auto or loop.
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
    link: str = ""
    link_why: str = ""
    heartbeat: str = "off"
    dead_man: DeadMan = DeadMan()
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
