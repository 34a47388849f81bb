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

from msgspec.structs import replace

from bridge_client.alarms import ClientAlarms
from bridge_client.book import Book
from bridge_client.desk import Desk
from bridge_client.events import EventFeed
from bridge_client.facts import Fact, moment
from bridge_client.happenings import Alert, LinkChanged
from bridge_client.heartbeat import Heart, Mode
from bridge_client.journal import ConnectorJournal
from bridge_client.judging import Judge
from bridge_client.link import Link, read_clocks
from bridge_client.link_watch import LOST, LinkWatch, Stand
from bridge_client.result import OrderResult, from_view
from bridge_client.risk import RiskMonitor
from bridge_client.risk_keeper import LocalLatch, RiskKeeper
from bridge_client.session import Identity
from bridge_client.settings import ConnectorSettings, load_settings, parse_endpoint
from bridge_client.stopping import Stops
from bridge_client.transport import Dial
from bridge_client.witness import Now
from bridge_core.host.alert_settings import Destination, load_destination
from bridge_core.host.bundles import Bundle, load_bundle
from bridge_core.protocol.errors import (
    BridgeError,
    ConfigError,
    LocalProtocolError,
    TransportError,
)
from bridge_core.protocol.operations import Op, Purpose, granted
from bridge_core.protocol.replies import OrderView
from bridge_core.risk.policy import Policy

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
        policy = settings.policy(folder)
        self._book = _book(policy)
        self._closed = self._lost = False
        self._feeds: set[EventFeed] = set()
        self._feeds_lock = threading.Lock()
        self._alarms: dict[str, None] = {}
        self._alerts = ClientAlarms(settings, _destination(settings, folder), _log)
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
            self._link.session.on_fork = lambda why: self._alarm("LOG_FORK", why)
            keeper = RiskKeeper(policy)  # who has no journal signs no entry either
            if journal is not None:
                keeper = RiskKeeper(policy, journal.risk(), journal.keep_risk)
            keeper.on_latch = self._latched
            self._judge = Judge(self._link, self._book, policy, keeper, RiskMonitor())
            if journal is not None:
                self._desk = self._open_desk(journal)
                self._desk.on_resolved = self._resolved
        except BaseException:
            if journal is not None:
                journal.close()
            raise
        self._watch = LinkWatch(self._link, self._link_changed)
        self._heart = Heart(self._link, self._beats(bundle), float(settings.heartbeat_s))
        self._heart.start()

    @classmethod
    def from_config(
        cls, path: str | os.PathLike[str], client: str | None = None, *, heartbeat: bool = True
    ) -> Self:
        """Return the connector of a connector.toml (or of the folder that holds one).

        `heartbeat` False: whatever the file says, none is sent; for tools that come and go.

        Raises:
            ConfigError: the file, the keys or the journal; CLIENT_IN_USE names the other process.
        """
        file = Path(path)
        if file.is_dir():
            file /= "connector.toml"
        settings = load_settings(file)
        if not heartbeat:
            settings = replace(settings, heartbeat="off")
        bundle = load_bundle(file.parent / settings.keys)
        return cls(settings, bundle, file.parent, client=client)

    def _beats(self, bundle: Bundle) -> Mode:
        # Who has no client name asks and stops; what keeps a strategy's switch from firing is its
        # own word alone.
        if not self.client or Op.HEARTBEAT not in granted(bundle.scope):
            return "off"
        return self._settings.heartbeat

    def _open_link(self, identity: Identity, dial: Dial, clocks: Callable[[], Now]) -> Link:
        return Link(identity, dial, self.client or VISITOR, clocks)

    def _open_desk(self, journal: ConnectorJournal) -> Desk:
        return Desk(self._link, journal, self._book, self._judge, self._settings.rates)

    def _journal(self, folder: Path) -> ConnectorJournal | None:
        if not self.client:
            return None
        path = folder / self._settings.state / f"{self.client}.db"
        return ConnectorJournal(path, self._settings.account, self._settings.mode.value)

    def beat(self) -> None:
        """Say that the strategy's loop is alive; returns at once and never raises.

        Call it once a turn where `heartbeat = "loop"`; with "auto" and "off" it does nothing.
        """
        self._heart.beat()

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
        self._heart.close()
        self._watch.close()
        with self._feeds_lock:
            feeds = tuple(self._feeds)
        for feed in feeds:
            feed.close()
        if self._desk is not None:
            self._desk.close()
        self._link.close()
        self._heart.join()
        self._watch.join()
        self._alerts.close()

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
        account, state = hello.account, " ".join([self._link.state, *self._judge.keeper.latches])
        return f"<Connector {who} {mode} {account.login}@{account.server} {state}>"

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

    def _latched(self, cause: str, latch: LocalLatch) -> None:
        """Tell once that a limit of this connector blocks its entries from here on."""
        message = (
            f"{latch.code} limit={latch.limit} value={latch.value}: this connector signs no entry "
            f"until it ends; `ztb explain {latch.code}`"
        )
        self._alarm(cause, message, level="error")

    def _lied(self, rid: str, why: str) -> None:
        """Raise the alarm SERVER_LIED: log, health, journal and every event feed; once each."""
        alarm = f"SERVER_LIED rid={rid} why='the server {why}'"
        with self._feeds_lock:
            if alarm in self._alarms:
                return
            self._alarms[alarm] = None
            if len(self._alarms) > _ALARMS_KEPT:
                del self._alarms[next(iter(self._alarms))]
        if self._desk is not None:
            self._desk.keep_alarm("SERVER_LIED", alarm)
        self._alarm("SERVER_LIED", f"the server {why}", rid=rid)

    def _alarm(self, code: str, message: str, *, rid: str = "", level: str | None = None) -> None:
        """Raise an alert of this connector's own: log, webhook, every event feed. Any thread."""
        severity = self._alerts.alert(code, message, level, rid)
        alert = Alert(level=severity, code=code, message=message, rid=rid)
        with self._feeds_lock:
            feeds = tuple(self._feeds)
        for feed in feeds:
            feed.warn(alert)

    def _link_changed(self, stand: Stand) -> None:
        _log.warning("LINK %s %s", stand.state.upper(), stand.why)
        if stand.state == LOST:
            self._alarm("LINK_DOWN", stand.why or "the server is not heard")
        elif self._lost:
            self._alarm("LINK_UP", "the server answers again")
        self._lost = stand.state == LOST
        news = LinkChanged(state=stand.state, why=stand.why, since=moment(stand.since_ms))
        self._tell_feeds(news)

    def _tell_feeds(self, news: Fact) -> None:
        with self._feeds_lock:
            feeds = tuple(self._feeds)
        for feed in feeds:
            feed.warn(news)

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


def _destination(settings: ConnectorSettings, folder: Path) -> Destination | None:
    return None if settings.alerts is None else load_destination(settings.alerts, folder)


def _book(policy: Policy) -> Book:
    windows = {
        symbol: row.move_window_s * 1000
        for symbol, row in policy.symbols.items()
        if row.max_move is not None
    }
    return Book(windows)


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
