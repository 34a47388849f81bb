"""What the paper broker is configured with: the `[paper]` table of server.toml.

Everything has a default; a symbol's terms are derived from its name (`EURUSD`: base EUR, profit
USD) unless `[paper.symbols.NAME]` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

from bridge_core.protocol.errors import ConfigError
from bridge_server.core.ports import SymbolSpec

__all__ = ["SYNTHETIC", "TERMINAL", "PaperSettings", "SymbolTerms", "make_sources", "make_specs"]

SYNTHETIC: Final = "synthetic"
TERMINAL: Final = "terminal"

_FX: Final = re.compile(r"\A([A-Z]{3})([A-Z]{3})")
_YEN_DIGITS: Final = 3
_DIGITS: Final = 5

Points = Annotated[int, Meta(ge=0, le=100_000)]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]


class SymbolTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[paper.symbols.NAME]`: what differs from the FX defaults. Volumes in lots.

    `start_price` is where the synthetic walk begins (quote currency).
    """

    digits: Annotated[int, Meta(ge=0, le=8)] | None = None
    contract_size: Decimal = Decimal(100_000)
    volume_min: Decimal = Decimal("0.01")
    volume_max: Decimal = Decimal(100)
    volume_step: Decimal = Decimal("0.01")
    stops_level: Points = 0
    currency_base: Currency | None = None
    currency_profit: Currency | None = None
    spread_points: Points | None = None
    start_price: Decimal | None = None


class PaperSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[paper]` table.

    `prices`: "synthetic", a price file (one symbol), or a table symbol -> file or "synthetic";
    files are relative to server.toml's folder. `follow`: the file grows; each pump takes one
    complete row. Otherwise one row, or one synthetic price, every `pace_ms` of wall time.
    `spread_points`: ask = bid + spread; with `spread_from_file` a bar's own <SPREAD> is used.
    Rows `time,bid,ask` always use their own ask. `balance` (account currency) counts at the first
    start only. `source_note` says what the prices are ("one fixing a day"), for people.
    `script`: a file of conditions for this broker (`paper_script`), for tests of strategies.
    """

    prices: str | dict[str, str] = SYNTHETIC
    follow: bool = False
    pace_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 1000
    spread_points: Points = 10
    spread_from_file: bool = False
    balance: Decimal = Decimal(10_000)
    currency: Currency = "USD"
    leverage: Annotated[int, Meta(ge=1, le=5000)] = 100
    seed: Annotated[int, Meta(ge=0, le=2**31)] = 1
    login: Annotated[int, Meta(ge=1)] = 1
    broker_server: str = "ztb-paper"
    source_note: Annotated[str, Meta(max_length=100)] = ""
    script: Annotated[str, Meta(max_length=200)] = ""
    symbols: dict[str, SymbolTerms] = {}


def make_specs(settings: PaperSettings, symbols: tuple[str, ...]) -> Mapping[str, SymbolSpec]:
    """Return the terms of every allowed symbol.

    Raises:
        ConfigError: PAPER_SYMBOL: terms for a symbol that is not allowed, currencies that cannot
            be read from the name, or a grid that makes no sense.
    """
    for name in settings.symbols:
        if name not in symbols:
            raise ConfigError(
                "PAPER_SYMBOL",
                f"[paper.symbols.{name}]: not in allowed_symbols: add it there, or remove this",
            )
    return {name: _make_spec(name, settings.symbols.get(name, SymbolTerms())) for name in symbols}


def _make_spec(name: str, terms: SymbolTerms) -> SymbolSpec:
    pair = _FX.match(name)
    base = terms.currency_base or (pair.group(1) if pair else "")
    profit = terms.currency_profit or (pair.group(2) if pair else "")
    if not base or not profit:
        raise ConfigError(
            "PAPER_SYMBOL",
            f"{name}: its currencies cannot be read from its name: set currency_base and "
            f"currency_profit in [paper.symbols.{name}]",
        )
    grid = (terms.volume_min, terms.volume_max, terms.volume_step, terms.contract_size)
    if (
        min(grid) <= 0
        or terms.volume_max < terms.volume_min
        or terms.volume_min % terms.volume_step
    ):
        raise ConfigError(
            "PAPER_SYMBOL",
            f"[paper.symbols.{name}]: volume_min, volume_max, volume_step and contract_size are "
            "above 0, and volume_min lies on the step: mend them",
        )
    digits = terms.digits
    if digits is None:
        digits = _YEN_DIGITS if profit == "JPY" else _DIGITS
    return SymbolSpec(
        symbol=name,
        digits=digits,
        point=Decimal(1).scaleb(-digits),
        volume_min=terms.volume_min,
        volume_max=terms.volume_max,
        volume_step=terms.volume_step,
        contract_size=terms.contract_size,
        stops_level=terms.stops_level,
        currency_base=base,
        currency_profit=profit,
    )


def make_sources(settings: PaperSettings, symbols: tuple[str, ...]) -> dict[str, str]:
    """Return each symbol's price source: "synthetic" or a file's path as configured.

    Raises:
        ConfigError: PAPER_PRICES: one file for several symbols, or a table that does not name
            exactly the allowed symbols; or a balance that is not above 0.
    """
    if settings.balance <= 0:
        raise ConfigError("PAPER_BALANCE", "[paper] balance is not above 0: set one")
    prices = settings.prices
    if isinstance(prices, str):
        if prices != SYNTHETIC and len(symbols) != 1:
            raise ConfigError(
                "PAPER_PRICES",
                f"[paper] prices = {prices!r} serves one symbol, allowed_symbols has "
                f"{len(symbols)}: write prices = {{ {symbols[0] if symbols else 'EURUSD'} = "
                f'"{prices}", ... }}',
            )
        return dict.fromkeys(symbols, prices)
    for name in symbols:
        if name not in prices:
            raise ConfigError("PAPER_PRICES", f"[paper] prices lacks {name}: name its file")
    for name in prices:
        if name not in symbols:
            raise ConfigError(
                "PAPER_PRICES", f"[paper] prices names {name}, which is not in allowed_symbols"
            )
    return {name: prices[name] for name in symbols}
