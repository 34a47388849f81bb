"""An account made by hand under watch, and what somebody would know who only hears the events."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from bridge_core.protocol.events import EventBody
from bridge_server.backends.mt5_past import Past
from bridge_server.backends.mt5_reader import Reader, Watched
from bridge_server.backends.mt5_watch import Watch
from bridge_server.backends.mt5_zone import Zone
from bridge_server.core.ports import Identity
from tests.support.clock import FakeClock
from tests.support.mt5_hand import ZONE_MS, HandAccount, HandLink

__all__ = ["BUY", "PINNED", "SELL", "Desk", "Fold", "shown"]

BUY, SELL = 0, 1
D = Decimal
PINNED = Identity(
    login=5001, server="Hand-Demo", kind="demo", currency="USD", margin_mode="hedging", leverage=100
)


class Desk:
    """A watched account. `told` is all that was told since the beginning."""

    def __init__(
        self, *, netting: bool = False, pinned: bool = True, begin: bool = True, sync_ms: int = 0
    ) -> None:
        self.clock = FakeClock()
        self.account = HandAccount(self.clock, netting=netting)
        self.link = HandLink(self.account)
        served = Watched(symbols=("EURUSD",), pinned=PINNED, sync_ms=sync_ms)
        self.reader = Reader(self.link, served, self.clock, Zone(ZONE_MS if pinned else None))
        self.past = Past(self.reader, self.clock)
        self.watch = Watch(self.reader, self.past, self.clock)
        self.told: list[EventBody] = []
        self.fold = Fold()
        self.known = 0  # how many deals there were when the watching began
        if begin:
            self.begin()

    def begin(self) -> None:
        """Take the first look, which tells nothing but the price."""
        self.clock.advance(250)
        assert {one.type for one in self.watch.pump()} <= {"tick"}
        self.fold = Fold(self.account)
        self.known = len(self.account.deals)

    def look(self, times: int = 1) -> list[EventBody]:
        """Look so often, each 250 ms after the last; return what was told, money and ticks left."""
        found = []
        for _ in range(times):
            self.clock.advance(250)
            events = self.watch.pump()
            self.account.look()
            self.told += events
            self.fold.take(events)
            found += [one for one in events if one.type not in ("tick", "account_update")]
        return found


class Fold:
    """What somebody knows who knows the beginning and hears the events."""

    def __init__(self, account: HandAccount | None = None) -> None:
        self.positions: dict[int, tuple[str, Decimal, Decimal, Decimal]] = {}
        self.orders: dict[int, tuple[Decimal, Decimal, Decimal, Decimal]] = {}
        if account is not None:
            self.positions, self.orders = shown(account)

    def take(self, events: Iterable[EventBody]) -> None:
        for one in events:
            self._take(one)
            if one.deal and one.order in self.orders and one.status != "PARTIAL":
                del self.orders[one.order]

    def _take(self, one: EventBody) -> None:
        known = (D(one.sl), D(one.tp))
        match one.type:
            case "position_opened":
                assert one.ticket not in self.positions, "opened twice"
                self.positions[one.ticket] = (one.side, D(one.volume), *known)
            case "position_modified":
                if one.message.startswith("ticket was "):
                    old = int(one.message.removeprefix("ticket was "))
                    self.positions[one.ticket] = self.positions.pop(old)
                assert self.positions[one.ticket][0] == one.side
                self.positions[one.ticket] = (one.side, D(one.volume), *known)
            case "position_closed":
                side, volume, *stops = self.positions.pop(one.ticket)
                assert (side, volume - D(one.volume)) == (one.side, D(one.remaining_volume))
                if one.remaining_ticket:
                    rest = (side, D(one.remaining_volume), stops[0], stops[1])
                    self.positions[one.remaining_ticket] = rest
                else:
                    assert not D(one.remaining_volume)
            case "order_placed":
                assert (one.ticket in self.orders) == (one.message == "modified")
                self.orders[one.ticket] = (D(one.volume), D(one.price), *known)
            case "order_cancelled" | "order_expired":
                del self.orders[one.ticket]


def shown(account: HandAccount) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the positions and orders that an account shows, as `Fold` keeps them."""
    positions = {
        row["ticket"]: (
            "BUY" if row["type"] == BUY else "SELL",
            *(D(str(row[name])) for name in ("volume", "sl", "tp")),
        )
        for row in account.positions.values()
    }
    orders = {
        row["ticket"]: tuple(
            D(str(row[name])) for name in ("volume_current", "price_open", "sl", "tp")
        )
        for row in account.orders.values()
    }
    return positions, orders
