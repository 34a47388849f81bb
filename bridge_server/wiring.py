"""Chooses the implementations and puts one server together."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable
from logging import Logger
from pathlib import Path
from typing import NamedTuple

from bridge_core.host.alert_settings import load_destination
from bridge_core.host.bundles import ServerKeys, load_server_keys, load_verify_sets
from bridge_core.host.clock import Clock, ClockGuard, SystemClock
from bridge_core.host.keyfiles import parse_key_hex
from bridge_core.host.logs import log_event, register_secret, setup_logging
from bridge_core.host.sqlite import JournalFull, Reserve
from bridge_core.host.webhook import Origin, Webhook
from bridge_core.protocol import limits
from bridge_core.protocol.alerts import AlertCode
from bridge_core.protocol.errors import BridgeError, ConfigError, TransportError
from bridge_core.protocol.keys import KeySet, Mode, Secret
from bridge_server.alarms import Alarms
from bridge_server.answers import package_version
from bridge_server.backends.ea import EaBackend, Served
from bridge_server.backends.ea_feed import EaFeed
from bridge_server.backends.ea_link import EaLink, HopSpec
from bridge_server.backends.ea_session import Pins
from bridge_server.backends.mt5 import Mt5Backend
from bridge_server.backends.mt5_feed import Mt5Feed
from bridge_server.backends.mt5_link import LinkSpec, Mt5Link
from bridge_server.backends.mt5_pins import Mt5Pins
from bridge_server.backends.mt5_settings import Mt5Served, read_mt5_env
from bridge_server.backends.mt5_worker import import_metatrader5
from bridge_server.backends.paper import PaperBackend
from bridge_server.backends.paper_script import ScriptedPaper
from bridge_server.backends.rehearsal import Place, Rehearsal
from bridge_server.context import Context
from bridge_server.core.executor import Attestor, HasHop
from bridge_server.core.ports import Backend, Identity
from bridge_server.guard import Guard
from bridge_server.journal import Journal
from bridge_server.policy import limits_digest, untraded
from bridge_server.publisher import Publisher
from bridge_server.replier import Replier
from bridge_server.service import Service
from bridge_server.settings import ServerSettings, make_policy
from bridge_server.transport import Binding, Transport
from bridge_server.worker import Failed, Started, Worker

__all__ = ["BackendMaker", "Hop", "Server", "build_backend", "build_server", "link_spec"]

_START_S = 180.0


class Hop(NamedTuple):
    """What a backend behind a hop of its own needs of this server."""

    keys: ServerKeys
    incarnation: str
    ring: Callable[[], None]


BackendMaker = Callable[[ServerSettings, Path, Clock, Hop], Backend]


class Server:
    """One server from start to end: owns its doors and closes them."""

    def __init__(self, context: Context, service: Service) -> None:
        self.context = context
        self.service = service

    def run(self) -> int:
        """Serve until asked to stop; return the exit code."""
        try:
            self.service.start()
            return self.service.run()
        except Exception as error:
            why = f"the server ends: {type(error).__name__}"
            self.context.alarms.alert(AlertCode.SERVER_FAILED, why)
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything; the journal last."""
        self.context.worker.stop(1.0)
        self.context.alarms.close()
        self.context.transport.close()
        self.context.journal.close()


def build_backend(settings: ServerSettings, base: Path, clock: Clock, hop: Hop) -> Backend:
    """Return the backend that the configuration names.

    Raises:
        ConfigError: a script of conditions in another mode than paper, or no key of the EA.
    """
    if settings.backend == "ea":
        return _build_ea(settings, base, clock, hop)
    if settings.backend == "mt5":
        return _build_mt5(settings, base, clock)
    scripted = bool(settings.paper.script)
    if scripted and settings.mode is not Mode.PAPER:
        raise ConfigError("CONFIG", "paper.script is for paper accounts only: remove that line")
    return (ScriptedPaper if scripted else PaperBackend)(
        settings.paper,
        symbols=tuple(settings.allowed_symbols),
        folder=base / settings.state,
        base=base,
        clock=clock,
    )


def _build_ea(settings: ServerSettings, base: Path, clock: Clock, hop: Hop) -> Backend:
    if not hop.keys.ea_public:
        raise ConfigError(
            "KEY_FILE", "server.key names no EA: make the account with `ztb init --backend ea`"
        )
    pinned = settings.terminal
    live = settings.mode is Mode.LIVE
    spec = HopSpec(
        port=settings.port + 2,
        keys=hop.keys.curve(),
        ea_public=hop.keys.ea_public.encode("ascii"),
        incarnation=hop.incarnation,
        pins=Pins(login=pinned.login, server=pinned.server, kind=pinned.kind) if pinned else None,
        trading=live,
    )
    served = Served(acct=settings.account, symbols=tuple(settings.allowed_symbols))
    if live:
        return EaBackend(spec, served, clock, hop.ring)
    place = Place(folder=base / settings.state, base=base)
    return Rehearsal(EaFeed(EaLink(spec, clock), served, clock), settings.paper, place, clock)


def _build_mt5(settings: ServerSettings, base: Path, clock: Clock) -> Backend:
    live = settings.mode is Mode.LIVE
    spec = link_spec(settings, base, trading=live)
    served = Mt5Served(
        acct=settings.account, symbols=tuple(settings.allowed_symbols), pins=spec.pins,
        settings=settings.mt5,
    )  # fmt: skip
    if live:
        return Mt5Backend(Mt5Link(spec, clock), served, clock)
    place = Place(folder=base / settings.state, base=base)
    return Rehearsal(Mt5Feed(Mt5Link(spec, clock), served, clock), settings.paper, place, clock)


def link_spec(
    settings: ServerSettings,
    base: Path,
    *,
    trading: bool,
    load: Callable[[], object] = import_metatrader5,
) -> LinkSpec:
    """Return how the terminal of these settings is linked; `base` is server.toml's folder.

    `trading` False: nothing that could move money can be sent. The password is read here, kept
    out of every log, and given to nobody but the link.

    Raises:
        ConfigError: the `.env` file, or a password for an account that is not named.
    """
    table, pinned = settings.mt5, settings.terminal
    password = read_mt5_env(base / table.env)[1].encode("utf-8") if table.env else b""
    register_secret(password)
    if password and pinned is None:
        raise ConfigError(
            "CONFIG",
            f"{base / table.env}: MT5_PASSWORD belongs to no account; add "
            'terminal = { login = 123456, server = "Broker-Demo", kind = "demo" } to server.toml',
        )
    pins = None
    if pinned is not None:
        pins = Mt5Pins(
            login=pinned.login, server=pinned.server, kind=pinned.kind,
            margin=table.margin_mode or "",
        )  # fmt: skip
    return LinkSpec(
        path=table.path, portable=table.portable, pins=pins, trading=trading, load=load,
        lock=_lock_of(table.path), password=Secret(password),
    )  # fmt: skip


def _lock_of(path: str) -> Path:
    # By the terminal and not by the account: two of them must not share one terminal. A Windows
    # Server gives each session of a user its own temporary folder; this one is the same in all.
    name = hashlib.sha256(os.path.normcase(os.path.normpath(path)).encode("utf-8")).hexdigest()
    local = Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir())
    folder = local if local.is_dir() else Path(tempfile.gettempdir())
    return folder / f"ztb-mt5-{name[:16]}.lock"


def build_server(
    settings: ServerSettings,
    base: Path,
    *,
    debug: bool = False,
    make_backend: BackendMaker = build_backend,
    clock: Clock | None = None,
) -> Server:
    """Return a server that listens already; `base` is the configuration's folder.

    Without a clock it is this machine's.

    Raises:
        ConfigError: keys, journal, sockets, self-test or backend do not allow a start.
    """
    clock = clock if clock is not None else SystemClock()
    policy = make_policy(settings, base)
    state = base / settings.state
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = setup_logging("ztb-server", file=base / settings.log, debug=debug)
    own, sets = _load_keys(settings, base, clock.wall_ms())
    incarnation = secrets.token_hex(limits.INCARNATION_HEX // 2)
    webhook = open_webhook(settings, base, incarnation, log)
    journal = Journal(state / "journal.db")
    try:
        transport = _listen(settings, own, sets)
    except BridgeError:
        journal.close()
        raise
    publisher = _publisher(settings, own, incarnation, transport)
    backend = make_backend(settings, base, clock, Hop(own, incarnation, transport.bell.ring))
    context = Context(
        settings=settings,
        policy=policy,
        sets=sets,
        incarnation=incarnation,
        clock=clock,
        journal=journal,
        reserve=Reserve(journal.path),
        guard=Guard(state, journal, ClockGuard(clock.wall_ms(), clock.mono_ms()), _nobody),
        backend=backend,
        executor=backend if isinstance(backend, Attestor) else None,
        hop=backend if isinstance(backend, HasHop) else None,
        worker=Worker(backend, transport.bell),
        replier=Replier(settings.account, sets, incarnation, lambda: journal.head),
        transport=transport,
        publisher=publisher,
        alarms=Alarms(publisher, clock, log, webhook),
        log=log,
        started_ms=clock.wall_ms(),
    )
    try:
        return _bring_up(context)
    except BaseException:
        context.worker.stop(1.0)
        transport.close()
        journal.close()
        raise


def _load_keys(
    settings: ServerSettings, base: Path, now_ms: int
) -> tuple[ServerKeys, dict[str, KeySet]]:
    own = load_server_keys(base / settings.keys / "server.key")
    if (own.acct, own.mode) != (settings.account, settings.mode):
        raise ConfigError(
            "CONFIG",
            f"server.key belongs to account {own.acct} ({own.mode}), server.toml says "
            f"{settings.account} ({settings.mode}): use the folder that `ztb init` made",
        )
    sets = load_verify_sets(base / settings.keys, own)
    if not sets:
        raise ConfigError(
            "KEY_FILE", f"no key set in {base / settings.keys}: run `ztb init` or `ztb keys add`"
        )
    if not any(one.alive(now_ms) for one in sets.values()):
        raise ConfigError(
            "KEY_FILE",
            f"every key set in {base / settings.keys} is revoked or past its date: "
            "run `ztb keys add`",
        )
    register_secret(own.curve_secret.encode("ascii"))
    register_secret(parse_key_hex(own.event_srv))
    for key_set in sets.values():
        for key in key_set.keys.values():
            register_secret(key)
    return own, sets


def _listen(settings: ServerSettings, own: ServerKeys, sets: dict[str, KeySet]) -> Transport:
    return Transport(
        Binding(
            host=settings.host,
            port=settings.port,
            bind_any=settings.bind_any,
            keys=own.curve(),
            allowed=frozenset(one.curve_public.encode("ascii") for one in sets.values()),
        )
    )


def _publisher(
    settings: ServerSettings, own: ServerKeys, incarnation: str, transport: Transport
) -> Publisher:
    event_key = (own.event_kid, parse_key_hex(own.event_srv))
    return Publisher(settings.account, incarnation, event_key, transport.publish)


def open_webhook(
    settings: ServerSettings, base: Path, incarnation: str, log: Logger
) -> Webhook | None:
    """Return the webhook of [alerts], None without that table.

    Raises:
        ConfigError: the file with its address and key; names the line to mend.
    """
    if settings.alerts is None:
        return None
    origin = Origin(settings.account, settings.mode, "server", incarnation)

    def say(level: str, event: str, fields: dict[str, object]) -> None:
        log_event(log, level, event, **fields)

    webhook = Webhook(load_destination(settings.alerts, base), origin, say)
    webhook.warm()
    return webhook


def _nobody(_cause: str, _why: str) -> None:
    return None


def _bring_up(context: Context) -> Server:
    if not context.transport.self_test():
        raise ConfigError(
            "SELF_TEST",
            "an unknown CURVE key was not seen to be refused on our sockets: start again on a "
            "quieter machine; if that does not help, reinstall pyzmq",
        )
    identity = _start_backend(context)
    context.journal.bind(
        {
            "account": context.settings.account,
            "mode": context.settings.mode,
            "login": str(identity.login),
            "broker_server": identity.server,
        }
    )
    now_ms = context.clock.wall_ms()
    context.guard.start(now_ms)
    try:
        context.reserve.ensure()
    except JournalFull as error:
        raise ConfigError(
            "JOURNAL_FULL", f"no room for the journal's reserve beside {context.journal.path}"
        ) from error
    service = Service(context)
    context.guard.on_change(service.admin.state_changed)
    service.admin.mark_started(
        {
            "incarnation": context.incarnation,
            "account": context.settings.account,
            "mode": context.settings.mode,
            "login": str(identity.login),
            "broker_server": identity.server,
            "version": package_version(),
            "limits": limits_digest(context.policy, context.settings.rates),
        }
    )
    context.alarms.started(context.guard.causes)
    log_event(
        context.log, "info", "listening", account=context.settings.account,
        mode=context.settings.mode, backend=context.backend.name,
        requests=context.transport.endpoint(context.settings.port),
        events=context.transport.endpoint(context.settings.port + 1),
        incarnation=context.incarnation,
    )  # fmt: skip
    for line, symbols in untraded(context.policy).items():
        log_event(
            context.log, "warning", "not_tradable", symbols=",".join(symbols), add=line,
        )  # fmt: skip
    return Server(context, service)


def _start_backend(context: Context) -> Identity:
    context.worker.start()
    post = context.worker.wait(_START_S)
    match post:
        case Started(identity, snapshot):
            context.see(snapshot)
            context.identity = identity
            return identity
        case Failed(error):
            if isinstance(error, BridgeError):
                raise error
            raise TransportError("BROKER_DOWN", f"the backend did not start: {error}")
        case _:
            raise TransportError("BROKER_DOWN", "the backend did not start in time")
