"""What MetaTrader 5 is configured with: the `[mt5]` table of server.toml and the `.env` beside it.

For the path a flag goes before the table, and the table before `.env`. Login and broker server
may stand in several places and must then agree; the password stands in `.env` alone and is read
only where a link is made.
"""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from bridge_core.host.settings import load_env
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.limits import TICKET_MAX
from bridge_server.backends.mt5_pins import Mt5Pins

__all__ = ["Mt5Served", "Mt5Settings", "Mt5Words", "agreed", "read_mt5_env", "terminal_path"]

ENV_NAMES: Final = ("MT5_PATH", "MT5_LOGIN", "MT5_PASSWORD", "MT5_SERVER")
_PASSWORD_CHARS_MAX: Final = 253  # measured in wheel 5.0.6231


class Mt5Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mt5]` table.

    `path` is the terminal's program, whole; `portable` as the terminal is started. `env` is the
    `.env` file, relative to server.toml. `margin_mode` pins the account's; `utc_offset_minutes`
    pins the broker's clock minus UTC, which is else found from ticks. `poll_ms` is how often the
    account is read.
    """

    path: str = ""
    portable: bool = False
    env: str = ""
    margin_mode: Literal["hedging", "netting"] | None = None
    utc_offset_minutes: Annotated[int, Meta(ge=-720, le=840)] | None = None
    poll_ms: Annotated[int, Meta(ge=50, le=1_000)] = 250


class Mt5Served(Struct, frozen=True, kw_only=True):
    """What a backend is given besides its link: the account's alias, its symbols, its settings.

    `pins` is None in a rehearsal that names no account. `wait_s`: how long a start waits for the
    terminal (seconds).
    """

    acct: str
    symbols: tuple[str, ...]
    pins: Mt5Pins | None
    settings: Mt5Settings
    wait_s: float = 5.0


class Mt5Words(NamedTuple):
    """One source's words about the terminal; "" or 0: it says nothing."""

    source: str
    path: str = ""
    login: int = 0
    server: str = ""


def read_mt5_env(file: Path) -> tuple[Mt5Words, str]:
    """Return what a `.env` file says, and its password.

    Raises:
        ConfigError: as `load_env`; or a value that cannot be one.
    """
    values = load_env(file, ENV_NAMES)
    login, password = values.get("MT5_LOGIN", ""), values.get("MT5_PASSWORD", "")
    if login and not (login.isascii() and login.isdecimal() and 0 < int(login) <= TICKET_MAX):
        raise ConfigError("CONFIG", f"{file}: MT5_LOGIN is no account number; mend that line")
    if len(password) > _PASSWORD_CHARS_MAX:
        raise ConfigError(
            "CONFIG", f"{file}: MT5_PASSWORD has more than {_PASSWORD_CHARS_MAX} characters"
        )
    words = Mt5Words(
        str(file), values.get("MT5_PATH", ""), int(login or 0), values.get("MT5_SERVER", "")
    )
    return words, password


def agreed(file: Path, words: list[Mt5Words]) -> tuple[int, str]:
    """Return login and broker server, wherever they were given.

    Raises:
        ConfigError: two sources do not agree.
    """
    found: dict[str, tuple[str, int | str]] = {}
    for one in words:
        for name, value in (("login", one.login), ("server", one.server)):
            if not value:
                continue
            source, known = found.setdefault(name, (one.source, value))
            if known != value:
                raise ConfigError(
                    "CONFIG",
                    f"{file}: {name} is {known} by {source} and {value} by {one.source}; "
                    "keep one of them",
                )
    login, server = found.get("login", ("", 0))[1], found.get("server", ("", ""))[1]
    return int(login), str(server)


def terminal_path(file: Path, words: list[Mt5Words]) -> str:
    """Return the terminal's program; the first source that names one is right.

    Raises:
        ConfigError: none does, or it cannot be one.
    """
    path = next((one.path for one in words if one.path), "")
    if not path:
        raise ConfigError(
            "CONFIG",
            f"{file}: `mt5.path` is missing; add the line "
            "`path = 'C:\\Program Files\\MetaTrader 5\\terminal64.exe'` to [mt5]",
        )
    if not (Path(path).is_absolute() or PureWindowsPath(path).is_absolute()):
        raise ConfigError("CONFIG", f"{file}: mt5.path {path} is not whole; write it from C:\\ on")
    if not path.lower().endswith(".exe"):
        raise ConfigError(
            "CONFIG", f"{file}: mt5.path {path} is no program; name its terminal64.exe"
        )
    return path
