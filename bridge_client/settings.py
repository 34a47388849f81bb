"""connector.toml: frozen and closed, so that a misspelt key stops the start.

Paths are relative to the file. Nothing in it is secret; the keys are in the file it names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import replace

from bridge_core.host.alert_settings import AlertSettings
from bridge_core.host.correlations import load_correlations
from bridge_core.host.settings import load_toml
from bridge_core.protocol import limits
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode
from bridge_core.risk.policy import AccountLimits, Policy, StrategyLimits, SymbolLimits
from bridge_core.risk.rates import Rates

__all__ = ["ConnectorSettings", "Endpoint", "load_settings", "parse_endpoint"]

DEVIATION_DEFAULT: Final = 20
HEARTBEAT_S_DEFAULT: Final = 2
_ENDPOINT: Final = re.compile(r"\Atcp://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})\Z")


class ConnectorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """connector.toml. `deviation` in points, `ttl_ms` 0 means the protocol's default.

    `heartbeat` auto: this process lives; loop: the strategy calls `beat()`. Seconds between two.
    `max_deviation` caps every symbol that has no `max_deviation` of its own.
    """

    account: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,24}\Z")]
    mode: Mode = Mode.PAPER
    server: str
    keys: str = "keys/connector.key"
    state: str = "state"
    allowed_symbols: list[str] = []
    deviation: Annotated[int, Meta(ge=0, le=limits.DEVIATION_POINTS_MAX)] = DEVIATION_DEFAULT
    max_deviation: Annotated[int, Meta(ge=0, le=limits.DEVIATION_POINTS_MAX)] = 1_000
    ttl_ms: int = 0
    heartbeat: Literal["off", "auto", "loop"] = "off"
    heartbeat_s: Annotated[int, Meta(ge=1, le=60)] = HEARTBEAT_S_DEFAULT
    limits: dict[str, SymbolLimits] = {}
    risk: AccountLimits = AccountLimits()
    rates: Rates = Rates()
    symbols: dict[str, str] = {}
    strategies: dict[str, Annotated[int, Meta(ge=0, le=limits.STRATEGY_MAX)]] = {}
    alerts: AlertSettings | None = None

    def broker_limits(self) -> dict[str, SymbolLimits]:
        """Return the limits of symbols by the broker's name."""
        return {self._broker(name): self._capped(row) for name, row in self.limits.items()}

    def policy(self, folder: Path) -> Policy:
        """Return all limits by the broker's symbol names; relative files are of `folder`.

        Raises:
            ConfigError: the correlation file is missing or wrong; names its line.
        """
        file = self.risk.correlation_file
        table = load_correlations(folder / file) if file else {}
        return Policy(
            allowed_symbols=self.broker_allowed(),
            symbols=self.broker_limits(),
            account=replace(
                self.risk,
                strategies={n: self._mapped(row) for n, row in self.risk.strategies.items()},
            ),
            correlations={(self._broker(a), self._broker(b)): r for (a, b), r in table.items()},
        )

    def _broker(self, name: str) -> str:
        return self.symbols.get(name, name)

    def _capped(self, row: SymbolLimits) -> SymbolLimits:
        cap = self.max_deviation if row.max_deviation is None else row.max_deviation
        return replace(row, max_deviation=cap)

    def _mapped(self, row: StrategyLimits) -> StrategyLimits:
        if row.allowed_symbols is None:
            return row
        return replace(row, allowed_symbols=tuple(map(self._broker, row.allowed_symbols)))

    def broker_allowed(self) -> frozenset[str]:
        """Return the allowed symbols by the broker's name."""
        return frozenset(self.symbols.get(name, name) for name in self.allowed_symbols)


class Endpoint(NamedTuple):
    """Where the server listens for requests; events are on the next port."""

    host: str
    port: int


def parse_endpoint(text: str, path: Path) -> Endpoint:
    """Return host and port of `server`.

    Raises:
        ConfigError: not `tcp://HOST:PORT`.
    """
    match = _ENDPOINT.match(text)
    if match is None or not 0 < int(match[2]) < 65_535:
        raise ConfigError("SETTING", f'{path}: server = "tcp://HOST:PORT", not {text!r}')
    return Endpoint(match[1], int(match[2]))


def load_settings(path: Path) -> ConnectorSettings:
    """Return the settings of one connector.

    Raises:
        ConfigError: missing, damaged, an unknown key, or values that contradict each other;
            names the key and the fix.
    """
    settings = load_toml(path, ConnectorSettings)
    parse_endpoint(settings.server, path)
    if settings.ttl_ms and not limits.TTL_MS_MIN <= settings.ttl_ms <= limits.TTL_MS_MAX:
        raise ConfigError(
            "SETTING",
            f"{path}: ttl_ms is {settings.ttl_ms}: choose {limits.TTL_MS_MIN} to "
            f"{limits.TTL_MS_MAX}",
        )
    if settings.deviation > settings.max_deviation:
        raise ConfigError(
            "SETTING", f"{path}: deviation is above max_deviation: lower it, or raise the cap"
        )
    for name in settings.limits:
        if name not in settings.allowed_symbols:
            raise ConfigError(
                "SETTING", f"{path}: limits.{name} is not in allowed_symbols: add it there"
            )
    _check_risk(settings, path)
    if len(set(settings.symbols.values())) != len(settings.symbols):
        raise ConfigError("SETTING", f"{path}: [symbols] maps two names to one broker symbol")
    return settings


def _check_risk(settings: ConnectorSettings, path: Path) -> None:
    for number in settings.risk.strategies:
        if not number.isdecimal() or int(number) > limits.STRATEGY_MAX:
            raise ConfigError(
                "SETTING",
                f"{path}: risk.strategies.{number}: name a strategy by its number, 0 to "
                f"{limits.STRATEGY_MAX}",
            )
    settings.policy(path.parent)  # the file of correlations is read now, not with the first order
