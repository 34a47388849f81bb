"""What a test asks of its paper account, checked, and written as both configurations."""

from __future__ import annotations

import atexit
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final, Literal, NotRequired, TypedDict

from msgspec import Struct

from bridge_client.house import PaperHouse, free_port, make_account
from bridge_client.numbers import Number
from bridge_core.host.settings import nearest
from bridge_core.host.sqlite import Reserve
from bridge_core.protocol.errors import ConfigError
from bridge_core.risk.policy import AccountLimits, SymbolLimits
from bridge_core.risk.rates import Rates

__all__ = [
    "ACCOUNT",
    "SCRIPT",
    "Conditions",
    "Pace",
    "Wanted",
    "file_of",
    "make_house",
    "wanted",
    "whole",
]

ACCOUNT: Final = "paper"
SCRIPT: Final = "script.jsonl"
_POINTS_MAX: Final = 100_000
_PER_S_MAX: Final = 1_000

Pace = Literal["events", "step"] | float | int

# Both sides get the same limits. Generous where one is required: a test says what it is about.
_LIMITS: Final[Mapping[str, object]] = {
    **dict.fromkeys(SymbolLimits.__struct_fields__),
    "max_volume": Decimal(100),
    "max_positions": 100,
}
_RISK: Final[Mapping[str, object]] = {
    **dict.fromkeys(AccountLimits.__struct_fields__),
    "max_daily_loss": "100%",
    "require_sl": False,
}
# A backtest's strategy is as quick as its loop; a test about rates says so itself.
_PER_S: Final = 10_000
_RATES: Final[Mapping[str, object]] = dict.fromkeys(Rates.__struct_fields__, _PER_S)


class Conditions(TypedDict, total=False):
    """The keywords of `paper_bridge`.

    symbol: what `prices` are of, unless they are a mapping (EURUSD)
    limits: of each symbol, on both sides: max_volume (lots), max_positions and all of docs/risk.md
    risk: of the account, on both sides: max_daily_loss, max_risk_per_trade and all of docs/risk.md
    rates: messages a second on both sides: entry_per_s and its like (10 000)
    balance: account currency (10 000)
    spread: points between bid and ask of a price without an ask (10)
    pace: "events" (a price when events() is asked for more, the default), "step" (only by
        step() and its like), or a number: so many prices a second by themselves
    patience: the longest that an order call waits (s), whatever its own `wait` is
    ttl_ms: how long an order may live (ms; 5000)
    paper: further `[paper]` settings of server.toml, as `{"leverage": 30}`
    client: the strategy's name in the journals ("test")
    folder: where the account is made; without it a temporary folder, removed at the end
    """

    symbol: str
    limits: Mapping[str, object]
    risk: Mapping[str, object]
    rates: Mapping[str, object]
    balance: Number
    spread: int
    pace: Pace
    patience: float
    ttl_ms: int
    paper: Mapping[str, object]
    client: str
    folder: NotRequired[str | os.PathLike[str]]


class Wanted(Struct, frozen=True, kw_only=True):
    """`Conditions`, complete; see there."""

    symbol: str = "EURUSD"
    limits: Mapping[str, object] = {}
    risk: Mapping[str, object] = {}
    rates: Mapping[str, object] = {}
    balance: Number = 10_000
    spread: int = 10
    pace: Pace = "events"
    patience: float = math.inf
    ttl_ms: int = 0
    paper: Mapping[str, object] = {}
    client: str = "test"
    folder: str | os.PathLike[str] | None = None


def file_of(number: int) -> str:
    """Return the name of the price file of a test's symbol, beside server.toml."""
    return f"prices-{number}.csv"


def whole(value: object, name: str, bounds: tuple[int, int]) -> int:
    """Return a whole number within bounds.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not bounds[0] <= value <= bounds[1]:
        raise ConfigError(
            "CONFIG", f"{name}={value!r}: a whole number from {bounds[0]} to {bounds[1]}"
        )
    return value


def _is_rate(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < float(str(value)) <= _PER_S_MAX


def _known(name: str, known: Mapping[str, object] | tuple[str, ...], what: str) -> None:
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
        raise ConfigError("CONFIG", f"{what} has no {name}; {hint}")


def wanted(given: Mapping[str, object]) -> Wanted:
    """Return the keywords of `paper_bridge` as one value.

    Raises:
        ConfigError: an unknown keyword or limit, with the nearest name; a pace or spread that is
            none.
    """
    for name in given:
        _known(name, Wanted.__struct_fields__, "paper_bridge")
    found = Wanted(**given)  # type: ignore[arg-type]  # names are checked, values below and by the server
    for what, given_of, known in (
        ("limits", found.limits, _LIMITS),
        ("risk", found.risk, _RISK),
        ("rates", found.rates, _RATES),
    ):
        for name in given_of:
            _known(name, known, what)
    pace = found.pace
    if pace not in ("events", "step") and not _is_rate(pace):
        raise ConfigError("CONFIG", f'pace={pace!r}: "events", "step", or prices a second')
    if isinstance(found.patience, bool) or not float(found.patience) >= 0:
        raise ConfigError("CONFIG", f"patience={found.patience!r}: seconds, 0 or more")
    whole(found.spread, "spread", (0, _POINTS_MAX))
    return found


@cache
def _template() -> Path:
    # Made once by the command a user runs; every test gets a copy with settings of its own.
    folder = Path(tempfile.mkdtemp(prefix="ztb-account-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_account(folder, ACCOUNT, ["EURUSD"], "1")
    state = folder / ACCOUNT / "server" / "state"
    state.mkdir(mode=0o700)
    Reserve(state / "journal.db").ensure()  # copied faster than made anew
    return folder / ACCOUNT


def make_house(folder: Path, symbols: tuple[str, ...], asked: Wanted) -> PaperHouse:
    """Return a fresh account in a folder, configured as asked.

    Raises:
        ConfigError: `ztb init` failed, no free ports, or a setting that cannot be written.
    """
    shutil.rmtree(folder / ACCOUNT, ignore_errors=True)  # a try whose ports were taken meanwhile
    shutil.copytree(_template(), folder / ACCOUNT)
    house = PaperHouse(folder / ACCOUNT, free_port())
    _configure(house, symbols, asked)
    return house


def _configure(house: PaperHouse, symbols: tuple[str, ...], asked: Wanted) -> None:
    limits = _set(asked.limits, _LIMITS)
    files = {symbol: file_of(number) for number, symbol in enumerate(symbols)}
    paper = {
        "prices": files,
        "follow": True,
        "script": SCRIPT,
        "spread_points": asked.spread,
        "balance": asked.balance,
        **asked.paper,
    }
    common: dict[str, object] = {
        "account": ACCOUNT,
        "mode": "paper",
        "allowed_symbols": list(symbols),
        "limits": dict.fromkeys(symbols, limits),
        "risk": _set(asked.risk, _RISK),
        "rates": {**_RATES, **asked.rates},
    }
    server = {
        **common,
        "backend": "paper",
        "port": house.port,
        "paper": paper,
    }
    connector = {
        **common,
        "server": f"tcp://127.0.0.1:{house.port}",
        "keys": "keys/connector.key",
        "ttl_ms": asked.ttl_ms,
    }
    for file in files.values():
        (house.server_folder / file).touch()
    _write(house.server_toml, server)
    operator = house.folder / "operator" / "connector.toml"
    for config in (house.connector_toml, operator):
        _write(config, connector)


def _set(given: Mapping[str, object], usual: Mapping[str, object]) -> dict[str, object]:
    """Return the limits that are on: as given, else as usual; None is off."""
    return {name: value for name, value in {**usual, **given}.items() if value is not None}


def _write(file: Path, settings: Mapping[str, object]) -> None:
    text = "".join(f"{name} = {_toml(value)}\n" for name, value in settings.items())
    file.write_text(text, "utf-8", newline="\n")


def _toml(value: object) -> str:
    """Return a value as TOML: JSON's texts, lists and whole numbers are TOML's."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, bool | int | float | str):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise ConfigError("CONFIG", f"{value!r} cannot be written into a configuration")
