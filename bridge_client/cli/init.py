"""`ztb init`: one folder with a server, a connector and an operator side, each with its own keys.

The folder is made under another name and renamed when complete: there is no half-made account.
"""

from __future__ import annotations

import re
import secrets
import shutil
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge_client.cli.arguments import nearest
from bridge_client.cli.exits import UsageError
from bridge_client.cli.layout import Plan, choose_port, connector_toml, server_toml
from bridge_client.cli.output import Answer
from bridge_core.host.prices import iter_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge_client.cli.main import Context

__all__ = ["checked_name", "run"]

_NAME: Final = re.compile(r"\A[A-Za-z0-9_-]{1,24}\Z")
_SYMBOL: Final = re.compile(r"\A[!#-9;-\[\]-~]([ !#-9;-\[\]-~]{0,29}[!#-9;-\[\]-~])?\Z")
_FILE: Final = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_SMALLEST_LOT: Final = "0.01"
_SYMBOLS_MAX: Final = 4
# The server reads all of it; here a wrong file shall be refused before anything is made.
_PRICE_ROWS_LOOKED_AT: Final = 1_000
_PRICES_BYTES_MAX: Final = 512 * 1024 * 1024
_BACKENDS: Final = ("paper", "ea", "mt5")


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
        if _SYMBOL.match(symbol) is None:
            raise UsageError(
                f"{symbol!r} is no symbol: write it as the terminal does, at most 31 plain "
                "characters without a colon, e.g. EURUSD",
                "SYMBOL",
            )
    chosen = tuple(dict.fromkeys(symbols))
    if len(chosen) > _SYMBOLS_MAX:
        raise UsageError(
            f"at most {_SYMBOLS_MAX} symbols here: add the others to both .toml files later",
            "SYMBOL",
        )
    return chosen


def _checked_backend(backend: str) -> None:
    if backend == "paper":
        return
    if backend in _BACKENDS:
        raise UsageError(f"--backend {backend} comes with a later version; use --backend paper")
    hint = nearest(backend, _BACKENDS)
    raise UsageError(f"there is no backend {backend!r}{hint}; use --backend paper")


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
    _checked_backend(args.backend)
    symbols = _checked_symbols(args.symbol)
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
    )
    kids = _make(out, plan, prices)
    return _tell(ctx, out / name, plan, kids)


def _make(out: Path, plan: Plan, prices: Path | None) -> dict[str, str]:
    """Write the folder and return the key ids by role."""
    from bridge_client.cli.bundling import new_account  # noqa: PLC0415  (needs zmq)

    building = out / f".{plan.name}.{secrets.token_hex(4)}"
    try:
        for side in ("server/keys", "connector/keys", "operator/keys"):
            (building / side).mkdir(mode=0o700, parents=True)
        for folder in (building, *(p for p in building.rglob("*") if p.is_dir())):
            folder.chmod(0o700)
        kids = new_account(building, plan.name, plan.mode)
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


def _tell(ctx: Context, folder: Path, plan: Plan, kids: dict[str, str]) -> Answer:
    out = ctx.out
    volume = min(plan.max_volume, _SMALLEST_LOT, key=Decimal)
    connector = folder / "connector" / "connector.toml"
    commands = [
        f"ztb-server run --config {folder / 'server' / 'server.toml'}",
        f"ztb order buy {_quoted(plan.symbols[0])} {volume} --config {connector}",
    ]
    out.say(f"made {folder}: {plan.mode} account {plan.name}, {' '.join(plan.symbols)}, "
            f"at most {plan.max_volume} lots, ports {plan.port} and {plan.port + 1}")  # fmt: skip
    out.say("  server/     goes to the terminal's machine")
    out.say("  connector/  stays with the strategy; its key signs orders")
    out.say("  operator/   ends a halt; keep it off both machines in daily use")
    out.say("next, in two terminals:")
    for command in commands:
        out.line(f"  {command}")
    return Answer(
        0,
        {
            "account": plan.name,
            "mode": plan.mode,
            "folder": str(folder),
            "port": plan.port,
            "symbols": list(plan.symbols),
            "kids": kids,
            "next": commands,
        },
    )


def _quoted(word: str) -> str:
    return f"'{word}'" if not word.isalnum() else word
