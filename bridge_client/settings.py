"""connector.toml: frozen and closed, so that a misspelt key stops the start.

Paths are relative to the file. Nothing in it is secret; the keys are in the file it names.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from bridge_client.risk import SymbolLimits
from bridge_core.host.settings import load_toml
from bridge_core.protocol import limits
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode

__all__ = ["ConnectorSettings", "Endpoint", "load_settings", "parse_endpoint"]

DEVIATION_DEFAULT: Final = 20
_ENDPOINT: Final = re.compile(r"\Atcp://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})\Z")


class LimitSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[limits.SYMBOL]: the largest order (lots), and how many positions at once."""

    max_volume: Decimal
    max_positions: Annotated[int, Meta(ge=0, le=10_000)]


class ConnectorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """connector.toml. `deviation` in points, `ttl_ms` 0 means the protocol's default."""

    account: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,24}\Z")]
    mode: Mode = Mode.PAPER
    server: str
    keys: str = "keys/connector.key"
    state: str = "state"
    allowed_symbols: list[str] = []
    deviation: Annotated[int, Meta(ge=0, le=limits.DEVIATION_POINTS_MAX)] = DEVIATION_DEFAULT
    max_deviation: Annotated[int, Meta(ge=0, le=limits.DEVIATION_POINTS_MAX)] = 1_000
    ttl_ms: int = 0
    limits: dict[str, LimitSettings] = {}
    symbols: dict[str, str] = {}
    strategies: dict[str, Annotated[int, Meta(ge=0, le=limits.STRATEGY_MAX)]] = {}

    def broker_limits(self) -> dict[str, SymbolLimits]:
        """Return the limits by the broker's symbol name."""
        return {
            self.symbols.get(name, name): SymbolLimits(
                max_volume=row.max_volume, max_positions=row.max_positions
            )
            for name, row in self.limits.items()
        }

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
    for name, row in settings.limits.items():
        if not row.max_volume.is_finite() or row.max_volume <= 0:
            raise ConfigError("SETTING", f"{path}: limits.{name}.max_volume must be above 0 (lots)")
    for name in settings.limits:
        if name not in settings.allowed_symbols:
            raise ConfigError(
                "SETTING", f"{path}: limits.{name} is not in allowed_symbols: add it there"
            )
    if len(set(settings.symbols.values())) != len(settings.symbols):
        raise ConfigError("SETTING", f"{path}: [symbols] maps two names to one broker symbol")
    return settings
