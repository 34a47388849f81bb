"""What `events()` yields: verified, gap-checked, one frozen value per fact.

Times are market time (aware UTC), volumes lots, prices quote currency, money account currency.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bridge_client.facts import Fact, Symbols, moment, number, read
from bridge_client.result import OrderResult
from bridge_client.views import Account, PendingOrder, Position, Quote
from bridge_core.protocol.events import EventBody

__all__ = [
    "AccountUpdate", "Alert", "Event", "LinkChanged", "OrderCancelled", "OrderExpired",
    "OrderFinal",
    "OrderPlaced", "PositionClosed", "PositionModified", "PositionOpened", "Resync",
    "StateChanged", "Tick", "event_of",
]  # fmt: skip


class Tick(Fact, frozen=True):
    """One quote; `missed` counts the ticks of this symbol lost just before it."""

    symbol: str
    bid: float
    ask: float
    time: datetime | None = None
    missed: int = 0


class PositionOpened(Fact, frozen=True):
    """A position came to be; `origin` "foreign" means not through this bridge."""

    ticket: int
    symbol: str
    type: str
    volume: float
    open_price: float
    sl: float = 0.0
    tp: float = 0.0
    deal: int = 0
    magic: int = 0
    comment: str = ""
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    time: datetime | None = None


class PositionClosed(Fact, frozen=True):
    """A position, or `volume` lots of it, ended; reason SL TP STOP_OUT MANUAL OURS."""

    ticket: int
    symbol: str
    type: str
    volume: float
    close_price: float
    reason: str
    open_price: float = 0.0
    profit: float = 0.0
    commission: float = 0.0
    swap: float = 0.0
    net_profit: float = 0.0
    remaining_volume: float = 0.0
    remaining_ticket: int = 0
    deal: int = 0
    magic: int = 0
    comment: str = ""
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    time: datetime | None = None


class PositionModified(Fact, frozen=True):
    """A position's stops, or its volume, changed."""

    ticket: int
    symbol: str
    type: str
    volume: float
    sl: float
    tp: float
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    time: datetime | None = None


class OrderPlaced(Fact, frozen=True):
    """A pending order rests at the broker."""

    ticket: int
    symbol: str
    type: str
    volume: float
    price: float
    sl: float = 0.0
    tp: float = 0.0
    expiration: datetime | None = None
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    time: datetime | None = None


class OrderCancelled(Fact, frozen=True):
    """A pending order was removed."""

    ticket: int
    symbol: str
    type: str
    volume: float
    price: float
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    time: datetime | None = None


class OrderExpired(Fact, frozen=True):
    """A pending order reached its expiration."""

    ticket: int
    symbol: str
    type: str
    volume: float
    price: float
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    time: datetime | None = None


class AccountUpdate(Fact, frozen=True):
    """The account's money changed."""

    balance: float
    equity: float
    margin: float
    free_margin: float
    profit: float = 0.0
    time: datetime | None = None


class StateChanged(Fact, frozen=True):
    """The trading state is now `state`, because of `cause`."""

    state: str
    cause: str = ""
    reason: str = ""
    symbol: str = ""
    time: datetime | None = None


class LinkChanged(Fact, frozen=True):
    """The link to the server is now healthy, degraded or lost; `why` in words, `since` our clock.

    Degraded: slow, a hop behind the server is not up, or the clocks differ. Lost: no answer for
    3 s, or no connection.
    """

    state: str
    why: str = ""
    since: datetime | None = None


class Alert(Fact, frozen=True):
    """Something a person should look at; level info, warning, error or critical."""

    level: str
    code: str = ""
    message: str = ""
    symbol: str = ""
    ticket: int = 0
    rid: str = ""
    client_order_id: str = ""
    time: datetime | None = None


class OrderFinal(Fact, frozen=True):
    """An order's outcome is settled: yielded only after a reply bound to our own question."""

    result: OrderResult
    client_order_id: str = ""
    rid: str = ""


class Resync(Fact, frozen=True):
    """Events were lost: here is the truth now; `why` names the stream."""

    positions: tuple[Position, ...]
    orders: tuple[PendingOrder, ...]
    account: Account | None = None
    quotes: tuple[Quote, ...] = ()
    state: str = ""
    open_rids: tuple[str, ...] = ()
    why: str = ""
    time: datetime | None = None


Event = (
    Tick | PositionOpened | PositionClosed | PositionModified | OrderPlaced | OrderCancelled
    | OrderExpired | OrderFinal | AccountUpdate | StateChanged | LinkChanged | Alert | Resync
)  # fmt: skip

_KINDS: Final[dict[str, type[Fact]]] = {
    "position_opened": PositionOpened,
    "position_closed": PositionClosed,
    "position_modified": PositionModified,
    "order_placed": OrderPlaced,
    "order_cancelled": OrderCancelled,
    "order_expired": OrderExpired,
    "account_update": AccountUpdate,
    "state_changed": StateChanged,
    "alert": Alert,
}
_RENAME: Final = {"type": "side"}


def tick_of(body: EventBody, symbols: Symbols, missed: int) -> Tick:
    """Return the tick; written out, because it is the hot path.

    Raises:
        RemoteProtocolError: a price that is no decimal, a time that is none.
    """
    exact = {"bid": body.bid, "ask": body.ask}
    return Tick(
        symbol=symbols(body.symbol),
        bid=number(body.bid) or 0.0,
        ask=number(body.ask) or 0.0,
        time=moment(body.time),
        missed=missed,
        exact=exact,
    )


def event_of(body: EventBody, symbols: Symbols) -> Fact | None:
    """Return the public event of a body, None for a type this version does not know.

    Ticks, heartbeats and order_final have their own ways.

    Raises:
        RemoteProtocolError: a decimal field does not hold a decimal.
    """
    kind = _KINDS.get(body.type)
    return None if kind is None else read(kind, body, symbols, _RENAME)
