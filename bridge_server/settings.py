"""server.toml: frozen closed structs; an unknown key stops the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from bridge_core.host.alert_settings import AlertSettings
from bridge_core.host.correlations import load_correlations
from bridge_core.host.settings import load_toml
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode
from bridge_core.protocol.limits import TTL_MS_DEFAULT, TTL_MS_MAX
from bridge_core.risk.policy import AccountLimits, Policy, SymbolLimits
from bridge_core.risk.rates import Rates
from bridge_server.backends.mt5_settings import (
    Mt5Settings,
    Mt5Words,
    agreed,
    read_mt5_env,
    terminal_path,
)
from bridge_server.backends.paper_settings import PaperSettings
from bridge_server.core.dead_man import DeadManPolicy, DeadManSettings

__all__ = ["Overrides", "ServerSettings", "Terminal", "load_settings", "make_policy"]

Alias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,24}\Z")]
# P, P+1 and P+2 belong to one account.
Port = Annotated[int, Meta(ge=1024, le=65_533)]
Seconds = Annotated[int, Meta(ge=1, le=TTL_MS_MAX // 1000)]


class Terminal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account that the terminal must be logged in to; anything else halts.

    With MetaTrader 5 login and server may come from flags or `.env` instead.
    """

    login: Annotated[int, Meta(ge=1)] = 0
    server: Annotated[str, Meta(min_length=1, max_length=128)] = ""
    kind: Literal["demo", "real"]


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One server: one terminal, one account, one backend. Paths are relative to the file.

    `exclusive`: nobody else trades here, so a ticket that no order of ours made halts. Elsewhere
    more than `orphans_max` of them raise an alarm.
    """

    account: Alias
    mode: Mode
    backend: Literal["paper", "ea", "mt5"]
    allowed_symbols: list[str]
    limits: dict[str, SymbolLimits] = {}
    risk: AccountLimits = AccountLimits()
    host: str = "127.0.0.1"
    port: Port = 5555
    bind_any: bool = False
    signature_ttl_s: Seconds = TTL_MS_DEFAULT // 1000
    keys: str = "keys"
    state: str = "state"
    log: str = "log/server.log"
    exclusive: bool = False
    orphans_max: Annotated[int, Meta(ge=0)] | None = None
    rates: Rates = Rates()
    paper: PaperSettings = PaperSettings()
    terminal: Terminal | None = None
    mt5: Mt5Settings = Mt5Settings()
    alerts: AlertSettings | None = None
    dead_man: DeadManSettings | None = None


class Overrides(Struct, frozen=True, kw_only=True):
    """Flags given on the command line; None leaves the file's word."""

    host: str | None = None
    port: int | None = None
    signature_ttl_s: int | None = None
    mt5_login: int | None = None
    mt5_server: str | None = None
    mt5_path: str | None = None


def load_settings(path: Path, flags: Overrides) -> ServerSettings:
    """Return the settings with the flags applied.

    Raises:
        ConfigError: names the key and the fix.
    """
    settings = load_toml(path, ServerSettings)
    given = {name: value for name, value in structs.asdict(flags).items() if value is not None}
    settings = _with_terminal(settings, path, given)
    settings = structs.replace(settings, **given)
    if not 1 <= settings.signature_ttl_s <= TTL_MS_MAX // 1000:
        raise ConfigError("CONFIG", "--signature-ttl must be 1 to 10 seconds")
    if not 1024 <= settings.port <= 65_533:
        raise ConfigError("CONFIG", "--port must be 1024 to 65533: P, P+1 and P+2 are used")
    _check_mode(settings, path)
    for symbol in settings.limits:
        if symbol not in settings.allowed_symbols:
            raise ConfigError(
                "CONFIG",
                f"{path}: [limits.{symbol}] is not in allowed_symbols: add it there, or remove it",
            )
    return settings


def make_policy(settings: ServerSettings, base: Path) -> Policy:
    """Return the limits that orders are judged by; `base` is server.toml's folder.

    Raises:
        ConfigError: the file of correlations.
    """
    file = settings.risk.correlation_file
    return Policy(
        allowed_symbols=frozenset(settings.allowed_symbols),
        symbols=settings.limits,
        account=settings.risk,
        correlations=load_correlations(base / file) if file else {},
    )


def _with_terminal(
    settings: ServerSettings, path: Path, given: dict[str, object]
) -> ServerSettings:
    """Return the settings with what flags and `.env` say of the terminal; takes those flags out."""
    said = {name: given.pop(f"mt5_{name}", None) for name in ("path", "login", "server")}
    pinned = settings.terminal
    if settings.backend != "mt5":
        if any(said.values()) or settings.mt5 != Mt5Settings():
            raise ConfigError(
                "CONFIG", f'{path}: [mt5] and --mt5-… are for backend = "mt5"; remove them'
            )
    else:
        words = [
            Mt5Words(
                "flags", str(said["path"] or ""), _int(said["login"]), str(said["server"] or "")
            ),
            Mt5Words(str(path), settings.mt5.path),
        ]
        if pinned is not None:
            words.append(Mt5Words(f"{path} [terminal]", "", pinned.login, pinned.server))
        if settings.mt5.env:
            words.append(read_mt5_env(path.parent / settings.mt5.env)[0])
        table = structs.replace(settings.mt5, path=terminal_path(path, words))
        login, server = agreed(path, words)
        if pinned is None and (login or server):
            raise ConfigError(
                "CONFIG",
                f'{path}: `terminal` is missing; add the line terminal = {{ kind = "demo" }}',
            )
        if pinned is not None:
            pinned = structs.replace(pinned, login=login, server=server)
        settings = structs.replace(settings, mt5=table, terminal=pinned)
    if pinned is not None and not (pinned.login and pinned.server):
        name, word = ("server", '"TEXT"') if pinned.login else ("login", "NUMBER")
        raise ConfigError(
            "CONFIG",
            f"{path}: `terminal.{name}` is missing; add the line `{name} = {word}` to [terminal]",
        )
    return settings


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _check_mode(settings: ServerSettings, path: Path) -> None:
    live = settings.mode is Mode.LIVE
    if live and settings.backend == "paper":
        raise ConfigError(
            "CONFIG", f'{path}: mode = "{settings.mode}" needs a live backend: set mode = "paper"'
        )
    if live and settings.terminal is None:
        raise ConfigError(
            "CONFIG",
            f"{path}: a live account is pinned: add "
            'terminal = { login = 123456, server = "Broker-Demo", kind = "demo" }',
        )
    if live and settings.backend == "mt5" and settings.mt5.margin_mode is None:
        raise ConfigError(
            "CONFIG",
            f"{path}: a live account is pinned: add the line "
            '`margin_mode = "hedging"` (or "netting") to [mt5]',
        )
    wanted = settings.dead_man
    if (
        live
        and settings.backend == "ea"
        and wanted
        and wanted.policy is not DeadManPolicy.REDUCE_ONLY
    ):
        raise ConfigError(
            "CONFIG",
            f'{path}: dead_man.policy = "{wanted.policy}": the server has no key for the EA; say '
            '"reduce-only" here and set DeadManPolicy in the EA\'s inputs',
        )
    if settings.backend != "paper" and settings.paper.script:
        raise ConfigError("CONFIG", f"{path}: paper.script has no place beside a terminal's prices")
