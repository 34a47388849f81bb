"""How a connector comes to be and ends: settings, keys, journal, link, desk."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bridge_client.book import Book
from bridge_client.desk import Desk
from bridge_client.events import EventFeed
from bridge_client.happenings import Alert
from bridge_client.journal import ConnectorJournal
from bridge_client.link import Link, read_clocks
from bridge_client.result import OrderResult, from_view
from bridge_client.risk import RiskFacts, RiskMonitor
from bridge_client.session import Identity
from bridge_client.settings import ConnectorSettings, load_settings, parse_endpoint
from bridge_client.stopping import Stops
from bridge_client.transport import Dial
from bridge_client.witness import Now
from bridge_core.host.bundles import Bundle, load_bundle
from bridge_core.protocol.errors import (
    BridgeError,
    ConfigError,
    LocalProtocolError,
    TransportError,
)
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import OrderView

__all__ = ["VISITOR", "Opened"]

VISITOR: Final = "visitor"
_ALARMS_KEPT: Final = 256
_log: Final = logging.getLogger("bridge_client")
_CLIENT: Final = re.compile(r"\A[A-Za-z0-9._-]{1,36}\Z")


class Opened(Stops):
    """A connector's life: configuration, keys, journal, connection, and its end."""

    def __init__(
        self,
        settings: ConnectorSettings,
        bundle: Bundle,
        folder: Path,
        *,
        client: str | None = None,
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
        self._book, self._monitor = Book(), RiskMonitor()
        self._closed = False
        self._feeds: set[EventFeed] = set()
        self._feeds_lock = threading.Lock()
        self._alarms: dict[str, None] = {}
        journal = self._journal(folder)
        place = parse_endpoint(settings.server, folder / "connector.toml")
        host = place.host.strip("[]")
        dial = Dial(host, place.port, bundle.curve(), bundle.server_public.encode("ascii"))
        identity = Identity(
            keys=bundle.key_set(),
            ea=bundle.ea,
            ttl_ms=settings.ttl_ms,
            reply_ea=_retired_keys((folder / settings.keys).parent / "retired", bundle),
        )
        self._desk: Desk | None = None
        try:
            self._link = self._open_link(identity, dial, clocks)
            self._link.session.on_lie = self._lied
            if journal is not None:
                self._desk = self._open_desk(journal)
                self._desk.on_resolved = self._resolved
                self._desk.look_with(self._look)
        except BaseException:
            if journal is not None:
                journal.close()
            raise

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], client: str | None = None) -> Self:
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

    def _open_link(self, identity: Identity, dial: Dial, clocks: Callable[[], Now]) -> Link:
        return Link(identity, dial, self.client or VISITOR, clocks)

    def _open_desk(self, journal: ConnectorJournal) -> Desk:
        return Desk(self._link, journal, self._book, self._facts, self._monitor)

    def _journal(self, folder: Path) -> ConnectorJournal | None:
        if not self.client:
            return None
        path = folder / self._settings.state / f"{self.client}.db"
        return ConnectorJournal(path, self._settings.account, self._settings.mode.value)

    # --- being there --------------------------------------------------------------------------

    def connect(self, timeout: float = 5.0) -> None:
        """Wait for an authenticated connection; with a new journal, for what the server knows.

        Raises:
            TransportError: there is none within `timeout` seconds; says why.
        """
        self._check()
        until = time.monotonic() + timeout
        if not self._link.ready(until):
            raise TransportError("NO_CONNECTION", f"why={self._link.why!r}")
        if self._desk is not None:
            self._desk.recall.refusal(until)  # an entry says what is still missing

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
        """Name client, mode, account and the trading state as last told."""
        hello, mode = self._link.session.hello, self._settings.mode.upper()
        who = self.client or "-"
        if hello is None:
            return f"<Connector {who} {mode} {self._settings.account} OFFLINE>"
        account = hello.account
        return f"<Connector {who} {mode} {account.login}@{account.server} {self._link.state}>"

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

    def _lied(self, rid: str, why: str) -> None:
        """Raise the alarm SERVER_LIED: log, health, journal and every event feed; once each."""
        alarm = f"SERVER_LIED rid={rid} why='the server {why}'"
        with self._feeds_lock:
            if alarm in self._alarms:
                return
            self._alarms[alarm] = None
            if len(self._alarms) > _ALARMS_KEPT:
                del self._alarms[next(iter(self._alarms))]
            feeds = tuple(self._feeds)
        _log.error("%s", alarm)
        if self._desk is not None:
            self._desk.keep_alarm("SERVER_LIED", alarm)
        alert = Alert(level="error", code="SERVER_LIED", message=f"the server {why}", rid=rid)
        for feed in feeds:
            feed.warn(alert)

    def _alarmed(self) -> tuple[str, ...]:
        with self._feeds_lock:
            return tuple(self._alarms)

    def _result(self, view: OrderView) -> OrderResult:
        return from_view(view, self._to_user)

    def _resolved(self, view: OrderView) -> None:
        result = self._result(view)
        with self._feeds_lock:
            feeds = tuple(self._feeds)
        for feed in feeds:
            feed.tell(result)


def _retired_keys(folder: Path, bundle: Bundle) -> dict[str, bytes]:
    """Return `reply<ea` of each bundle in `keys/retired/`: their orders may still be open.

    Raises:
        ConfigError: a file there is no bundle of this account and mode.
    """
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.key")):
        old = load_bundle(path)
        if (old.acct, old.mode) != (bundle.acct, bundle.mode):
            raise ConfigError("KEY_FILE", f"{path} is of another account or mode: remove it")
        key = old.key_set().keys.get(Purpose.REPLY_EA)
        if key is not None:
            found[old.kid] = key
    return found
