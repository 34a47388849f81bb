"""What `ztb init` writes: the text of both configurations, and the first free ports.

At most 12 lines a side and one comment a line, so that a newcomer reads all of it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bridge_client.cli.exits import UsageError

__all__ = [
    "EA_PATH", "EA_PORT", "PORT_FIRST", "PORT_STEP", "Mt5", "Plan", "Terminal", "choose_port",
    "connector_toml", "server_toml", "taken_ports",
]  # fmt: skip

PORT_FIRST: Final = 5555
# Requests, events, EA: one triple an account.
PORT_STEP: Final = 3
EA_PORT: Final = 2
EA_PATH: Final = "ea/bridge.key"
_PORT_LAST: Final = 65_533
_COMMENT_COLUMN: Final = 34
_LINES_MAX: Final = 12
# What an account needs on both sides before it takes an entry.
_RISK: Final = (
    'risk = { max_daily_loss = "2%", max_risk_per_trade = "1%", require_sl = false }',
    "docs/risk.md",
)
_LOOPBACK: Final = (
    'host = "127.0.0.1"', "this machine only; a LAN address opens it to the LAN",
)  # fmt: skip
_BARE: Final = re.compile(r"\A[A-Za-z0-9_-]+\Z")


class Terminal(NamedTuple):
    """The one broker account that a live server serves: login, broker server, demo or real."""

    login: int
    server: str
    kind: str


class Mt5(NamedTuple):
    """The MetaTrader 5 terminal of the server's machine; `margin_mode` is "" in a rehearsal."""

    path: str
    portable: bool
    margin_mode: str


class Plan(NamedTuple):
    """One account to be made.

    `prices` is "synthetic" or the name of a file beside server.toml, and unused where the prices
    come from a terminal. A live account names its terminal's account.
    """

    name: str
    symbols: tuple[str, ...]
    max_volume: str
    prices: str
    port: int
    mode: str = "paper"
    backend: str = "paper"
    terminal: Terminal | None = None
    mt5: Mt5 | None = None

    @property
    def ea_endpoint(self) -> str:
        """Where the EA finds the server; "" on an account without one."""
        return f"tcp://127.0.0.1:{self.port + EA_PORT}" if self.backend == "ea" else ""


def _lines(rows: list[tuple[str, str]]) -> str:
    return "".join(f"{setting:<{_COMMENT_COLUMN}}  # {why}\n" for setting, why in rows)


def _key(symbol: str) -> str:
    return symbol if _BARE.match(symbol) else f'"{symbol}"'


def _symbols(plan: Plan) -> str:
    return "[" + ", ".join(f'"{symbol}"' for symbol in plan.symbols) + "]"


def _limits(plan: Plan) -> list[tuple[str, str]]:
    volume = plan.max_volume if "." in plan.max_volume else f"{plan.max_volume}.0"
    if len(plan.symbols) == 1:
        return [
            (f"[limits.{_key(plan.symbols[0])}]", "each symbol needs its limits, on both sides"),
            (f"max_volume = {volume}", "lots in one order; more is denied"),
            ("max_positions = 1", "open at the same time; more is denied"),
        ]
    table = f"{{ max_volume = {volume}, max_positions = 1 }}"
    return [(f"limits.{_key(symbol)} = {table}", "more is denied") for symbol in plan.symbols]


def _executor(plan: Plan) -> tuple[str, str]:
    if plan.backend == "paper":
        why = "the built-in paper broker executes"
    elif plan.mode == "paper":
        whose = "the EA's" if plan.backend == "ea" else "MetaTrader 5's"
        why = f"rehearsal: {whose} prices, the paper broker executes"
    else:
        why = "the EA in MetaTrader 4 executes" if plan.backend == "ea" else "MetaTrader 5 executes"
    return f'backend = "{plan.backend}"', why


def _world(plan: Plan) -> list[tuple[str, str]]:
    """Return where prices come from, or which broker account and terminal are served."""
    rows = []
    if plan.terminal is not None:
        login, server, kind = plan.terminal
        pins = f'login = {login}, server = "{server}", kind = "{kind}"'
        rows.append((f"terminal = {{ {pins} }}", "no other is served"))
    if plan.mt5 is not None:
        why = "whose prices" if plan.terminal is None else "pinned"
        rows.append((f"mt5 = {{ {_mt5(plan.mt5)} }}", why))
    if plan.backend != "paper":
        return rows
    shown = "invented prices; or a CSV file's name" if plan.prices == "synthetic" else "a CSV file"
    return [(f'paper.prices = "{plan.prices}"', shown)]


def _mt5(mt5: Mt5) -> str:
    parts = [f"path = {_quoted(mt5.path)}"]
    if mt5.portable:
        parts.append("portable = true")
    if mt5.margin_mode:
        parts.append(f'margin_mode = "{mt5.margin_mode}"')
    return ", ".join(parts)


def _quoted(path: str) -> str:
    """Return a path as TOML text: in single quotes, where a backslash is one, if that can be."""
    if "'" not in path:
        return f"'{path}'"
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def server_toml(plan: Plan) -> str:
    """Return the configuration of the terminal's side."""
    ports = f"requests; events on {plan.port + 1}"
    if plan.ea_endpoint:
        ports += f", the EA on {plan.port + EA_PORT}"
    rows = [
        (f'account = "{plan.name}"', "the alias both sides sign"),
        (f'mode = "{plan.mode}"', "these keys cannot sign for any other mode"),
        _executor(plan),
        _LOOPBACK,
        (f"port = {plan.port}", ports),
        (f"allowed_symbols = {_symbols(plan)}", "no other is traded"),
        *_world(plan),
        _RISK,
        *_limits(plan),
    ]
    if len(rows) > _LINES_MAX:
        rows.remove(_LOOPBACK)  # the default says the same
    return _lines(rows)


def connector_toml(plan: Plan) -> str:
    """Return the configuration of the strategy's side; the operator's is the same."""
    return _lines(
        [
            (f'account = "{plan.name}"', "the alias both sides sign"),
            (f'mode = "{plan.mode}"', "must be what the keys were made for"),
            (f'server = "tcp://127.0.0.1:{plan.port}"', "where the server listens"),
            ('keys = "keys/connector.key"', "this bundle signs; keep it to this side"),
            (f"allowed_symbols = {_symbols(plan)}", "no other is signed"),
            ("deviation = 20", "points of slippage taken when an order names none"),
            _RISK,
            *_limits(plan),
        ]
    )


def taken_ports(beside: Path) -> Iterator[tuple[int, Path]]:
    """Yield the request ports of the accounts in a folder, with the files that name them."""
    for path in sorted(beside.glob("*/server/server.toml")):
        # A neighbour's broken file is the neighbour's to mend; it must not stop this account.
        with contextlib.suppress(OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            port = tomllib.loads(path.read_text("utf-8")).get("port")
            if isinstance(port, int):
                yield port, path


def _busy(port: int) -> bool:
    for one in range(port, port + PORT_STEP):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", one))
            except OSError:
                return True
    return False


def choose_port(beside: Path, wanted: int | None) -> int:
    """Return the request port: the wanted one, or the first free triple from 5555.

    Raises:
        UsageError: the wanted triple touches one of an account beside it; names that file.
    """
    taken = dict(taken_ports(beside))
    if wanted is not None:
        clash = next((port for port in taken if abs(port - wanted) < PORT_STEP), None)
        if clash is None:
            return wanted
        free = _first_free(set(taken))
        raise UsageError(
            f"ports {wanted} to {wanted + 2} touch those of {taken[clash]} ({clash} to "
            f"{clash + 2}): use --port {free}",
            "PORT",
        )
    return _first_free(set(taken))


def _first_free(taken: set[int]) -> int:
    for port in range(PORT_FIRST, _PORT_LAST, PORT_STEP):
        if all(abs(port - other) >= PORT_STEP for other in taken) and not _busy(port):
            return port
    raise UsageError("no three free ports from 5555 on: name one with --port", "PORT")
