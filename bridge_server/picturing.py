"""The picture that pre-trade checks look at, put together in one place (protocol.md 6.2).

An order is judged once, when it is admitted: from then on it is flying and counts for every later
one, so that what waits in the queue holds the limits jointly. At its turn only the trading state
is asked again; a breach meanwhile has lowered that.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import structs

from bridge_core.protocol import limits
from bridge_core.protocol.messages import Open
from bridge_core.risk.entry import shrinks
from bridge_core.risk.order import Flying
from bridge_core.risk.picture import Picture, Swing
from bridge_core.risk.swings import Swings
from bridge_server.context import Context
from bridge_server.core.ports import Pending, Position, Snapshot
from bridge_server.core.proposal import propose
from bridge_server.flight import Flight
from bridge_server.lifecycle import Lifecycle
from bridge_server.risk_keeper import RiskKeeper

__all__ = ["Picturing"]

# A PC's clock is off by minutes at most (mt5_zone); what is older than this by it is old.
_CLOCK_OFF_MS_MAX = 600_000


class Picturing:
    """Follows the market's time and swings; owned by the loop."""

    def __init__(self, context: Context, orders: Lifecycle, keeper: RiskKeeper) -> None:
        self._c = context
        self._orders = orders
        self._keeper = keeper
        # Prices of a file or a walk come at their own pace: there, market time is what they say.
        self._real = context.settings.backend != "paper"
        self._swings = Swings()
        self._market_ms = 0
        self._moved_mono = 0
        self._prices: tuple[tuple[Decimal, Decimal], ...] = ()

    def ours(self, held: Position | Pending) -> bool:
        """Return whether an order of ours opened it, by its number or by the order's own magic."""
        journal = self._c.journal
        return journal.opener_of(held.ticket) is not None or journal.opened_as(held.magic)

    def start(self) -> None:
        """Take in the account as the start has shown it, and every later picture of it."""
        self._c.on_snapshot = self.see
        if self._c.snapshot is not None:
            self.see(self._c.snapshot)
        self._keeper.start()

    def see(self, shot: Snapshot) -> None:
        """Take in a newer picture of the account and the market."""
        self._keeper.see(shot)
        prices = tuple((one.bid, one.ask) for one in shot.quotes.values())
        # Its time goes back once, when an EA learns the broker's zone.
        if shot.market_ms != self._market_ms or prices != self._prices:
            self._market_ms, self._prices = shot.market_ms, prices
            self._moved_mono = self._c.clock.mono_ms()
        now_ms = self._now_ms(shot)
        for symbol, quote in shot.quotes.items():
            told = self._c.policy.symbols.get(symbol)
            if told is not None and told.max_move is not None:
                mid = (quote.bid + quote.ask) / 2
                self._swings.take(symbol, mid, now_ms, 1000 * told.move_window_s)

    def _now_ms(self, shot: Snapshot) -> int:
        """Return the broker's time now: its last tick's, and on a real market what passed since.

        A market without ticks stands still only in a file.
        """
        if not self._real:
            return shot.market_ms
        passed = self._c.clock.mono_ms() - self._moved_mono
        return max(shot.market_ms + passed, self._c.clock.wall_ms() - _CLOCK_OFF_MS_MAX)

    def picture(self, now_ms: int) -> Picture | None:
        """Return what is known now (UTC ms), None before the account was ever seen."""
        shot = self._c.snapshot
        if shot is None:
            return None
        market_ms = self._now_ms(shot)
        fresh = shot.connected and now_ms - shot.taken_wall_ms <= limits.ACCOUNT_AGE_MS_MAX
        return Picture(
            policy=self._c.policy,
            now_wall_ms=now_ms,
            market_ms=market_ms,
            identity=shot.identity,
            account=shot.account if fresh else None,
            positions=shot.positions,
            orders=shot.orders,
            quotes=shot.quotes,
            symbols=shot.symbols,
            flying=(*self.flying(shot), *self._keeper.landing()),
            state=self._keeper.known,
            swings=self._swung(market_ms),
        )

    def shrinks(self, flight: Flight) -> bool:
        """Return whether an entry at its turn still only makes a netting position smaller."""
        shot, now = self._c.snapshot, self.picture(self._c.clock.wall_ms())
        if shot is None or now is None or flight.body is None:
            return False
        order = propose(flight.body, shot)
        # It does not stand in its own way.
        others = self.flying(shot, but=flight)
        now = structs.replace(now, flying=(*others, *self._keeper.landing()))
        return order is not None and shrinks(order, now)

    def _swung(self, market_ms: int) -> dict[str, Swing]:
        found = ((one, self._swings.of(one, market_ms)) for one in self._c.policy.symbols)
        return {symbol: swing for symbol, swing in found if swing is not None}

    def flying(self, shot: Snapshot, *, but: Flight | None = None) -> tuple[Flying, ...]:
        """Return entries that are accepted, at the broker or UNKNOWN, each at its worst case."""
        if not self._orders.flights:
            return ()
        shown: dict[int, Decimal] = {}
        held: list[Position | Pending] = [*shot.positions.values(), *shot.orders.values()]
        for one in held:
            shown[one.magic] = shown.get(one.magic, Decimal(0)) + one.volume
        flights = [one for one in self._orders.flights.values() if one is not but]
        found = (_flying(one, shown) for one in flights)
        return tuple(one for one in found if one is not None)


def _flying(flight: Flight, shown: Mapping[int, Decimal]) -> Flying | None:
    """Return what of an entry the picture does not show yet, known by the order's own magic.

    What was opened and closed again meanwhile is counted still: that errs on the safe side.
    """
    body, magic = flight.body, flight.row.magic
    if not isinstance(body, Open):
        return None
    volume = Decimal(body.volume) - (shown.get(magic, Decimal(0)) if magic else 0)
    if volume <= 0:
        return None
    return Flying(
        symbol=body.symbol, type=body.type, volume=volume, price=Decimal(body.price),
        sl=Decimal(body.sl), deviation=body.deviation, strategy=body.strategy,
    )  # fmt: skip
