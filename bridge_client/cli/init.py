"""`ztb init`: one folder with a side for each: server, connector, operator, and the EA if there is.

The folder is made under another name and renamed when complete: there is no half-made account.
"""

from __future__ import annotations

import re
import secrets
import shutil
import sys
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge_client.cli.arguments import nearest, symbol_problem
from bridge_client.cli.exits import UsageError
from bridge_client.cli.init_mt5 import checked_mt5, tell_mt5
from bridge_client.cli.layout import (
    EA_PATH,
    Plan,
    Terminal,
    choose_port,
    connector_toml,
    server_toml,
)
from bridge_client.cli.output import Answer
from bridge_core.host.prices import iter_rows
from bridge_core.protocol.keys import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge_client.cli.main import Context
    from bridge_client.cli.parser import Parsed

__all__ = ["checked_name", "run"]

_NAME: Final = re.compile(r"\A[A-Za-z0-9_-]{1,24}\Z")
_FILE: Final = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_SMALLEST_LOT: Final = "0.01"
_SYMBOLS_MAX: Final = 4
# The server reads all of it; here a wrong file shall be refused before anything is made.
_PRICE_ROWS_LOOKED_AT: Final = 1_000
_PRICES_BYTES_MAX: Final = 512 * 1024 * 1024
_BACKENDS: Final = ("paper", "ea", "mt5")
_LOGIN_MT4_MAX: Final = 2_147_483_647  # AccountNumber() is an int
_AND_MARGIN: Final = {
    "ea": "",
    "mt5": "; hedging or netting, as the terminal's title bar ends (Hedge or Netting)",
}


def checked_name(name: str) -> str:
    """Return a name that is legal as a folder, an alias and a part of a token.

    Raises:
        UsageError: anything else.
    """
    if _NAME.match(name) is None or name.startswith("-"):
        raise UsageError(
            f"{name!r} is no account name: use 1 to 24 of the letters A-Z a-z, digits, _ and -",
            "NAME",
        )
    return name


def _checked_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    for symbol in symbols:
        problem = symbol_problem(symbol)
        if problem:
            raise UsageError(problem, "SYMBOL")
    chosen = tuple(dict.fromkeys(symbols))
    if len(chosen) > _SYMBOLS_MAX:
        raise UsageError(
            f"at most {_SYMBOLS_MAX} symbols here: add the others to both .toml files later",
            "SYMBOL",
        )
    return chosen


def _checked_backend(backend: str, mode: str, prices: str | None) -> None:
    if backend not in _BACKENDS:
        hint = nearest(backend, _BACKENDS)
        raise UsageError(f"there is no backend {backend!r}{hint}; use --backend paper, ea or mt5")
    if mode == "live" and backend == "paper":
        raise UsageError(
            "the paper broker is never live: use --backend ea or --backend mt5 with --mode live, "
            "or leave --mode out",
            "MODE",
        )
    if backend != "paper" and prices is not None:
        raise UsageError(
            f"with --backend {backend} the prices come from the terminal: leave --prices out",
            "PRICES",
        )


def _checked_terminal(args: Parsed) -> Terminal | None:
    """Return the one broker account that a live server may serve."""
    given = {
        "--login": args.login, "--broker-server": args.broker_server, "--kind": args.kind,
    }  # fmt: skip
    if args.backend == "mt5":
        given["--margin-mode"] = args.margin_mode
    if args.mode != "live":
        named = [flag for flag, value in given.items() if value is not None]
        if named:
            raise UsageError(
                f"{named[0]} pins a live account: add --mode live, or leave it out", "MODE"
            )
        return None
    missing = [flag for flag, value in given.items() if value is None]
    if missing:
        raise UsageError(
            f"--mode live needs {' '.join(missing)} too: the account number, the broker's server "
            f"as the terminal's login window shows it, and demo or real{_AND_MARGIN[args.backend]}",
            "TERMINAL",
        )
    if args.backend == "ea" and args.login > _LOGIN_MT4_MAX:
        raise UsageError(
            f"{args.login} is no MetaTrader 4 account number: at most {_LOGIN_MT4_MAX}", "TERMINAL"
        )
    return Terminal(args.login, args.broker_server, args.kind)


def _checked_prices(name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"there is no file {name}: --prices names a CSV file", "PRICES")
    if _FILE.match(path.name) is None:
        raise UsageError(
            f"{path.name!r} is an awkward file name: rename it to letters, digits, . _ and -",
            "PRICES",
        )
    if path.stat().st_size > _PRICES_BYTES_MAX:
        raise UsageError(f"{name} is larger than 512 MiB: cut it to the days you need", "PRICES")
    if not list(islice(iter_rows(path), _PRICE_ROWS_LOOKED_AT)):
        raise UsageError(f"{name} holds no price: it needs at least one row", "PRICES")
    return path


def _checked_out(text: str, name: str) -> Path:
    out = Path(text)
    if not out.is_dir():
        raise UsageError(f"there is no folder {text}: make it, or use another --out", "OUT")
    if (out / name).exists() or (out / name).is_symlink():
        raise UsageError(
            f"{out / name} exists already and is left as it is: choose another name", "EXISTS"
        )
    return out


def run(ctx: Context) -> Answer:
    """Make the account."""
    args = ctx.args
    name = checked_name(args.name)
    _checked_backend(args.backend, args.mode, args.prices)
    terminal = _checked_terminal(args)
    symbols = _checked_symbols(args.symbol)
    mt5 = checked_mt5(args, symbols)
    if not Decimal(args.max_volume):
        raise UsageError("--max-volume 0 lets nothing pass: use the smallest lot, e.g. 0.01")
    prices = _checked_prices(args.prices)
    out = _checked_out(args.out, name)
    plan = Plan(
        name=name,
        symbols=symbols,
        max_volume=args.max_volume,
        prices=prices.name if prices else "synthetic",
        port=choose_port(out, args.port),
        mode=args.mode,
        backend=args.backend,
        terminal=terminal,
        mt5=mt5,
    )
    kids = _make(out, plan, prices)
    return _tell(ctx, out / name, plan, kids)


def _make(out: Path, plan: Plan, prices: Path | None) -> dict[str, str]:
    """Write the folder and return the key ids by role."""
    from bridge_client.cli.bundling import NewAccount, new_account  # noqa: PLC0415  (needs zmq)

    sides = ["server/keys", "connector/keys", "operator/keys"]
    if plan.ea_endpoint:
        sides.append("ea")
    building = out / f".{plan.name}.{secrets.token_hex(4)}"
    try:
        for side in sides:
            (building / side).mkdir(mode=0o700, parents=True)
        for folder in (building, *(p for p in building.rglob("*") if p.is_dir())):
            folder.chmod(0o700)
        kids = new_account(building, NewAccount(plan.name, Mode(plan.mode), plan.ea_endpoint))
        _write(building / "server/server.toml", server_toml(plan))
        for side in ("connector", "operator"):
            _write(building / side / "connector.toml", connector_toml(plan))
        if prices is not None:
            shutil.copyfile(prices, building / "server" / prices.name)
        building.rename(out / plan.name)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return kids


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")
    path.chmod(0o600)


def _ports(plan: Plan) -> str:
    """Return "5555, 5556 and 5557"."""
    last = plan.port + (2 if plan.ea_endpoint else 1)
    *first, end = map(str, range(plan.port, last + 1))
    return f"{', '.join(first)} and {end}"


def _tell(ctx: Context, folder: Path, plan: Plan, kids: dict[str, str]) -> Answer:
    out = ctx.out
    volume = min(plan.max_volume, _SMALLEST_LOT, key=Decimal)
    connector = folder / "connector" / "connector.toml"
    commands = [
        f"ztb-server run --config {_server_file(folder, plan)}",
        f"ztb order buy {_quoted(plan.symbols[0])} {volume} --config {connector}",
    ]
    out.say(f"made {folder}: {plan.mode} account {plan.name}, {' '.join(plan.symbols)}, "
            f"at most {plan.max_volume} lots, ports {_ports(plan)}")  # fmt: skip
    out.say("  server/     goes to the terminal's machine")
    out.say("  connector/  stays with the strategy; its key signs orders")
    out.say("  operator/   ends a halt; keep it off both machines in daily use")
    if plan.ea_endpoint:
        out.say("  ea/         goes into the terminal's MQL4/Files")
        _tell_terminal(ctx, folder, plan)
    tell_mt5(ctx, plan)
    out.say("next, in two terminals:" if plan.mt5 is None else "next, there and here:")
    for command in commands:
        out.line(f"  {command}")
    return Answer(
        0,
        {
            "account": plan.name,
            "mode": plan.mode,
            "backend": plan.backend,
            "folder": str(folder),
            "port": plan.port,
            "symbols": list(plan.symbols),
            "kids": kids,
            "ea": _ea_inputs(plan) if plan.ea_endpoint else {},
            "next": commands,
        },
    )


def _server_file(folder: Path, plan: Plan) -> str:
    """Return the server's configuration as that machine will name it."""
    if plan.mt5 is not None and sys.platform != "win32":  # it is copied to a Windows machine
        return "server.toml"
    return str(folder / "server" / "server.toml")


def _ea_inputs(plan: Plan) -> dict[str, str]:
    """Return the EA's inputs that differ from what it starts with."""
    inputs = {"Symbols": ",".join(plan.symbols)}
    if plan.terminal is not None:
        login, server, kind = plan.terminal
        inputs |= {"ExpectedAccount": str(login), "ExpectedServer": server}
        if Decimal(plan.max_volume) > Decimal(_SMALLEST_LOT):
            inputs["MaxLots"] = plan.max_volume
        if len(plan.symbols) > 1:  # one position for each symbol, as the limits say
            inputs["MaxPositions"] = str(len(plan.symbols))
        if kind == "real":
            inputs["AllowReal"] = "true"
    return inputs


def _tell_terminal(ctx: Context, folder: Path, plan: Plan) -> None:
    out = ctx.out
    out.say("in MetaTrader 4 (mql4/README.md, step by step):")
    out.say(f"  1. copy {folder / EA_PATH} to MQL4/Files (File > Open Data Folder)")
    out.say("  2. attach BridgeEA to one chart, allow DLL imports"
            + ("" if plan.mode == "paper" else " and live trading")
            + ", with these inputs:")  # fmt: skip
    for name, value in _ea_inputs(plan).items():
        out.say(f"       {name} = {value}")
    if plan.mode == "paper":
        out.say("  (rehearsal: its prices are real, every fill is the paper broker's)")


def _quoted(word: str) -> str:
    return f"'{word}'" if not word.isalnum() else word
