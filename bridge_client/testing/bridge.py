"""The connector of a test: the strategy's, with a market and faults by name beside its calls."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

from bridge_client.connector import Connector
from bridge_client.desk import Desk
from bridge_client.drafts import Draft
from bridge_client.events import EventFeed, Sources
from bridge_client.journal import ConnectorJournal
from bridge_client.link import Link, read_clocks
from bridge_client.numbers import Number, exact
from bridge_client.session import Identity
from bridge_client.settings import load_settings
from bridge_client.testing.conditions import ACCOUNT, Conditions, Wanted, make_house, wanted, whole
from bridge_client.testing.feed import OwnedFeed, PacedFeed
from bridge_client.testing.judgement import (
    BrokenPromiseError,
    BrokerAct,
    acts_of,
    check_promises,
    signed_in,
)
from bridge_client.testing.market import Market, Player
from bridge_client.testing.prices import Prices, Ruler, split_symbols
from bridge_client.testing.script import Script
from bridge_client.testing.wire import LossyTransport
from bridge_client.transport import Dial, Subscriber
from bridge_client.views import Quote
from bridge_client.witness import Now
from bridge_core.host.settings import nearest
from bridge_core.protocol.codes import CODES, ReasonCode
from bridge_core.protocol.errors import BridgeError, ConfigError, TransportError
from bridge_core.protocol.replies import OrderView

__all__ = ["PaperBridge", "paper_bridge"]

_START_S: Final = 20.0
_TRY_S: Final = 0.2
_ARRIVE_S: Final = 10.0
_NAP_S: Final = 0.002
_LISTENS: Final = " listening "
_BREATH_S: Final = 0.05
_STOP_S: Final = 5.0
_COUNT_MAX: Final = 1_000
_BROKER_SAYS: Final = tuple(code.value for code in ReasonCode if CODES[code].by == "broker")


class _HastyDesk(Desk):
    """Takes no order call's word for how long it waits."""

    _patience = float("inf")

    def within(self, patience: float) -> Self:
        """Return this desk, whose calls return within so many seconds."""
        self._patience = patience
        return self

    def submit(self, draft: Draft, wait: float) -> OrderView:
        """Return what is known of the order after at most `wait` seconds, or our patience."""
        return super().submit(draft, min(wait, self._patience))


class PaperBridge(Connector):
    """A `Connector` to a real paper server of its own, whose market and faults a test commands.

    Every keyword is in `testing.conditions.Conditions`. The first price stands when it is made.
    `close` ends the server and judges the broker's ledger.

    Raises:
        ConfigError: a keyword, a limit, the prices, or what the server says of its settings.
    """

    def __init__(self, prices: Prices = None, **conditions: Unpack[Conditions]) -> None:
        asked = wanted(conditions)
        given = split_symbols(prices, asked.symbol)
        self._over = False
        self._player: Player | None = None
        self._step_ms = 0
        self._owned: list[OwnedFeed] = []
        self._temporary = asked.folder is None
        self.folder = Path(asked.folder or tempfile.mkdtemp(prefix="ztb-test-"))
        self._pace, self._patience = asked.pace, float(asked.patience)
        try:
            self._house = make_house(self.folder, tuple(given), asked)
            self._script = Script(self._house.server_folder, lambda: self._house.running)
            self._house.start()
            self._listening()
            settings = load_settings(self.config)
            super().__init__(
                settings, self._house.bundle(), self.config.parent, client=asked.client,
                clocks=self._clocks,
            )  # fmt: skip
            self._get_ready(given, asked)
        except BaseException:
            self._over = True
            self._give_up()
            raise

    def _listening(self) -> None:
        # Who dials before there is anybody waits a whole back-off longer.
        until = time.monotonic() + _START_S
        while self._house.running and time.monotonic() < until:
            if any(_LISTENS in line for line in self._house.said()):
                return
            time.sleep(_NAP_S)

    def _get_ready(self, given: dict[str, object], asked: Wanted) -> None:
        try:
            self._come_back()
        except BridgeError as error:
            if self._house.running:
                raise
            raise ConfigError("SERVER", error.detail) from error  # it refused its settings
        points = {one.symbol: one.exact["point"] for one in self.get_symbols()}
        rulers = {name: Ruler(Decimal(points[name]), asked.spread) for name in given}
        self._market = Market(given, rulers, self._house.server_folder)
        self.step()
        if isinstance(asked.pace, int | float):
            self._player = Player(self._market, asked.pace)

    def _clocks(self) -> Now:
        now = read_clocks()
        return now._replace(wall_ms=now.wall_ms + self._step_ms)

    def _open_link(self, identity: Identity, dial: Dial, clocks: Callable[[], Now]) -> Link:
        self._wire: list[LossyTransport] = []

        def lossy(dial: Dial) -> LossyTransport:
            self._wire.append(LossyTransport(dial))
            return self._wire[-1]

        return Link(identity, dial, self.client, clocks, lossy)

    def _open_desk(self, journal: ConnectorJournal) -> Desk:
        return _HastyDesk(self._link, journal, self._book, self._facts, self._monitor).within(
            self._patience
        )

    def _feed(self, sub: Subscriber, sources: Sources, timeout: float | None) -> EventFeed:
        paced = self._pace == "events" and sources.wanted
        feed = (
            PacedFeed(sub, sources, timeout, self._market)
            if paced
            else OwnedFeed(sub, sources, timeout)
        )
        self._owned.append(feed)
        return feed

    # --- the market ---------------------------------------------------------------------------

    def step(self, price: object = None, symbol: str | None = None) -> Quote:
        """Let the next price come, of every symbol; or this one (a mid, or (bid, ask)) now.

        Returns when the broker has it, with the quote. While the server is dead the market goes
        on without it, and the broker takes the prices in when it is back.

        Raises:
            BridgeError: PRICES_OVER: every price has come.
            ConfigError: PRICES: the price does not hold.
        """
        name = symbol or self._market.symbols[0]
        if price is None:
            self._market.lane(name)
            return self._arrived(name, self._market.forward())
        return self._arrived(name, self._market.place(name, price))

    def advance(self, count: int) -> Quote:
        """Let the next `count` prices come, each one a tick; as `step`."""
        for _ in range(count - 1):
            self._market.forward()
        return self.step()

    def before(self, number: int, action: Callable[[], object]) -> None:
        """Do something just before price `number` comes (1: the one that stands already).

        For a strategy that runs in `events()`: `bridge.before(60, bridge.restart_server)`.

        Raises:
            ConfigError: PRICES: that price has come already.
        """
        self._market.before(whole(number, "number", (1, sys.maxsize)), action)

    def gap(self, delta: Number, symbol: str | None = None) -> Quote:
        """Let the market jump by a price difference now; later prices stay shifted by it.

        What lies in between (a stop, a pending order) is filled beyond its price, as in a gap.

        Raises:
            ConfigError: PRICES: no number, or it leads below 0.
        """
        name = symbol or self._market.symbols[0]
        try:
            amount = Decimal(str(delta))
        except ArithmeticError as error:
            raise ConfigError("PRICES", f"gap {delta!r} is no number") from error
        return self._arrived(name, self._market.gap(name, amount))

    def spread(self, points: int, symbol: str | None = None) -> Quote:
        """Set the spread (points) now, and of later prices that have no ask of their own."""
        name = symbol or self._market.symbols[0]
        return self._arrived(name, self._market.spread(name, points))

    def _arrived(self, symbol: str, time_ms: int) -> Quote:
        until = time.monotonic() + _ARRIVE_S
        nap = _NAP_S
        while self._house.running:
            time.sleep(nap)
            nap = _NAP_S
            try:
                quote = self.get_quote(symbol)
            except TransportError:
                continue  # killed or starting just now
            except BridgeError as error:
                if error.code not in (ReasonCode.NO_QUOTE, ReasonCode.RATE):
                    raise
                nap = _BREATH_S
                continue
            if quote.time is not None and round(quote.time.timestamp() * 1000) >= time_ms:
                return quote
            if time.monotonic() >= until:
                note = f"symbol={symbol} within_s={_ARRIVE_S:g} why='does the broker hang?'"
                raise BridgeError("PRICES", note)
        lane = self._market.lane(symbol)
        at = datetime.fromtimestamp(time_ms / 1000, UTC)
        return Quote(symbol=symbol, bid=float(lane.bid), ask=float(lane.ask), time=at)

    # --- the server -----------------------------------------------------------------------------

    def kill_server(self) -> None:
        """Kill the server as `kill -9` does; what it had in hand is in its journal, or nowhere."""
        if self._house.running:
            self._house.kill()

    def start_server(self) -> None:
        """Start it again on the same folder; returns when it is reconciled and we are connected.

        Raises:
            BridgeError: SERVER_ENDED, with what it said last.
            TransportError: no connection.
        """
        if not self._house.running:
            self._house.start()
            self._come_back()

    def restart_server(self) -> None:
        """Kill it and start it again."""
        self.kill_server()
        self.start_server()

    def _come_back(self) -> None:
        until = time.monotonic() + _START_S
        while True:
            self._house.alive()
            try:
                self.connect(_TRY_S)
                if all(cause.cause != "RECOVERING" for cause in self.health().causes):
                    return
            except TransportError:
                if time.monotonic() >= until:
                    raise
            time.sleep(_NAP_S)

    # --- the wire and the clock ------------------------------------------------------------------

    def drop_next_reply(self, count: int = 1) -> None:
        """Lose the next replies to orders on their way: the order arrived, its answer does not.

        The connector sends the same bytes again, or asks: one order, and its outcome later.
        """
        self._wire[0].lose(whole(count, "count", (1, _COUNT_MAX)))

    @property
    def dropped_replies(self) -> int:
        """How many replies were lost so far."""
        return self._wire[0].lost

    def clock_step(self, seconds: float) -> None:
        """Let this machine's wall clock jump by so many seconds (negative: back).

        Beyond one second of difference entries are DENIED CLOCK_SKEW; closing still works.
        """
        self._step_ms += round(seconds * 1000)

    # --- the broker -----------------------------------------------------------------------------

    def hang_broker(self, seconds: float) -> None:
        """Let the next order stay at the broker so long (s, at most 60) before it is done.

        Prices stand still meanwhile. The strategy sees PENDING; `wait` brings the outcome.
        """
        self._script.say(do="hang", seconds=seconds)

    def release_broker(self) -> None:
        """End a hang now."""
        self._script.say(do="release")

    def reject_next(self, code: str = "BROKER_REJECTED", count: int = 1) -> None:
        """Let the broker refuse the next orders with one of its codes (protocol.md 8).

        Raises:
            ConfigError: no broker says that; names the nearest.
        """
        if code not in _BROKER_SAYS:
            near = nearest(code, _BROKER_SAYS)
            hint = f"did you mean {near}?" if near else f"it says {', '.join(_BROKER_SAYS)}"
            raise ConfigError("CODE", f"no broker says {code}; {hint}")
        self._script.say(do="reject", code=str(code), count=count)

    def lose_next_answer(
        self, *, executed: bool = True, seconds: float = 0.0, count: int = 1
    ) -> None:
        """Let the broker's answer to the next orders be lost; without `executed` the order too.

        The broker's records are away for so many seconds (at most 60) as well: as long the order
        is UNKNOWN; then they are searched, and the strategy is told the truth.
        """
        self._script.say(do="lose", executed=executed, seconds=seconds, count=count)

    def partial_next(self, volume: Number) -> None:
        """Let the broker deal so many lots of the next market order or close, and no more."""
        self._script.say(do="partial", volume=f"{exact(volume, 'volume'):f}")

    def ledger(self) -> tuple[BrokerAct, ...]:
        """Return every order that reached the broker, from its own ledger."""
        return acts_of(self._house.ledger, signed_in(self.config.parent), ACCOUNT)

    # --- files ----------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        """The connector.toml of this account, for a strategy that opens its own Connector."""
        return self._house.connector_toml

    @property
    def operator(self) -> Path:
        """The operator's folder: `Connector.from_config(bridge.operator).resume(…)`."""
        return self._house.folder / "operator"

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of everything, end the server, and judge S1, S2, S3 and S5. Idempotent.

        Raises:
            BrokenPromiseError: the bridge broke one; the files are kept.
        """
        if self._over or os.getpid() != self._pid:
            return
        self._over = True
        if self._player is not None:
            self._player.stop()
        with suppress(BridgeError):
            self.release_broker()
        super().close()
        for feed in self._owned:
            feed.let_go()
        self._house.stop(_STOP_S)
        check_promises(self._house.ledger, signed_in(self.config.parent), ACCOUNT)
        self._remove()

    def _give_up(self) -> None:
        if self._player is not None:
            self._player.stop()
        if hasattr(self, "_closed"):
            super().close()
        if hasattr(self, "_house"):
            self._house.stop(_STOP_S)
        self._remove()

    def _remove(self) -> None:
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except BrokenPromiseError as broken:
            if error is None:
                raise
            error.add_note(str(broken))  # the test's own failure stays the first to be read


def paper_bridge(prices: Prices = None, **conditions: Unpack[Conditions]) -> PaperBridge:
    """Start a paper server in a folder of its own and return a connected `PaperBridge`.

    Use it as a context manager. In pytest the fixture of this name does the same.

    Raises:
        ConfigError: as `PaperBridge`.
    """
    return PaperBridge(prices, **conditions)
