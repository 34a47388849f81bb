"""The connector: what a strategy imports. Blocking, and safe to use from several threads.

Orders return results and raise only for programming errors and configuration; a timeout is
UNKNOWN, never a failure, and the background goes on resolving it.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from bridge_client.book import Book, SeenTicket
from bridge_client.desk import Desk, refused
from bridge_client.drafts import (
    Change,
    Draft,
    Entry,
    FlattenScope,
    Ticketed,
    draft_cancel,
    draft_close,
    draft_flatten,
    draft_modify,
    draft_open,
)
from bridge_client.events import EventFeed, Sources
from bridge_client.journal import ConnectorJournal
from bridge_client.link import Link, read_clocks
from bridge_client.numbers import Number, exact, fits_wire
from bridge_client.queries import Questions
from bridge_client.result import OrderResult, from_view
from bridge_client.risk import RiskFacts, RiskMonitor
from bridge_client.session import Identity
from bridge_client.settings import ConnectorSettings, load_settings, parse_endpoint
from bridge_client.streams import EventKeys
from bridge_client.transport import Dial
from bridge_client.views import PendingOrder, Position
from bridge_client.witness import Now
from bridge_core.host.bundles import Bundle, load_bundle
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.errors import (
    BridgeError,
    ConfigError,
    LocalProtocolError,
    TransportError,
)
from bridge_core.protocol.events import event_topic, tick_topic
from bridge_core.protocol.messages import GetStatus
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView

__all__ = ["Connector", "Ref"]

Ref = int | str | Position | PendingOrder | OrderResult
_RID: Final = re.compile(r"\A[0-9a-f]{32}\Z")
_CLIENT: Final = re.compile(r"\A[A-Za-z0-9._-]{1,36}\Z")
_WAIT_S: Final = 10.0
_POLL_S: Final = (0.1, 5.0)
_VISITOR: Final = "visitor"


class Connector(Questions):
    """One account, seen from the strategy's side. Use it as a context manager.

    With a client name it owns that name's journal and may trade; without one it only asks and
    stops. It begins to connect when it is made and never blocks for that.
    """

    def __init__(
        self,
        settings: ConnectorSettings,
        bundle: Bundle,
        folder: Path,
        *,
        client: str | None = None,
        monitor: RiskMonitor | None = None,
        clocks: Callable[[], Now] = read_clocks,
    ) -> None:
        """Prefer `from_config`. `folder` is where relative paths of the settings begin."""
        if (bundle.acct, bundle.mode) != (settings.account, settings.mode):
            raise ConfigError(
                "KEY_FILE",
                f"the bundle is for {bundle.acct} ({bundle.mode}), connector.toml says "
                f"{settings.account} ({settings.mode}): use the right folder",
            )
        if client is not None and _CLIENT.match(client) is None:
            raise ConfigError("CLIENT", f"client {client!r}: 1 to 36 of A-Z a-z 0-9 . _ -")
        self._pid = os.getpid()
        self._settings, self._bundle, self.client = settings, bundle, client or ""
        self._names = {broker: name for name, broker in settings.symbols.items()}
        self._limits, self._allowed = settings.broker_limits(), settings.broker_allowed()
        self._book = Book()
        self._closed = False
        self._feeds: set[EventFeed] = set()
        self._feeds_lock = threading.Lock()
        journal = self._journal(folder)
        place = parse_endpoint(settings.server, folder / "connector.toml")
        host = place.host.strip("[]")
        dial = Dial(host, place.port, bundle.curve(), bundle.server_public.encode("ascii"))
        identity = Identity(keys=bundle.key_set(), ea=bundle.ea, ttl_ms=settings.ttl_ms)
        self._desk: Desk | None = None
        try:
            self._link = Link(identity, dial, client or _VISITOR, clocks)
            if journal is not None:
                self._desk = Desk(
                    self._link, journal, self._book, self._facts, monitor or RiskMonitor()
                )
                self._desk.on_resolved = self._resolved
                self._desk.look = self._look
        except BaseException:
            if journal is not None:
                journal.close()
            raise

    @classmethod
    def from_config(
        cls, path: str | os.PathLike[str], client: str | None = None
    ) -> Connector:
        """Return the connector of a connector.toml (or of the folder that holds one).

        Raises:
            ConfigError: the file, the keys or the journal; CLIENT_IN_USE names the other process.
        """
        file = Path(path)
        if file.is_dir():
            file /= "connector.toml"
        settings = load_settings(file)
        bundle = load_bundle(file.parent / settings.keys)
        return cls(settings, bundle, file.parent, client=client)

    def _journal(self, folder: Path) -> ConnectorJournal | None:
        if not self.client:
            return None
        path = folder / self._settings.state / f"{self.client}.db"
        return ConnectorJournal(path, self._settings.account, self._settings.mode.value)

    # --- being there --------------------------------------------------------------------------

    def connect(self, timeout: float = 5.0) -> None:
        """Wait for an authenticated connection.

        Raises:
            TransportError: there is none within `timeout` seconds; says why.
        """
        self._check()
        if not self._link.ready(time.monotonic() + timeout):
            raise TransportError("NO_CONNECTION", f"why={self._link.why!r}")

    def close(self) -> None:
        """Let go of everything. What is not final stays in the journal for the next start."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        with self._feeds_lock:
            feeds = tuple(self._feeds)
        for feed in feeds:
            feed.close()
        if self._desk is not None:
            self._desk.close()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Name client, mode, account and the state that HELLO told."""
        hello, mode = self._link.session.hello, self._settings.mode.upper()
        who = self.client or "-"
        if hello is None:
            return f"<Connector {who} {mode} {self._settings.account} OFFLINE>"
        account = hello.account
        return f"<Connector {who} {mode} {account.login}@{account.server} {hello.state}>"

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise BridgeError("FORKED", "make a new Connector in the child process")
        if self._closed:
            raise TransportError("CLOSED", "why='this connector is closed'")

    def _orders(self) -> Desk:
        self._check()
        if self._desk is None:
            raise LocalProtocolError("NO_CLIENT", "why='give from_config a client name to trade'")
        return self._desk

    def _to_broker(self, symbol: str) -> str:
        return self._settings.symbols.get(symbol, symbol)

    def _to_user(self, symbol: str) -> str:
        return self._names.get(symbol, symbol)

    def _result(self, view: OrderView) -> OrderResult:
        return from_view(view, self._to_user)

    def _facts(self, symbol: str) -> RiskFacts:
        return RiskFacts(
            allowed_symbols=self._allowed,
            limits=self._limits,
            max_deviation=self._settings.max_deviation,
            grid=self._book.grid(symbol),
            positions=self._book.positions(symbol),
        )

    def _look(self, timeout: float) -> None:
        del timeout  # bounded by the query's own patience
        self.get_positions()

    # --- orders -----------------------------------------------------------------------------------

    def send_order(
        self,
        symbol: str,
        type: str,  # noqa: A002  (the field's name everywhere)
        volume: Number,
        *,
        price: Number | None = None,
        sl: Number | None = None,
        tp: Number | None = None,
        deviation: int | None = None,
        expiration: datetime | None = None,
        strategy: int | str | None = None,
        comment: str = "",
        client_order_id: str | None = None,
        wait: float = _WAIT_S,
    ) -> OrderResult:
        """Open a position, or place a pending order; return within `wait` seconds.

        The same client_order_id means the same order for ever; other fields under it raise
        LocalProtocolError CONFLICT. deviation in points, None means the configured one.
        """
        entry = Entry(
            client=self.client or _VISITOR, symbol=self._to_broker(symbol), type=type,
            volume=volume, price=price, sl=sl, tp=tp, deviation=self._deviation(deviation),
            expiration=expiration, strategy=self._strategy(strategy), comment=comment,
            client_order_id=client_order_id,
        )  # fmt: skip
        desk = self._orders()
        self._learn_grid(entry)
        return self._result(desk.submit(draft_open(entry), wait))

    def buy(self, symbol: str, volume: Number, **more: object) -> OrderResult:
        """Buy at the market; keywords as send_order."""
        return self.send_order(symbol, "BUY", volume, **more)  # type: ignore[arg-type]

    def sell(self, symbol: str, volume: Number, **more: object) -> OrderResult:
        """Sell at the market; keywords as send_order."""
        return self.send_order(symbol, "SELL", volume, **more)  # type: ignore[arg-type]

    def buy_limit(self, symbol: str, volume: Number, **more: object) -> OrderResult:
        """Place a buy below the market; keywords as send_order."""
        return self.send_order(symbol, "BUY_LIMIT", volume, **more)  # type: ignore[arg-type]

    def sell_limit(self, symbol: str, volume: Number, **more: object) -> OrderResult:
        """Place a sell above the market; keywords as send_order."""
        return self.send_order(symbol, "SELL_LIMIT", volume, **more)  # type: ignore[arg-type]

    def buy_stop(self, symbol: str, volume: Number, **more: object) -> OrderResult:
        """Place a buy above the market; keywords as send_order."""
        return self.send_order(symbol, "BUY_STOP", volume, **more)  # type: ignore[arg-type]

    def sell_stop(self, symbol: str, volume: Number, **more: object) -> OrderResult:
        """Place a sell below the market; keywords as send_order."""
        return self.send_order(symbol, "SELL_STOP", volume, **more)  # type: ignore[arg-type]
