"""Which connector.toml a command uses, and how it opens the connector.

Flag, then ZTB_CONFIG, then connector.toml here; never searched for further up.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge_client.cli.exits import UsageError
from bridge_client.connector import Connector
from bridge_client.settings import ConnectorSettings, load_settings
from bridge_core.protocol.errors import ConfigError

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.cli.parser import Parsed

__all__ = [
    "Place", "client_names", "config_path", "open_first_free", "place_of", "querying", "trading",
]  # fmt: skip

_FILE: Final = "connector.toml"
_CLIENTS_MAX: Final = 9


class Place(NamedTuple):
    """A configuration and the file it came from."""

    path: Path
    settings: ConnectorSettings

    @property
    def state(self) -> Path:
        """Return the folder of the connector journals."""
        return self.path.parent / self.settings.state


def config_path(args: Parsed) -> Path:
    """Return the configuration file to use; a folder means the connector.toml in it.

    Raises:
        UsageError: there is none; names what to do.
    """
    named = getattr(args, "config", None) or os.environ.get("ZTB_CONFIG")
    path = Path(named or _FILE)
    if path.is_dir():
        path /= _FILE
    if path.is_file():
        return path
    if named:
        raise UsageError(f"there is no file {path}: name a connector.toml", "NO_CONFIG")
    near = sorted(Path().glob("*/connector/connector.toml"))
    advice = (
        f"use --config {near[0]}"
        if near
        else "name one with --config, or make an account: `ztb init demo --symbol EURUSD "
        "--max-volume 0.01`"
    )
    raise UsageError(f"there is no {_FILE} here: {advice}", "NO_CONFIG")


def place_of(args: Parsed) -> Place:
    """Return the configuration of this command.

    Raises:
        ConfigError: none, unreadable, an unknown key, or a wrong value; names it.
    """
    path = config_path(args)
    return Place(path, load_settings(path))


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        name = "user"
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:24] or "user"


def client_names() -> Iterator[str]:
    """Yield the names under which the command line may trade, first choice first."""
    base = f"cli-{_user()}"
    yield base
    for number in range(2, _CLIENTS_MAX + 1):
        yield f"{base}-{number}"


@contextmanager
def querying(ctx: Context, place: Place | None = None) -> Iterator[Connector]:
    """Open the connector for questions and stops: no journal, no owner."""
    path = place.path if place is not None else config_path(ctx.args)
    with Connector.from_config(path) as bridge:
        yield bridge


@contextmanager
def trading(place: Place) -> Iterator[Connector]:
    """Open the connector for orders, under the first free client name.

    Raises:
        ConfigError: all nine names are in use.
    """
    with open_first_free(place) as bridge:
        yield bridge


def open_first_free(place: Place) -> Connector:
    """Return a connector for orders, under the first free client name.

    Raises:
        ConfigError: CLIENT_IN_USE, all nine names are; or the files are wrong.
    """
    busy: ConfigError | None = None
    for name in client_names():
        try:
            return Connector.from_config(place.path, client=name, heartbeat=False)
        except ConfigError as error:
            if error.code != "CLIENT_IN_USE":
                raise
            busy = error
    raise UsageError(
        "nine commands trade at the same time already: wait for one of them", "CLIENT_IN_USE"
    ) from busy
