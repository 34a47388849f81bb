"""What the account's side looks like on the wire: rows of replies, snapshots and events.

Volume in lots, prices in quote currency, money in account currency, levels and deviation in
points, times UTC milliseconds. Decimals are text.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = [
    "AccountIdentity",
    "AccountView",
    "CauseView",
    "DeadManView",
    "DealView",
    "HopView",
    "LimitView",
    "PendingView",
    "PositionView",
    "QuoteView",
    "Reply",
    "StreamPoint",
    "SymbolView",
]


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Any reply body; absent fields have their defaults."""


class AccountIdentity(Reply, frozen=True):
    """Which account this is; `kind` is paper, demo or real."""

    login: int
    server: str
    kind: str
    currency: str
    margin_mode: str


class CauseView(Reply, frozen=True):
    """Why the trading state is lowered, since when (UTC ms) and what ends it."""

    cause: str
    kind: str
    effect: str
    since: int = 0
    symbol: str = ""
    reason: str = ""
    ends: str = ""


class HopView(Reply, frozen=True):
    """One hop's health: up, degraded or down, why and since when (UTC ms)."""

    hop: str
    state: str
    why: str = ""
    since: int = 0
    availability_24h: str = ""
    availability: str = ""
    ms: str = ""


class DeadManView(Reply, frozen=True):
    """The dead-man's switch: `state` is off, waiting (for the first heartbeat), armed or fired.

    `fired` is UTC ms; `rid` the FLATTEN that followed, `note` what it waits for; `ea` what an EA
    says of its own.
    """

    state: str
    policy: str = ""
    after_ms: int = 0
    silent_ms: int = 0
    fired: int = 0
    rid: str = ""
    note: str = ""
    ea: str = ""


class AccountView(Reply, frozen=True):
    """GET_ACCOUNT: money in account currency; `time` is when the terminal was asked (UTC ms).

    `zone_ms` is the broker's clock minus UTC, by which its trading day begins; None: not known.
    """

    login: int
    server: str
    kind: str
    currency: str
    margin_mode: str
    leverage: int
    balance: str
    equity: str
    margin: str
    free_margin: str
    margin_level: str = ""
    profit: str = "0"
    market_time: int = 0
    zone_ms: int | None = None
    time: int = 0
    mode: str = ""


class PositionView(Reply, frozen=True):
    """One open position; times are market time, UTC ms."""

    ticket: int
    symbol: str
    type: str
    volume: str
    open_price: str
    current_price: str
    sl: str = "0"
    tp: str = "0"
    profit: str = "0"
    swap: str = "0"
    commission: str = "0"
    magic: int = 0
    strategy: int = 0
    comment: str = ""
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    opened_at: int = 0


class PendingView(Reply, frozen=True):
    """One pending order."""

    ticket: int
    symbol: str
    type: str
    volume: str
    price: str
    sl: str = "0"
    tp: str = "0"
    expiration: int = 0
    magic: int = 0
    strategy: int = 0
    comment: str = ""
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    placed_at: int = 0


class DealView(Reply, frozen=True):
    """One deal of the history: entry IN, OUT, INOUT or OUT_BY; why it left is `reason`."""

    deal: int
    ticket: int
    order: int
    symbol: str
    type: str
    entry: str
    volume: str
    price: str
    profit: str = "0"
    swap: str = "0"
    commission: str = "0"
    magic: int = 0
    comment: str = ""
    reason: str = ""
    time: int = 0


class QuoteView(Reply, frozen=True):
    """GET_QUOTE: `time` is market time of the tick, `asked` when the terminal said it (UTC ms)."""

    symbol: str
    bid: str
    ask: str
    time: int = 0
    asked: int = 0


class SymbolView(Reply, frozen=True):
    """GET_SYMBOL: the grids. Volumes in lots, levels in points, prices in quote currency.

    What the broker does not say is empty; a `tick_size` of 0 means `point`. `tick_value` is what
    one lot gains or loses by one `tick_size`, in account currency.
    """

    symbol: str
    digits: int
    point: str
    volume_min: str
    volume_max: str
    volume_step: str
    contract_size: str
    stops_level: int = 0
    freeze_level: int = 0
    currency_base: str = ""
    currency_profit: str = ""
    allowed: bool = True
    tick_size: str = "0"
    tick_value: str = "0"
    trade_mode: str = ""
    execution: str = ""
    filling: str = ""
    session: str = ""


class LimitView(Reply, frozen=True):
    """GET_LIMITS: one row; value "" means off. `by` holds to it: server or ea."""

    name: str
    symbol: str = ""
    value: str = ""
    used: str = ""
    headroom: str = ""
    by: str = ""


class StreamPoint(Reply, frozen=True):
    """Where a stream stood when a snapshot was taken."""

    stream: str
    seq: int
