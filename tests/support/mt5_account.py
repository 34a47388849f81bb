"""An account with the MetaTrader 5 backend for tests, made by `ztb init` as a user makes it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.support.fake_metatrader5.terms import Terms
from tests.support.running import Account, free_port, run_ztb

__all__ = ["make_mt5_account"]


@cache
def _template(mode: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ztb-mt5-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    terms = Terms()
    live = (
        "--login", str(terms.login), "--broker-server", terms.server, "--kind", "demo",
        "--margin-mode", "hedging",
    )  # fmt: skip
    run_ztb(
        "init", "demo", "--symbol", "EURUSD", "--max-volume", "1", "--out", str(folder),
        "--backend", "mt5", "--mode", mode, *(live if mode == "live" else ()),
    )  # fmt: skip
    for scope in ("query", "reduce"):
        run_ztb("keys", "add", scope, "--scope", scope, "--account", str(folder / "demo"))
    return folder


def make_mt5_account(
    folder: Path, path: str, *, mode: str = "live", margin_mode: str = "hedging", extra: str = ""
) -> Account:
    """Return an account of its own on free ports, whose terminal is at `path`.

    It is pinned to what the stand-in's `Terms()` say; `extra` are further lines of server.toml.
    """
    shutil.copytree(_template(mode) / "demo", folder / "demo")
    account = Account(folder / "demo", free_port())
    lines = account.config.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("port", "max_positions", "mt5 "))]
    more = f'\nmargin_mode = "{margin_mode}"' if mode == "live" else ""
    text = "\n".join(kept) + "\nmax_positions = 1000\n"
    account.config.write_text(
        f"port = {account.port}\n{extra}\n{text}\n[mt5]\npath = '{path}'\nportable = true{more}\n",
        "utf-8",
    )
    return account
