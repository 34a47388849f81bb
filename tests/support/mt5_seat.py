"""Somebody who watches the stand-in terminal for real: worker process, pipe, terminal, broker."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from bridge_core.host.clock import SystemClock
from bridge_core.protocol.events import EventBody
from bridge_server.backends.mt5_link import LinkSpec, Mt5Link, Pace
from bridge_server.backends.mt5_past import Past
from bridge_server.backends.mt5_pins import Mt5Pins
from bridge_server.backends.mt5_reader import Reader, Watched
from bridge_server.backends.mt5_watch import Watch
from bridge_server.backends.mt5_zone import Zone
from bridge_server.core.ports import Identity
from tests.support.fake_metatrader5 import FakeTerminal, load
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms
from tests.support.mt5_watching import Fold
from tests.support.running import wait_until

__all__ = ["BUY_LIMIT", "PACE", "SELL_LIMIT", "ZONE_MS", "E", "Place", "Seat", "places"]

D = Decimal
E = "EURUSD"
BUY_LIMIT, SELL_LIMIT = 2, 3
PACE = Pace(
    read_ms=3_000, trade_ms=3_000, connect_ms=5_000, beat_ms=100, stale_ms=2_000,
    retry_ms_min=20, retry_ms_max=200, refused_ms=300,
)  # fmt: skip
ZONE_MS = 7_200_000


class Place:
    """A terminal with its broker, and the link to it; shared by the tests of one margin mode."""

    def __init__(self, folder: Path, margin_mode: str) -> None:
        symbol = SymbolTerms(selected=True, filling_mode=3)
        self.terms = Terms(symbols=(symbol,), margin_mode=margin_mode, balance=D(1_000_000))
        self.broker = Broker(self.terms)
        self.broker.price(E, "1.10000", "1.10010")
        self.terminal = FakeTerminal(folder, self.broker, scale=0.02)
        self.pinned = Identity(
            login=self.terms.login, server=self.terms.server, kind="demo", currency="USD",
            margin_mode=margin_mode, leverage=100,
        )  # fmt: skip
        self.link = Mt5Link(
            LinkSpec(
                path=self.terminal.path,
                load=load,
                pins=Mt5Pins(
                    login=self.terms.login, server=self.terms.server, kind="demo",
                    margin=margin_mode,
                ),
                pace=PACE,
            ),
            SystemClock(),
        )  # fmt: skip


class Seat:
    """Somebody who begins to watch now, over the shared link."""

    def __init__(self, place: Place, *, zone_ms: int | None = ZONE_MS, sync_ms: int = 0) -> None:
        self.place, self.broker, self.link = place, place.broker, place.link
        watched = Watched(symbols=(E,), pinned=place.pinned, sync_ms=sync_ms)
        clock = SystemClock()
        self.reader = Reader(place.link, watched, clock, Zone(zone_ms))
        self.past = Past(self.reader, clock)
        self.watch = Watch(self.reader, self.past, clock, poll_ms=0)
        self.told: list[EventBody] = []
        self.fold = Fold()
        wait_until(lambda: self.reader.refresh() and self.reader.synced())
        assert {one.type for one in self.watch.pump()} <= {"tick"}
        self.fold.positions, self.fold.orders = self.shown()

    def look(self) -> list[EventBody]:
        """Look once; money and ticks are left out."""
        events = self.watch.pump()
        found = [one for one in events if one.type not in ("tick", "account_update")]
        self.fold.take(found)
        self.told += found
        return found

    def next(self, count: int = 1, seconds: float = 5.0) -> list[EventBody]:
        """Look until so many events have come."""
        found: list[EventBody] = []

        def came() -> bool:
            found.extend(self.look())
            return len(found) >= count

        wait_until(came, seconds)
        assert len(found) == count, found
        return found

    def shown(self) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return what the terminal shows, as `Fold` keeps it."""
        shot = self.reader.snapshot()
        positions = {
            one.ticket: (one.type, one.volume, one.sl, one.tp) for one in shot.positions.values()
        }
        orders = {
            one.ticket: (one.volume, one.price, one.sl, one.tp) for one in shot.orders.values()
        }
        return positions, orders

    def ends_well(self) -> None:
        """Everything was told, and it folds to what is shown."""

        def folded() -> bool:
            return not self.look() and (self.fold.positions, self.fold.orders) == self.shown()

        try:
            wait_until(folded)
        except AssertionError:
            print(self.fold.positions, self.fold.orders, self.shown(), self.told[-3:])
            raise


def places(folder: Path, mode: str) -> Iterator[Place]:
    """Yield one, linked."""
    place = Place(folder, mode)
    with place.terminal:
        place.link.start()
        try:
            assert place.link.wait(10.0), place.link.status.why
            yield place
        finally:
            place.link.close()
