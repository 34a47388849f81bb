"""The connector of a test: the strategy's, with a market and faults by name beside its calls."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

from bridge_client.desk import Desk
from bridge_client.drafts import Draft
from bridge_client.events import EventFeed, Sources
from bridge_client.journal import ConnectorJournal
from bridge_client.link import Link, read_clocks
from bridge_client.session import Identity
from bridge_client.settings import load_settings
from bridge_client.testing.commands import Commanded
from bridge_client.testing.conditions import ACCOUNT, Conditions, Wanted, make_house, wanted
from bridge_client.testing.feed import OwnedFeed, PacedFeed
from bridge_client.testing.judgement import (
    BrokenPromiseError,
    check_promises,
    signed_in,
)
from bridge_client.testing.market import Market, Player
from bridge_client.testing.prices import Prices, Ruler, split_symbols
from bridge_client.testing.script import Script
from bridge_client.testing.wire import LossyTransport
from bridge_client.transport import Dial, Subscriber
from bridge_client.witness import Now
from bridge_core.protocol.errors import BridgeError, ConfigError, TransportError
from bridge_core.protocol.replies import OrderView

__all__ = ["PaperBridge", "paper_bridge"]

_START_S: Final = 20.0
_TRY_S: Final = 0.2
_NAP_S: Final = 0.002
_LISTENS: Final = " listening "
_TAKEN: Final = "cannot listen on"
_TRIES: Final = 3
_STOP_S: Final = 5.0


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


class PaperBridge(Commanded):
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
        self.folder = Path(asked.folder or tempfile.mkdtemp(prefix="ztb-test-"))
        # Also at the end of the process, should nobody close it; never a folder of the author's.
        self._sweep = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        if asked.folder is not None:
            self._sweep.detach()
        self._pace, self._patience = asked.pace, float(asked.patience)
        try:
            self._serve(tuple(given), asked)
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

    def _serve(self, symbols: tuple[str, ...], asked: Wanted) -> None:
        for _ in range(_TRIES):
            self._house = make_house(self.folder, symbols, asked)
            self._script = Script(self._house.server_folder, lambda: self._house.running)
            self._house.start()
            self._listening()
            if self._house.running or not any(_TAKEN in line for line in self._house.said()):
                return  # its ports were free a moment ago; another process may have been quicker

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
        def lossy(dial: Dial) -> LossyTransport:
            self._wire = LossyTransport(dial)
            return self._wire

        return Link(identity, dial, self.client, clocks, lossy)

    def _open_desk(self, journal: ConnectorJournal) -> Desk:
        desk = _HastyDesk(self._link, journal, self._book, self._judge, self._settings.rates)
        return desk.within(self._patience)

    def _feed(self, sub: Subscriber, sources: Sources, timeout: float | None) -> EventFeed:
        paced = self._pace == "events" and sources.wanted
        try:
            for symbol in sources.wanted:
                self._market.lane(symbol)  # else it would be waited for in silence
        except ConfigError:
            sub.close()
            raise
        feed = (
            PacedFeed(sub, sources, timeout, self._market, self._quote_again)
            if paced
            else OwnedFeed(sub, sources, timeout)
        )
        self._owned.append(feed)
        return feed

    # --- the server -----------------------------------------------------------------------------

    def kill_server(self) -> None:
        """Kill the server as `kill -9` does; what it had in hand is in its journal, or nowhere."""
        if self._house.running:
            self._house.kill()

    def start_server(self) -> None:
        """Start it again on the same folder; returns when it is reconciled and we are connected.

        Raises:
            BridgeError: SERVER_ENDED, with what it said last.
            TransportError: NOT_BACK: no connection, or not reconciled.
        """
        if not self._house.running:
            self._house.start()
            self._come_back()

    def restart_server(self) -> None:
        """Kill it and start it again."""
        self.kill_server()
        self.start_server()

    def _quote_again(self) -> bool:
        self._script.say(do="quote")
        return self._house.running

    def _come_back(self) -> None:
        until = time.monotonic() + _START_S
        while True:
            self._house.alive()
            why = "RECOVERING"
            try:
                self.connect(_TRY_S)
                if all(cause.cause != why for cause in self.health().causes):
                    return
            except TransportError as error:
                why = error.detail
            if time.monotonic() >= until:
                raise TransportError("NOT_BACK", f"within_s={_START_S:g} why={why!r}")
            time.sleep(_NAP_S)

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
            self.clear_faults()  # a hanging broker would have to be waited for
        super().close()
        for feed in self._owned:
            feed.let_go()
        self._house.stop(_STOP_S)
        try:
            check_promises(self._house.ledger, signed_in(self.config.parent), ACCOUNT)
        except BrokenPromiseError:
            self._sweep.detach()
            raise
        self._sweep()

    def _give_up(self) -> None:
        if self._player is not None:
            self._player.stop()
        if hasattr(self, "_link"):
            super().close()
        if hasattr(self, "_house"):
            self._house.stop(_STOP_S)
        self._sweep()

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
