"""server.toml: frozen closed structs; an unknown key stops the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from bridge_core.host.settings import load_toml
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode
from bridge_core.protocol.limits import TTL_MS_DEFAULT, TTL_MS_MAX
from bridge_server.backends.paper_settings import PaperSettings
from bridge_server.core.rates import Rates
from bridge_server.core.risk import SymbolLimits

__all__ = ["Overrides", "ServerSettings", "Terminal", "load_settings"]

Alias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,24}\Z")]
# P, P+1 and P+2 belong to one account.
Port = Annotated[int, Meta(ge=1024, le=65_533)]
Seconds = Annotated[int, Meta(ge=1, le=TTL_MS_MAX // 1000)]


class Terminal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account that the terminal must be logged in to; anything else halts."""

    login: Annotated[int, Meta(ge=1)]
    server: Annotated[str, Meta(min_length=1, max_length=128)]
    kind: Literal["demo", "real"]


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One server: one terminal, one account, one backend. Paths are relative to the file."""

    account: Alias
    mode: Mode
    backend: Literal["paper", "ea"]
    allowed_symbols: list[str]
    limits: dict[str, SymbolLimits]
    host: str = "127.0.0.1"
    port: Port = 5555
    bind_any: bool = False
    signature_ttl_s: Seconds = TTL_MS_DEFAULT // 1000
    keys: str = "keys"
    state: str = "state"
    log: str = "log/server.log"
    rates: Rates = Rates()
    paper: PaperSettings = PaperSettings()
    terminal: Terminal | None = None


class Overrides(Struct, frozen=True, kw_only=True):
    """Flags given on the command line; None leaves the file's word."""

    host: str | None = None
    port: int | None = None
    signature_ttl_s: int | None = None


def load_settings(path: Path, flags: Overrides) -> ServerSettings:
    """Return the settings with the flags applied.

    Raises:
        ConfigError: names the key and the fix.
    """
    settings = load_toml(path, ServerSettings)
    given = {name: value for name, value in structs.asdict(flags).items() if value is not None}
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
    if settings.backend == "ea" and settings.paper.script:
        raise ConfigError("CONFIG", f"{path}: paper.script has no place beside a terminal's prices")
